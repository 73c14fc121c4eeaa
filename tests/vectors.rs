//! Every file of `tests/vectors/` that this library has an answer to, through the public API and over real sockets.

#[path = "support/checks.rs"]
mod checks;
#[path = "support/child.rs"]
mod child;
#[path = "support/faults.rs"]
mod faults;
#[path = "../examples/gateway/gateway.rs"]
mod gateway;
#[path = "support/sends.rs"]
mod sends;
#[path = "support/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checks::{argument_error, config_error, everything_shown, line};
use faults::{FullBacklog, Server, is_whole_request};
use gateway::{Answer, Gateway, Received, Settings};
use hookmyapp::{Action, AttachmentKind, Client, Config, Delivery, Error, ErrorKind, Message, Response, Warning};
use sends::{Call, calls};
use vectors::{Fields, read_all};

const ACCOUNT_ID: &str = "17841450000000017";
const TOKEN: &str = "hmat_live_0000EXAMPLE0000";
const USER: &str = "8123456789012345";

fn gateway_of(account_id: &str, token: &str) -> Gateway {
    let settings = Settings { account_id: account_id.to_owned(), token: token.to_owned(), on_request: None };
    Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn client_of(gateway: &Gateway) -> Client {
    Client::new(&Config::new(&gateway.base_url(), gateway.account_id(), gateway.token())).unwrap()
}

/// The path of the gateway's base URL.
fn base_path(gateway: &Gateway) -> String {
    gateway.base_url().replacen(&format!("http://{}", gateway.address()), "", 1)
}

// Requests

#[test]
fn every_request_goes_out_as_its_vector_says() {
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
fn a_plain_text_is_said_in_two_ways_and_everything_else_in_one() {
    let ways = |kind: &str| -> Vec<usize> {
        let of_kind = read_all("requests").into_iter().filter_map(|(_, mut vector)| {
            let send = vector.object("send");
            vector.set_all_aside();
            let is_wanted = send.peek("kind") == Some(kind);
            calls(send).ok().filter(|_| is_wanted).map(|calls| calls.len())
        });
        of_kind.collect()
    };
    assert!(ways("text").contains(&2));
    assert!(ways("image").iter().all(|ways| *ways == 1));
}

#[test]
fn the_head_of_a_request_says_who_sends_what() {
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
    ("06-recipient-missing", sends::NO_RECIPIENT),
    ("07-recipient-both", sends::TWO_RECIPIENTS),
    ("09-quick-replies-none", sends::NO_QUICK_REPLIES),
    ("13-buttons-zero", sends::NO_BUTTONS),
    ("24-image-both-sources", sends::TWO_SOURCES),
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
fn every_invalid_request_is_refused_by_the_name_of_its_field_and_nothing_leaves() {
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
fn every_answer_with_a_2xx_is_understood_as_its_vector_says() {
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
fn every_answer_that_refuses_is_understood_as_its_vector_says() {
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
    assert_eq!(gateway.received().len(), before + 1, "{}: one call is one request", vector.place());
    Answered { http_status, body, outcome }
}

fn check_answer(place: &str, mut expect: Fields, answered: &Answered) {
    let response = answered.response();
    check_verdict(place, &mut expect, answered.outcome.as_ref().err());
    assert_eq!(response.http_status(), answered.http_status, "{place}");
    assert_eq!(response.body(), answered.body.as_bytes(), "{place}");

    let error = answered.outcome.as_ref().err().map(line);
    if let Some(expected) = expect.optional_text("error") {
        assert_eq!(error.as_deref(), Some(expected.as_str()), "{place}");
    }
    if let Err(error) = &answered.outcome {
        assert!(!everything_shown(error).contains(TOKEN), "{place}");
        assert_eq!(error.retry_after(), response.retry_after(), "{place}");
    }

    assert_eq!(response.message_id(), expect.optional_text("message_id").as_deref(), "{place}");
    assert_eq!(response.recipient_id(), expect.optional_text("recipient_id").as_deref(), "{place}");
    assert_eq!(response.attachment_id(), expect.optional_text("attachment_id").as_deref(), "{place}");
    assert_eq!(response.meta_code().map(i64::from), expect.integer("code"), "{place}");
    assert_eq!(response.meta_subcode().map(i64::from), expect.integer("subcode"), "{place}");
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
fn check_verdict(place: &str, expect: &mut Fields, error: Option<&Error>) {
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
    // Finer than the status, for people.
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

// No answer at all

#[test]
fn every_fault_of_the_transport_is_told_apart_by_how_far_the_request_got() {
    let mut seen = Vec::new();
    for (stem, mut vector) in read_all("errors") {
        if !vector.has("transport") {
            vector.set_all_aside();
            continue;
        }
        let mut expect = vector.object("expect");
        let error = match vector.text("transport").as_str() {
            "resolve_failed" => resolve_failed(),
            "connect_refused" => connect_refused(),
            "tls_failed" => tls_failed(),
            "connect_timeout" => connect_timeout(),
            "read_timeout" => read_timeout(),
            "reset_after_write" => reset_after_write(),
            "reset_during_write" => reset_during_write(),
            other => panic!("{}: the fault {other} is unknown", vector.place()),
        };
        check_verdict(vector.place(), &mut expect, Some(&error));
        assert!(error.response().is_none(), "{}", vector.place());
        line(&error);
        assert!(!everything_shown(&error).contains(TOKEN), "{}", vector.place());
        seen.push(stem.split_once('-').unwrap().0.to_owned());
    }
    assert_eq!(seen, ["71", "72", "73", "74", "75", "76", "77"]);
}

fn config_for(scheme: &str, address: SocketAddr) -> Config {
    Config::new(&format!("{scheme}://{address}/meta/v25.0"), ACCOUNT_ID, TOKEN)
}

fn failed_text(config: &Config) -> Error {
    Client::new(config).unwrap().send_text(USER, "Hello").unwrap_err()
}

/// A label has at most 63 letters, so that the look-up fails without a question to anybody.
fn resolve_failed() -> Error {
    failed_text(&Config::new(&format!("https://{}.example.net/v25.0", "a".repeat(64)), ACCOUNT_ID, TOKEN))
}

fn connect_refused() -> Error {
    failed_text(&config_for("http", faults::closed_port()))
}

fn tls_failed() -> Error {
    let server = Server::without_tls();
    let error = failed_text(&config_for("https", server.address()));
    let received = server.finish();
    assert!(!is_whole_request(&received) && !String::from_utf8_lossy(&received).contains("POST"));
    error
}

fn connect_timeout() -> Error {
    let listener = FullBacklog::new();
    let error = failed_text(&config_for("http", listener.address()).connect_timeout(Duration::from_millis(300)));
    listener.finish();
    error
}

fn read_timeout() -> Error {
    let server = Server::silent();
    // Long enough for the request to leave on a busy machine.
    let error = failed_text(&config_for("http", server.address()).timeout(Duration::from_secs(2)));
    assert!(is_whole_request(&server.finish()));
    error
}

fn reset_after_write() -> Error {
    let server = Server::resetting_after_the_request();
    let error = failed_text(&config_for("http", server.address()));
    assert!(is_whole_request(&server.finish()));
    error
}

fn reset_during_write() -> Error {
    let server = Server::resetting_after(64 << 10);
    // More than the sockets of both sides can hold.
    let body = format!("{{\"padding\":\"{}\"}}", "x".repeat(32 << 20));
    let client = Client::new(&config_for("http", server.address())).unwrap();
    let error = client.send_json(&body).unwrap_err();
    assert!(!is_whole_request(&server.finish()));
    error
}

// The environment

const NAMES: [&str; 5] = [
    "INSTAGRAM_API_URL",
    "INSTAGRAM_GRAPH_API_URL",
    "INSTAGRAM_ACCOUNT_ID",
    "INSTAGRAM_USER_ID",
    "INSTAGRAM_ACCESS_TOKEN",
];

type Variables = BTreeMap<String, String>;

fn config_of(variables: &Variables) -> Config {
    Config::from_vars(|name| variables.get(name).cloned())
}

#[test]
fn every_environment_is_resolved_as_its_vector_says() {
    let (mut good, mut bad) = (0, 0);
    for (_, mut vector) in read_all("env") {
        let variables: Variables = vector.object("env").rest().into_iter().collect();
        let mut expect = vector.object("expect");
        if expect.flag("ok") {
            check_good_environment(vector.place(), variables, expect);
            good += 1;
        } else {
            check_bad_environment(vector.place(), &variables, expect);
            bad += 1;
        }
    }
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}

fn check_good_environment(place: &str, mut variables: Variables, mut expect: Fields) {
    let (base, url) = (expect.text("base"), expect.text("url"));
    let (account_id, token) = (expect.text("account_id"), expect.text("token"));
    let (base_from, account_from) = (expect.text("base_from"), expect.text("account_from"));
    assert_eq!(url, format!("{base}/{account_id}/messages"), "{place}");

    let config = config_of(&variables);
    assert_eq!(config.url(), Some(url.as_str()), "{place}");
    let warnings: Vec<Warning> = expect.texts("warnings").iter().map(|word| warning_of(place, word)).collect();
    assert_eq!(config.warnings(), warnings, "{place}");
    let client = Client::new(&config).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(!format!("{config:?} {client:?}").contains(&token), "{place}");

    // The names are the ones that a mistake is reported under.
    for name in [&base_from, &account_from] {
        let mut variables = variables.clone();
        variables.insert(name.clone(), "not/right".to_owned());
        let error = config_error(&config_of(&variables));
        assert!(error.contains(&format!("{name} is invalid")), "{place}: {error}");
    }

    // The token and the account id are the ones that go out.
    let gateway = gateway_of(&account_id, &token);
    variables.insert(base_from, gateway.base_url());
    Client::new(&config_of(&variables)).unwrap().send_text(USER, "Hello").unwrap();
    assert_eq!(gateway.received()[0].bearer_token(), Some(token.as_str()), "{place}");
}

fn warning_of(place: &str, word: &str) -> Warning {
    match word {
        "both_base_urls" => Warning::BothBaseUrls,
        "both_account_ids" => Warning::BothAccountIds,
        other => panic!("{place}: the warning {other} is unknown"),
    }
}

fn check_bad_environment(place: &str, variables: &Variables, mut expect: Fields) {
    let (word, names) = (expect.text("error"), expect.texts("names"));
    let config = config_of(variables);
    let error = config_error(&config);
    assert!(["missing", "invalid", "insecure"].contains(&word.as_str()), "{place}");
    assert!(error.contains(&word), "{place}: {error}");
    let named: Vec<&str> = NAMES.into_iter().filter(|name| error.contains(name)).collect();
    assert_eq!(named, names, "{place}: {error}");
    let token = variables.get("INSTAGRAM_ACCESS_TOKEN").map_or("", String::as_str);
    for part in token.split_whitespace().filter(|part| part.len() > 1) {
        assert!(!error.contains(part) && !format!("{config:?}").contains(part), "{place}: {error}");
    }
}

/// The variables of one vector.
fn environment_of(stem: &str) -> Vec<(String, String)> {
    let mut environment = None;
    for (other, mut vector) in read_all("env") {
        let variables = vector.object("env").rest();
        vector.set_aside(&["expect"]);
        if other == stem {
            environment = Some(variables);
        }
    }
    environment.unwrap()
}

#[test]
fn a_process_sends_with_nothing_but_its_environment() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let base_url = gateway.base_url();
    let said = child::report(&[
        ("INSTAGRAM_GRAPH_API_URL", base_url.as_str()),
        ("INSTAGRAM_ACCOUNT_ID", ACCOUNT_ID),
        ("INSTAGRAM_ACCESS_TOKEN", TOKEN),
        (child::RECIPIENT, USER),
    ]);
    let [received] = &gateway.received()[..] else { panic!("{said:?}") };
    assert_eq!(received.bearer_token(), Some(TOKEN));
    let answer: serde_json::Value = serde_json::from_slice(&received.answer.body).unwrap();
    let url = format!("url {base_url}/{ACCOUNT_ID}/messages");
    assert_eq!(said, [url, format!("sent {}", answer["message_id"].as_str().unwrap())]);
}

#[test]
fn a_process_without_the_variables_is_told_all_their_names() {
    let environment = environment_of("19-nothing");
    assert!(environment.is_empty());
    let said = child::report::<String>(&[]);
    let [error] = &said[..] else { panic!("{said:?}") };
    assert!(error.starts_with("error Config missing"), "{error}");
    assert!(NAMES.iter().all(|name| error.contains(name)), "{error}");
}

#[test]
fn a_process_with_all_variables_set_is_warned() {
    let environment = environment_of("06-all-four");
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let said = child::report(&environment);
    let url = "url https://sandbox.hookmyapp.com/v25.0/17841433840249531/messages";
    assert_eq!(said, ["warning BothBaseUrls", "warning BothAccountIds", url]);
}
