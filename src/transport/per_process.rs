//! One set of connections for each process: a forked child neither uses nor waits for what its parent holds.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
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

/// Far longer than a thread that lives keeps the lock of `child`.
const FORK_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// The connections of the process that made the client, and those of a forked child.
pub(super) struct PerProcess {
    own: Connections,
    child: Mutex<Option<Arc<Connections>>>,
}

impl PerProcess {
    pub(super) fn new(own: Connections) -> PerProcess {
        PerProcess { own, child: Mutex::new(None) }
    }

    /// Calls with the connections of this process; `make` makes those of a forked child.
    pub(super) fn with<T>(&self, make: impl FnOnce() -> Connections, call: impl FnOnce(&Connections) -> T) -> T {
        if self.own.is_of_this_process() { self.own.run(call) } else { self.of_child(make).run(call) }
    }

    /// The connections of this forked child, made by the first of its threads that needs them.
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

    /// Waits for other threads of this process, who need the lock for a moment only, but not for one that a fork left
    /// behind: that one never gives it back, and the send goes alone.
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
    /// How many threads are inside a call.
    active_calls: AtomicUsize,
}

impl Connections {
    pub(super) fn new(settings: &Settings, config: Config) -> Connections {
        let target = Arc::new(connect_target(settings));
        let pool = Arc::new(Pool::new(settings.keep_alive));
        let agent = agent::build(config, &target, &pool, !settings.secure);
        Connections { process: fork::generation(), target, pool, agent, active_calls: AtomicUsize::new(0) }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == fork::generation()
    }

    /// Counts the call while it lasts.
    fn run<T>(&self, call: impl FnOnce(&Connections) -> T) -> T {
        struct ActiveCall<'a>(&'a AtomicUsize);
        impl Drop for ActiveCall<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.active_calls.fetch_add(1, Ordering::SeqCst);
        let _call = ActiveCall(&self.active_calls);
        call(self)
    }

    /// Lets ureq make its global values now, by a request that ends before it connects. If a fork caught another
    /// thread making them at its first send, the child would wait for that thread forever.
    pub(super) fn initialise_globals(&self, uri: &Uri) {
        let mut request = Request::new(&[][..]);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let _ = attempt::run_unrecorded(|| self.agent.run(request));
    }
}

/// What a child inherited is closed and given back, which writes nothing to the parent's connections. It is forgotten
/// if the fork caught another thread inside a call: that thread may have been changing it.
impl Drop for Connections {
    fn drop(&mut self) {
        if !self.is_of_this_process() && self.active_calls.load(Ordering::SeqCst) > 0 {
            mem::forget(self.agent.clone());
        }
    }
}
