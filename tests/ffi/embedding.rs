//! Inside a host process: C programs in which the library meets signals, forks, threads and the limits of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::support::artefacts::{BOTH, Linked, Program, artefacts, compile, compiler_for};
use crate::support::fault_server::{Entry, FaultServer, Script, Step, accepted, answer};
use crate::support::header::Header;
use crate::support::refusing::Refusing;
use crate::support::tls::Authority;
use crate::support::tools;
use crate::support::wait::wait_until;
use rustls::ServerConfig;
use tempfile::TempDir;

const CONNECT: &str = "12";
const LOST: &str = "31";

// Programs

/// A program of these sources in tests/c and of what the embedding programs share, in a folder that goes when it does;
/// `None` without the tools to make it.
fn program(sources: &[&str], linked: Linked) -> Option<(Program, TempDir)> {
    if !tools::is_there(&tools::compiler("CC", "cc")[0]) || artefacts().is_none() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<_> =
        sources.iter().chain(&["embedding.c"]).map(|name| tools::file("tests/c").join(name)).collect();
    Some((compile(&compiler_for(&sources[0]), &sources, linked, folder.path()), folder))
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a program has printed, which has ended well and had nothing to complain of.
fn printed(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", tools::shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn run(program: &Program, arguments: &[&str]) -> String {
    let mut command = program.command();
    command.args(arguments);
    printed(start(command))
}

// Servers

/// What a test needs for servers of one kind, and the file that their clients trust.
struct Kind<'a> {
    tls: Option<Arc<ServerConfig>>,
    ca_file: &'a str,
}

/// Runs a test over plain TCP and over TLS.
fn over_both(test: impl Fn(&Kind<'_>)) {
    let authority = Authority::new();
    for tls in [None, Some(authority.server("127.0.0.1"))] {
        test(&Kind { tls, ca_file: authority.file().to_str().unwrap() });
    }
}

/// A test that connects by name, which only plain TCP can here.
fn over_plain(test: impl Fn(&Kind<'_>)) {
    let authority = Authority::new();
    test(&Kind { tls: None, ca_file: authority.file().to_str().unwrap() });
}

impl Kind<'_> {
    fn server(&self, script_of: impl Fn(usize) -> Script + Send + Sync + 'static) -> FaultServer {
        FaultServer::start_with(self.tls.clone(), Box::new(script_of))
    }

    /// A server that accepts every message.
    fn good_server(&self) -> FaultServer {
        self.server(|_| Vec::new())
    }

    /// With a name that must be looked up; over TLS the address, which the certificate names.
    fn named(&self, server: &FaultServer) -> String {
        let base_url = server.base_url();
        if self.tls.is_some() { base_url } else { base_url.replace("127.0.0.1", "localhost") }
    }
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.text.as_str()).collect()
}

/// Each text once, whatever the order.
fn assert_each_once(entries: &[Entry], expected: usize) {
    let mut texts = texts(entries);
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((entries.len(), texts.len()), (expected, expected), "{texts:?}");
}

// Signals

#[test]
fn reset_during_a_send_raises_no_sigpipe() {
    let programs = BOTH.map(|linked| program(&["embedding_sigpipe.c"], linked));
    over_both(|kind| {
        for (program, _) in programs.iter().flatten() {
            let server = kind.server(|connection| {
                vec![Step::ReadHead, if connection % 4 < 2 { Step::Reset } else { Step::EndAndReset }]
            });
            assert_eq!(run(program, &[&server.base_url(), kind.ca_file]), "alive\n");
            assert_eq!(server.connections(), 24);
            assert_eq!(server.finish().len(), 0);
        }
    });
}

#[test]
fn interrupting_signals_change_no_status_and_repeat_nothing() {
    let Some((program, _folder)) = program(&["embedding_timer.c"], Linked::Shared) else { return };
    over_both(|kind| {
        let silence = kind.server(|_| vec![Step::ReadRequest, Step::Stall]);
        let slowly = || Step::Drip("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned());
        let slow = [Step::ReadRequest, slowly(), Step::Say(accepted())];
        let large = [Step::ReadHead, slowly(), Step::ReadRequest, Step::Say(accepted())];
        let first = [&vec![Step::Serve; 20][..], &slow, &slow, &large].concat();
        let server = kind.server(move |connection| if connection == 0 { first.clone() } else { Vec::new() });
        assert_eq!(run(&program, &[&kind.named(&server), kind.ca_file, &silence.base_url()]), "done\n");
        let numbered = |name: &str, count| (0..count).map(|number| format!("{name} {number}")).collect::<Vec<_>>();
        let expected = [numbered("quick", 20), numbered("slow", 2), vec!["large".to_owned()], numbered("fresh", 100)];
        assert_eq!(texts(&server.finish()), expected.concat());
        assert!(texts(&silence.finish()).iter().all(|text| text.starts_with("silence")));
    });
}

// Forks

#[test]
fn parent_and_children_get_their_own_responses_after_fork() {
    let Some((program, _folder)) = program(&["embedding_fork.c"], Linked::Shared) else { return };
    over_both(|kind| {
        let server = kind.good_server();
        assert_eq!(run(&program, &[&server.base_url(), kind.ca_file]), "done\n");
        let entries = server.finish();
        assert_each_once(&entries, 1 + 100 * 3 * 2);
        let mut processes = BTreeMap::new();
        for entry in &entries {
            let process = if entry.text.starts_with("parent") { "parent" } else { &entry.text[..entry.text.len() - 2] };
            let before = processes.insert(entry.connection, process);
            assert!(before.is_none_or(|before| before == process), "{before:?} and {process} share a connection");
        }
        assert_eq!(processes.len(), 1 + 100 * 2, "a process did not keep its connection");
    });
}

/// Runs a program whose children are forked while other threads are inside a send; checks how many children could send.
fn check_children(
    mode: &str,
    kind: &Kind<'_>,
    base_url: impl Fn(&FaultServer) -> String,
    sent: impl Fn(usize) -> bool,
) {
    let Some((program, _folder)) = program(&["embedding_fork_threads.c"], Linked::Shared) else { return };
    let server = kind.good_server();
    assert_eq!(run(&program, &[&base_url(&server), kind.ca_file, mode]), "done\n");
    let entries = server.finish();
    assert_each_once(&entries, entries.len());
    let of_children = entries.iter().filter(|entry| entry.text.starts_with("child")).count();
    assert!(sent(of_children), "{of_children} children sent");
}

#[test]
fn forked_child_never_hangs_while_threads_send() {
    over_both(|kind| check_children("sending", kind, FaultServer::base_url, |sent| sent == 100));
}

#[test]
fn forked_child_never_hangs_while_a_thread_sends_first() {
    over_both(|kind| check_children("first", kind, FaultServer::base_url, |sent| sent == 100));
}

#[test]
fn forked_child_never_hangs_with_a_twice_inherited_client() {
    over_both(|kind| check_children("heir", kind, FaultServer::base_url, |sent| sent == 100));
}

/// The system's resolver may hang in a child of many threads: the send then ends with the connect timeout.
#[test]
fn forked_child_never_hangs_while_a_thread_resolves_a_name() {
    over_plain(|kind| check_children("name", kind, |server| kind.named(server), |_| true));
}

/// Eight connections are kept; a second request over one of them is answered when the child has come and gone.
fn run_child_that_frees(mode: &str, kind: &Kind<'_>) {
    const CONNECTIONS: usize = 8;
    let Some((program, _folder)) = program(&["embedding_fork_free.c"], Linked::Shared) else { return };
    let server = kind.server(|_| {
        let first = [Step::ReadRequest, Step::WaitForConnections(CONNECTIONS), Step::Say(accepted())];
        [&first[..], &[Step::ReadRequest, Step::Wait, Step::Say(accepted())]].concat()
    });
    let mut command = program.command();
    command.args([&server.base_url(), kind.ca_file, mode]);
    let mut child = start(command);
    let mut freed = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut freed).unwrap_or_else(|_| panic!("no child was freed"));
    server.go_on();
    assert_eq!((&freed, printed(child).as_str()), (b"freed\n", "done\n"));
    assert_eq!(server.connections(), CONNECTIONS, "the parent's connections did not live on");
    assert_eq!(server.finish().len(), CONNECTIONS + if mode == "busy" { 2 } else { 1 });
}

#[test]
fn child_that_frees_an_inherited_client_spares_the_parent() {
    over_both(|kind| run_child_that_frees("idle", kind));
}

#[test]
fn child_that_frees_a_busy_inherited_client_forgets_it() {
    over_both(|kind| run_child_that_frees("busy", kind));
}

#[test]
fn parent_and_child_with_equal_pid_share_no_connection() {
    let Some((program, _folder)) = program(&["embedding_fork_namespace.c"], Linked::Shared) else { return };
    over_both(|kind| {
        for made_by in ["fork", "clone"] {
            let server = kind.good_server();
            let printed = run(&program, &[&server.base_url(), kind.ca_file, made_by]);
            if printed == "not permitted\n" {
                return tools::say_missing("the right to make a pid namespace");
            }
            assert_eq!(printed, "done\n");
            let entries = server.finish();
            assert_each_once(&entries, 60);
            let of_child = |entry: &Entry| entry.text.starts_with("child");
            assert!(entries.iter().all(|entry| entry.connection == usize::from(of_child(entry))), "{entries:?}");
        }
    });
}

// Threads

#[test]
fn threads_on_one_client_get_their_own_responses() {
    let Some((program, _folder)) = program(&["embedding_threads.c"], Linked::Shared) else { return };
    over_both(|kind| {
        // Nobody is answered before all wait, so that all are there at once.
        let server = kind.server(|_| vec![Step::ReadRequest, Step::Wait, Step::Say(accepted())]);
        let mut command = program.command();
        command.args([&server.base_url(), kind.ca_file]);
        let child = start(command);
        wait_until("32 sends are under way", || server.entries().len() == 32);
        server.go_on();
        assert_eq!(printed(child), "800\n");
        assert_eq!(server.connections(), 32);
        assert_each_once(&server.finish(), 800);
    });
}

// Limits of the process

#[test]
fn sockets_in_place_of_standard_streams_get_no_output() {
    let Some((program, _folder)) = program(&["embedding_closed_streams.c"], Linked::Shared) else { return };
    over_both(|kind| {
        let server = kind.server(|_| vec![Step::ReadRequest, Step::Wait, Step::Say(accepted())]);
        let refusing = kind.server(|_| vec![Step::ReadRequest, Step::Say(answer("400 Bad Request", "{}"))]);
        let resetting = kind.server(|_| vec![Step::ReadRequest, Step::Reset]);
        let closed = Refusing::new();
        let nobody = format!("{}://{}/v25.0", if kind.tls.is_some() { "https" } else { "http" }, closed.address());
        let urls = [server.base_url(), refusing.base_url(), resetting.base_url(), nobody];
        let mut command = program.command();
        command.args([&urls[0], kind.ca_file, &urls[1], &urls[2], &urls[3]]);
        let child = start(command);
        wait_until("there is a send on each stream", || server.entries().len() == 3);
        server.go_on();
        assert_eq!(printed(child), "");
        // A byte that is none of a request's would have ended the server.
        assert_each_once(&server.finish(), 30);
        assert_eq!((refusing.finish().len(), resetting.finish().len()), (2, 2));
    });
}

#[test]
fn dns_thread_failure_is_not_sent() {
    let Some((program, _folder)) = program(&["embedding_no_threads.c"], Linked::Shared) else { return };
    over_plain(|kind| {
        let server = kind.good_server();
        assert_eq!(run(&program, &[&server.base_url(), kind.ca_file, &kind.named(&server)]), "done\n");
        assert_eq!(texts(&server.finish()), ["address", "name", "kept"]);
    });
}

#[test]
fn process_without_free_descriptors_sends_nothing_and_recovers() {
    let Some((program, _folder)) = program(&["embedding_descriptors.c"], Linked::Shared) else { return };
    over_both(|kind| {
        let server = kind.good_server();
        assert_eq!(run(&program, &[&server.base_url(), kind.ca_file, &kind.named(&server)]), "done\n");
        let entries = server.finish();
        let texts: Vec<&str> = texts(&entries).into_iter().filter(|text| *text != "one descriptor").collect();
        assert_eq!(texts, ["warm", "kept", "again", "again by name"]);
    });
}

/// What the manual says that a thread needs, in KiB.
const STACK: &str = "64";

#[test]
fn thread_with_64_kib_of_stack_can_call_everything() {
    for linked in BOTH {
        let Some((program, _folder)) = program(&["embedding_small_stack.c"], linked) else { return };
        over_both(|kind| {
            let server = kind.good_server();
            let reason = format!(r#"{{"error":{{"code":100,"message":"{}"}}}}"#, "too long ".repeat(5000));
            let refusing = kind.server(move |_| vec![Step::ReadRequest, Step::Say(answer("400 Bad Request", &reason))]);
            let arguments = [&server.base_url(), kind.ca_file, &refusing.base_url(), STACK];
            assert_eq!(run(&program, &arguments), "done\n");
            assert_eq!(texts(&server.finish()), ["first", "kept"]);
            assert_eq!(texts(&refusing.finish()), ["refused"]);
        });
    }
}

// The environment

#[test]
fn environment_is_read_only_by_documented_functions() {
    let proxies = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    let manual = &header.functions.iter().find(|function| function.name == "hma_client_new").unwrap().doc;
    assert!(proxies.iter().all(|name| manual.contains(name)), "{manual}");
    let made = proxies.iter().flat_map(|name| [name.to_string(), name.to_lowercase()]).collect();
    let for_proxy = BTreeSet::from(["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"].map(str::to_owned));
    for linked in BOTH {
        let Some((program, _folder)) = program(&["embedding_environment.c"], linked) else { return };
        over_both(|kind| {
            let server = kind.good_server();
            let printed = run(&program, &[&server.base_url(), kind.ca_file]);
            let mut calls = BTreeMap::new();
            for (call, names) in printed.lines().filter_map(|line| line.split_once(':')) {
                calls.insert(call, names.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>());
            }
            let mut read = |call| calls.remove(call).unwrap();
            assert_eq!(read("hma_client_new"), made);
            assert_eq!(read("hma_config_from_env_file"), for_proxy);
            for call in ["hma_config_from_env", "hma_client_from_env"] {
                let names = read(call);
                assert!(names.contains("INSTAGRAM_ACCESS_TOKEN") && names.is_superset(&for_proxy), "{call}: {names:?}");
            }
            assert_eq!(calls.len(), 4);
            assert!(calls.values().all(BTreeSet::is_empty), "{calls:?}");
        });
    }
}

// A resolver that hangs

#[test]
fn hanging_dns_lookup_times_out_and_blocks_no_free() {
    for linked in BOTH {
        let Some((program, _folder)) = program(&["embedding_lookup.c", "hanging_getaddrinfo.c"], linked) else {
            return;
        };
        over_plain(|kind| {
            let server = kind.good_server();
            assert_eq!(run(&program, &[&kind.named(&server), kind.ca_file]), "done\n");
            let entries = server.finish();
            let count = |text: &str| entries.iter().filter(|entry| entry.text == text).count();
            assert_eq!((count("one of many"), count("kept"), count("recovered")), (8, 1, 1));
            assert_eq!(entries.len(), 10, "a send that was given up has arrived");
        });
    }
}

// Shutdown

fn shutdown_program() -> Option<(Program, TempDir)> {
    program(&["embedding_shutdown.c", "hanging_getaddrinfo.c"], Linked::Static)
}

/// Lets the program shut its client down once `is_blocked`.
fn shut_down(program: &Program, arguments: &[&str], is_blocked: impl Fn() -> bool) {
    let mut command = program.command();
    command.args(arguments);
    let mut child = start(command);
    wait_until("all sends are blocked", is_blocked);
    drop(child.stdin.take());
    assert_eq!(printed(child), "done\n");
}

#[test]
fn c_shutdown_wakes_sends_that_wait_for_a_response() {
    let Some((program, _folder)) = shutdown_program() else { return };
    over_both(|kind| {
        let blocked = kind.server(|_| vec![Step::ReadRequest, Step::Stall]);
        let arguments = [&blocked.base_url(), kind.ca_file, LOST, "server"];
        shut_down(&program, &arguments, || blocked.entries().len() == 8);
        assert_eq!(texts(&blocked.finish()), ["blocked"; 8]);
    });
}

/// Writing on to a connection that this process itself has shut down raises SIGPIPE, too, unless that is prevented.
#[test]
fn c_shutdown_wakes_large_sends_without_sigpipe() {
    let Some((program, _folder)) = shutdown_program() else { return };
    over_both(|kind| {
        let server = kind.server(|_| vec![Step::ReadHead, Step::StallUnread]);
        let are_blocked = || server.connections() == 8 && (0..8).all(|connection| server.wait_for_script(connection));
        shut_down(&program, &[&server.base_url(), kind.ca_file, LOST, "large"], are_blocked);
        assert_eq!(server.finish().len(), 0, "the whole message fits the buffers: make it larger");
    });
}

#[test]
fn c_shutdown_wakes_sends_in_a_stalled_tls_handshake() {
    let Some((program, _folder)) = shutdown_program() else { return };
    let authority = Authority::new();
    let kind = Kind { tls: Some(authority.server("127.0.0.1")), ca_file: authority.file().to_str().unwrap() };
    let server = kind.server(|_| vec![Step::Stall]);
    let arguments = [&server.base_url(), kind.ca_file, CONNECT, "server"];
    shut_down(&program, &arguments, || server.connections() == 8);
    assert_eq!(server.finish().len(), 0);
}

#[test]
fn c_shutdown_wakes_sends_that_wait_for_a_dns_lookup() {
    let Some((program, _folder)) = shutdown_program() else { return };
    over_plain(|kind| {
        let server = kind.good_server();
        shut_down(&program, &[&kind.named(&server), kind.ca_file, CONNECT, "lookup"], || true);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn shutdown_in_a_child_wakes_no_thread_of_the_parent() {
    let Some((program, _folder)) = shutdown_program() else { return };
    over_both(|kind| {
        for _ in 0..25 {
            let stalling = || vec![Step::ReadRequest, Step::Stall];
            let server = kind.server(move |connection| if connection == 0 { Vec::new() } else { stalling() });
            let arguments = [&server.base_url(), kind.ca_file, LOST, "child"];
            shut_down(&program, &arguments, || server.entries().len() == 9);
            let entries = server.finish();
            let parents: Vec<&Entry> = entries.iter().filter(|entry| entry.text != "blocked").collect();
            assert!(parents.iter().all(|entry| entry.connection == 0), "the parent's connection was shut down");
            assert_eq!(parents.len(), 2);
        }
    });
}

// System calls

/// How often each system call stands between the two of getppid() in what strace wrote.
fn counted_calls(trace: &str) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    let names = trace.lines().filter_map(name_of_call);
    for name in names.skip_while(|name| *name != "getppid").skip(1).take_while(|name| *name != "getppid") {
        *calls.entry(name.to_owned()).or_default() += 1;
    }
    calls
}

/// A line of strace begins with the number of the thread.
fn name_of_call(line: &str) -> Option<&str> {
    let call = line.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start();
    call.split_once('(').map(|(name, _)| name)
}

/// A small write to a connection that is being reset would raise SIGPIPE without this flag.
fn assert_no_write_raises_sigpipe(trace: &str) {
    let mut writes = trace.lines().filter(|line| name_of_call(line) == Some("sendto"));
    assert!(writes.all(|line| line.contains("MSG_NOSIGNAL")), "{trace}");
}

fn trace(program: &Program, arguments: &[&str], folder: &Path) -> BTreeMap<String, usize> {
    let file = folder.join("trace");
    let mut command = program.command_under(&["strace", "-f", "-qq", "-s", "0", "-o", file.to_str().unwrap()]);
    command.args(arguments);
    assert_eq!(printed(start(command)), "done\n");
    let written = std::fs::read_to_string(file).unwrap();
    assert_no_write_raises_sigpipe(&written);
    counted_calls(&written)
}

/// Prints what `cargo test -- --nocapture` shows.
fn print_table(what: &str, sends: usize, calls: &BTreeMap<String, usize>) {
    let all: usize = calls.values().sum();
    println!("{what}: {:.2} system calls a send", all as f64 / sends as f64);
    calls.iter().for_each(|(name, count)| println!("  {name:<14} {:.2}", *count as f64 / sends as f64));
}

#[test]
fn kept_alive_send_makes_one_write_and_three_system_calls() {
    const SENDS: usize = 100;
    let Some((program, folder)) = program(&["embedding_sends.c"], Linked::Shared) else { return };
    if !tools::is_there("strace") {
        return;
    }
    over_both(|kind| {
        let server = kind.good_server();
        let what = if kind.tls.is_some() { "TLS" } else { "plain" };
        let base_url = server.base_url();
        let mut kept = trace(&program, &[&base_url, kind.ca_file, "kept"], folder.path());
        print_table(&format!("{what}, kept connection"), SENDS, &kept);
        let fresh = trace(&program, &[&base_url, kind.ca_file, "fresh"], folder.path());
        print_table(&format!("{what}, new connection"), SENDS, &fresh);

        assert_eq!(kept.get("sendto"), Some(&SENDS), "{kept:?}");
        // The timeouts of a socket are set again only if the machine held a send up.
        assert!(kept.remove("setsockopt").is_none_or(|count| count <= SENDS / 10), "{kept:?}");
        assert!(kept.values().sum::<usize>() <= 3 * SENDS, "{kept:?}");
        for name in ["write", "writev", "sendmsg", "sendmmsg", "clone", "clone3", "socket", "connect"] {
            assert_eq!(kept.get(name), None, "{kept:?}");
        }
        assert_eq!(fresh.get("connect"), Some(&SENDS), "{fresh:?}");
        for name in ["write", "writev", "sendmsg", "sendmmsg", "clone", "clone3"] {
            assert_eq!(fresh.get(name), None, "{fresh:?}");
        }
        drop(server);
    });
}
