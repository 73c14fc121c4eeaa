//! Where a configuration comes from, and which settings are rejected with which text.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::checks::{config_error, everything_shown};
use crate::support::child;
use crate::support::gateway::{Answer, Gateway, Settings};
use crate::support::refusing::Refusing;
use crate::support::samples::{ACCOUNT_ID, TOKEN, USER};
use hookmyapp::{Client, Config, Warning};
use tempfile::TempDir;

const BASE_URL: &str = "https://gateway.example.net/meta/v25.0";
const INJECTION: &str = "\r\nX-Evil: 1";

fn good() -> Config {
    Config::new(BASE_URL, ACCOUNT_ID, TOKEN)
}

fn with_base(base_url: &str) -> Config {
    Config::new(base_url, ACCOUNT_ID, TOKEN)
}

fn assert_taken(config: &Config) {
    Client::new(config).unwrap_or_else(|error| panic!("{config:?}: {error}"));
}

/// What this system says of a file that does not exist.
fn no_such_file() -> String {
    std::io::Error::from_raw_os_error(2).to_string()
}

/// Every word must be there.
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

/// A directory that goes away with the test.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn from_file(content: impl AsRef<[u8]>) -> Config {
    Config::from_env_file(Files::new().write(".env", content))
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

// The env file

#[test]
fn env_lines_of_the_gateway_configure_a_client() {
    let gateway = Gateway::start().unwrap();
    let config = from_file(gateway.env_lines());
    Client::new(&config).unwrap().send_text(USER, "Hello").unwrap();
    assert_eq!(config.url(), Some(format!("{}/{}/messages", gateway.base_url(), gateway.account_id()).as_str()));
    assert_eq!(gateway.received()[0].bearer_token(), Some(gateway.token()));
}

#[test]
fn foreign_lines_in_an_env_file_are_ignored() {
    let ours =
        format!("INSTAGRAM_API_URL={BASE_URL}\r\nINSTAGRAM_USER_ID={ACCOUNT_ID}\r\nINSTAGRAM_ACCESS_TOKEN={TOKEN}\r\n");
    let others: [&[u8]; 8] = [
        b"nonsense",
        b"=x",
        b"PATH=$PATH:${NOWHERE",
        b"UNCLOSED='open",
        b"KEY=\"-----BEGIN\nline two\n-----END\"",
        b"WORDS=one two 'three",
        b"LATIN=caf\xE9",
        b"NUL=\0",
    ];
    for other in others {
        let content = [other, b"\n", ours.as_bytes(), other, b"\n"].concat();
        let config = from_file(&content);
        assert_taken(&config);
        assert!(config.warnings().is_empty(), "{:?}", String::from_utf8_lossy(other));
    }
}

#[test]
fn missing_settings_of_an_env_file_are_named_at_once() {
    for content in ["", "\n\n", "# nothing\n", "INSTAGRAM_API_URL=\nINSTAGRAM_ACCESS_TOKEN=''\n"] {
        let error = config_error(&from_file(content));
        assert_says(&error, &["missing", "INSTAGRAM_API_URL", "INSTAGRAM_GRAPH_API_URL"]);
        assert_says(&error, &["INSTAGRAM_ACCOUNT_ID", "INSTAGRAM_USER_ID", "INSTAGRAM_ACCESS_TOKEN"]);
    }
}

#[test]
fn env_file_gives_the_same_warnings_as_the_environment() {
    let config = from_file(format!(
        "INSTAGRAM_API_URL={BASE_URL}\nINSTAGRAM_GRAPH_API_URL={BASE_URL}\nINSTAGRAM_ACCOUNT_ID=1\n\
         INSTAGRAM_USER_ID=2\nINSTAGRAM_ACCESS_TOKEN={TOKEN}\n"
    ));
    assert_eq!(config.warnings(), [Warning::BothBaseUrls, Warning::BothAccountIds]);
    let words: Vec<String> = config.warnings().iter().map(Warning::to_string).collect();
    assert_says(&words[0], &["INSTAGRAM_API_URL", "INSTAGRAM_GRAPH_API_URL", "production"]);
    assert_says(&words[1], &["INSTAGRAM_ACCOUNT_ID", "INSTAGRAM_USER_ID"]);
}

#[test]
fn errors_about_an_env_file_quote_no_value() {
    for (line, name) in [
        ("INSTAGRAM_ACCESS_TOKEN=se cret", "INSTAGRAM_ACCESS_TOKEN"),
        ("INSTAGRAM_ACCESS_TOKEN=\"secret\ncret\"", "INSTAGRAM_ACCESS_TOKEN"),
        ("INSTAGRAM_ACCESS_TOKEN=secret\u{1}", "INSTAGRAM_ACCESS_TOKEN"),
        ("INSTAGRAM_ACCESS_TOKEN=secrét", "INSTAGRAM_ACCESS_TOKEN"),
        ("INSTAGRAM_API_URL=https://secret:cret@gateway.example.net", "INSTAGRAM_API_URL"),
        ("INSTAGRAM_API_URL=https://gateway.example.net/?access_token=secret", "INSTAGRAM_API_URL"),
        ("INSTAGRAM_API_URL=https://gateway.example.net/#secret", "INSTAGRAM_API_URL"),
        ("INSTAGRAM_API_URL=https://gateway.example.net:secret", "INSTAGRAM_API_URL"),
        ("INSTAGRAM_API_URL=secret", "INSTAGRAM_API_URL"),
        ("INSTAGRAM_ACCOUNT_ID=sec/ret", "INSTAGRAM_ACCOUNT_ID"),
        ("HTTPS_PROXY=http://user:sec/cret@127.0.0.1:1", "HTTPS_PROXY"),
        ("HTTPS_PROXY=socks5://user:secret@127.0.0.1:1", "HTTPS_PROXY"),
    ] {
        let config = from_file(format!(
            "INSTAGRAM_API_URL={BASE_URL}\nINSTAGRAM_ACCOUNT_ID={ACCOUNT_ID}\nINSTAGRAM_ACCESS_TOKEN={TOKEN}\n{line}\n"
        ));
        let error = Client::new(&config).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{name} is invalid: ")), "{line:?}: {error}");
        let shown = everything_shown(&error) + &format!("{config:?}");
        for part in ["sec", "cret", TOKEN] {
            assert!(!shown.contains(part), "{line:?}: {shown}");
        }
    }
}

#[test]
fn unreadable_env_file_is_named_with_the_reason() {
    let files = Files::new();
    let large = files.write("large.env", vec![b'#'; (1 << 20) + 1]);
    for (path, reason) in [
        (files.path("absent.env"), &*no_such_file()),
        (files.path(""), "not a regular file"),
        (large, "larger than 1 MiB"),
    ] {
        let config = Config::from_env_file(&path);
        assert_says(&config_error(&config), &[&named(&path), reason]);
        assert_eq!(config.url(), None);
    }
}

#[test]
fn env_file_of_exactly_1_mib_is_accepted() {
    let mut content =
        format!("INSTAGRAM_API_URL={BASE_URL}\nINSTAGRAM_ACCOUNT_ID={ACCOUNT_ID}\nINSTAGRAM_ACCESS_TOKEN={TOKEN}\n#");
    content += &" ".repeat((1 << 20) - content.len());
    assert_taken(&from_file(content));
}

#[test]
fn env_file_reads_only_the_proxy_from_the_environment() {
    let files = Files::new();
    let empty = files.write("empty.env", "");
    let set = [
        ("INSTAGRAM_GRAPH_API_URL", BASE_URL),
        ("INSTAGRAM_ACCOUNT_ID", ACCOUNT_ID),
        ("INSTAGRAM_ACCESS_TOKEN", TOKEN),
        (child::ENV_FILE, empty.to_str().unwrap()),
    ];
    let said = child::report(&set);
    let [error] = &said[..] else { panic!("{said:?}") };
    assert_says(error, &["error Config missing", "INSTAGRAM_API_URL", "INSTAGRAM_USER_ID", "INSTAGRAM_ACCESS_TOKEN"]);

    let ours = format!(
        "INSTAGRAM_API_URL=https://unreachable.example.net\nINSTAGRAM_USER_ID=1\nINSTAGRAM_ACCESS_TOKEN={TOKEN}\n"
    );
    let full = files.write("full.env", &ours);
    let refusing = [Refusing::new(), Refusing::new()];
    let [own_proxy, proxy] = refusing.each_ref().map(Refusing::address);
    let with_proxy = files.write("proxy.env", format!("{ours}HTTPS_PROXY=http://{own_proxy}\n"));
    let proxy_url = format!("http://{proxy}");
    for (file, used) in [(full, proxy), (with_proxy, own_proxy)] {
        let said = child::report(&[
            (child::ENV_FILE, file.to_str().unwrap()),
            (child::RECIPIENT, USER),
            ("https_proxy", &proxy_url),
        ]);
        let [url, error] = &said[..] else { panic!("{said:?}") };
        assert_eq!(url, "url https://unreachable.example.net/1/messages");
        assert_says(error, &["error Connect", &format!("the proxy {used}")]);
    }
}

#[cfg(unix)]
#[test]
fn variable_that_is_not_utf8_is_rejected_by_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let said = child::report(&[
        ("INSTAGRAM_API_URL", OsStr::new(BASE_URL)),
        ("INSTAGRAM_ACCOUNT_ID", OsStr::new(ACCOUNT_ID)),
        ("INSTAGRAM_ACCESS_TOKEN", OsStr::from_bytes(b"secret\xFFsecret")),
    ]);
    assert_eq!(said, ["error Config INSTAGRAM_ACCESS_TOKEN is invalid: it contains a character outside ASCII"]);
}

// The base URL

#[test]
fn localhost_ipv4_and_ipv6_are_connected_to() {
    for (address, hosts) in [("127.0.0.1:0", &["127.0.0.1", "localhost"][..]), ("[::1]:0", &["[::1]"])] {
        let address: SocketAddr = address.parse().unwrap();
        let gateway = match Gateway::start_with(Settings { address, ..Settings::default() }) {
            Ok(gateway) => gateway,
            Err(error) if address.is_ipv6() => {
                eprintln!("this machine has no IPv6: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        for host in hosts {
            let place = format!("{host}:{}", gateway.address().port());
            let base_url = format!("http://{place}/meta/v25.0");
            let client = Client::new(&Config::new(&base_url, gateway.account_id(), gateway.token())).unwrap();
            client.send_text(USER, "Hello").unwrap();
            assert_eq!(gateway.received().last().unwrap().header("host"), Some(place.as_str()));
        }
    }
}

// Account id and token

#[test]
fn no_setting_can_add_a_header() {
    for config in [
        with_base(&(BASE_URL.to_owned() + INJECTION)),
        with_base(&format!("https://gateway.example.net{INJECTION}/v25.0")),
        Config::new(BASE_URL, &(ACCOUNT_ID.to_owned() + INJECTION), TOKEN),
        Config::new(BASE_URL, ACCOUNT_ID, &(TOKEN.to_owned() + INJECTION)),
        good().proxy(format!("http://user:word{INJECTION}@127.0.0.1:1").as_str()),
        good().proxy(format!("http://127.0.0.1{INJECTION}:1").as_str()),
    ] {
        let error = config_error(&config);
        assert!(error.contains("line break") || error.contains("'\\r'"), "{error}");
        assert!(!format!("{config:?} {error}").contains("Evil"), "{error}");
    }

    let gateway = Gateway::start().unwrap();
    let config = Config::new(&gateway.base_url(), gateway.account_id(), gateway.token()).no_proxy(INJECTION);
    let client = Client::new(&config).unwrap();
    client.send_text(USER, INJECTION).unwrap();
    client.send_text(&(USER.to_owned() + INJECTION), "Hello").unwrap_err();
    let [received] = &gateway.received()[..] else { panic!() };
    assert!(!received.head.contains("X-Evil"));
}

#[test]
fn setting_that_is_too_long_is_rejected_and_not_repeated() {
    let long = |length| "x".repeat(length);
    for length in [30_000, 100_000] {
        for (name, config) in [
            ("base_url", with_base(&format!("{BASE_URL}/{}", long(length)))),
            ("account_id", Config::new(BASE_URL, &long(length), TOKEN)),
            ("access_token", Config::new(BASE_URL, ACCOUNT_ID, &long(length))),
            ("proxy", good().proxy(format!("http://user:{}@127.0.0.1:1", long(length)).as_str())),
        ] {
            let error = config_error(&config);
            assert!(error.starts_with(&format!("{name} is invalid: ")) && error.len() < 200, "{error:.200}");
        }
    }

    let gateway = Gateway::start().unwrap();
    gateway.answer_next(Answer::new(200, "application/json", "{}"));
    let config = Config::new(&format!("{}/{}", gateway.base_url(), long(1000)), &long(1000), &long(4000));
    Client::new(&config).unwrap().send_text(USER, "Hello").unwrap();
    assert_eq!(gateway.received()[0].bearer_token(), Some(long(4000).as_str()));
}

// Times

#[test]
fn timeout_of_zero_is_rejected_and_any_other_accepted() {
    let zero = Duration::ZERO;
    assert_says(&config_error(&good().timeout(zero)), &["timeout", "zero"]);
    assert_says(&config_error(&good().connect_timeout(zero)), &["connect timeout", "zero"]);
    assert_taken(&good().keep_alive(zero));

    let gateway = Gateway::start().unwrap();
    let longest = Duration::MAX;
    let config = Config::new(&gateway.base_url(), gateway.account_id(), gateway.token());
    let config = config.timeout(longest).connect_timeout(longest).keep_alive(longest);
    Client::new(&config).unwrap().send_text(USER, "Hello").unwrap();
}

// Mistakes

#[test]
fn valid_value_replaces_the_error_of_an_invalid_one() {
    let files = Files::new();
    let config = good()
        .timeout(Duration::ZERO)
        .connect_timeout(Duration::ZERO)
        .proxy("ftp://127.0.0.1")
        .ca_file(files.path("absent.pem"));
    config_error(&config);
    let config = config.timeout(Duration::from_secs(1)).connect_timeout(Duration::from_secs(1)).proxy(None);
    assert_says(&config_error(&config), &["absent.pem"]);
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    assert_taken(&config.ca_file(files.write("ca.pem", ca.cert.pem())));
}

#[test]
fn all_config_errors_are_reported_at_once() {
    let zero = Duration::ZERO;
    let config = Config::new("ftp://x", "a/b", "").timeout(zero).connect_timeout(zero).proxy("ftp://127.0.0.1");
    let error = config_error(&config);
    assert_says(&error, &["base_url", "account_id", "access_token", "timeout", "connect timeout", "proxy"]);

    // Repeated, an error is reported once.
    let error = config_error(&good().timeout(zero).timeout(zero));
    assert_eq!(error.matches("timeout").count(), 1, "{error}");

    let error = config_error(&Config::from_vars(|name| (name == "INSTAGRAM_USER_ID").then(|| "a/b".to_owned())));
    assert_says(&error, &["INSTAGRAM_USER_ID is invalid", "missing", "INSTAGRAM_API_URL", "INSTAGRAM_ACCESS_TOKEN"]);
}

// The CA file

#[test]
fn ca_file_without_usable_certificate_is_rejected() {
    let files = Files::new();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = files.write("key.pem", own.signing_key.serialize_pem());
    let cut = files.write("cut.pem", own.cert.pem().replace("-----END CERTIFICATE-----", ""));
    let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let empty = files.write("empty.pem", "");
    let text = files.write("text.pem", "this is no certificate\n");
    let der = files.write("der.pem", own.cert.der());
    for (path, reason) in [
        (files.path("absent.pem"), &*no_such_file()),
        (files.path(""), "not a regular file"),
        (files.write("large.pem", vec![b'\n'; (16 << 20) + 1]), "larger than 16 MiB"),
        (key, "certificate"),
        (cut, "PEM"),
        (broken, "PEM"),
        (empty, "certificate"),
        (text, "certificate"),
        (der, "certificate"),
    ] {
        let error = config_error(&good().ca_file(&path));
        assert_says(&error, &["the CA file", reason]);
        assert_says(&error, &[&named(&path)]);
    }
    assert_taken(&good().ca_file(files.write("good.pem", own.cert.pem())));
}

#[test]
fn ca_file_of_exactly_16_mib_is_accepted() {
    let mut pem = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    pem += &"\n".repeat((16 << 20) - pem.len());
    assert_taken(&good().ca_file(Files::new().write("long.pem", pem)));
}

/// Opening a pipe would wait for a writer, and reading the device would never end.
#[cfg(unix)]
#[test]
fn pipe_or_device_is_rejected_and_symlink_to_file_is_accepted() {
    let files = Files::new();
    let (pipe, link) = (files.path("pipe"), files.path("link"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe, "/dev/zero".into(), "/dev/null".into()] {
        let words = [&named(&path), "it is not a regular file"];
        assert_says(&config_error(&Config::from_env_file(&path)), &words);
        assert_says(&config_error(&good().ca_file(&path)), &words);
    }
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::os::unix::fs::symlink(files.write("good.pem", own.cert.pem()), &link).unwrap();
    assert_taken(&good().ca_file(link));
}

// The proxy

#[test]
fn proxy_password_with_any_character_is_never_shown() {
    for password in ["secret", "s%40cret", "se:cret", "se@cret", "se!$&'()*+,;=cret", "se%zzcret", "se%cret"] {
        let refusing = Refusing::new();
        let proxy = refusing.address();
        let config = good().proxy(format!("http://user:{password}@{proxy}").as_str());
        let error = match Client::new(&config) {
            Err(error) => error,
            Ok(client) => {
                let error = client.send_text(USER, "Hello").unwrap_err();
                assert_says(&error.to_string(), &[&format!("the proxy {proxy}")]);
                error
            }
        };
        let shown = everything_shown(&error) + &format!("{config:?}");
        assert!(!shown.contains("cret") && !shown.contains("user"), "{password}: {shown}");
    }
}
