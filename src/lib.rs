//! Sends Instagram direct messages through the HookMyApp gateway. One blocking call sends one message.
//!
//! Set `INSTAGRAM_API_URL`, `INSTAGRAM_ACCOUNT_ID` and `INSTAGRAM_ACCESS_TOKEN` in the environment, or see [`Config`].
//! A recipient is an Instagram-scoped id (IGSID), which a webhook delivers as `sender.id`.
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
//!         Delivery::NotSent => println!("a retry is safe: {error}"),
//!         Delivery::Rejected => println!("rejected ({:?}): {error}", error.kind()),
//!         Delivery::Unknown => println!("possibly delivered, do not repeat it blindly: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! After every call the program knows whether the message was accepted (`Ok`), not sent, rejected, or possibly
//! delivered ([`Delivery`]). Neither the gateway nor Meta supports idempotency keys, so this library never repeats a
//! send by itself. [`Error::delivery`] states whether a retry is safe, and [`ErrorKind`] lists every failure with its
//! remedy.
//!
//! # Replies
//!
//! The id of a user comes in a webhook. [`webhook`] verifies its signature and parses its events, [`Client::reply`]
//! sends a reply to one, and [`window`] computes how long replies are allowed.
//!
//! # Limits
//!
//! A send blocks the calling thread until the response has arrived or the timeout is over ([`Config::timeout`], default
//! 80 seconds). The library prints nothing and installs no signal handler, panic hook or logger.
//!
//! Only [`Config::from_env`], [`Config::from_env_file`], [`Client::from_env`] and [`Client::new`] read the environment,
//! and the system when it looks up a name. `Client::new` reads it because ureq reads the proxy variables; the result is
//! ignored.
//!
//! If the program installs a logger for the `log` crate, keep the target `ureq_proto` at *debug* or above. At *trace*
//! the log contains the bytes of every request, including the access token. The feature `quiet` removes all messages of
//! the `log` crate from a release build, also those of the program. It is meant for the library that C programs link.

#![deny(unsafe_code, missing_docs)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Not for doctests: the comments contain C code, which rustdoc would compile as Rust.
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

pub use client::Client;
pub use config::{Config, Warning};
pub use error::{Delivery, Error, ErrorKind, Scope};
pub use message::{Action, AttachmentKind, ContactKind, Message};
pub use response::Response;
pub use text_parts::{TextParts, text_parts};
