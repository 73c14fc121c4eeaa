//! Kept connections: how long they live, which one is used, and what a new one costs.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fault_server::{FaultServer, Script, Step, accepted, answer_with};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::{Authority, NOW, TlsServer, TlsStream};
use hookmyapp::{Client, Config};
use rustls::{HandshakeKind, ServerConfig};

const LONG: Duration = Duration::from_secs(20);
const ID: &str = r#"{"message_id":"{text}"}"#;

fn over_both(test: impl Fn(Option<Arc<ServerConfig>>, &Authority)) {
    let authority = Authority::new();
    test(None, &authority);
    test(Some(authority.server("127.0.0.1")), &authority);
}

fn config(base_url: &str, authority: &Authority) -> Config {
    Config::new(base_url, ACCOUNT_ID, "token").ca_file(authority.file()).timeout(LONG)
}

fn send(client: &Client, text: &str) {
    client.send_text(USER, text).unwrap();
}

/// Accepts every message, and says this about the life of the connection.
fn announcing(headers: &str) -> Script {
    let headers = format!("Content-Length: {{length}}\r\n{headers}\r\n");
    let exchange = || [Step::ReadRequest, Step::Say(answer_with("200 OK", &headers, ID))];
    [exchange(), exchange()].concat()
}

/// The numbers of the connections that two sends took, with a pause between them.
fn connections_of_two_sends(
    tls: Option<Arc<ServerConfig>>,
    authority: &Authority,
    headers: &'static str,
    pause: Duration,
) -> Vec<usize> {
    let server = FaultServer::start_with(tls, Box::new(|_| announcing(headers)));
    let client = Client::new(&config(&server.base_url(), authority)).unwrap();
    send(&client, "first");
    thread::sleep(pause);
    send(&client, "second");
    drop(client);
    server.finish().iter().map(|entry| entry.connection).collect()
}

#[test]
fn announced_keep_alive_end_is_respected() {
    over_both(|tls, authority| {
        let connections = |headers| connections_of_two_sends(tls.clone(), authority, headers, Duration::ZERO);
        assert_eq!(connections("Keep-Alive: timeout=72"), [0, 0]);
        assert_eq!(connections("Keep-Alive: timeout=1"), [0, 1], "one second less is none");
        assert_eq!(connections("Keep-Alive: timeout=72, max=1"), [0, 1]);
        assert_eq!(connections("Connection: close\r\nKeep-Alive: timeout=72"), [0, 1]);
    });
}

/// Longer than a connection is kept about which nothing is announced.
#[test]
fn announced_keep_alive_time_is_used() {
    let authority = Authority::new();
    let connections = |headers| connections_of_two_sends(None, &authority, headers, Duration::from_millis(4100));
    thread::scope(|scope| {
        let announced = scope.spawn(|| connections("Keep-Alive: timeout=72"));
        assert_eq!(connections("X-Other: 1"), [0, 1]);
        assert_eq!(announced.join().unwrap(), [0, 0]);
    });
}

/// Every thread needs a connection of its own, and afterwards one is enough.
#[test]
fn after_a_burst_one_connection_is_used_and_others_close() {
    const BURST: usize = 200;
    const LIFE: Duration = Duration::from_millis(1500);
    over_both(|tls, authority| {
        let all_at_once = || vec![Step::ReadRequest, Step::WaitForConnections(BURST), Step::Say(accepted())];
        let server = FaultServer::start_with(tls, Box::new(move |_| all_at_once()));
        let client = Client::new(&config(&server.base_url(), authority).keep_alive(LIFE)).unwrap();
        thread::scope(|scope| (0..BURST).for_each(|_| drop(scope.spawn(|| send(&client, "burst")))));
        for _ in 0..10 {
            thread::sleep(LIFE / 9);
            send(&client, "trickle");
        }
        let begin = Instant::now();
        while server.open_connections() > 10 {
            assert!(begin.elapsed() < LONG, "{} connections are open", server.open_connections());
            thread::yield_now();
        }
        drop(client);
        let entries = server.finish();
        let mut trickle: Vec<usize> =
            entries.iter().filter(|entry| entry.text == "trickle").map(|entry| entry.connection).collect();
        trickle.dedup();
        assert_eq!((entries.len(), trickle.len()), (BURST + 10, 1), "{trickle:?}");
        assert!(trickle[0] < BURST, "a connection more was opened");
    });
}

/// What a server saw of a handshake: its kind, and how much early data came.
type Seen = Arc<Mutex<Vec<(Option<HandshakeKind>, usize)>>>;

/// Reads one request, answers it, and notes how the connection began.
fn serve_one(stream: &mut TlsStream, seen: &Seen) {
    let mut request = [0; 4096];
    let mut length = 0;
    while !request[..length].ends_with(b"}}") {
        match stream.read(&mut request[length..]) {
            Ok(0) | Err(_) => return,
            Ok(amount) => length += amount,
        }
    }
    let mut early = Vec::new();
    if let Some(mut data) = stream.conn.early_data() {
        data.read_to_end(&mut early).unwrap();
    }
    seen.lock().unwrap().push((stream.conn.handshake_kind(), early.len()));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").unwrap();
}

#[test]
fn new_connection_resumes_the_tls_session_without_early_data() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut settings = authority.server_of("127.0.0.1", NOW, &[version]);
        Arc::get_mut(&mut settings).unwrap().max_early_data_size = 10_000;
        let seen = Seen::default();
        let server = TlsServer::start(settings, {
            let seen = Arc::clone(&seen);
            move |stream| serve_one(stream, &seen)
        });
        let client = Client::new(&config(&format!("https://{}/v25.0", server.address()), &authority)).unwrap();
        send(&client, "first");
        for _ in 0..8 {
            thread::scope(|scope| drop(scope.spawn(|| send(&client, "later"))));
        }
        server.stop();
        let seen = seen.lock().unwrap();
        assert_eq!((seen.len(), seen[0]), (9, (Some(HandshakeKind::Full), 0)));
        assert!(seen[1..].iter().all(|kind| *kind == (Some(HandshakeKind::Resumed), 0)), "{version:?}: {seen:?}");
    }
}
