//! Identifies the process by a number that a forked child does not share with any of its ancestors.
//!
//! The process id would need a system call for every send. It is not unique either: process 1 of a container may fork
//! process 1 of another. On Linux the kernel is asked once for a page that is empty in every child (Linux 4.14). This
//! works however the child is created, also without a library's `fork`. Elsewhere a handler of `fork` counts.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

/// Returns the number of this process. It is the same in every call, and differs from that of any ancestor.
pub(crate) use system::generation;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::process;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    /// The last number used. A child continues where its parent was.
    static LAST_GENERATION: AtomicU64 = AtomicU64::new(0);
    /// Where the number is stored: NULL before the first call, `UNSUPPORTED` if this kernel has no such page. There is
    /// no lock, because a fork could happen while another thread holds it.
    static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    static UNSUPPORTED: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn generation() -> u64 {
        let Some(mark) = mark() else { return process::id().into() };
        match mark.load(Ordering::Acquire) {
            // This is the first call in this process. If two threads arrive at once, the first number counts for both.
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
        // SAFETY: `UNSUPPORTED`, or a page from `map_wipe_on_fork_page`: valid, and never freed once it is stored in
        // MARK.
        (mark != unsupported()).then(|| unsafe { &*mark })
    }

    #[cold]
    fn create_mark() -> *mut AtomicU64 {
        let created = map_wipe_on_fork_page().unwrap_or(unsupported());
        // If two threads arrive at once, one page is lost.
        MARK.compare_exchange(ptr::null_mut(), created, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|other| other, |_| created)
    }

    fn unsupported() -> *mut AtomicU64 {
        ptr::from_ref(&UNSUPPORTED).cast_mut()
    }

    /// Maps a zero that is zero again in every child.
    fn map_wipe_on_fork_page() -> Option<*mut AtomicU64> {
        // SAFETY: sysconf() only reads. mmap() returns a new page, zero and aligned; the other calls are about that
        // page.
        unsafe {
            let length = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).ok()?;
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let page = libc::mmap(ptr::null_mut(), length, access, kind, -1, 0);
            if page == libc::MAP_FAILED {
                return None;
            }
            // Some emulators accept every advice and follow none: they also accept one that does not exist.
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
        // SAFETY: the handler only increments a number. It stays registered: the library is never unloaded.
        let is_registered =
            IS_REGISTERED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } == 0);
        if *is_registered { FORKS.load(Ordering::Relaxed) } else { process::id().into() }
    }

    extern "C" fn count_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}

/// This system has no fork.
#[cfg(not(unix))]
mod system {
    pub(crate) fn generation() -> u64 {
        0
    }
}
