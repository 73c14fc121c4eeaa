//! Reading JSON without building a tree: `serde_json` decides what is JSON, then the text itself is walked.
//!
//! A tree would lose the digits of long numbers and the order of members.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One value inside a text that is known to be JSON, without blanks around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Json<'a>(&'a str);

/// What is missing is null.
impl Default for Json<'_> {
    fn default() -> Self {
        Json("null")
    }
}

impl<'a> Json<'a> {
    /// Takes a text that is JSON as a whole; the error names line and column. Nesting beyond 128 levels is refused.
    pub(crate) fn parse(text: &'a str) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_str::<Anything>(text).map(|_| Json(text.trim_matches(BLANKS)))
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

    /// The value as it came, without blanks around it.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    /// The member of an object; the last one where a name comes twice. `None` in anything but an object.
    pub(crate) fn get(self, name: &str) -> Option<Json<'a>> {
        self.members().filter(|(key, _)| key.is_text(name)).last().map(|(_, value)| value)
    }

    /// Several members of an object in one walk; of each the last one where a name comes twice.
    pub(crate) fn get_all<const N: usize>(self, names: [&str; N]) -> [Option<Json<'a>>; N] {
        let mut found = [None; N];
        self.find(&names, &mut found);
        found
    }

    fn find(self, names: &[&str], found: &mut [Option<Json<'a>>]) {
        for (key, value) in self.members() {
            let key = key.text().unwrap_or_default();
            if let Some((_, place)) = names.iter().zip(&mut *found).find(|(name, _)| **name == key) {
                *place = Some(value);
            }
        }
    }

    /// The names and values of an object; nothing for any other value.
    pub(crate) fn members(self) -> impl Iterator<Item = (Json<'a>, Json<'a>)> {
        let mut rest = if self.is_object() { self.inside() } else { "" };
        std::iter::from_fn(move || {
            let name = take_value(&mut rest)?;
            Some((name, take_value(&mut rest)?))
        })
    }

    /// The items of an array; nothing for any other value.
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut rest = if self.0.starts_with('[') { self.inside() } else { "" };
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// The text of a string.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if memchr(b'\\', inner.as_bytes()).is_some() {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }

    /// The text of a string, or the digits of a number exactly as they came.
    pub(crate) fn text_or_number(self) -> Option<Cow<'a, str>> {
        let is_number = self.0.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number { Some(Cow::Borrowed(self.0)) } else { self.text() }
    }

    /// An integer, or a string of digits, that fits 32 bits.
    pub(crate) fn integer(self) -> Option<i32> {
        match self.text() {
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
            None => self.0.parse().ok(),
        }
    }

    /// Any number, as near as a double comes.
    pub(crate) fn number(self) -> Option<f64> {
        serde_json::from_str(self.0).ok()
    }

    /// The value on one line: no blanks outside strings, strings escaped as `JSON.stringify` escapes them,
    /// members, their order and numbers as they came.
    pub(crate) fn print(self) -> String {
        let mut out = Vec::with_capacity(self.0.len());
        let mut rest = self.0;
        while let Some(first) = rest.chars().next() {
            if first == '"' {
                let (string, behind) = rest.split_at(string_length(rest));
                write_text(&Json(string).text().unwrap_or_default(), &mut out);
                rest = behind;
            } else {
                // Outside strings, JSON is ASCII.
                if !BLANKS.contains(&first) {
                    out.push(first as u8);
                }
                rest = &rest[first.len_utf8()..];
            }
        }
        String::from_utf8(out).unwrap_or_default()
    }

    fn is_text(self, wanted: &str) -> bool {
        self.text().is_some_and(|text| text == wanted)
    }

    fn inside(self) -> &'a str {
        &self.0[1..self.0.len() - 1]
    }
}

/// What JSON calls white space.
const BLANKS: &[char] = &[' ', '\t', '\n', '\r'];

/// Appends a text as a JSON string, escaped as `JSON.stringify` escapes it.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Without a branch for each byte, a whole register of them is looked at in one go.
    let stands_as_it_is =
        text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if stands_as_it_is {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// Takes the next value off a list of values with commas, colons and blanks between them.
fn take_value<'a>(rest: &mut &'a str) -> Option<Json<'a>> {
    let start = rest.bytes().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':'))?;
    let text = &rest[start..];
    let (value, behind) = text.split_at(value_length(text));
    *rest = behind;
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

/// The length of the string literal at the front, with both quotes.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(inside) = memchr(b'"', &bytes[at..]) {
        let quote = at + inside;
        let backslashes = bytes[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        // An odd number of them escapes the quote.
        if backslashes % 2 == 0 {
            return quote + 1;
        }
        at = quote + 1;
    }
    text.len()
}

/// Reads any JSON value and keeps nothing, so that only the limits of `serde_json` decide.
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Anything, D::Error> {
        deserializer.deserialize_any(AnythingVisitor)
    }
}

struct AnythingVisitor;

impl<'de> Visitor<'de> for AnythingVisitor {
    type Value = Anything;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_str<E>(self, _: &str) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_unit<E>(self) -> Result<Anything, E> {
        Ok(Anything)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Anything, A::Error> {
        while items.next_element::<Anything>()?.is_some() {}
        Ok(Anything)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Anything, A::Error> {
        while members.next_entry::<Anything, Anything>()?.is_some() {}
        Ok(Anything)
    }
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
            Json::parse(SAMPLE).unwrap().print(),
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
    fn what_serde_json_refuses_is_no_json() {
        let deep = "[".repeat(128) + &"]".repeat(128);
        for text in ["", "{", "{\"a\":1,}", "01", "\"\\ud800\"", "1e999", "nul", "1 2", &deep] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
        let error = Json::parse("{\n  \"a\" 1}").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 7));
    }
}
