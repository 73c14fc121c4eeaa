//! A contender's process (`contend NAME ADDRESS CA_FILE`): sends once, says "ready", and then does what
//! standard input asks, one line of answer for each line.

use std::io::{self, Write};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::allocator::count;
use super::contenders::{Contender, Sender, Task, contender};

pub fn run(arguments: &[String]) {
    let [name, address, ca_file] = arguments else { panic!("contend NAME ADDRESS CA_FILE") };
    let task = Task { address: address.clone(), ca_file: (!ca_file.is_empty()).then(|| ca_file.into()) };
    let contender = contender(name, task.clone());
    let mut sender = contender.sender();
    sender();
    say("ready".to_owned());
    for line in io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().unwrap();
        say(match words[0] {
            "sends" => {
                // Wakes the server.
                sender();
                nanoseconds(time(number(1), &mut sender))
            }
            "one" => nanoseconds(time(1, &mut sender)),
            "threads" => nanoseconds(threads(&*contender, number(1), number(2))),
            "bursts" => nanoseconds(bursts(&*contender, number(1), number(2))),
            "allocations" => {
                let ((), count) = count(|| (0..number(1)).for_each(|_| sender()));
                format!("{} {}", count.allocations, count.bytes)
            }
            "connections" => held_connections(name, &task, number(1)).to_string(),
            other => panic!("cannot do {other}"),
        });
    }
}

fn say(line: String) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn nanoseconds(time: Duration) -> String {
    time.as_nanos().to_string()
}

fn time(sends: usize, sender: &mut Sender<'_>) -> Duration {
    let start = Instant::now();
    (0..sends).for_each(|_| sender());
    start.elapsed()
}

/// Time in which each thread sends so often, once all have their connection.
fn threads(contender: &dyn Contender, threads: usize, sends: usize) -> Duration {
    let barrier = Barrier::new(threads + 1);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut sender = contender.sender();
                sender();
                barrier.wait();
                (0..sends).for_each(|_| sender());
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

/// Time of so many bursts, in each of which all threads send once, at the same moment.
fn bursts(contender: &dyn Contender, threads: usize, bursts: usize) -> Duration {
    let barrier = Barrier::new(threads);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut sender = contender.sender();
                for _ in 0..bursts {
                    barrier.wait();
                    sender();
                }
            });
        }
    });
    start.elapsed()
}

/// Bytes that so many connections of one new contender hold, all of them in use at the same moment before.
fn held_connections(name: &str, task: &Task, connections: usize) -> i64 {
    let contender = contender(name, task.clone());
    let (_senders, count) = count(|| {
        let senders = Mutex::new(Vec::with_capacity(connections));
        let barrier = Barrier::new(connections);
        thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut sender = contender.sender();
                    barrier.wait();
                    sender();
                    senders.lock().unwrap().push(sender);
                });
            }
        });
        senders
    });
    count.held
}
