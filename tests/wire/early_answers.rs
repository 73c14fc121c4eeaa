//! Responses that arrive before the request: they are discarded, and the message is sent over another connection.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use crate::support::fault_server::{FaultServer, Script, Step};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::{Authority, NOW};
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};
use rustls::{ServerConfig, SupportedProtocolVersion};

const LONG: Duration = Duration::from_secs(20);

thread_local! {
    /// How many of this thread's next connections are not used before something has come over them.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

/// Takes the place of the C library's: the last option that a new connection is given is that it does not wait for
/// more to send, and between this call and the request the server gets its word in.
#[unsafe(no_mangle)]
extern "C" fn setsockopt(
    socket: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> c_int {
    // SAFETY: the arguments are those of the caller.
    let outcome = unsafe { libc::syscall(libc::SYS_setsockopt, socket, level, name, value, length) };
    if WAITING.get() > 0 && (level, name) == (libc::IPPROTO_TCP, libc::TCP_NODELAY) {
        WAITING.set(WAITING.get() - 1);
        let mut event = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
        // SAFETY: one event, as the call is told.
        let ready = unsafe { libc::poll(&mut event, 1, LONG.as_millis() as c_int) };
        assert_eq!(ready, 1, "the server does not speak");
    }
    outcome as c_int
}

fn say_first(text: &str) -> Script {
    vec![Step::SayFirst(text.to_owned())]
}

/// What a server may say before it is asked.
fn early_answers() -> Vec<String> {
    vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"message_id\":\"other\"}".to_owned(),
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 22\r\n\r\n{\"error\":{\"code\":100}}".to_owned(),
        "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(),
        "HTTP/1.1 20".to_owned(),
        "garbage".to_owned(),
    ]
}

fn send(server: &FaultServer, authority: &Authority, speaking_first: usize) -> Result<Response, Error> {
    let config = Config::new(&server.base_url(), ACCOUNT_ID, "token").ca_file(authority.file()).timeout(LONG);
    let client = Client::new(&config).unwrap();
    // Over TLS the handshake waits by itself.
    WAITING.set(if server.base_url().starts_with("http:") { speaking_first } else { 0 });
    client.send_text(USER, "Hello")
}

/// Plain TCP, TLS 1.2 with the answer behind the server's Finished, and TLS 1.3 with early data of the server.
fn kinds(authority: &Authority) -> Vec<Option<Arc<ServerConfig>>> {
    let versions: [&[&SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
    let settings = versions.map(|versions| {
        let mut settings = authority.server_of("127.0.0.1", NOW, versions);
        let server = Arc::get_mut(&mut settings).unwrap();
        server.send_half_rtt_data = true;
        // In a resumed handshake of TLS 1.2 the client has the last word, and the request leaves with it.
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Some(settings)
    });
    [None].into_iter().chain(settings).collect()
}

#[test]
fn early_response_is_discarded_and_the_connection_replaced() {
    let authority = Authority::new();
    for tls in kinds(&authority) {
        for early in early_answers() {
            let server = FaultServer::start(tls.clone(), vec![say_first(&early)]);
            let sent = send(&server, &authority, 1).unwrap_or_else(|error| panic!("{early:?}: {error}"));
            assert_eq!(sent.message_id(), Some("Hello"), "{early:?}");
            let entries = server.finish();
            assert_eq!(entries.iter().map(|entry| entry.connection).collect::<Vec<_>>(), [1], "{early:?}");
        }
    }
}

#[test]
fn server_that_always_speaks_first_is_not_sent() {
    let authority = Authority::new();
    for tls in kinds(&authority) {
        for early in early_answers() {
            let script = early.clone();
            let server = FaultServer::start_with(tls.clone(), Box::new(move |_| say_first(&script)));
            let error = send(&server, &authority, 2).expect_err(&early);
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{early:?}: {error}");
            assert!(error.to_string().ends_with("bytes came before the request was sent; nothing was sent"), "{error}");
            assert_eq!(server.connections(), 2, "{early:?}");
            assert_eq!(server.finish().len(), 0, "{early:?}");
        }
    }
}
