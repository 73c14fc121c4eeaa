//! Error strings under an allocator that checks the size of everything it frees.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hookmyapp::capi::client::hma_client_new;
use hookmyapp::capi::config::{hma_config_free, hma_config_from_env_file};
use hookmyapp::capi::status::{HMA_ERROR_CONFIG, hma_string_free};

/// Keeps the layout of every allocation in front of it, and counts what comes back with another one.
struct Checking;

static WRONG: AtomicUsize = AtomicUsize::new(0);

/// The layout with room in front, and how much that is.
fn with_room(layout: Layout) -> (Layout, usize) {
    let room = layout.align().max(size_of::<Layout>().next_power_of_two());
    (Layout::from_size_align(layout.size() + room, layout.align().max(align_of::<Layout>())).unwrap(), room)
}

// SAFETY: the system's allocator does it all; what is handed out is `room` bytes behind what it gave, aligned the same.
unsafe impl GlobalAlloc for Checking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (larger, room) = with_room(layout);
        // SAFETY: the layout is not empty, and begins with room for a `Layout`.
        unsafe {
            let begin = System.alloc(larger);
            if begin.is_null() {
                return begin;
            }
            begin.cast::<Layout>().write(layout);
            begin.add(room)
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let (_, room) = with_room(layout);
        // SAFETY: `alloc` has made it, with a room that depends on the alignment alone.
        unsafe {
            let begin = pointer.sub(room);
            let allocated = begin.cast::<Layout>().read();
            if allocated != layout {
                WRONG.fetch_add(1, SeqCst);
            }
            System.dealloc(begin, with_room(allocated).0);
        }
    }
}

#[global_allocator]
static ALLOCATOR: Checking = Checking;

#[test]
fn shortened_error_string_is_freed_with_its_original_size() {
    // SAFETY (all): NUL-terminated texts, out-arguments that may be written, and a string that is this test's.
    unsafe {
        let config = hma_config_from_env_file(c"/no/such/file.env".as_ptr());
        // As strtok() does, at every byte.
        for at in 0.. {
            let (mut client, mut error) = (ptr::null_mut(), ptr::null_mut());
            assert_eq!(hma_client_new(Some(&config), &mut client, &mut error), HMA_ERROR_CONFIG);
            let length = CStr::from_ptr(error).count_bytes();
            assert!(length > 20);
            error.add(at).write(0);
            assert_eq!(CStr::from_ptr(error).count_bytes(), at);
            hma_string_free(error);
            if at == length {
                break;
            }
        }
        hma_config_free(Some(config));
    }
    assert_eq!(WRONG.load(SeqCst), 0, "something came back with another size or alignment than it was allocated with");
}
