//! `Client`: sends messages and says what became of them.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, MAX_DURATION};
use crate::decode;
use crate::encode::{self, Recipient};
use crate::error::Error;
use crate::message::{AttachmentKind, Message};
use crate::request_path::check_path;
use crate::response::Response;
use crate::transport::{Call, Transport};
use crate::webhook::{Event, ReplyTarget};

/// Sends messages as one Instagram account.
///
/// A client keeps its connections for the next send, so make one and share it: it may be used by any number of
/// threads at once, and a clone shares the connections. After a `fork` the child may go on using it if no other thread
/// was inside a call at the fork; it opens connections of its own.
///
/// Every send blocks until the gateway has answered or the time is up ([`Config::timeout`]), and returns either what
/// the gateway answered to a message that it accepted, or an [`Error`] whose [`delivery`](Error::delivery) says
/// whether the message may have been delivered. Nothing is ever sent twice.
///
/// A thread that sends needs 64 KiB of stack, if the library is built with optimisation. A host name is looked up on a
/// helper thread, which takes over the caller's signal mask; no other thread is started. A send that finds its kept
/// connection closed only as it writes makes a new one, and drops the other idle ones.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    timeout: Duration,
}

// A send that panics takes its own connection out of use and leaves what all sends share as it was: settings that never
// change, the idle connections, and flags. So nobody who catches the panic meets anything half-changed.
impl UnwindSafe for Client {}
impl RefUnwindSafe for Client {}

impl Client {
    /// Makes a client. Nothing is connected yet. Fails with [`ErrorKind::Config`](crate::ErrorKind::Config), naming
    /// everything that is wrong with the configuration.
    ///
    /// Reads the environment: ureq looks at `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, also in small
    /// letters. What it finds is not used: the proxy is that of the configuration.
    pub fn new(config: &Config) -> Result<Client, Error> {
        let transport = Transport::new(config.validate()?)?;
        Ok(Client { timeout: transport.timeout(), transport: Arc::new(transport) })
    }

    /// Makes a client from the environment, see [`Config::from_env`].
    pub fn from_env() -> Result<Client, Error> {
        Client::new(&Config::from_env())
    }

    /// Sends a text of 1 to 1000 bytes of UTF-8 to the user with this Instagram-scoped id (IGSID, the `sender.id` of
    /// a webhook).
    pub fn send_text(&self, recipient_id: &str, text: &str) -> Result<Response, Error> {
        self.run(Call::Message(&encode::text_body(Recipient::User(recipient_id), text)?))
    }

    /// Sends a message to the user with this Instagram-scoped id (IGSID).
    pub fn send(&self, recipient_id: &str, message: &Message) -> Result<Response, Error> {
        self.run(Call::Message(&encode::message_body(Recipient::User(recipient_id), message)?))
    }

    /// Answers a comment with a message to its author (Meta's private reply): one for each comment, within 7 days.
    pub fn send_private_reply(&self, comment_id: &str, message: &Message) -> Result<Response, Error> {
        self.run(Call::Message(&encode::message_body(Recipient::Comment(comment_id), message)?))
    }

    /// Answers an event of a webhook with a message: to the user, or to a comment's author by private reply.
    ///
    /// An event that may not be answered ([`Event::reply_target`]) is
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument) with the reason, and nothing is sent.
    pub fn reply(&self, event: &Event, message: &Message) -> Result<Response, Error> {
        match event.reply_target_or_reason() {
            Ok(ReplyTarget::User(recipient_id)) => self.send(recipient_id, message),
            Ok(ReplyTarget::Comment(comment_id)) => self.send_private_reply(comment_id, message),
            Err(reason) => Err(Error::argument(format!("event: may not be answered: {reason}"))),
        }
    }

    /// Sends a request body as it is, byte for byte, for what [`Message`] does not say. It must be a JSON object; the
    /// error for one that is not names line and column. Half of a surrogate pair (`\ud83d` alone) is refused, too.
    pub fn send_json(&self, body: &str) -> Result<Response, Error> {
        encode::check_json_body(body)?;
        self.run(Call::Message(body.as_bytes()))
    }

    /// Uploads media for later use: the answer has an [`attachment_id`](Response::attachment_id) for
    /// [`Message::attachment_id`]. Meta documents this endpoint; that the gateway passes it on is not proven. No message is
    /// sent: repeating the call is harmless, also after [`Delivery::Unknown`](crate::Delivery::Unknown), and at worst
    /// Meta keeps the media twice.
    pub fn upload(&self, kind: AttachmentKind, url: &str) -> Result<Response, Error> {
        self.run(Call::Upload(&encode::upload_body(kind, url)?))
    }

    /// Reads something of Meta's through the gateway: `GET {base URL}/{path}`.
    ///
    /// `path` begins behind the base URL: `me?fields=user_id,username`, `8123456789012345?fields=name,username`, or
    /// `17841450000000017/conversations?platform=instagram&user_id=8123456789012345`. The query is part of it,
    /// percent-encoded where it needs to be. It has 1 to 4096 bytes of visible ASCII, without a leading slash, `//`,
    /// `\`, `#`, the segments `.` and `..`, and the parameter `access_token`; anything else is
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument).
    ///
    /// The answer's JSON is [`Response::body`], up to 1 MiB. A GET changes nothing: after any error it may be repeated.
    /// Meta documents these paths; of the gateway only `{IGSID}?fields=username` was seen. Meta allows 2 calls a second
    /// for conversations.
    pub fn get(&self, path: &str) -> Result<Response, Error> {
        check_path(path)?;
        self.run(Call::Read(path))
    }

    /// The same client with another limit for one call, instead of [`Config::timeout`]. Connections and shutdown are
    /// shared.
    ///
    /// Connecting ends at this limit too, if [`Config::connect_timeout`] is longer. Zero makes every call
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument); more than 49 days count as 49 days. With too short a limit more
    /// sends end as [`ErrorKind::Lost`](crate::ErrorKind::Lost): Meta may take 75 seconds to fetch a video.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client { transport: Arc::clone(&self.transport), timeout: timeout.min(MAX_DURATION) }
    }

    /// Ends all sends of this client and its clones, in whatever thread they block, and lets none begin: for a daemon
    /// that stops.
    ///
    /// A send whose request had left ends as [`ErrorKind::Lost`](crate::ErrorKind::Lost), every other one as
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect), as do all later ones. A connection that is being opened ends
    /// at once on Linux, and within 250 milliseconds elsewhere.
    pub fn shutdown(&self) {
        self.transport.shut_down();
    }

    /// Lets no call of this client and its clones begin, waits until those under way have ended by themselves, and when
    /// the limit is over does what [`shutdown`](Client::shutdown) does. For a daemon that stops: with a limit as long as
    /// [`Config::timeout`] no verdict is lost.
    ///
    /// Returns how many calls ended with an unknown outcome because the limit was over; 0 means that every verdict is
    /// known. Later calls are [`ErrorKind::Connect`](crate::ErrorKind::Connect). Do not call it inside a call of the same
    /// client, such as from a logger: it would wait for that call.
    pub fn drain(&self, limit: Duration) -> usize {
        self.transport.drain(limit)
    }

    fn run(&self, call: Call<'_>) -> Result<Response, Error> {
        if self.timeout.is_zero() {
            return Err(Error::argument("timeout: must not be zero"));
        }
        let reply = self.transport.run(call, self.timeout)?;
        decode::interpret(reply, call, &self.transport.url(call), self.transport.access_token())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("url", &self.transport.url(Call::Message(&[]))).finish_non_exhaustive()
    }
}
