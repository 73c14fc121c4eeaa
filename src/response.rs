//! What the gateway answered: ids, Meta's words, pauses and the raw body.

use std::fmt;
use std::time::Duration;

use crate::nul_string::NulString;

/// What the gateway answered, whether it accepted or refused.
///
/// An answer that accepts has a [`message_id`](Response::message_id), except for sender actions, reactions, uploads
/// and odd answers. The other accessors say what came and are empty where nothing did.
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
    /// With a NUL behind it, for C.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The HTTP status, such as 200.
    pub fn http_status(&self) -> u16 {
        self.http_status
    }

    /// The id of the message that was sent. Opaque; of any length.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_ref().map(NulString::as_str)
    }

    /// The id of the user that it was sent to.
    pub fn recipient_id(&self) -> Option<&str> {
        self.recipient_id.as_ref().map(NulString::as_str)
    }

    /// The id under which uploaded or reusable media can be sent again.
    pub fn attachment_id(&self) -> Option<&str> {
        self.attachment_id.as_ref().map(NulString::as_str)
    }

    /// Meta's error code, such as 10.
    pub fn meta_code(&self) -> Option<i32> {
        self.meta_code
    }

    /// Meta's error subcode, such as 2534022.
    pub fn meta_subcode(&self) -> Option<i32> {
        self.meta_subcode
    }

    /// The gateway's own error code, such as `SESSION_WINDOW_CLOSED`.
    pub fn gateway_code(&self) -> Option<&str> {
        self.gateway_code.as_ref().map(NulString::as_str)
    }

    /// Meta's or the gateway's own words about an error, as they came.
    pub fn error_message(&self) -> Option<&str> {
        self.error_message.as_ref().map(NulString::as_str)
    }

    /// Meta's words about an error that are meant for people (`error_user_msg`).
    pub fn user_message(&self) -> Option<&str> {
        self.user_message.as_ref().map(NulString::as_str)
    }

    /// The id that Meta's support asks for (`fbtrace_id`).
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_ref().map(NulString::as_str)
    }

    /// How long to wait before the next call, in whole seconds: what `Retry-After` says, else the longest time that
    /// the usage headers name.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// How much of Meta's limits is used up, in percent: the highest figure of all usage headers.
    pub fn usage_percent(&self) -> Option<u32> {
        self.usage_percent
    }

    /// The body, byte for byte as it came. Of a body longer than 64 KiB the first 64 KiB.
    pub fn body(&self) -> &[u8] {
        &self.body[..self.body.len() - 1]
    }
}

/// The numbers alone: a text may repeat what was sent, the access token among it.
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
