//! What was found: tables in Markdown, and which targets hold.

use std::fmt::Write as _;

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
}

pub struct Target {
    pub claim: String,
    pub limit: f64,
    pub measured: Option<f64>,
    pub at_least: bool,
    pub unit: &'static str,
}

impl Target {
    pub fn holds(&self) -> Option<bool> {
        self.measured.map(|measured| if self.at_least { measured >= self.limit } else { measured <= self.limit })
    }
}

impl Report {
    pub fn section(&mut self, title: &str) {
        self.say(&format!("\n### {title}\n"));
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
        self.targets.push(Target { claim: claim.to_owned(), limit, measured, at_least: false, unit });
    }

    pub fn at_least(&mut self, claim: &str, limit: f64, unit: &'static str, measured: Option<f64>) {
        self.targets.push(Target { claim: claim.to_owned(), limit, measured, at_least: true, unit });
    }

    pub fn finish(&mut self) {
        self.section("Targets");
        let rows: Vec<Vec<String>> = self
            .targets
            .iter()
            .map(|target| {
                let word = if target.at_least { "at least" } else { "at most" };
                let holds = match target.holds() {
                    Some(true) => "yes",
                    Some(false) => "**no**",
                    None => "not measured",
                };
                let measured = target.measured.map_or_else(|| "-".to_owned(), number);
                vec![
                    target.claim.clone(),
                    format!("{word} {}{}", number(target.limit), target.unit),
                    measured,
                    holds.to_owned(),
                ]
            })
            .collect();
        self.table(&["", "target", "measured", "holds"], &rows);
    }
}

/// A figure with as many digits as mean something.
pub fn number(value: f64) -> String {
    // Without the sign of a negative zero.
    let value = value + 0.0;
    let mut text = match value.abs() {
        size if size >= 1000.0 => thousands(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text
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
