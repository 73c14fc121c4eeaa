//! The program: command line, ready line, signals, the command to run, exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs};

use hookmyapp_simulator::{
    Answer, Delivery, PlannedFault, Received, SANDBOX_USER, Settings, Simulator, hide_token, shell_quoted, table_text,
};
use lexopt::prelude::*;
use serde_json::{Value, json};

const USAGE: &str = "\
HookMyApp's Instagram gateway on this machine. Nothing leaves the machine.

usage: hookmyapp-simulator [OPTIONS] [PORT] [--exec COMMAND ARGS...]
       hookmyapp-simulator event --to URL [--secret S] EVENT [--user ID] [--account ID]

  --port N             listen on this port; 0 or none takes a free one
  --headless           no page and no events: gateway and JSON API alone
  --print-env          standard output has KEY=value lines, one empty line, and nothing else
  --print-exports      the same as export KEY='value' lines, for a shell
  --env-file PATH      write the lines into PATH once connections are accepted; it goes away at the end
  --exec COMMAND ...   (last) run COMMAND with these variables, end when it ends, with its exit code
  --sandbox [USER]     be the sandbox: only USER (8123456789012345) may be written to
  --strict             only users who wrote first may be written to
  --webhook URL        where events of users go, signed; this machine only
  --webhook-secret S   the secret that signs them
  --verify-token T     what a receiver answers to the verification
  --echo               accepted messages come back as echo events
  --fault NAME[:COUNT][@USER]   play a fault; may be repeated; without COUNT for ever
  --chaos PERCENT      a random fault for this part of the sends
  --seed N             the same seed gives the same random faults
  --limit N            sends a second before Meta's error 613
  --delay MS           how long every response takes
  --clock +24h         how far the simulated clock is ahead (s, m, h, d; - too)
  --tls DIR            a second port with TLS; DIR/ca.pem is its authority
  --keep N             requests that are kept (10000)
  --keep-mib M         mebibytes of requests that are kept (64)
  --expect N           exit with 2 unless users got exactly N messages
  --fail-on-duplicates exit with 2 if a user got the same message twice
  --time-limit S       exit with 124 after S seconds
  --account ID         the account's id
  --token T            the access token
  --quiet              do not print requests
  --help               print this

EVENT, exactly one of:
  --text TEXT              --image URL             --comment TEXT
  --quick-reply TITLE PAYLOAD                      --postback TITLE PAYLOAD
  --react MID EMOJI        --unreact MID           --read MID
  --edit MID TEXT          --delete MID            --referral REF
  --body FILE              these bytes
The secret is read from WEBHOOK_HMAC_SECRET unless --secret names it. The exit code is 1 unless the receiver answers 200.

exit code: 0 stopped by a signal or COMMAND ended with 0, and all that was expected holds; 1 cannot start; 2 something
expected does not hold; 64 wrong usage; 124 out of time; else COMMAND's own, or 128 + n if signal n ended it

faults, by --fault, the page, the API, the first word #NAME of a text, or the recipient 900000000000 and the ID:
";

const CANNOT_START: u8 = 1;
const NOT_AS_EXPECTED: u8 = 2;
const WRONG_USAGE: u8 = 64;
const OUT_OF_TIME: u8 = 124;
/// How often the command is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);
/// How long a command has to end after a signal.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq)]
enum Print {
    /// For a person: variables, a curl line, the page.
    Ready,
    Env,
    Exports,
}

struct Options {
    settings: Settings,
    print: Print,
    env_file: Option<PathBuf>,
    exec: Vec<OsString>,
    tls_folder: Option<PathBuf>,
    expect: Option<u64>,
    fail_on_duplicates: bool,
    time_limit: Option<Duration>,
    quiet: bool,
}

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|first| first == "event") {
        return event();
    }
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print(&format!("{USAGE}{}", table_text()));
            return ExitCode::SUCCESS;
        }
        Err(reason) => return wrong_usage(&reason.to_string()),
    };
    // Before the first thread, so that no signal is lost.
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return cannot(&format!("cannot watch for signals: {error}")),
    };
    match run(options, &signals) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => cannot(&reason),
    }
}

fn wrong_usage(reason: &str) -> ExitCode {
    complain(&format!("{reason}\nhookmyapp-simulator --help lists the options.\n"));
    ExitCode::from(WRONG_USAGE)
}

fn cannot(reason: &str) -> ExitCode {
    complain(&format!("{reason}\n"));
    ExitCode::from(CANNOT_START)
}

/// Reads the command line; `None` if only help is wanted.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut settings = Settings::default();
    let (mut port, mut print, mut env_file, mut exec) = (None, Print::Ready, None, Vec::new());
    let (mut tls_folder, mut expect, mut fail_on_duplicates, mut time_limit) = (None, None, false, None);
    let mut quiet = false;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(text) if port.is_none() => port = Some(number("PORT", text, 0, 65535)? as u16),
            Long("port") if port.is_none() => port = Some(number("--port", parser.value()?, 0, 65535)? as u16),
            Long("port") => return Err("--port is given twice".into()),
            Long("headless") => settings.page = false,
            Long(name @ ("print-env" | "print-exports")) => {
                if print != Print::Ready {
                    return Err("--print-env and --print-exports are given together or twice".into());
                }
                print = if name == "print-env" { Print::Env } else { Print::Exports };
            }
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exec") => {
                exec = parser.raw_args()?.collect();
                if exec.is_empty() {
                    return Err("--exec takes a command".into());
                }
            }
            Long("sandbox") => {
                let user = parser.optional_value().or_else(|| next_if_id(&mut parser));
                let user = user.map_or(Ok(SANDBOX_USER.to_owned()), |user| text("--sandbox", user))?;
                if user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err("--sandbox takes an id of digits".into());
                }
                settings.sandbox_user = Some(user);
            }
            Long("strict") => settings.strict = true,
            Long("webhook") => settings.webhook = Some(filled("--webhook", parser.value()?)?),
            Long("webhook-secret") => settings.webhook_secret = filled("--webhook-secret", parser.value()?)?,
            Long("verify-token") => settings.verify_token = filled("--verify-token", parser.value()?)?,
            Long("echo") => settings.echo = true,
            Long("fault") => {
                let planned = text("--fault", parser.value()?)?.parse::<PlannedFault>();
                settings.faults.push(planned.map_err(|reason| format!("--fault: {reason}"))?);
            }
            Long("chaos") => settings.chaos_percent = number("--chaos", parser.value()?, 0, 100)? as u8,
            Long("seed") => settings.seed = number("--seed", parser.value()?, 0, u64::MAX)?,
            Long("limit") => {
                settings.limit = Some(number("--limit", parser.value()?, 1, u64::from(u32::MAX))? as u32);
            }
            Long("delay") => {
                settings.delay = Duration::from_millis(number("--delay", parser.value()?, 0, 3_600_000)?);
            }
            Long("clock") => settings.clock_offset_ms = clock(&text("--clock", parser.value()?)?)?,
            Long("tls") => tls_folder = Some(PathBuf::from(parser.value()?)),
            Long("keep") => settings.keep = number("--keep", parser.value()?, 1, 100_000_000)? as usize,
            Long("keep-mib") => {
                settings.keep_bytes = number("--keep-mib", parser.value()?, 1, 1 << 20)? as usize * 1024 * 1024;
            }
            Long("expect") => expect = Some(number("--expect", parser.value()?, 0, u64::MAX)?),
            Long("fail-on-duplicates") => fail_on_duplicates = true,
            Long("time-limit") => {
                time_limit = Some(Duration::from_secs(number("--time-limit", parser.value()?, 1, 1 << 32)?));
            }
            Long("account") => settings.account_id = filled("--account", parser.value()?)?,
            Long("token") => settings.token = filled("--token", parser.value()?)?,
            Long("quiet") => quiet = true,
            other => return Err(other.unexpected()),
        }
    }
    settings.tls = tls_folder.is_some();
    settings.address = (Ipv4Addr::LOCALHOST, port.unwrap_or(0)).into();
    quiet |= !settings.page || print != Print::Ready;
    let options =
        Options { settings, print, env_file, exec, tls_folder, expect, fail_on_duplicates, time_limit, quiet };
    Ok(Some(options))
}

/// The value of an option that may go without: only an id of a user's length is taken for it, not a port.
fn next_if_id(parser: &mut lexopt::Parser) -> Option<OsString> {
    const LONGEST_PORT: usize = 5;
    let is_id = |text: &OsString| {
        let bytes = text.as_encoded_bytes();
        bytes.len() > LONGEST_PORT && bytes.iter().all(u8::is_ascii_digit)
    };
    parser.try_raw_args()?.next_if(|text| is_id(&text.to_owned()))
}

fn text(option: &str, value: OsString) -> Result<String, lexopt::Error> {
    value.into_string().map_err(|_| format!("{option} takes UTF-8").into())
}

fn filled(option: &str, value: OsString) -> Result<String, lexopt::Error> {
    match text(option, value)? {
        value if value.is_empty() || value.chars().any(char::is_control) => {
            Err(format!("{option} takes a text of one line that is not empty").into())
        }
        value => Ok(value),
    }
}

fn number(option: &str, value: OsString, least: u64, most: u64) -> Result<u64, lexopt::Error> {
    let number = value.to_str().and_then(|value| value.parse().ok());
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{option} takes a number from {least} to {most}, not {value:?}").into()),
    }
}

/// Reads `+24h`, `-30m`, `90s` or `7d`; returns milliseconds.
fn clock(text: &str) -> Result<i64, lexopt::Error> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let units = [("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let parse = |(unit, factor): (&str, i64)| {
        let count: u32 = rest.strip_suffix(unit)?.parse().ok()?;
        Some(i64::from(count) * factor * sign).filter(|offset| offset.abs() <= 36_600 * 86_400_000)
    };
    let parsed = units.into_iter().find_map(parse);
    parsed.ok_or_else(|| format!("--clock takes a time such as +24h, at most 100 years, not {text:?}").into())
}

/// Standard output or, where that is for variables or a command, standard error.
#[derive(Clone, Copy)]
struct Messages {
    to_stderr: bool,
}

impl Messages {
    fn print(self, text: &str) {
        if self.to_stderr { complain(text) } else { print(text) }
    }
}

fn run(mut options: Options, signals: &Receiver<i32>) -> Result<u8, String> {
    let messages = Messages { to_stderr: options.print != Print::Ready || !options.exec.is_empty() };
    if !options.quiet {
        let on_request = move |received: &Received| messages.print(&described(received));
        options.settings.on_request = Some(Box::new(on_request));
    }
    let (has_page, webhook) = (options.settings.page, options.settings.webhook.clone());
    let address = options.settings.address;
    let started = Instant::now();
    let simulator = match Simulator::start_with(options.settings) {
        Ok(simulator) => simulator,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            complain(&format!("{error}\n"));
            return Ok(WRONG_USAGE);
        }
        Err(error) => return Err(format!("cannot listen on {address}: {error}")),
    };
    let variables = variables(&simulator, options.tls_folder.as_deref())?;
    let lines = |exports: bool| -> String {
        let line = |(name, value): &(&str, String)| match exports {
            true => format!("export {name}={}\n", shell_quoted(value)),
            false => format!("{name}={value}\n"),
        };
        variables.iter().map(line).collect()
    };
    let _env_file = options.env_file.map(|path| EnvFile::write(path, &lines(false))).transpose()?;
    match options.print {
        Print::Env => print(&format!("{}\n", lines(false))),
        Print::Exports => print(&format!("{}\n", lines(true))),
        Print::Ready => messages.print(&ready(&simulator, &lines(false), has_page)),
    }
    if webhook.is_some() && options.exec.is_empty() {
        match simulator.verify_webhook() {
            Ok(()) => messages.print("The webhook knows VERIFY_TOKEN.\n\n"),
            Err(reason) => messages.print(&format!("The webhook is not verified: {reason}\n\n")),
        }
    }
    let deadline = options.time_limit.map(|limit| started + limit);
    let code = match options.exec.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            // Another base or account of the surroundings would win over ours.
            let foreign = ["INSTAGRAM_API_URL", "INSTAGRAM_GRAPH_API_URL", "INSTAGRAM_USER_ID"];
            foreign.iter().for_each(|name| {
                command.env_remove(name);
            });
            command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
            let child =
                command.spawn().map_err(|error| format!("cannot start {}: {error}", Path::new(program).display()))?;
            watch(child, signals, deadline)
        }
        None => wait(signals, deadline),
    };
    let is_as_expected = check(&simulator, options.expect, options.fail_on_duplicates);
    Ok(if code == 0 && !is_as_expected { NOT_AS_EXPECTED } else { code })
}

/// The variables, and what else a test needs to reach this simulator.
fn variables(simulator: &Simulator, tls_folder: Option<&Path>) -> Result<Vec<(&'static str, String)>, String> {
    let mut variables = simulator.variables();
    variables.push(("HOOKMYAPP_SIMULATOR_URL", simulator.url()));
    if let (Some(folder), Some(url), Some(pem)) = (tls_folder, simulator.tls_base_url(), simulator.ca_pem()) {
        let path = folder.join("ca.pem");
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, pem));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        variables.push(("HOOKMYAPP_SIMULATOR_TLS_URL", url));
        variables.push(("HOOKMYAPP_SIMULATOR_CA_FILE", path.display().to_string()));
    }
    Ok(variables)
}

fn ready(simulator: &Simulator, lines: &str, has_page: bool) -> String {
    let page = if has_page { format!("Page: {}/\n\n", simulator.url()) } else { String::new() };
    format!("Listening. For a client's .env:\n\n{lines}\nOr try it at once:\n\n{}\n\n{page}", simulator.curl_line())
}

/// A file with the variables, which goes away with this value.
struct EnvFile(PathBuf);

impl EnvFile {
    fn write(path: PathBuf, lines: &str) -> Result<EnvFile, String> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(name);
        let written = fs::write(&temporary, lines).and_then(|()| fs::rename(&temporary, &path));
        match written {
            Ok(()) => Ok(EnvFile(path)),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(format!("cannot write {}: {error}", path.display()))
            }
        }
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Waits for a signal or the end of the time.
fn wait(signals: &Receiver<i32>, deadline: Option<Instant>) -> u8 {
    let Some(deadline) = deadline else {
        // The sender lives as long as the program where there are signals; elsewhere the system ends it.
        return match signals.recv() {
            Ok(_) => 0,
            Err(_) => loop {
                std::thread::park();
            },
        };
    };
    match signals.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(_) => 0,
        Err(RecvTimeoutError::Timeout) => OUT_OF_TIME,
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
            OUT_OF_TIME
        }
    }
}

/// Waits for a command, hands signals on to it, and ends it when the time is over.
fn watch(mut child: Child, signals: &Receiver<i32>, deadline: Option<Instant>) -> u8 {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return exit_code(status),
            Ok(None) => {}
            Err(error) => {
                complain(&format!("cannot wait for the command: {error}\n"));
                return CANNOT_START;
            }
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            complain("out of time\n");
            end(&mut child, 15);
            return OUT_OF_TIME;
        }
        match signals.recv_timeout(POLL) {
            Ok(signal) => return end(&mut child, signal).map_or(CANNOT_START, exit_code),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
    }
}

/// Sends a signal to the command, and kills it if it does not end soon.
fn end(child: &mut Child, signal: i32) -> Option<ExitStatus> {
    if cfg!(unix) {
        let _ = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(POLL);
        }
    }
    let _ = child.kill();
    child.wait().ok()
}

fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128_u8.saturating_add(signal.try_into().unwrap_or(127));
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(CANNOT_START)
}

/// Says what does not hold; returns whether all does.
fn check(simulator: &Simulator, expect: Option<u64>, fail_on_duplicates: bool) -> bool {
    let counts = simulator.counts();
    let is_number_right = expect.is_none_or(|expected| expected == counts.messages);
    if let (false, Some(expected)) = (is_number_right, expect) {
        complain(&format!("users got {} messages, not {expected}\n", counts.messages));
    }
    let has_duplicates = fail_on_duplicates && counts.duplicates > 0;
    if has_duplicates {
        let twice = simulator.received().into_iter().find(|received| received.came_twice);
        let what = twice.map_or(String::new(), |received| {
            let body = one_line(&received.body);
            format!(": user {} got {body}", received.user.as_deref().unwrap_or_default())
        });
        complain(&format!("{} messages came twice{what}\n", counts.duplicates));
    }
    is_number_right && !has_duplicates
}

#[cfg(unix)]
fn signals() -> io::Result<Receiver<i32>> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(not(unix))]
fn signals() -> io::Result<Receiver<i32>> {
    Ok(mpsc::channel().1)
}

/// One short block: what came, what it was answered, and what became of it.
fn described(received: &Received) -> String {
    // The query is not shown: somebody may have put a token there.
    let path = received.path.split('?').next().unwrap_or_default();
    let request = format!("{} {path}", received.method);
    let status = received.answer.as_ref().map_or("none".to_owned(), |answer| answer.status.to_string());
    let fault = received.fault.map_or(String::new(), |name| {
        let got_it = if received.got_it { "the user got it" } else { "the user did not get it" };
        let statuses: Vec<String> = received.must_conclude.iter().map(|it| it.status.to_string()).collect();
        format!("   fault  {name}: {got_it}, a client must conclude {}\n", statuses.join(" or "))
    });
    if !received.is_accepted() {
        let reason = received.answer.as_ref().map_or("the connection ends without a response".to_owned(), reason);
        return format!("refused   {request}\n{fault}   {status}    {reason}\n\n");
    }
    let token = received.bearer_token().unwrap_or_default();
    let token = hide_token(token, token);
    let body = one_line(&received.body);
    let answer = received.answer.as_ref().map_or(String::new(), |answer| one_line(&answer.body));
    format!("accepted  {request}\n   token  {token}\n   body   {body}\n{fault}   {status}    {answer}\n\n")
}

/// The text of a refusal, be it the gateway's or Meta's.
fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = body.pointer("/error/message").or(body.pointer("/message"));
    message.and_then(Value::as_str).map_or_else(|| one_line(&answer.body), str::to_owned)
}

/// In JSON, line breaks are between the tokens only.
fn one_line(json: &[u8]) -> String {
    const MOST: usize = 4096;
    let text = String::from_utf8_lossy(&json[..json.len().min(MOST)]);
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>().trim_end().to_owned()
}

/// `hookmyapp-simulator event ...`
fn event() -> ExitCode {
    match event_options() {
        Ok(Some(event)) => event.post(),
        Ok(None) => {
            print(&format!("{USAGE}{}", table_text()));
            ExitCode::SUCCESS
        }
        Err(reason) => wrong_usage(&reason.to_string()),
    }
}

struct Event {
    url: String,
    secret: String,
    delivery: Delivery,
}

fn event_options() -> Result<Option<Event>, lexopt::Error> {
    let (mut url, mut secret, mut user, mut account) = (None, None, SANDBOX_USER.to_owned(), None);
    let mut events: Vec<Value> = Vec::new();
    let mut file = None;
    let mut parser = lexopt::Parser::from_args(env::args_os().skip(2));
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Short('h') | Long("help") => return Ok(None),
            Long(name) => name.to_owned(),
            other => return Err(other.unexpected()),
        };
        let mut value = || text(&format!("--{name}"), parser.value()?);
        match name.as_str() {
            "to" => url = Some(value()?),
            "secret" => secret = Some(value()?),
            "user" => user = value()?,
            "account" => account = Some(value()?),
            "text" | "comment" | "unreact" | "read" | "delete" | "referral" => events.push(json!({&name: value()?})),
            "image" => events.push(json!({"image_url": value()?})),
            "quick-reply" => events.push(json!({"quick_reply": {"title": value()?, "payload": value()?}})),
            "postback" => events.push(json!({"postback": {"title": value()?, "payload": value()?}})),
            "react" => events.push(json!({"react": {"mid": value()?, "emoji": value()?}})),
            "edit" => events.push(json!({"edit": {"mid": value()?, "text": value()?}})),
            "body" => file = Some(PathBuf::from(parser.value()?)),
            _ => return Err(format!("event has no option --{name}").into()),
        }
    }
    let account = account.unwrap_or_else(|| Settings::default().account_id);
    let delivery = match (events.as_slice(), file) {
        ([event], None) => Delivery::of_event(&account, &user, event)?,
        ([], Some(path)) => {
            let bytes = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Delivery::of_bytes(bytes)
        }
        _ => return Err("event takes exactly one of --text, --image, --comment, ..., --body".into()),
    };
    let url = url.ok_or("event needs --to URL")?;
    let secret = secret.or_else(|| env::var("WEBHOOK_HMAC_SECRET").ok()).filter(|secret| !secret.is_empty());
    let secret = secret.ok_or("event needs --secret S, or WEBHOOK_HMAC_SECRET")?;
    Ok(Some(Event { url, secret, delivery }))
}

impl Event {
    fn post(&self) -> ExitCode {
        match self.delivery.post(&self.url, &self.secret) {
            Ok((status, answer)) => {
                print(&format!("{status} {answer}\n"));
                if status == 200 { ExitCode::SUCCESS } else { ExitCode::from(CANNOT_START) }
            }
            Err(reason) => cannot(&reason),
        }
    }
}

/// Continues when the output is closed.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
