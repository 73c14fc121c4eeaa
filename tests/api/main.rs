//! The library in one process: what it accepts, sends and reports, through Rust and through C.

#[path = "../support"]
mod support {
    pub mod c_api;
    pub mod checks;
    pub mod child;
    pub mod faults;
    pub mod gateway;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod header;
    pub mod vectors;
}

mod capi;
mod config;
mod error_strings;
mod messages;
mod promises;
mod secrets;
mod traits;
mod vectors;
mod webhooks;
