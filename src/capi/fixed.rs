//! The send for languages with fields of fixed length, such as COBOL and Fortran.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::client::{hma_client, require_client};
use super::ffi::{bytes_arg, catch_panic, not_utf8};
use super::status::{HMA_OK, hma_status};
use crate::error::Error;

/// Ends an output that does not fit its field.
const DOTS: &[u8] = b"...";

/// Sends a text to a user and waits for the response, with fields of fixed
/// length instead of strings, as COBOL and Fortran have them. Nothing is to be
/// freed.
///
/// `recipient_id` and `text` have these many bytes of UTF-8. Spaces and NUL
/// bytes at their end are ignored; any other NUL byte is `HMA_ERROR_ARGUMENT`.
/// Otherwise they are those of hma_send_text().
///
/// On success `message_id` receives the id of the message, and on failure
/// `error` receives the one-line text. Both fields are filled with spaces, and
/// neither gets a NUL byte. A value that does not fit is cut between two
/// characters, and the last three bytes of the field are dots. A field with the
/// size 0 is not written and may be NULL. 256 bytes hold an id of Meta, and 512
/// hold most error texts. An output may share memory with an input.
///
/// Returns the status of hma_send_text(). A NULL `message_id` or `error` with a
/// size is `HMA_ERROR_ARGUMENT`, and nothing is sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_send_text_fixed(
    client: Option<&hma_client>,
    recipient_id: *const c_char,
    recipient_id_length: usize,
    text: *const c_char,
    text_length: usize,
    message_id: *mut c_char,
    message_id_size: usize,
    error: *mut c_char,
    error_size: usize,
) -> hma_status {
    let outcome = catch_panic(|| {
        check_output("message_id", message_id, message_id_size)?;
        check_output("error", error, error_size)?;
        // SAFETY: "Fields" in the header: so many bytes, which do not change during the call.
        let (recipient_id, text) =
            unsafe { (field("recipient_id", recipient_id, recipient_id_length)?, field("text", text, text_length)?) };
        require_client(client)?.send_text(recipient_id, text)
    });
    let (id, reason, status) = match &outcome {
        Ok(response) => (response.message_id().unwrap_or_default(), String::new(), HMA_OK),
        Err(error) => ("", error.to_string(), error.kind() as hma_status),
    };
    // SAFETY: "Fields" in the header: so many bytes may be written. The inputs are not read any more.
    unsafe {
        fill(message_id, message_id_size, id);
        fill(error, error_size, &reason);
    }
    status
}

fn check_output(name: &str, field: *mut c_char, size: usize) -> Result<(), Error> {
    if field.is_null() && size > 0 {
        return Err(Error::argument(format!("{name}: must not be NULL with a size of {size}")));
    }
    Ok(())
}

/// Returns the text of an input field.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes that do not change while the text is in use.
unsafe fn field<'a>(name: &str, pointer: *const c_char, length: usize) -> Result<&'a str, Error> {
    // SAFETY: what this function asks of its caller.
    let bytes = unsafe { bytes_arg(name, pointer.cast::<c_void>(), length) }?;
    let text = std::str::from_utf8(bytes).map_err(|error| Error::argument(not_utf8(name, error)))?;
    let text = text.trim_end_matches([' ', '\0']);
    match text.find('\0') {
        Some(at) => Err(Error::argument(format!("{name}: must not contain a NUL byte, as at byte {at}"))),
        None => Ok(text),
    }
}

/// Writes a text to an output field and fills the rest with spaces.
///
/// # Safety
/// `field` is NULL or points to `size` bytes that may be written.
unsafe fn fill(field: *mut c_char, size: usize, text: &str) {
    if field.is_null() {
        return;
    }
    let fits = text.len() <= size;
    let dots = if fits { &[][..] } else { DOTS.get(..size.min(DOTS.len())).unwrap_or_default() };
    let room = size - dots.len();
    let length = if fits { text.len() } else { (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0) };
    // SAFETY: `length` is at most `room`, and `room` and the dots are `size` bytes together. The field is not NULL, and
    // "Fields" in the header allows writing them; a field is no part of a text that the library owns.
    unsafe {
        ptr::write_bytes(field, b' ', room);
        ptr::copy_nonoverlapping(text.as_ptr().cast(), field, length);
        ptr::copy_nonoverlapping(dots.as_ptr().cast(), field.add(room), dots.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(size: usize, text: &str) -> String {
        let mut field = vec![b'#'; size + 1];
        // SAFETY: the field has more bytes.
        unsafe { fill(field.as_mut_ptr().cast(), size, text) };
        assert_eq!(field.pop(), Some(b'#'), "one byte too many");
        String::from_utf8(field).unwrap()
    }

    #[test]
    fn what_fits_is_filled_up_with_spaces_and_what_does_not_ends_with_three_dots() {
        for (size, text, expected) in [
            (0, "abc", ""),
            (3, "", "   "),
            (5, "abc", "abc  "),
            (5, "abcde", "abcde"),
            (5, "abcdef", "ab..."),
            (5, "a\u{e4}bcd", "a ..."),
            (6, "a\u{e4}bcd", "a\u{e4}bcd"),
            (2, "abc", ".."),
            (3, "abcd", "..."),
        ] {
            assert_eq!(filled(size, text), expected, "{size} {text}");
        }
    }
}
