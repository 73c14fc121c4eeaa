//! Send Instagram direct messages through the HookMyApp gateway, one blocking call a message.
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
//!         Delivery::NotSent => println!("safe to try again: {error}"),
//!         Delivery::Rejected => println!("refused ({:?}): {error}", error.kind()),
//!         Delivery::Unknown => println!("it may have arrived, do not repeat blindly: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The promise
//!
//! After every call the program knows what became of the message: accepted (`Ok`), surely not sent, refused,
//! or possibly delivered ([`Delivery`]). Neither the gateway nor Meta knows an idempotency key, so this library
//! never repeats a send by itself; [`Error::delivery`] says whether repeating is safe.
//!
//! # Answering
//!
//! Whom to write to comes in a webhook: [`webhook`] checks its signature and reads its events, [`Client::reply`] answers
//! one, and [`window`] knows until when.
//!
//! # Limits
//!
//! A send blocks the calling thread until the answer is there or the time is up ([`Config::timeout`], 80 seconds
//! unless set). Nothing is printed, and no signal handler, panic hook or logger is installed. The environment is read by
//! [`Config::from_env`], [`Config::from_env_file`], [`Client::from_env`] and [`Client::new`], and by the system when it
//! looks up a name. `Client::new` looks at the proxy variables, because ureq does, and uses nothing of them. A program that installs a
//! logger for the `log` crate and turns on its *trace* level for `ureq_proto` gets the bytes of every request in its
//! log, the access token among them: leave that target at *debug* or above. The feature `quiet` takes all messages of the
//! `log` crate out of a release build, those of the program, too; it is meant for the library that C links.

#![deny(unsafe_code, missing_docs)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "capi")]
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
