//! The lowest layer of a connection: a TCP socket that counts the bytes that the kernel accepts and keeps the deadline.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
#[cfg(unix)]
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
#[cfg(not(unix))]
use std::{thread, time::Instant};

#[cfg(unix)]
use socket2::SockRef;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};
use ureq::{Error, Timeout};

use super::attempt::{self, Attempt, Probe};

/// The size limit of a response head, and of one read.
pub(super) const BUFFER_SIZE: usize = 16 << 10;
/// Long socket timeouts are multiples of this, so that they rarely change. The clock decides.
const TIMEOUT_STEP_MILLISECONDS: u64 = 32;
/// The kernel ends a wait of this length on time.
const SHORT_WAIT: Duration = Duration::from_millis(200);
/// How long a blocked write of a large request waits before it checks for a response.
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);
/// How often a blocked write is repeated on systems where a write cannot wait.
#[cfg(not(unix))]
const WRITE_INTERVAL: Duration = Duration::from_millis(2);

pub(super) fn time_left() -> Result<Duration, Error> {
    attempt::current(Attempt::time_left).flatten().ok_or_else(timed_out)
}

pub(super) fn timed_out() -> Error {
    Error::Timeout(Timeout::Global)
}

/// A TCP connection. It buffers the request until a response is awaited. So head and body leave in one write, and bytes
/// that arrive before it can still be detected.
pub(super) struct TcpTransport {
    stream: Arc<TcpStream>,
    buffers: TcpBuffers,
    read_timeout: Option<Duration>,
    #[cfg(unix)]
    write_timeout: Option<Duration>,
    /// A write that failed after the kernel had accepted a part. A response may still arrive, and says more.
    write_error: Option<io::Error>,
}

/// ureq requires it. Nothing prints it, so the fields, which would enlarge the library, are left out.
impl fmt::Debug for TcpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TcpTransport")
    }
}

impl TcpTransport {
    pub(super) fn new(stream: Arc<TcpStream>, is_tls: bool) -> TcpTransport {
        let sizes = if is_tls { TLS_SIZES } else { HTTP_SIZES };
        TcpTransport {
            stream,
            buffers: TcpBuffers { sizes, ..TcpBuffers::default() },
            read_timeout: None,
            #[cfg(unix)]
            write_timeout: None,
            write_error: None,
        }
    }

    /// Writes the buffered bytes and waits for a response. If the peer stops reading after a part has left, a response
    /// that arrives is read: it may be a rejection.
    fn flush_and_receive(&mut self) -> Result<bool, Error> {
        while !self.buffers.unwritten().is_empty() && self.write_error.is_none() {
            self.write()?;
            if !self.buffers.unwritten().is_empty() && may_have_been_sent() && self.has_input() {
                break;
            }
        }
        self.receive()
    }

    /// Writes as much as the kernel accepts within a short time.
    fn write(&mut self) -> Result<(), Error> {
        let timeout = time_left()?.min(WRITE_TIMEOUT);
        match self.write_within(timeout) {
            Ok(taken) => {
                attempt::bytes_written(taken);
                self.buffers.mark_written(taken);
            }
            Err(error) if is_transient(&error) => {}
            Err(error) if may_have_been_sent() => self.write_error = Some(error),
            Err(error) => return Err(Error::Io(error)),
        }
        Ok(())
    }

    /// Returns how many bytes the kernel accepted.
    #[cfg(unix)]
    fn write_within(&mut self, timeout: Duration) -> io::Result<usize> {
        if self.write_timeout != Some(timeout) {
            self.stream.set_write_timeout(Some(timeout))?;
            self.write_timeout = Some(timeout);
        }
        // Only `write` prevents SIGPIPE on a closed connection; a vectored write would raise it.
        (&*self.stream).write(self.buffers.unwritten())
    }

    /// Does the same on Windows. There a write that fails or times out after a part has left does not say so, unless it
    /// does not wait. Of a small part, all bytes leave or none: wine does not say what has left of a large one either.
    #[cfg(not(unix))]
    fn write_within(&mut self, timeout: Duration) -> io::Result<usize> {
        let (unwritten, end) = (self.buffers.unwritten(), Instant::now() + timeout);
        let mut taken = 0;
        while taken < unwritten.len() {
            let part = &unwritten[taken..unwritten.len().min(taken + BUFFER_SIZE)];
            match without_waiting(&self.stream, |mut stream| stream.write(part)) {
                Ok(0) => break,
                Ok(amount) => taken += amount,
                // The next call meets an error again.
                Err(_) if taken > 0 => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                    thread::sleep(WRITE_INTERVAL);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn has_input(&mut self) -> bool {
        match peek(&self.stream) {
            Err(error) if is_transient(&error) => false,
            Err(error) => {
                self.write_error = Some(error);
                true
            }
            Ok(_) => true,
        }
    }

    fn receive(&mut self) -> Result<bool, Error> {
        let buffer = self.buffers.input_append_buf();
        loop {
            let timeout = first_wait(time_left()?);
            if self.read_timeout != Some(timeout) {
                self.stream.set_read_timeout(Some(timeout))?;
                self.read_timeout = Some(timeout);
            }
            match (&*self.stream).read(buffer) {
                Ok(0) => return self.write_error.take().map_or(Ok(false), |error| Err(Error::Io(error))),
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(true);
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(Error::Io(self.write_error.take().unwrap_or(error))),
            }
        }
    }

    /// Reads without writing. `WouldBlock` means that there is nothing to read.
    fn probe(&mut self, probe: Probe) -> Result<bool, Error> {
        match probe {
            Probe::BuffersOnly => {
                let is_idle = self.buffers.is_empty() && self.write_error.is_none();
                if is_idle { Err(Error::Io(ErrorKind::WouldBlock.into())) } else { Ok(false) }
            }
            Probe::RestOfRecord => self.receive(),
            Probe::ReusedConnection | Probe::NewConnection => match peek(&self.stream)? {
                // A peer that closes a new connection at once may still read. The request will show it.
                0 if probe == Probe::NewConnection => Err(Error::Io(ErrorKind::WouldBlock.into())),
                0 => Ok(false),
                _ => self.receive(),
            },
        }
    }
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.buffers.enqueue(amount);
        attempt::bytes_buffered(amount);
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        match attempt::probe() {
            Some(probe) => self.probe(probe),
            None => self.flush_and_receive(),
        }
    }

    fn is_open(&mut self) -> bool {
        nothing_to_read(&self.probe(Probe::ReusedConnection))
    }
}

/// Returns how many bytes can be read without waiting, at most 1: 0 at the end, `WouldBlock` if none has arrived.
#[cfg(unix)]
fn peek(stream: &TcpStream) -> io::Result<usize> {
    SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit()], libc::MSG_PEEK | libc::MSG_DONTWAIT)
}

/// Does the same on systems where no single call can.
#[cfg(not(unix))]
fn peek(stream: &TcpStream) -> io::Result<usize> {
    without_waiting(stream, |stream| stream.peek(&mut [0]))
}

#[cfg(not(unix))]
fn without_waiting(stream: &TcpStream, operation: impl FnOnce(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
    stream.set_nonblocking(true)?;
    let result = operation(stream);
    stream.set_nonblocking(false)?;
    result
}

/// Returns whether a probe found nothing to read on an open connection.
pub(super) fn nothing_to_read(probed: &Result<bool, Error>) -> bool {
    matches!(probed, Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock)
}

/// Returns whether the error is a signal, or a socket timeout before the deadline.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn may_have_been_sent() -> bool {
    attempt::current_is(Attempt::may_have_been_sent)
}

/// Returns how long to wait first. The kernel may end a long wait late, by up to an eighth of its length. Shorter waits
/// cover the rest.
fn first_wait(left: Duration) -> Duration {
    let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    if left <= SHORT_WAIT {
        return Duration::from_millis(milliseconds + 1);
    }
    let steps = (milliseconds - milliseconds / 8) / TIMEOUT_STEP_MILLISECONDS;
    Duration::from_millis(steps * TIMEOUT_STEP_MILLISECONDS)
}

/// The buffer sizes of a kept connection, and the free space that `output` always has.
#[derive(Clone, Copy, Default)]
struct BufferSizes {
    input: usize,
    output: usize,
    min_output_room: usize,
}

/// For plain HTTP, where ureq writes whole lines of the head.
const HTTP_SIZES: BufferSizes =
    BufferSizes { input: BUFFER_SIZE, output: BUFFER_SIZE + (8 << 10), min_output_room: 8 << 10 };
/// For TLS, which can continue where it stopped and buffers its input itself.
const TLS_SIZES: BufferSizes = BufferSizes { input: 4 << 10, output: 8 << 10, min_output_room: 1 };

/// Buffers whose `output` grows until its content is sent.
#[derive(Default)]
struct TcpBuffers {
    sizes: BufferSizes,
    output: Vec<u8>,
    /// `output[written..queued]` is still to be sent.
    written: usize,
    queued: usize,
    input: Vec<u8>,
    /// `input[consumed..filled]` is received and not consumed.
    consumed: usize,
    filled: usize,
    made_progress: bool,
}

impl TcpBuffers {
    fn is_empty(&self) -> bool {
        self.unwritten().is_empty() && self.input().is_empty()
    }

    fn unwritten(&self) -> &[u8] {
        &self.output[self.written..self.queued]
    }

    fn enqueue(&mut self, amount: usize) {
        self.queued = (self.queued + amount).min(self.output.len());
    }

    fn mark_written(&mut self, amount: usize) {
        self.written += amount;
        if self.written < self.queued {
            return;
        }
        (self.written, self.queued) = (0, 0);
        if self.output.len() > self.sizes.output {
            self.output = Vec::new();
        }
    }
}

impl Buffers for TcpBuffers {
    fn output(&mut self) -> &mut [u8] {
        if self.output.len() - self.queued < self.sizes.min_output_room {
            self.output.resize((self.output.len() * 2).max(self.sizes.output), 0);
        }
        &mut self.output[self.queued..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.input.is_empty() {
            self.input.resize(self.sizes.input, 0);
        }
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled = (self.filled + amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.made_progress = amount > 0;
        self.consumed = (self.consumed + amount).min(self.filled);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.output();
        self.input_append_buf();
        (&mut self.input[self.filled..], &mut self.output[self.queued..])
    }

    fn can_use_input(&self) -> bool {
        self.made_progress && self.consumed < self.filled
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    #[test]
    fn without_an_attempt_record_no_byte_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut transport = TcpTransport::new(Arc::new(stream), false);
        transport.buffers().output()[..5].copy_from_slice(b"POST ");
        transport.transmit_output(5, NextTimeout::default()).unwrap();
        assert!(matches!(transport.await_input(NextTimeout::default()), Err(Error::Timeout(_))));
        drop(transport);
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        assert!(received.is_empty());
    }

    /// The kernel's timeouts may be late by an eighth of their length.
    #[test]
    fn the_parts_of_a_wait_end_in_time_even_if_each_is_late() {
        for seconds in [1, 20, 80, 100_000] {
            let (mut left, mut parts) = (Duration::from_secs(seconds), 0);
            loop {
                let part = first_wait(left);
                parts += 1;
                match left.checked_sub(part + part / 8) {
                    Some(rest) if !rest.is_zero() => left = rest,
                    _ => break,
                }
            }
            let late = first_wait(left) + first_wait(left) / 8 - left;
            assert!(late <= Duration::from_millis(50), "{seconds} s: {late:?} late");
            assert!(parts < 20, "{seconds} s: {parts} parts");
        }
        assert_eq!(first_wait(Duration::from_nanos(1)), Duration::from_millis(1));
    }
}
