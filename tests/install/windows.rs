//! The library for Windows, made with mingw-w64: its files, and programs that send under wine.

use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::tempdir;

use crate::installed::{are_there, command, tree};
use crate::support::environment::lead_to;
use crate::support::gateway::Gateway;
use crate::support::header::Header;
use crate::support::samples::USER;
use crate::support::tools;

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Not in the code page of a western Windows.
const TEXT: &str = "Gr\u{fc}\u{df}e \u{1f44b} \u{4f60}\u{597d}";

/// Whether Rust's standard library for the target is installed; the step `other platforms` of CI adds it.
fn has_standard_library() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output().unwrap();
    let is_there = Path::new(String::from_utf8(folder.stdout).unwrap().trim()).is_dir();
    if !is_there {
        eprintln!("not tested, because Rust's standard library for {TARGET} is missing");
    }
    is_there
}

#[test]
fn programs_for_windows_send_with_the_installed_library() {
    if !has_standard_library() || !are_there(&["make", "x86_64-w64-mingw32-gcc", "wine"]) {
        return;
    }
    let folder = tempdir().unwrap();
    let prefix = folder.path().join("installed");
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("windows");
    let mut make = command("make");
    make.env("CARGO_TARGET_DIR", &build).args(["--no-print-directory", "all", "install"]);
    make.arg(format!("TARGET={TARGET}")).arg("CC=x86_64-w64-mingw32-gcc").arg(format!("PREFIX={}", prefix.display()));
    tools::run(&mut make);

    let files = tree(&prefix);
    for file in ["bin/hookmyapp.dll", "lib/hookmyapp.def", "lib/hookmyapp.lib", "lib/libhookmyapp.dll.a"] {
        assert!(files.iter().any(|it| it == file), "{file} is not in {files:?}");
    }
    check_dll(&prefix.join("bin/hookmyapp.dll"));

    let gateway = Gateway::start().unwrap();
    for (compiler, source, name) in
        [("x86_64-w64-mingw32-gcc", "examples/send.c", "c"), ("x86_64-w64-mingw32-g++", "examples/send.cpp", "cpp")]
    {
        for linking in ["--shared", "--static"] {
            let mut pkg_config = command("pkg-config");
            pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", linking]);
            let flags = tools::run(pkg_config.arg("hookmyapp"));
            let program = prefix.join(format!("bin/{name}{linking}.exe"));
            let mut compile = command(compiler);
            compile.args(["-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o"]).arg(&program);
            compile.args(if linking == "--static" {
                &["-static"][..]
            } else {
                &["-static-libgcc", "-static-libstdc++"]
            });
            tools::run(compile.args(flags.split_whitespace()));
            let imports = tools::run(command("x86_64-w64-mingw32-objdump").arg("-p").arg(&program));
            assert_eq!(imports.contains("DLL Name: hookmyapp.dll"), linking == "--shared");

            gateway.forget_requests();
            let mut send = command("tests/wine/run");
            send.env("CARGO_TARGET_DIR", &build);
            let output = lead_to(&gateway, send.arg(&program)).args([USER, TEXT]).output().unwrap();
            assert!(output.status.success(), "{}: {}", program.display(), tools::shown(&output));
            let bodies: Vec<_> = gateway.received().iter().map(|it| it.json().unwrap()).collect();
            assert_eq!(bodies, [json!({"recipient": {"id": USER}, "message": {"text": TEXT}})]);
        }
    }
}

/// Loaded at a random address, without the time it was made, and with no names but those of the header.
fn check_dll(dll: &Path) {
    let shown = tools::run(command("x86_64-w64-mingw32-objdump").arg("-p").arg(dll));
    for line in ["HIGH_ENTROPY_VA", "DYNAMIC_BASE", "NX_COMPAT", "Time/Date\t\tThu Jan  1 00:00:00 1970"] {
        assert!(shown.contains(line), "{line} is missing");
    }
    let table = shown.split_once("[Ordinal/Name Pointer] Table").unwrap().1;
    let names = table.lines().skip(1).take_while(|line| !line.trim().is_empty());
    let mut exported: Vec<&str> = names.filter_map(|line| line.split_whitespace().last()).collect();
    exported.sort_unstable();
    let header = tools::read("include/hookmyapp.h");
    let mut declared: Vec<String> = Header::parse(&header).functions.iter().map(|it| it.name.to_string()).collect();
    declared.sort_unstable();
    assert_eq!(exported, declared);
}
