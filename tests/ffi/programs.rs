//! C and C++ programs, compiled by the system's compilers and linked with the library that `make` makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::artefacts::{
    BOTH, Linked, Program, artefacts, compile, compiler_for, libraries, private_libraries,
};
use crate::support::environment::lead_to;
use crate::support::gateway::{Gateway, Received};
use crate::support::header::Header;
use crate::support::samples::USER;
use crate::support::webhook::SECRET;
use crate::support::{gateway, tools};
use serde_json::json;
use tempfile::TempDir;

/// The library, if the tools to make it and programs are there.
pub fn has_tools() -> bool {
    let words = [tools::compiler("CC", "cc"), tools::compiler("CXX", "c++")];
    words.iter().all(|words| tools::is_there(&words[0])) && artefacts().is_some()
}

/// A program of one source, in a folder that goes when the program does.
pub fn program(source: &str, linked: Linked) -> (Program, TempDir) {
    let (folder, source) = (tempfile::tempdir().unwrap(), tools::file(source));
    let program = compile(&compiler_for(&source), &[source], linked, folder.path());
    (program, folder)
}

/// Does this with a program that is linked in both ways, if the tools are there; the folder holds the program.
fn each_linked(source: &str, check: impl Fn(&Program, &Path)) {
    for linked in BOTH.into_iter().filter(|_| has_tools()) {
        let (program, folder) = program(source, linked);
        check(&program, folder.path());
    }
}

/// A `.env` file that leads to the gateway, and warns.
fn env_file(gateway: &Gateway, folder: &Path) -> PathBuf {
    let path = folder.join("with warning.env");
    fs::write(&path, gateway.env_lines() + "INSTAGRAM_USER_ID=17841499999999999\n").unwrap();
    path
}

fn lead<'a>(command: &'a mut Command, gateway: &Gateway) -> &'a mut Command {
    lead_to(gateway, command).env("WEBHOOK_HMAC_SECRET", SECRET)
}

/// What the header of the made library declares.
fn made_header() -> Header {
    Header::parse(&fs::read_to_string(artefacts().unwrap().folder.join("hookmyapp.h")).unwrap())
}

// What was made

#[test]
fn shared_library_exports_exactly_the_declared_functions() {
    if !has_tools() || !tools::is_there("nm") || cfg!(target_os = "macos") {
        return;
    }
    let library = artefacts().unwrap().folder.join("libhookmyapp.so");
    let symbols = tools::run(Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(library));
    let mut exported: Vec<&str> = symbols.lines().map(|line| line.split(' ').next().unwrap()).collect();
    exported.sort_unstable();
    assert_eq!(exported, made_header().function_names());
}

#[test]
fn shared_library_has_its_soname_and_stays_loaded() {
    if !has_tools() || !tools::is_there("readelf") || cfg!(target_os = "macos") {
        return;
    }
    let folder = &artefacts().unwrap().folder;
    let dynamic = tools::run(Command::new("readelf").arg("-dW").arg(folder.join("libhookmyapp.so")));
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let interface = if major == "0" { format!("0.{minor}") } else { major.to_owned() };
    assert!(dynamic.contains(&format!("Library soname: [libhookmyapp.so.{interface}]")), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(folder.join(format!("libhookmyapp.so.{interface}")).exists());
}

#[test]
fn headers_beside_the_library_are_the_committed_ones() {
    if !has_tools() {
        return;
    }
    for name in ["hookmyapp.h", "hookmyapp.hpp"] {
        let beside = fs::read_to_string(artefacts().unwrap().folder.join(name)).unwrap();
        assert!(beside == tools::read(Path::new("include").join(name)), "{name}");
    }
}

#[test]
fn static_link_line_is_what_rustc_reports() {
    let line = private_libraries().join(" ");
    let in_manual = tools::read("docs/install.md")
        .lines()
        .any(|text| text.contains("libhookmyapp.a") && libraries(text) == libraries(&line));
    assert!(in_manual, "no line of docs/install.md links libhookmyapp.a with {line}");
    if !has_tools() {
        return;
    }
    match &artefacts().unwrap().private_libraries {
        Some(reported) => assert_eq!(libraries(&line), libraries(reported)),
        None => eprintln!("not compared with rustc's: HMA_LIBRARY_DIR is set, so that nothing was built here"),
    }
}

// Test programs

#[test]
fn every_c_function_works() {
    each_linked("tests/c/every_function.c", |program, folder| {
        let gateway = Gateway::start().unwrap();
        let mut command = program.command();
        command.arg(env_file(&gateway, folder));
        assert_eq!(tools::run(lead(&mut command, &gateway)), "done\n");
        check_what_every_function_sent(&gateway);
    });
}

/// What only the other end can see.
fn check_what_every_function_sent(gateway: &Gateway) {
    let received = gateway.received();
    assert_eq!(received.len(), 29);
    let bodies: Vec<_> = received.iter().filter_map(Received::json).collect();
    assert_eq!(bodies.len(), 28, "one was a GET");
    assert_eq!(bodies[0], json!({"recipient": {"id": USER}, "message": {"text": "Grüße"}}));
    assert_eq!(bodies[1], json!({"recipient": {"id": "1"}, "message": {"text": "raw"}}));
    assert!(received[2].path.ends_with("/message_attachments"), "{}", received[2].path);
    let quick_replies = bodies[3]["message"]["quick_replies"].as_array().unwrap();
    assert_eq!(quick_replies.len(), 4);
    assert_eq!(quick_replies[1], json!({"content_type": "text", "title": "M", "payload": ""}));
    let kinds = |name: &str| bodies.iter().filter(|body| body.get(name).is_some()).count();
    assert_eq!((kinds("sender_action"), kinds("tag")), (5, 1));
    assert_eq!(bodies[17]["recipient"], json!({"comment_id": "17900000000000001"}));
    let refused = received.iter().filter(|request| !request.answer.is_success());
    assert_eq!(refused.map(|request| request.answer.status).collect::<Vec<_>>(), [400, 401]);
}

#[test]
fn c_program_calls_every_function_of_the_header() {
    let program = tools::read("tests/c/every_function.c");
    for name in Header::parse(&tools::read("include/hookmyapp.h")).function_names() {
        assert!(program.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn eight_threads_share_a_client_and_a_message() {
    each_linked("tests/c/threads.c", |program, _| {
        let gateway = Gateway::start().unwrap();
        assert_eq!(tools::run(lead(&mut program.command(), &gateway)), "200\n");
        assert_eq!(gateway.received().len(), 200);
    });
}

#[test]
fn valgrind_finds_no_error_in_every_c_function() {
    if !tools::is_there("valgrind") {
        return;
    }
    let kinds = "definite,indirect,possible";
    let (kinds_shown, kinds_failing) =
        (format!("--show-leak-kinds={kinds}"), format!("--errors-for-leak-kinds={kinds}"));
    let valgrind = ["valgrind", "--quiet", "--leak-check=full", &kinds_shown, &kinds_failing, "--error-exitcode=99"];
    each_linked("tests/c/every_function.c", |program, folder| {
        let gateway = Gateway::start().unwrap();
        let mut command = program.command_under(&valgrind);
        command.arg(env_file(&gateway, folder));
        let output = lead(&mut command, &gateway).output().unwrap();
        assert!(output.status.success() && output.stdout == b"done\n", "{}", tools::shown(&output));
    });
}

// C++

#[test]
fn every_cpp_function_works() {
    each_linked("tests/c/every_function.cpp", |program, folder| {
        let gateway = Gateway::start().unwrap();
        let mut command = program.command();
        command.arg(env_file(&gateway, folder));
        assert_eq!(tools::run(lead(&mut command, &gateway)), "done\n");
        let shown = |request: &gateway::Received| String::from_utf8(request.body.clone()).unwrap();
        assert!(gateway.received().iter().all(|request| !shown(request).contains("cut")), "a text was cut");
    });
}

/// Every standard, and the oldest and newest with optimisation, too, which takes the longest.
const CPP_BUILDS: [(&str, &str); 6] = [
    ("-std=c++11", "-O0"),
    ("-std=c++14", "-O0"),
    ("-std=c++17", "-O0"),
    ("-std=c++20", "-O0"),
    ("-std=c++11", "-O2"),
    ("-std=c++20", "-O2"),
];

/// `windows.h` defines both, unless it is told not to.
const MIN_MAX: &str = "#define min(a, b) (((a) < (b)) ? (a) : (b))\n#define max(a, b) (((a) > (b)) ? (a) : (b))\n";
const STANDARD_HEADERS: &str = "#include <chrono>\n#include <memory>\n#include <new>\n#include <stdexcept>\n#include <string>\n#include <utility>\n#include <vector>\n";
const FIRST_UNIT: &str = "
uint32_t second();
int main() {
    hma::config config(\"http://127.0.0.1:9/v25.0\", \"1\", \"t\");
    config.timeout(std::chrono::seconds(3)).keep_alive(std::chrono::hours(1));
    const hma::result done = hma::client(config).send(\"\", \"x\", std::nothrow);
    return done.status == HMA_ERROR_ARGUMENT && second() == 1500 ? 0 : 1;
}
";
const SECOND_UNIT: &str = "
uint32_t second();
uint32_t second() {
    try {
        hma::client client(hma::config(\"\", \"\", \"\"));
    } catch (const hma::error &failure) {
        return failure.status() == HMA_ERROR_CONFIG ? hma::detail::milliseconds(std::chrono::microseconds(1499001)) : 0;
    }
    return 0;
}
";

/// Two units that both include the C++ header, the first one with the macros that Windows is known for.
fn two_units(folder: &Path) -> [PathBuf; 2] {
    let include = "#include <hookmyapp.hpp>\n#include <hookmyapp.hpp>\n";
    let units = [
        ("first.cpp", format!("{STANDARD_HEADERS}{MIN_MAX}{include}{FIRST_UNIT}")),
        ("second.cpp", format!("{include}#include <hookmyapp.h>\n{SECOND_UNIT}")),
    ];
    units.map(|(name, source)| {
        let path = folder.join(name);
        fs::write(&path, source).unwrap();
        path
    })
}

#[test]
fn two_units_with_the_cpp_header_link_in_every_standard() {
    if !has_tools() {
        return;
    }
    for compiler in ["g++", "clang++"].into_iter().filter(|compiler| tools::is_there(compiler)) {
        for (standard, optimisation) in CPP_BUILDS {
            let folder = tempfile::tempdir().unwrap();
            let words = [compiler, standard, optimisation, "-Wundef"].map(str::to_owned);
            let program = compile(&words, &two_units(folder.path()), Linked::Shared, folder.path());
            assert_eq!(tools::run(&mut program.command()), "");
        }
    }
}

const CPP_STANDARDS: [&str; 4] = ["-std=c++11", "-std=c++14", "-std=c++17", "-std=c++20"];

fn cpp_compilers() -> impl Iterator<Item = &'static str> {
    ["g++", "clang++"].into_iter().filter(|compiler| tools::is_there(compiler))
}

/// A C++ source in tests/c that is compiled in each of these ways and led to a gateway: what it prints and sends.
fn each_build(source: &str, flags: &[&str], standards: &[&str], check: impl Fn(&str, &str, &[String])) {
    for compiler in cpp_compilers() {
        for standard in standards {
            let folder = tempfile::tempdir().unwrap();
            let words: Vec<String> = [compiler, standard].iter().chain(flags).map(|word| word.to_string()).collect();
            let program = compile(&words, &[tools::file(source)], Linked::Shared, folder.path());
            let gateway = Gateway::start().unwrap();
            let printed = tools::run(lead(&mut program.command(), &gateway));
            let text =
                |request: &gateway::Received| request.json().unwrap()["message"]["text"].as_str().unwrap().into();
            let texts: Vec<String> = gateway.received().iter().map(text).collect();
            check(standard, &printed, &texts);
        }
    }
}

#[test]
fn cpp_accepts_texts_in_every_form_in_each_standard() {
    if !has_tools() {
        return;
    }
    each_build("tests/c/texts.cpp", &[], &CPP_STANDARDS, |standard, printed, texts| {
        let mut expected =
            ["literal", "array", "array", "string", "temporary", "conversion"].map(|it| [it; 2]).concat();
        expected.push("contact");
        if ["-std=c++17", "-std=c++20"].contains(&standard) {
            expected.extend(["view"; 2]);
        }
        assert_eq!(texts, expected, "{standard}");
        assert_eq!(printed, format!("{}\n", expected.len()));
    });
}

#[test]
fn cpp_works_without_exceptions() {
    if !has_tools() {
        return;
    }
    let standards = ["-std=c++11", "-std=c++20"];
    each_build("tests/c/no_exceptions.cpp", &["-fno-exceptions"], &standards, |standard, printed, texts| {
        assert_eq!(
            (printed, texts),
            ("done\n", &["made".to_owned(), "from the environment".to_owned()][..]),
            "{standard}"
        );
    });
}

#[test]
fn cpp_header_gives_no_warning_in_strict_compilers() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("unit.cpp");
    fs::write(&unit, "#include <hookmyapp.hpp>\n").unwrap();
    let strict =
        "-Wall -Wextra -pedantic -Weffc++ -Wshadow -Wconversion -Wold-style-cast -Wundef -Werror -fsyntax-only";
    for compiler in cpp_compilers() {
        for standard in CPP_STANDARDS {
            let mut command = Command::new(compiler);
            command.arg(standard).args(strict.split(' ')).arg("-I").arg(tools::file("include"));
            assert_eq!(tools::run(command.arg(&unit)), "");
        }
    }
}

#[test]
fn cpp_namespace_contains_the_interface_version() {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let interface = if major == "0" { format!("v0_{minor}") } else { format!("v{major}") };
    let header = tools::read("include/hookmyapp.hpp");
    assert_eq!(header.matches("inline namespace ").count(), 1);
    assert!(
        header.contains(&format!("\ninline namespace {interface} {{\n")),
        "the inline namespace must be {interface}"
    );
}

/// Makes a response where every byte behind it is known; so a constructor or destructor of another version is found out.
const VERSIONED_UNIT: &str = "
#include <cstring>
bool NAME();
bool NAME() {
    struct {
        alignas(hma::response) unsigned char response[sizeof(hma::response)];
        unsigned char behind[200];
    } place;
    std::memset(static_cast<void *>(&place), 0xff, sizeof place);
    hma::response *made = new (place.response) hma::response();
    bool is_whole = made->retry_after == -1 && MORE;
    made->~response();
    for (const unsigned char byte : place.behind)
        is_whole = is_whole && byte == 0xff;
    return is_whole;
}
";

#[test]
fn two_versions_of_the_cpp_header_work_in_one_program() {
    if !has_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: String| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let header = tools::read("include/hookmyapp.hpp");
    let first_member = "    int http_status = 0;\n";
    assert!(header.contains(first_member));
    let later = header.replace(first_member, &format!("{first_member}    int added = 7;\n    std::string more{{}};\n"));
    let name = later.split("\ninline namespace ").nth(1).map(|rest| rest.split(' ').next().unwrap());
    write("later.hpp", name.map_or(later.clone(), |name| later.replace(name, "v9_9")));
    let unit = |header: &str, name: &str, more: &str| {
        let function = VERSIONED_UNIT.replace("NAME", name).replace("MORE", more);
        write(&format!("{name}.cpp"), format!("#include {header}\n{function}"))
    };
    let present = unit("<hookmyapp.hpp>", "present", "made->http_status == 0");
    let later = unit("\"later.hpp\"", "later", "made->added == 7 && made->more.empty()");
    let main = "bool present();\nbool later();\nint main() { return present() && later() ? 0 : 1; }\n";
    let main = write("main.cpp", main.to_owned());
    // Whichever comes first decides for both, where both have the same names.
    for units in [[main.clone(), present.clone(), later.clone()], [main, later, present]] {
        let words = [compiler_for(&units[0]), vec!["-O0".to_owned()]].concat();
        let program = compile(&words, &units, Linked::Shared, folder.path());
        assert_eq!(tools::run(&mut program.command()), "");
    }
}

#[test]
fn cpp_exception_is_one_type_across_shared_objects() {
    if !has_tools() || !tools::is_there("nm") || cfg!(target_os = "macos") {
        return;
    }
    for compiler in cpp_compilers() {
        let folder = tempfile::tempdir().unwrap();
        let [_, unit] = two_units(folder.path());
        let object = folder.path().join("second.so");
        let mut command = Command::new(compiler);
        command.args(["-std=c++11", "-fPIC", "-shared", "-fvisibility=hidden", "-I"]).arg(tools::file("include"));
        tools::run(command.arg(&unit).arg("-o").arg(&object));
        let symbols = tools::run(Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(&object));
        let names: Vec<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
        for prefix in ["_ZTI", "_ZTS"] {
            let is_it = |name: &&&str| name.starts_with(prefix) && name.ends_with("5errorE");
            assert_eq!(names.iter().filter(is_it).count(), 1, "{compiler}: {names:?}");
        }
    }
}
