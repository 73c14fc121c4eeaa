//! Sends through a CONNECT proxy: the tunnel, its credentials, its failures, and which hosts bypass it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::secure_gateway::SecureGateway;
use crate::support::checks::everything_shown;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Behaviour, Proxy};
use crate::support::refusing::Refusing;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};

/// A name that only the proxy knows.
const HOST: &str = "gateway.test";

/// The gateway under a name that only the proxy knows, and what leads to it by its other names.
struct Hidden {
    gateway: SecureGateway,
    authority: Authority,
}

impl Hidden {
    fn start(name: &str) -> Hidden {
        let authority = Authority::new();
        Hidden { gateway: SecureGateway::start(authority.server(name)), authority }
    }

    fn proxy(&self) -> Proxy {
        Proxy::start(Behaviour::Tunnel(self.gateway.front.address()))
    }

    fn config(&self, host: &str) -> Config {
        self.gateway.config(host).ca_file(self.authority.file())
    }

    /// How many requests came, after the connections have ended.
    fn count(self) -> usize {
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
fn proxy_resolves_the_name_of_the_gateway() {
    let gateway = Hidden::start(HOST);
    let proxy = gateway.proxy();
    let sent = send(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap();
    assert_eq!(sent.recipient_id(), Some(USER));
    let place = format!("{HOST}:{}", gateway.gateway.front.port());
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with(&format!("CONNECT {place} HTTP/1.1\r\n")), "{}", asked[0]);
    assert_eq!(header(&asked[0], "host"), Some(place.as_str()));
    assert_eq!(header(&asked[0], "proxy-authorization"), None);
    assert_eq!(gateway.count(), 1);
}

#[test]
fn proxy_sees_neither_token_nor_message() {
    let gateway = Hidden::start(HOST);
    let proxy = gateway.proxy();
    send(&gateway.config(HOST).proxy(proxy.url_with("user:password").as_str())).unwrap();
    let asked = proxy.asked().concat();
    assert_eq!(header(&asked, "authorization"), None, "{asked}");
    for secret in [gateway.gateway.gateway.token(), gateway.gateway.gateway.account_id(), "Hello", "POST"] {
        assert!(!asked.contains(secret), "{asked}");
    }
}

#[test]
fn proxy_tunnel_is_reused() {
    let gateway = Hidden::start(HOST);
    let proxy = gateway.proxy();
    let client = Client::new(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap();
    for text in ["one", "two", "three"] {
        client.send_text(USER, text).unwrap();
    }
    drop(client);
    assert_eq!((proxy.connections(), gateway.count()), (1, 3));
}

#[test]
fn proxy_credentials_are_percent_decoded() {
    let cases = [
        ("user:password", "Basic dXNlcjpwYXNzd29yZA=="),
        ("user:p%40ss%3Aword%2F", "Basic dXNlcjpwQHNzOndvcmQv"),
        ("a%20b:c%25d", "Basic YSBiOmMlZA=="),
        ("user:gr%C3%BCn", "Basic dXNlcjpncsO8bg=="),
        ("user:", "Basic dXNlcjo="),
        ("user", "Basic dXNlcjo="),
    ];
    for (credentials, expected) in cases {
        let gateway = Hidden::start(HOST);
        let proxy = gateway.proxy();
        send(&gateway.config(HOST).proxy(proxy.url_with(credentials).as_str())).unwrap();
        assert_eq!(header(&proxy.asked()[0], "proxy-authorization"), Some(expected), "{credentials}");
        assert_eq!(gateway.count(), 1);
    }
}

// Its failures

/// Not as it was given, not decoded, not in Base64; not in any text that a program might log.
fn assert_no_password(what: &str, shown: &str) {
    for password in ["s3cr%65t", "s3cret", "dXNlcjpzM2NyZXQ="] {
        assert!(!shown.contains(password), "{what}: {shown}");
    }
}

/// Two sends through a proxy that lets nothing through. The errors name the proxy and what is in `named`.
fn assert_nothing_passes(what: &str, address: SocketAddr, timeout: Duration, named: &[&str]) {
    let config = Config::new(&format!("https://{HOST}/v25.0"), ACCOUNT_ID, "token").timeout(timeout);
    let config = config.proxy(format!("http://user:s3cr%65t@{address}").as_str());
    let client = Client::new(&config).unwrap();
    assert_no_password(what, &format!("{config:?} {client:?}"));
    for _ in 0..2 {
        let error = client.send_text(USER, "Hello").unwrap_err();
        assert_not_sent(what, &error);
        let text = error.to_string();
        assert!(text.contains(&format!("the proxy {address}")), "{what}: {text}");
        assert!(named.iter().all(|part| text.contains(part)), "{what}: {text}");
        assert_no_password(what, &everything_shown(&error));
    }
}

#[test]
fn failing_proxy_lets_nothing_through_and_is_tried_again() {
    const LONG: Duration = Duration::from_secs(20);
    /// For proxies that stall.
    const SHORT: Duration = Duration::from_millis(600);
    let needs_login = "HTTP/1.1 407 Proxy Authentication Required\r\n\
        Proxy-Authenticate: Basic realm=\"here\"\r\nContent-Length: 0\r\n\r\n";
    for (what, behaviour, timeout, named) in [
        ("407", Behaviour::Answer(needs_login), LONG, "407"),
        ("502", Behaviour::Answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops"), LONG, "502"),
        ("403 in HTTP/1.0", Behaviour::Answer("HTTP/1.0 403 Forbidden\r\n\r\n"), LONG, "403"),
        ("a redirect", Behaviour::Answer("HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n\r\n"), LONG, "302"),
        ("garbage", Behaviour::Answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"), LONG, ""),
        ("half a head", Behaviour::Answer("HTTP/1.1 200 Connec"), LONG, ""),
        ("another protocol behind the tunnel", Behaviour::Answer("HTTP/1.1 200 OK\r\n\r\nwelcome\r\n"), LONG, ""),
        ("closes before the request", Behaviour::CloseUnread, LONG, ""),
        ("closes after the request", Behaviour::Close, LONG, ""),
        ("resets", Behaviour::Reset, LONG, ""),
        ("agrees and closes", Behaviour::AgreeAndClose, LONG, ""),
        ("stalls", Behaviour::Stall, SHORT, ""),
        ("agrees and stalls", Behaviour::AgreeAndStall, SHORT, ""),
    ] {
        let proxy = Proxy::start(behaviour);
        assert_nothing_passes(what, proxy.address(), timeout, &[named, HOST]);
        assert_eq!(proxy.connections(), 2, "{what}: one connection for each send");
    }
    assert_nothing_passes("nobody listens", Refusing::new().address(), LONG, &[]);
}

#[test]
fn invalid_certificate_behind_a_proxy_is_not_sent() {
    let gateway = Hidden::start("another.test");
    let proxy = gateway.proxy();
    let error = send(&gateway.config(HOST).proxy(proxy.url().as_str())).unwrap_err();
    assert_not_sent("wrong name", &error);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!((proxy.connections(), gateway.count()), (1, 0));
}

// Who goes around it

#[test]
fn loopback_gateway_never_uses_the_proxy() {
    let plain = Gateway::start().unwrap();
    let port = plain.address().port();
    let path = plain.base_url().replace(&format!("http://{}", plain.address()), "");
    let proxy = Proxy::start(Behaviour::Close);
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let config = Config::new(&format!("http://{host}:{port}{path}"), plain.account_id(), plain.token());
        send(&config.proxy(proxy.url().as_str())).unwrap();

        let secure = Hidden::start(&host.to_lowercase());
        send(&secure.config(host).proxy(proxy.url().as_str())).unwrap();
        assert_eq!(secure.count(), 1, "{host}");
    }
    assert_eq!(plain.received().len(), 3);
    assert_eq!(proxy.connections(), 0);
}

/// On these systems 0.0.0.0 leads to this machine, yet it is no loopback address.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[test]
fn no_proxy_host_is_connected_to_directly() {
    for (no_proxy, connections) in [("0.0.0.0", 0), ("10.0.0.1", 1)] {
        let gateway = Hidden::start("0.0.0.0");
        let proxy = gateway.proxy();
        send(&gateway.config("0.0.0.0").proxy(proxy.url().as_str()).no_proxy(no_proxy)).unwrap();
        assert_eq!((proxy.connections(), gateway.count()), (connections, 1), "{no_proxy}");
    }
}

#[test]
fn proxy_and_exceptions_come_from_the_variables() {
    let busy = || Proxy::start(Behaviour::Answer("HTTP/1.1 503 Busy\r\n\r\n"));
    // Which of two proxies is asked, if any.
    for (variables, asked) in [
        (&[("HTTPS_PROXY", " http://{first} ")][..], [1, 0]),
        (&[("https_proxy", "{first}")], [1, 0]),
        (&[("HTTPS_PROXY", "{first}"), ("https_proxy", "{second}")], [1, 0]),
        (&[("HTTPS_PROXY", ""), ("https_proxy", "{second}")], [0, 1]),
        (&[("HTTPS_PROXY", "{first}"), ("NO_PROXY", ""), ("no_proxy", "")], [1, 0]),
        (&[("HTTPS_PROXY", "{first}"), ("NO_PROXY", "other.test")], [1, 0]),
        (&[("HTTPS_PROXY", "{first}"), ("no_proxy", "other.test")], [1, 0]),
        (&[("HTTPS_PROXY", "{first}"), ("NO_PROXY", "test")], [0, 0]),
        (&[("https_proxy", "{first}"), ("no_proxy", "test")], [0, 0]),
        (&[("HTTP_PROXY", "{first}"), ("http_proxy", "{first}")], [0, 0]),
        (&[("ALL_PROXY", "{first}"), ("all_proxy", "{first}")], [0, 0]),
        (&[], [0, 0]),
    ] {
        let (first, second) = (busy(), busy());
        let config = Config::from_vars(|name| match name {
            // No resolver needs to be asked: a label of 64 letters cannot exist.
            "INSTAGRAM_API_URL" => Some(format!("https://{}.test/v25.0", "a".repeat(64))),
            "INSTAGRAM_ACCOUNT_ID" => Some(ACCOUNT_ID.to_owned()),
            "INSTAGRAM_ACCESS_TOKEN" => Some("token".to_owned()),
            name => variables.iter().find(|variable| variable.0 == name).map(|(_, value)| {
                value
                    .replace("{first}", &first.address().to_string())
                    .replace("{second}", &second.address().to_string())
            }),
        });
        assert_not_sent("no gateway", &send(&config).unwrap_err());
        assert_eq!([first.connections(), second.connections()], asked, "{variables:?}");
    }
}
