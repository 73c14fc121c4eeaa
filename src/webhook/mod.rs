//! What comes in: the signature of a webhook delivery, and the events in it.
//!
//! Instagram tells a program through its webhook what users write, and only there is the id to answer to. A receiver
//! checks the signature over the bytes of the body exactly as they came, before anything else reads them; then it
//! reads the events, drops those it has seen, and answers the ones that may be answered:
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
//! webhook::verify(config.webhook_secret().unwrap_or_default(), header, body)?; // on failure answer 401
//! for event in &webhook::parse(body)? {
//!     if event.kind() == EventKind::Message && seen.insert(event.key().to_owned()) && event.reply_target().is_some() {
//!         client.reply(event, &Message::text("Thank you for writing!"))?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a receiver owes
//!
//! - **The verification GET.** When the address is set, HookMyApp asks for it with a GET: answer 200 with the value of
//!   `VERIFY_TOKEN` as the whole body. There is no `hub.challenge`, and nothing to check.
//! - **401** where [`verify`] fails, before the body is read in any other way. It fails closed: without a header,
//!   without a secret, or with anything that is not a signature.
//! - **200 within about 10 seconds** otherwise; anything else makes the delivery come again. A send may take longer
//!   ([`Config::timeout`](crate::Config::timeout)), so answer first and send afterwards.
//! - **Repeats.** A delivery may come more than once and in any order, for up to 36 hours, and may bring up to 1000
//!   events: keep [`Event::key`] of what was handled.
//! - **Other objects.** WhatsApp may deliver to the same address; such a body gives no events, and
//!   [`Events::object`] names it.
//!
//! `examples/receiver.rs` is such a receiver, whole.

mod event;
mod parse;
mod signature;

pub use event::{Attachment, Event, EventKind, Events, Reaction, Referral, ReplyTarget, Story};
pub use parse::parse;
pub use signature::{sign, verify};
