// The vectors of requests, refused requests and replies. rust.rs and c.rs include this file, each with the API of its
// language under the same names.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::gateway::{Answer, Gateway, Received, Settings};
use crate::support::samples::{ACCOUNT_ID, TOKEN, USER};
use crate::support::vectors::{Fields, read_all};

pub fn gateway_of(account_id: &str, token: &str) -> Gateway {
    let settings = Settings { account_id: account_id.to_owned(), token: token.to_owned(), on_request: None };
    Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, 0)).unwrap()
}

pub fn client_of(gateway: &Gateway) -> Client {
    Client::new(&Config::new(&gateway.base_url(), gateway.account_id(), gateway.token())).unwrap()
}

/// The path of the gateway's base URL.
fn base_path(gateway: &Gateway) -> String {
    gateway.base_url().replacen(&format!("http://{}", gateway.address()), "", 1)
}

// Requests

#[test]
fn requests_are_sent_as_their_vectors_say() {
    for (_, mut vector) in read_all("requests") {
        let gateway = gateway_of(&vector.text("account_id"), TOKEN);
        let client = client_of(&gateway);
        let (method, path) = (vector.text("expect_method"), base_path(&gateway) + &vector.text("expect_path"));
        let body = vector.need("expect_body");
        let calls = calls(vector.object("send")).unwrap();
        for call in &calls {
            call.make(&client).unwrap_or_else(|error| panic!("{}: {error}", vector.place()));
        }
        let received = gateway.received();
        assert_eq!(received.len(), calls.len(), "{}", vector.place());
        for one in received {
            assert_eq!((&one.method, &one.path), (&method, &path), "{}", vector.place());
            assert_eq!(one.json().as_ref(), Some(&body), "{}", vector.place());
        }
    }
}

#[test]
fn request_made_without_sending_is_sent_byte_for_byte() {
    let mut seen = 0;
    for (_, mut vector) in read_all("requests") {
        vector.set_aside(&["expect_method", "expect_path", "expect_body"]);
        let gateway = gateway_of(&vector.text("account_id"), TOKEN);
        let client = client_of(&gateway);
        for call in calls(vector.object("send")).unwrap() {
            let Some(json) = call.json() else { continue };
            let json = json.unwrap_or_else(|error| panic!("{}: {error}", vector.place()));
            call.make(&client).unwrap();
            client.send_json(&json).unwrap();
            let received = gateway.received();
            let [.., first, second] = &received[..] else { panic!() };
            assert_eq!(String::from_utf8_lossy(&first.body), json, "{}", vector.place());
            assert_eq!(first.body, second.body, "{}", vector.place());
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn request_head_contains_exactly_six_headers() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    client_of(&gateway).send_text(USER, "Ça marche").unwrap();
    let [received] = &gateway.received()[..] else { panic!() };
    let host = gateway.address().to_string();
    let length = received.body.len().to_string();
    for (name, value) in [
        ("authorization", format!("Bearer {TOKEN}")),
        ("content-type", "application/json".to_owned()),
        ("content-length", length),
        ("host", host),
        ("user-agent", format!("hookmyapp/{}", env!("CARGO_PKG_VERSION"))),
        ("accept", "application/json".to_owned()),
    ] {
        let values = |received: &Received| -> Vec<String> {
            let headers = received.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            headers.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(values(received), [value], "{name}");
    }
    assert_eq!(received.headers.len(), 6, "{:?}", received.head);
}

// Requests that must be refused

/// Vectors that the types make impossible to write.
const IMPOSSIBLE: [(&str, &str); 5] = [
    ("06-recipient-missing", NO_RECIPIENT),
    ("07-recipient-both", TWO_RECIPIENTS),
    ("09-quick-replies-none", NO_QUICK_REPLIES),
    ("13-buttons-zero", NO_BUTTONS),
    ("24-image-both-sources", TWO_SOURCES),
];

/// The limit that a vector breaks, and what it gives.
const LIMITS: [(&str, usize, usize); 14] = [
    ("02-text-1001-bytes", 1000, 1001),
    ("03-text-501-two-byte", 1000, 1002),
    ("04-text-251-emoji", 1000, 1004),
    ("10-quick-replies-14", 13, 14),
    ("11-quick-reply-title-21", 20, 21),
    ("14-buttons-four", 3, 4),
    ("15-button-text-641", 640, 641),
    ("16-cards-eleven", 10, 11),
    ("17-cards-none", 10, 0),
    ("18-card-title-81", 80, 81),
    ("19-card-subtitle-81", 80, 81),
    ("21-card-four-buttons", 3, 4),
    ("22-images-eleven", 10, 11),
    ("23-images-none", 10, 0),
];

/// Our name for the vectors' word.
fn our_name(field: &str, is_for_comment: bool) -> String {
    match field {
        "to" if is_for_comment => "comment_id".to_owned(),
        "to" => "recipient_id".to_owned(),
        other => other.replace("options", "quick_replies"),
    }
}

#[test]
fn invalid_requests_are_rejected_by_field_name_and_not_sent() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let client = client_of(&gateway);
    let (mut impossible, mut limits) = (Vec::new(), Vec::new());
    for (stem, mut vector) in read_all("requests_invalid") {
        let mut expect = vector.object("expect");
        assert!(expect.flag("refused_before_sending"), "{}", vector.place());
        let (field, rule) = (expect.text("field"), expect.text("rule"));
        let calls = match calls(vector.object("send")) {
            Ok(calls) => calls,
            Err(reason) => {
                impossible.push((stem, reason));
                continue;
            }
        };
        for call in calls {
            let error = argument_error(call.make(&client), vector.place());
            if let Some(json) = call.json() {
                assert_eq!(json.expect_err(vector.place()).to_string(), error, "{}", vector.place());
            }
            let name = our_name(&field, matches!(call, Call::PrivateReply { .. }));
            let after_name = error.strip_prefix(&name).unwrap_or_else(|| panic!("{stem}: {error}"));
            assert!(after_name.starts_with([':', ' ']), "{stem}: {error}");
            if let Some((_, limit, given)) = LIMITS.iter().find(|row| row.0 == stem) {
                assert!(numbers(&rule).contains(limit), "{stem}: {rule}");
                let named = numbers(after_name);
                assert!(named.contains(limit) && named.contains(given), "{stem}: {error}");
            }
        }
        if rule.contains(|c: char| c.is_ascii_digit()) {
            limits.push(stem);
        }
    }
    assert_eq!(impossible, IMPOSSIBLE.map(|(stem, reason)| (stem.to_owned(), reason)));
    assert_eq!(limits, LIMITS.map(|row| row.0));
    assert!(gateway.received().is_empty());
}

fn numbers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

// Answers

#[test]
fn responses_with_2xx_are_read_as_their_vectors_say() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let client = client_of(&gateway);
    for (_, mut vector) in read_all("responses") {
        let mut expect = vector.object("expect");
        let outcome = expect.text("outcome");
        let answered = play(&gateway, &mut vector, || match outcome.as_str() {
            "uploaded" => client.upload(AttachmentKind::Image, "https://cdn.example.net/mug.jpg"),
            "action_done" => client.send(USER, &Message::action(Action::MarkSeen)),
            "sent" | "sent_unconfirmed" | "error" => client.send_text(USER, "Hello"),
            other => panic!("the outcome {other} is unknown"),
        });
        let is_accepted = !["sent_unconfirmed", "error"].contains(&outcome.as_str());
        assert_eq!(answered.outcome.is_ok(), is_accepted, "{}", vector.place());
        check_answer(vector.place(), expect, &answered);
    }
}

#[test]
fn rejecting_responses_are_read_as_their_vectors_say() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let client = client_of(&gateway);
    for (_, mut vector) in read_all("errors") {
        if vector.has("transport") {
            // The other test of this folder runs it.
            vector.set_all_aside();
            continue;
        }
        let expect = vector.object("expect");
        let answered = play(&gateway, &mut vector, || client.send_text(USER, "Hello"));
        assert!(answered.outcome.is_err(), "{}", vector.place());
        check_answer(vector.place(), expect, &answered);
    }
}

/// What the library made of one planned answer.
struct Answered {
    url: String,
    http_status: u16,
    body: String,
    outcome: Result<Response, Error>,
}

impl Answered {
    fn response(&self) -> &Response {
        self.outcome.as_ref().unwrap_or_else(|error| error.response().expect("an answer came"))
    }
}

/// Lets the gateway answer exactly what the vector says, once.
fn play(gateway: &Gateway, vector: &mut Fields, send: impl FnOnce() -> Result<Response, Error>) -> Answered {
    let http_status = vector.integer("http_status").unwrap().try_into().unwrap();
    let (headers, body) = (vector.object("headers").rest(), vector.text("body"));
    gateway.answer_next(Answer { status: http_status, headers, body: body.as_bytes().to_vec() });
    let before = gateway.received().len();
    let outcome = send();
    let received = gateway.received();
    assert_eq!(received.len(), before + 1, "{}: one call is one request", vector.place());
    let url = format!("http://{}{}", gateway.address(), received[before].path);
    Answered { url, http_status, body, outcome }
}

/// Vectors that say nothing of the codes and the id in their answer. Everywhere else what is not named must not be there.
const NAME_NO_CODES: [&str; 6] = [
    "errors/98-lone-surrogate",
    "errors/99-number-beyond-double",
    "errors/100-unlisted-transient",
    "errors/101-code-minus-one",
    "errors/103-consent-230",
    "responses/25-error-beside-id",
];

fn check_answer(place: &str, mut expect: Fields, answered: &Answered) {
    let response = answered.response();
    check_verdict(place, &mut expect, answered.outcome.as_ref().err());
    assert_eq!(response.http_status(), answered.http_status, "{place}");
    assert_eq!(response.body(), answered.body.as_bytes(), "{place}");

    let error = answered.outcome.as_ref().err();
    if let Some(mut expected) = expect.optional_text("error") {
        if error.is_some_and(|error| error.kind() == ErrorKind::Endpoint) {
            let url = &answered.url;
            expected += &format!("; POST {url} was not answered by a gateway: correct the base URL and the account id");
        }
        assert_eq!(error.map(line), Some(expected), "{place}");
    }
    if let Err(error) = &answered.outcome {
        assert!(!everything_shown(error).contains(TOKEN), "{place}");
        assert_eq!(error.retry_after(), response.retry_after(), "{place}");
    }

    let is_named = |expect: &Fields, name| expect.has(name) || !NAME_NO_CODES.contains(&place);
    if is_named(&expect, "message_id") {
        assert_eq!(response.message_id(), expect.optional_text("message_id").as_deref(), "{place}");
    }
    assert_eq!(response.recipient_id(), expect.optional_text("recipient_id").as_deref(), "{place}");
    assert_eq!(response.attachment_id(), expect.optional_text("attachment_id").as_deref(), "{place}");
    if is_named(&expect, "code") {
        assert_eq!(response.meta_code().map(i64::from), expect.integer("code"), "{place}");
        assert_eq!(response.meta_subcode().map(i64::from), expect.integer("subcode"), "{place}");
    }
    // These come in more answers than the vectors name them for.
    for (name, given) in [
        ("gateway_code", response.gateway_code()),
        ("trace_id", response.trace_id()),
        ("user_message", response.user_message()),
    ] {
        if let Some(expected) = expect.optional_text(name) {
            assert_eq!(given, Some(expected.as_str()), "{place}: {name}");
        }
    }

    let usage = expect.integer("app_usage_percent").max(expect.integer("buc_usage_percent"));
    assert_eq!(response.usage_percent().map(i64::from), usage, "{place}");
    match expect.optional_text("wait_seconds_from_date") {
        Some(date) => check_wait_until(place, &date, response.retry_after().unwrap()),
        None => {
            let seconds = expect.integer("wait_seconds").map(|seconds| Duration::from_secs(seconds as u64));
            assert_eq!(response.retry_after(), seconds, "{place}");
        }
    }
    expect.set_aside(&["is_transient", "user_title"]);
}

/// What the vectors say about every failure and, in part, about every success.
pub fn check_verdict(place: &str, expect: &mut Fields, error: Option<&Error>) {
    let (status, delivery) = (expect.text("status"), expect.text("delivery"));
    match error {
        None => assert_eq!((status.as_str(), delivery.as_str()), ("OK", "accepted"), "{place}"),
        Some(error) => {
            assert_eq!(error.kind(), kind_of(&status), "{place}: {error}");
            assert_eq!(error.delivery(), delivery_of(&delivery), "{place}: {error}");
        }
    }
    let may_be_delivered = error.is_none_or(|error| error.delivery() == Delivery::Unknown);
    match expect.optional_text("sent").as_deref() {
        None => {}
        Some("no") => assert!(!may_be_delivered, "{place}"),
        Some("maybe" | "yes") => assert!(may_be_delivered, "{place}"),
        Some(other) => panic!("{place}: sent is {other}"),
    }
    // Finer than the status, human-readable.
    expect.set_aside(&["category", "retry"]);
}

fn kind_of(status: &str) -> ErrorKind {
    match status {
        "ARGUMENT" => ErrorKind::Argument,
        "CONFIG" => ErrorKind::Config,
        "CONNECT" => ErrorKind::Connect,
        "REJECTED" => ErrorKind::Rejected,
        "AUTH" => ErrorKind::Auth,
        "RATE_LIMITED" => ErrorKind::RateLimited,
        "WINDOW_CLOSED" => ErrorKind::WindowClosed,
        "RECIPIENT" => ErrorKind::Recipient,
        "ACCOUNT" => ErrorKind::Account,
        "MEDIA" => ErrorKind::Media,
        "ENDPOINT" => ErrorKind::Endpoint,
        "SERVER" => ErrorKind::Server,
        "LOST" => ErrorKind::Lost,
        other => panic!("{other} is no status of a failure"),
    }
}

fn delivery_of(word: &str) -> Delivery {
    match word {
        "not_sent" => Delivery::NotSent,
        "rejected" => Delivery::Rejected,
        "unknown" => Delivery::Unknown,
        other => panic!("{other} is no delivery of a failure"),
    }
}

fn check_wait_until(place: &str, date: &str, wait: Duration) {
    const KNOWN: (&str, u64) = ("Sat, 31 Dec 2050 23:59:59 GMT", 2_556_143_999);
    assert_eq!(date, KNOWN.0, "{place}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now + wait.as_secs()).abs_diff(KNOWN.1) <= 2, "{place}: {wait:?}");
}
