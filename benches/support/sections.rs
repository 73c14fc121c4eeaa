//! The measurements, one function each.

use super::process::{self, Place, Port, Running, Server, Who};
use super::report::{Report, number, optional};
use super::statistics::{Ratio, median};

/// Both ways to send.
const PORTS: [Port; 2] = [Port::Plain, Port::Tls];
const ALL: [Who; 8] =
    [Who::Bare, Who::Rust, Who::Functions, Who::Program, Who::FastProgram, Who::Ureq, Who::UreqTimeout, Who::Libcurl];

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub is_quick: bool,
}

impl Effort {
    pub fn of(self, quick: usize, full: usize) -> usize {
        if self.is_quick { quick } else { full }
    }
}

pub fn there(all: &[Who]) -> Vec<Who> {
    all.iter().copied().filter(|who| who.is_there()).collect()
}

/// Values of every contender, one for each round. The contenders take turns.
pub struct Rounds(Vec<(Who, Vec<f64>)>);

impl Rounds {
    pub fn run<C>(contenders: &mut [(Who, C)], rounds: usize, mut measure: impl FnMut(&mut C) -> f64) -> Rounds {
        let mut values: Vec<(Who, Vec<f64>)> = contenders.iter().map(|(who, _)| (*who, Vec::new())).collect();
        for _ in 0..rounds {
            for ((_, contender), (_, values)) in contenders.iter_mut().zip(&mut values) {
                values.push(measure(contender));
            }
        }
        Rounds(values)
    }

    pub fn of(&self, wanted: Who) -> Option<&[f64]> {
        self.0.iter().find(|(who, _)| *who == wanted).map(|(_, values)| values.as_slice())
    }

    fn ratio(&self, who: Who, to: Who) -> Option<Ratio> {
        Some(Ratio::of(self.of(who)?, self.of(to)?))
    }

    pub fn median_ratio(&self, who: Who, to: Who) -> Option<f64> {
        self.ratio(who, to).map(|ratio| ratio.median)
    }

    /// Each contender's median, and how it compares with the bare socket and with ours in the same rounds.
    fn print(&self, report: &mut Report, unit: &str, is_tls: bool, ours: Who) {
        let ratio = |who, to| {
            self.ratio(who, to).map_or_else(
                || "-".to_owned(),
                |ratio: Ratio| format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high),
            )
        };
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .map(|(who, values)| {
                let title = who.title(is_tls).to_owned();
                vec![title, number(median(values)), ratio(*who, Who::Bare), ratio(ours, *who)]
            })
            .collect();
        report.table(&["", unit, "times the bare socket", "hookmyapp is ... of it"], &rows);
    }
}

/// One thread, one kept connection.
pub fn sequential(report: &mut Report, effort: Effort) {
    let places: &[Place] = if process::can_place() { &[Place::Contender, Place::Server] } else { &[Place::Server] };
    for place in places {
        let server = Server::start(*place);
        for port in PORTS {
            let place_name = match place {
                Place::Server if process::can_place() => "server on another processor",
                Place::Server => "wherever the kernel placed them",
                _ => "server on the same processor",
            };
            report.timed_section(&format!("One send after another, {}, {place_name}", port.scheme()));
            let mut contenders: Vec<(Who, Running)> =
                there(&ALL).into_iter().map(|who| (who, who.start(&server, port))).collect();
            let sends = effort.of(50, 200);
            let order = format!("sends {sends}");
            let rounds = Rounds::run(&mut contenders, effort.of(3, 121), |process| process.microseconds(&order, sends));
            rounds.print(report, "µs a send", port.is_tls(), Who::Rust);
            judge_sequential(report, &rounds, port, place_name);
            if *place != Place::Server || !process::can_place() {
                keep_times(report, &rounds, port.is_tls());
            }
        }
    }
}

fn judge_sequential(report: &mut Report, rounds: &Rounds, port: Port, place_name: &str) {
    let (to_bare, to_libcurl) = if port.is_tls() { (1.22, 0.60) } else { (1.25, 0.72) };
    let scheme = port.scheme();
    let mut judge = |what: &str, limit, ratio| {
        report.time_at_most(&format!("time of a {scheme} send, {what}; {place_name}"), limit, "", ratio);
    };
    judge(&format!("to a {}", Who::Bare.title(port.is_tls())), to_bare, rounds.median_ratio(Who::Rust, Who::Bare));
    judge("C program, to libcurl and cJSON", to_libcurl, rounds.median_ratio(Who::Program, Who::Libcurl));
    let fast = rounds.median_ratio(Who::FastProgram, Who::Libcurl);
    judge("C program with OPT_LEVEL=3, to libcurl and cJSON", to_libcurl, fast);
    judge("C functions, to Rust", 1.02, rounds.median_ratio(Who::Functions, Who::Rust));
}

/// For the picture.
fn keep_times(report: &mut Report, rounds: &Rounds, is_tls: bool) {
    for (who, values) in &rounds.0 {
        let time = median(values);
        if is_tls {
            if let Some(times) = report.times.iter_mut().find(|times| times.0 == who.title(false)) {
                times.2 = Some(time);
            }
        } else {
            report.times.push((who.title(false).to_owned(), time, None));
        }
    }
}

/// Many threads on one client.
pub fn threads(report: &mut Report, effort: Effort) {
    let whos = [Who::Bare, Who::Rust, Who::Functions, Who::Ureq];
    let mut server = Server::start(Place::Server);
    let start = |server: &Server, who: Who| {
        process::ready(&mut process::placed(who.command(server, Port::Plain), Place::Threads))
    };

    report.timed_section("Threads on one client: sends a second, plain, answers at once");
    let awake = process::keep_awake();
    let mut rows = Vec::new();
    for threads in [1, 2, 8, 32] {
        let mut contenders: Vec<_> = whos.iter().map(|who| (*who, start(&server, *who))).collect();
        let sends = effort.of(200, 3200) / threads;
        let order = format!("threads {threads} {sends}");
        let rounds = Rounds::run(&mut contenders, effort.of(2, 15), |process| {
            1_000_000.0 / process.microseconds(&order, sends * threads)
        });
        rows.push(row_of(threads, &rounds, &whos, &number));
    }
    table_of(report, "threads", &whos, &rows);
    drop(awake);

    report.timed_section("Threads on one client: part of what answers after 20 ms allow");
    let _awake = process::keep_awake();
    server.delay(20);
    let mut rows = Vec::new();
    for threads in [2, 8, 32] {
        let mut contenders: Vec<_> = whos.iter().map(|who| (*who, start(&server, *who))).collect();
        let sends = effort.of(5, 50);
        let order = format!("threads {threads} {sends}");
        let rounds = Rounds::run(&mut contenders, effort.of(1, 5), |process| {
            100.0 * 20_000.0 / process.microseconds(&order, sends)
        });
        if threads == 32 {
            let ours = rounds.of(Who::Rust).map(median);
            report.rate_at_least("32 threads, answers after 20 ms: part of the ideal rate", 97.0, " %", ours);
        }
        rows.push(row_of(threads, &rounds, &whos, &|value| format!("{value:.1} %")));
    }
    table_of(report, "threads", &whos, &rows);

    report.section("Connections opened in 100 bursts of all threads at once");
    let mut rows = Vec::new();
    let mut worst: f64 = 0.0;
    for delay in [0, 20] {
        server.delay(delay);
        for threads in [2, 8, 32] {
            let mut cells = vec![format!("{threads} threads, {delay} ms")];
            for who in whos {
                server.traffic();
                let mut process = start(&server, who);
                process.ask(&format!("bursts {threads} {}", if delay == 0 { 100 } else { effort.of(5, 100) }));
                drop(process);
                let opened = server.traffic().connections;
                if matches!(who, Who::Rust | Who::Functions) {
                    worst = worst.max(opened as f64 / threads as f64);
                }
                cells.push(opened.to_string());
            }
            rows.push(cells);
        }
    }
    table_of(report, "threads and latency", &whos, &rows);
    report.at_most("connections for each thread, in bursts", 1.0, "", Some(worst));
}

fn row_of(threads: usize, rounds: &Rounds, whos: &[Who], show: &dyn Fn(f64) -> String) -> Vec<String> {
    let figure = |who: &Who| rounds.of(*who).map_or_else(|| "-".to_owned(), |values| show(median(values)));
    std::iter::once(threads.to_string()).chain(whos.iter().map(figure)).collect()
}

pub fn table_of(report: &mut Report, head: &str, whos: &[Who], rows: &[Vec<String>]) {
    let heads: Vec<&str> = std::iter::once(head).chain(whos.iter().map(|who| who.title(false))).collect();
    report.table(&heads, rows);
}

/// From the start of a process to its first answer.
pub fn cold_start(report: &mut Report, effort: Effort) {
    let server = Server::start(Place::Server);
    for port in PORTS {
        report.timed_section(&format!("Start of the process to its first answer, {}", port.scheme()));
        let whos = there(&[Who::Bare, Who::Rust, Who::Program, Who::FastProgram, Who::Ureq, Who::Libcurl]);
        let mut contenders: Vec<(Who, Who)> = whos.into_iter().map(|who| (who, who)).collect();
        let rounds = Rounds::run(&mut contenders, effort.of(2, 41), |who| {
            process::first_answer(who.command(&server, port)).as_secs_f64() * 1000.0
        });
        let ours = if Who::Program.is_there() { Who::Program } else { Who::Rust };
        rounds.print(report, "ms", port.is_tls(), ours);
        if port.is_tls() {
            let ratio = rounds.median_ratio(Who::Program, Who::Libcurl);
            report.time_at_most("start of a C process to its first TLS answer, to libcurl", 0.30, "", ratio);
        }
    }
}

/// The difference between few and many sends, for each send more.
fn each(effort: Effort, measure: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let (few, many) = (effort.of(5, 20), effort.of(25, 220));
    Some((measure(many)? - measure(few)?) / (many - few) as f64)
}

/// What callgrind counts for each send.
pub fn instructions(who: Who, server: &Server, port: Port, effort: Effort) -> Option<f64> {
    each(effort, |sends| process::instructions(who.command(server, port), sends))
}

/// Work a send that does not depend on the clock: instructions, system calls, allocations.
pub fn work(report: &mut Report, effort: Effort) {
    let server = Server::start(Place::Server);
    let is_counted = |who: &Who| !effort.is_quick || matches!(who, Who::Bare | Who::Rust | Who::Functions);
    for port in PORTS {
        let counted: Vec<Work> =
            there(&ALL).into_iter().filter(is_counted).map(|who| Work::of(who, &server, port, effort)).collect();
        report.section(&format!("Work for each send on a kept connection, {}", port.scheme()));
        let rows: Vec<Vec<String>> = counted.iter().map(|work| work.row(port)).collect();
        report.table(&["", "instructions", "system calls", "allocations", "bytes allocated", "which calls"], &rows);
        let of = |who| counted.iter().find(|work| work.who == who);
        // In a quick run there are none.
        let others: Vec<&Work> = [Who::Ureq, Who::UreqTimeout, Who::Libcurl].into_iter().filter_map(of).collect();
        if let Some(ours) = of(Who::Program).or(of(Who::Rust)).filter(|_| !others.is_empty()) {
            report.say(&format!("\nThe work of \"{}\", divided by that of others:\n", ours.who.title(port.is_tls())));
            let rows: Vec<Vec<String>> = others.into_iter().map(|other| ours.ratios(other, port)).collect();
            report.table(&["", "instructions", "system calls", "allocations", "bytes allocated"], &rows);
        }
        judge_work(report, of, port);
    }
}

fn judge_work<'a>(report: &mut Report, of: impl Fn(Who) -> Option<&'a Work>, port: Port) {
    let scheme = port.scheme();
    if port == Port::Plain {
        for (who, limit) in [(Who::Functions, 32_000.0), (Who::Program, 39_223.0), (Who::FastProgram, 30_882.0)] {
            let claim = format!("instructions of a plain send, {}", who.title(false));
            report.at_most(&claim, limit, "", of(who).and_then(|work| work.instructions));
        }
        let allocations = of(Who::Functions).and_then(|work| work.allocations);
        report.at_most("allocations of a plain send, C functions", 40.0, "", allocations);
    }
    let figure = |figure: fn(&Calls) -> f64| of(Who::Functions).and_then(|work| work.calls.as_ref()).map(figure);
    report.at_most(&format!("system calls of a {scheme} send"), 3.0, "", figure(|calls| calls.all));
    report.at_most(&format!("writes of a {scheme} send"), 1.0, "", figure(|calls| calls.writes));
    report.at_most(&format!("threads started by a {scheme} send"), 0.0, "", figure(|calls| calls.threads));
}

/// What one contender does for each send.
struct Work {
    who: Who,
    instructions: Option<f64>,
    calls: Option<Calls>,
    allocations: Option<f64>,
    bytes: Option<f64>,
}

impl Work {
    fn of(who: Who, server: &Server, port: Port, effort: Effort) -> Work {
        let instructions = instructions(who, server, port, effort);
        let calls = Calls::of(&|| who.command(server, port));
        let (allocations, bytes) = allocations(who, server, port, effort);
        Work { who, instructions, calls, allocations, bytes }
    }

    fn figures(&self) -> [Option<f64>; 4] {
        [self.instructions, self.calls.as_ref().map(|calls| calls.all), self.allocations, self.bytes]
    }

    fn row(&self, port: Port) -> Vec<String> {
        let names = self.calls.as_ref().map_or_else(|| "-".to_owned(), |calls| calls.names.clone());
        let title = self.who.title(port.is_tls()).to_owned();
        [title].into_iter().chain(self.figures().map(optional)).chain([names]).collect()
    }

    fn ratios(&self, other: &Work, port: Port) -> Vec<String> {
        let ratio = |(ours, theirs): (Option<f64>, Option<f64>)| optional(ours.zip(theirs).map(|(one, two)| one / two));
        let title = other.who.title(port.is_tls()).to_owned();
        [title].into_iter().chain(self.figures().into_iter().zip(other.figures()).map(ratio)).collect()
    }
}

/// Rust contenders count themselves; of C programs valgrind counts.
fn allocations(who: Who, server: &Server, port: Port, effort: Effort) -> (Option<f64>, Option<f64>) {
    if who.program().is_some() {
        let heap = |sends| process::heap(who.command(server, port), sends);
        return (each(effort, |sends| Some(heap(sends)?.0)), each(effort, |sends| Some(heap(sends)?.1)));
    }
    let mut process = who.start(server, port);
    process.ask("sends 20");
    let counted = process.ask("allocations 200");
    let mut figures = counted.split(' ').map(|figure| figure.parse::<f64>().ok().map(|figure| figure / 200.0));
    (figures.next().flatten(), figures.next().flatten())
}

/// System calls for each send.
struct Calls {
    all: f64,
    writes: f64,
    threads: f64,
    names: String,
}

impl Calls {
    fn of(command: &dyn Fn() -> std::process::Command) -> Option<Calls> {
        // One call more at the start of one of them must not show.
        let (few, many) = (100, 600);
        let before = process::system_calls(command(), few)?;
        let after = process::system_calls(command(), many)?;
        let mut each: Vec<(String, f64)> = after
            .into_iter()
            .map(|(name, calls)| {
                let calls = (calls - before.get(&name).unwrap_or(&0.0)) / (many - few) as f64;
                (name, (calls * 100.0).round() / 100.0)
            })
            .filter(|(_, calls)| *calls > 0.0)
            .collect();
        each.sort_by(|one, other| one.0.cmp(&other.0));
        let sum = |names: &[&str]| each.iter().filter(|one| names.contains(&one.0.as_str())).map(|one| one.1).sum();
        Some(Calls {
            all: each.iter().map(|one| one.1).sum(),
            writes: sum(&["write", "writev", "sendto", "sendmsg"]),
            threads: sum(&["clone", "clone3"]),
            names: each.iter().map(|(name, calls)| format!("{} {name}", number(*calls))).collect::<Vec<_>>().join(", "),
        })
    }
}

/// Memory at its peak, whether it grows with the number of sends, and what a kept connection holds.
pub fn memory(report: &mut Report, effort: Effort) {
    let mut server = Server::start(Place::Server);
    let (few, many) = (effort.of(100, 1000), effort.of(1000, 10_000));
    report.section(&format!("Peak memory in MiB over {} TLS sends", number(many as f64)));
    let mut rows = Vec::new();
    for who in there(&ALL) {
        let mut process = who.start(&server, Port::Tls);
        process.ask(&format!("sends {few}"));
        let early = process.memory("VmHWM") / 1024.0;
        process.ask(&format!("sends {}", many - few));
        let peak = process.memory("VmHWM") / 1024.0;
        let own = process.memory("RssAnon") / 1024.0;
        rows.push(vec![who.title(true).to_owned(), number(early), number(peak), number(own)]);
        if who == Who::Program || (who == Who::Rust && !Who::Program.is_there()) {
            report.at_most("peak memory over all TLS sends", 4.0, " MiB", Some(peak));
            report.at_most("growth of it after the first tenth", 0.0, " MiB", Some(peak - early));
        }
    }
    let heads = ["", &format!("after {}", number(few as f64)), "at the end", "of that not backed by a file"];
    report.table(&heads, &rows);

    // Plain ureq keeps three connections, and closes all others.
    let whos = [Who::Bare, Who::Rust, Who::Functions];
    let connections = effort.of(8, 64);
    report.section(&format!("Memory for each of {connections} kept connections of one client, KiB on the heap"));
    // Long enough for all connections to be there before the first one is free again.
    server.delay(300);
    let mut rows = Vec::new();
    for port in PORTS {
        let mut cells = vec![port.scheme().to_owned()];
        for who in whos {
            let mut process = who.start(&server, port);
            server.traffic();
            let bytes: f64 = process.ask(&format!("connections {connections}")).parse().unwrap();
            assert_eq!(server.traffic().connections, connections, "connections of {who:?}");
            let each = bytes / 1024.0 / connections as f64;
            if who == Who::Functions && port == Port::Tls {
                report.at_most("heap of a kept TLS connection", 48.0, " KiB", Some(each));
            }
            cells.push(number(each));
        }
        rows.push(cells);
    }
    table_of(report, "", &whos, &rows);
}
