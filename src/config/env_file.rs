//! Parses `KEY=value` lines like Node's `dotenv`, with two differences that preserve parts of a value.

/// The assignments of an env file, in file order.
pub(crate) struct EnvFile(Vec<(String, String)>);

impl EnvFile {
    /// Parses the text of a file. Never fails: lines that are not assignments are ignored, as in `dotenv`.
    pub(crate) fn parse(text: &str) -> EnvFile {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
        let mut assignments = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if let Some((name, after_name)) = take_name(rest) {
                let (value, after_value) = take_value(after_name);
                assignments.push((name.to_owned(), value));
                rest = after_value;
            }
            rest = rest.split_once('\n').map_or("", |(_, next)| next);
        }
        EnvFile(assignments)
    }

    /// Returns the value of a name. The last assignment counts.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// Splits `  export NAME = ` off the start of a line. Returns the name and the rest.
fn take_name(text: &str) -> Option<(&str, &str)> {
    let text = skip_spaces(text);
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => skip_spaces(after),
        _ => text,
    };
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let after = skip_spaces(after).strip_prefix('=').or_else(|| after.strip_prefix(": "))?;
    (!name.is_empty()).then_some((name, skip_spaces(after)))
}

/// Splits the value off the start. Returns the value and the rest.
fn take_value(text: &str) -> (String, &str) {
    let (value, rest) = take_quoted(text).unwrap_or_else(|| {
        let (line, _) = text.split_once('\n').unwrap_or((text, ""));
        (strip_comment(line).trim(), &text[line.len()..])
    });
    (unquote(value), rest)
}

/// Splits a quoted value off the start. It may span lines. A quote after a backslash ends it only if no other quote
/// does. A quote that is never closed is an ordinary character.
fn take_quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| QUOTES.contains(c))?;
    let mut ends = Vec::new();
    for (at, _) in text.match_indices(quote).skip(1) {
        ends.push(at + 1);
        if !text[..at].ends_with('\\') {
            break;
        }
    }
    ends.into_iter().rev().map(|end| text.split_at(end)).find(|(_, rest)| {
        let after = skip_spaces(rest);
        after.is_empty() || after.starts_with(['\n', '#'])
    })
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Removes the quotes around a value. After a double quote, `\n` and `\r` become line breaks.
fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|c| QUOTES.contains(c));
    let inner = quote.and_then(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value);
    if quote == Some('"') { inner.replace("\\n", "\n").replace("\\r", "\r") } else { inner.to_owned() }
}

/// Removes a comment. It begins with a `#` at the start or after a space, so that a `#` inside a value is kept.
fn strip_comment(line: &str) -> &str {
    let comment = line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<String> {
        EnvFile::parse(text).get("KEY")
    }

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        for (text, expected) in [
            ("KEY=plain", "plain"),
            ("  KEY = spaced out  ", "spaced out"),
            ("export KEY=exported", "exported"),
            ("export\tKEY=exported", "exported"),
            ("KEY: yaml style", "yaml style"),
            ("KEY=a b c # comment", "a b c"),
            ("KEY=#only a comment", ""),
            ("KEY=", ""),
            ("KEY='single # quoted' # comment", "single # quoted"),
            ("KEY=\"double\\nquoted\"", "double\nquoted"),
            ("KEY='single\\nquoted'", "single\\nquoted"),
            ("KEY=`back \"tick\"`", "back \"tick\""),
            ("KEY=\"two\nlines\"", "two\nlines"),
            ("KEY=\"it \\\" stays\"", "it \\\" stays"),
            ("KEY=\"ends with a backslash\\\"", "ends with a backslash\\"),
            ("KEY=\"two of them\\\\\" # comment", "two of them\\\\"),
            ("KEY='\\'", "\\"),
            ("KEY=\"a\\\" b\" c", "\"a\\\" b\" c"),
            ("KEY=\"a\\\" b", "\"a\\\" b"),
            ("KEY=\"a\" and \"b\"", "a\" and \"b"),
            ("KEY=\"open\\nto the end", "\"open\nto the end"),
            ("KEY=\"unclosed", "\"unclosed"),
            ("KEY=\"", "\""),
            ("KEY='a' b", "'a' b"),
            ("KEY=$HOME/${USER}", "$HOME/${USER}"),
            ("KEY=one=two=", "one=two="),
            ("KEY=it's", "it's"),
            ("KEY=$(id)", "$(id)"),
            ("KEY=one\r\nOTHER=x\r\n", "one"),
            ("KEY=one\rOTHER=x", "one"),
            ("\u{FEFF}KEY=after a mark", "after a mark"),
            ("KEY=first\nKEY=last", "last"),
            ("exportKEY=x\nKEY=y", "y"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_hash_inside_a_value_and_the_line_of_the_name_are_kept_where_dotenv_goes_on() {
        for (text, expected) in [
            ("KEY=a#b", "a#b"),
            ("KEY=a#b # comment", "a#b"),
            ("KEY='a'#b", "a"),
            ("KEY='a' b#'c", "'a' b#'c"),
            ("KEY=\n'next line'", ""),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_no_assignment_or_belong_to_others_are_passed_over() {
        let text = "# KEY=comment\n\nnonsense\n=x\nPRIVATE=\"---\nKEY=inside\n---\"\n KEY=mine\nTAIL='open\n";
        assert_eq!(value(text).as_deref(), Some("mine"));
        assert_eq!(value("#KEY=x\nKEYS=1\n"), None);
        assert_eq!(value(""), None);
    }
}
