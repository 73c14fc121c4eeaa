//! The signature of a webhook and the 24-hour window, from C.

use std::ffi::{c_char, c_void};

use super::ffi::{ErrorOut, StrArg, StringOut, bytes_arg, catch_panic};
use super::status::hma_status;
use crate::error::Error;
use crate::{webhook, window};

/// Checks the X-HookMyApp-Signature-256 header of a webhook delivery:
/// HMAC-SHA-256 over the body, byte for byte as it came.
///
/// `secret` is the value of WEBHOOK_HMAC_SECRET, see
/// hma_config_webhook_secret(). `signature` is the value of the header, or NULL
/// if the delivery has none: 64 hexadecimal digits in either case, with or
/// without sha256= in front. `body` may be NULL if `body_length` is 0.
///
/// Returns `HMA_OK` if the signature fits. If not, it is `HMA_ERROR_SIGNATURE`,
/// also for a missing or empty secret or header: answer 401 and do not read the
/// body. A NULL `body` with a length, and a secret that is not UTF-8, are
/// `HMA_ERROR_ARGUMENT`. The comparison takes the same time wherever a wrong
/// signature differs. On failure `*error_out` is a one-line text that is yours:
/// free it with hma_string_free(). `error_out` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_webhook_verify(
    secret: *const c_char,
    signature: *const c_char,
    body: *const c_void,
    body_length: usize,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Owning" in the header, and that `body` has `body_length` bytes.
    let (secret, signature, body, error_out) = unsafe {
        (
            StrArg::new("secret", secret),
            StrArg::new("signature", signature),
            bytes_arg("body", body, body_length),
            ErrorOut::new(error_out),
        )
    };
    error_out.finish(catch_panic(|| {
        let secret = secret.optional().map_err(Error::argument)?.unwrap_or_default();
        webhook::verify(secret, signature.lossy().as_ref(), body?)
    }))
}

/// Makes the value of the X-HookMyApp-Signature-256 header for a body: sha256= and
/// 64 hexadecimal digits. For tests of receivers; HookMyApp signs what it delivers.
///
/// On success `*signature_out` is yours: free it with hma_string_free(). It may be
/// NULL. `body` may be NULL if `body_length` is 0. A NULL or empty `secret`, one
/// that is not UTF-8, and a NULL `body` with a length are `HMA_ERROR_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_webhook_sign(
    secret: *const c_char,
    body: *const c_void,
    body_length: usize,
    signature_out: *mut *mut c_char,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Owning" in the header, and that `body` has `body_length` bytes.
    let (secret, body, signature_out, error_out) = unsafe {
        (
            StrArg::new("secret", secret),
            bytes_arg("body", body, body_length),
            StringOut::new(signature_out),
            ErrorOut::new(error_out),
        )
    };
    let signed = catch_panic(|| webhook::sign(secret.argument()?, body?));
    error_out.finish(signed.map(|signature| signature_out.write(&signature)))
}

/// Returns when the 24-hour window closes that the user's last message opened, in
/// milliseconds since 1970.
///
/// `last_inbound_ms` is the time of that message, see hma_events_timestamp_ms().
/// Below zero, for an unknown time, gives -1. This is a plain addition: Instagram
/// has the last word, and a send after the end is `HMA_ERROR_WINDOW_CLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn hma_window_closes_at(last_inbound_ms: i64) -> i64 {
    epoch_ms(u64::try_from(last_inbound_ms).ok().map(window::closes_at))
}

/// Returns when the 7 days end in which a person, not a program, may answer with
/// the tag HUMAN_AGENT, in milliseconds since 1970; see hma_message_set_tag().
///
/// `last_inbound_ms` is the time of the user's last message. Below zero, for an
/// unknown time, gives -1. Instagram has the last word.
#[unsafe(no_mangle)]
pub extern "C" fn hma_window_human_agent_closes_at(last_inbound_ms: i64) -> i64 {
    epoch_ms(u64::try_from(last_inbound_ms).ok().map(window::human_agent_closes_at))
}

/// Milliseconds since 1970; -1 is unknown.
pub(super) fn epoch_ms(time: Option<u64>) -> i64 {
    time.map_or(-1, |time| i64::try_from(time).unwrap_or(i64::MAX))
}
