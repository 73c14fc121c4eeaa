//! The machine that was measured on, and the files that keep a run.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::picture;
use super::process::{self, Who};
use super::report::{self, Report};

pub fn say_machine(report: &mut Report) {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    report.say(&format!(
        "{} x {}, {}, {}; hookmyapp {}, {}; other programs take {} % of the processors",
        process::processors(),
        model.trim_matches(['\t', ':', ' ']),
        said(Command::new("uname").arg("-sr")),
        said(Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version")),
        env!("CARGO_PKG_VERSION"),
        libcurl(),
        report::number(process::load()),
    ));
    if !process::can_place() {
        report.say("Server and contenders were not kept apart: that takes two processors and `taskset`.");
    }
    for who in [Who::Program, Who::FastProgram, Who::Libcurl] {
        if !who.is_there() {
            report.say(&format!("Left out: {}. `make bench` compiles it where its libraries are.", who.title(false)));
        }
    }
    for tool in ["valgrind", "strace"] {
        if !process::is_there(tool) {
            report.say(&format!("Left out: what {tool} counts, because it is not there."));
        }
    }
}

/// The first line that a command says.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

/// The version of libcurl and of what it stands on.
fn libcurl() -> String {
    match Who::Libcurl.program().filter(|program| program.is_file()) {
        Some(program) => said(Command::new(program).arg("--version")),
        None => "no libcurl".to_owned(),
    }
}

/// Writes the run to this file, and its picture beside the benchmarks, if the run has the times for it.
pub fn write(report: &Report, file: &Path) {
    fs::write(file, format!("# Results of `make bench`\n\n{}\n", report.text.trim())).unwrap();
    if !report.times.is_empty() {
        let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/time-a-send.svg");
        fs::write(picture, picture::bars(&report.times)).unwrap();
    }
}
