//! The C functions, a file for each type: each converts, calls and converts.
//!
//! Their doc comments are the C manual: `cbindgen` makes `include/hookmyapp.h` of them.

// The names are C's. Each function's promises to C stand in the header, not in a section on safety.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]
// Written for the header, not for rustdoc.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
// Lets every setter be one line.
#![allow(clippy::unit_arg)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

pub mod client;
pub mod config;
pub mod events;
mod ffi;
pub mod message;
mod owned_string;
pub mod response;
pub mod status;
pub mod webhook;
