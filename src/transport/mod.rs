//! One POST over a kept connection, and how far it got. The only module that knows ureq.
//!
//! ureq speaks HTTP and TLS; the layers below and above (`tcp`, `tls_framing`, `request_tracker`, `pool`) make sure of what it does not promise:
//! one deadline for everything, name look-ups only for new connections, one write a message, no reuse of a connection
//! with unread bytes, and an exact record (`attempt`) of whether the request may have left.

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

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ureq::config::Config;
use ureq::http::{HeaderMap, Method, Request, Uri};

use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use attempt::{Attempt, Phase};
use connect::ConnectTarget;
use per_process::{Connections, PerProcess};
use reply::read_reply;

pub(crate) use reply::HttpReply;

/// What is POSTed to.
#[derive(Clone, Copy)]
pub(crate) enum Endpoint {
    Messages,
    Uploads,
}

/// The way to one gateway, with its kept connections.
pub(crate) struct Transport {
    settings: Settings,
    messages: Uri,
    uploads: Uri,
    headers: HeaderMap,
    config: Config,
    connections: PerProcess,
    is_shut_down: AtomicBool,
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
            is_shut_down: AtomicBool::new(false),
            settings,
        })
    }

    pub(crate) fn url(&self, endpoint: Endpoint) -> &str {
        match endpoint {
            Endpoint::Messages => &self.settings.messages_url,
            Endpoint::Uploads => &self.settings.uploads_url,
        }
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.settings.access_token
    }

    /// POSTs `body` once. A failure is `Connect` if nothing can have arrived, else `Lost`.
    pub(crate) fn post(&self, endpoint: Endpoint, body: &[u8]) -> Result<HttpReply, Error> {
        if self.is_shut_down.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Connect, "the client was shut down; nothing was sent"));
        }
        let deadline = Instant::now() + self.settings.timeout;
        self.with_connections(|connections| match self.attempt_post(connections, endpoint, body, deadline, false) {
            // The connection was closed, or spoke before it was asked, and the kernel took no byte: nothing is repeated.
            Err(failure) if failure.attempt.may_retry() => {
                self.attempt_post(connections, endpoint, body, deadline, true)
            }
            outcome => outcome,
        })
        .map_err(|failure| self.to_error(*failure))
    }

    /// Ends the sends that are under way in this process, and lets none begin.
    pub(crate) fn shut_down(&self) {
        self.is_shut_down.store(true, Ordering::Relaxed);
        self.with_connections(|connections| {
            if let ConnectTarget::Name(lookup, _) = &*connections.target {
                lookup.shut_down();
            }
            connections.pool.shut_down();
        });
    }

    fn attempt_post(
        &self,
        connections: &Connections,
        endpoint: Endpoint,
        body: &[u8],
        deadline: Instant,
        force_new_connection: bool,
    ) -> Result<HttpReply, Box<FailedAttempt>> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match endpoint {
            Endpoint::Messages => self.messages.clone(),
            Endpoint::Uploads => self.uploads.clone(),
        };
        *request.headers_mut() = self.headers.clone();
        let send = || connections.agent.run(request).map(read_reply);
        let (outcome, attempt) = attempt::run(deadline, self.settings.connect_timeout, force_new_connection, send);
        let (mut reply, keep_alive) = outcome.map_err(|cause| Box::new(FailedAttempt { cause, attempt }))?;
        if let (Some(connection), Some(keep_alive)) = (attempt.connection(), keep_alive) {
            connections.pool.apply_keep_alive(connection, &keep_alive);
        }
        // Nobody can have accepted what did not leave; a refusal that comes early is one all the same.
        if (200..300).contains(&reply.status) && !attempt.is_fully_sent() {
            reply.truncated = Some("it came before the request had left whole".to_owned());
        }
        Ok(reply)
    }

    fn with_connections<T>(&self, call: impl FnOnce(&Connections) -> T) -> T {
        self.connections.with(|| Connections::new(&self.settings, self.config.clone()), call)
    }

    fn to_error(&self, failure: FailedAttempt) -> Error {
        let FailedAttempt { cause, attempt } = failure;
        let timed_out = matches!(cause, ureq::Error::Timeout(_));
        let reason = match &cause {
            _ if self.is_shut_down.load(Ordering::Relaxed) => "the client was shut down".to_owned(),
            ureq::Error::Timeout(_) if attempt.is_past_deadline() => {
                format!("the time-out of {:?} is over", self.settings.timeout)
            }
            ureq::Error::Timeout(_) => format!("the connect time-out of {:?} is over", self.settings.connect_timeout),
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        let gateway = format!("{}:{}", self.settings.host, self.settings.port);
        let (kind, message) = if attempt.may_have_been_sent() {
            let what =
                if timed_out { "no complete answer came" } else { "the connection failed before an answer came" };
            let advice = "the message may have been delivered, so do not repeat it blindly";
            (ErrorKind::Lost, format!("{what}: {reason}; the request had left and {advice}"))
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
