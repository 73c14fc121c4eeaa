//! Sends through a CONNECT proxy: the tunnel, its credentials, its failures, and who goes around it.

use std::error::Error as _;

use crate::support::gateway::Gateway;
use crate::support::proxy::{Behaviour, Proxy};
use crate::support::refusing::Refusing;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::{Authority, TlsServer};
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};

/// A name that only the proxy knows.
const HOST: &str = "gateway.test";

/// The local gateway behind TLS, with a certificate for one name.
struct SecureGateway {
    gateway: Gateway,
    front: TlsServer,
    authority: Authority,
}

impl SecureGateway {
    fn start(name: &str) -> SecureGateway {
        let (gateway, authority) = (Gateway::start().unwrap(), Authority::new());
        let handle = gateway.handle();
        let front = TlsServer::start(authority.server(name), move |stream| handle.serve(stream));
        SecureGateway { gateway, front, authority }
    }

    fn proxy(&self) -> Proxy {
        Proxy::start(Behaviour::Tunnel(self.front.address()))
    }

    fn base_url(&self, host: &str) -> String {
        let path = self.gateway.base_url().replace(&format!("http://{}", self.gateway.address()), "");
        format!("https://{host}:{}{path}", self.front.port())
    }

    fn config(&self, host: &str) -> Config {
        let config = Config::new(&self.base_url(host), self.gateway.account_id(), self.gateway.token());
        config.ca_file(self.authority.file())
    }

    /// How many requests came, after the connections have ended.
    fn count(self) -> usize {
        self.front.stop();
        self.gateway.received().len()
    }
}

fn send(config: &Config) -> Result<Response, Error> {
    Client::new(config)?.send_text(USER, "Hello through a proxy")
}

fn assert_not_sent(what: &str, error: &Error) {
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent), "{what}: {error}");
    assert!(error.to_string().ends_with("nothing was sent"), "{what}: {error}");
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

// The tunnel

#[test]
fn a_send_goes_through_the_proxy_to_a_name_that_only_the_proxy_knows() {
    let gateway = SecureGateway::start(HOST);
    let proxy = gateway.proxy();
    let sent = send(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap();
    assert_eq!(sent.recipient_id(), Some(USER));
    let place = format!("{HOST}:{}", gateway.front.port());
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with(&format!("CONNECT {place} HTTP/1.1\r\n")), "{}", asked[0]);
    assert_eq!(header(&asked[0], "host"), Some(place.as_str()));
    assert_eq!(header(&asked[0], "proxy-authorization"), None);
    assert_eq!(gateway.count(), 1);
}

#[test]
fn the_proxy_sees_neither_the_token_nor_the_message() {
    let gateway = SecureGateway::start(HOST);
    let proxy = gateway.proxy();
    send(&gateway.config(HOST).proxy(proxy.url_with("user:password").as_str())).unwrap();
    let asked = proxy.asked().concat();
    assert_eq!(header(&asked, "authorization"), None, "{asked}");
    for secret in [gateway.gateway.token(), gateway.gateway.account_id(), "Hello", "POST"] {
        assert!(!asked.contains(secret), "{asked}");
    }
}

#[test]
fn a_tunnel_is_kept_for_the_next_send() {
    let gateway = SecureGateway::start(HOST);
    let proxy = gateway.proxy();
    let client = Client::new(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap();
    for text in ["one", "two", "three"] {
        client.send_text(USER, text).unwrap();
    }
    drop(client);
    assert_eq!((proxy.connections(), gateway.count()), (1, 3));
}

#[test]
fn credentials_go_to_the_proxy_with_what_is_percent_encoded_decoded() {
    let cases = [
        ("user:password", "Basic dXNlcjpwYXNzd29yZA=="),
        ("user:p%40ss%3Aword%2F", "Basic dXNlcjpwQHNzOndvcmQv"),
        ("a%20b:c%25d", "Basic YSBiOmMlZA=="),
        ("user:gr%C3%BCn", "Basic dXNlcjpncsO8bg=="),
        ("user:", "Basic dXNlcjo="),
        ("user", "Basic dXNlcjo="),
    ];
    for (credentials, expected) in cases {
        let gateway = SecureGateway::start(HOST);
        let proxy = gateway.proxy();
        send(&gateway.config(HOST).proxy(proxy.url_with(credentials).as_str())).unwrap();
        assert_eq!(header(&proxy.asked()[0], "proxy-authorization"), Some(expected), "{credentials}");
        assert_eq!(gateway.count(), 1);
    }
}

// Its failures

#[test]
fn a_proxy_that_fails_is_connect_and_nothing_is_sent() {
    let needs_login = "HTTP/1.1 407 Proxy Authentication Required\r\n\
        Proxy-Authenticate: Basic realm=\"here\"\r\nContent-Length: 0\r\n\r\n";
    let cases = [
        ("407", Behaviour::Answer(needs_login), "407"),
        ("502", Behaviour::Answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops"), "502"),
        ("403 in HTTP/1.0", Behaviour::Answer("HTTP/1.0 403 Forbidden\r\n\r\n"), "403"),
        ("a redirect", Behaviour::Answer("HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n\r\n"), "302"),
        ("garbage", Behaviour::Answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"), ""),
        ("half a head", Behaviour::Answer("HTTP/1.1 200 Connec"), ""),
        ("another protocol behind the tunnel", Behaviour::Answer("HTTP/1.1 200 OK\r\n\r\nwelcome\r\n"), ""),
        ("closes before the request", Behaviour::CloseUnread, ""),
        ("closes after the request", Behaviour::Close, ""),
        ("resets", Behaviour::Reset, ""),
        ("agrees and closes", Behaviour::AgreeAndClose, ""),
    ];
    for (what, behaviour, named) in cases {
        let proxy = Proxy::start(behaviour);
        let config = Config::new(&format!("https://{HOST}/v25.0"), ACCOUNT_ID, "token");
        let error = send(&config.proxy(proxy.url_with("user:s3cr%65t").as_str())).unwrap_err();
        assert_not_sent(what, &error);
        let text = error.to_string();
        assert!(text.contains(named), "{what}: {text}");
        assert!(text.contains(&format!("the proxy {}", proxy.address())), "{what}: {text}");
        assert!(text.contains(HOST), "{what}: {text}");
        assert_no_password(what, &error);
        assert_eq!(proxy.connections(), 1, "{what}: a proxy that fails must not be tried twice");
    }
}

/// Not as it was given, not decoded, not in Base64; not in any text that a program might log.
fn assert_no_password(what: &str, error: &Error) {
    let source = error.source().map(|source| format!("{source} {source:?}")).unwrap_or_default();
    let shown = format!("{error} {error:?} {source}");
    for password in ["s3cr%65t", "s3cret", "dXNlcjpzM2NyZXQ="] {
        assert!(!shown.contains(password), "{what}: {shown}");
    }
}

#[test]
fn a_proxy_that_nobody_runs_is_connect_and_its_password_stays_hidden() {
    let refusing = Refusing::new();
    let port = refusing.address().port();
    let config = Config::new(&format!("https://{HOST}/v25.0"), ACCOUNT_ID, "token");
    let config = config.proxy(format!("http://user:s3cr%65t@127.0.0.1:{port}").as_str());
    let error = send(&config).unwrap_err();
    assert_not_sent("refused", &error);
    assert!(error.to_string().contains(&format!("the proxy 127.0.0.1:{port}")), "{error}");
    assert_no_password("refused", &error);
    let shown = format!("{config:?} {:?}", Client::new(&config).unwrap());
    assert!(!shown.contains("s3cr"), "{shown}");
}

#[test]
fn a_wrong_certificate_behind_the_tunnel_is_connect_and_nothing_is_sent() {
    let gateway = SecureGateway::start("another.test");
    let proxy = gateway.proxy();
    let error = send(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap_err();
    assert_not_sent("wrong name", &error);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!((proxy.connections(), gateway.count()), (1, 0));
}

// Who goes around it

#[test]
fn a_gateway_on_this_machine_never_goes_through_the_proxy() {
    let plain = Gateway::start().unwrap();
    let port = plain.address().port();
    let path = plain.base_url().replace(&format!("http://{}", plain.address()), "");
    let proxy = Proxy::start(Behaviour::Close);
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let config = Config::new(&format!("http://{host}:{port}{path}"), plain.account_id(), plain.token());
        send(&config.proxy(proxy.url().as_str())).unwrap();

        let secure = SecureGateway::start(&host.to_lowercase());
        send(&secure.config(host).proxy(proxy.url().as_str())).unwrap();
        assert_eq!(secure.count(), 1, "{host}");
    }
    assert_eq!(plain.received().len(), 3);
    assert_eq!(proxy.connections(), 0);
}

/// A name that no resolver needs to be asked about: a label of 64 letters cannot exist.
fn impossible_host() -> String {
    format!("gateway.{}.test", "a".repeat(64))
}

#[test]
fn hosts_that_no_proxy_names_go_around_the_proxy_and_no_others() {
    let host = impossible_host();
    let parent = host.split_once('.').unwrap().1;
    let cases = [
        (host.clone(), true),
        (format!("{host}:443"), true),
        (format!("first.test, {} ,", host.to_uppercase()), true),
        (parent.to_owned(), true),
        (format!(".{parent}"), true),
        ("*".to_owned(), true),
        (String::new(), false),
        (format!("{host}:8443"), false),
        ("way.test".to_owned(), false),
        (format!("www.{host}"), false),
    ];
    for (no_proxy, goes_around) in cases {
        let proxy = Proxy::start(Behaviour::Answer("HTTP/1.1 503 Busy\r\n\r\n"));
        let config = Config::new(&format!("https://{host}/v25.0"), ACCOUNT_ID, "token");
        let error = send(&config.proxy(proxy.url().as_str()).no_proxy(&no_proxy)).unwrap_err();
        assert_not_sent(&no_proxy, &error);
        assert_eq!(proxy.connections(), usize::from(!goes_around), "{no_proxy:?}: {error}");
        assert_eq!(error.to_string().contains("cannot look up"), goes_around, "{no_proxy:?}: {error}");
    }
}

/// On these systems 0.0.0.0 leads to this machine, yet it is no loopback address.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn a_host_that_no_proxy_names_is_reached_directly() {
    for (no_proxy, connections) in [("0.0.0.0", 0), ("10.0.0.1", 1)] {
        let gateway = SecureGateway::start("0.0.0.0");
        let proxy = gateway.proxy();
        send(&gateway.config("0.0.0.0").proxy(proxy.url().as_str()).no_proxy(no_proxy)).unwrap();
        assert_eq!((proxy.connections(), gateway.count()), (connections, 1), "{no_proxy}");
    }
}

#[test]
fn the_proxy_and_its_exceptions_are_taken_from_the_variables() {
    let host = impossible_host();
    let cases: [(&[&str], &str, usize); 8] = [
        (&["HTTPS_PROXY"], "", 1),
        (&["https_proxy"], "", 1),
        (&["HTTPS_PROXY", "https_proxy"], "", 1),
        (&["HTTPS_PROXY"], "other.test", 1),
        (&["HTTPS_PROXY"], &host, 0),
        (&["https_proxy"], "test", 0),
        (&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"], "", 0),
        (&[], "", 0),
    ];
    for (names, no_proxy, connections) in cases {
        for no_proxy_name in ["NO_PROXY", "no_proxy"] {
            let proxy = Proxy::start(Behaviour::Answer("HTTP/1.1 503 Busy\r\n\r\n"));
            let base_url = format!("https://{host}/v25.0");
            let config = Config::from_vars(|name| match name {
                "INSTAGRAM_API_URL" => Some(base_url.clone()),
                "INSTAGRAM_ACCOUNT_ID" => Some(ACCOUNT_ID.to_owned()),
                "INSTAGRAM_ACCESS_TOKEN" => Some("token".to_owned()),
                name if name == no_proxy_name => Some(no_proxy.to_owned()),
                name if names.contains(&name) => Some(proxy.url()),
                _ => None,
            });
            assert_not_sent(no_proxy, &send(&config).unwrap_err());
            assert_eq!(proxy.connections(), connections, "{names:?} without {no_proxy:?}");
        }
    }
}
