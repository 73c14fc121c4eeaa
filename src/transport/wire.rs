//! The bottom of a connection: a TCP socket that counts what the kernel takes and keeps to the clock.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, ShutdownHandle, Transport,
};
use ureq::{Error, Timeout};

use super::attempt::{self, Probe, Step};
use super::lookup::{Failure, Lookup};

/// What one read takes at most; also how long the head of an answer may be.
pub(super) const BUFFER_SIZE: usize = 16 << 10;
/// Room that `output` always has, for the longest line of a request's head.
const OUTPUT_RESERVE: usize = 8 << 10;
/// No address is given less than this to answer, unless the time of the send is up before.
const LEAST_CONNECT_TIME: Duration = Duration::from_millis(250);
/// Socket time-outs are rounded up to multiples of this, so that they rarely change; the clock decides.
const TIMEOUT_STEP_MILLISECONDS: u128 = 32;

/// Opens the TCP connection, to the gateway or to the proxy.
#[derive(Debug)]
pub(super) struct WireConnector {
    pub(super) place: Arc<Place>,
    /// Plain http shows the token, so it must stay on this machine, whatever a name is looked up to.
    pub(super) loopback_only: bool,
}

/// Where to connect to.
#[derive(Debug)]
pub(super) enum Place {
    Address(SocketAddr),
    Name(Lookup),
}

impl<In: Transport> Connector<In> for WireConnector {
    type Out = Either<In, Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = self.open()?;
        stream.set_nodelay(true)?;
        let wire = Wire::new(stream);
        let handle: Weak<TcpStream> = Arc::downgrade(&wire.stream);
        (details.register_shutdown)(handle as Weak<dyn ShutdownHandle>)?;
        Ok(Some(Either::B(wire)))
    }
}

impl WireConnector {
    fn open(&self) -> Result<TcpStream, Error> {
        let addresses = match &*self.place {
            Place::Address(address) => vec![*address],
            Place::Name(lookup) => {
                attempt::update(|attempt| attempt.step = Step::LookUp);
                lookup.addresses(time_left()?).map_err(|failure| match failure {
                    Failure::TimedOut => timed_out(),
                    Failure::ShutDown => Error::Io(ErrorKind::NotConnected.into()),
                    Failure::NotFound(reason) => Error::Io(io::Error::other(reason)),
                    Failure::NoThread(error) => Error::Io(error),
                })?
            }
        };
        let mut failure = Error::HostNotFound;
        for (at, address) in addresses.iter().enumerate() {
            attempt::update(|attempt| attempt.step = Step::Connect(*address));
            if self.loopback_only && !address.ip().is_loopback() {
                failure = Error::Io(io::Error::other("plain http is for this machine only, and this is another one"));
                continue;
            }
            let left = time_left()?;
            let share = if at + 1 == addresses.len() { left } else { (left / 2).max(LEAST_CONNECT_TIME).min(left) };
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => {
                    attempt::update(|attempt| attempt.step = Step::Handshake);
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => failure = timed_out(),
                Err(error) => failure = Error::Io(error),
            }
        }
        Err(failure)
    }
}

fn time_left() -> Result<Duration, Error> {
    attempt::current().and_then(|attempt| attempt.time_left()).ok_or_else(timed_out)
}

fn timed_out() -> Error {
    Error::Timeout(Timeout::Global)
}

/// A TCP connection. What is to be sent is kept until an answer is awaited, so that head and body leave in one write.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    buffers: WireBuffers,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// A write that failed after the kernel had taken a part: an answer may still come, and says more.
    write_failed: Option<io::Error>,
}

impl Wire {
    fn new(stream: TcpStream) -> Wire {
        Wire {
            stream: Arc::new(stream),
            buffers: WireBuffers::default(),
            read_timeout: None,
            write_timeout: None,
            write_failed: None,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let length = std::mem::take(&mut self.buffers.unsent);
        let mut unsent = &self.buffers.output[..length];
        while !unsent.is_empty() && self.write_failed.is_none() {
            let timeout = in_steps(time_left()?);
            if self.write_timeout != Some(timeout) {
                self.stream.set_write_timeout(Some(timeout))?;
                self.write_timeout = Some(timeout);
            }
            // Only `write` keeps a closed connection from raising SIGPIPE; a vectored write would not.
            match (&*self.stream).write(unsent) {
                Ok(taken) => {
                    attempt::update(|attempt| attempt.accept(taken));
                    unsent = &unsent[taken..];
                }
                Err(error) if is_worth_waiting(&error) => {}
                Err(error) if attempt::current().is_some_and(|attempt| attempt.may_have_left()) => {
                    self.write_failed = Some(error);
                }
                Err(error) => return Err(Error::Io(error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<bool, Error> {
        let buffer = self.buffers.input_append_buf();
        loop {
            let timeout = in_steps(time_left()?);
            if self.read_timeout != Some(timeout) {
                self.stream.set_read_timeout(Some(timeout))?;
                self.read_timeout = Some(timeout);
            }
            match (&*self.stream).read(buffer) {
                Ok(0) => return self.write_failed.take().map_or(Ok(false), |error| Err(Error::Io(error))),
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(true);
                }
                Err(error) if is_worth_waiting(&error) => {}
                Err(error) => return Err(Error::Io(self.write_failed.take().unwrap_or(error))),
            }
        }
    }

    /// `WouldBlock` means: open, and nothing unread.
    fn probe(&self, probe: Probe) -> Result<bool, Error> {
        if self.buffers.unsent > 0 || self.write_failed.is_some() || !self.buffers.input().is_empty() {
            return Ok(false);
        }
        if probe == Probe::Buffers {
            return Err(Error::Io(ErrorKind::WouldBlock.into()));
        }
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        Ok(peeked? > 0)
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.buffers.unsent += amount;
        if self.buffers.room() < OUTPUT_RESERVE { self.flush() } else { Ok(()) }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        if let Some(probe) = attempt::current().and_then(|attempt| attempt.probe) {
            return self.probe(probe);
        }
        self.flush()?;
        self.receive()
    }

    fn is_open(&mut self) -> bool {
        is_clean(self.probe(Probe::Socket))
    }
}

/// Whether a probe found an open connection without unread bytes.
pub(super) fn is_clean(probed: Result<bool, Error>) -> bool {
    matches!(probed, Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock)
}

/// A signal, or a socket time-out that came before the clock's.
fn is_worth_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn in_steps(left: Duration) -> Duration {
    let steps = left.as_millis() / TIMEOUT_STEP_MILLISECONDS + 1;
    Duration::from_millis((steps * TIMEOUT_STEP_MILLISECONDS).try_into().unwrap_or(u64::MAX))
}

/// Buffers whose `output` begins behind the bytes that are not yet sent.
#[derive(Debug, Default)]
struct WireBuffers {
    output: Vec<u8>,
    unsent: usize,
    input: Vec<u8>,
    /// The part of `input` that is filled and not consumed.
    consumed: usize,
    filled: usize,
    made_progress: bool,
}

impl WireBuffers {
    fn room(&self) -> usize {
        self.output.len() - self.unsent
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        if self.output.is_empty() {
            self.output.resize(BUFFER_SIZE + OUTPUT_RESERVE, 0);
        }
        &mut self.output[self.unsent..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.input.is_empty() {
            self.input.resize(BUFFER_SIZE, 0);
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
        (&mut self.input[self.filled..], &mut self.output[self.unsent..])
    }

    fn can_use_input(&self) -> bool {
        self.made_progress && self.consumed < self.filled
    }
}
