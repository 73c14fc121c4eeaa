//! Opening a TCP connection: the first of several addresses that answers, as RFC 8305 ("Happy Eyeballs") has it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, Transport};

use super::attempt::{self, Phase};
use super::dns::{Failure, Lookup};
use super::pool::Pool;
use super::tcp::{Wire, time_left, timed_out};
use crate::config::{Host, Settings};

/// How long an address has to answer before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How often connections are looked at that are being opened beside each other.
const LOOK: Duration = Duration::from_millis(5);

/// Opens the TCP connection, to the gateway or to the proxy.
#[derive(Debug)]
pub(super) struct WireConnector {
    pub(super) place: Arc<Place>,
    /// Told of every socket, so that a shutdown ends what waits for it.
    pub(super) pool: Arc<Pool>,
    /// Plain http shows the token, so it must stay on this machine, whatever a name is looked up to.
    pub(super) loopback_only: bool,
}

/// Where to connect to.
#[derive(Debug)]
pub(super) enum Place {
    Address(SocketAddr),
    /// A name, and the address of it that answered last.
    Name(Lookup, Mutex<Option<SocketAddr>>),
}

/// The one place that is connected to: the proxy if there is one, else the gateway.
pub(super) fn connect_target(settings: &Settings) -> Place {
    let (host, port) = match &settings.proxy {
        Some(proxy) => (&proxy.host, proxy.port),
        None => (&settings.host, settings.port),
    };
    match host {
        Host::Name(name) => Place::Name(Lookup::new(name.clone(), port), Mutex::default()),
        Host::V4(address) => Place::Address(SocketAddr::new(IpAddr::V4(*address), port)),
        Host::V6(address) => Place::Address(SocketAddr::new(IpAddr::V6(*address), port)),
    }
}

impl<In: Transport> Connector<In> for WireConnector {
    type Out = Either<In, Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = self.open()?;
        stream.set_nodelay(true)?;
        attempt::enter(Phase::Handshake);
        Ok(Some(Either::B(Wire::new(stream, details.needs_tls()))))
    }
}

impl WireConnector {
    fn open(&self) -> Result<Arc<TcpStream>, Error> {
        match &*self.place {
            Place::Address(address) => self.open_any(&[*address]).map(|(_, stream)| stream),
            Place::Name(lookup, last) => {
                let mut addresses = look_up(lookup)?;
                let last = || last.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(at) = addresses.iter().position(|address| Some(*address) == *last()) {
                    addresses[..=at].rotate_right(1);
                }
                let (address, stream) = self.open_any(&addresses)?;
                *last() = Some(address);
                Ok(stream)
            }
        }
    }

    /// Tries the addresses in their order: the next one when the last one has failed, or has not answered within its
    /// head start. Those before go on meanwhile, and the first that answers is taken.
    fn open_any(&self, addresses: &[SocketAddr]) -> Result<(SocketAddr, Arc<TcpStream>), Error> {
        let mut race = Race { pool: &self.pool, opening: Vec::new(), failure: Error::HostNotFound };
        for (at, address) in addresses.iter().enumerate() {
            attempt::enter(Phase::Connect(*address));
            if self.loopback_only && !address.ip().is_loopback() {
                let elsewhere = "plain http is for this machine only, and this is another one";
                race.failure = Error::Io(io::Error::other(elsewhere));
                continue;
            }
            let is_last = at + 1 == addresses.len();
            let time = if is_last { time_left()? } else { time_left()?.min(HEAD_START) };
            if let Some(first) = race.run(*address, time)? {
                return Ok(first);
            }
        }
        // The last one may have failed while others go on.
        let first = if race.opening.is_empty() { None } else { race.look(None, Instant::now() + time_left()?)? };
        first.ok_or_else(|| if race.opening.is_empty() { race.failure } else { timed_out() })
    }
}

fn look_up(lookup: &Lookup) -> Result<Vec<SocketAddr>, Error> {
    attempt::enter(Phase::Resolve);
    lookup.addresses(time_left()?).map_err(|failure| match failure {
        Failure::TimedOut => timed_out(),
        Failure::ShutDown => Error::Io(ErrorKind::NotConnected.into()),
        Failure::NotFound(reason) => Error::Io(io::Error::other(reason)),
        Failure::NoThread(error) => Error::Io(error),
    })
}

/// Connections that are being opened beside each other.
struct Race<'a> {
    pool: &'a Pool,
    opening: Vec<(SocketAddr, Arc<TcpStream>)>,
    /// What became of the last one that failed.
    failure: Error,
}

impl Race<'_> {
    /// Starts with one address more, and waits this long for it or one of those before, or until it fails.
    fn run(&mut self, address: SocketAddr, time: Duration) -> Result<Option<(SocketAddr, Arc<TcpStream>)>, Error> {
        let end = Instant::now() + time;
        let stream = Arc::new(closed_socket(address)?);
        self.pool.register(&stream)?;
        // Alone it is waited for in the kernel.
        let time = if self.opening.is_empty() { time } else { time.min(LOOK) };
        // Whole milliseconds are waited, rounded down.
        match SockRef::from(&*stream).connect_timeout(&address.into(), time + Duration::from_millis(1)) {
            Ok(()) => return Ok(Some((address, stream))),
            Err(error) if error.kind() == ErrorKind::TimedOut => self.opening.push((address, stream)),
            Err(error) => self.failure = Error::Io(error),
        }
        self.look(Some(address), end)
    }

    /// Looks at all of them in turn until one is open or the time is up; or until `newest`, if given, has failed.
    fn look(
        &mut self,
        newest: Option<SocketAddr>,
        end: Instant,
    ) -> Result<Option<(SocketAddr, Arc<TcpStream>)>, Error> {
        loop {
            self.pool.check_open()?;
            let mut at = 0;
            while let Some((_, stream)) = self.opening.get(at) {
                match is_connected(stream) {
                    Ok(true) => return Ok(Some(self.opening.swap_remove(at))),
                    Ok(false) => at += 1,
                    Err(error) => {
                        self.failure = Error::Io(error);
                        self.opening.remove(at);
                    }
                }
            }
            let has_failed = newest.is_some_and(|newest| self.opening.iter().all(|(address, _)| *address != newest));
            let left = end.saturating_duration_since(Instant::now());
            if self.opening.is_empty() || has_failed || left.is_zero() {
                return Ok(None);
            }
            thread::sleep(left.min(LOOK));
        }
    }
}

/// A TCP socket that is not connected yet.
fn closed_socket(address: SocketAddr) -> Result<TcpStream, Error> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    socket.map(TcpStream::from).map_err(Error::Io)
}

/// False while it is being opened.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream.peer_addr().is_ok()),
    }
}
