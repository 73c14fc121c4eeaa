//! Looks up the name of a host, within a deadline.
//!
//! The system's resolver cannot be cancelled, so it runs on its own thread. Later sends join a lookup that outlives its
//! send: two lookups never run at once.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The lookup of one host and port.
pub(super) struct DnsLookup {
    host: String,
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

struct State {
    is_running: bool,
    is_shut_down: bool,
    /// Counts the finished lookups, so that a waiter recognises its own.
    generation: u64,
    addresses: Result<Vec<SocketAddr>, String>,
}

/// Why there are no addresses.
pub(super) enum LookupError {
    TimedOut,
    ShutDown,
    NotFound(String),
    NoThread(io::Error),
}

impl DnsLookup {
    pub(super) fn new(host: String, port: u16) -> DnsLookup {
        let state = State { is_running: false, is_shut_down: false, generation: 0, addresses: Ok(Vec::new()) };
        DnsLookup { host, port, shared: Arc::new(Shared { state: Mutex::new(state), done: Condvar::new() }) }
    }

    /// Returns the addresses, IPv6 and IPv4 interleaved. The family that the resolver prefers comes first.
    pub(super) fn addresses(&self, time: Duration) -> Result<Vec<SocketAddr>, LookupError> {
        let mut state = self.shared.lock();
        let generation = state.generation;
        if !state.is_running {
            self.start().map_err(LookupError::NoThread)?;
            state.is_running = true;
        }
        let (state, _) = self
            .shared
            .done
            .wait_timeout_while(state, time, |state| state.generation == generation && !state.is_shut_down)
            .unwrap_or_else(PoisonError::into_inner);
        match &state.addresses {
            _ if state.is_shut_down => Err(LookupError::ShutDown),
            _ if state.generation == generation => Err(LookupError::TimedOut),
            Ok(addresses) => Ok(interleave_families(addresses.clone())),
            Err(reason) => Err(LookupError::NotFound(reason.clone())),
        }
    }

    /// Wakes all waiters and fails every later lookup. The running lookup itself cannot be cancelled.
    pub(super) fn shut_down(&self) {
        self.shared.lock().is_shut_down = true;
        self.shared.done.notify_all();
    }

    fn start(&self) -> io::Result<()> {
        // In lower case, because musl compares names in /etc/hosts with case.
        let (host, port, shared) = (self.host.to_ascii_lowercase(), self.port, Arc::clone(&self.shared));
        thread::Builder::new().name("hookmyapp-lookup".to_owned()).spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let mut state = shared.lock();
            state.addresses = found.map(Iterator::collect).map_err(|error| error.to_string());
            state.generation += 1;
            state.is_running = false;
            shared.done.notify_all();
        })?;
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interleave_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut all = Vec::new();
    for address in first {
        all.push(address);
        all.extend(second.next());
    }
    all.extend(second);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_the_favourite_begins() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(
            interleave_families(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"])),
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"])
        );
        assert_eq!(
            interleave_families(addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"])),
            addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"])
        );
        assert!(interleave_families(Vec::new()).is_empty());
    }
}
