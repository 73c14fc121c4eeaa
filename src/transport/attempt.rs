//! How far the current attempt of this thread got.
//!
//! ureq reports failures without saying whether the request had left, so the layers of our connections keep this
//! record. ureq works on the calling thread alone, from the first connect to the last byte of the answer, so a record
//! a thread is exact. Without a record no byte leaves.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What an attempt is doing, to say what failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Waiting for the resolver.
    Resolve,
    /// Opening a TCP connection to this address.
    Connect(SocketAddr),
    /// TCP is there; what follows is a proxy's or TLS's.
    Handshake,
    /// The connection is ready for the request.
    Request,
}

/// How the layers of a connection read while nothing may be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// Only what is in their buffers.
    BuffersOnly,
    /// What has come so far, over a connection that carried a request before.
    ReusedConnection,
    /// What has come so far, over a new connection.
    NewConnection,
    /// The rest of a TLS record, which is waited for.
    RestOfRecord,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// When the whole send must be over.
    deadline: Instant,
    /// When the connection must be ready.
    connect_by: Instant,
    phase: Phase,
    /// How many connector chains are at work: two while a proxy is connected to.
    connecting: u8,
    /// Whether the connection came out of the pool.
    is_reused: bool,
    force_new_connection: bool,
    connection: Option<u64>,
    /// Whether a byte of the request was handed to the connection.
    is_request_started: bool,
    has_early_bytes: bool,
    /// Bytes handed to the socket's buffer and bytes that the kernel has taken, those of TLS and a proxy included.
    buffered: u64,
    written: u64,
    /// Where in these bytes the request begins and ends.
    request_begin: u64,
    request_end: u64,
    probe: Option<Probe>,
}

thread_local! {
    static CURRENT: Cell<Option<Attempt>> = const { Cell::new(None) };
}

/// Gives the thread back the record that was there before, also when a send panics: a logger of the host may send
/// a message while a message is being sent.
struct RestoreOnDrop(Option<Attempt>);

impl Drop for RestoreOnDrop {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Keeps the record of what `send` does, and hands it out with the outcome.
pub(super) fn run<T>(
    deadline: Instant,
    connect_timeout: Duration,
    force_new_connection: bool,
    send: impl FnOnce() -> T,
) -> (T, Attempt) {
    let connect_by = Instant::now().checked_add(connect_timeout).map_or(deadline, |by| by.min(deadline));
    let attempt = Attempt {
        deadline,
        connect_by,
        phase: Phase::Request,
        connecting: 0,
        is_reused: true,
        force_new_connection,
        connection: None,
        is_request_started: false,
        has_early_bytes: false,
        buffered: 0,
        written: 0,
        request_begin: 0,
        request_end: 0,
        probe: None,
    };
    let _restore = RestoreOnDrop(CURRENT.replace(Some(attempt)));
    let outcome = send();
    (outcome, CURRENT.get().unwrap_or(attempt.assume_partly_sent()))
}

/// Runs what is no part of a send, even if it runs inside one.
pub(super) fn run_unrecorded<T>(call: impl FnOnce() -> T) -> T {
    let _restore = RestoreOnDrop(CURRENT.take());
    call()
}

/// The record of the attempt that is under way on this thread.
pub(super) fn current() -> Option<Attempt> {
    CURRENT.get()
}

fn update(change: impl FnOnce(&mut Attempt)) {
    if let Some(mut attempt) = CURRENT.get() {
        change(&mut attempt);
        CURRENT.set(Some(attempt));
    }
}

pub(super) fn enter(phase: Phase) {
    update(|attempt| attempt.phase = phase);
}

/// Marks that a connector chain is at work, until `connect_finished`. One may start inside another.
pub(super) fn connect_started() {
    update(|attempt| {
        attempt.connecting = attempt.connecting.saturating_add(1);
        attempt.is_reused = false;
    });
}

pub(super) fn connect_finished() {
    update(|attempt| {
        attempt.connecting = attempt.connecting.saturating_sub(1);
        if attempt.connecting == 0 {
            attempt.phase = Phase::Request;
        }
    });
}

/// Notes the number of the connection that carries the request.
pub(super) fn connection_chosen(number: u64) {
    update(|attempt| attempt.connection = Some(number));
}

/// Marks the first byte of the request, before it is handed down: what fails after this mark is judged by what the
/// kernel took.
pub(super) fn request_started() {
    update(|attempt| {
        if !attempt.is_request_started {
            attempt.is_request_started = true;
            attempt.request_begin = attempt.buffered;
        }
    });
}

/// Marks the last byte of the request that was handed down so far.
pub(super) fn request_buffered() {
    update(|attempt| attempt.request_end = attempt.buffered);
}

/// Counts bytes that were handed to the socket's buffer.
pub(super) fn bytes_buffered(amount: usize) {
    update(|attempt| attempt.buffered += amount as u64);
}

/// Counts bytes that the kernel has taken.
pub(super) fn bytes_written(amount: usize) {
    update(|attempt| attempt.written += amount as u64);
}

/// Marks that bytes came before the request left: they answer nothing.
pub(super) fn early_bytes_received() {
    update(|attempt| attempt.has_early_bytes = true);
}

/// Reads in the way of `probe`.
pub(super) fn with_probe<T>(probe: Probe, read: impl FnOnce() -> T) -> T {
    let before = self::probe();
    update(|attempt| attempt.probe = Some(probe));
    let outcome = read();
    update(|attempt| attempt.probe = before);
    outcome
}

/// The way to read, if it is not the usual one.
pub(super) fn probe() -> Option<Probe> {
    current().and_then(|attempt| attempt.probe)
}

impl Attempt {
    /// A record that was lost proves nothing.
    fn assume_partly_sent(self) -> Attempt {
        Attempt { is_reused: false, is_request_started: true, written: 1, request_end: u64::MAX, ..self }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The number of the connection that carries the request.
    pub(super) fn connection(&self) -> Option<u64> {
        self.connection
    }

    /// Whether the pool may give a connection.
    pub(super) fn may_reuse_connection(&self) -> bool {
        !self.is_connecting() && !self.force_new_connection
    }

    /// Time that is left for the phase at hand; `None` when it is over.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let end = if self.connecting > 0 { self.connect_by } else { self.deadline };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Whether what failed was the time of the whole send, not that of connecting.
    pub(super) fn is_past_deadline(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether a connector chain is at work: what is written then is a proxy's or TLS's.
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting > 0
    }

    /// Whether the chain at work opens the way through a proxy for another one.
    pub(super) fn is_tunnelling(&self) -> bool {
        self.connecting > 1
    }

    pub(super) fn is_request_started(&self) -> bool {
        self.is_request_started
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the kernel has taken anything of the request. If not, nothing can have arrived.
    pub(super) fn may_have_been_sent(&self) -> bool {
        self.is_request_started && self.written > self.request_begin
    }

    /// Whether the kernel has taken the whole request. If not, nobody can have accepted the message.
    pub(super) fn is_fully_sent(&self) -> bool {
        self.is_request_started && self.written >= self.request_end
    }

    /// Whether another connection may carry the request: this one was of no use, and no byte left over it.
    pub(super) fn may_retry(&self) -> bool {
        (self.is_reused || self.has_early_bytes) && !self.may_have_been_sent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn attempt<T>(send: impl FnOnce() -> T) -> (T, Attempt) {
        run(Instant::now() + LONG, LONG, false, send)
    }

    #[test]
    fn a_request_has_left_whole_when_the_kernel_took_its_last_byte() {
        let (_, attempt) = attempt(|| {
            bytes_buffered(7);
            request_started();
            bytes_buffered(10);
            request_buffered();
            let written = |bytes| {
                bytes_written(bytes);
                current().map(|attempt| (attempt.may_have_been_sent(), attempt.is_fully_sent()))
            };
            assert_eq!(written(7), Some((false, false)));
            assert_eq!(written(9), Some((true, false)));
            assert_eq!(written(1), Some((true, true)));
            // TLS may still have something to say.
            bytes_buffered(5);
        });
        assert!(attempt.is_fully_sent());
    }

    #[test]
    fn a_send_inside_a_send_leaves_the_record_of_the_outer_one_alone() {
        let ((), outer) = attempt(|| {
            request_started();
            let ((), inner) = attempt(early_bytes_received);
            assert!(inner.may_retry() && !inner.is_request_started());
            run_unrecorded(|| assert!(current().is_none()));
            let panicked = std::panic::catch_unwind(|| attempt(|| panic!("inside")));
            assert!(panicked.is_err());
        });
        assert!(outer.is_request_started());
        assert!(current().is_none());
    }

    #[test]
    fn a_record_that_was_lost_says_that_the_request_may_have_left() {
        let ((), attempt) = attempt(|| CURRENT.set(None));
        assert!(attempt.may_have_been_sent() && !attempt.is_fully_sent() && !attempt.may_retry());
    }
}
