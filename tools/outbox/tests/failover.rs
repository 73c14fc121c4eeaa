//! Failovers of PostgreSQL to a replica that has not received everything: what workers keep, report and never repeat.

#![cfg(feature = "postgres")]

mod support;

use std::time::Duration;

use support::postgres::{ACCOUNT, Database, Server, assert_in_order, enqueue, outcomes, setting};
use support::sql_worker::{InHand, NO_TOKEN, SqlWorker};
use support::*;

/// Starts this program, or the worker in C, to work until the queue is empty.
type StartWorker = fn(&Place, &Database<'_>) -> Running;

fn start_worker(place: &Place, database: &Database<'_>) -> Running {
    place.start(&format!("work --until-empty --threads 4 --queue {}", database.url()))
}

fn start_worker_in_c(place: &Place, database: &Database<'_>) -> Running {
    let program = place.path("worker");
    if !program.exists() {
        compile(place, "worker.c", "-lpq");
    }
    let mut worker = place.command_of(program.to_str().unwrap(), "--once");
    worker.env("DATABASE_URL", database.url());
    Running::of(worker)
}

#[test]
fn a_failover_that_forgot_commits_repeats_nothing_of_living_workers() {
    forget_commits(start_worker);
}

#[test]
fn a_failover_that_forgot_commits_repeats_nothing_of_living_workers_in_c() {
    forget_commits(start_worker_in_c);
}

fn forget_commits(start: StartWorker) {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    database.psql(&format!("SELECT outbox.set_account('{ACCOUNT}', rate => 40, burst => 1, lease => '3 s')"));
    enqueue(&database, 160, 160);
    let worker = start(&place, &database);
    assert!(gateway.wait_for_messages(30, Duration::from_secs(30)));
    server.crash_and_copy();
    let known = gateway.counts().messages;
    assert!(known < 90, "the copy knows too much: {known}");
    server.run_again();
    assert!(gateway.wait_for_messages(100, Duration::from_secs(30)));
    server.fail_over_to_copy();
    worker.wait().expect(0);
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
fn a_send_that_outlasts_the_lease_is_not_repeated_by_a_failover_that_forgot_its_claim() {
    forget_a_long_send(start_worker);
}

#[test]
fn a_send_that_outlasts_the_lease_is_not_repeated_by_a_failover_in_c() {
    forget_a_long_send(start_worker_in_c);
}

fn forget_a_long_send(start: StartWorker) {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(9), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 1, 1);
    server.crash_and_copy();
    server.run_again();
    let worker = start(&place, &database);
    assert!(gateway.wait_for_messages(1, Duration::from_secs(30)));
    server.fail_over_to_copy();
    // Another worker would send what is queued once the lease is over.
    let other = start(&place, &database);
    worker.wait().expect(0);
    other.wait().expect(0);
    assert_each_once(&gateway, 1);
    assert_eq!(gateway.counts().requests, 1);
    assert_eq!(outcomes(&database), "accepted 1");
    server.end();
}

#[test]
fn an_id_that_is_given_again_after_a_failover_is_not_settled_by_reports_of_the_forgotten_message() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    server.crash_and_copy();
    server.run_again();
    let add = |text: &str| {
        database.psql(&format!(
            "SELECT string_agg(outbox.enqueue_text('{ACCOUNT}', '8' || n, '{text} ' || n)::text, ' ') FROM generate_series(1, 5) n"
        ))
    };
    let forgotten = add("forgotten");
    let worker = place.start(&format!("work --threads 4 --queue {}", database.url()));
    database.wait_for("SELECT count(*) FROM outbox.settled", "5");
    worker.signal("STOP");
    server.fail_over_to_copy();
    assert_eq!(add("new"), forgotten);
    worker.signal("CONT");
    database.wait_for("SELECT count(*) FROM outbox.settled WHERE outcome = 'accepted' AND claimed_at IS NOT NULL", "5");
    assert_each_once(&gateway, 10);
    assert_eq!(outcomes(&database), "accepted 5");
    worker.signal("TERM");
    let ended = worker.wait().expect(0);
    assert_eq!(ended.stderr.matches("the database has forgotten it").count(), 5, "{}", ended.stderr);
    server.end();
}

#[test]
fn a_message_that_a_failover_forgot_while_it_was_sent_is_stated() {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(2), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    server.crash_and_copy();
    server.run_again();
    enqueue(&database, 1, 1);
    let worker = place.start(&format!("work --until-empty --queue {}", database.url()));
    assert!(gateway.wait_for_messages(1, Duration::from_secs(30)));
    server.fail_over_to_copy();
    let ended = worker.wait().expect(0);
    assert!(ended.stderr.contains("not written: message 1 has status 0 ("), "{}", ended.stderr);
    assert_each_once(&gateway, 1);
    assert_eq!(outcomes(&database), "");
    server.end();
}

#[test]
fn a_worker_behind_a_pooler_has_to_say_hello_after_a_failover() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 2, 2);
    let worker = SqlWorker::start(&database);
    let known = worker.claim_one();
    server.crash_and_copy();
    server.run_again();
    let forgotten = worker.claim_one();
    server.fail_over_to_copy();
    let error = worker.turn("count(id)", 2, "").expect_err("no hello");
    assert!(error.contains("say hello"), "{error}");
    worker.hello(worker.turns.get(), &[&known, &forgotten]);
    assert_eq!(database.psql("SELECT sending FROM outbox.status"), "2");
    for message in [&known, &forgotten] {
        assert_eq!(worker.report(message, 0), "{}");
    }
    assert_eq!(outcomes(&database), "accepted 2");
    server.end();
}

#[test]
fn whatever_a_replica_shows_of_a_message_in_hand_it_is_not_sent_again() {
    setting!(_gateway, place, database);
    let shown = [
        ("state = 'ready', worker = NULL, claim = NULL, claimed_at = NULL, attempts = 0", "in hand"),
        ("state = 'waiting', worker = NULL, claim = NULL, claimed_at = NULL, attempts = 0", "in hand"),
        ("state = 'scheduled', due_at = now(), worker = NULL, claim = NULL", "in hand"),
        ("state = 'retry', due_at = now(), worker = gen_random_uuid(), claim = 900", "in hand"),
        ("state = 'ready', cancelled = true, worker = NULL, claim = NULL", "in hand"),
        ("claim = 0", "in hand"),
        ("worker = gen_random_uuid(), claim = 900", "another's"),
    ];
    for (status, outcome) in [(0, "accepted"), (20, "refused"), (31, "unknown")] {
        for (change, expected) in shown {
            for says_hello in [true, false] {
                let case = format!("{change}, status {status}, hello {says_hello}");
                database.psql("SET ROLE outbox_owner; TRUNCATE outbox.message, outbox.settled, outbox.worker");
                enqueue(&database, 1, 1);
                let worker = SqlWorker::start(&database);
                let in_hand = worker.claim_one();
                database.psql(&format!("UPDATE outbox.message SET {change}"));
                if says_hello {
                    let answered = worker.turns.get();
                    if change != "claim = 0" {
                        // A message with its id, as a replica may give it, is another one.
                        let row = || database.psql("SELECT m::text FROM outbox.message m");
                        let before = row();
                        worker.hello(answered, &[&InHand { token: NO_TOKEN.to_owned(), ..in_hand.clone() }]);
                        assert_eq!(row(), before, "{case}");
                    }
                    worker.hello(answered, &[&in_hand]);
                    let held = format!("worker = '{}' AND claim = {}", worker.id, in_hand.claim);
                    let found = database.psql(&format!(
                        "SELECT state || CASE WHEN {held} THEN ', in hand' ELSE ', another''s' END FROM outbox.message"
                    ));
                    assert_eq!(found, format!("sending, {expected}"), "{case}");
                    assert_eq!(worker.claim(1, "count(id)"), "0", "{case}");
                }
                for _ in 0..2 {
                    assert_eq!(worker.report(&in_hand, status), "{}", "{case}");
                    assert_eq!(outcomes(&database), format!("{outcome} 1"), "{case}");
                }
                assert_eq!(worker.claim(1, "count(id)"), "0", "{case}");
            }
        }
    }
}

#[test]
fn a_message_in_hand_proves_that_the_one_before_it_was_settled() {
    setting!(_gateway, place, database);
    enqueue(&database, 3, 1);
    let worker = SqlWorker::start(&database);
    let first = worker.claim_one();
    worker.report(&first, 0);
    let second = worker.claim_one();
    // As a replica that has not received the first one's result, nor anything of the second one.
    let other = SqlWorker::start(&database);
    database.psql(&format!(
        "SET ROLE outbox_owner; TRUNCATE outbox.settled;
         UPDATE outbox.message SET state = 'waiting', worker = NULL, claim = NULL;
         INSERT INTO outbox.message (id, account_id, token, position, worker, claim, created_at, claimed_at, expires_at, state,
             rank, attempts, recipient, body)
         SELECT {}, account_id, '{}', 1, '{}', 1, created_at, created_at, expires_at, 'sending', rank, 1, recipient, body
         FROM outbox.message LIMIT 1",
        first.id, first.token, other.id
    ));
    worker.hello(worker.turns.get(), &[&second]);
    assert_eq!(database.psql("SELECT id FROM outbox.message WHERE state = 'sending'"), second.id);
    assert_eq!(outcomes(&database), "unknown 1");
    // The worker that has sent the first one reports it again, as it does after a failover.
    assert_eq!(worker.report(&first, 0), "{}");
    assert_eq!(outcomes(&database), "accepted 1");
    assert_eq!(worker.claim(1, "count(id)"), "0");
    worker.report(&second, 0);
    assert_eq!(worker.claim_one().text, "text 2");
}

#[test]
fn the_truth_replaces_what_others_have_closed_meanwhile() {
    setting!(_gateway, place, database);
    let worker = SqlWorker::start(&database);
    let table = [
        ("expired", 0, "accepted"),
        ("cancelled", 20, "refused"),
        ("cancelled", 31, "unknown"),
        ("unknown", 0, "accepted"),
        ("unknown", 20, "unknown"),
        ("accepted", 31, "accepted"),
        ("failed", 0, "failed"),
    ];
    for (closed, status, expected) in table {
        database.psql("SET ROLE outbox_owner; TRUNCATE outbox.message, outbox.settled");
        enqueue(&database, 1, 1);
        let in_hand = worker.claim_one();
        worker.report(&in_hand, 31);
        // By another worker, or by nobody.
        database.psql(&format!("UPDATE outbox.settled SET outcome = '{closed}', worker = NULL, claim = NULL"));
        let unsettled = worker.report(&in_hand, status);
        assert_eq!(outcomes(&database), format!("{expected} 1"), "{closed} {status}");
        let is_said = unsettled != "{}";
        assert_eq!(is_said, closed == expected, "{closed} {status}: {unsettled}");
    }
}

#[test]
fn two_replicas_that_take_over_with_the_same_number_are_told_apart() {
    setting!(_gateway, place, database);
    enqueue(&database, 1, 1);
    let hello = || database.psql(&format!("SELECT timeline FROM outbox.hello('{ACCOUNT}', 'x')"));
    let first = hello();
    assert_eq!(hello(), first);
    assert_eq!(database.psql("SELECT hold_until FROM outbox.account"), "-infinity");
    // As a replica of the server before has it.
    let mut known = vec![first];
    for _ in 0..2 {
        database.psql("UPDATE outbox.account SET timeline = '00000000 before'");
        let timeline = hello();
        assert!(!known.contains(&timeline), "{timeline}");
        assert_eq!(hello(), timeline);
        let worker = SqlWorker::start(&database);
        assert_eq!(worker.claim(1, "count(id)"), "0", "nothing is claimed for a lease");
        known.push(timeline);
    }
}

#[test]
fn failovers_that_forget_commits_keep_the_order_of_what_two_workers_have_in_flight() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(400), ..Settings::default() });
    let place = Place::new(&gateway);
    let Some(server) = Server::start() else { return };
    let database = server.database(&place);
    enqueue(&database, 240, 9);
    let workers: Vec<Running> = (0..2).map(|_| start_worker(&place, &database)).collect();
    for round in 0..2 {
        let received = gateway.counts().messages;
        assert!(gateway.wait_for_messages(received + 20, Duration::from_secs(30)));
        server.crash_and_copy();
        server.run_again();
        let received = gateway.counts().messages;
        assert!(gateway.wait_for_messages(received + 40, Duration::from_secs(30)), "round {round}");
        server.fail_over_to_copy();
    }
    for worker in workers {
        worker.wait().expect(0);
    }
    assert_each_once(&gateway, 240);
    assert_in_order(&gateway);
    assert_eq!(outcomes(&database), "accepted 240");
    server.end();
}
