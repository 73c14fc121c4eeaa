//! The library over real sockets, against servers that fail on purpose and against real ones.

#[path = "../support"]
mod support {
    #[allow(dead_code, reason = "the suite `api` uses all of it")]
    pub mod checks;
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "early_answers.rs is for Linux alone"))]
    pub mod fault_server;
    pub mod gateway;
    pub mod proxy;
    pub mod refusing;
    #[allow(dead_code, reason = "the suite `api` uses all of it")]
    pub mod samples;
    #[cfg_attr(not(unix), allow(dead_code, reason = "real_servers.rs is for Unix alone"))]
    pub mod tls;
    #[allow(dead_code, reason = "the suite `ffi` uses all of it")]
    pub mod tools;
    #[allow(dead_code, reason = "the suite `timing` uses all of it")]
    pub mod wait;
}

mod connections;
mod delivery;
#[cfg(target_os = "linux")]
mod early_answers;
mod nested_sends;
mod proxy;
mod randomised;
#[cfg(unix)]
mod real_servers;
mod secure_gateway;
mod tls;
