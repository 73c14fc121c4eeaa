//! Any answer: never a panic, the error string is one line and hides the token, and the status follows the HTTP status.
#![no_main]

use hookmyapp::{Delivery, fuzzing};
use libfuzzer_sys::{arbitrary::Arbitrary, fuzz_target};

const TOKEN: &str = "hmat_live_0000EXAMPLE0000";

#[derive(Arbitrary, Debug)]
struct Input {
    status: u16,
    retry_after: Option<String>,
    app_usage: Option<String>,
    business_usage: Option<String>,
    body: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let status = 100 + input.status % 900;
    let body = input.body.clone();
    match fuzzing::interpret(status, input.retry_after, input.app_usage, input.business_usage, input.body, TOKEN) {
        Ok(response) => {
            assert!(!format!("{response:?}").contains(TOKEN));
            assert!((200..300).contains(&status));
            assert_eq!(response.body(), body);
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && !line.contains(['\n', '\r', '\0']) && !line.contains(TOKEN));
            assert!(!format!("{error:?}").contains(TOKEN));
            let response = error.response().unwrap();
            assert_eq!((response.http_status(), response.body()), (status, &body[..]));
            if (200..300).contains(&status) && (response.meta_code().is_none() || response.message_id().is_some()) {
                assert_eq!(error.delivery(), Delivery::Unknown);
            }
        }
    }
});
