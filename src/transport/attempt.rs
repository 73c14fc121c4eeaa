//! Records how far the current attempt of this thread got.
//!
//! ureq does not report whether the request had left when a call fails, so the layers of a connection keep this record.
//! ureq works on the calling thread, from the first connect to the last byte of the response. One record per thread is
//! therefore exact. Without a record no byte leaves.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the attempt is doing. The error text names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Waiting for the resolver.
    Resolve,
    /// Opening a TCP connection to this address.
    Connect(SocketAddr),
    /// TCP is connected. A proxy's or TLS's handshake follows.
    Handshake,
    /// The connection is ready for the request.
    Request,
}

/// How the layers of a connection read while they must not write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// Reads only what is in the buffers.
    BuffersOnly,
    /// Reads what has arrived, on a connection that carried a request before.
    ReusedConnection,
    /// Reads what has arrived, on a new connection.
    NewConnection,
    /// Waits for the rest of a TLS record.
    RestOfRecord,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// When the whole send must end.
    deadline: Instant,
    /// When the connection must be ready.
    connect_by: Instant,
    connect_timeout: Duration,
    phase: Phase,
    /// How many connector chains are connecting: two while one opens a tunnel through a proxy.
    connecting: u8,
    /// Whether the connection comes from the pool.
    is_reused: bool,
    force_new_connection: bool,
    connection: Option<u64>,
    /// Whether a byte of the request was handed to the connection.
    is_request_started: bool,
    has_early_bytes: bool,
    /// Bytes written to the socket's buffer, and bytes that the kernel has accepted. Both include bytes of TLS and of a
    /// proxy.
    buffered: u64,
    written: u64,
    /// Where the request begins and ends in these bytes.
    request_begin: u64,
    request_end: u64,
    probe: Option<Probe>,
}

thread_local! {
    static CURRENT: RefCell<Option<Attempt>> = const { RefCell::new(None) };
}

/// Restores the previous record, also when a send panics. Sends nest: a logger of the program may send a message while
/// a message is being sent.
struct RestoreOnDrop(Option<Attempt>);

impl Drop for RestoreOnDrop {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Runs `send` with a new record. Returns its outcome and the record.
pub(super) fn run<T>(
    deadline: Instant,
    connect_timeout: Duration,
    force_new_connection: bool,
    send: impl FnOnce() -> T,
) -> (T, Attempt) {
    let attempt = Attempt {
        deadline,
        connect_timeout,
        connect_by: deadline,
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
    (outcome, CURRENT.with_borrow(|current| *current).unwrap_or(attempt.assume_partly_sent()))
}

/// Runs `call` without a record, even inside a send.
pub(super) fn run_unrecorded<T>(call: impl FnOnce() -> T) -> T {
    let _restore = RestoreOnDrop(CURRENT.take());
    call()
}

/// Returns what `read` finds in the record of the attempt that is running on this thread, `None` without one.
pub(super) fn current<T>(read: impl FnOnce(&Attempt) -> T) -> Option<T> {
    CURRENT.with_borrow(|current| current.as_ref().map(read))
}

/// Returns whether an attempt is running on this thread that `is_so`.
pub(super) fn current_is(is_so: impl FnOnce(&Attempt) -> bool) -> bool {
    current(is_so).unwrap_or(false)
}

fn update(change: impl FnOnce(&mut Attempt)) {
    CURRENT.with_borrow_mut(|current| current.as_mut().map(change));
}

pub(super) fn enter(phase: Phase) {
    update(|attempt| attempt.phase = phase);
}

/// Marks that a connector chain is connecting, until `connect_finished`. One chain may start inside another.
pub(super) fn connect_started() {
    update(|attempt| {
        if attempt.connecting == 0 {
            let by = Instant::now().checked_add(attempt.connect_timeout);
            attempt.connect_by = by.map_or(attempt.deadline, |by| by.min(attempt.deadline));
        }
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

/// Records the number of the connection that carries the request.
pub(super) fn connection_chosen(number: u64) {
    update(|attempt| attempt.connection = Some(number));
}

/// Marks the first byte of the request, before it is written. After this mark, the bytes that the kernel accepted
/// decide how a failure is reported.
pub(super) fn request_started() {
    update(|attempt| {
        if !attempt.is_request_started {
            attempt.is_request_started = true;
            attempt.request_begin = attempt.buffered;
        }
    });
}

/// Marks the last byte of the request that has been written so far.
pub(super) fn request_buffered() {
    update(|attempt| attempt.request_end = attempt.buffered);
}

/// Counts bytes that were written to the socket's buffer.
pub(super) fn bytes_buffered(amount: usize) {
    update(|attempt| attempt.buffered += amount as u64);
}

/// Counts bytes that the kernel has accepted.
pub(super) fn bytes_written(amount: usize) {
    update(|attempt| attempt.written += amount as u64);
}

/// Marks that bytes arrived before the request left. They cannot be its response.
pub(super) fn early_bytes_received() {
    update(|attempt| attempt.has_early_bytes = true);
}

/// Runs `read` with this probe set.
pub(super) fn with_probe<T>(probe: Probe, read: impl FnOnce() -> T) -> T {
    let before = self::probe();
    update(|attempt| attempt.probe = Some(probe));
    let outcome = read();
    update(|attempt| attempt.probe = before);
    outcome
}

/// Returns how to read, if not in the usual way.
pub(super) fn probe() -> Option<Probe> {
    current(|attempt| attempt.probe).flatten()
}

impl Attempt {
    /// A lost record proves nothing, so it counts as partly sent.
    fn assume_partly_sent(self) -> Attempt {
        Attempt { is_reused: false, is_request_started: true, written: 1, request_end: u64::MAX, ..self }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the number of the connection that carries the request.
    pub(super) fn connection(&self) -> Option<u64> {
        self.connection
    }

    /// Returns whether the pool may supply the connection.
    pub(super) fn may_reuse_connection(&self) -> bool {
        !self.is_connecting() && !self.force_new_connection
    }

    /// Returns the time left for the current phase, or `None` when it has run out.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let end = if self.connecting > 0 { self.connect_by } else { self.deadline };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Returns whether the whole send has run out of time, not only the connect phase.
    pub(super) fn is_past_deadline(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns whether a connector chain is connecting. Bytes written meanwhile belong to a proxy or to TLS.
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting > 0
    }

    /// Returns whether the current chain opens a tunnel through a proxy for another chain.
    pub(super) fn is_tunnelling(&self) -> bool {
        self.connecting > 1
    }

    pub(super) fn is_request_started(&self) -> bool {
        self.is_request_started
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Returns whether the kernel has accepted a byte of the request. If not, nothing can have arrived.
    pub(super) fn may_have_been_sent(&self) -> bool {
        self.is_request_started && self.written > self.request_begin
    }

    /// Returns whether the kernel has accepted the whole request. If not, the gateway cannot have accepted the message.
    pub(super) fn is_fully_sent(&self) -> bool {
        self.is_request_started && self.written >= self.request_end
    }

    /// Returns whether another connection may carry the request: this one was unusable, and no byte left over it.
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
                current(|attempt| (attempt.may_have_been_sent(), attempt.is_fully_sent()))
            };
            assert_eq!(written(7), Some((false, false)));
            assert_eq!(written(9), Some((true, false)));
            assert_eq!(written(1), Some((true, true)));
            // TLS may still write a record of its own.
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
            run_unrecorded(|| assert!(!current_is(|_| true)));
            let panicked = std::panic::catch_unwind(|| attempt(|| panic!("inside")));
            assert!(panicked.is_err());
        });
        assert!(outer.is_request_started());
        assert!(!current_is(|_| true));
    }

    #[test]
    fn a_record_that_was_lost_says_that_the_request_may_have_left() {
        let ((), attempt) = attempt(|| CURRENT.set(None));
        assert!(attempt.may_have_been_sent() && !attempt.is_fully_sent() && !attempt.may_retry());
    }
}
