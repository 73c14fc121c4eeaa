//! The ways to send that are compared, as far as they are Rust.

use std::ffi::{CString, c_char};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use hookmyapp::capi::client::{hma_client, hma_client_free, hma_client_new, hma_send_text};
use hookmyapp::capi::config::{hma_config_new, hma_config_set_ca_file, hma_config_set_keep_alive};
use hookmyapp::capi::response::{hma_response_free, hma_response_message_id};
use hookmyapp::capi::status::HMA_OK;
use hookmyapp::{Client, Config};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

const ACCOUNT: &str = "17841450000000017";
const TOKEN: &str = "hmat_live_0000EXAMPLE0000";
const RECIPIENT: &str = "8123456789012345";
/// About the length of a usual message.
const TEXT_LENGTH: usize = 100;
/// Between two rounds of one contender all the others have theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(600);

/// Where a contender sends to.
#[derive(Clone)]
pub struct Task {
    /// Host and port.
    pub address: String,
    /// TLS if there is one.
    pub ca_file: Option<PathBuf>,
}

impl Task {
    pub fn base_url(&self) -> String {
        let scheme = if self.ca_file.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/meta/v25.0", self.address)
    }

    fn url(&self) -> String {
        format!("{}/{ACCOUNT}/messages", self.base_url())
    }
}

fn text() -> String {
    "Your parcel leaves tomorrow. ".chars().cycle().take(TEXT_LENGTH).collect()
}

/// Sends one message and waits for the answer; panics if that is not the one expected.
pub type Sender<'a> = Box<dyn FnMut() + Send + 'a>;

/// Something that sends. Every thread takes a sender of its own.
pub trait Contender: Sync {
    fn sender(&self) -> Sender<'_>;
}

/// The contender of this name.
pub fn contender(name: &str, task: Task) -> Box<dyn Contender> {
    match name {
        "bare" => Box::new(Bare::new(task, false)),
        "bare-connecting" => Box::new(Bare::new(task, true)),
        "ureq" => Box::new(PlainUreq::new(task, None)),
        "ureq-timeout" => Box::new(PlainUreq::new(task, Some(Duration::from_secs(80)))),
        "rust" => Box::new(Ours::new(task, Some(KEEP_ALIVE))),
        "rust-defaults" => Box::new(Ours::new(task, None)),
        "rust-4-seconds" => Box::new(Ours::new(task, Some(Duration::from_secs(4)))),
        "functions" => Box::new(OurFunctions::new(task)),
        other => panic!("there is no contender {other}"),
    }
}

/// The limit: bytes made before, one write, one read; over rustls where there is TLS.
struct Bare {
    request: Vec<u8>,
    address: String,
    tls: Option<Arc<ClientConfig>>,
    /// Opens a connection for each send.
    is_connecting: bool,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Bare {
    fn new(task: Task, is_connecting: bool) -> Bare {
        let body = format!(r#"{{"recipient":{{"id":"{RECIPIENT}"}},"message":{{"text":"{}"}}}}"#, text());
        let head = format!(
            "POST /meta/v25.0/{ACCOUNT}/messages HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\naccept: application/json\r\nuser-agent: hookmyapp/0.1.0\r\n\
             content-length: {}\r\n\r\n",
            task.address,
            body.len()
        );
        let tls = task.ca_file.as_deref().map(|ca_file| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            Arc::new(config.with_root_certificates(roots).with_no_client_auth())
        });
        Bare { request: (head + &body).into_bytes(), address: task.address, tls, is_connecting }
    }

    fn connect(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let Some(config) = &self.tls else { return Box::new(stream) };
        let name = ServerName::from(stream.peer_addr().unwrap().ip());
        Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream))
    }
}

impl Contender for Bare {
    fn sender(&self) -> Sender<'_> {
        let mut answer = vec![0; 16 << 10];
        if self.is_connecting {
            return Box::new(move || exchange(&mut self.connect(), &self.request, &mut answer));
        }
        let mut stream = self.connect();
        Box::new(move || exchange(&mut stream, &self.request, &mut answer))
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8], answer: &mut [u8]) {
    stream.write_all(request).unwrap();
    let length = stream.read(answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n") && answer[..length].ends_with(b"\"}"));
}

/// ureq with its defaults and serde_json, as its documentation shows; with a time-out for the whole send if wanted.
struct PlainUreq {
    agent: Agent,
    task: Task,
}

impl PlainUreq {
    fn new(task: Task, timeout: Option<Duration>) -> PlainUreq {
        let mut config = Agent::config_builder().timeout_global(timeout).max_idle_age(KEEP_ALIVE);
        if let Some(ca_file) = &task.ca_file {
            let pem = std::fs::read(ca_file).unwrap();
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            let roots = RootCerts::new_with_certs(&certificates);
            // What its feature `rustls` chooses.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider);
            config = config.tls_config(tls.build());
        }
        PlainUreq { agent: config.build().into(), task }
    }
}

impl Contender for PlainUreq {
    fn sender(&self) -> Sender<'_> {
        let (url, bearer, text) = (self.task.url(), format!("Bearer {TOKEN}"), text());
        Box::new(move || {
            let body = json!({"recipient": {"id": RECIPIENT}, "message": {"text": text}}).to_string();
            let mut answer = self
                .agent
                .post(&url)
                .header("Authorization", &bearer)
                .header("Content-Type", "application/json")
                .send(&body)
                .unwrap();
            let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
            assert!(answer["message_id"].is_string());
        })
    }
}

/// This library, as Rust programs use it.
struct Ours {
    client: Client,
    text: String,
}

impl Ours {
    fn new(task: Task, keep_alive: Option<Duration>) -> Ours {
        let mut config = Config::new(&task.base_url(), ACCOUNT, TOKEN);
        if let Some(keep_alive) = keep_alive {
            config = config.keep_alive(keep_alive);
        }
        if let Some(ca_file) = &task.ca_file {
            config = config.ca_file(ca_file);
        }
        Ours { client: Client::new(&config).unwrap(), text: text() }
    }
}

impl Contender for Ours {
    fn sender(&self) -> Sender<'_> {
        Box::new(|| {
            let sent = self.client.send_text(RECIPIENT, &self.text).unwrap();
            assert!(sent.message_id().is_some());
        })
    }
}

/// This library through its C functions, called from Rust.
struct OurFunctions {
    client: *mut hma_client,
    recipient: CString,
    text: CString,
}

// SAFETY: the header promises that any number of threads may send through one client at once.
unsafe impl Sync for OurFunctions {}

impl OurFunctions {
    fn new(task: Task) -> OurFunctions {
        let owned = |text: &str| CString::new(text).unwrap();
        let (base_url, account, token) = (owned(&task.base_url()), owned(ACCOUNT), owned(TOKEN));
        let ca_file = task.ca_file.as_deref().and_then(Path::to_str).map(owned);
        let (mut client, mut error): (*mut hma_client, *mut c_char) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: all texts end with NUL and outlive the calls; the results go to variables of this function.
        let status = unsafe {
            let mut config = hma_config_new(base_url.as_ptr(), account.as_ptr(), token.as_ptr());
            hma_config_set_keep_alive(Some(&mut config), KEEP_ALIVE.as_millis() as u32);
            hma_config_set_ca_file(Some(&mut config), ca_file.as_ref().map_or(ptr::null(), |file| file.as_ptr()));
            hma_client_new(Some(&config), &mut client, &mut error)
        };
        assert_eq!(status, HMA_OK);
        OurFunctions { client, recipient: owned(RECIPIENT), text: owned(&text()) }
    }

    fn send(&self) {
        let (mut response, mut error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the client lives as long as `self`, the texts end with NUL, and the response is freed once.
        unsafe {
            let client = Some(&*self.client);
            let status = hma_send_text(client, self.recipient.as_ptr(), self.text.as_ptr(), &mut response, &mut error);
            assert_eq!(status, HMA_OK);
            assert!(!hma_response_message_id(Some(&*response)).is_null());
            hma_response_free(Some(Box::from_raw(response)));
        }
    }
}

impl Contender for OurFunctions {
    fn sender(&self) -> Sender<'_> {
        Box::new(|| self.send())
    }
}

impl Drop for OurFunctions {
    fn drop(&mut self) {
        // SAFETY: made by `hma_client_new`, and freed here alone.
        hma_client_free(Some(unsafe { Box::from_raw(self.client) }));
    }
}
