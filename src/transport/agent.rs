//! The ureq agent: which certificates it trusts, the headers of every request, and the layers of a connection.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use ureq::config::Config;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use ureq::http::{HeaderMap, HeaderValue, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, RustlsConnector};
use ureq::{Agent, Proxy};

use super::attempt;
use super::connect::{ConnectTarget, TcpConnector};
use super::pool::{Pool, PoolConnector};
use super::request_tracker::RequestTracker;
use super::tcp::BUFFER_SIZE;
use super::tls_framing::TlsFramingConnector;
use crate::config::{CaFile, Settings};
use crate::error::Error;

const HOOKMYAPP_USER_AGENT: &str = concat!("hookmyapp/", env!("CARGO_PKG_VERSION"));

/// Builds an agent. Every send through it shares the connections of `pool`.
pub(super) fn build(config: Config, target: &Arc<ConnectTarget>, pool: &Arc<Pool>, loopback_only: bool) -> Agent {
    let tcp = TcpConnector { target: Arc::clone(target), pool: Arc::clone(pool), loopback_only };
    let chain =
        ().chain(ConnectProxyConnector::default())
            .chain(tcp)
            .chain(TlsFramingConnector)
            .chain(RustlsConnector::default())
            .chain(RequestTracker);
    let connector = PoolConnector { pool: Arc::clone(pool), chain };
    Agent::with_parts(config, connector, NoResolver)
}

/// Resolves nothing: `TcpConnector` looks names up only when it opens a connection, but ureq calls its resolver before
/// every request. A request without an attempt record must end here: it only initialises ureq's globals.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if attempt::current_is(|_| true) { Ok(self.empty()) } else { Err(ureq::Error::HostNotFound) }
    }
}

pub(super) fn config(settings: &Settings) -> Result<Config, Error> {
    let proxy = settings.proxy.as_ref().map(|proxy| {
        Proxy::new(&proxy.url)
            .map_err(|_| Error::config(format!("the URL of the proxy {} is wrong", proxy.host_port())))
    });
    let roots = settings.ca_file.as_ref().map_or(Ok(RootCerts::WebPki), root_certificates)?;
    Ok(Agent::config_builder()
        .https_only(settings.secure)
        .proxy(proxy.transpose()?)
        .tls_config(
            TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(crypto_provider()).build(),
        )
        .http_status_as_error(false)
        // Following a redirect would turn the message into a GET and forward its headers.
        .max_redirects(0)
        // Sent to the proxy. The gateway receives `headers`.
        .user_agent(HOOKMYAPP_USER_AGENT)
        .accept_encoding("")
        // `Pool` keeps idle connections instead.
        .max_idle_connections(0)
        // These are the buffers of TLS. The output buffer fits the longest line of a request head: two settings of 4
        // KiB each.
        .input_buffer_size(BUFFER_SIZE)
        .output_buffer_size(10 << 10)
        // ureq would report a head that fills the buffer as a lost connection.
        .max_response_header_size(BUFFER_SIZE - 1)
        .build())
}

/// Returns ring, whichever provider the process installed for rustls. The client presents no certificate, so the code
/// that signs with a private key is left out.
fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { key_provider: &NoClientKeys, ..ring::default_provider() })
}

#[derive(Debug)]
struct NoClientKeys;

impl KeyProvider for NoClientKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("there are no keys".to_owned()))
    }
}

fn root_certificates(file: &CaFile) -> Result<RootCerts, Error> {
    let invalid = |reason: &str| Error::config(format!("the CA file {} {reason}", file.path.display()));
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.pem).collect();
    let certificates = certificates.map_err(|error| invalid(&format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(invalid("holds no certificate: it must be PEM with BEGIN CERTIFICATE"));
    }
    // ureq would skip a certificate that it cannot read, and every send would then fail.
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| invalid(&format!("holds a certificate that cannot be read: {error}")))?;
    }
    let certificates: Vec<_> = certificates.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

pub(super) fn headers(settings: &Settings) -> Result<HeaderMap, Error> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", settings.access_token))
        .map_err(|_| Error::config("the access token cannot stand in a header"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    // Without it, ureq would build this header again for every request.
    headers.insert(HOST, host_header(settings)?);
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(HOOKMYAPP_USER_AGENT));
    if settings.keep_alive.is_some_and(|idle| idle.is_zero()) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(headers)
}

fn host_header(settings: &Settings) -> Result<HeaderValue, Error> {
    let default_port = if settings.secure { 443 } else { 80 };
    let host = match settings.port {
        port if port == default_port => settings.host.to_string(),
        port => format!("{}:{port}", settings.host),
    };
    HeaderValue::try_from(host).map_err(|_| Error::config("the host cannot stand in a header"))
}
