//! The C functions, one file for each type. Each function converts its arguments, calls the Rust API and converts the
//! result.
//!
//! The doc comments are the C manual: `cbindgen` generates `include/hookmyapp.h` from them.

// The names are those of C. The header documents the safety contract of each function, so there are no safety sections.
#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]
// The comments are written for the header, not for rustdoc.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
// Allows every setter to be one line.
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
