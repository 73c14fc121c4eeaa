//! Users with their windows, comments and conversations, and the simulated clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::message_rules::{Recipient, Refusal};

const HOUR_MS: i64 = 3_600_000;
const WINDOW_MS: i64 = 24 * HOUR_MS;
/// Of the tag HUMAN_AGENT, and of private replies.
const SEVEN_DAYS_MS: i64 = 7 * 24 * HOUR_MS;
const MOST_USERS: usize = 10_000;
const MOST_COMMENTS: usize = 100_000;
/// User events that are kept, of all users together.
const MOST_EVENTS: usize = 10_000;
const MOST_EVENT_BYTES: usize = 16 * 1024 * 1024;
/// How far the clock may be moved.
pub(crate) const MOST_OFFSET_MS: i64 = 100 * 366 * 24 * HOUR_MS;
/// The author of a comment that was never announced.
const COMMENTER_ID: &str = "8123450000000001";

/// Why people cannot be written to.
#[derive(Debug)]
pub(crate) enum Closed {
    Meta(Refusal),
    /// The sandbox's flat shape: code and message.
    Sandbox(&'static str, &'static str),
}

/// What a user did.
#[derive(Debug)]
pub(crate) struct UserEvent {
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    /// What the page and the API show of it.
    pub(crate) shown: Value,
    /// What a later event may refer to.
    pub(crate) mid: Option<String>,
}

/// One entry of a conversation.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A request of the program under test, by its number.
    Request(u64),
    Event(Arc<UserEvent>),
}

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) last_inbound_ms: Option<i64>,
    pub(crate) conversation: VecDeque<Item>,
    /// Larger for users seen later.
    pub(crate) seen: u64,
}

struct Comment {
    user: String,
    at_ms: i64,
    is_answered: bool,
    seen: u64,
}

/// Who may be written to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) strict: bool,
    pub(crate) sandbox_user: Option<String>,
}

pub(crate) struct People {
    rules: Rules,
    users: HashMap<String, User>,
    comments: HashMap<String, Comment>,
    offset_ms: i64,
    seen: u64,
    /// The events that conversations have, oldest first: whose, their numbers, and how long.
    events: VecDeque<(String, u64, usize)>,
    event_bytes: usize,
    last_event: u64,
}

impl People {
    pub(crate) fn new(rules: Rules, offset_ms: i64) -> People {
        let mut people = People {
            rules,
            users: HashMap::new(),
            comments: HashMap::new(),
            offset_ms: offset_ms.clamp(-MOST_OFFSET_MS, MOST_OFFSET_MS),
            seen: 0,
            events: VecDeque::new(),
            event_bytes: 0,
            last_event: 0,
        };
        if let Some(user) = people.rules.sandbox_user.clone() {
            let now = people.now_ms();
            people.set_user(&user, None, Some(now));
        }
        people
    }

    /// The simulated time: the system's plus the offset.
    pub(crate) fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2) + self.offset_ms
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Sets how far the clock is ahead; false if that is too far.
    pub(crate) fn set_offset_ms(&mut self, offset_ms: i64) -> bool {
        let is_near = (-MOST_OFFSET_MS..=MOST_OFFSET_MS).contains(&offset_ms);
        if is_near {
            self.offset_ms = offset_ms;
        }
        is_near
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.users.get(id)
    }

    /// All users, the one seen last first.
    pub(crate) fn users(&self) -> Vec<(&String, &User)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|(_, user)| u64::MAX - user.seen);
        users
    }

    /// How long the window of a user is still open; 0 or less if it is closed, `None` if the user never wrote.
    pub(crate) fn window_left_ms(&self, user: &User) -> Option<i64> {
        user.last_inbound_ms.map(|at| at + WINDOW_MS - self.now_ms())
    }

    pub(crate) fn set_user(&mut self, id: &str, name: Option<&str>, last_inbound_ms: Option<i64>) {
        let user = self.touch(id);
        user.last_inbound_ms = last_inbound_ms;
        if let Some(name) = name {
            user.name = name.to_owned();
        }
    }

    /// An id that no user has yet.
    pub(crate) fn new_user_id(&self) -> String {
        let mut id = 8_100_000_000_000_000_u64 + self.seen + 1;
        while self.users.contains_key(&id.to_string()) {
            id += 1;
        }
        id.to_string()
    }

    /// The user with this id, seen now; a new one never wrote.
    fn touch(&mut self, id: &str) -> &mut User {
        self.seen += 1;
        let seen = self.seen;
        // Not entry(): it would allocate the key for every known user.
        if !self.users.contains_key(id) {
            self.make_room();
            let name = format!("User {}", &id[id.len().saturating_sub(4)..]);
            let user = User { name, last_inbound_ms: None, conversation: VecDeque::new(), seen };
            self.users.insert(id.to_owned(), user);
        }
        let user = self.users.get_mut(id).expect("it was just put there");
        user.seen = seen;
        user
    }

    /// Drops the tenth of the users that was not seen for longest, if there are too many.
    fn make_room(&mut self) {
        if self.users.len() < MOST_USERS {
            return;
        }
        let mut seen: Vec<u64> = self.users.values().map(|user| user.seen).collect();
        let (_, limit, _) = seen.select_nth_unstable(MOST_USERS / 10);
        let limit = *limit;
        let pinned = self.rules.sandbox_user.as_ref();
        self.users.retain(|id, user| user.seen >= limit || Some(id) == pinned);
    }

    /// Whether a recipient may be written to now. Returns the author of a comment.
    pub(crate) fn admit(&mut self, recipient: Recipient, human_agent: bool) -> Result<Option<String>, Closed> {
        match recipient {
            Recipient::Nobody => Ok(None),
            // The caller knows this one.
            Recipient::User(id) => self.admit_user(id, human_agent).map(|()| None),
            Recipient::Comment(id) => self.admit_comment(id).map(Some),
        }
    }

    fn admit_user(&mut self, id: &str, human_agent: bool) -> Result<(), Closed> {
        if self.rules.sandbox_user.as_deref().is_some_and(|pinned| pinned != id) {
            let message = "The sandbox can only write to the user who started its session.";
            return Err(Closed::Sandbox("SANDBOX_RECIPIENT_MISMATCH", message));
        }
        let now = self.now_ms();
        let last_inbound = match self.users.get(id) {
            Some(user) => user.last_inbound_ms,
            None if self.rules.strict => None,
            None => {
                self.set_user(id, None, Some(now));
                Some(now)
            }
        };
        let Some(last_inbound) = last_inbound else {
            let message = "The requested user cannot be found: this user never wrote to the account".to_owned();
            return Err(Closed::Meta(Refusal { status: 400, code: 100, subcode: Some(2_534_014), message }));
        };
        let window = if human_agent { SEVEN_DAYS_MS } else { WINDOW_MS };
        if now - last_inbound <= window {
            return Ok(());
        }
        if self.rules.sandbox_user.is_some() {
            let message = "The 24-hour window is closed: the user must write first.";
            return Err(Closed::Sandbox("SESSION_WINDOW_CLOSED", message));
        }
        let message = "This message is sent outside of allowed window.".to_owned();
        Err(Closed::Meta(Refusal { status: 403, code: 10, subcode: Some(2_534_022), message }))
    }

    fn admit_comment(&mut self, id: &str) -> Result<String, Closed> {
        let refusal = |code, subcode, message: &str| {
            Err(Closed::Meta(Refusal { status: 400, code, subcode, message: message.to_owned() }))
        };
        if !self.comments.contains_key(id) {
            if self.rules.strict {
                return refusal(100, Some(2_534_025), "This comment is not valid for a private reply: nobody wrote it");
            }
            self.add_comment(id, COMMENTER_ID);
        }
        let now = self.now_ms();
        let comment = &self.comments[id];
        if comment.is_answered {
            return refusal(10_903, None, "This comment has already been answered privately");
        }
        if now - comment.at_ms > SEVEN_DAYS_MS {
            return refusal(100, Some(2_534_025), "This comment is older than 7 days");
        }
        let user = comment.user.clone();
        if self.rules.sandbox_user.as_ref().is_some_and(|pinned| *pinned != user && user != COMMENTER_ID) {
            let message = "The sandbox can only write to the user who started its session.";
            return Err(Closed::Sandbox("SANDBOX_RECIPIENT_MISMATCH", message));
        }
        self.touch(&user);
        Ok(user)
    }

    /// A comment of a user. It opens the user's window.
    pub(crate) fn add_comment(&mut self, id: &str, user: &str) {
        let now = self.now_ms();
        self.touch(user).last_inbound_ms = Some(now);
        if self.comments.len() >= MOST_COMMENTS {
            let mut seen: Vec<u64> = self.comments.values().map(|comment| comment.seen).collect();
            let (_, limit, _) = seen.select_nth_unstable(MOST_COMMENTS / 10);
            let limit = *limit;
            self.comments.retain(|_, comment| comment.seen >= limit);
        }
        let comment = Comment { user: user.to_owned(), at_ms: now, is_answered: false, seen: self.seen };
        self.comments.insert(id.to_owned(), comment);
    }

    /// Puts a request into the conversation of its user. This is the moment at which the user gets it.
    pub(crate) fn deliver(&mut self, user: &str, seq: u64, recipient: Recipient) {
        if let Recipient::Comment(id) = recipient {
            if let Some(comment) = self.comments.get_mut(id) {
                comment.is_answered = true;
            }
        }
        self.touch(user).conversation.push_back(Item::Request(seq));
    }

    /// Shows a request that did not arrive in its place.
    pub(crate) fn show_lost(&mut self, user: &str, seq: u64) {
        if let Some(user) = self.users.get_mut(user) {
            user.conversation.push_back(Item::Request(seq));
        }
    }

    /// Takes a request out that the record has forgotten.
    pub(crate) fn forget(&mut self, user: &str, seq: u64) {
        if let Some(user) = self.users.get_mut(user) {
            // It is the oldest request, but events may stand before it.
            let at = user.conversation.iter().position(|item| matches!(item, Item::Request(it) if *it == seq));
            at.map(|at| user.conversation.remove(at));
        }
    }

    pub(crate) fn next_event(&self) -> u64 {
        self.last_event + 1
    }

    /// Puts what a user did into the conversation. `renews` opens the user's window again.
    pub(crate) fn add_event(&mut self, user: &str, event: UserEvent, renews: bool) {
        let size = event.shown.to_string().len() + 256;
        self.last_event = event.number;
        let (number, at_ms) = (event.number, event.at_ms);
        let owner = self.touch(user);
        if renews {
            owner.last_inbound_ms = Some(at_ms);
        }
        owner.conversation.push_back(Item::Event(Arc::new(event)));
        self.events.push_back((user.to_owned(), number, size));
        self.event_bytes += size;
        while self.events.len() > MOST_EVENTS || self.event_bytes > MOST_EVENT_BYTES {
            let Some((user, number, size)) = self.events.pop_front() else { break };
            self.event_bytes -= size;
            if let Some(user) = self.users.get_mut(&user) {
                // A user who was dropped meanwhile may have come again, with other events.
                let at = user.conversation.iter().position(|it| matches!(it, Item::Event(it) if it.number == number));
                at.map(|at| user.conversation.remove(at));
            }
        }
    }

    /// How often a user has edited the message with this id; `None` if the user has written none, or has unsent it.
    pub(crate) fn edits_of(&self, user: &str, mid: &str) -> Option<u64> {
        let mut edits = None;
        for item in &self.users.get(user)?.conversation {
            let Item::Event(event) = item else { continue };
            if event.mid.as_deref() == Some(mid) {
                edits = Some(0);
            } else if event.shown["target"] == mid {
                edits = match event.shown["kind"].as_str() {
                    Some("edit") => edits.map(|edits| edits + 1),
                    Some("delete") => None,
                    _ => edits,
                };
            }
        }
        edits
    }

    /// Forgets every conversation, and which comments were answered; users and their windows stay.
    pub(crate) fn clear_conversations(&mut self) {
        self.users.values_mut().for_each(|user| user.conversation.clear());
        self.comments.retain(|_, comment| comment.user != COMMENTER_ID);
        self.events.clear();
        self.event_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        People::new(Rules::default(), 0)
    }

    #[test]
    fn users_are_bounded_and_the_longest_unseen_go_first() {
        let mut people = people();
        for number in 0..MOST_USERS + 5 {
            people.admit(Recipient::User(&number.to_string()), false).unwrap();
            people.admit(Recipient::User("0"), false).unwrap();
            assert!(people.users.len() <= MOST_USERS);
        }
        assert!(people.user("0").is_some() && people.user("1").is_none());
        assert!(people.user(&(MOST_USERS + 4).to_string()).is_some());
    }

    #[test]
    fn comments_are_bounded() {
        let mut people = people();
        for number in 0..MOST_COMMENTS + 2 {
            people.add_comment(&number.to_string(), "1");
        }
        assert!(people.comments.len() <= MOST_COMMENTS);
        assert!(!people.comments.contains_key("0") && people.comments.contains_key(&MOST_COMMENTS.to_string()));
    }

    #[test]
    fn a_user_who_comes_again_keeps_the_new_events() {
        let mut people = people();
        let event = |number| UserEvent { number, at_ms: 0, shown: Value::Null, mid: None };
        people.add_event("1", event(1), true);
        people.users.remove("1");
        for number in 2..=MOST_EVENTS as u64 + 1 {
            people.add_event("1", event(number), true);
        }
        assert_eq!(people.users["1"].conversation.len(), MOST_EVENTS);
    }

    #[test]
    fn events_are_bounded_over_all_users() {
        let mut people = people();
        for number in 1..=MOST_EVENTS as u64 + 10 {
            let event = UserEvent { number, at_ms: 0, shown: Value::Null, mid: None };
            people.add_event(if number % 2 == 0 { "1" } else { "2" }, event, true);
        }
        let kept: usize = people.users.values().map(|user| user.conversation.len()).sum();
        assert_eq!(kept, MOST_EVENTS);
        for number in 1..=10 {
            let shown = "x".repeat(MOST_EVENT_BYTES / 4).into();
            people.add_event("1", UserEvent { number, at_ms: 0, shown, mid: None }, true);
        }
        assert!(people.event_bytes <= MOST_EVENT_BYTES);
        let kept: usize = people.users.values().map(|user| user.conversation.len()).sum();
        assert_eq!(kept, people.events.len());
    }
}
