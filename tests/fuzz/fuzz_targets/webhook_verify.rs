//! Any secret, header and body: no panic, and nothing passes that was not signed.
#![no_main]

use hookmyapp::{ErrorKind, webhook};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, Vec<u8>)| {
    let (secret, signature, body) = input;
    let Err(error) = webhook::verify(&secret, &*signature, &body) else {
        panic!("{signature:?} was guessed");
    };
    assert_eq!(error.kind(), ErrorKind::Signature);
    assert!(webhook::verify(&secret, None, &body).is_err());
});
