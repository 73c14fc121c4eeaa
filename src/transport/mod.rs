//! Makes one request over a kept connection and records how far it got. Only this module uses ureq.
//!
//! ureq implements HTTP and TLS. The other layers (`tcp`, `tls_framing`, `request_tracker`, `pool`, `attempt`) add what
//! ureq does not promise:
//! - one deadline for the whole call;
//! - name lookups only for new connections;
//! - one write per message;
//! - no reuse of a connection with unread bytes;
//! - an exact record of whether the request may have left.

mod agent;
mod attempt;
mod connect;
mod dns;
mod fork;
mod per_process;
mod pool;
mod reply;
mod request_tracker;
mod tcp;
mod tls_framing;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::header::CONTENT_TYPE;
use ureq::http::{HeaderMap, Method, Request, Uri};

use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use attempt::{Attempt, Phase};
use connect::ConnectTarget;
use per_process::{Connections, PerProcess};
use reply::read_reply;

pub(crate) use reply::HttpReply;

/// How long a call may take to end once a shutdown has woken it.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// One request.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    /// POST this body to the account's messages.
    Message(&'a [u8]),
    /// POST this body to the account's uploads.
    Upload(&'a [u8]),
    /// GET this path below the base URL.
    Read(&'a str),
}

impl Call<'_> {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Call::Read(_))
    }

    pub(crate) fn method(self) -> &'static str {
        if self.is_read() { "GET" } else { "POST" }
    }

    /// Returns the advice for a call whose outcome is unknown.
    pub(crate) fn advice_if_unknown(self) -> &'static str {
        if self.is_read() {
            "it may be asked again"
        } else {
            "the message may have been delivered, so do not repeat it blindly"
        }
    }

    /// Returns the size limit of a response body. No response to a message comes near it.
    fn max_reply(self) -> usize {
        if self.is_read() { 1 << 20 } else { 64 << 10 }
    }
}

/// Makes calls to one gateway and keeps connections to it.
pub(crate) struct Transport {
    settings: Settings,
    messages: Uri,
    uploads: Uri,
    headers: HeaderMap,
    config: Config,
    connections: PerProcess,
    /// New calls fail.
    is_closed: AtomicBool,
    /// Running calls are ended.
    is_shut_down: AtomicBool,
    /// How many calls a shutdown ended with an unknown outcome.
    lost_by_shutdown: AtomicUsize,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Transport, Error> {
        let uri =
            |url: &str| Uri::try_from(url).map_err(|error| Error::config(format!("the URL {url} is wrong: {error}")));
        let config = agent::config(&settings)?;
        let connections = Connections::new(&settings, config.clone());
        let messages = uri(&settings.messages_url)?;
        connections.initialise_globals(&messages);
        Ok(Transport {
            messages,
            uploads: uri(&settings.uploads_url)?,
            headers: agent::headers(&settings)?,
            config,
            connections: PerProcess::new(connections),
            is_closed: AtomicBool::new(false),
            is_shut_down: AtomicBool::new(false),
            lost_by_shutdown: AtomicUsize::new(0),
            settings,
        })
    }

    pub(crate) fn url(&self, call: Call<'_>) -> Cow<'_, str> {
        match call {
            Call::Message(_) => Cow::Borrowed(&self.settings.messages_url),
            Call::Upload(_) => Cow::Borrowed(&self.settings.uploads_url),
            Call::Read(path) => Cow::Owned(format!("{}/{path}", self.settings.base_url)),
        }
    }

    /// Returns the configured timeout, for calls without one of their own.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.settings.access_token
    }

    /// Makes the call once. Fails with `Connect` if nothing can have arrived, else with `Lost`.
    pub(crate) fn run(&self, call: Call<'_>, timeout: Duration) -> Result<HttpReply, Error> {
        let uri = self.uri(call)?;
        let deadline = Instant::now() + timeout;
        self.with_connections(|connections| {
            // The check follows the count, so that a drain sees every call.
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Connect, "the client was shut down; nothing was sent"));
            }
            let outcome = match self.attempt(connections, call, &uri, deadline, false) {
                // The connection was closed or sent bytes too early, and the kernel accepted no byte: nothing is sent
                // twice.
                Err(failure) if failure.attempt.may_retry() => self.attempt(connections, call, &uri, deadline, true),
                outcome => outcome,
            };
            outcome.map_err(|failure| self.to_error(*failure, call, timeout))
        })
    }

    /// Ends the running calls of this process and rejects new ones.
    pub(crate) fn shut_down(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.is_shut_down.store(true, Ordering::SeqCst);
        self.with_connections(|connections| {
            if let ConnectTarget::Name(lookup, _) = &*connections.target {
                lookup.shut_down();
            }
            connections.pool.shut_down();
        });
    }

    /// Rejects new calls, waits for the running ones, and ends the others when the limit is over. Returns how many of
    /// them ended with an unknown outcome for that reason.
    pub(crate) fn drain(&self, limit: Duration) -> usize {
        self.is_closed.store(true, Ordering::SeqCst);
        let calls = self.with_connections(|connections| connections.calls());
        calls.wait_until_over(limit);
        self.shut_down();
        // The calls have been woken and only need time to notice.
        let unfinished = calls.wait_until_over(LAST_WAIT);
        self.lost_by_shutdown.load(Ordering::SeqCst) + unfinished
    }

    fn uri(&self, call: Call<'_>) -> Result<Cow<'_, Uri>, Error> {
        match call {
            Call::Message(_) => Ok(Cow::Borrowed(&self.messages)),
            Call::Upload(_) => Ok(Cow::Borrowed(&self.uploads)),
            Call::Read(_) => match Uri::try_from(&*self.url(call)) {
                Ok(uri) => Ok(Cow::Owned(uri)),
                Err(error) => Err(Error::argument(format!("path: not a URL's: {error}"))),
            },
        }
    }

    fn attempt(
        &self,
        connections: &Connections,
        call: Call<'_>,
        uri: &Uri,
        deadline: Instant,
        force_new_connection: bool,
    ) -> Result<HttpReply, Box<FailedAttempt>> {
        let mut request = Request::new(());
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        let send = || {
            let response = match call {
                Call::Message(body) | Call::Upload(body) => {
                    *request.method_mut() = Method::POST;
                    connections.agent.run(request.map(|()| body))
                }
                Call::Read(_) => {
                    request.headers_mut().remove(CONTENT_TYPE);
                    connections.agent.run(request)
                }
            };
            response.map(|response| read_reply(response, call.max_reply()))
        };
        let (outcome, attempt) = attempt::run(deadline, self.settings.connect_timeout, force_new_connection, send);
        let (mut reply, keep_alive) = outcome.map_err(|cause| Box::new(FailedAttempt { cause, attempt }))?;
        if let (Some(connection), Some(keep_alive)) = (attempt.connection(), keep_alive) {
            connections.pool.apply_keep_alive(connection, &keep_alive);
        }
        // A message that did not leave whole cannot have been accepted. An early rejection is valid.
        if (200..300).contains(&reply.status) && !attempt.is_fully_sent() {
            reply.truncated = Some("it came before the request had left whole".to_owned());
        }
        Ok(reply)
    }

    fn with_connections<T>(&self, call: impl FnOnce(&Connections) -> T) -> T {
        self.connections.with(|| Connections::new(&self.settings, self.config.clone()), call)
    }

    fn to_error(&self, failure: FailedAttempt, call: Call<'_>, timeout: Duration) -> Error {
        let FailedAttempt { cause, attempt } = failure;
        let timed_out = matches!(cause, ureq::Error::Timeout(_));
        let reason = match &cause {
            _ if self.is_shut_down.load(Ordering::SeqCst) => "the client was shut down".to_owned(),
            ureq::Error::Timeout(_) if attempt.is_past_deadline() => {
                format!("the time-out of {timeout:?} is over")
            }
            ureq::Error::Timeout(_) => format!("the connect time-out of {:?} is over", self.settings.connect_timeout),
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        let gateway = format!("{}:{}", self.settings.host, self.settings.port);
        let (kind, message) = if attempt.may_have_been_sent() {
            let what =
                if timed_out { "no complete answer came" } else { "the connection failed before an answer came" };
            if self.is_shut_down.load(Ordering::SeqCst) {
                self.lost_by_shutdown.fetch_add(1, Ordering::SeqCst);
            }
            (ErrorKind::Lost, format!("{what}: {reason}; the request had left and {}", call.advice_if_unknown()))
        } else {
            let proxy = self.settings.proxy.as_ref();
            let peer = proxy.map_or_else(|| gateway.clone(), |proxy| format!("the proxy {}", proxy.host_port()));
            let what = match attempt.phase() {
                Phase::Resolve => format!("cannot look up {peer}"),
                Phase::Connect(address) => format!("cannot connect to {peer} ({})", address.ip()),
                Phase::Handshake if proxy.is_some() => format!("no secure connection to {gateway} through {peer}"),
                Phase::Handshake => format!("no secure connection to {gateway}"),
                Phase::Request => format!("the connection to {gateway} was not usable"),
            };
            (ErrorKind::Connect, format!("{what}: {reason}; nothing was sent"))
        };
        Error::new(kind, message).with_source(cause)
    }
}

struct FailedAttempt {
    cause: ureq::Error,
    attempt: Attempt,
}
