//! How far the current attempt of this thread got.
//!
//! ureq reports failures without saying whether the request had left, so the layers of our connections keep this
//! record. ureq works on the calling thread alone, from the first connect to the last byte of the answer, so a record
//! a thread is exact. Without a record no byte leaves.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The step that an attempt is at, to say what failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// Waiting for the resolver.
    LookUp,
    /// Opening a TCP connection to this address.
    Connect(SocketAddr),
    /// TCP is there; what follows is a proxy's or TLS's.
    Handshake,
    /// The connection is ready for the request.
    Exchange,
}

/// How the layers of a connection read while nothing may be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// Only what is in their buffers.
    Buffers,
    /// What has come so far, over a connection that carried a request before.
    Kept,
    /// What has come so far, over a new connection.
    Fresh,
    /// The rest of a TLS record, which is waited for.
    RestOfRecord,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// When the whole send must be over.
    deadline: Instant,
    /// When the connection must be ready.
    connect_by: Instant,
    pub(super) step: Step,
    /// How many connector chains are at work: two while a proxy is connected to.
    connecting: u8,
    /// Whether the connection came out of the pool.
    is_reused: bool,
    /// Whether the pool must not be used.
    pub(super) wants_fresh: bool,
    /// The number of the connection that carries the request.
    pub(super) connection: Option<u64>,
    /// Whether a byte of the request was handed to the connection.
    is_offered: bool,
    /// Whether bytes came before the request left.
    is_spoilt: bool,
    /// Bytes handed to the socket's buffer and bytes that the kernel has taken, those of TLS and a proxy included.
    queued: u64,
    accepted: u64,
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
struct Outer(Option<Attempt>);

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Keeps the record of what `send` does, and hands it out with the outcome.
pub(super) fn record<T>(
    deadline: Instant,
    connect_timeout: Duration,
    wants_fresh: bool,
    send: impl FnOnce() -> T,
) -> (T, Attempt) {
    let connect_by = Instant::now().checked_add(connect_timeout).map_or(deadline, |by| by.min(deadline));
    let attempt = Attempt {
        deadline,
        connect_by,
        step: Step::Exchange,
        connecting: 0,
        is_reused: true,
        wants_fresh,
        connection: None,
        is_offered: false,
        is_spoilt: false,
        queued: 0,
        accepted: 0,
        request_begin: 0,
        request_end: 0,
        probe: None,
    };
    let _outer = Outer(CURRENT.replace(Some(attempt)));
    let outcome = send();
    (outcome, CURRENT.get().unwrap_or(attempt.after_anything()))
}

/// Runs what is no part of a send, even if it runs inside one.
pub(super) fn without_record<T>(run: impl FnOnce() -> T) -> T {
    let _outer = Outer(CURRENT.take());
    run()
}

/// The record of the attempt that is under way on this thread.
pub(super) fn current() -> Option<Attempt> {
    CURRENT.get()
}

pub(super) fn update(change: impl FnOnce(&mut Attempt)) {
    if let Some(mut attempt) = CURRENT.get() {
        change(&mut attempt);
        CURRENT.set(Some(attempt));
    }
}

/// Reads in the way of `probe`.
pub(super) fn probing<T>(probe: Probe, read: impl FnOnce() -> T) -> T {
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
    fn after_anything(self) -> Attempt {
        Attempt { is_reused: false, is_offered: true, accepted: 1, request_end: u64::MAX, ..self }
    }

    /// Time that is left for the step at hand; `None` when it is over.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let end = if self.connecting > 0 { self.connect_by } else { self.deadline };
        end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Whether what failed was the time of the whole send, not that of connecting.
    pub(super) fn is_past_deadline(&self) -> bool {
        Instant::now() >= self.deadline
    }

    pub(super) fn chain_begins(&mut self) {
        self.connecting = self.connecting.saturating_add(1);
        self.is_reused = false;
    }

    pub(super) fn chain_ends(&mut self) {
        self.connecting = self.connecting.saturating_sub(1);
        if self.connecting == 0 {
            self.step = Step::Exchange;
        }
    }

    /// Whether a connector chain is at work: what is written then is a proxy's or TLS's.
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting > 0
    }

    /// Whether the chain at work opens the way through a proxy for another one.
    pub(super) fn is_tunnelling(&self) -> bool {
        self.connecting > 1
    }

    /// Marks the first byte of the request, before it is handed down: what fails after this mark is judged by what
    /// the kernel took.
    pub(super) fn offer(&mut self) {
        if !self.is_offered {
            self.is_offered = true;
            self.request_begin = self.queued;
        }
    }

    /// Marks the last byte of the request that was handed down so far.
    pub(super) fn offered(&mut self) {
        self.request_end = self.queued;
    }

    pub(super) fn queue(&mut self, bytes: usize) {
        self.queued += bytes as u64;
    }

    pub(super) fn accept(&mut self, bytes: usize) {
        self.accepted += bytes as u64;
    }

    /// Marks that bytes came before the request left: they answer nothing.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    pub(super) fn is_offered(&self) -> bool {
        self.is_offered
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the kernel has taken anything of the request. If not, nothing can have arrived.
    pub(super) fn may_have_left(&self) -> bool {
        self.is_offered && self.accepted > self.request_begin
    }

    /// Whether the kernel has taken the whole request. If not, nobody can have accepted the message.
    pub(super) fn has_left_whole(&self) -> bool {
        self.is_offered && self.accepted >= self.request_end
    }

    /// Whether another connection may carry the request: this one was of no use, and no byte left over it.
    pub(super) fn may_be_repeated(&self) -> bool {
        (self.is_reused || self.is_spoilt) && !self.may_have_left()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn run<T>(send: impl FnOnce() -> T) -> (T, Attempt) {
        record(Instant::now() + LONG, LONG, false, send)
    }

    #[test]
    fn a_request_has_left_whole_when_the_kernel_took_its_last_byte() {
        let (_, attempt) = run(|| {
            update(|attempt| attempt.queue(7));
            update(|attempt| attempt.offer());
            update(|attempt| attempt.queue(10));
            update(|attempt| attempt.offered());
            let left = |bytes| {
                update(|attempt| attempt.accept(bytes));
                current().map(|attempt| (attempt.may_have_left(), attempt.has_left_whole()))
            };
            assert_eq!(left(7), Some((false, false)));
            assert_eq!(left(9), Some((true, false)));
            assert_eq!(left(1), Some((true, true)));
            // TLS may still have something to say.
            update(|attempt| attempt.queue(5));
        });
        assert!(attempt.has_left_whole());
    }

    #[test]
    fn a_send_inside_a_send_leaves_the_record_of_the_outer_one_alone() {
        let ((), outer) = run(|| {
            update(|attempt| attempt.offer());
            let ((), inner) = run(|| update(|attempt| attempt.spoil()));
            assert!(inner.may_be_repeated() && !inner.is_offered());
            without_record(|| assert!(current().is_none()));
            let panicked = std::panic::catch_unwind(|| run(|| panic!("inside")));
            assert!(panicked.is_err());
        });
        assert!(outer.is_offered());
        assert!(current().is_none());
    }

    #[test]
    fn a_record_that_was_lost_says_that_the_request_may_have_left() {
        let ((), attempt) = run(|| CURRENT.set(None));
        assert!(attempt.may_have_left() && !attempt.has_left_whole() && !attempt.may_be_repeated());
    }
}
