//! One POST over a kept connection, and how far it got. The only module that knows ureq.
//!
//! ureq speaks HTTP and TLS; the layers below and above (`wire`, `layers`) make sure of what it does not promise:
//! one deadline for everything, name look-ups only for new connections, one write a message, no reuse of a connection
//! with unread bytes, and an exact record (`attempt`) of whether the request may have left.

mod attempt;
mod connect;
mod fork;
mod layers;
mod lookup;
mod pool;
mod wire;

use std::io::Read;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use ureq::config::Config;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, RustlsConnector};
use ureq::{Agent, Body, Proxy};

use crate::config::{CaFile, Host, Settings};
use crate::error::{Error, ErrorKind};
use attempt::{Attempt, Step};
use connect::{Place, WireConnector};
use layers::{Guard, RecordsConnector};
use lookup::Lookup;
use pool::{Pool, PoolConnector};
use wire::BUFFER_SIZE;

/// More of an answer is not read; no answer of the gateway comes near it.
const ANSWER_LIMIT: usize = 64 << 10;
/// Far longer than a thread that lives keeps the lock of `heir`.
const HEIR_PATIENCE: Duration = Duration::from_millis(100);
const APP_USAGE: HeaderName = HeaderName::from_static("x-app-usage");
const BUSINESS_USAGE: HeaderName = HeaderName::from_static("x-business-use-case-usage");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const OUR_USER_AGENT: &str = concat!("hookmyapp/", env!("CARGO_PKG_VERSION"));

/// What the gateway answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) app_usage: Option<String>,
    pub(crate) business_usage: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Why the answer does not count as a whole one.
    pub(crate) cut: Option<String>,
}

/// What is POSTed to.
#[derive(Clone, Copy)]
pub(crate) enum Edge {
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
    /// The connections of the process that made the client, and those of a forked child.
    home: Home,
    heir: Mutex<Option<Arc<Home>>>,
    is_shut_down: AtomicBool,
}

/// The connections of one process.
struct Home {
    process: u64,
    place: Arc<Place>,
    pool: Arc<Pool>,
    agent: Agent,
    /// How many threads are inside a call.
    calls: AtomicUsize,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Transport, Error> {
        let uri =
            |url: &str| Uri::try_from(url).map_err(|error| Error::config(format!("the URL {url} is wrong: {error}")));
        let config = ureq_config(&settings)?;
        let home = Home::new(&settings, config.clone());
        let messages = uri(&settings.messages_url)?;
        home.warm_up(&messages);
        Ok(Transport {
            messages,
            uploads: uri(&settings.uploads_url)?,
            headers: headers(&settings)?,
            config,
            home,
            heir: Mutex::new(None),
            is_shut_down: AtomicBool::new(false),
            settings,
        })
    }

    pub(crate) fn url(&self, edge: Edge) -> &str {
        match edge {
            Edge::Messages => &self.settings.messages_url,
            Edge::Uploads => &self.settings.uploads_url,
        }
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.settings.access_token
    }

    /// POSTs `body` once. A failure is `Connect` if nothing can have arrived, else `Lost`.
    pub(crate) fn post(&self, edge: Edge, body: &[u8]) -> Result<Answer, Error> {
        if self.is_shut_down.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Connect, "the client was shut down; nothing was sent"));
        }
        let deadline = Instant::now() + self.settings.timeout;
        self.with_home(|home| match self.attempt(home, edge, body, deadline, false) {
            // The connection was closed, or spoke before it was asked, and the kernel took no byte: nothing is repeated.
            Err(failure) if failure.attempt.may_be_repeated() => self.attempt(home, edge, body, deadline, true),
            outcome => outcome,
        })
        .map_err(|failure| self.explain(*failure))
    }

    /// Ends the sends that are under way in this process, and lets none begin.
    pub(crate) fn shut_down(&self) {
        self.is_shut_down.store(true, Ordering::Relaxed);
        self.with_home(|home| {
            if let Place::Name(lookup, _) = &*home.place {
                lookup.shut_down();
            }
            home.pool.shut_down();
        });
    }

    fn attempt(
        &self,
        home: &Home,
        edge: Edge,
        body: &[u8],
        deadline: Instant,
        wants_fresh: bool,
    ) -> Result<Answer, Box<Failure>> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match edge {
            Edge::Messages => self.messages.clone(),
            Edge::Uploads => self.uploads.clone(),
        };
        *request.headers_mut() = self.headers.clone();
        let send = || home.agent.run(request).map(read_answer);
        let (outcome, attempt) = attempt::record(deadline, self.settings.connect_timeout, wants_fresh, send);
        let (mut answer, keep_alive) = outcome.map_err(|cause| Box::new(Failure { cause, attempt }))?;
        if let (Some(connection), Some(keep_alive)) = (attempt.connection, keep_alive) {
            home.pool.announce(connection, &keep_alive);
        }
        // Nobody can have accepted what did not leave; a refusal that comes early is one all the same.
        if (200..300).contains(&answer.status) && !attempt.has_left_whole() {
            answer.cut = Some("it came before the request had left whole".to_owned());
        }
        Ok(answer)
    }

    fn with_home<T>(&self, call: impl FnOnce(&Home) -> T) -> T {
        if self.home.is_of_this_process() { self.home.during(call) } else { self.heir().during(call) }
    }

    /// The connections of this forked child, made by the first of its threads that needs them.
    fn heir(&self) -> Arc<Home> {
        let belongs_here = |home: &Arc<Home>| home.is_of_this_process();
        if let Some(home) = self.lock_heir().and_then(|heir| heir.clone()).filter(belongs_here) {
            return home;
        }
        let fresh = Arc::new(Home::new(&self.settings, self.config.clone()));
        match self.lock_heir() {
            Some(mut heir) => match &*heir {
                Some(home) if belongs_here(home) => Arc::clone(home),
                _ => {
                    *heir = Some(Arc::clone(&fresh));
                    fresh
                }
            },
            None => fresh,
        }
    }

    /// Waits for other threads of this process, who need the lock for a moment only, but not for one that a fork left
    /// behind: that one never gives it back, and the send goes alone.
    fn lock_heir(&self) -> Option<MutexGuard<'_, Option<Arc<Home>>>> {
        let begin = Instant::now();
        loop {
            match self.heir.try_lock() {
                Ok(heir) => return Some(heir),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() > HEIR_PATIENCE => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }

    fn explain(&self, failure: Failure) -> Error {
        let Failure { cause, attempt } = failure;
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
        let (kind, message) = if attempt.may_have_left() {
            let what =
                if timed_out { "no complete answer came" } else { "the connection failed before an answer came" };
            let advice = "the message may have been delivered, so do not repeat it blindly";
            (ErrorKind::Lost, format!("{what}: {reason}; the request had left and {advice}"))
        } else {
            let proxy = self.settings.proxy.as_ref();
            let place = proxy.map_or_else(|| gateway.clone(), |proxy| format!("the proxy {}", proxy.place()));
            let what = match attempt.step {
                Step::LookUp => format!("cannot look up {place}"),
                Step::Connect(address) => format!("cannot connect to {place} ({})", address.ip()),
                Step::Handshake if proxy.is_some() => format!("no secure connection to {gateway} through {place}"),
                Step::Handshake => format!("no secure connection to {gateway}"),
                Step::Exchange => format!("the connection to {gateway} was not usable"),
            };
            (ErrorKind::Connect, format!("{what}: {reason}; nothing was sent"))
        };
        Error::new(kind, message).with_source(cause)
    }
}

struct Failure {
    cause: ureq::Error,
    attempt: Attempt,
}

impl Home {
    fn new(settings: &Settings, config: Config) -> Home {
        let place = Arc::new(place(settings));
        let pool = Arc::new(Pool::new(settings.keep_alive));
        let wire =
            WireConnector { place: Arc::clone(&place), pool: Arc::clone(&pool), loopback_only: !settings.secure };
        let chain =
            ().chain(ConnectProxyConnector::default())
                .chain(wire)
                .chain(RecordsConnector)
                .chain(RustlsConnector::default())
                .chain(Guard);
        let connector = PoolConnector { pool: Arc::clone(&pool), chain };
        let agent = Agent::with_parts(config, connector, NoResolver);
        Home { process: fork::generation(), place, pool, agent, calls: AtomicUsize::new(0) }
    }

    fn is_of_this_process(&self) -> bool {
        self.process == fork::generation()
    }

    /// Counts the call while it lasts.
    fn during<T>(&self, call: impl FnOnce(&Home) -> T) -> T {
        struct Call<'a>(&'a AtomicUsize);
        impl Drop for Call<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _call = Call(&self.calls);
        call(self)
    }

    /// Lets ureq make its global values now, by a request that ends before it connects. If a fork caught another
    /// thread making them at its first send, the child would wait for that thread forever.
    fn warm_up(&self, uri: &Uri) {
        let mut request = Request::new(&[][..]);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let _ = attempt::without_record(|| self.agent.run(request));
    }
}

/// What a child inherited is closed and given back, which writes nothing to the parent's connections. It is forgotten
/// if the fork caught another thread inside a call: that thread may have been changing it.
impl Drop for Home {
    fn drop(&mut self) {
        if !self.is_of_this_process() && self.calls.load(Ordering::SeqCst) > 0 {
            mem::forget(self.agent.clone());
        }
    }
}

/// ureq asks its resolver before every request; ours looks names up where a connection is made, so that this one has
/// nothing to say. A request outside an attempt is the one that only warms up.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if attempt::current().is_some() { Ok(self.empty()) } else { Err(ureq::Error::HostNotFound) }
    }
}

/// The one place that is connected to: the proxy if there is one, else the gateway.
fn place(settings: &Settings) -> Place {
    let (host, port) = match &settings.proxy {
        Some(proxy) => (&proxy.host, proxy.port),
        None => (&settings.host, settings.port),
    };
    match host {
        Host::Name(name) => Place::Name(Lookup::new(name.clone(), port), Mutex::default()),
        Host::V4(address) => Place::Address(SocketAddr::new(IpAddr::V4(*address), port)),
        Host::V6(address) => Place::Address(SocketAddr::new(IpAddr::V6(*address), port)),
    }
}

fn ureq_config(settings: &Settings) -> Result<Config, Error> {
    let proxy = settings.proxy.as_ref().map(|proxy| {
        Proxy::new(&proxy.url).map_err(|_| Error::config(format!("the URL of the proxy {} is wrong", proxy.place())))
    });
    let roots = settings.ca_file.as_ref().map_or(Ok(RootCerts::WebPki), root_certificates)?;
    Ok(Agent::config_builder()
        .https_only(settings.secure)
        .proxy(proxy.transpose()?)
        .tls_config(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(crypto()).build())
        .http_status_as_error(false)
        // A redirect would turn the message into a GET and take the headers along.
        .max_redirects(0)
        // For the proxy; the gateway gets `headers`.
        .user_agent(OUR_USER_AGENT)
        .accept_encoding("")
        // Ours keeps them.
        .max_idle_connections(0)
        // Those of TLS. The longest line of a request's head fits: two settings of 4 KiB each.
        .input_buffer_size(BUFFER_SIZE)
        .output_buffer_size(10 << 10)
        // A head that fills the buffer would be reported as a lost connection.
        .max_response_header_size(BUFFER_SIZE - 1)
        .build())
}

/// Ring, whatever the rest of the process chose for rustls, and without what signs with a key: a client shows none.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() })
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("there are no keys".to_owned()))
    }
}

fn root_certificates(file: &CaFile) -> Result<RootCerts, Error> {
    let wrong = |reason: &str| Error::config(format!("the CA file {} {reason}", file.path.display()));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.pem).collect();
    let certificates = certificates.map_err(|error| wrong(&format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate: it must be PEM with BEGIN CERTIFICATE"));
    }
    // ureq would pass over what it cannot read, and every send would then fail.
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| wrong(&format!("holds a certificate that cannot be read: {error}")))?;
    }
    let certificates: Vec<_> = certificates.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

fn headers(settings: &Settings) -> Result<HeaderMap, Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", settings.access_token))
        .map_err(|_| Error::config("the access token cannot stand in a header"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    // Else ureq would put it together anew for every request.
    headers.insert(HOST, host(settings)?);
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(OUR_USER_AGENT));
    if settings.keep_alive.is_some_and(|idle| idle.is_zero()) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(headers)
}

fn host(settings: &Settings) -> Result<HeaderValue, Error> {
    let default_port = if settings.secure { 443 } else { 80 };
    let host = match settings.port {
        port if port == default_port => settings.host.to_string(),
        port => format!("{}:{port}", settings.host),
    };
    HeaderValue::try_from(host).map_err(|_| Error::config("the host cannot stand in a header"))
}

/// The answer, and what it says about the life of its connection. The head decides whatever becomes of the body, so that
/// a body which does not come whole is no failure here.
fn read_answer(response: Response<Body>) -> (Answer, Option<String>) {
    let (head, mut body) = response.into_parts();
    // So few headers are sooner looked through than a name is hashed.
    let header = |wanted: HeaderName| {
        let (_, value) = head.headers.iter().find(|(name, _)| *name == wanted)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut bytes = Vec::with_capacity(1 << 10);
    let read = body.as_reader().take(ANSWER_LIMIT as u64 + 1).read_to_end(&mut bytes);
    let cut = match read {
        Err(error) => Some(format!("the rest of its answer did not come: {error}")),
        Ok(_) if bytes.len() > ANSWER_LIMIT => {
            Some("the rest of its answer was not read: it is longer than 64 KiB".to_owned())
        }
        Ok(_) => None,
    };
    bytes.truncate(ANSWER_LIMIT);
    let answer = Answer {
        status: head.status.as_u16(),
        retry_after: header(RETRY_AFTER),
        app_usage: header(APP_USAGE),
        business_usage: header(BUSINESS_USAGE),
        body: bytes,
        cut,
    };
    (answer, header(KEEP_ALIVE))
}
