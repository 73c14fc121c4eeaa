//! Any text as a body: taken exactly if serde_json's own tree takes it and it is an object.
#![no_main]

use hookmyapp::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let is_object = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.is_object());
    assert_eq!(fuzzing::check_json_body(text).is_ok(), is_object);
});
