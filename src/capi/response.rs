//! Responses, for C.

use std::ffi::c_char;
use std::ptr;

use super::ffi::{ErrorOut, catch_panic, init_out, str_ptr};
use super::status::hma_status;
use crate::error::Error;
use crate::response::Response;

/// The response of the gateway, whether it accepted or rejected the message.
///
/// Every text that a response returns is valid until hma_response_free(). If
/// the response does not contain a value, an accessor returns NULL, 0 or -1,
/// and so it does for NULL.
///
/// Threads: any number of threads may read one response at once.
pub struct hma_response(pub(super) Response);

/// Returns the HTTP status, such as 200, or 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_http_status(response: Option<&hma_response>) -> i32 {
    response.map_or(0, |response| response.0.http_status.into())
}

/// Returns the id of the message that was sent, or NULL. Sender actions,
/// reactions and uploads have none. It is opaque and of any length.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_message_id(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.message_id.as_ref()))
}

/// Returns the id of the user that the message was sent to, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_recipient_id(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.recipient_id.as_ref()))
}

/// Returns the id with which uploaded or reusable media can be sent again, or
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_attachment_id(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.attachment_id.as_ref()))
}

/// Returns Meta's error code, such as 10, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_meta_code(response: Option<&hma_response>) -> i32 {
    response.and_then(|response| response.0.meta_code).unwrap_or(0)
}

/// Returns Meta's error subcode, such as 2534022, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_meta_subcode(response: Option<&hma_response>) -> i32 {
    response.and_then(|response| response.0.meta_subcode).unwrap_or(0)
}

/// Returns the gateway's own error code, such as "SESSION_WINDOW_CLOSED", or
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_gateway_code(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.gateway_code.as_ref()))
}

/// Returns Meta's or the gateway's error message, unmodified, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_error_message(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.error_message.as_ref()))
}

/// Returns Meta's human-readable error message (error_user_msg), or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_user_message(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.user_message.as_ref()))
}

/// Returns the id that Meta's support asks for (fbtrace_id), or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_trace_id(response: Option<&hma_response>) -> *const c_char {
    str_ptr(response.and_then(|response| response.0.trace_id.as_ref()))
}

/// Returns how many seconds to wait before the next call, 0 to INT32_MAX: the
/// value of Retry-After, else the longest time in Meta's usage headers. Returns
/// -1 if the response contains neither.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_retry_after(response: Option<&hma_response>) -> i32 {
    number_or_minus_one(response.and_then(|response| response.0.retry_after))
}

/// Returns how much of Meta's limits is used, in percent: the highest value of
/// all usage headers, or -1 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_usage_percent(response: Option<&hma_response>) -> i32 {
    number_or_minus_one(response.and_then(|response| response.0.usage_percent))
}

/// Returns the body, unmodified and followed by a NUL, or NULL for NULL. It may
/// contain a NUL itself and may not be UTF-8; see hma_response_body_length(). A
/// body longer than 64 KiB, or 1 MiB for hma_get(), is truncated to that
/// length.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_body(response: Option<&hma_response>) -> *const c_char {
    response.map_or(ptr::null(), |response| response.0.body.as_ptr().cast())
}

/// Returns the length of the body in bytes, without the final NUL, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_body_length(response: Option<&hma_response>) -> usize {
    response.map_or(0, |response| response.0.body().len())
}

/// Frees a response and every text that it returned. NULL is allowed and does
/// nothing.
#[unsafe(no_mangle)]
pub extern "C" fn hma_response_free(response: Option<Box<hma_response>>) {
    drop(response);
}

fn number_or_minus_one(number: Option<u32>) -> i32 {
    number.and_then(|number| number.try_into().ok()).unwrap_or(-1)
}

/// Where C receives the outcome of a send.
pub(super) struct SendOut<'a> {
    response: Option<&'a mut *mut hma_response>,
    error: ErrorOut<'a>,
}

impl SendOut<'_> {
    /// # Safety
    /// Each is NULL or points to a pointer that may be overwritten.
    pub(super) unsafe fn new<'a>(response_out: *mut *mut hma_response, error_out: *mut *mut c_char) -> SendOut<'a> {
        // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
        unsafe { SendOut { response: init_out(response_out), error: ErrorOut::new(error_out) } }
    }

    pub(super) fn finish(self, send: impl FnOnce() -> Result<Response, Error>) -> hma_status {
        self.write(catch_panic(send))
    }

    fn write(self, outcome: Result<Response, Error>) -> hma_status {
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

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::capi::ffi::PANIC_MESSAGE;
    use crate::capi::owned_string::free_string;

    #[test]
    fn a_panic_inside_the_seam_becomes_an_internal_error_with_a_string() {
        let mut error = ptr::null_mut();
        let mut response = ptr::dangling_mut();
        // SAFETY: both are pointers of this test.
        let out = unsafe { SendOut::new(&mut response, &mut error) };
        let status = out.finish(|| panic!("the token is hmat_live_secret"));
        assert_eq!(status, 32);
        assert!(response.is_null());
        // SAFETY: `SendOut` created it.
        unsafe {
            assert_eq!(CStr::from_ptr(error).to_str(), Ok(PANIC_MESSAGE));
            free_string(error);
        }
        assert_eq!(catch_panic(|| Ok(1)).unwrap(), 1);
    }
}
