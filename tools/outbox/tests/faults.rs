//! What goes wrong around a queue: a full disk, a file that is moved away, other programs that hold the lock.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::*;

/// A program on a small disk.
struct OnSmallDisk {
    place: Place,
    disk: SmallDisk,
}

impl OnSmallDisk {
    /// `None` where the system allows no such mount.
    fn new(gateway: &Simulator, size: &str) -> Option<OnSmallDisk> {
        let place = Place::new(gateway);
        let disk = SmallDisk::mount(&place.path("disk"), size)?;
        Some(OnSmallDisk { place, disk })
    }

    /// A worker that has sent some of 4000 messages when its disk becomes full.
    fn full_while_sending(gateway: &Simulator) -> Option<(OnSmallDisk, Running)> {
        let disk = OnSmallDisk::new(gateway, "24m")?;
        let row = |n| format!("{{\"recipient_id\":\"{}\",\"text\":\"{n}\"}}\n", user(n));
        fs::write(disk.path("rows.ndjson"), (0..4000).map(row).collect::<String>()).expect("the rows are written");
        disk.run("add rows.ndjson --queue q.db").expect(0);
        let worker = Running::of(disk.command("work --until-empty --queue q.db --threads 16 --rate 0"));
        assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
        disk.fill();
        Some((disk, worker))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
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
        let mut command = self.place.command_of("nsenter", &format!("{} sh -c", self.disk.enter()));
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

#[test]
fn a_full_disk_sends_nothing_and_loses_nothing() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() });
    let Some((disk, worker)) = OnSmallDisk::full_while_sending(&gateway) else { return };
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
fn the_reserve_of_a_full_disk_is_spent_on_results_and_not_on_new_sends() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() });
    let Some((disk, worker)) = OnSmallDisk::full_while_sending(&gateway) else { return };
    // It says so when the results of all that was in flight at its last claim are given to it.
    worker.wait_for_error("kept for results");
    let sent = gateway.counts().messages;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        // Those that were still in flight.
        assert!(gateway.counts().messages <= sent + 16, "new sends begin while the disk is full");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(gateway.counts().messages < 4000, "the disk was full too late");
    disk.free();
    worker.wait().expect(0);
    assert_each_once(&gateway, 4000);
}

#[test]
fn an_import_that_does_not_fit_leaves_nothing() {
    let gateway = gateway();
    let Some(disk) = OnSmallDisk::new(&gateway, "3m") else { return };
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
fn a_queue_file_that_is_replaced_ends_its_worker_and_loses_nothing() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(30), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(2000, 2000));
    place.run("add a.csv").expect(0);
    let worker = place.start("work --rate 0 --threads 8");
    assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
    let files = ["outbox.db", "outbox.db-wal", "outbox.db-shm"];
    fs::create_dir(place.path("away")).expect("a folder");
    for file in files {
        fs::rename(place.path(file), place.path("away").join(file)).expect("the file is moved");
    }
    place.run("init --queue new.db").expect(0);
    fs::rename(place.path("new.db"), place.path("outbox.db")).expect("the new file takes its place");
    let ended = worker.wait().expect(73);
    assert!(ended.stderr.contains("moved, removed or replaced"), "{}", ended.stderr);
    let not_written = ended.stderr.matches("not written: message").count();
    assert!((1..=8).contains(&not_written), "{}", ended.stderr);
    let before = gateway.counts().messages;
    assert!(before < 2000, "the worker went on without its file");
    // What was moved is whole: nothing of it is sent twice.
    let ended = place.run("work --until-empty --rate 0 --threads 8 --queue away/outbox.db").expect(0);
    assert!(ended.stderr.contains(&format!("{not_written} messages were being sent")), "{}", ended.stderr);
    assert_each_once(&gateway, 2000);
    assert_eq!(place.counts("away/outbox.db")["unknown"], not_written as i64);
}

#[test]
fn an_idle_worker_ends_when_its_queue_file_is_removed() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.run("init").expect(0);
    let worker = place.start("work");
    while !place.run("status").expect(0).stdout.contains("process ") {}
    fs::remove_file(place.path("outbox.db")).expect("the file goes");
    let ended = worker.wait().expect(73);
    assert!(ended.stderr.contains("moved, removed or replaced"), "{}", ended.stderr);
}

#[test]
fn an_application_that_holds_the_lock_delays_and_repeats_nothing() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(400, 400));
    place.run("add a.csv").expect(0);
    let other = application(&place.path("outbox.db"));
    other.busy_timeout(Duration::ZERO).expect("no timeout");
    let worker = place.start("work --until-empty --rate 400 --threads 16");
    assert!(gateway.wait_for_messages(20, Duration::from_secs(30)));
    // Between two turns of the worker, which are many while the disk is slow.
    while other.execute_batch("BEGIN IMMEDIATE").is_err() {}
    // That is when it has waited for as long as it waits for a lock.
    worker.wait_for_error("database is locked; trying again");
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    let ended = worker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
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

#[cfg(feature = "postgres")]
#[test]
fn a_full_disk_of_the_database_loses_nothing() {
    use support::postgres::{ACCOUNT, Server};
    let gateway = gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start_on_a_small_disk() else { return };
    let database = server.database(&place);
    let rows = |count: usize| {
        format!(
            "SELECT count(outbox.enqueue_text('{ACCOUNT}', '8' || lpad(n::text, 15, '0'), 'text ' || n))
             FROM generate_series(1, {count}) n"
        )
    };
    database.psql(&rows(4000));
    let worker = place.start(&format!("work --until-empty --threads 16 --queue {}", database.url()));
    assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
    server.fill_disk();
    // Tables that have room in their last blocks go on for a moment.
    worker.wait_for_error("No space left on device");
    let while_full = gateway.counts().messages;
    assert!(while_full < 4000, "the disk was full too late");
    // The application gets the error, and an import that does not fit is not there.
    assert!(database.try_psql(&rows(50_000)).expect_err("there is no room").contains("No space left"));
    place.write("big.csv", csv(50_000, 50_000));
    let ended = place.run(&format!("add big.csv --queue {}", database.url())).expect(73);
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    server.free_disk();
    worker.wait().expect(0);
    assert_each_once(&gateway, 4000);
    assert_eq!(
        database.psql("SELECT string_agg(outcome || ' ' || messages, ', ') FROM outbox.outcomes"),
        "accepted 4000"
    );
    // Each message has the id that the gateway gave it, also those whose result had to wait.
    assert_eq!(database.psql("SELECT count(DISTINCT message_id) FROM outbox.settled"), "4000");
    server.end();
}

#[test]
fn a_row_that_an_application_changed_costs_no_other_outcome() {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(1), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(8, 8));
    place.run("add a.csv --queue q.db").expect(0);
    let worker = place.start("work --until-empty --threads 4 --rate 0 --queue q.db");
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    // Without the condition on the state that the manual asks for.
    application(&place.path("q.db")).execute("UPDATE outbox SET state = 'cancelled'", []).expect("an update");
    worker.wait().expect(0);
    assert_each_once(&gateway, 4);
    let counts = place.counts("q.db");
    assert_eq!((counts["accepted"], counts["cancelled"]), (4, 4), "{counts:?}");
}

#[test]
fn a_queue_file_with_two_names_is_refused() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(2, 2));
    place.run("add a.csv --queue q.db").expect(0);
    fs::hard_link(place.path("q.db"), place.path("again.db")).expect("a link");
    for queue in ["q.db", "again.db"] {
        let ended = place.run(&format!("work --until-empty --queue {queue}")).expect(73);
        assert!(ended.stderr.contains("has a second name"), "{}", ended.stderr);
    }
    assert_each_once(&gateway, 0);
}

#[test]
fn a_pause_from_the_future_does_not_outlive_the_clock_that_made_it() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(2, 2));
    place.run("add a.csv --queue q.db").expect(0);
    let future = "UPDATE outbox_control SET paused_at = 4000000000000, paused_until = 4000000060000, pause_status = 22";
    application(&place.path("q.db")).execute(future, []).expect("an update");
    place.run("work --until-empty --queue q.db").expect(0);
    assert_each_once(&gateway, 2);
}

#[test]
fn a_log_that_is_removed_ends_its_worker_and_repeats_nothing() {
    for removed in [&["outbox.db-wal", "outbox.db-shm"][..], &["outbox.db-wal"], &["outbox.db-shm"]] {
        let gateway = gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() });
        let place = Place::new(&gateway);
        place.write("a.csv", csv(400, 400));
        place.run("add a.csv").expect(0);
        let worker = place.start("work --rate 0 --threads 4");
        assert!(gateway.wait_for_messages(50, Duration::from_secs(30)));
        for file in removed {
            fs::remove_file(place.path(file)).expect("the file goes");
        }
        let ended = worker.wait().expect(73);
        assert!(ended.stderr.contains("moved, removed or replaced"), "{}", ended.stderr);
        assert!(gateway.counts().messages < 400, "the worker went on without its log");
        place.run("work --until-empty --rate 0 --threads 4").expect(0);
        assert_each_once(&gateway, 400);
    }
}
