//! The program under test as a child, the simulator as its gateway, and folders that go away.

#![allow(dead_code)]

pub mod postgres;
pub mod sql_worker;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[allow(unused_imports)]
pub use hookmyapp_simulator::{Answer, Fault, PlannedFault, Settings, Simulator};
use serde_json::Value;

/// The place where the local gateway of all tests is chosen.
pub fn gateway() -> Simulator {
    gateway_with(Settings::default())
}

pub fn gateway_with(settings: Settings) -> Simulator {
    let settings = Settings { page: false, keep: 1_000_000, keep_bytes: 2 << 30, ..settings };
    Simulator::start_with(settings).expect("the simulator starts")
}

/// A folder with files, and commands that run in it.
pub struct Place {
    pub folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    pub fn new(gateway: &Simulator) -> Place {
        Place::at(&gateway.variables())
    }

    pub fn without_gateway() -> Place {
        Place::at(&[])
    }

    fn at(variables: &[(&'static str, String)]) -> Place {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Place { folder: tempfile::tempdir().expect("a folder"), variables }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("the file is written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is read")
    }

    /// The program with these arguments, in the folder and with nothing in its environment but the gateway.
    pub fn command(&self, arguments: &str) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_hookmyapp-outbox"), arguments)
    }

    pub fn command_of(&self, program: &str, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &str) -> Ended {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("the program starts");
        Ended {
            code: status.code(),
            stdout: String::from_utf8(stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(stderr).expect("standard error is UTF-8"),
        }
    }

    pub fn start(&self, arguments: &str) -> Running {
        Running::of(self.command(arguments))
    }

    /// `status --json` as numbers.
    pub fn counts(&self, queue: &str) -> BTreeMap<String, i64> {
        let ended = self.run(&format!("status --json --queue {queue}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let status: Value = serde_json::from_str(&ended.stdout).expect("status is JSON");
        let members = status.as_object().expect("an object");
        members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_i64()?))).collect()
    }

    /// Waits until the queue has this many messages in a state.
    pub fn wait_for(&self, queue: &str, state: &str, count: i64) {
        let begun = Instant::now();
        while self.counts(queue).get(state) != Some(&count) {
            assert!(begun.elapsed() < Duration::from_secs(60), "not {count} {state}: {:?}", self.counts(queue));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output as NDJSON.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The seconds of pauses that the summary names, which must be less than a minute.
    #[track_caller]
    pub fn pauses(&self) -> f64 {
        let (before, _) = self.stderr.split_once(" s of pauses").expect("seconds of pauses");
        let (_, seconds) = before.rsplit_once(", ").expect("a time");
        seconds.parse().unwrap_or_else(|_| panic!("{seconds} s of pauses"))
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A program that runs; killed when it is dropped.
pub struct Running {
    child: Child,
    /// What it has written to standard error so far.
    errors: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub fn of(mut command: Command) -> Running {
        command.stdin(Stdio::null());
        Running::with_child(command)
    }

    fn with_child(mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (mut output, mut error_output) =
            (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let collected = Arc::clone(&errors);
        let readers = vec![
            thread::spawn(move || {
                let mut bytes = Vec::new();
                output.read_to_end(&mut bytes).expect("the output is read");
                bytes
            }),
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = error_output.read(&mut bytes) {
                    collected.lock().expect("a lock").extend_from_slice(&bytes[..length]);
                }
                Vec::new()
            }),
        ];
        Running { child, errors, readers }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    pub fn wait(mut self) -> Ended {
        let status = self.child.wait().expect("it ends");
        let outputs: Vec<Vec<u8>> =
            self.readers.drain(..).map(|reader| reader.join().expect("the output is read")).collect();
        let errors = std::mem::take(&mut *self.errors.lock().expect("a lock"));
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        Ended { code: status.code(), stdout: text(outputs.concat()), stderr: text(errors) }
    }

    /// Waits until it has written this to standard error.
    #[track_caller]
    pub fn wait_for_error(&self, text: &str) {
        let said = self.says_within(text, Duration::from_secs(60));
        assert!(said, "it does not say {text:?}: {}", self.errors());
    }

    /// Whether it writes this to standard error before this time is over.
    pub fn says_within(&self, text: &str, time: Duration) -> bool {
        let begun = Instant::now();
        while !self.errors().contains(text) {
            if begun.elapsed() >= time {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.lock().expect("a lock")).into_owned()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A CSV of `count` rows to `recipients` users.
pub fn csv(count: usize, recipients: usize) -> String {
    let rows = (0..count).map(|n| format!("{},text {n},key-{n}\n", user(n % recipients)));
    std::iter::once("recipient_id,text,key\n".to_owned()).chain(rows).collect()
}

pub fn user(n: usize) -> String {
    format!("8{n:015}")
}

/// How often users got each text.
pub fn book(gateway: &Simulator) -> BTreeMap<String, usize> {
    let mut book = BTreeMap::new();
    for received in gateway.received().iter().filter(|received| received.got_it) {
        let body = received.json().expect("a body");
        let text = body.pointer("/message/text").and_then(Value::as_str).unwrap_or_default().to_owned();
        *book.entry(text).or_insert(0) += 1;
    }
    book
}

/// Users got `count` texts, each once.
#[track_caller]
pub fn assert_each_once(gateway: &Simulator, count: usize) {
    let book = book(gateway);
    assert_eq!(book.len(), count, "so many different texts arrived");
    let twice: Vec<_> = book.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "arrived twice: {twice:?}");
}

/// A file system of few megabytes, in a namespace of its own that ends with it.
pub struct SmallDisk {
    at: PathBuf,
    holder: Child,
}

impl SmallDisk {
    /// `None` where the system allows no such mount.
    pub fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        fs::create_dir(at).expect("a folder");
        let script = format!("mount -t tmpfs -o size={size} tmpfs {} && echo ready && cat >/dev/null", at.display());
        let mut holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).ok()?;
        let disk = SmallDisk { at: at.to_owned(), holder };
        if line == "ready\n" {
            return Some(disk);
        }
        assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "unshare cannot mount a file system");
        println!("not run: unshare cannot mount a file system here");
        None
    }

    /// What nsenter needs to run a program that sees it.
    pub fn enter(&self) -> String {
        format!("--target {} --user --mount --preserve-credentials", self.holder.id())
    }

    /// Where a program that does not see it finds it.
    pub fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").expect("an absolute path"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Inserts as an application does, with its own SQLite.
pub fn application(queue: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(queue).expect("the queue opens");
    connection.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON")
        .expect("the pragmas");
    connection
}

pub fn text_body(user: &str, text: &str) -> String {
    format!(r#"{{"recipient":{{"id":"{user}"}},"message":{{"text":"{text}"}}}}"#)
}

/// Feeds standard input.
pub fn with_input(mut command: Command, input: &str) -> Ended {
    command.stdin(Stdio::piped());
    let mut running = Running::with_child(command);
    running.child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the input is written");
    running.wait()
}

/// The root of the repository, with the library's C side built by its Makefile.
fn c_library() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        // Of a `make` that runs these tests nothing is inherited.
        let mut make = Command::new("make");
        make.arg("-s")
            .current_dir(&root)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("MAKEFLAGS")
            .env_remove("MAKEOVERRIDES");
        let made = make.output().expect("make runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        root
    })
}

/// Compiles an example with the library and these; returns the program.
pub fn compile(place: &Place, source: &str, libraries: &str) -> String {
    let root = c_library();
    let program = place.path(source.trim_end_matches(".c"));
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(source))
        .arg(format!("-I{}", root.join("include").display()))
        .arg("-I/usr/include/postgresql")
        .arg(root.join("target/release/libhookmyapp.a"))
        .args(libraries.split_whitespace())
        .args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"])
        .output()
        .expect("cc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.display().to_string()
}
