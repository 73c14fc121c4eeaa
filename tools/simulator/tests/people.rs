//! Users, their windows, the sandbox, comments, the clock and the limit.

mod support;

use hookmyapp_simulator::{Answer, Settings, Simulator};
use serde_json::{Value, json};

use support::{MESSAGES, Reply, USER, api, ask_once, call, get, post, send_body, text_to};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn start(settings: Settings) -> Simulator {
    Simulator::start_with(settings).unwrap()
}

fn advance(simulator: &Simulator, seconds: i64) {
    call(simulator, "/clock", json!({"advance_seconds": seconds}));
}

/// Status, code and subcode of Meta's, or status and flat code.
fn told(reply: &Reply) -> (u16, Value, Value) {
    let body = reply.json();
    match body.get("error") {
        Some(error) => (reply.status, error["code"].clone(), error["error_subcode"].clone()),
        None => (reply.status, body["code"].clone(), Value::Null),
    }
}

fn status(simulator: &Simulator, body: &Value) -> u16 {
    send_body(simulator, body).status
}

fn tagged(user: &str) -> Value {
    json!({"recipient": {"id": user}, "message": {"text": "x"}, "tag": "HUMAN_AGENT"})
}

fn private_reply(comment: &str) -> Value {
    json!({"recipient": {"comment_id": comment}, "message": {"text": "x"}})
}

#[test]
fn a_window_closes_after_24_hours_and_7_days_for_the_tag() {
    let simulator = start(Settings::default());
    assert_eq!(status(&simulator, &text_to(USER, "opens")), 200);
    advance(&simulator, 23 * HOUR + 59 * MINUTE);
    assert_eq!(status(&simulator, &text_to(USER, "x")), 200);
    advance(&simulator, 2 * MINUTE);
    assert_eq!(told(&send_body(&simulator, &text_to(USER, "x"))), (403, json!(10), json!(2534022)));
    assert_eq!(status(&simulator, &tagged(USER)), 200);
    advance(&simulator, 6 * DAY - 2 * MINUTE);
    assert_eq!(status(&simulator, &tagged(USER)), 200);
    advance(&simulator, 3 * MINUTE);
    assert_eq!(told(&send_body(&simulator, &tagged(USER))), (403, json!(10), json!(2534022)));
    assert_eq!(get(&simulator, &format!("/conversations/{USER}"))["user"]["window_left_ms"], 0);
    // What was refused did not enter the conversation, though it is shown there.
    let items = get(&simulator, &format!("/conversations/{USER}"))["items"].clone();
    let got: Vec<_> = items.as_array().unwrap().iter().map(|item| item["got_it"].as_bool().unwrap()).collect();
    assert_eq!(got, [true, true, false, true, true, false]);
}

#[test]
fn what_a_user_does_opens_the_window_or_does_not() {
    for (event, opens) in [
        (json!({"text": "hi"}), true),
        (json!({"image_url": "https://example.com/a.png"}), true),
        (json!({"quick_reply": {"title": "a", "payload": "b"}}), true),
        (json!({"postback": {"title": "a", "payload": "b"}}), true),
        (json!({"react": {"mid": "m", "emoji": "🎉"}}), true),
        (json!({"comment": "price?"}), true),
        (json!({"referral": "flyer"}), true),
        (json!({"unreact": "m"}), false),
        (json!({"read": "m"}), false),
    ] {
        let simulator = start(Settings::default());
        call(&simulator, "/users", json!({"id": USER, "last_inbound": 0}));
        assert_eq!(status(&simulator, &text_to(USER, "x")), 403);
        simulator.user_does(USER, &event).unwrap();
        assert_eq!(status(&simulator, &text_to(USER, "x")), if opens { 200 } else { 403 }, "{event}");
    }
}

#[test]
fn a_tap_opens_the_window() {
    let simulator = start(Settings::default());
    let replies = json!([{"content_type": "text", "title": "Yes", "payload": "y"}]);
    let body = json!({"recipient": {"id": USER}, "message": {"text": "Q", "quick_replies": replies}});
    assert_eq!(status(&simulator, &body), 200);
    advance(&simulator, 2 * DAY);
    assert_eq!(status(&simulator, &text_to(USER, "x")), 403);
    simulator.user_does(USER, &json!({"tap": {"seq": 1, "button": 0}})).unwrap();
    assert_eq!(status(&simulator, &text_to(USER, "x")), 200);
}

#[test]
fn strict_knows_only_users_who_wrote() {
    let simulator = start(Settings { strict: true, ..Settings::default() });
    assert_eq!(told(&send_body(&simulator, &text_to(USER, "x"))), (400, json!(100), json!(2534014)));
    call(&simulator, "/users", json!({"id": USER, "last_inbound": "never"}));
    assert_eq!(told(&send_body(&simulator, &text_to(USER, "x"))), (400, json!(100), json!(2534014)));
    simulator.user_writes(USER, "hi").unwrap();
    assert_eq!(status(&simulator, &text_to(USER, "x")), 200);
}

#[test]
fn a_sandbox_has_its_own_base_shapes_and_user() {
    let simulator = start(Settings { sandbox_user: Some(USER.to_owned()), ..Settings::default() });
    let path = MESSAGES.replace("/meta", "");
    let send = |user: &str| ask_once(&simulator, post(&path, &text_to(user, "x").to_string()));
    assert!(simulator.env_lines().starts_with(&format!("INSTAGRAM_API_URL={}/v25.0\n", simulator.url())));
    assert!(simulator.curl_line().contains(&format!("{}/v25.0/", simulator.url())));
    assert_eq!(ask_once(&simulator, post(MESSAGES, &text_to(USER, "x").to_string())).status, 404);
    assert_eq!(send(USER).status, 200);
    assert_eq!(told(&send("81")), (403, json!("SANDBOX_RECIPIENT_MISMATCH"), Value::Null));
    advance(&simulator, DAY + MINUTE);
    assert_eq!(told(&send(USER)), (403, json!("SESSION_WINDOW_CLOSED"), Value::Null));
    simulator.user_writes(USER, "hi").unwrap();
    assert_eq!(send(USER).status, 200);
}

#[test]
fn a_comment_takes_one_private_reply_within_7_days() {
    let simulator = start(Settings { strict: true, ..Settings::default() });
    assert_eq!(told(&send_body(&simulator, &private_reply("1"))), (400, json!(100), json!(2534025)));
    simulator.user_does(USER, &json!({"comment": {"id": "1", "text": "price?"}})).unwrap();
    simulator.user_does(USER, &json!({"comment": {"id": "2", "text": "size?"}})).unwrap();
    let reply = send_body(&simulator, &private_reply("1"));
    assert_eq!((reply.status, reply.json()["recipient_id"].as_str().unwrap()), (200, USER));
    assert_eq!(told(&send_body(&simulator, &private_reply("1"))), (400, json!(10903), Value::Null));
    advance(&simulator, 7 * DAY + MINUTE);
    assert_eq!(told(&send_body(&simulator, &private_reply("2"))), (400, json!(100), json!(2534025)));
    let items = get(&simulator, &format!("/conversations/{USER}"))["items"].clone();
    assert_eq!((items[2]["type"].as_str(), items[2]["got_it"].as_bool()), (Some("request"), Some(true)));
}

#[test]
fn an_unknown_comment_is_taken_once_unless_strict() {
    let simulator = start(Settings::default());
    assert_eq!(status(&simulator, &private_reply("17912345678901234")), 200);
    assert_eq!(told(&send_body(&simulator, &private_reply("17912345678901234"))), (400, json!(10903), Value::Null));
}

#[test]
fn a_private_reply_that_a_fault_swallows_leaves_the_comment_open() {
    let simulator = start(Settings { strict: true, ..Settings::default() });
    simulator.user_does(USER, &json!({"comment": {"id": "1", "text": "price?"}})).unwrap();
    simulator.plan(hookmyapp_simulator::Fault::Error502Before);
    assert_eq!(status(&simulator, &private_reply("1")), 502);
    assert_eq!(status(&simulator, &private_reply("1")), 200);
}

#[test]
fn a_limit_refuses_what_is_more_in_a_second() {
    let simulator = start(Settings { limit: Some(2), ..Settings::default() });
    let statuses: Vec<u16> = (0..100).map(|_| status(&simulator, &text_to(USER, "x"))).collect();
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses.contains(&400));
    let refused = simulator.received().into_iter().find(|received| !received.is_accepted()).unwrap();
    assert_eq!(refused.answer.as_ref().map(Answer::is_success), Some(false));
    assert_eq!(refused.must_conclude[0].status, 22);
    support::wait_until("the next second is open", || status(&simulator, &text_to(USER, "x")) == 200);
}

#[test]
fn a_delay_holds_back_every_response() {
    let delay = std::time::Duration::from_millis(200);
    let simulator = start(Settings { delay, ..Settings::default() });
    let started = std::time::Instant::now();
    assert_eq!(status(&simulator, &text_to(USER, "x")), 200);
    assert!(started.elapsed() >= delay);
}

#[test]
fn the_clock_moves_time_stamps_and_goes_back() {
    let simulator = start(Settings { clock_offset_ms: DAY * 1000, ..Settings::default() });
    assert_eq!(get(&simulator, "/clock")["offset_seconds"], DAY);
    send_body(&simulator, &text_to(USER, "x"));
    call(&simulator, "/clock", json!({"reset": true}));
    send_body(&simulator, &text_to(USER, "x"));
    let times: Vec<i64> = simulator.received().iter().map(|received| received.at_ms).collect();
    assert!((times[0] - times[1] - DAY * 1000).abs() < 3_600_000, "{times:?}");
    let reply = api(simulator.address(), "POST", "/clock", Some(&json!({"advance_seconds": i64::MAX})));
    assert_eq!(reply.status, 400);
    assert_eq!(get(&simulator, "/clock")["offset_seconds"], 0);
}

#[test]
fn actions_reach_the_conversation_and_are_no_messages() {
    let simulator = start(Settings::default());
    assert_eq!(status(&simulator, &json!({"recipient": {"id": USER}, "sender_action": "typing_on"})), 200);
    let received = &simulator.received()[0];
    assert_eq!((received.got_it, simulator.counts().messages), (true, 0));
    let item = get(&simulator, &format!("/conversations/{USER}"))["items"][0].clone();
    assert_eq!((item["kind"].as_str(), item["got_it"].as_bool()), (Some("action"), Some(true)));
}
