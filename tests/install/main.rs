//! The library as it is installed: what lies where, how programs find it, and what is in it.

// What is for Windows is made on a Unix system, too.
#![cfg(unix)]

#[path = "../support"]
mod support {
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod artefacts;
    pub mod environment;
    pub mod gateway;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod header;
    #[allow(dead_code, reason = "the suite `api` uses all of it")]
    pub mod samples;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod tools;
}

mod dist;
mod installed;
mod packages;
mod reproducible;
mod windows;
