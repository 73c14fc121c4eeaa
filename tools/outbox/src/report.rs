//! What a run shows: results as NDJSON, progress on the terminal, and a summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::dispatch::Observer;
use crate::queue::{Finished, Ids, Millis, Settled, State, Status, now};

/// How often progress is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How far two answers of a database about the end of one pause may differ, in milliseconds.
const SAME_PAUSE: Millis = 1000;
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How many keys of unknown messages the summary names.
const UNKNOWNS_SHOWN: usize = 20;

/// One result as a line of JSON: the same members for every message, null where there is nothing.
pub fn result_line(finished: &Finished) -> String {
    let id_of = |kind: &str| finished.recipient.strip_prefix(kind).map(str::to_owned);
    let members: [(&str, Value); 18] = [
        ("id", finished.id.into()),
        ("row", finished.row.into()),
        ("line", finished.line.into()),
        ("key", finished.key.clone().into()),
        ("recipient_id", id_of("user ").into()),
        ("comment_id", id_of("comment ").into()),
        ("outcome", finished.state.name().into()),
        ("status", finished.status.into()),
        ("message_id", finished.message_id.clone().into()),
        ("http_status", finished.http_status.into()),
        ("meta_code", finished.meta_code.into()),
        ("meta_subcode", finished.meta_subcode.into()),
        ("gateway_code", finished.gateway_code.clone().into()),
        ("error", finished.error.clone().into()),
        ("tries", finished.attempts.into()),
        ("ms", finished.milliseconds.into()),
        ("at_ms", finished.settled_at.into()),
        ("begun_ms", finished.begun_at.into()),
    ];
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Where the results of a run go.
pub enum Results {
    None,
    Stdout,
    File(BufWriter<File>),
}

impl Results {
    fn write(&mut self, lines: &str) -> io::Result<()> {
        match self {
            Results::None => Ok(()),
            Results::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines.as_bytes())?;
                stdout.flush()
            }
            Results::File(file) => {
                file.write_all(lines.as_bytes())?;
                file.flush()
            }
        }
    }
}

enum Display {
    Quiet,
    Lines(Log),
    Bar(ProgressBar, Instant),
}

/// Which lines are printed where there is no terminal: at most one every ten seconds, and one for a pause.
struct Log {
    /// A daemon's log says only what changes.
    only_changes: bool,
    printed: Instant,
    done: u64,
    /// Of the line about a pause that was printed last: the reason, and the milliseconds.
    pause: (String, Millis),
}

impl Log {
    /// Whether to print a line now. `pause` is one that begins: its reason, and its length in milliseconds.
    fn is_due(&mut self, at: Instant, done: u64, pause: Option<(&str, Millis)>) -> bool {
        let is_change = done != self.done;
        let is_time = at.saturating_duration_since(self.printed) >= LINE_EVERY;
        // In an outage the pauses follow each other; they are news while they become longer.
        let is_news =
            pause.is_some_and(|(reason, length)| is_change || reason != self.pause.0 || length > self.pause.1 * 3 / 2);
        let is_due = is_news || is_time && (is_change || !self.only_changes);
        if is_due {
            (self.printed, self.done) = (at, done);
        }
        if let Some((reason, length)) = pause.filter(|_| is_due) {
            self.pause = (reason.to_owned(), length);
        }
        is_due
    }
}

/// The file that a run is about.
pub struct FileOfRun {
    pub rows: u64,
    /// Of these, settled before the run.
    pub before: u64,
    /// The messages of its rows.
    pub ids: Rc<Ids>,
}

/// Shows a run.
pub struct Report {
    results: Results,
    display: Display,
    /// `None`: the run is about all messages.
    file: Option<FileOfRun>,
    begun: Instant,
    counts: BTreeMap<State, u64>,
    /// Of messages that the queue has from elsewhere.
    others: BTreeMap<State, u64>,
    /// Refused or failed, by reason: how many, and the first message.
    reasons: BTreeMap<(State, String), (u64, String)>,
    unknown: Vec<String>,
    times: Vec<u32>,
    /// How long nothing was sent because of pauses.
    paused: Duration,
    /// When it was looked at last, while nothing may be sent.
    pausing_since: Option<Instant>,
    paused_until: Millis,
    pause_reason: String,
    recent: (Instant, u64, f64),
}

impl Report {
    pub fn new(results: Results, quiet: bool, file: Option<FileOfRun>) -> Report {
        let begun = Instant::now();
        let display = if quiet {
            Display::Quiet
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::new(file.as_ref().map_or(0, |file| file.rows));
            let template = if file.is_some() { "[{bar:10}] {msg}" } else { "{msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("#>-"));
            }
            Display::Bar(bar, begun)
        } else {
            let pause = (String::new(), 0);
            Display::Lines(Log { only_changes: file.is_none(), printed: begun, done: 0, pause })
        };
        Report {
            results,
            display,
            file,
            begun,
            counts: BTreeMap::new(),
            others: BTreeMap::new(),
            reasons: BTreeMap::new(),
            unknown: Vec::new(),
            times: Vec::new(),
            paused: Duration::ZERO,
            pausing_since: None,
            paused_until: 0,
            pause_reason: String::new(),
            recent: (begun, 0, 0.0),
        }
    }

    /// How many messages this run brought into a state.
    pub fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    fn done(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many messages from elsewhere were settled in this run.
    fn done_of_others(&self) -> u64 {
        self.others.values().sum()
    }

    /// Counts a message; returns whether the run is about it.
    fn count_one(&mut self, id: i64, state: State) -> bool {
        let is_of_file = self.file.as_ref().is_none_or(|file| file.ids.contains(id));
        let counts = if is_of_file { &mut self.counts } else { &mut self.others };
        *counts.entry(state).or_default() += 1;
        is_of_file
    }

    /// Counts the time since the last look, not the time that was announced: a signal or a person can end a pause.
    fn count_pause(&mut self) {
        let at = Instant::now();
        if let Some(since) = self.pausing_since {
            self.paused += at - since;
        }
        self.pausing_since = (self.paused_until > now()).then_some(at);
    }

    fn write(&mut self, lines: &str) -> Result<(), String> {
        if lines.is_empty() { Ok(()) } else { self.results.write(lines).map_err(|error| error.to_string()) }
    }

    fn line(&mut self, in_flight: usize) -> String {
        let done = self.done();
        let since = self.recent.0.elapsed();
        if since >= Duration::from_secs(1) {
            self.recent = (Instant::now(), done, (done - self.recent.1) as f64 / since.as_secs_f64());
        }
        let rate = self.recent.2;
        let mut line = match &self.file {
            Some(file) => format!("{}/{}  {rate:.0}/s", spaced(file.before + done), spaced(file.rows)),
            None => format!("{} settled  {rate:.0}/s  {in_flight} under way", spaced(done)),
        };
        let left = self.file.as_ref().map(|file| file.rows.saturating_sub(file.before + done));
        if let Some(left) = left.filter(|_| rate > 0.0) {
            line.push_str(&format!("  {} left", duration(Duration::from_secs_f64(left as f64 / rate))));
        }
        for state in [State::Refused, State::Failed, State::Unknown, State::Expired] {
            if self.count(state) > 0 {
                line.push_str(&format!("  {} {}", state.name(), self.count(state)));
            }
        }
        let others = self.done_of_others();
        if others > 0 {
            line.push_str(&format!("  others {}", spaced(others)));
        }
        let pause = self.paused_until - now();
        if pause > 0 {
            let reason = if self.pause_reason.is_empty() { "`status` says why" } else { &self.pause_reason };
            line.push_str(&format!("  pausing {} ({reason})", duration(Duration::from_millis(pause as u64))));
        }
        line
    }

    /// Ends the display; returns the summary. `left` is how many messages are left to send.
    pub fn summary(&mut self, status: &Status, left: Option<u64>, end: &str) -> String {
        if let Display::Bar(bar, _) = &self.display {
            bar.finish_and_clear();
        }
        self.count_pause();
        let took = self.begun.elapsed();
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<20}{value}"));
        if let Some(file) = &self.file {
            line("rows", spaced(file.rows));
        }
        line("accepted now", spaced(self.count(State::Accepted)));
        let before = status.count(State::Accepted).saturating_sub(self.count(State::Accepted));
        if before > 0 {
            line("accepted before", spaced(before));
        }
        for state in [State::Refused, State::Failed, State::Expired, State::Cancelled, State::Unknown] {
            if status.count(state) > 0 {
                line(state.name(), spaced(status.count(state)));
            }
            for ((_, reason), (count, first)) in self.reasons.iter().filter(|((of, _), _)| *of == state) {
                line("", format!("{count} x {reason}, first: {first}"));
            }
        }
        if !self.unknown.is_empty() {
            let shown = self.unknown.len().min(UNKNOWNS_SHOWN);
            let mut keys = self.unknown[..shown].join(", ");
            if self.unknown.len() > shown {
                keys.push_str(&format!(" and {} more: `unknown list`", self.unknown.len() - shown));
            }
            line("unknown now", keys);
        }
        if let Some(left) = left {
            line("left to send", spaced(left));
        }
        if !self.others.is_empty() {
            let others = self.others.iter().map(|(state, count)| format!("{} {}", spaced(*count), state.name()));
            line("other messages", others.collect::<Vec<_>>().join(", "));
        }
        let all = self.done() + self.done_of_others();
        let rate = all as f64 / took.as_secs_f64().max(0.001);
        line("time", format!("{}, {rate:.1} a second, {} of pauses", duration(took), duration(self.paused)));
        if !self.times.is_empty() {
            self.times.sort_unstable();
            let at = |part: f64| self.times[((self.times.len() - 1) as f64 * part) as usize];
            line("a send", format!("median {} ms, 95 % within {} ms, longest {} ms", at(0.5), at(0.95), at(1.0)));
        }
        lines.push(end.to_owned());
        lines.join("\n") + "\n"
    }
}

impl Observer for Report {
    fn settled(&mut self, settled: &[Settled], states: &[State]) -> Result<(), String> {
        let mut lines = String::new();
        let at = now();
        for (one, state) in settled.iter().zip(states) {
            if *state == State::Queued {
                if let Some(error) = &one.answer.error {
                    self.pause_reason.clone_from(error);
                }
                continue;
            }
            let is_of_file = self.count_one(one.message.id, *state);
            let answer = &one.answer;
            if answer.status != 10 && self.times.len() < 1_000_000 {
                self.times.push(u32::try_from(answer.took.as_millis()).unwrap_or(u32::MAX));
            }
            let name = || {
                let key = one.message.key.as_deref().filter(|key| !crate::input::is_automatic(key));
                let row = one.message.line.map(|line| format!("line {line}"));
                key.map(str::to_owned).or(row).unwrap_or_else(|| format!("message {}", one.message.id))
            };
            match state {
                State::Refused | State::Failed if is_of_file => {
                    let codes = [answer.meta_code, answer.meta_subcode].into_iter().flatten();
                    let codes: Vec<String> = codes.map(|code| code.to_string()).collect();
                    let reason = format!("status {} {}", answer.status, codes.join("/")).trim_end().to_owned();
                    let error = answer.error.as_deref().unwrap_or_default();
                    self.reasons.entry((*state, reason)).or_insert_with(|| (0, format!("{}: {error}", name()))).0 += 1;
                }
                State::Unknown if is_of_file => self.unknown.push(name()),
                _ => {}
            }
            if !matches!(self.results, Results::None) {
                lines.push_str(&result_line(&Finished::of(one, *state, at)));
                lines.push('\n');
            }
        }
        self.write(&lines)
    }

    fn closed(&mut self, closed: &[Finished]) -> Result<(), String> {
        let mut lines = String::new();
        for finished in closed {
            self.count_one(finished.id, finished.state);
            lines.push_str(&result_line(finished));
            lines.push('\n');
        }
        self.write(&lines)
    }

    fn tick(&mut self, in_flight: usize, paused_until: Millis) {
        let at = now();
        let is_longer = self.paused_until <= at || paused_until > self.paused_until + SAME_PAUSE;
        let pause_begins = paused_until > at && is_longer;
        self.paused_until = paused_until;
        self.count_pause();
        let done = self.done() + self.done_of_others();
        let pause = pause_begins.then_some((self.pause_reason.as_str(), paused_until - at));
        let is_due = match &mut self.display {
            Display::Quiet => false,
            Display::Bar(_, drawn) => drawn.elapsed() >= DRAW_EVERY,
            Display::Lines(log) => log.is_due(Instant::now(), done, pause),
        };
        if !is_due {
            return;
        }
        let line = self.line(in_flight);
        let position = self.file.as_ref().map_or(0, |file| file.before) + self.done();
        match &mut self.display {
            Display::Quiet => {}
            Display::Bar(bar, drawn) => {
                *drawn = Instant::now();
                bar.set_position(position);
                bar.set_message(line);
            }
            Display::Lines(_) => complain(&line),
        }
    }

    fn say(&mut self, text: &str) {
        match &self.display {
            Display::Bar(bar, _) => bar.suspend(|| complain(text)),
            _ => complain(text),
        }
    }
}

/// Prints one line on standard error; if nobody reads it there, nothing can be done.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A number with thin groups of three digits.
pub fn spaced(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 000 rows`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", spaced(number), if number == 1 { "" } else { "s" })
}

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(spaced), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([0, 1, 2000].map(|number| counted(number, "row")), ["0 rows", "1 row", "2 000 rows"]);
        let times = [0.25, 12.0, 200.0, 7500.0].map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(times, ["0.2 s", "12 s", "3 min 20 s", "2 h 5 min"]);
    }

    fn log(only_changes: bool, begun: Instant) -> Log {
        Log { only_changes, printed: begun, done: 0, pause: (String::new(), 0) }
    }

    #[test]
    fn a_log_of_a_run_has_a_line_every_ten_seconds() {
        let begun = Instant::now();
        let mut log = log(false, begun);
        let lines = (1..=60).filter(|second| log.is_due(begun + Duration::from_secs(*second), 0, None)).count();
        assert_eq!(lines, 6);
    }

    #[test]
    fn a_log_of_a_daemon_has_a_line_only_when_something_was_settled() {
        let begun = Instant::now();
        let mut log = log(true, begun);
        let mut lines = Vec::new();
        for second in 1..=3600 {
            // Idle, then five messages within 25 seconds, then idle again.
            let done = if second < 1000 { 0 } else { ((second - 995) / 5).min(5) };
            if log.is_due(begun + Duration::from_secs(second), done, None) {
                lines.push((second, done));
            }
        }
        assert_eq!(lines, [(1000, 1), (1010, 3), (1020, 5)]);
    }

    #[test]
    fn an_outage_has_a_line_while_its_pauses_become_longer() {
        let at = Instant::now();
        for only_changes in [true, false] {
            let mut log = log(only_changes, at);
            let pauses = [500, 1050, 2000, 4200, 8100, 16_900, 16_100, 17_500, 16_000];
            let lines: Vec<i64> =
                pauses.into_iter().filter(|length| log.is_due(at, 0, Some(("down", *length)))).collect();
            assert_eq!(lines, [500, 1050, 2000, 4200, 8100, 16_900]);
            assert!(log.is_due(at, 0, Some(("rate limit", 500))), "another reason");
            assert!(log.is_due(at, 1, Some(("rate limit", 500))), "something was settled meanwhile");
        }
    }

    #[test]
    fn results_have_the_same_members_for_every_message() {
        let finished = Finished {
            id: 1,
            key: Some("a\"b".to_owned()),
            row: None,
            line: Some(7),
            recipient: "comment 17".to_owned(),
            body: String::new(),
            state: State::Refused,
            status: Some(23),
            message_id: None,
            error: Some("zu spät".to_owned()),
            http_status: Some(400),
            meta_code: Some(10),
            meta_subcode: None,
            gateway_code: None,
            attempts: 1,
            milliseconds: Some(3),
            begun_at: None,
            settled_at: Some(5),
        };
        let line = result_line(&finished);
        assert_eq!(
            line,
            "{\"id\":1,\"row\":null,\"line\":7,\"key\":\"a\\\"b\",\"recipient_id\":null,\"comment_id\":\"17\",\
             \"outcome\":\"refused\",\"status\":23,\"message_id\":null,\"http_status\":400,\"meta_code\":10,\
             \"meta_subcode\":null,\"gateway_code\":null,\"error\":\"zu spät\",\"tries\":1,\"ms\":3,\"at_ms\":5,\
             \"begun_ms\":null}"
        );
    }
}
