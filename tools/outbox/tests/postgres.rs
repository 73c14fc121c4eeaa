//! The PostgreSQL engine, with a real server: many workers, lost connections, rights, and what stays true meanwhile.

#![cfg(feature = "postgres")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::postgres::{ACCOUNT, Database, Server, is_root, shared};
use support::*;

/// A gateway, a folder, and a database with a queue; returns where there is no PostgreSQL.
macro_rules! setting {
    ($gateway:ident, $place:ident, $database:ident, $settings:expr) => {
        let $gateway = gateway_with($settings);
        let $place = Place::new(&$gateway);
        let Some(server) = shared() else { return };
        let $database = server.database(&$place);
    };
    ($gateway:ident, $place:ident, $database:ident) => {
        setting!($gateway, $place, $database, Settings::default());
    };
}

/// Messages of these users, by the application's function.
fn enqueue(database: &Database, count: usize, users: usize) {
    database.psql(&format!(
        "SELECT count(outbox.enqueue_text('{ACCOUNT}', '8' || lpad((n % {users})::text, 15, '0'), 'text ' || n))
         FROM generate_series(0, {count} - 1) n"
    ));
}

fn outcomes(database: &Database) -> String {
    database.psql("SELECT string_agg(outcome || ' ' || messages, ', ' ORDER BY outcome) FROM outbox.outcomes")
}

#[track_caller]
fn assert_in_order(gateway: &Simulator) {
    let mut last = std::collections::BTreeMap::new();
    for received in gateway.received().iter().filter(|received| received.got_it) {
        let body = received.json().unwrap();
        let n: usize = body["message"]["text"].as_str().unwrap().strip_prefix("text ").unwrap().parse().unwrap();
        let user = body["recipient"]["id"].as_str().unwrap().to_owned();
        assert!(last.insert(user, n).is_none_or(|before| before < n), "{n} is out of order");
    }
}

#[test]
fn a_file_is_sent_once_however_often_it_is_run() {
    setting!(gateway, place, database);
    place.write("messages.csv", include_bytes!("../examples/messages.csv"));
    let first = place.run(&format!("send messages.csv --queue {}", database.url())).expect(0);
    assert!(first.stderr.contains("accepted now        8"), "{}", first.stderr);
    let second = place.run(&format!("send messages.csv --queue {}", database.url())).expect(0);
    assert!(second.stderr.contains("accepted before     8"), "{}", second.stderr);
    assert_each_once(&gateway, 8);
    assert_eq!(gateway.counts().requests, 8);
}

#[test]
fn a_run_counts_the_messages_of_its_file_whatever_others_add_or_send_again() {
    setting!(gateway, place, database, Settings { delay: Duration::from_millis(200), ..Settings::default() });
    gateway.plan_fault(PlannedFault { fault: Fault::NoSuchUser, count: Some(1), user: Some(user(1)) });
    gateway.plan_fault(PlannedFault { fault: Fault::NoSuchUser, count: None, user: Some(user(2)) });
    enqueue(&database, 2, 1);
    place.write("a.csv", csv(12, 12).replace("text ", "row "));
    let url = database.url();
    let running = place.start(&format!("send a.csv --threads 1 --queue {url}"));
    assert!(gateway.wait_for_messages(5, Duration::from_secs(30)));
    place.run(&format!("add a.csv --queue {url}")).expect(0);
    database.psql("SELECT outbox.send_again(id, 'refused') FROM outbox.settled WHERE key = 'key-1'");
    let ended = running.wait();
    for expected in ["rows                12\n", "refused             1\n", "left to send        0\n"] {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    // The message that was sent again has an id of its own, and was not of the file when the run began.
    assert!(ended.stderr.contains("other messages      3 accepted\n"), "{}", ended.stderr);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let again = place.run(&format!("send a.csv --retry-refused --queue {url}")).expect(2);
    assert!(again.stderr.contains("accepted before     11\n"), "{}", again.stderr);
    assert_eq!(gateway.received().iter().filter(|received| received.got_it).count(), 13);
}

#[test]
fn mistakes_are_listed_and_nothing_is_queued() {
    setting!(gateway, place, database);
    place.write("a.csv", csv(700, 700));
    place.run(&format!("add a.csv --queue {}", database.url())).expect(0);
    place.write("b.csv", "recipient_id,text,key\n81,a,n1\n81,b,key-3\n82,c,n2\n83,d,n1\n,e,n3\n");
    let ended = place.run(&format!("send b.csv --queue {}", database.url())).expect(65);
    for expected in
        ["line 3 (row 2): key key-3 is in the queue", "line 5 (row 4): key n1 is in line 2", "line 6 (row 5)"]
    {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    assert_eq!(database.psql("SELECT ready FROM outbox.status"), "700");
    let ended = place.run(&format!("add a.csv --queue {}", database.url())).expect(0);
    assert!(ended.stderr.contains("0 queued, 700 were in the queue already"), "{}", ended.stderr);
    assert_eq!(gateway.counts().requests, 0);
}

#[test]
fn a_message_is_enqueued_with_the_business_data_or_not_at_all() {
    setting!(gateway, place, database);
    database.psql("CREATE TABLE orders (n int PRIMARY KEY)");
    let order = |n: i32, end: &str| {
        format!(
            "BEGIN; INSERT INTO orders VALUES ({n}); SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'text {n}', key => 'order-{n}'); {end}"
        )
    };
    database.psql(&order(1, "COMMIT"));
    database.psql(&order(2, "ROLLBACK"));
    database.psql(&order(3, "COMMIT"));
    // The same key a second time adds nothing, and returns the first id.
    assert_eq!(
        database.psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'other', key => 'order-1')")),
        "1"
    );
    assert_eq!(database.psql("SELECT outbox.cancel(max(id)) FROM outbox.message"), "t");
    for (sql, expected) in [
        ("SELECT outbox.enqueue_text('none', '81', 'a')", "there is no account"),
        (&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', repeat('a', 1001))"), "1 to 1000 bytes"),
        (&format!("SELECT outbox.enqueue('{ACCOUNT}', '[]')"), "no recipient.id"),
        (&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'a', priority => 4)"), "the priority is 0"),
    ] {
        let error = database.try_psql(sql).expect_err(sql);
        assert!(error.contains(expected), "{error}");
    }
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
    assert_eq!(book(&gateway).into_keys().collect::<Vec<_>>(), ["text 1"]);
    assert_eq!(outcomes(&database), "accepted 1, cancelled 1");
    assert_eq!(database.psql("SELECT outbox.look(1)"), "accepted");
}

#[test]
fn each_role_may_do_exactly_its_part() {
    setting!(_gateway, place, database);
    let name = &database.name;
    for role in ["app", "worker", "admin", "monitor"] {
        database.psql(&format!("CREATE ROLE {name}_{role} LOGIN; GRANT outbox_{role} TO {name}_{role}"));
    }
    database.psql(&format!("CREATE ROLE {name}_nobody LOGIN"));
    let may = |role: &str, sql: &str| {
        let result = database.try_psql(&format!("SET ROLE {name}_{role}; {sql}"));
        match result {
            Ok(_) => true,
            Err(error) if error.contains("permission denied") => false,
            Err(error) => panic!("{role}: {sql}: {error}"),
        }
    };
    let enqueue = format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'a')");
    let hello = format!("SELECT outbox.hello('{ACCOUNT}', 'x')");
    let pause = format!("SELECT outbox.pause('{ACCOUNT}', now(), 'x')");
    let table = [
        (enqueue.as_str(), "app"),
        ("SELECT outbox.cancel(0)", "app"),
        ("SELECT outbox.look(0)", "app"),
        ("SELECT * FROM outbox.counts_of('{1}', '{1}')", "app"),
        (hello.as_str(), "worker"),
        ("SELECT outbox.bye(gen_random_uuid())", "worker"),
        (pause.as_str(), "admin"),
        ("SELECT outbox.resolve(0, 'accepted')", "admin"),
        ("SELECT outbox.send_again(0)", "admin"),
        ("SELECT outbox.purge('1 day')", "admin"),
        ("SELECT * FROM outbox.unknown", "admin"),
        ("SELECT * FROM outbox.results", "admin"),
        ("SELECT * FROM outbox.status", "worker admin monitor"),
        ("SELECT * FROM outbox.health", "admin monitor"),
        ("SELECT * FROM outbox.metrics", "admin monitor"),
        ("SELECT * FROM outbox.message", ""),
        ("SELECT * FROM outbox.settled", ""),
        ("UPDATE outbox.account SET rate = 1", ""),
        ("SELECT outbox.enter(1)", ""),
        ("SELECT outbox.tick(1)", ""),
    ];
    for (sql, allowed) in table {
        for role in ["app", "worker", "admin", "monitor", "nobody"] {
            assert_eq!(may(role, sql), allowed.split(' ').any(|one| one == role), "{role}: {sql}");
        }
    }
    // The roles suffice for the program.
    place.write("a.csv", csv(3, 3));
    place.run(&format!("add a.csv --queue {}", database.url_of(&format!("{name}_app")))).expect(0);
    let ended =
        place.run(&format!("work --until-empty --queue {}", database.url_of(&format!("{name}_worker")))).expect(0);
    assert!(ended.stderr.contains("left to send        0\n"), "{}", ended.stderr);
    place.run(&format!("status --queue {}", database.url_of(&format!("{name}_monitor")))).expect(0);
    place.run(&format!("status --queue {}", database.url_of(&format!("{name}_nobody")))).expect(78);
}

#[test]
fn four_workers_share_one_rate_and_keep_every_order() {
    setting!(gateway, place, database);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 100, burst => 5, lease => '3 s')"));
    enqueue(&database, 400, 9);
    let work = format!("work --until-empty --threads 8 --queue {}", database.url());
    let workers: Vec<Running> = (0..4).map(|_| place.start(&work)).collect();
    for worker in workers {
        let ended = worker.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert_each_once(&gateway, 400);
    assert_in_order(&gateway);
    let received = gateway.received();
    let took = received[399].at_ms - received[0].at_ms;
    assert!((3900..).contains(&took), "400 messages at 100 a second took {took} ms");
    for window in received.windows(112) {
        assert!(window[111].at_ms - window[0].at_ms >= 950, "more than the rate and the burst in a second");
    }
}

#[test]
fn connections_that_are_cut_repeat_nothing_and_lose_nothing() {
    setting!(gateway, place, database, Settings { delay: Duration::from_millis(15), ..Settings::default() });
    enqueue(&database, 1500, 300);
    let workers: Vec<Running> = (0..2)
        .map(|_| place.start(&format!("work --until-empty --quiet --threads 8 --queue {}", database.url())))
        .collect();
    database.wait_for("SELECT workers FROM outbox.status", "2");
    assert!(gateway.wait_for_messages(20, Duration::from_secs(30)));
    let begun = Instant::now();
    let mut cut = 0;
    while gateway.counts().messages < 1500 && begun.elapsed() < Duration::from_secs(60) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name = 'hookmyapp-outbox' AND datname = current_database()";
        cut += database.psql(sql).parse::<u32>().unwrap();
        std::thread::sleep(Duration::from_millis(150));
    }
    for worker in workers {
        let ended = worker.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert!(cut >= 10, "only {cut} connections were cut");
    assert_each_once(&gateway, 1500);
    assert_in_order(&gateway);
    assert_eq!(outcomes(&database), "accepted 1500");
}

#[test]
fn a_database_that_crashes_and_comes_back_repeats_nothing_and_loses_nothing() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(15), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 1500, 300);
    let worker = place.start(&format!("work --until-empty --threads 8 --queue {}", database.url()));
    for round in 1..=3 {
        assert!(gateway.wait_for_messages(round * 300, Duration::from_secs(30)));
        server.crash();
        std::thread::sleep(Duration::from_millis(400));
        server.run_again();
    }
    let ended = worker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_each_once(&gateway, 1500);
    assert_in_order(&gateway);
    assert_eq!(outcomes(&database), "accepted 1500");
    server.end();
}

#[test]
fn a_worker_waits_for_a_database_that_is_not_there_yet() {
    let gateway = gateway();
    let mut place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 20, 20);
    server.crash();
    place.set("DATABASE_URL", &database.url());
    let mut worker = place.start("work --until-empty");
    std::thread::sleep(Duration::from_secs(1));
    assert!(!worker.has_ended());
    server.run_again();
    let ended = worker.wait().expect(0);
    assert!(ended.stderr.contains("trying again"), "{}", ended.stderr);
    assert_each_once(&gateway, 20);
    server.end();
}

#[test]
fn a_worker_that_stops_without_its_database_prints_what_it_could_not_write() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(1500), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 8, 8);
    let worker = place.start(&format!("work --threads 4 --queue {}", database.url()));
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    server.crash();
    worker.signal("TERM");
    let ended = worker.wait().expect(73);
    assert_eq!(ended.stderr.matches("not written: message").count(), 4, "{}", ended.stderr);
    server.run_again();
    place.run(&format!("work --until-empty --queue {}", database.url()));
    assert_each_once(&gateway, 8);
    assert_eq!(outcomes(&database), "accepted 4, unknown 4");
    server.end();
}

#[test]
fn a_worker_that_connects_again_keeps_what_it_has_in_flight() {
    setting!(gateway, place, database, Settings { delay: Duration::from_secs(2), ..Settings::default() });
    enqueue(&database, 4, 4);
    let worker = place.start(&format!("work --until-empty --threads 4 --queue {}", database.url()));
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'hookmyapp-outbox' AND datname = current_database()";
    assert_eq!(database.psql(cut), "1");
    // The same worker has another id now, and all that it sends belongs to that.
    database.wait_for("SELECT count(*) FROM outbox.worker", "2");
    let held = "SELECT count(*) FROM outbox.message m JOIN outbox.worker w ON w.id = m.worker
                WHERE m.state = 'sending' AND w.gone_at IS NULL";
    assert_eq!(database.psql(held), "4");
    worker.wait().expect(0);
    assert_each_once(&gateway, 4);
    assert_eq!(outcomes(&database), "accepted 4");
}

#[test]
fn a_failover_that_forgot_commits_repeats_nothing_of_living_workers() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 40, burst => 1, lease => '3 s')"));
    enqueue(&database, 160, 160);
    let worker = place.start(&format!("work --until-empty --threads 4 --queue {}", database.url()));
    assert!(gateway.wait_for_messages(30, Duration::from_secs(30)));
    server.crash();
    server.copy_data();
    server.run_again();
    assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
    server.crash();
    server.fail_over_to_copy();
    let forgotten = database.psql("SELECT ready FROM outbox.status").parse::<u32>().expect("a number");
    let ended = worker.wait().expect(0);
    assert!(forgotten > 60, "the copy knew too much: {forgotten} are left; {}", ended.stderr);
    assert_each_once(&gateway, 160);
    assert_eq!(outcomes(&database), "accepted 160");
    server.end();
}

#[test]
fn a_failover_to_a_standby_that_lags_repeats_nothing_of_living_workers() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let Some(primary) = Server::start() else { return };
    let database = primary.database(&place);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 40, burst => 1, lease => '3 s')"));
    enqueue(&database, 200, 200);
    let standby = primary.standby();
    let replica = standby.known(&database.name);
    // libpq finds the server that takes writes.
    let url = format!(
        "postgres:///{}?host={},{}&user=postgres&target_session_attrs=read-write",
        database.name,
        primary.socket_folder().display(),
        standby.socket_folder().display()
    );
    let worker = place.start(&format!("work --until-empty --threads 4 --queue {url}"));
    assert!(gateway.wait_for_messages(20, Duration::from_secs(30)));
    replica.wait_for("SELECT count(*) > 10 FROM outbox.settled", "t");
    let receiver = replica.psql("SELECT pid FROM pg_stat_wal_receiver");
    let signal = |name: &str| {
        let status = std::process::Command::new("kill").args([name, &receiver]).status().unwrap();
        assert!(status.success());
    };
    signal("-STOP");
    let received = gateway.counts().messages;
    assert!(gateway.wait_for_messages(received + 60, Duration::from_secs(30)));
    primary.crash();
    let sent = gateway.counts().messages;
    // Killed, since it would read what is in its socket. The standby starts again without it.
    signal("-KILL");
    let known: u64 = loop {
        if let Ok(count) = replica.try_psql("SELECT count(*) FROM outbox.settled") {
            break count.parse().unwrap();
        }
    };
    assert!(known + 40 <= sent && sent < 200, "the standby does not lag: it knows {known} of {sent}");
    replica.wait_for("SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote() ELSE true END", "t");
    worker.wait().expect(0);
    assert_each_once(&gateway, 200);
    assert_eq!(outcomes(&replica), "accepted 200");
    standby.end();
    primary.end();
}

#[test]
fn a_turn_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    setting!(gateway, place, database);
    enqueue(&database, 600, 100);
    let proxy = CuttingProxy::start(&shared().unwrap().socket_folder().join(".s.PGSQL.5432"));
    let url = format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", proxy.port, database.name);
    let ended = place.run(&format!("work --until-empty --quiet --threads 8 --queue {url}"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        proxy.cuts.load(Ordering::Relaxed) >= 10,
        "so many answers were lost: {}",
        proxy.cuts.load(Ordering::Relaxed)
    );
    assert_each_once(&gateway, 600);
    assert_eq!(outcomes(&database), "accepted 600");
}

/// Lets the server execute and commit every fourth turn, and cuts the connection instead of its answer.
struct CuttingProxy {
    port: u16,
    cuts: Arc<AtomicU32>,
}

impl CuttingProxy {
    fn start(socket: &std::path::Path) -> CuttingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = CuttingProxy { port: listener.local_addr().unwrap().port(), cuts: Arc::default() };
        let (socket, cuts) = (socket.to_owned(), Arc::clone(&proxy.cuts));
        let turns = Arc::new(AtomicU32::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&socket).unwrap();
                let (cuts, turns) = (Arc::clone(&cuts), Arc::clone(&turns));
                std::thread::spawn(move || carry(client, server, &turns, &cuts));
            }
        });
        proxy
    }
}

fn carry(mut client: TcpStream, mut server: UnixStream, turns: &AtomicU32, cuts: &AtomicU32) {
    let (mut back, mut from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let cutting = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_cutting = Arc::clone(&cutting);
    let answers = std::thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(length @ 1..) = from_server.read(&mut bytes) {
            if is_cutting.load(Ordering::SeqCst) {
                // The answer to the statement is here, so it is committed: `Z` ends it.
                let _ = back.shutdown(std::net::Shutdown::Both);
                return;
            }
            if back.write_all(&bytes[..length]).is_err() {
                return;
            }
        }
    });
    let mut bytes = [0; 65536];
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        let is_turn = bytes[..length].windows(12).any(|window| window == b"outbox.turn(");
        if is_turn && turns.fetch_add(1, Ordering::SeqCst) % 4 == 3 {
            cutting.store(true, Ordering::SeqCst);
            cuts.fetch_add(1, Ordering::SeqCst);
        }
        if server.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = answers.join();
}

#[test]
fn a_worker_that_was_stopped_reports_the_truth_late() {
    setting!(gateway, place, database, Settings { delay: Duration::from_secs(2), ..Settings::default() });
    enqueue(&database, 8, 4);
    let stopped = place.start(&format!("work --threads 4 --queue {}", database.url()));
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    stopped.signal("STOP");
    let other = place.start(&format!("work --threads 4 --queue {}", database.url()));
    database.wait_for("SELECT unknown FROM outbox.status", "4");
    assert_eq!(database.psql("SELECT count(*) FROM outbox.unknown WHERE lost"), "4");
    database.wait_for("SELECT sum(messages) FROM outbox.outcomes WHERE outcome = 'accepted'", "4");
    stopped.signal("CONT");
    database.wait_for("SELECT sum(messages) FROM outbox.outcomes WHERE outcome = 'accepted'", "8");
    assert_each_once(&gateway, 8);
    for worker in [stopped, other] {
        worker.signal("TERM");
        assert_eq!(worker.wait().code, Some(0));
    }
    assert_eq!(database.psql("SELECT workers FROM outbox.status"), "0");
}

#[test]
fn an_expired_token_pauses_all_workers_and_loses_nothing() {
    setting!(gateway, place, database);
    enqueue(&database, 60, 60);
    let mut place = place;
    let right = gateway.token().to_owned();
    place.set("INSTAGRAM_ACCESS_TOKEN", "hmat_live_wrong");
    let workers: Vec<Running> =
        (0..2).map(|_| place.start(&format!("work --threads 4 --queue {}", database.url()))).collect();
    database.wait_for(
        "SELECT count(*) FROM outbox.status WHERE paused_until > now() + interval '20 s' AND sending = 0",
        "1",
    );
    for worker in workers {
        worker.signal("TERM");
        assert_eq!(worker.wait().code, Some(0));
    }
    assert!(gateway.counts().requests <= 8);
    assert_eq!(database.psql("SELECT ready FROM outbox.status"), "60");
    place.set("INSTAGRAM_ACCESS_TOKEN", &right);
    database.psql(&format!("SELECT outbox.resume('{ACCOUNT}')"));
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
    assert_each_once(&gateway, 60);
}

#[test]
fn unknown_messages_are_accepted_or_sent_again_by_a_person() {
    setting!(gateway, place, database);
    gateway.plan_fault(PlannedFault { fault: Fault::LostBefore, count: Some(2), user: None });
    place.write("a.csv", csv(4, 4));
    let queue = format!("--queue {}", database.url());
    place.run(&format!("send a.csv --threads 1 {queue}")).expect(3);
    let unknown = place.run(&format!("unknown list {queue}")).expect(0).lines();
    assert_eq!(unknown.len(), 2);
    let id = |place: usize| unknown[place]["id"].as_i64().unwrap();
    place.run(&format!("unknown resend {} {queue}", id(0))).expect(0);
    place.run(&format!("unknown resend {} {queue}", id(0))).expect(2);
    place.run(&format!("unknown accept {} {queue}", id(1))).expect(0);
    // The key belongs to the new message now.
    place.run(&format!("send a.csv {queue}")).expect(0);
    assert_each_once(&gateway, 3);
    assert_eq!(database.psql("SELECT outbox.purge('0 s')"), "5");
}

#[test]
fn only_the_unknown_messages_of_the_file_are_sent_again() {
    setting!(gateway, place, database);
    let queue = format!("--queue {}", database.url());
    place.write("a.csv", csv(2, 2));
    place.write("b.csv", csv(5, 5).replace("text ", "other ").replace("key-", "other-"));
    for file in ["b.csv", "a.csv"] {
        gateway.plan(Fault::LostBefore);
        place.run(&format!("send {file} --threads 1 {queue}")).expect(3);
    }
    place.run(&format!("send a.csv --resend-unknown {queue}")).expect(0);
    assert_each_once(&gateway, 6);
    assert_eq!(database.psql("SELECT count(*) FROM outbox.unknown"), "1");
}

#[test]
fn purging_keeps_the_key_of_an_unknown_message() {
    setting!(gateway, place, database);
    let queue = format!("--queue {}", database.url());
    gateway.plan(Fault::LostBefore);
    place.write("a.csv", csv(1, 1));
    place.run(&format!("send a.csv {queue}")).expect(3);
    assert_eq!(database.psql("SELECT outbox.purge('0 s')"), "0");
    place.run(&format!("send a.csv {queue}")).expect(3);
    assert_eq!(book(&gateway).len(), 0);
    assert_eq!(database.psql("SELECT count(*) FROM outbox.unknown"), "1");
}

#[test]
fn a_pause_without_an_end_is_rejected() {
    setting!(gateway, place, database);
    let account = gateway.account_id();
    let refused = format!(
        "DO $$ BEGIN PERFORM outbox.pause('{account}', 'infinity', 'a test'); RAISE 'it was accepted';
         EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$"
    );
    database.psql(&refused);
    enqueue(&database, 2, 2);
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
    assert_each_once(&gateway, 2);
}

#[test]
fn a_gateway_that_is_down_fails_no_message() {
    setting!(gateway, place, database);
    enqueue(&database, 40, 40);
    gateway.plan(Fault::Down);
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
    assert_each_once(&gateway, 40);
    assert_eq!(outcomes(&database), "accepted 40");
}

#[test]
fn a_pause_is_announced_once_and_counts_until_somebody_ends_it() {
    setting!(gateway, place, database);
    enqueue(&database, 3, 3);
    database.psql(&format!("SELECT outbox.pause('{ACCOUNT}', now() + interval '10 min', 'maintenance')"));
    let worker = place.start(&format!("work --until-empty --queue {}", database.url()));
    worker.wait_for_error("pausing 9 min 59 s");
    // Meanwhile the worker asks the database several times.
    let seen = "SELECT count(*) FROM outbox.worker WHERE seen_at > started_at + interval '3 s'";
    database.wait_for(seen, "1");
    database.psql(&format!("SELECT outbox.resume('{ACCOUNT}')"));
    let ended = worker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("pausing").count(), 1, "{}", ended.stderr);
    assert!(ended.pauses() >= 3.0, "{}", ended.stderr);
}

#[test]
fn late_messages_expire_and_scheduled_ones_wait() {
    setting!(gateway, place, database);
    database
        .psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'late', expires_at => now() + interval '1 ms')"));
    database
        .psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '82', 'soon', not_before => now() + interval '1 s')"));
    database.psql("SELECT pg_sleep(0.01)");
    let cancelled =
        format!("SELECT outbox.cancel(outbox.enqueue_text('{ACCOUNT}', '83', 'cancelled', key => 'taken-back'))");
    assert_eq!(database.psql(&cancelled), "t");
    let ended = place.run(&format!("work --until-empty --results - --queue {}", database.url())).expect(2);
    assert_eq!(book(&gateway).into_keys().collect::<Vec<_>>(), ["soon"]);
    assert_eq!(outcomes(&database), "accepted 1, cancelled 1, expired 1");
    // What is settled without a send has its line, too, and it is the line that the queue lists.
    let unsent = |lines: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
        lines.into_iter().filter(|line| line["outcome"] != "accepted").collect()
    };
    let lines = unsent(ended.lines());
    assert_eq!(lines, unsent(place.run(&format!("results --queue {}", database.url())).lines()));
    assert_eq!((lines[0]["outcome"].as_str(), lines[0]["recipient_id"].as_str()), (Some("expired"), Some("81")));
    assert_eq!((lines[1]["outcome"].as_str(), lines[1]["key"].as_str()), (Some("cancelled"), Some("taken-back")));
    let id = lines[0]["id"].as_i64().unwrap();
    let ended = place.run(&format!("retry {id} --expires 1h --queue {}", database.url())).expect(0);
    assert!(ended.stderr.contains(&format!("message {id}: queued again as message ")), "{}", ended.stderr);
    place.run(&format!("retry {id} --queue {}", database.url())).expect(2);
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
    assert_eq!(book(&gateway)["late"], 1);
}

#[test]
fn a_time_in_the_wrong_unit_is_refused() {
    setting!(_gateway, place, database);
    for (argument, expected) in [
        ("not_before => to_timestamp(1795525332108)", "to_timestamp() takes seconds, not milliseconds"),
        ("expires_at => to_timestamp(1795525)", "which looks like another unit"),
    ] {
        let error = database
            .try_psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'never', {argument})"))
            .expect_err(argument);
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(place.counts(&database.url())["queued"], 0);
}

#[test]
fn it_works_through_pgbouncer_in_transaction_mode() {
    setting!(gateway, place, database);
    let Some(bouncer) = Bouncer::start(&place, &database) else { return };
    place.write("a.csv", csv(900, 50));
    let url = format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", bouncer.port, database.name);
    place.run(&format!("add a.csv --queue {url}")).expect(0);
    let workers: Vec<Running> =
        (0..3).map(|_| place.start(&format!("work --until-empty --threads 4 --queue {url}"))).collect();
    for worker in workers {
        let ended = worker.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert_each_once(&gateway, 900);
    assert_in_order(&gateway);
    place.run(&format!("status --queue {url}")).expect(0);
}

struct Bouncer {
    port: u16,
    _running: Running,
}

impl Bouncer {
    fn start(place: &Place, database: &Database) -> Option<Bouncer> {
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| std::path::Path::new(path).exists());
        let Some(program) = program else {
            assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "pgbouncer is not installed");
            println!("not run: pgbouncer is not installed");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        place.write(
            "pgbouncer.ini",
            format!(
                "[databases]\n{} = host={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n",
                database.name,
                shared()?.socket_folder().display()
            ),
        );
        // It refuses root.
        std::process::Command::new("chmod").arg("755").arg(place.folder.path()).status().unwrap();
        let file = place.path("pgbouncer.ini").display().to_string();
        let command = if is_root() {
            // Unlike runuser it stays one process, which ends with the test.
            let user = "--reuid=postgres --regid=postgres --clear-groups";
            place.command_of("setpriv", &format!("{user} {program} {file}"))
        } else {
            place.command_of(program, &file)
        };
        let running = Running::of(command);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Bouncer { port, _running: running })
    }
}

#[test]
fn a_queue_that_is_missing_or_unreachable_has_its_exit_code() {
    setting!(_gateway, place, database);
    place.write("a.csv", csv(1, 1));
    let no_queue = database.url().replace(&database.name, "template1");
    let ended = place.run(&format!("send a.csv --queue {no_queue}")).expect(78);
    assert!(ended.stderr.contains("run `init`"), "{}", ended.stderr);
    place.run("send a.csv --queue postgres://127.0.0.1:1/none").expect(73);
    place.run(&format!("init --queue {}", database.url())).expect(0);
    database.psql("SET ROLE outbox_owner; INSERT INTO outbox.migration VALUES (99)");
    let ended = place.run(&format!("send a.csv --queue {}", database.url())).expect(78);
    assert!(ended.stderr.contains("version 99 of the queue"), "{}", ended.stderr);
}

#[test]
fn a_database_with_another_encoding_is_rejected_and_stays_empty() {
    setting!(_gateway, place, database);
    database.psql("CREATE DATABASE latin1 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    let url = database.url().replace(&database.name, "latin1");
    let ended = place.run(&format!("init --queue {url}")).expect(78);
    assert!(ended.stderr.contains("needs a database with the encoding UTF8, not LATIN1"), "{}", ended.stderr);
    let ended = place.run(&format!("status --queue {url}")).expect(78);
    assert!(ended.stderr.contains("run `init`"), "{}", ended.stderr);
}

#[test]
fn valgrind_finds_no_error_in_the_worker_in_c() {
    if std::process::Command::new("valgrind").arg("--version").output().is_err() {
        assert!(std::env::var_os("HMA_REQUIRE_TOOLS").is_none(), "valgrind is not installed");
        println!("not run: valgrind is not installed");
        return;
    }
    setting!(gateway, place, database);
    // Not all responses arrive.
    gateway.plan_fault(PlannedFault { fault: Fault::LostBefore, count: Some(2), user: None });
    enqueue(&database, 60, 20);
    // Without debug information: the valgrind of Debian 12 gives up on the form that Rust's own archive brings.
    let program = compile(&place, "worker.c", "-lpq -s");
    let options =
        "--quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99";
    let mut worker = place.command_of("valgrind", &format!("{options} {program} --once"));
    worker.env("DATABASE_URL", database.url());
    let worker = Running::of(worker);
    assert!(gateway.wait_for_messages(20, Duration::from_secs(60)));
    // It connects again, too.
    database.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%outbox.turn%'",
    );
    worker.wait().expect(0);
    assert_eq!(outcomes(&database), "accepted 58, unknown 2");
}
