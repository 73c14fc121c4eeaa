//! The types: they cross threads and panics, and can be compared.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::time::Duration;

use hookmyapp::webhook::{self, Event, Events};
use hookmyapp::{AttachmentKind, Client, Config, ContactKind, Error, Message, Response};

#[test]
fn types_cross_threads_and_caught_panics() {
    fn is_fit<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    fn may_be_cloned<T: Clone>() {}
    is_fit::<Client>();
    is_fit::<Config>();
    is_fit::<Error>();
    is_fit::<Event>();
    is_fit::<Events>();
    is_fit::<Message>();
    is_fit::<Response>();
    may_be_cloned::<Client>();
    may_be_cloned::<Config>();
    may_be_cloned::<Event>();
    may_be_cloned::<Events>();
    may_be_cloned::<Message>();
    may_be_cloned::<Response>();
}

#[test]
fn client_is_usable_after_a_caught_panic() {
    let client = Client::new(&Config::new("http://127.0.0.1:9", "1", "t")).unwrap();
    let send = || client.send_text("1", "Hello").unwrap_err();
    let before = send().to_string();
    let panic = catch_unwind(|| {
        let error = client.send_text("1", "Hello").unwrap_err();
        panic!("{error}");
    });
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&before));
    assert_eq!(send().to_string(), before);
}

#[test]
fn messages_with_equal_content_are_equal() {
    let question = || Message::text("Which size?").quick_reply("S", "SIZE:S");
    let card =
        || Message::cards().card("Mug", None, None, "https://shop.example.net").link_button("Buy", "https://x.y");
    assert_eq!(question(), question());
    assert_eq!(card(), card());
    assert_eq!(question().clone(), question());
    let different = [
        question(),
        question().quick_reply("M", "SIZE:M"),
        question().tag("HUMAN_AGENT"),
        question().reply_to("m1"),
        question().messaging_type("RESPONSE"),
        question().contact_reply(ContactKind::Phone, None, None),
        question().card("does not fit", None, None, None),
        Message::text("Which size?"),
        Message::attachment(AttachmentKind::Image, "https://x.y/z"),
        Message::attachment(AttachmentKind::Image, "https://x.y/z").reusable(),
        Message::attachment_id(AttachmentKind::Image, "https://x.y/z"),
        Message::images().image("1"),
        Message::images().image_id("1"),
        Message::reaction("m1", "love"),
        Message::reaction("m1", None),
        card(),
        card().postback_button("Ask", "ASK"),
    ];
    assert_all_differ(&different);
}

#[test]
fn configs_are_equal_if_all_settings_and_secrets_are() {
    let config = || Config::new("https://gateway.example.net/v25.0/", "1", "token");
    assert_eq!(config(), Config::new("https://gateway.example.net/v25.0", "1", "token"));
    assert_eq!(config().timeout(Duration::from_secs(80)), config());
    let second = Duration::from_secs(1);
    let with_secret = |secret: &str| {
        Config::from_vars(|name| match name {
            "INSTAGRAM_API_URL" => Some("https://gateway.example.net/v25.0".to_owned()),
            "INSTAGRAM_ACCOUNT_ID" => Some("1".to_owned()),
            "INSTAGRAM_ACCESS_TOKEN" => Some("token".to_owned()),
            "WEBHOOK_HMAC_SECRET" => Some(secret.to_owned()),
            _ => None,
        })
    };
    assert_eq!(with_secret(""), config());
    let different = [
        config(),
        with_secret("whsec_1"),
        with_secret("whsec_2"),
        Config::new("https://gateway.example.net/v24.0", "1", "token"),
        Config::new("https://gateway.example.net/v25.0", "2", "token"),
        Config::new("https://gateway.example.net/v25.0", "1", "another"),
        config().timeout(second),
        config().connect_timeout(second),
        config().keep_alive(second),
        config().ca_file("ca.pem"),
        config().proxy("http://proxy.example.net"),
        config().proxy("http://user:secret@proxy.example.net"),
        config().no_proxy("*"),
        config().timeout(Duration::ZERO),
    ];
    assert_all_differ(&different);
}

fn assert_all_differ<T: PartialEq + std::fmt::Debug>(values: &[T]) {
    for (first, one) in values.iter().enumerate() {
        for (second, other) in values.iter().enumerate() {
            assert_eq!(one == other, first == second, "{one:?}\n{other:?}");
        }
    }
}

#[test]
fn reply_target_is_non_exhaustive() {
    let body = r#"{"object":"instagram","entry":[{"id":"1","messaging":[{"sender":{"id":"8"},"message":{"mid":"m","text":"hi"}}]}]}"#;
    let events = webhook::parse(body.as_bytes()).unwrap();
    // Without the last arm this does not compile.
    let told = match events.get(0).unwrap().reply_target() {
        Some(webhook::ReplyTarget::User(id)) => id,
        Some(webhook::ReplyTarget::Comment(_)) | None => "nobody",
        #[deny(unreachable_patterns)]
        Some(_) => "somebody else",
    };
    assert_eq!(told, "8");
}
