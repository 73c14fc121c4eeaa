//! `Error`: why a call failed, what the failure is about, and whether the message may have been delivered.

use std::error::Error as StdError;
use std::ffi::CStr;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::nul_string::NulString;
use crate::response::Response;

/// Whether a message whose send failed may have been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// The message never reached the gateway. A retry is safe.
    NotSent,
    /// The gateway or Meta rejected the message. It was not delivered.
    Rejected,
    /// The message may have been delivered. A retry may deliver it twice.
    Unknown,
}

/// Why a call failed. The number of each kind is its C status code; the tens digit is the [`Delivery`].
///
/// The `Display` form is a sentence that states what failed and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// Not sent: an argument is invalid or exceeds a limit that Meta documents. Correct it.
    Argument = 10,
    /// Not sent: a setting is missing or invalid. Correct the configuration.
    Config = 11,
    /// Not sent: no connection to the gateway (name lookup, TCP, proxy or TLS), or it closed before the first byte of
    /// the request. Retry later.
    Connect = 12,
    /// The signature of a webhook does not match its body. No send was involved. Respond 401 and discard the body.
    Signature = 13,
    /// Rejected for a reason that is not one of those below. Change the message.
    Rejected = 20,
    /// Rejected: the access token is invalid. Set the current one.
    Auth = 21,
    /// Rejected: too many messages. Wait before the next send, see [`Error::retry_after`].
    RateLimited = 22,
    /// Rejected: the 24-hour window is closed. The user must write first, see [`window`](crate::window).
    WindowClosed = 23,
    /// Rejected: the user does not exist, cannot be reached, or is not the user of the sandbox. Check the recipient id.
    Recipient = 24,
    /// Rejected: the account may not send. Check its link to Instagram, its permissions and its standing with Meta.
    Account = 25,
    /// Rejected: Meta could not fetch or use the media. Check URL, type and size.
    Media = 26,
    /// Rejected: not by a gateway. Correct the base URL and the account id, or check what is in between. The error
    /// names the URL.
    Endpoint = 27,
    /// Unknown: the gateway or Meta failed. The message may have been delivered. Do not repeat it blindly.
    Server = 30,
    /// Unknown: the request left, but no usable response arrived. The message may have been delivered. Do not repeat it
    /// blindly.
    Lost = 31,
    /// Unknown: a bug in this library. The message may have been delivered. Please report it.
    Internal = 32,
}

/// What a failure is about, so that a program with many messages can decide about the rest. The number of each scope is
/// its C constant.
///
/// [`Delivery`] is about this message, the scope about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Scope {
    /// This message. Other messages may be accepted.
    Message = 1,
    /// This user. Other messages to the same user fail too, until something changes on their side.
    Recipient = 2,
    /// The account, its token or the settings. No message is accepted until a person corrects this. Stop.
    Account = 3,
    /// The moment: the network, the gateway, Meta or a limit. Wait, then continue with the rest. If it lasts, stop: the
    /// cause may be permanent, such as an expired certificate.
    Moment = 4,
}

/// The facts about a kind: its scope, its name, and a sentence that states what failed and what to do.
pub(crate) struct KindFacts {
    pub(crate) kind: ErrorKind,
    scope: Scope,
    pub(crate) name: &'static CStr,
    pub(crate) description: &'static CStr,
}

const fn facts(kind: ErrorKind, scope: Scope, name: &'static CStr, description: &'static CStr) -> KindFacts {
    KindFacts { kind, scope, name, description }
}

/// Every kind, once.
pub(crate) static KINDS: [KindFacts; 15] = [
    facts(ErrorKind::Argument, Scope::Message, c"ARGUMENT", c"an argument is wrong and nothing was sent: correct it"),
    facts(
        ErrorKind::Config,
        Scope::Account,
        c"CONFIG",
        c"a setting is missing or wrong and nothing was sent: correct the configuration",
    ),
    facts(
        ErrorKind::Connect,
        Scope::Moment,
        c"CONNECT",
        c"there is no connection to the gateway and nothing was sent: try again later",
    ),
    facts(
        ErrorKind::Signature,
        Scope::Message,
        c"SIGNATURE",
        c"the signature does not fit the webhook's body: do not trust it",
    ),
    facts(
        ErrorKind::Rejected,
        Scope::Message,
        c"REJECTED",
        c"the message was refused: change it before sending it again",
    ),
    facts(ErrorKind::Auth, Scope::Account, c"AUTH", c"the gateway refused the access token: set the current one"),
    facts(ErrorKind::RateLimited, Scope::Moment, c"RATE_LIMITED", c"too many messages: pause before sending again"),
    facts(
        ErrorKind::WindowClosed,
        Scope::Recipient,
        c"WINDOW_CLOSED",
        c"the 24-hour window is closed: the user must write first",
    ),
    facts(
        ErrorKind::Recipient,
        Scope::Recipient,
        c"RECIPIENT",
        c"the recipient is unknown or cannot be reached: check the id",
    ),
    facts(
        ErrorKind::Account,
        Scope::Account,
        c"ACCOUNT",
        c"the account may not send: check its connection, permissions and standing with Meta",
    ),
    facts(
        ErrorKind::Media,
        Scope::Message,
        c"MEDIA",
        c"Meta could not fetch or use the media: check its address, type and size",
    ),
    facts(
        ErrorKind::Endpoint,
        Scope::Account,
        c"ENDPOINT",
        c"this address is no gateway's: correct the base URL and the account id",
    ),
    facts(
        ErrorKind::Server,
        Scope::Moment,
        c"SERVER",
        c"the gateway or Meta failed: the message may have been delivered, do not repeat it blindly",
    ),
    facts(
        ErrorKind::Lost,
        Scope::Moment,
        c"LOST",
        c"no usable answer came: the message may have been delivered, do not repeat it blindly",
    ),
    facts(
        ErrorKind::Internal,
        Scope::Message,
        c"INTERNAL",
        c"a bug in this library: the message may have been delivered; please report it",
    ),
];

impl ErrorKind {
    /// Returns whether a message whose send failed with this kind may have been delivered.
    pub fn delivery(self) -> Delivery {
        Delivery::of(self as i32)
    }

    /// Returns what a failure of this kind is about.
    pub fn scope(self) -> Scope {
        Scope::of(self as i32)
    }

    /// Returns a name for logs and databases, such as `WINDOW_CLOSED`. It never changes.
    pub fn name(self) -> &'static str {
        self.facts().and_then(|facts| facts.name.to_str().ok()).unwrap_or_default()
    }

    fn facts(self) -> Option<&'static KindFacts> {
        KINDS.iter().find(|facts| facts.kind == self)
    }
}

impl Scope {
    /// Returns the scope of a status. An unknown status is about the message if it was not sent or rejected, else about
    /// the moment.
    pub(crate) fn of(status: i32) -> Scope {
        match KINDS.iter().find(|facts| facts.kind as i32 == status) {
            Some(facts) => facts.scope,
            None if Delivery::of(status) == Delivery::Unknown => Scope::Moment,
            None => Scope::Message,
        }
    }
}

impl Delivery {
    /// Returns the delivery of a status: the tens digit decides, and any other status is unknown.
    pub(crate) fn of(status: i32) -> Delivery {
        match status {
            10..=19 => Delivery::NotSent,
            20..=29 => Delivery::Rejected,
            _ => Delivery::Unknown,
        }
    }
}

/// A human-readable sentence that states what failed and what to do.
impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.facts().and_then(|facts| facts.description.to_str().ok()).unwrap_or_default())
    }
}

/// Why a call failed and whether the message may have been delivered.
///
/// [`kind`](Error::kind) is the reason, [`delivery`](Error::delivery) states whether a retry is safe, and
/// [`scope`](Error::scope) states what to do with other messages:
///
/// | [`ErrorKind`] | [`Delivery`] | [`Scope`] | What to do |
/// |---|---|---|---|
/// | `Argument` | `NotSent` | `Message` | correct the argument |
/// | `Config` | `NotSent` | `Account` | correct the configuration |
/// | `Connect` | `NotSent` | `Moment` | retry later |
/// | `Signature` | `NotSent` | `Message` | respond 401, discard the webhook |
/// | `Rejected` | `Rejected` | `Message` | change the message |
/// | `Auth` | `Rejected` | `Account` | set the current access token |
/// | `RateLimited` | `Rejected` | `Moment` | wait, see [`retry_after`](Error::retry_after) |
/// | `WindowClosed` | `Rejected` | `Recipient` | wait until the user writes |
/// | `Recipient` | `Rejected` | `Recipient` | check the recipient id |
/// | `Account` | `Rejected` | `Account` | check the account at Meta |
/// | `Media` | `Rejected` | `Message` | check URL, type and size of the media |
/// | `Endpoint` | `Rejected` | `Account` | correct base URL and account id |
/// | `Server` | `Unknown` | `Moment` | do not repeat it blindly |
/// | `Lost` | `Unknown` | `Moment` | do not repeat it blindly |
/// | `Internal` | `Unknown` | `Message` | report the bug; do not repeat it blindly |
///
/// # Text
///
/// The `Display` form is one line without a trailing full stop. For a rejection it is `Instagram API error {HTTP
/// status}: {reply}`, with the reply as compact JSON. There, characters below U+0020 are escaped as in
/// `JSON.stringify`, and all others are unmodified. In every other text a space replaces each control character and
/// line separator.
///
/// The access token and the proxy's password never appear in the `Display` or `Debug` form. If the reply repeats the
/// token, in any spelling, `[token]` replaces it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: NulString,
    response: Option<Response>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

// An error is immutable. Of its cause, which may belong to any library, it only shows the text.
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::verbatim(kind, one_line(message.into()))
    }

    /// Creates an error from a text with a printed reply, which is already one line as in `JSON.stringify`.
    pub(crate) fn verbatim(kind: ErrorKind, message: impl AsRef<str>) -> Error {
        Error(Box::new(Inner { kind, message: NulString::new(message), response: None, source: None }))
    }

    pub(crate) fn argument(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Argument, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    pub(crate) fn with_response(mut self, response: Response) -> Error {
        self.0.response = Some(response);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    #[cfg(feature = "capi")]
    pub(crate) fn take_response(&mut self) -> Option<Response> {
        self.0.response.take()
    }

    /// Returns why the call failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the message was not sent, rejected, or possibly delivered.
    pub fn delivery(&self) -> Delivery {
        self.0.kind.delivery()
    }

    /// Returns what the failure is about: this message, this user, the account, or the moment.
    pub fn scope(&self) -> Scope {
        self.0.kind.scope()
    }

    /// Returns the response of the gateway, if at least its head arrived.
    pub fn response(&self) -> Option<&Response> {
        self.0.response.as_ref()
    }

    /// Returns how long the gateway or Meta asks to wait before the next call, if they state it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.response().and_then(Response::retry_after)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.message.as_str())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("response", &self.0.response)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Replaces what breaks a line or controls a terminal. Texts of other libraries and of files may contain it; the
/// library's own never do.
fn one_line(message: String) -> String {
    message.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_sentence_and_its_tens_digit_is_the_delivery() {
        let mut names = HashSet::new();
        for &KindFacts { kind, scope, name, description } in &KINDS {
            assert_eq!(kind.to_string(), description.to_str().unwrap());
            assert_eq!((kind.name(), kind.scope()), (name.to_str().unwrap(), scope));
            assert!(names.insert(kind.name()) && kind.name().chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            let expected = match kind as i32 {
                10..=19 => Delivery::NotSent,
                20..=29 => Delivery::Rejected,
                30..=39 => Delivery::Unknown,
                other => panic!("{other} is no status of a failure"),
            };
            assert_eq!(kind.delivery(), expected);
        }
    }

    #[test]
    fn a_kind_of_a_later_version_has_a_scope() {
        let scopes = [(14, Scope::Message), (19, Scope::Message), (29, Scope::Message), (39, Scope::Moment)];
        for (status, scope) in scopes.into_iter().chain([(-1, Scope::Moment), (40, Scope::Moment)]) {
            assert_eq!(Scope::of(status), scope, "{status}");
        }
    }

    #[test]
    fn an_error_is_small_and_may_cross_threads() {
        fn crosses_threads<T: Send + Sync + 'static>() {}
        crosses_threads::<Error>();
        assert_eq!(std::mem::size_of::<Error>(), std::mem::size_of::<usize>());
    }

    #[test]
    fn our_own_texts_hold_no_control_character_and_a_printed_reply_is_left_as_json_stringify_makes_it() {
        let controls: String = ('\0'..=' ').chain('\u{7F}'..='\u{A0}').chain('\u{2027}'..='\u{202A}').collect();
        let expected = format!("a{}\u{A0}\u{2027}  \u{202A}b", " ".repeat(33 + 33));
        assert_eq!(Error::argument(format!("a{controls}b")).to_string(), expected);
        let reply = "Instagram API error 400: {\"a\":\"\u{7F}\u{85}\u{2028}\"}";
        assert_eq!(Error::verbatim(ErrorKind::Rejected, reply).to_string(), reply);
    }
}
