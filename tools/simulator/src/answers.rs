//! From a request to its response: the gateway's own checks first, then Meta's, then the ids.

use serde_json::{Map, Value, json};

use crate::Settings;
use crate::conclusions::{Conclusion, concludes, concludes_from_gateway, concludes_from_meta};
use crate::http::{self, Answer, Request};
use crate::message_rules::{self, Accepted, Kind, Refusal};

const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n\
    <meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n\
    <body>\n<pre>There is nothing at this address</pre>\n</body>\n</html>\n";

/// A refusal as it goes out, and what a client must conclude from it.
pub(crate) type Refused = (Answer, &'static [Conclusion]);

/// What can be posted to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Edge {
    Messages,
    MessageAttachments,
}

/// Checks the head alone: address, method, token and content type.
pub(crate) fn check_head<'a>(request: &'a Request, settings: &Settings) -> Result<(&'a str, Edge), Refused> {
    check_http(request)?;
    let (account_id, edge) = find_endpoint(&request.path, settings.base_path())?;
    check_method(&request.method)?;
    check_token(request, &settings.token)?;
    check_content_type(request)?;
    Ok((account_id, edge))
}

/// Answers a GET: the account by the name `me`, and any user by id.
pub(crate) fn read(request: &Request, settings: &Settings) -> Result<Answer, Refused> {
    check_http(request)?;
    let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let node = path.strip_prefix(settings.base_path()).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let is_user = !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit());
    if find_endpoint(&request.path, settings.base_path()).is_ok() {
        check_method(&request.method)?;
    }
    if node != "me" && !is_user {
        return Err((not_found(), concludes(27)));
    }
    check_token(request, &settings.token)?;
    let body = match node {
        "me" => json!({"user_id": settings.account_id, "username": "your_account"}),
        user => json!({"id": user, "username": format!("user_{user}")}),
    };
    Ok(from_meta(200, &body))
}

fn check_http(request: &Request) -> Result<(), Refused> {
    match &request.fault {
        Some(fault) => Err(refused_by_gateway(fault.status, fault.code, fault.message)),
        None => Ok(()),
    }
}

fn find_endpoint<'a>(path: &'a str, base_path: &str) -> Result<(&'a str, Edge), Refused> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let below = path.strip_prefix(base_path).and_then(|rest| rest.strip_prefix('/'));
    match below.and_then(|below| below.split_once('/')) {
        Some((account_id, "messages")) => Ok((account_id, Edge::Messages)),
        Some((account_id, "message_attachments")) => Ok((account_id, Edge::MessageAttachments)),
        _ => Err((not_found(), concludes(27))),
    }
}

pub(crate) fn not_found() -> Answer {
    Answer::new(404, "text/html; charset=utf-8", NOT_FOUND_PAGE)
}

fn check_method(method: &str) -> Result<(), Refused> {
    match method {
        "POST" => Ok(()),
        _ => {
            let (answer, conclusions) = refused_by_gateway(405, "METHOD_NOT_ALLOWED", "Only POST works here.");
            Err((answer.with_header("Allow", "POST"), conclusions))
        }
    }
}

fn check_token(request: &Request, token: &str) -> Result<(), Refused> {
    let unauthorized = |message| {
        let (answer, conclusions) = refused_by_gateway(401, "UNAUTHORIZED", message);
        Err((answer.with_header("WWW-Authenticate", "Bearer"), conclusions))
    };
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|pair| pair.split('=').next() == Some("access_token")) {
        return unauthorized("The token belongs in the Authorization header, not in the address.");
    }
    match request.header("authorization").map(http::bearer_token) {
        Some(Some(given)) if given == token => Ok(()),
        Some(Some(_)) => unauthorized("This token is unknown or was replaced by a newer one."),
        Some(None) => unauthorized("The Authorization header does not say Bearer and a token."),
        None => unauthorized("The Authorization header is missing."),
    }
}

fn check_content_type(request: &Request) -> Result<(), Refused> {
    if is_json(request) {
        return Ok(());
    }
    let message = "The Content-Type must be application/json.";
    Err(refused_by_gateway(415, "UNSUPPORTED_MEDIA_TYPE", message))
}

/// Whether the content type of a request is JSON, with whatever parameters.
pub(crate) fn is_json(request: &Request) -> bool {
    let given = request.header("content-type").unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Checks an account and a body against Meta's rules.
pub(crate) fn check_body<'a>(
    body: &'a Map<String, Value>,
    account_id: &str,
    edge: Edge,
    settings: &Settings,
) -> Result<Accepted<'a>, Refusal> {
    if account_id != settings.account_id {
        let message = format!("Account {account_id} does not exist or is not this token's");
        return Err(Refusal::with_subcode(message_rules::OBJECT_MISSING, message));
    }
    match edge {
        Edge::Messages => message_rules::check_send(body, account_id),
        Edge::MessageAttachments => message_rules::check_upload(body),
    }
}

pub(crate) fn read_object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::new("The body must be a JSON object")),
        Err(error) => Err(Refusal::new(format!("The body is not JSON: {error}"))),
    }
}

/// The 200 for what was accepted. `user` is whom it went to.
pub(crate) fn accepted(what: &Accepted, user: Option<&str>, message_id: Option<&str>, number: u64) -> Answer {
    let body = match what.kind {
        Kind::Message => {
            let mut body = json!({"recipient_id": user, "message_id": message_id});
            if what.keeps_attachment {
                body["attachment_id"] = attachment_id(number).into();
            }
            body
        }
        Kind::Action => json!({"recipient_id": user}),
        Kind::Upload => json!({"attachment_id": attachment_id(number)}),
    };
    from_meta(200, &body)
}

/// A refusal in Meta's envelope.
pub(crate) fn refused_by_meta(refusal: &Refusal, number: u64) -> Refused {
    let mut error = json!({
        "message": format!("(#{}) {}", refusal.code, refusal.message),
        "type": "OAuthException",
        "code": refusal.code,
        "fbtrace_id": base64(&format!("local-trace-{number:05}")),
    });
    if let Some(subcode) = refusal.subcode {
        error["error_subcode"] = subcode.into();
    }
    let conclusions = concludes_from_meta(refusal.code, refusal.subcode);
    (from_meta(refusal.status, &json!({"error": error})), conclusions)
}

fn from_meta(status: u16, body: &Value) -> Answer {
    const USAGE: &str = r#"{"call_count":1,"total_cputime":1,"total_time":1}"#;
    let mut answer = Answer::json(status, body);
    answer.headers.push(("X-App-Usage".into(), USAGE.into()));
    answer
}

/// A refusal in the gateway's own flat shape.
pub(crate) fn refused_by_gateway(status: u16, code: &str, message: &str) -> Refused {
    let conclusions = concludes_from_gateway(status, code);
    (Answer::json(status, &json!({"code": code, "message": message})), conclusions)
}

/// Long and opaque, like the real ones, and different for each request.
pub(crate) fn message_id(account_id: &str, number: u64) -> String {
    base64(&format!("ig_dm_item:1:IGMessageID:{account_id}:{number:073}")) + "ZDZD"
}

fn attachment_id(number: u64) -> String {
    format!("20876{number:011}")
}

/// Base64 without padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(text.len() * 4 / 3 + 4);
    for bytes in text.as_bytes().chunks(3) {
        let byte = |at| u32::from(bytes.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        encoded.extend((0..=bytes.len()).map(|at| char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63])));
    }
    encoded
}

/// The id of something that a user wrote.
pub(crate) fn user_message_id(user: &str, number: u64) -> String {
    base64(&format!("ig_dm_item:1:UserMessageID:{user}:{number:060}")) + "ZDZD"
}
