//! The delivery table: for every fault, what the client reports is compared with what the server read.

#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::fault_server::{Entry, FaultServer, Script, Step, accepted, answer, answer_with};
use crate::support::proxy::{Behaviour, Proxy};
use crate::support::refusing::Refusing;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::{Authority, NOW};
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};
use rustls::{ServerConfig, SupportedProtocolVersion};

const FIRST: &str = "first";
const SECOND: &str = "second";
/// Longer than any test takes whose server does not stall.
const LONG: Duration = Duration::from_secs(20);
/// For servers that stall; long enough for a handshake on a busy machine.
const SHORT: Duration = Duration::from_millis(600);

/// What the first send of a case returns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Fails(ErrorKind),
    /// Lost or Connect: the client may notice the end before a byte of the request leaves, or after.
    Race,
}

use Outcome::{Accepted, Fails, Race};

/// The connection of the send that follows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Same,
    New,
}

use Next::{New, Same};

#[derive(Clone)]
struct Case {
    what: &'static str,
    script: Script,
    outcome: Outcome,
    /// How many times the server read the first message completely; at most, for a race.
    received: usize,
    /// Both, where they differ over TLS.
    over_tls: Option<(Outcome, usize)>,
    next: Next,
    timeout: Duration,
    /// Bytes that make the request larger.
    padding: usize,
}

fn case(what: &'static str, script: Script, outcome: Outcome, received: usize, next: Next) -> Case {
    Case { what, script, outcome, received, over_tls: None, next, timeout: LONG, padding: 0 }
}

/// The message may or may not have arrived, and the connection is not used again.
fn lost(what: &'static str, script: Script) -> Case {
    case(what, script, LOST, 1, New)
}

/// The message is accepted, and the connection kept.
fn kept(what: &'static str, script: Script) -> Case {
    case(what, script, Accepted, 1, Same)
}

/// The message is accepted, and the connection replaced.
fn replaced(what: &'static str, script: Script) -> Case {
    case(what, script, Accepted, 1, New)
}

impl Case {
    /// For a server that stalls.
    fn short(self) -> Case {
        Case { timeout: SHORT, ..self }
    }

    fn over_tls(self, outcome: Outcome, received: usize) -> Case {
        Case { over_tls: Some((outcome, received)), ..self }
    }

    fn padded(self, padding: usize) -> Case {
        Case { padding, ..self }
    }
}

/// The first request is answered with this.
fn asked(moves: impl IntoIterator<Item = Step>) -> Script {
    [Step::ReadRequest].into_iter().chain(moves).collect()
}

fn say(text: impl Into<String>) -> Step {
    Step::Say(text.into())
}

const LOST: Outcome = Fails(ErrorKind::Lost);
const CONNECT: Outcome = Fails(ErrorKind::Connect);
const REJECTED: Outcome = Fails(ErrorKind::Rejected);
const SERVER: Outcome = Fails(ErrorKind::Server);
const ENDPOINT: Outcome = Fails(ErrorKind::Endpoint);
const ID: &str = r#"{"message_id":"{text}"}"#;
/// An answer that no send asked for.
const FOREIGN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"message_id\":\"other\"}";

// The table

fn good_answers() -> Vec<Case> {
    let with = |headers: &str, body: &str| asked([say(answer_with("200 OK", headers, body))]);
    let chunked = "8\r\n{\"messag\r\nE\r\ne_id\":\"{text}\"}\r\n0\r\n";
    let chunked_headers = "Transfer-Encoding: chunked\r\n";
    let close_after = |text: &str, end: Step| asked([say(text), end]);
    let no_length = answer_with("200 OK", "", ID);
    let old = format!("HTTP/1.0 200 OK\r\n\r\n{ID}");
    vec![
        kept("a good answer", vec![Step::Serve]),
        kept(
            "a good answer, byte by byte",
            asked([Step::Drip("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".into())]),
        ),
        kept("a chunked answer", with(chunked_headers, &format!("{chunked}\r\n"))),
        kept("a chunked answer with trailers", with(chunked_headers, &format!("{chunked}X-Trailer: 1\r\n\r\n"))),
        kept("both lengths", with(&format!("Content-Length: 3\r\n{chunked_headers}"), &format!("{chunked}\r\n"))),
        kept("the length twice", with("Content-Length: {length}\r\nContent-Length: {length}\r\n", ID)),
        replaced("Connection: close", with("Content-Length: {length}\r\nConnection: close\r\n", ID)),
        kept("100 before it", asked([say("HTTP/1.1 100 Continue\r\n\r\n"), say(accepted())])),
        kept(
            "102 and 103 before it",
            asked([
                say("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
                say(accepted()),
            ]),
        ),
        replaced("HTTP/1.0, ended by the end", close_after(&old, Step::Close)),
        replaced("no length, ended by the end", close_after(&no_length, Step::Close)),
        replaced("no length, ended without notice", close_after(&no_length, Step::CloseWithoutNotice)),
        replaced("no length, ended by a reset", close_after(&no_length, Step::Reset)),
        replaced("HTTP/1.0 with a length", vec![Step::ReadRequest, to_http_1_0(say(accepted()))]),
        kept(
            "HTTP/1.0 that keeps the connection",
            with("Content-Length: {length}\r\nConnection: keep-alive\r\n", ID).into_iter().map(to_http_1_0).collect(),
        ),
    ]
}

fn to_http_1_0(step: Step) -> Step {
    if let Step::Say(text) = step { Step::Say(text.replace("HTTP/1.1", "HTTP/1.0")) } else { step }
}

fn ends_without_an_answer() -> Vec<Case> {
    let status = || say("HTTP/1.1 20");
    let head = || say("HTTP/1.1 200 OK\r\nContent-Ty");
    vec![
        lost("end as it accepts", vec![Step::Close]).over_tls(CONNECT, 0),
        case("hang-up as it accepts", vec![Step::HangUp], Race, 0, New).over_tls(CONNECT, 0),
        case("reset as it accepts", vec![Step::Reset], Race, 0, New).over_tls(CONNECT, 0),
        lost("end after the handshake", vec![Step::Handshake, Step::Close]).over_tls(Race, 1),
        case("reset after the handshake", vec![Step::Handshake, Step::Reset], Race, 0, New),
        lost("end after the head", vec![Step::ReadHead, Step::Close]),
        case("reset after the head", vec![Step::ReadHead, Step::Reset], LOST, 0, New),
        lost("end after the request", asked([Step::Close])),
        lost("end without notice after the request", asked([Step::CloseWithoutNotice])),
        lost("hang-up after the request", asked([Step::HangUp])),
        lost("reset after the request", asked([Step::Reset])),
        lost("end in the status line", asked([status(), Step::Close])),
        lost("reset in the status line", asked([status(), Step::Reset])),
        lost("end in the headers", asked([head(), Step::Close])),
        lost("reset in the headers", asked([head(), Step::Reset])),
        lost("no answer", asked([Step::Stall])).short(),
        lost("a head that drips", asked([Step::Drip(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(9999)))])).short(),
        lost(
            "bytes below TLS that are no record",
            asked([Step::SayRaw("no record and no answer\r\n\r\n".into()), Step::Close]),
        ),
    ]
}

fn cut_bodies() -> Vec<Case> {
    let short = |status: &str| say(answer_with(status, "Content-Length: 99\r\n", "{\"message_id\":\"{text}\""));
    let chunk = || say(answer_with("200 OK", "Transfer-Encoding: chunked\r\n", "F\r\n{\"messa"));
    let bad_chunk = |size: &str| {
        say(answer_with("200 OK", "Transfer-Encoding: chunked\r\n", &format!("{size}\r\n{{}}\r\n0\r\n\r\n")))
    };
    let no_length = || say(answer_with("200 OK", "", "{\"message_id\":\"{te"));
    let dripping = Step::Drip(format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}", "{ ".repeat(5000)));
    vec![
        lost("end in the body", asked([short("200 OK"), Step::Close])),
        lost("reset in the body", asked([short("200 OK"), Step::Reset])),
        lost("stall in the body", asked([short("200 OK"), Step::Stall])).short(),
        lost("end in the body of a refusal", asked([short("400 Bad Request"), Step::Close])),
        lost("reset in the body of a refusal", asked([short("403 Forbidden"), Step::Reset])),
        lost("stall in the body of a refusal", asked([short("404 Not Found"), Step::Stall])).short(),
        case(
            "end in the body of a failure",
            asked([short("502 Bad Gateway"), Step::Close]),
            Fails(ErrorKind::Server),
            1,
            New,
        ),
        lost("a body that drips", asked([dripping])).short(),
        lost("end in a chunk", asked([chunk(), Step::Close])),
        lost("reset in a chunk", asked([chunk(), Step::Reset])),
        lost("a chunk's size that is no number", asked([bad_chunk("zz")])),
        lost("a chunk's size below zero", asked([bad_chunk("-2")])),
        lost("a chunk's size beyond all numbers", asked([bad_chunk("FFFFFFFFFFFFFFFFF")])),
        lost("a chunk longer than its size", asked([bad_chunk("1")])),
        lost("no length, cut by the end", asked([no_length(), Step::Close])),
        lost("no length, cut by a reset", asked([no_length(), Step::Reset])),
        lost("no length and no end", asked([say(answer_with("200 OK", "", ID)), Step::Stall])).short(),
        lost("a length that is too short", asked([say(answer_with("200 OK", "Content-Length: 5\r\n", ID))])),
    ]
}

fn heads_that_cannot_be_read() -> Vec<Case> {
    let head = |text: &str| asked([say(text)]);
    let with = |headers: &str| asked([say(answer_with("200 OK", headers, "{}"))]);
    let flood = |text: &str| asked([say("HTTP/1.1 200 OK\r\nX-Flood: "), Step::Flood(text.repeat(1000))]);
    vec![
        lost("another protocol", head("HTTQ/1.1 200 OK\r\n\r\n")),
        lost("a status that is no number", head("HTTP/1.1 abc OK\r\n\r\n")),
        lost("status 099", head("HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\n{}")),
        lost("HTTP/2", head("HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
        lost("a body without a head", head("{\"message_id\":\"{text}\"}\r\n\r\n")),
        lost("200 headers", with(&"X-Flood: x\r\n".repeat(200))),
        lost("a header of 100 kB", with(&format!("X-Flood: {}\r\n", "x".repeat(100_000)))),
        lost("a header without end", flood("x")),
        lost("headers without end", flood("x\r\nX-Flood: ")),
        lost("a header folded as of old", with("X-Old: a\r\n b\r\nContent-Length: 2\r\n")),
        lost("a NUL in a header", with("X-Nul: a\0b\r\nContent-Length: 2\r\n")),
        lost("two lengths", with("Content-Length: 2\r\nContent-Length: 3\r\n")),
        lost("a length below zero", with("Content-Length: -2\r\n")),
        lost("a length beyond all numbers", with("Content-Length: 99999999999999999999\r\n")),
        lost(
            "100 with headers",
            head("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ),
        lost("100 without end", asked([Step::Flood("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000))])).short(),
    ]
}

fn odd_statuses_and_bodies() -> Vec<Case> {
    let whole = |status: &str, body: &str| asked([say(answer(status, body))]);
    let error = r#"{"error":{"message":"{text}"}}"#;
    let error_beside_id = r#"{"message_id":"{text}","error":{"code":10,"error_subcode":2534022}}"#;
    let elsewhere = "Location: /elsewhere\r\nContent-Length: {length}\r\n";
    let redirect = |status: &str| asked([say(answer_with(status, elsewhere, "{}"))]);
    let endless = |status: &str, headers: &str, text: &str| {
        asked([say(answer_with(status, headers, "")), Step::Flood(text.repeat(1000))])
    };
    vec![
        case("200 and no body", whole("200 OK", ""), LOST, 1, Same),
        case("200 and half an object", whole("200 OK", "{\"message_id\":"), LOST, 1, Same),
        case("200 and an array", whole("200 OK", "[]"), LOST, 1, Same),
        case("200 and gzip that nobody asked for", whole("200 OK", "\u{1f}\u{8b}"), LOST, 1, Same),
        case("200 and an error", whole("200 OK", error), Fails(ErrorKind::Server), 1, Same),
        case("204", asked([say("HTTP/1.1 204 No Content\r\n\r\n")]), LOST, 1, Same),
        lost("204 with a body", asked([say(answer("204 No Content", ID))])),
        lost("101", asked([say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n")])),
        case("200 and the gateway's own code", whole("200 OK", r#"{"code":"RATE_LIMITED"}"#), SERVER, 1, Same),
        case("200 and an id beside an error", whole("200 OK", error_beside_id), SERVER, 1, Same),
        case("300", whole("300 Multiple Choices", "{}"), LOST, 1, Same),
        case("304", asked([say("HTTP/1.1 304 Not Modified\r\n\r\n")]), LOST, 1, Same),
        case("301", redirect("301 Moved Permanently"), ENDPOINT, 1, Same),
        case("302", redirect("302 Found"), ENDPOINT, 1, Same),
        case("303", redirect("303 See Other"), LOST, 1, Same),
        case("307", redirect("307 Temporary Redirect"), ENDPOINT, 1, Same),
        case("308", redirect("308 Permanent Redirect"), ENDPOINT, 1, Same),
        case("400", whole("400 Bad Request", error), REJECTED, 1, Same),
        case("401", whole("401 Unauthorized", "{}"), Fails(ErrorKind::Auth), 1, Same),
        case("403", whole("403 Forbidden", "{}"), REJECTED, 1, Same),
        case("403 and a page", whole("403 Forbidden", "<html>"), ENDPOINT, 1, Same),
        case("404", whole("404 Not Found", ""), ENDPOINT, 1, Same),
        case("404 and the gateway's own code", whole("404 Not Found", r#"{"code":"NO_CHANNEL"}"#), REJECTED, 1, Same),
        case("405", whole("405 Method Not Allowed", error), ENDPOINT, 1, Same),
        case("408", whole("408 Request Timeout", "{}"), SERVER, 1, Same),
        case("460", whole("460 Client Closed", "{}"), SERVER, 1, Same),
        case("499", whole("499 Client Closed Request", "<html>"), SERVER, 1, Same),
        case("429", whole("429 Too Many Requests", "{}"), Fails(ErrorKind::RateLimited), 1, Same),
        case(
            "500 and close",
            asked([
                say(answer_with("500 Oops", "Content-Length: {length}\r\nConnection: close\r\n", "{}")),
                Step::Close,
            ]),
            Fails(ErrorKind::Server),
            1,
            New,
        ),
        case("504", whole("504 Gateway Timeout", "<html>"), Fails(ErrorKind::Server), 1, Same),
        case("999", whole("999 Odd", "{}"), LOST, 1, Same),
        lost("100 MB", endless("200 OK", "Content-Length: 104857600\r\n", "{ ")),
        lost("chunks without end", endless("200 OK", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n")),
        lost("a refusal of 100 MB", endless("403 Forbidden", "Content-Length: 104857600\r\n", "{ ")),
        case(
            "a page of 100 MB that refuses",
            endless("403 Forbidden", "Content-Length: 104857600\r\n", "<p>"),
            REJECTED,
            1,
            New,
        ),
    ]
}

/// Answers that come before the request has.
fn early_refusals() -> Vec<Case> {
    const LARGE: usize = 2_000_000;
    /// More than the buffers of two sockets take.
    const HUGE: usize = 16_000_000;
    let early = |status: &str, end: Step| vec![Step::ReadHead, say(answer(status, "{}")), end];
    let unauthorized = Fails(ErrorKind::Auth);
    let late = vec![Step::ReadHead, say("HTTP/1.1 103 Early Hints\r\n\r\n"), Step::ReadRequest, say(accepted())];
    vec![
        case("401 after the head", early("401 Unauthorized", Step::Close), unauthorized, 1, New),
        case("401 after the head, then reset", early("401 Unauthorized", Step::HangUp), unauthorized, 0, New),
        case("413 in a large body", early("413 Content Too Large", Step::Close), REJECTED, 1, New).padded(LARGE),
        case("413 in a large body, then reset", early("413 Content Too Large", Step::HangUp), REJECTED, 0, New)
            .padded(LARGE),
        case(
            "413 in a huge body that nobody reads",
            early("413 Content Too Large", Step::StallUnread),
            REJECTED,
            0,
            New,
        )
        .padded(HUGE),
        case("400 in a huge body that nobody reads", early("400 Bad Request", Step::StallUnread), REJECTED, 0, New)
            .padded(HUGE),
        case(
            "401 in a huge body that nobody reads",
            early("401 Unauthorized", Step::StallUnread),
            unauthorized,
            0,
            New,
        )
        .padded(HUGE),
        case("103 in a huge body that is read later", late, Accepted, 1, Same).padded(HUGE),
        case("200 in a huge body, then reset", early("200 OK", Step::HangUp), LOST, 0, New).padded(HUGE),
        case("200 in a huge body that nobody reads", early("200 OK", Step::StallUnread), LOST, 0, New).padded(HUGE),
        case("reset in a large body", vec![Step::ReadHead, Step::HangUp], LOST, 0, New).padded(LARGE),
    ]
}

/// What a server does to a connection that nobody uses. The first send is over and well.
fn idle_connections() -> Vec<Case> {
    let filler = "x".repeat(12_000);
    let large = answer("200 OK", &format!(r#"{{"message_id":"{filler}"}}"#));
    let timeout = answer("408 Request Timeout", "{}");
    let idle =
        |moves: &[Step]| -> Script { [Step::Serve, Step::Wait].into_iter().chain(moves.iter().cloned()).collect() };
    let together = |second: &str| asked([Step::SayTogether(vec![accepted(), second.to_owned()])]);
    vec![
        replaced("idle end", idle(&[Step::Close])),
        replaced("idle end without notice", idle(&[Step::CloseWithoutNotice])),
        replaced("idle hang-up", idle(&[Step::HangUp])),
        replaced("idle reset", idle(&[Step::Reset])),
        replaced("idle 408 and end", idle(&[say(&timeout), Step::Close])),
        replaced("idle 408", idle(&[say(&timeout)])),
        replaced("idle garbage", idle(&[say("garbage")])),
        replaced("idle bytes below TLS", idle(&[Step::SayRaw("garbage".into())])),
        replaced("a second answer later", idle(&[say(FOREIGN)])),
        replaced("garbage in the same burst", together("garbage")),
        replaced("a line break in the same burst", together("\r\n")),
        replaced("a second answer in the same burst", together(FOREIGN)),
        replaced("a second answer of 12 kB in the same burst", together(&large)),
        replaced(
            "a second answer in the same record",
            asked([say(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{FOREIGN}"))]),
        ),
        replaced("half of a second answer", asked([Step::SayHalfOf(accepted(), FOREIGN.into())])),
        replaced("half of a second answer of 12 kB", asked([Step::SayHalfOf(accepted(), large)])),
    ]
}

fn all_cases() -> Vec<Case> {
    [
        good_answers(),
        ends_without_an_answer(),
        cut_bodies(),
        heads_that_cannot_be_read(),
        odd_statuses_and_bodies(),
        early_refusals(),
        idle_connections(),
    ]
    .concat()
}

/// What only TLS can do.
fn tls_cases() -> Vec<Case> {
    let raw = |text: &str| vec![Step::SayRaw(text.to_owned()), Step::Close];
    let undecryptable = [&[23, 3, 3, 0, 64][..], &[b'x'; 64]].concat();
    let with_garbage = |text: &str, garbage: &[u8]| Step::SayThenRaw(text.to_owned(), garbage.to_vec());
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{";
    vec![
        case("plain HTTP where TLS should be", raw("HTTP/1.1 400 Bad Request\r\n\r\n"), CONNECT, 0, New),
        case("garbage where TLS should be", raw(&"garbage".repeat(1000)), CONNECT, 0, New),
        case("an alert in the handshake", raw("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}"), CONNECT, 0, New),
        case("a handshake that stalls", vec![Step::Stall], CONNECT, 0, New).short(),
        replaced("goodbye without an end, idle", vec![Step::Serve, Step::Wait, Step::CloseNotice]),
        lost("goodbye without an end, after the request", asked([Step::CloseNotice])),
        lost("end in a record", asked([Step::SayHalfOf(String::new(), accepted()), Step::CloseWithoutNotice])),
        lost("reset in a record", asked([Step::SayHalfOf(String::new(), accepted()), Step::Reset])),
        // A whole answer stands, whatever comes behind it.
        replaced(
            "a record that does not decrypt behind the answer",
            asked([with_garbage(&accepted(), &undecryptable)]),
        ),
        replaced("bytes that are no record behind the answer", asked([with_garbage(&accepted(), b"no record at all")])),
        case(
            "a record that does not decrypt behind a refusal",
            asked([with_garbage(&answer("400 Bad Request", "{}"), &undecryptable)]),
            REJECTED,
            1,
            New,
        ),
        lost("a record that does not decrypt inside the answer", asked([with_garbage(cut, &undecryptable)])),
    ]
}

// Holding it against the library

/// The versions of TLS, if any, that a server speaks.
type Versions = Option<&'static [&'static SupportedProtocolVersion]>;

static TLS_1_2: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static TLS_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// A server that may speak before it has heard the client's part of the handshake.
fn server_settings(authority: &Authority, versions: Versions) -> Option<Arc<ServerConfig>> {
    versions.map(|versions| {
        let mut settings = authority.server_of("127.0.0.1", NOW, versions);
        Arc::get_mut(&mut settings).unwrap().send_half_rtt_data = true;
        settings
    })
}

fn config(base_url: &str, authority: &Authority, timeout: Duration) -> Config {
    let config = Config::new(base_url, ACCOUNT_ID, "hmat_secret_token").ca_file(authority.file());
    // A huge message may take longer to make than a connection is kept by default.
    config.timeout(timeout).keep_alive(LONG)
}

/// What asks the server.
#[derive(Clone, Copy, PartialEq)]
enum Call {
    Send,
    Read,
}

impl Call {
    fn make(self, client: &Client, text: &str, padding: usize) -> Result<Response, Error> {
        match self {
            Call::Send => send(client, text, padding),
            Call::Read => client.get(text),
        }
    }
}

fn send(client: &Client, text: &str, padding: usize) -> Result<Response, Error> {
    let padding = "x".repeat(padding);
    let body = format!(r#"{{"recipient":{{"id":"{USER}"}},"message":{{"text":"{text}"}},"padding":"{padding}"}}"#);
    client.send_json(&body)
}

/// The connection that a case happens on.
#[derive(Clone, Copy, PartialEq)]
enum Connection {
    Fresh,
    /// It has carried a good send before.
    Kept,
}

/// Plays one case and lists what is not as it should be.
fn problems_of(
    case: &Case,
    authority: &Authority,
    tls: Option<&Arc<ServerConfig>>,
    connection: Connection,
    call: Call,
) -> Vec<String> {
    let mut script = case.script.clone();
    if connection == Connection::Kept {
        script.insert(0, Step::Serve);
    }
    let server = FaultServer::start(tls.cloned(), vec![script]);
    let client = Client::new(&config(&server.base_url(), authority, case.timeout)).unwrap();
    if connection == Connection::Kept {
        send(&client, "warm-up", 0).unwrap();
    }
    let first = call.make(&client, FIRST, case.padding);
    server.go_on();
    assert!(server.wait_for_script(0), "{}: no connection was made", case.what);
    if first.is_ok() {
        server.wait_until_heard(0);
    }
    let second = send(&client, SECOND, 0);
    drop(client);
    let entries = server.finish();

    let (outcome, received) = match case.over_tls {
        Some(over_tls) if tls.is_some() => over_tls,
        _ => (case.outcome, case.received),
    };
    let mut problems = Vec::new();
    problems.extend(contradictions_of(call, &first, &entries, FIRST));
    problems.extend(contradictions(&second, &entries, SECOND));
    if !is_as_expected(&first, outcome) {
        problems.push(format!("expected {outcome:?}, got {first:?}"));
    }
    let fits = if outcome == Race { count(&entries, FIRST) <= received } else { count(&entries, FIRST) == received };
    if !fits {
        problems.push(format!("the server read it {} times instead of {received}", count(&entries, FIRST)));
    }
    if let Err(error) = &second {
        problems.push(format!("the next send failed: {error}"));
    }
    let next = entries.iter().find(|entry| entry.text == SECOND).map(|entry| entry.connection);
    if next != Some(if case.next == Same { 0 } else { 1 }) {
        problems.push(format!("the next send went over connection {next:?}, not over the {:?} one", case.next));
    }
    problems.into_iter().map(|problem| format!("{}: {problem}", case.what)).collect()
}

fn count(entries: &[Entry], text: &str) -> usize {
    entries.iter().filter(|entry| entry.text == text).count()
}

/// What may never happen, whatever the server did.
fn contradictions(outcome: &Result<Response, Error>, entries: &[Entry], text: &str) -> Vec<String> {
    contradictions_of(Call::Send, outcome, entries, text)
}

fn contradictions_of(call: Call, outcome: &Result<Response, Error>, entries: &[Entry], text: &str) -> Vec<String> {
    let received = count(entries, text);
    let mut problems = Vec::new();
    if received > 1 {
        problems.push(format!("one send, but the server read it {received} times"));
    }
    match outcome {
        Ok(sent) if sent.message_id().is_some_and(|id| id != text) => {
            problems.push(format!("the answer to another send: {sent:?}"));
        }
        Ok(_) if received == 0 => problems.push("accepted, but the server did not read it".to_owned()),
        Ok(_) => {}
        Err(error) => {
            if error.delivery() == Delivery::NotSent && received > 0 {
                problems.push(format!("\"not sent\", but the server read it: {error}"));
            }
            if !has_clear_message(error, call) {
                problems.push(format!("not told well: {error}"));
            }
        }
    }
    problems
}

/// The error says in one line what became of the message, and shows no secret.
fn has_clear_message(error: &Error, call: Call) -> bool {
    let text = error.to_string();
    let says_so = match error.delivery() {
        Delivery::NotSent => text.ends_with("nothing was sent"),
        Delivery::Rejected => {
            let advises = text.ends_with("was not answered by a gateway: correct the base URL and the account id");
            text.starts_with("Instagram API error ") && advises == (error.kind() == ErrorKind::Endpoint)
        }
        Delivery::Unknown if error.kind() == ErrorKind::Lost && !text.starts_with("Instagram API error ") => {
            let advice = match call {
                Call::Send => "the message may have been delivered, so do not repeat it blindly",
                Call::Read => "it may be repeated",
            };
            text.ends_with(advice)
        }
        Delivery::Unknown => text.starts_with("Instagram API error "),
    };
    says_so && !text.contains('\n') && !format!("{text}{error:?}").contains("hmat_secret_token")
}

fn is_as_expected(outcome: &Result<Response, Error>, expected: Outcome) -> bool {
    match (outcome, expected) {
        (Ok(_), Accepted) => true,
        (Err(error), Fails(kind)) => error.kind() == kind && error.delivery() == delivery_of(kind),
        (Err(error), Race) => matches!(error.kind(), ErrorKind::Lost | ErrorKind::Connect),
        _ => false,
    }
}

fn delivery_of(kind: ErrorKind) -> Delivery {
    match kind {
        ErrorKind::Connect => Delivery::NotSent,
        ErrorKind::Rejected | ErrorKind::Auth | ErrorKind::RateLimited | ErrorKind::Endpoint => Delivery::Rejected,
        ErrorKind::Lost | ErrorKind::Server => Delivery::Unknown,
        other => panic!("no case of this table ends as {other:?}"),
    }
}

fn assert_table_holds(cases: &[Case], versions: Versions, connection: Connection) {
    assert_table_holds_for(Call::Send, cases, versions, connection);
}

fn assert_table_holds_for(call: Call, cases: &[Case], versions: Versions, connection: Connection) {
    let authority = Authority::new();
    let tls = server_settings(&authority, versions);
    let problems = Mutex::new(Vec::new());
    let waiting = Mutex::new(cases.iter());
    let next = || waiting.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let found = problems_of(case, &authority, tls.as_ref(), connection, call);
                    problems.lock().unwrap().extend(found);
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// A GET has no body that could be large, and an id says nothing about what was only read.
fn cases_for_a_read() -> Vec<Case> {
    let suits = |case: &Case| case.padding == 0 && case.what != "200 and an id beside an error";
    all_cases().into_iter().filter(suits).collect()
}

#[test]
fn delivery_table_holds_for_reads_over_plain_tcp() {
    assert_table_holds_for(Call::Read, &cases_for_a_read(), None, Connection::Fresh);
}

#[test]
fn delivery_table_holds_for_reads_over_tls() {
    assert_table_holds_for(Call::Read, &cases_for_a_read(), Some(&TLS_1_3), Connection::Fresh);
}

/// The cases that begin with a request; in the others something befalls a connection before it has carried one.
fn cases_for_a_kept_connection() -> Vec<Case> {
    let begins_with_a_request =
        |case: &Case| matches!(case.script[0], Step::ReadRequest | Step::ReadHead | Step::Serve);
    all_cases().into_iter().filter(begins_with_a_request).collect()
}

#[test]
fn delivery_table_holds_over_plain_tcp() {
    assert_table_holds(&all_cases(), None, Connection::Fresh);
}

#[test]
fn delivery_table_holds_over_tls_1_3() {
    assert_table_holds(&[all_cases(), tls_cases()].concat(), Some(&TLS_1_3), Connection::Fresh);
}

#[test]
fn delivery_table_holds_over_tls_1_2() {
    assert_table_holds(&[all_cases(), tls_cases()].concat(), Some(&TLS_1_2), Connection::Fresh);
}

#[test]
fn delivery_table_holds_on_a_kept_plain_connection() {
    assert_table_holds(&cases_for_a_kept_connection(), None, Connection::Kept);
}

#[test]
fn delivery_table_holds_on_a_kept_tls_connection() {
    assert_table_holds(&cases_for_a_kept_connection(), Some(&TLS_1_3), Connection::Kept);
}

#[test]
fn redirect_is_never_followed() {
    let authority = Authority::new();
    for versions in [None, Some(rustls::ALL_VERSIONS)] {
        for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
            let other = FaultServer::start(server_settings(&authority, versions), Vec::new());
            let headers = format!("Location: {}/1/messages\r\nContent-Length: {{length}}\r\n", other.base_url());
            let script = asked([say(answer_with(status, &headers, "{}"))]);
            let server = FaultServer::start(server_settings(&authority, versions), vec![script]);
            let client = Client::new(&config(&server.base_url(), &authority, LONG)).unwrap();
            let outcome = if status.starts_with("303") { LOST } else { ENDPOINT };
            assert!(is_as_expected(&send(&client, FIRST, 0), outcome), "{status}");
            assert_eq!(other.connections(), 0, "{status}");
        }
    }
}

// Kept connections

#[test]
fn connection_idle_for_too_long_is_replaced() {
    let authority = Authority::new();
    for versions in [None, Some(rustls::ALL_VERSIONS)] {
        let server = FaultServer::start(server_settings(&authority, versions), Vec::new());
        let idle = Duration::from_millis(10);
        let client = Client::new(&config(&server.base_url(), &authority, LONG).keep_alive(idle)).unwrap();
        send(&client, FIRST, 0).unwrap();
        thread::sleep(idle);
        send(&client, SECOND, 0).unwrap();
        drop(client);
        let connections: Vec<usize> = server.finish().iter().map(|entry| entry.connection).collect();
        assert_eq!(connections, [0, 1]);
    }
}

/// The probe finds nothing wrong, and then the system takes no byte: what a reset between the two looks like. Nothing
/// has left, so the send goes over a new connection, and not over another kept one that may be as bad.
#[cfg(target_os = "linux")]
#[test]
fn kept_connection_that_accepts_no_byte_is_replaced() {
    let authority = Authority::new();
    for versions in [None, Some(&TLS_1_2[..]), Some(&TLS_1_3[..])] {
        for padding in [0, 100_000] {
            let script = vec![Step::ReadRequest, Step::Wait, say(accepted()), Step::StallUnread];
            let server = FaultServer::start(server_settings(&authority, versions), vec![script; 2]);
            let client = Client::new(&config(&server.base_url(), &authority, LONG)).unwrap();
            keep_two_connections(&server, &client);
            close_for_writing(server.address(), 2);
            let second = send(&client, SECOND, padding);
            drop(client);
            let entries = server.finish();
            assert_eq!(contradictions(&second, &entries, SECOND), Vec::<String>::new());
            assert!(second.is_ok(), "{second:?}");
            assert_eq!(entries.last().map(|entry| entry.connection), Some(2));
            assert_eq!(entries.len(), 3);
        }
    }
}

/// Two sends at the same time need two connections.
#[cfg(target_os = "linux")]
fn keep_two_connections(server: &FaultServer, client: &Client) {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| send(client, FIRST, 0).unwrap());
        }
        while server.entries().len() < 2 {
            thread::yield_now();
        }
        server.go_on();
    });
    (0..2).for_each(|connection| server.wait_until_heard(connection));
}

/// Finds the client's ends of the connections to this server and makes them refuse every write.
#[cfg(target_os = "linux")]
fn close_for_writing(server: SocketAddr, expected: usize) {
    use std::mem::ManuallyDrop;
    use std::net::{Shutdown, TcpStream};
    use std::os::fd::FromRawFd;

    let names = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let ends = names
        .map(|name| name.to_str().unwrap().parse().unwrap())
        // SAFETY: nothing owns the file through this value: it is never dropped, and a number that is no socket, or
        // whose file was closed meanwhile, makes the calls below fail.
        .map(|number| ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(number) }))
        .filter(|stream| stream.peer_addr().is_ok_and(|peer| peer == server))
        .collect::<Vec<_>>();
    assert_eq!(ends.len(), expected);
    ends.iter().for_each(|stream| stream.shutdown(Shutdown::Write).unwrap());
}

// Before there is a connection

fn assert_not_sent(what: &str, outcome: Result<Response, Error>) {
    let error = outcome.expect_err(what);
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{what}: {error}");
    assert!(has_clear_message(&error, Call::Send), "{what}: {error}");
}

#[test]
fn failed_connection_is_not_sent() {
    let authority = Authority::new();
    let refusing = Refusing::new();
    let port = refusing.address().port();
    let label = "a".repeat(64);
    for base_url in [
        format!("https://{label}.test/v25.0"),
        format!("http://127.0.0.1:{port}/v25.0"),
        format!("https://127.0.0.1:{port}/v25.0"),
        format!("http://localhost:{port}/v25.0"),
    ] {
        let client = Client::new(&config(&base_url, &authority, LONG)).unwrap();
        assert_not_sent(&base_url, send(&client, FIRST, 0));
        assert_not_sent(&base_url, send(&client, SECOND, 0));
    }
}

#[test]
fn vanished_gateway_on_a_kept_connection_is_not_sent() {
    let authority = Authority::new();
    for versions in [None, Some(rustls::ALL_VERSIONS)] {
        let server = FaultServer::start(
            server_settings(&authority, versions),
            vec![vec![Step::Serve, Step::Wait, Step::HangUp]],
        );
        let client = Client::new(&config(&server.base_url(), &authority, LONG)).unwrap();
        send(&client, FIRST, 0).unwrap();
        server.go_on();
        server.wait_until_heard(0);
        assert_eq!(server.finish().len(), 1);
        assert_not_sent("gone", send(&client, SECOND, 0));
    }
}

#[test]
fn faults_behind_a_proxy_are_reported_as_without() {
    let authority = Authority::new();
    for (script, outcome, received) in [
        (vec![Step::Close], CONNECT, 0),
        (vec![Step::ReadHead, Step::Close], LOST, 1),
        (asked([Step::Close]), LOST, 1),
        (asked([Step::Reset]), LOST, 1),
        (vec![Step::Serve, Step::Close], Accepted, 1),
        (asked([Step::SayTogether(vec![accepted(), FOREIGN.to_owned()])]), Accepted, 1),
        (asked([Step::SayHalfOf(accepted(), FOREIGN.to_owned())]), Accepted, 1),
    ] {
        let what = format!("{script:?}");
        let server = FaultServer::start(Some(authority.server("gateway.test")), vec![script]);
        let proxy = Proxy::start(Behaviour::Tunnel(server.address()));
        let config = config("https://gateway.test/v25.0", &authority, LONG).proxy(proxy.url().as_str());
        let client = Client::new(&config).unwrap();
        let first = send(&client, FIRST, 0);
        assert!(is_as_expected(&first, outcome), "{what}: {first:?}");
        drop(client);
        drop(proxy);
        let entries = server.finish();
        assert_eq!(contradictions(&first, &entries, FIRST), Vec::<String>::new(), "{what}");
        assert_eq!(count(&entries, FIRST), received, "{what}");
    }
}
