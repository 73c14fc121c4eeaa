//! The exported functions: every invalid argument that C can pass, and every result.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::fs;
use std::ptr;

use crate::support::c_api::{
    CText, Client, Config, Error, KINDS, Message, Response, argument_error, borrowed, line, made, old, sent,
};
use crate::support::gateway::{Answer, Gateway};
use crate::support::header::Header;
use crate::support::samples::{ACCOUNT_ID, TOKEN, USER};
use crate::vectors::c::{client_of, gateway_of};
use hookmyapp::capi::client::*;
use hookmyapp::capi::config::*;
use hookmyapp::capi::events::hma_events_echoes;
use hookmyapp::capi::message::*;
use hookmyapp::capi::status::*;
use hookmyapp::capi::webhook::hma_webhook_sign;
use serde_json::json;

const BASE_URL: &CStr = c"http://127.0.0.1:9/v25.0";
const IMAGE_URL: &CStr = c"https://cdn.example.net/mug.jpg";
/// Two good bytes, then one that never occurs in UTF-8.
const NOT_UTF8: &CStr = c"ab\xff";
/// No constant of any kind.
const OUT_OF_RANGE: [i32; 5] = [0, -1, 5, i32::MIN, i32::MAX];

fn to_user() -> *const c_char {
    c"8123456789012345".as_ptr()
}

fn client() -> (Gateway, Client) {
    let gateway = gateway_of(ACCOUNT_ID, TOKEN);
    let client = client_of(&gateway);
    (gateway, client)
}

// Every text that C hands in

/// How one text argument gets into a call: `function`, `parameter`, the name in the error string, whether it must be
/// there.
type Row<Call> = (&'static str, &'static str, &'static str, bool, Call);

type MakesConfig = fn(*const c_char) -> Box<hma_config>;
type MakesMessage = fn(*const c_char) -> Box<hma_message>;
type MakesString = fn(*const c_char) -> Result<String, Error>;
type Sends = fn(&Client, *const c_char) -> Result<Response, Error>;

/// A setter applied to what another function made.
fn with<T>(mut made: Box<T>, change: impl FnOnce(Option<&mut T>)) -> Box<T> {
    change(Some(&mut made));
    made
}

fn good_config() -> Box<hma_config> {
    // SAFETY: three NUL-terminated texts.
    unsafe { hma_config_new(BASE_URL.as_ptr(), c"1".as_ptr(), c"t".as_ptr()) }
}

fn text() -> Box<hma_message> {
    // SAFETY: a NUL-terminated text.
    unsafe { hma_message_text(c"Hello".as_ptr()) }
}

const ONE: *const c_char = c"1".as_ptr();
const URL: *const c_char = IMAGE_URL.as_ptr();

// SAFETY (all rows): every text is NUL-terminated or NULL.
const CONFIG_TEXTS: [Row<MakesConfig>; 7] = [
    ("hma_config_new", "base_url", "base_url", true, |it| unsafe { hma_config_new(it, ONE, ONE) }),
    ("hma_config_new", "account_id", "account_id", true, |it| unsafe { hma_config_new(BASE_URL.as_ptr(), it, ONE) }),
    ("hma_config_new", "access_token", "access_token", true, |it| unsafe {
        hma_config_new(BASE_URL.as_ptr(), ONE, it)
    }),
    ("hma_config_from_env_file", "path", "path", true, |it| unsafe { hma_config_from_env_file(it) }),
    ("hma_config_set_ca_file", "path", "ca_file", false, |it| {
        with(good_config(), |config| unsafe { hma_config_set_ca_file(config, it) })
    }),
    ("hma_config_set_proxy", "url", "proxy", false, |it| {
        with(good_config(), |config| unsafe { hma_config_set_proxy(config, it) })
    }),
    ("hma_config_set_no_proxy", "hosts", "no_proxy", false, |it| {
        with(good_config(), |config| unsafe { hma_config_set_no_proxy(config, it) })
    }),
];

const MESSAGE_TEXTS: [Row<MakesMessage>; 23] = [
    ("hma_message_text", "text", "text", true, |it| unsafe { hma_message_text(it) }),
    ("hma_message_attachment", "url", "url", true, |it| unsafe { hma_message_attachment(1, it) }),
    ("hma_message_attachment_id", "attachment_id", "attachment_id", true, |it| unsafe {
        hma_message_attachment_id(1, it)
    }),
    ("hma_message_post", "media_id", "media_id", true, |it| unsafe { hma_message_post(it) }),
    ("hma_message_reaction", "message_id", "message_id", true, |it| unsafe { hma_message_reaction(it, ONE) }),
    ("hma_message_reaction", "reaction_or_null", "reaction", false, |it| unsafe { hma_message_reaction(ONE, it) }),
    ("hma_message_add_image", "url", "url", true, |it| {
        with(hma_message_images(), |message| unsafe { hma_message_add_image(message, it) })
    }),
    ("hma_message_add_image_id", "attachment_id", "attachment_id", true, |it| {
        with(hma_message_images(), |message| unsafe { hma_message_add_image_id(message, it) })
    }),
    ("hma_message_add_quick_reply", "title", "title", true, |it| {
        with(text(), |message| unsafe { hma_message_add_quick_reply(message, it, ONE) })
    }),
    ("hma_message_add_quick_reply", "payload", "payload", true, |it| {
        with(text(), |message| unsafe { hma_message_add_quick_reply(message, ONE, it) })
    }),
    ("hma_message_add_contact_reply", "title", "title", false, |it| {
        with(text(), |message| unsafe { hma_message_add_contact_reply(message, 1, it, ONE) })
    }),
    ("hma_message_add_contact_reply", "payload", "payload", false, |it| {
        with(text(), |message| unsafe { hma_message_add_contact_reply(message, 1, ONE, it) })
    }),
    ("hma_message_add_card", "title", "title", true, |it| {
        with(hma_message_cards(), |message| unsafe { hma_message_add_card(message, it, ONE, URL, URL) })
    }),
    ("hma_message_add_card", "subtitle", "subtitle", false, |it| {
        with(hma_message_cards(), |message| unsafe { hma_message_add_card(message, ONE, it, URL, URL) })
    }),
    ("hma_message_add_card", "image_url", "image_url", false, |it| {
        with(hma_message_cards(), |message| unsafe { hma_message_add_card(message, ONE, ONE, it, URL) })
    }),
    ("hma_message_add_card", "link_url", "link_url", false, |it| {
        with(hma_message_cards(), |message| unsafe { hma_message_add_card(message, ONE, ONE, URL, it) })
    }),
    ("hma_message_add_link_button", "title", "title", true, |it| {
        with(text(), |message| unsafe { hma_message_add_link_button(message, it, URL) })
    }),
    ("hma_message_add_link_button", "url", "url", true, |it| {
        with(text(), |message| unsafe { hma_message_add_link_button(message, ONE, it) })
    }),
    ("hma_message_add_postback_button", "title", "title", true, |it| {
        with(text(), |message| unsafe { hma_message_add_postback_button(message, it, ONE) })
    }),
    ("hma_message_add_postback_button", "payload", "payload", true, |it| {
        with(text(), |message| unsafe { hma_message_add_postback_button(message, ONE, it) })
    }),
    ("hma_message_set_tag", "tag", "tag", true, |it| {
        with(text(), |message| unsafe { hma_message_set_tag(message, it) })
    }),
    ("hma_message_set_messaging_type", "messaging_type", "messaging_type", true, |it| {
        with(text(), |message| unsafe { hma_message_set_messaging_type(message, it) })
    }),
    ("hma_message_set_reply_to", "message_id", "reply_to", true, |it| {
        with(text(), |message| unsafe { hma_message_set_reply_to(message, it) })
    }),
];

const SEND_TEXTS: [Row<Sends>; 7] = [
    ("hma_send_text", "recipient_id", "recipient_id", true, |client, it| {
        sent(|response, error| unsafe { hma_send_text(client.raw(), it, ONE, response, error) })
    }),
    ("hma_send_text", "text", "text", true, |client, it| {
        sent(|response, error| unsafe { hma_send_text(client.raw(), ONE, it, response, error) })
    }),
    ("hma_send", "recipient_id", "recipient_id", true, |client, it| {
        sent(|response, error| unsafe { hma_send(client.raw(), it, Some(&text()), response, error) })
    }),
    ("hma_send_private_reply", "comment_id", "comment_id", true, |client, it| {
        sent(|response, error| unsafe { hma_send_private_reply(client.raw(), it, Some(&text()), response, error) })
    }),
    ("hma_send_json", "body", "body", true, |client, it| {
        sent(|response, error| unsafe { hma_send_json(client.raw(), it, response, error) })
    }),
    ("hma_upload", "url", "url", true, |client, it| {
        sent(|response, error| unsafe { hma_upload(client.raw(), 1, it, response, error) })
    }),
    ("hma_get", "path", "path", true, |client, it| {
        sent(|response, error| unsafe { hma_get(client.raw(), it, response, error) })
    }),
];

const STRING_TEXTS: [Row<MakesString>; 3] = [
    ("hma_message_json", "recipient_id", "recipient_id", true, |it| {
        made(|json, error| unsafe { hma_message_json(Some(&text()), it, json, error) })
    }),
    ("hma_message_private_reply_json", "comment_id", "comment_id", true, |it| {
        made(|json, error| unsafe { hma_message_private_reply_json(Some(&text()), it, json, error) })
    }),
    ("hma_webhook_sign", "secret", "secret", true, |it| {
        made(|signature, error| unsafe { hma_webhook_sign(it, ptr::null(), 0, signature, error) })
    }),
];

/// What these find wrong in a text is no error: a signature does not fit, a part has no bytes, nothing is echoed.
const WITHOUT_ERRORS: [&str; 3] = ["hma_webhook_verify", "hma_text_part_length", "hma_events_echoes"];

#[test]
fn tables_contain_every_text_argument_of_the_header() {
    let header = Header::parse(include_str!(concat!(env!("OUT_DIR"), "/hookmyapp.h")));
    let expected: BTreeSet<(&str, &str)> = header
        .functions
        .iter()
        .filter(|function| !WITHOUT_ERRORS.contains(&function.name.as_str()))
        .flat_map(|function| function.parameters.iter().map(|parameter| (function.name.as_str(), parameter.as_str())))
        .filter_map(|(function, parameter)| Some((function, parameter.strip_prefix("const char *")?)))
        .collect();
    let configs = CONFIG_TEXTS.iter().map(|row| (row.0, row.1));
    let messages = MESSAGE_TEXTS.iter().map(|row| (row.0, row.1));
    let sends = SEND_TEXTS.iter().map(|row| (row.0, row.1));
    let strings = STRING_TEXTS.iter().map(|row| (row.0, row.1));
    assert_eq!(configs.chain(messages).chain(sends).chain(strings).collect::<BTreeSet<_>>(), expected);
}

/// What an error string says of a text that is itself invalid.
fn not_utf8(name: &str) -> String {
    format!("{name}: not UTF-8 at byte 2")
}

fn null(name: &str) -> String {
    format!("{name}: must not be NULL")
}

fn config_error(config: Box<hma_config>) -> String {
    let config = Config(Some(config));
    assert_eq!(borrowed(hma_config_url(config.0.as_deref())), None);
    let error = Client::new(&config).expect_err("no client");
    assert_eq!(error.status, HMA_ERROR_CONFIG, "{error}");
    line(&error)
}

#[test]
fn config_text_that_is_null_or_not_utf8_is_rejected() {
    for (function, parameter, name, is_needed, make) in CONFIG_TEXTS {
        let error = config_error(make(NOT_UTF8.as_ptr()));
        assert!(error.contains(&not_utf8(name)), "{function} {parameter}: {error}");
        if is_needed {
            let error = config_error(make(ptr::null()));
            assert!(error.contains(&null(name)), "{function} {parameter}: {error}");
        } else {
            let config = Config(Some(make(ptr::null())));
            Client::new(&config).unwrap_or_else(|error| panic!("{function} {parameter}: {error}"));
        }
    }
}

#[test]
fn message_text_that_is_null_or_not_utf8_is_rejected() {
    let (gateway, client) = client();
    for (function, parameter, name, is_needed, make) in MESSAGE_TEXTS {
        let send = |it: *const c_char| client.send(USER, &Message(Some(make(it))));
        let error = argument_error(send(NOT_UTF8.as_ptr()), function);
        assert_eq!(error, not_utf8(name), "{function} {parameter}");
        let before = gateway.received().len();
        if is_needed {
            assert_eq!(argument_error(send(ptr::null()), function), null(name), "{function} {parameter}");
        } else {
            send(ptr::null()).unwrap_or_else(|error| panic!("{function} {parameter}: {error}"));
        }
        assert_eq!(gateway.received().len(), before + usize::from(!is_needed), "{function} {parameter}");
    }
}

#[test]
fn send_text_that_is_null_or_not_utf8_is_rejected() {
    let (gateway, client) = client();
    for (function, parameter, name, is_needed, send) in SEND_TEXTS {
        assert!(is_needed);
        let error = argument_error(send(&client, NOT_UTF8.as_ptr()), function);
        assert_eq!(error, not_utf8(name), "{function} {parameter}");
        assert_eq!(argument_error(send(&client, ptr::null()), function), null(name), "{function} {parameter}");
    }
    assert!(gateway.received().is_empty());
}

#[test]
fn invalid_text_makes_no_string() {
    for (function, parameter, name, _, make) in STRING_TEXTS {
        for (pointer, expected) in [(NOT_UTF8.as_ptr(), not_utf8(name)), (ptr::null(), null(name))] {
            let error = make(pointer).expect_err(function);
            assert_eq!((error.status, line(&error)), (HMA_ERROR_ARGUMENT, expected), "{function} {parameter}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_has_no_part_and_is_no_echo() {
    // SAFETY: NUL-terminated texts or NULL.
    unsafe {
        for (text, length) in [(NOT_UTF8.as_ptr(), 0), (ptr::null(), 0), (c"".as_ptr(), 0), (c"ab".as_ptr(), 2)] {
            assert_eq!(hma_text_part_length(text), length);
            assert_eq!(hma_events_echoes(None, 0, text, text, 0), 0);
        }
    }
}

#[test]
fn config_of_three_nulls_names_all_three_arguments() {
    // SAFETY: NULL is an error, not a crash.
    let error = config_error(unsafe { hma_config_new(ptr::null(), ptr::null(), ptr::null()) });
    for name in ["base_url", "account_id", "access_token"] {
        assert!(error.contains(&null(name)), "{error}");
    }
}

#[test]
fn first_error_of_a_message_is_reported_in_c() {
    let (_gateway, client) = client();
    // SAFETY: NUL-terminated texts, or NULL.
    let message = with(text(), |message| unsafe {
        let message = message.unwrap();
        hma_message_set_tag(Some(message), NOT_UTF8.as_ptr());
        hma_message_set_reply_to(Some(message), ptr::null());
        hma_message_set_tag(Some(message), c"HUMAN_AGENT".as_ptr());
    });
    assert_eq!(argument_error(client.send(USER, &Message(Some(message))), "tag"), not_utf8("tag"));
}

// Constants and handles

#[test]
fn constant_out_of_range_is_rejected_by_name() {
    let (gateway, client) = client();
    let none_of_its = |name: &str, number: i32| format!("{name}: {number} is none of its constants");
    for number in OUT_OF_RANGE {
        // SAFETY (all): every text is NUL-terminated or NULL.
        let messages = [
            ("kind", unsafe { hma_message_attachment(number, URL) }),
            ("kind", unsafe { hma_message_attachment_id(number, ONE) }),
            ("action", hma_message_action(number)),
            ("kind", with(text(), |message| unsafe { hma_message_add_contact_reply(message, number, ONE, ONE) })),
        ];
        for (name, message) in messages {
            let error = argument_error(client.send(USER, &Message(Some(message))), number);
            assert_eq!(error, none_of_its(name, number));
        }
        let upload = sent(|response, error| unsafe { hma_upload(client.raw(), number, URL, response, error) });
        assert_eq!(argument_error(upload, number), none_of_its("kind", number));
    }
    assert!(gateway.received().is_empty());
}

// Configurations

#[test]
fn client_of_invalid_config_is_null_with_the_reason() {
    // SAFETY (all): every text is NUL-terminated.
    let new = |base: &CStr, account: &CStr, token: &CStr| unsafe {
        hma_config_new(base.as_ptr(), account.as_ptr(), token.as_ptr())
    };
    let no_file = with(good_config(), |config| unsafe {
        hma_config_set_ca_file(config, c"/no/such/file.pem".as_ptr());
    });
    let proxy = with(good_config(), |config| unsafe { hma_config_set_proxy(config, c"ftp://127.0.0.1".as_ptr()) });
    for (name, config) in [
        ("base_url", new(c"http://gateway.example.com", c"1", c"t")),
        ("base_url", new(c"", c"1", c"t")),
        ("account_id", new(BASE_URL, c"1/2", c"t")),
        ("access_token", new(BASE_URL, c"1", c"secret\r\nX: y")),
        ("timeout", with(good_config(), |config| hma_config_set_timeout(config, 0))),
        ("connect timeout", with(good_config(), |config| hma_config_set_connect_timeout(config, 0))),
        ("proxy", proxy),
        ("/no/such/env", unsafe { hma_config_from_env_file(c"/no/such/env".as_ptr()) }),
    ] {
        let error = config_error(config);
        assert!(error.contains(name) && !error.contains("secret"), "{name}: {error}");
    }
    // This file is read when the client is made.
    let error = Client::new(&Config(Some(no_file))).unwrap_err();
    assert_eq!(error.status, HMA_ERROR_CONFIG);
    assert!(line(&error).contains("/no/such/file.pem"), "{error}");
}

#[test]
fn valid_value_replaces_the_error_of_an_invalid_one_in_c() {
    type Change = fn(&mut hma_config);
    // SAFETY (all): every text is NUL-terminated or NULL.
    let settings: [(Change, Change); 7] = [
        (|it| hma_config_set_timeout(Some(it), 0), |it| hma_config_set_timeout(Some(it), 1)),
        (|it| hma_config_set_connect_timeout(Some(it), 0), |it| hma_config_set_connect_timeout(Some(it), u32::MAX)),
        (
            |it| unsafe { hma_config_set_ca_file(Some(it), NOT_UTF8.as_ptr()) },
            |it| unsafe { hma_config_set_ca_file(Some(it), ptr::null()) },
        ),
        (
            |it| unsafe { hma_config_set_proxy(Some(it), NOT_UTF8.as_ptr()) },
            |it| unsafe { hma_config_set_proxy(Some(it), ptr::null()) },
        ),
        (
            |it| unsafe { hma_config_set_proxy(Some(it), c"ftp://x".as_ptr()) },
            |it| unsafe { hma_config_set_proxy(Some(it), c"http://127.0.0.1:9".as_ptr()) },
        ),
        (
            |it| unsafe { hma_config_set_proxy(Some(it), NOT_UTF8.as_ptr()) },
            |it| unsafe { hma_config_set_proxy(Some(it), c"http://127.0.0.1:9".as_ptr()) },
        ),
        (
            |it| unsafe { hma_config_set_no_proxy(Some(it), NOT_UTF8.as_ptr()) },
            |it| unsafe { hma_config_set_no_proxy(Some(it), ptr::null()) },
        ),
    ];
    for (at, (wrongly, rightly)) in settings.into_iter().enumerate() {
        let mut config = good_config();
        wrongly(&mut config);
        wrongly(&mut config);
        assert!(hma_config_url(Some(&config)).is_null(), "{at}");
        rightly(&mut config);
        assert_eq!(borrowed(hma_config_url(Some(&config))), Some("http://127.0.0.1:9/v25.0/1/messages"), "{at}");
        Client::new(&Config(Some(config))).unwrap_or_else(|error| panic!("{at}: {error}"));
    }
}

#[test]
fn hosts_that_need_no_proxy_are_connected_to_directly() {
    // A name that a lookup refuses on this machine: a label has at most 63 letters.
    let base_url = CText::of(format!("https://{}.example.net", "a".repeat(64)).as_str());
    for (hosts, is_asked) in [(None, true), (Some(c"other.example.com"), true), (Some(c"example.net"), false)] {
        let hosts = hosts.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: every text is NUL-terminated or NULL.
        let config = with(unsafe { hma_config_new(base_url.as_ptr(), ONE, ONE) }, |config| unsafe {
            let config = config.unwrap();
            hma_config_set_no_proxy(Some(config), c"*".as_ptr());
            hma_config_set_no_proxy(Some(config), hosts);
            hma_config_set_proxy(Some(config), c"http://127.0.0.1:9".as_ptr());
        });
        let error = Client::new(&Config(Some(config))).unwrap().send_text(USER, "Hello").unwrap_err();
        assert_eq!(error.status, HMA_ERROR_CONNECT);
        assert_eq!(line(&error).contains("the proxy 127.0.0.1:9"), is_asked, "{error}");
    }
}

#[test]
fn keep_alive_of_zero_is_accepted() {
    for milliseconds in [0, 1, u32::MAX] {
        let config = with(good_config(), |config| hma_config_set_keep_alive(config, milliseconds));
        Client::new(&Config(Some(config))).unwrap();
    }
}

#[test]
fn env_file_config_returns_url_and_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ünï.env");
    let lines = "INSTAGRAM_API_URL=https://sandbox.hookmyapp.com/v25.0\nINSTAGRAM_GRAPH_API_URL=https://x.example.com\n\
        INSTAGRAM_ACCOUNT_ID=1\nINSTAGRAM_USER_ID=2\nINSTAGRAM_ACCESS_TOKEN=t\n";
    fs::write(&path, lines).unwrap();
    let path = CText::of(path.to_str().unwrap());
    // SAFETY: a NUL-terminated text.
    let config = unsafe { hma_config_from_env_file(path.as_ptr()) };
    assert_eq!(borrowed(hma_config_url(Some(&config))), Some("https://sandbox.hookmyapp.com/v25.0/1/messages"));
    let warnings: Vec<&str> = borrowed(hma_config_warnings(Some(&config))).unwrap().lines().collect();
    let [urls, ids] = warnings[..] else { panic!("{warnings:?}") };
    assert!(urls.contains("INSTAGRAM_GRAPH_API_URL") && ids.contains("INSTAGRAM_USER_ID"), "{warnings:?}");
    assert!(hma_config_warnings(Some(&good_config())).is_null());
}

// Results

#[test]
fn out_arguments_may_be_null() {
    let (gateway, client) = client();
    let (none, no_string) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY (all): every text is NUL-terminated, and no out-parameter is wanted.
    let send = || unsafe { hma_send_text(client.raw(), to_user(), ONE, none, no_string) };
    assert_eq!(send(), HMA_OK);
    gateway.answer_next(Answer::json(403, &json!({"code": "SESSION_WINDOW_CLOSED", "message": "Closed."})));
    assert_eq!(send(), HMA_ERROR_WINDOW_CLOSED);
    assert_eq!(unsafe { hma_send_text(client.raw(), to_user(), ptr::null(), none, no_string) }, HMA_ERROR_ARGUMENT);
    assert_eq!(unsafe { hma_client_new(None, &mut old(), no_string) }, HMA_ERROR_ARGUMENT);
}

#[test]
fn send_without_connection_sets_the_response_to_null() {
    let config = Config(Some(good_config()));
    let error = Client::new(&config).unwrap().send_text(USER, "Hello").unwrap_err();
    // `sent` looks at both out-parameters.
    assert_eq!(error.status, HMA_ERROR_CONNECT);
    assert!(line(&error).contains("127.0.0.1:9"), "{error}");
}

#[test]
fn nul_in_a_response_text_does_not_truncate_it() {
    let (gateway, client) = client();
    gateway.answer_next(Answer::new(200, "application/json", r#"{"message_id":"a\u0000b","recipient_id":"1"}"#));
    assert_eq!(client.send_text(USER, "Hello").unwrap().message_id(), Some("a\u{FFFD}b"));
}

#[test]
fn response_body_is_returned_byte_for_byte() {
    let (gateway, client) = client();
    for body in [&b"\0\xff{}\0"[..], b"", b"{\"error\": null}\0"] {
        gateway.answer_next(Answer { status: 400, headers: Vec::new(), body: body.to_vec() });
        let error = client.send_text(USER, "Hello").unwrap_err();
        assert_eq!(error.response().unwrap().body(), body);
        assert_eq!(line(&error), "Instagram API error 400: {}");
    }
}

// Statuses

#[test]
fn every_status_has_a_delivery_and_a_description() {
    for status in (-5..=60).chain([i32::MIN, i32::MAX]) {
        let delivery = match status {
            0 => HMA_DELIVERY_ACCEPTED,
            10..=19 => HMA_DELIVERY_NOT_SENT,
            20..=29 => HMA_DELIVERY_REJECTED,
            _ => HMA_DELIVERY_UNKNOWN,
        };
        assert_eq!(hma_status_delivery(status), delivery, "{status}");
        let sentence = borrowed(hma_status_text(status)).unwrap();
        assert!(sentence.is_ascii() && !sentence.contains('\n') && !sentence.ends_with('.'), "{status}: {sentence}");
        match KINDS.into_iter().find(|kind| *kind as i32 == status) {
            Some(kind) => assert_eq!(sentence, kind.to_string(), "{status}"),
            None if status == HMA_OK => assert_eq!(sentence, "the gateway accepted the message"),
            None => assert_eq!(sentence, unknown(delivery), "{status}"),
        }
    }
}

fn unknown(delivery: hma_delivery) -> &'static str {
    match delivery {
        HMA_DELIVERY_NOT_SENT => "an unknown status: nothing was sent, sending again is safe",
        HMA_DELIVERY_REJECTED => "an unknown status: the message was refused",
        _ => "an unknown status: the message may have been delivered, do not repeat it blindly",
    }
}
