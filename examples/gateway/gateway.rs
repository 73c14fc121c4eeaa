//! The local gateway: a small HTTP server on loopback that answers like HookMyApp's.
//!
//! It refuses what the gateway or Meta would refuse, invents the ids of what it accepts, keeps
//! every request, and can play an answer that a test gives it. `http.rs` reads and writes HTTP,
//! `answers.rs` turns a request into an answer, `message_rules.rs` knows what Meta takes.

// Programs and tests include this file, and each uses only a part of it.
#![allow(dead_code)]

#[path = "answers.rs"]
mod answers;
#[path = "http.rs"]
mod http;
#[path = "message_rules.rs"]
mod message_rules;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// How much of a refused request is still read, so that its sender gets to see the answer.
const DRAIN_LIMIT: u64 = 16 * 1024 * 1024;

/// Called with every request, accepted or refused, before its answer goes out.
pub type Observer = Box<dyn Fn(&Received) + Send + Sync>;

/// Whom the gateway serves, and who looks on.
pub struct Settings {
    pub account_id: String,
    pub token: String,
    pub on_request: Option<Observer>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            account_id: "17841450000000017".to_owned(),
            token: "hmat_live_local_0000EXAMPLE0000".to_owned(),
            on_request: None,
        }
    }
}

/// An answer as it goes out. The server adds `Content-Length` where HTTP wants it. An answer that
/// brings a `Content-Length` or `Transfer-Encoding` of its own is sent unmodified, and its
/// connection is closed after it: that is how a cut answer is made.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Answer {
        Answer::new(status, "application/json; charset=UTF-8", &body.to_string())
    }

    pub fn new(status: u16, content_type: &str, body: &str) -> Answer {
        Answer {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        http::find_header(&self.headers, name)
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A request that came in, and what it was answered.
#[derive(Clone, Debug)]
pub struct Received {
    /// Empty if the request could not be read as HTTP; then `head` is all that is known.
    pub method: String,
    /// The path with its query, unmodified.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// The request line and the headers, unmodified, up to and including the empty line.
    pub head: String,
    pub body: Vec<u8>,
    pub answer: Answer,
    /// The number of the connection it came over, from 0.
    pub connection: usize,
}

impl Received {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        http::find_header(&self.headers, name)
    }

    /// The token after `Bearer`, whether right or wrong.
    pub fn bearer_token(&self) -> Option<&str> {
        http::bearer_token(self.header("authorization")?)
    }
}

/// The part of the gateway that answers. Clone it to serve streams that the gateway did not
/// accept itself, for example a TLS stream.
#[derive(Clone)]
pub struct Handle {
    state: Arc<State>,
}

struct State {
    settings: Settings,
    connections: AtomicUsize,
    requests: AtomicUsize,
    received: Mutex<Vec<Received>>,
    next_answers: Mutex<VecDeque<Answer>>,
}

impl Handle {
    fn new(settings: Settings) -> Handle {
        let state = State {
            settings,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            received: Mutex::default(),
            next_answers: Mutex::default(),
        };
        Handle { state: Arc::new(state) }
    }

    /// Serves the requests on `stream` until one side ends it. Lend the stream (`&mut tls`) to close
    /// it in its own way afterwards.
    pub fn serve(&self, stream: impl Read + Write) {
        self.serve_connection(self.next_connection(), stream);
    }

    fn next_connection(&self) -> usize {
        self.state.connections.fetch_add(1, Ordering::Relaxed)
    }

    fn serve_connection(&self, connection: usize, stream: impl Read + Write) {
        let mut wire = http::Wire::new(stream);
        while let Ok(Some(request)) = wire.next_request() {
            let is_head = request.method == "HEAD";
            let keeps_alive = request.keeps_alive;
            let answer = self.answer(request, connection);
            let goes_on = keeps_alive && !http::ends_connection(&answer);
            if wire.write_answer(&answer, is_head, goes_on).is_err() || !goes_on {
                return;
            }
        }
    }

    /// Decides on one request and keeps it.
    fn answer(&self, request: http::Request, connection: usize) -> Answer {
        let number = self.state.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = match self.planned_answer(&request) {
            Some(planned) => planned,
            None => answers::answer(&request, &self.state.settings, number),
        };
        let received = Received {
            method: request.method,
            path: request.path,
            headers: request.headers,
            head: request.head,
            body: request.body,
            answer: answer.clone(),
            connection,
        };
        if let Some(observe) = &self.state.settings.on_request {
            observe(&received);
        }
        lock(&self.state.received).push(received);
        answer
    }

    /// A planned answer waits for a request that HTTP itself does not refuse.
    fn planned_answer(&self, request: &http::Request) -> Option<Answer> {
        match request.fault {
            None => lock(&self.state.next_answers).pop_front(),
            Some(_) => None,
        }
    }
}

/// A gateway that runs in background threads. Dropping it closes the listener and all its
/// connections and waits for its threads to end.
pub struct Gateway {
    handle: Handle,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    connections: Arc<Mutex<Connections>>,
}

impl Gateway {
    /// Starts on 127.0.0.1, on a port that the system chooses.
    pub fn start() -> io::Result<Gateway> {
        Gateway::start_on((Ipv4Addr::LOCALHOST, 0))
    }

    pub fn start_on(address: impl ToSocketAddrs) -> io::Result<Gateway> {
        Gateway::start_with(Settings::default(), address)
    }

    pub fn start_with(settings: Settings, address: impl ToSocketAddrs) -> io::Result<Gateway> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        if addresses.iter().any(|address| !address.ip().is_loopback()) {
            let reason = "the local gateway listens on loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let listener = TcpListener::bind(&addresses[..])?;
        let address = listener.local_addr()?;
        let handle = Handle::new(settings);
        let connections = Arc::new(Mutex::new(Connections::default()));
        let accepting = thread::Builder::new().spawn({
            let (handle, connections) = (handle.clone(), Arc::clone(&connections));
            move || accept_all(&listener, &handle, &connections)
        })?;
        Ok(Gateway { handle, address, accepting: Some(accepting), connections })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, answers::BASE_PATH)
    }

    pub fn account_id(&self) -> &str {
        &self.handle.state.settings.account_id
    }

    pub fn token(&self) -> &str {
        &self.handle.state.settings.token
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The three lines of a `.env` file that lead a client here.
    pub fn env_lines(&self) -> String {
        format!(
            "INSTAGRAM_GRAPH_API_URL={}\nINSTAGRAM_ACCOUNT_ID={}\nINSTAGRAM_ACCESS_TOKEN={}\n",
            self.base_url(),
            self.account_id(),
            self.token()
        )
    }

    /// A command to paste into a shell, which sends a first message.
    pub fn curl_line(&self) -> String {
        let body = r#"{"recipient":{"id":"8123456789012345"},"message":{"text":"Hello from curl"}}"#;
        format!(
            "curl -sS {} -H {} -H 'Content-Type: application/json' -d {}",
            shell_quoted(&format!("{}/{}/messages", self.base_url(), self.account_id())),
            shell_quoted(&format!("Authorization: Bearer {}", self.token())),
            shell_quoted(body)
        )
    }

    /// Plans the answer to the next request, whatever that says. Answers are played in order.
    pub fn answer_next(&self, answer: Answer) {
        lock(&self.handle.state.next_answers).push_back(answer);
    }

    /// Every request so far, in order, also the refused ones.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.handle.state.received).clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let connections = lock(&self.connections).close();
        // The accepting thread waits for a connection: this one lets it see that all is closed.
        let _ = TcpStream::connect(self.address);
        let accepting = self.accepting.take().into_iter();
        for thread in accepting.chain(connections) {
            let _ = thread.join();
        }
    }
}

/// The connections that the gateway accepted: a second hold on each, to end it from outside.
#[derive(Default)]
struct Connections {
    closed: bool,
    open: Vec<(TcpStream, JoinHandle<()>)>,
}

impl Connections {
    fn open(&mut self, stream: TcpStream, handle: &Handle) -> io::Result<()> {
        self.open.retain(|(_, thread)| !thread.is_finished());
        stream.set_nodelay(true)?;
        let outside = stream.try_clone()?;
        let (handle, number) = (handle.clone(), handle.next_connection());
        let thread = thread::Builder::new().spawn(move || {
            handle.serve_connection(number, &stream);
            close_gently(&stream);
        })?;
        self.open.push((outside, thread));
        Ok(())
    }

    /// Ends all connections, lets no more in, and returns the threads to wait for.
    fn close(&mut self) -> Vec<JoinHandle<()>> {
        self.closed = true;
        let end = |(stream, thread): (TcpStream, JoinHandle<()>)| {
            let _ = stream.shutdown(Shutdown::Both);
            thread
        };
        self.open.drain(..).map(end).collect()
    }
}

fn accept_all(listener: &TcpListener, handle: &Handle, connections: &Mutex<Connections>) {
    for stream in listener.incoming() {
        let mut connections = lock(connections);
        if connections.closed {
            return;
        }
        // A connection that fails while it is set up is its client's trouble alone.
        let _ = stream.and_then(|stream| connections.open(stream, handle));
    }
}

/// Says that no more answers come, and reads what the client is still sending: closing over unread
/// bytes would reset the connection and might take the last answer with it.
fn close_gently(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream.take(DRAIN_LIMIT), &mut io::sink());
    let _ = stream.shutdown(Shutdown::Both);
}

/// Replaces each `token` in `text` by its beginning and its last four characters. A token that is
/// too short to show any of it disappears whole.
pub fn hide_token(text: &str, token: &str) -> String {
    const SHORTEST_SHOWN: usize = 20;
    const SHOWN_AT_END: usize = 4;
    const SHOWN_AT_START: usize = "hmat_live_".len();
    if token.is_empty() {
        return text.to_owned();
    }
    let characters: Vec<char> = token.chars().collect();
    if characters.len() < SHORTEST_SHOWN {
        return text.replace(token, "...");
    }
    let last_underscore = characters[..SHOWN_AT_START].iter().rposition(|c| *c == '_');
    let start: String = characters[..last_underscore.map_or(0, |at| at + 1)].iter().collect();
    let end: String = characters[characters.len() - SHOWN_AT_END..].iter().collect();
    text.replace(token, &format!("{start}...{end}"))
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A thread that panicked leaves whole data behind: everything kept here changes in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
