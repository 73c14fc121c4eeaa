//! Any bytes as the body of a delivery: no panic, and what is read is consistent.
#![no_main]

use std::collections::HashSet;

use hookmyapp::webhook;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(events) = webhook::parse(body) else { return };
    let mut raw_bytes = 0;
    let mut keys = HashSet::new();
    for event in &events {
        raw_bytes += event.json().len();
        assert!(!event.key().is_empty() && !event.json().is_empty());
        assert!(event.reply_target().is_none() || !event.is_echo() && !event.is_own() && !event.is_standby());
        assert!(event.window_closes_at().is_none() || event.opens_window() == Some(true));
        keys.insert(event.key());
    }
    // Each event is a part of the body, an entry at most once more; a byte that is not UTF-8 becomes three.
    assert!(raw_bytes <= 6 * body.len());
    assert!(keys.len() <= events.len());
    let again = webhook::parse(body).expect("it was read before");
    assert!(events.iter().map(|event| event.key()).eq(again.iter().map(|event| event.key())));
});
