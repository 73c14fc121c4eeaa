//! The tools of the system: whether they are installed, and what they print.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether a tool can be run. One that is missing is reported as `say_missing` does.
pub fn is_there(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").output().is_ok();
    if !is_there {
        say_missing(tool);
    }
    is_there
}

/// Says on standard error what a test does without, or fails with HMA_REQUIRE_TOOLS=1.
pub fn say_missing(what: &str) {
    assert!(env::var_os("HMA_REQUIRE_TOOLS").is_none_or(|it| it != "1"), "{what} is missing");
    eprintln!("not tested, because {what} is missing");
}

/// Runs a command that must succeed; gives its standard output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Status and both outputs, human-readable.
pub fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A variable with several words, such as CFLAGS; empty unless set.
pub fn flags(name: &str) -> Vec<String> {
    env::var(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// A compiler as `make` knows it: `CC` may hold arguments, too.
pub fn compiler(variable: &str, default: &str) -> Vec<String> {
    let words = flags(variable);
    if words.is_empty() { vec![default.to_owned()] } else { words }
}

/// A command that begins with several words.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// A file of this package.
pub fn file(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = file(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An example in Rust, as it is now: `cargo test` alone builds examples, `cargo test --test ffi` leaves old ones.
pub fn rust_example(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let profile = tests.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]).env("CARGO_TARGET_DIR", profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    run(&mut cargo);
    profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}
