//! A text that Rust and C share: UTF-8 that ends with a NUL and contains no other.

use std::fmt;

use memchr::memchr;

/// Stores a trailing NUL, so that a C caller can borrow the same memory.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NulString(String);

impl NulString {
    /// Copies a text. U+FFFD replaces each NUL inside, which C would read as the end.
    pub(crate) fn new(text: impl AsRef<str>) -> NulString {
        let text = text.as_ref();
        let mut owned = String::with_capacity(text.len() + 1);
        if memchr(0, text.as_bytes()).is_some() {
            owned.push_str(&text.replace('\0', "\u{FFFD}"));
        } else {
            owned.push_str(text);
        }
        owned.push('\0');
        NulString(owned)
    }

    /// The pointer is valid as long as this text.
    #[cfg(feature = "capi")]
    pub(crate) fn as_ptr(&self) -> *const std::ffi::c_char {
        self.0.as_ptr().cast()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }
}

impl fmt::Debug for NulString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_inside_is_shown_as_the_replacement_character() {
        assert_eq!(NulString::new("a\0b").as_str(), "a\u{FFFD}b");
        assert_eq!(NulString::new("").as_str(), "");
    }
}
