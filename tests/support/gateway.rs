//! The gateway of the tests is the simulator. No other file of the tests knows where it lives.

#[allow(unused_imports, reason = "the suite `api` uses all of them")]
pub use hookmyapp_simulator::{Answer, Received, Settings, Simulator as Gateway};
