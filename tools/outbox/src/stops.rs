//! When a run over a list stops by itself: one cause must not use up all rows.

use std::time::Duration;

use hookmyapp::ErrorKind;

use crate::queue::{Answer, Millis, Verdict, needs_a_person, verdict};

/// So many refusals in a row for one reason are the list's or the account's fault.
const SAME_REFUSALS: u32 = 10;
/// So many unknown outcomes in a row are an outage, which must not make the whole list unknown.
const UNKNOWNS: u32 = 5;

/// Status, Meta's two codes and the gateway's code.
type Reason = (i32, Option<i32>, Option<i32>, Option<String>);

/// Watches the outcomes of one run.
#[derive(Debug)]
pub struct Stops {
    max_pause: Duration,
    unknowns: u32,
    refusals: u32,
    refused_for: Option<Reason>,
    paused: Duration,
    paused_until: Millis,
}

impl Stops {
    pub fn new(max_pause: Duration) -> Stops {
        Stops { max_pause, unknowns: 0, refusals: 0, refused_for: None, paused: Duration::ZERO, paused_until: 0 }
    }

    /// Takes notice of one outcome; returns why to stop.
    pub fn notice(&mut self, answer: &Answer) -> Option<String> {
        let error = answer.error.as_deref().unwrap_or("no reason was stated");
        if needs_a_person(answer.status) {
            return Some(format!("nothing is accepted until a person acts: {error}"));
        }
        if answer.status == ErrorKind::Internal as i32 {
            return Some(format!("the library has a bug, please report it: {error}"));
        }
        self.unknowns = if verdict(answer.status) == Verdict::Unknown { self.unknowns + 1 } else { 0 };
        if self.unknowns >= UNKNOWNS {
            return Some(format!("{UNKNOWNS} messages in a row have an unknown outcome: {error}"));
        }
        let is_same_kind = [ErrorKind::Rejected as i32, ErrorKind::Media as i32].contains(&answer.status);
        if is_same_kind {
            let reason = (answer.status, answer.meta_code, answer.meta_subcode, answer.gateway_code.clone());
            self.refusals = if self.refused_for.as_ref() == Some(&reason) { self.refusals + 1 } else { 1 };
            self.refused_for = Some(reason);
        } else {
            self.refusals = 0;
            self.refused_for = None;
        }
        if self.refusals >= SAME_REFUSALS {
            return Some(format!("{SAME_REFUSALS} messages in a row were refused for the same reason: {error}"));
        }
        if verdict(answer.status) == Verdict::Accepted {
            self.paused = Duration::ZERO;
        }
        None
    }

    /// Takes notice of a pause; returns why to stop.
    pub fn notice_pause(&mut self, until: Millis, now: Millis) -> Option<String> {
        if until > self.paused_until {
            let more = until - now.max(self.paused_until);
            self.paused += Duration::from_millis(u64::try_from(more).unwrap_or(0));
            self.paused_until = until;
        }
        (self.paused > self.max_pause).then(|| {
            let seconds = self.paused.as_secs();
            format!("the pauses without an accepted message would add up to {seconds} s, more than --max-pause")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: i32, code: i32) -> Answer {
        Answer { status, meta_code: Some(code), error: Some("because".to_owned()), ..Answer::default() }
    }

    #[test]
    fn ten_equal_refusals_in_a_row_stop_the_run() {
        let mut stops = Stops::new(Duration::from_secs(60));
        for _ in 0..9 {
            assert_eq!(stops.notice(&answer(20, 100)), None);
        }
        assert_eq!(stops.notice(&answer(20, 551)), None, "another code begins again");
        for _ in 0..9 {
            assert_eq!(stops.notice(&answer(20, 100)), None);
        }
        assert!(stops.notice(&answer(20, 100)).is_some());
    }

    #[test]
    fn refusals_of_single_users_never_stop_the_run() {
        let mut stops = Stops::new(Duration::from_secs(60));
        for status in [23, 24].repeat(50) {
            assert_eq!(stops.notice(&answer(status, 1)), None);
        }
    }

    #[test]
    fn five_unknown_outcomes_in_a_row_stop_the_run() {
        let mut stops = Stops::new(Duration::from_secs(60));
        for _ in 0..4 {
            assert_eq!(stops.notice(&answer(31, 0)), None);
        }
        assert_eq!(stops.notice(&answer(0, 0)), None);
        for _ in 0..4 {
            assert_eq!(stops.notice(&answer(30, 0)), None);
        }
        assert!(stops.notice(&answer(31, 0)).is_some());
    }

    #[test]
    fn account_trouble_and_a_bug_stop_the_run_at_once() {
        for status in [11, 21, 25, 27, 32] {
            assert!(Stops::new(Duration::ZERO).notice(&answer(status, 0)).is_some(), "{status}");
        }
    }

    #[test]
    fn pauses_add_up_until_a_message_is_accepted() {
        let mut stops = Stops::new(Duration::from_secs(10));
        assert_eq!(stops.notice_pause(6_000, 0), None);
        assert_eq!(stops.notice_pause(6_000, 3_000), None, "the same pause counts once");
        assert_eq!(stops.notice_pause(10_000, 5_000), None);
        assert!(stops.notice_pause(10_500, 10_000).is_some());
        stops.notice(&answer(0, 0));
        assert_eq!(stops.notice_pause(19_000, 11_000), None);
    }
}
