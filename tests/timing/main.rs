//! When things happen: deadlines, addresses that do not answer, shutdown. Alone, because these tests measure.

#[path = "../support"]
mod support {
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod fault_server;
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux leaves a connection unanswered so"))]
    pub mod full_listener;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod proxy;
    #[allow(dead_code, reason = "the suite `api` uses all of it")]
    pub mod samples;
    #[allow(dead_code, reason = "the suite `wire` uses all of it")]
    pub mod tls;
    pub mod wait;
}

#[cfg(target_os = "linux")]
mod addresses;
mod deadlines;
mod drain;
mod shutdown;
