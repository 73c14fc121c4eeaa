//! Converts the reply of the gateway to what a call returns: a `Response`, or an `Error` with its one-line form.

mod classify;
mod redact;
mod retry_after;

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};
use crate::json::Json;
use crate::nul_string::NulString;
use crate::response::Response;
use crate::transport::{Call, HttpReply};
use classify::{BodyFormat, ErrorCodes, classify};
use retry_after::{Usage, parse_retry_after};

/// Converts the reply to a call of `url` to what the call returns. Replaces `token` in the error text if the reply
/// repeats it.
pub(crate) fn interpret(reply: HttpReply, call: Call<'_>, url: &str, token: &str) -> Result<Response, Error> {
    let text = match std::str::from_utf8(&reply.body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(&reply.body),
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let json = if reply.truncated.is_none() { Json::parse(text).ok() } else { None };
    let fields = json.map(ReplyFields::find).unwrap_or_default();
    let mut response = build_response(&reply, &fields);
    let is_object = json.is_some_and(Json::is_object);
    let failure = if !is_success(reply.status) || fields.reports_error(&response, call) {
        let body = match reply.truncated {
            None if !is_object => BodyFormat::NotAnObject,
            None if !fields.has_known_error_format(&response) => BodyFormat::UnknownObject,
            _ => BodyFormat::Known,
        };
        let kind = error_kind(&fields, &response, body, call);
        let compact = json.map_or_else(|| "{}".to_owned(), |json| redact::redact(json.to_compact_string(), token));
        let advice = if kind == ErrorKind::Endpoint { endpoint_advice(call, url) } else { String::new() };
        Some(Error::verbatim(kind, format!("Instagram API error {}: {compact}{advice}", reply.status)))
    } else if is_object {
        None
    } else {
        Some(Error::new(ErrorKind::Lost, no_usable_reply(&reply, call)))
    };
    response.body = reply.body;
    response.body.push(0);
    match failure {
        Some(error) => Err(error.with_response(response)),
        None => Ok(response),
    }
}

fn is_success(http_status: u16) -> bool {
    (200..300).contains(&http_status)
}

fn error_kind(fields: &ReplyFields<'_>, response: &Response, body: BodyFormat, call: Call<'_>) -> ErrorKind {
    if is_success(response.http_status) && response.message_id.is_some() && !call.is_read() {
        // The id states that the message was sent, the rest states that it was not.
        return ErrorKind::Server;
    }
    classify(ErrorCodes {
        http_status: response.http_status,
        meta: response.meta_code.map(|code| (code, response.meta_subcode)),
        is_transient: fields.in_error("is_transient").is_some_and(Json::is_true),
        gateway_code: response.gateway_code(),
        body,
    })
}

fn endpoint_advice(call: Call<'_>, url: &str) -> String {
    format!("; {} {url} was not answered by a gateway: correct the base URL and the account id", call.method())
}

fn no_usable_reply(reply: &HttpReply, call: Call<'_>) -> String {
    let what = match &reply.truncated {
        Some(reason) => format!("but {reason}"),
        None if reply.body.is_empty() => "with an empty body".to_owned(),
        None => "with something that is not a JSON object".to_owned(),
    };
    format!("the gateway answered {} {what}; {}", reply.status, call.advice_if_unknown())
}

/// Builds the response, except for the body, which `fields` still borrows.
fn build_response(reply: &HttpReply, fields: &ReplyFields<'_>) -> Response {
    // An empty id counts as absent.
    let id = |value: Option<Json<'_>>| value?.text_or_number().filter(|id| !id.is_empty()).map(NulString::new);
    let text = |value: Option<Json<'_>>| value?.text().map(NulString::new);
    let meta_code = fields.in_error("code").and_then(Json::integer);
    let usage = Usage::from_reply(reply);
    Response {
        http_status: reply.status,
        message_id: id(fields.message_id),
        recipient_id: id(fields.recipient_id),
        attachment_id: id(fields.attachment_id),
        meta_code,
        meta_subcode: fields.in_error("error_subcode").and_then(Json::integer).filter(|_| meta_code.is_some()),
        gateway_code: gateway_code(fields.code).or_else(|| gateway_code(fields.in_error("code"))).map(NulString::new),
        error_message: text(fields.in_error("message")).or_else(|| text(fields.error)).or_else(|| text(fields.message)),
        user_message: text(fields.in_error("error_user_msg")),
        trace_id: text(fields.in_error("fbtrace_id")),
        retry_after: reply.retry_after.as_deref().and_then(parse_retry_after).or(usage.regain_seconds),
        usage_percent: usage.percent,
        body: Vec::new(),
    }
}

/// The members of the reply that are used, found in one pass.
#[derive(Default)]
struct ReplyFields<'a> {
    message_id: Option<Json<'a>>,
    recipient_id: Option<Json<'a>>,
    attachment_id: Option<Json<'a>>,
    success: Option<Json<'a>>,
    error: Option<Json<'a>>,
    code: Option<Json<'a>>,
    message: Option<Json<'a>>,
}

impl<'a> ReplyFields<'a> {
    fn find(json: Json<'a>) -> ReplyFields<'a> {
        let mut fields = ReplyFields::default();
        for (name, value) in json.members() {
            let member = match name.text().as_deref() {
                Some("message_id") => &mut fields.message_id,
                Some("recipient_id") => &mut fields.recipient_id,
                Some("attachment_id") => &mut fields.attachment_id,
                Some("success") => &mut fields.success,
                Some("error") => &mut fields.error,
                Some("code") => &mut fields.code,
                Some("message") => &mut fields.message,
                _ => continue,
            };
            *member = Some(value);
        }
        fields
    }

    /// Returns a member of the `error` object.
    fn in_error(&self, name: &str) -> Option<Json<'a>> {
        self.error?.get(name)
    }

    /// Returns whether the reply has Meta's numeric code or a code of the gateway.
    fn has_known_error_format(&self, response: &Response) -> bool {
        response.meta_code.is_some() || gateway_code(self.code).is_some()
    }

    /// Returns whether a 2xx reply reports an error. The gateway's code alone does, in its flat envelope. Beside an id,
    /// the code may be "OK".
    fn reports_error(&self, response: &Response, call: Call<'_>) -> bool {
        let ids = [&response.message_id, &response.recipient_id, &response.attachment_id];
        let accepts = ids.iter().any(|id| id.is_some() && !call.is_read()) || self.success.is_some_and(Json::is_true);
        self.error.is_some_and(|error| !error.is_null())
            || self.success.is_some_and(Json::is_false)
            || (gateway_code(self.code).is_some() && !accepts)
    }
}

/// Returns a code of the gateway: a string, but not Meta's number written as a string.
fn gateway_code(value: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    value?.text().filter(|code| !code.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.net/v1/1/messages";

    fn reply(status: u16, body: &str) -> HttpReply {
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
            let error = interpret(reply(status, body), Call::Message(b""), URL, "token").unwrap_err();
            let kind = if is_a_gateways { ErrorKind::Rejected } else { ErrorKind::Endpoint };
            assert_eq!(error.kind(), kind, "{status} {body}");
            let advice = "; POST https://example.net/v1/1/messages was not answered by a gateway: \
                correct the base URL and the account id";
            assert_eq!(error.to_string().ends_with(advice), !is_a_gateways, "{error}");
            assert!(error.to_string().starts_with(&format!("Instagram API error {status}: ")), "{error}");
            let truncated = HttpReply { truncated: Some("it was truncated".to_owned()), ..reply(status, body) };
            assert_eq!(
                interpret(truncated, Call::Message(b""), URL, "token").unwrap_err().kind(),
                ErrorKind::Rejected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_empty_id_is_none_and_accepts_nothing() {
        let sent = interpret(
            reply(200, r#"{"message_id":"","recipient_id":"1","attachment_id":null}"#),
            Call::Message(b""),
            URL,
            "token",
        )
        .unwrap();
        assert_eq!((sent.message_id(), sent.recipient_id(), sent.attachment_id()), (None, Some("1"), None));
        let error = interpret(reply(200, r#"{"message_id":"","code":"CLOSED"}"#), Call::Message(b""), URL, "token")
            .unwrap_err();
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
            let outcome =
                interpret(reply(201, &format!("{{\"code\":\"NEW_CODE\",{beside}}}")), Call::Message(b""), URL, "token");
            assert_eq!(
                outcome.err().map(|error| error.kind()),
                (!is_accepted).then_some(ErrorKind::Server),
                "{beside}"
            );
        }
        for code in ["\"200\"", "200", "\"\"", "null"] {
            assert!(
                interpret(reply(200, &format!("{{\"code\":{code}}}")), Call::Message(b""), URL, "token").is_ok(),
                "{code}"
            );
        }
    }
}
