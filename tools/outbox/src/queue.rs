//! The queue as the rest of the program sees it: messages, states, verdicts, and the trait of an engine.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use hookmyapp::{Error, ErrorKind, Response};

/// Milliseconds since 1970, by the engine's clock.
pub type Millis = i64;

/// An expiry that never comes.
pub const NEVER: Millis = i64::MAX;

/// The window in which Meta lets an account answer: how long a message is worth sending unless it says otherwise.
pub const WINDOW: Millis = 24 * 60 * 60 * 1000;

/// How often a message is begun that never reaches the gateway, before it fails.
pub const MAX_ATTEMPTS: u32 = 8;

/// The status of a claim that was given back: its send has not begun.
pub const NOT_BEGUN: i32 = -1;

/// A message to be added, with its place in the input.
#[derive(Clone, Debug)]
pub struct NewMessage<'a> {
    pub key: &'a str,
    /// `user ID` or `comment ID`: one message of a recipient is in flight at a time, in the order of adding.
    pub recipient: &'a str,
    /// The request body, byte for byte.
    pub body: &'a str,
    /// `None` is 24 hours after it was added.
    pub expires_at: Option<Millis>,
    pub row: u64,
    pub line: u64,
}

/// What adding a message found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// With the id of the message.
    New(i64),
    /// The key is in the queue with the same message, under this id.
    Already(i64),
    /// The key is in the queue with another message.
    Differs,
    /// The key is in this input already, at this line.
    Twice { line: u64 },
}

/// Receives what adding each message found.
pub type Tell<'a> = dyn FnMut(&NewMessage<'_>, Added) + 'a;

/// Adds the messages of one input.
pub trait Import {
    /// May report a message later, but in the order of adding.
    fn add(&mut self, message: &NewMessage<'_>, tell: &mut Tell<'_>) -> Result<(), EngineError>;

    /// Reports all that were added.
    fn finish(&mut self, tell: &mut Tell<'_>) -> Result<(), EngineError>;
}

/// A set of ids. They are stored as ranges, because the messages of a file mostly follow each other.
#[derive(Clone, Debug, Default)]
pub struct Ids(BTreeMap<i64, i64>);

impl Ids {
    pub fn add(&mut self, id: i64) {
        if self.contains(id) {
            return;
        }
        let last = self.0.remove(&(id + 1)).unwrap_or(id);
        match self.0.range_mut(..id).next_back() {
            Some((_, before)) if *before == id - 1 => *before = last,
            _ => drop(self.0.insert(id, last)),
        }
    }

    pub fn contains(&self, id: i64) -> bool {
        self.0.range(..=id).next_back().is_some_and(|(_, last)| id <= *last)
    }

    /// The first and the last id of each range, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }
}

/// A message that is this worker's to send: the queue has durably recorded that it is being sent.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: i64,
    /// Distinguishes this claim from earlier ones of the same message.
    pub claim: i64,
    /// How often it was begun, this time included.
    pub attempt: u32,
    pub recipient: String,
    pub body: String,
    pub key: Option<String>,
    pub row: Option<i64>,
    pub line: Option<i64>,
}

/// What a send returned.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The library's status; 0 is accepted, [`NOT_BEGUN`] a claim that is given back.
    pub status: i32,
    pub retry_after: Option<Duration>,
    pub usage_percent: Option<u32>,
    pub message_id: Option<String>,
    pub error: Option<String>,
    pub http_status: Option<u16>,
    pub meta_code: Option<i32>,
    pub meta_subcode: Option<i32>,
    pub gateway_code: Option<String>,
    pub took: Duration,
}

impl Answer {
    pub fn of(result: &Result<Response, Error>, took: Duration) -> Answer {
        let (status, error, response) = match result {
            Ok(response) => (0, None, Some(response)),
            Err(error) => (error.kind() as i32, Some(error.to_string()), error.response()),
        };
        let mut answer = Answer { status, error, took, ..Answer::default() };
        if let Some(response) = response {
            answer.retry_after = response.retry_after();
            answer.usage_percent = response.usage_percent();
            answer.message_id = response.message_id().map(str::to_owned);
            answer.http_status = Some(response.http_status()).filter(|status| *status > 0);
            answer.meta_code = response.meta_code();
            answer.meta_subcode = response.meta_subcode();
            answer.gateway_code = response.gateway_code().map(str::to_owned);
        }
        answer
    }

    /// A message that can never be sent.
    pub fn invalid(reason: String) -> Answer {
        Answer { status: ErrorKind::Argument as i32, error: Some(reason), ..Answer::default() }
    }

    pub fn not_begun() -> Answer {
        Answer { status: NOT_BEGUN, ..Answer::default() }
    }
}

/// A claimed message and what its send returned.
#[derive(Clone, Debug)]
pub struct Settled {
    pub message: Claimed,
    pub answer: Answer,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Queued,
    Sending,
    Accepted,
    Refused,
    Unknown,
    Failed,
    Expired,
    Cancelled,
}

impl State {
    pub const ALL: [State; 8] = [
        State::Queued,
        State::Sending,
        State::Accepted,
        State::Refused,
        State::Unknown,
        State::Failed,
        State::Expired,
        State::Cancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Accepted => "accepted",
            State::Refused => "refused",
            State::Unknown => "unknown",
            State::Failed => "failed",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
        }
    }

    pub fn of_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What a status means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused,
    /// Possibly delivered: never sent again by itself.
    Unknown,
    /// It breaks a limit, and always will.
    Failed,
    /// Definitely not sent: queued again after a delay.
    Retry,
    /// Not delivered for a reason that is the account's or the moment's: queued again, the attempt does not count.
    Back,
}

/// The one table of verdicts. The PostgreSQL engine's `outbox.verdict` is the same table in SQL.
pub fn verdict(status: i32) -> Verdict {
    match status {
        0 => Verdict::Accepted,
        NOT_BEGUN | 11 | 21 | 22 | 25 | 27 => Verdict::Back,
        10 => Verdict::Failed,
        11..=19 => Verdict::Retry,
        20..=29 => Verdict::Refused,
        _ => Verdict::Unknown,
    }
}

/// Whether a status delays every send of the account.
pub fn pauses(status: i32) -> bool {
    matches!(status, 11 | 12 | 21 | 22 | 25 | 27)
}

/// Whether a status proves that the gateway takes messages of this account again.
pub fn proves_health(status: i32) -> bool {
    matches!(status, 0 | 20 | 23 | 24 | 26)
}

/// Whether a person has to act before anything of this account is accepted.
pub fn needs_a_person(status: i32) -> bool {
    matches!(status, 11 | 21 | 25 | 27)
}

/// What one turn gave.
#[derive(Debug)]
pub struct Turn {
    pub claimed: Vec<Claimed>,
    pub next: Next,
    /// The states of the settled messages, in the order in which they were given.
    pub states: Vec<State>,
    /// Messages that were settled without a send, such as expired ones.
    pub closed: Vec<Finished>,
    /// Nobody sends before this time; 0 if there is no pause.
    pub paused_until: Millis,
    /// A send that has not begun after this time must not begin, counted from the start of the turn.
    pub begin_within: Option<Duration>,
}

/// When to ask again, if fewer messages came than were wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More may be ready now.
    Now,
    /// Nothing before this time: a backoff, a pause or the rate limit.
    At(Millis),
    /// The queued messages wait for messages in flight.
    Settle,
    /// Nothing is queued.
    Empty,
}

/// What `status` prints.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// In the order of [`State::ALL`].
    pub counts: [u64; 8],
    pub oldest_queued_at: Option<Millis>,
    /// Accepted within the last 60 seconds.
    pub accepted_last_minute: u64,
    pub paused_until: Millis,
    pub pause_reason: Option<String>,
    /// Who sends: a line for each worker.
    pub workers: Vec<String>,
}

impl Status {
    pub fn count(&self, state: State) -> u64 {
        self.counts[state as usize]
    }

    /// How many wait to be sent or are being sent.
    pub fn left(&self) -> u64 {
        self.count(State::Queued) + self.count(State::Sending)
    }
}

/// One message that is settled, as results list it.
#[derive(Clone, Debug)]
pub struct Finished {
    pub id: i64,
    pub key: Option<String>,
    pub row: Option<i64>,
    pub line: Option<i64>,
    pub recipient: String,
    pub body: String,
    pub state: State,
    pub status: Option<i32>,
    pub message_id: Option<String>,
    pub error: Option<String>,
    pub http_status: Option<i64>,
    pub meta_code: Option<i64>,
    pub meta_subcode: Option<i64>,
    pub gateway_code: Option<String>,
    pub attempts: u32,
    pub milliseconds: Option<i64>,
    pub begun_at: Option<Millis>,
    pub settled_at: Option<Millis>,
}

impl Finished {
    pub fn of(settled: &Settled, state: State, settled_at: Millis) -> Finished {
        let (message, answer) = (settled.message.clone(), settled.answer.clone());
        Finished {
            id: message.id,
            key: message.key,
            row: message.row,
            line: message.line,
            recipient: message.recipient,
            body: message.body,
            state,
            status: Some(answer.status),
            message_id: answer.message_id,
            error: answer.error,
            http_status: answer.http_status.map(i64::from),
            meta_code: answer.meta_code.map(i64::from),
            meta_subcode: answer.meta_subcode.map(i64::from),
            gateway_code: answer.gateway_code,
            attempts: message.attempt,
            milliseconds: i64::try_from(answer.took.as_millis()).ok(),
            begun_at: None,
            settled_at: Some(settled_at),
        }
    }
}

/// Adds the messages of one input; returns whether to keep them.
pub type Feed<'a> = dyn FnMut(&mut dyn Import) -> Result<bool, EngineError> + 'a;

/// A queue in a database. One thread owns an engine; no call blocks longer than a commit or the busy timeout.
pub trait Engine: Send {
    /// Runs `feed` in one transaction: everything that it adds is stored durably if it returns true, else nothing.
    fn import(&mut self, source: &str, feed: &mut Feed<'_>) -> Result<(), EngineError>;

    /// Becomes a worker. What dead workers left in `sending` becomes `unknown`; returns how many that were.
    fn recover(&mut self, account: &str) -> Result<u64, EngineError>;

    /// Settles what was sent and claims at most `want` messages, in one durable transaction: when this returns, both
    /// survive a loss of power. On an error the same settlements must be given again; an engine whose commit may have
    /// succeeded all the same recognizes them.
    fn turn(&mut self, settled: &[Settled], want: usize) -> Result<Turn, EngineError>;

    /// What a person should know of the last turns.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// How long to wait for more results once there is one, so that they share a turn.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether another connection may have changed the queue since the last call or turn. Cheap: it is polled.
    fn changed(&mut self) -> Result<bool, EngineError>;

    /// Ends being a worker; nothing is in flight.
    fn leave(&mut self) -> Result<(), EngineError>;

    fn status(&mut self) -> Result<Status, EngineError>;

    /// How many messages wait to be sent or are being sent.
    fn left(&mut self) -> Result<u64, EngineError>;

    /// How many of these messages are in each state. Whatever other programs add, these are the same messages.
    fn counts_of(&mut self, ids: &Ids) -> Result<Status, EngineError>;

    /// The ids of those of them that are settled in this state.
    fn ids_of(&mut self, ids: &Ids, state: State) -> Result<Vec<i64>, EngineError>;

    /// Visits the settled messages whose id is greater than `after`, in the order of ids.
    fn finished(
        &mut self,
        after: i64,
        only: Option<State>,
        visit: &mut dyn FnMut(Finished) -> bool,
    ) -> Result<(), EngineError>;

    /// Settles an unknown message as accepted. Returns false if there is no such unknown message.
    fn accept(&mut self, id: i64, message_id: Option<&str>) -> Result<bool, EngineError>;

    /// Queues a settled message again: a person's decision. It expires at this time, or 24 hours from now. Returns its id
    /// from then on, or nothing unless its state is `from`.
    fn resend(&mut self, id: i64, from: State, expires_at: Option<Millis>) -> Result<Option<i64>, EngineError>;

    /// Removes messages that were settled before this age, never unknown ones; returns how many.
    fn prune(&mut self, older_than: Duration) -> Result<u64, EngineError>;

    /// What about the place of the queue may break its promise.
    fn warning(&mut self) -> Option<String>;

    /// Creates or migrates the queue, and sets the sends a second that all workers share where the engine has such a limit:
    /// infinity is none, and `None` keeps what is set.
    fn create(&mut self, rate: Option<f64>) -> Result<(), EngineError>;
}

/// Why a call of an engine failed, and whether to call again.
#[derive(Debug)]
pub struct EngineError {
    pub kind: EngineErrorKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// Another program writes, or the connection was lost and comes back: the same call again, later.
    Busy,
    /// The disk is full: the same call again, later.
    Full,
    /// Another worker has this queue.
    NotOurs,
    /// The settings do not fit the queue.
    Settings,
    /// Anything else. No further send may begin.
    Fatal,
}

impl EngineError {
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> EngineError {
        EngineError { kind, message: message.into() }
    }

    pub fn fatal(error: impl fmt::Display) -> EngineError {
        EngineError::new(EngineErrorKind::Fatal, error.to_string())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for EngineError {}

/// The time of this machine.
pub fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_all_statuses_follow_the_table() {
        let table = [
            (0, Verdict::Accepted),
            (NOT_BEGUN, Verdict::Back),
            (10, Verdict::Failed),
            (11, Verdict::Back),
            (12, Verdict::Retry),
            (13, Verdict::Retry),
            (20, Verdict::Refused),
            (21, Verdict::Back),
            (22, Verdict::Back),
            (23, Verdict::Refused),
            (24, Verdict::Refused),
            (25, Verdict::Back),
            (26, Verdict::Refused),
            (27, Verdict::Back),
            (29, Verdict::Refused),
            (30, Verdict::Unknown),
            (31, Verdict::Unknown),
            (32, Verdict::Unknown),
            (99, Verdict::Unknown),
            (-2, Verdict::Unknown),
        ];
        for (status, expected) in table {
            assert_eq!(verdict(status), expected, "status {status}");
        }
    }

    #[test]
    fn a_possibly_delivered_status_is_always_unknown() {
        for status in (-100..200).filter(|status| !(10..30).contains(status) && *status != 0 && *status != NOT_BEGUN) {
            assert_eq!(verdict(status), Verdict::Unknown, "status {status}");
            assert!(!pauses(status) && !proves_health(status));
        }
    }

    #[test]
    fn ids_in_any_order_are_contained_and_become_ranges() {
        let mut ids = Ids::default();
        for id in [5, 3, 9, 4, 4, 1, 10] {
            ids.add(id);
        }
        assert_eq!(ids.ranges().collect::<Vec<_>>(), [(1, 1), (3, 5), (9, 10)]);
        let contained: Vec<i64> = (0..12).filter(|id| ids.contains(*id)).collect();
        assert_eq!(contained, [1, 3, 4, 5, 9, 10]);
    }

    #[test]
    fn states_have_the_names_of_the_database() {
        for (place, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(State::of_name(state.name()), Some(state));
            assert_eq!(state as usize, place);
        }
        assert_eq!(State::of_name("gone"), None);
    }
}
