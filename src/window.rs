//! Computes the 24-hour window in which a user may be sent messages, in milliseconds since 1970.
//!
//! A message from the user, a tap on a button, a reaction or an ig.me link opens or renews the window
//! ([`Event::opens_window`](crate::webhook::Event::opens_window)). While it is open, every kind of message is allowed.
//! Afterwards a person, not a program, may reply with the tag `HUMAN_AGENT` ([`Message::tag`](crate::Message::tag)) for
//! up to 7 days, if Meta granted that to the app.
//!
//! These functions only add; they help to decide what to send and when. Instagram decides by its own clock, and about
//! messages that never reached this program. It rejects a send after the end with
//! [`ErrorKind::WindowClosed`](crate::ErrorKind::WindowClosed). The library itself rejects no send for this reason.

const HOUR: u64 = 60 * 60 * 1000;

/// Returns when the 24-hour window closes that the user's last message opened.
///
/// ```
/// use hookmyapp::window;
///
/// assert_eq!(window::closes_at(1_782_900_000_123), 1_782_986_400_123);
/// ```
pub fn closes_at(last_inbound_ms: u64) -> u64 {
    last_inbound_ms.saturating_add(24 * HOUR)
}

/// Returns when the 7 days end in which a person may reply with the tag `HUMAN_AGENT`.
///
/// ```
/// use hookmyapp::window;
///
/// assert_eq!(window::human_agent_closes_at(1_782_900_000_123), 1_783_504_800_123);
/// ```
pub fn human_agent_closes_at(last_inbound_ms: u64) -> u64 {
    last_inbound_ms.saturating_add(7 * 24 * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_not_passed() {
        assert_eq!(closes_at(u64::MAX), u64::MAX);
        assert_eq!(human_agent_closes_at(u64::MAX - 1), u64::MAX);
        assert_eq!((closes_at(0), human_agent_closes_at(0)), (86_400_000, 604_800_000));
    }
}
