//! The program: options, what it prints, what it runs, exit codes.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use hookmyapp::{Client, Config};
use hookmyapp_simulator::{Fault, table_text};
use serde_json::json;

use support::{Line, Receiver, Running, TEXT, USER, api, post, program, request, shown, text_to, wait_until};

fn client(running: &Running) -> Client {
    let config = Config::from_vars(|name| {
        running.lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
    });
    Client::new(&config.proxy(None)).unwrap()
}

/// Sends a signal and returns the exit code.
fn stop(mut running: Running, signal: &str) -> Option<i32> {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(running.child.id().to_string()).status().unwrap();
    assert!(sent.success());
    running.child.wait().unwrap().code()
}

/// A script that the simulator runs; `$1` and so on are further arguments.
fn exec(options: &[&str], script: &str) -> Output {
    program().args(options).args(["--exec", "sh", "-c", script]).output().unwrap()
}

const SEND: &str = r#"curl -sS "$INSTAGRAM_GRAPH_API_URL/$INSTAGRAM_ACCOUNT_ID/messages" -H "Authorization: Bearer $INSTAGRAM_ACCESS_TOKEN" -H 'Content-Type: application/json' -d '{"recipient":{"id":"8123456789012345"},"message":{"text":"Hello"}}'"#;

fn has_curl() -> bool {
    support::is_there("curl")
}

#[test]
fn help_lists_every_option_and_fault() {
    for argument in ["--help", "-h"] {
        let output = program().arg(argument).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(&table_text()));
        assert!(Fault::ALL.iter().all(|fault| text.contains(fault.name())));
    }
    let output = program().args(["event", "--help"]).output().unwrap();
    assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("--quick-reply"));
}

#[test]
fn wrong_usage_is_64_and_names_the_option() {
    for (arguments, part) in [
        (&["--port", "65536"][..], "--port"),
        (&["x"], "PORT"),
        (&["1", "2"], "2"),
        (&["--port", "1", "--port", "2"], "--port"),
        (&["--nothing"], "--nothing"),
        (&["--fault"], "--fault"),
        (&["--fault", "lost"], "lost"),
        (&["--fault", "lost-after:0"], "count"),
        (&["--fault", "tls-cut"], "tls-cut needs a port with TLS (--tls DIR)"),
        (&["--fault", "down:3601"], "down takes at most 3600 seconds"),
        (&["--chaos", "101"], "--chaos"),
        (&["--clock", "24"], "--clock"),
        (&["--clock", "+40000d"], "--clock"),
        (&["--keep", "0"], "--keep"),
        (&["--limit", "-1"], "--limit"),
        (&["--expect", "x"], "--expect"),
        (&["--exec"], "--exec"),
        (&["--sandbox=me"], "--sandbox"),
        (&["--token", ""], "--token"),
        (&["--token", "a\nb"], "--token"),
        (&["--print-env", "--print-exports"], "--print-exports"),
        (&["--webhook", "http://192.0.2.1/"], "loopback"),
        (&["event"], "event"),
        (&["event", "--text", "x"], "--to"),
        (&["event", "--to", "http://localhost/", "--text", "x"], "--secret"),
        (&["event", "--to", "http://localhost/", "--secret", "s"], "exactly one"),
        (&["event", "--to", "http://localhost/", "--secret", "s", "--text", "x", "--read", "m"], "exactly one"),
        (&["event", "--dance"], "--dance"),
        (&["event", "--text", "x", "--user", "me", "--to", "http://localhost/", "--secret", "s"], "me"),
    ] {
        let output = program().args(arguments).output().unwrap();
        let complaint = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(output.status.code() == Some(64) && complaint.contains(part), "{arguments:?}\n{}", shown(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_ready_text_leads_a_person_and_requests_are_printed() {
    let mut child = program().stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Page: ") {
        assert!(out.read_line(&mut text).unwrap() > 0, "{text}");
    }
    assert!(text.starts_with("Listening. For a client's .env:\n\nINSTAGRAM_GRAPH_API_URL=http://127.0.0.1:"));
    assert!(text.contains("Or try it at once:\n\ncurl -sS 'http://127.0.0.1:"));
    let page = text.lines().find_map(|line| line.strip_prefix("Page: http://")).unwrap();
    let address: SocketAddr = page.trim_end_matches('/').parse().unwrap();
    let mut line = Line::to(address);
    assert_eq!(line.ask(post(support::MESSAGES, TEXT)).status, 200);
    line.say(post(support::MESSAGES, &text_to(USER, "#lost-after x").to_string()));
    line.rest();
    let mut printed = String::new();
    while !printed.contains("a client must conclude 31") {
        assert!(out.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    assert!(
        printed.contains("accepted  POST /meta/v25.0/") && printed.contains("token  hmat_live_...0000"),
        "{printed}"
    );
    assert!(printed.contains("fault  lost-after: the user got it"), "{printed}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn printed_variables_lead_the_library_here_and_nothing_else_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    let mut running = Running::start(&[]);
    fs::write(&file, running.lines.join("\n")).unwrap();
    let config = Config::from_env_file(&file);
    assert!(config.warnings().is_empty());
    assert_eq!(config.webhook_secret(), Some(running.variable("WEBHOOK_HMAC_SECRET")));
    let client = Client::new(&config.proxy(None)).unwrap();
    client.send_text(USER, "hi").unwrap();
    let mut rest = String::new();
    let sent = Command::new("kill").arg("-TERM").arg(running.child.id().to_string()).status().unwrap();
    assert!(sent.success());
    running.out.read_to_string(&mut rest).unwrap();
    assert_eq!((running.child.wait().unwrap().code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn exports_can_be_evaluated_by_a_shell() {
    let mut child = program().args(["--print-exports", "--token", "it's mine"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        assert!(out.read_line(&mut text).unwrap() > 0);
    }
    let script = format!("{text}printf %s \"$INSTAGRAM_ACCESS_TOKEN\"");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's mine");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_env_file_is_whole_when_it_appears_and_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sim.env");
    let mut child = program().arg("--env-file").arg(&file).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the file appears", || file.exists());
    let config = Config::from_env_file(&file);
    Client::new(&config.proxy(None)).unwrap().send_text(USER, "hi").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!file.exists());
    let missing = folder.path().join("no/such/folder/x");
    let output = program().arg("--env-file").arg(&missing).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
}

#[test]
fn signals_stop_it_with_0_also_during_sends() {
    for signal in ["INT", "TERM"] {
        let running = Running::start(&["--delay", "3000"]);
        let mut line = Line::to(running.address());
        line.say(post(support::MESSAGES, TEXT));
        let address = running.address();
        wait_until("it is received", || api(address, "GET", "", None).json()["counts"]["messages"] == 1);
        assert_eq!(stop(running, signal), Some(0), "{signal}");
    }
}

#[test]
fn a_busy_port_is_1_and_free_ones_are_taken_twice_at_once() {
    let (one, other) = (Running::start(&[]), Running::start(&["--port", "0"]));
    assert_ne!(one.address(), other.address());
    let output = program().arg(one.address().port().to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen"));
    assert_eq!((stop(one, "TERM"), stop(other, "TERM")), (Some(0), Some(0)));
}

#[test]
fn a_closed_output_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let mut child = program().arg("--env-file").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    wait_until("the file appears", || file.exists());
    let config = Config::from_env_file(&file);
    let client = Client::new(&config.proxy(None)).unwrap();
    for _ in 0..10 {
        client.send_text(USER, "hi").unwrap();
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_command_gets_the_variables_and_gives_the_exit_code() {
    let output = program()
        .args(["--exec", "sh", "-c", "env; exit 7"])
        // These would win over the simulator's own.
        .env("INSTAGRAM_API_URL", "http://foreign.example.com")
        .env("INSTAGRAM_USER_ID", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(text.contains("INSTAGRAM_GRAPH_API_URL=http://127.0.0.1:") && text.contains("HOOKMYAPP_SIMULATOR_URL="));
    assert!(!text.contains("foreign") && !text.contains("INSTAGRAM_USER_ID"), "{text}");
    // The command's output is its own: everything else goes to standard error.
    assert!(!text.contains("Listening") && String::from_utf8(output.stderr).unwrap().contains("Listening"));
    assert_eq!(exec(&[], "kill -9 $$").status.code(), Some(128 + 9));
    assert_eq!(exec(&[], "exit 0").status.code(), Some(0));
    let missing = program().args(["--exec", "/no/such/program"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/no/such/program"));
}

#[test]
fn a_signal_is_handed_on_to_the_command() {
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child =
        program().args(["--exec", "sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn expectations_decide_when_the_command_succeeds() {
    if !has_curl() {
        return;
    }
    let twice = format!("{SEND}; {SEND}");
    for (options, script, code, complaint) in [
        (&["--expect", "1"][..], SEND.to_owned(), 0, ""),
        (&["--expect", "2", "--fail-on-duplicates"], SEND.to_owned(), 2, "users got 1 messages, not 2"),
        (&["--expect", "1"], twice.clone(), 2, "users got 2 messages, not 1"),
        (&["--expect", "2", "--fail-on-duplicates"], twice.clone(), 2, "1 messages came twice"),
        (&["--expect", "2"], twice.clone(), 0, ""),
        (&["--expect", "9"], "exit 3".to_owned(), 3, "users got 0 messages, not 9"),
        // The one that is lost did arrive.
        (&["--expect", "1", "--fault", "lost-after:1"], format!("{SEND}; :"), 0, ""),
        (&["--expect", "0", "--fault", "lost-before:1"], format!("{SEND}; :"), 0, ""),
        (&["--fail-on-duplicates", "--fault", "lost-after:1"], twice, 2, "came twice"),
    ] {
        let mut all = vec!["--headless"];
        all.extend(options);
        let output = exec(&all, &script);
        let complaints = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?} {script}\n{}", shown(&output));
        assert!(complaints.contains(complaint), "{complaints}");
    }
}

#[test]
fn out_of_time_is_124_with_and_without_a_command() {
    let output = program().args(["--time-limit", "1", "--headless"]).output().unwrap();
    assert_eq!(output.status.code(), Some(124));
    let output = exec(&["--time-limit", "1"], "exec sleep 60");
    assert_eq!(output.status.code(), Some(124), "{}", shown(&output));
    assert_eq!(exec(&["--time-limit", "60"], "exit 0").status.code(), Some(0));
}

#[test]
fn the_sandbox_takes_a_user_or_its_own_and_leaves_ports_alone() {
    let running = Running::start(&["--sandbox", "--headless"]);
    assert_eq!(running.variable("INSTAGRAM_API_URL"), format!("http://{}/v25.0", running.address()));
    client(&running).send_text(USER, "hi").unwrap();
    let other = Running::start(&["--sandbox", "8100000000000001"]);
    client(&other).send_text("8100000000000001", "hi").unwrap();
    assert!(client(&other).send_text(USER, "hi").is_err());
    let port = running.address().port().to_string();
    let busy = program().args(["--sandbox", &port]).output().unwrap();
    assert_eq!(busy.status.code(), Some(1), "{}", shown(&busy));
    stop(running, "TERM");
    stop(other, "TERM");
}

#[test]
fn options_reach_the_simulator() {
    let options = ["--strict", "--clock", "-2h", "--keep", "2", "--account", "17841450000000077", "--token", "secret"];
    let running = Running::start(&options);
    let client = client(&running);
    assert_eq!(client.send_text(USER, "hi").unwrap_err().kind() as i32, 24);
    let address = running.address();
    let overview = || api(address, "GET", "", None).json();
    assert_eq!(overview()["clock"]["offset_seconds"], -7200);
    api(address, "POST", &format!("/users/{USER}/events"), Some(&json!({"text": "hi"})));
    for number in 0..4 {
        client.send_text(USER, &number.to_string()).unwrap();
    }
    assert_eq!(
        (&overview()["counts"]["forgotten"], &overview()["variables"]["INSTAGRAM_ACCOUNT_ID"]),
        (&json!(3), &json!("17841450000000077"))
    );
    stop(running, "TERM");
}

#[test]
fn faults_from_the_command_line_are_played_as_often_as_they_say() {
    let running = Running::start(&["--fault", "rate-limited:1", "--fault", "window-closed@81", "--limit", "100000"]);
    let client = client(&running);
    let status = |user: &str| client.send_text(user, "x").err().map_or(0, |error| error.kind() as i32);
    assert_eq!([status(USER), status(USER), status("81"), status("81"), status(USER)], [22, 0, 23, 23, 0]);
    stop(running, "TERM");
}

#[test]
fn tls_writes_its_authority_and_serves_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder");
    let running = Running::start(&["--tls", path.to_str().unwrap()]);
    let base = running.variable("HOOKMYAPP_SIMULATOR_TLS_URL");
    let ca = running.variable("HOOKMYAPP_SIMULATOR_CA_FILE");
    let config =
        Config::new(base, running.variable("INSTAGRAM_ACCOUNT_ID"), running.variable("INSTAGRAM_ACCESS_TOKEN"));
    let client = Client::new(&config.proxy(None).ca_file(ca)).unwrap();
    client.send_text(USER, "hi").unwrap();
    stop(running, "TERM");
    let output = program().args(["--tls", "/proc/no/such"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
}

#[test]
fn webhooks_from_the_command_line_are_signed_with_the_given_secret() {
    let receiver = Receiver::answering(Box::new(|got, _| {
        Some((200, if got.method == "GET" { "tok".to_owned() } else { String::new() }))
    }));
    let url = receiver.url();
    let running = Running::start(&["--webhook", &url, "--webhook-secret", "sec", "--verify-token", "tok", "--echo"]);
    client(&running).send_text(USER, "hi").unwrap();
    wait_until("the echo arrives", || !receiver.posts().is_empty());
    let got = &receiver.posts()[0];
    let signature = got.header("X-HookMyApp-Signature-256");
    hookmyapp::webhook::verify("sec", signature.as_deref(), &got.body).unwrap();
    wait_until("the verification is asked for", || receiver.got().iter().any(|got| got.method == "GET"));
    stop(running, "TERM");
}

#[test]
fn the_event_command_posts_one_signed_delivery() {
    let receiver = Receiver::answering(Box::new(|got, _| {
        let status = if String::from_utf8_lossy(&got.body).contains("refuse") { 401 } else { 200 };
        Some((status, "said".to_owned()))
    }));
    let url = receiver.url();
    let event = |arguments: &[&str]| {
        program().args(["event", "--to", &url]).args(arguments).env("WEBHOOK_HMAC_SECRET", "sec").output().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body.json");
    fs::write(&file, b"{\"object\":\"instagram\",\"entry\":[]} ").unwrap();
    for arguments in [
        &["--text", "hi"][..],
        &["--image", "https://example.com/a.png"],
        &["--quick-reply", "Yes", "y"],
        &["--postback", "Go", "g"],
        &["--react", "m", "🎉"],
        &["--unreact", "m"],
        &["--read", "m"],
        &["--comment", "price?"],
        &["--edit", "m", "new"],
        &["--delete", "m"],
        &["--referral", "flyer"],
        &["--body", file.to_str().unwrap()],
        &["--text", "other", "--user", "81", "--account", "17841450000000077", "--secret", "sec"],
    ] {
        let output = event(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", shown(&output));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "200 said\n");
        let got = receiver.posts().pop().unwrap();
        let signature = got.header("X-HookMyApp-Signature-256");
        hookmyapp::webhook::verify("sec", signature.as_deref(), &got.body).unwrap();
    }
    assert_eq!(receiver.posts()[11].body, fs::read(&file).unwrap());
    let last = hookmyapp::webhook::parse(&receiver.posts()[12].body).unwrap();
    let last = last.get(0).unwrap();
    assert_eq!((last.user_id(), last.account_id()), (Some("81"), Some("17841450000000077")));
    let refused = event(&["--text", "refuse"]);
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(1), &b"401 said\n"[..]));
    let foreign =
        program().args(["event", "--to", "http://192.0.2.1/", "--secret", "s", "--text", "x"]).output().unwrap();
    assert_eq!(foreign.status.code(), Some(1));
}

#[test]
fn headless_answers_the_api_and_prints_no_requests() {
    let mut child = program().args(["--headless", "--time-limit", "30"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("curl") {
        out.read_line(&mut text).unwrap();
    }
    let address = text.split("INSTAGRAM_GRAPH_API_URL=http://").nth(1).unwrap().split('/').next().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    assert_eq!(Line::to(address).ask(post(support::MESSAGES, TEXT)).status, 200);
    let headers = format!("Host: {address}\r\n");
    assert_eq!(Line::to(address).ask(request("GET /", &headers, "")).status, 404);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("accepted") && !rest.contains("Page:"), "{rest}");
}
