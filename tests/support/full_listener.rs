//! A listener that accepts no connection.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A listener whose backlog is full: Linux drops every further attempt to connect.
pub struct FullListener {
    listener: TcpListener,
    filling: Vec<TcpStream>,
}

impl FullListener {
    pub fn new() -> FullListener {
        FullListener::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    pub fn on(address: SocketAddr) -> FullListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let filling = std::iter::from_fn(connect).take(100).collect();
        FullListener { listener, filling }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// How many connections to it are being opened.
    pub fn opening(&self) -> usize {
        const SYN_SENT: &str = "02";
        let SocketAddr::V4(address) = self.address() else { panic!("the tests listen on IPv4") };
        let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.len() > 3 && row[2] == remote && row[3] == SYN_SENT).count()
    }

    /// Makes room: the listener without the connections that filled it.
    pub fn empty(self) -> TcpListener {
        drop(self.filling);
        self.listener
    }
}
