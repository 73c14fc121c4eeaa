//! A CONNECT proxy on loopback that records its requests, and can fail on purpose.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const AGREED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const DRIP_PAUSE: Duration = Duration::from_millis(20);

/// What the proxy does with each connection.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Agrees, and passes everything on to this address, whatever name it was asked for.
    Tunnel(SocketAddr),
    /// Reads the request, answers this, and closes.
    Answer(&'static str),
    /// Closes before it has read anything.
    CloseUnread,
    /// Reads the request and closes.
    Close,
    /// Closes over what it was sent, which resets the connection.
    Reset,
    /// Reads what comes and says nothing.
    Stall,
    /// Agrees, letter by letter with pauses.
    #[allow(dead_code, reason = "only the suite `timing` uses it")]
    Drip,
    /// Agrees, then closes.
    AgreeAndClose,
    /// Agrees, then says nothing.
    AgreeAndStall,
}

pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    closed: bool,
    connections: usize,
    /// The heads of all requests.
    asked: Vec<String>,
    /// A weak hold, so that a connection closes when its thread lets go of it.
    open: Vec<Weak<TcpStream>>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    pub fn start(behaviour: Behaviour) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept_all(&listener, &behaviour, &shared)
        });
        Proxy { address, shared, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL with a user name and password, as they stand in a URL.
    pub fn url_with(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    /// The heads of all requests so far, each with its request line.
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap().asked.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let (open, threads) = {
            let mut shared = self.shared.lock().unwrap();
            shared.closed = true;
            (std::mem::take(&mut shared.open), std::mem::take(&mut shared.threads))
        };
        // The accepting thread waits for a connection: this one lets it see that all is closed.
        let _ = TcpStream::connect(self.address);
        for stream in open.iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in threads.into_iter().chain(self.accepting.take()) {
            let _ = thread.join();
        }
    }
}

fn accept_all(listener: &TcpListener, behaviour: &Behaviour, shared: &Arc<Mutex<Shared>>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let mut state = shared.lock().unwrap();
        if state.closed {
            return;
        }
        stream.set_nodelay(true).unwrap();
        let stream = Arc::new(stream);
        state.connections += 1;
        state.open.push(Arc::downgrade(&stream));
        let (behaviour, shared) = (behaviour.clone(), Arc::clone(shared));
        // A client that goes away midway is no trouble of the proxy's.
        state.threads.push(thread::spawn(move || drop(serve(&stream, &behaviour, &shared))));
    }
}

fn serve(client: &Arc<TcpStream>, behaviour: &Behaviour, shared: &Mutex<Shared>) -> io::Result<()> {
    match behaviour {
        Behaviour::CloseUnread => return client.shutdown(Shutdown::Both),
        // Bytes that are left unread make the close a reset.
        Behaviour::Reset => return client.peek(&mut [0]).map(drop),
        _ => {}
    }
    let head = read_head(client)?;
    shared.lock().unwrap().asked.push(head);
    match behaviour {
        Behaviour::Answer(answer) => (&**client).write_all(answer.as_bytes()),
        Behaviour::Stall => wait_for_the_end(client),
        Behaviour::Drip => drip(client),
        Behaviour::AgreeAndClose => agree(client),
        Behaviour::AgreeAndStall => agree(client).and_then(|()| wait_for_the_end(client)),
        Behaviour::Tunnel(target) => tunnel(client, *target),
        Behaviour::CloseUnread | Behaviour::Close | Behaviour::Reset => Ok(()),
    }
}

fn agree(mut client: &TcpStream) -> io::Result<()> {
    client.write_all(AGREED)
}

fn drip(mut client: &TcpStream) -> io::Result<()> {
    for byte in AGREED {
        client.write_all(&[*byte])?;
        thread::sleep(DRIP_PAUSE);
    }
    Ok(())
}

fn wait_for_the_end(mut client: &TcpStream) -> io::Result<()> {
    io::copy(&mut client, &mut io::sink()).map(drop)
}

/// Reads byte by byte, so that nothing behind the head is taken.
fn read_head(mut client: &TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn tunnel(client: &Arc<TcpStream>, target: SocketAddr) -> io::Result<()> {
    let server = Arc::new(TcpStream::connect(target)?);
    server.set_nodelay(true)?;
    agree(client)?;
    let upwards = thread::spawn({
        let (client, server) = (Arc::clone(client), Arc::clone(&server));
        move || pass_on(&client, &server)
    });
    pass_on(&server, client);
    let _ = upwards.join();
    Ok(())
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
