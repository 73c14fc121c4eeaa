//! The library in one process: what it accepts, sends and reports, through Rust and through C.

#[path = "../support"]
mod support {
    pub mod c_api;
    pub mod checks;
    pub mod child;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod environment;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod fault_server;
    #[allow(dead_code, reason = "the suite `timing` uses all of it")]
    pub mod full_listener;
    pub mod gateway;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod header;
    pub mod refusing;
    pub mod samples;
    pub mod vectors;
    #[allow(dead_code, reason = "the suite `timing` uses all of it")]
    pub mod wait;
    pub mod webhook;
}

mod architecture;
mod capi;
mod config;
mod error_strings;
mod fixed_fields;
mod messages;
mod promises;
mod reading;
mod secrets;
mod traits;
mod vectors;
mod webhooks;
