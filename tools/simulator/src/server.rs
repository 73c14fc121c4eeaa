//! The listeners and their connections, and how a response goes over the wire.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};

use crate::api::{self, Reply};
use crate::events::{self, Seat};
use crate::faults::{Fault, Play};
use crate::gateway::{Gateway, lock};
use crate::http::{self, Answer, Request, Wire};
use crate::line::{Lent, Line, Socket, close_gently};

/// How long clients have to see the end of their connections before the listener is closed.
const GRACE: Duration = Duration::from_millis(50);

/// What all listeners obey: the end, and being down.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
    wake: Condvar,
}

#[derive(Default)]
struct ControlState {
    stopped: bool,
    down_until: Option<Instant>,
    /// To wake their threads, which wait for a connection.
    addresses: Vec<SocketAddr>,
}

impl Control {
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    fn stop(&self) {
        let addresses = {
            let mut state = lock(&self.state);
            state.stopped = true;
            self.wake.notify_all();
            state.addresses.clone()
        };
        wake_all(&addresses);
    }

    /// The address without TLS.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        lock(&self.state).addresses.first().copied()
    }

    /// What a `Host` header may say.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let addresses = lock(&self.state).addresses.clone();
        addresses.iter().flat_map(host_names).collect()
    }

    /// Closes all connections and listeners for a time.
    pub(crate) fn go_down(&self, time: Duration) {
        let addresses = {
            let mut state = lock(&self.state);
            state.down_until = Some(Instant::now() + time);
            self.wake.notify_all();
            state.addresses.clone()
        };
        wake_all(&addresses);
    }

    /// Until when the listeners are closed.
    fn down_until(&self) -> Option<Instant> {
        lock(&self.state).down_until.filter(|until| *until > Instant::now())
    }

    /// Waits; returns early, and false, if the simulator stops or goes down meanwhile.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            if state.stopped || state.down_until.is_some_and(|until| until > now) {
                return false;
            }
            if now >= deadline {
                return true;
            }
            state = self.wake.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the time of being down is over, or the simulator stops.
    fn sleep_while_down(&self) {
        let mut state = lock(&self.state);
        while let Some(until) = state.down_until.filter(|until| !state.stopped && *until > Instant::now()) {
            let left = until.saturating_duration_since(Instant::now());
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An address as clients name it. They leave out the port of http.
fn host_names(address: &SocketAddr) -> Vec<String> {
    const HTTP_PORT: u16 = 80;
    let mut names = vec![address.to_string(), format!("localhost:{}", address.port())];
    if address.port() == HTTP_PORT {
        let without_port: Vec<_> =
            names.iter().filter_map(|name| name.strip_suffix(":80")).map(str::to_owned).collect();
        names.extend(without_port);
    }
    names
}

fn wake_all(addresses: &[SocketAddr]) {
    for address in addresses {
        let _ = TcpStream::connect(address);
    }
}

/// One port and the thread that accepts its connections.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
    accepting: JoinHandle<()>,
}

impl Port {
    pub(crate) fn open(listener: TcpListener, gateway: &Arc<Gateway>, is_tls: bool) -> io::Result<Port> {
        let address = listener.local_addr()?;
        lock(&gateway.control.state).addresses.push(address);
        let connections = Arc::new(Mutex::new(Connections::default()));
        let accepting = thread::Builder::new().name("accept".to_owned()).spawn({
            let (gateway, connections) = (Arc::clone(gateway), Arc::clone(&connections));
            move || accept_all(listener, address, &gateway, &connections, is_tls)
        })?;
        Ok(Port { address, connections, accepting })
    }
}

/// Ends all connections and listeners and waits for their threads.
pub(crate) fn stop(gateway: &Gateway, ports: impl Iterator<Item = Port>) {
    gateway.control.stop();
    gateway.webhooks.stop();
    gateway.notify();
    for port in ports {
        let threads = lock(&port.connections).close();
        let _ = port.accepting.join();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// The connections of a port: a second hold on each, to end it from outside. It is a weak one, so that the connection
/// is closed when its own thread lets it go.
#[derive(Default)]
struct Connections {
    closed: bool,
    open: Vec<(Weak<TcpStream>, JoinHandle<()>)>,
}

impl Connections {
    fn add(&mut self, stream: TcpStream, gateway: &Arc<Gateway>, is_tls: bool) -> io::Result<()> {
        self.open.retain(|(_, thread)| !thread.is_finished());
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let outside = Arc::downgrade(&stream);
        let (gateway, number) = (Arc::clone(gateway), gateway.next_connection());
        let thread = thread::Builder::new().name("connection".to_owned()).spawn(move || {
            if is_tls { serve_tls(&gateway, number, Socket(stream)) } else { serve_plain(&gateway, number, stream) }
        })?;
        self.open.push((outside, thread));
        Ok(())
    }

    /// Tells the clients of all connections that they end.
    fn close_writes(&self) {
        for stream in self.open.iter().filter_map(|(stream, _)| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    fn is_idle(&self) -> bool {
        self.open.iter().all(|(_, thread)| thread.is_finished())
    }

    fn cut(&mut self) -> Vec<JoinHandle<()>> {
        let end = |(stream, thread): (Weak<TcpStream>, JoinHandle<()>)| {
            if let Some(stream) = stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            thread
        };
        self.open.drain(..).map(end).collect()
    }

    /// Ends all connections, lets no more in, and returns the threads to wait for.
    fn close(&mut self) -> Vec<JoinHandle<()>> {
        self.closed = true;
        self.cut()
    }
}

fn accept_all(
    mut listener: TcpListener,
    address: SocketAddr,
    gateway: &Arc<Gateway>,
    connections: &Mutex<Connections>,
    is_tls: bool,
) {
    loop {
        let accepted = listener.accept();
        if gateway.control.is_stopped() {
            return;
        }
        if gateway.control.down_until().is_some() {
            drop(accepted);
            match stay_down(listener, address, gateway, connections) {
                Some(again) => listener = again,
                None => return,
            }
            continue;
        }
        let mut connections = lock(connections);
        if connections.closed {
            return;
        }
        // A connection that fails while it is set up is its client's trouble alone.
        let _ = accepted.and_then(|(stream, _)| connections.add(stream, gateway, is_tls));
    }
}

/// Closes the connections, then the listener, and opens it again after its time; `None` if the simulator stops.
fn stay_down(
    listener: TcpListener,
    address: SocketAddr,
    gateway: &Gateway,
    connections: &Mutex<Connections>,
) -> Option<TcpListener> {
    lock(connections).close_writes();
    let deadline = Instant::now() + GRACE;
    while !lock(connections).is_idle() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let threads = lock(connections).cut();
    drop(listener);
    for thread in threads {
        let _ = thread.join();
    }
    loop {
        gateway.control.sleep_while_down();
        if gateway.control.is_stopped() {
            return None;
        }
        match TcpListener::bind(address) {
            Ok(listener) => return Some(listener),
            // Another program may have the port for a moment.
            Err(_) => {
                gateway.control.sleep(GRACE);
            }
        }
    }
}

fn serve_plain(gateway: &Gateway, number: u64, stream: Arc<TcpStream>) {
    let mut line = Socket(stream);
    if serve(gateway, number, &mut line) == End::Gentle {
        close_gently(&mut line);
    }
}

fn serve_tls(gateway: &Gateway, number: u64, mut socket: Socket) {
    let Some(identity) = &gateway.tls else { return };
    // The handshake begins with the client's first byte, and a fault waits for a handshake, not for a connection.
    if socket.0.peek(&mut [0]).unwrap_or(0) == 0 {
        return;
    }
    let fault = gateway.change(|state| state.plan.choose_for_handshake());
    if fault == Some(Fault::TlsCut) {
        let _ = socket.read(&mut [0; 1024]);
        return close_gently(&mut socket);
    }
    let Ok(connection) = ServerConnection::new(identity.config(fault)) else { return };
    let mut line = StreamOwned::new(connection, socket);
    if serve(gateway, number, &mut line) == End::Gentle {
        close_gently(&mut line);
    }
}

/// Serves a stream that somebody else accepted.
pub(crate) fn serve_lent(gateway: &Gateway, stream: impl Read + Write) {
    serve(gateway, gateway.next_connection(), &mut Lent(stream));
}

/// How a connection ends.
#[derive(PartialEq)]
enum End {
    Gentle,
    /// With a reset, which the socket has been told to make.
    Reset,
}

fn serve(gateway: &Gateway, number: u64, line: &mut impl Line) -> End {
    let mut wire = Wire::new(line);
    loop {
        let Ok(Some(head)) = wire.next_head() else { return End::Gentle };
        let is_api = api::is_meant(&head, gateway);
        if !is_api && gateway.resets_in_body(&head, number) {
            wire.line().reset();
            return End::Reset;
        }
        let Ok(request) = wire.with_body(head) else { return End::Gentle };
        let is_head = request.method == "HEAD";
        let next = if is_api {
            serve_api(gateway, &request, &mut wire, is_head)
        } else {
            serve_send(gateway, request, number, &mut wire, is_head)
        };
        match next {
            Ok(Next::Request) => {}
            Ok(Next::Close) | Err(_) => return End::Gentle,
            Ok(Next::Reset) => {
                wire.line().reset();
                return End::Reset;
            }
        }
    }
}

/// What a connection does after a request.
enum Next {
    Request,
    Close,
    Reset,
}

impl Next {
    fn request_if(goes_on: bool) -> Next {
        if goes_on { Next::Request } else { Next::Close }
    }
}

fn serve_api(gateway: &Gateway, request: &Request, wire: &mut Wire<impl Line>, is_head: bool) -> io::Result<Next> {
    let goes_on = |answer: &Answer| request.keeps_alive && !http::ends_connection(answer);
    match api::answer(request, gateway) {
        Reply::Answer(answer) => {
            wire.write_answer(&answer, is_head, goes_on(&answer))?;
            Ok(Next::request_if(goes_on(&answer)))
        }
        Reply::Down(answer, time) => {
            wire.write_answer(&answer, is_head, false)?;
            gateway.control.go_down(time);
            Ok(Next::Close)
        }
        Reply::Events { after } => {
            match Seat::take(gateway) {
                Some(seat) => events::stream(&seat, after, wire.line(), is_head)?,
                None => wire.write_answer(&api::too_many_streams(), is_head, false)?,
            }
            Ok(Next::Close)
        }
    }
}

fn serve_send(
    gateway: &Gateway,
    request: Request,
    number: u64,
    wire: &mut Wire<impl Line>,
    is_head: bool,
) -> io::Result<Next> {
    let keeps_alive = request.keeps_alive;
    let (received, play) = gateway.handle(request, number);
    let delay = gateway.settings.delay;
    if !delay.is_zero() && !gateway.control.sleep(delay) {
        return Ok(Next::Close);
    }
    let Some(answer) = &received.answer else {
        return Ok(match play {
            Play::Reset => Next::Reset,
            Play::Silent => {
                // Until the client gives up, or the simulator stops.
                while wire.line().read(&mut [0; 4096])? > 0 {}
                Next::Close
            }
            _ => Next::Close,
        });
    };
    let goes_on = keeps_alive && !http::ends_connection(answer);
    match play {
        Play::Late(time) if !gateway.control.sleep(time) => Ok(Next::Close),
        Play::Unframed { goes_on } => {
            wire.write_answer(answer, is_head, true)?;
            Ok(Next::request_if(goes_on && keeps_alive))
        }
        Play::Twice(second) => {
            let mut bytes = http::answer_bytes(answer, is_head, goes_on);
            bytes.extend(http::answer_bytes(&second, is_head, goes_on));
            wire.line().write_all(&bytes)?;
            wire.line().flush()?;
            Ok(Next::request_if(goes_on))
        }
        Play::Drip(interval) => {
            for byte in http::answer_bytes(answer, is_head, goes_on) {
                if !gateway.control.sleep(interval) {
                    return Ok(Next::Close);
                }
                wire.line().write_all(&[byte])?;
                wire.line().flush()?;
            }
            Ok(Next::request_if(goes_on))
        }
        Play::ThenClose => {
            wire.write_answer(answer, is_head, true)?;
            Ok(Next::Close)
        }
        _ => {
            wire.write_answer(answer, is_head, goes_on)?;
            Ok(Next::request_if(goes_on))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port_where_clients_leave_it_out() {
        let names = |address: &str| host_names(&address.parse().unwrap());
        assert_eq!(names("127.0.0.1:8080"), ["127.0.0.1:8080", "localhost:8080"]);
        assert_eq!(names("[::1]:80"), ["[::1]:80", "localhost:80", "[::1]", "localhost"]);
    }
}
