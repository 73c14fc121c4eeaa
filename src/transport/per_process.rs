//! One set of connections for each process: a forked child neither uses nor waits for what its parent holds.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Method, Request, Uri};

use super::agent::agent;
use super::connect::{Place, place};
use super::pool::Pool;
use super::{attempt, fork};
use crate::config::Settings;

/// Far longer than a thread that lives keeps the lock of `child`.
const HEIR_PATIENCE: Duration = Duration::from_millis(100);

/// The connections of the process that made the client, and those of a forked child.
pub(super) struct PerProcess {
    own: Home,
    child: Mutex<Option<Arc<Home>>>,
}

impl PerProcess {
    pub(super) fn new(own: Home) -> PerProcess {
        PerProcess { own, child: Mutex::new(None) }
    }

    /// Calls with the connections of this process; `make` makes those of a forked child.
    pub(super) fn with<T>(&self, make: impl FnOnce() -> Home, call: impl FnOnce(&Home) -> T) -> T {
        if self.own.is_of_this_process() { self.own.during(call) } else { self.heir(make).during(call) }
    }

    /// The connections of this forked child, made by the first of its threads that needs them.
    fn heir(&self, make: impl FnOnce() -> Home) -> Arc<Home> {
        let belongs_here = |home: &Arc<Home>| home.is_of_this_process();
        if let Some(home) = self.lock_heir().and_then(|heir| heir.clone()).filter(belongs_here) {
            return home;
        }
        let fresh = Arc::new(make());
        match self.lock_heir() {
            Some(mut heir) => match &*heir {
                Some(home) if belongs_here(home) => Arc::clone(home),
                _ => {
                    *heir = Some(Arc::clone(&fresh));
                    fresh
                }
            },
            None => fresh,
        }
    }

    /// Waits for other threads of this process, who need the lock for a moment only, but not for one that a fork left
    /// behind: that one never gives it back, and the send goes alone.
    fn lock_heir(&self) -> Option<MutexGuard<'_, Option<Arc<Home>>>> {
        let begin = Instant::now();
        loop {
            match self.child.try_lock() {
                Ok(heir) => return Some(heir),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() > HEIR_PATIENCE => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }
}

/// The connections of one process.
pub(super) struct Home {
    process: u64,
    pub(super) place: Arc<Place>,
    pub(super) pool: Arc<Pool>,
    pub(super) agent: Agent,
    /// How many threads are inside a call.
    calls: AtomicUsize,
}

impl Home {
    pub(super) fn new(settings: &Settings, config: Config) -> Home {
        let place = Arc::new(place(settings));
        let pool = Arc::new(Pool::new(settings.keep_alive));
        let agent = agent(config, &place, &pool, !settings.secure);
        Home { process: fork::generation(), place, pool, agent, calls: AtomicUsize::new(0) }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == fork::generation()
    }

    /// Counts the call while it lasts.
    fn during<T>(&self, call: impl FnOnce(&Home) -> T) -> T {
        struct Call<'a>(&'a AtomicUsize);
        impl Drop for Call<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _call = Call(&self.calls);
        call(self)
    }

    /// Lets ureq make its global values now, by a request that ends before it connects. If a fork caught another
    /// thread making them at its first send, the child would wait for that thread forever.
    pub(super) fn warm_up(&self, uri: &Uri) {
        let mut request = Request::new(&[][..]);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let _ = attempt::without_record(|| self.agent.run(request));
    }
}

/// What a child inherited is closed and given back, which writes nothing to the parent's connections. It is forgotten
/// if the fork caught another thread inside a call: that thread may have been changing it.
impl Drop for Home {
    fn drop(&mut self) {
        if !self.is_of_this_process() && self.calls.load(Ordering::SeqCst) > 0 {
            mem::forget(self.agent.clone());
        }
    }
}
