//! Shutdown: whatever a send waits for, it ends at once and reports correctly what became of its message.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fault_server;
use crate::support::fault_server::{Entry, FaultServer, Script, Step, answer_with};
#[cfg(target_os = "linux")]
use crate::support::full_listener::FullListener;
use crate::support::proxy::{Behaviour, Proxy};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use crate::support::wait::wait_until;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};
use rustls::ServerConfig;

const SENDERS: usize = 4;
/// The limit of the sends: one that needs it was not woken.
const LONG: Duration = Duration::from_secs(20);
/// How long waking may take on a busy machine.
const SOON: Duration = Duration::from_secs(5);

fn config(base_url: &str) -> Config {
    Config::new(base_url, ACCOUNT_ID, "token").timeout(LONG).connect_timeout(LONG).keep_alive(LONG)
}

/// Shuts the client down once the sends of several threads are blocked, each through a clone of it; gives what they
/// returned.
fn shut_down(
    client: &Client,
    send: impl Fn(&Client, &str) -> Result<Response, Error> + Sync,
    are_blocked: impl Fn() -> bool,
) -> Vec<Error> {
    thread::scope(|scope| {
        let start = |number: usize| {
            let (client, send) = (client.clone(), &send);
            scope.spawn(move || send(&client, &number.to_string()))
        };
        let senders: Vec<_> = (0..SENDERS).map(start).collect();
        wait_until("all sends are blocked", &are_blocked);
        let begin = Instant::now();
        client.shutdown();
        let outcomes = senders.into_iter().map(|sender| sender.join().unwrap().expect_err("an accepted message"));
        let errors: Vec<Error> = outcomes.collect();
        assert!(begin.elapsed() < SOON, "woken after {:?}", begin.elapsed());
        errors
    })
}

fn send_text(client: &Client, text: &str) -> Result<Response, Error> {
    client.send_text(USER, text)
}

fn send_large(client: &Client, text: &str) -> Result<Response, Error> {
    let padding = "x".repeat(8_000_000);
    let recipient = format!(r#""recipient":{{"id":"{USER}"}}"#);
    client.send_json(&format!(r#"{{{recipient},"message":{{"text":"{text}"}},"padding":"{padding}"}}"#))
}

/// All errors have this kind and say why.
fn assert_shut_down(errors: &[Error], kind: ErrorKind) {
    assert_eq!(errors.len(), SENDERS);
    for error in errors {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("the client was shut down"), "{error}");
    }
}

/// A client that was shut down sends no more, neither through it nor through its clones, and may be shut down again.
fn assert_stays_shut_down(client: Client) {
    let clone = client.clone();
    client.shutdown();
    for client in [client, clone] {
        let error = client.send_text(USER, "later").expect_err("a send after the shutdown");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{error}");
        assert_eq!(error.to_string(), "the client was shut down; nothing was sent");
    }
}

fn over_both(test: impl Fn(Option<Arc<ServerConfig>>, &Authority)) {
    let authority = Authority::new();
    test(None, &authority);
    test(Some(authority.server("127.0.0.1")), &authority);
}

fn server(tls: Option<Arc<ServerConfig>>, script: Script) -> FaultServer {
    FaultServer::start_with(tls, Box::new(move |_| script.clone()))
}

fn client(server: &FaultServer, authority: &Authority) -> Client {
    Client::new(&config(&server.base_url()).ca_file(authority.file())).unwrap()
}

// After the request

/// Whether the script has gone as far as the client can see, on every sender's connection.
fn are_scripts_over(server: &FaultServer) -> bool {
    server.connections() == SENDERS && (0..SENDERS).all(|connection| server.wait_for_script(connection))
}

#[test]
fn shutdown_while_waiting_for_a_response_is_lost() {
    over_both(|tls, authority| {
        let server = server(tls, vec![Step::ReadRequest, Step::Stall]);
        let client = client(&server, authority);
        let errors = shut_down(&client, send_text, || server.entries().len() == SENDERS);
        assert_shut_down(&errors, ErrorKind::Lost);
        assert_stays_shut_down(client);
        assert_eq!(server.finish().len(), SENDERS);
    });
}

#[test]
fn shutdown_on_kept_connections_is_lost_and_not_repeated() {
    over_both(|tls, authority| {
        let server = server(tls, vec![Step::ReadRequest, Step::Wait, Step::Say(fault_server::accepted()), Step::Stall]);
        let client = client(&server, authority);
        thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send_text(&client, "warm").unwrap())).collect();
            wait_until("all connections are there", || server.entries().len() == SENDERS);
            server.go_on();
            senders.into_iter().for_each(|sender| drop(sender.join().unwrap()));
        });
        let errors = shut_down(&client, send_text, || server.entries().len() == 2 * SENDERS);
        assert_shut_down(&errors, ErrorKind::Lost);
        assert_stays_shut_down(client);
        assert_eq!(server.connections(), SENDERS);
        assert_eq!(server.finish().len(), 2 * SENDERS);
    });
}

#[test]
fn shutdown_while_writing_a_large_message_is_lost() {
    over_both(|tls, authority| {
        let server = server(tls, vec![Step::Handshake, Step::ReadHead, Step::StallUnread]);
        let client = client(&server, authority);
        let errors = shut_down(&client, send_large, || are_scripts_over(&server));
        assert_shut_down(&errors, ErrorKind::Lost);
        assert_stays_shut_down(client);
        assert_eq!(server.finish().len(), 0, "the whole message fits the buffers: make it larger");
    });
}

#[test]
fn shutdown_within_a_response_follows_its_status() {
    for (status, kind) in [("200 OK", ErrorKind::Lost), ("400 Bad Request", ErrorKind::Rejected)] {
        over_both(|tls, authority| {
            let head = answer_with(status, "Content-Length: 99\r\n", "{");
            let server = server(tls, vec![Step::ReadRequest, Step::Say(head)]);
            let client = client(&server, authority);
            let errors = shut_down(&client, send_text, || are_scripts_over(&server));
            errors.iter().for_each(|error| assert_eq!(error.kind(), kind, "{error}"));
            assert_stays_shut_down(client);
            assert_eq!(server.finish().len(), SENDERS);
        });
    }
}

// Before the request

#[test]
fn shutdown_in_the_tls_handshake_is_not_sent() {
    let authority = Authority::new();
    let server = server(Some(authority.server("127.0.0.1")), vec![Step::Stall]);
    let client = client(&server, &authority);
    let errors = shut_down(&client, send_text, || server.connections() == SENDERS);
    assert_shut_down(&errors, ErrorKind::Connect);
    assert_stays_shut_down(client);
    assert_eq!(server.finish().len(), 0);
}

#[test]
fn shutdown_while_the_proxy_stalls_is_not_sent() {
    for behaviour in [Behaviour::Stall, Behaviour::AgreeAndStall] {
        let proxy = Proxy::start(behaviour);
        let config = config("https://gateway.test/v25.0").proxy(proxy.url().as_str());
        let client = Client::new(&config).unwrap();
        let errors = shut_down(&client, send_text, || proxy.asked().len() == SENDERS);
        assert_shut_down(&errors, ErrorKind::Connect);
        assert_stays_shut_down(client);
        assert_eq!(proxy.connections(), SENDERS);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn shutdown_ends_opening_connections_within_100_ms() {
    for scheme in ["http", "https"] {
        for host in ["127.0.0.1", "localhost"] {
            let listener = FullListener::new();
            let before = listener.opening();
            let base_url = format!("{scheme}://{host}:{}/v25.0", listener.address().port());
            let client = Client::new(&config(&base_url)).unwrap();
            let mut best = LONG;
            thread::scope(|scope| {
                let sender = scope.spawn(|| (send_text(&client, "opening"), Instant::now()));
                wait_until("the send opens its connection", || listener.opening() > before);
                let begin = Instant::now();
                client.shutdown();
                let (outcome, end) = sender.join().unwrap();
                best = best.min(end.saturating_duration_since(begin));
                let error = outcome.expect_err("a send after the shutdown");
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
                assert!(error.to_string().contains("the client was shut down; nothing was sent"), "{error}");
            });
            assert!(best < Duration::from_millis(100), "{base_url}: ended after {best:?}");
            assert_eq!(listener.opening(), before, "{base_url}: a connection is still being opened");
            assert_stays_shut_down(client);
        }
    }
}

// At any moment

/// Sends numbered texts until one fails for the shutdown; gives them with what became of them.
fn send_until_shut_down(client: &Client, name: usize) -> Vec<(String, Result<(), Error>)> {
    let mut sends = Vec::new();
    loop {
        let text = format!("{name}.{}", sends.len());
        let outcome = client.send_text(USER, &text);
        if let Ok(sent) = &outcome {
            assert_eq!(sent.message_id(), Some(text.as_str()));
        }
        let is_over = outcome.is_err();
        sends.push((text, outcome.map(drop)));
        if is_over {
            return sends;
        }
    }
}

fn check_ledger(sends: &[(String, Result<(), Error>)], entries: &[Entry]) {
    for (text, outcome) in sends {
        let received = entries.iter().filter(|entry| entry.text == *text).count();
        match outcome {
            Ok(()) => assert_eq!(received, 1, "{text} was accepted"),
            Err(error) => {
                assert!(error.to_string().contains("the client was shut down"), "{text}: {error}");
                match error.kind() {
                    ErrorKind::Connect => assert_eq!(received, 0, "{text}: {error}"),
                    ErrorKind::Lost => assert!(received <= 1, "{text}: {error}"),
                    other => panic!("{text}: {other:?}: {error}"),
                }
            }
        }
    }
}

#[test]
fn shutdown_at_any_moment_is_reported_correctly() {
    over_both(|tls, authority| {
        for round in 0..40 {
            let server = server(tls.clone(), Vec::new());
            let client = client(&server, authority);
            let sends = thread::scope(|scope| {
                let client = &client;
                let start = |name| scope.spawn(move || send_until_shut_down(&client.clone(), name));
                let senders: Vec<_> = (0..SENDERS).map(start).collect();
                wait_until("enough was sent", || server.entries().len() >= round * 3);
                client.shutdown();
                senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
            });
            assert_stays_shut_down(client);
            check_ledger(&sends, &server.finish());
        }
    });
}

#[test]
fn client_shut_down_before_its_first_send_never_connects() {
    over_both(|tls, authority| {
        let server = server(tls, Vec::new());
        let client = client(&server, authority);
        client.shutdown();
        assert_stays_shut_down(client);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn shutdown_does_not_affect_other_clients() {
    over_both(|tls, authority| {
        let server = server(tls, Vec::new());
        let (first, second) = (client(&server, authority), client(&server, authority));
        second.send_text(USER, "before").unwrap();
        first.shutdown();
        second.send_text(USER, "after").unwrap();
        assert_eq!(server.connections(), 1);
        drop((first, second));
        assert_eq!(server.finish().len(), 2);
    });
}
