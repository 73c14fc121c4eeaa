//! C and C++: the header, programs that are linked with the library, the examples, and the processes they live in.

#[path = "../support"]
mod support {
    pub mod artefacts;
    pub mod environment;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod fault_server;
    pub mod gateway;
    pub mod header;
    pub mod refusing;
    #[allow(dead_code, reason = "the suite `api` uses all of it")]
    pub mod samples;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod tls;
    pub mod tools;
    #[cfg_attr(not(unix), allow(dead_code, reason = "its users need a Unix system"))]
    pub mod wait;
    pub mod webhook;
}

#[cfg(target_os = "linux")]
mod embedding;
mod header;
#[cfg(target_os = "linux")]
mod languages;
mod null;
mod programs;
mod readme;
mod receivers;
mod send_example;
