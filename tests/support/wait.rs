//! Waiting for something without sleeping.

use std::thread;
use std::time::{Duration, Instant};

/// A test that waits longer has found a fault.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < TEST_TIMEOUT, "it never comes to pass that {what}");
        thread::yield_now();
    }
}
