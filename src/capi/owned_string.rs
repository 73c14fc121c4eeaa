//! Allocates and frees the strings that C owns.

use std::ffi::c_char;
use std::ptr;

/// Copies a text to a string that C owns until it calls `free_string`.
///
/// C may overwrite and shorten the text. So the word before the text contains the length of the allocation.
pub(super) fn new_string(text: &str) -> *mut c_char {
    // The last word contains the NUL, after the rest of the text.
    let length = 1 + text.len() / WORD + 1;
    let mut words = Vec::with_capacity(length);
    words.push(length);
    words.extend(text.as_bytes().chunks(WORD).map(|bytes| {
        let mut word = [0; WORD];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        usize::from_ne_bytes(word)
    }));
    words.resize(length, 0);
    Box::into_raw(words.into_boxed_slice()).cast::<usize>().wrapping_add(1).cast()
}

const WORD: usize = size_of::<usize>();

/// `string` is NULL, or `new_string` returned it and it has not been freed.
pub(super) unsafe fn free_string(string: *mut c_char) {
    if !string.is_null() {
        let words = string.cast::<usize>().wrapping_sub(1);
        // SAFETY: "Memory" in the header: the string is from this library and is freed once. `new_string` wrote the
        // length before it, where C must not write.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(words, words.read())) });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn a_string_of_any_length_comes_out_whole() {
        for length in 0..3 * WORD {
            let text: String = ('a'..).take(length).collect();
            let string = new_string(&text);
            // SAFETY: `new_string` has made it.
            unsafe {
                assert_eq!(CStr::from_ptr(string).to_str(), Ok(&*text));
                free_string(string);
            }
        }
    }
}
