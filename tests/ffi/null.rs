//! A C program, made from the header, that passes NULL for every pointer of every function.

use std::fmt::Write;
use std::fs;

use crate::programs::has_tools;
use crate::support::artefacts::{BOTH, compile, compiler_for};
use crate::support::header::{Function, Header};
use crate::support::tools;

/// Valid arguments for whatever is not NULL. No call can send: at least one argument that it needs is NULL.
const BEGIN: &str = r#"#include <hookmyapp.h>
#include "check.h"

int main(void)
{
    static const char delivery[] = "{\"object\":\"instagram\",\"entry\":[{\"messaging\":[{\"sender\":{\"id\":\"1\"},"
        "\"message\":{\"mid\":\"m\"}}]}]}";
    hma_config *config = hma_config_new("http://127.0.0.1:9/v25.0", "1", "t");
    hma_client *client = NULL;
    hma_message *message = hma_message_heart();
    hma_events *events = NULL;
    CHECK(hma_client_new(config, &client, NULL) == HMA_OK && client != NULL);
    CHECK(hma_events_parse(delivery, strlen(delivery), &events, NULL) == HMA_OK && events != NULL);
"#;
const END: &str = "    hma_events_free(events);\n    hma_message_free(message);\n    hma_client_free(client);\n    \
                   hma_config_free(config);\n    return 0;\n}\n";

/// Functions whose default is -1, because 0 is a value.
const MINUS_ONE: [&str; 6] = [
    "hma_response_retry_after",
    "hma_response_usage_percent",
    "hma_events_edit_count",
    "hma_events_timestamp_ms",
    "hma_events_opens_window",
    "hma_events_window_closes_at",
];

/// Results that a program may leave out.
const OPTIONAL_OUT: [&str; 4] = ["response_out", "error_out", "json_out", "signature_out"];

fn name_of(parameter: &str) -> &str {
    parameter.rsplit([' ', '*']).next().unwrap()
}

fn is_out(parameter: &str) -> bool {
    parameter.contains("**")
}

/// Calls a function: NULL where `is_null` returns true, a valid argument elsewhere.
fn call(function: &Function, is_null: impl Fn(&str) -> bool) -> String {
    let argument = |parameter: &String| match parameter.as_str() {
        it if it.contains('*') && is_null(it) => "NULL".to_owned(),
        it if is_out(it) => format!("&{}", name_of(it)),
        it if it.starts_with("const char *") => "\"1\"".to_owned(),
        "const void *body" => "delivery".to_owned(),
        it if it.contains('*') => name_of(it).to_owned(),
        "size_t index" | "size_t attachment_index" => "0".to_owned(),
        _ => "1".to_owned(),
    };
    format!("{}({})", function.name, function.parameters.iter().map(argument).collect::<Vec<_>>().join(", "))
}

/// Calls with results that hold old values, which must be overwritten, then checks status and error string.
fn refused(function: &Function, status: &str, named: &str, is_null: impl Fn(&str) -> bool) -> String {
    let outs: Vec<&String> = function.parameters.iter().filter(|it| is_out(it) && !is_null(it)).collect();
    let mut block = "    {\n".to_owned();
    for out in &outs {
        let (pointee, name) = (out.replacen("**", "*", 1), name_of(out));
        writeln!(block, "        {pointee} = ({})1;", pointee.strip_suffix(name).unwrap()).unwrap();
    }
    writeln!(block, "        CHECK({} == {status});", call(function, is_null)).unwrap();
    for out in outs.iter().map(|out| name_of(out)).filter(|out| *out != "error_out") {
        writeln!(block, "        CHECK({out} == NULL);").unwrap();
    }
    writeln!(block, "        CHECK(error_out != NULL && strstr(error_out, \"{named}\") != NULL);").unwrap();
    block + "        hma_string_free(error_out);\n    }\n"
}

/// Everything that a function must take.
fn calls(function: &Function) -> String {
    let all = call(function, |_| true);
    let name = function.name.as_str();
    match function.returns.as_str() {
        "void" => format!("    {all};\n"),
        "hma_config *" | "hma_message *" => {
            let kind = function.returns.trim_end_matches(" *");
            format!(
                "    {{\n        {kind} *made = {all};\n        CHECK(made != NULL);\n        {kind}_free(made);\n    }}\n"
            )
        }
        "hma_status" => status_calls(function, &all),
        returns => {
            let default = if returns.contains('*') { "NULL" } else { "0" };
            let default = if MINUS_ONE.contains(&name) { "-1" } else { default };
            format!("    CHECK({all} == {default});\n")
        }
    }
}

fn status_calls(function: &Function, all: &str) -> String {
    // What a webhook lacks is no error of the program, but a signature that does not fit.
    let is_forgiven = |parameter: &str| function.name == "hma_webhook_verify" && parameter.starts_with("const char *");
    let mut calls = format!("    CHECK({all} == HMA_ERROR_ARGUMENT);\n");
    for one in function.parameters.iter().filter(|it| it.contains('*')) {
        let name = name_of(one);
        if is_forgiven(one) {
            calls += &refused(function, "HMA_ERROR_SIGNATURE", name, |parameter| parameter == one);
        } else if !OPTIONAL_OUT.contains(&name) {
            calls += &refused(function, "HMA_ERROR_ARGUMENT", &format!("{name}: must not be NULL"), |parameter| {
                parameter == one
            });
        }
    }
    calls
}

#[test]
fn null_in_any_argument_never_crashes() {
    if !has_tools() {
        return;
    }
    let header = Header::parse(&tools::read("include/hookmyapp.h"));
    let takes_pointer = |function: &&Function| function.parameters.iter().any(|one| one.contains('*'));
    let body: String = header.functions.iter().filter(takes_pointer).map(calls).collect();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("null.c");
    fs::write(&source, format!("{BEGIN}{body}{END}")).unwrap();
    let mut compiler = compiler_for(&source);
    compiler.extend(["-I".to_owned(), tools::file("tests/c").display().to_string()]);
    for linked in BOTH {
        let program = compile(&compiler, std::slice::from_ref(&source), linked, folder.path());
        assert_eq!(tools::run(&mut program.command()), "");
    }
}
