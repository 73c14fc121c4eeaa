//! Every file of `tests/vectors/`, through the public API and over real sockets.

pub mod c;
mod rust;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::checks::{config_error, everything_shown, line};
use crate::support::child;
use crate::support::fault_server::{FaultServer, Script, Step};
use crate::support::full_listener::FullListener;
use crate::support::refusing::Refusing;
use crate::support::samples::{ACCOUNT_ID, TOKEN, USER};
use crate::support::vectors::{Fields, read_all};
use hookmyapp::{Client, Config, Error, Warning};
use rust::{check_verdict, gateway_of};

// No answer at all

#[test]
fn transport_faults_are_classified_by_request_progress() {
    let mut seen = Vec::new();
    for (stem, mut vector) in read_all("errors") {
        if !vector.has("transport") {
            vector.set_all_aside();
            continue;
        }
        let mut expect = vector.object("expect");
        let error = match vector.text("transport").as_str() {
            "resolve_failed" => resolve_failed(),
            "connect_refused" => connect_refused(),
            "tls_failed" => fault("https", vec![Step::SayRaw("220 this is no TLS\r\n".into()), Step::Close], 0),
            "connect_timeout" => connect_timeout(),
            "read_timeout" => fault("http", vec![Step::ReadRequest, Step::Stall], 1),
            "reset_after_write" => fault("http", vec![Step::ReadRequest, Step::Reset], 1),
            "reset_during_write" => fault("http", vec![Step::ReadHead, Step::Reset], 0),
            other => panic!("{}: the fault {other} is unknown", vector.place()),
        };
        check_verdict(vector.place(), &mut expect, Some(&error));
        assert!(error.response().is_none(), "{}", vector.place());
        line(&error);
        assert!(!everything_shown(&error).contains(TOKEN), "{}", vector.place());
        seen.push(stem.split_once('-').unwrap().0.to_owned());
    }
    assert_eq!(seen, ["71", "72", "73", "74", "75", "76", "77"]);
}

fn config_for(scheme: &str, address: SocketAddr) -> Config {
    Config::new(&format!("{scheme}://{address}/meta/v25.0"), ACCOUNT_ID, TOKEN)
}

fn failed_text(config: &Config) -> Error {
    Client::new(config).unwrap().send_text(USER, "Hello").unwrap_err()
}

/// A label has at most 63 letters, so that the lookup fails without a question to anybody.
fn resolve_failed() -> Error {
    failed_text(&Config::new(&format!("https://{}.example.net/v25.0", "a".repeat(64)), ACCOUNT_ID, TOKEN))
}

fn connect_refused() -> Error {
    failed_text(&config_for("http", Refusing::new().address()))
}

fn connect_timeout() -> Error {
    let listener = FullListener::new();
    failed_text(&config_for("http", listener.address()).connect_timeout(Duration::from_millis(300)))
}

/// Sends one text to a server that plays this script; the server must have read `received` whole requests.
fn fault(scheme: &str, script: Script, received: usize) -> Error {
    let server = FaultServer::start(None, vec![script]);
    // Long enough for the request to leave on a busy machine.
    let config = config_for(scheme, server.address()).timeout(Duration::from_secs(if received == 0 { 20 } else { 2 }));
    // More than the sockets of both sides can hold.
    let padding = "x".repeat(if received == 0 { 32 << 20 } else { 0 });
    let body = format!(r#"{{"recipient":{{"id":"{USER}"}},"message":{{"text":"Hello"}},"padding":"{padding}"}}"#);
    let error = Client::new(&config).unwrap().send_json(&body).unwrap_err();
    assert_eq!(server.connections(), 1);
    assert_eq!(server.finish().len(), received);
    error
}

// The environment

const NAMES: [&str; 5] = [
    "INSTAGRAM_API_URL",
    "INSTAGRAM_GRAPH_API_URL",
    "INSTAGRAM_ACCOUNT_ID",
    "INSTAGRAM_USER_ID",
    "INSTAGRAM_ACCESS_TOKEN",
];

type Variables = BTreeMap<String, String>;

fn config_of(variables: &Variables) -> Config {
    Config::from_vars(|name| variables.get(name).cloned())
}

#[test]
fn environments_are_resolved_as_their_vectors_say() {
    let (mut good, mut bad) = (0, 0);
    for (_, mut vector) in read_all("env") {
        let variables: Variables = vector.object("env").rest().into_iter().collect();
        let mut expect = vector.object("expect");
        if expect.flag("ok") {
            check_good_environment(vector.place(), variables, expect);
            good += 1;
        } else {
            check_bad_environment(vector.place(), &variables, expect);
            bad += 1;
        }
    }
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
}

fn check_good_environment(place: &str, mut variables: Variables, mut expect: Fields) {
    let (base, url) = (expect.text("base"), expect.text("url"));
    let (account_id, token) = (expect.text("account_id"), expect.text("token"));
    let (base_from, account_from) = (expect.text("base_from"), expect.text("account_from"));
    assert_eq!(url, format!("{base}/{account_id}/messages"), "{place}");

    let config = config_of(&variables);
    assert_eq!(config.url(), Some(url.as_str()), "{place}");
    let warnings: Vec<Warning> = expect.texts("warnings").iter().map(|word| warning_of(place, word)).collect();
    assert_eq!(config.warnings(), warnings, "{place}");
    let client = Client::new(&config).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(!format!("{config:?} {client:?}").contains(&token), "{place}");

    // The names are the ones that an error is reported under.
    for name in [&base_from, &account_from] {
        let mut variables = variables.clone();
        variables.insert(name.clone(), "not/right".to_owned());
        let error = config_error(&config_of(&variables));
        assert!(error.contains(&format!("{name} is invalid")), "{place}: {error}");
    }

    // The token and the account id are the ones that go out.
    let gateway = gateway_of(&account_id, &token);
    variables.insert(base_from, gateway.base_url());
    Client::new(&config_of(&variables)).unwrap().send_text(USER, "Hello").unwrap();
    assert_eq!(gateway.received()[0].bearer_token(), Some(token.as_str()), "{place}");
}

fn warning_of(place: &str, word: &str) -> Warning {
    match word {
        "both_base_urls" => Warning::BothBaseUrls,
        "both_account_ids" => Warning::BothAccountIds,
        other => panic!("{place}: the warning {other} is unknown"),
    }
}

fn check_bad_environment(place: &str, variables: &Variables, mut expect: Fields) {
    let (word, names) = (expect.text("error"), expect.texts("names"));
    let config = config_of(variables);
    let error = config_error(&config);
    assert!(["missing", "invalid", "insecure"].contains(&word.as_str()), "{place}");
    assert!(error.contains(&word), "{place}: {error}");
    let named: Vec<&str> = NAMES.into_iter().filter(|name| error.contains(name)).collect();
    assert_eq!(named, names, "{place}: {error}");
    let token = variables.get("INSTAGRAM_ACCESS_TOKEN").map_or("", String::as_str);
    for part in token.split_whitespace().filter(|part| part.len() > 1) {
        assert!(!error.contains(part) && !format!("{config:?}").contains(part), "{place}: {error}");
    }
}

/// The variables of one vector.
fn environment_of(stem: &str) -> Vec<(String, String)> {
    let mut environment = None;
    for (other, mut vector) in read_all("env") {
        let variables = vector.object("env").rest();
        vector.set_aside(&["expect"]);
        if other == stem {
            environment = Some(variables);
        }
    }
    environment.unwrap()
}

#[test]
fn process_sends_with_only_its_environment() {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let base_url = gateway.base_url();
    let said = child::report(&[
        ("INSTAGRAM_GRAPH_API_URL", base_url.as_str()),
        ("INSTAGRAM_ACCOUNT_ID", ACCOUNT_ID),
        ("INSTAGRAM_ACCESS_TOKEN", TOKEN),
        (child::RECIPIENT, USER),
    ]);
    let [received] = &gateway.received()[..] else { panic!("{said:?}") };
    assert_eq!(received.bearer_token(), Some(TOKEN));
    let answer: serde_json::Value = serde_json::from_slice(&received.answer.as_ref().unwrap().body).unwrap();
    let url = format!("url {base_url}/{ACCOUNT_ID}/messages");
    assert_eq!(said, [url, format!("sent {}", answer["message_id"].as_str().unwrap())]);
}

#[test]
fn process_without_variables_gets_all_their_names() {
    let environment = environment_of("19-nothing");
    assert!(environment.is_empty());
    let said = child::report::<String>(&[]);
    let [error] = &said[..] else { panic!("{said:?}") };
    assert!(error.starts_with("error Config missing"), "{error}");
    assert!(NAMES.iter().all(|name| error.contains(name)), "{error}");
}

#[test]
fn process_with_all_variables_set_gets_warnings() {
    let environment = environment_of("06-all-four");
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let said = child::report(&environment);
    let url = "url https://sandbox.hookmyapp.com/v25.0/17841433840249531/messages";
    assert_eq!(said, ["warning BothBaseUrls", "warning BothAccountIds", url]);
}
