//! From a request to its answer: the gateway's own checks first, then Meta's, then the ids.

use serde_json::{Map, Value, json};

use super::http::{self, Request};
use super::message_rules::{self, Accepted, Refusal};
use super::{Answer, Settings};

/// What every path begins with. Sandboxes leave out `/meta`; this is the gateway of an account.
pub const BASE_PATH: &str = "/meta/v25.0";

const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n\
    <meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n\
    <body>\n<pre>There is nothing at this address</pre>\n</body>\n</html>\n";

/// What can be posted to.
#[derive(Clone, Copy)]
enum Edge {
    Messages,
    MessageAttachments,
}

/// `number` counts the requests from 1; ids are made from it.
pub fn answer(request: &Request, settings: &Settings, number: usize) -> Answer {
    if request.method == "GET" && request.fault.is_none() {
        return read(request, settings).unwrap_or_else(|refused| refused);
    }
    match judge(request, settings, number) {
        Ok(accepted) => from_meta(200, &accepted_body(&accepted, settings, number)),
        Err(refused) => refused,
    }
}

fn judge(request: &Request, settings: &Settings, number: usize) -> Result<Accepted, Answer> {
    check_http(request)?;
    let (account_id, edge) = find_endpoint(&request.path)?;
    check_method(&request.method)?;
    check_token(request, &settings.token)?;
    check_content_type(request)?;
    judge_body(&request.body, account_id, edge, settings).map_err(|refusal| refused_by_meta(&refusal, number))
}

/// Answers a GET: the account by the name `me`, and any user by id.
fn read(request: &Request, settings: &Settings) -> Result<Answer, Answer> {
    let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let node = path.strip_prefix(BASE_PATH).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let is_user = !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit());
    if find_endpoint(&request.path).is_ok() {
        check_method(&request.method)?;
    }
    if node != "me" && !is_user {
        return Err(Answer::new(404, "text/html; charset=utf-8", NOT_FOUND_PAGE));
    }
    check_token(request, &settings.token)?;
    let body = match node {
        "me" => json!({"user_id": settings.account_id, "username": "your_account"}),
        user => json!({"id": user, "username": format!("user_{user}")}),
    };
    Ok(from_meta(200, &body))
}

fn check_http(request: &Request) -> Result<(), Answer> {
    match &request.fault {
        Some(fault) => Err(refused_by_gateway(fault.status, fault.code, fault.message)),
        None => Ok(()),
    }
}

fn find_endpoint(path: &str) -> Result<(&str, Edge), Answer> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let below = path.strip_prefix(BASE_PATH).and_then(|rest| rest.strip_prefix('/'));
    match below.and_then(|below| below.split_once('/')) {
        Some((account_id, "messages")) => Ok((account_id, Edge::Messages)),
        Some((account_id, "message_attachments")) => Ok((account_id, Edge::MessageAttachments)),
        _ => Err(Answer::new(404, "text/html; charset=utf-8", NOT_FOUND_PAGE)),
    }
}

fn check_method(method: &str) -> Result<(), Answer> {
    match method {
        "POST" => Ok(()),
        _ => Err(refused_by_gateway(405, "METHOD_NOT_ALLOWED", "Only POST works here.").with_header("Allow", "POST")),
    }
}

fn check_token(request: &Request, token: &str) -> Result<(), Answer> {
    let unauthorized =
        |message| Err(refused_by_gateway(401, "UNAUTHORIZED", message).with_header("WWW-Authenticate", "Bearer"));
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

fn check_content_type(request: &Request) -> Result<(), Answer> {
    let given = request.header("content-type").unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "The Content-Type must be application/json.";
    Err(refused_by_gateway(415, "UNSUPPORTED_MEDIA_TYPE", message))
}

fn judge_body(body: &[u8], account_id: &str, edge: Edge, settings: &Settings) -> Result<Accepted, Refusal> {
    let body = read_object(body)?;
    if account_id != settings.account_id {
        let message = format!("Account {account_id} does not exist or is not this token's");
        return Err(Refusal::with_subcode(message_rules::OBJECT_MISSING, message));
    }
    match edge {
        Edge::Messages => message_rules::check_send(&body, account_id),
        Edge::MessageAttachments => message_rules::check_upload(&body),
    }
}

fn read_object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::new("The body must be a JSON object")),
        Err(error) => Err(Refusal::new(format!("The body is not JSON: {error}"))),
    }
}

fn accepted_body(accepted: &Accepted, settings: &Settings, number: usize) -> Value {
    match accepted {
        Accepted::Message { recipient_id, keeps_attachment } => {
            let message_id = message_id(&settings.account_id, number);
            let mut body = json!({"recipient_id": recipient_id, "message_id": message_id});
            if *keeps_attachment {
                body["attachment_id"] = attachment_id(number).into();
            }
            body
        }
        Accepted::Action { recipient_id } => json!({"recipient_id": recipient_id}),
        Accepted::Upload => json!({"attachment_id": attachment_id(number)}),
    }
}

fn refused_by_meta(refusal: &Refusal, number: usize) -> Answer {
    let mut error = json!({
        "message": format!("(#{}) {}", refusal.code, refusal.message),
        "type": "OAuthException",
        "code": refusal.code,
        "fbtrace_id": base64(&format!("local-trace-{number:05}")),
    });
    if let Some(subcode) = refusal.subcode {
        error["error_subcode"] = subcode.into();
    }
    from_meta(400, &json!({"error": error}))
}

fn from_meta(status: u16, body: &Value) -> Answer {
    let usage = json!({"call_count": 1, "total_time": 1, "total_cputime": 1});
    Answer::json(status, body).with_header("X-App-Usage", &usage.to_string())
}

fn refused_by_gateway(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"code": code, "message": message}))
}

/// Long and opaque, like the real ones, and different for each request.
fn message_id(account_id: &str, number: usize) -> String {
    base64(&format!("ig_dm_item:1:IGMessageID:{account_id}:{number:073}")) + "ZDZD"
}

fn attachment_id(number: usize) -> String {
    format!("20876{number:011}")
}

/// Base64 without padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |bytes: &[u8]| -> String {
        let byte = |at| u32::from(bytes.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letter = |at: usize| char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63]);
        (0..=bytes.len()).map(letter).collect()
    };
    text.as_bytes().chunks(3).map(encode).collect()
}
