//! Settings for a client, from C.

use std::ffi::c_char;
use std::time::Duration;

use super::ffi::{StrArg, catch_panic, str_ptr};
use crate::config::Config;
use crate::error::{Error, ErrorKind};

/// Settings for a client: where to send, as whom, and how long to wait.
///
/// Constructors never return NULL and setters never fail. An invalid setting is
/// stored as an error, which hma_client_new() reports as `HMA_ERROR_CONFIG`. So
/// is a NULL, or a text that is not UTF-8, where a text is required. Setting it
/// again to a valid value clears the error. Setters do nothing on a NULL
/// configuration.
///
/// Threads: any number of threads may read one configuration at once; setters
/// need exclusive access.
pub struct hma_config(pub(super) Config);

/// Starts a configuration from the three settings that every client needs.
///
/// `base_url` is the URL before the account id, with the Graph version, such as
/// "https://gateway.hookmyapp.com/meta/v25.0". It must be https. Plain http is
/// accepted only for localhost and loopback addresses. It must not contain a
/// query, a fragment or a user name. Trailing slashes are removed.
///
/// `account_id` is the id of the Instagram account that sends: letters, digits
/// and
/// - _ . ~. `access_token` is the gateway's token for that account: visible
///   ASCII. None may be NULL, and each has at most 4096 bytes.
///
/// Never returns NULL. Free it with hma_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_new(
    base_url: *const c_char,
    account_id: *const c_char,
    access_token: *const c_char,
) -> Box<hma_config> {
    // SAFETY: "Strings" in the header.
    let (base_url, account_id, access_token) = unsafe {
        (
            StrArg::new("base_url", base_url),
            StrArg::new("account_id", account_id),
            StrArg::new("access_token", access_token),
        )
    };
    build(|| {
        let parsed = (base_url.required(), account_id.required(), access_token.required());
        if let (Ok(base_url), Ok(account_id), Ok(access_token)) = parsed {
            return Config::new(base_url, account_id, access_token);
        }
        let mut config = Config::empty();
        for problem in [parsed.0.err(), parsed.1.err(), parsed.2.err()].into_iter().flatten() {
            config.add_problem("arguments", ErrorKind::Config, problem);
        }
        config
    })
}

/// Starts a configuration from the environment of the process.
///
/// Reads these variables; where two are named, the first that is set is used:
///
///     base URL             INSTAGRAM_API_URL, INSTAGRAM_GRAPH_API_URL
///     account id           INSTAGRAM_ACCOUNT_ID, INSTAGRAM_USER_ID
///     token                INSTAGRAM_ACCESS_TOKEN
///     proxy                HTTPS_PROXY, https_proxy
///     hosts without proxy  NO_PROXY, no_proxy
///     webhook secret       WEBHOOK_HMAC_SECRET
///
/// Values are trimmed, and an empty value counts as unset. hma_client_new()
/// reports all missing variables at once. No other thread may change the
/// environment at the same time, as with getenv().
///
/// Never returns NULL. Free it with hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_from_env() -> Box<hma_config> {
    build(Config::from_env)
}

/// Starts a configuration from the file that `hookmyapp sandbox env --write` or
/// `hookmyapp channels env --write` creates.
///
/// The names are those of hma_config_from_env(). The environment is read only
/// for proxy variables that the file does not contain; no other thread may
/// change it at the same time. `path` must not be NULL. A file that cannot be
/// read, is not a regular file or is larger than 1 MiB is an error that names
/// the path and the reason.
///
/// The syntax is that of Node's dotenv 16, with two differences. A # begins a
/// comment only at the start of a value or after a space, so that a#b is kept.
/// A value begins on the line of its name.
///
/// Never returns NULL. Free it with hma_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_from_env_file(path: *const c_char) -> Box<hma_config> {
    // SAFETY: "Strings" in the header.
    let path = unsafe { StrArg::new("path", path) };
    build(|| match path.required() {
        Ok(path) => Config::from_env_file(path),
        Err(problem) => failed(ErrorKind::Config, problem),
    })
}

/// Limits how long one send may block, from the name lookup to the last byte of
/// the response. Default: 80000 milliseconds, because Meta may take 75 seconds
/// to fetch a video. 0 is an error.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_timeout(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "timeout", |config| Ok(config.set_timeout(Duration::from_millis(milliseconds.into()))));
}

/// Limits how long a send may take to connect: name lookup, TCP, proxy and TLS.
/// Default: 10000 milliseconds. 0 is an error. The limit of the whole send
/// applies as well.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_connect_timeout(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "connect_timeout", |config| Ok(config.set_connect_timeout(Duration::from_millis(milliseconds.into()))));
}

/// Limits how long an idle connection is kept for the next send, in
/// milliseconds. 0 disables reuse.
///
/// Default: one second less than the gateway announces ("Keep-Alive:
/// timeout=N"), at most 10 minutes. If it announces nothing, 4 seconds. A time
/// set here never extends an announced one.
///
/// If the gateway announces nothing, do not set more than its own idle timeout.
/// A send may otherwise meet a connection that is being closed, and then ends
/// as `HMA_ERROR_LOST`.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_keep_alive(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "keep_alive", |config| Ok(config.set_keep_alive(Duration::from_millis(milliseconds.into()))));
}

/// Trusts exactly the certificates in this PEM file. NULL, the default, trusts
/// Mozilla's set. hma_client_new() reads the file. A file that contains no
/// certificate, is larger than 16 MiB or is not a regular file is an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_ca_file(config: Option<&mut hma_config>, path: *const c_char) {
    // SAFETY: "Strings" in the header.
    let path = unsafe { StrArg::new("ca_file", path) };
    set(config, "ca_file", |config| Ok(config.set_ca_file(path.optional()?.map(Into::into))));
}

/// Connects through this HTTP CONNECT proxy:
/// "http://[user:password@]host[:port]" (default port 80), or the same with
/// https (default port 443). NULL means no proxy. A gateway on localhost or a
/// loopback address is always connected to directly.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_proxy(config: Option<&mut hma_config>, url: *const c_char) {
    // SAFETY: "Strings" in the header.
    let url = unsafe { StrArg::new("proxy", url) };
    set(config, "proxy", |config| Ok(config.set_proxy("proxy", url.optional()?)));
}

/// Sets the hosts that are connected to directly, without the proxy. The syntax
/// is that of the NO_PROXY variable: names and addresses separated by commas,
/// each with or without a port. A name matches itself and all subdomains, an
/// address matches itself, and * matches every host. NULL, the default, matches
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_no_proxy(config: Option<&mut hma_config>, hosts: *const c_char) {
    // SAFETY: "Strings" in the header.
    let hosts = unsafe { StrArg::new("no_proxy", hosts) };
    set(config, "no_proxy", |config| Ok(config.set_no_proxy(hosts.optional()?.unwrap_or_default())));
}

/// Returns the URL that a send POSTs to. It contains no secret, so it can be
/// logged.
///
/// Returns NULL while a setting is missing or invalid, and for NULL. The text
/// is valid until the next setter or hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_url(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.url_text()))
}

/// Returns the secret for hma_webhook_verify(): the value of
/// WEBHOOK_HMAC_SECRET, if the configuration was read from the environment or a
/// file and contains it. Returns NULL otherwise, and for NULL. A send does not
/// need it.
///
/// Older setups sign with VERIFY_TOKEN. It is never used as a fallback: a
/// receiver returns it to anyone who sends a GET, and anyone who knows the key
/// can forge deliveries. The text is valid until hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_webhook_secret(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.webhook_secret_text()))
}

/// Returns the settings in the environment that are probably unintended, one
/// warning per line: both base URLs are set, or both account ids are set and
/// differ.
///
/// Returns NULL if there is no warning, and for NULL. The text is valid until
/// hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_warnings(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.warning_lines()))
}

/// Frees a configuration. Clients that were created from it stay valid. NULL is
/// allowed and does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_free(config: Option<Box<hma_config>>) {
    drop(config);
}

fn build(make: impl FnOnce() -> Config) -> Box<hma_config> {
    let config = catch_panic(|| Ok(make())).unwrap_or_else(|error| failed(error.kind(), error.to_string()));
    Box::new(hma_config(config))
}

#[cold]
fn failed(kind: ErrorKind, problem: String) -> Config {
    let mut config = Config::empty();
    config.add_problem("arguments", kind, problem);
    config
}

fn set(config: Option<&mut hma_config>, setting: &'static str, change: impl FnOnce(&mut Config) -> Result<(), String>) {
    let Some(hma_config(config)) = config else { return };
    if let Err(error) = catch_panic(|| change(config).map_err(Error::config)) {
        record_error(config, setting, error);
    }
}

#[cold]
fn record_error(config: &mut Config, setting: &'static str, error: Error) {
    config.add_problem(setting, error.kind(), error.to_string());
}
