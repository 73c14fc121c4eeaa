//! The examples of `docs/simulator.md`, each built and run unmodified.

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use support::{is_there, library, shown};

fn document() -> String {
    fs::read_to_string(library("docs/simulator.md")).unwrap()
}

/// The fenced blocks of a language that contain a text.
fn block(language: &str, part: &str) -> String {
    let document = document();
    let mut blocks = document.split("\n```").filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    let found = blocks.find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("there is no {language} block with {part:?}")).to_owned() + "\n"
}

/// The folder with the C library in HMA_LIBRARY_DIR, or else of one that `make` builds; `None` without `make`.
fn c_library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if let Some(folder) = env::var_os("HMA_LIBRARY_DIR") {
            return Some(PathBuf::from(folder));
        }
        if !is_there("make") || !is_there("cc") {
            return None;
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("make");
        let mut command = Command::new("make");
        command.arg("all").current_dir(library("")).env("CARGO_TARGET_DIR", &target);
        ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"].iter().for_each(|name| {
            command.env_remove(name);
        });
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        Some(target.join("release"))
    };
    BUILT.get_or_init(build).as_deref()
}

/// Compiles a C program of the document into a folder.
fn compile(folder: &Path, name: &str, source: &str) -> Option<()> {
    let built = c_library()?;
    let file = folder.join(format!("{name}.c"));
    fs::write(&file, source).unwrap();
    let mut command = Command::new("cc");
    command.args(["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I"]).arg(built).arg(&file);
    command.arg("-L").arg(built).arg("-lhookmyapp").arg(format!("-Wl,-rpath,{}", built.display()));
    let output = command.arg("-o").arg(folder.join(name)).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    Some(())
}

/// Runs a shell in a folder, with the program in PATH.
fn shell(folder: &Path, script: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_hookmyapp-simulator")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    Command::new("sh").args(["-ec", script]).current_dir(folder).env("PATH", path).output().unwrap()
}

#[test]
fn the_line_for_ci_passes_and_fails_for_a_program_that_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let Some(()) = compile(folder.path(), "greet", &block("c", "greet.c")) else { return };
    let line = block("sh", "--exec ./greet");
    let output = shell(folder.path(), &line);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let twice = line.replace("./greet", "sh -c './greet; ./greet'");
    let output = shell(folder.path(), &twice);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("came twice"));
}

#[test]
fn the_shell_test_passes_and_notices_a_message_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(()) = compile(folder.path(), "greet", &block("c", "greet.c")) else { return };
    if !is_there("curl") {
        return;
    }
    let script = block("sh", "#!/bin/sh");
    fs::write(folder.path().join("test.sh"), &script).unwrap();
    let output = shell(folder.path(), "hookmyapp-simulator --headless --expect 2 --exec sh test.sh");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let unrejected = script.replace("user-unavailable", "slow-answer");
    fs::write(folder.path().join("test.sh"), unrejected).unwrap();
    let output = shell(folder.path(), "hookmyapp-simulator --headless --exec sh test.sh");
    assert_ne!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn the_c_test_concludes_what_it_expects() {
    let folder = tempfile::tempdir().unwrap();
    let source = block("c", "faults_test.c");
    let Some(()) = compile(folder.path(), "faults_test", &source) else { return };
    let command = source.lines().next().unwrap().split_once(": ").unwrap().1.trim_end_matches(" */").to_owned();
    assert!(command.starts_with("hookmyapp-simulator "));
    let output = shell(folder.path(), &command);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let output = shell(folder.path(), &command.replace("--expect 3", "--expect 4"));
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
}

#[test]
fn the_rust_test_is_the_one_that_runs_here() {
    assert!(document().contains(&format!("```rust\n{}```", include_str!("own_program.rs"))));
}

#[test]
fn every_option_of_help_and_every_call_is_in_the_document() {
    let help = Command::new(env!("CARGO_BIN_EXE_hookmyapp-simulator")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.split("\n\n").nth(2).unwrap();
    assert!(options.contains("--port N") && document().contains(&format!("```text\n{options}\n```")));
    for call in [
        "requests",
        "conversations",
        "duplicates",
        "wait",
        "users",
        "deliveries",
        "webhook",
        "faults",
        "clock",
        "events",
    ] {
        assert!(document().contains(&format!("/simulator/{call}")), "{call}");
    }
}
