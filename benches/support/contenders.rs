//! The ways to send that are compared, as far as they are Rust.

use std::ffi::{CString, c_char};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use hookmyapp::capi::client::{hma_client, hma_client_free, hma_client_new, hma_send_json, hma_send_text};
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
/// The longest text that Instagram takes; what is longer goes as JSON made by the caller.
const LONGEST_TEXT: usize = 1000;
/// Between two rounds of one contender all the others have theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(600);

/// Where a contender sends to, and how much.
#[derive(Clone)]
pub struct Task {
    pub address: SocketAddr,
    /// TLS if there is one.
    pub ca_file: Option<PathBuf>,
    pub text_length: usize,
}

impl Task {
    pub fn base_url(&self) -> String {
        let scheme = if self.ca_file.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/meta/v25.0", self.address)
    }

    fn url(&self) -> String {
        format!("{}/{ACCOUNT}/messages", self.base_url())
    }

    fn text(&self) -> String {
        "Your parcel leaves tomorrow. ".chars().cycle().take(self.text_length).collect()
    }

    fn body(&self) -> String {
        format!(r#"{{"recipient":{{"id":"{RECIPIENT}"}},"message":{{"text":"{}"}}}}"#, self.text())
    }
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
        "bare" => Box::new(Bare::new(task)),
        "ureq" => Box::new(PlainUreq::new(task, None)),
        "ureq-timeout" => Box::new(PlainUreq::new(task, Some(Duration::from_secs(80)))),
        "rust" => Box::new(Ours::new(task)),
        "functions" => Box::new(OurFunctions::new(task)),
        other => panic!("there is no contender {other}"),
    }
}

/// The limit: bytes made before, one write, one read; over rustls where there is TLS.
struct Bare {
    request: Vec<u8>,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Bare {
    fn new(task: Task) -> Bare {
        let body = task.body();
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
        Bare { request: (head + &body).into_bytes(), address: task.address, tls }
    }
}

impl Contender for Bare {
    fn sender(&self) -> Sender<'_> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut answer = vec![0; 16 << 10];
        let Some(config) = &self.tls else {
            return Box::new(move || exchange(&mut stream, &self.request, &mut answer));
        };
        let name = ServerName::from(self.address.ip());
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream);
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
        let (url, bearer, text) = (self.task.url(), format!("Bearer {TOKEN}"), self.task.text());
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
    body: String,
}

impl Ours {
    fn new(task: Task) -> Ours {
        let mut config = Config::new(&task.base_url(), ACCOUNT, TOKEN).keep_alive(KEEP_ALIVE);
        if let Some(ca_file) = &task.ca_file {
            config = config.ca_file(ca_file);
        }
        Ours { client: Client::new(&config).unwrap(), text: task.text(), body: task.body() }
    }
}

impl Contender for Ours {
    fn sender(&self) -> Sender<'_> {
        Box::new(|| {
            let sent = if self.text.len() <= LONGEST_TEXT {
                self.client.send_text(RECIPIENT, &self.text)
            } else {
                self.client.send_json(&self.body)
            };
            assert!(sent.unwrap().message_id().is_some());
        })
    }
}

/// This library through its C functions, called from Rust.
struct OurFunctions {
    client: *mut hma_client,
    recipient: CString,
    text: CString,
    body: CString,
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
        OurFunctions { client, recipient: owned(RECIPIENT), text: owned(&task.text()), body: owned(&task.body()) }
    }

    fn send(&self) {
        let (mut response, mut error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the client lives as long as `self`, the texts end with NUL, and the response is freed once.
        unsafe {
            let client = Some(&*self.client);
            let status = if self.text.as_bytes().len() <= LONGEST_TEXT {
                hma_send_text(client, self.recipient.as_ptr(), self.text.as_ptr(), &mut response, &mut error)
            } else {
                hma_send_json(client, self.body.as_ptr(), &mut response, &mut error)
            };
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
