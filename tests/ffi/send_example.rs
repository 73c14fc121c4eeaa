//! The example that sends one text, in Rust, C and C++: its arguments, what it prints, and its exit codes.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use hookmyapp::ErrorKind;
use serde_json::json;
use tempfile::TempDir;

use crate::programs::{has_tools, program};
use crate::support::artefacts::{BOTH, Program};
use crate::support::environment::{lead_to, without_settings};
use crate::support::gateway::{Answer, Gateway};
use crate::support::refusing::Refusing;
use crate::support::samples::USER;
use crate::support::tools;

const RUST: &str = "examples/send.rs";

/// The example in Rust, and those in C and C++ if they can be made, each linked in both ways.
fn examples() -> Vec<(&'static str, Command)> {
    static MADE: OnceLock<Vec<(&str, Program, TempDir)>> = OnceLock::new();
    let make = || {
        let sources = ["examples/send.c", "examples/send.cpp"].into_iter().filter(|_| has_tools());
        let pairs = sources.flat_map(|source| BOTH.map(|linked| (source, linked)));
        pairs.map(|(source, linked)| (source, program(source, linked))).map(|(it, (made, at))| (it, made, at)).collect()
    };
    let mut rust = Command::new(tools::rust_example("send"));
    without_settings(&mut rust);
    let linked = MADE.get_or_init(make).iter().map(|(source, program, _)| (*source, program.command()));
    [(RUST, rust)].into_iter().chain(linked).collect()
}

/// Runs each example; `prepare` comes before each run. Each must end with this code, and write this to standard output
/// and this to standard error.
fn each(arguments: &[&str], code: i32, out: &str, err: &str, prepare: impl Fn(&mut Command)) {
    each_with(arguments, prepare, |example, said| {
        assert_eq!(said, (code, out.to_owned(), err.to_owned()), "{example} {arguments:?}");
    });
}

fn each_with(arguments: &[&str], prepare: impl Fn(&mut Command), check: impl Fn(&str, (i32, String, String))) {
    for (source, mut command) in examples() {
        prepare(command.args(arguments));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        check(source, (output.status.code().unwrap(), text(output.stdout), text(output.stderr)));
    }
}

#[test]
fn send_examples_report_the_delivery() {
    let gateway = Gateway::start().unwrap();
    let window_closed = format!(
        "Instagram API error 403: {{\"code\":\"SESSION_WINDOW_CLOSED\",\"message\":\"The window is closed.\"}}\n\
         {}\nwait 7 seconds before the next send\n",
        ErrorKind::WindowClosed
    );
    let failed = format!("Instagram API error 502: {{}}\n{}\n", ErrorKind::Server);
    let closed = json!({"code": "SESSION_WINDOW_CLOSED", "message": "The window is closed."});
    for (answer, code, out, err) in [
        (Answer::json(200, &json!({"message_id": "m_1"})), 0, "sent m_1\n", ""),
        (Answer::json(200, &json!({"recipient_id": "1"})), 0, "sent (the gateway gave no message id)\n", ""),
        (Answer::json(403, &closed).with_header("Retry-After", "7"), 2, "", &*window_closed),
        (Answer::new(502, "text/html", "<html>Bad Gateway</html>"), 3, "", &failed),
    ] {
        each(&[USER, "Hello"], code, out, err, |command| {
            gateway.answer_next(answer.clone());
            lead_to(&gateway, command);
        });
    }
    let received = gateway.received();
    assert_eq!(received.len(), 4 * examples().len());
    let expected = json!({"recipient": {"id": USER}, "message": {"text": "Hello"}});
    assert!(received.iter().all(|request| request.json() == Some(expected.clone())), "{received:?}");
}

#[test]
fn send_examples_read_an_env_file_and_print_warnings() {
    let (gateway, folder) = (Gateway::start().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("with warning.env");
    let more = format!("INSTAGRAM_USER_ID=17841499999999999\nINSTAGRAM_API_URL={}\n", gateway.base_url());
    fs::write(&path, gateway.env_lines() + &more).unwrap();
    each_with(
        &["--env-file", path.to_str().unwrap(), USER, "Hello"],
        |_| {},
        |example, (code, out, err)| {
            assert!(code == 0 && out.starts_with("sent aWd"), "{example}: {out}{err}");
            let warnings: Vec<&str> = err.lines().collect();
            assert_eq!(warnings.len(), 2, "{example}: {err}");
            for (warning, name) in warnings.iter().zip(["INSTAGRAM_GRAPH_API_URL", "INSTAGRAM_USER_ID"]) {
                assert!(warning.contains(name), "{example}: {err}");
            }
            assert!(err.starts_with("warning: "), "{example}: {err}");
        },
    );
    assert_eq!(gateway.received().len(), examples().len());
}

#[test]
fn send_examples_without_settings_or_connection_send_nothing() {
    let closed = Refusing::new();
    let (base_url, address) = (format!("http://{}/meta/v25.0", closed.address()), closed.address().to_string());
    let settings = [("INSTAGRAM_API_URL", &*base_url), ("INSTAGRAM_USER_ID", "1"), ("INSTAGRAM_ACCESS_TOKEN", "t")];
    let names = ["INSTAGRAM_API_URL", "INSTAGRAM_ACCOUNT_ID", "INSTAGRAM_ACCESS_TOKEN", "configuration"];
    for (arguments, settings, parts) in [
        (&[USER, "Hello"][..], &[][..], &names[..]),
        (&[USER, "Hello"], &settings, &["cannot connect", &address, "nothing was sent"]),
        (&["--env-file", "/no/such/file.env", USER, "Hello"], &[], &["/no/such/file.env"]),
    ] {
        let prepare = |command: &mut Command| {
            command.envs(settings.iter().copied());
        };
        each_with(arguments, prepare, |example, (code, out, err)| {
            assert_eq!((code, out.as_str()), (1, ""), "{example}: {err}");
            assert!(parts.iter().all(|part| err.contains(part)), "{example}: {err}");
        });
    }
}

#[test]
fn send_examples_print_their_usage() {
    each_with(
        &["--help"],
        |_| {},
        |example, (code, out, err)| {
            assert_eq!((code, err.as_str()), (0, ""), "{example}");
            assert!(out.starts_with("usage: send [--env-file FILE] RECIPIENT_ID TEXT\n"), "{example}: {out}");
            assert!(out.contains("exit code: 0 accepted, 1 not sent, 2 refused, 3 possibly delivered, 64 "), "{out}");
        },
    );
    for wrong in [
        &[][..],
        &[USER],
        &["--help", "x"],
        &["--unknown", "x"],
        &["--env-file", "x", USER],
        &["a", "b", "c", "d"],
        &["a", "b", "c"],
        &["--local"],
        &["--local", "--help"],
    ] {
        each_with(
            wrong,
            |_| {},
            |example, (code, out, err)| {
                assert_eq!((code, out.as_str()), (64, ""), "{example} {wrong:?}: {err}");
                assert!(err.starts_with("usage: send "), "{example} {wrong:?}: {err}");
            },
        );
    }
}

// What only the example in Rust does

fn rust() -> Command {
    examples().swap_remove(0).1
}

#[test]
fn local_send_prints_request_and_reply_and_hides_the_token() {
    let shown = tools::run(rust().args(["--local", "Hello from my app"]));
    for part in [
        "POST /meta/v25.0/17841450000000017/messages HTTP/1.1\n",
        "\nauthorization: Bearer hmat_live_...0000\n",
        "\n\n{\"recipient\":{\"id\":\"8123456789012345\"},\"message\":{\"text\":\"Hello from my app\"}}\n",
        "\nHTTP 200\n",
        "\"message_id\"",
        "\nsent aWd",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!shown.contains(Gateway::start().unwrap().token()));
}

#[test]
fn rust_send_example_prints_the_user_message() {
    let gateway = Gateway::start().unwrap();
    let busy = Answer::new(429, "application/json", r#"{"error":{"code":4,"error_user_msg":"Slow down"}}"#);
    gateway.answer_next(busy.with_header("Retry-After", "30"));
    let output = lead_to(&gateway, &mut rust()).args([USER, "Hello"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("Meta says: Slow down\nwait 30 seconds"), "{err}");
}
