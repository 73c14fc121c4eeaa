//! Sends over TLS: which certificates are trusted, and that nothing is sent otherwise.

use crate::secure_gateway::SecureGateway;
use crate::support::gateway::Gateway;
use crate::support::samples::USER;
use crate::support::tls::{Authority, LATER, LONG_AGO, file_with};
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};

fn send(config: &Config) -> Result<Response, Error> {
    Client::new(config)?.send_text(USER, "Hello over TLS")
}

#[test]
fn authority_in_the_ca_file_is_trusted() {
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
fn invalid_certificate_is_not_sent() {
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
fn every_certificate_in_the_ca_file_is_trusted() {
    let (first, second) = (Authority::new(), Authority::new());
    let file = file_with(&format!("a note\n{}{}{}", first.pem(), first.key_pem(), second.pem()));
    for authority in [&first, &second] {
        let gateway = SecureGateway::start(authority.server("127.0.0.1"));
        send(&gateway.config("127.0.0.1").ca_file(file.path())).unwrap();
        assert_eq!(gateway.received().len(), 1);
    }
}

#[test]
fn ca_file_is_read_when_the_client_is_created() {
    let authority = Authority::new();
    let gateway = SecureGateway::start(authority.server("127.0.0.1"));
    let file = file_with(&authority.pem());
    let client = Client::new(&gateway.config("127.0.0.1").ca_file(file.path())).unwrap();
    file.close().unwrap();
    client.send_text(USER, "Hello").unwrap();
    drop(client);
    assert_eq!(gateway.received().len(), 1);
}

#[test]
fn server_without_tls_gets_no_request() {
    let gateway = Gateway::start().unwrap();
    let base_url = gateway.base_url().replace("http://", "https://");
    let config = Config::new(&base_url, gateway.account_id(), gateway.token());
    let error = send(&config).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{error}");
    let shown: Vec<String> = gateway.received().iter().map(|received| received.head.clone()).collect();
    assert!(shown.iter().all(|bytes| !bytes.contains("POST") && !bytes.contains(gateway.token())), "{shown:?}");
}
