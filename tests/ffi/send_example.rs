//! `examples/send.rs`: its arguments, what it prints, and its exit codes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, fs};

use crate::support::gateway::{Answer, Gateway};

const USER: &str = "8123456789012345";
const VARIABLES: [&str; 10] = [
    "INSTAGRAM_API_URL",
    "INSTAGRAM_GRAPH_API_URL",
    "INSTAGRAM_ACCOUNT_ID",
    "INSTAGRAM_USER_ID",
    "INSTAGRAM_ACCESS_TOKEN",
    "WEBHOOK_HMAC_SECRET",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The program, without the settings of whoever runs the tests.
fn send() -> Command {
    let mut command = Command::new(program());
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// As it is now: `cargo test` alone builds examples, `cargo test --test ffi` leaves old ones.
fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let tests = env::current_exe().unwrap();
        let profile = tests.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "send"]).env("CARGO_TARGET_DIR", profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.join("examples").join(format!("send{}", env::consts::EXE_SUFFIX))
    };
    BUILT.get_or_init(build).clone()
}

fn through(gateway: &Gateway) -> Command {
    let mut command = send();
    for line in gateway.env_lines().lines() {
        let (name, value) = line.split_once('=').unwrap();
        command.env(name, value);
    }
    command
}

fn run(command: &mut Command, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_local_send_shows_the_request_and_the_answer_and_hides_the_token() {
    let (code, shown, complaints) = run(&mut send(), &["--local", "Hello from my app"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
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
fn the_exit_code_says_what_became_of_the_message() {
    let gateway = Gateway::start().unwrap();
    let (code, shown, complaints) = run(&mut through(&gateway), &[USER, "Hello"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert!(shown.starts_with("sent aWd"), "{shown}");

    gateway.answer_next(Answer::new(403, "application/json", r#"{"code":"SESSION_WINDOW_CLOSED","message":"m"}"#));
    let (code, _, complaints) = run(&mut through(&gateway), &[USER, "Hello"]);
    assert_eq!(code, 2, "{complaints}");
    assert!(complaints.contains("Instagram API error 403: ") && complaints.contains("the user must write first"));

    let busy = Answer::new(429, "application/json", r#"{"error":{"code":4,"error_user_msg":"Slow down"}}"#);
    gateway.answer_next(busy.with_header("Retry-After", "30"));
    let (code, _, complaints) = run(&mut through(&gateway), &[USER, "Hello"]);
    assert_eq!(code, 2, "{complaints}");
    assert!(complaints.contains("Meta says: Slow down\n") && complaints.contains("wait 30 seconds"), "{complaints}");

    gateway.answer_next(Answer::new(502, "text/html", "<html>502</html>"));
    let (code, _, complaints) = run(&mut through(&gateway), &[USER, "Hello"]);
    assert_eq!(code, 3, "{complaints}");

    gateway.answer_next(Answer::new(200, "application/json", r#"{"recipient_id":"8123456789012345"}"#));
    let (code, shown, _) = run(&mut through(&gateway), &[USER, "Hello"]);
    assert_eq!((code, shown.as_str()), (0, "sent (the gateway gave no message id)\n"));
}

#[test]
fn nobody_at_the_other_end_and_no_settings_are_not_sent() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let gateway = Gateway::start().unwrap();
    let mut command = through(&gateway);
    command.env("INSTAGRAM_GRAPH_API_URL", format!("http://{free}/v25.0"));
    let (code, _, complaints) = run(&mut command, &[USER, "Hello"]);
    assert_eq!(code, 1);
    assert!(complaints.contains("cannot connect") && complaints.contains("nothing was sent"), "{complaints}");

    let (code, _, complaints) = run(&mut send(), &[USER, "Hello"]);
    assert_eq!(code, 1);
    assert!(complaints.contains("INSTAGRAM_ACCESS_TOKEN"), "{complaints}");
    assert!(gateway.received().is_empty());
}

#[test]
fn an_env_file_is_read_and_its_warnings_are_shown() {
    let gateway = Gateway::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    fs::write(&file, format!("{}INSTAGRAM_API_URL={}\n", gateway.env_lines(), gateway.base_url())).unwrap();
    let (code, shown, complaints) = run(&mut send(), &["--env-file", file.to_str().unwrap(), USER, "Hello"]);
    assert_eq!(code, 0, "{complaints}");
    assert!(shown.starts_with("sent "));
    assert!(complaints.starts_with("warning: INSTAGRAM_API_URL and INSTAGRAM_GRAPH_API_URL are both set"));

    let (code, _, complaints) = run(&mut send(), &["--env-file", "/no/such/file", USER, "Hello"]);
    assert_eq!(code, 1);
    assert!(complaints.contains("/no/such/file"), "{complaints}");
}

#[test]
fn wrong_usage_is_64_and_help_is_no_mistake() {
    for arguments in [&[][..], &["one"], &["--local"], &["--local", "--help"], &["--unknown", "x"], &["1", "2", "3"]] {
        let (code, shown, complaints) = run(&mut send(), arguments);
        assert_eq!((code, shown.as_str()), (64, ""), "{arguments:?}");
        assert!(complaints.starts_with("usage: send "));
    }
    let (code, shown, complaints) = run(&mut send(), &["--help"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert!(shown.starts_with("usage: send "));
}
