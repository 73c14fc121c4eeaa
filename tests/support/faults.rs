//! Servers on loopback that fail on purpose, each in one way.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// A test that waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a connection to a full backlog is tried before it counts as stalled.
const STALLED: Duration = Duration::from_millis(300);

/// An address that nobody listens on.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A listener that takes no more connections: those that wait for it to accept fill its backlog.
pub struct FullBacklog {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl FullBacklog {
    pub fn new() -> FullBacklog {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, STALLED) {
            waiting.push(stream);
            assert!(waiting.len() < 1000, "the backlog never fills");
        }
        FullBacklog { listener, waiting }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Makes sure that nobody but the first ones ever got a connection.
    pub fn finish(self) {
        self.listener.set_nonblocking(true).unwrap();
        let connected = std::iter::from_fn(|| self.listener.accept().ok()).count();
        assert_eq!(connected, self.waiting.len());
    }
}

/// A server that treats its one connection badly and keeps what came over it.
pub struct Server {
    listener: TcpListener,
    thread: JoinHandle<Vec<u8>>,
}

impl Server {
    fn start(treat: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = accepting.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            treat(stream)
        });
        Server { listener, thread }
    }

    /// Speaks, but no TLS.
    pub fn without_tls() -> Server {
        Server::start(|mut stream| {
            stream.write_all(b"220 this is no TLS\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            until_the_end(&mut stream)
        })
    }

    /// Reads the whole request and never answers.
    pub fn silent() -> Server {
        Server::start(|mut stream| {
            let mut request = whole_request(&mut stream);
            request.extend(until_the_end(&mut stream));
            request
        })
    }

    /// Reads the whole request, then resets the connection.
    pub fn resetting_after_the_request() -> Server {
        Server::start(|mut stream| {
            let request = whole_request(&mut stream);
            reset(stream);
            request
        })
    }

    /// Reads the first bytes of the request, then resets the connection.
    pub fn resetting_after(bytes: usize) -> Server {
        Server::start(move |mut stream| {
            let mut beginning = vec![0; bytes];
            stream.read_exact(&mut beginning).unwrap();
            reset(stream);
            beginning
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// What came over the one connection; there was no second one.
    pub fn finish(self) -> Vec<u8> {
        let received = self.thread.join().unwrap();
        self.listener.set_nonblocking(true).unwrap();
        let second = self.listener.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(second, Err(ErrorKind::WouldBlock), "there was a second connection");
        received
    }
}

/// Whether these bytes are a request with all of its body.
pub fn is_whole_request(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(bytes) else { return false };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.unwrap().value).unwrap().parse().unwrap();
    bytes.len() >= head + length
}

fn whole_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole_request(&request) {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the client hung up after {} bytes", request.len());
        request.extend_from_slice(&chunk[..count]);
    }
    request
}

/// However it ends.
fn until_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}
