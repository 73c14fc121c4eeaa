//! Deadlines: whatever the server does, a send returns in time and reports correctly what became of the message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::fault_server::{FaultServer, Script, Step, answer_with};
#[cfg(target_os = "linux")]
use crate::support::full_listener::FullListener;
use crate::support::proxy::{Behaviour, Proxy};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};
use rustls::ServerConfig;

const DEADLINE: Duration = Duration::from_millis(400);
/// How much later a send may come back.
const SLACK: Duration = Duration::from_millis(250);
/// A limit that no test may need.
const LONG: Duration = Duration::from_secs(60);
/// On a busy machine a try may be late for reasons outside this library.
const TRIES: usize = 3;

/// Which setting holds the deadline.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// That of the whole send.
    Send,
    /// That of connecting.
    Connect,
}

fn with_limit(config: Config, limit: Limit) -> Config {
    match limit {
        Limit::Send => config.timeout(DEADLINE),
        Limit::Connect => config.timeout(LONG).connect_timeout(DEADLINE),
    }
}

fn config(base_url: &str) -> Config {
    Config::new(base_url, ACCOUNT_ID, "token")
}

fn body(padding: usize) -> String {
    let padding = "x".repeat(padding);
    format!(r#"{{"recipient":{{"id":"{USER}"}},"message":{{"text":"Hello"}},"padding":"{padding}"}}"#)
}

/// How long a send took, and how it failed.
fn failure(client: &Client, body: &str) -> (Duration, Error) {
    let begin = Instant::now();
    let outcome = client.send_json(body);
    (begin.elapsed(), outcome.map(|sent: Response| sent.http_status()).expect_err("a send that cannot succeed"))
}

/// Every try must end as `kind` says and not before the deadline; the best one must be back in time.
fn assert_in_time(what: &str, kind: ErrorKind, attempt: impl Fn() -> (Duration, Error)) {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let (took, error) = attempt();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        let says_why = match error.delivery() {
            Delivery::NotSent => error.to_string().contains("time-out of 400ms is over"),
            Delivery::Unknown => error.to_string().contains("time"),
            Delivery::Rejected => true,
        };
        assert!(says_why, "{what}: {error}");
        assert!(took >= DEADLINE, "{what}: back after {took:?}: {error}");
        best = best.min(took);
        if best <= DEADLINE + SLACK {
            return;
        }
    }
    panic!("{what}: back after {best:?} at best");
}

// After the request

/// What a server does to make a send wait, and what is known then.
fn slow_answers() -> Vec<(&'static str, Script, ErrorKind)> {
    let with = |step: Step| vec![Step::ReadRequest, step];
    let said = |text: String| vec![Step::ReadRequest, Step::Say(text), Step::Stall];
    let dripping = |status: &str| {
        let head = answer_with(status, "Content-Length: 9999\r\n", "");
        vec![Step::ReadRequest, Step::Say(head), Step::Drip(" ".repeat(9999))]
    };
    let cut = |status: &str| said(answer_with(status, "Content-Length: 99\r\n", "{"));
    vec![
        ("silence", with(Step::Stall), ErrorKind::Lost),
        ("a head that drips", with(Step::Drip(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(9999)))), ErrorKind::Lost),
        ("a head that stalls", said("HTTP/1.1 200 OK\r\nX: ".to_owned()), ErrorKind::Lost),
        ("a body that drips", dripping("200 OK"), ErrorKind::Lost),
        ("a body that stalls", cut("200 OK"), ErrorKind::Lost),
        ("the body of a refusal that drips", dripping("400 Bad Request"), ErrorKind::Rejected),
        ("the body of a refusal that stalls", cut("400 Bad Request"), ErrorKind::Rejected),
        ("interim answers that drip", with(Step::Drip("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(99))), ErrorKind::Lost),
    ]
}

fn assert_slow_answers_in_time(tls: Option<&Arc<ServerConfig>>, authority: &Authority, before: &[Step]) {
    for (what, script, kind) in slow_answers() {
        assert_in_time(what, kind, || {
            let script = [before, &script].concat();
            let server = FaultServer::start(tls.cloned(), vec![script]);
            let client = Client::new(&config(&server.base_url()).ca_file(authority.file()).timeout(DEADLINE)).unwrap();
            for _ in before {
                client.send_json(&body(0)).unwrap();
            }
            let outcome = failure(&client, &body(0));
            drop(client);
            assert_eq!(server.finish().len(), before.len() + 1, "{what}");
            outcome
        });
    }
}

#[test]
fn slow_response_ends_at_the_deadline_over_plain_tcp() {
    assert_slow_answers_in_time(None, &Authority::new(), &[]);
}

#[test]
fn slow_response_ends_at_the_deadline_over_tls() {
    let authority = Authority::new();
    assert_slow_answers_in_time(Some(&authority.server("127.0.0.1")), &authority, &[]);
}

#[test]
fn kept_connection_has_the_same_deadline() {
    let authority = Authority::new();
    assert_slow_answers_in_time(None, &authority, &[Step::Serve]);
    assert_slow_answers_in_time(Some(&authority.server("127.0.0.1")), &authority, &[Step::Serve]);
}

#[test]
fn unread_large_message_ends_at_the_deadline() {
    let authority = Authority::new();
    let body = body(8_000_000);
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        assert_in_time("a server that does not read", ErrorKind::Lost, || {
            let server =
                FaultServer::start(tls.clone(), vec![vec![Step::Handshake, Step::ReadHead, Step::StallUnread]]);
            let client = Client::new(&config(&server.base_url()).ca_file(authority.file()).timeout(DEADLINE)).unwrap();
            let outcome = failure(&client, &body);
            drop(client);
            assert_eq!(server.finish().len(), 0, "the whole message fits the buffers: make it larger");
            outcome
        });
    }
}

/// The other side takes a part, refuses and reads no more: there is no need to wait until the time is up.
#[test]
fn early_rejection_of_a_large_message_is_read_at_once() {
    let authority = Authority::new();
    let body = body(16_000_000);
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        for (status, kind) in [("413 Content Too Large", ErrorKind::Rejected), ("401 Unauthorized", ErrorKind::Auth)] {
            let best = (0..TRIES).map(|_| {
                let refusal = Step::Say(answer_with(status, "Content-Length: 2\r\n", "{}"));
                let script = vec![Step::ReadHead, refusal, Step::StallUnread];
                let server = FaultServer::start(tls.clone(), vec![script]);
                let client = Client::new(&config(&server.base_url()).ca_file(authority.file()).timeout(LONG)).unwrap();
                let (took, error) = failure(&client, &body);
                assert_eq!(error.kind(), kind, "{error}");
                took
            });
            let best = best.min().unwrap();
            assert!(best < Duration::from_secs(1), "{status}: back after {best:?} at best");
        }
    }
}

/// The kernel's own timeouts may be late by an eighth of their length.
#[test]
fn silent_server_ends_in_time_for_every_deadline() {
    let longest = std::env::var("HMA_TEST_LONGEST_DEADLINE").map_or(20, |seconds| seconds.parse().unwrap());
    let authority = Authority::new();
    std::thread::scope(|scope| {
        for seconds in [1, 2, 5, 10, 20, 80].into_iter().filter(|seconds| *seconds <= longest) {
            for tls in [None, Some(authority.server("127.0.0.1"))] {
                let authority = &authority;
                scope.spawn(move || assert_silence_ends_in_time(tls, authority, Duration::from_secs(seconds)));
            }
        }
    });
}

fn assert_silence_ends_in_time(tls: Option<Arc<ServerConfig>>, authority: &Authority, deadline: Duration) {
    let late = (0..TRIES).map(|_| {
        let server = FaultServer::start(tls.clone(), vec![vec![Step::ReadRequest, Step::Stall]]);
        let config = config(&server.base_url()).ca_file(authority.file()).timeout(deadline);
        let (took, error) = failure(&Client::new(&config).unwrap(), &body(0));
        assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
        assert!(took >= deadline, "back after {took:?} of {deadline:?}");
        took - deadline
    });
    let best = late.take_while(|late| *late > SLACK).collect::<Vec<_>>();
    assert!(best.len() < TRIES, "late by {best:?} after {deadline:?}");
}

// Before the request

fn assert_not_sent_in_time(what: &str, limit: Limit, config: impl Fn() -> (Config, Box<dyn FnOnce()>)) {
    assert_in_time(&format!("{what}, limit of {limit:?}"), ErrorKind::Connect, || {
        let (config, check) = config();
        let outcome = failure(&Client::new(&with_limit(config, limit)).unwrap(), &body(0));
        check();
        outcome
    });
}

const LIMITS: [Limit; 2] = [Limit::Send, Limit::Connect];

#[test]
fn slow_tls_handshake_ends_at_the_deadline() {
    let authority = Authority::new();
    let settings = authority.server("127.0.0.1");
    let record = format!("\u{16}\u{3}\u{3}\u{40}\0{}", "x".repeat(9999));
    for (what, step) in [("a handshake that stalls", Step::Stall), ("one that drips", Step::DripRaw(record))] {
        for limit in LIMITS {
            assert_not_sent_in_time(what, limit, || {
                let server = FaultServer::start(Some(Arc::clone(&settings)), vec![vec![step.clone()]]);
                let config = config(&server.base_url()).ca_file(authority.file());
                (config, Box::new(|| assert_eq!(server.finish().len(), 0)))
            });
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn connection_that_never_completes_ends_at_the_deadline() {
    let listener = FullListener::new();
    for scheme in ["http", "https"] {
        for limit in LIMITS {
            let base_url = format!("{scheme}://127.0.0.1:{}/v25.0", listener.address().port());
            assert_not_sent_in_time("a full listener", limit, || (config(&base_url), Box::new(|| ())));
        }
    }
}

#[test]
fn slow_proxy_does_not_extend_the_deadline() {
    for behaviour in [Behaviour::Stall, Behaviour::Drip, Behaviour::AgreeAndStall] {
        for limit in LIMITS {
            assert_not_sent_in_time(&format!("a proxy's {behaviour:?}"), limit, || {
                let proxy = Proxy::start(behaviour.clone());
                let config = config("https://gateway.test/v25.0").proxy(proxy.url().as_str());
                (config, Box::new(move || assert_eq!(proxy.connections(), 1)))
            });
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn unreachable_proxy_ends_at_the_deadline() {
    let listener = FullListener::new();
    for limit in LIMITS {
        assert_not_sent_in_time("a full proxy", limit, || {
            let proxy = format!("http://{}", listener.address());
            (config("https://gateway.test/v25.0").proxy(proxy.as_str()), Box::new(|| ()))
        });
    }
}

#[test]
fn replaced_connection_shares_the_deadline() {
    let authority = Authority::new();
    for (tls, kind) in [(None, ErrorKind::Lost), (Some(authority.server("127.0.0.1")), ErrorKind::Connect)] {
        assert_in_time("a new connection that stalls", kind, || {
            let first = vec![Step::Serve, Step::Wait, Step::Reset];
            let server = FaultServer::start(tls.clone(), vec![first, vec![Step::Stall]]);
            let client = Client::new(&config(&server.base_url()).ca_file(authority.file()).timeout(DEADLINE)).unwrap();
            client.send_json(&body(0)).unwrap();
            server.go_on();
            server.wait_until_heard(0);
            failure(&client, &body(0))
        });
    }
}

/// The shorter the deadline, the likelier it falls between two steps.
#[test]
fn deadline_at_any_moment_is_reported_correctly() {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        let server = FaultServer::start(tls, Vec::new());
        let mut outcomes = Vec::new();
        for step in 0..150 {
            let timeout = Duration::from_micros(50 + 100 * step);
            let config = config(&server.base_url()).ca_file(authority.file()).timeout(timeout);
            let body = body(0).replace("Hello", &step.to_string());
            outcomes.push((step.to_string(), Client::new(&config).unwrap().send_json(&body)));
        }
        let entries = server.finish();
        for (text, outcome) in outcomes {
            let received = entries.iter().filter(|entry| entry.text == text).count();
            match outcome {
                Ok(sent) => assert_eq!((sent.message_id(), received), (Some(text.as_str()), 1)),
                Err(error) => match error.kind() {
                    ErrorKind::Connect => assert_eq!(received, 0, "{error}"),
                    ErrorKind::Lost => assert!(received <= 1, "{error}"),
                    other => panic!("{other:?}: {error}"),
                },
            }
        }
    }
}

// Threads

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Says how many threads more than `alone` the process had at most while `work` ran, the one that counts left out.
/// `work` may ask for the number so far.
#[cfg(target_os = "linux")]
fn threads_started_by(alone: usize, work: impl FnOnce(&dyn Fn() -> usize)) -> usize {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    // A thread that is joined may still be listed for a moment.
    while threads() > alone {
        std::thread::yield_now();
    }
    let (is_over, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = || most.load(Ordering::Relaxed).saturating_sub(alone + 1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(threads(), Ordering::Relaxed);
            }
        });
        while most.load(Ordering::Relaxed) == 0 {}
        work(&started);
        is_over.store(true, Ordering::Relaxed);
    });
    started()
}

#[cfg(target_os = "linux")]
const CHILD: &str = "HMA_TEST_CHILD_OF";

/// Runs in a process of its own, where nothing else starts threads.
#[cfg(target_os = "linux")]
#[test]
fn address_or_kept_connection_starts_no_thread() {
    const NAME: &str = "deadlines::address_or_kept_connection_starts_no_thread";
    if let Ok(base_url) = std::env::var(CHILD) {
        return count_threads(&base_url);
    }
    let server = FaultServer::start(None, Vec::new());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, server.base_url())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(server.connections() > 500, "the child did nothing: {}", String::from_utf8_lossy(&child.stdout));
}

#[cfg(target_os = "linux")]
fn count_threads(base_url: &str) {
    let alone = threads();
    let count = |client: &Client, sends: usize| {
        threads_started_by(alone, |_| (0..sends).for_each(|_| drop(client.send_json(&body(0)).unwrap())))
    };
    let client = Client::new(&config(base_url)).unwrap();
    assert_eq!(count(&client, 2000), 0, "a send on a kept connection");

    let client = Client::new(&config(base_url).keep_alive(Duration::ZERO)).unwrap();
    assert_eq!(count(&client, 500), 0, "a connection to an address");

    // A name is looked up on a thread: if that were not seen, the counts above would mean nothing.
    let named = base_url.replace("127.0.0.1", "localhost");
    let client = Client::new(&config(&named).keep_alive(Duration::ZERO)).unwrap();
    let begin = Instant::now();
    threads_started_by(alone, |started| {
        while started() == 0 {
            assert!(begin.elapsed() < LONG, "the thread of a look-up was never seen");
            client.send_json(&body(0)).unwrap();
        }
    });

    let client = Client::new(&config(&named)).unwrap();
    client.send_json(&body(0)).unwrap();
    assert_eq!(count(&client, 2000), 0, "a send to a name on a kept connection");
}
