//! Receives webhooks: verifies the signature of a delivery and parses its events.
//!
//! Instagram reports through the webhook what users write, and only there a program finds the id to reply to. A
//! receiver verifies the signature over the unmodified bytes of the body before anything else reads them. Then it
//! parses the events, discards those it has seen, and replies to those that allow a reply:
//!
//! ```no_run
//! use std::collections::HashSet;
//!
//! use hookmyapp::webhook::{self, EventKind};
//! use hookmyapp::{Client, Config, Error, Message};
//!
//! # fn receive(header: Option<&str>, body: &[u8], seen: &mut HashSet<String>) -> Result<(), Error> {
//! let config = Config::from_env();
//! let client = Client::new(&config)?;
//! webhook::verify(config.webhook_secret().unwrap_or_default(), header, body)?; // on failure respond 401
//! for event in &webhook::parse(body)? {
//!     if event.kind() == EventKind::Message && seen.insert(event.key().to_owned()) && event.reply_target().is_some() {
//!         client.reply(event, &Message::text("Thank you for writing!"))?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a receiver must do
//!
//! - **Respond to the verification GET.** When the URL is set, HookMyApp sends a GET. Respond 200 with the value of
//!   `VERIFY_TOKEN` as the whole body. There is no `hub.challenge`, and nothing to check.
//! - **Respond 401 if [`verify`] fails**, before the body is read in any other way. `verify` fails closed: without a
//!   header, without a secret, and for anything that is not a signature.
//! - **Otherwise respond 200 within about 10 seconds.** After any other response the delivery is repeated. A send may
//!   take longer ([`Config::timeout`](crate::Config::timeout)), so respond first and send afterwards.
//! - **Discard repeats.** A delivery may arrive more than once and in any order, for up to 36 hours. It may contain up
//!   to 1000 events. Store [`Event::key`] of each event that was handled.
//! - **Ignore other objects.** WhatsApp may deliver to the same URL. Such a body contains no events, and
//!   [`Events::object`] names it.
//!
//! `examples/receiver.rs` is a complete receiver.

mod event;
mod parse;
mod signature;

pub use event::{Attachment, Event, EventKind, Events, Reaction, Referral, ReplyTarget, Story};
pub use parse::parse;
pub use signature::{sign, verify};
