//! Events of webhooks: what Rust and C read from a delivery, which must be the same.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::{ptr, thread};

use hookmyapp::capi::{events::*, status::*, webhook::*};
use hookmyapp::webhook::{self, Event, EventKind, ReplyTarget};
use hookmyapp::{Delivery, ErrorKind, window};
use serde_json::{Value, json};

use super::signatures::{check_signature, signature_header};
use crate::support::c_api::{borrowed, old, taken};
use crate::support::checks::line;
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::vectors::{Fields, read_all};
use crate::support::webhook::{delivery, message};

type Facts = BTreeMap<&'static str, Value>;
type CGetter<T> = extern "C" fn(Option<&hma_events>, usize) -> T;

/// A text of an event: its name, and how Rust and C read it.
type Text = (&'static str, fn(&Event) -> Option<&str>, CGetter<*const c_char>);

const TEXTS: [Text; 26] = [
    ("account_id", Event::account_id, hma_events_account_id),
    ("user_id", Event::user_id, hma_events_user_id),
    ("username", Event::username, hma_events_username),
    ("reply_to_user", reply_to_user, hma_events_reply_user_id),
    ("reply_to_comment", reply_to_comment, hma_events_reply_comment_id),
    ("message_id", Event::message_id, hma_events_message_id),
    ("target_message_id", Event::target_message_id, hma_events_target_message_id),
    ("comment_id", Event::comment_id, hma_events_comment_id),
    ("parent_id", Event::parent_id, hma_events_parent_id),
    ("media_id", Event::media_id, hma_events_media_id),
    ("text", Event::text, hma_events_text),
    ("title", Event::title, hma_events_title),
    ("payload", Event::payload, hma_events_payload),
    ("reply_to_message_id", Event::reply_to_message_id, hma_events_reply_to_message_id),
    ("story.id", |event| event.story()?.id(), hma_events_story_id),
    ("story.url", |event| event.story()?.url(), hma_events_story_url),
    ("story.link_sticker_url", |event| event.story()?.link_url(), hma_events_story_link_url),
    ("reaction_action", |event| event.reaction()?.action(), hma_events_reaction_action),
    ("reaction_name", |event| event.reaction()?.name(), hma_events_reaction_name),
    ("reaction_emoji", |event| event.reaction()?.emoji(), hma_events_reaction_emoji),
    ("referral.ref", |event| event.referral()?.reference(), hma_events_referral_ref),
    ("referral.source", |event| event.referral()?.source(), hma_events_referral_source),
    ("referral.type", |event| event.referral()?.referral_type(), hma_events_referral_type),
    ("referral.ad_id", |event| event.referral()?.ad_id(), hma_events_referral_ad_id),
    ("referral.product_id", |event| event.referral()?.product_id(), hma_events_referral_product_id),
    ("json", |event| Some(event.json()), hma_events_json),
];

/// The fields of a vector that have another name here.
const ALIASES: [(&str, &str); 12] = [
    ("type", "kind"),
    ("mid", "message_id"),
    ("target_mid", "target_message_id"),
    ("quick_reply_payload", "payload"),
    ("reply_to_mid", "reply_to_message_id"),
    ("reply_to_story", "story"),
    ("action", "reaction_action"),
    ("reaction", "reaction_name"),
    ("emoji", "reaction_emoji"),
    ("num_edit", "edit_count"),
    ("standby", "is_standby"),
    ("is_self", "is_own"),
];

fn reply_to_user(event: &Event) -> Option<&str> {
    match event.reply_target()? {
        ReplyTarget::User(id) => Some(id),
        _ => None,
    }
}

fn reply_to_comment(event: &Event) -> Option<&str> {
    match event.reply_target()? {
        ReplyTarget::Comment(id) => Some(id),
        _ => None,
    }
}

/// Adds a fact; `story.id` becomes the member `id` of `story`.
fn put(facts: &mut Facts, name: &'static str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) => facts.entry(outer).or_default()[inner] = value,
        None => drop(facts.insert(name, value)),
    }
}

fn rust_facts(event: &Event) -> Facts {
    let mut facts = Facts::new();
    TEXTS.iter().for_each(|(name, get, _)| put(&mut facts, name, json!(get(event))));
    let attachments = event
        .attachments()
        .iter()
        .map(|one| json!({"type": one.attachment_type(), "url": one.url(), "media_id": one.media_id(), "title": one.title()}));
    facts.extend([
        ("kind", json!(event.kind().to_string())),
        ("is_standby", json!(event.is_standby())),
        ("is_echo", json!(event.is_echo())),
        ("is_own", json!(event.is_own())),
        ("attachments", attachments.collect()),
        ("edit_count", json!(event.edit_count())),
        ("timestamp_ms", json!(event.timestamp_ms())),
        ("opens_window", json!(event.opens_window())),
        ("window_closes_at", json!(event.window_closes_at())),
        ("key", json!(event.key())),
    ]);
    facts
}

/// Events as a C program holds them.
pub struct CEvents(*mut hma_events);

impl CEvents {
    pub fn parse(body: &[u8]) -> Result<CEvents, (hma_status, String)> {
        let (mut events, mut error) = (old(), old());
        // SAFETY: a body of that length, and out-parameters that may be written.
        let status = unsafe { hma_events_parse(body.as_ptr().cast(), body.len(), &mut events, &mut error) };
        let text = taken(error);
        assert_eq!((status == HMA_OK, status == HMA_OK), (text.is_none(), !events.is_null()), "{text:?}");
        text.map_or(Ok(CEvents(events)), |text| Err((status, text)))
    }

    pub fn get(&self) -> Option<&hma_events> {
        // SAFETY: NULL, or what `hma_events_parse` gave, until it is dropped.
        unsafe { self.0.as_ref() }
    }

    fn count(&self) -> usize {
        hma_events_count(self.get())
    }

    fn facts(&self, index: usize) -> Facts {
        let (events, mut facts) = (self.get(), Facts::new());
        TEXTS.iter().for_each(|(name, _, get)| put(&mut facts, name, json!(borrowed(get(events, index)))));
        let attachments = (0..hma_events_attachment_count(events, index)).map(|at| {
            json!({
                "type": borrowed(hma_events_attachment_type(events, index, at)),
                "url": borrowed(hma_events_attachment_url(events, index, at)),
                "media_id": borrowed(hma_events_attachment_media_id(events, index, at)),
                "title": borrowed(hma_events_attachment_title(events, index, at)),
            })
        });
        let number = |number: i64| (number != -1).then_some(number);
        let opens_window = number(hma_events_opens_window(events, index).into()).map(|yes| yes == 1);
        facts.extend([
            ("kind", json!(KINDS.iter().find(|kind| kind.1 == hma_events_kind(events, index)).unwrap().2)),
            ("is_standby", json!(hma_events_is_standby(events, index) == 1)),
            ("is_echo", json!(hma_events_is_echo(events, index) == 1)),
            ("is_own", json!(hma_events_is_own(events, index) == 1)),
            ("attachments", attachments.collect()),
            ("edit_count", json!(number(hma_events_edit_count(events, index).into()))),
            ("timestamp_ms", json!(number(hma_events_timestamp_ms(events, index)))),
            ("opens_window", json!(opens_window)),
            ("window_closes_at", json!(number(hma_events_window_closes_at(events, index)))),
            ("key", json!(borrowed(hma_events_key(events, index)))),
        ]);
        facts
    }
}

impl Drop for CEvents {
    fn drop(&mut self) {
        // SAFETY: NULL, or `hma_events_parse` made it with `into_raw`; it is dropped once.
        hma_events_free((!self.0.is_null()).then(|| unsafe { Box::from_raw(self.0) }));
    }
}

/// All that Rust and C say about the events of a body; they must say the same.
fn facts_of(body: &[u8]) -> Vec<Facts> {
    let (events, c_events) = (webhook::parse(body).unwrap(), CEvents::parse(body).unwrap());
    let in_rust: Vec<_> = events.iter().map(rust_facts).collect();
    let in_c: Vec<_> = (0..c_events.count()).map(|index| c_events.facts(index)).collect();
    assert_eq!(in_rust, in_c);
    assert_eq!(events.object(), borrowed(hma_events_object(c_events.get())));
    in_rust
}

const KINDS: [(EventKind, hma_event_kind, &str); 13] = [
    (EventKind::Other, HMA_EVENT_OTHER, "other"),
    (EventKind::Message, HMA_EVENT_MESSAGE, "message"),
    (EventKind::Echo, HMA_EVENT_ECHO, "echo"),
    (EventKind::Deleted, HMA_EVENT_DELETED, "deleted"),
    (EventKind::Unsupported, HMA_EVENT_UNSUPPORTED, "unsupported"),
    (EventKind::Postback, HMA_EVENT_POSTBACK, "postback"),
    (EventKind::Reaction, HMA_EVENT_REACTION, "reaction"),
    (EventKind::Read, HMA_EVENT_READ, "read"),
    (EventKind::Referral, HMA_EVENT_REFERRAL, "referral"),
    (EventKind::Edit, HMA_EVENT_EDIT, "edit"),
    (EventKind::Comment, HMA_EVENT_COMMENT, "comment"),
    (EventKind::LiveComment, HMA_EVENT_LIVE_COMMENT, "live_comment"),
    (EventKind::Mention, HMA_EVENT_MENTION, "mention"),
];

#[test]
fn event_kinds_have_the_same_numbers_in_rust_and_c() {
    for (number, (kind, constant, name)) in KINDS.into_iter().enumerate() {
        assert_eq!((kind as i32, constant, kind.to_string().as_str()), (number as i32, number as i32, name));
    }
}

// The vectors

#[test]
fn webhooks_give_the_events_of_their_vectors() {
    let mut opening = 0;
    for (_, mut vector) in read_all("webhooks") {
        let (body, secret) = (vector.text("raw_body"), vector.text("secret"));
        let signature = signature_header(&mut vector);
        let mut expect = vector.object("expect");
        let is_valid = expect.flag("signature_valid");
        check_signature(vector.place(), &secret, signature.as_deref(), body.as_bytes(), is_valid);
        let given = facts_of(body.as_bytes());
        let expected = expect.objects("events");
        assert_eq!(given.len(), expected.len(), "{}", vector.place());
        for (given, mut expected) in given.iter().zip(expected) {
            compare(given, &mut expected);
            // Only an event that opens the window says when it closes.
            let time = given["timestamp_ms"].as_u64().filter(|_| given["opens_window"] == true);
            let closes_at = time.map(|time| time + 24 * 60 * 60 * 1000);
            assert_eq!(given["window_closes_at"], json!(closes_at), "{}", vector.place());
            opening += usize::from(closes_at.is_some());
        }
        expect.set_all_aside();
        vector.set_all_aside();
    }
    assert!(opening > 30);
}

/// Only what a vector names is compared.
fn compare(given: &Facts, expected: &mut Fields) {
    for (theirs, wanted) in expected.take_all() {
        let ours = ALIASES.iter().find(|alias| alias.0 == theirs).map_or(theirs.as_str(), |alias| alias.1);
        let given = given.get(ours).unwrap_or_else(|| panic!("{}: {theirs} is unknown", expected.place()));
        let wanted = if wanted == json!("unknown") { json!("other") } else { wanted };
        assert!(holds(given, &wanted), "{}: {theirs} is {given}, not {wanted}", expected.place());
    }
}

/// Whether `given` says what is wanted; it may say more.
fn holds(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Object(given), Value::Object(wanted)) => wanted.iter().all(|(name, value)| holds(&given[name], value)),
        (Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len() && given.iter().zip(wanted).all(|(given, wanted)| holds(given, wanted))
        }
        _ => given == wanted,
    }
}

// C

#[test]
fn event_getters_accept_null_and_any_index() {
    let nothing = CEvents(ptr::null_mut()).facts(0);
    let events = CEvents::parse(delivery(&[message("m", "hi")]).as_bytes()).unwrap();
    for index in [1, usize::MAX] {
        assert_eq!(events.facts(index), nothing, "{index}");
    }
    let said: Vec<_> = nothing.iter().filter(|(_, value)| is_said(value)).collect();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!((hma_events_count(None), hma_events_object(None)), (0, ptr::null()));
    assert!(hma_events_attachment_url(events.get(), 0, 0).is_null());
    hma_events_free(None);
}

fn is_said(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(is_said),
        Value::Array(items) => !items.is_empty(),
        other => ![Value::Null, json!(false), json!("other")].contains(other),
    }
}

#[test]
fn parsing_without_body_or_out_is_an_argument_error_in_c() {
    let (mut events, mut error) = (old(), old());
    // SAFETY: NULL where the header allows it, and pointers of this test.
    unsafe {
        assert_eq!(hma_events_parse(ptr::null(), 5, &mut events, &mut error), HMA_ERROR_ARGUMENT);
        assert!(events.is_null());
        assert_eq!(taken(error).unwrap(), "body: must not be NULL with a length of 5");
        assert_eq!(hma_events_parse(c"{}".as_ptr().cast(), usize::MAX, &mut events, &mut error), HMA_ERROR_ARGUMENT);
        assert!(taken(error).unwrap().contains("not a valid length"));
        assert_eq!(hma_events_parse(ptr::null(), 0, &mut events, &mut error), HMA_ERROR_ARGUMENT);
        assert!(taken(error).unwrap().starts_with("body: not JSON: "));
        assert_eq!(hma_events_parse(c"{}".as_ptr().cast(), 2, ptr::null_mut(), &mut error), HMA_ERROR_ARGUMENT);
        assert_eq!(taken(error).unwrap(), "events_out: must not be NULL");
        assert_eq!(hma_events_parse(ptr::null(), 1, ptr::null_mut(), ptr::null_mut()), HMA_ERROR_ARGUMENT);
    }
}

// Bodies

#[test]
fn body_that_is_not_json_is_rejected_with_position() {
    for (body, place) in [
        (&b""[..], "line 1 column 0"),
        (b"hub.mode=subscribe", "line 1 column 1"),
        (b"{\"object\":\"instagram\",\n\"entry\":[}", "line 2 column 10"),
        (b"{\"object\":\"instagram\"} x", "line 1 column 24"),
        (b"{\"a\":\"\0\"}", "line 1 column 6"),
        (b"\xff\xfe{\0}\0", "line 1 column 1"),
    ] {
        let error = webhook::parse(body).unwrap_err();
        let words = line(&error);
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Argument, Delivery::NotSent), "{words}");
        assert!(words.starts_with("body: not JSON: ") && words.ends_with(place), "{words}");
        assert_eq!(CEvents::parse(body).err(), Some((HMA_ERROR_ARGUMENT, words)));
    }
}

#[test]
fn json_of_another_object_gives_no_events_but_its_name() {
    for (body, object) in [
        ("null", None),
        ("7", None),
        ("\"instagram\"", None),
        ("[]", None),
        ("{}", None),
        ("[[{\"object\":\"instagram\"}]]", None),
        (r#"{"object":7}"#, None),
        (r#"{"object":"page","entry":[{"messaging":[{"sender":{"id":"1"}}]}]}"#, Some("page")),
        (r#"{"entry":[{"messaging":[{"sender":{"id":"1"}}]}]}"#, None),
        (r#"{"object":"instagram"}"#, Some("instagram")),
        (r#"{"object":"instagram","entry":{"messaging":[{"sender":{"id":"1"}}]}}"#, Some("instagram")),
        (r#"[{"object":"page"},{"object":"instagram"},{"object":"user"}]"#, Some("instagram")),
    ] {
        assert!(facts_of(body.as_bytes()).is_empty(), "{body}");
        assert_eq!(webhook::parse(body.as_bytes()).unwrap().object(), object, "{body}");
    }
}

#[test]
fn invalid_utf8_affects_no_other_event() {
    let body = delivery(&[message("m1", "bad: \u{1}"), message("m2", "good")]);
    let body: Vec<u8> =
        body.replace("\\u0001", "\u{1}").bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let facts = facts_of(&body);
    assert_eq!(facts.len(), 2);
    assert_eq!(facts[0]["text"], "bad: \u{FFFD}");
    assert!(facts[0]["json"].as_str().unwrap().contains("bad: \u{FFFD}"));
    assert_eq!(facts[1]["text"], "good");
}

#[test]
fn byte_order_mark_is_skipped() {
    let body = format!("\u{FEFF}{}", delivery(&[message("m", "hi")]));
    assert_eq!(facts_of(body.as_bytes()).len(), 1);
}

#[test]
fn nul_in_an_event_text_becomes_the_replacement_character() {
    let facts = facts_of(delivery(&[message("m", "a\0b")]).as_bytes());
    assert_eq!(facts[0]["text"], "a\u{FFFD}b");
    assert!(facts[0]["json"].as_str().unwrap().contains("a\\u0000b"));
}

#[test]
fn event_json_is_the_unmodified_input() {
    let item = r#"{ "sender":{"id":8123456789012345678901234567890}, "x" : 1.50, "é":"\u00e9\/" , "sender2":null }"#;
    let body = format!(r#"{{"object":"instagram","entry":[{{"messaging":[ {item} , null]}}]}}"#);
    let facts = facts_of(body.as_bytes());
    assert_eq!(facts[0]["json"], item);
    assert_eq!(facts[0]["user_id"], "8123456789012345678901234567890");
    let change = r#"{"field":"story_insights","value":{"media_id":"1","impressions":5}}"#;
    let body = format!(r#"{{"object":"instagram","entry":[{{"id":"7","time":1,"changes":[{change}]}}]}}"#);
    let facts = facts_of(body.as_bytes());
    assert_eq!((&facts[0]["json"], &facts[0]["kind"]), (&json!(change), &json!("other")));
    assert_eq!(facts[0]["media_id"], Value::Null);
}

#[test]
fn times_in_seconds_or_milliseconds_become_milliseconds() {
    for (time, expected) in [
        (json!(1_782_900_000_123_u64), Some(1_782_900_000_123_u64)),
        (json!(1_782_900_000), Some(1_782_900_000_000)),
        (json!("1782900000"), Some(1_782_900_000_000)),
        (json!(99_999_999_999_u64), Some(99_999_999_999_000)),
        (json!(100_000_000_000_u64), Some(100_000_000_000)),
        (json!(0), Some(0)),
        (json!(253_402_300_799_999_u64), Some(253_402_300_799_999)),
        (json!(253_402_300_800_000_u64), None),
        (json!(u64::MAX), None),
        (json!(-1), None),
        (json!(1.5), None),
        (json!(""), None),
        (json!(null), None),
        (json!([1_782_900_000]), None),
    ] {
        let body = delivery(&[json!({"sender": {"id": USER}, "timestamp": time, "message": {"mid": "m"}})]);
        let facts = facts_of(body.as_bytes());
        assert_eq!(facts[0]["timestamp_ms"], json!(expected), "{time}");
        assert_eq!(facts[0]["window_closes_at"], json!(expected.map(|time| time + 86_400_000)), "{time}");
    }
    let in_entry = r#"{"object":"instagram","entry":[{"time":1782900000,"messaging":[{"sender":{"id":"1"}}]}]}"#;
    assert_eq!(facts_of(in_entry.as_bytes())[0]["timestamp_ms"], json!(1_782_900_000_000_u64));
}

#[test]
fn unexpected_json_types_are_treated_as_absent() {
    let odd = [json!(null), json!(7), json!("x"), json!(true), json!([]), json!({}), json!([null]), json!([[[]]])];
    let names =
        ["sender", "recipient", "timestamp", "message", "postback", "reaction", "read", "referral", "message_edit"];
    let inner = ["mid", "text", "attachments", "quick_reply", "reply_to", "referral", "is_echo", "num_edit", "action"];
    let full =
        json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT_ID}, "timestamp": 1, "message": {"mid": "m"}});
    for value in &odd {
        for name in names {
            let mut item = full.clone();
            item[name] = value.clone();
            let facts = facts_of(delivery(&[item]).as_bytes());
            assert_eq!(facts.len(), usize::from(name != "sender"), "{name}: {value}");
        }
        for outer in ["message", "postback", "reaction", "read", "referral", "message_edit"] {
            for name in inner {
                let item = json!({"sender": {"id": USER}, outer: {name: value}});
                assert!(facts_of(delivery(&[item]).as_bytes()).len() <= 1);
            }
        }
        for name in ["id", "time", "messaging", "standby", "changes", "field", "value"] {
            facts_of(json!({"object": "instagram", "entry": [{name: value}, value]}).to_string().as_bytes());
        }
        for name in ["id", "comment_id", "from", "media", "text", "parent_id"] {
            let change = json!({"field": "comments", "value": {name: value}});
            facts_of(json!({"object": "instagram", "entry": [{"changes": [change]}]}).to_string().as_bytes());
        }
    }
}

#[test]
fn comment_without_author_and_id_is_omitted() {
    for (value, count) in [
        (json!({"text": "hi"}), 0),
        (json!(null), 0),
        (json!({"from": {"username": "someone"}}), 0),
        (json!({"from": {"id": USER}}), 1),
        (json!({"id": "1"}), 1),
    ] {
        let body = json!({"object": "instagram", "entry": [{"field": "comments", "value": value}]}).to_string();
        assert_eq!(facts_of(body.as_bytes()).len(), count, "{body}");
    }
}

#[test]
fn flags_of_one_event_are_all_read() {
    let parties = |sender: &str, recipient: &str, message: Value| json!({"sender": {"id": sender}, "recipient": {"id": recipient}, "message": message});
    for (item, kind, is_echo, is_own) in [
        (parties(ACCOUNT_ID, USER, json!({"mid": "m", "is_echo": true, "is_deleted": true})), "deleted", true, false),
        (parties(ACCOUNT_ID, USER, json!({"mid": "m", "is_echo": true, "is_unsupported": true})), "echo", true, false),
        (
            parties(USER, ACCOUNT_ID, json!({"mid": "m", "is_echo": false, "is_deleted": false})),
            "message",
            false,
            false,
        ),
        (parties(ACCOUNT_ID, ACCOUNT_ID, json!({"mid": "m"})), "message", false, true),
        (parties(USER, ACCOUNT_ID, json!({"mid": "m", "is_self": true})), "message", false, true),
    ] {
        let facts = &facts_of(delivery(&[item]).as_bytes())[0];
        assert_eq!(
            (&facts["kind"], &facts["is_echo"], &facts["is_own"]),
            (&json!(kind), &json!(is_echo), &json!(is_own))
        );
        let other_party = if is_own && facts["user_id"] == ACCOUNT_ID { ACCOUNT_ID } else { USER };
        assert_eq!(facts["user_id"], other_party);
        let is_answered = kind == "message" && !is_own;
        assert_eq!(facts["reply_to_user"].is_string(), is_answered, "{kind}");
        assert_eq!(facts["opens_window"], json!(is_answered), "{kind}");
    }
}

#[test]
fn text_that_only_javascript_reads_loses_no_event() {
    for (odd, text) in [
        (r#""\ud83d""#, Some("\u{FFFD}")),
        (r#""\ude00\ud83d""#, Some("\u{FFFD}\u{FFFD}")),
        (r#""a\uD83Db\u0000""#, Some("a\u{FFFD}b\u{FFFD}")),
        ("1e999", None),
        (&("[".repeat(1000) + &"]".repeat(1000)), None),
    ] {
        let items = format!("[{},{}]", message("m_1", "odd"), message("m_2", "whole")).replace(r#""odd""#, odd);
        let body = format!(r#"{{"object":"instagram","entry":[{{"id":"{ACCOUNT_ID}","messaging":{items}}}]}}"#);
        let events = webhook::parse(body.as_bytes()).unwrap();
        let texts: Vec<_> = events.iter().map(|event| (event.message_id().unwrap(), event.text())).collect();
        assert_eq!(texts, [("m_1", text), ("m_2", Some("whole"))]);
        assert!(events.get(0).unwrap().json().contains(odd));
        assert_eq!(CEvents::parse(body.as_bytes()).unwrap().count(), 2);
    }
}

#[test]
fn truncated_body_is_rejected_and_damaged_body_never_panics() {
    let body = delivery(&[message("m", "h\\u00e9llo"), message("n", "é")]);
    for end in 0..body.len() {
        assert!(webhook::parse(&body.as_bytes()[..end]).is_err(), "{end}");
    }
    for at in 0..body.len() {
        for byte in [b'{', b'}', b'"', b'\\', b'0', 0, 0xff] {
            let mut broken = body.clone().into_bytes();
            broken[at] = byte;
            let (in_rust, in_c) = (webhook::parse(&broken), CEvents::parse(&broken));
            assert_eq!(in_rust.map(|events| events.len()).ok(), in_c.map(|events| events.count()).ok());
        }
    }
}

// Repeats

#[test]
fn event_key_is_stable_across_redelivery_and_unique() {
    let at = |time: u64, part: Value| {
        let mut item = part;
        item["sender"] = json!({"id": USER});
        item["timestamp"] = json!(time);
        item
    };
    let react = |action: &str, emoji: &str| json!({"reaction": {"mid": "m", "action": action, "emoji": emoji}});
    let items = [
        at(1, json!({"message": {"mid": "m"}})),
        at(1, json!({"message": {"mid": "n"}})),
        at(1, json!({"message": {"mid": "m", "is_echo": true}, "recipient": {"id": "5"}})),
        at(1, json!({"message": {"mid": "m", "is_deleted": true}})),
        at(1, json!({"message": {"mid": "m", "is_unsupported": true}})),
        at(1, json!({"postback": {"mid": "m", "payload": "A"}})),
        at(2, json!({"postback": {"mid": "m", "payload": "A"}})),
        at(1, react("react", "❤")),
        at(1, react("react", "🎉")),
        at(1, react("unreact", "❤")),
        at(2, react("react", "❤")),
        at(1, json!({"read": {"mid": "m"}})),
        at(1, json!({"message_edit": {"mid": "m", "num_edit": 1}})),
        at(1, json!({"message_edit": {"mid": "m", "num_edit": "2"}})),
        at(1, json!({"message_edit": {"mid": "m"}})),
        at(2, json!({"message_edit": {"mid": "m"}})),
        at(1, json!({"referral": {"ref": "a"}})),
        at(1, json!({"referral": {"ref": "b"}})),
        at(2, json!({"referral": {"ref": "a"}})),
        at(1, json!({"message": {"text": "without an id"}})),
        at(1, json!({"something_new": 1})),
        at(1, json!({})),
    ];
    let keys = keys_of(&delivery(&items));
    assert_all_differ(&keys);
    // Another batch, another order, other spaces, another time of the entry.
    for (item, key) in items.iter().zip(&keys).rev() {
        let again = format!(
            r#"{{ "object" : "instagram", "entry" : [ {{ "time" : 9, "messaging" : [ {} ] }} ] }}"#,
            serde_json::to_string_pretty(item).unwrap()
        );
        assert_eq!(&keys_of(&again), &[key.as_str()], "{again}");
    }
    let standby = json!({"object": "instagram", "entry": [{"standby": items}]}).to_string();
    assert_all_differ(&[keys, keys_of(&standby)].concat());
}

#[test]
fn key_of_a_mention_is_that_of_its_comment() {
    let change = |field: &str, value: Value| json!({"field": field, "value": value});
    let changes = [
        change("comments", json!({"id": "1", "text": "a"})),
        change("comments", json!({"id": "2", "text": "a"})),
        change("live_comments", json!({"id": "1"})),
        change("mentions", json!({"comment_id": "1", "media_id": "3"})),
        change("mentions", json!({"media_id": "3"})),
        change("story_insights", json!({"taps": 1})),
        change("story_insights", json!({"taps": 2})),
    ];
    let in_list =
        json!({"object": "instagram", "entry": [{"id": ACCOUNT_ID, "time": 5, "changes": changes}]}).to_string();
    let keys = keys_of(&in_list);
    assert_eq!(keys.len(), changes.len());
    assert_all_differ(&keys);
    let later = in_list.replace("\"time\":5", "\"time\":6");
    assert_eq!(keys_of(&later)[..5], keys[..5]);
    assert_ne!(keys_of(&later)[5], keys[5], "the same figures may come again");
    let flat = json!({"object": "instagram", "entry": [{"field": "comments", "value": {"id": "1"}}]}).to_string();
    assert_eq!(keys_of(&flat)[0], keys[0]);
}

fn keys_of(body: &str) -> Vec<String> {
    facts_of(body.as_bytes()).iter().map(|facts| facts["key"].as_str().unwrap().to_owned()).collect()
}

fn assert_all_differ(keys: &[String]) {
    let mut sorted = keys.to_vec();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), keys.len(), "{keys:#?}");
}

// Sizes

#[test]
fn thousand_events_are_read_in_order() {
    let items: Vec<Value> = (0..1000).map(|at| message(&format!("m{at}"), &format!("text {at}"))).collect();
    let facts = facts_of(delivery(&items).as_bytes());
    assert_eq!(facts.len(), 1000);
    for (at, facts) in facts.iter().enumerate() {
        assert_eq!((&facts["message_id"], &facts["text"]), (&json!(format!("m{at}")), &json!(format!("text {at}"))));
    }
    let entries: Vec<Value> = items.iter().map(|item| json!({"id": ACCOUNT_ID, "messaging": [item]})).collect();
    let body = json!({"object": "instagram", "entry": entries}).to_string();
    assert_eq!(facts_of(body.as_bytes()).len(), 1000);
}

#[test]
fn body_of_1_mib_is_read_whatever_it_contains() {
    let text = "x".repeat(1 << 20);
    assert_eq!(facts_of(delivery(&[message("m", &text)]).as_bytes())[0]["text"], text);
    let attachments = vec![json!({}); 300_000];
    let many = json!({"sender": {"id": USER}, "message": {"mid": "m", "attachments": attachments}});
    let events = webhook::parse(delivery(&[many]).as_bytes()).unwrap();
    assert_eq!(events.get(0).unwrap().attachments().len(), 300_000);
    // The id of an entry belongs to all its events: were it copied, this would need 10 GiB.
    let changes = vec![json!({"field": "x"}); 20_000];
    let body = json!({"object": "instagram", "entry": [{"id": text, "changes": changes}]}).to_string();
    let events = webhook::parse(body.as_bytes()).unwrap();
    assert_eq!((events.len(), events.get(0).unwrap().account_id()), (20_000, None));
    let keys = "\"object\":\"instagram\",".repeat(40_000);
    let events = webhook::parse(format!("{{{keys}\"entry\":[]}}").as_bytes()).unwrap();
    assert_eq!((events.len(), events.object()), (0, Some("instagram")));
}

#[test]
fn deeply_nested_body_gives_no_events_and_needs_no_stack() {
    // A mebibyte of each.
    let nested = |open: &str, close: &str| {
        let depth = (1 << 20) / (open.len() + close.len());
        open.repeat(depth) + "1" + &close.repeat(depth)
    };
    let lists = nested("[", "]");
    let bombs = [
        lists.clone(),
        nested("{\"entry\":", "}"),
        nested("{\"object\":\"instagram\",\"entry\":[", "]}"),
        nested("{\"object\":\"instagram\",\"entry\":[{\"messaging\":[", "]}]}"),
        format!(r#"{{"object":"instagram","entry":[{lists}]}}"#),
        format!(r#"{{"object":"instagram","entry":[{{"messaging":{lists},"standby":{lists},"changes":{lists}}}]}}"#),
    ];
    let smallest_stack = thread::Builder::new().stack_size(64 << 10);
    let all_read = smallest_stack.spawn(move || {
        for bomb in bombs {
            assert_eq!(webhook::parse(bomb.as_bytes()).unwrap().len(), 0);
            let words = line(&webhook::parse(&bomb.as_bytes()[..bomb.len() - 1]).unwrap_err());
            assert!(words.contains("line 1 column"), "{words}");
        }
    });
    all_read.unwrap().join().unwrap();
    let body = format!(
        r#"{{"object":"instagram","entry":[{{"messaging":[{{"sender":{{"id":"1"}},"new":{lists}}},
        {{"sender":{{"id":"2"}},"message":{{"mid":"m","attachments":{lists},"reply_to":{lists}}}}}]}}]}}"#
    );
    let events = webhook::parse(body.as_bytes()).unwrap();
    assert_eq!(events.iter().map(|event| event.user_id().unwrap()).collect::<Vec<_>>(), ["1", "2"]);
}

// Types and the window

#[test]
fn events_can_be_moved_to_another_thread() {
    let events = webhook::parse(delivery(&[message("m", "hi"), message("n", "ho")]).as_bytes()).unwrap();
    let borrowed: Vec<&str> = (&events).into_iter().filter_map(Event::text).collect();
    assert_eq!(borrowed, ["hi", "ho"]);
    let owned: Vec<Event> = thread::spawn(move || events.into_iter().collect()).join().unwrap();
    assert_eq!(owned[1].text(), Some("ho"));
}

#[test]
fn debug_form_does_not_show_message_texts() {
    let events = webhook::parse(delivery(&[message("m", "between us")]).as_bytes()).unwrap();
    let shown = format!("{events:?}");
    assert!(shown.contains(USER) && !shown.contains("between us"), "{shown}");
}

#[test]
fn window_functions_agree_in_rust_and_c() {
    for time in [0, 1_782_900_000_123, 253_402_300_799_999] {
        let (closes_at, for_people) = (window::closes_at(time as u64), window::human_agent_closes_at(time as u64));
        assert_eq!(hma_window_closes_at(time) as u64, closes_at);
        assert_eq!(hma_window_human_agent_closes_at(time) as u64, for_people);
    }
    assert_eq!((hma_window_closes_at(-1), hma_window_human_agent_closes_at(i64::MIN)), (-1, -1));
    assert_eq!(hma_window_closes_at(i64::MAX), i64::MAX);
}
