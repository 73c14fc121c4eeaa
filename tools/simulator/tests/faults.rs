//! The whole table of faults, played against the library: what it concludes, who got it, and what comes next.

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};

use hookmyapp::{Client, Config};
use hookmyapp_simulator::{Fault, PlannedFault, Scope, Settings, Simulator, table_text};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use support::{Line, MESSAGES, TEST_TIMEOUT, TEXT, USER, api, ask_once, call, get, post, send_body, text_to};

/// A client's timeout that is shorter than `slow-answer`.
const SHORT: Duration = Duration::from_millis(1200);
/// And one that is longer.
const LONG: Duration = Duration::from_secs(20);

/// The ways in which a fault for a send can be chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Rust,
    Api,
    Text,
    User,
    CommandLine,
}

const WAYS: [Way; 5] = [Way::Rust, Way::Api, Way::Text, Way::User, Way::CommandLine];

#[derive(Clone, Copy, Debug)]
struct Case {
    fault: Fault,
    is_tls: bool,
    /// Whether a message went over the connection before.
    is_kept: bool,
}

fn of_sends() -> impl Iterator<Item = Fault> {
    Fault::ALL.iter().copied().filter(|fault| fault.row().scope == Scope::Send)
}

/// A client of a simulator, with the file that its authority is in.
struct Side {
    client: Client,
    _ca: Option<NamedTempFile>,
}

fn client(simulator: &Simulator, is_tls: bool, timeout: Duration) -> Side {
    let base = if is_tls { simulator.tls_base_url().unwrap() } else { simulator.base_url() };
    let config = Config::new(&base, simulator.account_id(), simulator.token()).timeout(timeout).proxy(None);
    let ca = is_tls.then(|| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), simulator.ca_pem().unwrap()).unwrap();
        file
    });
    let config = match &ca {
        Some(file) => config.ca_file(file.path()),
        None => config,
    };
    Side { client: Client::new(&config).unwrap(), _ca: ca }
}

impl Side {
    /// Sends a text; returns the library's status, its delay, and the message id.
    fn send(&self, user: &str, text: &str) -> (i32, Option<u64>, Option<String>) {
        match self.client.send_text(user, text) {
            Ok(response) => (0, None, response.message_id().map(str::to_owned)),
            Err(error) => (error.kind() as i32, error.retry_after().map(|delay| delay.as_secs()), None),
        }
    }
}

fn has_message(simulator: &Simulator, user: &str, text: &str) -> bool {
    let items = get(simulator, &format!("/conversations/{user}"))["items"].clone();
    let is_it = |item: &Value| {
        let body: Value = serde_json::from_str(item["body"].as_str().unwrap_or("null")).unwrap();
        item["got_it"] == true && body["message"]["text"] == text
    };
    items.as_array().unwrap().iter().any(is_it)
}

/// Plays one fault and checks all that its row promises.
fn play(case: Case, way: Way) {
    let Case { fault, is_tls, is_kept } = case;
    let row = fault.row();
    let faults = match way {
        // Played for its user alone, so that the first message is not hit.
        Way::CommandLine => vec![format!("{fault}:1@{USER}").parse().unwrap()],
        _ => Vec::new(),
    };
    let simulator = Simulator::start_with(Settings { tls: is_tls, faults, ..Settings::default() }).unwrap();
    let timeout = if matches!(fault, Fault::Silent | Fault::Drip) { SHORT } else { LONG };
    let side = client(&simulator, is_tls, timeout);
    if is_kept {
        assert_eq!(side.send("8100000000000001", "first").0, 0, "{case:?}");
    }
    let mut user = USER.to_owned();
    let mut text = "played".to_owned();
    match way {
        Way::Rust => simulator.plan(fault),
        Way::Api => drop(call(&simulator, "/faults", json!({"name": fault.name(), "count": 1, "user": null}))),
        Way::Text => text = format!("#{fault} played"),
        Way::User => user = fault.user_id(),
        Way::CommandLine => {}
    }
    let before = simulator.counts();
    let (status, delay, id) = side.send(&user, &text);
    let allowed: Vec<i32> = row.must_conclude.iter().map(|it| i32::from(it.status)).collect();
    assert!(allowed.contains(&status), "{case:?} by {way:?}: {status} is not one of {allowed:?}");
    if let Some(seconds) = row.must_conclude[0].wait_seconds {
        assert_eq!(delay, Some(seconds), "{case:?}");
    }
    let last = simulator.received().last().unwrap().clone();
    assert_eq!((last.fault, last.got_it), (Some(row.name), row.got_it), "{case:?} by {way:?}");
    assert_eq!(last.must_conclude, row.must_conclude);
    // Twice would be a repeat by the library.
    assert_eq!(simulator.counts().requests, before.requests + 1, "{case:?}");
    assert_eq!(simulator.counts().messages, before.messages + u64::from(row.got_it), "{case:?}");
    // Whether it is in the conversation. A body that was never read cannot be shown there.
    let is_shown = fault != Fault::ResetInBody || !last.body.is_empty();
    if is_shown {
        assert_eq!(has_message(&simulator, &user, &text), row.got_it, "{case:?} by {way:?}");
    }
    let expects_id = status == 0 && fault != Fault::NoId;
    assert_eq!(id.is_some(), expects_id, "{case:?}");
    if expects_id {
        assert_eq!(id, last.message_id, "{case:?}");
    }
    // The next send is accepted with an id of its own. One that leaves before the close is seen is lost, correctly.
    let mut next = side.send("8100000000000001", "next");
    if fault == Fault::ClosedIdle && next.0 == 31 {
        next = side.send("8100000000000001", "next");
    }
    let (status, _, next_id) = next;
    assert_eq!(status, 0, "{case:?}: the next send");
    assert!(next_id.is_some() && next_id != id, "{case:?}");
    assert_eq!(next_id, simulator.received().last().unwrap().message_id, "{case:?}");
}

/// Plays cases on a few threads: most of their time is waiting.
fn play_all(cases: Vec<(Case, Way)>) {
    let cases = std::sync::Mutex::new(cases);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some((case, way)) = cases.lock().unwrap().pop() else { return };
                    play(case, way);
                }
            });
        }
    });
}

#[test]
fn every_fault_of_a_send_is_concluded_as_the_table_says() {
    let mut cases = Vec::new();
    for (number, fault) in of_sends().enumerate() {
        for (is_tls, is_kept) in [(false, false), (false, true), (true, false), (true, true)] {
            // Each way once per fault, and each fault in each of the four forms.
            let way = WAYS[(number + cases.len()) % WAYS.len()];
            cases.push((Case { fault, is_tls, is_kept }, way));
        }
    }
    play_all(cases);
}

#[test]
fn every_fault_of_a_send_can_be_chosen_in_every_way() {
    let cases = of_sends()
        .filter(|fault| !matches!(fault, Fault::Silent | Fault::Drip | Fault::SlowAnswer))
        .flat_map(|fault| WAYS.map(|way| (Case { fault, is_tls: false, is_kept: true }, way)));
    play_all(cases.collect());
}

#[test]
fn a_slow_answer_is_lost_for_a_client_with_less_time() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::SlowAnswer);
    let side = client(&simulator, false, SHORT);
    assert_eq!(side.send(USER, "slow").0, 31);
    assert!(has_message(&simulator, USER, "slow"));
}

#[test]
fn down_is_not_sent_on_a_fresh_and_on_a_kept_connection_and_ends() {
    for (is_tls, is_kept, by_api) in
        [(false, false, false), (false, true, true), (true, false, true), (true, true, false)]
    {
        let simulator = Simulator::start_with(Settings { tls: is_tls, ..Settings::default() }).unwrap();
        let side = client(&simulator, is_tls, LONG);
        if is_kept {
            assert_eq!(side.send(USER, "first").0, 0);
        }
        let started = Instant::now();
        if by_api {
            call(&simulator, "/faults", json!({"name": "down", "count": 1}));
        } else {
            simulator.plan_fault(PlannedFault { fault: Fault::Down, count: Some(1), user: None });
        }
        support::wait_until("the listeners close", || std::net::TcpStream::connect(simulator.address()).is_err());
        if let Some(address) = simulator.tls_address() {
            support::wait_until("the TLS listener closes", || std::net::TcpStream::connect(address).is_err());
        }
        let before = simulator.counts();
        assert_eq!(side.send(USER, "down").0, 12, "TLS {is_tls}, kept {is_kept}");
        assert_eq!(simulator.counts(), before);
        support::wait_until("it comes back", || side.send(USER, "up").0 == 0);
        assert!(started.elapsed() >= Duration::from_secs(1));
    }
}

#[test]
fn faults_of_a_handshake_are_not_sent_and_last_for_one() {
    for fault in [Fault::TlsCut, Fault::TlsWrongName, Fault::TlsExpired] {
        for by_api in [false, true] {
            let simulator = Simulator::start_with(Settings { tls: true, ..Settings::default() }).unwrap();
            let side = client(&simulator, true, LONG);
            if by_api {
                call(&simulator, "/faults", json!({"name": fault.name()}));
            } else {
                simulator.plan(fault);
            }
            assert_eq!(side.send(USER, "handshake").0, 12, "{fault}");
            assert_eq!(simulator.counts().requests, 0);
            assert_eq!(side.send(USER, "next").0, 0, "{fault}");
        }
        // A kept connection has no handshake, so the fault waits for the next one.
        let faults = vec![format!("{fault}:1").parse().unwrap()];
        let simulator = Simulator::start_with(Settings { tls: true, faults, ..Settings::default() }).unwrap();
        assert_eq!(client(&simulator, true, LONG).send(USER, "command line").0, 12);
        let kept = client(&simulator, true, LONG);
        assert_eq!(kept.send(USER, "first").0, 0);
        simulator.plan(fault);
        assert_eq!(kept.send(USER, "kept").0, 0);
        assert_eq!(client(&simulator, true, LONG).send(USER, "fresh").0, 12);
    }
}

#[test]
fn faults_of_a_handshake_need_tls() {
    let simulator = Simulator::start().unwrap();
    let reply = api(simulator.address(), "POST", "/faults", Some(&json!({"name": "tls-cut"})));
    assert_eq!(reply.status, 409);
    let faults = vec!["tls-cut".parse().unwrap()];
    let error = Simulator::start_with(Settings { faults, ..Settings::default() }).err().unwrap();
    assert!(error.to_string().contains("tls-cut"), "{error}");
}

#[test]
fn a_send_in_the_instant_of_closed_idle_is_accepted_or_unknown() {
    for _ in 0..20 {
        let simulator = Simulator::start().unwrap();
        let side = client(&simulator, false, LONG);
        simulator.plan(Fault::ClosedIdle);
        assert_eq!(side.send(USER, "one").0, 0);
        let status = side.send(USER, "two").0;
        assert!(matches!(status, 0 | 31), "{status}");
        if status == 0 {
            assert!(has_message(&simulator, USER, "two"));
        }
    }
}

#[test]
fn a_fault_does_not_hide_a_real_refusal_and_is_kept_for_later() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::LostAfter);
    assert_eq!(send_body(&simulator, &text_to("nobody", "x")).status, 400);
    assert_eq!(send_body(&simulator, &text_to(USER, &"x".repeat(1001))).status, 400);
    let unauthorised = post(MESSAGES, TEXT).replace("Bearer hmat", "Bearer other");
    assert_eq!(ask_once(&simulator, unauthorised).status, 401);
    assert_eq!(get(&simulator, "/faults")["plan"]["next"][0]["name"], "lost-after");
    // The user's window is closed.
    call(&simulator, "/users", json!({"id": USER, "last_inbound": 0}));
    assert_eq!(send_body(&simulator, &text_to(USER, "#reset-before x")).status, 403);
    assert_eq!(send_body(&simulator, &text_to(&Fault::Redirect.user_id(), &"x".repeat(1001))).status, 400);
    let mut line = Line::to(simulator.address());
    line.say(post(MESSAGES, &text_to("81", "x").to_string()));
    assert_eq!(line.rest(), b"");
    assert_eq!(simulator.received().last().unwrap().fault, Some("lost-after"));
}

#[test]
fn a_reset_is_a_reset_and_a_close_is_a_close() {
    for (fault, is_reset) in
        [(Fault::LostAfter, false), (Fault::LostBefore, false), (Fault::ResetAfter, true), (Fault::ResetBefore, true)]
    {
        let simulator = Simulator::start().unwrap();
        simulator.plan(fault);
        let mut line = Line::to(simulator.address());
        line.say(post(MESSAGES, TEXT));
        let outcome = line.stream.read(&mut [0]);
        match is_reset {
            true => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset, "{fault}"),
            false => assert_eq!(outcome.unwrap(), 0, "{fault}"),
        }
    }
}

#[test]
fn reset_in_body_comes_before_the_body() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::ResetInBody);
    let mut line = Line::to(simulator.address());
    let whole = post(MESSAGES, TEXT);
    line.say(&whole[..whole.find("\r\n\r\n").unwrap() + 4]);
    assert_eq!(line.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let received = simulator.received();
    assert_eq!((received[0].fault, received[0].body.len(), received[0].got_it), (Some("reset-in-body"), 0, false));
}

#[test]
fn reset_in_body_waits_for_a_head_that_is_right() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::ResetInBody);
    let unauthorised = post(MESSAGES, TEXT).replace("Bearer hmat", "Bearer other");
    assert_eq!(ask_once(&simulator, unauthorised).status, 401);
    let mut line = Line::to(simulator.address());
    line.say(post(MESSAGES, TEXT));
    assert_eq!(line.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_drip_comes_byte_by_byte() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::Drip);
    let mut line = Line::to(simulator.address());
    let started = Instant::now();
    line.say(post(MESSAGES, TEXT));
    for expected in b"HTT" {
        let mut bytes = [0; 64];
        let count = line.stream.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], [*expected]);
    }
    assert!(started.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn a_silent_or_slow_connection_does_not_hold_up_the_end() {
    for fault in [Fault::Silent, Fault::Drip, Fault::SlowAnswer] {
        let simulator = Simulator::start().unwrap();
        simulator.plan(fault);
        let mut line = Line::to(simulator.address());
        line.say(post(MESSAGES, TEXT));
        assert!(simulator.wait_for_messages(1, TEST_TIMEOUT));
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            drop(simulator);
            sender.send(()).unwrap();
        });
        // Less than the fault itself takes is not asked for: only that it ends.
        receiver.recv_timeout(TEST_TIMEOUT).unwrap();
    }
}

#[test]
fn a_planned_fault_for_one_user_leaves_others_alone() {
    let simulator = Simulator::start().unwrap();
    simulator.plan_fault(format!("rate-limited:2@{USER}").parse().unwrap());
    assert_eq!(send_body(&simulator, &text_to("81", "x")).status, 200);
    assert_eq!(send_body(&simulator, &text_to(USER, "x")).status, 429);
    assert_eq!(send_body(&simulator, &text_to("81", "x")).status, 200);
    assert_eq!(send_body(&simulator, &text_to(USER, "x")).status, 429);
    assert_eq!(send_body(&simulator, &text_to(USER, "x")).status, 200);
}

#[test]
fn chaos_hits_a_part_of_the_sends_and_says_so() {
    let simulator = Simulator::start_with(Settings { chaos_percent: 50, seed: 3, ..Settings::default() }).unwrap();
    for _ in 0..30 {
        Line::to(simulator.address()).say(post(MESSAGES, TEXT));
    }
    support::wait_until("all are recorded", || simulator.counts().requests == 30);
    let hit: BTreeSet<_> = simulator.received().iter().map(|received| received.fault.unwrap_or("none")).collect();
    assert!(hit.contains("none") && hit.len() > 3, "{hit:?}");
}

#[test]
fn an_upload_and_an_action_can_fail_too() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::Error502Before);
    let upload = json!({"message": {"attachment": {"type": "image", "payload": {"url": "https://example.com/a.png"}}}});
    assert_eq!(ask_once(&simulator, post(support::UPLOADS, &upload.to_string())).status, 502);
    simulator.plan(Fault::Error502Before);
    assert_eq!(send_body(&simulator, &json!({"recipient": {"id": USER}, "sender_action": "typing_on"})).status, 502);
    assert_eq!(simulator.counts().messages, 0);
}

#[test]
fn what_must_be_concluded_from_real_refusals_is_what_the_library_concludes() {
    let simulator = Simulator::start_with(Settings { limit: Some(1), ..Settings::default() }).unwrap();
    let side = client(&simulator, false, LONG);
    let long = "x".repeat(300);
    let with = |account: &str, token: &str, base: &str| {
        let config = Config::new(base, account, token).proxy(None);
        Client::new(&config).unwrap().send_text(USER, "x").unwrap_err().kind() as i32
    };
    let (account, token, base) = (simulator.account_id(), simulator.token(), simulator.base_url());
    let json = r#"{"recipient":{"id":"81"},"message":{"attachment":{"type":"image","payload":{"url":"/a"}}}}"#;
    call(&simulator, "/users", json!({"id": "82", "last_inbound": 0}));
    call(&simulator, "/users", json!({"id": "83", "last_inbound": "never"}));
    let send_json = |body: &str| side.client.send_json(body).unwrap_err().kind() as i32;
    let statuses = [
        with(account, "other", &base),
        with("17841450000000099", token, &base),
        with(account, token, &simulator.url()),
        side.send("17841400000000000", "x").0,
        side.send("82", &long).0,
        side.send("83", &long).0,
        send_json(json),
        send_json(r#"{"recipient":{"id":"81"}}"#),
        (0..1000).map(|_| side.send(USER, "x").0).find(|status| *status != 0).unwrap(),
    ];
    assert_eq!(statuses, [21, 25, 27, 24, 23, 24, 26, 20, 22]);
    let refused: Vec<i32> = simulator
        .received()
        .iter()
        .filter(|received| !received.is_accepted())
        .map(|received| i32::from(received.must_conclude[0].status))
        .collect();
    assert_eq!(refused, statuses);
}

#[test]
fn the_table_is_the_same_in_help_and_api_and_documentation() {
    let simulator = Simulator::start().unwrap();
    let table = get(&simulator, "/faults")["table"].clone();
    assert_eq!(table.as_array().unwrap().len(), Fault::ALL.len());
    let help = table_text();
    let documentation = std::fs::read_to_string(support::library("docs/simulator.md")).unwrap();
    for row in table.as_array().unwrap() {
        let (name, wire) = (row["name"].as_str().unwrap(), row["on_the_wire"].as_str().unwrap());
        assert!(help.lines().any(|line| line.contains(name) && line.contains(wire)), "{name}");
        let got_it = if row["got_it"] == true { "yes" } else { "no" };
        let start = format!("| {:03} | `{name}` | {wire} | {got_it} | ", row["id"].as_u64().unwrap());
        let line = documentation.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        for conclusion in row["must_conclude"].as_array().unwrap() {
            assert!(line[start.len()..].contains(&conclusion["status"].to_string()), "{line}");
        }
    }
}
