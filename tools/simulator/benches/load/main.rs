//! What the simulator takes: sends per second, memory, the time until it is ready, and its page in a browser. `cargo bench`
//! prints the figures, and whether the aims hold; `cargo bench -- page` only those of the page.

mod page;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hookmyapp_simulator::Simulator;

use support::{MESSAGES, Running, post};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(700);
const BODY: &str = r#"{"recipient":{"id":"8123456789012345"},"message":{"text":"Hello from the load"}}"#;

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    if env::args().any(|argument| argument == "page") {
        return page::print();
    }
    let ready = median(|| ready_ms(&[]));
    println!("start to ready line       {ready:>9.1} ms   {}", holds(ready <= 50.0, "50 ms"));
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().to_str().unwrap().to_owned();
    let ready = median(|| ready_ms(&["--tls", &tls]));
    println!("the same with --tls       {ready:>9.1} ms   {}", holds(ready <= 150.0, "150 ms"));
    for connections in [1, 8, 32] {
        // The two take turns, because one machine differs from itself by a factor of two.
        let mut rates = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            rates.0.push(rate(connections, false));
            rates.1.push(rate(connections, true));
        }
        let (alone, watched) = (middle(&mut rates.0), middle(&mut rates.1));
        println!(
            "sends/s, {connections:>2} connections   {alone:>9.0}   with an event stream {watched:>9.0} ({:.2})   {}",
            watched / alone,
            holds(watched / alone >= 0.85, "0.85")
        );
    }
    let running = Running::start(&["--headless"]);
    println!("resident memory at start  {:>9.1} MiB", resident_mib(&running));
    let mut sent = 0;
    for until in [100_000, 1_000_000, 3_000_000] {
        flood(running.address(), until - sent);
        sent = until;
        let resident = resident_mib(&running);
        println!("after {until:>9} requests  {resident:>9.1} MiB   {}", holds(resident <= 48.0, "48 MiB"));
    }
    drop(running);
    let running = Running::start(&["--headless"]);
    large(running.address(), 200);
    let resident = resident_mib(&running);
    println!("after 200 of 1 MiB        {resident:>9.1} MiB   {}", holds(resident <= 80.0, "80 MiB"));
    drop(running);
    page::print();
}

fn holds(holds: bool, aim: &str) -> String {
    format!("{}: {aim}", if holds { "holds" } else { "MISSED" })
}

fn median(mut run: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| run()).collect();
    middle(&mut all)
}

fn middle(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Reads responses until that many have come.
fn read_responses(stream: &mut TcpStream, buffer: &mut Vec<u8>, mut count: usize) {
    let mut chunk = [0; 64 * 1024];
    while count > 0 {
        while let Some(length) = whole(buffer) {
            buffer.drain(..length);
            count -= 1;
            if count == 0 {
                return;
            }
        }
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0);
        buffer.extend_from_slice(&chunk[..read]);
    }
}

/// The length of the response at the start, if it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text.split("Content-Length: ").nth(1)?.split('\r').next()?;
    let length = head + length.parse::<usize>().unwrap();
    (bytes.len() >= length).then_some(length)
}

/// Sends a second over that many connections, each with one request at a time.
fn rate(connections: usize, with_stream: bool) -> f64 {
    let simulator = Simulator::start().unwrap();
    let address = simulator.address();
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watching = with_stream.then(|| watch(address));
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let (request, mut buffer) = (post(MESSAGES, BODY), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(request.as_bytes()).unwrap();
                    read_responses(&mut stream, &mut buffer, 1);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    thread::sleep(ROUND / 4);
    let (before, started) = (count.load(Ordering::Relaxed), Instant::now());
    thread::sleep(ROUND);
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(simulator);
    if let Some(watching) = watching {
        watching.join().unwrap();
    }
    rate
}

/// Reads events as fast as they come, until the simulator ends.
fn watch(address: SocketAddr) -> thread::JoinHandle<()> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET /simulator/events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    thread::spawn(move || {
        let mut chunk = [0; 64 * 1024];
        while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
    })
}

/// Sends many requests over a few connections, a hundred at once.
fn flood(address: SocketAddr, count: usize) {
    const CONNECTIONS: usize = 4;
    const AT_ONCE: usize = 100;
    let run = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let (requests, mut buffer) = (post(MESSAGES, BODY).repeat(AT_ONCE), Vec::new());
        for _ in 0..count / CONNECTIONS / AT_ONCE {
            stream.write_all(requests.as_bytes()).unwrap();
            read_responses(&mut stream, &mut buffer, AT_ONCE);
        }
    };
    let threads: Vec<_> = (0..CONNECTIONS).map(|_| thread::spawn(run)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn large(address: SocketAddr, count: usize) {
    let body = BODY.to_owned() + &" ".repeat(1024 * 1024 - BODY.len());
    let (request, mut buffer) = (post(MESSAGES, &body), Vec::new());
    let mut stream = TcpStream::connect(address).unwrap();
    for _ in 0..count {
        stream.write_all(request.as_bytes()).unwrap();
        read_responses(&mut stream, &mut buffer, 1);
    }
}

fn ready_ms(options: &[&str]) -> f64 {
    let started = Instant::now();
    let _running = Running::start(options);
    started.elapsed().as_secs_f64() * 1000.0
}

fn resident_mib(running: &Running) -> f64 {
    running.resident_bytes() as f64 / 1024.0 / 1024.0
}
