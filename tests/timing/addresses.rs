//! A name with several addresses: an unresponsive one delays a send by 250 ms, and only once.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ptr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fault_server::FaultServer;
use crate::support::full_listener::FullListener;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use crate::support::wait::wait_until;
use hookmyapp::{Client, Config, Error, ErrorKind, Response};

const LONG: Duration = Duration::from_secs(20);
/// How long an address has before the next one is tried, as RFC 8305 says.
const HEAD_START: Duration = Duration::from_millis(250);
/// How much later something may happen on a busy machine.
const SLACK: Duration = Duration::from_millis(200);
/// On a busy machine a try may be late for reasons outside this library.
const TRIES: usize = 3;

const GOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

// A resolver that knows the names of these tests

static NAMES: Mutex<Option<HashMap<String, Vec<Ipv4Addr>>>> = Mutex::new(None);

fn name(name: &str, addresses: &[Ipv4Addr]) {
    NAMES.lock().unwrap().get_or_insert_default().insert(name.to_owned(), addresses.to_vec());
}

/// One address in the list that the C library's resolver gives, with what it points to.
#[repr(C)]
struct Found {
    info: libc::addrinfo,
    address: libc::sockaddr_in,
}

/// In the flags of a `Found`: no flag of the C library's.
const OURS: c_int = 1 << 30;

type Resolve =
    unsafe extern "C" fn(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> c_int;
type Free = unsafe extern "C" fn(*mut libc::addrinfo);

/// The C library's function of this name, behind the one in this file.
fn real<F: Copy>(name: &CStr) -> F {
    // SAFETY: a NUL-terminated name; `F` is the type that the C library declares for it.
    unsafe {
        let function = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        assert!(!function.is_null(), "{name:?}");
        std::mem::transmute_copy::<*mut libc::c_void, F>(&function)
    }
}

/// Takes the place of the C library's, which still answers for every name that these tests do not own: other tests
/// share this process.
///
/// # Safety
/// As that one: `host` is a text, `results` may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    host: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    results: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(host) }.to_str().unwrap();
    let addresses = NAMES.lock().unwrap().as_ref().and_then(|names| names.get(name)).cloned();
    let Some(addresses) = addresses else {
        // SAFETY: the arguments are those of the caller.
        return unsafe { real::<Resolve>(c"getaddrinfo")(host, service, hints, results) };
    };
    let mut next = ptr::null_mut();
    for address in addresses.iter().rev() {
        let sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
        let address = libc::sockaddr_in { sin_family: libc::AF_INET as u16, sin_port: 0, sin_addr, sin_zero: [0; 8] };
        // SAFETY: zero is a value of all its members.
        let info: libc::addrinfo = unsafe { std::mem::zeroed() };
        let found = Box::leak(Box::new(Found { info, address }));
        found.info.ai_flags = OURS;
        found.info.ai_family = libc::AF_INET;
        found.info.ai_socktype = libc::SOCK_STREAM;
        found.info.ai_addrlen = size_of::<libc::sockaddr_in>() as u32;
        found.info.ai_addr = (&raw mut found.address).cast();
        found.info.ai_next = next;
        next = &raw mut found.info;
    }
    // SAFETY: the caller's promise.
    unsafe { *results = next };
    0
}

/// Takes the place of the C library's.
///
/// # Safety
/// `results` came from the function above or from the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn freeaddrinfo(mut results: *mut libc::addrinfo) {
    // SAFETY: the caller's promise: NULL or a list.
    if unsafe { results.as_ref() }.is_some_and(|first| first.ai_flags & OURS == 0) {
        // SAFETY: the C library made it.
        return unsafe { real::<Free>(c"freeaddrinfo")(results) };
    }
    while !results.is_null() {
        // SAFETY: the function above has leaked it as the first member of this.
        results = unsafe { Box::from_raw(results.cast::<Found>()) }.info.ai_next;
    }
}

/// A port that neither of these two answers on.
fn deaf(first: Ipv4Addr, second: Ipv4Addr) -> [FullListener; 2] {
    let first = FullListener::on(SocketAddr::from((first, 0)));
    let port = first.address().port();
    [first, FullListener::on(SocketAddr::from((second, port)))]
}

/// Opens a connection for each send.
fn client(host: &str, port: u16, authority: &Authority, connect_timeout: Duration) -> Client {
    let config = Config::new(&format!("https://{host}:{port}/v25.0"), ACCOUNT_ID, "token");
    Client::new(
        &config.ca_file(authority.file()).timeout(LONG).connect_timeout(connect_timeout).keep_alive(Duration::ZERO),
    )
    .unwrap()
}

fn send(client: &Client) -> (Duration, Result<Response, Error>) {
    let begin = Instant::now();
    let outcome = client.send_text(USER, "Hello");
    (begin.elapsed(), outcome)
}

/// The shortest time that some tries take.
fn best(attempt: impl Fn() -> Duration) -> Duration {
    (0..TRIES).map(|_| attempt()).min().unwrap()
}

#[test]
fn unresponsive_address_costs_250_ms_once() {
    let authority = Authority::new();
    let server = FaultServer::start(Some(authority.server("half-deaf.test")), Vec::new());
    let port = server.address().port();
    let _deaf = FullListener::on(SocketAddr::from((OTHER, port)));
    name("half-deaf.test", &[OTHER, GOOD]);
    let first = best(|| {
        let client = client("half-deaf.test", port, &authority, LONG);
        let (first, outcome) = send(&client);
        outcome.unwrap();
        assert!(first >= HEAD_START, "{first:?}");
        let second = best(|| {
            let (second, outcome) = send(&client);
            outcome.unwrap();
            second
        });
        assert!(second < HEAD_START, "the address that answered is not tried first: {second:?}");
        first
    });
    assert!(first < HEAD_START + SLACK, "{first:?}");
    assert_eq!(server.finish().len(), TRIES * (1 + TRIES));
}

#[test]
fn refusing_address_costs_no_time() {
    let authority = Authority::new();
    let server = FaultServer::start(Some(authority.server("half-closed.test")), Vec::new());
    name("half-closed.test", &[OTHER, THIRD, GOOD]);
    let took = best(|| {
        let (took, outcome) = send(&client("half-closed.test", server.address().port(), &authority, LONG));
        outcome.unwrap();
        took
    });
    assert!(took < HEAD_START, "{took:?}");
}

#[test]
fn unresponsive_addresses_end_at_the_connect_timeout() {
    let connect_timeout = Duration::from_millis(700);
    let [first, _second] = deaf(OTHER, THIRD);
    let port = first.address().port();
    name("deaf.test", &[OTHER, THIRD]);
    let authority = Authority::new();
    let took = best(|| {
        let (took, outcome) = send(&client("deaf.test", port, &authority, connect_timeout));
        let error = outcome.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert!(error.to_string().contains("connect time-out of 700ms is over; nothing was sent"), "{error}");
        assert!(took >= connect_timeout, "{took:?}");
        took
    });
    assert!(took < connect_timeout + SLACK, "{took:?}");
}

#[test]
fn failure_of_the_last_address_is_reported() {
    let closed = TcpListener::bind((GOOD, 0)).unwrap().local_addr().unwrap().port();
    name("closed.test", &[OTHER, GOOD]);
    let (_, outcome) = send(&client("closed.test", closed, &Authority::new(), LONG));
    let error = outcome.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("(127.0.0.1): Connection refused"), "{error}");
}

/// The first address answers when its system asks again for the connection, after a second; the second one never does.
#[test]
fn late_address_is_still_used() {
    let [first, _second] = deaf(OTHER, GOOD);
    let (port, before) = (first.address().port(), first.opening());
    name("late.test", &[OTHER, GOOD]);
    let authority = Authority::new();
    let client = client("late.test", port, &authority, LONG);
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&client).1);
        wait_until("a connection to it is being opened", || first.opening() > before);
        let server =
            FaultServer::start_on(first.empty(), Some(authority.server("late.test")), Box::new(|_| Vec::new()));
        let sent = sender.join().unwrap().unwrap();
        assert_eq!(sent.message_id(), Some("Hello"));
        assert_eq!(server.finish().len(), 1);
    });
}
