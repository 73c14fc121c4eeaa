//! Runs the local gateway by itself and prints every message that it is sent.

mod gateway;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread;

use gateway::{Answer, Gateway, Received, Settings, hide_token};
use serde_json::Value;

const USAGE: &str = "\
A local HookMyApp gateway. Nothing leaves the machine.

usage: cargo run --example gateway [-- PORT]

PORT is the port to listen on; without it, or with 0, a free one is taken.
The program prints the settings that lead a client here, then each message that it receives.
";
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(0),
        ["-h" | "--help"] => {
            print(USAGE);
            return ExitCode::SUCCESS;
        }
        [port] => port.parse::<u16>().ok(),
        _ => None,
    };
    let Some(port) = port else {
        eprint!("One port from 0 to 65535 is all that can be given.\n\n{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    let gateway = match start(port) {
        Ok(gateway) => gateway,
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    print(&format!(
        "Listening. For a client's .env:\n\n{}\nOr try it at once:\n\n{}\n\n",
        gateway.env_lines(),
        gateway.curl_line()
    ));
    loop {
        thread::park();
    }
}

fn start(port: u16) -> io::Result<Gateway> {
    let on_request = Box::new(|received: &Received| print(&described(received)));
    let settings = Settings { on_request: Some(on_request), ..Settings::default() };
    Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, port))
}

/// One short block: what came, and what it was answered.
fn described(received: &Received) -> String {
    // The query is not shown: somebody may have put a token there.
    let path = received.path.split('?').next().unwrap_or_default();
    let request = format!("{} {path}", received.method);
    let status = received.answer.status;
    if !received.answer.is_success() {
        return format!("refused   {request}\n   {status}    {}\n\n", reason(&received.answer));
    }
    let token = received.bearer_token().unwrap_or_default();
    let token = hide_token(token, token);
    let body = on_one_line(&received.body);
    let answer = on_one_line(&received.answer.body);
    format!("accepted  {request}\n   token  {token}\n   body   {body}\n   {status}    {answer}\n\n")
}

/// The words of a refusal, be it the gateway's or Meta's.
fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body.pointer("/error/message").or(body.pointer("/message"));
    message.and_then(Value::as_str).unwrap_or("There is nothing at this address.").to_owned()
}

/// In JSON, line breaks stand only between the tokens.
fn on_one_line(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace(['\r', '\n', '\t'], " ")
}

/// Continues when the output is closed.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
