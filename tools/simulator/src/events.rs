//! Server-sent events: what is new, read from the record at most ten times a second.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api;
use crate::gateway::Gateway;
use crate::line::Line;

/// Streams at a time.
pub(crate) const MOST_STREAMS: usize = 16;
/// Requests in one event; what is older is skipped and counted.
const MOST_AT_ONCE: u64 = 200;
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// After something was skipped: no one can read so much, and the page shall have time for its user.
const INTERVAL_BEHIND: Duration = Duration::from_millis(500);
/// How long a client may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing is written.
const QUIET: Duration = Duration::from_secs(15);
/// How often the end of a quiet client is looked for.
const CHECK: Duration = Duration::from_secs(1);

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";

/// What a stream has shown already.
struct Shown {
    seq: u64,
    change: u64,
    version: Option<u64>,
    requests: u64,
}

/// A place among the streams.
pub(crate) struct Seat<'a>(&'a Gateway);

impl Seat<'_> {
    pub(crate) fn take(gateway: &Gateway) -> Option<Seat<'_>> {
        let add = |count| (count < MOST_STREAMS).then_some(count + 1);
        let taken = gateway.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.ok().map(|_| Seat(gateway))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes events until the client or the simulator ends. `after` is the last number that the client has; `None` is the
/// newest one. With `is_head`, only the head of the response is written.
pub(crate) fn stream(seat: &Seat, after: Option<u64>, line: &mut impl Line, is_head: bool) -> io::Result<()> {
    let gateway = seat.0;
    if let Some(socket) = line.socket() {
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    }
    line.write_all(HEAD.as_bytes())?;
    if is_head {
        return line.flush();
    }
    let mut shown = Shown {
        seq: after.unwrap_or(u64::MAX).min(gateway.state().record.last_seq()),
        change: gateway.webhooks.log().last_change,
        version: None,
        requests: 0,
    };
    let mut last_written = Instant::now();
    loop {
        let (mut text, is_behind) = shown.news(gateway);
        if text.is_empty() && last_written.elapsed() >= QUIET {
            text = ": nothing new\n\n".to_owned();
        }
        if !text.is_empty() {
            line.write_all(text.as_bytes())?;
            line.flush()?;
            last_written = Instant::now();
        }
        if is_gone(line) || !gateway.control.sleep(if is_behind { INTERVAL_BEHIND } else { LEAST_INTERVAL }) {
            return Ok(());
        }
        let is_new = |seq, version| seq != shown.seq || Some(version) != shown.version;
        let deliveries = || gateway.webhooks.log().last_change != shown.change;
        gateway.wait_until(CHECK, |state| is_new(state.record.last_seq(), state.version) || deliveries());
        if gateway.control.is_stopped() {
            return Ok(());
        }
    }
}

/// Whether the client has closed its end. It has nothing to send, so anything readable is the end.
fn is_gone(line: &impl Line) -> bool {
    let Some(socket) = line.socket() else { return false };
    let _ = socket.set_nonblocking(true);
    let peeked = socket.peek(&mut [0]);
    let _ = socket.set_nonblocking(false);
    match peeked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

impl Shown {
    /// The events since the last call, or an empty text, and whether requests were skipped.
    fn news(&mut self, gateway: &Gateway) -> (String, bool) {
        let mut text = String::new();
        let (skipped, requests, state) = {
            let state = gateway.state();
            let last = state.record.last_seq();
            // A restarted simulator counts from 1 again.
            self.seq = self.seq.min(last);
            let start = self.seq.max(last.saturating_sub(MOST_AT_ONCE)).max(state.record.first_seq() - 1);
            let skipped = start - self.seq;
            let requests = state.record.after(start, usize::MAX);
            self.seq = last;
            let is_changed = self.version != Some(state.version) || self.requests != state.record.counts.requests;
            self.version = Some(state.version);
            self.requests = state.record.counts.requests;
            (skipped, requests, is_changed.then(|| api::state_json(&state)))
        };
        if skipped > 0 {
            add(&mut text, "skipped", None, &json!({"count": skipped}));
        }
        if !requests.is_empty() {
            let token = &gateway.settings.token;
            let list: Value = requests.iter().map(|received| api::request_json(received, token)).collect();
            add(&mut text, "requests", Some(self.seq), &json!({"requests": list}));
        }
        for delivery in self.deliveries(gateway) {
            add(&mut text, "delivery", None, &delivery);
        }
        if let Some(state) = state {
            add(&mut text, "state", None, &state);
        }
        (text, skipped > 0)
    }

    fn deliveries(&mut self, gateway: &Gateway) -> Vec<Value> {
        let log = gateway.webhooks.log();
        let since = self.change;
        self.change = log.last_change;
        if since == self.change {
            return Vec::new();
        }
        let changed = log.deliveries.values().rev().filter(|delivery| delivery.changed > since);
        let mut changed: Vec<Value> = changed.take(MOST_AT_ONCE as usize).map(api::delivery_json).collect();
        changed.reverse();
        changed
    }
}

fn add(text: &mut String, name: &str, id: Option<u64>, data: &Value) {
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    // JSON has no line breaks of its own when it is printed compactly.
    text.push_str(&format!("event: {name}\ndata: {data}\n\n"));
}
