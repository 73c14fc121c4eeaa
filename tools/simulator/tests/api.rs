//! The JSON API: each call, each invalid call, and what keeps foreign web pages out.

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use hookmyapp_simulator::{Fault, Settings, Simulator};
use serde_json::{Value, json};

use support::{
    Line, MESSAGES, Reply, TEST_TIMEOUT, TEXT, USER, api, ask_once, call, get, post, request, send_body, text_to,
    wait_until,
};

fn refused(simulator: &Simulator, method: &str, path: &str, body: &str) -> (u16, String) {
    let address = simulator.address();
    let headers = format!("Host: {address}\r\nContent-Type: application/json\r\n");
    let reply = ask_once(simulator, request(&format!("{method} /simulator{path}"), &headers, body));
    (reply.status, reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_mistake_is_answered_with_what_the_call_takes() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "x"));
    for (method, path, body, status, part) in [
        ("GET", "/nothing", "", 404, "/simulator/nothing"),
        ("GET", "/requests/x", "", 400, "number"),
        ("GET", "/requests/2", "", 404, "no request 2 yet"),
        ("GET", "/requests/0", "", 404, "no request 0"),
        ("GET", "/requests?after=x", "", 400, "after"),
        ("GET", "/requests?limit=0", "", 400, "limit"),
        ("GET", "/requests?limit=1001", "", 400, "1000"),
        ("GET", "/requests?before=1", "", 400, "before"),
        ("GET", "/conversations/999", "", 404, "no user 999"),
        ("GET", "/deliveries/5", "", 404, "no delivery 5"),
        ("POST", "/requests", "{}", 405, "GET, DELETE"),
        ("PUT", "/clock", "{}", 405, "GET, POST"),
        ("DELETE", "/wait", "{}", 405, "POST"),
        ("GET", "/wait", "", 405, "POST"),
        ("POST", "/wait", "", 400, "JSON"),
        ("POST", "/wait", "[]", 400, "object"),
        ("POST", "/wait", "{}", 400, "messages"),
        ("POST", "/wait", r#"{"messages":-1}"#, 400, "messages"),
        ("POST", "/wait", r#"{"messages":1,"timeout_ms":600001}"#, 400, "timeout_ms"),
        ("POST", "/wait", r#"{"message":1}"#, 400, "message"),
        ("POST", "/users", r#"{"id":5}"#, 400, "id"),
        ("POST", "/users", r#"{"id":"abc"}"#, 400, "digits"),
        ("POST", "/users", r#"{"name":""}"#, 400, "name"),
        ("POST", "/users", r#"{"last_inbound":"soon"}"#, 400, "last_inbound"),
        ("POST", "/users/abc/events", r#"{"text":"x"}"#, 400, "abc"),
        ("POST", "/users/1/events", r#"{}"#, 400, "exactly one"),
        ("POST", "/users/1/events", r#"{"text":5}"#, 400, "text"),
        ("POST", "/users/1/events", r#"{"text":"x","signature":"maybe"}"#, 400, "signature"),
        ("POST", "/users/1/events", r#"{"text":"x","batch":1001}"#, 400, "batch"),
        ("POST", "/users/1/events", r#"{"tap":{"seq":1,"button":0}}"#, 404, "no message 1"),
        ("POST", "/users/8123456789012345/events", r#"{"tap":{"seq":1,"button":0}}"#, 404, "0 buttons"),
        ("POST", "/users/1/events", r#"{"edit":{"mid":"m","text":"x"}}"#, 409, "no message"),
        ("POST", "/users/1/events", r#"{"delete":"m"}"#, 409, "no message"),
        ("POST", "/deliveries/1/again", "{}", 409, "no webhook"),
        ("PUT", "/webhook", "{}", 400, "url"),
        ("PUT", "/webhook", r#"{"url":"ftp://localhost/"}"#, 400, "http://"),
        ("PUT", "/webhook", r#"{"url":"http://192.0.2.1/"}"#, 400, "loopback"),
        ("PUT", "/webhook", r#"{"url":"http://0.0.0.0/"}"#, 400, "loopback"),
        ("PUT", "/webhook", r#"{"url":"http://a@127.0.0.1/"}"#, 400, "user"),
        ("PUT", "/webhook", r#"{"url":"/hook"}"#, 400, "http://"),
        ("POST", "/faults", "{}", 400, "name"),
        ("POST", "/faults", r#"{"name":"lost"}"#, 400, "lost"),
        ("POST", "/faults", r#"{"name":"no-id","count":0}"#, 400, "count"),
        ("POST", "/faults", r#"{"name":"no-id","user":"me"}"#, 400, "me"),
        ("POST", "/faults", r#"{"name":"down","user":"1"}"#, 400, "down"),
        ("POST", "/faults", r#"{"name":"down","count":3601}"#, 400, "3600"),
        ("POST", "/faults", r#"{"name":"tls-cut"}"#, 409, "--tls"),
        ("POST", "/clock", "{}", 400, "advance_seconds"),
        ("POST", "/clock", r#"{"reset":false}"#, 400, "reset"),
        ("POST", "/clock", r#"{"advance_seconds":1,"reset":true}"#, 400, "reset"),
    ] {
        let (was, reason) = refused(&simulator, method, path, body);
        assert!(was == status && reason.contains(part), "{method} {path} {body}: {was} {reason}");
    }
    let large = json!({"text": "x".repeat(65 * 1024)}).to_string();
    assert_eq!(refused(&simulator, "POST", "/users/1/events", &large).0, 413);
    assert_eq!(refused(&simulator, "POST", "/users/1/events", &" ".repeat(2 << 20)).0, 413);
    let allow = api(simulator.address(), "PUT", "/clock", Some(&json!({})));
    assert_eq!(allow.header("allow"), Some("GET, POST"));
    // None of this is a request to the gateway, and nothing of it changed anything.
    assert_eq!((simulator.received().len(), get(&simulator, "/clock")["offset_seconds"].as_i64()), (1, Some(0)));
}

#[test]
fn strange_hosts_origins_and_content_types_change_nothing() {
    let simulator = Simulator::start_with(Settings { tls: true, ..Settings::default() }).unwrap();
    let address = simulator.address();
    let port = address.port();
    let reply = |headers: String, start: &str| ask_once(&simulator, request(start, &headers, r#"{"name":"no-id"}"#));
    let json = "Content-Type: application/json\r\n";
    let fault = "POST /simulator/faults";
    for (headers, status) in [
        (format!("Host: evil.example.com\r\n{json}"), 421),
        (format!("Host: 127.0.0.1\r\n{json}"), 421),
        (format!("Host: localhost:1\r\n{json}"), 421),
        (format!("Host: localhost.evil.example.com:{port}\r\n{json}"), 421),
        (format!("Host: {address}\r\n"), 415),
        (format!("Host: {address}\r\nContent-Type: text/plain\r\n"), 415),
        (format!("Host: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n"), 415),
        (format!("Host: {address}\r\nContent-Type: multipart/form-data\r\n"), 415),
        (format!("Host: {address}\r\nOrigin: https://evil.example.com\r\n{json}"), 403),
        (format!("Host: {address}\r\nOrigin: null\r\n{json}"), 403),
        (format!("Host: {address}\r\nOrigin: http://127.0.0.1:1\r\n{json}"), 403),
        (format!("Host: {address}\r\nOrigin: http://127.0.0.1:{port}.evil.example.com\r\n{json}"), 403),
    ] {
        let reply = reply(headers.clone(), fault);
        assert_eq!(reply.status, status, "{headers}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    assert_eq!(get(&simulator, "/faults")["plan"]["next"], json!([]));
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}"), address.to_string()] {
        let own = format!("Host: {host}\r\nOrigin: http://{address}\r\n{json}");
        assert_eq!(reply(own, fault).status, 200, "{host}");
    }
    assert_eq!(get(&simulator, "/faults")["plan"]["next"].as_array().unwrap().len(), 3);
    // The page and reading ask for the Host, too.
    for path in ["/", "/simulator", "/simulator/requests", "/simulator/events"] {
        assert_eq!(reply(format!("Host: evil.example.com:{port}\r\n"), &format!("GET {path}")).status, 421, "{path}");
    }
    let preflight =
        format!("Host: {address}\r\nOrigin: https://evil.example.com\r\nAccess-Control-Request-Method: PUT\r\n");
    let reply = reply(preflight, "OPTIONS /simulator/faults");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None));
}

#[test]
fn the_page_comes_with_its_policy_and_a_new_nonce() {
    let simulator = Simulator::start().unwrap();
    let page = |path: &str| {
        let reply =
            ask_once(&simulator, request(&format!("GET {path}"), &format!("Host: {}\r\n", simulator.address()), ""));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
        reply
    };
    let (one, other) = (page("/"), page("/"));
    let nonce = |reply: &Reply| {
        let policy = reply.header("content-security-policy").unwrap().to_owned();
        policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
    };
    assert_ne!(nonce(&one), nonce(&other));
    let policy = one.header("content-security-policy").unwrap();
    let expected = format!(
        "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        nonce(&one)
    );
    assert_eq!(policy, expected);
    let headers = ["x-content-type-options", "referrer-policy", "cache-control"].map(|name| one.header(name).unwrap());
    assert_eq!(headers, ["nosniff", "no-referrer", "no-store"]);
    let text = String::from_utf8(one.body.clone()).unwrap();
    assert!(text.contains(&format!("nonce=\"{}\"", nonce(&one))) && !text.contains("{{"));
    let with_images = page("/?images=net");
    assert!(with_images.header("content-security-policy").unwrap().contains("img-src 'self' data: https: http:;"));
}

#[test]
fn the_page_has_no_dangerous_constructs_and_stays_small() {
    let page = include_str!("../src/page.html");
    assert!(page.len() <= 60 * 1024, "{} bytes", page.len());
    assert!(page.lines().count() <= 1500);
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "style=\"",
        "localStorage",
        "sessionStorage",
        "serviceWorker",
        "setAttribute(\"style\"",
        "javascript:",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let has_handler = page.split(" on").skip(1).any(|rest| {
        let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        !name.is_empty() && rest[name.len()..].starts_with("=\"")
    });
    assert!(!has_handler);
}

#[test]
fn headless_has_no_page_and_no_events() {
    let simulator = Simulator::start_with(Settings { page: false, ..Settings::default() }).unwrap();
    let headers = format!("Host: {}\r\n", simulator.address());
    for path in ["/", "/simulator/events"] {
        assert_eq!(ask_once(&simulator, request(&format!("GET {path}"), &headers, "")).status, 404, "{path}");
    }
    assert_eq!(get(&simulator, "")["version"], 1);
}

#[test]
fn the_overview_has_version_variables_clock_and_counts() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "x"));
    send_body(&simulator, &text_to(USER, "x"));
    send_body(&simulator, &text_to("me", "x"));
    let overview = get(&simulator, "");
    assert_eq!(overview["version"], 1);
    assert_eq!(overview["variables"]["INSTAGRAM_GRAPH_API_URL"], simulator.base_url());
    assert_eq!(overview["variables"]["INSTAGRAM_ACCESS_TOKEN"], "hmat_live_...0000");
    let counts = json!({"requests": 3, "messages": 2, "duplicates": 1, "refused": 1, "forgotten": 0});
    assert_eq!(overview["counts"], counts);
    assert!(overview["clock"]["now_ms"].as_i64().unwrap() > 1_700_000_000_000);
    let reply = api(simulator.address(), "GET", "", None);
    assert_eq!(
        (reply.header("x-content-type-options"), reply.header("cache-control")),
        (Some("nosniff"), Some("no-store"))
    );
}

#[test]
fn the_token_is_nowhere_in_the_api_and_the_page() {
    let simulator = Simulator::start().unwrap();
    let token = simulator.token().to_owned();
    let send = |path: &str, text: &str| ask_once(&simulator, post(path, &text_to(USER, text).to_string()));
    send(MESSAGES, &format!("my token is {token}"));
    send(MESSAGES, &format!("my token is {token}"));
    send(&format!("{MESSAGES}?access_token={token}"), "x");
    let whole = [
        "",
        "/requests",
        "/requests/1",
        "/requests/3",
        "/conversations",
        "/duplicates",
        "/deliveries",
        "/faults",
        "/webhook",
    ];
    for path in whole.iter().map(|path| (*path).to_owned()).chain([format!("/conversations/{USER}")]) {
        let reply = api(simulator.address(), "GET", &path, None);
        assert_eq!(reply.status, 200, "{path}");
        assert!(!String::from_utf8(reply.body).unwrap().contains(&token), "{path}");
    }
    let head = get(&simulator, "/requests/1")["head"].as_str().unwrap().to_owned();
    assert!(head.contains("Bearer hmat_live_...0000"), "{head}");
}

#[test]
fn requests_are_listed_in_pages_with_all_that_is_known() {
    let simulator = Simulator::start_with(Settings { keep: 5, ..Settings::default() }).unwrap();
    simulator.plan(Fault::Error502Before);
    for number in 1..=7 {
        let user = if number % 2 == 0 { USER } else { "81" };
        send_body(&simulator, &text_to(user, &number.to_string()));
    }
    let seqs = |list: &Value| -> Vec<u64> {
        list["requests"].as_array().unwrap().iter().map(|it| it["seq"].as_u64().unwrap()).collect()
    };
    let first = get(&simulator, "/requests?limit=2");
    assert_eq!((seqs(&first), &first["next"], &first["forgotten"]), (vec![3, 4], &json!(4), &json!(2)));
    let second = get(&simulator, "/requests?after=4&limit=2");
    assert_eq!((seqs(&second), &second["next"], &second["forgotten"]), (vec![5, 6], &json!(6), &json!(0)));
    let last = get(&simulator, "/requests?after=6&limit=2");
    assert_eq!((seqs(&last), &last["next"]), (vec![7], &json!(7)));
    let of_user = get(&simulator, &format!("/requests?user={USER}"));
    assert_eq!((seqs(&of_user), &of_user["next"]), (vec![4, 6], &json!(7)));
    let one = &last["requests"][0];
    assert_eq!((&one["path"], &one["method"], &one["got_it"]), (&json!(MESSAGES), &json!("POST"), &json!(true)));
    assert_eq!(one["must_conclude"], json!([{"status": 0, "when": ""}]));
    assert_eq!(one["answer"]["status"], 200);
    assert_eq!(serde_json::from_str::<Value>(one["body"].as_str().unwrap()).unwrap(), text_to("81", "7"));
    let whole = get(&simulator, "/requests/7");
    assert!(whole["headers"].as_array().unwrap().contains(&json!(["Host", "localhost"])));
    assert_eq!(whole["answer"]["headers"][1][0], "X-App-Usage");
    assert_eq!(refused(&simulator, "GET", "/requests/1", "").1, "request 1 is forgotten");
    assert_eq!(simulator.counts().forgotten, 2);
}

#[test]
fn a_long_body_is_cut_in_lists_and_whole_by_itself() {
    let simulator = Simulator::start().unwrap();
    let body = TEXT.to_owned() + &" ".repeat(100_000);
    ask_once(&simulator, post(MESSAGES, &body));
    let listed = get(&simulator, "/requests")["requests"][0].clone();
    assert_eq!(listed["body"].as_str().unwrap().len(), 16 * 1024);
    assert_eq!(listed["body_length"], body.len());
    assert_eq!(get(&simulator, "/requests/1")["body"].as_str().unwrap(), body);
}

#[test]
fn deleting_forgets_requests_and_conversations_and_numbers_go_on() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "x"));
    simulator.user_writes(USER, "hi").unwrap();
    let reply = api(simulator.address(), "DELETE", "/requests", None);
    assert_eq!((reply.status, &reply.json()["counts"]["requests"]), (200, &json!(1)));
    assert_eq!(get(&simulator, "/requests")["requests"], json!([]));
    assert_eq!(get(&simulator, &format!("/conversations/{USER}"))["items"], json!([]));
    send_body(&simulator, &text_to(USER, "x"));
    assert_eq!(simulator.received()[0].seq, 2);
    // What is forgotten cannot have come before.
    assert_eq!(simulator.counts().duplicates, 0);
}

#[test]
fn conversations_have_both_sides_in_order_and_older_pages() {
    let simulator = Simulator::start().unwrap();
    simulator.user_writes(USER, "hi").unwrap();
    send_body(&simulator, &text_to(USER, "hello"));
    simulator.plan(Fault::LostBefore);
    let mut line = Line::to(simulator.address());
    line.say(post(MESSAGES, &text_to(USER, "lost").to_string()));
    line.rest();
    let id = simulator.received()[0].message_id.clone().unwrap();
    simulator.user_does(USER, &json!({"react": {"mid": id, "emoji": "❤️"}})).unwrap();
    let whole = get(&simulator, &format!("/conversations/{USER}"));
    let keys = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&whole), ["e1", "r1", "r2", "e2"]);
    let items = &whole["items"];
    assert_eq!(
        (&items[0]["text"], &items[1]["got_it"], &items[2]["got_it"]),
        (&json!("hi"), &json!(true), &json!(false))
    );
    assert_eq!((&items[3]["kind"], &items[3]["target"]), (&json!("reaction"), &json!(id)));
    let older = get(&simulator, &format!("/conversations/{USER}?limit=2&before=r2"));
    assert_eq!((keys(&older), &older["older"]), (vec!["e1".to_owned(), "r1".to_owned()], &json!(0)));
    assert_eq!(get(&simulator, &format!("/conversations/{USER}?limit=1"))["older"], 3);
    call(&simulator, "/users", json!({"id": "81", "name": "Jäne Doe"}));
    let list = get(&simulator, "/conversations");
    let users = list["users"].as_array().unwrap();
    assert_eq!(
        (users[0]["id"].as_str(), users[1]["last"].as_str(), &list["total"]),
        (Some("81"), Some("❤️"), &json!(2))
    );
    assert_eq!(get(&simulator, "/conversations?search=j%C3%A4ne")["users"][0]["id"], "81");
    assert_eq!(get(&simulator, "/conversations?search=812345")["users"].as_array().unwrap().len(), 1);
}

#[test]
fn a_message_that_came_twice_is_named() {
    let simulator = Simulator::start().unwrap();
    simulator.plan(Fault::LostAfter);
    let mut line = Line::to(simulator.address());
    line.say(post(MESSAGES, TEXT));
    line.rest();
    ask_once(&simulator, post(MESSAGES, TEXT));
    send_body(&simulator, &text_to("81", "Hello"));
    let duplicates = get(&simulator, "/duplicates")["duplicates"].clone();
    assert_eq!(duplicates, json!([{"user": USER, "body": TEXT, "seqs": [1, 2]}]));
    let twice: Vec<bool> = simulator.received().iter().map(|received| received.came_twice).collect();
    assert_eq!(twice, [false, true, false]);
}

#[test]
fn waiting_ends_when_enough_came_or_the_time_is_over() {
    let simulator = Simulator::start().unwrap();
    let address: SocketAddr = simulator.address();
    let waiting =
        thread::spawn(move || api(address, "POST", "/wait", Some(&json!({"messages": 3, "timeout_ms": 20000}))));
    for number in 0..3 {
        send_body(&simulator, &text_to(USER, &number.to_string()));
    }
    let reply = waiting.join().unwrap();
    assert_eq!((reply.status, &reply.json()["messages"]), (200, &json!(3)));
    let over = api(address, "POST", "/wait", Some(&json!({"messages": 4, "timeout_ms": 1})));
    assert_eq!((over.status, &over.json()["messages"], &over.json()["reached"]), (408, &json!(3), &json!(false)));
    let after = api(address, "POST", "/wait", Some(&json!({"messages": 1, "after": 2, "timeout_ms": 1})));
    assert_eq!((after.status, &after.json()["messages"]), (200, &json!(1)));
    let requests = api(address, "POST", "/wait", Some(&json!({"requests": 4, "timeout_ms": 1})));
    assert_eq!(requests.status, 408);
    assert!(simulator.wait_for_messages(3, Duration::ZERO) && !simulator.wait_for_messages(4, Duration::ZERO));
}

#[test]
fn waiting_does_not_hold_up_the_end() {
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
    let headers = format!("Host: {}\r\nContent-Type: application/json\r\n", simulator.address());
    line.say(request("POST /simulator/wait", &headers, r#"{"messages":1,"timeout_ms":600000}"#));
    drop(simulator);
    let _ = line.stream.read(&mut [0]);
}

#[test]
fn users_are_made_named_and_aged() {
    let simulator = Simulator::start().unwrap();
    let made = call(&simulator, "/users", json!({}));
    assert!(made["id"].as_str().unwrap().bytes().all(|byte| byte.is_ascii_digit()));
    assert!(made["window_left_ms"].as_i64().unwrap() > 23 * 3_600_000);
    let never = call(&simulator, "/users", json!({"id": "81", "name": "Jane", "last_inbound": "never"}));
    assert_eq!(
        never,
        json!({"id": "81", "name": "Jane", "last_inbound_ms": null, "window_left_ms": null, "human_agent_left_ms": null})
    );
    let aged = call(&simulator, "/users", json!({"id": "81", "last_inbound": 1000}));
    assert_eq!(
        (&aged["name"], &aged["last_inbound_ms"], &aged["window_left_ms"]),
        (&json!("Jane"), &json!(1000), &json!(0))
    );
}

// Events

/// One stream of events.
struct Stream(Line);

impl Stream {
    fn open(simulator: &Simulator, after: &str, header: &str) -> Stream {
        let mut line = Line::to(simulator.address());
        let headers = format!("Host: {}\r\n{header}", simulator.address());
        line.say(request(&format!("GET /simulator/events{after}"), &headers, ""));
        let reply = line.hear();
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
        Stream(line)
    }

    /// The next event: its name, its id and its data.
    fn next(&mut self) -> (String, Option<u64>, Value) {
        loop {
            if let Some(end) = self.0.unread.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.0.unread.drain(..end + 2).collect();
                let text = String::from_utf8(text).unwrap();
                let part = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let Some(name) = part("event: ") else { continue };
                let id = part("id: ").map(|id| id.parse().unwrap());
                return (name, id, serde_json::from_str(&part("data: ").unwrap()).unwrap());
            }
            let mut chunk = [0; 64 * 1024];
            let count = self.0.stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the stream ended");
            self.0.unread.extend_from_slice(&chunk[..count]);
        }
    }

    fn next_of(&mut self, name: &str) -> (Option<u64>, Value) {
        loop {
            let (other, id, data) = self.next();
            if other == name {
                return (id, data);
            }
        }
    }
}

#[test]
fn events_bring_requests_deliveries_and_state() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "before"));
    let mut stream = Stream::open(&simulator, "", "");
    assert_eq!(stream.next().0, "state");
    send_body(&simulator, &text_to(USER, "one"));
    let (id, data) = stream.next_of("requests");
    assert_eq!((id, &data["requests"][0]["seq"], data["requests"].as_array().unwrap().len()), (Some(2), &json!(2), 1));
    simulator.user_writes(USER, "hi").unwrap();
    let (_, data) = stream.next_of("delivery");
    assert_eq!((&data["shown"]["text"], &data["progress"]), (&json!("hi"), &json!("no webhook is set")));
    call(&simulator, "/clock", json!({"advance_seconds": 5}));
    while stream.next_of("state").1["clock"]["offset_seconds"] != 5 {}
}

#[test]
fn a_stream_goes_on_after_the_last_event_and_skips_what_is_too_much() {
    let simulator = Simulator::start_with(Settings { keep: 300, ..Settings::default() }).unwrap();
    let mut line = Line::to(simulator.address());
    for number in 0..500 {
        line.ask(post(MESSAGES, &text_to(USER, &number.to_string()).to_string()));
    }
    for (after, header, skipped, first) in [
        ("", "Last-Event-ID: 490\r\n", None, 491),
        ("?after=490", "", None, 491),
        ("?after=1", "Last-Event-ID: 499\r\n", None, 500),
        ("?after=0", "", Some(300), 301),
        ("?after=250", "", Some(50), 301),
    ] {
        let mut stream = Stream::open(&simulator, after, header);
        if let Some(skipped) = skipped {
            assert_eq!(stream.next(), ("skipped".to_owned(), None, json!({"count": skipped})));
        }
        let (id, data) = stream.next_of("requests");
        assert_eq!((id, data["requests"][0]["seq"].as_u64()), (Some(500), Some(first)), "{after} {header}");
        assert!(data["requests"].as_array().unwrap().len() <= 200);
    }
    // A number of another run is no reason to wait for it.
    let mut stream = Stream::open(&simulator, "", "Last-Event-ID: 999999\r\n");
    stream.next_of("state");
    line.ask(post(MESSAGES, TEXT));
    assert_eq!(stream.next_of("requests").0, Some(501));
}

#[test]
fn there_are_16_streams_and_closed_ones_make_room() {
    let simulator = Simulator::start().unwrap();
    let streams: Vec<Stream> = (0..16).map(|_| Stream::open(&simulator, "", "")).collect();
    let status = || api(simulator.address(), "GET", "/events", None).status;
    assert_eq!(status(), 503);
    drop(streams);
    wait_until("the streams make room", || {
        let mut line = Line::to(simulator.address());
        line.say(request("GET /simulator/events", &format!("Host: {}\r\n", simulator.address()), ""));
        line.hear().status == 200
    });
}

#[test]
fn streams_that_take_nothing_are_closed_and_make_room() {
    let simulator = Simulator::start().unwrap();
    let streams: Vec<Stream> = (0..16).map(|_| Stream::open(&simulator, "", "")).collect();
    let mut line = Line::to(simulator.address());
    let body = TEXT.to_owned() + &" ".repeat(60_000);
    // No stream is read, so each one is full at some time, and closed 5 seconds later.
    wait_until("the streams make room", || {
        assert_eq!(line.ask(post(MESSAGES, &body)).status, 200);
        let mut line = Line::to(simulator.address());
        line.say(request("GET /simulator/events", &format!("Host: {}\r\n", simulator.address()), ""));
        line.hear().status == 200
    });
    drop(streams);
}

#[test]
fn a_quiet_stream_has_a_comment_every_15_seconds() {
    let simulator = Simulator::start().unwrap();
    let mut stream = Stream::open(&simulator, "", "");
    assert_eq!(stream.next().0, "state");
    let start = Instant::now();
    while !stream.0.unread.starts_with(b": nothing new\n\n") {
        let mut chunk = [0; 1024];
        let count = stream.0.stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the stream ended");
        stream.0.unread.extend_from_slice(&chunk[..count]);
    }
    let took = start.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(20)).contains(&took), "{took:?}");
}

#[test]
fn the_head_of_a_stream_has_no_stream() {
    let simulator = Simulator::start().unwrap();
    let mut line = Line::to(simulator.address());
    line.say(request("HEAD /simulator/events", &format!("Host: {}\r\n", simulator.address()), ""));
    let reply = line.hear();
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    // It ends at once, with nothing behind the head.
    assert_eq!((line.stream.read(&mut [0; 64]).unwrap(), line.unread.len()), (0, 0));
}

#[test]
fn a_stream_that_takes_nothing_does_not_stop_the_sends() {
    let simulator = Simulator::start().unwrap();
    let stream = Stream::open(&simulator, "", "");
    let mut line = Line::to(simulator.address());
    // More than all buffers between take.
    for _ in 0..400 {
        let body = TEXT.to_owned() + &" ".repeat(60_000);
        assert_eq!(line.ask(post(MESSAGES, &body)).status, 200);
    }
    assert!(simulator.wait_for_messages(400, TEST_TIMEOUT));
    drop(stream);
}
