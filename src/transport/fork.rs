//! Which process this is: a number that a forked child does not share with any of its ancestors.
//!
//! The id of the process would need a system call for every send, and it is no proof: process 1 of a container may fork
//! process 1 of another. So the kernel is asked once for a page that it gives to every child empty (Linux 4.14, however
//! the child is made, without a library's `fork` too). Elsewhere `fork` itself tells.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

/// The same in every call of one process; another one in a child than in any of its ancestors.
pub(crate) use system::generation;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::process;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    /// How many numbers were given. A child goes on where its parent was.
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    /// Where the number stands: NULL before the first call, `NOWHERE` if this kernel has no such page. No lock, because
    /// a fork could catch another thread with it.
    static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    static NOWHERE: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn generation() -> u64 {
        let Some(mark) = mark() else { return process::id().into() };
        match mark.load(Ordering::Acquire) {
            // The first call in this process. Should two threads come here at once, the first number counts for both.
            0 => {
                let next = GIVEN.fetch_add(1, Ordering::Relaxed) + 1;
                mark.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire).map_or_else(|first| first, |_| next)
            }
            mine => mine,
        }
    }

    fn mark() -> Option<&'static AtomicU64> {
        let mut mark = MARK.load(Ordering::Acquire);
        if mark.is_null() {
            mark = first_mark();
        }
        // SAFETY: `NOWHERE`, or what `wiped_in_children` gave: valid, and never freed once it stands in MARK.
        (mark != nowhere()).then(|| unsafe { &*mark })
    }

    #[cold]
    fn first_mark() -> *mut AtomicU64 {
        let mine = wiped_in_children().unwrap_or(nowhere());
        // Of two threads that come here at once, one loses a page.
        MARK.compare_exchange(ptr::null_mut(), mine, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|theirs| theirs, |_| mine)
    }

    fn nowhere() -> *mut AtomicU64 {
        ptr::from_ref(&NOWHERE).cast_mut()
    }

    /// A zero that is zero again in every child.
    fn wiped_in_children() -> Option<*mut AtomicU64> {
        // SAFETY: sysconf() reads only. mmap() gives a new page, zero and aligned; the other calls are about that page.
        unsafe {
            let length = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).ok()?;
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let page = libc::mmap(ptr::null_mut(), length, access, kind, -1, 0);
            if page == libc::MAP_FAILED {
                return None;
            }
            // Some emulators take every advice and follow none: they take one that does not exist, too.
            if libc::madvise(page, length, -1) == 0 || libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
                libc::munmap(page, length);
                return None;
            }
            Some(page.cast())
        }
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
mod system {
    use std::process;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FORKS: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn generation() -> u64 {
        static IS_TOLD: OnceLock<bool> = OnceLock::new();
        // SAFETY: the handler adds to a number and does nothing else. What was registered stays: the library is never
        // unloaded.
        let is_told = IS_TOLD.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } == 0);
        if *is_told { FORKS.load(Ordering::Relaxed) } else { process::id().into() }
    }

    extern "C" fn count_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}

/// There is no fork.
#[cfg(not(unix))]
mod system {
    pub(crate) fn generation() -> u64 {
        0
    }
}
