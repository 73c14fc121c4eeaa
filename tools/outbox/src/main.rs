//! From arguments to the exit code.

mod dispatch;
mod input;
mod options;
mod pace;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
mod report;
mod sqlite;
mod stops;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hookmyapp::{Client, Config, webhook};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use dispatch::{End, Gateway, Plan, SAY_AGAIN, dispatch};
use input::{Entry, ReadError, RowError};
use options::{Command, Options, USAGE};
use pace::Pace;
use queue::{
    Added, Engine, EngineError, EngineErrorKind, Finished, Ids, Millis, NEVER, NewMessage, State, Status, now,
};
use report::{FileOfRun, Report, Results, complain, counted, duration, result_line, spaced};
use sqlite::Sqlite;
use stops::Stops;

const STOPPED: u8 = 1;
const SOME_REFUSED: u8 = 2;
const SOME_UNKNOWN: u8 = 3;
const WRONG_USAGE: u8 = 64;
const WRONG_INPUT: u8 = 65;
const NO_INPUT: u8 = 66;
const NO_QUEUE: u8 = 73;
const WRONG_SETTINGS: u8 = 78;
/// How long `work` waits until it opens a queue again that it cannot reach: at first, and at most.
const RETRY_OPEN: Duration = Duration::from_millis(100);
const RETRY_OPEN_AT_MOST: Duration = Duration::from_secs(2);
/// A signal so soon after the first is the same request: `timeout` and shells signal a program and then its process group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// How many errors are printed.
const ERRORS_SHOWN: usize = 50;
/// How far Meta's clock and this machine's may differ when an echo is compared with a send.
const CLOCK_TOLERANCE_MS: Millis = 60_000;

/// Why the program ends with another code than 0.
struct Failure {
    code: u8,
    message: String,
    /// Whether the same may succeed later.
    is_passing: bool,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), is_passing: false }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let code = if error.kind == EngineErrorKind::Settings { WRONG_SETTINGS } else { NO_QUEUE };
        Failure { code, message: error.message, is_passing: error.kind == EngineErrorKind::Busy }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(NO_QUEUE, format!("cannot write the output: {error}"))
    }
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            complain(&format!("{error}\nhookmyapp-outbox --help describes commands and options"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match run(&options) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(options: &Options) -> Result<u8, Failure> {
    match &options.command {
        Command::Help => print(USAGE),
        Command::Version => print(&format!("hookmyapp-outbox {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Check(file) => check(file, options),
        Command::Init => init(options),
        Command::Add(file) => add(file, options),
        Command::Send(file) => send(file, options),
        Command::Work => work(options),
        Command::Status => status(options),
        Command::Results => list(options, None, &mut |finished| result_line(finished)),
        Command::UnknownList => list(options, Some(State::Unknown), &mut |finished| {
            let line = result_line(finished);
            let body = serde_json::Value::from(finished.body.as_str());
            format!("{},\"body\":{body}}}", line.trim_end_matches('}'))
        }),
        Command::UnknownAccept(ids) => {
            each(options, ids, "unknown", |engine, id| Ok(engine.accept(id, None)?.then(|| "accepted".to_owned())))
        }
        Command::UnknownResend(ids) => queue_again(options, ids, "unknown", &[State::Unknown]),
        Command::Retry(ids) => {
            queue_again(options, ids, "refused, failed or expired", &[State::Refused, State::Failed, State::Expired])
        }
        Command::UnknownEcho(file) => unknown_echo(file, options),
        Command::Prune => {
            let age = options.older_than.unwrap_or(Duration::MAX);
            let removed = existing_queue(options)?.prune(age)?;
            print(&format!("{} removed\n", counted(removed, "message")))
        }
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())?;
    Ok(0)
}

// ------------------------------------------------------------------------------------------------ queue and settings

/// Where the queue is.
fn place(options: &Options) -> String {
    if let Some(queue) = &options.queue {
        return queue.clone();
    }
    match &options.command {
        Command::Send(file) if file != Path::new("-") => format!("{}.outbox", file.display()),
        _ => std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| cfg!(feature = "postgres") && is_postgres(url))
            .unwrap_or_else(|| "outbox.db".to_owned()),
    }
}

fn is_postgres(place: &str) -> bool {
    place.starts_with("postgres://") || place.starts_with("postgresql://")
}

/// For messages and logs: a password belongs neither in a URL nor there.
fn without_password(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://").filter(|_| is_postgres(place)) else { return place.to_owned() };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => authority.to_owned(),
    };
    let query: Vec<&str> = query.split('&').filter(|word| !word.is_empty() && !word.starts_with("password=")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{authority}/{path}{mark}{}", query.join("&"))
}

/// ` --queue QUEUE` for another command about the queue of this one, where it needs that.
fn queue_option(options: &Options) -> String {
    let is_needed = options.queue.is_some() || matches!(options.command, Command::Send(_));
    if is_needed { format!(" --queue {}", quoted(&without_password(&place(options)))) } else { String::new() }
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|one| one.is_alphanumeric() || "_-./:@=,+%".contains(one));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn open_queue(options: &Options) -> Result<Box<dyn Engine>, Failure> {
    let place = place(options);
    if is_postgres(&place) { open_postgres(&place, options) } else { Ok(Box::new(Sqlite::open(Path::new(&place))?)) }
}

#[cfg(feature = "postgres")]
fn open_postgres(url: &str, options: &Options) -> Result<Box<dyn Engine>, Failure> {
    let account = match options.command {
        Command::Init | Command::Add(_) | Command::Send(_) => Some(account_of(&settings(options))?),
        _ => None,
    };
    Ok(Box::new(postgres::Postgres::open(url, account)?))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_url: &str, _options: &Options) -> Result<Box<dyn Engine>, Failure> {
    Err(Failure::new(WRONG_SETTINGS, "this build has no PostgreSQL: build it with --features postgres"))
}

/// For commands that look into a queue: they do not create one.
fn existing_queue(options: &Options) -> Result<Box<dyn Engine>, Failure> {
    let place = place(options);
    if !is_postgres(&place) && !Path::new(&place).exists() {
        return Err(Failure::new(
            NO_QUEUE,
            format!("{place}: there is no such queue: name it with --queue FILE, or create it with `init`"),
        ));
    }
    open_queue(options)
}

fn settings(options: &Options) -> Config {
    let mut config = options.env_file.as_ref().map_or_else(Config::from_env, Config::from_env_file);
    for warning in config.warnings() {
        complain(&format!("warning: {warning}"));
    }
    if let Some(file) = &options.ca_file {
        config = config.ca_file(file);
    }
    match options.timeout {
        Some(timeout) => config.timeout(timeout),
        None => config,
    }
}

/// The client, and the account that it sends for.
fn client(options: &Options) -> Result<(Client, String), Failure> {
    let config = settings(options);
    let client = Client::new(&config).map_err(wrong_settings)?;
    Ok((client, account_of(&config)?))
}

fn wrong_settings(error: hookmyapp::Error) -> Failure {
    Failure::new(WRONG_SETTINGS, format!("the settings (environment variables, or --env-file FILE): {error}"))
}

/// The part of `.../ACCOUNT/messages` before the last.
fn account_of(config: &Config) -> Result<String, Failure> {
    let account = config.url().and_then(|url| url.rsplit('/').nth(1)).map(str::to_owned);
    account.ok_or_else(|| match Client::new(config) {
        Err(error) => wrong_settings(error),
        Ok(_) => Failure::new(WRONG_SETTINGS, "the settings name no account"),
    })
}

// ------------------------------------------------------------------------------------------------ input

/// What an import found.
#[derive(Default)]
struct Imported {
    rows: u64,
    new: u64,
    errors: u64,
    first_body: Option<String>,
    /// The messages of its rows, added now or before.
    ids: Ids,
}

enum Unread {
    Read(ReadError),
    Engine(EngineError),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Unread {
        Unread::Read(error)
    }
}

/// Reads the file into the queue, all rows or none. Prints the errors.
fn import(engine: &mut dyn Engine, file: &Path, options: &Options, is_kept: bool) -> Result<Imported, Failure> {
    let unreadable = |error: io::Error| Failure::new(NO_INPUT, format!("cannot read {}: {error}", file.display()));
    let mut input = Some(input::open(file).map_err(unreadable)?);
    let expires_at = expires_at(options);
    let mut imported = Imported::default();
    let mut failed_read = None;
    engine.import(&file.display().to_string(), &mut |queue| {
        let Some(input) = input.take() else { return Ok(false) };
        let result = input::read(input, file, &options.reading, &mut |row: Result<Entry, RowError>| {
            imported.rows += 1;
            let Entry { row, line, key, recipient, body } = match row {
                Ok(entry) => entry,
                Err(error) => {
                    tell(&error, &mut imported);
                    return Ok(());
                }
            };
            imported.first_body.get_or_insert_with(|| body.clone());
            let message = NewMessage { key: &key, recipient: &recipient, body: &body, expires_at, row, line };
            queue.add(&message, &mut |message, added| learn(message, added, &mut imported)).map_err(Unread::Engine)
        });
        let result = match result {
            Ok(()) => Ok(()),
            // The transaction is lost: a further statement would hide the reason.
            Err(Unread::Engine(error)) => return Err(error),
            Err(Unread::Read(error)) => Err(error),
        };
        queue.finish(&mut |message, added| learn(message, added, &mut imported))?;
        match result {
            Ok(()) => {}
            Err(ReadError::Hopeless(error)) => tell(&error, &mut imported),
            Err(ReadError::Io(error)) => {
                failed_read = Some(error);
                return Ok(false);
            }
        }
        Ok(is_kept && imported.errors == 0)
    })?;
    if let Some(error) = failed_read {
        return Err(unreadable(error));
    }
    if imported.errors > 0 {
        let name = if file == Path::new("-") { "standard input".into() } else { file.to_string_lossy() };
        let message = format!("{} in {name}; nothing was queued or sent", counted(imported.errors, "error"));
        return Err(Failure::new(WRONG_INPUT, message));
    }
    Ok(imported)
}

/// When messages that are queued now expire, if `--expires` says so.
fn expires_at(options: &Options) -> Option<Millis> {
    options.expires.map(|after| match after {
        None => NEVER,
        Some(time) => now().saturating_add(time.as_millis() as Millis),
    })
}

fn tell(error: &RowError, imported: &mut Imported) {
    imported.errors += 1;
    if imported.errors <= ERRORS_SHOWN as u64 {
        complain(&error.to_string());
    } else if imported.errors == ERRORS_SHOWN as u64 + 1 {
        complain("further errors are counted only");
    }
}

/// Takes notice of what adding a message found.
fn learn(message: &NewMessage<'_>, added: Added, imported: &mut Imported) {
    let NewMessage { key, row, line, .. } = message;
    let reason = match added {
        Added::New(id) => {
            imported.new += 1;
            return imported.ids.add(id);
        }
        Added::Already(id) => return imported.ids.add(id),
        Added::Differs => {
            format!("key {key} is in the queue with another text or recipient: a changed message needs a new key")
        }
        Added::Twice { line: first } if input::is_automatic(key) => {
            format!("lines {first} and {line} say the same to the same person: give both a `key` if both are intended")
        }
        Added::Twice { line: first } => format!("key {key} is in line {first}, too"),
    };
    tell(&RowError { line: *line, row: *row, reason }, imported);
}

// ------------------------------------------------------------------------------------------------ commands

fn check(file: &Path, options: &Options) -> Result<u8, Failure> {
    let imported = import(&mut Sqlite::temporary()?, file, options, false)?;
    complain(&format!("{}, all right. The first request body:", counted(imported.rows, "row")));
    print(&format!("{}\n", imported.first_body.unwrap_or_default()))
}

fn init(options: &Options) -> Result<u8, Failure> {
    let mut engine = open_queue(options)?;
    engine.create(options.has_rate.then(|| options.rate.unwrap_or(f64::INFINITY)))?;
    warn(engine.as_mut());
    complain(&format!("the queue {} is ready", without_password(&place(options))));
    Ok(0)
}

fn warn(engine: &mut dyn Engine) {
    if let Some(warning) = engine.warning() {
        complain(&format!("warning: {warning}"));
    }
}

fn add(file: &Path, options: &Options) -> Result<u8, Failure> {
    let mut engine = open_queue(options)?;
    let imported = import(engine.as_mut(), file, options, true)?;
    complain(&format!(
        "{}: {} queued, {} were in the queue already",
        counted(imported.rows, "row"),
        spaced(imported.new),
        spaced(imported.rows - imported.new)
    ));
    Ok(0)
}

fn send(file: &Path, options: &Options) -> Result<u8, Failure> {
    let (client, account) = client(options)?;
    let results = results(options)?;
    // An unreadable file must not leave an empty queue beside it.
    if file != Path::new("-") {
        input::open(file)
            .map_err(|error| Failure::new(NO_INPUT, format!("cannot read {}: {error}", file.display())))?;
    }
    let mut engine = become_worker(open_queue(options)?, &account)?;
    let mut imported = import(engine.as_mut(), file, options, true)?;
    let mut revived = 0;
    for (wanted, states) in [
        (options.resend_unknown, &[State::Unknown][..]),
        (options.retry_refused, &[State::Refused, State::Failed][..]),
        (options.retry_expired, &[State::Expired][..]),
    ] {
        for state in states.iter().filter(|_| wanted) {
            revived += revive(engine.as_mut(), options, &mut imported.ids, *state)?;
        }
    }
    if revived > 0 {
        complain(&format!("queued again: {}", counted(revived, "message")));
    }
    let ids = Rc::new(imported.ids);
    let before = imported.rows.saturating_sub(engine.counts_of(&ids)?.left());
    let file = FileOfRun { rows: imported.rows, before, ids: Rc::clone(&ids) };
    let mut report = Report::new(results, options.quiet, Some(file));
    let stops = Some(Stops::new(options.max_pause));
    let end = send_all(engine.as_mut(), client, options, false, stops, &mut report)?;
    let after = engine.counts_of(&ids)?;
    let (code, sentence) = verdict_of(&end, &after, &queue_option(options));
    if !options.quiet {
        complain(report.summary(&after, Some(after.left()), &sentence).trim_end());
    } else if code != 0 {
        complain(&sentence);
    }
    Ok(code)
}

/// Queues the messages of this file again that are in this state, and nobody else's.
fn revive(engine: &mut dyn Engine, options: &Options, ids: &mut Ids, state: State) -> Result<u64, EngineError> {
    let mut revived = 0;
    for id in engine.ids_of(ids, state)? {
        if let Some(id) = engine.resend(id, state, expires_at(options))? {
            ids.add(id);
            revived += 1;
        }
    }
    Ok(revived)
}

/// The exit code and one sentence on what to do next.
fn verdict_of(end: &End, status: &Status, queue: &str) -> (u8, String) {
    let bad = [State::Refused, State::Failed, State::Expired].iter().map(|state| status.count(*state)).sum::<u64>();
    let unknown = status.count(State::Unknown);
    match end {
        End::Stopped(reason) => (STOPPED, format!("stopped: {reason}; run it again to go on")),
        End::Asked => (STOPPED, "stopped by a signal; run it again to go on".to_owned()),
        End::Empty if unknown > 0 => {
            (SOME_UNKNOWN, format!("{unknown} may have been delivered: see `unknown list{queue}`"))
        }
        End::Empty if bad > 0 => {
            let sentence =
                format!("{bad} were not delivered: see `results{queue}`; `retry ID...{queue}` queues them again");
            (SOME_REFUSED, sentence)
        }
        End::Empty => (0, "all accepted".to_owned()),
    }
}

/// Recovers what the last worker left.
fn become_worker(mut engine: Box<dyn Engine>, account: &str) -> Result<Box<dyn Engine>, Failure> {
    warn(engine.as_mut());
    let left = engine.recover(account)?;
    if left > 0 {
        complain(&format!("{left} messages were being sent when the last worker ended: they are unknown now"));
    }
    Ok(engine)
}

/// A daemon waits for a database that is away, or held by another program: it must not end because it started first.
fn wait_to_become_worker(options: &Options, account: &str) -> Result<Box<dyn Engine>, Failure> {
    let mut wait = RETRY_OPEN;
    let mut said: Option<Instant> = None;
    loop {
        let failure = match existing_queue(options).and_then(|engine| become_worker(engine, account)) {
            Ok(engine) => return Ok(engine),
            Err(failure) if failure.is_passing => failure,
            Err(failure) => return Err(failure),
        };
        if said.is_none_or(|at| at.elapsed() > SAY_AGAIN) {
            complain(&format!("{}; trying again", failure.message.trim_end()));
            said = Some(Instant::now());
        }
        thread::sleep(wait);
        wait = (wait * 2).min(RETRY_OPEN_AT_MOST);
    }
}

fn work(options: &Options) -> Result<u8, Failure> {
    let (client, account) = client(options)?;
    let results = results(options)?;
    let mut engine = wait_to_become_worker(options, &account)?;
    if !options.quiet {
        let left = engine.left().map_or_else(|_| String::new(), |left| format!(", {} now", counted(left, "message")));
        complain(&format!("sending what is queued in {}{left}", without_password(&place(options))));
    }
    let mut report = Report::new(results, options.quiet, None);
    let end = send_all(engine.as_mut(), client, options, !options.until_empty, None, &mut report)?;
    let mut run = Status::default();
    for state in State::ALL {
        run.counts[state as usize] = report.count(state);
    }
    let (code, sentence) = verdict_of(&end, &run, &queue_option(options));
    if !options.quiet {
        // A database that is away now changes nothing.
        let left = engine.left().ok();
        complain(report.summary(&run, left, &sentence).trim_end());
    }
    Ok(if end == End::Asked && !options.until_empty { 0 } else { code })
}

fn results(options: &Options) -> Result<Results, Failure> {
    match &options.results {
        None => Ok(Results::None),
        Some(path) if path == Path::new("-") => Ok(Results::Stdout),
        Some(path) => match File::options().create(true).append(true).open(path) {
            Ok(file) => Ok(Results::File(BufWriter::new(file))),
            Err(error) => Err(Failure::new(NO_QUEUE, format!("cannot open {}: {error}", path.display()))),
        },
    }
}

fn send_all(
    engine: &mut dyn Engine,
    client: Client,
    options: &Options,
    stays: bool,
    stops: Option<Stops>,
    report: &mut Report,
) -> Result<End, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    watch_signals(&stop, client.clone())?;
    let media = Mutex::new(Pace::new(options.media_rate, Instant::now()));
    let gateway = Gateway { client, media, stop: &stop };
    // Workers on PostgreSQL share the rate that `init` has set.
    let is_shared = is_postgres(&place(options)) && !options.has_rate;
    let rate = if is_shared { None } else { options.rate };
    let plan = Plan { threads: options.threads, rate, stays, stops };
    let end = dispatch(engine, &gateway, plan, &stop, report)?;
    engine.leave()?;
    Ok(end)
}

/// The first signal stops, the second ends the sends under way, and the third does what it does to any program.
fn watch_signals(stop: &Arc<AtomicBool>, client: Client) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::new(NO_QUEUE, format!("cannot watch for signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(cannot)?;
    let stop = Arc::clone(stop);
    let watch = move || {
        let mut stopped: Option<Instant> = None;
        let mut is_aborted = false;
        for signal in signals.forever() {
            match stopped {
                None => {
                    stopped = Some(Instant::now());
                    stop.store(true, Ordering::Relaxed);
                    complain("stopping: no send begins, those under way end; a second signal aborts them");
                }
                Some(at) if at.elapsed() < SAME_SIGNAL => {}
                Some(_) if !is_aborted => {
                    is_aborted = true;
                    complain("aborting the sends under way");
                    client.shutdown();
                }
                Some(_) => drop(signal_hook::low_level::emulate_default_handler(signal)),
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop).map_err(cannot)
}

fn status(options: &Options) -> Result<u8, Failure> {
    let status = existing_queue(options)?.status()?;
    let oldest = status.oldest_queued_at.map(|at| (now() - at).max(0) / 1000);
    let pause = (status.paused_until - now()).max(0);
    if options.json {
        let mut members = serde_json::Map::new();
        for state in State::ALL {
            members.insert(state.name().to_owned(), status.count(state).into());
        }
        members.insert("accepted_last_minute".to_owned(), status.accepted_last_minute.into());
        members.insert("oldest_queued_seconds".to_owned(), oldest.into());
        members.insert("paused_ms".to_owned(), pause.into());
        members.insert("pause_reason".to_owned(), status.pause_reason.into());
        members.insert("workers".to_owned(), status.workers.into());
        return print(&format!("{}\n", serde_json::Value::Object(members)));
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<23}{value}\n"));
    for state in State::ALL {
        line(state.name(), spaced(status.count(state)));
    }
    line("accepted, last minute", spaced(status.accepted_last_minute));
    if let Some(seconds) = oldest {
        line("oldest queued", duration(Duration::from_secs(seconds as u64)));
    }
    let reason = status.pause_reason.unwrap_or_default();
    if pause > 0 {
        line("sending resumes in", format!("{} ({reason})", duration(Duration::from_millis(pause as u64))));
    } else if !reason.is_empty() {
        line("last trouble", reason);
    }
    let workers = if status.workers.is_empty() { "none".to_owned() } else { status.workers.join(", ") };
    line("workers", workers);
    print(&text)
}

fn list(options: &Options, only: Option<State>, line: &mut dyn FnMut(&Finished) -> String) -> Result<u8, Failure> {
    let mut output = BufWriter::new(io::stdout().lock());
    let mut failed = None;
    existing_queue(options)?.finished(options.after, only, &mut |finished| match writeln!(
        output,
        "{}",
        line(&finished)
    ) {
        Ok(()) => true,
        Err(error) => {
            failed = Some(error);
            false
        }
    })?;
    match failed {
        // The reader has enough, as `head` does.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Some(error) => Err(error.into()),
        None => Ok(output.flush().map(|()| 0)?),
    }
}

/// Does something to each message that was named; all that exist are changed, and each that does not is named. `change`
/// returns what was done.
fn each(
    options: &Options,
    ids: &[i64],
    kind: &str,
    mut change: impl FnMut(&mut dyn Engine, i64) -> Result<Option<String>, EngineError>,
) -> Result<u8, Failure> {
    let mut engine = existing_queue(options)?;
    let mut code = 0;
    for id in ids {
        if let Some(done) = change(engine.as_mut(), *id)? {
            complain(&format!("message {id}: {done}"));
        } else {
            complain(&format!("message {id}: there is no {kind} message with this id"));
            code = SOME_REFUSED;
        }
    }
    Ok(code)
}

/// Queues each message that was named again if it is in one of these states.
fn queue_again(options: &Options, ids: &[i64], kind: &str, from: &[State]) -> Result<u8, Failure> {
    each(options, ids, kind, |engine, id| {
        for state in from {
            match engine.resend(id, *state, expires_at(options))? {
                Some(same) if same == id => return Ok(Some("queued again".to_owned())),
                Some(new) => return Ok(Some(format!("queued again as message {new}"))),
                None => {}
            }
        }
        Ok(None)
    })
}

/// Accepts each unknown message whose echo came. Each echo proves one message, and none that is accepted already.
fn unknown_echo(file: &Path, options: &Options) -> Result<u8, Failure> {
    let unreadable = |error: io::Error| Failure::new(NO_INPUT, format!("cannot read {}: {error}", file.display()));
    let mut echoes = Vec::new();
    for (number, line) in input::open(file).map_err(unreadable)?.split(b'\n').enumerate() {
        let line = line.map_err(unreadable)?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let events = webhook::parse(&line).map_err(|error| {
            let message = format!("line {}: {error}; nothing was changed", number + 1);
            Failure::new(WRONG_INPUT, message)
        })?;
        echoes.extend(events.iter().filter(|event| event.is_echo()).cloned());
    }
    let mut engine = existing_queue(options)?;
    let mut known: HashSet<String> = HashSet::new();
    engine.finished(0, Some(State::Accepted), &mut |finished| {
        known.extend(finished.message_id.filter(|id| echoes.iter().any(|echo| echo.message_id() == Some(id))));
        true
    })?;
    echoes.retain(|echo| echo.message_id().is_none_or(|id| known.insert(id.to_owned())));
    let mut unknown = Vec::new();
    engine.finished(0, Some(State::Unknown), &mut |finished| {
        unknown.push(finished);
        true
    })?;
    let (mut accepted, all) = (0, unknown.len());
    for message in unknown {
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap_or_default();
        let text = body.pointer("/message/text").and_then(|text| text.as_str());
        let (Some(text), Some(user)) = (text, message.recipient.strip_prefix("user ")) else { continue };
        let since = u64::try_from(message.begun_at.unwrap_or(0) - CLOCK_TOLERANCE_MS).unwrap_or(0);
        if let Some(place) = echoes.iter().position(|echo| echo.echoes(user, text, since)) {
            let echo = echoes.swap_remove(place);
            accepted += u64::from(engine.accept(message.id, echo.message_id())?);
        }
    }
    complain(&format!("{accepted} of {all} unknown messages were delivered; the others remain unknown"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_split_are_quoted() {
        let shown = [("a.csv.outbox", "a.csv.outbox"), ("my file", "'my file'"), ("it's", "'it'\\''s'")];
        for (name, expected) in shown {
            assert_eq!(quoted(name), expected);
        }
        assert_eq!(quoted("postgres:///shop?host=a&user=b"), "'postgres:///shop?host=a&user=b'");
    }

    #[test]
    fn a_password_of_a_url_is_not_shown() {
        let shown = [
            ("a.csv.outbox", "a.csv.outbox"),
            ("postgres://host/shop", "postgres://host/shop"),
            ("postgres://u:p@ss@host:5/shop?sslmode=require", "postgres://u@host:5/shop?sslmode=require"),
            ("postgresql:///shop?host=/run/a&password=b&user=u", "postgresql:///shop?host=/run/a&user=u"),
            ("postgres://u:secret@host", "postgres://u@host/"),
        ];
        for (url, expected) in shown {
            assert_eq!(without_password(url), expected);
        }
    }
}
