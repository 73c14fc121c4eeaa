//! What the benchmark is made of.

pub mod allocator;
pub mod connections;
pub mod contend;
pub mod contenders;
pub mod picture;
pub mod process;
pub mod record;
pub mod report;
pub mod resolver;
pub mod sections;
pub mod server;
pub mod statistics;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/support/tls.rs"]
pub mod tls;
