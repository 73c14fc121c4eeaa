//! The local gateway: the one place where the tests say where it comes from.

#[path = "../../examples/gateway/gateway.rs"]
mod simulator;

pub use simulator::*;
