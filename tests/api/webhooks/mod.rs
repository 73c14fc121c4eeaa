//! Webhooks, through Rust and through C.

mod echoes;
mod events;
mod replies;
mod signatures;
