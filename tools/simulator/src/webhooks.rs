//! Webhooks out: what users do becomes a signed delivery, which is tried and logged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::Read;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::{Value, json};
use ureq::http::{Method, Request, Uri};

use crate::Settings;
use crate::gateway::{Gateway, lock};

const SIGNATURE_HEADER: &str = "X-HookMyApp-Signature-256";
const PROBE_HEADER: &str = "X-HookMyApp-Probe";
const PROBE: &str = "webhook-verification";
/// Deliveries that wait, and deliveries in the log.
pub(crate) const MOST_WAITING: usize = 1000;
const MOST_LOGGED: usize = 1000;
/// Tries of one delivery that are kept.
const MOST_TRIES: usize = 20;
/// How much of a receiver's response is kept.
const SHOWN_BYTES: u64 = 200;
pub(crate) const MOST_BATCH: u64 = 1000;

/// Something that happens in a conversation, as a webhook reports it.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Text { text: String, reply_to: Option<String> },
    Image { url: String },
    QuickReply { title: String, payload: String },
    Postback { title: String, payload: String },
    React { mid: String, emoji: String },
    Unreact { mid: String },
    Read { mid: String },
    Comment { id: String, text: String, media_id: String, is_instagram_login: bool },
    Edit { mid: String, text: String, edits: u64 },
    Delete { mid: String },
    Referral { reference: String },
    Echo { mid: String, message: Value },
}

impl Happening {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Happening::Text { .. } | Happening::Image { .. } => "message",
            Happening::QuickReply { .. } => "quick_reply",
            Happening::Postback { .. } => "postback",
            Happening::React { .. } => "reaction",
            Happening::Unreact { .. } => "unreaction",
            Happening::Read { .. } => "read",
            Happening::Comment { .. } => "comment",
            Happening::Edit { .. } => "edit",
            Happening::Delete { .. } => "delete",
            Happening::Referral { .. } => "referral",
            Happening::Echo { .. } => "echo",
        }
    }

    /// Whether this opens the 24-hour window again.
    pub(crate) fn renews_window(&self) -> bool {
        matches!(
            self,
            Happening::Text { .. }
                | Happening::Image { .. }
                | Happening::QuickReply { .. }
                | Happening::Postback { .. }
                | Happening::React { .. }
                | Happening::Comment { .. }
                | Happening::Referral { .. }
        )
    }

    /// What the page and the API show of it. `mid` is the id that this itself has.
    pub(crate) fn shown(&self, mid: &str) -> Value {
        let mut shown = match self {
            Happening::Text { text, reply_to } => json!({"text": text, "reply_to": reply_to, "mid": mid}),
            Happening::Image { url } => json!({"image_url": url, "mid": mid}),
            Happening::QuickReply { title, payload } => json!({"text": title, "payload": payload, "mid": mid}),
            Happening::Postback { title, payload } => json!({"text": title, "payload": payload, "mid": mid}),
            Happening::React { mid, emoji } => json!({"target": mid, "emoji": emoji}),
            Happening::Unreact { mid } | Happening::Read { mid } | Happening::Delete { mid } => json!({"target": mid}),
            Happening::Comment { id, text, .. } => json!({"comment_id": id, "text": text}),
            Happening::Edit { mid, text, .. } => json!({"target": mid, "text": text}),
            Happening::Referral { reference } => json!({"ref": reference}),
            Happening::Echo { mid, .. } => json!({"mid": mid}),
        };
        shown["kind"] = self.name().into();
        shown
    }

    /// One entry of the delivery, in Meta's shape.
    fn entry(&self, account_id: &str, user: &str, mid: &str, at_ms: i64) -> Value {
        let event = match self {
            Happening::Text { text, reply_to: None } => json!({"message": {"mid": mid, "text": text}}),
            Happening::Text { text, reply_to: Some(target) } => {
                json!({"message": {"mid": mid, "text": text, "reply_to": {"mid": target}}})
            }
            Happening::Image { url } => {
                json!({"message": {"mid": mid, "attachments": [{"type": "image", "payload": {"url": url}}]}})
            }
            Happening::QuickReply { title, payload } => {
                json!({"message": {"mid": mid, "text": title, "quick_reply": {"payload": payload}}})
            }
            Happening::Postback { title, payload } => {
                json!({"postback": {"mid": mid, "title": title, "payload": payload}})
            }
            Happening::React { mid, emoji } => {
                let name = if emoji == "❤" || emoji == "❤\u{fe0f}" { "love" } else { "other" };
                json!({"reaction": {"mid": mid, "action": "react", "reaction": name, "emoji": emoji}})
            }
            Happening::Unreact { mid } => json!({"reaction": {"mid": mid, "action": "unreact"}}),
            Happening::Read { mid } => json!({"read": {"mid": mid}}),
            Happening::Edit { mid, text, edits } => {
                json!({"message_edit": {"mid": mid, "text": text, "num_edit": edits}})
            }
            Happening::Delete { mid } => json!({"message": {"mid": mid, "is_deleted": true}}),
            Happening::Referral { reference } => {
                json!({"referral": {"ref": reference, "source": "IGME", "type": "OPEN_THREAD"}})
            }
            Happening::Echo { mid, message } => {
                let mut echo = json!({"mid": mid, "is_echo": true});
                for name in ["text", "attachments"] {
                    if !message[name].is_null() {
                        echo[name] = message[name].clone();
                    }
                }
                if !message["attachment"].is_null() {
                    echo["attachments"] = json!([message["attachment"]]);
                }
                json!({"message": echo})
            }
            Happening::Comment { id, text, media_id, is_instagram_login } => {
                let from = json!({"id": user, "username": format!("user{user}")});
                let media = json!({"id": media_id, "media_product_type": "FEED"});
                let value = json!({"id": id, "text": text, "from": from, "media": media});
                // Seconds in these entries, milliseconds in the others.
                let entry = json!({"id": account_id, "time": at_ms / 1000});
                let change = json!({"field": "comments", "value": value});
                return if *is_instagram_login {
                    merged(entry, change)
                } else {
                    merged(entry, json!({"changes": [change]}))
                };
            }
        };
        let (sender, recipient) =
            if let Happening::Echo { .. } = self { (account_id, user) } else { (user, account_id) };
        let about = json!({"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": at_ms});
        json!({"id": account_id, "time": at_ms, "messaging": [merged(about, event)]})
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// The body of a delivery: these happenings of one user, each with its own id.
pub(crate) fn body(account_id: &str, user: &str, at_ms: i64, happenings: &[(Happening, String)]) -> Vec<u8> {
    let entry = |(happening, mid): &(Happening, String)| happening.entry(account_id, user, mid, at_ms);
    json!({"object": "instagram", "entry": happenings.iter().map(entry).collect::<Value>()}).to_string().into_bytes()
}

/// The value of the signature header for these bytes.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let digits: String = hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// How a delivery is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signing {
    #[default]
    Right,
    Wrong,
    Unsigned,
}

/// What a receiver said to one try.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) at_ms: i64,
    pub(crate) took_ms: u64,
    /// Or why there is none.
    pub(crate) status: Result<u16, String>,
    /// The first bytes of the response.
    pub(crate) answer: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    NoWebhook,
    Waiting,
    Delivered,
    GivenUp,
    Dropped,
}

impl Progress {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Progress::NoWebhook => "no webhook is set",
            Progress::Waiting => "waiting",
            Progress::Delivered => "delivered",
            Progress::GivenUp => "given up",
            Progress::Dropped => "dropped: the queue is full",
        }
    }
}

pub(crate) struct Delivery {
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    pub(crate) user: String,
    /// Of the last thing that it reports.
    pub(crate) kind: &'static str,
    pub(crate) happenings: usize,
    /// The last thing that it reports, as the conversation shows it; null for an echo.
    pub(crate) shown: Value,
    pub(crate) body: Arc<[u8]>,
    pub(crate) signing: Signing,
    pub(crate) progress: Progress,
    pub(crate) tries: VecDeque<Try>,
    pub(crate) tries_in_all: u64,
    /// Tries since the delivery was asked for, which decide when it is given up.
    tries_in_turn: usize,
    /// Grows with each change of any delivery.
    pub(crate) changed: u64,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) url: Option<Target>,
    pub(crate) deliveries: BTreeMap<u64, Delivery>,
    pub(crate) last_number: u64,
    pub(crate) last_change: u64,
    /// How many were answered with 200.
    pub(crate) delivered: u64,
    /// When each waiting delivery is due, the next one on top.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    stopped: bool,
}

/// The address of a receiver on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
    host: String,
    port: u16,
}

impl Target {
    /// Takes http addresses that are this machine alone.
    pub(crate) fn new(url: &str) -> Result<Target, String> {
        let wrong = |reason: &str| format!("the webhook URL {url:?} {reason}");
        let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("must begin with http://"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not have a user"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let target = Target { url: url.to_owned(), host, port: authority.port_u16().unwrap_or(80) };
        target.check()?;
        Ok(target)
    }

    /// Whether the host is this machine still. Only one name is looked up: others might lead elsewhere a moment later.
    fn check(&self) -> Result<(), String> {
        let is_own_name = self.host.eq_ignore_ascii_case("localhost");
        if !is_own_name && !self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) {
            return Err(format!("the webhook URL {:?} must be a loopback address or localhost", self.url));
        }
        let resolved = (self.host.as_str(), self.port).to_socket_addrs();
        let addresses: Vec<_> = resolved.map_err(|error| format!("cannot resolve {}: {error}", self.host))?.collect();
        if addresses.is_empty() || !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(format!("the webhook URL {:?} must be a loopback address or localhost", self.url));
        }
        Ok(())
    }
}

/// The queue is full.
#[derive(Debug)]
pub(crate) struct Full;

pub(crate) struct Webhooks {
    account_id: String,
    secret: String,
    verify_token: String,
    retry_after: Vec<Duration>,
    timeout: Duration,
    log: Mutex<Log>,
    wake: Condvar,
}

impl Webhooks {
    pub(crate) fn new(settings: &Settings) -> Webhooks {
        Webhooks {
            account_id: settings.account_id.clone(),
            secret: settings.webhook_secret.clone(),
            verify_token: settings.verify_token.clone(),
            retry_after: settings.webhook_retries.clone(),
            timeout: settings.webhook_timeout,
            log: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    pub(crate) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn set_url(&self, target: Option<Target>) {
        self.log().url = target;
    }

    /// Whether that many more deliveries fit into the queue.
    pub(crate) fn has_room(&self) -> bool {
        self.log().due.len() < MOST_WAITING
    }

    /// The number of the next delivery.
    pub(crate) fn next_number(&self) -> u64 {
        self.log().last_number + 1
    }

    /// Adds one delivery with one happening. `mid` is the id of what happened, if it has one.
    pub(crate) fn add(&self, user: &str, at_ms: i64, happening: &Happening, mid: Option<&str>) -> Result<u64, Full> {
        let happenings = [(happening.clone(), mid.unwrap_or_default().to_owned())];
        self.add_batch(user, at_ms, &happenings, Signing::Right, Value::Null)
    }

    /// Adds one delivery. If the queue is full, the log says so.
    pub(crate) fn add_batch(
        &self,
        user: &str,
        at_ms: i64,
        happenings: &[(Happening, String)],
        signing: Signing,
        shown: Value,
    ) -> Result<u64, Full> {
        let body = body(&self.account_id, user, at_ms, happenings);
        let mut log = self.log();
        let is_full = log.due.len() >= MOST_WAITING;
        log.last_number += 1;
        log.last_change += 1;
        let number = log.last_number;
        let progress = match (&log.url, is_full) {
            (None, _) => Progress::NoWebhook,
            (Some(_), true) => Progress::Dropped,
            (Some(_), false) => Progress::Waiting,
        };
        let delivery = Delivery {
            number,
            at_ms,
            user: user.to_owned(),
            kind: happenings.last().map_or("", |(happening, _)| happening.name()),
            happenings: happenings.len(),
            shown,
            body: body.into(),
            signing,
            progress,
            tries: VecDeque::new(),
            tries_in_all: 0,
            tries_in_turn: 0,
            changed: log.last_change,
        };
        log.deliveries.insert(number, delivery);
        log.trim();
        match progress {
            Progress::Waiting => log.due.push(Reverse((Instant::now(), number))),
            Progress::Dropped => return Err(Full),
            _ => {}
        }
        self.wake.notify_all();
        Ok(number)
    }

    /// Delivers the same bytes once more, signed as asked.
    pub(crate) fn again(&self, number: u64, signing: Option<Signing>) -> Result<(), (u16, String)> {
        let mut log = self.log();
        if log.url.is_none() {
            return Err((409, "no webhook is set: PUT /simulator/webhook with a url first".to_owned()));
        }
        if log.due.len() >= MOST_WAITING {
            return Err((429, format!("{MOST_WAITING} deliveries are waiting")));
        }
        log.last_change += 1;
        let change = log.last_change;
        let Some(delivery) = log.deliveries.get_mut(&number) else {
            return Err((404, format!("there is no delivery {number}, or it is forgotten")));
        };
        if delivery.progress == Progress::Waiting {
            return Err((409, format!("delivery {number} is waiting already")));
        }
        delivery.progress = Progress::Waiting;
        delivery.tries_in_turn = 0;
        delivery.changed = change;
        if let Some(signing) = signing {
            delivery.signing = signing;
        }
        log.due.push(Reverse((Instant::now(), number)));
        self.wake.notify_all();
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.log().stopped = true;
        self.wake.notify_all();
    }

    /// Posts what is due, one delivery at a time, until the simulator stops.
    pub(crate) fn run(&self, gateway: &Gateway) {
        while let Some((number, target, body, signing)) = self.next_due() {
            let (outcome, took) = match target.check() {
                Ok(()) => post(&target.url, &body, self.signature(&body, signing).as_deref(), self.timeout),
                Err(reason) => (Err(reason), Duration::ZERO),
            };
            let at_ms = gateway.state().people.now_ms();
            self.note(number, at_ms, took, outcome);
            gateway.notify();
        }
    }

    fn signature(&self, body: &[u8], signing: Signing) -> Option<String> {
        match signing {
            Signing::Right => Some(signature(&self.secret, body)),
            Signing::Wrong => Some(signature(&format!("not {}", self.secret), body)),
            Signing::Unsigned => None,
        }
    }

    /// Waits for the next delivery that is due; `None` when the simulator stops.
    fn next_due(&self) -> Option<(u64, Target, Arc<[u8]>, Signing)> {
        let mut log = self.log();
        loop {
            if log.stopped {
                return None;
            }
            let wait = match log.due.peek() {
                None => Duration::from_secs(3600),
                Some(Reverse((due, _))) => due.saturating_duration_since(Instant::now()),
            };
            if !wait.is_zero() {
                log = self.wake.wait_timeout(log, wait).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let Some(Reverse((_, number))) = log.due.pop() else { continue };
            log.last_change += 1;
            let (url, change) = (log.url.clone(), log.last_change);
            let Some(delivery) = log.deliveries.get_mut(&number) else { continue };
            match url {
                Some(target) => return Some((number, target, Arc::clone(&delivery.body), delivery.signing)),
                None => {
                    delivery.progress = Progress::NoWebhook;
                    delivery.changed = change;
                }
            }
        }
    }

    fn note(&self, number: u64, at_ms: i64, took: Duration, outcome: Result<(u16, String), String>) {
        let mut log = self.log();
        log.last_change += 1;
        let change = log.last_change;
        let Some(delivery) = log.deliveries.get_mut(&number) else { return };
        let (status, answer) = match outcome {
            Ok((status, answer)) => (Ok(status), answer),
            Err(reason) => (Err(reason), String::new()),
        };
        let is_delivered = status == Ok(200);
        delivery.changed = change;
        delivery.tries_in_all += 1;
        delivery.tries_in_turn += 1;
        delivery.tries.push_back(Try { at_ms, took_ms: took.as_millis() as u64, status, answer });
        if delivery.tries.len() > MOST_TRIES {
            delivery.tries.pop_front();
        }
        if is_delivered {
            delivery.progress = Progress::Delivered;
            log.delivered += 1;
            return;
        }
        match self.retry_after.get(delivery.tries_in_turn - 1) {
            Some(after) => log.due.push(Reverse((Instant::now() + *after, number))),
            None => delivery.progress = Progress::GivenUp,
        }
    }

    /// Asks a receiver whether it knows the verify token.
    pub(crate) fn verify(&self, target: &Target) -> Verification {
        let request = Request::builder().method(Method::GET).uri(&target.url).header(PROBE_HEADER, PROBE).body(());
        let started = Instant::now();
        let outcome = match request {
            // One byte more than is right, so that a longer body is seen as wrong.
            Ok(request) => {
                exchange(SHOWN_BYTES.max(self.verify_token.len() as u64 + 1), || agent(self.timeout).run(request))
            }
            Err(error) => Err(error.to_string()),
        };
        let ok = matches!(&outcome, Ok((200, body)) if *body == self.verify_token);
        Verification { ok, outcome, took: started.elapsed() }
    }
}

impl Log {
    /// Forgets the oldest deliveries that are done with.
    fn trim(&mut self) {
        while self.deliveries.len() > MOST_LOGGED {
            let is_done = |delivery: &&Delivery| delivery.progress != Progress::Waiting;
            let Some(number) = self.deliveries.values().find(is_done).map(|delivery| delivery.number) else { return };
            self.deliveries.remove(&number);
        }
    }
}

/// What a receiver said to the verification.
#[derive(Debug)]
pub(crate) struct Verification {
    pub(crate) ok: bool,
    /// Status and the first bytes of the response, or why there is none.
    pub(crate) outcome: Result<(u16, String), String>,
    pub(crate) took: Duration,
}

impl Verification {
    pub(crate) fn to_json(&self) -> Value {
        let (status, answer, error) = match &self.outcome {
            Ok((status, answer)) => (Some(status), Some(answer), None),
            Err(reason) => (None, None, Some(reason)),
        };
        let ms = self.took.as_millis() as u64;
        json!({"ok": self.ok, "status": status, "answer": answer, "error": error, "ms": ms})
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

/// Posts a body. Returns the status and the first bytes of the response, or why there is none, and how long it took.
pub(crate) fn post(
    url: &str,
    body: &[u8],
    signature: Option<&str>,
    timeout: Duration,
) -> (Result<(u16, String), String>, Duration) {
    let mut request = Request::builder().method(Method::POST).uri(url).header("Content-Type", "application/json");
    if let Some(signature) = signature {
        request = request.header(SIGNATURE_HEADER, signature);
    }
    let started = Instant::now();
    let outcome = match request.body(body) {
        Ok(request) => exchange(SHOWN_BYTES, || agent(timeout).run(request)),
        Err(error) => Err(error.to_string()),
    };
    (outcome, started.elapsed())
}

/// Runs a request. Returns the status and up to `most` bytes of the response, or why there is none.
fn exchange(
    most: u64,
    run: impl FnOnce() -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(u16, String), String> {
    let mut response = run().map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    // What comes before an error is shown, too.
    let _ = response.body_mut().as_reader().take(most).read_to_end(&mut body);
    Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
}
