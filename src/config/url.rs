//! What may be connected to: the base URL, the proxy's URL, and the hosts that need no proxy.
//!
//! Stricter than ureq, which for example takes port 99999 for port 80.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// No setting is longer: the head of a request must fit the buffer that it is written to.
pub(super) const MAX_SETTING_LEN: usize = 4096;

/// A host as it stands in a URL.
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

/// The address in front of the account id, without a trailing slash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BaseUrl {
    pub(super) url: String,
    pub(super) secure: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl BaseUrl {
    /// The reason completes a sentence that begins with the setting's name and "is".
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

/// A CONNECT proxy. The user name and password stay inside `url`, which is never shown.
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

    /// Host and port, which are no secret.
    pub(crate) fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Whether the scheme is https, and what follows `://`.
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
            // Not shown: where a host was forgotten, these digits are a proxy's password.
            Some(number.ok_or("the port must be 1 to 65535")?)
        }
        Some(_) => return Err("the port must be a number".to_owned()),
    };
    Ok((Host::parse(host)?, port))
}

/// Whether `NO_PROXY` names the host of the gateway.
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

/// What may stand in a header or a URL. The text may be a secret, so the reason does not show it.
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
