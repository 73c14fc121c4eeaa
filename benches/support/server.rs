//! The server that every contender sends to: reads one request, answers it with one write of bytes made before.
//!
//! It runs as a process of its own (`serve`), so that it can be kept off the contenders' processor. On standard input
//! it takes "delay MILLISECONDS" and "connections", and answers each with one line.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::Authority;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: 214\r\n\r\n\
    {\"recipient_id\":\"8123456789012345\",\"message_id\":\"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDUwMDAwMDAwMDE3OjM\
    0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTAwMDAwMDAwMDAwMDA6MzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMZDZD\"}";

/// How long answers are held back.
static DELAY_MILLISECONDS: AtomicU64 = AtomicU64::new(0);
/// Connections opened since the last question.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Says its two ports and its CA file, then serves until standard input ends.
pub fn run() {
    let authority = Authority::new();
    let plain = listen(None);
    let tls = listen(Some(authority.server("127.0.0.1")));
    say(format!("{plain} {tls} {}", authority.file().display()));
    for line in io::stdin().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("delay", milliseconds)) => {
                DELAY_MILLISECONDS.store(milliseconds.parse().unwrap(), Ordering::Relaxed);
                say("ok".to_owned());
            }
            _ => say(CONNECTIONS.swap(0, Ordering::Relaxed).to_string()),
        }
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

fn accept(mut stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
    stream.set_nodelay(true).unwrap();
    match tls {
        Some(config) => serve(&mut StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
        None => serve(&mut stream),
    }
}

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
            if stream.write_all(ANSWER).and_then(|()| stream.flush()).is_err() {
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
