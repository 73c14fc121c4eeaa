//! A test of your own program: it greets a user, and the answer is lost once.

use std::time::Duration;

use hookmyapp::{Client, Config, Delivery};
use hookmyapp_simulator::{Fault, Simulator};

/// The program under test: greets a user, and retries only what was not sent.
fn greet(client: &Client, user: &str) -> Result<(), Delivery> {
    for _ in 0..3 {
        match client.send_text(user, "Welcome!") {
            Ok(_) => return Ok(()),
            Err(error) if error.delivery() == Delivery::NotSent => {}
            Err(error) => return Err(error.delivery()),
        }
    }
    Err(Delivery::NotSent)
}

#[test]
fn a_lost_answer_is_not_followed_by_a_second_greeting() {
    let simulator = Simulator::start().unwrap();
    let config = Config::new(&simulator.base_url(), simulator.account_id(), simulator.token());
    let client = Client::new(&config).unwrap();

    simulator.plan(Fault::LostAfter);
    assert_eq!(greet(&client, "8123456789012345"), Err(Delivery::Unknown));
    assert!(simulator.wait_for_messages(1, Duration::from_secs(5)));
    assert_eq!(simulator.counts().duplicates, 0);

    simulator.plan(Fault::WindowClosed);
    assert_eq!(greet(&client, "8123456789012345"), Err(Delivery::Rejected));
    assert!(!simulator.received()[1].got_it);
}
