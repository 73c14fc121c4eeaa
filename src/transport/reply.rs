//! Reads a response: the status, four headers, and the body up to a limit.

use std::io::Read;

use ureq::Body;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderName, Response};

static APP_USAGE: HeaderName = HeaderName::from_static("x-app-usage");
static BUSINESS_USAGE: HeaderName = HeaderName::from_static("x-business-use-case-usage");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

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
    // Looking through so few headers once is faster than hashing each name.
    let [mut retry_after, mut app_usage, mut business_usage, mut keep_alive] = [const { None }; 4];
    for (name, value) in &head.headers {
        let wanted = match name {
            name if *name == RETRY_AFTER => &mut retry_after,
            name if *name == KEEP_ALIVE => &mut keep_alive,
            name if *name == APP_USAGE => &mut app_usage,
            name if *name == BUSINESS_USAGE => &mut business_usage,
            _ => continue,
        };
        // Of a header that is there twice, the first one counts.
        if wanted.is_none() {
            *wanted = value.to_str().ok().map(str::to_owned);
        }
    }
    let mut bytes = Vec::with_capacity(1 << 10);
    let read = body.as_reader().take(max_body as u64 + 1).read_to_end(&mut bytes);
    let truncated = match read {
        Err(error) => Some(format!("the rest of its answer did not come: {error}")),
        Ok(_) if bytes.len() > max_body => {
            Some(format!("the rest of its answer was not read: it is longer than {} KiB", max_body >> 10))
        }
        Ok(_) => None,
    };
    bytes.truncate(max_body);
    let reply =
        HttpReply { status: head.status.as_u16(), retry_after, app_usage, business_usage, body: bytes, truncated };
    (reply, keep_alive)
}
