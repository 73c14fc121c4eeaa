//! The vectors through the C API.

use crate::support::c_api::{
    Action, AttachmentKind, Client, Config, ContactKind, Delivery, Error, ErrorKind, Message, Response, argument_error,
    everything_shown, line,
};

include!("cases.rs");
include!("sends.rs");
