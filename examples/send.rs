//! Sends one text. `cargo run --example send -- --help` describes the usage.

#[path = "gateway/gateway.rs"]
mod gateway;

use std::process::ExitCode;

use gateway::{Gateway, hide_token};
use hookmyapp::{Client, Config, Delivery, Error, Response};

const USAGE: &str = "\
usage: send [--env-file FILE] RECIPIENT_ID TEXT
       send --local TEXT

Sends TEXT to the Instagram user with the scoped id RECIPIENT_ID, the sender.id of a webhook. Where to send and as whom
is read from the environment, or from the FILE that `hookmyapp sandbox env --write` makes.

  --local   send through a gateway inside this process instead: no account is needed, and the request and the answer
            are shown as they went over the wire

exit code: 0 accepted, 1 not sent, 2 refused, 3 possibly delivered, 64 wrong usage";

const NOT_SENT: u8 = 1;
const REFUSED: u8 = 2;
const UNKNOWN: u8 = 3;
const WRONG_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|text| text.to_string_lossy().into()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["--local", text] if !text.starts_with("--") => send_locally(text),
        ["--env-file", file, recipient_id, text] => send(&Config::from_env_file(file), recipient_id, text),
        [recipient_id, text] if !recipient_id.starts_with("--") => send(&Config::from_env(), recipient_id, text),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}

fn send(config: &Config, recipient_id: &str, text: &str) -> ExitCode {
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    report(Client::new(config).and_then(|client| client.send_text(recipient_id, text)))
}

fn send_locally(text: &str) -> ExitCode {
    let gateway = match Gateway::start() {
        Ok(gateway) => gateway,
        Err(error) => {
            eprintln!("cannot start the local gateway: {error}");
            return ExitCode::from(NOT_SENT);
        }
    };
    let config = Config::new(&gateway.base_url(), gateway.account_id(), gateway.token());
    let outcome = Client::new(&config).and_then(|client| client.send_text("8123456789012345", text));
    for request in gateway.received() {
        let head = hide_token(&request.head, gateway.token());
        println!("{}\n\n{}\n", head.trim_end().replace('\r', ""), String::from_utf8_lossy(&request.body));
        println!("HTTP {}\n{}\n", request.answer.status, String::from_utf8_lossy(&request.answer.body));
    }
    report(outcome)
}

fn report(outcome: Result<Response, Error>) -> ExitCode {
    let error = match outcome {
        Ok(sent) => {
            println!("sent {}", sent.message_id().unwrap_or("(the gateway gave no message id)"));
            return ExitCode::SUCCESS;
        }
        Err(error) => error,
    };
    eprintln!("{error}\n{}", error.kind());
    if let Some(words) = error.response().and_then(Response::user_message) {
        eprintln!("Meta says: {words}");
    }
    if let Some(pause) = error.retry_after() {
        eprintln!("wait {} seconds before the next send", pause.as_secs());
    }
    ExitCode::from(match error.delivery() {
        Delivery::NotSent => NOT_SENT,
        Delivery::Rejected => REFUSED,
        Delivery::Unknown => UNKNOWN,
    })
}
