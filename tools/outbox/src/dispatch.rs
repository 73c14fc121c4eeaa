//! Joins the engine, which one thread owns, with the threads that send.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hookmyapp::{Client, ErrorKind};

use crate::pace::Pace;
use crate::queue::{
    Answer, Claimed, Engine, EngineError, EngineErrorKind, Finished, Millis, Next, Settled, State, now,
};
use crate::stops::Stops;

/// How often an idle dispatcher looks whether somebody added messages.
const POLL: Duration = Duration::from_millis(200);
/// How long until a call that failed for want of room, a lock or a connection is tried again: at first, and at most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(1);
/// How often a continuing failure is stated.
pub const SAY_AGAIN: Duration = Duration::from_secs(10);
/// How long a stopping worker waits for the database, to write what became of the last sends.
const LAST_TRIES: Duration = Duration::from_secs(10);

/// How a run sends.
pub struct Plan {
    pub threads: usize,
    /// Sends a second; `None` is no limit.
    pub rate: Option<f64>,
    /// Whether to go on when the queue is empty.
    pub stays: bool,
    /// What ends a run over a list; a worker that stays pauses instead.
    pub stops: Option<Stops>,
}

/// Why a run ended without an error.
#[derive(Debug, PartialEq)]
pub enum End {
    Empty,
    /// By a signal.
    Asked,
    /// By itself, for this reason.
    Stopped(String),
}

/// What happens during a run, told on the dispatcher's thread.
pub trait Observer {
    /// These messages are settled, durably.
    fn settled(&mut self, settled: &[Settled], states: &[State]) -> Result<(), String>;
    /// These were settled without a send, durably.
    fn closed(&mut self, closed: &[Finished]) -> Result<(), String>;
    /// Called several times a second.
    fn tick(&mut self, in_flight: usize, paused_until: Millis);
    fn say(&mut self, text: &str);
}

/// What a thread does with a message.
pub trait Send1: Sync {
    fn send(&self, message: &Claimed, begin_by: Option<Deadline>) -> Answer;
}

/// The latest moment at which a claimed message may begin to be sent. Both clocks count: the first one stands still while
/// the machine sleeps, the second one can be set.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    from: (Instant, SystemTime),
    within: Duration,
}

impl Deadline {
    fn new(from: (Instant, SystemTime), within: Duration) -> Deadline {
        Deadline { from, within }
    }

    pub fn is_over(&self) -> bool {
        let by_wall_clock = self.from.1.elapsed().unwrap_or(Duration::MAX);
        self.from.0.elapsed() > self.within || by_wall_clock > self.within
    }
}

/// Sends to the gateway.
pub struct Gateway<'a> {
    pub client: Client,
    /// The second rate, for audio and video.
    pub media: Mutex<Pace>,
    pub stop: &'a AtomicBool,
}

impl Send1 for Gateway<'_> {
    fn send(&self, message: &Claimed, begin_by: Option<Deadline>) -> Answer {
        match recipient_of(&message.body) {
            Ok(recipient) if recipient == message.recipient => {}
            Ok(recipient) => {
                let row = &message.recipient;
                return Answer::invalid(format!("body: its recipient is {recipient:?}, and the row's is {row:?}"));
            }
            Err(reason) => return Answer::invalid(format!("body: {reason}")),
        }
        if is_slow_media(&message.body) && !self.wait_for_media() {
            return Answer::not_begun();
        }
        if begin_by.is_some_and(|deadline| deadline.is_over()) {
            return Answer::not_begun();
        }
        let begun = Instant::now();
        Answer::of(&self.client.send_json(&message.body), begun.elapsed())
    }
}

impl Gateway<'_> {
    /// Returns false if the run stops meanwhile.
    fn wait_for_media(&self) -> bool {
        loop {
            let wait = {
                let mut pace = self.media.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if pace.allowed(now) > 0 {
                    pace.take(1);
                    return true;
                }
                pace.wait(now)
            };
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(wait.min(POLL));
        }
    }
}

/// `user ID` or `comment ID` of a request body.
pub fn recipient_of(body: &str) -> Result<String, String> {
    let body: serde_json::Value = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    let member = |name| body.get("recipient").and_then(|recipient| recipient.get(name)).and_then(|id| id.as_str());
    match (member("id"), member("comment_id")) {
        (Some(id), None) => Ok(format!("user {id}")),
        (None, Some(id)) => Ok(format!("comment {id}")),
        (None, None) => Err("it has neither recipient.id nor recipient.comment_id as a string".to_owned()),
        (Some(_), Some(_)) => Err("it has recipient.id and recipient.comment_id".to_owned()),
    }
}

/// Meta takes fewer audio and video messages a second than others.
fn is_slow_media(body: &str) -> bool {
    if !body.contains("attachment") {
        return false;
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    matches!(body.pointer("/message/attachment/type").and_then(|kind| kind.as_str()), Some("audio" | "video"))
}

/// A thread that is free: what it has sent, and its number, under which it waits for the next message.
struct Free {
    thread: usize,
    settled: Option<Settled>,
}

/// A message for a thread.
struct Work {
    message: Claimed,
    begin_by: Option<Deadline>,
}

/// Sends until nothing is left, a signal comes or a stop is due, and returns when every message in flight is settled in
/// the queue.
///
/// Only this thread talks to the database. Each commit takes the settlements of all threads that came free during the
/// last one, and claims a message for each of them: one sync of the disk for up to `threads` messages, and never more
/// intents than threads.
pub fn dispatch(
    engine: &mut dyn Engine,
    sender: &dyn Send1,
    plan: Plan,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<End, EngineError> {
    thread::scope(|scope| {
        let (free, frees) = channel::<Free>();
        let mut hands = Vec::with_capacity(plan.threads);
        for number in 0..plan.threads {
            let (hand, messages) = sync_channel(1);
            let free = free.clone();
            thread::Builder::new()
                .name(format!("send-{number}"))
                .spawn_scoped(scope, move || send_all(sender, number, &free, &messages))
                .map_err(|error| EngineError::fatal(format!("cannot start {} threads: {error}", plan.threads)))?;
            hands.push(hand);
        }
        drop(free);
        let pace = Pace::new(plan.rate, Instant::now());
        let mut run = Run {
            engine,
            frees,
            hands,
            pace,
            stays: plan.stays,
            stops: plan.stops,
            stop,
            observer,
            idle: VecDeque::new(),
            settled: Vec::new(),
            next: Next::Now,
            paused_until: 0,
            reason: None,
            failing_since: None,
            retry: RETRY,
            said: None,
        };
        // Dropping `hands` with it ends the threads.
        run.until_the_end()
    })
}

fn send_all(sender: &dyn Send1, thread: usize, free: &Sender<Free>, messages: &Receiver<Work>) {
    let mut settled = None;
    while free.send(Free { thread, settled: settled.take() }).is_ok() {
        let Ok(Work { message, begin_by }) = messages.recv() else { return };
        let answer = sender.send(&message, begin_by);
        settled = Some(Settled { message, answer });
    }
}

struct Run<'a> {
    engine: &'a mut dyn Engine,
    frees: Receiver<Free>,
    hands: Vec<SyncSender<Work>>,
    pace: Pace,
    stays: bool,
    stops: Option<Stops>,
    stop: &'a AtomicBool,
    observer: &'a mut dyn Observer,
    idle: VecDeque<usize>,
    settled: Vec<Settled>,
    next: Next,
    paused_until: Millis,
    /// Why the run stops by itself.
    reason: Option<String>,
    failing_since: Option<Instant>,
    retry: Duration,
    said: Option<(String, Instant)>,
}

impl Run<'_> {
    fn until_the_end(&mut self) -> Result<End, EngineError> {
        loop {
            // Threads that are neither idle nor waiting for their settlement to be written are sending.
            let in_flight = self.hands.len() - self.idle.len();
            let asked = self.stop.load(Ordering::Relaxed);
            let stopping = asked || self.reason.is_some();
            self.observer.tick(in_flight, self.paused_until);
            if in_flight == 0 && self.settled.is_empty() {
                if let Some(reason) = self.reason.take() {
                    return Ok(End::Stopped(reason));
                } else if asked {
                    return Ok(End::Asked);
                } else if self.next == Next::Empty && !self.stays {
                    return Ok(End::Empty);
                }
            }
            let at = Instant::now();
            let allowed = if stopping || !self.is_due() { 0 } else { self.idle.len().min(self.pace.allowed(at)) };
            if self.settled.is_empty() && allowed == 0 {
                self.wait(stopping)?;
                continue;
            }
            self.take_more();
            let want =
                if allowed == 0 || self.reason.is_some() { 0 } else { self.idle.len().min(self.pace.allowed(at)) };
            self.turn(want, stopping)?;
        }
    }

    fn is_due(&self) -> bool {
        match self.next {
            Next::Now => true,
            Next::At(at) => at <= now() || (self.paused_until == 0 && !self.settled.is_empty()),
            // The next message of a recipient comes to the front with the same turn.
            Next::Settle | Next::Empty => !self.settled.is_empty(),
        }
    }

    /// Waits for a thread, for the time of the next claim, or for the next look at the queue.
    fn wait(&mut self, stopping: bool) -> Result<(), EngineError> {
        let until_due = match self.next {
            Next::At(at) => Duration::from_millis(u64::try_from(at - now()).unwrap_or(0).max(1)),
            Next::Now if !self.idle.is_empty() && !stopping => {
                self.pace.wait(Instant::now()).max(Duration::from_micros(100))
            }
            _ => POLL,
        };
        match self.frees.recv_timeout(until_due.min(POLL)) {
            Ok(free) => self.take(free),
            Err(RecvTimeoutError::Timeout) => match self.engine.changed() {
                Ok(true) => self.next = Next::Now,
                Ok(false) => {}
                Err(error) if error.kind == EngineErrorKind::Busy => {}
                Err(error) => return Err(self.not_written(error)),
            },
            Err(RecvTimeoutError::Disconnected) => return Err(EngineError::fatal("a sending thread ended")),
        }
        Ok(())
    }

    /// Takes what has come meanwhile, and what comes while it is worth waiting for.
    fn take_more(&mut self) {
        let until = Instant::now() + if self.settled.is_empty() { Duration::ZERO } else { self.engine.linger() };
        while self.idle.len() < self.hands.len() {
            match self.frees.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(free) => self.take(free),
                Err(_) => break,
            }
        }
    }

    fn take(&mut self, free: Free) {
        self.idle.push_back(free.thread);
        if let (Some(settled), Some(stops)) = (&free.settled, self.stops.as_mut()) {
            // Before the turn: what stops the run also stops its next claims.
            let reason = stops.notice(&settled.answer);
            self.reason = self.reason.take().or(reason);
        }
        self.settled.extend(free.settled);
    }

    fn turn(&mut self, want: usize, stopping: bool) -> Result<(), EngineError> {
        let from = (Instant::now(), SystemTime::now());
        let turned = self.engine.turn(&self.settled, want);
        for note in self.engine.notes() {
            self.observer.say(&note);
        }
        match turned {
            Ok(turn) => {
                self.failing_since = None;
                self.retry = RETRY;
                if want > 0 {
                    self.next = turn.next;
                } else if !self.settled.is_empty() {
                    // The next message of a recipient may be at the front now.
                    self.next = Next::Now;
                }
                self.paused_until = turn.paused_until;
                if turn.paused_until > 0 {
                    self.next = Next::At(turn.paused_until);
                }
                self.pace.take(turn.claimed.len());
                let begin_by = turn.begin_within.map(|within| Deadline::new(from, within));
                for message in turn.claimed {
                    let thread = self.idle.pop_front().ok_or_else(|| EngineError::fatal("too many were claimed"))?;
                    self.hands[thread].send(Work { message, begin_by }).map_err(EngineError::fatal)?;
                }
                self.learn(&turn.states, &turn.closed);
                Ok(())
            }
            Err(error) if matches!(error.kind, EngineErrorKind::Busy | EngineErrorKind::Full) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                let is_last = stopping && (error.kind == EngineErrorKind::Full || since.elapsed() > LAST_TRIES);
                if is_last {
                    return Err(self.not_written(error));
                }
                self.say_once_in_a_while(&format!("{error}; trying again, nothing new is sent meanwhile"));
                thread::sleep(self.retry);
                self.retry = (self.retry * 2).min(RETRY_AT_MOST);
                Ok(())
            }
            Err(error) => Err(self.not_written(error)),
        }
    }

    /// Draws the conclusions from what was just settled.
    fn learn(&mut self, states: &[State], closed: &[Finished]) {
        let settled = std::mem::take(&mut self.settled);
        let at = Instant::now();
        for one in &settled {
            if one.answer.status == ErrorKind::RateLimited as i32 {
                self.pace.slow_down(at);
            } else if let Some(percent) = one.answer.usage_percent {
                self.pace.usage(percent, at);
            }
        }
        if let Some(stops) = self.stops.as_mut() {
            let reason = stops.notice_pause(self.paused_until, now());
            self.reason = self.reason.take().or(reason);
        }
        let written = self.observer.settled(&settled, states).and_then(|()| self.observer.closed(closed));
        if let Err(error) = written {
            // The queue has them.
            let reason = format!("the results cannot be written: {error}");
            self.reason = self.reason.take().or(Some(reason));
        }
    }

    /// An outage is not repeated on the terminal twice a second.
    fn say_once_in_a_while(&mut self, text: &str) {
        let is_news = self.said.as_ref().is_none_or(|(said, at)| said != text || at.elapsed() > SAY_AGAIN);
        if is_news {
            self.observer.say(text);
            self.said = Some((text.to_owned(), Instant::now()));
        }
    }

    /// These messages will be `unknown` after the next start: this is the last chance to say what became of them.
    fn not_written(&mut self, error: EngineError) -> EngineError {
        // Those in flight end first.
        let deadline = Instant::now() + LAST_TRIES;
        while self.idle.len() < self.hands.len() {
            match self.frees.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(free) => self.take(free),
                Err(_) => break,
            }
        }
        for one in &self.settled {
            let Settled { message, answer } = one;
            let detail = answer.message_id.as_deref().or(answer.error.as_deref()).unwrap_or("");
            let text = format!("not written: message {} has status {}, {detail}", message.id, answer.status);
            self.observer.say(&text);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_read_from_bodies_or_the_reason_is_named() {
        assert_eq!(recipient_of(r#"{"recipient":{"id":"81"}}"#).unwrap(), "user 81");
        assert_eq!(recipient_of(r#"{"recipient":{"comment_id":"17"}}"#).unwrap(), "comment 17");
        for body in ["", "[]", "{}", r#"{"recipient":{"id":81}}"#, r#"{"recipient":{"id":"8","comment_id":"1"}}"#] {
            assert!(recipient_of(body).is_err(), "{body}");
        }
    }

    #[test]
    fn audio_and_video_are_slow_and_everything_else_is_not() {
        let body =
            |kind: &str| format!(r#"{{"recipient":{{"id":"8"}},"message":{{"attachment":{{"type":"{kind}"}}}}}}"#);
        assert!(is_slow_media(&body("video")) && is_slow_media(&body("audio")));
        assert!(!is_slow_media(&body("image")));
        assert!(!is_slow_media(r#"{"recipient":{"id":"8"},"message":{"text":"attachment type video"}}"#));
    }

    #[test]
    fn a_deadline_is_over_when_either_clock_says_so() {
        let now = (Instant::now(), SystemTime::now());
        assert!(!Deadline::new(now, Duration::from_secs(60)).is_over());
        let slept = (now.0, now.1 - Duration::from_secs(61));
        assert!(Deadline::new(slept, Duration::from_secs(60)).is_over());
        let set_back = (now.0, now.1 + Duration::from_secs(5));
        assert!(Deadline::new(set_back, Duration::from_secs(60)).is_over());
    }
}
