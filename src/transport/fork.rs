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
    static LAST_GENERATION: AtomicU64 = AtomicU64::new(0);
    /// Where the number stands: NULL before the first call, `UNSUPPORTED` if this kernel has no such page. No lock, because
    /// a fork could catch another thread with it.
    static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    static UNSUPPORTED: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn generation() -> u64 {
        let Some(mark) = mark() else { return process::id().into() };
        match mark.load(Ordering::Acquire) {
            // The first call in this process. Should two threads come here at once, the first number counts for both.
            0 => {
                let next = LAST_GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
                mark.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire).map_or_else(|other| other, |_| next)
            }
            generation => generation,
        }
    }

    fn mark() -> Option<&'static AtomicU64> {
        let mut mark = MARK.load(Ordering::Acquire);
        if mark.is_null() {
            mark = create_mark();
        }
        // SAFETY: `UNSUPPORTED`, or what `map_wipe_on_fork_page` gave: valid, and never freed once it stands in MARK.
        (mark != unsupported()).then(|| unsafe { &*mark })
    }

    #[cold]
    fn create_mark() -> *mut AtomicU64 {
        let created = map_wipe_on_fork_page().unwrap_or(unsupported());
        // Of two threads that come here at once, one loses a page.
        MARK.compare_exchange(ptr::null_mut(), created, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|other| other, |_| created)
    }

    fn unsupported() -> *mut AtomicU64 {
        ptr::from_ref(&UNSUPPORTED).cast_mut()
    }

    /// A zero that is zero again in every child.
    fn map_wipe_on_fork_page() -> Option<*mut AtomicU64> {
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
        static IS_REGISTERED: OnceLock<bool> = OnceLock::new();
        // SAFETY: the handler adds to a number and does nothing else. What was registered stays: the library is never
        // unloaded.
        let is_registered =
            IS_REGISTERED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } == 0);
        if *is_registered { FORKS.load(Ordering::Relaxed) } else { process::id().into() }
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
