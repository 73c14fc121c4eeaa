//! Replies to events, and the secret that webhooks are signed with.

use std::collections::BTreeSet;
use std::fs;

use hookmyapp::capi::config::{hma_config_free, hma_config_from_env_file, hma_config_webhook_secret};
use hookmyapp::capi::events::hma_reply;
use hookmyapp::capi::status::*;
use hookmyapp::webhook::{self, ReplyTarget};
use hookmyapp::{Client, Config, ErrorKind, Message};
use serde_json::json;

use super::events::CEvents;
use crate::support::c_api::{self, CText, borrowed, sent};
use crate::support::checks::line;
use crate::support::gateway::Gateway;
use crate::support::samples::ACCOUNT_ID;
use crate::support::vectors::read_all;
use crate::support::webhook::{SECRET, delivery, message};

#[test]
fn webhook_secret_has_its_own_variable_and_is_never_shown() {
    let with = |name: &'static str| {
        Config::from_vars(move |asked| (asked == name).then(|| " whsec_9f2c41d07be84aa6\n".to_owned()))
    };
    assert_eq!(with("WEBHOOK_HMAC_SECRET").webhook_secret(), Some(SECRET));
    assert_eq!(with("VERIFY_TOKEN").webhook_secret(), None);
    assert_eq!(Config::from_vars(|_| Some(" ".to_owned())).webhook_secret(), None);
    assert_eq!(Config::new("http://127.0.0.1:9", ACCOUNT_ID, "token").webhook_secret(), None);
    let config = with("WEBHOOK_HMAC_SECRET");
    let error = Client::new(&config).unwrap_err();
    assert!(!format!("{config:?} {config:#?} {error} {error:?}").contains(SECRET));
}

#[test]
fn webhook_secret_is_read_from_an_env_file_in_rust_and_c() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, "VERIFY_TOKEN=vt_6b1d0c55\nWEBHOOK_HMAC_SECRET=\"whsec_9f2c41d07be84aa6\"\n").unwrap();
    assert_eq!(Config::from_env_file(&file).webhook_secret(), Some(SECRET));
    let path = CText::of(file.to_str().unwrap());
    // SAFETY: a text with a NUL behind it.
    let config = unsafe { hma_config_from_env_file(path.as_ptr()) };
    assert_eq!(borrowed(hma_config_webhook_secret(Some(&config))), Some(SECRET));
    assert!(hma_config_webhook_secret(None).is_null());
    hma_config_free(Some(config));
}

#[test]
fn events_of_the_vectors_are_replied_to_or_rejected() {
    let gateway = Gateway::start().unwrap();
    let client = Client::new(&Config::new(&gateway.base_url(), gateway.account_id(), gateway.token())).unwrap();
    let c_client = c_client_of(&gateway);
    let answer = Message::text("Thank you!");
    let mut refusals = BTreeSet::new();
    for (_, mut vector) in read_all("webhooks") {
        let body = vector.text("raw_body");
        let (events, c_events) = (webhook::parse(body.as_bytes()).unwrap(), CEvents::parse(body.as_bytes()).unwrap());
        for (index, event) in events.iter().enumerate() {
            // A comment takes one private reply, so that the gateway forgets the one before.
            gateway.forget_requests();
            let outcome = client.reply(event, &answer);
            let mut received = gateway.received();
            gateway.forget_requests();
            let (status, words) = c_reply(&c_client, &c_events, index);
            received.extend(gateway.received());
            let Some(target) = event.reply_target() else {
                let error = outcome.unwrap_err();
                assert_eq!((error.kind(), status), (ErrorKind::Argument, HMA_ERROR_ARGUMENT), "{}", vector.place());
                assert_eq!(words, Some(line(&error)));
                assert!(received.is_empty(), "{}", vector.place());
                refusals.insert(line(&error));
                continue;
            };
            let recipient = match target {
                ReplyTarget::User(id) => json!({"id": id}),
                ReplyTarget::Comment(id) => json!({"comment_id": id}),
                other => panic!("{other:?}"),
            };
            assert_eq!((outcome.map(drop).ok(), status, words), (Some(()), HMA_OK, None), "{}", vector.place());
            assert_eq!(received.len(), 2);
            for one in received {
                let sent = one.json().unwrap();
                assert_eq!((&sent["recipient"], &sent["message"]["text"]), (&recipient, &json!("Thank you!")));
            }
        }
        vector.set_all_aside();
    }
    assert_eq!(refusals.len(), 7, "{refusals:#?}");
}

#[test]
fn reply_to_an_index_out_of_range_is_rejected_in_c() {
    let gateway = Gateway::start().unwrap();
    let client = c_client_of(&gateway);
    let events = CEvents::parse(delivery(&[message("m", "hi")]).as_bytes()).unwrap();
    assert_eq!(c_reply(&client, &events, 1).1.as_deref(), Some("index: 1 is out of range, there are 1 events"));
    assert!(gateway.received().is_empty());
}

fn c_client_of(gateway: &Gateway) -> c_api::Client {
    let config = c_api::Config::new(&gateway.base_url(), gateway.account_id(), gateway.token());
    c_api::Client::new(&config).unwrap()
}

/// Replies with a text; gives status and error string.
fn c_reply(client: &c_api::Client, events: &CEvents, index: usize) -> (hma_status, Option<String>) {
    let message = c_api::Message::text("Thank you!");
    // SAFETY: out-parameters that may be written.
    let outcome = sent(|response, error| unsafe {
        hma_reply(client.raw(), events.get(), index, message.0.as_deref(), response, error)
    });
    outcome.map_or_else(|error| (error.status, Some(c_api::line(&error))), |_| (HMA_OK, None))
}
