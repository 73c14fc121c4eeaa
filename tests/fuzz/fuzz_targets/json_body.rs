//! Any text as a body: an object is accepted if serde_json's own tree accepts it, and beyond that only what a tree cannot store.
#![no_main]

use hookmyapp::fuzzing;
use libfuzzer_sys::fuzz_target;

/// What a tree refuses although it is JSON.
const TREE_LIMITS: [&str; 2] = ["number out of range", "recursion limit exceeded"];

fuzz_target!(|text: &str| {
    let is_taken = fuzzing::check_json_body(text).is_ok();
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => assert_eq!(is_taken, value.is_object()),
        Err(error) => assert!(!is_taken || TREE_LIMITS.iter().any(|limit| error.to_string().starts_with(limit))),
    }
});
