//! `text_parts`: splits a long text into parts that each fit one message.

use std::iter::FusedIterator;

/// The most bytes of UTF-8 that a text message may have (Meta's limit).
const MAX_PART: usize = 1000;
/// How many characters a split may move back to keep characters together that are displayed as one.
const MAX_STEPS_BACK: usize = 32;
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Splits a text into parts that each fit one message: 1 to 1000 bytes of UTF-8.
///
/// Nothing is lost: the concatenated parts are the text. A part ends after an empty line, else after a line break, else
/// after a space, if there is one in its second half. Otherwise it ends between two characters, but not inside an emoji
/// of several characters, inside a flag, or before an accent. In scripts without spaces (Chinese, Japanese, Thai) a
/// word may be split.
///
/// This function sends nothing. Each part needs its own send, with its own outcome. Stop at the first part that is not
/// accepted, and continue from there later.
///
/// ```
/// let text = "word ".repeat(500);
/// let lengths: Vec<usize> = hookmyapp::text_parts(&text).map(str::len).collect();
/// assert_eq!(lengths, [1000, 1000, 500]);
/// ```
pub fn text_parts(text: &str) -> TextParts<'_> {
    TextParts(text)
}

/// The parts of a text, in order; see [`text_parts`].
#[derive(Clone, Debug)]
pub struct TextParts<'a>(&'a str);

impl<'a> Iterator for TextParts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (part, rest) = self.0.split_at(part_length(self.0));
        self.0 = rest;
        (!part.is_empty()).then_some(part)
    }
}

impl FusedIterator for TextParts<'_> {}

/// Returns the length of the first part in bytes: 1 to 1000, or 0 for an empty text.
pub(crate) fn part_length(text: &str) -> usize {
    if text.len() <= MAX_PART {
        return text.len();
    }
    let longest = (0..=MAX_PART).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(MAX_PART);
    let window = &text[..longest];
    let in_second_half = |end: &usize| *end > longest / 2;
    let after = |pattern: &str| window.rfind(pattern).map(|at| at + pattern.len()).filter(in_second_half);
    let after_space = || {
        let spaces = window.char_indices().rev().filter(|(_, character)| is_breaking_space(*character));
        let mut ends = spaces.map(|(at, space)| at + space.len_utf8());
        ends.find(|end| !is_joined(text, *end)).filter(in_second_half)
    };
    after("\n\n").or_else(|| after("\n")).or_else(after_space).unwrap_or_else(|| between_characters(text, longest))
}

/// Returns whether a line may break at this space. No-break spaces keep the words around them together.
fn is_breaking_space(character: char) -> bool {
    character.is_whitespace() && !matches!(character, '\u{A0}' | '\u{2007}' | '\u{202F}')
}

/// Returns the last position at or before `longest` that does not split a displayed character, within a few steps.
fn between_characters(text: &str, longest: usize) -> usize {
    let ends = text[..longest].char_indices().rev().map(|(start, _)| start);
    let mut places = std::iter::once(longest).chain(ends).take(MAX_STEPS_BACK + 1).filter(|at| *at > 0);
    places.find(|at| !is_joined(text, *at)).unwrap_or(longest)
}

/// Returns whether the characters on both sides of this position are displayed as one.
fn is_joined(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let flag_letters = || before.chars().rev().take_while(|character| is_flag_letter(*character)).count();
    match last {
        '\r' => first == '\n',
        '\n' => false,
        ZERO_WIDTH_JOINER => true,
        _ => is_mark(first) || is_flag_letter(first) && flag_letters() % 2 == 1,
    }
}

fn is_flag_letter(character: char) -> bool {
    matches!(character, '\u{1F1E6}'..='\u{1F1FF}')
}

/// Returns whether a character is displayed on the one before it: accents, vowel signs, joiners, variation selectors,
/// skin tones and tags. The list contains the most common blocks of Unicode 16; a mark of a rarer script may begin a
/// part.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5BD}' | '\u{5BF}' | '\u{5C1}' | '\u{5C2}'
        | '\u{5C4}' | '\u{5C5}' | '\u{5C7}' | '\u{610}'..='\u{61A}' | '\u{64B}'..='\u{65F}' | '\u{E31}'
        | '\u{E34}'..='\u{E3A}' | '\u{E47}'..='\u{E4E}' | '\u{EB1}' | '\u{EB4}'..='\u{EBC}' | '\u{EC8}'..='\u{ECE}'
        | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{200C}' | ZERO_WIDTH_JOINER
        | '\u{20D0}'..='\u{20FF}' | '\u{302A}'..='\u{302F}' | '\u{3099}' | '\u{309A}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FE20}'..='\u{FE2F}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}'
        | '\u{E0100}'..='\u{E01EF}')
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    fn lengths(text: &str) -> Vec<usize> {
        text_parts(text).map(str::len).collect()
    }

    #[test]
    fn short_texts_are_one_part_and_an_empty_one_has_none() {
        assert_eq!(lengths(""), [0; 0]);
        assert_eq!(lengths("a"), [1]);
        assert_eq!(lengths(&"a".repeat(1000)), [1000]);
        assert_eq!(lengths(&"a".repeat(1001)), [1000, 1]);
    }

    #[test]
    fn paragraphs_come_before_lines_and_lines_before_words() {
        let (words, more) = ("word ".repeat(120), "x".repeat(600));
        assert_eq!(lengths(&format!("{words}\n\n{words}\n{more}")), [602, 601, 600]);
        assert_eq!(lengths(&format!("{words}\nword {more}{more}")), [601, 1000, 205]);
        assert_eq!(lengths(&"word ".repeat(500)), [1000, 1000, 500]);
        assert_eq!(lengths(&format!("a \n{}", "x".repeat(1200))), [1000, 203], "a break in the first half counts less");
    }

    #[test]
    fn spaces_that_keep_words_together_are_no_place_to_cut() {
        let text = "word\u{A0}".repeat(200);
        assert_eq!(lengths(&text), [1000, 200], "cut between two letters");
        assert_eq!(lengths(&format!("{} {}", "a\u{2007}".repeat(200), "b\u{202F}".repeat(200))), [801, 800]);
    }

    #[test]
    fn characters_of_several_bytes_stay_whole() {
        assert_eq!(lengths(&"\u{6F22}".repeat(700)), [999, 999, 102]);
    }

    #[test]
    fn what_is_drawn_as_one_stays_together() {
        for one in [
            "e\u{301}",
            "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            "\u{1F1E9}\u{1F1EA}",
            "\u{1F44D}\u{1F3FD}",
            "1\u{FE0F}\u{20E3}",
        ] {
            let text = format!("{}{}", "x".repeat(997), one.repeat(40));
            for part in text_parts(&text) {
                let rest = part.trim_start_matches('x');
                assert_eq!(rest.len() % one.len(), 0, "{one:?} is cut");
            }
        }
    }

    #[test]
    fn a_character_with_marks_without_end_is_cut_all_the_same() {
        let text = format!("e{}", "\u{301}".repeat(5000));
        let parts: Vec<&str> = text_parts(&text).collect();
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| (1..=1000).contains(&part.len())));
    }

    #[test]
    fn random_texts_lose_nothing_and_are_cut_between_characters() {
        const LETTERS: [&str; 16] = [
            "a",
            " ",
            "\n",
            "\r\n",
            "\n\n",
            "é",
            "e\u{301}",
            "漢",
            "\u{E01}\u{E31}",
            "\u{1F1E9}",
            "\u{1F469}",
            "\u{200D}",
            "\u{1F3FD}",
            "\u{FE0F}",
            "\u{A0}",
            "word ",
        ];
        for seed in 0..2000 {
            let mut random = Rng::with_seed(seed);
            let choices: Vec<&str> = (0..random.usize(1..5)).map(|_| random.choice(LETTERS).unwrap()).collect();
            let text: String = (0..random.usize(0..1500)).map(|_| *random.choice(&choices).unwrap()).collect();
            let parts: Vec<&str> = text_parts(&text).collect();
            assert_eq!(parts.concat(), text, "seed {seed}");
            let mut end = 0;
            for part in &parts {
                assert!((1..=MAX_PART).contains(&part.len()), "seed {seed}: {}", part.len());
                end += part.len();
                let steps_back = text[..end].char_indices().rev().take(MAX_STEPS_BACK).map(|(at, _)| at);
                let has_better = || steps_back.filter(|at| *at > end - part.len()).any(|at| !is_joined(&text, at));
                assert!(end == text.len() || !is_joined(&text, end) || !has_better(), "seed {seed}, byte {end}");
            }
        }
    }
}
