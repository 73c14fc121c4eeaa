//! HookMyApp's Instagram gateway on this machine, for tests and for trying a program out. Nothing leaves the machine.
//!
//! A [`Simulator`] refuses what the gateway or Meta would refuse, delivers the rest to simulated users, plays faults
//! on the wire, posts signed webhooks, and records for every request whether the user got the message. The program
//! `hookmyapp-simulator` adds a command line; `docs/simulator.md` describes it together with the page and the JSON API.
//!
//! ```
//! use hookmyapp_simulator::{Fault, Simulator};
//!
//! # fn main() -> std::io::Result<()> {
//! let simulator = Simulator::start()?;
//! simulator.plan(Fault::LostAfter);
//! // ... lead the program under test to simulator.variables(), let it send, and then:
//! for received in simulator.received() {
//!     println!("{:?} got it: {}", received.user, received.got_it);
//! }
//! # Ok(())
//! # }
//! ```

mod actions;
mod answers;
mod api;
mod conclusions;
mod events;
mod faults;
mod gateway;
mod http;
mod line;
mod message_rules;
mod people;
mod record;
mod server;
mod tls;
mod webhooks;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub use conclusions::Conclusion;
pub use faults::{Fault, FaultRow, PlannedFault, Scope, table_text};
pub use http::Answer;
pub use record::{Counts, Received};

use gateway::Gateway;
use server::Port;
use webhooks::Target;

/// The user of the sandbox unless another one is given.
pub const SANDBOX_USER: &str = "8123456789012345";

/// Called with every request, accepted or refused, before its response goes out.
pub type Observer = Box<dyn Fn(&Received) + Send + Sync>;

/// How a simulator behaves. Every member has a default: `Settings { strict: true, ..Settings::default() }`.
pub struct Settings {
    /// Where to listen; loopback only. Default: 127.0.0.1 and a port that the system chooses.
    pub address: SocketAddr,
    /// The account's id. Default: `17841450000000017`.
    pub account_id: String,
    /// The access token. Default: a made-up one of HookMyApp's form.
    pub token: String,
    /// The secret that signs webhooks. Default: a made-up one.
    pub webhook_secret: String,
    /// What a receiver must answer to the verification. Default: a made-up one.
    pub verify_token: String,
    /// Whether there is a page, and a stream of events for it. Default: true.
    pub page: bool,
    /// Whether a second port with TLS is opened. Default: false.
    pub tls: bool,
    /// Whether only users who wrote first can be written to. Default: false, any id is a user who has just written.
    pub strict: bool,
    /// Makes this a sandbox: only this user can be written to, and the base has no `/meta`. Default: `None`.
    pub sandbox_user: Option<String>,
    /// Where webhooks are posted: an http URL on this machine. Default: `None`.
    pub webhook: Option<String>,
    /// The delays before the second and each later try of a webhook. Default: 1, 5 and 25 seconds.
    pub webhook_retries: Vec<Duration>,
    /// How long a receiver has for one try. Default: 10 seconds.
    pub webhook_timeout: Duration,
    /// Whether accepted messages come back as echo events. Default: false.
    pub echo: bool,
    /// Faults from the start. Default: none.
    pub faults: Vec<PlannedFault>,
    /// The part of the sends that gets a random fault, 0 to 100. Default: 0.
    pub chaos_percent: u8,
    /// The same seed gives the same random faults. Default: 0.
    pub seed: u64,
    /// Sends a second before Meta's error 613. Default: `None`, no limit.
    pub limit: Option<u32>,
    /// How long every response to a send takes. Default: zero.
    pub delay: Duration,
    /// How far the simulated clock is ahead, in milliseconds, at most 100 years. Default: 0.
    pub clock_offset_ms: i64,
    /// How many of the newest requests are kept. Default: 10 000.
    pub keep: usize,
    /// How many bytes of requests are kept at most; the newest request is kept in any case. Default: 64 MiB.
    pub keep_bytes: usize,
    /// Called with every request. Default: `None`.
    pub on_request: Option<Observer>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            account_id: "17841450000000017".to_owned(),
            token: "hmat_live_local_0000EXAMPLE0000".to_owned(),
            webhook_secret: "whsec_local_0000EXAMPLE0000".to_owned(),
            verify_token: "verify_local_0000EXAMPLE0000".to_owned(),
            page: true,
            tls: false,
            strict: false,
            sandbox_user: None,
            webhook: None,
            webhook_retries: [1, 5, 25].map(Duration::from_secs).to_vec(),
            webhook_timeout: Duration::from_secs(10),
            echo: false,
            faults: Vec::new(),
            chaos_percent: 0,
            seed: 0,
            limit: None,
            delay: Duration::ZERO,
            clock_offset_ms: 0,
            keep: 10_000,
            keep_bytes: 64 * 1024 * 1024,
            on_request: None,
        }
    }
}

impl Settings {
    /// What every path begins with. Sandboxes have no `/meta`.
    pub(crate) fn base_path(&self) -> &'static str {
        if self.sandbox_user.is_some() { "/v25.0" } else { "/meta/v25.0" }
    }
}

/// A simulated gateway that runs in background threads. Dropping it closes its listeners and all connections, and
/// waits for their threads.
pub struct Simulator {
    gateway: Arc<Gateway>,
    plain: Option<Port>,
    tls: Option<Port>,
    address: SocketAddr,
}

impl Simulator {
    /// Starts on 127.0.0.1, on a port that the system chooses.
    ///
    /// # Errors
    /// The system has no port or no thread.
    pub fn start() -> io::Result<Simulator> {
        Simulator::start_with(Settings::default())
    }

    /// Starts with settings.
    ///
    /// # Errors
    /// The address is in use or not a loopback address, the webhook URL is not of this machine, a fault needs TLS and
    /// there is none, or the system has no thread.
    pub fn start_with(settings: Settings) -> io::Result<Simulator> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let address = settings.address;
        if !address.ip().is_loopback() {
            return Err(invalid("the simulator listens on loopback addresses only".to_owned()));
        }
        let needs_tls = |planned: &&PlannedFault| planned.fault.row().scope == Scope::Handshake;
        if let Some(planned) = settings.faults.iter().find(needs_tls).filter(|_| !settings.tls) {
            return Err(invalid(format!("{} needs a port with TLS (--tls DIR)", planned.fault)));
        }
        let target = settings.webhook.as_deref().map(Target::new).transpose().map_err(invalid)?;
        let identity = if settings.tls { Some(tls::Identity::new()?) } else { None };
        let down = settings.faults.iter().find(|planned| planned.fault == Fault::Down).cloned();
        let listener = TcpListener::bind(address)?;
        let tls_listener = if settings.tls { Some(TcpListener::bind(SocketAddr::new(address.ip(), 0))?) } else { None };
        let gateway = Arc::new(Gateway::new(settings, identity));
        gateway.webhooks.set_url(target);
        let address = listener.local_addr()?;
        let mut simulator = Simulator { gateway: Arc::clone(&gateway), plain: None, tls: None, address };
        simulator.plain = Some(Port::open(listener, &gateway, false)?);
        if let Some(listener) = tls_listener {
            simulator.tls = Some(Port::open(listener, &gateway, true)?);
        }
        // Not waited for at the end: a receiver may take its time.
        thread::Builder::new().name("webhooks".to_owned()).spawn({
            let gateway = Arc::clone(&gateway);
            move || gateway.webhooks.run(&gateway)
        })?;
        if let Some(down) = down {
            simulator.plan_fault(down);
        }
        Ok(simulator)
    }

    /// The address of the port without TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the port with TLS, if there is one.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|port| port.address)
    }

    /// Where the page and the JSON API are, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for a client, up to the Graph version.
    pub fn base_url(&self) -> String {
        format!("{}{}", self.url(), self.gateway.settings.base_path())
    }

    /// The base URL of the port with TLS, if there is one.
    pub fn tls_base_url(&self) -> Option<String> {
        let address = self.tls_address()?;
        Some(format!("https://localhost:{}{}", address.port(), self.gateway.settings.base_path()))
    }

    /// The certificate of the authority that signs for the port with TLS, in PEM.
    pub fn ca_pem(&self) -> Option<&str> {
        self.gateway.tls.as_ref().map(|identity| identity.ca_pem.as_str())
    }

    /// The account's id.
    pub fn account_id(&self) -> &str {
        &self.gateway.settings.account_id
    }

    /// The access token.
    pub fn token(&self) -> &str {
        &self.gateway.settings.token
    }

    /// The secret that signs webhooks.
    pub fn webhook_secret(&self) -> &str {
        &self.gateway.settings.webhook_secret
    }

    /// The environment variables that lead a client and a receiver here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let settings = &self.gateway.settings;
        let base = if settings.sandbox_user.is_some() { "INSTAGRAM_API_URL" } else { "INSTAGRAM_GRAPH_API_URL" };
        vec![
            (base, self.base_url()),
            ("INSTAGRAM_ACCOUNT_ID", settings.account_id.clone()),
            ("INSTAGRAM_ACCESS_TOKEN", settings.token.clone()),
            ("WEBHOOK_HMAC_SECRET", settings.webhook_secret.clone()),
            ("VERIFY_TOKEN", settings.verify_token.clone()),
        ]
    }

    /// The variables as lines of a `.env` file.
    pub fn env_lines(&self) -> String {
        self.variables().iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// A command to paste into a shell, which sends a first message.
    pub fn curl_line(&self) -> String {
        let user = self.gateway.settings.sandbox_user.as_deref().unwrap_or(SANDBOX_USER);
        let body = format!(r#"{{"recipient":{{"id":"{user}"}},"message":{{"text":"Hello from curl"}}}}"#);
        format!(
            "curl -sS {} -H {} -H 'Content-Type: application/json' -d {}",
            shell_quoted(&format!("{}/{}/messages", self.base_url(), self.account_id())),
            shell_quoted(&format!("Authorization: Bearer {}", self.token())),
            shell_quoted(&body)
        )
    }

    /// Plans a fault: for the next send, for the next TLS handshake, or for the next 3 seconds, as its row says.
    pub fn plan(&self, fault: Fault) {
        let count = if fault == Fault::Down { faults::DOWN_SECONDS } else { 1 };
        self.plan_fault(PlannedFault { fault, count: Some(count), user: None });
    }

    /// Plans a fault with its count and user. Planned faults are played in order; those of other users wait. A fault of
    /// a handshake needs [`Settings::tls`]; without it, no handshake ever plays it.
    pub fn plan_fault(&self, planned: PlannedFault) {
        match planned.fault {
            Fault::Down => {
                let seconds = planned.count.unwrap_or(faults::DOWN_SECONDS).min(faults::MOST_DOWN_SECONDS);
                self.gateway.control.go_down(Duration::from_secs(seconds));
            }
            _ => self.gateway.change(|state| state.plan.add(planned)),
        }
    }

    /// Plans the response to the next request, whatever that says. The message is not delivered. Planned responses
    /// are played in order, and before planned faults.
    pub fn answer_next(&self, answer: Answer) {
        self.gateway.plan_answer(answer);
    }

    /// The requests that are kept, in order, also the refused ones.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.gateway.state().record.all()
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.gateway.counts()
    }

    /// Waits until users got that many messages since the start. Returns false after `limit`.
    pub fn wait_for_messages(&self, messages: u64, limit: Duration) -> bool {
        self.gateway.wait_until(limit, |state| state.record.counts.messages >= messages)
    }

    /// Forgets requests and conversations. Counts and sequence numbers go on, users and their windows stay.
    pub fn forget_requests(&self) {
        self.gateway.change(|state| {
            state.record.clear();
            state.people.clear_conversations();
        });
    }

    /// Moves the simulated clock; returns how far it is ahead now, in milliseconds.
    pub fn advance_clock_ms(&self, milliseconds: i64) -> i64 {
        self.gateway.change(|state| {
            let offset = state.people.offset_ms().saturating_add(milliseconds);
            state.people.set_offset_ms(offset);
            state.people.offset_ms()
        })
    }

    /// Lets a user write a text. Returns the number of the delivery.
    ///
    /// # Errors
    /// The user's id is not one, or 1 000 deliveries are waiting.
    pub fn user_writes(&self, user: &str, text: &str) -> Result<u64, String> {
        self.user_does(user, &serde_json::json!({"text": text}))
    }

    /// Lets a user do something, given as the JSON API takes it. Returns the number of the delivery.
    ///
    /// # Errors
    /// What is wrong with the event, or that 1 000 deliveries are waiting.
    pub fn user_does(&self, user: &str, event: &Value) -> Result<u64, String> {
        actions::perform(&self.gateway, user, event).map_err(|(_, reason)| reason)
    }

    /// Asks the receiver of webhooks for its verify token. Returns what is wrong, if anything.
    ///
    /// # Errors
    /// No webhook is set, the receiver does not answer, or it answers something else.
    pub fn verify_webhook(&self) -> Result<(), String> {
        let target = self.gateway.webhooks.log().url.clone().ok_or("no webhook is set")?;
        let verification = self.gateway.webhooks.verify(&target);
        match verification.outcome {
            _ if verification.ok => Ok(()),
            Ok((status, answer)) => {
                Err(format!("the verification must be answered with 200 and VERIFY_TOKEN, not {status} and {answer:?}"))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Serves the requests on a stream that somebody else accepted, until one side ends it. Faults that reset the
    /// connection only end it here.
    pub fn serve(&self, stream: impl Read + Write) {
        server::serve_lent(&self.gateway, stream);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        server::stop(&self.gateway, self.plain.take().into_iter().chain(self.tls.take()));
    }
}

/// Posts one delivery to a receiver on this machine, as the simulator does.
pub struct Delivery {
    body: Vec<u8>,
}

impl Delivery {
    /// What a user does, given as the JSON API takes it.
    ///
    /// # Errors
    /// What is wrong with the event.
    pub fn of_event(account_id: &str, user: &str, event: &Value) -> Result<Delivery, String> {
        let body = actions::body_of(account_id, user, event).map_err(|(_, reason)| reason)?;
        Ok(Delivery { body })
    }

    /// These bytes.
    pub fn of_bytes(body: Vec<u8>) -> Delivery {
        Delivery { body }
    }

    /// Signs and posts it. Returns the receiver's status and the first 200 bytes of its response.
    ///
    /// # Errors
    /// The URL is not of this machine, or the receiver does not answer within 10 seconds.
    pub fn post(&self, url: &str, secret: &str) -> Result<(u16, String), String> {
        let target = Target::new(url)?;
        let signature = webhooks::signature(secret, &self.body);
        webhooks::post(&target.url, &self.body, Some(&signature), Duration::from_secs(10)).0
    }
}

/// Replaces each `token` in `text` by its beginning and its last four characters. A token that is too short to show
/// any of it disappears whole.
pub fn hide_token(text: &str, token: &str) -> String {
    const SHORTEST_SHOWN: usize = 20;
    const SHOWN_AT_END: usize = 4;
    const SHOWN_AT_START: usize = "hmat_live_".len();
    if token.is_empty() || !text.contains(token) {
        return text.to_owned();
    }
    let characters: Vec<char> = token.chars().collect();
    if characters.len() < SHORTEST_SHOWN {
        return text.replace(token, "...");
    }
    let last_underscore = characters[..SHOWN_AT_START].iter().rposition(|c| *c == '_');
    let start: String = characters[..last_underscore.map_or(0, |at| at + 1)].iter().collect();
    let end: String = characters[characters.len() - SHOWN_AT_END..].iter().collect();
    text.replace(token, &format!("{start}...{end}"))
}

/// A text as one word of a shell.
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
