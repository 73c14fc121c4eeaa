//! What a send costs beside a bare socket, plain ureq and libcurl: `cargo bench`, or `make bench` with C programs too.
//!
//! `benches/README.md` says how it measures. `HMA_BENCH_QUICK=1` only tries whether everything runs.

mod support;

use std::env;

use support::report::Report;
use support::sections::{self, Effort};
use support::{allocator, connections, contend, process, record, server};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => server::run(),
        Some("spin") => process::spin(),
        Some("contend") => contend::run(&arguments[1..]),
        // `cargo test` runs it without this.
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => {}
    }
}

type Section = fn(&mut Report, Effort);

fn measure() {
    let effort = Effort { is_quick: env::var_os("HMA_BENCH_QUICK").is_some() };
    // What does not depend on the clock stands first.
    let sections: [(&str, Section); 6] = [
        ("work", sections::work),
        ("memory", sections::memory),
        ("connections", connections::all),
        ("cold", sections::cold_start),
        ("threads", sections::threads),
        ("sequential", sections::sequential),
    ];
    // `cargo bench -- work memory` measures these alone.
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    process::stay_in_place();
    let mut report = Report::default();
    record::say_machine(&mut report);
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            section(&mut report, effort);
        }
    }
    report.finish();
    if let Some(file) = env::var_os("HMA_BENCH_RESULTS") {
        record::write(&report, file.as_ref());
    }
}
