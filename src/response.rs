//! What the gateway answered: ids, Meta's words, pauses, the raw body and its one-line form.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::classify::{Body, Refusal, classify};
use crate::error::{Error, ErrorKind};
use crate::json::Json;
use crate::secret;
use crate::text::Text;
use crate::transport::Answer;

/// What the gateway answered, whether it accepted or refused.
///
/// An answer that accepts has a [`message_id`](Response::message_id), except for sender actions, reactions, uploads
/// and odd answers. The other accessors say what came and are empty where nothing did.
#[derive(Clone)]
pub struct Response {
    pub(crate) http_status: u16,
    pub(crate) message_id: Option<Text>,
    pub(crate) recipient_id: Option<Text>,
    pub(crate) attachment_id: Option<Text>,
    pub(crate) meta_code: Option<i32>,
    pub(crate) meta_subcode: Option<i32>,
    pub(crate) gateway_code: Option<Text>,
    pub(crate) error_message: Option<Text>,
    pub(crate) user_message: Option<Text>,
    pub(crate) trace_id: Option<Text>,
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
        self.message_id.as_ref().map(Text::as_str)
    }

    /// The id of the user that it was sent to.
    pub fn recipient_id(&self) -> Option<&str> {
        self.recipient_id.as_ref().map(Text::as_str)
    }

    /// The id under which uploaded or reusable media can be sent again.
    pub fn attachment_id(&self) -> Option<&str> {
        self.attachment_id.as_ref().map(Text::as_str)
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
        self.gateway_code.as_ref().map(Text::as_str)
    }

    /// Meta's or the gateway's own words about an error, as they came.
    pub fn error_message(&self) -> Option<&str> {
        self.error_message.as_ref().map(Text::as_str)
    }

    /// Meta's words about an error that are meant for people (`error_user_msg`).
    pub fn user_message(&self) -> Option<&str> {
        self.user_message.as_ref().map(Text::as_str)
    }

    /// The id that Meta's support asks for (`fbtrace_id`).
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_ref().map(Text::as_str)
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

/// Turns the answer to a POST to `url` into what the send returns. `token` is hidden should the answer repeat it.
pub(crate) fn judge(answer: Answer, url: &str, token: &str) -> Result<Response, Error> {
    let text = match std::str::from_utf8(&answer.body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(&answer.body),
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let json = if answer.cut.is_none() { Json::parse(text).ok() } else { None };
    let reply = json.map(Reply::read).unwrap_or_default();
    let mut response = read(&answer, &reply);
    let is_object = json.is_some_and(Json::is_object);
    let failure = if !is_success(answer.status) || reply.denies(&response) {
        let body = match answer.cut {
            None if !is_object => Body::NoObject,
            None if !reply.is_in_an_envelope(&response) => Body::StrangeObject,
            _ => Body::Theirs,
        };
        let kind = kind_of(&reply, &response, body);
        let printed = json.map_or_else(|| "{}".to_owned(), |json| secret::hide(json.print(), token));
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

fn unusable(answer: &Answer) -> String {
    let what = match &answer.cut {
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
fn read(answer: &Answer, reply: &Reply<'_>) -> Response {
    // An empty id says nothing.
    let id = |value: Option<Json<'_>>| value?.text_or_number().filter(|id| !id.is_empty()).map(Text::new);
    let text = |value: Option<Json<'_>>| value?.text().map(Text::new);
    let meta_code = reply.in_error("code").and_then(Json::integer);
    let usage = Usage::of(answer);
    Response {
        http_status: answer.status,
        message_id: id(reply.message_id),
        recipient_id: id(reply.recipient_id),
        attachment_id: id(reply.attachment_id),
        meta_code,
        meta_subcode: reply.in_error("error_subcode").and_then(Json::integer).filter(|_| meta_code.is_some()),
        gateway_code: own_code(reply.code).or_else(|| own_code(reply.in_error("code"))).map(Text::new),
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
    value?.text().filter(|code| !is_digits(code))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What Meta's usage headers say. A header that cannot be read says nothing.
#[derive(Default)]
struct Usage {
    percent: Option<u32>,
    regain_seconds: Option<u32>,
}

impl Usage {
    fn of(answer: &Answer) -> Usage {
        let mut usage = Usage::default();
        if let Some(app) = answer.app_usage.as_deref().and_then(|text| Json::parse(text).ok()) {
            usage.add(app);
        }
        if let Some(business) = answer.business_usage.as_deref().and_then(|text| Json::parse(text).ok()) {
            business.members().flat_map(|(_, uses)| uses.items()).for_each(|one| usage.add(one));
        }
        usage
    }

    fn add(&mut self, one: Json<'_>) {
        let figure = |name| one.get(name).and_then(Json::number).filter(|number| *number >= 0.0);
        for percent in ["call_count", "total_time", "total_cputime"].into_iter().filter_map(figure) {
            self.percent = self.percent.max(Some((percent.ceil() as u32).min(i32::MAX as u32)));
        }
        if let Some(minutes) = figure("estimated_time_to_regain_access").filter(|minutes| *minutes > 0.0) {
            self.regain_seconds = self.regain_seconds.max(Some(((minutes * 60.0) as u32).min(i32::MAX as u32)));
        }
    }
}

/// `Retry-After` is a number of seconds or a date.
fn wait_seconds(value: &str) -> Option<u32> {
    let value = value.trim();
    let seconds = if !value.is_empty() && is_digits(value) {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        http_date(value)?.saturating_sub(now)
    };
    u32::try_from(seconds.min(i32::MAX as u64)).ok()
}

/// Seconds since 1970 of a date in one of the three forms of RFC 9110, section 5.6.7.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            let mut parts = word.split(':').map(|part| part.parse::<u64>().ok());
            let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
            time = (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second);
        } else if let Some(at) = MONTHS.iter().position(|name| *name == word) {
            month = Some(at as u64 + 1);
        } else if let Ok(number) = word.parse::<u64>() {
            match day {
                None => day = (1..=31).contains(&number).then_some(number),
                Some(_) if word.len() == 2 => year = Some(if number < 70 { 2000 + number } else { 1900 + number }),
                Some(_) => year = (1970..=9999).contains(&number).then_some(number),
            }
        }
    }
    Some(days_since_1970(year?, month?, day?) * 86_400 + time?)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Counting from March puts the leap day at the end of the year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_1970 = 719_468;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - days_before_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.net/v1/1/messages";

    fn answer(status: u16, body: &str) -> Answer {
        let body = body.as_bytes().to_vec();
        Answer { status, retry_after: None, app_usage: None, business_usage: None, body, cut: None }
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
            let cut = Answer { cut: Some("it was cut".to_owned()), ..answer(status, body) };
            assert_eq!(judge(cut, URL, "token").unwrap_err().kind(), ErrorKind::Rejected, "{status} {body}");
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

    #[test]
    fn a_date_is_read_in_all_three_forms_of_http() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in ["", "soon", "06 Nov 1994", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:00:00 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_and_never_negative() {
        assert_eq!(wait_seconds("30"), Some(30));
        assert_eq!(wait_seconds(" 0 "), Some(0));
        assert_eq!(wait_seconds("99999999999999999999"), Some(i32::MAX as u32));
        assert_eq!(wait_seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        for text in ["", "soon", "-5", "1.5", "00000000000000008680000000000000:0000143:7"] {
            assert_eq!(wait_seconds(text), None, "{text}");
        }
    }
}
