//! The snippets of README.md, compiled and run against a local gateway.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::artefacts::{BOTH, artefacts, compile};
use crate::support::environment::lead_to;
use crate::support::gateway::Gateway;
use crate::support::tools;
use crate::support::webhook::{SECRET, sign};

/// The fenced blocks in one language, in order.
fn snippets(language: &str) -> Vec<String> {
    let (readme, fence) = (tools::read("README.md"), format!("```{language}"));
    let mut found = Vec::new();
    let mut lines = readme.lines();
    while lines.by_ref().any(|line| line == fence) {
        found.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
    }
    assert!(!found.is_empty(), "README.md has no {language}");
    found
}

/// What a snippet that answers a webhook gets from its HTTP server.
const DELIVERY: &str = r#"{"object":"instagram","entry":[{"messaging":[{"sender":{"id":"8123456789012345"},"message":{"mid":"m_1","text":"hi"}}]}]}"#;

fn signature() -> String {
    sign(SECRET, DELIVERY.as_bytes())
}

fn is_about_webhooks(snippet: &str) -> bool {
    snippet.contains("body")
}

/// What stands before a snippet in Rust.
fn given_in_rust(snippet: &str) -> String {
    if !is_about_webhooks(snippet) {
        return String::new();
    }
    format!("let (header, body) = (Some({:?}), {DELIVERY:?}.as_bytes());\n", signature())
}

/// What stands before a snippet in C, and what behind it.
fn given_in_c(snippet: &str) -> (String, &'static str) {
    if !is_about_webhooks(snippet) {
        return (String::new(), "");
    }
    let before = format!(
        "hma_config *config = hma_config_from_env();\nhma_client *client = NULL;\n\
         hma_message *answer = hma_message_text(\"Thank you!\");\n\
         const char *header = {:?}, *body = {DELIVERY:?};\nconst size_t body_length = {};\n\
         hma_client_new(config, &client, NULL);\n",
        signature(),
        DELIVERY.len()
    );
    (before, "hma_message_free(answer);\nhma_client_free(client);\nhma_config_free(config);\n")
}

/// Runs a program that must succeed, say nothing of an error, and send something that is accepted.
fn run_against_a_gateway(command: &mut Command) {
    let gateway = Gateway::start().unwrap();
    let output = lead_to(&gateway, command).env("WEBHOOK_HMAC_SECRET", SECRET).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", tools::shown(&output));
    let received = gateway.received();
    assert!(!received.is_empty() && received.iter().all(|request| request.answer.is_success()), "{received:?}");
}

/// A snippet as a whole file: its own one if it has a `main`, else the body of one below its `#include`s.
fn whole(snippet: &str, includes: &str, main: &str) -> String {
    if snippet.contains("main(") {
        return snippet.to_owned();
    }
    let (own, body): (Vec<&str>, Vec<&str>) = snippet.lines().partition(|line| line.starts_with("#include"));
    format!("{includes}{}\n{main} {{\n{}\nreturn 0;\n}}\n", own.join("\n"), body.join("\n"))
}

fn compile_and_run(compiler: &[String], name: &str, source: &str) {
    for linked in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, source).unwrap();
        run_against_a_gateway(&mut compile(compiler, &[path], linked, folder.path()).command());
    }
}

#[test]
fn readme_rust_compiles_and_sends() {
    let snippets = snippets("rust");
    let programs = build_rust(&snippets);
    assert_eq!(programs.len(), snippets.len());
    programs.iter().for_each(|program| run_against_a_gateway(&mut Command::new(program)));
}

/// A package that depends on this one as a reader's would, with one program for each snippet. It shares our
/// dependencies, which are built already.
fn build_rust(snippets: &[String]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(folder.join("src/bin")).unwrap();
    let package = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"readme-snippets\"\nedition = \"2024\"\n\n[dependencies]\nhookmyapp = {{ path = {package:?} }}\n\n[workspace]\n"
    );
    write_if_other(&folder.join("Cargo.toml"), &manifest);
    write_if_other(&folder.join("Cargo.lock"), &tools::read("Cargo.lock"));
    let names: Vec<String> = (1..=snippets.len()).map(|number| format!("readme-{number}")).collect();
    for (name, snippet) in names.iter().zip(snippets) {
        let main = "fn main() -> Result<(), Box<dyn std::error::Error>>";
        let source = format!("{main} {{\n{}{snippet}\nOk(())\n}}\n", given_in_rust(snippet));
        write_if_other(&folder.join("src/bin").join(name).with_extension("rs"), &source);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(&folder).args(["build", "--quiet", "--offline"]).env("CARGO_TARGET_DIR", target);
    names.iter().for_each(|name| {
        command.args(["--bin", name]);
    });
    tools::run(&mut command);
    names.iter().map(|name| target.join("debug").join(name)).collect()
}

/// Leaves a file alone that is right, so that nothing is built again.
fn write_if_other(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}

#[test]
fn readme_c_compiles_and_sends() {
    let snippets = snippets("c");
    let compiler = [tools::compiler("CC", "cc"), vec!["-std=c99".to_owned()]].concat();
    if !tools::is_there(&compiler[0]) || artefacts().is_none() {
        return;
    }
    for snippet in snippets {
        let (before, behind) = given_in_c(&snippet);
        let snippet = format!("{before}{snippet}{behind}");
        let source = whole(&snippet, "#include <hookmyapp.h>\n#include <stdio.h>\n", "int main(void)");
        compile_and_run(&compiler, "snippet.c", &source);
    }
}

#[test]
fn readme_cpp_compiles_and_sends() {
    let snippets = snippets("cpp");
    let compiler = [tools::compiler("CXX", "c++"), vec!["-std=c++11".to_owned()]].concat();
    if !tools::is_there(&compiler[0]) || artefacts().is_none() {
        return;
    }
    for snippet in snippets {
        let source =
            whole(&snippet, "#include <hookmyapp.hpp>\n#include <iostream>\n#include <string>\n", "int main()");
        compile_and_run(&compiler, "snippet.cpp", &source);
    }
}
