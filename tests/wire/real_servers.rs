//! Sends through servers that others have written: nginx with TLS in front of the local gateway, and the CONNECT proxy
//! tinyproxy.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::samples::USER;
use crate::support::tls::Authority;
use crate::support::tools;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Message, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

/// Leads to this machine, too, but is not loopback, so that a proxy is used for it.
const EVERY_ADDRESS: &str = "0.0.0.0";

/// A real server, in the foreground, with its files in a folder of its own.
struct Process {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Process {
    /// Starts `program` on a port that was just free, and again on another one if somebody else took it.
    fn start(
        program: &str,
        settings: impl Fn(&Path, u16) -> String,
        arguments: impl Fn(&Path) -> Vec<String>,
    ) -> Process {
        loop {
            let folder = tempfile::tempdir().unwrap();
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            fs::write(folder.path().join("settings"), settings(folder.path(), port)).unwrap();
            let mut command = Command::new(program);
            command.args(arguments(folder.path())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = Process { child: command.spawn().unwrap(), folder, port };
            if process.accepts() {
                return process;
            }
        }
    }

    /// Waits until the server can be connected to; false if it has ended.
    fn accepts(&mut self) -> bool {
        while self.child.try_wait().unwrap().is_none() {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
                Ok(_) => return true,
                Err(error) if error.kind() == IoErrorKind::ConnectionRefused => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not `Child::kill`: nginx would leave its workers behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// nginx with TLS; what stands in front of the account id chooses what it does.
fn nginx(authority: &Authority, name: &str, gateway: &Gateway, silent: u16) -> Process {
    let (certificate, key) = authority.server_pem(name);
    let upstream = gateway.address();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let settings = |folder: &Path, port: u16| {
        fs::write(folder.join("certificate.pem"), &certificate).unwrap();
        fs::write(folder.join("key.pem"), &key).unwrap();
        format!(
            "daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 2; user root;
            events {{ worker_connections 256; }}
            http {{
                access_log off; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied;
                fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                client_max_body_size 2k; keepalive_timeout 1s; proxy_http_version 1.1;
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
                    location /meta/ {{ proxy_pass http://{upstream}; }}
                    location /refused/ {{ proxy_pass http://{closed}; }}
                    location /silent/ {{ proxy_pass http://127.0.0.1:{silent}; proxy_read_timeout 1s; }}
                    location /moved/ {{ return 301 https://elsewhere.test/; }}
                }}
            }}\n",
            folder = folder.display()
        )
    };
    let arguments = |folder: &Path| {
        let folder = folder.to_str().unwrap().to_owned();
        vec!["-p".to_owned(), folder.clone(), "-c".to_owned(), format!("{folder}/settings")]
    };
    Process::start("nginx", settings, arguments)
}

fn config(server: &Process, authority: &Authority, gateway: &Gateway, path: &str) -> Config {
    let base_url = format!("https://localhost:{}/{path}/v25.0", server.port);
    Config::new(&base_url, gateway.account_id(), gateway.token()).ca_file(authority.file())
}

fn outcome(sent: Result<Response, Error>) -> (ErrorKind, Delivery, u16) {
    let error = sent.unwrap_err();
    (error.kind(), error.delivery(), error.response().map_or(0, Response::http_status))
}

#[test]
fn nginx_keeps_connections_and_its_pages_are_classified() {
    if !tools::is_there("nginx") {
        return;
    }
    let (authority, gateway) = (Authority::new(), Gateway::start().unwrap());
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = nginx(&authority, "localhost", &gateway, silent.local_addr().unwrap().port());
    let client = |path: &str| Client::new(&config(&server, &authority, &gateway, path)).unwrap();

    let kept = Client::new(&config(&server, &authority, &gateway, "meta").keep_alive(Duration::from_secs(60))).unwrap();
    kept.send_text(USER, "first").unwrap();
    kept.send_text(USER, "second").unwrap();
    // Longer than nginx keeps an idle connection: its end is seen, and the next send has a new one.
    wait_until_idle_connections_are_closed(&server, &authority);
    kept.send_text(USER, "third").unwrap();
    let texts: Vec<String> =
        gateway.received().iter().map(|one| one.json().unwrap()["message"]["text"].to_string()).collect();
    assert_eq!(texts, ["\"first\"", "\"second\"", "\"third\""]);

    assert_eq!(outcome(client("refused").send_text(USER, "x")), (ErrorKind::Server, Delivery::Unknown, 502));
    assert_eq!(outcome(client("silent").send_text(USER, "x")), (ErrorKind::Server, Delivery::Unknown, 504));
    assert_eq!(outcome(client("moved").send_text(USER, "x")), (ErrorKind::Endpoint, Delivery::Rejected, 301));
    let large = format!("{{\"recipient\":{{\"id\":\"{USER}\"}},\"padding\":\"{}\"}}", "x".repeat(4000));
    assert_eq!(outcome(client("meta").send_json(&large)), (ErrorKind::Rejected, Delivery::Rejected, 413));
    assert_eq!(gateway.received().len(), 3);
}

/// A connection that was idle after the client's, and that nginx has closed, says that the client's is closed too.
fn wait_until_idle_connections_are_closed(server: &Process, authority: &Authority) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut idle = StreamOwned::new(tls, TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap());
    idle.write_all(b"GET /moved/ HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 301 "));
}

#[test]
fn nginx_reload_under_load_loses_and_repeats_no_message() {
    if !tools::is_there("nginx") {
        return;
    }
    let (authority, gateway) = (Authority::new(), Gateway::start().unwrap());
    let server = nginx(&authority, "localhost", &gateway, 1);
    let client = Client::new(&config(&server, &authority, &gateway, "meta")).unwrap();
    let reloads_are_over = AtomicBool::new(false);
    let outcomes: Vec<(String, Option<Delivery>)> = thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|thread| {
                let (client, reloads_are_over) = (&client, &reloads_are_over);
                scope.spawn(move || {
                    let mut outcomes = Vec::new();
                    while !reloads_are_over.load(Ordering::Relaxed) || outcomes.len() < 50 {
                        let text = format!("{thread}-{}", outcomes.len());
                        let sent = client.send(USER, &Message::text(&text));
                        outcomes.push((text, sent.err().map(|error| error.delivery())));
                    }
                    outcomes
                })
            })
            .collect();
        for _ in 0..5 {
            let pid = fs::read_to_string(server.folder.path().join("pid")).unwrap();
            assert!(Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap().success());
            // The reload is over when a new worker answers on a new connection.
            Client::new(&config(&server, &authority, &gateway, "moved")).unwrap().send_text(USER, "x").unwrap_err();
        }
        reloads_are_over.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    drop(server);

    let mut times: HashMap<String, usize> = HashMap::new();
    for received in gateway.received() {
        *times.entry(received.json().unwrap()["message"]["text"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let mut accepted = 0;
    for (text, failure) in &outcomes {
        let times = times.remove(text).unwrap_or(0);
        let fits = match failure {
            None => times == 1,
            Some(Delivery::NotSent | Delivery::Rejected) => times == 0,
            Some(Delivery::Unknown) => times <= 1,
        };
        assert!(fits, "{text}: {failure:?}, received {times} times");
        accepted += usize::from(failure.is_none());
    }
    assert!(times.is_empty(), "nobody sent {times:?}");
    assert!(accepted >= outcomes.len() * 9 / 10, "only {accepted} of {} were accepted", outcomes.len());
}

#[test]
fn tinyproxy_tunnels_and_rejects() {
    if !tools::is_there("tinyproxy") || !tools::is_there("nginx") {
        return;
    }
    let (authority, gateway) = (Authority::new(), Gateway::start().unwrap());
    let server = nginx(&authority, EVERY_ADDRESS, &gateway, 1);
    let start = |allowed: u16| {
        let settings = |_: &Path, port: u16| {
            format!("Port {port}\nListen 127.0.0.1\nConnectPort {allowed}\nBasicAuth user pass\nLogLevel Critical\n")
        };
        let arguments = |folder: &Path| vec!["-d".into(), "-c".into(), format!("{}/settings", folder.display())];
        Process::start("tinyproxy", settings, arguments)
    };
    let (allows, forbids) = (start(server.port), start(1));
    let through = |proxy: &Process, user: &str| {
        let base_url = format!("https://{EVERY_ADDRESS}:{}/meta/v25.0", server.port);
        let proxy = format!("http://{user}@127.0.0.1:{}", proxy.port);
        let config = Config::new(&base_url, gateway.account_id(), gateway.token()).ca_file(authority.file());
        Client::new(&config.proxy(proxy.as_str())).unwrap().send_text(USER, "x")
    };
    assert_eq!(outcome(through(&forbids, "user:pass")), (ErrorKind::Connect, Delivery::NotSent, 0));
    assert_eq!(outcome(through(&allows, "user:wrong")), (ErrorKind::Connect, Delivery::NotSent, 0));
    assert!(gateway.received().is_empty());
    assert!(through(&allows, "user:pass").unwrap().message_id().is_some());
    assert_eq!(gateway.received().len(), 1);
}
