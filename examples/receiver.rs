//! Receives webhooks and replies to each message once. `cargo run --example receiver -- --help` describes the usage.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{env, thread};

use hookmyapp::webhook::{self, Event, EventKind};
use hookmyapp::{Client, Config, Message};
use tiny_http::{Method, Request, Response, Server};

const USAGE: &str = "\
usage: receiver [PORT]

Listens on 127.0.0.1, on PORT or, without it or with 0, on a free one, and prints the address. Let a server that speaks
https pass HookMyApp's requests on to it.

  GET    HookMyApp's verification: answered with VERIFY_TOKEN
  POST   a delivery: 401 unless its signature fits, else 200; then each message and each tap on a button is answered,
         once

SIGTERM and SIGINT end it: it takes no more deliveries, and answers what it has taken.

VERIFY_TOKEN, WEBHOOK_HMAC_SECRET and the settings of a send, such as INSTAGRAM_API_URL, are read from the environment.

exit code: 0 ended by a signal, 1 cannot start, 64 wrong usage";

const CANNOT_START: u8 = 1;
const WRONG_USAGE: u8 = 64;
const BODY_LIMIT: u64 = 1 << 20;
const KEYS_KEPT: usize = 10_000;
/// How long the last replies may take after a signal.
const LAST_ANSWERS: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os().skip(1).map(|text| text.to_string_lossy().into()).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help" | "-h"] => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        [] => Ok(0),
        [port] => port.parse(),
        _ => "".parse::<u16>(),
    };
    let Ok(port) = port else {
        eprintln!("{USAGE}");
        return ExitCode::from(WRONG_USAGE);
    };
    match run(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(CANNOT_START)
        }
    }
}

fn run(port: u16) -> Result<(), String> {
    let config = Config::from_env();
    let client = Client::new(&config).map_err(|error| error.to_string())?;
    let verify_token = env::var("VERIFY_TOKEN").ok().filter(|token| !token.is_empty());
    let (queue, queued) = mpsc::channel();
    let mut desk = Desk {
        secret: config.webhook_secret().ok_or("WEBHOOK_HMAC_SECRET is not set")?.to_owned(),
        verify_token: verify_token.ok_or("VERIFY_TOKEN is not set")?,
        seen: Seen::default(),
        queue,
    };
    let cannot_listen = |error| format!("cannot listen on port {port}: {error}");
    let server = Arc::new(Server::http((Ipv4Addr::LOCALHOST, port)).map_err(cannot_listen)?);
    // HookMyApp waits 10 seconds for the 200, but a send may take longer: sends are made on a thread of their own.
    let (all_answered, is_over) = mpsc::channel();
    let answering = client.clone();
    thread::spawn(move || {
        answer_all(&answering, &queued);
        let _ = all_answered.send(());
    });
    stop_on_signal(&server)?;
    say(&format!("listening on http://{}", server.server_addr()));
    for mut request in server.incoming_requests() {
        let (status, body) = desk.handle(&mut request);
        // The client may have disconnected.
        let _ = request.respond(Response::from_string(body).with_status_code(status));
    }
    // The queue accepts no more messages. Those in it were acknowledged with 200, so they must not be lost.
    drop(desk);
    if is_over.recv_timeout(LAST_ANSWERS).is_err() {
        eprintln!("{} answers may have been delivered", client.drain(Duration::ZERO));
    }
    Ok(())
}

/// Stops the server from accepting requests after a signal.
#[cfg(unix)]
fn stop_on_signal(server: &Arc<Server>) -> Result<(), String> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot handle signals: {error}"))?;
    let server = Arc::clone(server);
    thread::spawn(move || {
        signals.forever().next();
        server.unblock();
    });
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signal(_: &Arc<Server>) -> Result<(), String> {
    Ok(())
}

/// Receives deliveries and queues the messages to reply to.
struct Desk {
    secret: String,
    verify_token: String,
    seen: Seen,
    queue: Sender<Event>,
}

impl Desk {
    /// Returns the response: a status and the whole body.
    fn handle(&mut self, request: &mut Request) -> (u16, &str) {
        match request.method() {
            Method::Get => (200, &self.verify_token),
            Method::Post => match read_body(request) {
                Ok(body) => self.take_in(signature(request), &body),
                Err(status) => (status, ""),
            },
            _ => (405, ""),
        }
    }

    fn take_in(&mut self, signature: Option<&str>, body: &[u8]) -> (u16, &str) {
        if let Err(error) = webhook::verify(&self.secret, signature, body) {
            eprintln!("refused a delivery: {error}");
            return (401, "");
        }
        let events = match webhook::parse(body) {
            Ok(events) => events,
            Err(error) => {
                eprintln!("refused a delivery: {error}");
                return (400, "");
            }
        };
        for event in events {
            if !self.seen.is_new(event.key()) {
                say("dropped a repeat");
            } else if is_for_us(&event) {
                // The receiving end exists as long as the program.
                let _ = self.queue.send(event);
            }
        }
        (200, "")
    }
}

fn read_body(request: &mut Request) -> Result<Vec<u8>, u16> {
    let mut body = Vec::new();
    match request.as_reader().take(BODY_LIMIT + 1).read_to_end(&mut body) {
        Err(_) => Err(400),
        Ok(length) if length as u64 > BODY_LIMIT => Err(413),
        Ok(_) => Ok(body),
    }
}

fn signature(request: &Request) -> Option<&str> {
    let header = request.headers().iter().find(|header| header.field.equiv("X-HookMyApp-Signature-256"));
    header.map(|header| header.value.as_str())
}

fn is_for_us(event: &Event) -> bool {
    matches!(event.kind(), EventKind::Message | EventKind::Postback) && event.reply_target().is_some()
}

fn answer_all(client: &Client, queued: &Receiver<Event>) {
    for event in queued {
        match client.reply(&event, &Message::text("Thank you! We will be with you soon.")) {
            Ok(_) => say(&format!("answered {}", event.user_id().unwrap_or_default())),
            Err(error) => eprintln!("not answered ({:?}): {error}", error.delivery()),
        }
    }
}

/// The keys of the last events. A program that must remember them after a restart stores them on disk.
#[derive(Default)]
struct Seen {
    keys: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, key: &str) -> bool {
        if !self.keys.insert(key.to_owned()) {
            return false;
        }
        self.in_order.push_back(key.to_owned());
        if self.in_order.len() > KEYS_KEPT {
            if let Some(oldest) = self.in_order.pop_front() {
                self.keys.remove(&oldest);
            }
        }
        true
    }
}

/// Continues when the output is closed.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
