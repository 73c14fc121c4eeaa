//! Converts between C and Rust: NULL, texts, results and panics.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::str::Utf8Error;

use super::owned_string::new_string;
use super::status::{HMA_OK, hma_status};
use crate::error::{Error, ErrorKind};
use crate::nul_string::NulString;

pub(super) const PANIC_MESSAGE: &str = concat!(
    "a bug in hookmyapp ",
    env!("CARGO_PKG_VERSION"),
    ": the call panicked, and standard error contains the message of the panic; the message may have been delivered"
);

/// Runs a call that may fail, and converts a panic to an error.
pub(super) fn catch_panic<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(internal_error()))
}

// Cold, so that it is not inlined into its many callers.
#[cold]
fn internal_error() -> Error {
    Error::new(ErrorKind::Internal, PANIC_MESSAGE)
}

/// A text argument from C, with the name of the argument.
#[derive(Clone, Copy)]
pub(super) struct StrArg<'a> {
    name: &'static str,
    text: Option<&'a CStr>,
}

impl<'a> StrArg<'a> {
    /// # Safety
    /// `pointer` is NULL or points to a NUL-terminated text that does not change during the call.
    pub(super) unsafe fn new(name: &'static str, pointer: *const c_char) -> StrArg<'a> {
        // SAFETY: "Strings" in the header: NUL-terminated, and not changed during the call.
        let text = (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) });
        StrArg { name, text }
    }

    /// Returns the text. NULL is an error.
    pub(super) fn required(self) -> Result<&'a str, String> {
        self.optional()?.ok_or_else(|| format!("{}: must not be NULL", self.name))
    }

    /// Returns the text, or `None` for NULL.
    pub(super) fn optional(self) -> Result<Option<&'a str>, String> {
        let decoded = self.text.map(CStr::to_str).transpose();
        decoded.map_err(|error| not_utf8(self.name, error))
    }

    /// Returns a text from an untrusted sender: NULL is empty, and U+FFFD replaces invalid UTF-8.
    pub(super) fn lossy(self) -> Cow<'a, str> {
        self.text.map(CStr::to_string_lossy).unwrap_or_default()
    }

    pub(super) fn argument(self) -> Result<&'a str, Error> {
        self.required().map_err(Error::argument)
    }
}

pub(super) fn not_utf8(name: &str, error: Utf8Error) -> String {
    format!("{name}: not UTF-8 at byte {}", error.valid_up_to())
}

/// Returns the bytes of an argument from C. NULL is allowed if the length is 0.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes that do not change during the call.
pub(super) unsafe fn bytes_arg<'a>(name: &str, pointer: *const c_void, length: usize) -> Result<&'a [u8], Error> {
    match length {
        0 => Ok(&[]),
        _ if pointer.is_null() => Err(Error::argument(format!("{name}: must not be NULL with a length of {length}"))),
        _ if length > isize::MAX as usize => Err(Error::argument(format!("{name}: {length} is not a valid length"))),
        // SAFETY: not NULL, and the header requires this many bytes, not changed during the call.
        _ => Ok(unsafe { slice::from_raw_parts(pointer.cast(), length) }),
    }
}

/// Where C receives an error string.
pub(super) struct ErrorOut<'a>(Option<&'a mut *mut c_char>);

impl ErrorOut<'_> {
    /// # Safety
    /// `error_out` is NULL or points to a pointer that may be overwritten.
    pub(super) unsafe fn new<'a>(error_out: *mut *mut c_char) -> ErrorOut<'a> {
        // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
        ErrorOut(unsafe { init_out(error_out) })
    }

    pub(super) fn finish(self, outcome: Result<(), Error>) -> hma_status {
        let Err(error) = outcome else { return HMA_OK };
        if let Some(error_out) = self.0 {
            *error_out = new_string(&error.to_string());
        }
        error.kind() as hma_status
    }
}

/// # Safety
/// `out` is NULL or points to a pointer that may be overwritten.
pub(super) unsafe fn init_out<'a, T>(out: *mut *mut T) -> Option<&'a mut *mut T> {
    if out.is_null() {
        return None;
    }
    // SAFETY: not NULL, and "Outputs" in the header allows overwriting an *_out argument. It may be uninitialised.
    unsafe {
        out.write(ptr::null_mut());
        Some(&mut *out)
    }
}

/// Where C receives a string that it owns.
pub(super) struct StringOut<'a>(Option<&'a mut *mut c_char>);

impl StringOut<'_> {
    /// # Safety
    /// `out` is NULL or points to a pointer that may be overwritten.
    pub(super) unsafe fn new<'a>(out: *mut *mut c_char) -> StringOut<'a> {
        // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
        StringOut(unsafe { init_out(out) })
    }

    pub(super) fn write(self, text: &str) {
        if let Some(out) = self.0 {
            *out = new_string(text);
        }
    }
}

/// Returns a text that C borrows.
pub(super) fn str_ptr(text: Option<&NulString>) -> *const c_char {
    text.map_or(ptr::null(), NulString::as_ptr)
}
