//! A private certificate authority, and a TLS server whose connections a closure serves.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use tempfile::NamedTempFile;

pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// The years in which a certificate is valid.
pub const NOW: (i32, i32) = (2020, 2999);
pub const LONG_AGO: (i32, i32) = (2001, 2002);
pub const LATER: (i32, i32) = (2998, 2999);

/// A certificate authority that only its own tests know, with its certificate in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    pub fn new() -> Authority {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes an issuer with the name of the subject for the subject itself.
        parameters.distinguished_name.push(DnType::CommonName, "authority of the tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let file = file_with(&issuer.pem());
        Authority { issuer, file }
    }

    /// The file that a client is given to trust this authority.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The settings of a server that shows a valid certificate for `name`, a host name or an address.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_of(name, NOW, rustls::ALL_VERSIONS)
    }

    pub fn server_of(
        &self,
        name: &str,
        (from, to): (i32, i32),
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name, (from, to));
        server_config(certificate.der().clone(), &key, versions)
    }

    /// Certificate and key of a server in PEM, for programs that read files.
    pub fn server_pem(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.sign(name, NOW);
        (certificate.pem(), key.serialize_pem())
    }

    fn sign(&self, name: &str, (from, to): (i32, i32)) -> (Certificate, KeyPair) {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }
}

fn server_config(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

/// A file that is deleted when the value is dropped.
pub fn file_with(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A TLS server on 127.0.0.1. Dropping it ends its connections and waits for its threads.
pub struct TlsServer {
    address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    closed: bool,
    open: Vec<(TcpStream, JoinHandle<()>)>,
}

impl TlsServer {
    /// Gives each connection to `serve`, which makes the handshake with its first read or write.
    pub fn start(config: Arc<ServerConfig>, serve: impl Fn(&mut TlsStream) + Send + Sync + 'static) -> TlsServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Connections::default()));
        let serve = Arc::new(serve);
        let accepting = thread::spawn({
            let connections = Arc::clone(&connections);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let mut connections = connections.lock().unwrap();
                    if connections.closed {
                        return;
                    }
                    let outside = stream.try_clone().unwrap();
                    let (config, serve) = (Arc::clone(&config), Arc::clone(&serve));
                    let thread = thread::spawn(move || serve_tls(stream, config, &*serve));
                    connections.open.push((outside, thread));
                }
            }
        });
        TlsServer { address, connections, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends all connections and waits until everything that came over them has been served.
    pub fn stop(self) {}
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let open = {
            let mut connections = self.connections.lock().unwrap();
            connections.closed = true;
            std::mem::take(&mut connections.open)
        };
        // The accepting thread waits for a connection: this one lets it see that all is closed.
        let _ = TcpStream::connect(self.address);
        for (stream, thread) in open {
            let _ = stream.shutdown(Shutdown::Read);
            let _ = thread.join();
        }
        let _ = self.accepting.take().unwrap().join();
    }
}

fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, serve: &dyn Fn(&mut TlsStream)) {
    stream.set_nodelay(true).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    serve(&mut stream);
    stream.conn.send_close_notify();
    let _ = stream.flush();
    let _ = stream.sock.shutdown(Shutdown::Both);
}
