//! What goes wrong around a queue file: a full disk, other programs that hold the lock, a worker's late notice.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::*;

/// A file system of 3 MiB in a mount namespace of its own, and a program that runs in it.
struct SmallDisk {
    place: Place,
    shell: std::process::Child,
}

impl SmallDisk {
    /// `None` where the system allows no such mount.
    fn new(gateway: &Simulator, size: &str) -> Option<SmallDisk> {
        let place = Place::new(gateway);
        fs::create_dir(place.path("disk")).expect("a folder");
        let script = format!("mount -t tmpfs -o size={size} tmpfs disk && echo ready && exec sleep 600");
        let mut shell = place
            .command_of("unshare", "--mount --map-root-user sh -c")
            .arg(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take()?), &mut line).ok()?;
        let disk = SmallDisk { place, shell };
        if line == "ready\n" {
            return Some(disk);
        }
        assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "unshare cannot mount a file system");
        println!("not run: unshare cannot mount a file system here");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.shell.id()))
            .join(self.place.path("disk").strip_prefix("/").expect("an absolute path"))
            .join(name)
    }

    /// Fills the disk to the last block.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).expect("the filler goes");
    }

    fn command(&self, arguments: &str) -> Command {
        let user_and_mount = format!("--target {} --user --mount --preserve-credentials", self.shell.id());
        let mut command = self.place.command_of("nsenter", &user_and_mount);
        command.arg("sh").arg("-c");
        let folder = self.place.path("disk").display().to_string();
        let program = env!("CARGO_BIN_EXE_hookmyapp-outbox");
        command.arg(format!("cd {folder} && exec {program} {arguments}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &str) -> Ended {
        with_input(self.command(arguments), "")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn a_full_disk_sends_nothing_and_loses_nothing() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() });
    let Some(disk) = SmallDisk::new(&gateway, "24m") else { return };
    let rows: String = (0..4000).map(|n| format!("{{\"recipient_id\":\"{}\",\"text\":\"{n}\"}}\n", user(n))).collect();
    fs::write(disk.path("rows.ndjson"), rows).expect("the rows are written");
    disk.run("add rows.ndjson --queue q.db").expect(0);
    let worker = Running::of(disk.command("work --until-empty --queue q.db --threads 16 --rate 0"));
    assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
    disk.fill();
    // Sends end while the disk is full, and stay so few that nothing new can have begun.
    let mut before = gateway.counts().messages;
    let begun = Instant::now();
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(50));
        let messages = gateway.counts().messages;
        if messages != before || fs::metadata(disk.path("q.db-reserve")).is_ok() {
            quiet_since = Instant::now();
            disk.fill();
        }
        before = messages;
        assert!(begun.elapsed() < Duration::from_secs(60), "sends go on with a full disk");
    }
    assert!(before < 4000, "the disk was full too late");
    disk.free();
    let ended = worker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("full"), "{}", ended.stderr);
    assert_each_once(&gateway, 4000);
}

#[test]
fn an_import_that_does_not_fit_leaves_nothing() {
    let gateway = gateway();
    let Some(disk) = SmallDisk::new(&gateway, "3m") else { return };
    let rows: String =
        (0..20_000).map(|n| format!("{{\"recipient_id\":\"{}\",\"text\":\"{n}\"}}\n", user(n))).collect();
    fs::write(disk.path("rows.ndjson"), rows).expect("the rows are written");
    let ended = disk.run("send rows.ndjson --rate 0");
    assert_eq!(ended.code, Some(73), "{}", ended.stderr);
    assert!(ended.stderr.contains("full"), "{}", ended.stderr);
    assert_eq!(gateway.counts().requests, 0);
    let status = disk.run("status --json --queue rows.ndjson.outbox").expect(0);
    assert!(status.stdout.contains("\"queued\":0"), "{}", status.stdout);
}

#[test]
fn an_application_that_holds_the_lock_delays_and_repeats_nothing() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(400, 400));
    place.run("add a.csv").expect(0);
    let mut other = application(&place.path("outbox.db"));
    let worker = place.start("work --until-empty --rate 400 --threads 16");
    assert!(gateway.wait_for_messages(20, Duration::from_secs(30)));
    let transaction = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("the lock");
    // Longer than the worker waits for the lock.
    std::thread::sleep(Duration::from_millis(7500));
    transaction.rollback().expect("the lock is given back");
    let ended = worker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("database is locked; trying again"), "{}", ended.stderr);
    assert_each_once(&gateway, 400);
}

#[test]
fn many_programs_insert_while_a_worker_sends() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.run("init").expect(0);
    let worker = place.start("work --rate 0 --threads 16");
    std::thread::scope(|scope| {
        for program in 0..4 {
            let path = place.path("outbox.db");
            scope.spawn(move || {
                let connection = application(&path);
                for n in 0..100 {
                    let user = user(program * 1000 + n % 10);
                    let body = text_body(&user, &format!("{program} {n}"));
                    let insert = "INSERT INTO outbox (recipient, body) VALUES (?1, ?2)";
                    while connection.execute(insert, (&user, &body)).is_err() {}
                }
            });
        }
    });
    place.wait_for("outbox.db", "accepted", 400);
    worker.signal("TERM");
    assert_eq!(worker.wait().code, Some(0));
    assert_each_once(&gateway, 400);
}
