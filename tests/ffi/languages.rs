//! The examples in other languages: each sends, prints id or error, ends with the delivery, and frees everything. Binding
//! generators read the header.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::artefacts::{Artefacts, BOTH, Linked, artefacts, private_libraries};
use crate::support::environment::{lead_to, without_settings};
use crate::support::gateway::{Answer, Gateway};
use crate::support::header::Header;
use crate::support::samples::USER;
use crate::support::tools;

const VALGRIND: [&str; 5] =
    ["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=99"];

/// An example, ready to run.
struct Example {
    /// What comes before the recipient.
    words: Vec<String>,
    /// More variables than the ones of every example.
    variables: Vec<(&'static str, String)>,
    _folder: Option<TempDir>,
}

impl Example {
    fn script(words: &[&str], source: &str) -> Example {
        let words = words.iter().map(|word| (*word).to_owned()).chain([path_of(source)]).collect();
        Example { words, variables: Vec::new(), _folder: None }
    }

    fn command(&self, runner: &[&str]) -> Command {
        let mut words = runner.iter().copied().chain(self.words.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        without_settings(&mut command);
        command
            .env("LD_LIBRARY_PATH", &library().folder)
            .env("HOOKMYAPP_CDEF", tools::file("include/hookmyapp.cdef.h"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn path_of(source: &str) -> String {
    tools::file("examples/languages").join(source).display().to_string()
}

fn library() -> &'static Artefacts {
    artefacts().unwrap()
}

/// Whether a program and the library are there; where tools are required, it must be.
fn is_there(program: &str) -> bool {
    tools::is_there(program) && artefacts().is_some()
}

/// A program that these words make in a folder of its own; `-o` and its path are added to them.
fn built(compiler: &[&str], source: &str, link: &[String]) -> Example {
    made_of(compiler, &path_of(source), link)
}

fn made_of(compiler: &[&str], source: &str, link: &[String]) -> Example {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("send");
    let mut command = Command::new(compiler[0]);
    command.current_dir(folder.path()).args(&compiler[1..]).arg("-o").arg(&program).arg(source).args(link);
    tools::run(&mut command);
    Example { words: vec![program.display().to_string()], variables: Vec::new(), _folder: Some(folder) }
}

/// What a driver like that of gcc links with.
fn link_words(linked: Linked) -> Vec<String> {
    let folder = library().folder.display();
    match linked {
        Linked::Static => vec![format!("{folder}/libhookmyapp.a")],
        Linked::Shared => vec![format!("-L{folder}"), "-lhookmyapp".to_owned()],
    }
}

/// Runs an example in every outcome that it must tell.
fn check(example: &Example, runner: &[&str]) {
    let gateway = Gateway::start().unwrap();
    let run = |answer: Option<Answer>, text: &str| {
        let mut command = example.command(runner);
        if let Some(answer) = answer {
            gateway.answer_next(answer);
            lead_to(&gateway, &mut command);
        }
        let output = command.args([USER, text]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let accepted = Answer::json(200, &json!({"message_id": "m_1"}));
    assert_eq!(run(Some(accepted.clone()), "Gr\u{fc}\u{df}e, two words"), (0, "sent m_1\n".to_owned(), String::new()));
    let expected = json!({"recipient": {"id": USER}, "message": {"text": "Gr\u{fc}\u{df}e, two words"}});
    assert_eq!(gateway.received()[0].json(), Some(expected));

    let (code, out, err) = run(Some(Answer::json(200, &json!({"recipient_id": USER}))), "Hello");
    assert!(code == 0 && out.starts_with("sent") && err.is_empty(), "{code} {out}{err}");

    let closed = json!({"code": "SESSION_WINDOW_CLOSED", "message": "The window is closed."});
    let reason = format!("Instagram API error 403: {closed}\n");
    assert_eq!(run(Some(Answer::json(403, &closed)), "Hello"), (2, String::new(), reason));

    let (code, out, err) = run(Some(Answer::new(502, "text/html", "<html>Bad Gateway</html>")), "Hello");
    assert!(code == 3 && out.is_empty() && err.starts_with("Instagram API error 502: "), "{code} {out}{err}");

    let (code, out, err) = run(None, "Hello");
    assert!(code == 1 && out.is_empty() && err.starts_with("missing: "), "{code} {out}{err}");

    let sent = gateway.received().len();
    let (code, out, err) = run(Some(accepted), &"long ".repeat(1000));
    assert!(code == 1 && out.is_empty() && err.starts_with("text: "), "{code} {out}{err}");
    assert_eq!(gateway.received().len(), sent);
}

/// Compiled programs run once more under valgrind: nothing is lost, and nothing invalid is read.
fn check_compiled(example: &Example) {
    check(example, &[]);
    if tools::is_there("valgrind") {
        check(example, &VALGRIND);
    }
}

#[test]
fn cobol_sends_fixed_fields_linked_or_preloaded() {
    if !is_there("cobc") {
        return;
    }
    for linked in BOTH {
        check_compiled(&built(&["cobc", "-x", "-free", "-Wall", "-fstatic-call"], "send.cob", &link_words(linked)));
    }
    let mut preloaded = built(&["cobc", "-x", "-free"], "send.cob", &[]);
    preloaded.variables =
        vec![("COB_PRE_LOAD", "libhookmyapp".to_owned()), ("COB_LIBRARY_PATH", library().folder.display().to_string())];
    check(&preloaded, &[]);
}

/// A C string would go on with the next field of the record.
#[test]
fn cobol_field_without_nul_does_not_send_the_card_number_behind_it() {
    if !is_there("cobc") {
        return;
    }
    let source = tools::file("tests/c/neighbour.cob").display().to_string();
    let compiler = ["cobc", "-x", "-free", "-Wall", "-fstatic-call"];
    let program = made_of(&compiler, &source, &link_words(Linked::Shared));
    let gateway = Gateway::start().unwrap();
    for text in ["Your order is ready.", "This text fills each byte of the field.!"] {
        gateway.answer_next(Answer::json(200, &json!({"message_id": "m_1"})));
        let mut command = program.command(&[]);
        let printed = tools::run(lead_to(&gateway, &mut command).args([USER, text]));
        assert_eq!(printed, "m_1||CARD 4111111111111111|behind\n");
        let expected = json!({"recipient": {"id": USER}, "message": {"text": text}});
        assert_eq!(gateway.received().pop().unwrap().json(), Some(expected));
    }
}

#[test]
fn fortran_sends_fixed_fields() {
    for linked in BOTH.into_iter().filter(|_| is_there("gfortran")) {
        let compiler = ["gfortran", "-std=f2018", "-fall-intrinsics", "-Wall", "-Wextra", "-Werror"];
        check_compiled(&built(&compiler, "send.f90", &link_words(linked)));
    }
}

#[test]
fn ada_sends() {
    for linked in BOTH.into_iter().filter(|_| is_there("gnatmake")) {
        let link: Vec<String> = ["-largs".to_owned()].into_iter().chain(link_words(linked)).collect();
        check_compiled(&built(&["gnatmake", "-q", "-gnatwae"], "send.adb", &link));
    }
}

/// Free Pascal calls the linker itself, so that the static library needs what a C compiler would add.
#[test]
fn pascal_sends() {
    for linked in BOTH.into_iter().filter(|_| is_there("fpc")) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("send");
        let mut compiler = Command::new("fpc");
        compiler.arg("-v0we").arg("-Sew").arg(format!("-FE{}", folder.path().display()));
        match linked {
            Linked::Shared => compiler.arg(format!("-Fl{}", library().folder.display())),
            Linked::Static => {
                fs::copy(library().folder.join("libhookmyapp.a"), folder.path().join("libhookmyapp.a")).unwrap();
                let gcc = tools::run(Command::new("gcc").arg("-print-file-name=libgcc_s.so"));
                let folders = [folder.path(), Path::new(gcc.trim()).parent().unwrap()];
                compiler.args(folders.map(|it| format!("-Fl{}", it.display())));
                compiler.args(private_libraries().iter().map(|it| format!("-k{it}")))
            }
        };
        tools::run(compiler.arg(format!("-o{}", program.display())).arg(path_of("send.pas")));
        let words = vec![program.display().to_string()];
        check_compiled(&Example { words, variables: Vec::new(), _folder: Some(folder) });
    }
}

#[test]
fn python_sends_with_ctypes() {
    if is_there("python3") {
        check(&Example::script(&["python3"], "send.py"), &[]);
    }
}

#[test]
fn php_sends_with_the_declarations() {
    if is_there("php") {
        check(&Example::script(&["php"], "send.php"), &[]);
    }
}

#[test]
fn luajit_sends_with_the_declarations() {
    if is_there("luajit") {
        check(&Example::script(&["luajit"], "send.lua"), &[]);
    }
}

#[test]
fn perl_sends_with_platypus() {
    if is_there("perl") && has("FFI::Platypus of Perl", &["perl", "-MFFI::Platypus", "-e", "1"]) {
        check(&Example::script(&["perl"], "send.pl"), &[]);
    }
}

#[test]
fn ruby_sends_with_fiddle() {
    if is_there("ruby") && has("Fiddle of Ruby", &["ruby", "-e", "require 'fiddle/import'"]) {
        check(&Example::script(&["ruby"], "send.rb"), &[]);
    }
}

/// Go is nowhere required.
#[test]
fn go_sends_with_cgo() {
    if Command::new("go").arg("version").output().is_err() || artefacts().is_none() {
        eprintln!("not tested, because go is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("send");
    let made = library().folder.display();
    let description =
        format!("Name: hookmyapp\nDescription: -\nVersion: 0\nCflags: -I{made}\nLibs: -L{made} -lhookmyapp\n");
    fs::write(folder.path().join("hookmyapp.pc"), description).unwrap();
    let mut go = Command::new("go");
    go.env("PKG_CONFIG_PATH", folder.path()).env("GOCACHE", folder.path().join("cache")).env("GO111MODULE", "off");
    tools::run(go.args(["build", "-o"]).arg(&program).arg(path_of("send.go")));
    let words = vec![program.display().to_string()];
    check(&Example { words, variables: Vec::new(), _folder: Some(folder) }, &[]);
}

fn has(what: &str, probe: &[&str]) -> bool {
    let has = Command::new(probe[0]).args(&probe[1..]).output().is_ok_and(|it| it.status.success());
    if !has {
        tools::say_missing(what);
    }
    has
}

#[test]
fn every_example_has_at_most_60_lines_and_a_row_in_the_manual() {
    let manual = tools::read("docs/languages.md");
    let mut count = 0;
    for path in fs::read_dir(tools::file("examples/languages")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 60, "{name} has {lines} lines");
        assert!(manual.contains(&format!("languages/{name})")), "docs/languages.md does not name {name}");
        count += 1;
    }
    assert_eq!(count, 10);
}

// Binding generators

/// A copy of the header alone: what a generator makes goes beside it.
fn header_in(folder: &Path) -> PathBuf {
    let header = folder.join("hookmyapp.h");
    fs::copy(tools::file("include/hookmyapp.h"), &header).unwrap();
    header
}

#[test]
fn ada_specification_that_gcc_makes_of_the_header_compiles() {
    if !tools::is_there("gnatmake") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(folder.path());
        command
    };
    let header = header_in(folder.path());
    tools::run(in_folder("gcc").args(["-fdump-ada-spec", "-C", "-S", "-o", "/dev/null"]).arg(header));
    let specification = fs::read_to_string(folder.path().join("hookmyapp_h.ads")).unwrap();
    for name in Header::parse(&tools::read("include/hookmyapp.h")).function_names() {
        assert!(specification.contains(&format!("External_Name => \"{name}\"")), "{name}");
    }
    tools::run(in_folder("gnatmake").args(["-q", "-c", "hookmyapp_h.ads"]));
    assert!(folder.path().join("hookmyapp_h.o").exists());
}

/// The typemap makes an owned text a string of Python and gives it back to the library.
const SWIG_INTERFACE: &str = r#"%module hookmyapp
%{
#include <hookmyapp.h>
%}
%include <stdint.i>
%typemap(in, numinputs=0) char **error_out (char *text = NULL) "$1 = &text;"
%typemap(argout) char **error_out {
    $result = SWIG_Python_AppendOutput($result, PyUnicode_FromString(text$argnum != NULL ? text$argnum : ""));
    hma_string_free(text$argnum);
}
%typemap(in, numinputs=0) hma_client **client_out (hma_client *client = NULL) "$1 = &client;"
%typemap(argout) hma_client **client_out {
    $result = SWIG_Python_AppendOutput($result, SWIG_NewPointerObj(client$argnum, SWIGTYPE_p_hma_client, 0));
}
%typemap(in, numinputs=0) hma_response **response_out (hma_response *response = NULL) "$1 = &response;"
%typemap(argout) hma_response **response_out {
    $result = SWIG_Python_AppendOutput($result, SWIG_NewPointerObj(response$argnum, SWIGTYPE_p_hma_response, 0));
}
%include "hookmyapp.h"
"#;

const SWIG_PROGRAM: &str = r#"
import sys, hookmyapp as hma
status, client, error = hma.hma_client_from_env()
assert (status, error) == (hma.HMA_OK, ""), error
status, response, error = hma.hma_send_text(client, sys.argv[1], "Hello from SWIG")
assert (status, error) == (hma.HMA_OK, ""), error
print(hma.hma_response_message_id(response))
hma.hma_response_free(response)
status, response, error = hma.hma_send_text(client, "@alice", "Hello")
assert status == hma.HMA_ERROR_ARGUMENT and error.startswith("recipient_id: "), error
hma.hma_client_free(client)
"#;

#[test]
fn swig_reads_the_header_and_its_python_module_sends() {
    let config = "/usr/bin/python3-config";
    if !tools::is_there("swig") || !is_there(config) {
        return;
    }
    let (gateway, folder) = (Gateway::start().unwrap(), tempfile::tempdir().unwrap());
    let in_folder = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(folder.path());
        command
    };
    header_in(folder.path());
    fs::write(folder.path().join("hookmyapp.i"), SWIG_INTERFACE).unwrap();
    tools::run(in_folder("swig").args(["-python", "-Wall", "-Werror", "hookmyapp.i"]));
    let includes = tools::run(in_folder(config).arg("--includes"));
    let mut compiler = in_folder("cc");
    compiler.args(["-shared", "-fPIC", "-I.", "hookmyapp_wrap.c", "-o", "_hookmyapp.so"]);
    tools::run(compiler.args(includes.split_whitespace()).args(link_words(Linked::Shared)));
    gateway.answer_next(Answer::json(200, &json!({"message_id": "m_1"})));
    let mut python = in_folder("/usr/bin/python3");
    lead_to(&gateway, &mut python).env("LD_LIBRARY_PATH", &library().folder);
    assert_eq!(tools::run(python.args(["-c", SWIG_PROGRAM, USER])), "m_1\n");
    assert_eq!(gateway.received().len(), 1);
}

const PLAIN_SWIG_INTERFACE: &str = r#"%module hookmyapp
%{
#include <hookmyapp.h>
%}
%include <stdint.i>
%include "hookmyapp.h"
"#;

/// What SWIG makes of the bare header for a language, in a folder.
fn swig(language: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    header_in(folder.path());
    fs::write(folder.path().join("hookmyapp.i"), PLAIN_SWIG_INTERFACE).unwrap();
    let option = format!("-{language}");
    tools::run(Command::new("swig").current_dir(folder.path()).args([&option, "-Wall", "-Werror", "hookmyapp.i"]));
    folder
}

/// What SWIG makes for these is not compiled here.
#[test]
fn swig_reads_the_header_for_other_languages_without_a_warning() {
    if !tools::is_there("swig") {
        return;
    }
    for language in ["csharp", "java", "lua", "php", "ruby", "tcl"] {
        let folder = swig(language);
        let made = fs::read_to_string(folder.path().join("hookmyapp_wrap.c")).unwrap();
        for name in Header::parse(&tools::read("include/hookmyapp.h")).function_names() {
            assert!(made.contains(&format!("{name}(")), "{language}: {name}");
        }
    }
}

#[test]
fn swig_module_of_the_bare_header_works_in_perl() {
    const HEADERS: &str = r#"use Config; exit !-e "$Config{archlibexp}/CORE/perl.h""#;
    if !tools::is_there("swig") || !is_there("perl") || !has("perl.h", &["perl", "-e", HEADERS]) {
        return;
    }
    let folder = swig("perl5");
    let options = tools::run(Command::new("perl").args(["-MExtUtils::Embed", "-e", "ccopts"]));
    let mut compiler = Command::new("cc");
    compiler.current_dir(folder.path()).args(["-shared", "-fPIC", "-I.", "hookmyapp_wrap.c", "-o", "hookmyapp.so"]);
    tools::run(compiler.args(options.split_whitespace()).args(link_words(Linked::Shared)));
    let program = "use hookmyapp; print hookmyapp::hma_status_name($hookmyapp::HMA_ERROR_LOST)";
    let mut perl = Command::new("perl");
    perl.current_dir(folder.path()).env("LD_LIBRARY_PATH", &library().folder).args(["-I.", "-e", program]);
    assert_eq!(tools::run(&mut perl), "LOST");
}
