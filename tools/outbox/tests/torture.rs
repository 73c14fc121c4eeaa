//! `kill -9` under load, judged by the gateway's own books: nothing twice, nothing lost, nothing out of order.
//!
//! `HMA_KILLS` is the number of kills (20). The same program runs for every engine.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use support::*;

const THREADS: usize = 32;
const RECIPIENTS: usize = 200;
/// Added before and during each worker's life; more than one worker can send in it.
const ROWS_A_ROUND: usize = 600;

fn kills() -> usize {
    std::env::var("HMA_KILLS").map_or(20, |kills| kills.parse().expect("HMA_KILLS is a number"))
}

/// The rows of one round: each text has its number, and numbers of a recipient rise.
fn rows(round: usize) -> String {
    (round * ROWS_A_ROUND..(round + 1) * ROWS_A_ROUND)
        .map(|n| format!("{{\"recipient_id\":\"{}\",\"text\":\"{n}\",\"key\":\"{n}\"}}\n", user(n % RECIPIENTS)))
        .collect()
}

/// Adds, works, kills and starts again, then judges. `worker` is a program that works until it is killed, or, if it is
/// asked to, until the queue is empty.
fn torture(place: &Place, gateway: &Simulator, queue: &str, worker: impl Fn(bool) -> Command) {
    let kills = kills();
    let mut random = fastrand::Rng::with_seed(kills as u64);
    for round in 0..kills {
        place.write("rows.ndjson", rows(round));
        let running = Running::of(worker(false));
        // Other programs add meanwhile.
        place.run(&format!("add rows.ndjson --queue {queue}")).expect(0);
        std::thread::sleep(Duration::from_millis(random.u64(0..150)));
        running.signal("KILL");
        let ended = running.wait();
        assert_eq!(ended.code, None, "the worker lives until it is killed: {}", ended.stderr);
    }
    let ended = Running::of(worker(true)).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    judge(place, gateway, queue, kills * ROWS_A_ROUND, kills);
}

/// This program as the worker.
fn work<'a>(place: &'a Place, queue: &'a str) -> impl Fn(bool) -> Command + 'a {
    move |until_empty| {
        let until_empty = if until_empty { "--until-empty" } else { "" };
        place.command(&format!("work {until_empty} --threads {THREADS} --rate 0 --quiet --queue {queue}"))
    }
}

fn judge(place: &Place, gateway: &Simulator, queue: &str, rows: usize, kills: usize) {
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    let mut out_of_order = 0;
    for received in gateway.received().iter().filter(|received| received.got_it) {
        let body = received.json().expect("a body");
        let number: usize = body["message"]["text"].as_str().expect("a text").parse().expect("a number");
        *times.entry(number).or_insert(0) += 1;
        let user = body["recipient"]["id"].as_str().expect("a recipient").to_owned();
        out_of_order += usize::from(last.insert(user, number).is_some_and(|before| before > number));
    }
    let outcomes: BTreeMap<usize, String> = place
        .run(&format!("results --queue {queue}"))
        .expect(0)
        .lines()
        .iter()
        .map(|line| {
            let body_number = line["key"].as_str().expect("a key").parse().expect("a number");
            (body_number, line["outcome"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let twice = times.values().filter(|times| **times > 1).count();
    let unknown = outcomes.values().filter(|outcome| *outcome == "unknown").count();
    let arrived_unknown =
        outcomes.iter().filter(|(number, outcome)| *outcome == "unknown" && times.contains_key(number)).count();
    let is_explained = |number: &usize| match outcomes.get(number).map(String::as_str) {
        Some("accepted") => times.contains_key(number),
        Some("unknown") => true,
        _ => false,
    };
    let lost = (0..rows).filter(|number| !is_explained(number)).count();
    println!(
        "{kills} kills, {rows} messages, {} arrived: {twice} twice, {lost} lost, {out_of_order} out of order; \
         {unknown} unknown, of which {arrived_unknown} had arrived",
        times.len()
    );
    assert_eq!((twice, lost, out_of_order), (0, 0, 0));
    assert!(unknown <= kills * THREADS, "{unknown} unknown of {kills} kills");
    assert!(unknown > 0, "no kill met a send: the test shows nothing");
    assert_eq!(outcomes.len(), rows);
    let stray = times.keys().filter(|number| !outcomes.contains_key(number)).count();
    assert_eq!(stray, 0, "messages arrived that are not in the queue");
    let kinds: BTreeSet<&String> = outcomes.values().collect();
    assert!(kinds.iter().all(|kind| ["accepted", "unknown"].contains(&kind.as_str())), "{kinds:?}");
}

fn slow_gateway() -> Simulator {
    gateway_with(Settings { delay: Duration::from_millis(20), ..Settings::default() })
}

#[test]
fn kills_under_load_repeat_lose_and_reorder_nothing_with_sqlite() {
    let gateway = slow_gateway();
    let place = Place::new(&gateway);
    place.run("init --queue q.db").expect(0);
    torture(&place, &gateway, "q.db", work(&place, "q.db"));
    let integrity: String = application(&place.path("q.db"))
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("the check runs");
    assert_eq!(integrity, "ok");
}

#[cfg(feature = "postgres")]
#[test]
fn kills_under_load_repeat_lose_and_reorder_nothing_with_postgresql() {
    let gateway = slow_gateway();
    let place = Place::new(&gateway);
    let Some(server) = support::postgres::shared() else { return };
    let url = server.database(&place).url();
    torture(&place, &gateway, &url, work(&place, &url));
}

#[cfg(feature = "postgres")]
#[test]
fn kills_under_load_repeat_lose_and_reorder_nothing_with_the_worker_in_c() {
    let gateway = slow_gateway();
    let place = Place::new(&gateway);
    let Some(server) = support::postgres::shared() else { return };
    let url = server.database(&place).url();
    let program = compile(&place, "worker.c", "-lpq");
    torture(&place, &gateway, &url, |until_empty| {
        let mut command = place.command_of(&program, if until_empty { "--once" } else { "" });
        command.env("DATABASE_URL", &url);
        command
    });
}
