//! Reads JSON without building a tree: `serde_json` validates the text, then the text itself is walked.
//!
//! A tree would lose the digits of long numbers and the order of members. It would also reject input that JavaScript
//! accepts: half of a surrogate pair, a number beyond a double, deep nesting. Nothing here recurses.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use memchr::memchr;
use serde_core::de::IgnoredAny;

/// One value inside a text that is valid JSON, without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Json<'a>(&'a str);

/// A missing value is null.
impl Default for Json<'_> {
    fn default() -> Self {
        Json("null")
    }
}

impl<'a> Json<'a> {
    /// Parses a text that is one JSON value, nested to any depth. The error names line and column.
    pub(crate) fn parse(text: &'a str) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_str::<IgnoredAny>(text).map(|_| Json(text.trim_matches(WHITESPACE)))
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(crate) fn is_false(self) -> bool {
        self.0 == "false"
    }

    pub(crate) fn is_true(self) -> bool {
        self.0 == "true"
    }

    /// Returns the unmodified text of the value, without surrounding white space.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    /// Returns a member of an object, the last one of that name. Returns `None` for any other value.
    pub(crate) fn get(self, name: &str) -> Option<Json<'a>> {
        self.members().filter(|(key, _)| key.is_text(name)).last().map(|(_, value)| value)
    }

    /// Returns several members of an object in one pass, each the last one of its name.
    pub(crate) fn get_all<const N: usize>(self, names: [&str; N]) -> [Option<Json<'a>>; N] {
        let mut found = [None; N];
        self.find(&names, &mut found);
        found
    }

    fn find(self, names: &[&str], found: &mut [Option<Json<'a>>]) {
        for (key, value) in self.members() {
            let key = key.text().unwrap_or_default();
            if let Some((_, slot)) = names.iter().zip(&mut *found).find(|(name, _)| **name == key) {
                *slot = Some(value);
            }
        }
    }

    /// Iterates over the names and values of an object. Empty for any other value.
    pub(crate) fn members(self) -> impl Iterator<Item = (Json<'a>, Json<'a>)> {
        let mut rest = if self.is_object() { self.inside() } else { "" };
        std::iter::from_fn(move || {
            let name = take_value(&mut rest)?;
            Some((name, take_value(&mut rest)?))
        })
    }

    /// Iterates over the items of an array. Empty for any other value.
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut rest = if self.0.starts_with('[') { self.inside() } else { "" };
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// Returns the text of a string. Half of a surrogate pair becomes U+FFFD.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if memchr(b'\\', inner.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inner));
        }
        let mut text = String::with_capacity(inner.len());
        replace_escapes(inner, &mut text, |unescaped, text| {
            text.push(unescaped.unwrap_or(char::REPLACEMENT_CHARACTER))
        });
        Some(Cow::Owned(text))
    }

    /// Returns the text of a string, or the unmodified digits of a number.
    pub(crate) fn text_or_number(self) -> Option<Cow<'a, str>> {
        let is_number = self.0.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number { Some(Cow::Borrowed(self.0)) } else { self.text() }
    }

    /// Returns an integer, or a string of digits, that fits 32 bits.
    pub(crate) fn integer(self) -> Option<i32> {
        match self.text() {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
            None => self.0.parse().ok(),
        }
    }

    /// Returns the nearest double to a number, or `None` beyond its range.
    pub(crate) fn number(self) -> Option<f64> {
        serde_json::from_str(self.0).ok()
    }

    /// Returns the value on one line: no white space outside strings, strings escaped as in `JSON.stringify`. Members,
    /// their order and numbers are unmodified.
    pub(crate) fn to_compact_string(self) -> String {
        let mut out = String::with_capacity(self.0.len());
        let mut rest = self.0;
        while let Some(first) = rest.chars().next() {
            let length = if first == '"' { string_length(rest) } else { first.len_utf8() };
            let (part, after) = rest.split_at(length);
            if first == '"' {
                replace_escapes(part, &mut out, write_escape);
            } else if !WHITESPACE.contains(&first) {
                out.push(first);
            }
            rest = after;
        }
        out
    }

    fn is_text(self, expected: &str) -> bool {
        self.text().is_some_and(|text| text == expected)
    }

    fn inside(self) -> &'a str {
        &self.0[1..self.0.len() - 1]
    }
}

/// White space as defined by JSON.
const WHITESPACE: &[char] = &[' ', '\t', '\n', '\r'];

/// Appends a text as a JSON string, escaped as in `JSON.stringify`.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Without a branch per byte, the compiler checks a whole register at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// The meaning of an escape: a character, or half of a surrogate pair without the other half. A JavaScript string may
/// contain such a half, UTF-8 may not.
type Unescaped = Result<char, u16>;

/// Iterates over the escapes in a JSON text: their ranges and their meanings.
pub(crate) fn escapes(text: &str) -> impl Iterator<Item = (Range<usize>, Unescaped)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + memchr(b'\\', &text.as_bytes()[at..])?;
        let (unescaped, length) = read_escape(&text[start..]);
        at = start + length;
        Some((start..at, unescaped))
    })
}

/// Reads the escape at the start; a surrogate pair is two of them. An unknown escape means its own character.
fn read_escape(text: &str) -> (Unescaped, usize) {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 6)?.strip_prefix("\\u")?, 16).ok();
    match char::decode_utf16([0, 6].into_iter().map_while(unit)).next() {
        Some(Ok(character)) => (Ok(character), 6 * character.len_utf16()),
        Some(Err(surrogate)) => (Err(surrogate.unpaired_surrogate()), 6),
        None => match text.chars().nth(1) {
            Some('b') => (Ok('\u{8}'), 2),
            Some('f') => (Ok('\u{C}'), 2),
            Some('n') => (Ok('\n'), 2),
            Some('r') => (Ok('\r'), 2),
            Some('t') => (Ok('\t'), 2),
            Some(other) => (Ok(other), 1 + other.len_utf8()),
            None => (Ok('\\'), 1),
        },
    }
}

/// Appends a text to `out`, with each escape replaced.
fn replace_escapes(text: &str, out: &mut String, replace: impl Fn(Unescaped, &mut String)) {
    let mut done = 0;
    for (range, unescaped) in escapes(text) {
        out.push_str(&text[done..range.start]);
        replace(unescaped, out);
        done = range.end;
    }
    out.push_str(&text[done..]);
}

/// Appends the form that `JSON.stringify` writes.
fn write_escape(unescaped: Unescaped, out: &mut String) {
    // Writing to memory cannot fail.
    let _ = match unescaped {
        Ok('"') => out.write_str("\\\""),
        Ok('\\') => out.write_str("\\\\"),
        Ok('\u{8}') => out.write_str("\\b"),
        Ok('\u{C}') => out.write_str("\\f"),
        Ok('\n') => out.write_str("\\n"),
        Ok('\r') => out.write_str("\\r"),
        Ok('\t') => out.write_str("\\t"),
        Ok(control @ '\0'..' ') => write!(out, "\\u{:04x}", u32::from(control)),
        Ok(character) => out.write_char(character),
        Err(surrogate) => write!(out, "\\u{surrogate:04x}"),
    };
}

/// Takes the next value from a list of values that are separated by commas, colons and white space.
fn take_value<'a>(rest: &mut &'a str) -> Option<Json<'a>> {
    let start = rest.bytes().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':'))?;
    let text = &rest[start..];
    let (value, after) = text.split_at(value_length(text));
    *rest = after;
    Some(Json(value))
}

fn value_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'"' => string_length(text),
        b'{' | b'[' => {
            let (mut at, mut depth) = (0, 0);
            while at < bytes.len() {
                match bytes[at] {
                    b'"' => at += string_length(&text[at..]) - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            at
        }
        _ => text.find([',', ':', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(text.len()),
    }
}

/// Returns the length of the string literal at the start, including both quotes.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(inside) = memchr(b'"', &bytes[at..]) {
        let quote = at + inside;
        let backslashes = bytes[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        // An odd number of backslashes escapes the quote.
        if backslashes % 2 == 0 {
            return quote + 1;
        }
        at = quote + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#" { "id" : 123456789012345678901234567890, "a\u0062" : [ 1.0 , "x,\"]}", {"k":[]} , null],
        "id2":"m_\/x", "empty":{}, "twice":1, "twice":2 } "#;

    #[test]
    fn values_are_found_by_walking_the_text() {
        let json = Json::parse(SAMPLE).unwrap();
        assert_eq!(json.get("id").unwrap().text_or_number().unwrap(), "123456789012345678901234567890");
        assert_eq!(json.get("id2").unwrap().text().unwrap(), "m_/x");
        assert_eq!(json.get("twice").unwrap().integer(), Some(2));
        assert!(json.get("none").is_none());
        let items: Vec<_> = json.get("ab").unwrap().items().collect();
        assert_eq!(items.len(), 4);
        assert_eq!(items[0].number(), Some(1.0));
        assert_eq!(items[1].text().unwrap(), "x,\"]}");
        assert!(items[2].get("k").unwrap().items().next().is_none());
        assert!(items[3].is_null());
        assert_eq!(json.members().count(), 6);
        assert!(json.get("empty").unwrap().members().next().is_none());
        assert!(Json::parse("[1]").unwrap().get("id").is_none());
    }

    #[test]
    fn several_members_are_found_in_one_walk() {
        let json = Json::parse(SAMPLE).unwrap();
        let [twice, none, ab] = json.get_all(["twice", "none", "ab"]);
        assert_eq!(twice.unwrap().raw(), "2");
        assert!(none.is_none());
        assert_eq!(ab, json.get("ab"));
        assert_eq!(Json::parse("[{\"id\":1}]").unwrap().get_all(["id"]), [None]);
        assert!(Json::parse(" true ").unwrap().is_true());
        assert!(Json::default().is_null());
    }

    #[test]
    fn a_value_is_printed_on_one_line_with_its_order_and_numbers() {
        assert_eq!(
            Json::parse(SAMPLE).unwrap().to_compact_string(),
            r#"{"id":123456789012345678901234567890,"ab":[1.0,"x,\"]}",{"k":[]},null],"id2":"m_/x","empty":{},"twice":1,"twice":2}"#
        );
    }

    #[test]
    fn integers_are_numbers_or_strings_of_digits_that_fit_32_bits() {
        for (text, expected) in [
            ("10", Some(10)),
            ("-1", Some(-1)),
            ("\"10\"", Some(10)),
            ("\"-1\"", None),
            ("\"+1\"", None),
            ("\"\"", None),
            ("10.0", None),
            ("99999999999", None),
            ("\"99999999999\"", None),
            ("null", None),
        ] {
            assert_eq!(Json::parse(text).unwrap().integer(), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_read_and_printed_as_javascript_does_halves_of_surrogate_pairs_included() {
        for (text, read, printed) in [
            (r#""\ud800""#, "\u{FFFD}", r#""\ud800""#),
            (r#""a\uDFFFb""#, "a\u{FFFD}b", r#""a\udfffb""#),
            (r#""\uD83D\ude00""#, "\u{1F600}", "\"\u{1F600}\""),
            (r#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}", r#""\ude00\ud83d""#),
            (r#""\ud83d\ud83d\ude00\n""#, "\u{FFFD}\u{1F600}\n", "\"\\ud83d\u{1F600}\\n\""),
            (r#""\\ud800 \"\ud800""#, "\\ud800 \"\u{FFFD}", r#""\\ud800 \"\ud800""#),
            (r#""\ud800\u0041\ud800""#, "\u{FFFD}A\u{FFFD}", r#""\ud800A\ud800""#),
            (r#""é\udbff€""#, "é\u{FFFD}€", r#""é\udbff€""#),
            (r#""\b\f\n\r\t\/\"\\""#, "\u{8}\u{C}\n\r\t/\"\\", r#""\b\f\n\r\t/\"\\""#),
            (r#""\u0008\u000A\u001B\u0022\u005c\u002F""#, "\u{8}\n\u{1B}\"\\/", r#""\b\n\u001b\"\\/""#),
            (
                r#""\u0000\u007F\u0085\u2028\uFFFD""#,
                "\0\u{7F}\u{85}\u{2028}\u{FFFD}",
                "\"\\u0000\u{7F}\u{85}\u{2028}\u{FFFD}\"",
            ),
            ("\"\"", "", "\"\""),
        ] {
            let json = Json::parse(text).unwrap();
            assert_eq!(json.text().unwrap(), read, "{text}");
            assert_eq!(json.to_compact_string(), printed, "{text}");
        }
        let json = Json::parse(r#"{"\uD800k" : 1, "code":1e999,"x":"\uDC00"}"#).unwrap();
        assert_eq!(json.get("\u{FFFD}k").unwrap().integer(), Some(1));
        assert_eq!(json.to_compact_string(), r#"{"\ud800k":1,"code":1e999,"x":"\udc00"}"#);
        // No JSON, and yet no panic.
        assert_eq!(escapes(r"\é\u12\u+123\").map(|(range, _)| range.end).collect::<Vec<_>>(), [3, 5, 13, 14]);
    }

    #[test]
    fn a_number_beyond_a_double_is_json_and_no_number() {
        for text in ["1e999", "-1e400", "1e-999", "123456789012345678901234567890e123456789"] {
            let json = Json::parse(text).unwrap();
            assert_eq!((json.integer(), json.to_compact_string().as_str()), (None, text));
            assert_eq!(json.text_or_number().unwrap(), text);
        }
        assert_eq!(Json::parse("1e999").unwrap().number(), None);
        assert_eq!(Json::parse("1e-999").unwrap().number(), Some(0.0));
    }

    #[test]
    fn nesting_needs_no_stack() {
        let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
        let check = move || {
            for (text, is_object) in
                [(deep("[", "]"), false), (deep("{\"a\":", "}"), true), (deep("[{\"a\":", "}]"), false)]
            {
                let json = Json::parse(&text).unwrap();
                assert_eq!(json.is_object(), is_object);
                assert_eq!(json.to_compact_string(), text);
                assert!(json.get("a").is_some() == is_object && json.items().count() <= 1);
            }
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn what_serde_json_refuses_is_no_json() {
        for text in ["", "{", "{\"a\":1,}", "01", "\"\\ud80\"", "\"\\x\"", "\"\t\"", "1e", "-", "nul", "1 2", "[1}"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        let error = Json::parse("{\n  \"a\" 1}").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 7));
    }
}
