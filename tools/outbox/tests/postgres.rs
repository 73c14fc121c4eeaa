//! The PostgreSQL engine, with a real server: many workers, lost connections, rights, and what stays true meanwhile.

#![cfg(feature = "postgres")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::postgres::{ACCOUNT, Database, Server, assert_in_order, enqueue, is_root, outcomes, setting, shared};
use support::sql_worker::{InHand, NO_TOKEN, SqlWorker};
use support::*;

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
    // It is the same worker, and all that it sends is still its own.
    database.wait_for("SELECT string_agg(session::text, ' ') FROM outbox.worker", "2");
    let held = "SELECT count(*) FROM outbox.message m JOIN outbox.worker w ON w.id = m.worker
                WHERE m.state = 'sending' AND w.gone_at IS NULL";
    assert_eq!(database.psql(held), "4");
    worker.wait().expect(0);
    assert_each_once(&gateway, 4);
    assert_eq!(outcomes(&database), "accepted 4");
}

#[test]
fn a_turn_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    setting!(gateway, place, database);
    enqueue(&database, 600, 100);
    let proxy = CuttingProxy::start("outbox.turn(", |count| count % 4 == 3);
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

/// Lets the server execute and commit a statement, and cuts the connection instead of its answer.
struct CuttingProxy {
    port: u16,
    cuts: Arc<AtomicU32>,
}

impl CuttingProxy {
    /// Before the shared server, for statements with this text; `cuts` says of the how manieth answer, from 0.
    fn start(text: &'static str, cuts: fn(u32) -> bool) -> CuttingProxy {
        let socket = shared().unwrap().socket_folder().join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = CuttingProxy { port: listener.local_addr().unwrap().port(), cuts: Arc::default() };
        let cut = Arc::clone(&proxy.cuts);
        let statements = Arc::new(AtomicU32::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&socket).unwrap();
                let (cut, statements) = (Arc::clone(&cut), Arc::clone(&statements));
                let is_cut = move |bytes: &[u8]| {
                    let is_it = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                    let is_cut = is_it && cuts(statements.fetch_add(1, Ordering::SeqCst));
                    cut.fetch_add(u32::from(is_cut), Ordering::SeqCst);
                    is_cut
                };
                std::thread::spawn(move || carry(client, server, is_cut));
            }
        });
        proxy
    }
}

fn carry(mut client: TcpStream, mut server: UnixStream, is_cut: impl Fn(&[u8]) -> bool) {
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
        if is_cut(&bytes[..length]) {
            cutting.store(true, Ordering::SeqCst);
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

#[test]
fn a_burst_that_lasts_longer_than_an_hour_is_still_a_limit() {
    setting!(_gateway, place, database);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 0.01, burst => 50)"));
    enqueue(&database, 200, 200);
    let worker = SqlWorker::start(&database);
    assert_eq!(worker.claim(100, "count(id)"), "50");
    assert_eq!(worker.claim(100, "count(id)"), "0");
}

#[test]
fn a_clock_that_was_set_back_delays_no_longer_than_the_burst_lasts() {
    setting!(_gateway, place, database);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 10, burst => 5)"));
    enqueue(&database, 20, 20);
    let worker = SqlWorker::start(&database);
    // As after sends at a clock that was 50 minutes ahead.
    database.psql(
        "SELECT setval(rate_clock, (extract(epoch FROM clock_timestamp() + interval '50 minutes') * 1000000)::bigint)
         FROM outbox.account",
    );
    let wait: u32 = worker.claim(5, "max(wait_ms)").parse().unwrap();
    assert!(wait <= 101, "{wait} ms");
}

#[test]
fn init_and_set_account_change_only_what_they_name() {
    setting!(_gateway, place, database);
    let settings = || {
        database.psql("SELECT format('%s %s %s %s %s', coalesce(rate::text, 'none'), burst, lease, max_attempts, keep_body) FROM outbox.account")
    };
    database.psql(&format!(
        "SELECT outbox.set_account('{ACCOUNT}', rate => 10, burst => 7, lease => '90 s', max_attempts => 3, keep_body => false)"
    ));
    place.run(&format!("init --queue {}", database.url())).expect(0);
    assert_eq!(settings(), "10 7 00:01:30 3 f");
    place.run(&format!("init --rate 20 --queue {}", database.url())).expect(0);
    assert_eq!(settings(), "20 7 00:01:30 3 f");
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', keep_body => true)"));
    assert_eq!(settings(), "20 7 00:01:30 3 t");
    place.run(&format!("init --rate 0 --queue {}", database.url())).expect(0);
    assert_eq!(settings(), "none 7 00:01:30 3 t");
}

#[test]
fn a_burst_that_nobody_has_set_follows_the_rate() {
    setting!(_gateway, place, database);
    enqueue(&database, 100, 100);
    let worker = SqlWorker::start(&database);
    for (rate, burst) in [(300, 30), (20, 2), (3, 1)] {
        place.run(&format!("init --rate {rate} --queue {}", database.url())).expect(0);
        database.psql("SELECT setval(rate_clock, 1) FROM outbox.account");
        assert_eq!(worker.claim(50, "count(id)"), burst.to_string(), "rate {rate}");
    }
}

#[test]
fn a_turn_that_saw_only_dead_messages_is_asked_again_at_once() {
    setting!(_gateway, place, database);
    database.psql(&format!(
        "SELECT count(outbox.enqueue_text('{ACCOUNT}', '8' || n, 'old', expires_at => now() + interval '1 ms'))
         FROM generate_series(1, 120) n"
    ));
    database.psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', 'fresh')"));
    let worker = SqlWorker::start(&database);
    let answer = || worker.claim(1, "format('%s %s %s', count(id), max(wait_ms), max(cardinality(closed)))");
    assert_eq!(answer(), "0 0 50");
    assert_eq!(answer(), "0 0 50");
    assert_eq!(answer(), "1  20");
}

#[test]
fn workers_are_refused_unless_they_read_what_is_committed() {
    setting!(_gateway, place, database);
    enqueue(&database, 1, 1);
    let worker = SqlWorker::start(&database);
    for level in ["repeatable read", "serializable"] {
        for call in [
            format!("outbox.turn('{}', 1, 1, 1)", worker.id),
            format!("outbox.hello('{ACCOUNT}', 'x')"),
            format!("outbox.bye('{}')", worker.id),
        ] {
            let caught = database.psql(&format!(
                "BEGIN ISOLATION LEVEL {level}; CREATE TEMP TABLE caught (text text) ON COMMIT DROP;
                 DO $$ DECLARE hint text; BEGIN PERFORM {call};
                 EXCEPTION WHEN SQLSTATE '25000' THEN GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                 INSERT INTO caught VALUES (SQLERRM || ' ' || hint); END $$;
                 SELECT text FROM caught; COMMIT"
            ));
            assert!(caught.contains("isolation level") && caught.contains("ALTER ROLE"), "{call}: {caught}");
        }
    }
    let name = &database.name;
    database.psql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"));
    let ended = place.run(&format!("work --until-empty --queue {}", database.url())).expect(78);
    assert!(ended.stderr.contains("read committed"), "{}", ended.stderr);
    assert_eq!(database.psql("SELECT ready FROM outbox.status"), "1");
    database.psql(&format!("ALTER DATABASE {name} RESET default_transaction_isolation"));
    place.run(&format!("work --until-empty --queue {}", database.url())).expect(0);
}

#[test]
fn applications_add_at_every_isolation_level_and_keep_the_order() {
    setting!(_gateway, place, database);
    database.psql("CREATE SEQUENCE gate");
    let worker = SqlWorker::start(&database);
    let add = |text: &str| format!("SELECT outbox.enqueue_text('{ACCOUNT}', '81', '{text}', key => '{text}')");
    for (n, level) in (1..).zip(["read committed", "repeatable read", "serializable"]) {
        let slow = format!(
            "BEGIN ISOLATION LEVEL {level}; SELECT outbox.look(0), setval('gate', {n} * 10); {wait}; {add}; COMMIT",
            wait = format_args!(
                "DO $$ BEGIN WHILE (SELECT last_value FROM gate) = {n} * 10 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
            ),
            add = add(&format!("second {n}")),
        );
        let first = std::thread::scope(|scope| {
            let application = scope.spawn(|| database.psql(&slow));
            database.wait_for("SELECT last_value FROM gate", &format!("{n}0"));
            // The snapshot of the application has no message, and this one is under way when its own comes.
            database.psql(&add(&format!("first {n}")));
            let first = worker.claim_one();
            assert_eq!(first.text, format!("first {n}"));
            database.psql("SELECT nextval('gate')");
            application.join().unwrap();
            first
        });
        assert_eq!(worker.claim(5, "count(id)"), "0", "{level}");
        worker.report(&first, 0);
        let second = worker.claim_one();
        assert_eq!(second.text, format!("second {n}"));
        worker.report(&second, 0);
    }
    assert_eq!(outcomes(&database), "accepted 6");
}

#[test]
fn a_hello_whose_answer_is_lost_is_repeated_and_keeps_what_is_in_flight() {
    setting!(gateway, place, database, Settings { delay: Duration::from_secs(6), ..Settings::default() });
    enqueue(&database, 2, 1);
    // The second hello, after the connection was lost.
    let proxy = CuttingProxy::start("outbox.hello(", |count| count == 1);
    let url = format!("postgres://postgres@127.0.0.1:{}/{}?sslmode=disable", proxy.port, database.name);
    let worker = place.start(&format!("work --until-empty --threads 2 --queue {url}"));
    assert!(gateway.wait_for_messages(1, Duration::from_secs(30)));
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'hookmyapp-outbox' AND datname = current_database()";
    assert_eq!(database.psql(cut), "1");
    worker.wait().expect(0);
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 1);
    assert_each_once(&gateway, 2);
    let received = gateway.received();
    let gap = received[1].at_ms - received[0].at_ms;
    assert!(gap >= 6000, "the second message overtook the first one after {gap} ms");
}

#[test]
fn a_hello_is_repeated_with_the_next_session_and_an_older_one_is_refused() {
    setting!(_gateway, place, database);
    enqueue(&database, 3, 3);
    let worker = SqlWorker::start(&database);
    let held = worker.claim_one();
    // Its answer is lost, as are those of two hellos after it.
    let lost = worker.claim_one();
    for _ in 0..3 {
        worker.hello(1, &[&held]);
        assert_eq!(database.psql("SELECT format('%s %s', ready, sending) FROM outbox.status"), "2 1");
    }
    worker.session.set(2);
    assert!(worker.turn("count(id)", 1, "").expect_err("an old session").contains("say hello"));
    let old = format!("SELECT outbox.hello('{ACCOUNT}', 'x', '{}', 3, 1)", worker.id);
    assert!(database.try_psql(&old).expect_err("an old session").contains("a later session"));
    worker.session.set(4);
    assert_eq!(worker.report(&held, 0), "{}");
    // It was not sent, and is claimed once more.
    let again = worker.claim(3, "string_agg(id::text, ' ' ORDER BY id)");
    assert!(again.split(' ').any(|id| id == lost.id), "{again}");
    assert_eq!(database.psql("SELECT count(*) FROM outbox.worker"), "1");
}

#[test]
fn a_report_with_another_token_changes_nothing_and_says_so() {
    setting!(_gateway, place, database);
    enqueue(&database, 5, 5);
    let worker = SqlWorker::start(&database);
    let in_hand: Vec<InHand> = (0..3).map(|_| worker.claim_one()).collect();
    database
        .psql(&format!("UPDATE outbox.message SET state = 'retry', due_at = 'infinity' WHERE id = {}", in_hand[1].id));
    worker.report(&in_hand[2], 31);
    database.psql("UPDATE outbox.settled SET lost = true");
    let everything = || {
        database.psql(
            "SELECT string_agg(m::text, E'\n' ORDER BY id) FROM outbox.message m
             UNION ALL SELECT string_agg(s::text, E'\n' ORDER BY id) FROM outbox.settled s",
        )
    };
    let before = everything();
    let statuses = [0, 20, 31, 10, 12, 22, -1];
    for (message, status) in in_hand.iter().flat_map(|message| statuses.map(|status| (message, status))) {
        let other = InHand { token: NO_TOKEN.to_owned(), ..message.clone() };
        assert_eq!(worker.report(&other, status), format!("{{{}}}", message.id));
        assert_eq!(everything(), before, "status {status} of {}", message.text);
        // An earlier claim of the same message: what was not sent then says nothing about this one.
        let earlier = InHand { claim: "0".to_owned(), ..message.clone() };
        if matches!(status, 10 | 12 | 22 | -1) {
            assert_eq!(worker.report(&earlier, status), format!("{{{}}}", message.id));
            assert_eq!(everything(), before, "status {status} of an earlier claim of {}", message.text);
        }
    }
    assert_eq!(worker.report(&in_hand[0], 0), "{}");
    assert_eq!(worker.report(&in_hand[0], 0), "{}", "a repeated report is known");
    assert_eq!(outcomes(&database), "accepted 1, unknown 1");
}

#[test]
fn an_open_transaction_that_cancels_holds_up_its_recipient_alone() {
    setting!(_gateway, place, database);
    database.psql("CREATE SEQUENCE gate");
    enqueue(&database, 4, 1);
    let worker = SqlWorker::start(&database);
    let mut in_flight = worker.claim_one();
    assert_eq!(worker.claim(4, "count(id)"), "0");
    for (end, next) in [("ROLLBACK", "text 1"), ("COMMIT", "text 3")] {
        let after = &in_flight.id;
        let open = format!(
            "BEGIN; SELECT outbox.cancel((SELECT min(id) FROM outbox.message WHERE id > {after})), setval('gate', 10);
             DO $$ BEGIN WHILE (SELECT last_value FROM gate) = 10 AND clock_timestamp() < now() + interval '20 s'
             LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; {end}"
        );
        std::thread::scope(|scope| {
            let application = scope.spawn(|| database.psql(&open));
            database.wait_for("SELECT last_value FROM gate", "10");
            assert_eq!(worker.report(&in_flight, 0), "{}");
            database.psql(&format!("SELECT outbox.enqueue_text('{ACCOUNT}', '9' || {after}, 'to another')"));
            assert_eq!(worker.claim(4, "string_agg(body::json #>> '{message,text}', ' ')"), "to another");
            assert!(!application.is_finished(), "the worker waited for the application");
            database.psql("SELECT nextval('gate')");
            application.join().unwrap();
        });
        let begun = Instant::now();
        in_flight = loop {
            if let Some(claimed) = worker.try_claim_one() {
                break claimed;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing comes after {end}");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(in_flight.text, next, "{end}");
        database.psql("SELECT setval('gate', 1)");
    }
    assert_eq!(worker.report(&in_flight, 0), "{}");
    assert_eq!(outcomes(&database), "accepted 3, cancelled 1");
}

#[test]
fn a_report_whose_answer_is_lost_counts_once() {
    setting!(_gateway, place, database);
    enqueue(&database, 1, 1);
    let worker = SqlWorker::start(&database);
    let in_hand = worker.claim_one();
    let row = || database.psql("SELECT format('%s %s', state, attempts) FROM outbox.message");
    for _ in 0..3 {
        assert_eq!(worker.report(&in_hand, 12), "{}");
        assert_eq!(row(), "retry 1");
        // The worker does not know what became of its report: for it the message is still in hand.
        worker.hello(worker.turns.get(), &[&in_hand]);
        assert_eq!(row(), "retry 1");
    }
    assert_eq!(database.psql("SELECT trouble FROM outbox.account"), "1");
}
