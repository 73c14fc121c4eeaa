//! Memory stays bounded under load. Linux only: elsewhere nothing says how much a process has.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::thread;

use serde_json::json;

use support::{Line, MESSAGES, Running, TEXT, api, post};

const MIB: u64 = 1024 * 1024;

/// Sends that many small messages over one connection, many at once.
fn flood(line: &mut Line, count: usize) {
    const AT_ONCE: usize = 200;
    let mut writing = line.stream.try_clone().unwrap();
    let requests = post(MESSAGES, TEXT).repeat(AT_ONCE);
    let writer = thread::spawn(move || {
        for _ in 0..count / AT_ONCE {
            writing.write_all(requests.as_bytes()).unwrap();
        }
    });
    for _ in 0..count {
        assert_eq!(line.hear().status, 200);
    }
    writer.join().unwrap();
}

#[test]
fn memory_after_300_000_requests_is_that_of_the_newest_ones() {
    let running = Running::start(&["--headless"]);
    let address = running.address();
    flood(&mut Line::to(address), 100_000);
    let early = running.resident_bytes();
    flood(&mut Line::to(address), 200_000);
    let late = running.resident_bytes();
    assert!(late < 64 * MIB, "{} MiB", late / MIB);
    // Twice as many more would take 250 MiB if nothing were forgotten.
    assert!(late < early + 24 * MIB, "from {} to {} MiB", early / MIB, late / MIB);
    let counts = api(address, "GET", "", None).json()["counts"].clone();
    let expected = json!({
        "requests": 300_000, "messages": 300_000, "duplicates": 299_999, "refused": 0, "forgotten": 290_000
    });
    assert_eq!(counts, expected);
}

#[test]
fn memory_after_200_requests_of_1_mib_is_bounded_by_bytes() {
    let running = Running::start(&["--headless"]);
    let address = running.address();
    let body = TEXT.to_owned() + &" ".repeat(1024 * 1024 - TEXT.len());
    let request = post(MESSAGES, &body);
    let mut line = Line::to(address);
    for _ in 0..200 {
        assert_eq!(line.ask(&request).status, 200);
    }
    assert!(running.resident_bytes() < 96 * MIB, "{} MiB", running.resident_bytes() / MIB);
    let counts = api(address, "GET", "", None).json()["counts"].clone();
    assert_eq!((&counts["requests"], &counts["forgotten"]), (&json!(200), &json!(137)));
}

#[test]
fn memory_is_that_of_the_newest_ones_whatever_connections_they_came_over() {
    let running = Running::start(&["--headless"]);
    let address = running.address();
    // All are open at once: the allocator has memory for each of their threads, and gives none of it back.
    let mut lines: Vec<Line> = (0..16).map(|_| Line::to(address)).collect();
    for line in &mut lines {
        flood(line, 12_000);
    }
    assert!(running.resident_bytes() < 48 * MIB, "{} MiB", running.resident_bytes() / MIB);
}
