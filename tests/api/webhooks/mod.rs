//! Webhooks, through Rust and through C.

mod events;
mod replies;
mod signatures;
