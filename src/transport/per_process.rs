//! Keeps one set of connections for each process: a forked child neither uses nor waits for its parent's.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Method, Request, Uri};

use super::agent;
use super::connect::{ConnectTarget, connect_target};
use super::pool::Pool;
use super::{attempt, fork};
use crate::config::Settings;

/// Much longer than a running thread holds the lock of `child`.
const FORK_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// The connections of the process that created the client, and those of a forked child.
pub(super) struct PerProcess {
    own: Connections,
    child: Mutex<Option<Arc<Connections>>>,
}

impl PerProcess {
    pub(super) fn new(own: Connections) -> PerProcess {
        PerProcess { own, child: Mutex::new(None) }
    }

    /// Runs `call` with the connections of this process. In a forked child, `make` creates them first.
    pub(super) fn with<T>(&self, make: impl FnOnce() -> Connections, call: impl FnOnce(&Connections) -> T) -> T {
        if self.own.is_of_this_process() { self.own.run(call) } else { self.of_child(make).run(call) }
    }

    /// Returns the connections of this forked child. The first thread that needs them creates them.
    fn of_child(&self, make: impl FnOnce() -> Connections) -> Arc<Connections> {
        let is_of_this_process = |connections: &Arc<Connections>| connections.is_of_this_process();
        if let Some(connections) = self.lock_child().and_then(|child| child.clone()).filter(is_of_this_process) {
            return connections;
        }
        let made = Arc::new(make());
        match self.lock_child() {
            Some(mut child) => match &*child {
                Some(connections) if is_of_this_process(connections) => Arc::clone(connections),
                _ => {
                    *child = Some(Arc::clone(&made));
                    made
                }
            },
            None => made,
        }
    }

    /// Waits for other threads of this process, which hold the lock only briefly. A lock that was held at the fork is
    /// never released: then this returns `None` after a timeout, and the send uses connections of its own.
    fn lock_child(&self) -> Option<MutexGuard<'_, Option<Arc<Connections>>>> {
        let begin = Instant::now();
        loop {
            match self.child.try_lock() {
                Ok(child) => return Some(child),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() > FORK_LOCK_TIMEOUT => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }
}

/// The connections of one process.
pub(super) struct Connections {
    process: u64,
    pub(super) target: Arc<ConnectTarget>,
    pub(super) pool: Arc<Pool>,
    pub(super) agent: Agent,
    calls: Arc<ActiveCalls>,
}

/// How many threads are inside a call.
#[derive(Default)]
pub(super) struct ActiveCalls {
    number: AtomicUsize,
    /// Whether a thread waits for all calls to end.
    is_awaited: AtomicBool,
    lock: Mutex<()>,
    ended: Condvar,
}

impl ActiveCalls {
    /// Counts the call while it runs.
    fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        struct ActiveCall<'a>(&'a ActiveCalls);
        impl Drop for ActiveCall<'_> {
            fn drop(&mut self) {
                self.0.number.fetch_sub(1, Ordering::SeqCst);
                if self.0.is_awaited.load(Ordering::SeqCst) {
                    drop(self.0.lock.lock());
                    self.0.ended.notify_all();
                }
            }
        }
        self.number.fetch_add(1, Ordering::SeqCst);
        let _call = ActiveCall(self);
        call()
    }

    fn number(&self) -> usize {
        self.number.load(Ordering::SeqCst)
    }

    /// Waits until no thread is inside a call, at most this long. Returns how many still are.
    pub(super) fn wait_until_over(&self, time: Duration) -> usize {
        self.is_awaited.store(true, Ordering::SeqCst);
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.ended.wait_timeout_while(guard, time, |()| self.number() > 0));
        self.number()
    }
}

impl Connections {
    pub(super) fn new(settings: &Settings, config: Config) -> Connections {
        let target = Arc::new(connect_target(settings));
        let pool = Arc::new(Pool::new(settings.keep_alive));
        let agent = agent::build(config, &target, &pool, !settings.secure);
        Connections { process: fork::generation(), target, pool, agent, calls: Arc::default() }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == fork::generation()
    }

    fn run<T>(&self, call: impl FnOnce(&Connections) -> T) -> T {
        self.calls.run(|| call(self))
    }

    /// Returns the call count of this process, so that a drain can wait for it outside a call.
    pub(super) fn calls(&self) -> Arc<ActiveCalls> {
        Arc::clone(&self.calls)
    }

    /// Makes ureq create its global values now, with a request that ends before it connects. Otherwise a fork could
    /// catch another thread creating them in its first send, and the child would wait for that thread forever.
    pub(super) fn initialise_globals(&self, uri: &Uri) {
        let mut request = Request::new(&[][..]);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let _ = attempt::run_unrecorded(|| self.agent.run(request));
    }
}

/// Closes inherited connections in a forked child, which writes nothing to the parent's connections. If a thread was
/// inside a call at the fork, it may have been changing them, so they are leaked.
impl Drop for Connections {
    fn drop(&mut self) {
        if !self.is_of_this_process() && self.calls.number() > 0 {
            mem::forget(self.agent.clone());
        }
    }
}
