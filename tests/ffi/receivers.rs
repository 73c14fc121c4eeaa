//! The receiver examples, in Rust and in C: signed, repeated, forged and unsigned deliveries, with the local gateway as
//! the other end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::{env, fs, thread};

use crate::support::artefacts::{BOTH, artefacts, compile};
use crate::support::environment::{lead_to, without_settings};
use crate::support::gateway::{Gateway, Received, Settings};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tools;
use crate::support::wait::TEST_TIMEOUT;
use crate::support::webhook::{SECRET, delivery, message, sign};
use serde_json::{Value, json};

const VERIFY_TOKEN: &str = "vt_6b1d0c55";
const OTHER_USER: &str = "8123456789099999";
const ANSWER: &str = "Thank you! We will be with you soon.";
const BODY_LIMIT: usize = 1 << 20;

#[test]
fn rust_receiver_replies_once_per_signed_message() {
    let program = tools::rust_example("receiver");
    play(&mut Command::new(&program));
    check_stop(&mut Command::new(&program));
    check_usage(|| Command::new(&program));
}

#[test]
fn c_receiver_replies_once_per_signed_message() {
    let Some(compiler) = c_compiler() else { return };
    for linked in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let program = compile(&compiler, &[tools::file("examples/receiver.c")], linked, folder.path());
        let mut receiver = play(&mut program.command());
        end(&mut receiver);
        check_stop(&mut program.command());
        check_usage(|| program.command());
    }
}

#[test]
fn valgrind_finds_no_error_in_the_c_receiver() {
    let Some(compiler) = c_compiler() else { return };
    if !tools::is_there("valgrind") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&compiler, &[tools::file("examples/receiver.c")], BOTH[0], folder.path());
    let valgrind =
        ["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=99"];
    let mut receiver = play(&mut program.command_under(&valgrind));
    end(&mut receiver);
}

/// The whole conversation. Gives the program back while it is still listening.
fn play(command: &mut Command) -> Running {
    let gateway = Gateway::start().unwrap();
    let receiver =
        Running::start(lead_to(&gateway, command).env("VERIFY_TOKEN", VERIFY_TOKEN).env("WEBHOOK_HMAC_SECRET", SECRET));
    let first = delivery(&[from(USER, "m1")]);

    assert_eq!(receiver.ask("GET", &[], b""), (200, VERIFY_TOKEN.to_owned()));

    assert_eq!(receiver.deliver(&first), 200);
    receiver.expect(&format!("answered {USER}"));
    check_last_answer(&gateway, 1, USER);

    // A repeat comes in another batch, and what is new beside it is answered.
    assert_eq!(receiver.deliver(&delivery(&[from(USER, "m1"), from(OTHER_USER, "m2")])), 200);
    receiver.expect("dropped a repeat");
    receiver.expect(&format!("answered {OTHER_USER}"));
    check_last_answer(&gateway, 2, OTHER_USER);

    let third = delivery(&[from(USER, "m3")]);
    let good = sign(SECRET, third.as_bytes());
    for headers in [
        vec![],
        vec![("X-HookMyApp-Signature-256", sign(SECRET, first.as_bytes()))],
        vec![("X-HookMyApp-Signature-256", String::new())],
        vec![("X-HookMyApp-Signature-256", "sha256=00".to_owned())],
        vec![("X-Hub-Signature-256", good.clone())],
    ] {
        assert_eq!(receiver.ask("POST", &headers, third.as_bytes()), (401, String::new()), "{headers:?}");
    }
    assert_eq!(receiver.ask("PUT", &[("X-HookMyApp-Signature-256", good)], third.as_bytes()).0, 405);
    assert_eq!(receiver.deliver("no JSON"), 400);
    assert_eq!(receiver.deliver(&"x".repeat(BODY_LIMIT + 1)), 413);
    for nothing_to_answer in [
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": []}]}).to_string(),
        delivery(&[json!({"sender": {"id": USER}, "read": {"mid": "m1"}})]),
        delivery(&[json!({"sender": {"id": ACCOUNT_ID}, "recipient": {"id": USER},
            "message": {"mid": "m4", "text": ANSWER, "is_echo": true}})]),
        json!({"object": "instagram", "entry": [{"standby": [from(USER, "m5")]}]}).to_string(),
    ] {
        assert_eq!(receiver.deliver(&nothing_to_answer), 200);
    }

    // A body as large as it may be, whose one message was forged before and is still new.
    let mut large = third;
    large.extend(std::iter::repeat_n(' ', BODY_LIMIT - large.len()));
    assert_eq!(receiver.deliver(&large), 200);
    receiver.expect(&format!("answered {USER}"));
    check_last_answer(&gateway, 3, USER);
    receiver
}

/// What was answered with 200 is answered, although the signal comes while the gateway lets all sends wait.
fn check_stop(command: &mut Command) {
    const DELIVERIES: usize = 5;
    let (arrived, arrivals) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let wait_at_gate = move |_: &Received| {
        arrived.send(()).unwrap();
        // The gate opens when the test drops its end.
        let _ = gate.lock().unwrap().recv();
    };
    let settings = Settings { on_request: Some(Box::new(wait_at_gate)), ..Settings::default() };
    let gateway = Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut receiver =
        Running::start(lead_to(&gateway, command).env("VERIFY_TOKEN", VERIFY_TOKEN).env("WEBHOOK_HMAC_SECRET", SECRET));
    for number in 0..DELIVERIES {
        assert_eq!(receiver.deliver(&delivery(&[from(USER, &format!("stop {number}"))])), 200);
    }
    arrivals.recv_timeout(TEST_TIMEOUT).unwrap();
    ask_to_end(&receiver);
    drop(open);
    assert_eq!(receiver.child.wait().unwrap().code(), Some(0));
    assert_eq!(gateway.received().len(), DELIVERIES);
    assert!(gateway.received().iter().all(|one| one.answer.is_success()));
}

fn from(user: &str, mid: &str) -> Value {
    let mut item = message(mid, "hello");
    item["sender"]["id"] = json!(user);
    item
}

fn check_last_answer(gateway: &Gateway, count: usize, user: &str) {
    let received = gateway.received();
    assert_eq!(received.len(), count);
    let last = received.last().unwrap();
    assert!(last.answer.is_success());
    assert_eq!(last.json().unwrap(), json!({"recipient": {"id": user}, "message": {"text": ANSWER}}));
}

/// What the program says about itself, and about what it is not told.
fn check_usage(command: impl Fn() -> Command) {
    let run = |arguments: &[&str], settings: &[(&str, &str)]| {
        let mut command = command();
        without_settings(&mut command);
        command.envs(settings.iter().copied());
        let output = command.args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, shown, complaints) = run(&["--help"], &[]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    assert!(shown.starts_with("usage: receiver [PORT]\n") && shown.contains("exit code: "), "{shown}");
    for arguments in [&["65536"][..], &["-1"], &["x"], &[""], &["1", "2"], &["--port"]] {
        let (code, shown, complaints) = run(arguments, &[]);
        assert_eq!((code, shown.as_str()), (64, ""), "{arguments:?}");
        assert!(complaints.starts_with("usage: "), "{complaints}");
    }
    let sends = [
        ("INSTAGRAM_API_URL", "http://127.0.0.1:9/v25.0"),
        ("INSTAGRAM_ACCOUNT_ID", ACCOUNT_ID),
        ("INSTAGRAM_ACCESS_TOKEN", "hmat_live_x"),
    ];
    let secret = [("WEBHOOK_HMAC_SECRET", SECRET)];
    for (settings, missing) in [
        (vec![], "INSTAGRAM_API_URL"),
        (sends.to_vec(), "WEBHOOK_HMAC_SECRET"),
        ([&sends[..], &secret].concat(), "VERIFY_TOKEN"),
    ] {
        let (code, shown, complaints) = run(&[], &settings);
        assert_eq!((code, shown.as_str()), (1, ""), "{complaints}");
        assert!(complaints.contains(missing), "{complaints}");
    }
}

// The programs

/// The compiler with what libmicrohttpd needs; `None` where a tool or that library is missing.
fn c_compiler() -> Option<Vec<String>> {
    let mut words = tools::compiler("CC", "cc");
    if !tools::is_there(&words[0]) || !has_microhttpd(&words) || artefacts().is_none() {
        return None;
    }
    words.extend(tools::flags("CFLAGS"));
    words.extend(["-std=c99", "-Wl,--no-as-needed", "-lmicrohttpd"].map(str::to_owned));
    Some(words)
}

fn has_microhttpd(compiler: &[String]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("includes.c");
    fs::write(&source, "#include <microhttpd.h>\n").unwrap();
    let output = tools::command(compiler).args([Path::new("-fsyntax-only"), &source]).output().unwrap();
    if !output.status.success() {
        assert!(env::var_os("HMA_REQUIRE_TOOLS").is_none_or(|it| it != "1"), "libmicrohttpd is missing");
        eprintln!("not tested, because libmicrohttpd is missing");
    }
    output.status.success()
}

/// A receiver that listens. It is killed when it is dropped.
struct Running {
    child: Child,
    complaints: Option<JoinHandle<String>>,
    address: SocketAddr,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.arg("0").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let line = lines.recv_timeout(TEST_TIMEOUT);
        let mut running =
            Running { child, complaints: Some(complaints), address: SocketAddr::from(([127, 0, 0, 1], 0)), lines };
        running.address = line.unwrap().strip_prefix("listening on http://").unwrap().parse().unwrap();
        assert!(running.address.ip().is_loopback());
        running
    }

    /// The next line that it prints.
    fn expect(&self, line: &str) {
        assert_eq!(self.lines.recv_timeout(TEST_TIMEOUT).as_deref(), Ok(line));
    }

    /// The status that a signed delivery is answered with.
    fn deliver(&self, body: &str) -> u16 {
        self.ask("POST", &[("x-hookmyapp-signature-256", sign(SECRET, body.as_bytes()))], body.as_bytes()).0
    }

    /// Status and body of the answer.
    fn ask(&self, method: &str, headers: &[(&str, String)], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (address, length) = (self.address, body.len());
        let head = format!("{method} /webhook HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n");
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        // Not to the end of the connection: the C receiver sends before it closes that.
        let mut stream = BufReader::new(stream);
        let (mut status, mut length) = (String::new(), 0);
        stream.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap();
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        (status.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap(), String::from_utf8(body).unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let complaints = self.complaints.take().map(JoinHandle::join);
            eprintln!("the receiver said: {complaints:?}");
        }
    }
}

fn ask_to_end(receiver: &Running) {
    tools::run(Command::new("sh").args(["-c", &format!("kill -TERM {}", receiver.child.id())]));
}

/// Asks a program to end, and sees that it does so without a fault.
fn end(receiver: &mut Running) {
    ask_to_end(receiver);
    assert_eq!(receiver.child.wait().unwrap().code(), Some(0));
}
