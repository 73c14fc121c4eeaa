//! What depends on connections: dead addresses, pauses, bursts, and handshakes.

use std::thread;
use std::time::{Duration, Instant};

use super::process::{self, Place, Port, Running, Server, Who};
use super::report::{Report, number, optional};
use super::resolver;
use super::sections::{Effort, Rounds, instructions, there};
use super::statistics::median;

pub fn all(report: &mut Report, effort: Effort) {
    handshakes(report, effort);
    burst_and_trickle(report, effort);
    sporadic_sends(report, effort);
    dead_address(report, effort);
}

/// A send that opens a TLS connection, as the first one and as a later one.
fn handshakes(report: &mut Report, effort: Effort) {
    // On the contenders' processor, so that the time is that of the work.
    let mut server = Server::start(if process::can_place() { Place::Contender } else { Place::Server });
    server.announce("Connection: close");
    let whos = there(&[Who::BareConnecting, Who::Rust, Who::Program, Who::FastProgram, Who::Libcurl]);
    let sends = effort.of(5, 50);
    let mut sections = Vec::new();
    for (port, title) in [(Port::FreshTls, "full handshake"), (Port::Tls, "resumed TLS session")] {
        report.timed_section(&format!("A send that opens a connection: {title}"));
        let order = format!("sends {sends}");
        let mut contenders: Vec<(Who, Running)> = whos.iter().map(|who| (*who, who.start(&server, port))).collect();
        let rounds = Rounds::run(&mut contenders, effort.of(2, 15), |process| process.microseconds(&order, sends));
        let mut rows = Vec::new();
        for (who, process) in &mut contenders {
            server.traffic();
            process.ask(&order);
            let traffic = server.traffic();
            assert_eq!(traffic.connections, sends + 1, "connections of {who:?}");
            let resumed = if port == Port::Tls { traffic.connections } else { 0 };
            assert_eq!(traffic.resumed, resumed, "resumed sessions of {who:?}");
            let each = |bytes: f64| number(bytes / traffic.connections as f64);
            rows.push(vec![
                who.title(true).to_owned(),
                optional(instructions(*who, &server, port, effort)),
                each(traffic.received),
                each(traffic.sent),
                rounds.of(*who).map_or_else(|| "-".to_owned(), |values| number(median(values))),
            ]);
        }
        report.table(&["", "instructions", "bytes sent", "bytes received", "µs, with the server's work"], &rows);
        sections.push(rounds);
    }
    let ratio = |rounds: &Rounds| rounds.median_ratio(Who::Program, Who::Libcurl);
    report.time_at_most(
        "time of a send with a resumed TLS session, C program, to libcurl and cJSON",
        0.6,
        "",
        ratio(&sections[1]),
    );
}

/// Many threads send at the same moment, and then one alone: how long the connections stay.
fn burst_and_trickle(report: &mut Report, effort: Effort) {
    let mut server = Server::start(Place::Server);
    let (threads, sends) = (effort.of(20, 200), effort.of(6, 10));
    report.section(&format!("{threads} threads send once, then one sends once a second: open connections"));
    // Long enough for all connections to be there before the first one is free again.
    server.delay(300);
    let whos = [Who::RustDefaults, Who::Ureq];
    let mut contenders: Vec<(Who, Running)> =
        whos.into_iter().map(|who| (who, who.start(&server, Port::Plain))).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (who, process) in &mut contenders {
        server.traffic();
        process.ask(&format!("bursts {threads} 1"));
        let opened = server.traffic().connections;
        rows.push(vec![who.title(false).to_owned(), opened.to_string(), process.sockets().to_string()]);
    }
    server.delay(0);
    for _ in 0..sends {
        thread::sleep(Duration::from_secs(1));
        for ((_, process), row) in contenders.iter_mut().zip(&mut rows) {
            process.ask("one");
            row.push(process.sockets().to_string());
        }
    }
    let numbers: Vec<String> = (1..=sends).map(|send| format!("send {send}")).collect();
    let heads = ["", "opened", "after the burst"].into_iter().chain(numbers.iter().map(String::as_str));
    report.table(&heads.collect::<Vec<_>>(), &rows);
    let left = contenders[0].1.sockets() as f64;
    report.at_most(
        &format!("connections that are left {sends} s after a burst of {threads} threads"),
        1.0,
        "",
        Some(left),
    );
}

/// One send each six seconds, to a server that keeps connections for 72 seconds and says so.
fn sporadic_sends(report: &mut Report, effort: Effort) {
    let mut server = Server::start(Place::Server);
    server.announce("Keep-Alive: timeout=72");
    let sends = effort.of(2, 10);
    report.timed_section(&format!(
        "{sends} TLS sends, one each 6 s, to a server that announces `Keep-Alive: timeout=72`"
    ));
    let whos = there(&[Who::Bare, Who::RustDefaults, Who::RustFourSeconds, Who::Ureq, Who::Libcurl]);
    let mut contenders: Vec<(Who, Running, usize)> =
        whos.into_iter().map(|who| (who, who.start(&server, Port::Tls), 1)).collect();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..sends {
        thread::sleep(Duration::from_secs(6));
        for ((_, process, connections), times) in contenders.iter_mut().zip(&mut times) {
            server.traffic();
            times.push(process.microseconds("one", 1));
            *connections += server.traffic().connections;
        }
    }
    let rows: Vec<Vec<String>> = contenders
        .iter()
        .zip(&times)
        .map(|((who, _, connections), times)| {
            vec![who.title(true).to_owned(), connections.to_string(), number(median(times))]
        })
        .collect();
    report.table(&["", "connections", "µs a send"], &rows);
    let ours = contenders.iter().find(|(who, ..)| *who == Who::RustDefaults);
    let connections = ours.map(|(_, _, connections)| *connections as f64);
    report.at_most(
        "connections of sporadic sends to a server that announces how long it keeps them",
        1.0,
        "",
        connections,
    );
}

/// A name whose first address does not answer. Each send opens a connection.
fn dead_address(report: &mut Report, effort: Effort) {
    let mut server = Server::start(Place::Server);
    report.timed_section("A name whose first address does not answer, and a connection for each send");
    let Some(_dead) = resolver::dead_port(server.plain_port()) else {
        return report.say("Left out: it takes the address ::1.");
    };
    server.announce("Connection: close");
    let sends = effort.of(2, 10);
    let mut rows = Vec::new();
    for who in there(&[Who::Rust, Who::Libcurl]) {
        let start = Instant::now();
        let mut process = who.start(&server, Port::Name);
        let first = start.elapsed().as_secs_f64() * 1000.0;
        let times: Vec<f64> = (0..sends).map(|_| process.microseconds("one", 1) / 1000.0).collect();
        rows.push(vec![who.title(false).to_owned(), number(first), number(median(&times))]);
        if who == Who::Rust {
            report.time_at_most("first send to a name whose first address does not answer", 300.0, " ms", Some(first));
            report.time_at_most("a later send to that name", 50.0, " ms", Some(median(&times)));
        }
    }
    report.table(&["", "first send, from the start of the process, ms", "a later send, ms"], &rows);
}
