//! What the page takes: how soon a message is a bubble, and how soon a click is answered while all processors are busy.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hookmyapp_simulator::Simulator;
use serde_json::{Value, json};

use super::support::browser::Browser;
use super::support::{MESSAGES, USER, post, text_to};
use super::{BODY, holds, read_responses};

const CALM: Duration = Duration::from_secs(10);
const CALM_A_SECOND: u32 = 50;
const FULL: Duration = Duration::from_secs(15);
const CONNECTIONS: usize = 8;

/// Notes when the bubble of each numbered text was in the document, in milliseconds since 1970.
const WATCH: &str = r##"
    window.seen = {};
    new MutationObserver((changes) => {
        const now = performance.timeOrigin + performance.now();
        for (const change of changes) for (const node of change.addedNodes)
            for (const [, number] of (node.textContent || "").matchAll(/number (\d+)\./g)) window.seen[number] ??= now;
    }).observe(document.getElementById("log"), { childList: true, subtree: true });
"##;

/// Clicks on the tabs, each time a quarter of a second after the last click was answered, and notes the time from when a
/// click was due to the frame that shows it: a page that is busy when the click is due counts as a person feels it.
const CLICK: &str = r##"
    window.took = [];
    const tabs = ["tab-faults", "tab-wire"];
    let due = performance.now();
    const next = () => {
        document.getElementById(tabs[window.took.length % 2]).click();
        requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = () => {
                window.took.push(performance.now() - due);
                due = performance.now() + 250;
                setTimeout(next, 250);
            };
            channel.port2.postMessage(0);
        });
    };
    next();
"##;

/// Prints the figures of the page, or that there is no browser.
pub fn print() {
    for measure in [bubbles, full_load] {
        let simulator = Simulator::start().unwrap();
        let Some(browser) = Browser::open(&format!("{}/", simulator.url())) else {
            println!("the page                    skipped: chromium or chromedriver is missing");
            return;
        };
        browser.wait_text("#status", "connected");
        measure(simulator.address(), &browser);
    }
}

fn bubbles(address: SocketAddr, browser: &Browser) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut buffer = Vec::new();
    let mut send = |number: u32| {
        let body = text_to(USER, &format!("number {number}.")).to_string();
        stream.write_all(post(MESSAGES, &body).as_bytes()).unwrap();
        read_responses(&mut stream, &mut buffer, 1);
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
    };
    send(0);
    browser.wait_text("#log .bubble", "number 0.");
    browser.run(WATCH, json!([]));
    let started = Instant::now();
    let count = CALM_A_SECOND * u32::try_from(CALM.as_secs()).unwrap();
    let answered: HashMap<u32, f64> = (1..=count)
        .map(|number| {
            thread::sleep((started + number * Duration::from_secs(1) / CALM_A_SECOND) - Instant::now());
            (number, send(number))
        })
        .collect();
    browser.wait_text("#log .bubble", &format!("number {count}."));
    let seen = browser.run("return window.seen", json!([]));
    let mut took: Vec<f64> = answered
        .iter()
        .map(|(number, answered)| seen[number.to_string()].as_f64().expect("every message is a bubble") - answered)
        .collect();
    let (median, late) = (part(&mut took, 50), part(&mut took, 95));
    println!(
        "answer to bubble, {CALM_A_SECOND}/s     {median:>9.0} ms median, {late:.0} ms p95 of {count}   {}",
        holds(late <= 200.0, "p95 200 ms")
    );
}

fn full_load(address: SocketAddr, browser: &Browser) {
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).unwrap();
                let (request, mut buffer) = (post(MESSAGES, BODY), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(request.as_bytes()).unwrap();
                    read_responses(&mut stream, &mut buffer, 1);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        browser.run(CLICK, json!([]));
        thread::sleep(FULL);
        stop.store(true, Ordering::Relaxed);
    });
    let took = browser.run("return window.took", json!([]));
    let mut took: Vec<f64> = took.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(!took.is_empty(), "no click was answered");
    let (median, late, longest) = (part(&mut took, 50), part(&mut took, 95), part(&mut took, 100));
    println!(
        "click to frame, full load {median:>9.0} ms median, {late:.0} ms p95, {longest:.0} ms longest of {}   {}",
        took.len(),
        holds(median <= 100.0 && late <= 1000.0, "100 ms, p95 1 s")
    );
    let heap = browser.heap_mib();
    println!("heap of the page          {heap:>9.1} MiB   {}", holds(heap <= 80.0, "80 MiB"));
    let skipped = browser.run("return skippedInAll", json!([]));
    println!(
        "sends meanwhile           {:>9}   {skipped} skipped by the page and counted, {} bubbles",
        count.load(Ordering::Relaxed),
        browser.count("#log .bubble")
    );
}

/// The value that this percentage of all do not exceed.
fn part(all: &mut [f64], percentage: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    all[(all.len() * percentage).div_ceil(100) - 1]
}
