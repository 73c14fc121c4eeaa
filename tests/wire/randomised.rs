//! Random sends against random faults from many threads: the client's ledger is compared with the server's.
//!
//! `HMA_TEST_SENDS` sets the number of sends (10 000), `HMA_TEST_SEED` the seed, which a failure names.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::fault_server::{Entry, FaultServer, Script, Step, accepted, answer, answer_with};
use crate::support::samples::{ACCOUNT_ID, USER};
use crate::support::tls::Authority;
use fastrand::Rng;
use hookmyapp::{Client, Config, Delivery, Error, Response};

const THREADS: usize = 8;
/// The deadline of every send. No send may take a second more.
const TIMEOUT: Duration = Duration::from_millis(700);
const LATE: Duration = Duration::from_millis(1700);
/// An answer that no send asked for.
const FOREIGN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"message_id\":\"other\"}";

/// What the client knows about a send.
struct Record {
    text: String,
    outcome: Result<Response, Error>,
    took: Duration,
}

#[test]
fn ledgers_agree_after_random_faults_over_plain_tcp() {
    run(Security::Plain);
}

#[test]
fn ledgers_agree_after_random_faults_over_tls() {
    run(Security::Tls);
}

#[derive(Clone, Copy, Debug)]
enum Security {
    Plain,
    Tls,
}

fn run(security: Security) {
    let seed = setting("HMA_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let sends = setting("HMA_TEST_SENDS").unwrap_or(10_000) as usize / 2;
    let authority = Authority::new();
    let settings = match security {
        Security::Plain => None,
        Security::Tls => Some(authority.server("127.0.0.1")),
    };
    let server = FaultServer::start_with(settings, Box::new(move |connection| random_script(seed, connection)));
    let config = Config::new(&server.base_url(), ACCOUNT_ID, "token");
    let client = Client::new(&config.ca_file(authority.file()).timeout(TIMEOUT)).unwrap();
    let records = send_all(&client, sends, seed);
    drop(client);
    let entries = server.finish();
    let problems = compare(&records, &entries);
    let shown = &problems[..problems.len().min(20)];
    assert!(
        problems.is_empty(),
        "{} problems in {sends} sends over {security:?}, HMA_TEST_SEED={seed}:\n{}",
        problems.len(),
        shown.join("\n")
    );
    assert_all_classes_came(&records, seed);
}

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn send_all(client: &Client, sends: usize, seed: u64) -> Vec<Record> {
    let next = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            let mut random = Rng::with_seed(seed ^ (number as u64) << 32);
            thread::spawn(move || {
                let mut records = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < sends {
                    records.push(send(&client, &format!("{number}-{}", records.len()), &mut random));
                }
                records
            })
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

/// Most messages fit one write, some do not.
fn send(client: &Client, text: &str, random: &mut Rng) -> Record {
    let padding = if random.u8(..20) == 0 { "x".repeat(random.usize(..300_000)) } else { String::new() };
    let body = format!(r#"{{"recipient":{{"id":"{USER}"}},"message":{{"text":"{text}"}},"padding":"{padding}"}}"#);
    let begin = Instant::now();
    let outcome = client.send_json(&body);
    Record { text: text.to_owned(), outcome, took: begin.elapsed() }
}

// The faults

/// Some good exchanges, then a fault, and so on until one ends the connection.
fn random_script(seed: u64, connection: usize) -> Script {
    let mut random = Rng::with_seed(seed.wrapping_add(connection as u64));
    let mut script = Script::new();
    while !script.last().is_some_and(ends_the_connection) {
        script.extend(vec![Step::Serve; random.usize(..8)]);
        script.extend(random_fault(&mut random));
    }
    script
}

fn ends_the_connection(last: &Step) -> bool {
    use Step::{Close, CloseNotice, CloseWithoutNotice, HangUp, Reset, ResetAfter, Stall};
    matches!(last, Close | CloseNotice | CloseWithoutNotice | HangUp | Reset | ResetAfter(_) | Stall)
}

fn random_fault(random: &mut Rng) -> Script {
    let end = random.choice([Step::Close, Step::CloseWithoutNotice, Step::HangUp, Step::Reset]).unwrap();
    let request = Step::ReadRequest;
    let say = |text: String| Step::Say(text);
    let good = accepted();
    let cut = |random: &mut Rng| say(good[..random.usize(..good.len() - "{text}\"}".len())].to_owned());
    match random.u8(..24) {
        0..=2 => vec![end],
        3..=5 => vec![Step::ResetAfter(random.u32(..30_000))],
        6 => vec![Step::Handshake, end],
        7 => vec![Step::ReadHead, end],
        8 => vec![request, end],
        9 => vec![request, cut(random), end],
        10 => vec![request, say("no HTTP\r\n\r\n".to_owned()), end],
        11 => vec![request, Step::SayRaw("\u{17}\u{3}\u{3}\0\u{4}abcd".to_owned()), end],
        12 => vec![Step::ReadHead, say(answer("401 Unauthorized", r#"{"message":"early"}"#)), end],
        13 => vec![request, say(refusal("400 Bad Request", "Content-Length: {length}\r\n"))],
        14 => vec![request, say(refusal("500 Oops", "Content-Length: {length}\r\nConnection: close\r\n")), end],
        15 => vec![request, say(answer_with("200 OK", "Connection: close\r\n", r#"{"message_id":"{text}"}"#)), end],
        16 => vec![request, Step::SayTogether(vec![good, FOREIGN.to_owned()])],
        17 => vec![request, Step::SayHalfOf(good, FOREIGN.to_owned())],
        18 => vec![request, say(format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", answer("404 Not Found", "{}")))],
        19 => vec![Step::Serve, Step::CloseNotice],
        20 => vec![request, say(answer("302 Found", "{}"))],
        21 if random.u8(..4) == 0 => vec![request, Step::Stall],
        22 if random.u8(..4) == 0 => vec![request, Step::Drip("HTTP/1.1 200 OK\r\n".repeat(20))],
        23 if random.u8(..4) == 0 => vec![Step::Stall],
        _ => vec![Step::Serve, end],
    }
}

fn refusal(status: &str, headers: &str) -> String {
    answer_with(status, headers, r#"{"error":{"message":"{text}","code":100}}"#)
}

// The ledgers

fn compare(records: &[Record], entries: &[Entry]) -> Vec<String> {
    let mut received: HashMap<&str, usize> = HashMap::new();
    for entry in entries {
        *received.entry(&entry.text).or_default() += 1;
    }
    let mut problems: Vec<String> = records
        .iter()
        .filter_map(|record| {
            let times = received.remove(record.text.as_str()).unwrap_or(0);
            let problem = problem(record, times)?;
            Some(format!("{}: {problem}; the server read it {times} times: {:?}", record.text, record.outcome))
        })
        .collect();
    problems.extend(received.keys().map(|text| format!("{text}: the server read it, but nobody sent it")));
    problems
}

fn problem(record: &Record, times: usize) -> Option<&'static str> {
    if times > 1 {
        return Some("delivered twice");
    }
    if record.took > LATE {
        return Some("came back too late");
    }
    match &record.outcome {
        Ok(_) if times == 0 => Some("accepted, but never read"),
        Ok(sent) if sent.message_id() != Some(&record.text) => Some("the answer to another send"),
        Ok(_) => None,
        Err(error) if error.delivery() == Delivery::NotSent && times > 0 => Some("\"not sent\", but read"),
        Err(error) => {
            let words = error.response().and_then(Response::error_message);
            let is_foreign = words.is_some_and(|words| words != record.text && words != "early");
            is_foreign.then_some("the refusal of another send")
        }
    }
}

/// A run that met no fault would prove nothing.
fn assert_all_classes_came(records: &[Record], seed: u64) {
    let count = |delivery: Option<Delivery>| {
        let is_of_it = |record: &&Record| record.outcome.as_ref().err().map(Error::delivery) == delivery;
        records.iter().filter(is_of_it).count()
    };
    let counts = [None, Some(Delivery::NotSent), Some(Delivery::Rejected), Some(Delivery::Unknown)].map(count);
    println!("accepted, not sent, rejected, unknown: {counts:?}");
    if records.len() >= 1000 {
        assert!(counts[0] > 0 && counts[2] > 0 && counts[3] > 0, "{counts:?}, HMA_TEST_SEED={seed}");
    }
}
