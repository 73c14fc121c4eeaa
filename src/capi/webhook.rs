//! The signature of a webhook and the 24-hour window, for C.

use std::ffi::{c_char, c_void};

use super::ffi::{ErrorOut, StrArg, StringOut, bytes_arg, catch_panic};
use super::status::hma_status;
use crate::error::Error;
use crate::{webhook, window};

/// Verifies the X-HookMyApp-Signature-256 header of a webhook delivery:
/// HMAC-SHA-256 over the unmodified bytes of the body.
///
/// `secret` is the value of WEBHOOK_HMAC_SECRET, see
/// hma_config_webhook_secret(). `signature` is the value of the header, or NULL
/// if the delivery has none: 64 hexadecimal digits in either case, with or
/// without the prefix sha256=. `body` may be NULL if `body_length` is 0.
///
/// Returns `HMA_OK` if the signature matches, else `HMA_ERROR_SIGNATURE`, also
/// for a missing or empty secret or header. Then respond 401 and do not read
/// the body. A NULL `body` with a length, and a secret that is not UTF-8, are
/// `HMA_ERROR_ARGUMENT`.
///
/// The comparison takes the same time for every invalid signature of valid
/// length. On failure `*error_out` is a one-line text that you own: free it
/// with hma_string_free(). `error_out` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_webhook_verify(
    secret: *const c_char,
    signature: *const c_char,
    body: *const c_void,
    body_length: usize,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header, and that `body` has `body_length` bytes.
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

/// Returns the value of the X-HookMyApp-Signature-256 header for a body:
/// sha256= and 64 hexadecimal digits. It is for tests of receivers; HookMyApp
/// signs the real deliveries.
///
/// On success you own `*signature_out`: free it with hma_string_free(). It may
/// be NULL. `body` may be NULL if `body_length` is 0. A NULL or empty `secret`,
/// one that is not UTF-8, and a NULL `body` with a length are
/// `HMA_ERROR_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_webhook_sign(
    secret: *const c_char,
    body: *const c_void,
    body_length: usize,
    signature_out: *mut *mut c_char,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header, and that `body` has `body_length` bytes.
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
/// `last_inbound_ms` is the time of that message, see
/// hma_events_timestamp_ms(). Returns -1 for a time below zero, which is
/// unknown. The function only adds. Instagram decides, and a send after the end
/// is `HMA_ERROR_WINDOW_CLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn hma_window_closes_at(last_inbound_ms: i64) -> i64 {
    epoch_ms(u64::try_from(last_inbound_ms).ok().map(window::closes_at))
}

/// Returns when the 7 days end in which a person, not a program, may reply with
/// the tag HUMAN_AGENT, in milliseconds since 1970; see hma_message_set_tag().
///
/// `last_inbound_ms` is the time of the user's last message. Returns -1 for a
/// time below zero, which is unknown. Instagram decides.
#[unsafe(no_mangle)]
pub extern "C" fn hma_window_human_agent_closes_at(last_inbound_ms: i64) -> i64 {
    epoch_ms(u64::try_from(last_inbound_ms).ok().map(window::human_agent_closes_at))
}

/// Returns milliseconds since 1970, or -1 for an unknown time.
pub(super) fn epoch_ms(time: Option<u64>) -> i64 {
    time.map_or(-1, |time| i64::try_from(time).unwrap_or(i64::MAX))
}
