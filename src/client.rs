//! `Client`: sends messages and reports whether they were delivered.

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
/// ```no_run
/// use hookmyapp::{Client, Config, Delivery};
///
/// let config = Config::new("https://gateway.hookmyapp.com/meta/v25.0", "17841450000000017", "hmat_live_...");
/// let client = Client::new(&config)?; // or Client::from_env()
/// match client.send_text("8123456789012345", "Hello") {
///     Ok(response) => println!("accepted: {}", response.message_id().unwrap_or("(no id)")),
///     Err(error) if error.delivery() == Delivery::NotSent => println!("a retry is safe: {error}"),
///     Err(error) => println!("{:?}, {:?}: {error}", error.delivery(), error.kind()),
/// }
/// # Ok::<(), hookmyapp::Error>(())
/// ```
///
/// A send blocks until the gateway has responded or the timeout is over ([`Config::timeout`]). It returns the
/// [`Response`] to an accepted message, or an [`Error`] whose [`delivery`](Error::delivery) states whether the message
/// may have been delivered. No message is ever sent twice.
///
/// # Threads and connections
///
/// Create one client and share it. Any number of threads may use it at once. It keeps connections open for the next
/// send, and a clone shares them. If a kept connection turns out to be closed when it is written to, the send opens a
/// new one and discards the other idle ones.
///
/// After a `fork`, the child may use the client if no other thread was inside a call at the fork. It opens connections
/// of its own.
///
/// A thread that sends needs 64 KiB of stack in an optimised build. A helper thread looks up host names; it inherits
/// the caller's signal mask. The library starts no other thread.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    timeout: Duration,
}

// A send that panics discards its own connection. All that sends share stays valid: settings that never change, the
// idle connections, and flags. So a caller that catches the panic meets no half-changed state.
impl UnwindSafe for Client {}
impl RefUnwindSafe for Client {}

impl Client {
    /// Creates a client. Opens no connection. Fails with [`ErrorKind::Config`](crate::ErrorKind::Config); the error
    /// names every setting that is missing or invalid.
    ///
    /// ureq reads the environment variables `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, also in lower
    /// case. hookmyapp ignores the result and uses the proxy of the configuration.
    pub fn new(config: &Config) -> Result<Client, Error> {
        let transport = Transport::new(config.validate()?)?;
        Ok(Client { timeout: transport.timeout(), transport: Arc::new(transport) })
    }

    /// Creates a client from the environment, see [`Config::from_env`]. Fails as [`Client::new`] does.
    pub fn from_env() -> Result<Client, Error> {
        Client::new(&Config::from_env())
    }

    /// Sends a text to a user.
    ///
    /// `recipient_id` is the Instagram-scoped id (IGSID) of the user: the `sender.id` of a webhook. `text` has 1 to
    /// 1000 bytes of UTF-8; for a longer text see [`text_parts`](crate::text_parts). Returns the response of the
    /// gateway. Fails as described at [`Error`].
    pub fn send_text(&self, recipient_id: &str, text: &str) -> Result<Response, Error> {
        self.run(Call::Message(&encode::text_body(Recipient::User(recipient_id), text)?))
    }

    /// Sends a message to the user with this Instagram-scoped id (IGSID). Returns and fails as [`Client::send_text`]
    /// does.
    pub fn send(&self, recipient_id: &str, message: &Message) -> Result<Response, Error> {
        self.run(Call::Message(&encode::message_body(Recipient::User(recipient_id), message)?))
    }

    /// Sends a message to the author of a comment (Meta's private reply). Meta allows one for each comment, within 7
    /// days. Returns and fails as [`Client::send_text`] does.
    pub fn send_private_reply(&self, comment_id: &str, message: &Message) -> Result<Response, Error> {
        self.run(Call::Message(&encode::message_body(Recipient::Comment(comment_id), message)?))
    }

    /// Sends a message in reply to an event of a webhook: to the user, or to the author of a comment by private reply.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::ErrorKind::Argument) and the reason if the event does not allow a
    /// reply, see [`Event::reply_target`]. Nothing is sent then. Otherwise returns and fails as [`Client::send_text`]
    /// does.
    pub fn reply(&self, event: &Event, message: &Message) -> Result<Response, Error> {
        match event.reply_target_or_reason() {
            Ok(ReplyTarget::User(recipient_id)) => self.send(recipient_id, message),
            Ok(ReplyTarget::Comment(comment_id)) => self.send_private_reply(comment_id, message),
            Err(reason) => Err(Error::argument(format!("event: may not be answered: {reason}"))),
        }
    }

    /// Sends a request body unmodified, for content that [`Message`] does not support.
    ///
    /// `body` must be a JSON object. Fails with [`ErrorKind::Argument`](crate::ErrorKind::Argument) if it is not, and
    /// names line and column. Half of a surrogate pair (`\ud83d` alone) is rejected, too. Otherwise returns and fails
    /// as [`Client::send_text`] does.
    pub fn send_json(&self, body: &str) -> Result<Response, Error> {
        encode::check_json_body(body)?;
        self.run(Call::Message(body.as_bytes()))
    }

    /// Uploads media for later use. The response contains an [`attachment_id`](Response::attachment_id) for
    /// [`Message::attachment_id`].
    ///
    /// Meta documents this endpoint; whether the gateway supports it is not confirmed. The call sends no message, so
    /// repeating it is harmless, also after [`Delivery::Unknown`](crate::Delivery::Unknown): at worst Meta stores the
    /// media twice.
    pub fn upload(&self, kind: AttachmentKind, url: &str) -> Result<Response, Error> {
        self.run(Call::Upload(&encode::upload_body(kind, url)?))
    }

    /// Reads an object of the Graph API through the gateway: `GET {base URL}/{path}`.
    ///
    /// `path` is relative to the base URL: `me?fields=user_id,username`, `8123456789012345?fields=name,username`, or
    /// `17841450000000017/conversations?platform=instagram&user_id=8123456789012345`. It includes the query,
    /// percent-encoded where necessary.
    ///
    /// It has 1 to 4096 bytes of visible ASCII. It must not contain a leading slash, `//`, `\`, `#`, the segments `.`
    /// and `..`, or the parameter `access_token`. Any other path is
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument).
    ///
    /// Returns the JSON in [`Response::body`], up to 1 MiB. A GET changes nothing, so it may be repeated after any
    /// error. Meta documents these paths; only `{IGSID}?fields=username` is confirmed for the gateway. Meta allows 2
    /// calls a second for conversations.
    pub fn get(&self, path: &str) -> Result<Response, Error> {
        check_path(path)?;
        self.run(Call::Read(path))
    }

    /// Returns a client with another timeout instead of [`Config::timeout`]. It shares connections and shutdown with
    /// this client.
    ///
    /// The timeout also limits connecting, if [`Config::connect_timeout`] is longer. With zero every call is
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument). More than 49 days counts as 49 days. A short timeout makes
    /// more sends end as [`ErrorKind::Lost`](crate::ErrorKind::Lost): Meta may take 75 seconds to fetch a video.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client { transport: Arc::clone(&self.transport), timeout: timeout.min(MAX_DURATION) }
    }

    /// Ends all calls of this client and its clones, in all threads, and rejects new ones. For a daemon that stops.
    ///
    /// A send whose request had left ends as [`ErrorKind::Lost`](crate::ErrorKind::Lost). Every other send ends as
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect), and so does every later one. A connection that is being
    /// opened ends at once on Linux, and within 250 milliseconds elsewhere.
    pub fn shutdown(&self) {
        self.transport.shut_down();
    }

    /// Rejects new calls of this client and its clones and waits until the running ones end. After `limit` it does what
    /// [`shutdown`](Client::shutdown) does. For a daemon that stops: with a limit of at least [`Config::timeout`] the
    /// outcome of every send is known.
    ///
    /// Returns how many calls ended with an unknown outcome because the limit was over; 0 means that every outcome is
    /// known. Later calls are [`ErrorKind::Connect`](crate::ErrorKind::Connect). Do not call it inside a call of the
    /// same client, such as from a logger: it would wait for that call.
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
