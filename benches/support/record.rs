//! The machine that was measured on, and the page that keeps the last run.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::picture;
use super::process::{self, Who};
use super::report::Report;

const BEGIN: &str = "<!-- What follows is written by HMA_BENCH_RECORD=1 make bench. -->\n";
const END: &str = "<!-- End of what is written. -->";

pub fn say_machine(report: &mut Report) {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    report.say(&format!(
        "{} x {}, {}, {}; hookmyapp {}, {}; load when it began: {}",
        process::processors(),
        model.trim_matches(['\t', ':', ' ']),
        said(Command::new("uname").arg("-sr")),
        said(Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version")),
        env!("CARGO_PKG_VERSION"),
        libcurl(),
        load.split(' ').next().unwrap_or_default(),
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

/// Puts the run into `benches/README.md`, and its picture beside that.
pub fn write(report: &Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let page = folder.join("README.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a place for the run");
    let (_, after) = rest.split_once(END).expect("the page has a place for the run");
    fs::write(&page, format!("{before}{BEGIN}\n{}\n{END}{after}", report.text.trim())).unwrap();
    fs::write(folder.join("time-a-send.svg"), picture::bars(&report.times)).unwrap();
}
