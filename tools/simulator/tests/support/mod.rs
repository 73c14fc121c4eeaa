//! What the tests share: raw HTTP to the simulator, its API, a receiver of webhooks, and tools of the system.

// Each test uses only a part of it.
#![allow(dead_code)]

pub mod browser;

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hookmyapp_simulator::{Settings, Simulator};
use serde_json::{Value, json};

pub const USER: &str = "8123456789012345";
pub const TEXT: &str = r#"{"recipient":{"id":"8123456789012345"},"message":{"text":"Hello"}}"#;
pub const MESSAGES: &str = "/meta/v25.0/17841450000000017/messages";
pub const UPLOADS: &str = "/meta/v25.0/17841450000000017/message_attachments";

/// A test that waits longer has found a fault.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a server, and what came over it that no reply has used yet.
pub struct Line {
    pub stream: TcpStream,
    pub unread: Vec<u8>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Line {
    pub fn to(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        Line { stream, unread: Vec::new() }
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn hear(&mut self) -> Reply {
        loop {
            if let Some((mut reply, head_length)) = parse_reply(&self.unread) {
                let body_length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
                if self.unread.len() >= head_length + body_length {
                    reply.body = self.unread.drain(..head_length + body_length).skip(head_length).collect();
                    return reply;
                }
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the server hung up after {:?}", String::from_utf8_lossy(&self.unread));
            self.unread.extend_from_slice(&chunk[..count]);
        }
    }

    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.say(request);
        self.hear()
    }

    /// Everything up to the end that the server makes.
    pub fn rest(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.unread).unwrap();
        self.unread
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

pub fn parse_reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).unwrap() else {
        return None;
    };
    let as_text =
        |header: &httparse::Header| (header.name.to_owned(), String::from_utf8(header.value.to_vec()).unwrap());
    let headers = parsed.headers.iter().map(as_text).collect();
    Some((Reply { status: parsed.code.unwrap(), headers, body: Vec::new() }, length))
}

/// The headers of a request that nothing is wrong with, without its length.
pub fn good_headers() -> String {
    let token = Settings::default().token;
    format!("Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

pub fn request(start: &str, headers: &str, body: &str) -> String {
    format!("{start} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub fn post(path: &str, body: &str) -> String {
    request(&format!("POST {path}"), &good_headers(), body)
}

pub fn ask_once(simulator: &Simulator, request: impl AsRef<[u8]>) -> Reply {
    Line::to(simulator.address()).ask(request)
}

/// Sends a body to the messages of the default account.
pub fn send_body(simulator: &Simulator, body: &Value) -> Reply {
    ask_once(simulator, post(MESSAGES, &body.to_string()))
}

pub fn text_to(user: &str, text: &str) -> Value {
    json!({"recipient": {"id": user}, "message": {"text": text}})
}

/// One call of the JSON API, with the headers that it wants.
pub fn api(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let body = body.map(Value::to_string).unwrap_or_default();
    let headers = format!("Host: {address}\r\nContent-Type: application/json\r\n");
    Line::to(address).ask(request(&format!("{method} /simulator{path}"), &headers, &body))
}

pub fn get(simulator: &Simulator, path: &str) -> Value {
    let reply = api(simulator.address(), "GET", path, None);
    assert_eq!(reply.status, 200, "{path}: {}", reply.json());
    reply.json()
}

pub fn call(simulator: &Simulator, path: &str, body: Value) -> Value {
    let reply = api(simulator.address(), "POST", path, Some(&body));
    assert!(matches!(reply.status, 200 | 202), "{path} {body}: {} {}", reply.status, reply.json());
    reply.json()
}

/// Test vectors of the library: their file names and contents.
pub fn vectors(folder: &str) -> Vec<(String, Value)> {
    let folder = library("tests/vectors").join(folder);
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let vector = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
            (entry.file_name().into_string().unwrap(), vector)
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!found.is_empty());
    found
}

/// A file of the library's package.
pub fn library(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Waits until something holds; panics with `what` if it never does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub struct Got {
    pub method: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<String> {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(other, _)| other.eq_ignore_ascii_case(name)));
        line.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
    }
}

/// What a receiver answers.
pub type Answering = Box<dyn Fn(&Got, usize) -> Option<(u16, String)> + Send + Sync>;

/// A receiver of webhooks. It answers as a closure says, which is given the number of the request, from 0; `None` is
/// no answer at all.
pub struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    stop: Arc<Mutex<bool>>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Knows the verify token and answers all else with 200.
    pub fn start() -> Receiver {
        Receiver::answering(Box::new(|got, _| {
            let body = if got.method == "GET" { Settings::default().verify_token } else { "ok".to_owned() };
            Some((200, body))
        }))
    }

    pub fn answering(answer: Answering) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (got, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let answer = Arc::new(answer);
        let accepting = thread::spawn({
            let (got, stop) = (Arc::clone(&got), Arc::clone(&stop));
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if *stop.lock().unwrap() {
                        return;
                    }
                    let (got, answer) = (Arc::clone(&got), Arc::clone(&answer));
                    thread::spawn(move || Receiver::serve(stream, &got, &answer));
                }
            }
        });
        Receiver { address, got, stop, accepting: Some(accepting) }
    }

    fn serve(mut stream: TcpStream, got: &Mutex<Vec<Got>>, answer: &Answering) {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let Ok(count @ 1..) = stream.read(&mut chunk) else { return };
            bytes.extend_from_slice(&chunk[..count]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut request =
                Got { method: head.split(' ').next().unwrap().to_owned(), head, body: bytes[end + 4..].to_vec() };
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if request.body.len() < length {
                continue;
            }
            request.body.truncate(length);
            let number = {
                let mut got = got.lock().unwrap();
                got.push(request.clone());
                got.len() - 1
            };
            match answer(&request, number) {
                None => {
                    // Until the other side gives up.
                    let _ = stream.read(&mut chunk);
                }
                Some((status, body)) => {
                    let reply = format!(
                        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(reply.as_bytes());
                }
            }
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/webhook", self.address)
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// The deliveries so far, without verifications.
    pub fn posts(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.method == "POST").collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
    }
}

// Tools of the system

/// Whether a tool can be run. One that is missing is reported as `say_missing` does.
pub fn is_there(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").output().is_ok();
    if !is_there {
        say_missing(tool);
    }
    is_there
}

/// Says on standard error what a test does without, or fails with HMA_REQUIRE_TOOLS=1.
pub fn say_missing(what: &str) {
    assert!(env::var_os("HMA_REQUIRE_TOOLS").is_none_or(|it| it != "1"), "{what} is missing");
    eprintln!("not tested, because {what} is missing");
}

/// Exit status and both outputs, human-readable.
pub fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// The program under test.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookmyapp-simulator"));
    let settings = [
        "INSTAGRAM_API_URL",
        "INSTAGRAM_GRAPH_API_URL",
        "INSTAGRAM_ACCOUNT_ID",
        "INSTAGRAM_USER_ID",
        "INSTAGRAM_ACCESS_TOKEN",
        "WEBHOOK_HMAC_SECRET",
    ];
    settings.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// The program while it runs, with the variables that it printed. It ends with this value, also when a test fails.
pub struct Running {
    pub child: Child,
    pub lines: Vec<String>,
    /// Open, so that the program never writes into a closed pipe.
    pub out: BufReader<ChildStdout>,
}

impl Running {
    /// Returns once the program takes connections.
    pub fn start(arguments: &[&str]) -> Running {
        let mut command = program();
        command.arg("--print-env").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended after {lines:?}");
            match line.trim_end() {
                "" => return Running { child, lines, out },
                line => lines.push(line.to_owned()),
            }
        }
    }

    pub fn variable(&self, name: &str) -> &str {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name} is not in {:?}", self.lines))
    }

    pub fn address(&self) -> SocketAddr {
        self.variable("HOOKMYAPP_SIMULATOR_URL").strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// The resident memory in bytes as Linux states it; 0 elsewhere.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
