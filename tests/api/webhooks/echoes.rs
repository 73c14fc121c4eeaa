//! Echoes as evidence that a send with an unknown outcome did arrive, in Rust and in C.

use std::ptr;

use hookmyapp::capi::events::*;
use hookmyapp::webhook;
use serde_json::{Value, json};

use crate::support::c_api::CText;
use crate::support::samples::{ACCOUNT_ID, USER};

const TIME: u64 = 1_764_000_000_000;
const TEXT: &str = "Your order is ready";

fn message(fields: Value) -> Value {
    json!({"sender": {"id": ACCOUNT_ID}, "recipient": {"id": USER}, "timestamp": TIME, "message": fields})
}

fn echo() -> Value {
    message(json!({"mid": "m_1", "text": TEXT, "is_echo": true}))
}

fn delivery(field: &str, event: &Value) -> String {
    json!({"object": "instagram", "entry": [{"id": ACCOUNT_ID, "time": TIME, field: [event]}]}).to_string()
}

/// Asks in both languages; they must agree.
fn echoes(field: &str, event: &Value, recipient_id: &str, text: &str, since_ms: i64) -> bool {
    let body = delivery(field, event);
    let events = webhook::parse(body.as_bytes()).unwrap();
    let in_rust = u64::try_from(since_ms)
        .is_ok_and(|since| events.get(0).is_some_and(|event| event.echoes(recipient_id, text, since)));
    let (mut c_events, recipient_id, text) = (ptr::null_mut(), CText::of(recipient_id), CText::of(text));
    // SAFETY: a body of that length, out-parameters that may be written, NUL-terminated texts.
    let in_c = unsafe {
        hma_events_parse(body.as_ptr().cast(), body.len(), &mut c_events, ptr::null_mut());
        let asked = hma_events_echoes(c_events.as_ref(), 0, recipient_id.as_ptr(), text.as_ptr(), since_ms);
        hma_events_free(Some(Box::from_raw(c_events)));
        asked
    };
    assert_eq!(in_c, i32::from(in_rust), "{event}");
    in_rust
}

#[test]
fn echo_of_the_text_to_the_user_at_or_after_the_send_is_evidence() {
    let now = TIME as i64;
    for (recipient_id, text, since_ms, expected) in [
        (USER, TEXT, now, true),
        (USER, TEXT, now - 5000, true),
        (USER, TEXT, 0, true),
        (USER, " Your order is ready\r\n", now, true),
        (USER, TEXT, now + 1, false),
        (USER, TEXT, -1, false),
        (USER, "Your order", now, false),
        (USER, "your order is ready", now, false),
        (USER, "", now, false),
        (ACCOUNT_ID, TEXT, now, false),
        ("", TEXT, now, false),
    ] {
        assert_eq!(echoes("messaging", &echo(), recipient_id, text, since_ms), expected, "{text:?} {since_ms}");
    }
    assert!(echoes("standby", &echo(), USER, TEXT, now));
}

#[test]
fn what_is_no_echo_of_a_text_is_no_evidence() {
    let without_time = json!({"sender": {"id": ACCOUNT_ID}, "recipient": {"id": USER}, "message": echo()["message"]});
    let media = json!({"mid": "m_1", "is_echo": true, "attachments": [{"type": "image", "payload": {"url": "u"}}]});
    let edit = json!({"sender": {"id": ACCOUNT_ID}, "recipient": {"id": USER}, "timestamp": TIME,
        "message_edit": {"mid": "m_1", "text": TEXT, "num_edit": 1}});
    let from_user = json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT_ID}, "timestamp": TIME,
        "message": {"mid": "m_1", "text": TEXT}});
    for event in [message(media), edit, from_user] {
        assert!(!echoes("messaging", &event, USER, TEXT, 0), "{event}");
    }
    let body = json!({"object": "instagram", "entry": [{"id": ACCOUNT_ID, "messaging": [without_time]}]}).to_string();
    let events = webhook::parse(body.as_bytes()).unwrap();
    assert!(events.get(0).unwrap().is_echo() && !events.get(0).unwrap().echoes(USER, TEXT, 0));
}
