//! The C header: it is the generated one, every C and C++ accepts it, and it documents what a caller must know.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::CStr;
use std::fs;
use std::process::Command;

use crate::support::header::{Function, Header, words};
use crate::support::{header, tools};
use hookmyapp::capi::{events, message, status};

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/hookmyapp.h"));

const C_STANDARDS: [&str; 4] = ["c89", "c99", "c11", "c17"];
const CPP_STANDARDS: [&str; 5] = ["c++98", "c++11", "c++14", "c++17", "c++20"];
const STRICT: [&str; 6] = ["-pedantic", "-Wall", "-Wextra", "-Wundef", "-Werror", "-fsyntax-only"];

// The file itself

#[test]
fn committed_header_is_the_generated_one() {
    if env::var_os("HMA_UPDATE_HEADER").is_some_and(|it| it == "1") {
        fs::write(tools::file("include/hookmyapp.h"), GENERATED).unwrap();
    }
    assert!(tools::read("include/hookmyapp.h") == GENERATED, "include/hookmyapp.h is old: `make header` makes it anew");
}

#[test]
fn header_is_ascii_in_short_lines() {
    for (number, line) in GENERATED.lines().enumerate() {
        assert!(line.is_ascii() && line.len() <= 100 && !line.contains('\t'), "line {}: {line}", number + 1);
        assert_eq!(line, line.trim_end(), "line {}", number + 1);
    }
    assert!(GENERATED.ends_with("#endif /* HOOKMYAPP_H */\n"));
}

#[test]
fn header_includes_only_stddef_and_stdint() {
    assert_eq!(Header::parse(GENERATED).includes, ["#include <stddef.h>", "#include <stdint.h>"]);
}

// Compilers

#[test]
fn header_compiles_in_every_c_once_and_twice() {
    let also_c23 = |compiler| C_STANDARDS.into_iter().chain((compiler == "clang").then_some("c2x"));
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| tools::is_there(compiler)) {
        for standard in also_c23(compiler) {
            check(compiler, "c", standard, &["-Wstrict-prototypes", "-Wc++-compat"]);
        }
    }
}

#[test]
fn header_compiles_in_every_cpp_once_and_twice() {
    for compiler in ["g++", "clang++"].into_iter().filter(|compiler| tools::is_there(compiler)) {
        for standard in CPP_STANDARDS {
            check(compiler, "c++", standard, &[]);
        }
    }
}

/// Compiles the header alone, and as often as a careless program includes it.
fn check(compiler: &str, language: &str, standard: &str, more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hookmyapp.h"), GENERATED).unwrap();
    for times in [1, 2] {
        let source = folder.path().join("includes.txt");
        fs::write(&source, "#include <hookmyapp.h>\n".repeat(times)).unwrap();
        let mut command = Command::new(compiler);
        command.arg(format!("-std={standard}")).args(STRICT).args(more).arg("-I").arg(folder.path());
        assert_eq!(tools::run(command.args(["-x", language]).arg(source)), "");
    }
}

/// Some languages do not tell case apart.
#[test]
fn names_differ_in_more_than_case() {
    let header = Header::parse(GENERATED);
    let functions = header.functions.iter().map(|function| function.name.clone());
    let names = functions.chain(header.constant_values().into_keys().map(str::to_owned));
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name.to_lowercase()), "{name}");
    }
}

// Constants

/// Every constant of the C layer, by its name.
macro_rules! constants {
    ($($module:ident: $($name:ident)+;)+) => {
        BTreeMap::from([$($((stringify!($name), $module::$name.to_string()),)+)+])
    };
}

#[test]
fn constants_of_the_header_are_those_of_the_library() {
    let expected = constants! {
        status: HMA_OK HMA_ERROR_ARGUMENT HMA_ERROR_CONFIG HMA_ERROR_CONNECT HMA_ERROR_SIGNATURE HMA_ERROR_REJECTED
            HMA_ERROR_AUTH HMA_ERROR_RATE_LIMITED HMA_ERROR_WINDOW_CLOSED HMA_ERROR_RECIPIENT HMA_ERROR_ACCOUNT
            HMA_ERROR_MEDIA HMA_ERROR_ENDPOINT HMA_ERROR_SERVER HMA_ERROR_LOST HMA_ERROR_INTERNAL HMA_DELIVERY_ACCEPTED
            HMA_DELIVERY_NOT_SENT HMA_DELIVERY_REJECTED HMA_DELIVERY_UNKNOWN HMA_SCOPE_NONE HMA_SCOPE_MESSAGE
            HMA_SCOPE_RECIPIENT HMA_SCOPE_ACCOUNT HMA_SCOPE_MOMENT;
        message: HMA_ATTACHMENT_IMAGE HMA_ATTACHMENT_VIDEO HMA_ATTACHMENT_AUDIO HMA_ATTACHMENT_FILE HMA_CONTACT_PHONE
            HMA_CONTACT_EMAIL HMA_ACTION_TYPING_ON HMA_ACTION_TYPING_OFF HMA_ACTION_MARK_SEEN;
        events: HMA_EVENT_OTHER HMA_EVENT_MESSAGE HMA_EVENT_ECHO HMA_EVENT_DELETED HMA_EVENT_UNSUPPORTED
            HMA_EVENT_POSTBACK HMA_EVENT_REACTION HMA_EVENT_READ HMA_EVENT_REFERRAL HMA_EVENT_EDIT HMA_EVENT_COMMENT
            HMA_EVENT_LIVE_COMMENT HMA_EVENT_MENTION;
    };
    let header = Header::parse(GENERATED);
    let mut given = header.constant_values();
    given.retain(|name, _| !name.starts_with("HMA_VERSION"));
    assert_eq!(given, expected.iter().map(|(name, value)| (*name, value.as_str())).collect());
}

#[test]
fn version_of_the_header_is_that_of_the_library() {
    // SAFETY: the header promises a static text.
    let version = unsafe { CStr::from_ptr(status::hma_version()) }.to_str().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let header = Header::parse(GENERATED);
    let constants = header.constant_values();
    assert_eq!(constants["HMA_VERSION_STRING"], format!("{version:?}"));
    let parts = ["MAJOR", "MINOR", "PATCH"].map(|part| constants[format!("HMA_VERSION_{part}").as_str()]);
    assert_eq!(parts.join("."), version.split('-').next().unwrap());
}

// The manual

#[test]
fn every_handle_documents_its_thread_safety() {
    let header = Header::parse(GENERATED);
    let handles: Vec<_> = header.types.iter().filter(|one| one.is_handle).collect();
    assert_eq!(handles.len(), 5);
    for handle in handles {
        assert!(handle.doc.contains("Threads: "), "{}: {}", handle.name, handle.doc);
    }
}

#[test]
fn everything_is_documented() {
    let header = Header::parse(GENERATED);
    let functions = header.functions.iter().map(|it| (&it.name, &it.doc));
    let types = header.types.iter().map(|it| (&it.name, &it.doc));
    let constants = header.constants.iter().map(|it| (&it.name, &it.doc));
    let is_part_of_the_version = |name: &str| name.starts_with("HMA_VERSION_");
    for (name, doc) in functions.chain(types).chain(constants).filter(|(name, _)| !is_part_of_the_version(name)) {
        assert!(!doc.is_empty(), "{name}");
    }
}

#[test]
fn returned_pointers_document_owner_and_lifetime() {
    let header = Header::parse(GENERATED);
    let returns_pointer = |function: &&Function| function.returns.ends_with('*');
    let (borrowed, owned): (Vec<_>, Vec<_>) =
        header.functions.iter().filter(returns_pointer).partition(|function| function.returns.starts_with("const "));
    assert!(!borrowed.is_empty() && !owned.is_empty());
    for Function { doc, name, returns, .. } in owned {
        let free = format!("{}_free()", returns.trim_end_matches([' ', '*']));
        assert!(doc.contains(&free) && doc.contains("NULL"), "{name}: {doc}");
    }
    for function in borrowed {
        assert!(says_how_long(&header, function), "{}: {}", function.name, function.doc);
        assert!(function.doc.contains("NULL") || function.name == "hma_version", "{}", function.name);
    }
}

/// In its own comment, or in that of the handle it reads from.
fn says_how_long(header: &Header, function: &Function) -> bool {
    let read_from = header.types.iter().find(|one| function.parameters.first().is_some_and(|first| is_of(first, one)));
    match read_from {
        None => function.doc.contains("static"),
        Some(handle) => [&function.doc, &handle.doc].iter().any(|doc| doc.contains(&format!("{}_free()", handle.name))),
    }
}

fn is_of(parameter: &str, handle: &header::Type) -> bool {
    parameter.split([' ', '*']).any(|word| word == handle.name) && handle.is_handle
}

#[test]
fn every_free_function_documents_null() {
    let header = Header::parse(GENERATED);
    let frees: Vec<_> = header.functions.iter().filter(|function| function.name.ends_with("_free")).collect();
    let handles = header.types.iter().filter(|one| one.is_handle).count();
    assert_eq!(frees.len(), handles + 1, "one for each handle, and one for error strings");
    for Function { doc, name, returns, .. } in frees {
        assert!(doc.contains("NULL"), "{name}: {doc}");
        assert_eq!(returns, "void", "{name}");
    }
}

#[test]
fn out_arguments_document_their_owner() {
    let header = Header::parse(GENERATED);
    let doc_of = |name: &str| &header.functions.iter().find(|function| function.name == name).unwrap().doc;
    let says = |doc: &str| doc.contains("_free()");
    let out = |function: &&Function| function.parameters.iter().any(|parameter| parameter.contains("**"));
    let with_results: Vec<_> = header.functions.iter().filter(out).collect();
    assert_eq!(with_results.len(), 14);
    for Function { doc, name, returns, parameters, .. } in with_results {
        let others = words(doc, "hma_").into_iter().filter(|(_, after)| after.starts_with("()"));
        assert!(says(doc) || others.map(|(other, _)| doc_of(other)).any(|doc| says(doc)), "{name}: {doc}");
        assert_eq!(returns, "hma_status", "{name}");
        assert!(parameters.last().unwrap().ends_with("char **error_out"), "{name}");
    }
}

#[test]
fn names_in_comments_exist() {
    let header = Header::parse(GENERATED);
    let constants = header.constant_values();
    let functions = header.function_names();
    let is_type = |name: &str| header.types.iter().any(|one| one.name == name);
    for (name, after) in words(GENERATED, "hma_") {
        let exists = if after.starts_with('(') { functions.contains(&name) } else { is_type(name) };
        assert!(exists, "{name}");
    }
    for (name, after) in words(GENERATED, "HMA_") {
        let exists = if after.starts_with('*') {
            constants.keys().any(|constant| constant.starts_with(name))
        } else {
            constants.contains_key(name)
        };
        assert!(exists, "{name}");
    }
}

#[test]
fn names_in_backquotes_are_parameters_or_header_names() {
    let header = Header::parse(GENERATED);
    let mut parameters = 0;
    for Function { doc, name, parameters: declared, .. } in &header.functions {
        for quoted in doc.split('`').skip(1).step_by(2) {
            let word = quoted.trim_start_matches('*');
            let is_parameter = declared.iter().any(|parameter| parameter.trim_end().ends_with(word));
            let is_other = word.starts_with("HMA_") || word.starts_with("hookmyapp ") || name == "hma_string_free";
            parameters += usize::from(is_parameter);
            assert!(is_parameter || is_other, "{name}: `{quoted}`");
        }
    }
    assert!(parameters > 20, "{parameters}");
}
