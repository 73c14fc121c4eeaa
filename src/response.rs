//! `Response`: ids, error details, wait times and the raw body that the gateway returned.

use std::fmt;
use std::time::Duration;

use crate::nul_string::NulString;

/// The response of the gateway, whether it accepted or rejected the message.
///
/// The response to an accepted message contains a [`message_id`](Response::message_id), except for sender actions,
/// reactions, uploads and unusual responses. Every accessor returns `None` if the response does not contain the value.
#[derive(Clone)]
pub struct Response {
    pub(crate) http_status: u16,
    pub(crate) message_id: Option<NulString>,
    pub(crate) recipient_id: Option<NulString>,
    pub(crate) attachment_id: Option<NulString>,
    pub(crate) meta_code: Option<i32>,
    pub(crate) meta_subcode: Option<i32>,
    pub(crate) gateway_code: Option<NulString>,
    pub(crate) error_message: Option<NulString>,
    pub(crate) user_message: Option<NulString>,
    pub(crate) trace_id: Option<NulString>,
    pub(crate) retry_after: Option<u32>,
    pub(crate) usage_percent: Option<u32>,
    /// Ends with a NUL, for C.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns the HTTP status, such as 200.
    pub fn http_status(&self) -> u16 {
        self.http_status
    }

    /// Returns the id of the message that was sent. It is opaque and of any length.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the user that the message was sent to.
    pub fn recipient_id(&self) -> Option<&str> {
        self.recipient_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id with which uploaded or reusable media can be sent again.
    pub fn attachment_id(&self) -> Option<&str> {
        self.attachment_id.as_ref().map(NulString::as_str)
    }

    /// Returns Meta's error code, such as 10.
    pub fn meta_code(&self) -> Option<i32> {
        self.meta_code
    }

    /// Returns Meta's error subcode, such as 2534022.
    pub fn meta_subcode(&self) -> Option<i32> {
        self.meta_subcode
    }

    /// Returns the gateway's own error code, such as `SESSION_WINDOW_CLOSED`.
    pub fn gateway_code(&self) -> Option<&str> {
        self.gateway_code.as_ref().map(NulString::as_str)
    }

    /// Returns Meta's or the gateway's error message, unmodified.
    pub fn error_message(&self) -> Option<&str> {
        self.error_message.as_ref().map(NulString::as_str)
    }

    /// Returns Meta's human-readable error message (`error_user_msg`).
    pub fn user_message(&self) -> Option<&str> {
        self.user_message.as_ref().map(NulString::as_str)
    }

    /// Returns the id that Meta's support asks for (`fbtrace_id`).
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_ref().map(NulString::as_str)
    }

    /// Returns how long to wait before the next call, in whole seconds: the value of `Retry-After`, else the longest
    /// time in Meta's usage headers.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Returns how much of Meta's limits is used, in percent: the highest value of all usage headers.
    pub fn usage_percent(&self) -> Option<u32> {
        self.usage_percent
    }

    /// Returns the body, unmodified. A body longer than 64 KiB, or 1 MiB for [`Client::get`](crate::Client::get), is
    /// truncated to that length.
    pub fn body(&self) -> &[u8] {
        &self.body[..self.body.len() - 1]
    }
}

/// Shows the numbers only: a text may repeat what was sent, including the access token.
impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("http_status", &self.http_status)
            .field("meta_code", &self.meta_code)
            .field("meta_subcode", &self.meta_subcode)
            .field("retry_after", &self.retry_after)
            .field("usage_percent", &self.usage_percent)
            .finish_non_exhaustive()
    }
}
