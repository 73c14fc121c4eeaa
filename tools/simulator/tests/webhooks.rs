//! Webhooks out: shapes, signatures, tries, order, the verification, and the receiver of the examples.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use hookmyapp::webhook::{self, EventKind};
use hookmyapp_simulator::{Delivery, Settings, Simulator};
use serde_json::{Value, json};

use support::{Got, MESSAGES, Receiver, USER, api, call, get, library, post, send_body, text_to, wait_until};

const SIGNATURE: &str = "X-HookMyApp-Signature-256";

fn start(receiver: &Receiver) -> Simulator {
    start_with(receiver, Settings::default())
}

fn start_with(receiver: &Receiver, settings: Settings) -> Simulator {
    let webhook_retries = [20, 40, 60].map(Duration::from_millis).to_vec();
    Simulator::start_with(Settings { webhook: Some(receiver.url()), webhook_retries, ..settings }).unwrap()
}

fn wait_for_posts(receiver: &Receiver, count: usize) -> Vec<Got> {
    wait_until("the deliveries arrive", || receiver.posts().len() >= count);
    receiver.posts()
}

fn is_signed(got: &Got, simulator: &Simulator) -> bool {
    webhook::verify(simulator.webhook_secret(), got.header(SIGNATURE).as_deref(), &got.body).is_ok()
}

fn progress(simulator: &Simulator, number: u64) -> Value {
    get(simulator, &format!("/deliveries/{number}"))["progress"].clone()
}

#[test]
fn every_event_is_signed_and_read_by_the_library() {
    let receiver = Receiver::start();
    let simulator = start(&receiver);
    simulator.user_writes(USER, "mine").unwrap();
    let mid = {
        let items = get(&simulator, &format!("/conversations/{USER}"))["items"].clone();
        items[0]["mid"].as_str().unwrap().to_owned()
    };
    let events = [
        (json!({"text": "Größe?\nWas\u{1f600}"}), EventKind::Message),
        (json!({"text": "to that", "reply_to": mid}), EventKind::Message),
        (json!({"image_url": "https://example.com/a.png"}), EventKind::Message),
        (json!({"quick_reply": {"title": "Yes", "payload": "y"}}), EventKind::Message),
        (json!({"postback": {"title": "Go", "payload": "g"}}), EventKind::Postback),
        (json!({"react": {"mid": mid, "emoji": "❤️"}}), EventKind::Reaction),
        (json!({"unreact": mid}), EventKind::Reaction),
        (json!({"read": mid}), EventKind::Read),
        (json!({"comment": "price?"}), EventKind::Comment),
        (json!({"comment": {"text": "size?", "login": "instagram", "media_id": "18"}}), EventKind::Comment),
        (json!({"edit": {"mid": mid, "text": "better"}}), EventKind::Edit),
        (json!({"delete": mid}), EventKind::Deleted),
        (json!({"referral": "flyer"}), EventKind::Referral),
    ];
    for (event, _) in &events {
        simulator.user_does(USER, event).unwrap();
    }
    let posts = wait_for_posts(&receiver, events.len() + 1);
    assert_eq!(posts.len(), events.len() + 1);
    for (got, (event, kind)) in posts[1..].iter().zip(&events) {
        assert!(is_signed(got, &simulator), "{event}");
        assert_eq!(got.header("content-type").as_deref(), Some("application/json"));
        let parsed = webhook::parse(&got.body).unwrap();
        let one = parsed.get(0).unwrap();
        assert_eq!((parsed.len(), one.kind()), (1, *kind), "{event}");
        assert_eq!((one.user_id(), one.account_id()), (Some(USER), Some(simulator.account_id())), "{event}");
        assert!(one.timestamp_ms().is_some_and(|at| at > 1_700_000_000_000), "{event}");
        let opens = one.opens_window();
        let renews = !["unreact", "read", "edit", "delete"].iter().any(|name| event.get(name).is_some());
        // The library promises no window after a comment, which Meta's list names: it is the more careful one.
        let renews = renews && event.get("comment").is_none();
        assert_eq!(opens.unwrap_or(false), renews, "{event}");
    }
    let parse = |number: usize| webhook::parse(&posts[number + 1].body).unwrap().get(0).unwrap().clone();
    assert_eq!(parse(0).text(), Some("Größe?\nWas\u{1f600}"));
    assert_eq!(parse(1).reply_to_message_id(), Some(mid.as_str()));
    assert_eq!(parse(2).attachments()[0].url(), Some("https://example.com/a.png"));
    assert_eq!((parse(3).text(), parse(3).payload()), (Some("Yes"), Some("y")));
    assert_eq!((parse(4).title(), parse(4).payload()), (Some("Go"), Some("g")));
    assert_eq!(parse(5).reaction().unwrap().emoji(), Some("❤️"));
    assert_eq!(parse(7).target_message_id().or(parse(7).message_id()), Some(mid.as_str()));
    assert_eq!(parse(8).text(), Some("price?"));
    assert_ne!(parse(8).comment_id(), parse(9).comment_id());
    assert_eq!(parse(10).text(), Some("better"));
    assert_eq!(parse(12).referral().unwrap().reference(), Some("flyer"));
}

#[test]
fn edits_are_counted_and_what_is_unsent_cannot_be_changed() {
    let receiver = Receiver::start();
    let simulator = start(&receiver);
    simulator.user_writes(USER, "helo").unwrap();
    let items = get(&simulator, &format!("/conversations/{USER}"))["items"].clone();
    let mid = items[0]["mid"].as_str().unwrap();
    for text in ["hello", "Hello"] {
        simulator.user_does(USER, &json!({"edit": {"mid": mid, "text": text}})).unwrap();
    }
    simulator.user_does(USER, &json!({"delete": mid})).unwrap();
    let edits: Vec<_> = wait_for_posts(&receiver, 4)
        .iter()
        .map(|got| webhook::parse(&got.body).unwrap().get(0).unwrap().edit_count())
        .collect();
    assert_eq!(edits, [None, Some(1), Some(2), None]);
    for event in [json!({"edit": {"mid": mid, "text": "again"}}), json!({"delete": mid})] {
        assert!(simulator.user_does(USER, &event).unwrap_err().contains("unsent"), "{event}");
    }
}

#[test]
fn only_addresses_of_this_machine_and_localhost_are_posted_to() {
    let receiver = Receiver::start();
    let simulator = Simulator::start().unwrap();
    let status = |host: &str| {
        let url = receiver.url().replace("127.0.0.1", host);
        api(simulator.address(), "PUT", "/webhook", Some(&json!({"url": url}))).status
    };
    assert_eq!(["127.0.0.1", "LocalHost"].map(status), [200, 200]);
    // The system would take these for this machine, or look them up: nothing says what they are a moment later.
    let others = ["127.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]", "localhost.example.invalid", "192.0.2.1"];
    assert_eq!(others.map(status), [400; 6]);
    assert_eq!(receiver.got().len(), 2);
}

#[test]
fn a_verify_token_of_any_length_is_compared_whole() {
    let verify_token = "t".repeat(300);
    let simulator =
        Simulator::start_with(Settings { verify_token: verify_token.clone(), ..Settings::default() }).unwrap();
    for (body, is_right) in
        [(verify_token.clone(), true), (verify_token.clone() + "t", false), ("t".repeat(200), false)]
    {
        let receiver = Receiver::answering(Box::new(move |_, _| Some((200, body.clone()))));
        let answer = api(simulator.address(), "PUT", "/webhook", Some(&json!({"url": receiver.url()}))).json();
        assert_eq!(answer["verification"]["ok"], is_right, "{answer}");
    }
}

#[test]
fn taps_report_what_was_tapped() {
    let receiver = Receiver::start();
    let simulator = start(&receiver);
    let long = "A title of more than twenty";
    let quick = json!({"text": "Q", "quick_replies": [
        {"content_type": "text", "title": "No", "payload": "n"},
        {"content_type": "text", "title": long, "payload": "l"},
        {"content_type": "user_email"},
    ]});
    let template = |payload: Value| json!({"attachment": {"type": "template", "payload": payload}});
    let buttons = json!([
        {"type": "web_url", "title": "Look", "url": "https://example.com"},
        {"type": "postback", "title": "Take", "payload": "t"},
    ]);
    let button = template(json!({"template_type": "button", "text": "B", "buttons": buttons}));
    let card =
        |payload: &str| json!({"title": "C", "buttons": [{"type": "postback", "title": payload, "payload": payload}]});
    let cards = template(json!({"template_type": "generic", "elements": [card("one"), card("two")]}));
    for message in [quick, button, cards] {
        assert_eq!(send_body(&simulator, &json!({"recipient": {"id": USER}, "message": message})).status, 200);
    }
    for (seq, number) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
        simulator.user_does(USER, &json!({"tap": {"seq": seq, "button": number}})).unwrap();
    }
    let posts = wait_for_posts(&receiver, 4);
    let parsed: Vec<_> = posts.iter().map(|got| webhook::parse(&got.body).unwrap().get(0).unwrap().clone()).collect();
    assert_eq!((parsed[0].text(), parsed[0].payload()), (Some("A title of more than"), Some("l")));
    assert_eq!(parsed[1].text(), Some("user@example.com"));
    assert_eq!((parsed[2].kind(), parsed[2].payload()), (EventKind::Postback, Some("t")));
    assert_eq!(parsed[3].payload(), Some("two"));
    let link = simulator.user_does(USER, &json!({"tap": {"seq": 2, "button": 0}})).unwrap_err();
    assert!(link.contains("link"), "{link}");
    let foreign = simulator.user_does("81", &json!({"tap": {"seq": 1, "button": 0}})).unwrap_err();
    assert!(foreign.contains("no message 1"), "{foreign}");
}

#[test]
fn signatures_can_be_wrong_or_missing_and_batches_large() {
    let receiver = Receiver::start();
    let simulator = start(&receiver);
    for signature in ["right", "wrong", "none"] {
        simulator.user_does(USER, &json!({"text": signature, "signature": signature})).unwrap();
    }
    simulator.user_does(USER, &json!({"text": "last", "batch": 1000})).unwrap();
    let posts = wait_for_posts(&receiver, 4);
    let signed: Vec<_> = posts.iter().map(|got| is_signed(got, &simulator)).collect();
    assert_eq!(signed, [true, false, false, true]);
    assert!(posts[1].header(SIGNATURE).is_some() && posts[2].header(SIGNATURE).is_none());
    let batch = webhook::parse(&posts[3].body).unwrap();
    assert_eq!((batch.len(), batch.get(999).unwrap().text()), (1000, Some("last")));
    let keys: std::collections::HashSet<_> = batch.iter().map(|event| event.key().to_owned()).collect();
    assert_eq!(keys.len(), 1000);
    // The user really wrote them.
    assert_eq!(get(&simulator, "/conversations")["users"][0]["items"], 1003);
}

#[test]
fn a_receiver_that_fails_is_tried_again_and_then_given_up() {
    let receiver = Receiver::answering(Box::new(|got, number| {
        let is_second = String::from_utf8_lossy(&got.body).contains("second");
        Some(if is_second || number == 1 { (200, "ok".to_owned()) } else { (500, format!("no {}", "x".repeat(300))) })
    }));
    let simulator = start(&receiver);
    let first = simulator.user_writes(USER, "first").unwrap();
    wait_until("it is delivered", || progress(&simulator, first) == "delivered");
    let tries = get(&simulator, &format!("/deliveries/{first}"))["tries"].clone();
    let statuses: Vec<_> = tries.as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 200]);
    assert_eq!(tries[0]["answer"].as_str().unwrap().len(), 200);
    let posts = receiver.posts();
    assert_eq!((&posts[0].body, posts[0].header(SIGNATURE)), (&posts[1].body, posts[1].header(SIGNATURE)));
    // The next one fails for good, and holds nobody up.
    let failing = simulator.user_writes(USER, "failing").unwrap();
    let second = simulator.user_writes(USER, "second").unwrap();
    wait_until("it is given up", || progress(&simulator, failing) == "given up");
    assert_eq!(progress(&simulator, second), "delivered");
    assert_eq!(get(&simulator, &format!("/deliveries/{failing}"))["tries_in_all"], 4);
    let wait = api(simulator.address(), "POST", "/wait", Some(&json!({"deliveries": 2, "timeout_ms": 20000})));
    assert_eq!(wait.status, 200);
}

#[test]
fn the_standard_delays_are_1_5_and_25_seconds_and_the_timeout_10() {
    let settings = Settings::default();
    assert_eq!(settings.webhook_retries, [1, 5, 25].map(Duration::from_secs));
    assert_eq!(settings.webhook_timeout, Duration::from_secs(10));
}

#[test]
fn a_receiver_that_takes_too_long_is_told_from_one_that_is_gone() {
    let receiver = Receiver::answering(Box::new(|_, number| (number > 0).then(|| (200, String::new()))));
    let settings = Settings { webhook_timeout: Duration::from_millis(300), ..Settings::default() };
    let simulator = start_with(&receiver, settings);
    let number = simulator.user_writes(USER, "slow").unwrap();
    wait_until("it is delivered", || progress(&simulator, number) == "delivered");
    let tries = get(&simulator, &format!("/deliveries/{number}"))["tries"].clone();
    assert!(tries[0]["error"].as_str().unwrap().contains("timeout"), "{tries}");
    drop(receiver);
    let number = simulator.user_writes(USER, "gone").unwrap();
    wait_until("it is given up", || progress(&simulator, number) == "given up");
    let tries = get(&simulator, &format!("/deliveries/{number}"))["tries"].clone();
    assert!(tries[0]["error"].as_str().unwrap().to_lowercase().contains("refused"), "{tries}");
}

#[test]
fn the_same_bytes_can_be_delivered_again() {
    let receiver = Receiver::start();
    let simulator = start(&receiver);
    let number = simulator.user_writes(USER, "once").unwrap();
    wait_until("it is delivered", || progress(&simulator, number) == "delivered");
    call(&simulator, &format!("/deliveries/{number}/again"), json!({}));
    wait_until("it is delivered again", || get(&simulator, &format!("/deliveries/{number}"))["tries_in_all"] == 2);
    call(&simulator, &format!("/deliveries/{number}/again"), json!({"signature": "wrong"}));
    let posts = wait_for_posts(&receiver, 3);
    assert!(posts.iter().all(|got| got.body == posts[0].body));
    assert_eq!(posts.iter().map(|got| is_signed(got, &simulator)).collect::<Vec<_>>(), [true, true, false]);
    // The user wrote once.
    assert_eq!(get(&simulator, "/conversations")["users"][0]["items"], 1);
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Receiver::start();
    let url = other.url();
    let receiver = Receiver::answering(Box::new(move |_, _| Some((302, format!("see {url}")))));
    let simulator = start(&receiver);
    let number = simulator.user_writes(USER, "x").unwrap();
    wait_until("it is given up", || progress(&simulator, number) == "given up");
    assert_eq!((receiver.posts().len(), other.got().len()), (4, 0));
}

#[test]
fn setting_the_url_asks_for_the_verify_token() {
    let receiver = Receiver::start();
    let simulator = Simulator::start().unwrap();
    let put = |url: Value| api(simulator.address(), "PUT", "/webhook", Some(&json!({"url": url}))).json();
    let right = put(receiver.url().into());
    assert_eq!((&right["verification"]["ok"], &right["verification"]["status"]), (&json!(true), &json!(200)));
    let got = &receiver.got()[0];
    assert_eq!(got.header("x-hookmyapp-probe").as_deref(), Some("webhook-verification"));
    assert_eq!((got.method.as_str(), got.header(SIGNATURE)), ("GET", None));
    for (status, body) in
        [(200, "something else"), (200, "verify_local_0000EXAMPLE0000\n"), (404, "verify_local_0000EXAMPLE0000")]
    {
        let other = Receiver::answering(Box::new(move |_, _| Some((status, body.to_owned()))));
        let wrong = put(other.url().into());
        assert_eq!((&wrong["verification"]["ok"], &wrong["verification"]["answer"]), (&json!(false), &json!(body)));
    }
    assert_eq!(put(Value::Null), json!({"url": null, "verification": null}));
    assert_eq!(get(&simulator, "/webhook")["url"], Value::Null);
    let number = simulator.user_writes(USER, "x").unwrap();
    assert_eq!(progress(&simulator, number), "no webhook is set");
    put(receiver.url().replace("127.0.0.1", "localhost").into());
    call(&simulator, &format!("/deliveries/{number}/again"), json!({}));
    wait_for_posts(&receiver, 1);
    assert!(simulator.verify_webhook().is_ok());
}

#[test]
fn accepted_messages_come_back_as_echoes_even_when_the_answer_is_lost() {
    let receiver = Receiver::start();
    let simulator = start_with(&receiver, Settings { echo: true, ..Settings::default() });
    send_body(&simulator, &text_to(USER, "hello"));
    simulator.plan(hookmyapp_simulator::Fault::LostAfter);
    let mut line = support::Line::to(simulator.address());
    line.say(post(MESSAGES, &text_to(USER, "lost").to_string()));
    line.rest();
    simulator.plan(hookmyapp_simulator::Fault::LostBefore);
    let mut line = support::Line::to(simulator.address());
    line.say(post(MESSAGES, &text_to(USER, "never").to_string()));
    line.rest();
    send_body(&simulator, &json!({"recipient": {"id": USER}, "message": {"attachment": {"type": "like_heart"}}}));
    let posts = wait_for_posts(&receiver, 3);
    let received = simulator.received();
    let echoes: Vec<_> = posts.iter().map(|got| webhook::parse(&got.body).unwrap().get(0).unwrap().clone()).collect();
    for (echo, seq) in echoes.iter().zip([1, 2, 4]) {
        assert_eq!((echo.kind(), echo.user_id()), (EventKind::Echo, Some(USER)));
        assert_eq!(echo.message_id(), received[seq - 1].message_id.as_deref());
    }
    assert_eq!((echoes[1].text(), echoes[2].attachments()[0].attachment_type()), (Some("lost"), "like_heart"));
    assert_eq!(posts.len(), 3);
}

#[test]
fn a_thousand_deliveries_may_wait_and_no_more() {
    // It never answers, so that everything behind the first one waits.
    let receiver = Receiver::answering(Box::new(|_, _| None));
    let simulator = start(&receiver);
    let full = (0..1100).find_map(|number| simulator.user_writes(USER, &number.to_string()).err());
    assert!(full.unwrap().contains("1000"));
    let reply = api(simulator.address(), "POST", &format!("/users/{USER}/events"), Some(&json!({"text": "x"})));
    assert_eq!(reply.status, 429);
    let kept = get(&simulator, &format!("/conversations/{USER}"))["items"].as_array().unwrap().len();
    assert!((1000..=1001).contains(&kept), "{kept}");
}

#[test]
fn a_delivery_can_be_posted_without_a_simulator() {
    let receiver = Receiver::start();
    let delivery = Delivery::of_event("17841450000000017", USER, &json!({"text": "hi"})).unwrap();
    assert_eq!(delivery.post(&receiver.url(), "secret"), Ok((200, "ok".to_owned())));
    let got = &receiver.posts()[0];
    assert!(webhook::verify("secret", got.header(SIGNATURE).as_deref(), &got.body).is_ok());
    assert!(delivery.post("http://192.0.2.1/", "secret").unwrap_err().contains("loopback"));
    assert!(Delivery::of_event("1", USER, &json!({"tap": {"seq": 1, "button": 0}})).is_err());
}

#[test]
fn the_receiver_of_the_examples_answers_each_message_once() {
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "receiver", "--manifest-path"])
        .arg(library("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", support::shown(&built));
    let simulator = Simulator::start().unwrap();
    let mut child = Command::new(target.join("debug/examples/receiver"))
        .envs(simulator.variables())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let url = first.strip_prefix("listening on ").unwrap().to_owned();
    let set = api(simulator.address(), "PUT", "/webhook", Some(&json!({"url": url}))).json();
    assert_eq!(set["verification"]["ok"], true, "{set}");
    let right = simulator.user_writes(USER, "question").unwrap();
    assert!(simulator.wait_for_messages(1, support::TEST_TIMEOUT));
    call(&simulator, &format!("/deliveries/{right}/again"), json!({}));
    let wrong = simulator.user_does(USER, &json!({"text": "forged", "signature": "wrong"})).unwrap();
    let unsigned = simulator.user_does(USER, &json!({"text": "forged", "signature": "none"})).unwrap();
    for number in [wrong, unsigned] {
        let tries = || get(&simulator, &format!("/deliveries/{number}"))["tries"].clone();
        wait_until("it is refused", || tries()[0]["status"] == 401);
    }
    let wait = api(simulator.address(), "POST", "/wait", Some(&json!({"deliveries": 2, "timeout_ms": 20000})));
    assert_eq!(wait.status, 200);
    simulator.user_does(USER, &json!({"postback": {"title": "a", "payload": "b"}})).unwrap();
    assert!(simulator.wait_for_messages(2, support::TEST_TIMEOUT));
    let texts: Vec<_> = simulator.received().iter().map(|received| received.got_it).collect();
    assert_eq!(texts, [true, true]);
    child.kill().unwrap();
    child.wait().unwrap();
}
