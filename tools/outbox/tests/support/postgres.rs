//! A PostgreSQL server in a temporary folder, on a Unix socket, that goes away with the test program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::{Place, Simulator, SmallDisk};

pub struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// Holds the file system that its tables are on, where that is not the folder's.
    disk: Option<SmallDisk>,
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
        Server::start_on("")
    }

    /// A server whose tables, but not its log of changes, are on a file system of 64 MiB. `None` where the system allows no
    /// such mount.
    pub fn start_on_a_small_disk() -> Option<Server> {
        Server::start_on("64m")
    }

    fn start_on(size: &str) -> Option<Server> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "PostgreSQL is not installed");
            println!("not run: PostgreSQL is not installed");
            return None;
        };
        let mut server = Server::in_a_new_folder(programs);
        if size.is_empty() {
            server.give_folder_away();
        } else {
            server.disk = SmallDisk::mount(&server.folder.join("data"), size);
            if server.disk.is_none() {
                fs::remove_dir_all(&server.folder).expect("the folder goes");
                return None;
            }
        }
        let init = format!(
            "{}/initdb -D {folder}/data {log} -U postgres -A trust -E UTF8 --locale=C --no-sync",
            server.programs.display(),
            folder = server.folder.display(),
            log = if server.disk.is_some() { format!("-X {}/wal", server.folder.display()) } else { String::new() }
        );
        let output = server.unprivileged(&init).output().expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.run_again();
        Some(server)
    }

    fn in_a_new_folder(programs: PathBuf) -> Server {
        Server {
            folder: tempfile::tempdir().expect("a folder").keep(),
            programs,
            disk: None,
            keeper: Mutex::new(None),
            databases: AtomicU32::new(0),
            creating: Mutex::new(()),
        }
    }

    /// As root, to the user that the server will run as.
    fn give_folder_away(&self) {
        let _ = Command::new("chown").arg("postgres").arg(&self.folder).stderr(Stdio::null()).status();
    }

    /// A standby that receives this server's changes, on a socket of its own.
    pub fn standby(&self) -> Server {
        let standby = Server::in_a_new_folder(self.programs.clone());
        standby.give_folder_away();
        let copy = format!(
            "{}/pg_basebackup -h {} -U postgres -D {}/data --write-recovery-conf --checkpoint=fast --no-sync",
            self.programs.display(),
            self.folder.display(),
            standby.folder.display()
        );
        let output = standby.unprivileged(&copy).output().expect("pg_basebackup runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        standby.run_again();
        standby
    }

    /// A database that another server has created.
    pub fn known(&self, name: &str) -> Database<'_> {
        Database { server: self, name: name.to_owned() }
    }

    /// Starts the server; it ends, and its folder goes, when this program ends.
    pub fn run_again(&self) {
        let folder = self.folder.display();
        let script = format!(
            "{}/postgres -D {folder}/data -k {folder} -c listen_addresses= -c max_connections=100 >>{folder}/log 2>&1 & \
             server=$!; cat >/dev/null; kill -INT $server 2>/dev/null; wait $server; \
             [ -e {folder}/restart ] || rm -rf {folder} 2>/dev/null",
            self.programs.display()
        );
        let keeper = self.unprivileged(&script).stdin(Stdio::piped()).spawn().expect("the server starts");
        *self.keeper.lock().expect("a lock") = Some(keeper);
        let begun = Instant::now();
        while self.psql_of("postgres", "SELECT 1").is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server before this program ends.
    pub fn end(&self) {
        let _ = fs::remove_file(self.folder.join("restart"));
        self.stop();
        // The place where the small disk was.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Fills the small disk to the last block.
    pub fn fill_disk(&self) {
        let script = format!("cat /dev/zero >{}/data/filler", self.folder.display());
        let output = self.unprivileged(&script).output().expect("cat runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"), "the disk is not full");
    }

    pub fn free_disk(&self) {
        let script = format!("rm {}/data/filler", self.folder.display());
        assert!(self.unprivileged(&script).status().expect("rm runs").success());
    }

    /// Stops the server and copies its data.
    pub fn crash_and_copy(&self) {
        self.crash();
        let copied = Command::new("cp").arg("-a").arg(self.folder.join("data")).arg(self.folder.join("copy")).status();
        assert!(copied.expect("cp runs").success());
    }

    /// Stops the server and starts the copy instead, as a replica that takes over and has not received what was committed since.
    pub fn fail_over_to_copy(&self) {
        self.crash();
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

    /// initdb and the server refuse root.
    fn unprivileged(&self, script: &str) -> Command {
        let words = match &self.disk {
            // Another user inside of the namespace, and the same one outside.
            Some(disk) => format!("nsenter {} unshare --user --map-user=65534 --map-group=65534 sh", disk.enter()),
            None if is_root() => "runuser -u postgres -- sh".to_owned(),
            None => "sh".to_owned(),
        };
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or("sh"));
        command.args(words).args(["-c", script]).current_dir("/");
        command
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

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().expect("id runs").stdout == b"0\n"
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

/// A gateway, a folder, and a database with a queue; returns where there is no PostgreSQL.
#[allow(unused_macros)]
macro_rules! setting {
    ($gateway:ident, $place:ident, $database:ident, $settings:expr) => {
        let $gateway = $crate::support::gateway_with($settings);
        let $place = $crate::support::Place::new(&$gateway);
        let Some(server) = $crate::support::postgres::shared() else { return };
        let $database = server.database(&$place);
    };
    ($gateway:ident, $place:ident, $database:ident) => {
        setting!($gateway, $place, $database, $crate::support::Settings::default());
    };
}
#[allow(unused_imports)]
pub(crate) use setting;

/// Messages of these users, by the application's function.
pub fn enqueue(database: &Database, count: usize, users: usize) {
    database.psql(&format!(
        "SELECT count(outbox.enqueue_text('{ACCOUNT}', '8' || lpad((n % {users})::text, 15, '0'), 'text ' || n))
         FROM generate_series(0, {count} - 1) n"
    ));
}

pub fn outcomes(database: &Database) -> String {
    database.psql("SELECT string_agg(outcome || ' ' || messages, ', ' ORDER BY outcome) FROM outbox.outcomes")
}

#[track_caller]
pub fn assert_in_order(gateway: &Simulator) {
    let mut last = std::collections::BTreeMap::new();
    for received in gateway.received().iter().filter(|received| received.got_it) {
        let body = received.json().unwrap();
        let n: usize = body["message"]["text"].as_str().unwrap().strip_prefix("text ").unwrap().parse().unwrap();
        let user = body["recipient"]["id"].as_str().unwrap().to_owned();
        assert!(last.insert(user, n).is_none_or(|before| before < n), "{n} is out of order");
    }
}
