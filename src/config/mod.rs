//! `Config`: where to send, as whom, and how long to wait.

pub(crate) mod env_file;
mod url;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::nul_string::NulString;
use env_file::EnvFile;
pub(crate) use url::Host;
use url::{BaseUrl, MAX_SETTING_LEN, ProxyUrl, check_visible_ascii, matches_no_proxy};

const API_URL: &str = "INSTAGRAM_API_URL";
const GRAPH_API_URL: &str = "INSTAGRAM_GRAPH_API_URL";
const ACCOUNT_ID: &str = "INSTAGRAM_ACCOUNT_ID";
const USER_ID: &str = "INSTAGRAM_USER_ID";
const ACCESS_TOKEN: &str = "INSTAGRAM_ACCESS_TOKEN";
const WEBHOOK_SECRET: &str = "WEBHOOK_HMAC_SECRET";

/// Meta may take 75 seconds to fetch a video before it answers.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(80);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that the C functions can express: about 49 days.
pub(crate) const MAX_DURATION: Duration = Duration::from_millis(u32::MAX as u64);
const MAX_ENV_FILE: u64 = 1 << 20;
/// Mozilla's whole set is a quarter of a mebibyte.
const MAX_CA_FILE: u64 = 16 << 20;

/// Settings for a [`Client`](crate::Client): where to send, as whom, and how long to wait.
///
/// Constructors and setters never fail. An invalid setting is stored as an error, which
/// [`Client::new`](crate::Client::new) reports. Setting it again to a valid value clears the error.
///
/// Two configurations are equal if all settings, errors and warnings are equal. This includes the token, the webhook
/// secret and the proxy's password, which are compared but never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    base: Option<BaseUrl>,
    account_id: String,
    access_token: String,
    /// The URL that a send POSTs to, stored here so that C can borrow it.
    url: Option<NulString>,
    timeout: Duration,
    connect_timeout: Duration,
    keep_alive: Option<Duration>,
    ca_file: Option<PathBuf>,
    proxy: Option<ProxyUrl>,
    no_proxy: String,
    webhook_secret: Option<NulString>,
    warnings: Vec<Warning>,
    warning_lines: Option<NulString>,
    problems: Vec<Problem>,
}

/// The error of one setting.
#[derive(Clone, PartialEq, Eq)]
struct Problem {
    setting: &'static str,
    kind: ErrorKind,
    message: String,
}

/// A setting in the environment that is probably unintended. Its `Display` form states what is used and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// `INSTAGRAM_API_URL` (the sandbox) and `INSTAGRAM_GRAPH_API_URL` are both set.
    BothBaseUrls,
    /// `INSTAGRAM_ACCOUNT_ID` and `INSTAGRAM_USER_ID` are both set and differ.
    BothAccountIds,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Warning::BothBaseUrls => {
                "INSTAGRAM_API_URL and INSTAGRAM_GRAPH_API_URL are both set: the first one, usually the sandbox, is \
                 used, and sends with a production token fail there; remove the one that is not meant"
            }
            Warning::BothAccountIds => {
                "INSTAGRAM_ACCOUNT_ID and INSTAGRAM_USER_ID are both set and differ: the first one is used; remove \
                 the one that is not meant"
            }
        })
    }
}

impl Config {
    /// Starts a configuration from the three settings that every client needs.
    ///
    /// `base_url` is the URL before the account id, with the Graph version: `https://gateway.hookmyapp.com/meta/v25.0`,
    /// or `https://sandbox.hookmyapp.com/v25.0` for the sandbox. It must be `https`. Plain `http` is accepted only for
    /// `localhost` and loopback addresses. It must not contain a query, a fragment or a user name. Trailing slashes are
    /// removed.
    ///
    /// `account_id` is the id of the Instagram account that sends: letters, digits, `-`, `_`, `.` and `~`.
    /// `access_token` is the gateway's token for that account: visible ASCII. Each of the three has at most 4096 bytes.
    pub fn new(base_url: &str, account_id: &str, access_token: &str) -> Config {
        let mut config = Config::empty();
        config.set_base_url("base_url", base_url);
        config.set_account_id("account_id", account_id);
        config.set_access_token("access_token", access_token);
        config
    }

    /// Starts a configuration from the environment of the process.
    ///
    /// Reads these variables; where two are named, the first that is set is used:
    /// - base URL: `INSTAGRAM_API_URL`, `INSTAGRAM_GRAPH_API_URL`
    /// - account id: `INSTAGRAM_ACCOUNT_ID`, `INSTAGRAM_USER_ID`
    /// - token: `INSTAGRAM_ACCESS_TOKEN`
    /// - proxy: `HTTPS_PROXY`, `https_proxy`
    /// - hosts without proxy: `NO_PROXY`, `no_proxy` (see [`Config::no_proxy`])
    /// - webhook secret: `WEBHOOK_HMAC_SECRET` (see [`Config::webhook_secret`])
    ///
    /// Values are trimmed, and an empty value counts as unset. [`Client::new`](crate::Client::new) reports all missing
    /// variables at once.
    pub fn from_env() -> Config {
        Config::from_vars(env_var)
    }

    /// Starts a configuration from the file that `hookmyapp sandbox env --write` or `hookmyapp channels env --write`
    /// creates.
    ///
    /// The names are those of [`Config::from_env`]. The environment of the process is not changed. It is read only for
    /// proxy variables that the file does not contain. A file that cannot be read, is not a regular file or is larger
    /// than 1 MiB is an error that names the path and the reason.
    ///
    /// The syntax is that of Node's `dotenv` 16, with two differences. A `#` begins a comment only at the start of a
    /// value or after a space, so that `a#b` is kept. A value begins on the line of its name.
    pub fn from_env_file(path: impl AsRef<Path>) -> Config {
        let path = path.as_ref();
        match read_env_file(path) {
            Ok(text) => {
                let file = EnvFile::parse(&text);
                Config::from_vars(|name| {
                    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
                    file.get(name).or_else(|| is_proxy.then(|| env_var(name)).flatten())
                })
            }
            Err(reason) => {
                let mut config = Config::empty();
                config.set_problem("env_file", Err(format!("cannot read the env file {}: {reason}", path.display())));
                config
            }
        }
    }

    /// Starts a configuration from the values that `lookup` returns for the names of [`Config::from_env`].
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Config {
        Config::from_lookup(&lookup)
    }

    fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Config {
        let find = |names: &[&'static str]| -> Option<(&'static str, String)> {
            let trimmed = |name| lookup(name).map(|value: String| value.trim().to_owned());
            names.iter().find_map(|name| trimmed(name).filter(|value| !value.is_empty()).map(|value| (*name, value)))
        };
        let mut config = Config::empty();
        let mut missing = Vec::new();

        match find(&[API_URL, GRAPH_API_URL]) {
            Some((name, value)) => config.set_base_url(name, &value),
            None => missing.push(format!("{API_URL} or {GRAPH_API_URL}")),
        }
        match find(&[ACCOUNT_ID, USER_ID]) {
            Some((name, value)) => config.set_account_id(name, &value),
            None => missing.push(format!("{ACCOUNT_ID} or {USER_ID}")),
        }
        match find(&[ACCESS_TOKEN]) {
            Some((name, value)) => config.set_access_token(name, &value),
            None => missing.push(ACCESS_TOKEN.to_owned()),
        }
        if !missing.is_empty() {
            config.set_problem("variables", Err(format!("missing: {}", missing.join(", "))));
        }
        if let Some((name, value)) = find(&["HTTPS_PROXY", "https_proxy"]) {
            config.set_proxy(name, Some(&value));
        }
        if let Some((_, value)) = find(&["NO_PROXY", "no_proxy"]) {
            config.set_no_proxy(&value);
        }
        config.webhook_secret = find(&[WEBHOOK_SECRET]).map(|(_, value)| NulString::new(value));

        if find(&[API_URL]).is_some() && find(&[GRAPH_API_URL]).is_some() {
            config.warnings.push(Warning::BothBaseUrls);
        }
        if let (Some((_, account)), Some((_, user))) = (find(&[ACCOUNT_ID]), find(&[USER_ID])) {
            if account != user {
                config.warnings.push(Warning::BothAccountIds);
            }
        }
        let lines: Vec<String> = config.warnings.iter().map(Warning::to_string).collect();
        config.warning_lines = (!lines.is_empty()).then(|| NulString::new(lines.join("\n")));
        config
    }

    /// Limits how long one send may block, from the name lookup to the last byte of the response. Default: 80 seconds,
    /// because Meta may take 75 seconds to fetch a video. Zero is an error. More than 49 days counts as 49 days.
    pub fn timeout(mut self, timeout: Duration) -> Config {
        self.set_timeout(timeout);
        self
    }

    /// Limits how long a send may take to connect: name lookup, TCP, proxy and TLS. Default: 10 seconds. Zero is an
    /// error. The limit of the whole send applies as well.
    pub fn connect_timeout(mut self, timeout: Duration) -> Config {
        self.set_connect_timeout(timeout);
        self
    }

    /// Limits how long an idle connection is kept for the next send. Zero disables reuse.
    ///
    /// Default: one second less than the gateway announces (`Keep-Alive: timeout=N`), at most 10 minutes. If it
    /// announces nothing, 4 seconds. A time set here never extends an announced one.
    ///
    /// If the gateway announces nothing, do not set more than its own idle timeout. A send may otherwise meet a
    /// connection that is being closed, and then ends as [`ErrorKind::Lost`](crate::ErrorKind::Lost).
    pub fn keep_alive(mut self, idle: Duration) -> Config {
        self.set_keep_alive(idle);
        self
    }

    /// Trusts exactly the certificates in this PEM file instead of Mozilla's set. [`Client::new`](crate::Client::new)
    /// reads the file. A file that contains no certificate, is larger than 16 MiB or is not a regular file is an error.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Config {
        self.set_ca_file(Some(path.into()));
        self
    }

    /// Connects through this HTTP CONNECT proxy: `http://[user:password@]host[:port]` (default port 80), or the same
    /// with `https` (default port 443). `None` means no proxy. A gateway on `localhost` or a loopback address is always
    /// connected to directly.
    pub fn proxy<'a>(mut self, url: impl Into<Option<&'a str>>) -> Config {
        self.set_proxy("proxy", url.into());
        self
    }

    /// Sets the hosts that are connected to directly, without the proxy. The syntax is that of the `NO_PROXY` variable:
    /// names and addresses separated by commas, each with or without a port. A name matches itself and all subdomains,
    /// an address matches itself, and `*` matches every host.
    pub fn no_proxy(mut self, hosts: &str) -> Config {
        self.set_no_proxy(hosts);
        self
    }

    /// Returns the URL that a send POSTs to: `{base}/{account id}/messages`. Returns `None` while a setting is missing
    /// or invalid. The URL contains no secret, so it can be logged.
    pub fn url(&self) -> Option<&str> {
        self.url_text().map(NulString::as_str)
    }

    /// Returns the secret for [`webhook::verify`](crate::webhook::verify): the value of `WEBHOOK_HMAC_SECRET`, if
    /// [`Config::from_env`], [`Config::from_env_file`] or [`Config::from_vars`] found it. A send does not need it.
    ///
    /// Older setups sign with `VERIFY_TOKEN`. It is never used as a fallback: a receiver returns it to anyone who sends
    /// a GET, and anyone who knows the key can forge deliveries. If it really is the key, pass it to `verify`
    /// explicitly.
    pub fn webhook_secret(&self) -> Option<&str> {
        self.webhook_secret.as_ref().map(NulString::as_str)
    }

    /// Returns the settings in the environment that are probably unintended.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn url_text(&self) -> Option<&NulString> {
        self.url.as_ref().filter(|_| self.problems.is_empty())
    }

    #[cfg(feature = "capi")]
    pub(crate) fn webhook_secret_text(&self) -> Option<&NulString> {
        self.webhook_secret.as_ref()
    }

    /// The warnings, one per line.
    #[cfg(feature = "capi")]
    pub(crate) fn warning_lines(&self) -> Option<&NulString> {
        self.warning_lines.as_ref()
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout.min(MAX_DURATION);
        self.set_problem("timeout", check_not_zero("timeout", timeout));
    }

    pub(crate) fn set_connect_timeout(&mut self, timeout: Duration) {
        self.connect_timeout = timeout.min(MAX_DURATION);
        self.set_problem("connect_timeout", check_not_zero("connect timeout", timeout));
    }

    pub(crate) fn set_keep_alive(&mut self, idle: Duration) {
        self.keep_alive = Some(idle.min(MAX_DURATION));
        self.set_problem("keep_alive", Ok(()));
    }

    pub(crate) fn set_ca_file(&mut self, path: Option<PathBuf>) {
        self.ca_file = path;
        self.set_problem("ca_file", Ok(()));
    }

    pub(crate) fn set_proxy(&mut self, name: &'static str, url: Option<&str>) {
        let checked = url.map(ProxyUrl::parse).transpose();
        self.proxy = checked.as_ref().ok().cloned().flatten();
        self.set_problem("proxy", checked.map(drop).map_err(|reason| format!("{name} is invalid: {reason}")));
    }

    pub(crate) fn set_no_proxy(&mut self, hosts: &str) {
        hosts.clone_into(&mut self.no_proxy);
        self.set_problem("no_proxy", Ok(()));
    }

    fn set_base_url(&mut self, name: &'static str, url: &str) {
        let checked = BaseUrl::parse(url);
        self.base = checked.as_ref().ok().cloned();
        self.set_problem("base_url", checked.map(drop).map_err(|reason| format!("{name} is {reason}")));
        self.join_url();
    }

    fn set_account_id(&mut self, name: &'static str, id: &str) {
        let checked = check_account_id(id);
        self.account_id = if checked.is_ok() { id.to_owned() } else { String::new() };
        self.set_problem("account_id", checked.map_err(|reason| format!("{name} is invalid: {reason}")));
        self.join_url();
    }

    fn set_access_token(&mut self, name: &'static str, token: &str) {
        self.access_token = token.to_owned();
        let checked = check_visible_ascii(token);
        self.set_problem("access_token", checked.map_err(|reason| format!("{name} is invalid: {reason}")));
    }

    fn join_url(&mut self) {
        let base = self.base.as_ref().filter(|_| !self.account_id.is_empty());
        self.url = base.map(|base| NulString::new(format!("{}/{}/messages", base.url, self.account_id)));
    }

    /// Returns a configuration without any setting. It has no error yet.
    pub(crate) fn empty() -> Config {
        Config {
            base: None,
            account_id: String::new(),
            access_token: String::new(),
            url: None,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            keep_alive: None,
            ca_file: None,
            proxy: None,
            no_proxy: String::new(),
            webhook_secret: None,
            warnings: Vec::new(),
            warning_lines: None,
            problems: Vec::new(),
        }
    }

    fn set_problem(&mut self, setting: &'static str, outcome: Result<(), String>) {
        self.problems.retain(|problem| problem.setting != setting);
        if let Err(message) = outcome {
            self.add_problem(setting, ErrorKind::Config, message);
        }
    }

    pub(crate) fn add_problem(&mut self, setting: &'static str, kind: ErrorKind, message: String) {
        self.problems.push(Problem { setting, kind, message });
    }

    /// Returns the settings as a client needs them. Fails with one error that contains the errors of all settings.
    pub(crate) fn validate(&self) -> Result<Settings, Error> {
        let ca_file = self.ca_file.as_deref().map(read_ca_file).transpose();
        let problems = self.problems.iter().map(|problem| problem.message.as_str());
        let problems: Vec<&str> = problems.chain(ca_file.as_ref().err().map(String::as_str)).collect();
        let message = problems.join("; ");
        let (Some(base), Ok(ca_file), true) = (&self.base, ca_file, message.is_empty()) else {
            let kind = self.problems.iter().map(|problem| problem.kind).max_by_key(|kind| *kind as i32);
            return Err(Error::new(kind.unwrap_or(ErrorKind::Config), message));
        };
        let proxy = self.proxy.as_ref().filter(|_| !base.host.is_loopback() && !matches_no_proxy(&self.no_proxy, base));
        Ok(Settings {
            base_url: base.url.clone(),
            messages_url: format!("{}/{}/messages", base.url, self.account_id),
            uploads_url: format!("{}/{}/message_attachments", base.url, self.account_id),
            secure: base.secure,
            host: base.host.clone(),
            port: base.port,
            access_token: self.access_token.clone(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout.min(self.timeout),
            keep_alive: self.keep_alive,
            ca_file,
            proxy: proxy.cloned(),
        })
    }
}

/// Omits the token, the webhook secret and the proxy's password.
impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<&str> = self.problems.iter().map(|problem| problem.message.as_str()).collect();
        formatter
            .debug_struct("Config")
            .field("url", &self.url)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("keep_alive", &self.keep_alive)
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.host_port()))
            .field("no_proxy", &self.no_proxy)
            .field("warnings", &self.warnings)
            .field("problems", &problems)
            .finish_non_exhaustive()
    }
}

/// The certificates to trust instead of Mozilla's.
pub(crate) struct CaFile {
    pub(crate) path: PathBuf,
    pub(crate) pem: Vec<u8>,
}

/// A valid configuration.
pub(crate) struct Settings {
    pub(crate) base_url: String,
    pub(crate) messages_url: String,
    pub(crate) uploads_url: String,
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) access_token: String,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) ca_file: Option<CaFile>,
    pub(crate) proxy: Option<ProxyUrl>,
}

/// The id becomes a path segment, so only characters without a meaning in a path are allowed.
fn check_account_id(id: &str) -> Result<(), String> {
    match id.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.~".contains(*c))) {
        Some(c) => Err(format!("it must not hold {c:?}; letters, digits and - _ . ~ are allowed")),
        None if id.is_empty() => Err("it is empty".to_owned()),
        None if id.len() > MAX_SETTING_LEN => Err(format!("it is longer than {MAX_SETTING_LEN} bytes")),
        None if id == "." || id == ".." => Err("it must not be a dot".to_owned()),
        None => Ok(()),
    }
}

fn check_not_zero(name: &str, duration: Duration) -> Result<(), String> {
    if duration.is_zero() { Err(format!("the {name} must not be zero")) } else { Ok(()) }
}

/// A value that is not UTF-8 fails the checks of its setting, like every other one outside ASCII.
fn env_var(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn read_env_file(path: &Path) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&read_file(path, MAX_ENV_FILE)?).into_owned())
}

fn read_ca_file(path: &Path) -> Result<CaFile, String> {
    match read_file(path, MAX_CA_FILE) {
        Ok(pem) => Ok(CaFile { path: path.to_owned(), pem }),
        Err(reason) => Err(format!("cannot read the CA file {}: {reason}", path.display())),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    // Opening a pipe waits for a writer, and a device may never end.
    if !path.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(error.to_string()),
        Ok(_) if bytes.len() as u64 > limit => Err(format!("it is larger than {} MiB", limit >> 20)),
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_id_that_would_change_the_path_is_rejected() {
        let long = "x".repeat(MAX_SETTING_LEN + 1);
        for id in [
            "", ".", "..", "a/b", "../x", "a?b", "a#b", "a%2Fb", "a b", " ", "a\\b", "@me", "a:b", "a;b", "é", "a\0",
            &long,
        ] {
            assert!(check_account_id(id).is_err(), "{id:?}");
        }
        for id in ["17841450000000017", "me", "a-b_c.d~e", "..."] {
            assert_eq!(check_account_id(id), Ok(()), "{id:?}");
        }
    }
}
