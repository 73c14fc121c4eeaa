//! The server that every contender sends to: reads one request, answers it with one write of bytes made before.
//!
//! It runs as a process of its own (`serve`), so that it can be kept off the contenders' processor. On standard input
//! it takes the orders that `run` lists, and answers each with one line.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use super::tls::Authority;

const BODY: &str = "{\"recipient_id\":\"8123456789012345\",\"message_id\":\"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDUw\
    MDAwMDAwMDE3OjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTAwMDAwMDAwMDAwMDA6MzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMZDZD\
    \"}";

/// How long answers are held back.
static DELAY_MILLISECONDS: AtomicU64 = AtomicU64::new(0);
static ANSWER: LazyLock<Mutex<Arc<Answer>>> = LazyLock::new(|| Mutex::new(Arc::new(Answer::new(""))));
/// Connections opened since the last question, and how many of them resumed a TLS session.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
static RESUMED: AtomicU64 = AtomicU64::new(0);
/// Bytes of all connections since the last question, below TLS.
static RECEIVED: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);

/// Says its ports and its CA file, then serves until standard input ends.
pub fn run() {
    let authority = Authority::new();
    let mut resuming = (*authority.server("127.0.0.1")).clone();
    let mut fresh = resuming.clone();
    // As many sessions as a whole run makes: with rustls' default those of one contender would push out another's.
    resuming.session_storage = ServerSessionMemoryCache::new(1 << 16);
    fresh.session_storage = Arc::new(NoServerSessionStorage {});
    fresh.send_tls13_tickets = 0;
    let ports = [listen(None), listen(Some(Arc::new(resuming))), listen(Some(Arc::new(fresh)))];
    say(format!("{} {} {} {}", ports[0], ports[1], ports[2], authority.file().display()));
    for line in io::stdin().lines().map_while(Result::ok) {
        let (order, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let taken = |figure: &AtomicU64| figure.swap(0, Ordering::Relaxed);
        say(match order {
            "delay" => {
                DELAY_MILLISECONDS.store(argument.parse().unwrap(), Ordering::Relaxed);
                "ok".to_owned()
            }
            "announce" => {
                *ANSWER.lock().unwrap() = Arc::new(Answer::new(argument));
                "ok".to_owned()
            }
            "traffic" => {
                format!("{} {} {} {}", taken(&CONNECTIONS), taken(&RESUMED), taken(&RECEIVED), taken(&SENT))
            }
            other => panic!("cannot do {other}"),
        });
    }
}

struct Answer {
    bytes: Vec<u8>,
    /// Nothing follows on its connection.
    is_last: bool,
}

impl Answer {
    /// `announcement` is the line of the head about the life of the connection, or nothing.
    fn new(announcement: &str) -> Answer {
        let line = if announcement.is_empty() { String::new() } else { format!("{announcement}\r\n") };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n";
        let bytes = format!("{head}{line}Content-Length: {}\r\n\r\n{BODY}", BODY.len()).into_bytes();
        Answer { bytes, is_last: announcement == "Connection: close" }
    }
}

fn say(line: String) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Serves every connection on a thread of its own, and returns the port.
fn listen(tls: Option<Arc<ServerConfig>>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            let tls = tls.clone();
            thread::spawn(move || accept(stream, tls));
        }
    });
    port
}

/// Counts what passes.
struct Counted(TcpStream);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        RECEIVED.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.0.write(bytes)?;
        SENT.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn accept(stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = Counted(stream);
    let Some(config) = tls else { return serve(&mut stream) };
    let mut connection = ServerConnection::new(config).unwrap();
    if connection.complete_io(&mut stream).is_err() {
        return;
    }
    RESUMED.fetch_add((connection.handshake_kind() == Some(HandshakeKind::Resumed)).into(), Ordering::Relaxed);
    let mut stream = StreamOwned::new(connection, stream);
    serve(&mut stream);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// Until the client closes the connection, or an answer has announced the end.
fn serve(stream: &mut (impl Read + Write)) {
    let mut buffer = vec![0; 128 << 10];
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += read;
        if request_length(&buffer[..filled]).is_some_and(|length| filled >= length) {
            let delay = DELAY_MILLISECONDS.load(Ordering::Relaxed);
            if delay > 0 {
                thread::sleep(Duration::from_millis(delay));
            }
            let answer = Arc::clone(&ANSWER.lock().unwrap());
            if stream.write_all(&answer.bytes).and_then(|()| stream.flush()).is_err() || answer.is_last {
                return;
            }
            filled = 0;
        }
    }
}

/// How long the request is as a whole, once its head is there.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    Some(head + 4 + length.unwrap())
}
