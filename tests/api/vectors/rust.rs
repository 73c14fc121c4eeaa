//! The vectors through the Rust API.

use hookmyapp::{Action, AttachmentKind, Client, Config, ContactKind, Delivery, Error, ErrorKind, Message, Response};

use crate::support::checks::{argument_error, everything_shown, line};

include!("cases.rs");
include!("sends.rs");
