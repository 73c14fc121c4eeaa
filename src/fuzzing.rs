//! Makes the parsers accessible to the fuzz targets of `tests/fuzz/`, which are compiled with `--cfg fuzzing`.

use crate::config::Config;
use crate::decode;
use crate::encode::{self, Recipient};
use crate::error::Error;
use crate::message::Message;
use crate::response::Response;
use crate::transport::HttpReply;

/// Interprets a reply as a send would.
pub fn interpret(
    status: u16,
    retry_after: Option<String>,
    app_usage: Option<String>,
    business_usage: Option<String>,
    body: Vec<u8>,
    token: &str,
) -> Result<Response, Error> {
    decode::interpret(
        HttpReply { status, retry_after, app_usage, business_usage, body, truncated: None },
        "https://example.net/1/messages",
        token,
    )
}

/// Checks a body as `Client::send_json` would.
pub fn check_json_body(body: &str) -> Result<(), Error> {
    encode::check_json_body(body)
}

/// Reads the text of an env file as `Config::from_env_file` would.
pub fn config_of_env_file(text: &str) -> Config {
    let file = crate::config::env_file::EnvFile::parse(text);
    Config::from_vars(|name| file.get(name))
}

/// Returns the body that `Client::send` would send.
pub fn message_body(recipient_id: &str, message: &Message) -> Result<Vec<u8>, Error> {
    encode::message_body(Recipient::User(recipient_id), message)
}
