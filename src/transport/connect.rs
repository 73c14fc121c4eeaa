//! Opens a TCP connection to the first of several addresses that responds (RFC 8305, "Happy Eyeballs").

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, Transport};

use super::attempt::{self, Phase};
use super::dns::{DnsLookup, LookupError};
use super::pool::Pool;
use super::tcp::{TcpTransport, time_left, timed_out};
use crate::config::{Host, Settings};

/// How long an address has to respond before the next one is tried in parallel (RFC 8305, section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How often connections that are being opened in parallel are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Opens the TCP connection to the gateway or to the proxy.
pub(super) struct TcpConnector {
    pub(super) target: Arc<ConnectTarget>,
    /// Every socket is registered here, so that a shutdown can end it.
    pub(super) pool: Arc<Pool>,
    /// Plain http exposes the token, so the connection must stay on this machine, whatever address a name resolves to.
    pub(super) loopback_only: bool,
}

/// ureq requires it. Nothing prints it, so the fields, which would enlarge the library, are left out.
impl fmt::Debug for TcpConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TcpConnector")
    }
}

/// The target of a connection.
pub(super) enum ConnectTarget {
    Address(SocketAddr),
    /// A name, and the address that responded last.
    Name(DnsLookup, Mutex<Option<SocketAddr>>),
}

/// Returns the only target of this client: the proxy if there is one, else the gateway.
pub(super) fn connect_target(settings: &Settings) -> ConnectTarget {
    let (host, port) = match &settings.proxy {
        Some(proxy) => (&proxy.host, proxy.port),
        None => (&settings.host, settings.port),
    };
    match host {
        Host::Name(name) => ConnectTarget::Name(DnsLookup::new(name.clone(), port), Mutex::default()),
        Host::V4(address) => ConnectTarget::Address(SocketAddr::new(IpAddr::V4(*address), port)),
        Host::V6(address) => ConnectTarget::Address(SocketAddr::new(IpAddr::V6(*address), port)),
    }
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, TcpTransport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = self.resolve_and_connect()?;
        stream.set_nodelay(true)?;
        attempt::enter(Phase::Handshake);
        Ok(Some(Either::B(TcpTransport::new(stream, details.needs_tls()))))
    }
}

impl TcpConnector {
    fn resolve_and_connect(&self) -> Result<Arc<TcpStream>, Error> {
        match &*self.target {
            ConnectTarget::Address(address) => self.connect_any(&[*address]).map(|(_, stream)| stream),
            ConnectTarget::Name(lookup, last) => {
                let mut addresses = resolve(lookup)?;
                let last = || last.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(at) = addresses.iter().position(|address| Some(*address) == *last()) {
                    addresses[..=at].rotate_right(1);
                }
                let (address, stream) = self.connect_any(&addresses)?;
                *last() = Some(address);
                Ok(stream)
            }
        }
    }

    /// Tries the addresses in order, and returns the first connection that opens. The next address starts when the
    /// previous one has failed or its head start is over. Earlier attempts continue meanwhile.
    fn connect_any(&self, addresses: &[SocketAddr]) -> Result<(SocketAddr, Arc<TcpStream>), Error> {
        let mut connecting = HappyEyeballs { pool: &self.pool, pending: Vec::new(), last_error: Error::HostNotFound };
        for (at, address) in addresses.iter().enumerate() {
            attempt::enter(Phase::Connect(*address));
            if self.loopback_only && !address.ip().is_loopback() {
                let reason = "plain http is for this machine only, and this is another one";
                connecting.last_error = Error::Io(io::Error::other(reason));
                continue;
            }
            let is_last = at + 1 == addresses.len();
            let time = if is_last { time_left()? } else { time_left()?.min(CONNECTION_ATTEMPT_DELAY) };
            if let Some(first) = connecting.start(*address, time)? {
                return Ok(first);
            }
        }
        // The last address may have failed while others are still connecting.
        let first =
            if connecting.pending.is_empty() { None } else { connecting.poll(None, Instant::now() + time_left()?)? };
        first.ok_or_else(|| if connecting.pending.is_empty() { connecting.last_error } else { timed_out() })
    }
}

fn resolve(lookup: &DnsLookup) -> Result<Vec<SocketAddr>, Error> {
    attempt::enter(Phase::Resolve);
    lookup.addresses(time_left()?).map_err(|error| match error {
        LookupError::TimedOut => timed_out(),
        LookupError::ShutDown => Error::Io(ErrorKind::NotConnected.into()),
        LookupError::NotFound(reason) => Error::Io(io::Error::other(reason)),
        LookupError::NoThread(error) => Error::Io(error),
    })
}

/// Connections that are being opened in parallel.
struct HappyEyeballs<'a> {
    pool: &'a Pool,
    pending: Vec<(SocketAddr, Arc<TcpStream>)>,
    /// The most recent failure.
    last_error: Error,
}

impl HappyEyeballs<'_> {
    /// Starts one more address. Waits up to `time` until any connection is open or this one has failed.
    fn start(&mut self, address: SocketAddr, time: Duration) -> Result<Option<(SocketAddr, Arc<TcpStream>)>, Error> {
        let end = Instant::now() + time;
        let stream = Arc::new(new_socket(address)?);
        self.pool.register(&stream)?;
        // The kernel waits for a single connection; several are polled.
        let time = if self.pending.is_empty() { time } else { time.min(POLL_INTERVAL) };
        // The wait is rounded down to whole milliseconds.
        match SockRef::from(&*stream).connect_timeout(&address.into(), time + Duration::from_millis(1)) {
            Ok(()) => return Ok(Some((address, stream))),
            Err(error) if error.kind() == ErrorKind::TimedOut => self.pending.push((address, stream)),
            Err(error) => self.last_error = Error::Io(error),
        }
        self.poll(Some(address), end)
    }

    /// Checks all connections until one is open, the time is up, or `newest`, if given, has failed.
    fn poll(
        &mut self,
        newest: Option<SocketAddr>,
        end: Instant,
    ) -> Result<Option<(SocketAddr, Arc<TcpStream>)>, Error> {
        loop {
            self.pool.check_not_shut_down()?;
            let mut at = 0;
            while let Some((_, stream)) = self.pending.get(at) {
                match is_connected(stream) {
                    Ok(true) => return Ok(Some(self.pending.swap_remove(at))),
                    Ok(false) => at += 1,
                    Err(error) => {
                        self.last_error = Error::Io(error);
                        self.pending.remove(at);
                    }
                }
            }
            let has_failed = newest.is_some_and(|newest| self.pending.iter().all(|(address, _)| *address != newest));
            let left = end.saturating_duration_since(Instant::now());
            if self.pending.is_empty() || has_failed || left.is_zero() {
                return Ok(None);
            }
            thread::sleep(left.min(POLL_INTERVAL));
        }
    }
}

/// Creates a TCP socket that is not connected yet.
fn new_socket(address: SocketAddr) -> Result<TcpStream, Error> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    socket.map(TcpStream::from).map_err(Error::Io)
}

/// Returns false while the connection is being opened.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream.peer_addr().is_ok()),
    }
}
