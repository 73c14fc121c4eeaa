//! `Client::get`: what goes out, what comes back, and what a failure says, in Rust and in C.

use crate::support::c_api;
use crate::support::checks::argument_error;
use crate::support::gateway::{Answer, Gateway};
use crate::support::samples::USER;
use hookmyapp::{Client, Config, Delivery, Error, ErrorKind};
use serde_json::{Value, json};

/// A gateway and a client of it.
fn pair() -> (Gateway, Client) {
    let gateway = Gateway::start().unwrap();
    let config = Config::new(&gateway.base_url(), gateway.account_id(), gateway.token());
    let client = Client::new(&config).unwrap();
    (gateway, client)
}

fn c_client(gateway: &Gateway) -> c_api::Client {
    let config = c_api::Config::new(&gateway.base_url(), gateway.account_id(), gateway.token());
    c_api::Client::new(&config).unwrap()
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn get_reads_the_account_and_a_user() {
    let (gateway, client) = pair();
    let account = client.get("me?fields=user_id,username").unwrap();
    assert_eq!(json_of(account.body())["user_id"], gateway.account_id());
    let in_c = c_client(&gateway).get(&format!("{USER}?fields=username")).unwrap();
    assert_eq!(json_of(in_c.body())["id"], USER);
}

#[test]
fn get_sends_a_path_and_no_body_over_the_connection_of_sends() {
    let (gateway, client) = pair();
    client.send_text(USER, "Hello").unwrap();
    client.get("me?fields=user_id").unwrap();
    client.send_text(USER, "Hello").unwrap();
    let received = gateway.received();
    let base = gateway.base_url().replacen(&format!("http://{}", gateway.address()), "", 1);
    assert_eq!(
        (received[1].method.as_str(), received[1].path.as_str()),
        ("GET", &*format!("{base}/me?fields=user_id"))
    );
    assert_eq!(received[1].body, b"");
    assert_eq!(received[1].bearer_token(), Some(gateway.token()));
    assert_eq!(received[1].header("content-type"), None);
    assert_eq!(received[1].header("content-length"), None);
    assert!(received.iter().all(|one| one.connection == received[0].connection));
}

#[test]
fn invalid_path_is_rejected_and_nothing_is_sent() {
    let (gateway, client) = pair();
    for path in ["", "/me", "a//b", "a/../b", "me#x", "https://other.example/me", "me?access_token=x", "me\r\n"] {
        let words = argument_error(client.get(path), path);
        assert!(words.starts_with("path: "), "{path:?}: {words}");
        assert_eq!(c_api::argument_error(c_client(&gateway).get(path), path), words);
    }
    assert!(gateway.received().is_empty());
}

fn failure(answer: Answer) -> Error {
    let (gateway, client) = pair();
    gateway.answer_next(answer);
    let error = client.get("me").unwrap_err();
    assert!(!format!("{error} {error:?}").contains(gateway.token()));
    error
}

#[test]
fn failed_get_names_what_was_asked_and_that_it_may_be_repeated() {
    let (gateway, client) = pair();
    let error = client.get("unknown").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Endpoint);
    let url = format!("GET {}/unknown was not answered by a gateway", gateway.base_url());
    assert!(error.to_string().contains(&url), "{error}");

    let error = failure(Answer::new(200, "text/html", "<html>"));
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Lost, Delivery::Unknown));
    assert!(error.to_string().ends_with("it may be repeated"), "{error}");
}

#[test]
fn refused_get_is_classified_as_a_refused_send() {
    let meta = |code: i32| Answer::json(400, &json!({"error": {"message": "no", "code": code}}));
    assert_eq!(failure(meta(230)).kind(), ErrorKind::Recipient);
    assert_eq!(failure(meta(190)).kind(), ErrorKind::Account);
    assert_eq!(failure(Answer::json(401, &json!({"code": "UNAUTHORIZED"}))).kind(), ErrorKind::Auth);
    // An id beside a code of the gateway's says nothing about what was only read.
    let denied = json!({"code": "NO", "message_id": "m_1"});
    assert_eq!(failure(Answer::json(200, &denied)).kind(), ErrorKind::Server);
}

#[test]
fn get_reads_one_mebibyte_and_not_a_byte_more() {
    const LIMIT: usize = 1 << 20;
    let of_length = |length: usize| format!("{{\"data\":\"{}\"}}", "x".repeat(length - r#"{"data":""}"#.len()));
    let (gateway, client) = pair();
    gateway.answer_next(Answer::new(200, "application/json", &of_length(LIMIT)));
    assert_eq!(client.get("me").unwrap().body().len(), LIMIT);
    let error = failure(Answer::new(200, "application/json", &of_length(LIMIT + 1)));
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.to_string().contains("longer than 1024 KiB"), "{error}");
}
