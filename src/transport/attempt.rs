//! How far the current attempt of this thread got.
//!
//! ureq reports failures without saying whether the request had left, so the layers of our connections keep this
//! record. ureq works on the calling thread alone, from the first connect to the last byte of the answer, so a record
//! a thread is exact.

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

/// What a connection is asked while it is neither sending nor receiving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probe {
    /// Is anything unread in the buffers of any layer?
    Buffers,
    /// Is anything unread in the buffers or in the socket, or did the other side close?
    Socket,
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
    pub(super) is_reused: bool,
    /// Whether the pool must not be used.
    pub(super) wants_fresh: bool,
    /// Whether a byte of the request was handed to the connection.
    is_offered: bool,
    /// Bytes that the kernel has taken, TLS's own included, and how many those were when the request was offered.
    accepted: u64,
    accepted_before: u64,
    pub(super) probe: Option<Probe>,
}

thread_local! {
    static CURRENT: Cell<Option<Attempt>> = const { Cell::new(None) };
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
        is_offered: false,
        accepted: 0,
        accepted_before: 0,
        probe: None,
    };
    CURRENT.set(Some(attempt));
    let outcome = send();
    (outcome, CURRENT.take().unwrap_or(attempt))
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

impl Attempt {
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

    /// Marks the first byte of the request, before it is handed down: what fails after this mark is judged by what
    /// the kernel took. What a proxy or TLS needs while connecting is no part of the request.
    pub(super) fn offer(&mut self) {
        if self.connecting == 0 && !self.is_offered {
            self.is_offered = true;
            self.accepted_before = self.accepted;
        }
    }

    pub(super) fn accept(&mut self, bytes: usize) {
        self.accepted += bytes as u64;
    }

    pub(super) fn is_offered(&self) -> bool {
        self.is_offered
    }

    /// Whether the kernel has taken anything since the request was offered. If not, nothing can have arrived.
    pub(super) fn may_have_left(&self) -> bool {
        self.is_offered && self.accepted > self.accepted_before
    }
}
