//! One request: decided, delivered and recorded in one step.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::answers::{self, Edge, Refused};
use crate::conclusions::{Conclusion, concludes};
use crate::faults::{self, Fault, Plan, Play};
use crate::http::{Answer, Request};
use crate::message_rules::{Accepted, Kind, Recipient, Refusal};
use crate::people::{Closed, People, Rules};
use crate::record::{Received, Record};
use crate::server::Control;
use crate::webhooks::{Happening, Webhooks};
use crate::{Counts, Settings, tls};

/// The part of the simulator that all connections share.
pub(crate) struct Gateway {
    pub(crate) settings: Settings,
    state: Mutex<State>,
    /// Signals every change of the state and of the webhooks.
    changed: Condvar,
    pub(crate) webhooks: Webhooks,
    pub(crate) control: Control,
    pub(crate) tls: Option<tls::Identity>,
    pub(crate) streams: AtomicUsize,
    connections: AtomicU64,
    /// Ids in responses are made from it, before the state is locked.
    answers: AtomicU64,
    /// Whether a planned fault may come before the body of a request; most requests need no lock to know.
    may_reset_in_body: AtomicBool,
}

pub(crate) struct State {
    pub(crate) record: Record,
    pub(crate) people: People,
    pub(crate) plan: Plan,
    planned_answers: VecDeque<Answer>,
    limit: Limit,
    /// Grows with each change that is not a request.
    pub(crate) version: u64,
    /// Threads that wait for a change. A signal that nobody waits for is a system call for nothing.
    waiting: usize,
}

/// What became of a request.
struct Decision {
    answer: Option<Answer>,
    play: Play,
    fault: Option<Fault>,
    got_it: bool,
    is_refused: bool,
    must_conclude: &'static [Conclusion],
    user: Option<String>,
    message_id: Option<String>,
    kind: Option<Kind>,
}

/// What is made of an accepted request before the state is locked.
struct Prepared {
    number: u64,
    message_id: Option<String>,
    /// `None` for a comment, whose author only the state knows.
    user: Option<String>,
    answer: Option<Answer>,
    hash: Option<u64>,
}

/// Why a request is refused; Meta's form has the number of the request in it.
enum Denied {
    Gateway(Refused),
    Meta(Refusal),
}

impl Gateway {
    pub(crate) fn new(settings: Settings, tls: Option<tls::Identity>) -> Gateway {
        let rules = Rules { strict: settings.strict, sandbox_user: settings.sandbox_user.clone() };
        let state = State {
            record: Record::new(settings.keep, settings.keep_bytes),
            people: People::new(rules, settings.clock_offset_ms),
            plan: Plan::new(&settings.faults, settings.chaos_percent, settings.seed),
            planned_answers: VecDeque::new(),
            limit: Limit { per_second: settings.limit, since: Instant::now(), count: 0 },
            version: 0,
            waiting: 0,
        };
        Gateway {
            may_reset_in_body: AtomicBool::new(state.plan.may_reset_in_body()),
            answers: AtomicU64::new(0),
            webhooks: Webhooks::new(&settings),
            settings,
            state: Mutex::new(state),
            changed: Condvar::new(),
            control: Control::default(),
            tls,
            streams: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// For reading, or for changes that nobody waits for.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state and tells everybody who waits for that.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        state.version += 1;
        let result = change(&mut state);
        self.may_reset_in_body.store(state.plan.may_reset_in_body(), Ordering::Relaxed);
        self.signal(state);
        result
    }

    /// Unlocks the state and wakes everybody who waits for a change.
    fn signal(&self, state: MutexGuard<'_, State>) {
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Waits until something changes, for no longer than `limit`. `is_done` looks at the state first, and after each
    /// change; returns whether it was satisfied.
    pub(crate) fn wait_until(&self, limit: Duration, mut is_done: impl FnMut(&mut State) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state();
        loop {
            if is_done(&mut state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.control.is_stopped() {
                return false;
            }
            state.waiting += 1;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    /// Wakes everybody who waits, after a change elsewhere.
    pub(crate) fn notify(&self) {
        self.signal(self.state());
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().record.counts
    }

    pub(crate) fn plan_answer(&self, answer: Answer) {
        self.state().planned_answers.push_back(answer);
    }

    /// Whether the request with this head is reset before its body is read; then it is recorded.
    pub(crate) fn resets_in_body(&self, head: &Request, connection: u64) -> bool {
        if !self.may_reset_in_body.load(Ordering::Relaxed) || answers::check_head(head, &self.settings).is_err() {
            return false;
        }
        let mut state = self.state();
        if !state.planned_answers.is_empty() || !state.plan.choose_before_body() {
            return false;
        }
        let (answer, play) = faults::play(Fault::ResetInBody, state.record.next_seq(), |_| answers::not_found());
        let decision = Decision {
            answer,
            play,
            fault: Some(Fault::ResetInBody),
            got_it: false,
            is_refused: false,
            must_conclude: Fault::ResetInBody.row().must_conclude,
            user: None,
            message_id: None,
            kind: None,
        };
        self.may_reset_in_body.store(state.plan.may_reset_in_body(), Ordering::Relaxed);
        self.keep(state, decision, head.clone(), connection, None);
        true
    }

    /// Decides on a request, delivers what it brings, and keeps it. Returns it with what the connection has to do.
    pub(crate) fn handle(&self, request: Request, connection: u64) -> (Arc<Received>, Play) {
        if request.method == "GET" {
            return self.read(request, connection);
        }
        // Without the lock: what the request alone decides.
        let head = answers::check_head(&request, &self.settings);
        let (verdict, body) = match head {
            Err(refused) => (Err(Denied::Gateway(refused)), None),
            Ok((account_id, edge)) => match answers::read_object(&request.body) {
                Err(refusal) => (Err(Denied::Meta(refusal)), None),
                Ok(body) => (Ok((account_id, edge)), Some(body)),
            },
        };
        let no_body = Map::new();
        let body = body.as_ref().unwrap_or(&no_body);
        let verdict = verdict.and_then(|(account_id, edge)| self.check_body(body, account_id, edge));
        let is_http = request.fault.is_none();
        let verdict = verdict.map(|accepted| (accepted, self.prepare(&accepted, &request.body)));
        let (number, hash) = match &verdict {
            Ok((_, prepared)) => (prepared.number, prepared.hash),
            Err(_) => (self.next_answer(), None),
        };
        let mut state = self.state();
        let planned = if is_http { state.planned_answers.pop_front() } else { None };
        let decision = match planned {
            Some(answer) => Decision::answered(answer, &[], named_user(body)),
            None => match verdict {
                Ok((accepted, prepared)) => self.decide(&mut state, &accepted, prepared, body),
                Err(denied) => Decision::refused(denied, number, named_user(body)),
            },
        };
        self.keep(state, decision, request, connection, hash)
    }

    fn next_answer(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes what a delivery most likely needs while the state is not locked.
    fn prepare(&self, accepted: &Accepted, body: &[u8]) -> Prepared {
        let number = self.next_answer();
        let user = match accepted.recipient {
            Recipient::User(user) => Some(user),
            Recipient::Comment(_) | Recipient::Nobody => None,
        };
        let message_id = self.message_id(accepted, number);
        let answer = user.map(|user| answers::accepted(accepted, Some(user), message_id.as_deref(), number));
        let hash = user.map(|user| body_hash(user, body));
        Prepared { number, message_id, user: user.map(str::to_owned), answer, hash }
    }

    fn message_id(&self, accepted: &Accepted, number: u64) -> Option<String> {
        (accepted.kind == Kind::Message).then(|| answers::message_id(&self.settings.account_id, number))
    }

    /// Answers a request that asks for something and delivers nothing.
    fn read(&self, request: Request, connection: u64) -> (Arc<Received>, Play) {
        let mut state = self.state();
        let decision = match state.planned_answers.pop_front() {
            Some(answer) => Decision::answered(answer, &[], None),
            None => match answers::read(&request, &self.settings) {
                Ok(answer) => Decision::answered(answer, concludes(0), None),
                Err(refused) => Decision::refused(Denied::Gateway(refused), self.next_answer(), None),
            },
        };
        self.keep(state, decision, request, connection, None)
    }

    fn check_body<'a>(
        &self,
        body: &'a Map<String, Value>,
        account_id: &str,
        edge: Edge,
    ) -> Result<Accepted<'a>, Denied> {
        answers::check_body(body, account_id, edge, &self.settings).map_err(Denied::Meta)
    }

    fn decide(
        &self,
        state: &mut State,
        accepted: &Accepted,
        prepared: Prepared,
        body: &Map<String, Value>,
    ) -> Decision {
        let number = prepared.number;
        let user = match state.people.admit(accepted.recipient, accepted.human_agent) {
            Ok(commenter) => commenter.or(prepared.user),
            Err(closed) => return Decision::refused(closed.into(), number, named_user(body)),
        };
        if !state.limit.admits() {
            let message = "Calls to this api have exceeded the rate limit.".to_owned();
            let refusal = Refusal { status: 400, code: 613, subcode: None, message };
            return Decision::refused(Denied::Meta(refusal), number, user);
        }
        let fault = state.plan.choose(accepted.text, user.as_deref());
        let is_delivered = fault.is_none_or(|fault| fault.row().got_it);
        let mut got_it = false;
        if let Some(user) = user.as_deref().filter(|_| is_delivered) {
            state.people.deliver(user, state.record.next_seq(), accepted.recipient);
            got_it = true;
        }
        let success = |number| {
            let id = self.message_id(accepted, number);
            answers::accepted(accepted, user.as_deref(), id.as_deref(), number)
        };
        let (answer, play) = match (fault, prepared.answer) {
            (Some(fault), _) => faults::play(fault, number, success),
            (None, Some(answer)) => (Some(answer), Play::Answer),
            (None, None) => (Some(success(number)), Play::Answer),
        };
        let message_id = prepared.message_id.filter(|_| got_it);
        if let (true, Some(user), Some(mid)) = (self.settings.echo, &user, &message_id) {
            let echo = Happening::Echo { mid: mid.clone(), message: body["message"].clone() };
            // If the queue is full, the log says that this one was dropped.
            let _ = self.webhooks.add(user, state.people.now_ms(), &echo, None);
        }
        Decision {
            answer,
            play,
            fault,
            got_it,
            is_refused: false,
            must_conclude: fault.map_or(concludes(0), |fault| fault.row().must_conclude),
            message_id,
            user,
            kind: Some(accepted.kind),
        }
    }

    fn keep(
        &self,
        mut state: MutexGuard<'_, State>,
        decision: Decision,
        request: Request,
        connection: u64,
        hash: Option<u64>,
    ) -> (Arc<Received>, Play) {
        state.record.counts.refused += u64::from(decision.is_refused);
        let mut received = Received {
            seq: 0,
            at_ms: state.people.now_ms(),
            connection,
            method: request.method,
            path: request.path,
            head: request.head,
            body: request.body,
            answer: decision.answer,
            got_it: decision.got_it,
            fault: decision.fault.map(Fault::name),
            must_conclude: decision.must_conclude,
            user: decision.user,
            message_id: decision.message_id,
            came_twice: false,
            kind: decision.kind,
            messages_so_far: 0,
            body_hash: hash.unwrap_or_default(),
        };
        if let (None, Some(user)) = (hash, &received.user) {
            received.body_hash = body_hash(user, &received.body);
        }
        let State { record, people, .. } = &mut *state;
        let (received, forgotten) = record.push(received, |gone| {
            if let Some(user) = &gone.user {
                people.forget(user, gone.seq);
            }
        });
        if let Some(user) = received.user.as_ref().filter(|_| !received.got_it) {
            people.show_lost(user, received.seq);
        }
        self.signal(state);
        // Their memory is freed without the lock.
        drop(forgotten);
        if let Some(observe) = &self.settings.on_request {
            observe(&received);
        }
        (received, decision.play)
    }
}

impl Decision {
    /// For a response that delivers nothing and refuses nothing.
    fn answered(answer: Answer, must_conclude: &'static [Conclusion], user: Option<String>) -> Decision {
        Decision {
            answer: Some(answer),
            play: Play::Answer,
            fault: None,
            got_it: false,
            is_refused: false,
            must_conclude,
            user,
            message_id: None,
            kind: None,
        }
    }

    fn refused(denied: Denied, number: u64, user: Option<String>) -> Decision {
        let (answer, must_conclude) = match denied {
            Denied::Gateway(refused) => refused,
            Denied::Meta(refusal) => answers::refused_by_meta(&refusal, number),
        };
        Decision {
            answer: Some(answer),
            play: Play::Answer,
            fault: None,
            got_it: false,
            is_refused: true,
            must_conclude,
            user,
            message_id: None,
            kind: None,
        }
    }
}

impl From<Closed> for Denied {
    fn from(closed: Closed) -> Denied {
        match closed {
            Closed::Meta(refusal) => Denied::Meta(refusal),
            Closed::Sandbox(code, message) => Denied::Gateway(answers::refused_by_gateway(403, code, message)),
        }
    }
}

/// Tells one body to one user from another. The keys are new in each process.
fn body_hash(user: &str, body: &[u8]) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one((user, body))
}

/// Whom a body is for, right or wrong, to show it there.
fn named_user(body: &Map<String, Value>) -> Option<String> {
    body.get("recipient")?.get("id")?.as_str().map(str::to_owned)
}

/// How many sends a second are accepted.
struct Limit {
    per_second: Option<u32>,
    since: Instant,
    count: u32,
}

impl Limit {
    fn admits(&mut self) -> bool {
        let Some(most) = self.per_second else { return true };
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.count = 0;
        }
        self.count += 1;
        self.count <= most
    }
}

/// A thread that panicked leaves whole data behind: everything kept here changes in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
