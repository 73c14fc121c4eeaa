//! A server on loopback that fails as its script says, over plain TCP or TLS, and keeps a ledger.
//!
//! A script is a list of steps for one connection. When it is over, and the connection still open, the server goes on
//! as a good gateway would. The ledger contains every complete request that was read, by the text of its message; a good
//! answer names that text as the message's id, so that an answer which goes to the wrong send is seen.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;
use socket2::SockRef;

use super::wait::TEST_TIMEOUT;

/// How long what a client has sent may still be under way.
const LAST_BYTES: Duration = Duration::from_secs(5);
const DRIP_PAUSE: Duration = Duration::from_millis(20);

/// What the server does next on a connection. Over TLS the first step that needs plain text makes the handshake.
///
/// In what it says, `{text}` stands for the text of the last message, and `{length}` for the length of what follows
/// the head.
#[derive(Clone, Debug)]
pub enum Step {
    /// Makes the TLS handshake, and nothing over plain TCP.
    Handshake,
    /// Reads one head, and not a byte of the body.
    ReadHead,
    /// Reads one request whole and enters it in the ledger.
    ReadRequest,
    /// Reads one request whole and accepts it.
    Serve,
    /// Waits for the test to call `FaultServer::go_on`.
    Wait,
    /// Waits until the server has this many connections.
    WaitForConnections(usize),
    /// Says this in one burst: a TLS record.
    Say(String),
    /// Says these in one burst: a TLS record each.
    SayTogether(Vec<String>),
    /// Says the first; of the second only the first half of its TLS record, and the rest after the next request.
    SayHalfOf(String, String),
    /// Says this below TLS.
    SayRaw(String),
    /// Says the first, and the second below TLS, in one burst.
    SayThenRaw(String, Vec<u8>),
    /// Says this as early as it can: over TLS in the burst that ends the server's part of the handshake.
    SayFirst(String),
    /// Says this once, byte by byte with pauses, until it is through or the client is gone.
    Drip(String),
    /// As `Drip`, below TLS.
    #[allow(dead_code, reason = "only the suite `timing` uses it")]
    DripRaw(String),
    /// Says this again and again until the client is gone.
    Flood(String),
    /// Ends the stream as it should be, and reads on until the client ends it too.
    Close,
    /// As `Close`, without TLS's own word of goodbye.
    CloseWithoutNotice,
    /// TLS's word of goodbye alone: the connection stays open.
    CloseNotice,
    /// Closes for both ways at once; bytes that are still unread make a reset of it.
    HangUp,
    Reset,
    /// Ends the stream and resets: whoever writes on is told by SIGPIPE, unless they take care.
    #[allow(dead_code, reason = "only the suite `ffi` uses it")]
    EndAndReset,
    /// Resets after this many rounds of doing nothing, to meet the client at any moment.
    ResetAfter(u32),
    /// Reads what comes and says nothing until the client is gone.
    Stall,
    /// As `Stall`, but reads nothing before the end of the test.
    StallUnread,
}

pub type Script = Vec<Step>;

/// An answer that accepts the message.
pub fn accepted() -> String {
    answer("200 OK", r#"{"recipient_id":"8123456789012345","message_id":"{text}"}"#)
}

/// An answer with a JSON body and its right length.
pub fn answer(status: &str, body: &str) -> String {
    answer_with(status, "Content-Length: {length}\r\n", body)
}

/// An answer with these headers and no others of importance.
pub fn answer_with(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
}

/// A complete request that the server has read.
#[derive(Clone, Debug)]
pub struct Entry {
    pub text: String,
    /// The number of the connection it came over, from 0.
    pub connection: usize,
}

pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

type ScriptOf = Box<dyn Fn(usize) -> Script + Send + Sync>;

struct Shared {
    tls: Option<Arc<ServerConfig>>,
    script_of: ScriptOf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    connections: Vec<Connection>,
    threads: Vec<JoinHandle<()>>,
    /// How many connections are still served.
    open: usize,
    may_go_on: bool,
    is_over: bool,
    /// The client's end of the connection that ends the accepting.
    last: Option<SocketAddr>,
}

struct Connection {
    /// A weak hold, so that the socket closes when its thread lets go of it.
    stream: Weak<TcpStream>,
    client: SocketAddr,
    is_script_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn enter(&self, text: String, connection: usize) {
        self.lock().entries.push(Entry { text, connection });
    }
}

impl FaultServer {
    /// Plays the scripts on the first connections, one on each.
    pub fn start(tls: Option<Arc<ServerConfig>>, scripts: Vec<Script>) -> FaultServer {
        FaultServer::start_with(tls, Box::new(move |connection| scripts.get(connection).cloned().unwrap_or_default()))
    }

    /// Asks for the script of each connection by its number, from 0.
    pub fn start_with(tls: Option<Arc<ServerConfig>>, script_of: ScriptOf) -> FaultServer {
        FaultServer::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), tls, script_of)
    }

    /// The same for connections that this listener takes.
    pub fn start_on(listener: TcpListener, tls: Option<Arc<ServerConfig>>, script_of: ScriptOf) -> FaultServer {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { tls, script_of, state: Mutex::new(State::default()), changed: Condvar::new() });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept_all(&listener, &shared)
        });
        FaultServer { address, shared, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn base_url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/v25.0", self.address)
    }

    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// How many connections neither side has closed.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open
    }

    /// The complete requests that were read so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.lock().entries.clone()
    }

    /// Ends every `Step::Wait`.
    pub fn go_on(&self) {
        self.shared.lock().may_go_on = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the script of a connection is over. False if there never was such a connection.
    pub fn wait_for_script(&self, connection: usize) -> bool {
        let state = self.shared.lock();
        if state.connections.len() <= connection {
            return false;
        }
        let is_running = |state: &mut State| !state.connections[connection].is_script_over;
        let (state, waited) = self.shared.changed.wait_timeout_while(state, TEST_TIMEOUT, is_running).unwrap();
        drop(state);
        assert!(!waited.timed_out(), "the script of connection {connection} does not end");
        true
    }

    /// Waits until the client's system has heard all that the script of a connection says, its end or reset too.
    pub fn wait_until_heard(&self, connection: usize) {
        assert!(self.wait_for_script(connection));
        let client = self.shared.lock().connections[connection].client;
        wait_until_heard(self.address, client);
    }

    /// Reads what is still under way, ends everything, and returns the ledger. Clients that still hold a
    /// connection make it wait.
    pub fn finish(mut self) -> Vec<Entry> {
        self.end(LAST_BYTES);
        self.entries()
    }

    /// Gives the clients this long to end their connections.
    fn end(&mut self, patience: Duration) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        let mut state = self.shared.lock();
        state.is_over = true;
        self.shared.changed.notify_all();
        // What connected before is accepted before.
        let last = TcpStream::connect(self.address).unwrap();
        state.last = Some(last.local_addr().unwrap());
        drop(state);
        accepting.join().unwrap();
        let state = self.shared.lock();
        let (mut state, _) = self.shared.changed.wait_timeout_while(state, patience, |state| state.open > 0).unwrap();
        let threads = std::mem::take(&mut state.threads);
        for stream in state.connections.iter().filter_map(|connection| connection.stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Read);
        }
        drop(state);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end(Duration::ZERO);
        }
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let stream = Arc::new(stream.unwrap());
        let Ok(client) = stream.peer_addr() else {
            continue;
        };
        let mut state = shared.lock();
        if state.last == Some(client) {
            return;
        }
        stream.set_nodelay(true).unwrap();
        let number = state.connections.len();
        state.connections.push(Connection { stream: Arc::downgrade(&stream), client, is_script_over: false });
        shared.changed.notify_all();
        let line = Line::new(stream, number, Arc::clone(shared));
        state.open += 1;
        let shared = Arc::clone(shared);
        // A thread that nobody joins keeps its stack.
        if number % 1000 == 0 {
            state.threads.retain(|thread| !thread.is_finished());
        }
        state.threads.push(thread::spawn(move || {
            line.run();
            shared.lock().open -= 1;
            shared.changed.notify_all();
        }));
    }
}

/// One connection as the server sees it.
struct Line {
    stream: Arc<TcpStream>,
    tls: Option<ServerConnection>,
    number: usize,
    shared: Arc<Shared>,
    unread: Vec<u8>,
    /// The text of the last message.
    text: String,
    /// What is said after the next request, below TLS.
    kept_back: Vec<u8>,
}

/// What becomes of a connection after a step.
enum After {
    GoesOn,
    /// The rest is read and entered in the ledger.
    ReadsOn,
    /// Nothing more is read.
    Ends,
}

impl Line {
    fn new(stream: Arc<TcpStream>, number: usize, shared: Arc<Shared>) -> Line {
        let tls = shared.tls.clone().map(|config| {
            let mut tls = ServerConnection::new(config).unwrap();
            tls.set_buffer_limit(None);
            tls
        });
        Line { stream, tls, number, shared, unread: Vec::new(), text: String::new(), kept_back: Vec::new() }
    }

    fn run(mut self) {
        // A client that goes away midway ends the script.
        let after = self.play().unwrap_or(After::Ends);
        let (shared, number) = (Arc::clone(&self.shared), self.number);
        match after {
            After::GoesOn => {
                announce(&shared, number);
                while self.serve().is_ok() {}
            }
            After::ReadsOn => {
                announce(&shared, number);
                while self.read_request().is_ok() {}
            }
            After::Ends => {
                drop(self);
                announce(&shared, number);
            }
        }
    }

    fn play(&mut self) -> io::Result<After> {
        for next in (self.shared.script_of)(self.number) {
            match next {
                Step::Handshake => self.handshake()?,
                Step::ReadHead => self.read_head_alone()?,
                Step::ReadRequest => self.read_request()?,
                Step::Serve => self.serve()?,
                Step::Wait => self.wait(|state| state.may_go_on || state.is_over),
                Step::WaitForConnections(number) => {
                    self.wait(|state| state.connections.len() >= number || state.is_over)
                }
                Step::Say(text) => self.say(&[text])?,
                Step::SayTogether(texts) => self.say(&texts)?,
                Step::SayHalfOf(whole, half) => self.say_half_of(&whole, &half)?,
                Step::SayRaw(text) => self.say_raw(&[text])?,
                Step::SayThenRaw(text, raw) => self.say_then_raw(&text, &raw)?,
                Step::SayFirst(text) => self.say_first(&text)?,
                Step::Drip(text) => self.drip(&text, Line::say)?,
                Step::DripRaw(text) => self.drip(&text, Line::say_raw)?,
                Step::Flood(text) => self.flood(&text)?,
                Step::Close => return self.close(),
                Step::CloseWithoutNotice => return self.stream.shutdown(Shutdown::Write).map(|()| After::ReadsOn),
                Step::CloseNotice => return self.close_notice().map(|()| After::ReadsOn),
                Step::HangUp => return Ok(After::Ends),
                Step::Reset => return self.reset(),
                Step::EndAndReset => return self.stream.shutdown(Shutdown::Write).and_then(|()| self.reset()),
                Step::ResetAfter(rounds) => {
                    (0..rounds).for_each(|_| std::hint::spin_loop());
                    return self.reset();
                }
                Step::Stall => return self.stall(),
                Step::StallUnread => return self.stall_unread(),
            }
        }
        Ok(After::GoesOn)
    }

    // Reading

    fn handshake(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) if tls.is_handshaking() => tls.complete_io(&mut &*self.stream).map(drop),
            _ => Ok(()),
        }
    }

    /// Reads at most this many bytes of plain text, waiting for at least one.
    fn read_more(&mut self, most: usize) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let chunk = &mut chunk[..most.min(16 * 1024)];
        let amount = match &mut self.tls {
            None => (&*self.stream).read(chunk)?,
            Some(tls) => loop {
                match tls.reader().read(chunk) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tls.complete_io(&mut &*self.stream)?;
                    }
                    read => break read?,
                }
            },
        };
        self.unread.extend_from_slice(&chunk[..amount]);
        if amount == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn read_head_alone(&mut self) -> io::Result<()> {
        self.handshake()?;
        while head_length(&self.unread).is_none() {
            self.read_more(1)?;
        }
        Ok(())
    }

    fn read_request(&mut self) -> io::Result<()> {
        self.handshake()?;
        let length = loop {
            match request_length(&self.unread) {
                Some(length) if self.unread.len() >= length => break length,
                Some(length) => self.read_more(length - self.unread.len())?,
                None => self.read_more(usize::MAX)?,
            }
        };
        let request: Vec<u8> = self.unread.drain(..length).collect();
        self.text = text_of(&request);
        self.shared.enter(self.text.clone(), self.number);
        let rest = std::mem::take(&mut self.kept_back);
        (&*self.stream).write_all(&rest)
    }

    fn serve(&mut self) -> io::Result<()> {
        self.read_request()?;
        self.say(&[accepted()])
    }

    // Saying

    fn say(&mut self, texts: &[String]) -> io::Result<()> {
        self.handshake()?;
        let burst: Vec<u8> = texts.iter().flat_map(|text| self.sealed(text)).collect();
        (&*self.stream).write_all(&burst)
    }

    fn say_half_of(&mut self, whole: &str, half: &str) -> io::Result<()> {
        self.handshake()?;
        let mut burst = self.sealed(whole);
        let mut record = self.sealed(half);
        self.kept_back = record.split_off(record.len() / 2);
        burst.append(&mut record);
        (&*self.stream).write_all(&burst)
    }

    /// What goes over the wire for this.
    fn sealed(&mut self, text: &str) -> Vec<u8> {
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).replace("{text}", &self.text);
        let text = text.replace("{text}", &self.text).replace("{length}", &body.len().to_string());
        let Some(tls) = &mut self.tls else {
            return text.into_bytes();
        };
        tls.writer().write_all(text.as_bytes()).unwrap();
        take_records(tls)
    }

    fn say_then_raw(&mut self, text: &str, raw: &[u8]) -> io::Result<()> {
        self.handshake()?;
        let burst = [&self.sealed(text), raw].concat();
        (&*self.stream).write_all(&burst)
    }

    /// TLS keeps what is said before the handshake until the moment that may carry it.
    fn say_first(&mut self, text: &str) -> io::Result<()> {
        match &mut self.tls {
            None => (&*self.stream).write_all(text.as_bytes()),
            Some(tls) => {
                tls.writer().write_all(text.as_bytes())?;
                self.handshake()
            }
        }
    }

    fn say_raw(&mut self, texts: &[String]) -> io::Result<()> {
        (&*self.stream).write_all(texts.concat().as_bytes())
    }

    fn drip(&mut self, text: &str, say: fn(&mut Line, &[String]) -> io::Result<()>) -> io::Result<()> {
        for letter in text.chars() {
            say(self, &[letter.to_string()])?;
            thread::sleep(DRIP_PAUSE);
        }
        Ok(())
    }

    fn flood(&mut self, text: &str) -> io::Result<()> {
        loop {
            self.say(&[text.to_owned()])?;
        }
    }

    // Ending

    fn close(&mut self) -> io::Result<After> {
        self.close_notice()?;
        self.stream.shutdown(Shutdown::Write)?;
        Ok(After::ReadsOn)
    }

    fn close_notice(&mut self) -> io::Result<()> {
        let Some(tls) = self.tls.as_mut().filter(|tls| !tls.is_handshaking()) else {
            return Ok(());
        };
        tls.send_close_notify();
        let goodbye = take_records(tls);
        (&*self.stream).write_all(&goodbye)
    }

    fn reset(&mut self) -> io::Result<After> {
        SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO))?;
        Ok(After::Ends)
    }

    fn stall(&mut self) -> io::Result<After> {
        match &self.tls {
            // A client that waits for the handshake waits on.
            Some(tls) if tls.is_handshaking() => io::copy(&mut &*self.stream, &mut io::sink()).map(drop)?,
            _ => while self.read_request().is_ok() {},
        }
        Ok(After::Ends)
    }

    fn stall_unread(&mut self) -> io::Result<After> {
        announce(&self.shared, self.number);
        self.wait(|state| state.is_over);
        Ok(After::ReadsOn)
    }

    fn wait(&self, is_enough: impl Fn(&State) -> bool) {
        drop(self.shared.changed.wait_while(self.shared.lock(), |state| !is_enough(state)).unwrap());
    }
}

fn announce(shared: &Shared, connection: usize) {
    shared.lock().connections[connection].is_script_over = true;
    shared.changed.notify_all();
}

fn take_records(tls: &mut ServerConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records).unwrap();
    }
    records
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the request at the beginning of these bytes, once its head is there.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head_length = head_length(bytes)?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(bytes).unwrap();
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(0, |length| std::str::from_utf8(length.value).unwrap().parse().unwrap());
    Some(head_length + length)
}

/// The text of the message; of a GET the last part of its path.
fn text_of(request: &[u8]) -> String {
    if request.starts_with(b"GET ") {
        let path = std::str::from_utf8(request).unwrap().split(' ').nth(1).unwrap();
        return path.rsplit('/').next().unwrap().to_owned();
    }
    let body: Value = serde_json::from_slice(&request[head_length(request).unwrap()..]).unwrap();
    body["message"]["text"].as_str().unwrap().to_owned()
}

/// Linux tells which bytes are not yet acknowledged; an end counts as one.
fn wait_until_heard(server: SocketAddr, client: SocketAddr) {
    let (SocketAddr::V4(server), SocketAddr::V4(client)) = (server, client) else {
        panic!("the servers of these tests speak IPv4");
    };
    let begin = Instant::now();
    while let Ok(table) = fs::read_to_string("/proc/net/tcp") {
        let to_client = find_socket(&table, server, client);
        let to_server = find_socket(&table, client, server);
        let is_heard = match to_client {
            Some(socket) => socket.unacknowledged == 0,
            None => to_server.is_none_or(|socket| !socket.is_established),
        };
        if is_heard {
            return;
        }
        assert!(begin.elapsed() < TEST_TIMEOUT, "{server} waits for {client} to hear it");
        thread::yield_now();
    }
}

struct SocketState {
    is_established: bool,
    unacknowledged: u32,
}

fn find_socket(table: &str, from: SocketAddrV4, to: SocketAddrV4) -> Option<SocketState> {
    let place =
        |address: SocketAddrV4| format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let row = table.split_once(&format!("{} {} ", place(from), place(to)))?.1;
    let mut cells = row.split([' ', ':']);
    let is_established = cells.next() == Some("01");
    let unacknowledged = cells.next().and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap();
    Some(SocketState { is_established, unacknowledged })
}
