//! The local gateway. No other file of the tests knows where it lives.

#[path = "../../examples/gateway/gateway.rs"]
mod simulator;

pub use simulator::*;
