//! Drain and limits of single calls: who waits how long, and what became of each message.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::fault_server::{FaultServer, Step, accepted, answer_with};
#[cfg(target_os = "linux")]
use crate::support::full_listener::FullListener;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use crate::support::wait::wait_until;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};

const THREADS: usize = 32;
const LIMIT: Duration = Duration::from_millis(300);
/// How much later something may happen on a busy machine.
const SLACK: Duration = Duration::from_millis(500);
/// A limit that no test may need.
const LONG: Duration = Duration::from_secs(60);

fn client(base_url: &str, authority: &Authority) -> Client {
    let config = Config::new(base_url, ACCOUNT_ID, "token").ca_file(authority.file());
    Client::new(&config.timeout(LONG).connect_timeout(LONG)).unwrap()
}

fn send(client: &Client, text: &str) -> Result<Response, Error> {
    client.send_text(USER, text)
}

fn over_both(test: impl Fn(&dyn Fn(Vec<Step>) -> FaultServer, &Authority)) {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        let start = |script: Vec<Step>| FaultServer::start_with(tls.clone(), Box::new(move |_| script.clone()));
        test(&start, &authority);
    }
}

/// Later calls are refused, whatever the drain came to.
fn assert_closed(client: &Client) {
    let error = send(client, "later").expect_err("a send after the drain");
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{error}");
}

#[test]
fn drain_lets_calls_end_and_every_verdict_is_known() {
    over_both(|start, authority| {
        let server = start(vec![Step::ReadRequest, Step::Wait, Step::Say(accepted())]);
        let client = client(&server.base_url(), authority);
        thread::scope(|scope| {
            let client = &client;
            let senders: Vec<_> =
                (0..THREADS).map(|number| scope.spawn(move || send(client, &number.to_string()))).collect();
            wait_until("all sends wait for an answer", || server.entries().len() == THREADS);
            let drain = scope.spawn(|| client.drain(LONG));
            let impatient = client.with_timeout(Duration::from_millis(100));
            let is_refused = |error: Error| error.to_string() == "the client was shut down; nothing was sent";
            wait_until("no send begins any more", || send(&impatient, "later").is_err_and(is_refused));
            assert!(!drain.is_finished());
            server.go_on();
            assert_eq!(drain.join().unwrap(), 0);
            for sender in senders {
                sender.join().unwrap().unwrap();
            }
        });
        assert_closed(&client);
    });
}

#[test]
fn drain_ends_at_its_limit_and_counts_what_became_unknown() {
    let begun = Step::Say(answer_with("200 OK", "Content-Length: 99\r\n", "{"));
    for script in [vec![Step::ReadRequest, Step::Stall], vec![Step::ReadRequest, begun, Step::Stall]] {
        check_limit_of_drain(&script);
    }
}

fn check_limit_of_drain(script: &[Step]) {
    over_both(|start, authority| {
        let server = start(script.to_vec());
        let client = client(&server.base_url(), authority);
        thread::scope(|scope| {
            let client = &client;
            let senders: Vec<_> =
                (0..THREADS).map(|number| scope.spawn(move || send(client, &number.to_string()))).collect();
            wait_until("all sends wait for an answer", || server.entries().len() == THREADS);
            let begin = Instant::now();
            assert_eq!(client.drain(LIMIT), THREADS);
            let took = begin.elapsed();
            assert!(took >= LIMIT && took < LIMIT + SLACK, "{took:?}");
            for sender in senders {
                let error = sender.join().unwrap().expect_err("a stalled send");
                assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
            }
        });
        assert_closed(&client);
        drop(client);
        assert_eq!(server.finish().len(), THREADS);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn call_that_drain_ends_before_its_request_is_not_counted() {
    let listener = FullListener::new();
    let before = listener.opening();
    let client = client(&format!("http://{}/v25.0", listener.address()), &Authority::new());
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&client, "opening"));
        wait_until("the send opens its connection", || listener.opening() > before);
        assert_eq!(client.drain(Duration::ZERO), 0);
        let error = sender.join().unwrap().expect_err("nobody answers");
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{error}");
    });
}

#[test]
fn drain_without_calls_returns_at_once_and_may_be_repeated() {
    over_both(|start, authority| {
        let server = start(Vec::new());
        let client = client(&server.base_url(), authority);
        send(&client, "warm").unwrap();
        let begin = Instant::now();
        assert_eq!((client.drain(LONG), client.clone().drain(LONG)), (0, 0));
        assert!(begin.elapsed() < SLACK, "{:?}", begin.elapsed());
        assert_closed(&client);
    });
}

// A limit for some calls

#[test]
fn each_client_of_the_same_connections_keeps_its_own_timeout() {
    over_both(|start, authority| {
        let server = start(vec![Step::Serve, Step::Serve, Step::ReadRequest, Step::Stall]);
        let long = client(&server.base_url(), authority);
        let short = long.with_timeout(LIMIT);
        send(&long, "long").unwrap();
        send(&short, "short").unwrap();
        let begin = Instant::now();
        let error = send(&short, "stalled").expect_err("a stalled send");
        let took = begin.elapsed();
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
        assert!(error.to_string().contains("timed out after 300ms"), "{error}");
        assert!(took >= LIMIT && took < LIMIT + SLACK, "{took:?}");
        drop(short);
        drop(long);
        let connections: Vec<usize> = server.finish().iter().map(|entry| entry.connection).collect();
        assert_eq!(connections, [0, 0, 0]);
    });
}

#[test]
fn timeout_of_zero_is_an_argument_error_and_nothing_is_sent() {
    let server = FaultServer::start(None, Vec::new());
    let client = client(&server.base_url(), &Authority::new()).with_timeout(Duration::ZERO);
    let error = send(&client, "never").expect_err("a send without time");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, "timeout: must not be zero"));
    assert_eq!(client.get("me").expect_err("a read without time").kind(), ErrorKind::Argument);
    assert_eq!(server.connections(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn connecting_ends_at_the_shorter_of_both_limits() {
    let listener = FullListener::new();
    let client = client(&format!("http://{}/v25.0", listener.address()), &Authority::new()).with_timeout(LIMIT);
    let begin = Instant::now();
    let error = send(&client, "opening").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(begin.elapsed() < LIMIT + SLACK, "{:?}", begin.elapsed());
}

#[test]
fn shutdown_of_one_client_ends_the_calls_of_the_other() {
    over_both(|start, authority| {
        let server = start(vec![Step::ReadRequest, Step::Stall]);
        let client = client(&server.base_url(), authority);
        let other = client.with_timeout(LONG);
        thread::scope(|scope| {
            let sender = scope.spawn(|| send(&other, "blocked"));
            wait_until("the send waits for an answer", || server.entries().len() == 1);
            client.shutdown();
            assert_eq!(sender.join().unwrap().expect_err("a send that was ended").kind(), ErrorKind::Lost);
        });
        assert_closed(&other);
    });
}
