//! The seam between C and Rust: NULL, text in, results out, and panics. The other files convert, call and convert.
//!
//! Their doc comments are the C manual: `cbindgen` makes `include/hookmyapp.h` of them.

// The names are C's. Each function's promises to C stand in the header, not in a section on safety.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]
// Written for the header, not for rustdoc.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
// Lets every setter be one line.
#![allow(clippy::unit_arg)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

pub mod client;
pub mod config;
pub mod events;
pub mod message;
pub mod response;
pub mod status;
pub mod webhook;

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;

use crate::error::{Error, ErrorKind};
use crate::nul_string::Text;
use crate::response::Response;
use response::hma_response;
use status::{HMA_OK, hma_status};

const PANICKED: &str = concat!(
    "a bug in hookmyapp ",
    env!("CARGO_PKG_VERSION"),
    ": the call panicked, and what Rust says about it stands on standard error; the message may have been delivered"
);

/// Runs what may fail, and turns a panic into an error.
fn guard<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked()))
}

// Cold functions stay out of the many that they are called from.
#[cold]
fn panicked() -> Error {
    Error::new(ErrorKind::Internal, PANICKED)
}

/// A text that C hands in, with the name of the argument.
#[derive(Clone, Copy)]
struct TextIn<'a> {
    name: &'static str,
    text: Option<&'a CStr>,
}

impl<'a> TextIn<'a> {
    /// # Safety
    /// `pointer` is NULL or points to a NUL-terminated text that stays as it is during the call.
    unsafe fn new(name: &'static str, pointer: *const c_char) -> TextIn<'a> {
        // SAFETY: "Strings" in the header: NUL-terminated, and not changed during the call.
        let text = (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) });
        TextIn { name, text }
    }

    /// The text; NULL is a mistake.
    fn required(self) -> Result<&'a str, String> {
        self.optional()?.ok_or_else(|| format!("{}: must not be NULL", self.name))
    }

    /// The text; NULL is none.
    fn optional(self) -> Result<Option<&'a str>, String> {
        let decoded = self.text.map(CStr::to_str).transpose();
        decoded.map_err(|error| format!("{}: not UTF-8 at byte {}", self.name, error.valid_up_to()))
    }

    /// What a stranger sent: NULL is empty, and what is not UTF-8 is shown as U+FFFD.
    fn lossy(self) -> Cow<'a, str> {
        self.text.map(CStr::to_string_lossy).unwrap_or_default()
    }

    fn argument(self) -> Result<&'a str, Error> {
        self.required().map_err(Error::argument)
    }
}

/// Bytes that C hands in; NULL is none if the length is 0.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes that stay as they are during the call.
unsafe fn bytes_in<'a>(name: &str, pointer: *const c_void, length: usize) -> Result<&'a [u8], Error> {
    match length {
        0 => Ok(&[]),
        _ if pointer.is_null() => Err(Error::argument(format!("{name}: must not be NULL with a length of {length}"))),
        _ if length > isize::MAX as usize => Err(Error::argument(format!("{name}: {length} is no length"))),
        // SAFETY: not NULL, and the header asks for as many bytes, not changed during the call.
        _ => Ok(unsafe { slice::from_raw_parts(pointer.cast(), length) }),
    }
}

/// Where C wants an error string.
struct ErrorOut<'a>(Option<&'a mut *mut c_char>);

impl ErrorOut<'_> {
    /// # Safety
    /// `error_out` is NULL or points to a pointer that may be overwritten.
    unsafe fn new<'a>(error_out: *mut *mut c_char) -> ErrorOut<'a> {
        // SAFETY: "Owning" in the header: an *_out argument is NULL or may be written.
        ErrorOut(unsafe { write_null(error_out) })
    }

    fn finish(self, outcome: Result<(), Error>) -> hma_status {
        let Err(error) = outcome else { return HMA_OK };
        if let Some(error_out) = self.0 {
            *error_out = string_out(&error.to_string());
        }
        error.kind() as hma_status
    }
}

/// Where C wants the outcome of a send.
struct SendOut<'a> {
    response: Option<&'a mut *mut hma_response>,
    error: ErrorOut<'a>,
}

impl SendOut<'_> {
    /// # Safety
    /// Each is NULL or points to a pointer that may be overwritten.
    unsafe fn new<'a>(response_out: *mut *mut hma_response, error_out: *mut *mut c_char) -> SendOut<'a> {
        // SAFETY: "Owning" in the header: an *_out argument is NULL or may be written.
        unsafe { SendOut { response: write_null(response_out), error: ErrorOut::new(error_out) } }
    }

    fn finish(self, send: impl FnOnce() -> Result<Response, Error>) -> hma_status {
        self.hand_out(guard(send))
    }

    fn hand_out(self, outcome: Result<Response, Error>) -> hma_status {
        let (response, outcome) = match outcome {
            Ok(response) => (Some(response), Ok(())),
            Err(mut error) => (error.take_response(), Err(error)),
        };
        if let (Some(response_out), Some(response)) = (self.response, response) {
            *response_out = Box::into_raw(Box::new(hma_response(response)));
        }
        self.error.finish(outcome)
    }
}

/// # Safety
/// `out` is NULL or points to a pointer that may be overwritten.
unsafe fn write_null<'a, T>(out: *mut *mut T) -> Option<&'a mut *mut T> {
    if out.is_null() {
        return None;
    }
    // SAFETY: not NULL, and "Owning" in the header lets an *_out argument be overwritten; it may be uninitialised.
    unsafe {
        out.write(ptr::null_mut());
        Some(&mut *out)
    }
}

/// A string that C owns, and gives back to `free_string`.
///
/// C may write over its text, and shorten it. So the length of the allocation stands in the word in front of the text.
fn string_out(text: &str) -> *mut c_char {
    // The last word has the NUL, behind what is left of the text.
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

/// # Safety
/// `string` is NULL, or `string_out` has made it and nobody has freed it.
unsafe fn free_string(string: *mut c_char) {
    if !string.is_null() {
        let words = string.cast::<usize>().wrapping_sub(1);
        // SAFETY: "Owning" in the header: it came out of this library and is freed once. `string_out` has put the length
        // in front, where C has no business.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(words, words.read())) });
    }
}

/// A text that C borrows.
fn text_out(text: Option<&Text>) -> *const c_char {
    text.map_or(ptr::null(), Text::as_ptr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_inside_the_seam_becomes_an_internal_error_with_a_string() {
        let mut error = ptr::null_mut();
        let mut response = ptr::dangling_mut();
        // SAFETY: both are pointers of this test.
        let out = unsafe { SendOut::new(&mut response, &mut error) };
        let status = out.finish(|| panic!("the token is hmat_live_secret"));
        assert_eq!(status, 32);
        assert!(response.is_null());
        // SAFETY: the seam has made it.
        unsafe {
            assert_eq!(CStr::from_ptr(error).to_str(), Ok(PANICKED));
            free_string(error);
        }
        assert_eq!(guard(|| Ok(1)).unwrap(), 1);
    }

    #[test]
    fn a_string_of_any_length_comes_out_whole() {
        for length in 0..3 * WORD {
            let text: String = ('a'..).take(length).collect();
            let string = string_out(&text);
            // SAFETY: `string_out` has made it.
            unsafe {
                assert_eq!(CStr::from_ptr(string).to_str(), Ok(&*text));
                free_string(string);
            }
        }
    }
}
