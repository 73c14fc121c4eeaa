//! What was found: tables in Markdown, and which targets hold.

use std::fmt::Write as _;

use super::process;

/// A line of numbers as Markdown has it.
pub fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// A table that is printed as soon as it is there, and kept.
#[derive(Default)]
pub struct Report {
    pub text: String,
    pub targets: Vec<Target>,
    /// Microseconds a send, plain and over TLS, for the picture.
    pub times: Vec<(String, f64, Option<f64>)>,
    /// Other programs run, so that times mean little.
    is_disturbed: bool,
}

/// Above this part of all processors, in percent, times mean little.
const MOST_LOAD: f64 = 5.0;

pub struct Target {
    pub claim: String,
    pub limit: f64,
    pub measured: Option<f64>,
    pub at_least: bool,
    pub unit: &'static str,
    /// It is a time that was measured beside other programs.
    is_disturbed: bool,
}

impl Target {
    /// Compares what is printed.
    fn holds(&self) -> &'static str {
        let limit = rounded(self.limit);
        match self.measured.map(rounded) {
            None => "not measured",
            Some(_) if self.is_disturbed => "machine loaded",
            Some(measured) if (self.at_least && measured >= limit) || (!self.at_least && measured <= limit) => "yes",
            Some(_) => "**no**",
        }
    }
}

impl Report {
    pub fn section(&mut self, title: &str) {
        self.is_disturbed = false;
        self.say(&format!("\n### {title}\n"));
    }

    /// A section of times: says how much else runs.
    pub fn timed_section(&mut self, title: &str) {
        self.section(title);
        let load = process::load();
        self.is_disturbed = load > MOST_LOAD;
        let word = if self.is_disturbed { "**The machine was loaded**: other" } else { "Other" };
        self.say(&format!("{word} programs took {} % of the processors in the second before.\n", number(load)));
    }

    pub fn say(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        let dashes = heads.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "--:" }.to_owned());
        self.say(&row(&heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>()));
        self.say(&format!("|{}|", dashes.collect::<Vec<_>>().join("|")));
        for cells in rows {
            self.say(&row(cells));
        }
    }

    pub fn at_most(&mut self, claim: &str, limit: f64, unit: &'static str, measured: Option<f64>) {
        self.targets.push(Target {
            claim: claim.to_owned(),
            limit,
            measured,
            at_least: false,
            unit,
            is_disturbed: false,
        });
    }

    /// Of a time, which is not judged where other programs run.
    pub fn time_at_most(&mut self, claim: &str, limit: f64, unit: &'static str, measured: Option<f64>) {
        self.at_most(claim, limit, unit, measured);
        self.targets.last_mut().unwrap().is_disturbed = self.is_disturbed;
    }

    /// Of a rate, which is not judged where other programs run.
    pub fn rate_at_least(&mut self, claim: &str, limit: f64, unit: &'static str, measured: Option<f64>) {
        self.time_at_most(claim, limit, unit, measured);
        self.targets.last_mut().unwrap().at_least = true;
    }

    pub fn finish(&mut self) {
        self.section("Targets");
        let rows: Vec<Vec<String>> = self
            .targets
            .iter()
            .map(|target| {
                let word = if target.at_least { "at least" } else { "at most" };
                let measured = target.measured.map_or_else(|| "-".to_owned(), number);
                vec![
                    target.claim.clone(),
                    format!("{word} {}{}", number(target.limit), target.unit),
                    measured,
                    target.holds().to_owned(),
                ]
            })
            .collect();
        self.table(&["", "target", "measured", "holds"], &rows);
    }
}

/// How many digits behind the point mean something.
fn decimals(value: f64) -> usize {
    match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    }
}

/// A figure as it is printed.
fn rounded(value: f64) -> f64 {
    let factor = 10_f64.powi(decimals(value) as i32);
    (value * factor).round() / factor
}

/// A figure with as many digits as mean something.
pub fn number(value: f64) -> String {
    // Without the sign of a negative zero.
    let value = rounded(value) + 0.0;
    if value.abs() >= 1000.0 {
        return thousands(value as i64);
    }
    let text = format!("{value:.*}", decimals(value));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn thousands(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(' ');
        }
        let _ = write!(out, "{digit}");
    }
    if value < 0 { format!("-{out}") } else { out }
}

pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}
