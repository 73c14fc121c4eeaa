//! The gateway's own behaviour, spoken to in raw HTTP.

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use hookmyapp_simulator::{Answer, Received, Settings, Simulator, hide_token};
use serde_json::{Value, json};

use support::{
    Line, MESSAGES, Reply, TEXT, UPLOADS, ask_once, good_headers, parse_reply, post, request, send_body, vectors,
};

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

// What is accepted

#[test]
fn a_text_gets_the_recipient_and_a_long_message_id() {
    let simulator = Simulator::start().unwrap();
    let reply = ask_once(&simulator, post(MESSAGES, TEXT));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(reply.json()["recipient_id"], "8123456789012345");
    assert!(reply.json()["message_id"].as_str().unwrap().len() > 100);
}

#[test]
fn message_ids_differ_within_a_simulator_and_repeat_in_the_next() {
    let ids = || {
        let simulator = Simulator::start().unwrap();
        let mut line = Line::to(simulator.address());
        [(); 3].map(|()| line.ask(post(MESSAGES, TEXT)).json()["message_id"].as_str().unwrap().to_owned())
    };
    let [one, two, three] = ids();
    assert!(one != two && two != three && one != three);
    assert_eq!(ids(), [one, two, three]);
}

#[test]
fn every_request_vector_is_accepted() {
    for (name, vector) in vectors("requests") {
        // A new one each, because a comment takes only one private reply.
        let simulator = Simulator::start().unwrap();
        let mut line = Line::to(simulator.address());
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
    let simulator = Simulator::start().unwrap();
    let mut body: Value = serde_json::from_str(TEXT).unwrap();
    body["something_new"] = json!({"a": 1});
    assert_eq!(send_body(&simulator, &body).status, 200);
}

// What the gateway refuses

#[test]
fn a_wrong_missing_or_misplaced_token_is_401() {
    let simulator = Simulator::start().unwrap();
    let token = simulator.token();
    let start = format!("POST {MESSAGES}");
    for authorization in [
        "".to_owned(),
        "Authorization: Bearer wrong\r\n".to_owned(),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Bearer {token}x\r\n"),
    ] {
        let headers = format!("Host: localhost\r\nContent-Type: application/json\r\n{authorization}");
        let reply = ask_once(&simulator, request(&start, &headers, TEXT));
        assert_refused_by_gateway(&reply, 401, "UNAUTHORIZED");
    }
    let in_query = format!("{MESSAGES}?fields=a&access_token={token}");
    assert_refused_by_gateway(&ask_once(&simulator, post(&in_query, TEXT)), 401, "UNAUTHORIZED");
}

#[test]
fn other_paths_are_a_404_page_and_other_methods_405() {
    let simulator = Simulator::start().unwrap();
    for path in ["/other", "/v25.0/17841450000000017/messages", "/meta/v25.0/messages", &format!("{MESSAGES}/")] {
        let reply = ask_once(&simulator, post(path, TEXT));
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.header("content-type").unwrap().starts_with("text/html"));
        assert!(String::from_utf8(reply.body).unwrap().contains("<html"));
    }
    for path in [MESSAGES, UPLOADS] {
        let reply = ask_once(&simulator, request(&format!("GET {path}"), &good_headers(), ""));
        assert_refused_by_gateway(&reply, 405, "METHOD_NOT_ALLOWED");
        assert_eq!(reply.header("allow"), Some("POST"));
    }
}

#[test]
fn the_account_and_users_can_be_read() {
    let simulator = Simulator::start().unwrap();
    let get = |path: &str| ask_once(&simulator, request(&format!("GET /meta/v25.0/{path}"), &good_headers(), ""));
    assert_eq!(get("me").json(), json!({"user_id": simulator.account_id(), "username": "your_account"}));
    assert_eq!(get("81?fields=username").json(), json!({"id": "81", "username": "user_81"}));
    assert_eq!(get("you").status, 404);
    let other = good_headers().replace("Bearer hmat", "Bearer other");
    assert_eq!(ask_once(&simulator, request("GET /meta/v25.0/me", &other, "")).status, 401);
    let counts = simulator.counts();
    assert_eq!((counts.requests, counts.messages, counts.refused), (4, 0, 2));
    assert!(simulator.received().iter().all(|received| !received.got_it));
}

#[test]
fn only_json_by_content_type_is_looked_at() {
    let simulator = Simulator::start().unwrap();
    let start = format!("POST {MESSAGES}");
    let with_type = |line: &str| good_headers().replace("Content-Type: application/json\r\n", line);
    for line in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let reply = ask_once(&simulator, request(&start, &with_type(line), TEXT));
        assert_refused_by_gateway(&reply, 415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let with_charset = with_type("content-type: Application/JSON;charset=utf-8\r\n");
    assert_eq!(ask_once(&simulator, request(&start, &with_charset, TEXT)).status, 200);
}

#[test]
fn an_account_of_somebody_else_is_an_object_that_is_missing() {
    let simulator = Simulator::start().unwrap();
    let reply = ask_once(&simulator, post("/meta/v25.0/17841450000000099/messages", TEXT));
    assert_refused_by_meta(&reply, Some(33));
}

// What Meta refuses

#[test]
fn a_body_that_is_no_json_object_is_refused() {
    let simulator = Simulator::start().unwrap();
    for body in ["", "{", "[]", "null", "\"text\"", "{\"recipient\":}", "{} {}"] {
        assert_refused_by_meta(&ask_once(&simulator, post(MESSAGES, body)), None);
    }
}

#[test]
fn every_invalid_request_vector_is_refused() {
    // Meta cuts a title that is too long instead of refusing it.
    const ACCEPTED: [&str; 1] = ["11-quick-reply-title-21.json"];
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
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
    let simulator = Simulator::start().unwrap();
    let user = json!({"id": "8123456789012345"});
    let text = json!({"text": "x"});
    let url = |url: &str| json!({"attachment": {"type": "image", "payload": {"url": url}}});
    for (body, subcode) in [
        (json!({"recipient": user, "message": text, "sender_action": "typing_on"}), Some(2018014)),
        (json!({"recipient": {"id": simulator.account_id()}, "message": text}), Some(2534014)),
        (json!({"recipient": {"id": "17841400000000000"}, "message": text}), Some(2534014)),
        (json!({"recipient": {"id": "@jane"}, "message": text}), Some(2534014)),
        (json!({"recipient": {"id": "jane.doe"}, "message": text}), Some(2534014)),
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
        assert_refused_by_meta(&send_body(&simulator, &body), subcode);
    }
}

#[test]
fn a_refusal_names_the_field_the_limit_and_what_was_given() {
    let simulator = Simulator::start().unwrap();
    let reply = send_body(&simulator, &json!({"recipient": {"id": "1"}, "message": {"text": "a".repeat(1001)}}));
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    for part in ["message.text", "1001", "1000", "bytes"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_user_name_as_recipient_is_named_as_the_likely_mistake() {
    let simulator = Simulator::start().unwrap();
    let reply = send_body(&simulator, &json!({"recipient": {"id": "jane.doe"}, "message": {"text": "x"}}));
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    for part in ["jane.doe", "user name", "sender.id", "webhook"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_upload_takes_media_by_address_only() {
    let simulator = Simulator::start().unwrap();
    let upload = |attachment: Value| {
        ask_once(&simulator, post(UPLOADS, &json!({"message": {"attachment": attachment}}).to_string())).status
    };
    assert_eq!(upload(json!({"type": "video", "payload": {"url": "https://cdn.example.net/v.mp4"}})), 200);
    assert_eq!(upload(json!({"type": "video", "payload": {"attachment_id": "1"}})), 400);
    assert_eq!(upload(json!({"type": "like_heart"})), 400);
}

// How HTTP is spoken

#[test]
fn one_connection_takes_many_requests() {
    let simulator = Simulator::start().unwrap();
    let mut first = Line::to(simulator.address());
    assert_eq!(first.ask(post(MESSAGES, TEXT)).status, 200);
    assert_eq!(first.ask(post(MESSAGES, "{")).status, 400);
    assert_eq!(first.ask(post(MESSAGES, TEXT)).status, 200);
    assert_eq!(ask_once(&simulator, post(MESSAGES, TEXT)).status, 200);
    let connections: Vec<u64> = simulator.received().iter().map(|received| received.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
    line.say([post(MESSAGES, TEXT), post(UPLOADS, "{"), post("/other", TEXT)].concat());
    assert_eq!([(); 3].map(|()| line.hear().status), [200, 400, 404]);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
    line.stream.set_nodelay(true).unwrap();
    for byte in post(MESSAGES, TEXT).bytes() {
        line.say([byte]);
    }
    assert_eq!(line.hear().status, 200);
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
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
    let simulator = Simulator::start().unwrap();
    let closing = request(&format!("POST {MESSAGES}"), &format!("{}Connection: Close\r\n", good_headers()), TEXT);
    let old = post(MESSAGES, TEXT).replacen("HTTP/1.1", "HTTP/1.0", 1);
    for request in [closing, old] {
        let mut line = Line::to(simulator.address());
        let reply = line.ask(request);
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert!(line.rest().is_empty());
    }
}

#[test]
fn what_is_not_http_is_refused_and_the_connection_ends() {
    let simulator = Simulator::start().unwrap();
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
        let mut line = Line::to(simulator.address());
        assert_eq!(line.ask(&request).status, status, "{:.200}", request);
        assert!(line.rest().is_empty());
    }
    assert_eq!(simulator.received().len(), 10);
}

#[test]
fn a_client_that_sends_too_much_still_gets_its_answer() {
    let simulator = Simulator::start().unwrap();
    let reply = ask_once(&simulator, post(MESSAGES, &" ".repeat(4 * 1024 * 1024)));
    assert_refused_by_gateway(&reply, 413, "BODY_TOO_LARGE");
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let simulator = Simulator::start().unwrap();
    let padded = TEXT.to_owned() + &" ".repeat(1024 * 1024 - TEXT.len());
    assert_eq!(ask_once(&simulator, post(MESSAGES, &padded)).status, 200);
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
    let simulator = Simulator::start().unwrap();
    let requests = [post(MESSAGES, TEXT), post(MESSAGES, TEXT)].concat();
    let writes = Mutex::default();
    simulator.serve(Memory { incoming: requests.as_bytes(), writes: &writes });
    let writes = writes.into_inner().unwrap();
    assert_eq!(writes.len(), 2);
    for write in writes {
        let (reply, head_length) = parse_reply(&write).unwrap();
        let announced = reply.header("content-length").unwrap().parse::<usize>().unwrap();
        assert_eq!((reply.status, head_length + announced), (200, write.len()));
    }
    assert_eq!(simulator.received().len(), 2);
}

// What tests need

#[test]
fn planned_answers_are_played_in_order_and_then_its_own_again() {
    let simulator = Simulator::start().unwrap();
    simulator.answer_next(Answer::json(503, &json!({"a": 1})).with_header("Retry-After", "7"));
    simulator.answer_next(Answer { status: 204, headers: Vec::new(), body: Vec::new() });
    let mut line = Line::to(simulator.address());
    let busy = line.ask(post(MESSAGES, TEXT));
    assert_eq!((busy.status, busy.header("retry-after"), busy.json()), (503, Some("7"), json!({"a": 1})));
    let empty = line.ask(post(MESSAGES, "not even JSON"));
    assert_eq!((empty.status, empty.header("content-length")), (204, None));
    assert_eq!(line.ask(post(MESSAGES, TEXT)).status, 200);
    let statuses: Vec<u16> =
        simulator.received().iter().map(|received| received.answer.as_ref().unwrap().status).collect();
    assert_eq!(statuses, [503, 204, 200]);
}

#[test]
fn a_planned_answer_with_a_length_of_its_own_can_be_cut() {
    let simulator = Simulator::start().unwrap();
    simulator.answer_next(Answer::new(200, "application/json", "{\"mess").with_header("Content-Length", "100"));
    let mut line = Line::to(simulator.address());
    line.say(post(MESSAGES, TEXT));
    let all = String::from_utf8(line.rest()).unwrap();
    assert!(all.ends_with("\r\n\r\n{\"mess"), "{all}");
    assert_eq!(all.matches("Content-Length").count(), 1);
}

#[test]
fn everything_received_is_kept_as_it_came() {
    let simulator = Simulator::start().unwrap();
    let request = post(MESSAGES, TEXT);
    ask_once(&simulator, &request);
    ask_once(&simulator, "nonsense\r\n\r\n");
    let [accepted, nonsense] = &simulator.received()[..] else { panic!() };
    assert_eq!((accepted.seq, nonsense.seq, accepted.got_it, nonsense.got_it), (1, 2, true, false));
    assert_eq!(accepted.head().to_owned() + TEXT, request);
    assert_eq!((accepted.method.as_str(), accepted.path.as_str()), ("POST", MESSAGES));
    assert_eq!(accepted.header("CONTENT-TYPE"), Some("application/json"));
    assert_eq!(accepted.bearer_token(), Some(simulator.token()));
    assert_eq!(accepted.json(), serde_json::from_str(TEXT).ok());
    assert!(accepted.is_accepted());
    assert_eq!((nonsense.method.as_str(), nonsense.answer.as_ref().unwrap().status), ("", 400));
}

#[test]
fn an_observer_sees_every_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let seen = Arc::clone(&seen);
        move |received: &Received| seen.lock().unwrap().push(received.answer.as_ref().unwrap().status)
    };
    let settings = Settings { on_request: Some(Box::new(note)), ..Settings::default() };
    let simulator = Simulator::start_with(settings).unwrap();
    ask_once(&simulator, post(MESSAGES, TEXT));
    ask_once(&simulator, post("/other", TEXT));
    assert_eq!(*seen.lock().unwrap(), [200, 404]);
}

#[test]
fn account_and_token_can_be_chosen() {
    let settings = Settings { account_id: "SBX_IG".to_owned(), token: "it's-mine".to_owned(), ..Settings::default() };
    let simulator = Simulator::start_with(settings).unwrap();
    let headers = "Host: x\r\nAuthorization: Bearer it's-mine\r\nContent-Type: application/json\r\n";
    assert_eq!(ask_once(&simulator, request("POST /meta/v25.0/SBX_IG/messages", headers, TEXT)).status, 200);
    assert!(simulator.curl_line().contains(r"Bearer it'\''s-mine'"));
    let expected = format!(
        "INSTAGRAM_GRAPH_API_URL=http://{}/meta/v25.0\nINSTAGRAM_ACCOUNT_ID=SBX_IG\nINSTAGRAM_ACCESS_TOKEN=it's-mine\n\
         WEBHOOK_HMAC_SECRET=whsec_local_0000EXAMPLE0000\nVERIFY_TOKEN=verify_local_0000EXAMPLE0000\n",
        simulator.address()
    );
    assert_eq!(simulator.env_lines(), expected);
}

#[test]
fn only_loopback_can_be_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:0"] {
        let settings = Settings { address: address.parse().unwrap(), ..Settings::default() };
        let error = Simulator::start_with(settings).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn dropping_the_simulator_ends_every_connection_and_the_listener() {
    let simulator = Simulator::start().unwrap();
    let address = simulator.address();
    let mut idle = Line::to(simulator.address());
    assert_eq!(idle.ask(post(MESSAGES, TEXT)).status, 200);
    let mut halfway = Line::to(simulator.address());
    halfway.say("POST /meta");
    let mut flooded = Line::to(simulator.address());
    assert_eq!(flooded.ask(post(MESSAGES, &" ".repeat(2 * 1024 * 1024))).status, 413);
    let silent = Line::to(simulator.address());
    drop(simulator);
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
