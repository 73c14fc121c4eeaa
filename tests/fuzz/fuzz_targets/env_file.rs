//! Any env file: never a panic, and no error shows the token.
#![no_main]

use hookmyapp::{Client, fuzzing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let text = format!("{text}\nINSTAGRAM_ACCESS_TOKEN='hmat secret'\n");
    let config = fuzzing::config_of_env_file(&text);
    assert!(!format!("{config:?}").contains("hmat secret"));
    if let Err(error) = Client::new(&config) {
        assert!(!error.to_string().contains("hmat secret") && !error.to_string().contains('\n'));
    }
});
