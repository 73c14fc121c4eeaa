//! From what the gateway answered to what a send returns: a `Response`, or an `Error` with its one-line form.

mod classify;
mod redact;
mod retry_after;

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};
use crate::json::Json;
use crate::nul_string::NulString;
use crate::response::Response;
use crate::transport::HttpReply;
use classify::{Body, Refusal, classify};
use retry_after::{Usage, wait_seconds};

/// Turns the answer to a POST to `url` into what the send returns. `token` is hidden should the answer repeat it.
pub(crate) fn judge(answer: HttpReply, url: &str, token: &str) -> Result<Response, Error> {
    let text = match std::str::from_utf8(&answer.body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(&answer.body),
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let json = if answer.truncated.is_none() { Json::parse(text).ok() } else { None };
    let reply = json.map(Reply::read).unwrap_or_default();
    let mut response = read(&answer, &reply);
    let is_object = json.is_some_and(Json::is_object);
    let failure = if !is_success(answer.status) || reply.denies(&response) {
        let body = match answer.truncated {
            None if !is_object => Body::NoObject,
            None if !reply.is_in_an_envelope(&response) => Body::StrangeObject,
            _ => Body::Theirs,
        };
        let kind = kind_of(&reply, &response, body);
        let printed = json.map_or_else(|| "{}".to_owned(), |json| redact::hide(json.print(), token));
        let advice = if kind == ErrorKind::Endpoint { not_a_gateway(url) } else { String::new() };
        Some(Error::of_reply(kind, format!("Instagram API error {}: {printed}{advice}", answer.status)))
    } else if is_object {
        None
    } else {
        Some(Error::new(ErrorKind::Lost, unusable(&answer)))
    };
    response.body = answer.body;
    response.body.push(0);
    match failure {
        Some(error) => Err(error.with_response(response)),
        None => Ok(response),
    }
}

fn is_success(http_status: u16) -> bool {
    (200..300).contains(&http_status)
}

fn kind_of(reply: &Reply<'_>, response: &Response, body: Body) -> ErrorKind {
    if is_success(response.http_status) && response.message_id.is_some() {
        // The id says that the message went out, the rest that it did not.
        return ErrorKind::Server;
    }
    classify(Refusal {
        http_status: response.http_status,
        meta: response.meta_code.map(|code| (code, response.meta_subcode)),
        is_transient: reply.in_error("is_transient").is_some_and(Json::is_true),
        gateway_code: response.gateway_code(),
        body,
    })
}

fn not_a_gateway(url: &str) -> String {
    format!("; POST {url} was not answered by a gateway: correct the base URL and the account id")
}

fn unusable(answer: &HttpReply) -> String {
    let what = match &answer.truncated {
        Some(reason) => format!("but {reason}"),
        None if answer.body.is_empty() => "with an empty body".to_owned(),
        None => "with something that is not a JSON object".to_owned(),
    };
    format!(
        "the gateway answered {} {what}; the message may have been delivered, so do not repeat it blindly",
        answer.status
    )
}

/// Everything but the body, which `reply` still borrows.
fn read(answer: &HttpReply, reply: &Reply<'_>) -> Response {
    // An empty id says nothing.
    let id = |value: Option<Json<'_>>| value?.text_or_number().filter(|id| !id.is_empty()).map(NulString::new);
    let text = |value: Option<Json<'_>>| value?.text().map(NulString::new);
    let meta_code = reply.in_error("code").and_then(Json::integer);
    let usage = Usage::of(answer);
    Response {
        http_status: answer.status,
        message_id: id(reply.message_id),
        recipient_id: id(reply.recipient_id),
        attachment_id: id(reply.attachment_id),
        meta_code,
        meta_subcode: reply.in_error("error_subcode").and_then(Json::integer).filter(|_| meta_code.is_some()),
        gateway_code: own_code(reply.code).or_else(|| own_code(reply.in_error("code"))).map(NulString::new),
        error_message: text(reply.in_error("message")).or_else(|| text(reply.error)).or_else(|| text(reply.message)),
        user_message: text(reply.in_error("error_user_msg")),
        trace_id: text(reply.in_error("fbtrace_id")),
        retry_after: answer.retry_after.as_deref().and_then(wait_seconds).or(usage.regain_seconds),
        usage_percent: usage.percent,
        body: Vec::new(),
    }
}

/// The members of the reply that mean something, found in one walk.
#[derive(Default)]
struct Reply<'a> {
    message_id: Option<Json<'a>>,
    recipient_id: Option<Json<'a>>,
    attachment_id: Option<Json<'a>>,
    success: Option<Json<'a>>,
    error: Option<Json<'a>>,
    code: Option<Json<'a>>,
    message: Option<Json<'a>>,
}

impl<'a> Reply<'a> {
    fn read(json: Json<'a>) -> Reply<'a> {
        let mut reply = Reply::default();
        for (name, value) in json.members() {
            let member = match name.text().as_deref() {
                Some("message_id") => &mut reply.message_id,
                Some("recipient_id") => &mut reply.recipient_id,
                Some("attachment_id") => &mut reply.attachment_id,
                Some("success") => &mut reply.success,
                Some("error") => &mut reply.error,
                Some("code") => &mut reply.code,
                Some("message") => &mut reply.message,
                _ => continue,
            };
            *member = Some(value);
        }
        reply
    }

    /// A member of Meta's envelope.
    fn in_error(&self, name: &str) -> Option<Json<'a>> {
        self.error?.get(name)
    }

    /// Whether Meta's number or a code of the gateway's says who wrote this.
    fn is_in_an_envelope(&self, response: &Response) -> bool {
        response.meta_code.is_some() || own_code(self.code).is_some()
    }

    /// Whether a 2xx says that it is none. A code of the gateway's alone does, in its flat envelope; beside an id it may
    /// as well be "OK".
    fn denies(&self, response: &Response) -> bool {
        let ids = [&response.message_id, &response.recipient_id, &response.attachment_id];
        let accepts = ids.iter().any(|id| id.is_some()) || self.success.is_some_and(Json::is_true);
        self.error.is_some_and(|error| !error.is_null())
            || self.success.is_some_and(Json::is_false)
            || (own_code(self.code).is_some() && !accepts)
    }
}

/// A code of the gateway's: a text, but not Meta's number as a text.
fn own_code(value: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    value?.text().filter(|code| !code.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.net/v1/1/messages";

    fn answer(status: u16, body: &str) -> HttpReply {
        let body = body.as_bytes().to_vec();
        HttpReply { status, retry_after: None, app_usage: None, business_usage: None, body, truncated: None }
    }

    #[test]
    fn a_refusal_is_no_gateways_only_if_it_came_whole_and_in_nobodys_envelope() {
        for (status, body, is_a_gateways) in [
            (404, "", false),
            (404, "<html>", false),
            (404, "[]", false),
            (404, r#"{"statusCode":404,"error":"Not Found"}"#, false),
            (405, r#"{"error":{"message":"no","code":"NOT_ALLOWED"}}"#, false),
            (404, r#"{"code":404,"message":"x"}"#, false),
            (404, r#"{"code":"CHANNEL_NOT_FOUND"}"#, true),
            (404, r#"{"error":{"message":"x","code":"100"}}"#, true),
            (308, r#"{"error":{"code":778899}}"#, true),
            (403, "<html>", false),
            (403, "{}", true),
        ] {
            let error = judge(answer(status, body), URL, "token").unwrap_err();
            let kind = if is_a_gateways { ErrorKind::Rejected } else { ErrorKind::Endpoint };
            assert_eq!(error.kind(), kind, "{status} {body}");
            let advice = "; POST https://example.net/v1/1/messages was not answered by a gateway: \
                correct the base URL and the account id";
            assert_eq!(error.to_string().ends_with(advice), !is_a_gateways, "{error}");
            assert!(error.to_string().starts_with(&format!("Instagram API error {status}: ")), "{error}");
            let truncated = HttpReply { truncated: Some("it was truncated".to_owned()), ..answer(status, body) };
            assert_eq!(judge(truncated, URL, "token").unwrap_err().kind(), ErrorKind::Rejected, "{status} {body}");
        }
    }

    #[test]
    fn an_empty_id_is_none_and_accepts_nothing() {
        let sent =
            judge(answer(200, r#"{"message_id":"","recipient_id":"1","attachment_id":null}"#), URL, "token").unwrap();
        assert_eq!((sent.message_id(), sent.recipient_id(), sent.attachment_id()), (None, Some("1"), None));
        let error = judge(answer(200, r#"{"message_id":"","code":"CLOSED"}"#), URL, "token").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
    }

    #[test]
    fn a_code_of_the_gateway_in_a_2xx_denies_unless_something_beside_it_accepts() {
        for (beside, is_accepted) in [
            (r#""message":"closed""#, false),
            (r#""success":1"#, false),
            (r#""success":true"#, true),
            (r#""message_id":"m""#, true),
            (r#""recipient_id":1"#, true),
            (r#""attachment_id":"a""#, true),
        ] {
            let judged = judge(answer(201, &format!("{{\"code\":\"NEW_CODE\",{beside}}}")), URL, "token");
            assert_eq!(judged.err().map(|error| error.kind()), (!is_accepted).then_some(ErrorKind::Server), "{beside}");
        }
        for code in ["\"200\"", "200", "\"\"", "null"] {
            assert!(judge(answer(200, &format!("{{\"code\":{code}}}")), URL, "token").is_ok(), "{code}");
        }
    }
}
