//! `send`, `check`, `add`, `work` and the commands that look at a queue, with the simulator as the gateway.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::*;

#[test]
fn the_example_is_sent_once_however_often_it_is_run() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("messages.csv", include_bytes!("../examples/messages.csv"));
    let first = place.run("send messages.csv").expect(0);
    assert!(first.stderr.contains("accepted now        8"), "{}", first.stderr);
    assert_each_once(&gateway, 8);
    let second = place.run("send messages.csv").expect(0);
    assert!(second.stderr.contains("accepted before     8"), "{}", second.stderr);
    assert_eq!(gateway.counts().requests, 8);
}

#[test]
fn a_longer_file_sends_only_what_is_new() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(20, 5));
    place.run("send a.csv --rate 0").expect(0);
    place.write("a.csv", csv(30, 5));
    place.run("send a.csv --rate 0").expect(0);
    assert_each_once(&gateway, 30);
}

#[test]
fn rows_of_a_recipient_arrive_in_the_order_of_the_file() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(2), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(300, 7));
    place.run("send a.csv --rate 0 --threads 16").expect(0);
    let mut last = [None; 7];
    for received in gateway.received() {
        let text = received.json().unwrap()["message"]["text"].as_str().unwrap().to_owned();
        let n: usize = text.strip_prefix("text ").unwrap().parse().unwrap();
        assert!(last[n % 7].is_none_or(|before| before < n), "{n} after {:?}", last[n % 7]);
        last[n % 7] = Some(n);
    }
    assert_each_once(&gateway, 300);
}

#[test]
fn mistakes_are_all_listed_and_nothing_is_queued_or_sent() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", "recipient_id,text,key\n81,a,k1\n,b,k2\n8.1E+15,c,k3\n84,d,k1\n");
    let ended = place.run("send a.csv").expect(65);
    for expected in [
        "line 3 (row 2): recipient_id and comment_id are empty",
        "line 4 (row 3): recipient_id: a spreadsheet has rounded this id",
        "line 5 (row 4): key k1 is in line 2, too",
        "3 errors in a.csv; nothing was queued or sent",
    ] {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    assert_eq!(gateway.counts().requests, 0);
    assert_eq!(place.counts("a.csv.outbox")["queued"], 0);
}

#[test]
fn only_the_first_fifty_mistakes_are_printed_and_all_are_counted() {
    let place = Place::without_gateway();
    place.write("a.csv", format!("recipient_id,text\n{}", ",x\n".repeat(70)));
    let ended = place.run("check a.csv").expect(65);
    assert_eq!(ended.stderr.matches("are empty").count(), 50);
    assert!(ended.stderr.contains("70 errors"), "{}", ended.stderr);
}

#[test]
fn equal_rows_without_keys_are_a_mistake_and_name_both_lines() {
    let place = Place::without_gateway();
    place.write("a.csv", "recipient_id,text\n81,a\n82,a\n81,a\n");
    let ended = place.run("check a.csv").expect(65);
    assert!(ended.stderr.contains("lines 2 and 4 say the same to the same person"), "{}", ended.stderr);
}

#[test]
fn a_key_with_another_text_is_an_error() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", "recipient_id,text,key\n81,a,k\n");
    place.run("send a.csv").expect(0);
    place.write("a.csv", "recipient_id,text,key\n81,b,k\n");
    let ended = place.run("send a.csv").expect(65);
    assert!(ended.stderr.contains("line 2 (row 1): key k is in the queue with another text"), "{}", ended.stderr);
    assert_each_once(&gateway, 1);
}

#[test]
fn check_prints_the_first_body_and_creates_nothing() {
    let place = Place::without_gateway();
    place.write("a.ndjson", "{\"recipient_id\":\"81\",\"text\":\"Hi\"}\n");
    let ended = place.run("check a.ndjson").expect(0);
    assert_eq!(ended.stdout, "{\"recipient\":{\"id\":\"81\"},\"message\":{\"text\":\"Hi\"}}\n");
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1);
}

#[test]
fn standard_output_has_the_results_as_ndjson_and_nothing_else() {
    let gateway = gateway();
    gateway.plan_fault(PlannedFault { fault: Fault::NoSuchUser, count: None, user: Some(user(1)) });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(3, 3));
    let ended = place.run("send a.csv --results -").expect(2);
    let lines = ended.lines();
    assert_eq!(lines.len(), 3);
    let of_key = |key: &str| lines.iter().find(|line| line["key"] == key).expect("a line of the key").clone();
    assert_eq!(of_key("key-0")["outcome"], "accepted");
    assert!(of_key("key-0")["message_id"].is_string() && of_key("key-0")["line"] == 2);
    let refused = of_key("key-1");
    assert_eq!((refused["outcome"].as_str(), refused["status"].as_i64()), (Some("refused"), Some(24)));
    assert_eq!((refused["meta_code"].as_i64(), refused["meta_subcode"].as_i64()), (Some(100), Some(2_534_014)));
    // The queue lists the same afterwards.
    assert_eq!(place.run("results --queue a.csv.outbox").expect(0).lines().len(), 3);
    assert_eq!(place.run("results --queue a.csv.outbox --after 2").expect(0).lines().len(), 1);
}

#[test]
fn standard_input_is_a_file_too() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let ended = with_input(place.command("send - --queue q"), "{\"recipient_id\":\"81\",\"text\":\"Hi\"}\n");
    ended.expect(0);
    assert_each_once(&gateway, 1);
}

#[test]
fn an_expired_token_stops_a_run_and_loses_nothing() {
    let gateway = gateway();
    let mut place = Place::new(&gateway);
    place.write("a.csv", csv(50, 50));
    let right = gateway.token().to_owned();
    place.set("INSTAGRAM_ACCESS_TOKEN", "hmat_live_wrong");
    let ended = place.run("send a.csv --threads 4 --rate 0").expect(1);
    assert!(ended.stderr.contains("nothing is accepted until a person acts"), "{}", ended.stderr);
    let counts = place.counts("a.csv.outbox");
    assert_eq!((counts["queued"], counts["refused"], counts["failed"]), (50, 0, 0));
    assert!(gateway.counts().requests <= 8, "few requests with a token that is refused");
    place.set("INSTAGRAM_ACCESS_TOKEN", &right);
    place.run("send a.csv --rate 0").expect(0);
    assert_each_once(&gateway, 50);
}

#[test]
fn an_expired_token_pauses_a_worker_and_loses_nothing() {
    let gateway = gateway();
    let mut place = Place::new(&gateway);
    place.write("a.csv", csv(50, 50));
    place.run("add a.csv").expect(0);
    let right = gateway.token().to_owned();
    place.set("INSTAGRAM_ACCESS_TOKEN", "hmat_live_wrong");
    let worker = place.start("work --threads 4 --rate 0");
    place.wait_for("outbox.db", "queued", 50);
    while place.counts("outbox.db")["paused_ms"] < 20_000 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(place.run("status").stdout.contains("sending resumes in"));
    worker.signal("TERM");
    assert_eq!(worker.wait().code, Some(0));
    place.set("INSTAGRAM_ACCESS_TOKEN", &right);
    place.run("work --until-empty --rate 0").expect(0);
    assert_each_once(&gateway, 50);
}

#[test]
fn a_rate_limit_pauses_everybody_for_the_time_it_states() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    gateway.answer_next(
        Answer::new(429, "application/json", r#"{"code":"RATE_LIMITED","message":"wait"}"#)
            .with_header("Retry-After", "2"),
    );
    place.write("a.csv", csv(20, 20));
    let ended = place.run("send a.csv --threads 1 --rate 0").expect(0);
    assert_each_once(&gateway, 20);
    assert_eq!(gateway.counts().requests, 21);
    let received = gateway.received();
    let waited = received[1].at_ms - received[0].at_ms;
    assert!(waited >= 2000, "the second request came after {waited} ms");
    let pauses = ended.pauses();
    assert!((2.0..4.0).contains(&pauses), "{pauses} s of pauses: {}", ended.stderr);
}

#[test]
fn a_pause_that_nobody_waited_for_does_not_count() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    gateway.answer_next(Answer::new(429, "application/json", "{}").with_header("Retry-After", "600"));
    place.write("a.csv", csv(5, 5));
    let running = place.start("send a.csv --threads 1");
    running.wait_for_error("pausing");
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.pauses() < 30.0, "{}", ended.stderr);
}

#[test]
fn a_pause_longer_than_allowed_stops_the_run() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    gateway.answer_next(Answer::new(429, "application/json", "{}").with_header("Retry-After", "7200"));
    place.write("a.csv", csv(5, 5));
    let ended = place.run("send a.csv --threads 1").expect(1);
    assert!(ended.stderr.contains("more than --max-pause"), "{}", ended.stderr);
    assert!(ended.pauses() < 1.0, "{}", ended.stderr);
    assert_eq!(place.counts("a.csv.outbox")["queued"], 5);
}

#[test]
fn a_gateway_that_is_down_fails_no_message() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(40, 40));
    gateway.plan(Fault::Down);
    place.run("send a.csv --rate 0").expect(0);
    assert_each_once(&gateway, 40);
    assert_eq!(place.counts("a.csv.outbox")["accepted"], 40);
}

#[test]
fn a_lost_response_is_unknown_and_never_sent_again_by_itself() {
    let gateway = gateway();
    gateway.plan(Fault::LostAfter);
    let place = Place::new(&gateway);
    place.write("a.csv", csv(5, 5));
    for _ in 0..2 {
        place.run("send a.csv --threads 1").expect(3);
    }
    assert_each_once(&gateway, 5);
    let unknown = place.run("unknown list --queue a.csv.outbox").expect(0).lines();
    assert_eq!(unknown.len(), 1);
    assert_eq!((unknown[0]["status"].as_i64(), unknown[0]["key"].as_str()), (Some(31), Some("key-0")));
    assert!(unknown[0]["body"].as_str().unwrap().contains("text 0"));
    let id = unknown[0]["id"].as_i64().unwrap();
    place.run(&format!("unknown accept {id} --queue a.csv.outbox")).expect(0);
    place.run(&format!("unknown accept {id} --queue a.csv.outbox")).expect(2);
    place.run("send a.csv").expect(0);
    assert_each_once(&gateway, 5);
}

#[test]
fn an_unknown_message_is_sent_again_when_a_person_says_so() {
    let gateway = gateway();
    gateway.plan(Fault::LostBefore);
    let place = Place::new(&gateway);
    place.write("a.csv", csv(5, 1));
    place.run("send a.csv --threads 1").expect(3);
    assert_eq!(book(&gateway).len(), 4);
    place.run("send a.csv --resend-unknown").expect(0);
    assert_each_once(&gateway, 5);
}

#[test]
fn only_the_unknown_messages_of_the_file_are_sent_again() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(2, 2));
    place.write("b.csv", csv(5, 5).replace("text ", "other ").replace("key-", "other-"));
    gateway.plan(Fault::LostBefore);
    place.run("send b.csv --threads 1 --queue shared.db").expect(3);
    gateway.plan(Fault::LostBefore);
    place.run("send a.csv --threads 1 --queue shared.db").expect(3);
    place.run("send a.csv --resend-unknown --queue shared.db").expect(0);
    assert_each_once(&gateway, 6);
    assert_eq!(place.counts("shared.db")["unknown"], 1);
}

#[test]
fn a_file_that_is_added_during_its_run_does_not_change_the_counts_of_the_run() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(100), ..Settings::default() });
    gateway.plan_fault(PlannedFault { fault: Fault::NoSuchUser, count: None, user: Some(user(1)) });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(2, 2));
    place.run("send a.csv").expect(2);
    place.write("a.csv", csv(8, 8));
    let running = place.start("send a.csv --threads 1");
    assert!(gateway.wait_for_messages(2, Duration::from_secs(30)));
    place.run("add a.csv --queue a.csv.outbox").expect(0);
    let ended = running.wait();
    for expected in
        ["rows                8\n", "accepted now        6\n", "accepted before     1\n", "refused             1\n"]
    {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn a_run_counts_its_own_file_and_names_the_rest_apart() {
    let gateway = gateway();
    gateway.plan_fault(PlannedFault { fault: Fault::NoSuchUser, count: None, user: Some(user(1)) });
    let place = Place::new(&gateway);
    place.write("others.csv", csv(5, 5).replace("key-", "other-").replace("text ", "other "));
    place.run("add others.csv --queue shared.db").expect(0);
    place.write("a.csv", csv(1, 1));
    let ended = place.run("send a.csv --queue shared.db").expect(0);
    for expected in
        ["rows                1\n", "accepted now        1\n", "other messages      4 accepted, 1 refused\n"]
    {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("accepted before"), "{}", ended.stderr);
    assert_each_once(&gateway, 5);
}

#[test]
fn a_worker_creates_no_queue() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let ended = place.run("work --until-empty --queue typing-error.db").expect(73);
    assert!(ended.stderr.contains("typing-error.db: there is no such queue"), "{}", ended.stderr);
    assert!(!place.path("typing-error.db").exists());
}

#[test]
fn a_refused_message_is_sent_again_when_a_person_says_so() {
    let gateway = gateway();
    gateway.plan(Fault::WindowClosed);
    let place = Place::new(&gateway);
    place.write("a.csv", csv(3, 3));
    place.run("send a.csv --threads 1").expect(2);
    place.run("send a.csv").expect(2);
    place.run("send a.csv --retry-refused").expect(0);
    assert_each_once(&gateway, 3);
}

#[test]
fn an_echo_settles_its_unknown_message_and_no_other() {
    let gateway = gateway();
    gateway.plan_fault(PlannedFault { fault: Fault::LostAfter, count: Some(2), user: None });
    let place = Place::new(&gateway);
    place.write("a.csv", "recipient_id,text,key\n81,the same,a\n81,the same,b\n82,other,c\n");
    place.run("send a.csv --threads 1").expect(3);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let echo = |user: &str, text: &str, id: &str, at: u128| {
        format!(
            r#"{{"object":"instagram","entry":[{{"id":"17","time":{at},"messaging":[{{"sender":{{"id":"17"}},"recipient":{{"id":"{user}"}},"timestamp":{at},"message":{{"mid":"{id}","text":"{text}","is_echo":true}}}}]}}]}}"#
        )
    };
    let lines = [
        echo("81", "the same", "m-1", time),
        echo("81", "the same", "m-1", time),
        echo("81", "the same", "m-0", time - 3_600_000),
        echo("82", "the same", "m-2", time),
    ];
    place.write("echoes.ndjson", lines.join("\n"));
    let ended = place.run("unknown echo echoes.ndjson --queue a.csv.outbox").expect(0);
    assert!(ended.stderr.contains("1 of 2 unknown messages were delivered"), "{}", ended.stderr);
    assert_eq!(place.run("unknown list --queue a.csv.outbox").lines()[0]["key"], "b");
    place.write("echoes.ndjson", "{\n");
    place.run("unknown echo echoes.ndjson --queue a.csv.outbox").expect(65);
}

#[test]
fn five_unknown_outcomes_in_a_row_stop_the_run() {
    let gateway = gateway_with(Settings {
        faults: vec![PlannedFault { fault: Fault::LostAfter, count: None, user: None }],
        ..Settings::default()
    });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(50, 50));
    let ended = place.run("send a.csv --threads 1").expect(1);
    assert!(ended.stderr.contains("5 messages in a row have an unknown outcome"), "{}", ended.stderr);
    let counts = place.counts("a.csv.outbox");
    assert_eq!((counts["unknown"], counts["queued"]), (5, 45));
}

#[test]
fn ten_equal_refusals_in_a_row_stop_the_run() {
    let gateway = gateway_with(Settings {
        faults: vec![PlannedFault { fault: Fault::MediaUnreachable, count: None, user: None }],
        ..Settings::default()
    });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(50, 50));
    let ended = place.run("send a.csv --threads 1").expect(1);
    assert!(ended.stderr.contains("10 messages in a row were refused for the same reason"), "{}", ended.stderr);
    assert_eq!(place.counts("a.csv.outbox")["queued"], 40);
}

#[test]
fn a_signal_lets_the_sends_under_way_end() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(400), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(40, 40));
    let running = place.start("send a.csv --threads 4 --rate 0");
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let counts = place.counts("a.csv.outbox");
    assert_eq!((counts["sending"], counts["unknown"]), (0, 0));
    assert_eq!(counts["accepted"] as usize, book(&gateway).len());
    assert!(counts["queued"] > 0);
    place.run("send a.csv --threads 40 --rate 0").expect(0);
    assert_each_once(&gateway, 40);
}

#[test]
fn a_worker_that_is_stopped_says_how_many_are_left() {
    let gateway = gateway_with(Settings { delay: Duration::from_millis(400), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(40, 40));
    place.run("add a.csv").expect(0);
    let running = place.start("work --threads 4 --rate 0");
    assert!(gateway.wait_for_messages(4, Duration::from_secs(30)));
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("sending what is queued in outbox.db, 40 messages now\n"), "{}", ended.stderr);
    let left = place.counts("outbox.db")["queued"];
    assert!(left > 0);
    assert!(ended.stderr.contains(&format!("left to send        {left}\n")), "{left}: {}", ended.stderr);
}

#[test]
fn a_second_signal_ends_the_sends_with_their_true_verdicts() {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(60), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(10, 10));
    let running = place.start("send a.csv --threads 2 --rate 0");
    assert!(gateway.wait_for_messages(2, Duration::from_secs(30)));
    running.signal("INT");
    let begun = Instant::now();
    // What comes within a second of the first signal is the same request.
    running.signal("TERM");
    while !running.says_within("aborting", Duration::from_millis(300)) {
        running.signal("TERM");
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let counts = place.counts("a.csv.outbox");
    assert_eq!((counts["unknown"], counts["queued"], counts["sending"]), (2, 8, 0));
    let unknown = place.run("unknown list --queue a.csv.outbox").lines();
    assert!(unknown.iter().all(|line| line["status"] == 31));
}

#[test]
fn a_killed_worker_leaves_unknown_messages_and_nothing_else() {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(60), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(10, 10));
    let running = place.start("send a.csv --threads 3 --rate 0");
    assert!(gateway.wait_for_messages(3, Duration::from_secs(30)));
    running.signal("KILL");
    assert_eq!(running.wait().code, None);
    assert_eq!(place.counts("a.csv.outbox")["sending"], 3);
    let next = support::gateway();
    let mut other = Place::new(&next);
    other.folder = place.folder;
    let ended = other.run("send a.csv --rate 0").expect(3);
    assert_each_once(&next, 7);
    assert!(ended.stderr.contains("3 messages were being sent when the last worker ended"), "{}", ended.stderr);
}

#[test]
fn a_second_worker_is_refused() {
    let gateway = gateway_with(Settings { delay: Duration::from_secs(2), ..Settings::default() });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(4, 4));
    let running = place.start("send a.csv --threads 2");
    assert!(gateway.wait_for_messages(1, Duration::from_secs(30)));
    std::os::unix::fs::symlink(place.path("a.csv.outbox"), place.path("link")).unwrap();
    let ended = place.run("work --queue link").expect(73);
    assert!(
        ended.stderr.contains(&format!("another process is sending from it (process {})", running.id())),
        "{}",
        ended.stderr
    );
    assert!(place.run("status --queue link").stdout.contains(&format!("process {}", running.id())));
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn messages_of_other_programs_are_noticed_and_kept_in_order() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.run("init").expect(0);
    let worker = place.start("work --rate 0");
    let mut application = application(&place.path("outbox.db"));
    let transaction = application.transaction().unwrap();
    for n in 0..30 {
        let recipient = if n % 2 == 0 { "81".to_owned() } else { "user 81".to_owned() };
        transaction
            .execute(
                "INSERT INTO outbox (recipient, body) VALUES (?1, ?2)",
                (recipient, text_body("81", &format!("text {n}"))),
            )
            .unwrap();
    }
    transaction.commit().unwrap();
    assert!(gateway.wait_for_messages(30, Duration::from_secs(30)));
    place.wait_for("outbox.db", "accepted", 30);
    worker.signal("TERM");
    assert_eq!(worker.wait().code, Some(0));
    let texts: Vec<String> = gateway
        .received()
        .iter()
        .map(|received| received.json().unwrap()["message"]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, (0..30).map(|n| format!("text {n}")).collect::<Vec<_>>());
}

#[test]
fn rows_that_can_never_be_sent_fail_with_their_reason() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.run("init").expect(0);
    let application = application(&place.path("outbox.db"));
    let insert = "INSERT INTO outbox (recipient, body, due_at) VALUES (?1, ?2, NULL)";
    for (recipient, body) in [("82", text_body("81", "a")), ("83", "{".to_owned()), ("84", "{}".to_owned())] {
        application.execute(insert, (recipient, body)).unwrap();
    }
    application.execute("INSERT INTO outbox (recipient, body) VALUES ('85', CAST(x'ff' AS TEXT))", []).unwrap();
    application.execute(insert, ("86", text_body("86", &"x".repeat(10)))).unwrap();
    place.run("work --until-empty").expect(2);
    assert_each_once(&gateway, 1);
    let lines = place.run("results").lines();
    let errors: Vec<&str> =
        lines.iter().filter(|line| line["outcome"] == "failed").map(|line| line["error"].as_str().unwrap()).collect();
    assert_eq!(errors.len(), 4, "{lines:?}");
    for (error, expected) in errors.iter().zip(["and the row's is", "not JSON", "neither recipient.id", "not UTF-8"]) {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn late_and_cancelled_messages_are_not_sent() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.run("init").expect(0);
    let application = application(&place.path("outbox.db"));
    for (user, expires_at) in [("81", Some(1_000_000_000_000_i64)), ("82", None)] {
        application
            .execute(
                "INSERT INTO outbox (recipient, body, expires_at) VALUES (?1, ?2, ?3)",
                (user, text_body(user, "late"), expires_at),
            )
            .unwrap();
    }
    // Two days old.
    application.execute("UPDATE outbox SET created_at = created_at - 172800000 WHERE id = 2", []).unwrap();
    for text in ["cancelled", "sent"] {
        application.execute("INSERT INTO outbox (recipient, body) VALUES ('83', ?1)", [text_body("83", text)]).unwrap();
    }
    application.execute("UPDATE outbox SET state = 'cancelled' WHERE id = 3 AND state = 'queued'", []).unwrap();
    let ended = place.run("work --until-empty --results -").expect(2);
    assert_eq!(book(&gateway).into_keys().collect::<Vec<_>>(), ["sent"]);
    let counts = place.counts("outbox.db");
    assert_eq!((counts["expired"], counts["cancelled"], counts["accepted"]), (2, 1, 1));
    // What is settled without a send has its line, too, and it is the line that the queue lists.
    let expired = |lines: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
        lines.into_iter().filter(|line| line["outcome"] == "expired").collect()
    };
    let lines = expired(ended.lines());
    assert_eq!(lines.iter().map(|line| line["id"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(lines, expired(place.run("results").lines()));
    // A cancelled one stays cancelled, and an accepted one accepted.
    let ended = place.run("retry 1 2 3 4 --expires 1h").expect(2);
    for expected in
        ["message 2: queued again", "message 3: there is no refused, failed or expired message", "message 4: there is"]
    {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    place.run("work --until-empty").expect(0);
    assert_eq!(book(&gateway)["late"], 2);
}

#[test]
fn expired_messages_of_a_file_are_sent_when_a_person_says_so() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(3, 3));
    place.run("add a.csv --queue a.csv.outbox").expect(0);
    application(&place.path("a.csv.outbox")).execute("UPDATE outbox SET expires_at = 1000000000000", []).unwrap();
    let ended = place.run("send a.csv --results -").expect(2);
    assert_eq!(ended.lines().len(), 3);
    assert!(ended.stderr.contains("expired             3\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("left to send        0\n"), "{}", ended.stderr);
    place.run("send a.csv --retry-refused").expect(2);
    assert_eq!(gateway.counts().requests, 0);
    place.run("send a.csv --retry-expired").expect(0);
    assert_each_once(&gateway, 3);
}

#[test]
fn a_time_in_the_wrong_unit_is_refused_with_the_right_one() {
    let place = Place::without_gateway();
    place.run("init").expect(0);
    let application = application(&place.path("outbox.db"));
    let insert = |column: &str, value: i64| {
        let statement = format!("INSERT OR IGNORE INTO outbox (recipient, body, {column}) VALUES ('81', '{{}}', ?1)");
        application.execute(&statement, [value]).map_err(|error| error.to_string())
    };
    let seconds = 1_795_525_332;
    for column in ["due_at", "expires_at"] {
        for (value, unit) in
            [(seconds, "seconds"), (1, "seconds"), (-1, "seconds"), (seconds * 1_000_000, "microseconds")]
        {
            let error = insert(column, value).expect_err("it is refused");
            for expected in [&format!("{column} is in milliseconds since 1970"), &format!("looks like {unit}")] {
                assert!(error.contains(expected), "{expected}: {error}");
            }
        }
        assert_eq!(insert(column, seconds * 1000), Ok(1));
    }
    assert_eq!(insert("due_at", 0), Ok(1));
    assert_eq!(insert("expires_at", i64::MAX), Ok(1));
    assert_eq!(place.counts("outbox.db")["queued"], 4);
}

#[test]
fn a_rate_holds_over_all_threads() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(60, 60));
    place.run("send a.csv --rate 40 --threads 16").expect(0);
    let received = gateway.received();
    let took = received[59].at_ms - received[0].at_ms;
    assert!(took >= 1400, "60 messages at 40 a second took {took} ms");
}

#[test]
fn video_has_a_rate_of_its_own_and_a_signal_gives_back_what_waits() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    let video = r#"{"attachment":{"type":"video","payload":{"url":"https://example.com/a.mp4"}}}"#;
    let rows: String = (0..6).map(|n| format!("{{\"recipient_id\":\"{}\",\"message\":{video}}}\n", user(n))).collect();
    place.write("a.ndjson", rows);
    let running = place.start("send a.ndjson --rate 0 --media-rate 0.01 --threads 4");
    assert!(gateway.wait_for_messages(1, Duration::from_secs(30)));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(1));
    let counts = place.counts("a.ndjson.outbox");
    assert_eq!((counts["accepted"], counts["queued"], counts["unknown"]), (1, 5, 0));
    place.run("send a.ndjson --rate 0 --media-rate 0").expect(0);
    assert_eq!(gateway.counts().messages, 6);
}

#[test]
fn another_account_may_not_send_from_a_queue() {
    let gateway = gateway();
    let mut place = Place::new(&gateway);
    place.write("a.csv", csv(1, 1));
    place.run("send a.csv").expect(0);
    place.set("INSTAGRAM_ACCOUNT_ID", "17841400000000099");
    let ended = place.run("send a.csv").expect(78);
    assert!(ended.stderr.contains("belong to the account 17841450000000017"), "{}", ended.stderr);
}

#[test]
fn prune_removes_old_settled_messages_and_no_unknown_ones() {
    let gateway = gateway();
    gateway.plan(Fault::LostAfter);
    let place = Place::new(&gateway);
    place.write("a.csv", csv(5, 5));
    place.run("send a.csv --threads 1").expect(3);
    assert_eq!(place.run("prune --older-than 1d --queue a.csv.outbox").expect(0).stdout, "0 messages removed\n");
    application(&place.path("a.csv.outbox"))
        .execute("UPDATE outbox SET settled_at = settled_at - 90000000", [])
        .unwrap();
    assert_eq!(place.run("prune --older-than 1d --queue a.csv.outbox").expect(0).stdout, "4 messages removed\n");
    assert_eq!(place.counts("a.csv.outbox")["unknown"], 1);
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    let gateway = gateway();
    let mut place = Place::new(&gateway);
    place.write("a.csv", csv(1, 1));
    place.run("send").expect(64);
    assert!(place.run("init").expect(0).stderr.contains("the queue outbox.db is ready"));
    place.run("send none.csv").expect(66);
    place.run("check none.csv").expect(66);
    assert!(!place.path("none.csv.outbox").exists());
    place.run("status --queue none").expect(73);
    place.write("text", "not a database, but long enough to look like the header of one, which it is not");
    place.run("send a.csv --queue text").expect(73);
    let other = rusqlite::Connection::open(place.path("other.db")).unwrap();
    other.execute("CREATE TABLE t (x)", []).unwrap();
    let ended = place.run("send a.csv --queue other.db").expect(73);
    assert!(ended.stderr.contains("other.db: a database, but not an outbox"), "{}", ended.stderr);
    place.run("send a.csv --results no/such/folder").expect(73);
    assert!(place.run("--help").expect(0).stdout.contains("exit code"));
    place.set("INSTAGRAM_ACCESS_TOKEN", "");
    let ended = place.run("send a.csv").expect(78);
    assert!(ended.stderr.contains("INSTAGRAM_ACCESS_TOKEN"), "{}", ended.stderr);
    assert!(ended.stderr.contains("environment variables, or --env-file FILE"), "{}", ended.stderr);
    assert_eq!(gateway.counts().requests, 0);
}

#[test]
fn the_token_is_in_no_file_and_in_no_output() {
    let gateway = gateway();
    gateway.plan_fault(PlannedFault { fault: Fault::TokenRotated, count: Some(1), user: None });
    let place = Place::new(&gateway);
    place.write("a.csv", csv(5, 5));
    let ended = place.run("send a.csv --results r.ndjson");
    place.run("send a.csv --results r.ndjson").expect(0);
    for text in [&ended.stderr, &ended.stdout] {
        assert!(!text.contains(gateway.token()));
    }
    for file in fs::read_dir(place.folder.path()).unwrap() {
        let bytes = fs::read(file.as_ref().unwrap().path()).unwrap();
        let token = gateway.token().as_bytes();
        assert!(!bytes.windows(token.len()).any(|window| window == token), "{file:?}");
    }
}

#[test]
fn a_run_that_ends_before_it_sends_leaves_no_reserve_behind() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", "recipient_id,text\n,x\n");
    place.run("send a.csv").expect(65);
    assert!(place.path("a.csv.outbox").exists());
    assert!(!place.path("a.csv.outbox-reserve").exists());
}

#[test]
fn results_that_cannot_be_written_stop_the_run_and_stay_in_the_queue() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(30, 30));
    let ended = place.run("send a.csv --threads 1 --results /dev/full").expect(1);
    assert!(ended.stderr.contains("the results cannot be written"), "{}", ended.stderr);
    let counts = place.counts("a.csv.outbox");
    assert!(counts["accepted"] >= 1 && counts["unknown"] == 0 && counts["sending"] == 0, "{counts:?}");
    place.run("send a.csv --rate 0").expect(0);
    assert_each_once(&gateway, 30);
}

#[test]
fn progress_is_drawn_on_a_terminal_and_cleared_at_the_end() {
    let gateway = gateway();
    let place = Place::new(&gateway);
    place.write("a.csv", csv(30, 30));
    let line = format!("{} send a.csv --rate 20", env!("CARGO_BIN_EXE_hookmyapp-outbox"));
    let mut command = place.command_of("script", "-qec");
    let output = command.arg(line).arg("/dev/null").env("TERM", "xterm").output().expect("script runs");
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("[#") && text.contains("/30  "), "{text}");
    assert!(text.contains("all accepted"), "{text}");
}
