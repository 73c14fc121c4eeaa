//! Removes the access token from a reply, however JSON spells it.

use std::ops::Range;

use crate::json;

/// A JSON string may contain JSON again, such as the request that a gateway quotes, and so on. Deeper nesting is not
/// expected.
const MAX_LAYERS: usize = 8;

/// Returns the printed reply with `[token]` in place of each occurrence of the token.
///
/// Removes one layer of escapes after the other and searches for the token each time. The search ignores backslashes:
/// in mixed layers it is unknown which of them belong to the token.
pub(super) fn redact(reply: String, token: &str) -> String {
    let needle = token.replace('\\', "");
    if needle.is_empty() {
        // The token consists of backslashes only.
        return "{}".to_owned();
    }
    // Several layers may find the token, in overlapping places.
    let mut end_of_token_at = vec![0; reply.len()];
    let mut layer = Layer::outermost(&reply);
    for _ in 0..MAX_LAYERS {
        layer = layer.unescaped();
        layer.find(&needle, |start, end| end_of_token_at[start] = end.max(end_of_token_at[start]));
        if !layer.text.contains('\\') {
            break;
        }
    }
    let mut redacted = String::with_capacity(reply.len());
    let mut done = 0;
    for (start, end) in end_of_token_at.into_iter().enumerate().filter(|(_, end)| *end > 0) {
        if start >= done {
            redacted.push_str(&reply[done..start]);
            redacted.push_str("[token]");
        }
        done = done.max(end);
    }
    redacted.push_str(&reply[done..]);
    redacted
}

/// The reply with some layers of escapes removed.
#[derive(Default)]
struct Layer {
    text: String,
    /// The range in the reply that each byte of the text comes from.
    positions: Vec<(usize, usize)>,
}

impl Layer {
    fn outermost(reply: &str) -> Layer {
        Layer { text: reply.to_owned(), positions: (0..reply.len()).map(|at| (at, at + 1)).collect() }
    }

    fn unescaped(&self) -> Layer {
        let mut inner = Layer::default();
        let mut done = 0;
        for (escape, meaning) in json::escapes(&self.text) {
            inner.copy(self, done..escape.start);
            done = escape.end;
            inner.text.push(meaning.unwrap_or(char::REPLACEMENT_CHARACTER));
            inner
                .positions
                .resize(inner.text.len(), (self.positions[escape.start].0, self.positions[escape.end - 1].1));
        }
        inner.copy(self, done..self.text.len());
        inner
    }

    fn copy(&mut self, from: &Layer, part: Range<usize>) {
        self.text.push_str(&from.text[part.clone()]);
        self.positions.extend_from_slice(&from.positions[part]);
    }

    fn find(&self, needle: &str, mut found: impl FnMut(usize, usize)) {
        let text = self.text.replace('\\', "");
        let kept = self.text.bytes().zip(&self.positions).filter(|(byte, _)| *byte != b'\\');
        let positions: Vec<(usize, usize)> = kept.map(|(_, position)| *position).collect();
        for (at, _) in text.match_indices(needle) {
            found(positions[at].0, positions[at + needle.len() - 1].1);
        }
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::json::Json;

    const TOKEN: &str = r#"h"m\at_live/0000\u0041Zb"#;

    /// Writes a text as the content of a JSON string, each character in one of the ways that JSON allows.
    fn spell(text: &str, random: &mut Rng) -> String {
        let way = |c: char| match (random.u8(..3), c) {
            (0, _) => format!("\\u{:04x}", u32::from(c)),
            (1, _) => format!("\\u{:04X}", u32::from(c)),
            (_, '"' | '\\') => format!("\\{c}"),
            (_, '/') if random.bool() => "\\/".to_owned(),
            _ => c.to_string(),
        };
        text.chars().map(way).collect()
    }

    #[test]
    fn the_token_is_hidden_in_every_spelling_and_under_several_layers() {
        let mut random = Rng::with_seed(7);
        for round in 0..400 {
            let mut spelled = TOKEN.to_owned();
            for _ in 0..=round % 4 {
                spelled = spell(&spelled, &mut random);
            }
            let reply = format!(r#"{{"error":"no {spelled}, é\\n","a":["{spelled}","{spelled}{spelled}"]}}"#);
            let printed = Json::parse(&reply).unwrap().to_compact_string();
            let expected = r#"{"error":"no [token], é\\n","a":["[token]","[token][token]"]}"#;
            assert_eq!(redact(printed, TOKEN), expected, "{reply}");
        }
    }

    #[test]
    fn layers_that_are_mixed_hide_nothing() {
        for (printed, token, expected) in [
            (r#"{"a":"x/b\\\"c\\\\\\/"}"#, r#"x/b"c/"#, r#"{"a":"[token]"}"#),
            (r#"{"a":"\\\\u0061bc"}"#, "abc", r#"{"a":"[token]"}"#),
            (r#"{"a":"\\\\\\u0061bc d\\u0065f"}"#, "abc def", r#"{"a":"[token]"}"#),
            // The text before the token may look like the beginning of an escape.
            (r#"{"a":"\\u0041bcd"}"#, "41bcd", r#"{"a":"\\u00[token]"}"#),
            (r#"{"41":41,"b":"é\ud83d"}"#, "41", r#"{"[token]":[token],"b":"é\ud83d"}"#),
            (r#"{"a":"aab"}"#, "aa", r#"{"a":"[token]b"}"#),
            (r#"{"a":"b"}"#, "c", r#"{"a":"b"}"#),
            (r#"{"a":"\\"}"#, r"\", "{}"),
        ] {
            assert_eq!(redact(printed.to_owned(), token), expected, "{token}");
        }
    }

    #[test]
    fn nothing_but_escapes_is_no_burden() {
        for part in [r"\\", r"\\u005c", r#"\""#, r"\\u005cu005c", "x"] {
            let reply = format!("\"{}\"", part.repeat((64 << 10) / part.len()));
            assert_eq!(redact(reply.clone(), "token"), reply);
        }
    }
}
