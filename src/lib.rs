//! Send Instagram direct messages through the HookMyApp gateway. One blocking call sends one message.
//!
//! ```no_run
//! use hookmyapp::{Client, Delivery, Message};
//!
//! # fn main() -> Result<(), hookmyapp::Error> {
//! let client = Client::from_env()?;
//! let sent = client.send_text("8123456789012345", "Hello from my app")?;
//! println!("{}", sent.message_id().unwrap_or("(no id)"));
//!
//! let question = Message::text("Track it?").quick_reply("Yes", "TRACK");
//! if let Err(error) = client.send("8123456789012345", &question) {
//!     match error.delivery() {
//!         Delivery::NotSent => println!("not sent, a retry is safe: {error}"),
//!         Delivery::Rejected => println!("rejected ({:?}): {error}", error.kind()),
//!         Delivery::Unknown => println!("possibly delivered, a retry may deliver it twice: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! Every call returns the delivery of the message: accepted (`Ok`), not sent, rejected, or possibly delivered
//! ([`Error::delivery`]). The gateway and Meta support no idempotency key, so this library never repeats a send by itself.
//! [`Delivery`] states whether a retry is safe, and [`Error::scope`] states which other messages are affected.
//!
//! # Configuration
//!
//! [`Client::from_env`] reads `INSTAGRAM_API_URL` (else `INSTAGRAM_GRAPH_API_URL`), `INSTAGRAM_ACCOUNT_ID` (else
//! `INSTAGRAM_USER_ID`) and `INSTAGRAM_ACCESS_TOKEN`. [`Config`] has all settings. The features `capi`, `header` and
//! `quiet` are for the C library; a Rust program needs none of them.
//!
//! # Webhooks
//!
//! The recipient's id comes from a webhook. [`webhook`] checks its signature and reads its events. [`Client::reply`] answers
//! an event, and [`window`] calculates until when that is allowed.
//!
//! # Behaviour in your process
//!
//! - A send blocks the calling thread until the response is complete or the timeout is over ([`Config::timeout`], 80 seconds
//!   by default). [`Client::drain`] and [`Client::shutdown`] end the sends of a program that stops.
//! - The library prints nothing and installs no signal handler, panic hook or logger.
//! - [`Config::from_env`], [`Config::from_env_file`] and [`Client::from_env`] read the environment. [`Client::new`] reads the
//!   proxy variables, because ureq does, and ignores the result. The system reads the environment in a name lookup.
//! - A program that installs a logger and enables the *trace* level of `ureq_proto` gets every request in its log, with the
//!   access token. Leave that target at *debug* or above.
//! - The feature `quiet` removes all messages of the `log` crate from a release build, those of the program included.

#![deny(unsafe_code, missing_docs)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Its documentation has examples in C, which are no tests of Rust.
#[cfg(all(feature = "capi", not(doctest)))]
#[doc(hidden)]
pub mod capi;
mod client;
mod config;
mod decode;
mod encode;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod message;
mod nul_string;
mod request_path;
mod response;
mod text_parts;
mod transport;
pub mod webhook;
pub mod window;

/// Compiles the example of that page.
#[cfg(doctest)]
#[doc = include_str!("../docs/settling.md")]
mod settling {}

pub use client::Client;
pub use config::{Config, Warning};
pub use error::{Delivery, Error, ErrorKind, Scope};
pub use message::{Action, AttachmentKind, ContactKind, Message};
pub use response::Response;
pub use text_parts::{TextParts, text_parts};
