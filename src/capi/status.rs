//! Status codes and their texts, the version, and the freeing of strings.

use std::ffi::{CStr, c_char};

use super::owned_string::free_string;
use crate::error::{Delivery, KINDS, Scope};

/// The result of a call: `HMA_OK` or one of the `HMA_ERROR_*` constants.
///
/// The tens digit states whether the message was sent, see
/// hma_status_delivery(). A later version may return codes that this header
/// does not list; they fall into the same classes. Numbers never change.
pub type hma_status = i32;

/// Whether the message was delivered: one of the `HMA_DELIVERY_*` constants.
pub type hma_delivery = i32;

/// What a failure is about: one of the `HMA_SCOPE_*` constants.
pub type hma_scope = i32;

/// The gateway accepted the message.
pub const HMA_OK: hma_status = 0;
/// Not sent: an argument is NULL, not UTF-8 or invalid, or exceeds a limit that
/// Meta documents. Correct it.
pub const HMA_ERROR_ARGUMENT: hma_status = 10;
/// Not sent: a setting is missing or invalid. Correct the configuration.
pub const HMA_ERROR_CONFIG: hma_status = 11;
/// Not sent: no connection to the gateway (name lookup, TCP, proxy or TLS), or
/// it closed before the first byte of the request. Retry later.
pub const HMA_ERROR_CONNECT: hma_status = 12;
/// The signature of a webhook does not match its body. No send was involved.
/// Respond 401 and discard the body.
pub const HMA_ERROR_SIGNATURE: hma_status = 13;
/// Rejected for a reason that is not one of those below. Change the message.
pub const HMA_ERROR_REJECTED: hma_status = 20;
/// Rejected: the access token is invalid. Set the current one.
pub const HMA_ERROR_AUTH: hma_status = 21;
/// Rejected: too many messages. Wait before the next send, see
/// hma_response_retry_after().
pub const HMA_ERROR_RATE_LIMITED: hma_status = 22;
/// Rejected: the 24-hour window is closed. The user must write first.
pub const HMA_ERROR_WINDOW_CLOSED: hma_status = 23;
/// Rejected: the user does not exist, cannot be reached, or is not the user of
/// the sandbox. Check the recipient id.
pub const HMA_ERROR_RECIPIENT: hma_status = 24;
/// Rejected: the account may not send. Check its link to Instagram, its
/// permissions and its standing with Meta.
pub const HMA_ERROR_ACCOUNT: hma_status = 25;
/// Rejected: Meta could not fetch or use the media. Check URL, type and size.
pub const HMA_ERROR_MEDIA: hma_status = 26;
/// Rejected: not by a gateway. Correct the base URL and the account id, or
/// check what is in between. The error string names the URL.
pub const HMA_ERROR_ENDPOINT: hma_status = 27;
/// Unknown: the gateway or Meta failed. The message may have been delivered. Do
/// not repeat it blindly.
pub const HMA_ERROR_SERVER: hma_status = 30;
/// Unknown: the request left, but no usable response arrived. The message may
/// have been delivered. Do not repeat it blindly.
pub const HMA_ERROR_LOST: hma_status = 31;
/// Unknown: a bug in this library. The message may have been delivered. Please
/// report it with the error string.
pub const HMA_ERROR_INTERNAL: hma_status = 32;

/// The gateway accepted the message.
pub const HMA_DELIVERY_ACCEPTED: hma_delivery = 0;
/// The message never reached the gateway. A retry is safe.
pub const HMA_DELIVERY_NOT_SENT: hma_delivery = 1;
/// The gateway or Meta rejected the message. It was not delivered.
pub const HMA_DELIVERY_REJECTED: hma_delivery = 2;
/// The message may have been delivered. A retry may deliver it twice.
pub const HMA_DELIVERY_UNKNOWN: hma_delivery = 3;

/// The scope of `HMA_OK`: there is no failure.
pub const HMA_SCOPE_NONE: hma_scope = 0;
/// This message. Other messages may be accepted.
pub const HMA_SCOPE_MESSAGE: hma_scope = 1;
/// This user. Other messages to the same user fail too, until something changes
/// on their side.
pub const HMA_SCOPE_RECIPIENT: hma_scope = 2;
/// The account, its token or the settings. No message is accepted until a
/// person corrects this. Stop.
pub const HMA_SCOPE_ACCOUNT: hma_scope = 3;
/// The moment: the network, the gateway, Meta or a limit. Wait, then continue
/// with the rest. If it lasts, stop.
pub const HMA_SCOPE_MOMENT: hma_scope = 4;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// Returns the version of the loaded library, such as "0.1.0".
///
/// Compare it with `HMA_VERSION_STRING` to detect a header of another version.
/// The text is static: do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn hma_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Returns a human-readable sentence that states what `status` means and what
/// to do.
///
/// Never NULL, also for a status that this version does not list. The text is
/// static: do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn hma_status_text(status: hma_status) -> *const c_char {
    let known = KINDS.iter().find(|facts| facts.kind as hma_status == status);
    let text = match known {
        Some(facts) => facts.description,
        None if status == HMA_OK => c"the gateway accepted the message",
        None => match hma_status_delivery(status) {
            HMA_DELIVERY_NOT_SENT => c"an unknown status: nothing was sent, sending again is safe",
            HMA_DELIVERY_REJECTED => c"an unknown status: the message was refused",
            _ => c"an unknown status: the message may have been delivered, do not repeat it blindly",
        },
    };
    text.as_ptr()
}

/// Returns the delivery of the message for `status`: 0 is accepted, 10 to 19
/// not sent, 20 to 29 rejected, and everything else possibly delivered.
///
/// The result is correct also for codes of later versions.
#[unsafe(no_mangle)]
pub extern "C" fn hma_status_delivery(status: hma_status) -> hma_delivery {
    match Delivery::of(status) {
        _ if status == HMA_OK => HMA_DELIVERY_ACCEPTED,
        Delivery::NotSent => HMA_DELIVERY_NOT_SENT,
        Delivery::Rejected => HMA_DELIVERY_REJECTED,
        Delivery::Unknown => HMA_DELIVERY_UNKNOWN,
    }
}

/// Returns what a failure with this status is about, so that a program with
/// many messages can decide about the rest: skip this message, skip this user,
/// stop, or wait. hma_status_delivery() is about this message only.
///
/// An unknown status is about the message if it was not sent or rejected, else
/// about the moment.
#[unsafe(no_mangle)]
pub extern "C" fn hma_status_scope(status: hma_status) -> hma_scope {
    if status == HMA_OK { HMA_SCOPE_NONE } else { Scope::of(status) as hma_scope }
}

/// Returns a name for logs and databases, such as "WINDOW_CLOSED". The name of
/// `HMA_OK` is "OK"; that of an unknown status is "UNKNOWN".
///
/// Never NULL. Names never change. The text is static: do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn hma_status_name(status: hma_status) -> *const c_char {
    let known = KINDS.iter().find(|facts| facts.kind as hma_status == status);
    let name = match known {
        Some(facts) => facts.name,
        None if status == HMA_OK => c"OK",
        None => c"UNKNOWN",
    };
    name.as_ptr()
}

/// Frees a string that a function of this library returned through a char **.
/// The program may have overwritten the text within its length. NULL is allowed
/// and does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_string_free(string: *mut c_char) {
    // SAFETY: "Memory" in the header: the string is from this library and is
    // freed once.
    unsafe { free_string(string) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_constants_are_the_numbers_of_the_kinds() {
        for (constant, kind) in [
            (HMA_ERROR_ARGUMENT, ErrorKind::Argument),
            (HMA_ERROR_CONFIG, ErrorKind::Config),
            (HMA_ERROR_CONNECT, ErrorKind::Connect),
            (HMA_ERROR_SIGNATURE, ErrorKind::Signature),
            (HMA_ERROR_REJECTED, ErrorKind::Rejected),
            (HMA_ERROR_AUTH, ErrorKind::Auth),
            (HMA_ERROR_RATE_LIMITED, ErrorKind::RateLimited),
            (HMA_ERROR_WINDOW_CLOSED, ErrorKind::WindowClosed),
            (HMA_ERROR_RECIPIENT, ErrorKind::Recipient),
            (HMA_ERROR_ACCOUNT, ErrorKind::Account),
            (HMA_ERROR_MEDIA, ErrorKind::Media),
            (HMA_ERROR_ENDPOINT, ErrorKind::Endpoint),
            (HMA_ERROR_SERVER, ErrorKind::Server),
            (HMA_ERROR_LOST, ErrorKind::Lost),
            (HMA_ERROR_INTERNAL, ErrorKind::Internal),
        ] {
            assert_eq!(constant, kind as hma_status);
        }
    }

    #[test]
    fn every_status_has_a_name_and_a_scope() {
        for (constant, scope) in [
            (HMA_SCOPE_MESSAGE, Scope::Message),
            (HMA_SCOPE_RECIPIENT, Scope::Recipient),
            (HMA_SCOPE_ACCOUNT, Scope::Account),
            (HMA_SCOPE_MOMENT, Scope::Moment),
        ] {
            assert_eq!(constant, scope as hma_scope);
        }
        for (status, name, scope) in [
            (HMA_OK, c"OK", HMA_SCOPE_NONE),
            (HMA_ERROR_WINDOW_CLOSED, c"WINDOW_CLOSED", HMA_SCOPE_RECIPIENT),
            (HMA_ERROR_ENDPOINT, c"ENDPOINT", HMA_SCOPE_ACCOUNT),
            (19, c"UNKNOWN", HMA_SCOPE_MESSAGE),
            (29, c"UNKNOWN", HMA_SCOPE_MESSAGE),
            (39, c"UNKNOWN", HMA_SCOPE_MOMENT),
            (-1, c"UNKNOWN", HMA_SCOPE_MOMENT),
            (i32::MAX, c"UNKNOWN", HMA_SCOPE_MOMENT),
        ] {
            // SAFETY: never NULL, and static.
            assert_eq!(unsafe { CStr::from_ptr(hma_status_name(status)) }, name, "{status}");
            assert_eq!(hma_status_scope(status), scope, "{status}");
        }
    }

    #[test]
    fn every_status_has_a_text_and_a_delivery() {
        for (status, delivery) in
            [(0, 0), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (1, 3), (9, 3), (-1, 3), (40, 3)]
        {
            assert_eq!(hma_status_delivery(status), delivery, "{status}");
        }
        assert_eq!(hma_status_delivery(i32::MIN), 3);
        for status in -1..50 {
            // SAFETY: never NULL, and static.
            let text = unsafe { CStr::from_ptr(hma_status_text(status)) };
            assert!(!text.is_empty());
        }
    }
}
