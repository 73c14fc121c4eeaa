//! A send inside a send, on one thread: a logger of the host sends an alert while a message is being sent.

use std::cell::RefCell;
use std::sync::Once;

use crate::support::fault_server::{FaultServer, Step, accepted};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use hookmyapp::{Client, Config, ErrorKind, Response};
use log::{LevelFilter, Log, Metadata, Record};

/// What the logger does once, at the first message of ureq that has this in it.
struct Alert {
    trigger: &'static str,
    run: Box<dyn FnOnce()>,
}

thread_local! {
    static ALERT: RefCell<Option<Alert>> = const { RefCell::new(None) };
}

struct AlertingLogger;

impl Log for AlertingLogger {
    /// Only for the threads of these tests: others share this process.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        ALERT.with_borrow(Option::is_some)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let is_due = ALERT.with_borrow(|alert| alert.as_ref().is_some_and(|alert| text.contains(alert.trigger)));
        if let Some(alert) = is_due.then(|| ALERT.take()).flatten() {
            (alert.run)();
        }
    }

    fn flush(&self) {}
}

/// The steps of a send at which ureq writes to the log: before it connects, and when the head of the answer is there.
const TRIGGERS: [&str; 2] = ["POST ", "Response {"];

fn while_sending<T>(trigger: &'static str, run: impl FnOnce() + 'static, send: impl FnOnce() -> T) -> T {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&AlertingLogger).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    ALERT.set(Some(Alert { trigger, run: Box::new(run) }));
    let outcome = send();
    assert!(ALERT.take().is_none(), "ureq never says {trigger:?}");
    outcome
}

fn config(server: &FaultServer, authority: &Authority) -> Config {
    Config::new(&server.base_url(), ACCOUNT_ID, "token").ca_file(authority.file())
}

fn send(client: &Client, text: &str) -> Result<Response, hookmyapp::Error> {
    client.send_text(USER, text)
}

fn texts(server: FaultServer) -> Vec<String> {
    server.finish().into_iter().map(|entry| entry.text).collect()
}

#[test]
fn nested_send_gets_its_own_response() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        for trigger in TRIGGERS {
            for alert_is_refused in [false, true] {
                let server = FaultServer::start(tls.clone(), Vec::new());
                let alerts = if alert_is_refused { vec![Step::ReadRequest, Step::Close] } else { Vec::new() };
                let alert_server = FaultServer::start(tls.clone(), vec![alerts]);
                let client = Client::new(&config(&server, &authority)).unwrap();
                send(&client, "warm").unwrap();
                let alerting = Client::new(&config(&alert_server, &authority)).unwrap();
                let alert = move || {
                    let outcome = send(&alerting, "alert");
                    assert_eq!(outcome.is_err(), alert_is_refused, "{outcome:?}");
                };
                let sent = while_sending(trigger, alert, || send(&client, "message")).unwrap();
                assert_eq!(sent.message_id(), Some("message"), "{trigger}");
                drop(client);
                assert_eq!(texts(server), ["warm", "message"], "{trigger}");
                assert_eq!(texts(alert_server), ["alert"], "{trigger}");
            }
        }
    }
}

/// The outer send waits and is lost, and must know that its request had left.
#[test]
fn nested_send_inside_a_lost_send_repeats_nothing() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        let early_hints = || Step::Say("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned());
        let script = vec![Step::Serve, Step::ReadRequest, early_hints(), Step::Wait, Step::Close];
        let server = FaultServer::start(tls.clone(), vec![script]);
        let alert_server = FaultServer::start(tls.clone(), Vec::new());
        let client = Client::new(&config(&server, &authority)).unwrap();
        send(&client, "warm").unwrap();
        let alerting = Client::new(&config(&alert_server, &authority)).unwrap();
        server.go_on();
        let alert = move || drop(send(&alerting, "alert").unwrap());
        let error = while_sending("POST ", alert, || send(&client, "message")).expect_err("a lost message");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
        drop(client);
        assert_eq!(texts(server), ["message", "warm"].map(String::from).into_iter().rev().collect::<Vec<_>>());
    }
}

#[test]
fn client_created_inside_a_send_sends_nothing() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        let server = FaultServer::start(tls.clone(), Vec::new());
        let other = FaultServer::start(tls, vec![vec![Step::ReadRequest, Step::Say(accepted())]]);
        let client = Client::new(&config(&server, &authority)).unwrap();
        let inner = config(&other, &authority);
        let make = move || drop(Client::new(&inner).unwrap());
        while_sending("POST ", make, || send(&client, "message")).unwrap();
        drop(client);
        assert_eq!(texts(server), ["message"]);
        assert_eq!(other.connections(), 0);
    }
}
