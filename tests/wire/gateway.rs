//! The local gateway of `examples/gateway/`, spoken to in raw HTTP.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::gateway::{Answer, Gateway, Received, Settings, hide_token};
use serde_json::{Value, json};

const TEXT: &str = r#"{"recipient":{"id":"8123456789012345"},"message":{"text":"Hello"}}"#;
const MESSAGES: &str = "/meta/v25.0/17841450000000017/messages";
const UPLOADS: &str = "/meta/v25.0/17841450000000017/message_attachments";

/// A test that waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(20);

// What a client does

/// A connection to the gateway, and what came over it that no answer has used yet.
struct Line {
    stream: TcpStream,
    unread: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Line {
    fn to(gateway: &Gateway) -> Line {
        let stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Line { stream, unread: Vec::new() }
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    fn hear(&mut self) -> Reply {
        loop {
            if let Some((mut reply, head_length)) = parse_reply(&self.unread) {
                let body_length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
                if self.unread.len() >= head_length + body_length {
                    reply.body = self.unread.drain(..head_length + body_length).skip(head_length).collect();
                    return reply;
                }
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the gateway hung up after {:?}", String::from_utf8_lossy(&self.unread));
            self.unread.extend_from_slice(&chunk[..count]);
        }
    }

    fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.say(request);
        self.hear()
    }

    /// Everything up to the end that the gateway makes.
    fn rest(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.unread).unwrap();
        self.unread
    }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn parse_reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).unwrap() else {
        return None;
    };
    let as_text =
        |header: &httparse::Header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap());
    let headers = parsed.headers.iter().map(as_text).collect();
    Some((Reply { status: parsed.code.unwrap(), headers, body: Vec::new() }, length))
}

/// The headers of a request that nothing is wrong with, without its length.
fn good_headers() -> String {
    let token = Settings::default().token;
    format!("Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

fn request(start: &str, headers: &str, body: &str) -> String {
    format!("{start} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn post(path: &str, body: &str) -> String {
    request(&format!("POST {path}"), &good_headers(), body)
}

fn ask_once(gateway: &Gateway, request: impl AsRef<[u8]>) -> Reply {
    Line::to(gateway).ask(request)
}

fn send_body(gateway: &Gateway, body: &Value) -> Reply {
    ask_once(gateway, post(MESSAGES, &body.to_string()))
}

fn assert_refused_by_meta(reply: &Reply, subcode: Option<u32>) {
    assert_eq!(reply.status, 400);
    let body = reply.json();
    let error = &body["error"];
    assert_eq!(error["code"], 100, "{body}");
    assert_eq!(error["error_subcode"], json!(subcode), "{body}");
    assert_eq!(error["type"], "OAuthException");
    assert!(error["message"].is_string() && error["fbtrace_id"].is_string(), "{body}");
}

fn assert_refused_by_gateway(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status, &reply.json()["code"]), (status, &json!(code)));
    assert!(reply.json()["message"].is_string());
}

fn vectors(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder);
    let mut found: Vec<(String, Value)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let vector = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
            (entry.file_name().into_string().unwrap(), vector)
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!found.is_empty());
    found
}

// What is accepted

#[test]
fn a_text_gets_the_recipient_and_a_long_message_id() {
    let gateway = Gateway::start().unwrap();
    let reply = ask_once(&gateway, post(MESSAGES, TEXT));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(reply.json()["recipient_id"], "8123456789012345");
    assert!(reply.json()["message_id"].as_str().unwrap().len() > 100);
}

#[test]
fn message_ids_differ_within_a_gateway_and_repeat_in_the_next() {
    let ids = || {
        let gateway = Gateway::start().unwrap();
        let mut line = Line::to(&gateway);
        [(); 3].map(|()| line.ask(post(MESSAGES, TEXT)).json()["message_id"].as_str().unwrap().to_owned())
    };
    let [one, two, three] = ids();
    assert!(one != two && two != three && one != three);
    assert_eq!(ids(), [one, two, three]);
}

#[test]
fn every_request_vector_is_accepted() {
    let gateway = Gateway::start().unwrap();
    let mut line = Line::to(&gateway);
    for (name, vector) in vectors("requests") {
        let body = &vector["expect_body"];
        let path = format!("/meta/v25.0{}", vector["expect_path"].as_str().unwrap());
        let reply = line.ask(post(&path, &body.to_string()));
        let answer = reply.json();
        assert_eq!(reply.status, 200, "{name}: {answer}");
        let is_upload = path.ends_with("/message_attachments");
        let is_reusable = body.pointer("/message/attachment/payload/is_reusable").is_some();
        assert_eq!(answer["message_id"].is_string(), body["message"].is_object() && !is_upload, "{name}");
        assert_eq!(answer["attachment_id"].is_string(), is_upload || is_reusable, "{name}");
        assert_eq!(answer["recipient_id"].is_string(), !is_upload, "{name}");
    }
}

#[test]
fn unknown_fields_beside_the_message_are_left_alone() {
    let gateway = Gateway::start().unwrap();
    let mut body: Value = serde_json::from_str(TEXT).unwrap();
    body["something_new"] = json!({"a": 1});
    assert_eq!(send_body(&gateway, &body).status, 200);
}

// What the gateway refuses

#[test]
fn a_wrong_missing_or_misplaced_token_is_401() {
    let gateway = Gateway::start().unwrap();
    let token = gateway.token();
    let start = format!("POST {MESSAGES}");
    for authorization in [
        "".to_owned(),
        "Authorization: Bearer wrong\r\n".to_owned(),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Bearer {token}x\r\n"),
    ] {
        let headers = format!("Host: localhost\r\nContent-Type: application/json\r\n{authorization}");
        let reply = ask_once(&gateway, request(&start, &headers, TEXT));
        assert_refused_by_gateway(&reply, 401, "UNAUTHORIZED");
    }
    let in_query = format!("{MESSAGES}?fields=a&access_token={token}");
    assert_refused_by_gateway(&ask_once(&gateway, post(&in_query, TEXT)), 401, "UNAUTHORIZED");
}

#[test]
fn other_paths_are_a_404_page_and_other_methods_405() {
    let gateway = Gateway::start().unwrap();
    for path in ["/", "/v25.0/17841450000000017/messages", "/meta/v25.0/messages", &format!("{MESSAGES}/")] {
        let reply = ask_once(&gateway, post(path, TEXT));
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.header("content-type").unwrap().starts_with("text/html"));
        assert!(String::from_utf8(reply.body).unwrap().contains("<html"));
    }
    for path in [MESSAGES, UPLOADS] {
        let reply = ask_once(&gateway, request(&format!("GET {path}"), &good_headers(), ""));
        assert_refused_by_gateway(&reply, 405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
}

#[test]
fn only_json_by_content_type_is_looked_at() {
    let gateway = Gateway::start().unwrap();
    let start = format!("POST {MESSAGES}");
    let with_type = |line: &str| good_headers().replace("Content-Type: application/json\r\n", line);
    for line in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let reply = ask_once(&gateway, request(&start, &with_type(line), TEXT));
        assert_refused_by_gateway(&reply, 415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let with_charset = with_type("content-type: Application/JSON;charset=utf-8\r\n");
    assert_eq!(ask_once(&gateway, request(&start, &with_charset, TEXT)).status, 200);
}

#[test]
fn an_account_of_somebody_else_is_an_object_that_is_missing() {
    let gateway = Gateway::start().unwrap();
    let reply = ask_once(&gateway, post("/meta/v25.0/17841450000000099/messages", TEXT));
    assert_refused_by_meta(&reply, Some(33));
}

// What Meta refuses

#[test]
fn a_body_that_is_no_json_object_is_refused() {
    let gateway = Gateway::start().unwrap();
    for body in ["", "{", "[]", "null", "\"text\"", "{\"recipient\":}", "{} {}"] {
        assert_refused_by_meta(&ask_once(&gateway, post(MESSAGES, body)), None);
    }
}

#[test]
fn every_invalid_request_vector_is_refused() {
    // Meta cuts a title that is too long instead of refusing it.
    const ACCEPTED: [&str; 1] = ["11-quick-reply-title-21.json"];
    let gateway = Gateway::start().unwrap();
    let mut line = Line::to(&gateway);
    for (name, vector) in vectors("requests_invalid") {
        let reply = line.ask(post(MESSAGES, &body_of(&vector["send"]).to_string()));
        let expected = if ACCEPTED.contains(&name.as_str()) { 200 } else { 400 };
        assert_eq!(reply.status, expected, "{name}: {}", reply.json());
        if expected == 400 {
            assert_eq!(reply.json()["error"]["code"], 100, "{name}");
        }
    }
}

/// The body that a careless client would make of a `send`.
fn body_of(send: &Value) -> Value {
    let recipient = match &send["to"] {
        Value::Object(to) => {
            let names = [("user", "id"), ("comment", "comment_id")];
            let renamed = names.into_iter().filter_map(|(from, name)| Some((name.to_owned(), to.get(from)?.clone())));
            Value::Object(renamed.collect())
        }
        _ => Value::Null,
    };
    let template = |payload: Value| json!({"attachment": {"type": "template", "payload": payload}});
    let message = match send["kind"].as_str().unwrap() {
        "text" => json!({"text": send["text"]}),
        "quick_replies" => {
            let reply =
                |reply: &Value| json!({"content_type": "text", "title": reply["title"], "payload": reply["payload"]});
            json!({"text": send["text"], "quick_replies": each(&send["options"], reply)})
        }
        "button_template" => template(
            json!({"template_type": "button", "text": send["text"], "buttons": each(&send["buttons"], button)}),
        ),
        "generic_template" => template(json!({"template_type": "generic", "elements": each(&send["cards"], card)})),
        "image" => json!({"attachment": image(send)}),
        "images" => json!({"attachments": each(&send["images"], image)}),
        "react" => {
            let payload = json!({"message_id": send["message_id"], "reaction": send["reaction"]});
            return json!({"recipient": recipient, "sender_action": "react", "payload": payload});
        }
        action => return json!({"recipient": recipient, "sender_action": action}),
    };
    json!({"recipient": recipient, "message": message})
}

fn each(list: &Value, make: impl Fn(&Value) -> Value) -> Value {
    list.as_array().unwrap().iter().map(make).collect()
}

fn image(from: &Value) -> Value {
    let names = ["url", "attachment_id"].into_iter();
    let payload = names.filter_map(|name| Some((name.to_owned(), from.get(name)?.clone())));
    json!({"type": "image", "payload": Value::Object(payload.collect())})
}

fn button(from: &Value) -> Value {
    json!({"type": "postback", "title": from["title"], "payload": from["postback"]})
}

fn card(from: &Value) -> Value {
    let mut card = from.clone();
    if let Some(buttons) = from.get("buttons") {
        card["buttons"] = each(buttons, button);
    }
    card
}

#[test]
fn refusals_carry_the_subcode_that_meta_gives_them() {
    let gateway = Gateway::start().unwrap();
    let user = json!({"id": "8123456789012345"});
    let text = json!({"text": "x"});
    let url = |url: &str| json!({"attachment": {"type": "image", "payload": {"url": url}}});
    for (body, subcode) in [
        (json!({"recipient": user, "message": text, "sender_action": "typing_on"}), Some(2018014)),
        (json!({"recipient": {"id": gateway.account_id()}, "message": text}), Some(2534014)),
        (json!({"recipient": {"id": "17841400000000000"}, "message": text}), Some(2534014)),
        (json!({"recipient": user, "message": url("/mug.jpg")}), Some(2018008)),
        (json!({"recipient": user, "message": {"text": "x", "attachment": {"type": "like_heart"}}}), Some(2534015)),
        (json!({"recipient": user}), None),
        (json!({"recipient": {"id": 8123456789012345_u64}, "message": text}), None),
        (json!({"recipient": {"comment_id": "17912345678901234"}, "sender_action": "typing_on"}), None),
        (json!({"recipient": user, "message": text, "tag": "ACCOUNT_UPDATE"}), None),
        (json!({"recipient": user, "sender_action": "dance"}), None),
        (json!({"recipient": user, "message": {"attachment": {"type": "hologram", "payload": {}}}}), None),
        (json!({"recipient": user, "message": text, "reply_to": {}}), None),
    ] {
        assert_refused_by_meta(&send_body(&gateway, &body), subcode);
    }
}

#[test]
fn a_refusal_names_the_field_the_limit_and_what_was_given() {
    let gateway = Gateway::start().unwrap();
    let reply = send_body(&gateway, &json!({"recipient": {"id": "1"}, "message": {"text": "a".repeat(1001)}}));
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    for part in ["message.text", "1001", "1000", "bytes"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_upload_takes_media_by_address_only() {
    let gateway = Gateway::start().unwrap();
    let upload = |attachment: Value| {
        ask_once(&gateway, post(UPLOADS, &json!({"message": {"attachment": attachment}}).to_string())).status
    };
    assert_eq!(upload(json!({"type": "video", "payload": {"url": "https://cdn.example.net/v.mp4"}})), 200);
    assert_eq!(upload(json!({"type": "video", "payload": {"attachment_id": "1"}})), 400);
    assert_eq!(upload(json!({"type": "like_heart"})), 400);
}

// How HTTP is spoken

#[test]
fn one_connection_takes_many_requests() {
    let gateway = Gateway::start().unwrap();
    let mut first = Line::to(&gateway);
    assert_eq!(first.ask(post(MESSAGES, TEXT)).status, 200);
    assert_eq!(first.ask(post(MESSAGES, "{")).status, 400);
    assert_eq!(first.ask(post(MESSAGES, TEXT)).status, 200);
    assert_eq!(ask_once(&gateway, post(MESSAGES, TEXT)).status, 200);
    let connections: Vec<usize> = gateway.received().iter().map(|received| received.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gateway = Gateway::start().unwrap();
    let mut line = Line::to(&gateway);
    line.say([post(MESSAGES, TEXT), post(UPLOADS, "{"), post("/", TEXT)].concat());
    assert_eq!([(); 3].map(|()| line.hear().status), [200, 400, 404]);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let gateway = Gateway::start().unwrap();
    let mut line = Line::to(&gateway);
    line.stream.set_nodelay(true).unwrap();
    for byte in post(MESSAGES, TEXT).bytes() {
        line.say([byte]);
    }
    assert_eq!(line.hear().status, 200);
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let gateway = Gateway::start().unwrap();
    let mut line = Line::to(&gateway);
    let headers = format!("{}Expect: 100-continue\r\n", good_headers());
    let (head, body) = {
        let whole = request(&format!("POST {MESSAGES}"), &headers, TEXT);
        let at = whole.find("\r\n\r\n").unwrap() + 4;
        (whole[..at].to_owned(), whole[at..].to_owned())
    };
    assert_eq!(line.ask(head).status, 100);
    assert_eq!(line.ask(body).status, 200);
}

#[test]
fn close_is_honoured_and_http_1_0_closes() {
    let gateway = Gateway::start().unwrap();
    let closing = request(&format!("POST {MESSAGES}"), &format!("{}Connection: Close\r\n", good_headers()), TEXT);
    let old = post(MESSAGES, TEXT).replacen("HTTP/1.1", "HTTP/1.0", 1);
    for request in [closing, old] {
        let mut line = Line::to(&gateway);
        let reply = line.ask(request);
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(line.rest().is_empty());
    }
}

#[test]
fn what_is_not_http_is_refused_and_the_connection_ends() {
    let gateway = Gateway::start().unwrap();
    let start = format!("POST {MESSAGES} HTTP/1.1\r\n{}", good_headers());
    let many_headers = "X-Filler: 1\r\n".repeat(200);
    let long_header = format!("X-Filler: {}\r\n", "x".repeat(100_000));
    for (request, status) in [
        ("BLA BLA BLA\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), 400),
        (format!("{start}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), 400),
        (format!("{start}Content-Length: +2\r\n\r\n{{}}"), 400),
        (format!("{start}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), 411),
        (format!("{start}Content-Length: 1048577\r\n\r\n"), 413),
        (format!("{start}Content-Length: 99999999999999999999999\r\n\r\n"), 413),
        (format!("{start}Expect: a miracle\r\nContent-Length: 0\r\n\r\n"), 417),
        (format!("{start}{many_headers}Content-Length: 0\r\n\r\n"), 431),
        (format!("{start}{long_header}Content-Length: 0\r\n\r\n"), 431),
    ] {
        let mut line = Line::to(&gateway);
        assert_eq!(line.ask(&request).status, status, "{:.200}", request);
        assert!(line.rest().is_empty());
    }
    assert_eq!(gateway.received().len(), 10);
}

#[test]
fn a_client_that_sends_too_much_still_gets_its_answer() {
    let gateway = Gateway::start().unwrap();
    let reply = ask_once(&gateway, post(MESSAGES, &" ".repeat(4 * 1024 * 1024)));
    assert_refused_by_gateway(&reply, 413, "BODY_TOO_LARGE");
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let gateway = Gateway::start().unwrap();
    let padded = TEXT.to_owned() + &" ".repeat(1024 * 1024 - TEXT.len());
    assert_eq!(ask_once(&gateway, post(MESSAGES, &padded)).status, 200);
}

/// A stream in memory that counts how often it is written to.
struct Memory<'a> {
    incoming: &'a [u8],
    writes: &'a Mutex<Vec<Vec<u8>>>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn any_stream_can_be_served_and_an_answer_is_one_write() {
    let gateway = Gateway::start().unwrap();
    let requests = [post(MESSAGES, TEXT), post(MESSAGES, TEXT)].concat();
    let writes = Mutex::default();
    gateway.handle().serve(Memory { incoming: requests.as_bytes(), writes: &writes });
    let writes = writes.into_inner().unwrap();
    assert_eq!(writes.len(), 2);
    for write in writes {
        let (reply, head_length) = parse_reply(&write).unwrap();
        let announced = reply.header("content-length").unwrap().parse::<usize>().unwrap();
        assert_eq!((reply.status, head_length + announced), (200, write.len()));
    }
    assert_eq!(gateway.received().len(), 2);
}

// What tests need

#[test]
fn planned_answers_are_played_in_order_and_then_its_own_again() {
    let gateway = Gateway::start().unwrap();
    gateway.answer_next(Answer::json(503, &json!({"a": 1})).with_header("Retry-After", "7"));
    gateway.answer_next(Answer { status: 204, headers: Vec::new(), body: Vec::new() });
    let mut line = Line::to(&gateway);
    let busy = line.ask(post(MESSAGES, TEXT));
    assert_eq!((busy.status, busy.header("retry-after"), busy.json()), (503, Some("7"), json!({"a": 1})));
    let empty = line.ask(post(MESSAGES, "not even JSON"));
    assert_eq!((empty.status, empty.header("content-length")), (204, None));
    assert_eq!(line.ask(post(MESSAGES, TEXT)).status, 200);
    let statuses: Vec<u16> = gateway.received().iter().map(|received| received.answer.status).collect();
    assert_eq!(statuses, [503, 204, 200]);
}

#[test]
fn a_planned_answer_with_a_length_of_its_own_can_be_cut() {
    let gateway = Gateway::start().unwrap();
    gateway.answer_next(Answer::new(200, "application/json", "{\"mess").with_header("Content-Length", "100"));
    let mut line = Line::to(&gateway);
    line.say(post(MESSAGES, TEXT));
    let all = String::from_utf8(line.rest()).unwrap();
    assert!(all.ends_with("\r\n\r\n{\"mess"), "{all}");
    assert_eq!(all.matches("Content-Length").count(), 1);
}

#[test]
fn everything_received_is_kept_as_it_came() {
    let gateway = Gateway::start().unwrap();
    let request = post(MESSAGES, TEXT);
    ask_once(&gateway, &request);
    ask_once(&gateway, "nonsense\r\n\r\n");
    let [accepted, nonsense] = &gateway.received()[..] else { panic!() };
    assert_eq!(accepted.head.clone() + TEXT, request);
    assert_eq!((accepted.method.as_str(), accepted.path.as_str()), ("POST", MESSAGES));
    assert_eq!(accepted.header("CONTENT-TYPE"), Some("application/json"));
    assert_eq!(accepted.bearer_token(), Some(gateway.token()));
    assert_eq!(accepted.json(), serde_json::from_str(TEXT).ok());
    assert!(accepted.answer.is_success());
    assert_eq!((nonsense.method.as_str(), nonsense.answer.status), ("", 400));
}

#[test]
fn an_observer_sees_every_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let seen = Arc::clone(&seen);
        move |received: &Received| seen.lock().unwrap().push(received.answer.status)
    };
    let settings = Settings { on_request: Some(Box::new(note)), ..Settings::default() };
    let gateway = Gateway::start_with(settings, "127.0.0.1:0").unwrap();
    ask_once(&gateway, post(MESSAGES, TEXT));
    ask_once(&gateway, post("/", TEXT));
    assert_eq!(*seen.lock().unwrap(), [200, 404]);
}

#[test]
fn account_and_token_can_be_chosen() {
    let settings = Settings { account_id: "SBX_IG".to_owned(), token: "it's-mine".to_owned(), on_request: None };
    let gateway = Gateway::start_with(settings, "127.0.0.1:0").unwrap();
    let headers = "Host: x\r\nAuthorization: Bearer it's-mine\r\nContent-Type: application/json\r\n";
    assert_eq!(ask_once(&gateway, request("POST /meta/v25.0/SBX_IG/messages", headers, TEXT)).status, 200);
    assert!(gateway.curl_line().contains(r"Bearer it'\''s-mine'"));
    let expected = format!(
        "INSTAGRAM_GRAPH_API_URL=http://{}/meta/v25.0\nINSTAGRAM_ACCOUNT_ID=SBX_IG\nINSTAGRAM_ACCESS_TOKEN=it's-mine\n",
        gateway.address()
    );
    assert_eq!(gateway.env_lines(), expected);
}

#[test]
fn only_loopback_can_be_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:0"] {
        let error = Gateway::start_on(address).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn dropping_the_gateway_ends_every_connection_and_the_listener() {
    let gateway = Gateway::start().unwrap();
    let address = gateway.address();
    let mut idle = Line::to(&gateway);
    assert_eq!(idle.ask(post(MESSAGES, TEXT)).status, 200);
    let mut halfway = Line::to(&gateway);
    halfway.say("POST /meta");
    let mut flooded = Line::to(&gateway);
    assert_eq!(flooded.ask(post(MESSAGES, &" ".repeat(2 * 1024 * 1024))).status, 413);
    let silent = Line::to(&gateway);
    drop(gateway);
    assert!(idle.rest().is_empty());
    for mut line in [halfway, flooded, silent] {
        // The end may be a reset where bytes were left unread.
        assert!(!matches!(line.stream.read(&mut [0]), Ok(1..)));
    }
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_middle_of_a_token_is_hidden_wherever_it_stands() {
    let token = Settings::default().token;
    assert_eq!(hide_token(&format!("a {token} b {token}"), &token), "a hmat_live_...0000 b hmat_live_...0000");
    assert_eq!(hide_token("code ABCD-1234", "ABCD-1234"), "code ...");
    assert_eq!(hide_token("x", "0123456789abcdefghijklmn"), "x");
    assert_eq!(hide_token("0123456789abcdefghijklmn", "0123456789abcdefghijklmn"), "...klmn");
    assert_eq!(hide_token("as it was", ""), "as it was");
}
