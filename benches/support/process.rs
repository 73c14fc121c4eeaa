//! The processes of a benchmark: the server, contenders that take orders line by line, and the tools that watch them.

use std::collections::HashMap;
use std::env;
use std::hint;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A process that answers each line with one line. It ends when its standard input does.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { input: child.stdin.take(), child, output }
    }

    pub fn line(&mut self) -> String {
        self.output.next().expect("a process of the benchmark ended early").unwrap()
    }

    pub fn ask(&mut self, order: &str) -> String {
        let mut input = self.input.as_ref().unwrap();
        input.write_all(format!("{order}\n").as_bytes()).unwrap();
        self.line()
    }

    /// Asks for an order that is answered with nanoseconds, and gives the microseconds for each of `sends`.
    pub fn microseconds(&mut self, order: &str, sends: usize) -> f64 {
        self.ask(order).parse::<f64>().unwrap() / 1000.0 / sends as f64
    }

    /// Sockets that the process has open.
    pub fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    /// A line of the kernel's account of the process, in KiB.
    pub fn memory(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// This program in another role.
fn role(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(name);
    command
}

/// Which processors there are to keep server and contenders apart. Without `taskset`, or with one processor, the
/// kernel places them as it likes.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// The first one: the server's.
    Server,
    /// The last one: the contenders'.
    Contender,
    /// All but the first: a contender with threads.
    Threads,
}

pub fn can_place() -> bool {
    processors() > 1 && is_there("taskset")
}

pub fn processors() -> usize {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

fn list(place: Place) -> String {
    let last = processors() - 1;
    match place {
        Place::Server => "0".to_owned(),
        Place::Contender => last.to_string(),
        Place::Threads => format!("1-{last}"),
    }
}

/// Keeps this process, and so the contenders that it starts, on the contenders' processor.
pub fn stay_in_place() {
    if can_place() {
        let pid = std::process::id().to_string();
        Command::new("taskset").args(["-cp", &list(Place::Contender), &pid]).stdout(Stdio::null()).status().unwrap();
    }
}

pub fn placed(command: Command, place: Place) -> Command {
    if !can_place() {
        return command;
    }
    let mut outer = Command::new("taskset");
    outer.args(["-c", &list(place)]).arg(command.get_program()).args(command.get_args());
    outer
}

/// Keeps all processors busy with something that gives way to everything, because one that rests, at least a virtual
/// one, takes tens of microseconds to wake up: more than what is measured.
pub fn keep_awake() -> Vec<Running> {
    if !can_place() || !is_there("chrt") {
        return Vec::new();
    }
    let spin = |processor: usize| {
        let mut command = Command::new("chrt");
        command.args(["-i", "0", "taskset", "-c", &processor.to_string()]);
        Running::start(command.arg(role("spin").get_program()).arg("spin"))
    };
    (0..processors()).map(spin).collect()
}

/// What such a process does, until standard input ends.
pub fn spin() {
    thread::spawn(|| {
        loop {
            hint::spin_loop();
        }
    });
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}

/// What the server saw since it was last asked.
pub struct Traffic {
    pub connections: usize,
    /// How many of them resumed a TLS session.
    pub resumed: usize,
    /// Bytes below TLS.
    pub received: f64,
    pub sent: f64,
}

pub struct Server {
    process: Running,
    plain: String,
    tls: String,
    /// Resumes no TLS session.
    fresh_tls: String,
    ca_file: String,
}

/// What a contender connects to.
#[derive(Clone, Copy, PartialEq)]
pub enum Port {
    Plain,
    Tls,
    /// TLS that resumes no session.
    FreshTls,
    /// `localhost`, with a first address that may be dead.
    Name,
}

impl Port {
    pub fn is_tls(self) -> bool {
        matches!(self, Port::Tls | Port::FreshTls)
    }

    pub fn scheme(self) -> &'static str {
        if self.is_tls() { "TLS" } else { "plain" }
    }
}

impl Server {
    pub fn start(place: Place) -> Server {
        let mut process = Running::start(&mut placed(role("serve"), place));
        let line = process.line();
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        let (plain, tls, fresh_tls, ca_file) = (word(), word(), word(), word());
        Server { process, plain, tls, fresh_tls, ca_file }
    }

    pub fn delay(&mut self, milliseconds: u64) {
        self.process.ask(&format!("delay {milliseconds}"));
    }

    /// The line that every answer has about the life of its connection; empty for none.
    pub fn announce(&mut self, line: &str) {
        self.process.ask(&format!("announce {line}"));
    }

    pub fn traffic(&mut self) -> Traffic {
        let line = self.process.ask("traffic");
        let mut figures = line.split(' ').map(|figure| figure.parse::<usize>().unwrap());
        let mut figure = || figures.next().unwrap();
        Traffic { connections: figure(), resumed: figure(), received: figure() as f64, sent: figure() as f64 }
    }

    /// The port without TLS.
    pub fn plain_port(&self) -> u16 {
        self.plain.parse().unwrap()
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Bare,
    BareConnecting,
    Rust,
    RustDefaults,
    RustFourSeconds,
    Functions,
    Program,
    FastProgram,
    Ureq,
    UreqTimeout,
    Libcurl,
}

impl Who {
    pub fn title(self, is_tls: bool) -> &'static str {
        match self {
            Who::Bare if is_tls => "bare socket with rustls",
            Who::Bare => "bare socket",
            Who::BareConnecting if is_tls => "bare socket with rustls",
            Who::BareConnecting => "bare socket",
            Who::Rust => "hookmyapp, Rust",
            Who::RustDefaults => "hookmyapp, Rust, default settings",
            Who::RustFourSeconds => "hookmyapp, Rust, keeps connections for 4 s",
            Who::Functions => "hookmyapp, C functions from Rust",
            Who::Program => "hookmyapp, C program",
            Who::FastProgram => "hookmyapp, C program, OPT_LEVEL=3",
            Who::Ureq => "plain ureq",
            Who::UreqTimeout => "plain ureq with a time-out",
            Who::Libcurl => "libcurl and cJSON, C program",
        }
    }

    /// The C program's file, for those that are one.
    pub fn program(self) -> Option<PathBuf> {
        let name = match self {
            Who::Program => "hookmyapp",
            Who::FastProgram => "hookmyapp-fast",
            Who::Libcurl => "libcurl",
            _ => return None,
        };
        Some(PathBuf::from(env::var_os("HMA_BENCH_C_PROGRAMS").unwrap_or_default()).join(name))
    }

    /// `make bench` compiles the C programs, where it can.
    pub fn is_there(self) -> bool {
        self.program().is_none_or(|program| program.is_file())
    }

    pub fn command(self, server: &Server, port: Port) -> Command {
        let name = match self {
            Who::Bare => "bare",
            Who::BareConnecting => "bare-connecting",
            Who::Rust => "rust",
            Who::RustDefaults => "rust-defaults",
            Who::RustFourSeconds => "rust-4-seconds",
            Who::Functions => "functions",
            Who::Ureq => "ureq",
            Who::UreqTimeout => "ureq-timeout",
            Who::Program | Who::FastProgram | Who::Libcurl => "",
        };
        let mut command = match self.program() {
            Some(program) => Command::new(program),
            None => {
                let mut command = role("contend");
                command.arg(name);
                command
            }
        };
        let address = match port {
            Port::Plain => format!("127.0.0.1:{}", server.plain),
            Port::Tls => format!("127.0.0.1:{}", server.tls),
            Port::FreshTls => format!("127.0.0.1:{}", server.fresh_tls),
            Port::Name => format!("localhost:{}", server.plain),
        };
        command.args([address.as_str(), if port.is_tls() { &server.ca_file } else { "" }]);
        command
    }

    /// A contender that has its connection.
    pub fn start(self, server: &Server, port: Port) -> Running {
        ready(&mut self.command(server, port))
    }
}

pub fn ready(command: &mut Command) -> Running {
    let mut process = Running::start(command);
    assert_eq!(process.line(), "ready");
    process
}

/// The part of all processors, in percent, that other programs take while this one rests for a second.
pub fn load() -> f64 {
    // Ticks in which something ran, and all ticks; those in which the processor rested are the fourth and fifth.
    let ticks = || {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let all: f64 = ticks.iter().sum();
        (all - ticks.iter().skip(3).take(2).sum::<f64>(), all)
    };
    let before = ticks();
    thread::sleep(Duration::from_secs(1));
    let after = ticks();
    100.0 * (after.0 - before.0) / (after.1 - before.1).max(1.0)
}

/// Time from the start of the process to its first answer.
pub fn first_answer(mut command: Command) -> Duration {
    let start = Instant::now();
    let process = ready(&mut command);
    let time = start.elapsed();
    drop(process);
    time
}

pub fn is_there(tool: &str) -> bool {
    let version = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// What a tool writes to a file about a contender that sends so often.
fn watched(tool: &[&str], command: Command, sends: usize) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut outer = Command::new(tool[0]);
    outer.args(tool[1..].iter().map(|word| word.replace("FILE", file.path().to_str().unwrap())));
    outer.arg(command.get_program()).args(command.get_args()).stderr(Stdio::null());
    let mut process = Running::start(&mut outer);
    (process.output.next()?.ok()? == "ready").then(|| process.ask(&format!("sends {sends}")))?;
    drop(process);
    std::fs::read_to_string(file.path()).ok()
}

/// Instructions, as callgrind counts them.
pub fn instructions(command: Command, sends: usize) -> Option<f64> {
    let tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=FILE"];
    let log = watched(&tool, command, sends)?;
    log.lines().find_map(|line| line.split("Collected : ").nth(1)).and_then(|number| number.trim().parse().ok())
}

/// Allocations and their bytes, as valgrind counts them.
pub fn heap(command: Command, sends: usize) -> Option<(f64, f64)> {
    let log = watched(&["valgrind", "--log-file=FILE"], command, sends)?;
    let (_, usage) = log.split_once("total heap usage: ")?;
    let figures = usage.replace(',', "");
    let mut words = figures.split(' ');
    let allocations = words.next()?.parse().ok()?;
    Some((allocations, words.nth(3)?.parse().ok()?))
}

/// System calls of all threads by name, as strace counts them.
pub fn system_calls(command: Command, sends: usize) -> Option<HashMap<String, f64>> {
    let table = watched(&["strace", "-f", "-qq", "-c", "-o", "FILE"], command, sends)?;
    let rows = table.lines().filter_map(|line| {
        // The column of errors may be empty.
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last().filter(|name| **name != "total")?;
        Some((name.to_string(), words.get(3)?.parse().ok()?))
    });
    Some(rows.collect())
}
