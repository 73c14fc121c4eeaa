//! The snippets of README.md and docs/, compiled and run against a local gateway.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hookmyapp::capi::status::hma_status_scope;

use crate::support::artefacts::{BOTH, artefacts, compile};
use crate::support::environment::lead_to;
use crate::support::gateway::Gateway;
use crate::support::header::Header;
use crate::support::tools;
use crate::support::webhook::{SECRET, sign};

const PAGES: [&str; 4] = ["README.md", "docs/configuration.md", "docs/webhooks.md", "docs/operations.md"];

/// The fenced blocks of a page in one language, in order.
fn snippets_of(page: &str, language: &str) -> Vec<String> {
    let (text, fence) = (tools::read(page), format!("```{language}"));
    let mut found = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line == fence) {
        found.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
    }
    found
}

/// The fenced blocks of all pages in one language, in order.
fn snippets(language: &str) -> Vec<String> {
    assert!(!snippets_of("README.md", language).is_empty(), "README.md has no {language}");
    PAGES.iter().flat_map(|page| snippets_of(page, language)).collect()
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
    let mut given = format!("let (header, body) = (Some({:?}), {DELIVERY:?}.as_bytes());\n", signature());
    given += "let respond = |status: u16| println!(\"{status}\");\n";
    if !snippet.contains("use hookmyapp::") {
        given += "use hookmyapp::{Client, Config, Message, webhook, webhook::EventKind};\n\
                  let config = Config::from_env();\nlet client = Client::new(&config)?;\n\
                  let secret = config.webhook_secret().unwrap();\n";
    }
    given
}

/// What stands before a snippet in C, and what behind it.
fn given_in_c(snippet: &str) -> (String, &'static str) {
    if !is_about_webhooks(snippet) {
        return (String::new(), "");
    }
    let before = format!(
        "#define respond(status) printf(\"%d\\n\", status)\nhma_config *config = hma_config_from_env();\nhma_client *client = NULL;\n\
         hma_message *thanks = hma_message_text(\"Thank you!\");\n\
         const char *header = {:?}, *body = {DELIVERY:?};\nconst size_t body_length = {};\n\
         hma_client_new(config, &client, NULL);\n",
        signature(),
        DELIVERY.len()
    );
    (before, "hma_message_free(thanks);\nhma_client_free(client);\nhma_config_free(config);\n")
}

/// What stands before a snippet in C++.
fn given_in_cpp(snippet: &str) -> String {
    if !is_about_webhooks(snippet) {
        return String::new();
    }
    format!(
        "#define respond(status) std::cout << status << '\\n'\nconst auto settings = hma::config::from_env();\n\
         const hma::client client(settings);\nconst char *header = {:?}, *body = {DELIVERY:?};\n",
        signature()
    )
}

/// Runs a program that must succeed, say nothing of an error, and send something that is accepted.
fn run_against_a_gateway(command: &mut Command) {
    let gateway = Gateway::start().unwrap();
    let output = lead_to(&gateway, command).env("WEBHOOK_HMAC_SECRET", SECRET).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", tools::shown(&output));
    let received = gateway.received();
    assert!(!received.is_empty() && received.iter().all(|request| request.is_accepted()), "{received:?}");
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
        let snippet = given_in_cpp(&snippet) + &snippet;
        let source =
            whole(&snippet, "#include <hookmyapp.hpp>\n#include <iostream>\n#include <string>\n", "int main()");
        compile_and_run(&compiler, "snippet.cpp", &source);
    }
}

/// The lines are for a Unix shell.
#[cfg(unix)]
#[test]
fn readme_link_lines_link_its_programs() {
    let Some(artefacts) = artefacts() else { return };
    if !tools::is_there("cc") || !tools::is_there("c++") || cfg!(target_os = "macos") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("target")).unwrap();
    std::os::unix::fs::symlink(&artefacts.folder, folder.path().join("target/release")).unwrap();
    std::os::unix::fs::symlink(tools::file("include"), folder.path().join("include")).unwrap();
    fs::write(folder.path().join("app.c"), &snippets_of("README.md", "c")[0]).unwrap();
    let cpp =
        whole(&snippets_of("README.md", "cpp")[0], "#include <hookmyapp.hpp>\n#include <iostream>\n", "int main()");
    fs::write(folder.path().join("app.cpp"), cpp).unwrap();
    let readme = tools::read("README.md");
    let lines: Vec<&str> = readme.lines().filter(|line| line.contains(" app.c")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, program) in lines.into_iter().zip(["app", "app-cpp"]) {
        tools::run(Command::new("sh").args(["-ec", line]).current_dir(folder.path()));
        run_against_a_gateway(&mut Command::new(folder.path().join(program)));
    }
}

#[test]
fn readme_is_short_and_shows_every_language_early() {
    let readme = tools::read("README.md");
    assert!(readme.lines().count() <= 130, "{} lines", readme.lines().count());
    for line in ["cargo add ", "cc app.c ", "c++ -std=c++11 app.cpp "] {
        assert!(readme.lines().take(70).any(|it| it.contains(line)), "{line} is not in the first 70 lines");
    }
}

/// A send may take longer than HookMyApp waits for the 200.
#[test]
fn webhook_snippets_respond_before_they_send() {
    for (language, send) in [("rust", ".reply("), ("c", "hma_reply("), ("cpp", ".reply(")] {
        let snippets = snippets(language);
        // A thread of its own sends beside the response.
        let direct = |it: &&String| it.contains("respond(200)") && !it.contains("thread::spawn");
        let direct: Vec<&String> = snippets.iter().filter(direct).collect();
        assert!(!direct.is_empty(), "{language}");
        assert!(direct.iter().all(|it| it.find("respond(200)").unwrap() < it.find(send).unwrap()), "{language}");
    }
}

/// The table of docs/operations.md has every status with the scope that the library gives it.
#[test]
fn operations_table_lists_every_status_with_its_scope() {
    let page = tools::read("docs/operations.md");
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    let value = |name: &str| header.constants.iter().find(|it| it.name == name).unwrap().value.parse::<i32>().unwrap();
    let statuses = header.constants.iter().filter(|it| it.name.starts_with("HMA_ERROR_"));
    let mut listed = 0;
    for (name, number) in statuses.map(|it| (it.name.trim_start_matches("HMA_ERROR_"), value(&it.name))) {
        let start = format!("| {number} `{name}` | ");
        let row = page.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no row {start}"));
        let scope = row.split(' ').next().unwrap();
        assert_eq!(hma_status_scope(number), value(&format!("HMA_SCOPE_{}", scope.to_uppercase())), "{start}{row}");
        listed += 1;
    }
    assert!(listed >= 15, "{listed}");
}

/// The lines of docs/webhooks.md that sign a delivery in a shell.
#[test]
fn shell_snippet_signs_as_the_library_does() {
    if !tools::is_there("openssl") {
        return;
    }
    let snippet = snippets_of("docs/webhooks.md", "sh").into_iter().find(|it| it.contains("openssl")).unwrap();
    let lines: Vec<&str> = snippet.lines().filter(|line| !line.starts_with("curl ")).collect();
    let script = format!("{}\nprintf 'sha256=%s\\n%s' \"$signature\" \"$body\"", lines.join("\n"));
    let printed = tools::run(Command::new("sh").args(["-ec", &script]).env("WEBHOOK_HMAC_SECRET", SECRET));
    let (signature, body) = printed.split_once('\n').unwrap();
    assert_eq!(signature.trim_start_matches("sha256="), sign(SECRET, body.as_bytes()).trim_start_matches("sha256="));
}

/// A line of the README may leave out a value ("..."), and "..." alone any number of lines.
#[test]
fn readme_shows_what_a_local_send_prints() {
    let shown = snippets_of("README.md", "console").remove(0);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut send = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    send.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
    let printed = tools::run(send.args(["run", "--quiet", "--example", "send", "--", "--local", "Hello"]));
    let mut rest = printed.as_str();
    for part in shown.replace("\"...\"", "\"\n...\n\"").split("...\n") {
        let part = part.trim_end_matches('\n');
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not printed:\n{printed}")).1;
    }
}
