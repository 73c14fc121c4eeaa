//! An allocator that counts while it is told to, and costs one look at a flag while it is not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

pub struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// Bytes allocated and not freed again; less than nothing where older memory is freed.
static HELD: AtomicI64 = AtomicI64::new(0);

#[derive(Clone, Copy)]
pub struct Count {
    pub allocations: u64,
    pub bytes: u64,
    pub held: i64,
}

/// What `work` allocates, in all threads.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Count) {
    let figures = || {
        let held = HELD.load(Ordering::SeqCst);
        Count { allocations: ALLOCATIONS.load(Ordering::SeqCst), bytes: BYTES.load(Ordering::SeqCst), held }
    };
    IS_COUNTING.store(true, Ordering::SeqCst);
    let before = figures();
    let outcome = work();
    let after = figures();
    IS_COUNTING.store(false, Ordering::SeqCst);
    let count = Count {
        allocations: after.allocations - before.allocations,
        bytes: after.bytes - before.bytes,
        held: after.held - before.held,
    };
    (outcome, count)
}

fn note(allocated: usize, freed: usize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        if allocated > 0 {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(allocated as u64, Ordering::Relaxed);
        }
        HELD.fetch_add(allocated as i64 - freed as i64, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
