//! The examples that enqueue, run as an application would: their messages arrive once, or not at all.

mod support;

use std::path::Path;

use support::*;

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

#[cfg(feature = "postgres")]
mod with_postgresql {
    use super::support::postgres::{ACCOUNT, shared};
    use super::*;

    #[test]
    fn the_c_and_sql_examples_store_order_and_message_together() {
        let gateway = gateway();
        let place = Place::new(&gateway);
        let Some(server) = shared() else { return };
        let database = server.database(&place);
        let program = compile(&place, "enqueue_postgresql.c", "-lpq");
        let url = database.url();
        let in_c = |order: &str| {
            let mut command = place.command_of(&program, "");
            command.args([&url, "8123456789012345", order]).output().expect("the example runs").status.success()
        };
        let in_sql = |order: &str| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/enqueue_postgresql.sql");
            let mut command =
                place.command_of(&server.program("psql").display().to_string(), "-X -q -v ON_ERROR_STOP=1");
            command.arg("-v").arg(format!("account={ACCOUNT}")).args(["-v", "user=8123456789012345"]);
            command.arg("-v").arg(format!("order={order}")).arg("-f").arg(script).arg(&url);
            command.output().expect("psql runs").status.success()
        };
        assert!(in_c("1001") && in_sql("1002") && in_c("1003"));
        assert!(!in_c("1002") && !in_sql("1001"), "an order that exists is not stored again");
        let worker = compile(&place, "worker.c", "-lpq");
        let ended = place.command_of(&worker, "--once").env("DATABASE_URL", &url).output().expect("the worker runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_each_once(&gateway, 3);
        assert_eq!(database.psql("SELECT count(*) FROM orders"), "3");
        assert_eq!(database.psql("SELECT workers FROM outbox.status"), "0");
    }
}
