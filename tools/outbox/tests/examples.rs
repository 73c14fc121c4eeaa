//! The examples that enqueue, run as an application would: their messages arrive once, or not at all.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::*;

/// The library's C side, built by its Makefile.
fn c_library() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made =
        Command::new("make").arg("-s").current_dir(&root).env_remove("CARGO_TARGET_DIR").output().expect("make runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    root
}

fn compile(place: &Place, source: &str, libraries: &str) -> String {
    let root = c_library();
    let program = place.path("example");
    let output = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(source))
        .arg(format!("-I{}", root.join("include").display()))
        .arg(root.join("target/release/libhookmyapp.a"))
        .args(libraries.split_whitespace())
        .args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"])
        .output()
        .expect("cc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program.display().to_string()
}

/// The example stores an order with its message; the same order a second time stores neither.
fn an_order_is_stored_once(place: &Place, gateway: &Simulator, program: &str) {
    place.run("init --queue shop.db").expect(0);
    let run = |order: &str| {
        let mut command = place.command_of(program, "");
        command.args(["shop.db", "8123456789012345", order]).output().expect("the example runs")
    };
    assert!(run("1001").status.success());
    assert!(run("1002").status.success());
    assert!(!run("1001").status.success(), "an order that exists is not stored again");
    place.run("work --until-empty --queue shop.db --rate 0");
    let texts: Vec<String> = book(gateway).into_keys().filter(|text| text.contains(" 100")).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    let orders: i64 = application(&place.path("shop.db"))
        .query_row("SELECT count(*) FROM orders WHERE number LIKE '100_'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(orders, 2);
}

#[test]
fn the_rust_example_stores_order_and_message_together() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let folder = Path::new(env!("CARGO_BIN_EXE_hookmyapp-outbox")).parent().expect("a folder");
    an_order_is_stored_once(&place, &gateway, &folder.join("examples/enqueue_sqlite").display().to_string());
}

#[test]
fn the_c_example_stores_order_and_message_together() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let program = compile(&place, "enqueue_sqlite.c", "-lsqlite3");
    an_order_is_stored_once(&place, &gateway, &program);
}
