//! The connections of one process: the idle ones, last in, first out, and all that a shutdown ends.

use std::fmt;
use std::io::ErrorKind;
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::attempt::{self, Attempt};

/// How long a connection is kept if neither the program nor the gateway sets a time.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(4);
/// The longest time that a connection is kept, whatever the gateway announces.
const MAX_LIFETIME: Duration = Duration::from_secs(600);
/// How long before the gateway closes it a connection is discarded, so that no request meets the close.
const CLOSE_MARGIN: Duration = Duration::from_secs(1);

/// Stores connections for the next send.
pub(super) struct Pool {
    /// The time that the program has set.
    keep_alive: Option<Duration>,
    /// How many connections were opened. Numbers them.
    opened: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The connection that was used last is last.
    idle: Vec<Idle>,
    /// Every socket: idle, in use, or being opened.
    sockets: Vec<Weak<TcpStream>>,
    is_shut_down: bool,
}

struct Idle {
    number: u64,
    transport: Box<dyn Transport>,
    since: Instant,
    lifetime: Duration,
}

impl Idle {
    fn has_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.lifetime
    }
}

impl Pool {
    pub(super) fn new(keep_alive: Option<Duration>) -> Pool {
        Pool { keep_alive, opened: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Takes the connection that was used last, unless it has expired. Closes the expired ones.
    fn take(&self) -> Option<(u64, Box<dyn Transport>)> {
        let now = Instant::now();
        let mut state = self.lock();
        // The oldest are first. They are closed outside the lock.
        let expired = state.idle.iter().take_while(|idle| idle.has_expired(now)).count();
        let _closed: Vec<Idle> = if expired == 0 { Vec::new() } else { state.idle.drain(..expired).collect() };
        let newest = state.idle.pop();
        drop(state);
        newest.filter(|idle| !idle.has_expired(now)).map(|idle| (idle.number, idle.transport))
    }

    fn put(&self, number: u64, transport: Box<dyn Transport>) {
        let lifetime = self.keep_alive.unwrap_or(DEFAULT_LIFETIME);
        let mut state = self.lock();
        if !state.is_shut_down && !lifetime.is_zero() {
            state.idle.push(Idle { number, transport, since: Instant::now(), lifetime });
        }
    }

    /// Applies the `Keep-Alive` header of the last response on this connection. A value that is not a number is
    /// ignored.
    pub(super) fn apply_keep_alive(&self, number: u64, keep_alive: &str) {
        let parameter = |name: &str| {
            let mut parameters = keep_alive.split([',', ';']).filter_map(|parameter| parameter.split_once('='));
            let (_, value) = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
            value.trim().trim_matches('"').parse::<u64>().ok()
        };
        let is_last = parameter("max").is_some_and(|requests| requests <= 1);
        let announced = parameter("timeout").map(|seconds| Duration::from_secs(seconds).saturating_sub(CLOSE_MARGIN));
        let announced =
            announced.map(|lifetime| lifetime.min(self.keep_alive.unwrap_or(MAX_LIFETIME)).min(MAX_LIFETIME));
        let mut state = self.lock();
        // Another thread may already use it.
        let Some(at) = state.idle.iter().rposition(|idle| idle.number == number) else { return };
        match announced {
            _ if is_last => drop(state.idle.remove(at)),
            Some(lifetime) => state.idle[at].lifetime = lifetime,
            None => {}
        }
    }

    /// Registers this socket, so that a shutdown can end it.
    pub(super) fn register(&self, socket: &Arc<TcpStream>) -> Result<(), Error> {
        let mut state = self.lock();
        check_not_shut_down(&state)?;
        state.sockets.retain(|socket| socket.strong_count() > 0);
        state.sockets.push(Arc::downgrade(socket));
        Ok(())
    }

    pub(super) fn check_not_shut_down(&self) -> Result<(), Error> {
        check_not_shut_down(&self.lock())
    }

    /// Ends all connections, also those in use, and rejects new ones.
    pub(super) fn shut_down(&self) {
        let (idle, sockets) = {
            let mut state = self.lock();
            state.is_shut_down = true;
            (mem::take(&mut state.idle), mem::take(&mut state.sockets))
        };
        drop(idle);
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            // A socket that is closed already needs no shutdown.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_not_shut_down(state: &State) -> Result<(), Error> {
    if state.is_shut_down { Err(Error::Io(ErrorKind::NotConnected.into())) } else { Ok(()) }
}

/// Wraps the whole connector chain: supplies a connection from the pool, or lets the chain open one.
///
/// ureq's own pool is first in, first out, scans all connections at every send, and has one lifetime for all.
pub(super) struct PoolConnector<C> {
    pub(super) pool: Arc<Pool>,
    pub(super) chain: C,
}

/// ureq requires it. Nothing prints it, so the fields, which would enlarge the library, are left out.
impl<C> fmt::Debug for PoolConnector<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PoolConnector")
    }
}

impl<C: Connector> Connector for PoolConnector<C> {
    type Out = PooledTransport;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<PooledTransport>, Error> {
        if attempt::current_is(Attempt::may_reuse_connection) {
            if let Some((number, transport)) = self.pool.take() {
                return Ok(Some(self.pooled(number, transport)));
            }
        }
        attempt::connect_started();
        let transport = self.chain.connect(details, chained)?;
        attempt::connect_finished();
        let number = self.pool.opened.fetch_add(1, Ordering::Relaxed);
        Ok(transport.map(|transport| self.pooled(number, transport.boxed())))
    }
}

impl<C> PoolConnector<C> {
    fn pooled(&self, number: u64, transport: Box<dyn Transport>) -> PooledTransport {
        attempt::connection_chosen(number);
        PooledTransport { pool: Arc::clone(&self.pool), number, transport: Some(transport), is_reusable: false }
    }
}

/// A connection in use. It returns to the pool if ureq finds it reusable.
pub(super) struct PooledTransport {
    pool: Arc<Pool>,
    number: u64,
    /// `None` only after the connection is dropped.
    transport: Option<Box<dyn Transport>>,
    is_reusable: bool,
}

/// ureq requires it. Nothing prints it, so the fields, which would enlarge the library, are left out.
impl fmt::Debug for PooledTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PooledTransport")
    }
}

impl PooledTransport {
    fn transport(&mut self) -> &mut dyn Transport {
        match &mut self.transport {
            Some(transport) => transport,
            None => unreachable!("only drop takes it"),
        }
    }
}

impl Drop for PooledTransport {
    fn drop(&mut self) {
        if let Some(transport) = self.transport.take().filter(|_| self.is_reusable) {
            self.pool.put(self.number, transport);
        }
    }
}

impl Transport for PooledTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.transport().transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transport().await_input(timeout)
    }

    /// ureq calls this after a complete response that keeps the connection alive, and drops a connection that is not
    /// open. Returning false makes ureq drop it, which puts it into this pool instead of ureq's own.
    fn is_open(&mut self) -> bool {
        self.is_reusable = self.transport().is_open();
        false
    }

    fn is_tls(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.is_tls())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a pool that contains idle connections with these numbers.
    fn pool_with(numbers: &[u64], keep_alive: Option<Duration>) -> Pool {
        let pool = Pool::new(keep_alive);
        numbers.iter().for_each(|number| pool.put(*number, Box::new(())));
        pool
    }

    fn lifetime_after(announced: &str, keep_alive: Option<Duration>) -> Option<u64> {
        let pool = pool_with(&[1], keep_alive);
        pool.apply_keep_alive(1, announced);
        let state = pool.lock();
        state.idle.first().map(|idle| idle.lifetime.as_secs())
    }

    #[test]
    fn the_connection_that_was_used_last_is_taken_first() {
        let pool = pool_with(&[1, 2, 3], None);
        let taken: Vec<u64> = std::iter::from_fn(|| pool.take()).map(|(number, _)| number).collect();
        assert_eq!(taken, [3, 2, 1]);
    }

    #[test]
    fn what_the_gateway_announces_bounds_the_life_of_a_connection() {
        let set = |seconds| Some(Duration::from_secs(seconds));
        for (announced, keep_alive, lifetime) in [
            ("timeout=72", None, Some(71)),
            ("timeout=72, max=100", None, Some(71)),
            ("max=100, Timeout = \"72\"", None, Some(71)),
            ("timeout=2", None, Some(1)),
            ("timeout=1", None, Some(0)),
            ("timeout=0", None, Some(0)),
            ("timeout=99999", None, Some(600)),
            ("timeout=18446744073709551615", None, Some(600)),
            ("timeout=72", set(30), Some(30)),
            ("timeout=72", set(100), Some(71)),
            ("timeout=9999", set(3600), Some(600)),
            ("timeout=soon", None, Some(4)),
            ("timeout=-5", None, Some(4)),
            ("", None, Some(4)),
            ("", set(30), Some(30)),
            ("max=100", set(30), Some(30)),
            ("timeout=72, max=1", None, None),
            ("max=0", None, None),
            ("timeout=72", set(0), None),
        ] {
            assert_eq!(lifetime_after(announced, keep_alive), lifetime, "{announced:?} with {keep_alive:?}");
        }
    }

    #[test]
    fn connections_whose_life_is_over_are_closed_by_the_next_send() {
        let pool = pool_with(&[1, 2, 3], None);
        [1, 2].iter().for_each(|number| pool.apply_keep_alive(*number, "timeout=1"));
        assert_eq!(pool.take().map(|(number, _)| number), Some(3));
        assert!(pool.lock().idle.is_empty());
        let pool = pool_with(&[1, 2], None);
        pool.apply_keep_alive(2, "timeout=1");
        assert!(pool.take().is_none());
        assert_eq!(pool.take().map(|(number, _)| number), Some(1));
    }
}
