//! How fast this process sends: a rate without bursts, which slows down when the gateway or Meta asks for it.

use std::time::{Duration, Instant};

/// How long a rate stays reduced before it rises by a tenth of the full rate.
const RISE_AFTER: Duration = Duration::from_secs(10);
/// How late sends may be made up for. A queue claims several messages with one write to the disk, which takes a while.
const LATENESS: Duration = Duration::from_millis(20);
/// The part of Meta's limit, in percent, from which the rate is halved.
const HIGH_USAGE: u32 = 90;

/// Gives out sends at a rate.
#[derive(Debug)]
pub struct Pace {
    /// Sends a second; `None` is no limit.
    full: Option<f64>,
    /// The part of the full rate that holds now, 0.5 to 1.
    part: f64,
    changed_at: Instant,
    /// When the next send may begin.
    next: Instant,
}

impl Pace {
    pub fn new(rate: Option<f64>, now: Instant) -> Pace {
        Pace { full: rate, part: 1.0, changed_at: now, next: now }
    }

    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_secs_f64(1.0 / (self.full? * self.part)))
    }

    /// How many sends may begin now.
    pub fn allowed(&mut self, now: Instant) -> usize {
        self.rise(now);
        let Some(interval) = self.interval() else { return usize::MAX };
        if let Some(oldest) = now.checked_sub(LATENESS) {
            self.next = self.next.max(oldest);
        }
        match now.checked_duration_since(self.next) {
            Some(late) => (late.as_secs_f64() / interval.as_secs_f64()) as usize + 1,
            None => 0,
        }
    }

    /// Takes sends that [`Pace::allowed`] gave out.
    pub fn take(&mut self, sends: usize) {
        if let Some(interval) = self.interval() {
            self.next += interval.mul_f64(sends as f64);
        }
    }

    /// How long until a send may begin.
    pub fn wait(&self, now: Instant) -> Duration {
        if self.full.is_none() { Duration::ZERO } else { self.next.saturating_duration_since(now) }
    }

    /// The gateway or Meta refused a send for the rate: half of it, and slowly up again.
    pub fn slow_down(&mut self, now: Instant) {
        self.part = 0.5;
        self.changed_at = now;
    }

    /// Meta stated how much of its limit is used.
    pub fn usage(&mut self, percent: u32, now: Instant) {
        if percent >= HIGH_USAGE {
            self.slow_down(now);
        }
    }

    fn rise(&mut self, now: Instant) {
        while self.part < 1.0 && now.saturating_duration_since(self.changed_at) >= RISE_AFTER {
            self.part = (self.part + 0.1).min(1.0);
            self.changed_at += RISE_AFTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends_in(pace: &mut Pace, from: Instant, seconds: u64) -> usize {
        let mut sends = 0;
        for millisecond in 0..seconds * 1000 {
            let allowed = pace.allowed(from + Duration::from_millis(millisecond));
            pace.take(allowed);
            sends += allowed;
        }
        sends
    }

    #[test]
    fn a_rate_is_kept_from_the_first_second() {
        let now = Instant::now();
        for rate in [1.0, 7.0, 50.0, 900.0] {
            let sends = sends_in(&mut Pace::new(Some(rate), now), now, 10);
            let expected = rate as usize * 10;
            assert!((expected..=expected + 1 + expected / 500).contains(&sends), "{rate} a second: {sends}");
        }
    }

    #[test]
    fn unused_time_is_not_made_up_for() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(10.0), now);
        assert_eq!(pace.allowed(now + Duration::from_secs(60)), 1);
    }

    #[test]
    fn a_limit_halves_the_rate_and_it_rises_by_a_tenth_every_ten_seconds() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(100.0), now);
        pace.slow_down(now);
        let seconds = |from: u64| now + Duration::from_secs(from);
        let measured: Vec<usize> = (0..6).map(|ten| sends_in(&mut pace, seconds(ten * 10), 10) / 10).collect();
        assert_eq!(measured, [50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn usage_of_ninety_percent_halves_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(100.0), now);
        pace.usage(89, now);
        assert_eq!(sends_in(&mut pace, now, 1), 100);
        pace.usage(90, now + Duration::from_secs(1));
        assert_eq!(sends_in(&mut pace, now + Duration::from_secs(1), 1), 50);
    }

    #[test]
    fn without_a_rate_everything_may_begin() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        assert_eq!(pace.allowed(now), usize::MAX);
        pace.take(usize::MAX);
        assert_eq!(pace.wait(now), Duration::ZERO);
    }
}
