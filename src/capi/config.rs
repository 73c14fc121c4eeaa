//! Settings for a client, from C.

use std::ffi::c_char;
use std::time::Duration;

use super::ffi::{StrArg, catch_panic, str_ptr};
use crate::config::Config;
use crate::error::{Error, ErrorKind};

/// Settings for a client: where to send, as whom, and how long to wait.
///
/// Constructors never return NULL and setters never fail: what is wrong is
/// remembered and reported by hma_client_new(), and setting the same thing again
/// rightly forgets it. A NULL or a text that is not UTF-8, where a text is
/// needed, is such a mistake (`HMA_ERROR_CONFIG`). Setters do nothing on a NULL
/// configuration.
///
/// Threads: reading from many threads is fine; setters need it for themselves.
pub struct hma_config(pub(super) Config);

/// Starts a configuration from the three settings that every client needs.
///
/// `base_url` is the address in front of the account id, with the Graph version,
/// such as "https://gateway.hookmyapp.com/meta/v25.0". Plain http is taken for
/// localhost and loopback addresses only; no query, fragment or user name;
/// trailing slashes are dropped. `account_id` is the id of the Instagram account
/// that sends: letters, digits and - _ . ~. `access_token` is the gateway's token
/// for it, visible ASCII. None may be NULL.
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
/// Reads INSTAGRAM_API_URL, else INSTAGRAM_GRAPH_API_URL; INSTAGRAM_ACCOUNT_ID,
/// else INSTAGRAM_USER_ID; INSTAGRAM_ACCESS_TOKEN; and HTTPS_PROXY or https_proxy
/// with NO_PROXY or no_proxy. WEBHOOK_HMAC_SECRET is kept for
/// hma_config_webhook_secret(). Values are trimmed, and an empty one counts as
/// unset. What is missing is reported by hma_client_new(), all names at once. As
/// with getenv(), no other thread may change the environment meanwhile.
///
/// Never returns NULL. Free it with hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_from_env() -> Box<hma_config> {
    build(Config::from_env)
}

/// Starts a configuration from the file that `hookmyapp sandbox env --write` or
/// `hookmyapp channels env --write` makes.
///
/// The names are those of hma_config_from_env(); the environment itself is only
/// looked at for the proxy, where the file names none; no other thread may change
/// it meanwhile. `path` must not be NULL. What cannot be read, is no regular file
/// (a pipe, say) or is larger than 1 MiB, is a mistake that names the path and
/// the reason.
///
/// The file is read as Node's dotenv 16 reads it, with two differences: a #
/// begins a comment only at the start of a value or behind a blank, so that a#b
/// stays whole; and a value begins on the line of its name.
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

/// Limits how long one send may block, from the name look-up to the last byte of
/// the answer. Default: 80000 milliseconds, because Meta may take 75 seconds to
/// fetch a video. 0 is a mistake.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_timeout(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "timeout", |config| Ok(config.set_timeout(Duration::from_millis(milliseconds.into()))));
}

/// Limits how long a send may take to connect: name look-up, TCP, proxy and TLS.
/// Default: 10000 milliseconds. 0 is a mistake. The limit of the whole send holds
/// as well.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_connect_timeout(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "connect_timeout", |config| Ok(config.set_connect_timeout(Duration::from_millis(milliseconds.into()))));
}

/// Limits how long an idle connection is kept for the next send; 0 never reuses
/// a connection.
///
/// Default: one second less than the gateway announces ("Keep-Alive:
/// timeout=N"), at most 10 minutes, and 4 seconds if it announces nothing. A
/// longer time set here does not outlive an announced one. If nothing is
/// announced, a time longer than the gateway's own makes it likelier that a send
/// meets a connection which is just being closed, and then ends as
/// `HMA_ERROR_LOST`.
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_set_keep_alive(config: Option<&mut hma_config>, milliseconds: u32) {
    set(config, "keep_alive", |config| Ok(config.set_keep_alive(Duration::from_millis(milliseconds.into()))));
}

/// Trusts exactly the certificates in this PEM file. NULL, the default, trusts
/// Mozilla's set. The file is read by hma_client_new(). One without a
/// certificate, one that is larger than 16 MiB, and what is no regular file (a
/// pipe, say) are mistakes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_ca_file(config: Option<&mut hma_config>, path: *const c_char) {
    // SAFETY: "Strings" in the header.
    let path = unsafe { StrArg::new("ca_file", path) };
    set(config, "ca_file", |config| Ok(config.set_ca_file(path.optional()?.map(Into::into))));
}

/// Connects through this HTTP CONNECT proxy: "http://[user:password@]host[:port]"
/// (port 80 unless given), or the same with https (port 443). NULL means none. A
/// gateway on localhost or a loopback address is always connected to directly.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_proxy(config: Option<&mut hma_config>, url: *const c_char) {
    // SAFETY: "Strings" in the header.
    let url = unsafe { StrArg::new("proxy", url) };
    set(config, "proxy", |config| Ok(config.set_proxy("proxy", url.optional()?)));
}

/// Names the hosts that are connected to directly although a proxy is set, as the
/// NO_PROXY variable does: separated by commas; a name stands for itself and all
/// names below it, an address for itself, each with or without a port; * stands
/// for every host. NULL, the default, names none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_config_set_no_proxy(config: Option<&mut hma_config>, hosts: *const c_char) {
    // SAFETY: "Strings" in the header.
    let hosts = unsafe { StrArg::new("no_proxy", hosts) };
    set(config, "no_proxy", |config| Ok(config.set_no_proxy(hosts.optional()?.unwrap_or_default())));
}

/// Returns the URL that a send will POST to, for logs: it holds no secret.
///
/// NULL while a setting is wrong, and for NULL. Good until the next setter or
/// hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_url(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.url_text()))
}

/// Returns the secret for hma_webhook_verify(): WEBHOOK_HMAC_SECRET, where the
/// configuration was read from the environment or a file. NULL if it was not
/// there, and for NULL. Sending does not need it.
///
/// Older setups sign with VERIFY_TOKEN. It is never taken instead: a receiver
/// tells it to everybody who asks with a GET, and who knows the key can forge
/// deliveries. Good until hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_webhook_secret(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.webhook_secret_text()))
}

/// Returns what in the environment is probably not what was meant, one warning a
/// line: both base URLs are set, or both account ids, and they differ.
///
/// NULL if there is nothing to warn of, and for NULL. Good until
/// hma_config_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_config_warnings(config: Option<&hma_config>) -> *const c_char {
    str_ptr(config.and_then(|config| config.0.warning_lines()))
}

/// Frees a configuration; clients that were made of it are not touched. NULL is
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
