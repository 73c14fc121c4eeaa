//! Reads a response: the status, four headers, and the body up to a limit.

use std::io::Read;

use ureq::Body;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderName, Response};

const APP_USAGE: HeaderName = HeaderName::from_static("x-app-usage");
const BUSINESS_USAGE: HeaderName = HeaderName::from_static("x-business-use-case-usage");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The response of the gateway.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) app_usage: Option<String>,
    pub(crate) business_usage: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Why the response is incomplete, if it is.
    pub(crate) truncated: Option<String>,
}

/// Returns the response with at most `max_body` bytes of its body, and its `Keep-Alive` header. The head alone decides
/// the outcome, so an incomplete body is not a failure here.
pub(super) fn read_reply(response: Response<Body>, max_body: usize) -> (HttpReply, Option<String>) {
    let (head, mut body) = response.into_parts();
    // For so few headers, a linear search is faster than hashing the name.
    let header = |wanted: HeaderName| {
        let (_, value) = head.headers.iter().find(|(name, _)| *name == wanted)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut bytes = Vec::with_capacity(1 << 10);
    let read = body.as_reader().take(max_body as u64 + 1).read_to_end(&mut bytes);
    let truncated = match read {
        Err(error) => Some(format!("the rest of its response did not arrive: {error}")),
        Ok(_) if bytes.len() > max_body => {
            Some(format!("the rest of its response was not read: it is longer than {} KiB", max_body >> 10))
        }
        Ok(_) => None,
    };
    bytes.truncate(max_body);
    let reply = HttpReply {
        status: head.status.as_u16(),
        retry_after: header(RETRY_AFTER),
        app_usage: header(APP_USAGE),
        business_usage: header(BUSINESS_USAGE),
        body: bytes,
        truncated,
    };
    (reply, header(KEEP_ALIVE))
}
