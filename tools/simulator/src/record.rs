//! The newest requests, bounded in number and in bytes, and counts of all.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;

use serde_json::Value;

use crate::conclusions::Conclusion;
use crate::http::{self, Answer};
use crate::message_rules::Kind;

/// What an entry costs besides its texts.
const OVERHEAD: usize = mem::size_of::<Received>() + 64;

/// A request that came in, what it was answered, and what became of it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The number of the request, from 1, without gaps.
    pub seq: u64,
    /// When it came, by the simulated clock: milliseconds since 1970.
    pub at_ms: i64,
    /// The number of the connection it came over, from 0.
    pub connection: u64,
    /// Empty if the request could not be read as HTTP; then `head` is all that is known.
    pub method: String,
    /// The path with its query, unmodified.
    pub path: String,
    /// The request line and the headers unmodified, up to and with the empty line.
    pub head: String,
    /// The body, unmodified.
    pub body: Vec<u8>,
    /// The response; `None` if the connection ended without one.
    pub answer: Option<Answer>,
    /// Whether the message or the action entered the user's conversation.
    pub got_it: bool,
    /// The fault that was played.
    pub fault: Option<&'static str>,
    /// What a client must conclude, one of these; empty if a test planned the response.
    pub must_conclude: &'static [Conclusion],
    /// The user it was for, if it came so far.
    pub user: Option<String>,
    /// The id of the message in the user's conversation.
    pub message_id: Option<String>,
    /// Whether the user already had the same body, within the requests that are kept.
    pub came_twice: bool,
    pub(crate) kind: Option<Kind>,
    /// How many messages users got up to and with this request.
    pub(crate) messages_so_far: u64,
    /// Of user and body.
    pub(crate) body_hash: u64,
}

impl Received {
    /// The body as JSON, if it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Names and values of the headers, in order; none if the request could not be read.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        if self.method.is_empty() { Vec::new() } else { http::headers_of(&self.head).collect() }
    }

    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The token after `Bearer`, whether right or wrong.
    pub fn bearer_token(&self) -> Option<&str> {
        http::bearer_token(self.header("authorization")?)
    }

    /// Whether the response was a success.
    pub fn is_accepted(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_success)
    }

    pub(crate) fn is_delivered_message(&self) -> bool {
        self.got_it && self.kind == Some(Kind::Message)
    }

    /// Moves this one into the memory of a forgotten one. Each connection has a thread, and what one thread frees is kept
    /// for that thread by the allocator of many systems: new memory for each request would be held once for each connection.
    fn take_place_of(mut self, old: &mut Received) {
        reuse_text(&mut old.method, &mut self.method);
        reuse_text(&mut old.path, &mut self.path);
        reuse_text(&mut old.head, &mut self.head);
        reuse(&mut old.body, &mut self.body);
        for (old, new) in [(&mut old.user, &mut self.user), (&mut old.message_id, &mut self.message_id)] {
            if let (Some(old), Some(new)) = (old, new) {
                reuse_text(old, new);
            }
        }
        if let (Some(old), Some(new)) = (&mut old.answer, &mut self.answer) {
            reuse(&mut old.body, &mut new.body);
        }
        *old = self;
    }

    fn size(&self) -> usize {
        let answer = self.answer.as_ref().map_or(0, |answer| {
            let headers =
                answer.headers.iter().map(|(name, value)| name.len() + value.len() + 2 * mem::size_of::<String>());
            answer.body.len() + headers.sum::<usize>()
        });
        let ids = [&self.user, &self.message_id].into_iter().flatten().map(String::len).sum::<usize>();
        OVERHEAD + self.head.len() + self.path.len() + self.body.len() + answer + ids
    }
}

/// Gives `new` the memory of `old`, with its own content.
fn reuse(old: &mut Vec<u8>, new: &mut Vec<u8>) {
    old.clone_from(new);
    // The bound on bytes counts what is in it.
    old.shrink_to(new.len() + new.len() / 8);
    mem::swap(old, new);
}

fn reuse_text(old: &mut String, new: &mut String) {
    old.clone_from(new);
    old.shrink_to(new.len() + new.len() / 8);
    mem::swap(old, new);
}

/// How many of each there were since the start. Forgetting requests does not change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests to the gateway's addresses.
    pub requests: u64,
    /// Messages that users got.
    pub messages: u64,
    /// Messages whose user already had the same body.
    pub duplicates: u64,
    /// Requests that were refused for what they are, not by a fault.
    pub refused: u64,
    /// Requests that are not kept any more.
    pub forgotten: u64,
}

pub(crate) struct Record {
    ring: VecDeque<Arc<Received>>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
    last_seq: u64,
    pub(crate) counts: Counts,
    /// How many kept messages have each user and body, by their hash.
    bodies: HashMap<u64, u32>,
}

impl Record {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Record {
        Record {
            ring: VecDeque::new(),
            bytes: 0,
            most: most.max(1),
            most_bytes,
            last_seq: 0,
            counts: Counts::default(),
            bodies: HashMap::new(),
        }
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.last_seq + 1
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The number of the oldest request that is kept, or of the next one.
    pub(crate) fn first_seq(&self) -> u64 {
        self.last_seq + 1 - self.ring.len() as u64
    }

    /// Keeps a request under the next number, and calls `forget` with each one that is forgotten for it. Returns the
    /// request, and what is to be freed.
    pub(crate) fn push(
        &mut self,
        mut received: Received,
        mut forget: impl FnMut(&Received),
    ) -> (Arc<Received>, Vec<Arc<Received>>) {
        self.last_seq += 1;
        self.counts.requests += 1;
        if received.is_delivered_message() {
            self.counts.messages += 1;
            let same = self.bodies.entry(received.body_hash).or_default();
            *same += 1;
            received.came_twice = *same > 1;
            self.counts.duplicates += u64::from(received.came_twice);
        }
        received.seq = self.last_seq;
        received.messages_so_far = self.counts.messages;
        self.bytes += received.size();
        let mut forgotten = Vec::new();
        while self.ring.len() >= self.most || (self.bytes > self.most_bytes && !self.ring.is_empty()) {
            forgotten.extend(self.forget_oldest());
        }
        forgotten.iter().for_each(|gone| forget(gone));
        let received = match forgotten.pop() {
            None => Arc::new(received),
            Some(mut place) => match Arc::get_mut(&mut place) {
                Some(old) => {
                    received.take_place_of(old);
                    place
                }
                // Somebody still looks at it.
                None => Arc::new(received),
            },
        };
        self.ring.push_back(Arc::clone(&received));
        (received, forgotten)
    }

    fn forget_oldest(&mut self) -> Option<Arc<Received>> {
        let oldest = self.ring.pop_front()?;
        self.bytes -= oldest.size();
        self.counts.forgotten += 1;
        if oldest.is_delivered_message() {
            if let Some(count) = self.bodies.get_mut(&oldest.body_hash) {
                *count -= 1;
                if *count == 0 {
                    self.bodies.remove(&oldest.body_hash);
                }
            }
        }
        Some(oldest)
    }

    pub(crate) fn clear(&mut self) {
        while self.forget_oldest().is_some() {}
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Received>> {
        let at = seq.checked_sub(self.first_seq())?;
        self.ring.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Received>> {
        self.ring.iter().cloned().collect()
    }

    /// Up to `most` requests after a number, oldest first.
    pub(crate) fn after(&self, seq: u64, most: usize) -> Vec<Arc<Received>> {
        self.iter_after(seq).take(most).cloned().collect()
    }

    pub(crate) fn iter_after(&self, seq: u64) -> impl Iterator<Item = &Arc<Received>> {
        let start = seq.saturating_add(1).saturating_sub(self.first_seq());
        self.ring.iter().skip(usize::try_from(start).unwrap_or(usize::MAX))
    }

    /// How many requests after a number are not kept any more.
    pub(crate) fn forgotten_after(&self, seq: u64) -> u64 {
        self.first_seq().saturating_sub(seq.saturating_add(1))
    }

    /// How many messages users got after a number. What is forgotten counts as before it.
    pub(crate) fn messages_after(&self, seq: u64) -> u64 {
        let before = match self.get(seq) {
            Some(received) => received.messages_so_far,
            None if seq == 0 => 0,
            None if seq >= self.last_seq => self.counts.messages,
            None => self.ring.front().map_or(self.counts.messages, |oldest| {
                oldest.messages_so_far - u64::from(oldest.is_delivered_message())
            }),
        };
        self.counts.messages - before
    }

    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        (self.ring.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    fn message(user: &str, body: &str) -> Received {
        Received {
            seq: 0,
            at_ms: 0,
            connection: 0,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            head: String::new(),
            body: body.as_bytes().to_vec(),
            answer: None,
            got_it: true,
            fault: None,
            must_conclude: &[],
            user: Some(user.to_owned()),
            message_id: None,
            came_twice: false,
            kind: Some(Kind::Message),
            messages_so_far: 0,
            body_hash: BuildHasherDefault::<DefaultHasher>::default().hash_one((user, body)),
        }
    }

    #[test]
    fn both_bounds_apply_and_the_newest_stays() {
        let mut record = Record::new(10, 100_000);
        for number in 0..100 {
            record.push(message("1", &number.to_string()), |_| {});
        }
        assert_eq!((record.kept().0, record.first_seq(), record.counts.forgotten), (10, 91, 90));
        for _ in 0..5 {
            record.push(message("1", &"x".repeat(40_000)), |_| {});
        }
        assert_eq!(record.kept().0, 2);
        assert!(record.kept().1 <= 100_000);
        record.push(message("1", &"x".repeat(400_000)), |_| {});
        assert_eq!(record.kept().0, 1);
        record.clear();
        assert_eq!((record.kept(), record.next_seq(), record.counts.forgotten), ((0, 0), 107, 106));
        assert!(record.bodies.is_empty());
    }

    #[test]
    fn a_new_request_takes_the_memory_of_the_forgotten_one_and_nothing_else_of_it() {
        let answer = |body: &str| Answer::new(200, "text/plain", body).with_header("X-Of", body);
        let full = |body: &str| Received {
            head: format!("head of {body}"),
            message_id: Some(format!("id of {body}")),
            answer: Some(answer(body)),
            fault: Some("drip"),
            ..message("1", body)
        };
        let bare = || Received { got_it: false, user: None, ..message("2", "short") };
        let mut record = Record::new(1, 1 << 20);
        let mut gone = Vec::new();
        let memory = record.push(full("a long first body"), |_| {}).0.body.as_ptr();
        for new in [full("the second"), bare(), full("x"), full(&"large".repeat(100)), bare()] {
            let wanted = format!("{:?}", Received { seq: record.next_seq(), ..new.clone() });
            let (kept, _) = record.push(new, |old| gone.push(old.seq));
            let shown = Received { messages_so_far: 0, came_twice: false, ..(*kept).clone() };
            assert_eq!(format!("{shown:?}"), wanted);
            assert_eq!(record.kept(), (1, kept.size()));
            if kept.seq == 2 {
                assert_eq!(kept.body.as_ptr(), memory);
            }
        }
        assert_eq!(gone, [1, 2, 3, 4, 5]);
        // One that somebody still looks at stays as it is.
        let held = record.push(full("held"), |_| {}).0;
        record.push(full("next"), |_| {});
        assert_eq!(held.body, b"held");
        // Nor does a small one keep the memory of a large one.
        record.push(message("1", &"x".repeat(100_000)), |_| {});
        assert!(record.push(message("1", "y"), |_| {}).0.body.capacity() < 100);
    }

    #[test]
    fn a_number_finds_its_request_until_it_is_forgotten() {
        let mut record = Record::new(3, 1 << 20);
        for number in 1..=5 {
            record.push(message("1", &number.to_string()), |_| {});
        }
        assert!(record.get(2).is_none() && record.get(6).is_none());
        assert_eq!(record.get(3).unwrap().body, b"3");
        let seqs = |after, most| record.after(after, most).iter().map(|it| it.seq).collect::<Vec<_>>();
        assert_eq!(
            (seqs(0, 2), seqs(4, 10), seqs(5, 10), seqs(u64::MAX - 1, 1)),
            (vec![3, 4], vec![5], vec![], vec![])
        );
        assert_eq!((record.forgotten_after(0), record.forgotten_after(2), record.forgotten_after(9)), (2, 0, 0));
    }

    #[test]
    fn the_same_body_for_the_same_user_came_twice() {
        let mut record = Record::new(3, 1 << 20);
        let mut push = |user, body| record.push(message(user, body), |_| {}).0.came_twice;
        assert!(!push("1", "a"));
        assert!(!push("2", "a"));
        assert!(push("1", "a"));
        // The first one is forgotten, the second one is not.
        assert!(push("1", "a"));
        assert!(!push("1", "b") && !push("1", "c") && !push("1", "d"));
        assert!(!push("1", "a"));
        assert_eq!(record.counts.duplicates, 2);
    }

    #[test]
    fn messages_are_counted_from_any_number() {
        let mut record = Record::new(3, 1 << 20);
        for number in 0..6 {
            let mut received = message("1", "");
            received.got_it = number % 2 == 0;
            record.push(received, |_| {});
        }
        // Messages came with 1, 3 and 5; from 4 on all is kept.
        let after = [0, 3, 4, 5, 6, 99].map(|seq| record.messages_after(seq));
        assert_eq!(after, [3, 1, 1, 0, 0, 0]);
    }
}
