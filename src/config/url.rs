//! Parses the base URL, the proxy's URL, and the list of hosts that need no proxy.
//!
//! The rules are stricter than those of ureq, which for example accepts port 99999 as port 80.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The limit of every setting: the head of a request must fit its buffer.
pub(super) const MAX_SETTING_LEN: usize = 4096;

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host {
    fn parse(host: &str) -> Result<Host, String> {
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            return inner.parse().map(Host::V6).map_err(|_| "the address in brackets is no IPv6 address".to_owned());
        }
        if let Ok(address) = host.parse() {
            return Ok(Host::V4(address));
        }
        match host.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._".contains(*c))) {
            Some(c) if !c.is_ascii() => Err("the host has a letter outside ASCII: write its xn-- form".to_owned()),
            Some(c) => Err(format!("the host must not hold {c:?}")),
            None if host.is_empty() => Err("the host is empty".to_owned()),
            None => Ok(Host::Name(host.to_owned())),
        }
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => formatter.write_str(name),
            Host::V4(address) => address.fmt(formatter),
            Host::V6(address) => write!(formatter, "[{address}]"),
        }
    }
}

/// The URL before the account id, without a trailing slash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BaseUrl {
    pub(super) url: String,
    pub(super) secure: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl BaseUrl {
    /// Parses a base URL. The reason of a failure completes a sentence that begins with the setting's name and "is".
    pub(super) fn parse(url: &str) -> Result<BaseUrl, String> {
        let invalid = |reason: &str| format!("invalid: {reason}");
        check_visible_ascii(url).map_err(|reason| invalid(&reason))?;
        let (secure, rest) = split_scheme(url)
            .ok_or_else(|| invalid("it must begin with https:// (http:// for a gateway on this machine)"))?;
        if let Some(c) = rest.chars().find(|c| "?#\\\"<>^`{|}".contains(*c)) {
            return Err(invalid(&format!("it must not hold {c:?}; query and fragment have no place in a base URL")));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err(invalid("it must not hold a user name; the token is a setting of its own"));
        }
        let (host, port) = split_port(authority).map_err(|reason| invalid(&reason))?;
        if !secure && !host.is_loopback() {
            return Err("insecure: plain http would show the token to the network; use https".to_owned());
        }
        let scheme = if secure { "https" } else { "http" };
        let explicit_port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(BaseUrl {
            url: format!("{scheme}://{host}{explicit_port}{}", path.trim_end_matches('/')),
            secure,
            host,
            port: port.unwrap_or(if secure { 443 } else { 80 }),
        })
    }
}

/// A CONNECT proxy. The user name and password are in `url` only, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyUrl {
    pub(crate) url: String,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl ProxyUrl {
    pub(super) fn parse(url: &str) -> Result<ProxyUrl, String> {
        check_visible_ascii(url)?;
        let (secure, rest) = match url.contains("://") {
            true => split_scheme(url).ok_or("only http:// and https:// proxies are supported")?,
            false => (false, url),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        if let Some(credentials) = credentials {
            if credentials.contains(|c| "/?#\\\"<>^`{|}[]".contains(c)) {
                return Err("a special character in the user name or password must be percent-encoded".to_owned());
            }
        }
        let (host, port) = split_port(authority)?;
        let (scheme, default_port) = if secure { ("https", 443) } else { ("http", 80) };
        let port = port.unwrap_or(default_port);
        let user = credentials.map(|credentials| format!("{credentials}@")).unwrap_or_default();
        Ok(ProxyUrl { url: format!("{scheme}://{user}{host}:{port}"), host, port })
    }

    /// Returns host and port, which are not secret.
    pub(crate) fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Returns whether the scheme is https, and the text after `://`.
fn split_scheme(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some((true, rest)),
        "http" => Some((false, rest)),
        _ => None,
    }
}

fn split_port(authority: &str) -> Result<(Host, Option<u16>), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = digits.parse().ok().filter(|port| *port != 0);
            // The digits are not shown: if the host was forgotten, they are a proxy's password.
            Some(number.ok_or("the port must be 1 to 65535")?)
        }
        Some(_) => return Err("the port must be a number".to_owned()),
    };
    Ok((Host::parse(host)?, port))
}

/// Returns whether `NO_PROXY` matches the host of the gateway.
pub(super) fn matches_no_proxy(no_proxy: &str, base: &BaseUrl) -> bool {
    let host = base.host.to_string().to_ascii_lowercase();
    let is_name = matches!(base.host, Host::Name(_));
    no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        let name = match split_port(&entry) {
            Ok((_, Some(port))) if port != base.port => return false,
            Ok((name, _)) => name.to_string(),
            Err(_) => entry,
        };
        let name = name.strip_prefix("*.").or(name.strip_prefix('.')).unwrap_or(&name);
        name == "*"
            || host == name
            || host.trim_matches(['[', ']']) == name
            || is_name && host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
    })
}

/// Checks that a text is valid in a header or a URL. The text may be a secret, so the reason does not show it.
pub(super) fn check_visible_ascii(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some('\r' | '\n') => Err("it holds a line break".to_owned()),
        Some(c) if c.is_whitespace() => Err("it holds a blank".to_owned()),
        Some(c) if c.is_ascii() => Err("it holds a control character".to_owned()),
        Some(_) => Err("it holds a character outside ASCII".to_owned()),
        None if text.is_empty() => Err("it is empty".to_owned()),
        None if text.len() > MAX_SETTING_LEN => Err(format!("it is longer than {MAX_SETTING_LEN} bytes")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_is_normalised() {
        for (given, url) in [
            ("https://gateway.example.net", "https://gateway.example.net"),
            ("https://gateway.example.net/", "https://gateway.example.net"),
            ("HTTPS://Gateway.Example.net/Meta", "https://Gateway.Example.net/Meta"),
            ("https://gateway.example.net:1/v25.0", "https://gateway.example.net:1/v25.0"),
            ("https://gateway.example.net:65535", "https://gateway.example.net:65535"),
            ("https://gateway.example.net:0443", "https://gateway.example.net:443"),
            ("https://xn--gtway-gra7c.example.net", "https://xn--gtway-gra7c.example.net"),
            ("https://192.0.2.1/v25.0", "https://192.0.2.1/v25.0"),
            ("https://[2001:DB8:0::1]:8443/v25.0", "https://[2001:db8::1]:8443/v25.0"),
            ("https://gateway.example.net/a%20b/~c@d:e", "https://gateway.example.net/a%20b/~c@d:e"),
        ] {
            assert_eq!(BaseUrl::parse(given).map(|base| base.url).as_deref(), Ok(url));
        }
    }

    #[test]
    fn invalid_base_url_is_rejected_with_the_reason() {
        for (url, reason) in [
            ("", "empty"),
            ("https://", "host"),
            ("https:///v25.0", "host"),
            ("https://:443/v25.0", "host"),
            ("https:/gateway.example.net", "https://"),
            ("//gateway.example.net", "https://"),
            ("gateway.example.net", "https://"),
            ("ws://gateway.example.net", "https://"),
            ("https://gateway.example.net:0", "1 to 65535"),
            ("https://gateway.example.net:65536", "1 to 65535"),
            ("https://gateway.example.net:99999", "1 to 65535"),
            ("https://gateway.example.net:99999999999999999999/v25.0", "1 to 65535"),
            ("https://gateway.example.net:/v25.0", "port"),
            ("https://gateway.example.net:abc", "port"),
            ("https://gateway.example.net:-1", "port"),
            ("https://gateway.example.net:+443", "port"),
            ("https://gateway.example.net:443:443", "host"),
            ("https://user@gateway.example.net", "user name"),
            ("https://user:word@gateway.example.net", "user name"),
            ("https://gateway.example.net/v25.0?x", "query"),
            ("https://gateway.example.net/v25.0?", "query"),
            ("https://gateway.example.net?x", "query"),
            ("https://gateway.example.net/v25.0#x", "fragment"),
            ("https://gateway.example.net/v 25.0", "blank"),
            (" https://gateway.example.net", "blank"),
            ("https://gateway.example.net/\u{7F}", "control"),
            ("https://gateway.example.net/\0", "control"),
            ("https://gateway.example.net/é", "ASCII"),
            ("https://gätéway.example.net", "ASCII"),
            ("https://gateway.example.net\\v25.0", "\\"),
            ("https://gateway{1}.example.net", "{"),
            ("https://gateway%2e.example.net", "host"),
            ("https://[::1", "host"),
            ("https://[::1]x", "host"),
            ("https://[gateway.example.net]", "IPv6"),
            ("https://[127.0.0.1]", "IPv6"),
            ("https://::1/v25.0", "host"),
        ] {
            let error = BaseUrl::parse(url).err().unwrap();
            assert!(error.starts_with("invalid: ") && error.contains(reason), "{url:?}: {error}");
        }
    }

    #[test]
    fn plain_http_is_accepted_for_loopback_only() {
        for host in ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "[::1]"] {
            assert!(BaseUrl::parse(&format!("http://{host}:8080/v25.0")).is_ok(), "{host}");
            assert!(BaseUrl::parse(&format!("HTTP://{host}/v25.0")).is_ok(), "{host}");
        }
        for host in [
            "gateway.example.net",
            "10.0.0.1",
            "0.0.0.0",
            "128.0.0.1",
            "[::2]",
            "[::]",
            "127.0.0.1.example.net",
            "localhost.example.net",
            "notlocalhost",
            "2130706433",
            "127.1",
            "0x7f.0.0.1",
        ] {
            let error = BaseUrl::parse(&format!("http://{host}/v25.0")).err().unwrap();
            assert!(error.starts_with("insecure: "), "{host}: {error}");
            assert!(BaseUrl::parse(&format!("https://{host}/v25.0")).is_ok(), "{host}");
        }
    }

    #[test]
    fn invalid_proxy_url_is_rejected_without_its_password() {
        for (url, reason) in [
            ("", "empty"),
            ("ftp://user:secret@proxy.example.net", "http"),
            ("socks5://user:secret@proxy.example.net:1080", "http"),
            ("http://user:secret@", "host"),
            ("http://user:secret@:3128", "host"),
            ("http://user:secret@proxy.example.net:0", "port"),
            ("http://user:secret@proxy.example.net:99999", "port"),
            ("http://user:secret@proxy.example.net:abc", "port"),
            ("http://user:secret@proxy.example.net:3128/path", "port"),
            ("http://user:sec/ret@proxy.example.net:3128", "percent"),
            ("http://user:sec#ret@proxy.example.net:3128", "percent"),
            ("http://user:sec?ret@proxy.example.net:3128", "percent"),
            ("http://user:sec ret@proxy.example.net:3128", "blank"),
            ("http://user:secret@pröxy.example.net:3128", "ASCII"),
            ("http://user:secret@proxy example:3128", "blank"),
        ] {
            let error = ProxyUrl::parse(url).err().unwrap();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("sec") && !error.contains("ret"), "{url}: {error}");
        }
    }

    #[test]
    fn no_proxy_matches_hosts_domains_and_ports() {
        for (host, no_proxy, is_match) in [
            ("a.Example.net", "", false),
            ("a.Example.net", " , ,", false),
            ("a.Example.net", "*", true),
            ("a.Example.net", "other.example.com, *", true),
            ("a.Example.net", "a.example.net", true),
            ("a.Example.net", "first.test, A.EXAMPLE.NET ,", true),
            ("a.Example.net", "example.net", true),
            ("a.Example.net", ".example.net", true),
            ("a.Example.net", "*.example.net", true),
            ("a.Example.net", "Example.NET", true),
            ("a.Example.net", " example.net ", true),
            ("a.Example.net", "other.example.com,example.net", true),
            ("a.Example.net", "net", true),
            ("a.Example.net", "ample.net", false),
            ("a.Example.net", "example.net.", false),
            ("a.Example.net", "example", false),
            ("a.Example.net", "www.a.example.net", false),
            ("a.Example.net", "example.net:443", true),
            ("a.Example.net", "a.example.net:443", true),
            ("a.Example.net", "example.net:8443", false),
            ("a.Example.net", "https://example.net", false),
            // An address matches only itself.
            ("0.0.0.0:7", "0.0.0.0", true),
            ("0.0.0.0:7", "0.0.0.0:7", true),
            ("0.0.0.0:7", "127.0.0.1,0.0.0.0", true),
            ("0.0.0.0:7", "0.0.0.0:1", false),
            ("0.0.0.0:7", "0.0.0.1", false),
            ("0.0.0.0:7", "0.0", false),
            ("0.0.0.0:7", ".0.0", false),
            ("[::]:7", "::", true),
            ("[::]:7", "[::]", true),
            ("[::]:7", "[::]:7", true),
            ("[::]:7", "::1", false),
        ] {
            let base = BaseUrl::parse(&format!("https://{host}/v25.0")).unwrap();
            assert_eq!(matches_no_proxy(no_proxy, &base), is_match, "{host} {no_proxy:?}");
        }
    }

    #[test]
    fn text_that_no_header_can_hold_is_rejected_and_not_repeated() {
        for text in ["", "sec ret", "secret ", "sec\tret", "sec\nret", "sec\rret", "sec\0ret", "sec\u{7F}ret", "secrét"]
        {
            let error = check_visible_ascii(text).unwrap_err();
            assert!(!error.contains("sec"), "{text:?}: {error}");
        }
        assert!(check_visible_ascii(&"x".repeat(MAX_SETTING_LEN)).is_ok());
        assert!(check_visible_ascii(&"x".repeat(MAX_SETTING_LEN + 1)).is_err());
    }
}
