//! C and C++: the header, programs that are linked with the library, the examples, and the processes they live in.

#[path = "../support"]
mod support {
    pub mod artefacts;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod fault_server;
    pub mod gateway;
    pub mod header;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod tls;
    pub mod tools;
}

#[cfg(target_os = "linux")]
mod embedding;
mod header;
mod null;
mod programs;
mod readme;
mod receivers;
mod send_example;
