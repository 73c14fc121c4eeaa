//! The table of faults as data, which fault is next, and what each one does to a response.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answers;
use crate::conclusions::{Conclusion, always, conclusions_json, waits, when};
use crate::http::Answer;
use crate::message_rules::Refusal;

/// A recipient's id that begins so chooses the fault with the three digits that follow.
pub(crate) const USER_PREFIX: &str = "900000000000";
pub(crate) const SLOW_ANSWER: Duration = Duration::from_secs(3);
pub(crate) const DRIP_INTERVAL: Duration = Duration::from_millis(500);
pub(crate) const DOWN_SECONDS: u64 = 3;
pub(crate) const MOST_DOWN_SECONDS: u64 = 3600;
const HUGE_ANSWER: usize = 1024 * 1024;
const SHORT_BY: usize = 10;

/// How a fault can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For one send: planned, by its text, by its user's id, by the command line, or by chance.
    Send,
    /// For the next TLS handshake: planned or by the command line.
    Handshake,
    /// For a number of seconds: planned or by the command line.
    Server,
}

/// One row of the table of faults.
#[derive(Debug)]
pub struct FaultRow {
    /// The fault itself.
    pub fault: Fault,
    /// The number; a recipient's id `900000000000` plus its three digits chooses it.
    pub id: u16,
    /// The name, for `--fault`, the API and `#name` in a text.
    pub name: &'static str,
    /// What happens on the wire.
    pub on_the_wire: &'static str,
    /// Whether the user gets the message.
    pub got_it: bool,
    /// What a client must conclude: one of these.
    pub must_conclude: &'static [Conclusion],
    /// How it can be chosen.
    pub scope: Scope,
}

macro_rules! faults {
    ($($variant:ident $id:literal $name:literal $scope:ident $got_it:literal $wire:literal [$($conclusion:expr),+])+) => {
        /// A fault that the simulator can play. The table is in `docs/simulator.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $(#[doc = concat!($wire, ".")] $variant,)+
        }

        impl Fault {
            /// All faults, in the order of their numbers.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant),+];
        }

        static TABLE: &[FaultRow] = &[$(FaultRow {
            fault: Fault::$variant,
            id: $id,
            name: $name,
            on_the_wire: $wire,
            got_it: $got_it,
            must_conclude: &[$($conclusion),+],
            scope: Scope::$scope,
        }),+];
    };
}

faults! {
    LostAfter 1 "lost-after" Send true
        "request read, delivered, connection closed without a response" [always(31)]
    LostBefore 2 "lost-before" Send false
        "request read, not delivered, connection closed without a response" [always(31)]
    ResetAfter 3 "reset-after" Send true
        "request read, delivered, connection reset" [always(31)]
    ResetBefore 4 "reset-before" Send false
        "request read, not delivered, connection reset" [always(31)]
    ResetInBody 5 "reset-in-body" Send false
        "head read, body not, connection reset" [always(31)]
    Silent 6 "silent" Send true
        "delivered, never answered" [when(31, "at its timeout")]
    SlowAnswer 7 "slow-answer" Send true
        "delivered, 200 after 3 s" [when(0, "its timeout is longer"), when(31, "its timeout is shorter")]
    Drip 8 "drip" Send true
        "delivered, 200 with one byte every 500 ms" [when(31, "at its timeout"), when(0, "its timeout is longer")]
    Error500After 10 "error-500-after" Send true
        "delivered, then 500 in Meta's shape, code 2" [always(30)]
    Error502Before 11 "error-502-before" Send false
        "not delivered, 502 with HTML" [always(30)]
    Error503Before 12 "error-503-before" Send false
        "not delivered, 503 in the gateway's flat shape" [always(30)]
    ErrorButDelivered 13 "error-but-delivered" Send true
        "delivered, error 1 with subcode 1357046" [always(30)]
    Timeout408 14 "timeout-408" Send false
        "not delivered, 408" [always(30)]
    Empty200 20 "empty-200" Send true
        "delivered, 200 without a body" [always(31)]
    Html200 21 "html-200" Send false
        "not delivered, 200 with a login page" [always(31)]
    ErrorIn200 22 "error-in-200" Send false
        "not delivered, 200 with an error that no list names" [always(30)]
    Cut200 23 "cut-200" Send true
        "delivered, body shorter than its Content-Length, connection closed" [always(31)]
    ShortLength 24 "short-length" Send true
        "delivered, Content-Length 10 less than the body" [always(31)]
    TwoAnswers 25 "two-answers" Send true
        "delivered, a second 200 with another id in the same write" [always(0)]
    NoId 26 "no-id" Send true
        "delivered, 200 with {}" [always(0)]
    HugeAnswer 27 "huge-answer" Send true
        "delivered, 200 with 1 MiB" [always(31)]
    RateLimited 30 "rate-limited" Send false
        "429 with RATE_LIMITED and Retry-After: 3" [waits(22, 3)]
    RateLimitedMeta 31 "rate-limited-meta" Send false
        "400 with error 613 and a usage header of 1 minute" [waits(22, 60)]
    WindowClosed 40 "window-closed" Send false
        "403 with error 10, subcode 2534022" [always(23)]
    TokenRotated 41 "token-rotated" Send false
        "401 in the gateway's flat shape" [always(21)]
    TokenExpired 42 "token-expired" Send false
        "400 with error 190, subcode 463" [always(25)]
    AccountBlocked 43 "account-blocked" Send false
        "400 with error 368" [always(25)]
    NoSuchUser 44 "no-such-user" Send false
        "400 with error 100, subcode 2534014" [always(24)]
    UserUnavailable 45 "user-unavailable" Send false
        "400 with error 551, subcode 1545041" [always(24)]
    MediaUnreachable 46 "media-unreachable" Send false
        "400 with error 100, subcode 2018008" [always(26)]
    Redirect 47 "redirect" Send false
        "302 to another host, which must not be followed" [always(27)]
    Down 50 "down" Server false
        "all connections, then the listener, closed for COUNT seconds" [always(12)]
    ClosedIdle 51 "closed-idle" Send true
        "200, then the kept connection is closed" [always(0)]
    TlsCut 60 "tls-cut" Handshake false
        "with --tls: the next handshake is cut" [always(12)]
    TlsWrongName 61 "tls-wrong-name" Handshake false
        "with --tls: the next certificate is for another name" [always(12)]
    TlsExpired 62 "tls-expired" Handshake false
        "with --tls: the next certificate has expired" [always(12)]
}

impl Fault {
    /// The row of the table.
    pub fn row(self) -> &'static FaultRow {
        &TABLE[self as usize]
    }

    /// The name, such as `lost-after`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The fault that a recipient's id chooses: `900000000000` plus its three digits.
    pub fn of_user(user: &str) -> Option<Fault> {
        let digits = user.strip_prefix(USER_PREFIX).filter(|digits| digits.len() == 3)?;
        let id: u16 = digits.parse().ok()?;
        Fault::ALL.iter().copied().find(|fault| fault.row().id == id && fault.row().scope == Scope::Send)
    }

    /// The fault that a text chooses: `#lost-after` as its first word.
    pub fn of_text(text: &str) -> Option<Fault> {
        let name = text.split_whitespace().next()?.strip_prefix('#')?;
        name.parse().ok().filter(|fault: &Fault| fault.row().scope == Scope::Send)
    }

    /// The recipient's id that chooses this fault.
    pub fn user_id(self) -> String {
        format!("{USER_PREFIX}{:03}", self.row().id)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Takes the name of a fault.
impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Fault, String> {
        let found = Fault::ALL.iter().copied().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("there is no fault {name:?}; --help lists them"))
    }
}

/// A fault, how often it is played, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// What is played.
    pub fault: Fault,
    /// How many sends or handshakes; for [`Fault::Down`] the seconds. `None` is for ever.
    pub count: Option<u64>,
    /// The recipient's id; `None` is every recipient.
    pub user: Option<String>,
}

/// Takes `NAME[:COUNT][@USER]`, as `--fault` does.
impl FromStr for PlannedFault {
    type Err = String;

    fn from_str(text: &str) -> Result<PlannedFault, String> {
        let (text, user) = match text.split_once('@') {
            Some((text, user)) => (text, Some(user)),
            None => (text, None),
        };
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let count = count.map(|count| match count.parse::<u64>() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("the count {count:?} is not a number from 1")),
        });
        PlannedFault { fault: name.parse()?, count: count.transpose()?, user: user.map(str::to_owned) }.validate()
    }
}

impl PlannedFault {
    pub(crate) fn validate(self) -> Result<PlannedFault, String> {
        match &self.user {
            Some(_) if self.fault.row().scope != Scope::Send => {
                Err(format!("{} comes before a user is known: leave the user out", self.fault))
            }
            _ if self.fault == Fault::Down && self.count.is_some_and(|seconds| seconds > MOST_DOWN_SECONDS) => {
                Err(format!("{} takes at most {MOST_DOWN_SECONDS} seconds", self.fault))
            }
            Some(user) if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(format!("the user {user:?} is not an id of digits"))
            }
            _ => Ok(self),
        }
    }

    fn is_for(&self, user: Option<&str>) -> bool {
        self.user.is_none() || self.user.as_deref() == user
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"name": self.fault.name(), "count": self.count, "user": self.user})
    }
}

/// Which faults come next.
#[derive(Default)]
pub(crate) struct Plan {
    /// For the next sends, in order: by the page, the API or a test.
    next: VecDeque<PlannedFault>,
    handshakes: VecDeque<PlannedFault>,
    /// By the command line.
    standing: VecDeque<PlannedFault>,
    chaos: Option<Chaos>,
}

struct Chaos {
    percent: u8,
    random: SplitMix,
}

impl Plan {
    pub(crate) fn new(standing: &[PlannedFault], chaos_percent: u8, seed: u64) -> Plan {
        let of_scope = |scope| standing.iter().filter(move |it| it.fault.row().scope == scope).cloned().collect();
        let chaos = (chaos_percent > 0).then_some(Chaos { percent: chaos_percent, random: SplitMix(seed) });
        Plan { next: VecDeque::new(), handshakes: of_scope(Scope::Handshake), standing: of_scope(Scope::Send), chaos }
    }

    /// Adds a fault for the next sends or handshakes.
    pub(crate) fn add(&mut self, planned: PlannedFault) {
        match planned.fault.row().scope {
            Scope::Handshake => self.handshakes.push_back(planned),
            _ => self.next.push_back(planned),
        }
    }

    /// Removes every fault, also the command line's.
    pub(crate) fn clear(&mut self) {
        *self = Plan::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.next.len() + self.handshakes.len()
    }

    /// The fault for a send, first that applies.
    pub(crate) fn choose(&mut self, text: Option<&str>, user: Option<&str>) -> Option<Fault> {
        let by_text = || text.and_then(Fault::of_text);
        let by_user = || user.and_then(Fault::of_user);
        take(&mut self.next, |planned| planned.is_for(user))
            .or_else(by_text)
            .or_else(by_user)
            .or_else(|| take(&mut self.standing, |planned| planned.is_for(user)))
            .or_else(|| self.chaos.as_mut().and_then(Chaos::choose))
    }

    /// Whether the next send is reset before its body is read, and so before its user is known.
    pub(crate) fn choose_before_body(&mut self) -> bool {
        let queue = if self.next.is_empty() { &mut self.standing } else { &mut self.next };
        let is_first = queue.front().is_some_and(|it| it.fault == Fault::ResetInBody && it.user.is_none());
        is_first && take(queue, |_| true).is_some()
    }

    pub(crate) fn may_reset_in_body(&self) -> bool {
        self.next.iter().chain(&self.standing).any(|planned| planned.fault == Fault::ResetInBody)
    }

    pub(crate) fn choose_for_handshake(&mut self) -> Option<Fault> {
        take(&mut self.handshakes, |_| true)
    }

    pub(crate) fn to_json(&self) -> Value {
        let list = |planned: &VecDeque<PlannedFault>| planned.iter().map(PlannedFault::to_json).collect::<Value>();
        json!({
            "next": list(&self.next),
            "handshakes": list(&self.handshakes),
            "standing": list(&self.standing),
            "chaos_percent": self.chaos.as_ref().map_or(0, |chaos| chaos.percent),
        })
    }
}

/// Takes one play of the first fault that fits.
fn take(queue: &mut VecDeque<PlannedFault>, fits: impl Fn(&PlannedFault) -> bool) -> Option<Fault> {
    let at = queue.iter().position(fits)?;
    let planned = &mut queue[at];
    let fault = planned.fault;
    if let Some(count) = &mut planned.count {
        *count -= 1;
        if *count == 0 {
            queue.remove(at);
        }
    }
    Some(fault)
}

impl Chaos {
    fn choose(&mut self) -> Option<Fault> {
        if self.random.next() % 100 >= u64::from(self.percent) {
            return None;
        }
        let of_sends: Vec<Fault> =
            Fault::ALL.iter().copied().filter(|fault| fault.row().scope == Scope::Send).collect();
        Some(of_sends[(self.random.next() % of_sends.len() as u64) as usize])
    }
}

/// Vigna's SplitMix64: the same seed gives the same faults.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The whole table, for the API and the page.
pub(crate) fn table_json() -> Value {
    let row = |row: &FaultRow| {
        json!({
            "id": row.id,
            "name": row.name,
            "on_the_wire": row.on_the_wire,
            "got_it": row.got_it,
            "must_conclude": conclusions_json(row.must_conclude),
            "scope": match row.scope {
                Scope::Send => "send",
                Scope::Handshake => "handshake",
                Scope::Server => "server",
            },
        })
    };
    TABLE.iter().map(row).collect()
}

/// The whole table as text.
pub fn table_text() -> String {
    let row = |row: &FaultRow| {
        let statuses: Vec<String> = row.must_conclude.iter().map(|it| it.status.to_string()).collect();
        let got_it = if row.got_it { "yes" } else { "no" };
        let statuses = statuses.join(" or ");
        format!("  {:03}  {:<20} {got_it:<7} {statuses:<13} {}\n", row.id, row.name, row.on_the_wire)
    };
    let heading = "  ID   NAME                 GOT IT  CONCLUDE      ON THE WIRE\n";
    heading.to_owned() + &TABLE.iter().map(row).collect::<String>()
}

/// What the connection does with a response.
#[derive(Debug)]
pub(crate) enum Play {
    /// Writes it.
    Answer,
    /// Writes it with its own framing, which is not true.
    Unframed { goes_on: bool },
    /// Writes it and another one at once.
    Twice(Answer),
    /// Writes it later.
    Late(Duration),
    /// Writes it one byte at a time.
    Drip(Duration),
    /// Writes it and closes the connection unannounced.
    ThenClose,
    /// Writes nothing and closes.
    Close,
    /// Writes nothing and resets.
    Reset,
    /// Writes nothing and waits for the client to give up.
    Silent,
}

/// What goes out for a send that was right: the response, if any, and how. `accepted` makes the response of a success
/// with the id of a number.
pub(crate) fn play(fault: Fault, number: u64, accepted: impl Fn(u64) -> Answer) -> (Option<Answer>, Play) {
    let meta = |status: u16, code: u32, subcode: Option<u32>, message: &str| {
        let refusal = Refusal { status, code, subcode, message: message.to_owned() };
        answers::refused_by_meta(&refusal, number).0
    };
    let flat = |status, code, message| answers::refused_by_gateway(status, code, message).0;
    let html = |status, text: &str| {
        Answer::new(status, "text/html; charset=utf-8", &format!("<!DOCTYPE html>\n<title>{text}</title>\n"))
    };
    let answer = match fault {
        Fault::LostAfter | Fault::LostBefore => return (None, Play::Close),
        Fault::ResetAfter | Fault::ResetBefore | Fault::ResetInBody => return (None, Play::Reset),
        Fault::Silent => return (None, Play::Silent),
        Fault::SlowAnswer => return (Some(accepted(number)), Play::Late(SLOW_ANSWER)),
        Fault::Drip => return (Some(accepted(number)), Play::Drip(DRIP_INTERVAL)),
        Fault::TwoAnswers => return (Some(accepted(number)), Play::Twice(accepted(u64::MAX - number))),
        Fault::ClosedIdle => return (Some(accepted(number)), Play::ThenClose),
        Fault::Cut200 => {
            let mut answer = accepted(number);
            let length = answer.body.len();
            answer.body.truncate(length / 2);
            return (
                Some(answer.with_header("Content-Length", &length.to_string())),
                Play::Unframed { goes_on: false },
            );
        }
        Fault::ShortLength => {
            let answer = accepted(number);
            let length = answer.body.len().saturating_sub(SHORT_BY);
            return (Some(answer.with_header("Content-Length", &length.to_string())), Play::Unframed { goes_on: true });
        }
        Fault::Error500After => meta(500, 2, None, "Service temporarily unavailable"),
        Fault::Error502Before => html(502, "502 Bad Gateway"),
        Fault::Error503Before => flat(503, "SERVICE_UNAVAILABLE", "The gateway is overloaded."),
        Fault::ErrorButDelivered => meta(400, 1, Some(1_357_046), "Received Invalid JSON reply"),
        Fault::Timeout408 => html(408, "408 Request Timeout"),
        Fault::Empty200 => Answer { status: 200, headers: Vec::new(), body: Vec::new() },
        Fault::Html200 => html(200, "Log in"),
        Fault::ErrorIn200 => meta(200, 98_765, None, "An error that no list names"),
        Fault::NoId => Answer::new(200, "application/json; charset=UTF-8", "{}"),
        Fault::HugeAnswer => Answer::new(200, "application/json; charset=UTF-8", &huge_body()),
        Fault::RateLimited => {
            flat(429, "RATE_LIMITED", "Too many messages: wait before the next one.").with_header("Retry-After", "3")
        }
        Fault::RateLimitedMeta => {
            let usage = r#"{"17841450000000017":[{"type":"instagram","call_count":100,"total_cputime":25,"total_time":25,"estimated_time_to_regain_access":1}]}"#;
            meta(400, 613, None, "Calls to this api have exceeded the rate limit.")
                .with_header("X-Business-Use-Case-Usage", usage)
        }
        Fault::WindowClosed => meta(403, 10, Some(2_534_022), "This message is sent outside of allowed window."),
        Fault::TokenRotated => flat(401, "UNAUTHORIZED", "This token is unknown or was replaced by a newer one."),
        Fault::TokenExpired => meta(400, 190, Some(463), "Error validating access token: the session has expired."),
        Fault::AccountBlocked => meta(400, 368, None, "The action attempted has been deemed abusive."),
        Fault::NoSuchUser => meta(400, 100, Some(2_534_014), "The requested user cannot be found."),
        Fault::UserUnavailable => meta(400, 551, Some(1_545_041), "This person isn't available right now."),
        Fault::MediaUnreachable => meta(400, 100, Some(2_018_008), "Failed to fetch the file from the URL."),
        Fault::Redirect => html(302, "302 Found").with_header("Location", "https://login.example.net/meta/v25.0/login"),
        // These come before a request, so nothing is left to do for one.
        Fault::Down | Fault::TlsCut | Fault::TlsWrongName | Fault::TlsExpired => accepted(number),
    };
    (Some(answer), Play::Answer)
}

fn huge_body() -> String {
    let head = r#"{"recipient_id":"8123456789012345","message_id":"m","filler":""#;
    format!("{head}{}\"}}", "x".repeat(HUGE_ANSWER - head.len() - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_of_its_numbers() {
        assert_eq!(TABLE.len(), 36);
        assert!(TABLE.iter().zip(Fault::ALL).all(|(row, fault)| row.fault == *fault && fault.row().id == row.id));
        assert!(TABLE.windows(2).all(|pair| pair[0].id < pair[1].id));
        for row in TABLE {
            assert_eq!(row.name.parse(), Ok(row.fault));
        }
    }

    #[test]
    fn a_planned_fault_is_read_with_count_and_user() {
        let planned = |count, user: Option<&str>| {
            Ok(PlannedFault { fault: Fault::LostAfter, count, user: user.map(str::to_owned) })
        };
        assert_eq!("lost-after".parse(), planned(None, None));
        assert_eq!("lost-after:2".parse(), planned(Some(2), None));
        assert_eq!("lost-after@123".parse(), planned(None, Some("123")));
        assert_eq!("lost-after:1@123".parse(), planned(Some(1), Some("123")));
        for wrong in ["", "lost", "lost-after:0", "lost-after:x", "lost-after@me", "lost-after@", "down@1", "tls-cut@1"]
        {
            assert!(wrong.parse::<PlannedFault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn planned_comes_before_text_user_and_command_line() {
        let standing: PlannedFault = "no-id:1".parse().unwrap();
        let mut plan = Plan::new(&[standing], 0, 0);
        plan.add("silent:1@7".parse().unwrap());
        plan.add("drip:1".parse().unwrap());
        let user = Fault::LostAfter.user_id();
        assert_eq!(user, "900000000000001");
        assert_eq!(plan.choose(Some("#no-id"), Some("1")), Some(Fault::Drip));
        assert_eq!(plan.choose(Some("#cut-200 and more"), Some(&user)), Some(Fault::Cut200));
        assert_eq!(plan.choose(Some("plain"), Some(&user)), Some(Fault::LostAfter));
        assert_eq!(plan.choose(Some("plain"), Some("1")), Some(Fault::NoId));
        assert_eq!(plan.choose(Some("plain"), Some("1")), None);
        assert_eq!(plan.choose(Some("#no-id"), Some("7")), Some(Fault::Silent));
        assert_eq!(plan.choose(None, Some("7")), None);
    }

    #[test]
    fn faults_before_a_request_are_not_chosen_by_text_or_user() {
        for fault in [Fault::Down, Fault::TlsCut, Fault::TlsWrongName, Fault::TlsExpired] {
            assert_eq!(Fault::of_user(&fault.user_id()), None);
            assert_eq!(Fault::of_text(&format!("#{fault}")), None);
        }
    }

    #[test]
    fn chaos_repeats_with_its_seed_and_keeps_its_part() {
        let run = |seed| {
            let mut plan = Plan::new(&[], 20, seed);
            (0..1000).map(|_| plan.choose(None, None)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hits = run(7).iter().flatten().count();
        assert!((150..250).contains(&hits), "{hits}");
    }
}
