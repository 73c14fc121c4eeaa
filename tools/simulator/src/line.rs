//! One connection as faults need it: bytes in and out, an orderly end of output, and a reset.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

/// How much of a refused request is still read, so that its sender gets to see the response.
const DRAIN_LIMIT: u64 = 16 * 1024 * 1024;
/// How long such a sender has for it.
const DRAIN_TIME: Duration = Duration::from_secs(5);

pub(crate) trait Line: Read + Write {
    /// The TCP connection below, if there is one.
    fn socket(&self) -> Option<&TcpStream>;

    /// States that no more bytes come.
    fn close_write(&mut self);

    /// Makes the end of this connection a reset: the peer loses what it has not read.
    fn reset(&self) {
        if let Some(socket) = self.socket() {
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// A TCP connection that the server can also end from outside.
pub(crate) struct Socket(pub(crate) Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Socket {
    fn socket(&self) -> Option<&TcpStream> {
        Some(&self.0)
    }

    fn close_write(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

pub(crate) type TlsLine = StreamOwned<ServerConnection, Socket>;

impl Line for TlsLine {
    fn socket(&self) -> Option<&TcpStream> {
        self.sock.socket()
    }

    fn close_write(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        self.sock.close_write();
    }
}

/// A stream that somebody else accepted. It ends when its owner drops it.
pub(crate) struct Lent<S>(pub(crate) S);

impl<S: Read> Read for Lent<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for Lent<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Line for Lent<S> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn close_write(&mut self) {}
}

/// Ends a connection in order. Closing over unread bytes would reset it, and the reset might take the last response
/// with it: so this reads what the client is still sending.
pub(crate) fn close_gently(line: &mut impl Line) {
    line.close_write();
    if let Some(socket) = line.socket() {
        let _ = socket.set_read_timeout(Some(DRAIN_TIME));
        let _ = io::copy(&mut socket.take(DRAIN_LIMIT), &mut io::sink());
    }
}
