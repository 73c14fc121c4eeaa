//! A PostgreSQL server in a temporary folder, on a Unix socket, that goes away with the test program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::Place;

pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// Its standard input keeps the server alive.
    keeper: Mutex<Option<Child>>,
    databases: AtomicU32,
    creating: Mutex<()>,
}

/// The account of the simulator.
pub const ACCOUNT: &str = "17841450000000017";

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop()
}

/// The server that the tests of one program share; `None` where PostgreSQL is not installed.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

impl Server {
    pub fn start() -> Option<Server> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "PostgreSQL is not installed");
            println!("not run: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder").keep();
        let user = Command::new("chown").arg("postgres").arg(&folder).status().is_ok_and(|status| status.success());
        let server = Server {
            folder,
            programs,
            keeper: Mutex::new(None),
            databases: AtomicU32::new(0),
            creating: Mutex::new(()),
        };
        let init = format!(
            "{}/initdb -D {}/data -U postgres -A trust -E UTF8 --locale=C --no-sync",
            server.programs.display(),
            server.folder.display()
        );
        let output = unprivileged(user, &init).output().expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.run_again();
        Some(server)
    }

    /// Starts the server; it ends, and its folder goes, when this program ends.
    pub fn run_again(&self) {
        let folder = self.folder.display();
        let is_root =
            !Command::new("test").args(["-O"]).arg(self.folder.join("data")).status().expect("test runs").success();
        let script = format!(
            "{}/postgres -D {folder}/data -k {folder} -c listen_addresses= -c max_connections=100 >>{folder}/log 2>&1 & \
             server=$!; cat >/dev/null; kill -INT $server 2>/dev/null; wait $server; \
             [ -e {folder}/restart ] || rm -rf {folder}",
            self.programs.display()
        );
        let keeper = unprivileged(is_root, &script).stdin(Stdio::piped()).spawn().expect("the server starts");
        *self.keeper.lock().expect("a lock") = Some(keeper);
        let begun = Instant::now();
        while self.psql_of("postgres", "SELECT 1").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server before this program ends.
    pub fn end(&self) {
        fs::remove_file(self.folder.join("restart")).expect("the server was started again");
        self.stop();
    }

    /// Copies the data of a server that does not run.
    pub fn copy_data(&self) {
        let copied = Command::new("cp").arg("-a").arg(self.folder.join("data")).arg(self.folder.join("copy")).status();
        assert!(copied.expect("cp runs").success());
    }

    /// Starts the copy instead, as a replica that takes over and has not received what was committed since.
    pub fn fail_over_to_copy(&self) {
        fs::remove_dir_all(self.folder.join("data")).expect("the data goes");
        fs::rename(self.folder.join("copy"), self.folder.join("data")).expect("the copy is there");
        fs::write(self.folder.join("data/standby.signal"), "").expect("a file");
        self.run_again();
        assert_eq!(self.psql_of("postgres", "SELECT pg_promote()").as_deref(), Ok("t"));
    }

    /// Stops the server as a crash does.
    pub fn crash(&self) {
        fs::write(self.folder.join("restart"), "").expect("a file");
        let pid = fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().expect("a process id").to_owned();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().expect("kill runs").success());
        self.stop();
    }

    fn stop(&self) {
        if let Some(mut keeper) = self.keeper.lock().expect("a lock").take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn psql_of(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"])
            .arg(&self.folder)
            .args(["-c", sql])
            .output()
            .expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A new database with a queue, whose lease is 3 seconds.
    pub fn database(&self, place: &Place) -> Database<'_> {
        let _one_at_a_time = self.creating.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql_of("postgres", &format!("CREATE DATABASE {name}")).expect("a database");
        let database = Database { server: self, name };
        place.run(&format!("init --queue {}", database.url())).expect(0);
        database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', lease => '3 s')"));
        database
    }
}

/// initdb and the server refuse root.
fn unprivileged(is_root: bool, script: &str) -> Command {
    let mut command = if is_root { Command::new("runuser") } else { Command::new("sh") };
    if is_root {
        command.args(["-u", "postgres", "--", "sh"]);
    }
    command.args(["-c", script]).current_dir("/");
    command
}

pub struct Database<'a> {
    server: &'a Server,
    pub name: String,
}

impl Database<'_> {
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    pub fn url_of(&self, user: &str) -> String {
        let socket = self.server.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{socket}/{}", self.name)
    }

    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).expect("the statement runs")
    }

    pub fn try_psql(&self, sql: &str) -> Result<String, String> {
        self.server.psql_of(&self.name, sql)
    }

    /// Waits until a query returns this.
    #[track_caller]
    pub fn wait_for(&self, sql: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let found = self.try_psql(sql);
            if found.as_deref() == Ok(expected) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{sql}: {found:?}, not {expected}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
