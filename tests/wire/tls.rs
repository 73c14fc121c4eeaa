//! Sends over TLS: which certificates are trusted, and that nothing leaves where one is not.

use std::path::Path;
use std::sync::Arc;

use crate::support::gateway::{Gateway, Received};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::{Authority, LATER, LONG_AGO, NOW, TlsServer, file_with};
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};
use rustls::ServerConfig;

/// The local gateway behind TLS.
struct SecureGateway {
    gateway: Gateway,
    front: TlsServer,
}

impl SecureGateway {
    fn start(config: Arc<ServerConfig>) -> SecureGateway {
        let gateway = Gateway::start().unwrap();
        let handle = gateway.handle();
        let front = TlsServer::start(config, move |stream| handle.serve(stream));
        SecureGateway { gateway, front }
    }

    /// What leads a client to `host`, on the port where TLS is spoken.
    fn config(&self, host: &str) -> Config {
        let path = self.gateway.base_url().replace(&format!("http://{}", self.gateway.address()), "");
        let base_url = format!("https://{host}:{}{path}", self.front.port());
        Config::new(&base_url, self.gateway.account_id(), self.gateway.token())
    }

    /// Every request, after the connections have ended.
    fn received(self) -> Vec<Received> {
        self.front.stop();
        self.gateway.received()
    }
}

fn send(config: &Config) -> Result<Response, Error> {
    Client::new(config)?.send_text(USER, "Hello over TLS")
}

#[test]
fn a_send_over_https_trusts_the_authority_of_the_ca_file() {
    let authority = Authority::new();
    for (host, name) in [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("LocalHost", "localhost")] {
        let gateway = SecureGateway::start(authority.server(name));
        let sent = send(&gateway.config(host).ca_file(authority.file())).unwrap();
        assert!(sent.message_id().is_some());
        assert_eq!(sent.recipient_id(), Some(USER));
        let received = gateway.received();
        assert_eq!(received.len(), 1, "{host}");
        assert_eq!(received[0].json().unwrap()["message"]["text"], "Hello over TLS");
    }
}

#[test]
fn both_versions_of_tls_carry_a_send() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let gateway = SecureGateway::start(authority.server_of("127.0.0.1", NOW, &[version]));
        send(&gateway.config("127.0.0.1").ca_file(authority.file())).unwrap();
        assert_eq!(gateway.received().len(), 1, "{version:?}");
    }
}

#[test]
fn a_certificate_that_is_not_right_is_connect_and_nothing_is_sent() {
    let (trusted, stranger) = (Authority::new(), Authority::new());
    let all = rustls::ALL_VERSIONS;
    let cases = [
        ("another host's name", trusted.server("gateway.test"), Some(trusted.file())),
        ("another address", trusted.server("127.0.0.2"), Some(trusted.file())),
        ("an unknown authority", stranger.server("127.0.0.1"), Some(trusted.file())),
        ("an authority outside Mozilla's set", trusted.server("127.0.0.1"), None),
        ("expired", trusted.server_of("127.0.0.1", LONG_AGO, all), Some(trusted.file())),
        ("not yet valid", trusted.server_of("127.0.0.1", LATER, all), Some(trusted.file())),
    ];
    for (what, server, ca_file) in cases {
        let gateway = SecureGateway::start(server);
        let config = gateway.config("127.0.0.1");
        let config = ca_file.into_iter().fold(config, |config, path| config.ca_file(path));
        let error = send(&config).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{what}: {error}");
        let text = error.to_string();
        assert!(text.contains("127.0.0.1") && text.contains("certificate"), "{what}: {text}");
        assert!(text.ends_with("nothing was sent"), "{what}: {text}");
        assert_eq!(gateway.received().len(), 0, "{what}");
    }
}

#[test]
fn a_ca_file_without_a_certificate_is_a_mistake_in_the_configuration() {
    let authority = Authority::new();
    let unfinished = authority.pem().replace("-----END CERTIFICATE-----", "");
    let cases = [
        ("an empty file", String::new()),
        ("no PEM", "to be filled in\n".to_owned()),
        ("a key alone", authority.key_pem()),
        ("a certificate that is cut", unfinished),
        ("letters that are not Base64", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned()),
    ];
    for (what, text) in cases {
        let file = file_with(&text);
        assert_config_mistake(what, file.path(), "CA file");
    }
    assert_config_mistake("no file", Path::new("no-such-file.pem"), "no-such-file.pem");
    assert_config_mistake("a folder", Path::new(env!("CARGO_MANIFEST_DIR")), env!("CARGO_MANIFEST_DIR"));
}

fn assert_config_mistake(what: &str, ca_file: &Path, named: &str) {
    let config = Config::new("https://127.0.0.1:1/v25.0", ACCOUNT_ID, "token").ca_file(ca_file);
    let error = Client::new(&config).map(drop).expect_err(what);
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent), "{what}: {error}");
    assert!(error.to_string().contains(named), "{what}: {error}");
}

#[test]
fn every_certificate_of_the_ca_file_is_trusted_and_other_items_are_passed_over() {
    let (first, second) = (Authority::new(), Authority::new());
    let file = file_with(&format!("a note\n{}{}{}", first.pem(), first.key_pem(), second.pem()));
    for authority in [&first, &second] {
        let gateway = SecureGateway::start(authority.server("127.0.0.1"));
        send(&gateway.config("127.0.0.1").ca_file(file.path())).unwrap();
        assert_eq!(gateway.received().len(), 1);
    }
}

#[test]
fn the_ca_file_is_read_when_the_client_is_made() {
    let authority = Authority::new();
    let gateway = SecureGateway::start(authority.server("127.0.0.1"));
    let file = file_with(&authority.pem());
    let client = Client::new(&gateway.config("127.0.0.1").ca_file(file.path())).unwrap();
    file.close().unwrap();
    client.send_text(USER, "Hello").unwrap();
    assert_eq!(gateway.received().len(), 1);
}

#[test]
fn a_kept_connection_carries_the_next_send_over_tls_too() {
    let authority = Authority::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let gateway = SecureGateway::start(authority.server_of("127.0.0.1", NOW, &[version]));
        let client = Client::new(&gateway.config("127.0.0.1").ca_file(authority.file())).unwrap();
        for text in ["one", "two", "three"] {
            client.send_text(USER, text).unwrap();
        }
        drop(client);
        let connections: Vec<usize> = gateway.received().iter().map(|received| received.connection).collect();
        assert_eq!(connections, [0, 0, 0], "{version:?}");
    }
}

#[test]
fn without_keep_alive_every_send_has_its_own_tls_connection_and_says_so() {
    let authority = Authority::new();
    let gateway = SecureGateway::start(authority.server("127.0.0.1"));
    let config = gateway.config("127.0.0.1").ca_file(authority.file()).keep_alive(std::time::Duration::ZERO);
    let client = Client::new(&config).unwrap();
    client.send_text(USER, "one").unwrap();
    client.send_text(USER, "two").unwrap();
    let received = gateway.received();
    assert_eq!(received.len(), 2);
    assert_ne!(received[0].connection, received[1].connection);
    assert!(received.iter().all(|received| received.header("connection") == Some("close")));
}

#[test]
fn a_server_without_tls_gets_no_request() {
    let gateway = Gateway::start().unwrap();
    let base_url = gateway.base_url().replace("http://", "https://");
    let config = Config::new(&base_url, gateway.account_id(), gateway.token());
    let error = send(&config).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{error}");
    let shown: Vec<String> = gateway.received().into_iter().map(|received| received.head).collect();
    assert!(shown.iter().all(|bytes| !bytes.contains("POST") && !bytes.contains(gateway.token())), "{shown:?}");
}
