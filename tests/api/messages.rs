//! Messages: what is accepted, what is rejected, and that the body is sent unmodified.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::support::checks::argument_error;
use crate::support::gateway::{Answer, Gateway};
use crate::support::samples::{ACCOUNT_ID, USER};
use hookmyapp::{Action, AttachmentKind, Client, Config, ContactKind, Error, ErrorKind, Message, Response};
use serde_json::{Value, json};

const COMMENT: &str = "17912345678901234";
const URL: &str = "https://cdn.example.net/mug.jpg";

fn config_of(gateway: &Gateway) -> Config {
    Config::new(&gateway.base_url(), gateway.account_id(), gateway.token())
}

/// A gateway and a client of it.
fn pair() -> (Gateway, Client) {
    let gateway = Gateway::start().unwrap();
    let client = Client::new(&config_of(&gateway)).unwrap();
    (gateway, client)
}

/// The error text, which must begin with the name of a field.
fn refused_by_name(name: &str, outcome: Result<Response, Error>, given: &str) -> String {
    let error = argument_error(outcome, given);
    assert!(error.starts_with(&format!("{name}: ")), "{name}, {given:?}: {error}");
    error
}

fn assert_nothing_came(gateway: &Gateway) {
    assert!(gateway.received().is_empty(), "{:?}", gateway.received());
}

fn cards() -> Message {
    Message::cards().card("Blue mug", "Stoneware", None, None)
}

// Ids

/// What no id of any kind can be.
const NO_ID: [&str; 11] = ["", " ", "a b", " a", "a ", "a\nb", "a\r\nb", "a\tb", "a\0b", "a\u{7F}b", "ä"];
/// What no id of a user, comment, post or attachment can be.
const NO_NUMBER_LIKE_ID: [&str; 5] = ["@somebody", "@", "a/b", "/", "https://www.instagram.com/somebody"];

#[test]
fn invalid_id_is_rejected_by_field_name() {
    let (gateway, client) = pair();
    let to_user = |message: Message| client.send(USER, &message);
    for id in NO_ID.iter().chain(&NO_NUMBER_LIKE_ID) {
        for (name, outcome) in [
            ("recipient_id", client.send_text(id, "Hello")),
            ("recipient_id", client.send(id, &Message::text("Hello"))),
            ("recipient_id", client.send(id, &Message::action(Action::TypingOn))),
            ("comment_id", client.send_private_reply(id, &Message::text("Hello"))),
            ("media_id", to_user(Message::post(id))),
            ("attachment_id", to_user(Message::attachment_id(AttachmentKind::Video, id))),
            ("images[1].attachment_id", to_user(Message::images().image_id("1").image_id(id))),
        ] {
            refused_by_name(name, outcome, id);
        }
    }
    for id in NO_ID {
        for (name, outcome) in [
            ("message_id", to_user(Message::reaction(id, "love"))),
            ("message_id", to_user(Message::reaction(id, None))),
            ("reply_to", to_user(Message::text("Hello").reply_to(id))),
            ("tag", to_user(Message::text("Hello").tag(id))),
            ("messaging_type", to_user(Message::text("Hello").messaging_type(id))),
        ] {
            refused_by_name(name, outcome, id);
        }
    }
    refused_by_name("reaction", to_user(Message::reaction("m_1", "")), "");
    assert_nothing_came(&gateway);
}

#[test]
fn ids_are_opaque_and_sent_unmodified() {
    let (gateway, client) = pair();
    for id in ["1", "0", "a", "-1", "me@home", "7\"\\<>&'", &"9".repeat(500)] {
        client.send_text(id, "Hello").unwrap();
        assert_eq!(gateway.received().last().unwrap().json().unwrap()["recipient"], json!({ "id": id }));
    }
    for id in ["aWdf/ZAG+1f==", "@m", "m_\"1\""] {
        client.send(USER, &Message::reaction(id, "love")).unwrap();
        assert_eq!(gateway.received().last().unwrap().json().unwrap()["payload"]["message_id"], id);
        client.send(USER, &Message::text("Hello").reply_to(id)).unwrap();
        assert_eq!(gateway.received().last().unwrap().json().unwrap()["reply_to"], json!({ "mid": id }));
    }
}

// URLs

#[test]
fn url_that_meta_cannot_fetch_is_rejected_by_field_name() {
    let (gateway, client) = pair();
    let send = |message: Message| client.send(USER, &message);
    for url in [
        "",
        "mug.jpg",
        "/img/mug.jpg",
        "//cdn.example.net/mug.jpg",
        "cdn.example.net/mug.jpg",
        "file:///home/u/mug.jpg",
        "ftp://cdn.example.net/mug.jpg",
        "data:image/png;base64,AA",
        "javascript:alert(1)",
        "https:/cdn.example.net",
        "https:cdn.example.net",
        "httpss://cdn.example.net",
        "https://",
        "http://",
        "https:///mug.jpg",
        "https://?a",
        "https://#a",
        "https://:443/mug.jpg",
        " https://cdn.example.net",
        "https://cdn.example.net/blue mug.jpg",
        "https://cdn.example.net/\n",
        "https://cdn.example.net/\r\nX-Evil: 1",
        "https://cdn.example.net/\0",
        "https://cdn.example.net/\u{85}",
        "é://cdn.example.net",
    ] {
        for (name, outcome) in [
            ("url", send(Message::attachment(AttachmentKind::Image, url))),
            ("url", send(Message::attachment(AttachmentKind::File, url).reusable())),
            ("url", client.upload(AttachmentKind::Audio, url)),
            ("images[0].url", send(Message::images().image(url).image(URL))),
            ("images[1].url", send(Message::images().image(URL).image(url))),
            ("cards[0].image_url", send(Message::cards().card("Mug", None, url, None))),
            ("cards[0].link_url", send(Message::cards().card("Mug", None, None, url))),
            ("buttons[0].url", send(Message::text("Look").link_button("Here", url))),
            (
                "cards[1].buttons[1].url",
                send(cards().card("Mug", "Red", None, None).postback_button("A", "A").link_button("B", url)),
            ),
        ] {
            refused_by_name(name, outcome, url);
        }
    }
    assert_nothing_came(&gateway);
}

#[test]
fn absolute_http_url_is_sent_unmodified() {
    let (gateway, client) = pair();
    for url in [
        "https://cdn.example.net",
        "http://cdn.example.net/mug.jpg",
        "HTTPS://CDN.example.net/Mug.JPG",
        "https://cdn.example.net:8443/a%20b?c=d&e=\"f\"#g",
        "https://user@cdn.example.net/",
        "https://[2001:db8::1]/mug.jpg",
        "https://bücher.example/tasse-größe-ü.png",
    ] {
        client.send(USER, &Message::attachment(AttachmentKind::Image, url)).unwrap();
        let body = gateway.received().last().unwrap().json().unwrap();
        assert_eq!(body["message"]["attachment"]["payload"], json!({ "url": url }));
    }
}

// Limits that no vector holds

#[test]
fn title_beyond_a_limit_is_rejected_with_its_path() {
    let (gateway, client) = pair();
    let long = |length| "é".repeat(length);
    let pick = || Message::text("Pick");
    let empty = "must not be empty";
    for (name, message, words) in [
        ("quick_replies[1].title", pick().quick_reply("A", "A").quick_reply("", "B"), empty),
        ("quick_replies[0].title", pick().contact_reply(ContactKind::Email, "", None), empty),
        (
            "quick_replies[0].title",
            pick().contact_reply(ContactKind::Phone, long(21).as_str(), None),
            "at most 20 characters, not 21",
        ),
        ("buttons[0].title", pick().postback_button("", "A"), empty),
        ("buttons[1].title", pick().postback_button("A", "A").link_button("", URL), empty),
        ("text", Message::text("").postback_button("A", "A"), empty),
        ("cards[1].title", cards().card("", "Red", None, None), empty),
        ("cards[0].subtitle", Message::cards().card("Mug", "", None, None), empty),
        ("cards[1].title", cards().card(&long(81), "Red", None, None), "at most 80 characters, not 81"),
        ("cards[0].buttons[0].title", cards().link_button("", URL), empty),
    ] {
        let error = argument_error(client.send(USER, &message), name);
        assert_eq!(error, format!("{name}: {words}"));
    }
    assert_nothing_came(&gateway);

    let longest = (0..13).fold(Message::text("Pick"), |message, _| message.quick_reply(&long(20), ""));
    client.send(USER, &longest).unwrap();
    client.send(USER, &Message::text(&long(640)).postback_button("A", "")).unwrap();
    client.send(USER, &Message::cards().card(&long(80), long(80).as_str(), None, None)).unwrap();
}

#[test]
fn contact_replies_count_as_quick_replies() {
    let (gateway, client) = pair();
    let thirteen = (0..13).fold(Message::text("Pick"), |message, _| message.quick_reply("A", "A"));
    let fourteen = thirteen.clone().contact_reply(ContactKind::Email, None, None);
    assert_eq!(argument_error(client.send(USER, &fourteen), "fourteen"), "quick_replies: 1 to 13, not 14");
    assert_nothing_came(&gateway);
    client.send(USER, &thirteen).unwrap();
}

#[test]
fn private_reply_accepts_messages_only() {
    let (gateway, client) = pair();
    for (message, what) in [
        (Message::action(Action::MarkSeen), "a sender action"),
        (Message::reaction("m_1", "love"), "a reaction"),
        (Message::reaction("m_1", None), "a reaction"),
    ] {
        let error = refused_by_name("comment_id", client.send_private_reply(COMMENT, &message), what);
        assert!(error.contains(what), "{error}");
    }
    assert_nothing_came(&gateway);
}

// Calls that do not fit

type Change = fn(Message) -> Message;

/// Every kind of message, under the name that errors give it.
fn kinds() -> [(&'static str, Message); 12] {
    [
        ("a text", Message::text("Hello")),
        ("a text", Message::text("Pick").quick_reply("A", "A")),
        ("a text with buttons", Message::text("Pick").postback_button("A", "A")),
        ("an attachment by URL", Message::attachment(AttachmentKind::Image, URL)),
        ("an attachment by id", Message::attachment_id(AttachmentKind::Image, "1")),
        ("images", Message::images().image(URL)),
        ("a heart", Message::heart()),
        ("a post", Message::post("1")),
        ("cards", cards()),
        ("a reaction", Message::reaction("m_1", "love")),
        ("a reaction", Message::reaction("m_1", None)),
        ("a sender action", Message::action(Action::TypingOn)),
    ]
}

/// Every call that adds something: under what name, to which of the kinds above it fits, and what it belongs to.
const CHANGES: [(&str, &str, &str, Change); 11] = [
    ("an image", "     i      ", "images", |message| message.image(URL)),
    ("an image", "     i      ", "images", |message| message.image_id("1")),
    ("a quick reply", "tq          ", "a text without buttons", |message| message.quick_reply("B", "B")),
    ("a quick reply", "tq          ", "a text without buttons", |message| {
        message.contact_reply(ContactKind::Phone, None, None)
    }),
    ("a card", "        c   ", "cards", |message| message.card("Red mug", "Stoneware", None, None)),
    ("a button", "t b     c   ", "a text", |message| message.link_button("B", URL)),
    ("a button", "t b     c   ", "a text", |message| message.postback_button("B", "B")),
    ("a tag", "tqbuaihpc   ", "texts, media and templates", |message| message.tag("HUMAN_AGENT")),
    ("a messaging type", "tqbuaihpc   ", "texts, media and templates", |message| message.messaging_type("RESPONSE")),
    ("a reply-to", "tqbuaihpc   ", "texts, media and templates", |message| message.reply_to("m_1")),
    ("the reusable mark", "   u        ", "an attachment by URL", Message::reusable),
];

#[test]
fn call_that_does_not_fit_the_kind_is_rejected_by_name() {
    let (gateway, client) = pair();
    let mut sent = 0;
    for (what, fits, wanted, change) in CHANGES {
        assert_eq!(fits.len(), kinds().len());
        for ((kind, message), fit) in kinds().into_iter().zip(fits.chars()) {
            let outcome = client.send(USER, &change(message));
            if fit == ' ' {
                let error = argument_error(outcome, (what, kind));
                assert!(error.starts_with(&format!("{what} does not fit {kind}: ")), "{error}");
                assert!(error.contains(&format!("belongs to {wanted}")), "{error}");
            } else {
                outcome.unwrap_or_else(|error| panic!("{what}, {kind}: {error}"));
                sent += 1;
            }
        }
    }
    assert_eq!(gateway.received().len(), sent);
}

#[test]
fn button_before_the_first_card_is_rejected() {
    let (gateway, client) = pair();
    for message in [Message::cards().link_button("A", URL), Message::cards().postback_button("A", "A")] {
        let error = argument_error(client.send(USER, &message.card("Mug", "Red", None, None)), "a button first");
        assert!(error.contains("before the first card"), "{error}");
    }
    assert_nothing_came(&gateway);
}

#[test]
fn first_error_of_a_message_is_reported() {
    let (gateway, client) = pair();
    let message = Message::heart().quick_reply("A", "A").reusable().card("", None, None, None).tag("");
    assert!(argument_error(client.send(USER, &message), "four").starts_with("a quick reply does not fit a heart"));
    let message = Message::text("").reusable().quick_reply("", "");
    assert!(argument_error(client.send("", &message), "four").starts_with("the reusable mark does not fit a text"));
    let message = Message::text("").tag("");
    assert!(argument_error(client.send("", &message), "three").starts_with("recipient_id: "));
    assert!(argument_error(client.send(USER, &message), "two").starts_with("text: "));
    assert_nothing_came(&gateway);
}

#[test]
fn error_of_a_message_is_kept_by_its_clones() {
    let (gateway, client) = pair();
    let wrong = Message::text("Hello").reusable();
    let first = argument_error(client.send(USER, &wrong), "first");
    assert_eq!(argument_error(client.send(USER, &wrong), "second"), first);
    assert_eq!(argument_error(client.send_private_reply(COMMENT, &wrong.clone()), "clone"), first);
    assert_nothing_came(&gateway);
}

// A body of one's own

#[test]
fn body_that_is_not_a_json_object_is_rejected_with_position() {
    let (gateway, client) = pair();
    for (body, words) in [
        ("", "line 1 column 0"),
        ("{", "line 1 column 1"),
        ("{\n  \"a\" 1}", "line 2 column 7"),
        ("{\"a\":1,}", "line 1 column 8"),
        ("{\"a\":1}\n\nx", "line 3 column 1"),
        ("{\"a\":1}{}", "line 1 column 8"),
        ("{'a':1}", "line 1 column 2"),
        ("{\"a\":\"\u{1}\"}", "line 1 column"),
        ("{\"a\":\"\\ud80\"}", "line 1 column"),
        ("{\"a\":NaN}", "line 1 column 6"),
        ("\u{FEFF}{}", "line 1 column 1"),
        ("{}\0", "line 1 column 3"),
        ("[]", "must be a JSON object"),
        ("[{}]", "must be a JSON object"),
        ("\"text\"", "must be a JSON object"),
        (" 1 ", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("true", "must be a JSON object"),
    ] {
        let error = refused_by_name("body", client.send_json(body), body);
        assert!(error.contains(words), "{body:?}: {error}");
    }
    assert_nothing_came(&gateway);
}

#[test]
fn body_with_lone_surrogate_is_rejected_with_its_byte_offset() {
    let (gateway, client) = pair();
    for (body, byte) in [
        (r#"{"a":"\ud800"}"#, 6),
        (r#"{"é\ud83d\ude00":["\\","\uDC00\ud800"]}"#, 25),
        (r#"{"\ud83d\ud83d\ude00":1}"#, 2),
        (r#"{"a":"\ud83d","b":"\ude00"}"#, 6),
    ] {
        let error = refused_by_name("body", client.send_json(body), body);
        assert_eq!(error, format!("body: half of a surrogate pair at byte {byte}"));
        assert!(body[byte..].to_lowercase().starts_with("\\ud"));
    }
    assert_nothing_came(&gateway);
}

#[test]
fn json_object_is_sent_byte_for_byte() {
    let (gateway, client) = pair();
    for body in [
        "{\"recipient\":{\"id\":\"1\"},\"message\":{\"text\":\"Hello\"}}",
        " \n\t{ \"message\" : {\"text\": \"caf\\u00e9 \\/ é 👍 \\u0041\"},\r\n \"n\":[1.0,1e3,-0, 12345678901234567890],\
         \"recipient\": {\"id\":\"1\"} , \"x\":null}\n ",
        "{\"recipient\":{\"id\":\"0\"},\"recipient\":{\"id\":\"1\"},\"message\":{\"text\":\"twice\"}}",
    ] {
        client.send_json(body).unwrap();
        assert_eq!(gateway.received().last().unwrap().body, body.as_bytes());
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["{}", "{\"n\":1e999}", r#"{"a":"\ud83d\ude00 \\ud800"}"#, &deep] {
        gateway.answer_next(Answer::json(200, &json!({})));
        client.send_json(body).unwrap();
        assert_eq!(gateway.received().last().unwrap().body, body.as_bytes());
    }
}

#[test]
fn json_that_meta_rejects_is_rejected_by_the_gateway() {
    let (gateway, client) = pair();
    let error = client.send_json("{}").unwrap_err();
    assert_eq!((error.kind(), error.response().unwrap().http_status()), (ErrorKind::Rejected, 400));
    assert_eq!(gateway.received().len(), 1);
}

// One message, many threads

#[test]
fn threads_that_share_a_message_get_their_own_responses() {
    const THREADS: usize = 8;
    const SENDS: usize = 25;
    let (gateway, client) = pair();
    let message = Message::text("Which size?").quick_reply("S", "SIZE:S");
    let send_some = |thread: usize| -> Vec<(String, Response)> {
        let recipients = (0..SENDS).map(|send| format!("8{thread:03}{send:03}"));
        recipients.map(|id| (id.clone(), client.send(&id, &message).unwrap())).collect()
    };
    let answers: Vec<(String, Response)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || send_some(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });

    let received = gateway.received();
    assert_eq!((answers.len(), received.len()), (THREADS * SENDS, THREADS * SENDS));
    for (id, response) in &answers {
        assert_eq!(response.recipient_id(), Some(id.as_str()));
        let mut own = received.iter().filter(|one| one.json().unwrap()["recipient"]["id"] == id.as_str());
        assert_eq!(own.next().unwrap().answer.body, response.body());
        assert!(own.next().is_none(), "{id} got it twice");
    }
    let ids: BTreeSet<&str> = answers.iter().map(|(_, response)| response.message_id().unwrap()).collect();
    assert_eq!(ids.len(), answers.len());
    let bodies: BTreeSet<String> = received.iter().map(|one| one.json().unwrap()["message"].to_string()).collect();
    assert_eq!(bodies.len(), 1);
    let connections: BTreeSet<usize> = received.iter().map(|one| one.connection).collect();
    assert!(connections.len() <= THREADS, "{connections:?}");
}

#[test]
fn clones_do_not_change_with_the_original() {
    let (gateway, client) = pair();
    let question = Message::text("Pick").quick_reply("A", "A");
    let longer = question.clone().quick_reply("B", "B");
    for (message, count) in [(&longer, 2), (&question, 1), (&longer, 2)] {
        client.send(USER, message).unwrap();
        let body: Value = gateway.received().last().unwrap().json().unwrap();
        assert_eq!(body["message"]["quick_replies"].as_array().unwrap().len(), count);
    }

    let config = config_of(&gateway);
    let wrong = config.clone().timeout(Duration::ZERO);
    assert!(Client::new(&wrong).is_err() && Client::new(&config).is_ok());
}

// What is shown

#[test]
fn response_of_a_non_gateway_names_the_requested_url() {
    let gateway = Gateway::start().unwrap();
    let wrong = format!("http://{}/v1", gateway.address());
    let client = Client::new(&Config::new(&wrong, ACCOUNT_ID, gateway.token())).unwrap();
    for (edge, outcome) in [
        ("messages", client.send_text(USER, "Hello")),
        ("message_attachments", client.upload(AttachmentKind::Image, URL)),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.response().unwrap().http_status()), (ErrorKind::Endpoint, 404));
        let url = format!("{wrong}/17841450000000017/{edge}");
        let expected = format!(
            "Instagram API error 404: {{}}; POST {url} was not answered by a gateway: \
             correct the base URL and the account id"
        );
        assert_eq!(error.to_string(), expected);
    }
}

// Connections

fn connections(gateway: &Gateway) -> Vec<usize> {
    gateway.received().iter().map(|one| one.connection).collect()
}

#[test]
fn connection_is_reused_whatever_the_response_was() {
    let (gateway, client) = pair();
    client.send_text(USER, "Hello").unwrap();
    client.clone().send(USER, &Message::heart()).unwrap();
    client.send(gateway.account_id(), &Message::heart()).unwrap_err();
    client.upload(AttachmentKind::Image, URL).unwrap();
    client.send_json("{}").unwrap_err();
    client.send_text("", "Hello").unwrap_err();
    client.send_text(USER, "Hello").unwrap();
    assert_eq!(connections(&gateway), [0; 6]);
}

#[test]
fn keep_alive_of_zero_closes_every_connection() {
    let gateway = Gateway::start().unwrap();
    let client = Client::new(&config_of(&gateway).keep_alive(Duration::ZERO)).unwrap();
    for _ in 0..3 {
        client.send_text(USER, "Hello").unwrap();
    }
    assert_eq!(connections(&gateway), [0, 1, 2]);
    assert!(gateway.received().iter().all(|one| one.header("connection") == Some("close")));
}
