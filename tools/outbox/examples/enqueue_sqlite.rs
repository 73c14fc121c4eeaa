//! Stores an order and its message in one transaction of the application: both are there, or neither is.
//!
//! ```text
//! cargo run --example enqueue_sqlite -- shop.db 8123456789012345 1001
//! ```
//!
//! `hookmyapp-outbox init --queue shop.db` creates the queue in the application's own file, and
//! `hookmyapp-outbox work --queue shop.db` sends.

use std::error::Error;
use std::time::Duration;

use hookmyapp::Message;
use rusqlite::{Connection, TransactionBehavior};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, user, order] = arguments.as_slice() else {
        return Err("usage: enqueue_sqlite FILE USER ORDER".into());
    };
    let mut shop = Connection::open(file)?;
    // Without it, "database is locked" comes at once when another program writes.
    shop.busy_timeout(Duration::from_secs(10))?;
    // FULL: what is committed survives a loss of power. The worker does the checkpoints.
    shop.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")?;
    shop.execute_batch("CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, customer TEXT NOT NULL)")?;

    // Every limit of the message is checked here, before anything is stored.
    let body = Message::text(&format!("Thank you! Your order {order} has arrived here.")).to_json(user)?;
    let transaction = shop.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("INSERT INTO orders VALUES (?1, ?2)", [order, user])?;
    transaction.execute(
        "INSERT INTO outbox (key, recipient, body) VALUES (?1, ?2, ?3)",
        [&format!("order-{order}"), &format!("user {user}"), &body],
    )?;
    transaction.commit()?;
    println!("order {order} is stored, and so is its message");
    Ok(())
}
