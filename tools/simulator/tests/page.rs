//! The page in a real browser.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use hookmyapp::webhook::{self, EventKind};
use hookmyapp_simulator::{Fault, Scope, Settings, Simulator};
use serde_json::{Value, json};

use support::browser::{ARROW_DOWN, ARROW_RIGHT, Browser, ENTER, ESCAPE, TAB};
use support::{Line, MESSAGES, Receiver, TEXT, USER, api, call, get, post, send_body, text_to, vectors, wait_until};

/// A page that is connected, or `None` where there is no browser.
fn open(simulator: &Simulator) -> Option<Browser> {
    let browser = Browser::open(&format!("{}/", simulator.url()))?;
    browser.wait_text("#status", "connected");
    Some(browser)
}

fn start(settings: Settings) -> Simulator {
    Simulator::start_with(settings).unwrap()
}

/// Sends, and lets the connection end as the fault wants.
fn send_any(simulator: &Simulator, body: &Value) {
    let before = simulator.counts().requests;
    Line::to(simulator.address()).say(post(MESSAGES, &body.to_string()));
    wait_until("it is recorded", || simulator.counts().requests > before);
}

fn message(message: Value) -> Value {
    json!({"recipient": {"id": USER}, "message": message})
}

const LAST_PAIR: &str = "const all = document.querySelectorAll('.item:not(.own)'); \
                         return all.length ? all[all.length - 1].querySelector('.under button').innerText : ''";

#[test]
fn a_send_appears_as_a_bubble_with_its_pair() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    send_body(&simulator, &text_to(USER, "Hello from a program\nin two lines https://example.com/a?b=c"));
    browser.wait_text(".bubble", "Hello from a program\nin two lines");
    assert_eq!(browser.run(LAST_PAIR, json!([])), "got it | accepted (0)");
    let link = "const one = document.querySelector('.bubble a'); return [one.href, one.rel, one.target]";
    assert_eq!(browser.run(link, json!([])), json!(["https://example.com/a?b=c", "noopener noreferrer", "_blank"]));
    browser.wait_text("#window", "window open, 23 h 59 min left");
    simulator.plan(Fault::LostBefore);
    send_any(&simulator, &text_to(USER, "gone"));
    browser.wait_text(".item.lost .bubble", "gone");
    assert_eq!(browser.run(LAST_PAIR, json!([])), "did not | unknown (31)");
    browser.click(".item.lost .under button");
    browser.wait_text("#wire", "Bearer hmat_live_...0000");
    browser.wait_text("#wire", "None: the connection ended without one.");
    assert!(
        !browser.run("return document.documentElement.outerHTML", json!([])).to_string().contains(simulator.token())
    );
    browser.assert_no_complaints();
}

#[test]
fn every_kind_of_message_is_drawn() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    let mut expected = BTreeSet::new();
    for (number, (name, vector)) in vectors("requests").into_iter().enumerate() {
        let path = format!("/meta/v25.0{}", vector["expect_path"].as_str().unwrap());
        let mut body = vector["expect_body"].clone();
        if body["recipient"]["comment_id"].is_string() {
            let id = format!("17900000000000{number:03}");
            simulator.user_does(USER, &json!({"comment": {"id": id, "text": format!("comment {number}")}})).unwrap();
            body["recipient"]["comment_id"] = id.into();
        }
        assert_eq!(support::ask_once(&simulator, post(&path, &body.to_string())).status, 200, "{name}");
        let text = body["message"]["text"].as_str().or(body["message"]["attachment"]["payload"]["text"].as_str());
        let cards = body["message"]["attachment"]["payload"]["elements"].as_array().cloned().unwrap_or_default();
        let titles = cards.iter().filter_map(|card| card["title"].as_str());
        expected.extend(text.into_iter().chain(titles).map(str::to_owned));
    }
    let last = simulator.received().into_iter().rfind(|it| it.message_id.is_some()).unwrap().seq;
    let is_there = "return Boolean(document.querySelector('[data-key=\"' + arguments[0] + '\"]'))";
    browser.wait("the last one arrives", is_there, json!([format!("r{last}")]));
    let shown = browser.run("return document.getElementById('log').textContent", json!([]));
    let shown = shown.as_str().unwrap();
    for text in &expected {
        assert!(shown.contains(text.as_str()), "{text:?} is not shown");
    }
    for part in ["Image", "Audio", "Video", "File", "Post", "HUMAN_AGENT", "private reply to “comment", "answers "] {
        assert!(shown.contains(part), "{part:?} is not shown");
    }
    assert_eq!(browser.count("[data-fallback=json]"), 0);
    assert_eq!(browser.count(".item .heart"), 1);
    assert!(browser.count(".card") >= 10);
    // An unknown message is shown as JSON.
    let unknown = message(
        json!({"attachment": {"type": "template", "payload": {"template_type": "button", "text": "T", "buttons": [{"type": "postback", "title": "B", "payload": "p"}]}}, "new": 1}),
    );
    send_body(&simulator, &unknown);
    send_any(&simulator, &json!({"recipient": {"id": USER}, "message": {"hologram": 1}}));
    browser.wait_text("[data-fallback=json]", "hologram");
    browser.assert_no_complaints();
}

#[test]
fn actions_change_what_is_there() {
    let simulator = Simulator::start().unwrap();
    simulator.user_writes(USER, "question").unwrap();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text(".own .bubble", "question");
    let action = |name: &str, payload: Value| {
        let mut body = json!({"recipient": {"id": USER}, "sender_action": name});
        if !payload.is_null() {
            body["payload"] = payload;
        }
        assert_eq!(send_body(&simulator, &body).status, 200);
    };
    let mid = get(&simulator, &format!("/conversations/{USER}"))["items"][0]["mid"].clone();
    action("mark_seen", Value::Null);
    browser.wait_text(".own .under", "Seen");
    action("react", json!({"message_id": mid, "reaction": "love"}));
    browser.wait_text(".own .reactions", "❤️");
    action("unreact", json!({"message_id": mid}));
    browser.wait("it goes", "return !document.querySelector('.reactions')", json!([]));
    action("typing_on", Value::Null);
    browser.wait("dots", "return Boolean(document.querySelector('.typing'))", json!([]));
    action("typing_off", Value::Null);
    browser.wait("no dots", "return !document.querySelector('.typing')", json!([]));
    action("typing_on", Value::Null);
    browser.wait("dots", "return Boolean(document.querySelector('.typing'))", json!([]));
    send_body(&simulator, &text_to(USER, "answer"));
    browser.wait_text(".bubble", "answer");
    assert_eq!(browser.count(".typing"), 0);
    // The same is drawn from the start.
    browser.go(&format!("{}/", simulator.url()));
    browser.wait_text(".own .under", "Seen");
    assert_eq!((browser.count(".typing"), browser.count(".reactions")), (0, 0));
    browser.assert_no_complaints();
}

#[test]
fn hostile_text_stays_text() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    let texts = [
        "<img src=x onerror=\"document.title='broken'\">",
        "</script><script>document.title='broken'</script>",
        "javascript:alert(1) data:text/html,x",
        "\" onmouseover=\"document.title='broken'",
    ];
    for text in texts {
        send_body(&simulator, &text_to(USER, text));
        simulator.user_writes(USER, text).unwrap();
        call(&simulator, "/users", json!({"id": USER, "name": text}));
        browser.wait_text(".own .bubble", text);
        browser.wait_text(".item:not(.own) .bubble", text);
        browser.wait_text("#people-list", text);
    }
    let buttons = json!([{"type": "web_url", "title": "Tap", "url": "javascript:document.title='broken'"}]);
    let template = json!({"template_type": "button", "text": "B", "buttons": buttons});
    send_body(&simulator, &message(json!({"attachment": {"type": "template", "payload": template}})));
    browser.wait_text(".taps", "Tap");
    assert_eq!(browser.count(".taps a"), 0);
    assert_eq!(browser.count("#log img, #log script"), 0);
    assert_eq!(browser.run("return document.title", json!([])), "HookMyApp simulator");
    browser.assert_no_complaints();
}

#[test]
fn what_the_operator_does_arrives_signed() {
    let receiver = Receiver::start();
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    browser.click("#tab-webhooks");
    browser.type_into("#webhook-url", &format!("{}{ENTER}", receiver.url()));
    browser.wait_text("#webhooks", "Verified in");
    let replies = json!([{"content_type": "text", "title": "A title that is much too long", "payload": "p1"}]);
    send_body(&simulator, &message(json!({"text": "Q", "quick_replies": replies})));
    browser.wait_text(".quick", "cut after 20 characters");
    browser.click(".quick button");
    browser.wait_text(".own .bubble", "A title that is much");
    assert_eq!(browser.count(".quick"), 0);
    let buttons = json!([{"type": "postback", "title": "Take it", "payload": "p2"}]);
    let template = json!({"template_type": "button", "text": "B", "buttons": buttons});
    send_body(&simulator, &message(json!({"attachment": {"type": "template", "payload": template}})));
    browser.wait_text(".taps", "Take it");
    browser.click(".taps button");
    browser.wait_text(".own .bubble", "Take it");
    browser.type_into("#text", &format!("typed by hand{ENTER}"));
    browser.wait_text(".own .bubble", "typed by hand");
    browser.click(".item:not(.own) .under button[aria-label^=React]");
    browser.wait_text(".reactions", "❤️");
    browser.click(".item:not(.own) .under button[aria-label^=React]");
    browser.wait("it is taken back", "return !document.querySelector('.reactions')", json!([]));
    browser.choose("#what", "comment");
    browser.type_into("#text", &format!("price?{ENTER}"));
    browser.wait_text(".own .bubble", "price?");
    browser.choose("#what", "image_url");
    browser.type_into("#text", &format!("https://example.com/a.png{ENTER}"));
    browser.wait_text(".own .box", "https://example.com/a.png");
    browser.choose("#what", "referral");
    browser.type_into("#text", &format!("flyer{ENTER}"));
    browser.wait_text(".own .bubble", "flyer");
    browser.click("#read");
    browser.wait_text(".under", "Seen by the user");
    let typed = ".item.own:has(.under button:nth-of-type(3))";
    browser.click(&format!("{typed} .under button:nth-of-type(2)"));
    browser.type_into("#text", &format!(" and changed{ENTER}"));
    browser.wait_text(".own .bubble", "typed by hand and changed (edited)");
    browser.click(&format!("{typed} .under button:nth-of-type(3)"));
    browser.wait_text(".own .bubble", "unsent");
    let kinds = [
        EventKind::Message,
        EventKind::Postback,
        EventKind::Message,
        EventKind::Reaction,
        EventKind::Reaction,
        EventKind::Comment,
        EventKind::Message,
        EventKind::Referral,
        EventKind::Read,
        EventKind::Edit,
        EventKind::Deleted,
    ];
    wait_until("all arrive", || receiver.posts().len() >= kinds.len());
    for (got, kind) in receiver.posts().iter().zip(kinds) {
        let signature = got.header("X-HookMyApp-Signature-256");
        webhook::verify(simulator.webhook_secret(), signature.as_deref(), &got.body).unwrap();
        assert_eq!(webhook::parse(&got.body).unwrap().get(0).unwrap().kind(), kind);
    }
    // Wrong signature, and once more.
    browser.click("#how summary");
    browser.choose("#what", "text");
    browser.choose("#signature", "wrong");
    browser.type_into("#text", &format!("forged{ENTER}"));
    wait_until("it arrives", || receiver.posts().len() == kinds.len() + 1);
    browser.wait_text("#webhooks", "signature: wrong");
    browser.click(&format!("[data-delivery='{}right']", kinds.len() + 1));
    wait_until("it arrives again", || receiver.posts().len() == kinds.len() + 2);
    let posts = receiver.posts();
    let is_right = |at: usize| {
        let signature = posts[at].header("X-HookMyApp-Signature-256");
        webhook::verify(simulator.webhook_secret(), signature.as_deref(), &posts[at].body).is_ok()
    };
    assert_eq!((is_right(kinds.len()), is_right(kinds.len() + 1)), (false, true));
    assert_eq!(posts[kinds.len()].body, posts[kinds.len() + 1].body);
    browser.assert_no_complaints();
}

#[test]
fn a_wrong_webhook_is_told_as_it_is() {
    let receiver = Receiver::answering(Box::new(|_, _| Some((200, "challenge".to_owned()))));
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    browser.click("#tab-webhooks");
    browser.type_into("#webhook-url", &format!("{}{ENTER}", receiver.url()));
    browser.wait_text(
        "#webhooks",
        "Not verified: the answer must be 200 with VERIFY_TOKEN as the whole body, not 200 “challenge”",
    );
    browser.replace("#webhook-url", &format!("http://192.0.2.1/{ENTER}"));
    browser.wait_text("#toast", "must be a loopback address");
    // The browser itself reports the 400, and nothing else.
    let complaints = browser.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("400"), "{complaints:?}");
}

#[test]
fn each_fault_can_be_chosen_and_its_pair_is_shown() {
    let simulator = start(Settings { tls: true, ..Settings::default() });
    let Some(browser) = open(&simulator) else { return };
    browser.click("#tab-faults");
    for fault in Fault::ALL.iter().copied().filter(|fault| fault.row().scope == Scope::Send) {
        let row = fault.row();
        browser.click(&format!("[data-fault='{fault}']"));
        browser.wait_text("#faults ul", &format!("{fault}, 1 more"));
        let text = format!("with {fault}");
        send_any(&simulator, &text_to(USER, &text));
        assert_eq!(simulator.received().last().unwrap().fault, Some(row.name));
        if fault == Fault::ResetInBody {
            continue;
        }
        let class = if row.got_it { ".item:not(.lost)" } else { ".item.lost" };
        browser.wait_text(&format!("{class} .bubble"), &text);
        let pair = browser.run(LAST_PAIR, json!([])).as_str().unwrap().to_owned();
        assert!(pair.starts_with(if row.got_it { "got it | " } else { "did not | " }), "{fault}: {pair}");
        for conclusion in row.must_conclude {
            assert!(pair.contains(&format!("({})", conclusion.status)), "{fault}: {pair}");
        }
    }
    for fault in ["tls-cut", "tls-wrong-name", "tls-expired"] {
        browser.click(&format!("[data-fault='{fault}']"));
        browser.wait_text("#faults ul", &format!("{fault}, 1 more"));
    }
    browser.click("[data-fault=clear]");
    browser.wait_text("#faults", "None.");
    assert_eq!(get(&simulator, "/faults")["plan"]["handshakes"], json!([]));
    browser.click("#fault-user");
    browser.click("[data-fault='no-id']");
    browser.wait_text("#faults ul", &format!("no-id, 1 more, for {USER}"));
    browser.assert_no_complaints();
}

#[test]
fn a_simulator_that_is_down_is_said_and_found_again() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    browser.click("#tab-faults");
    browser.click("[data-fault='down']");
    browser.wait_text("#status", "not connected, trying again");
    browser.wait(
        "it is connected again",
        "return document.getElementById('status').innerText === 'connected'",
        json!([]),
    );
    send_body(&simulator, &text_to(USER, "after"));
    browser.wait_text(".bubble", "after");
}

#[test]
fn a_stream_that_breaks_is_caught_up() {
    let simulator = Simulator::start().unwrap();
    let address = simulator.address();
    let Some(browser) = open(&simulator) else { return };
    send_body(&simulator, &text_to(USER, "before"));
    browser.wait_text(".bubble", "before");
    drop(simulator);
    browser.wait_text("#status", "not connected, trying again");
    let simulator = start(Settings { address, ..Settings::default() });
    send_body(&simulator, &text_to(USER, "meanwhile"));
    browser.wait_text(".bubble", "meanwhile");
    browser.wait(
        "it is connected again",
        "return document.getElementById('status').innerText === 'connected'",
        json!([]),
    );
    send_body(&simulator, &text_to(USER, "afterwards"));
    browser.wait_text(".bubble", "afterwards");
    assert!(!browser.text("#log").contains("before"));
}

#[test]
fn the_clock_can_be_moved_and_closes_windows() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "x"));
    let Some(browser) = open(&simulator) else { return };
    browser.click("#tab-clock");
    browser.wait_text("#clock-ahead", "is right");
    browser.click("[data-advance='86400']");
    browser.wait_text("#clock-ahead", "24 h 0 min ahead");
    browser.wait_text("#window", "window closed, HUMAN_AGENT for");
    send_body(&simulator, &text_to(USER, "too late"));
    browser.wait_text(".item.lost .bubble", "too late");
    assert_eq!(browser.run(LAST_PAIR, json!([])), "did not | refused (23)");
    browser.type_into("#text", &format!("I am back{ENTER}"));
    browser.wait_text("#window", "window open, 23 h 59 min left");
    browser.click("[data-advance='reset']");
    browser.wait_text("#clock-ahead", "is right");
    browser.assert_no_complaints();
}

#[test]
fn a_message_that_came_twice_is_red_and_says_so() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    simulator.plan(Fault::LostAfter);
    send_any(&simulator, &text_to(USER, "Hello"));
    send_body(&simulator, &text_to(USER, "Hello"));
    browser.wait_text(".item.twice", "came twice");
    assert_eq!(browser.count(".item.twice"), 1);
    let colour = "return getComputedStyle(document.querySelector('.twice .bubble')).borderColor";
    assert_eq!(browser.run(colour, json!([])), "rgb(179, 18, 43)");
    browser.wait_text("#counts", "1 came twice");
    browser.assert_no_complaints();
}

#[test]
fn a_whole_round_can_be_done_by_keyboard() {
    let simulator = Simulator::start().unwrap();
    for (id, name) in [("81", "Ann"), ("82", "Ben"), ("83", "Cid")] {
        call(&simulator, "/users", json!({"id": id, "name": name}));
    }
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-list", "Ann");
    let focus = || {
        browser.run("const one = document.activeElement; return one.id || one.dataset.user || one.dataset.fault || one.textContent.trim()", json!([]))
    };
    let tab_to = |wanted: &str| {
        for _ in 0..60 {
            if focus() == wanted {
                let ring = "return parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2";
                assert_eq!(browser.run(ring, json!([])), true, "{wanted} shows no focus");
                return;
            }
            browser.keys(TAB);
        }
        panic!("Tab never comes to {wanted}");
    };
    tab_to("83");
    browser.keys(ARROW_DOWN);
    assert_eq!(focus(), "82");
    browser.keys(ARROW_DOWN);
    assert_eq!(focus(), "81");
    browser.keys(ENTER);
    browser.wait_text("#phone-title", "Ann");
    assert_eq!(focus(), "81");
    tab_to("text");
    browser.keys("hello by keys");
    browser.keys(ENTER);
    browser.wait_text(".own .bubble", "hello by keys");
    assert_eq!(focus(), "text");
    // What arrives leaves the focus where it is.
    send_body(&simulator, &text_to("81", "arrives"));
    browser.wait_text(".bubble", "arrives");
    assert_eq!(focus(), "text");
    tab_to("tab-wire");
    browser.keys(ARROW_RIGHT);
    assert_eq!(focus(), "tab-faults");
    browser.wait_text("#faults", "lost-after");
    tab_to("lost-after");
    browser.keys(ENTER);
    browser.wait_text("#faults ul", "lost-after, 1 more");
    assert_eq!(focus(), "lost-after");
    send_any(&simulator, &text_to("81", "lost"));
    browser.wait_text(".mark", "fault: lost-after");
    browser.keys(ESCAPE);
    browser.assert_no_complaints();
}

#[test]
fn every_control_has_a_name_and_the_log_its_role() {
    let simulator = filled();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-list", "Jane");
    for tab in ["wire", "faults", "webhooks", "clock"] {
        browser.click(&format!("#tab-{tab}"));
        let all = browser.roles_and_names("button, input, select, textarea, a, [tabindex]");
        assert!(all.len() > 20);
        for (role, name, html) in all {
            let is_named = !name.trim().is_empty() || matches!(role.as_str(), "none" | "generic" | "listitem");
            assert!(is_named, "a {role} has no name: {html}");
        }
    }
    let (role, name, _) = browser.roles_and_names("#log").remove(0);
    assert_eq!((role.as_str(), name.as_str()), ("log", "Conversation"));
    let language = "return [document.documentElement.lang, document.getElementById('log').getAttribute('aria-live')]";
    browser.wait(
        "it is polite",
        "return document.getElementById('log').getAttribute('aria-live') === 'polite'",
        json!([]),
    );
    assert_eq!(browser.run(language, json!([])), json!(["en", "polite"]));
    let small = "return [...document.querySelectorAll('button, input, select, textarea, summary')].filter((one) => \
                 one.offsetParent && (one.getBoundingClientRect().height < 24 || one.getBoundingClientRect().width < 24)).map((one) => one.outerHTML)";
    assert_eq!(browser.run(small, json!([])), json!([]));
    browser.assert_no_complaints();
}

/// Contrast of every visible text with what is behind it; returns those that have too little.
const CONTRAST: &str = r#"
const parse = (colour) => { const n = colour.match(/[\d.]+/g).map(Number); return { rgb: n.slice(0, 3), alpha: n.length > 3 ? n[3] : 1 }; };
const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
const over = (top, below) => top.rgb.map((c, at) => c * top.alpha + below[at] * (1 - top.alpha));
const behind = (element) => { if (!element) return [255, 255, 255]; const back = parse(getComputedStyle(element).backgroundColor); return back.alpha === 1 ? back.rgb : over(back, behind(element.parentElement)); };
const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.textContent.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".hidden-text, script, style, [disabled], .heart, .reactions")) continue;
  const style = getComputedStyle(element), back = behind(element), front = over(parse(style.color), back);
  const [one, other] = [light(front), light(back)].sort((a, b) => b - a), ratio = (one + 0.05) / (other + 0.05);
  const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  seen++;
  if (ratio < (isLarge ? 3 : 4.5)) bad.push([node.textContent.trim().slice(0, 40), ratio, style.color, back.join()]);
}
return seen < 40 ? ["only " + seen + " texts"] : bad;
"#;

/// A simulator with something of everything to look at.
fn filled() -> Simulator {
    let simulator = start(Settings { echo: true, ..Settings::default() });
    for (id, name, text) in [
        ("8100000000000003", "Noor", "Do you ship to Utrecht?"),
        ("8100000000000002", "Sam", "Thank you!"),
        (USER, "Jane Doe", "Hi! Do you still have the blue mug?"),
    ] {
        call(&simulator, "/users", json!({"id": id, "name": name}));
        simulator.user_writes(id, text).unwrap();
    }
    send_body(&simulator, &json!({"recipient": {"id": USER}, "sender_action": "mark_seen"}));
    send_body(&simulator, &text_to(USER, "Yes, two are left: https://example.com/mugs"));
    let mid = simulator.received().last().unwrap().message_id.clone().unwrap();
    simulator.user_does(USER, &json!({"react": {"mid": mid, "emoji": "❤️"}})).unwrap();
    let card = |title: &str, price: &str| {
        json!({"title": title, "subtitle": price, "buttons": [
            {"type": "postback", "title": "Take it", "payload": "take"},
            {"type": "web_url", "title": "Look at it", "url": "https://example.com/mug"},
        ]})
    };
    let cards =
        json!({"template_type": "generic", "elements": [card("Blue mug", "14 €"), card("Blue mug, large", "18 €")]});
    send_body(&simulator, &message(json!({"attachment": {"type": "template", "payload": cards}})));
    simulator.user_does(USER, &json!({"tap": {"seq": 3, "button": 0}})).unwrap();
    simulator.plan(Fault::LostAfter);
    send_any(&simulator, &text_to(USER, "It is yours. We ship tomorrow."));
    send_body(&simulator, &text_to(USER, "It is yours. We ship tomorrow."));
    simulator.plan(Fault::Error502Before);
    send_body(&simulator, &text_to(USER, "Here is the invoice."));
    let replies = json!([{"content_type": "text", "title": "Home", "payload": "h"}, {"content_type": "text", "title": "Work", "payload": "w"}]);
    send_body(&simulator, &message(json!({"text": "Where shall we send it?", "quick_replies": replies})));
    simulator
}

#[test]
fn contrast_is_enough_in_light_and_dark() {
    let simulator = filled();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-list", "Jane");
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        for tab in ["wire", "faults", "webhooks", "clock"] {
            browser.click(&format!("#tab-{tab}"));
            assert_eq!(browser.run(CONTRAST, json!([])), json!([]), "{scheme} {tab}");
        }
        browser.click("#tab-wire");
        browser.click(".item.lost .under button");
        browser.wait_text("#wire", "What went back");
        assert_eq!(browser.run(CONTRAST, json!([])), json!([]), "{scheme}, a request");
    }
    browser.assert_no_complaints();
}

#[test]
fn it_fits_from_360_pixels_on() {
    let simulator = filled();
    send_body(&simulator, &text_to(USER, &"wide".repeat(200)));
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text(".bubble", "widewide");
    for width in [360, 799, 800, 1280] {
        browser.size(width, 740);
        for part in ["people", "phone", "details"] {
            if width < 800 {
                browser.click(&format!("#dock [data-part={part}]"));
                assert_eq!(browser.count("main > .panel.shown"), 1);
            }
            for tab in ["wire", "faults", "webhooks", "clock"] {
                if width >= 800 || part == "details" {
                    browser.click(&format!("#tab-{tab}"));
                }
                let sizes = "return [innerWidth, document.documentElement.scrollWidth, document.documentElement.scrollHeight <= innerHeight]";
                assert_eq!(browser.run(sizes, json!([])), json!([width, width, true]), "{width} {part} {tab}");
                let wide = "return [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.id)";
                assert_eq!(browser.run(wide, json!([])), json!([]), "{width} {part} {tab}");
            }
        }
    }
    browser.size(360, 740);
    browser.click("#dock [data-part=people]");
    browser.click(&format!("[data-user='{USER}']"));
    browser.wait(
        "the phone is shown",
        "return document.getElementById('phone').classList.contains('shown')",
        json!([]),
    );
    browser.type_into("#text", &format!("from a small screen{ENTER}"));
    browser.wait_text(".own .bubble", "from a small screen");
    browser.assert_no_complaints();
}

#[test]
fn nothing_is_asked_from_elsewhere() {
    let simulator = filled();
    let image = |url: &str| message(json!({"attachment": {"type": "image", "payload": {"url": url}}}));
    send_body(&simulator, &image("https://pictures.example.com/a.png"));
    // A picture that this machine can serve.
    let receiver = Receiver::start();
    send_body(&simulator, &image(&receiver.url()));
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text(".box", "https://pictures.example.com/a.png");
    let elsewhere = "return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith(location.origin))";
    assert_eq!((browser.run(elsewhere, json!([])), browser.count("img")), (json!([]), 0));
    assert!(receiver.got().is_empty());
    browser.assert_no_complaints();
    browser.click("#images");
    browser.wait("pictures are asked for", "return document.querySelectorAll('.box img').length === 2", json!([]));
    wait_until("the picture is fetched", || !receiver.got().is_empty());
}

#[test]
fn a_burst_of_5000_leaves_the_newest_and_a_bounded_document() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    send_body(&simulator, &text_to(USER, "first"));
    browser.wait_text(".bubble", "first");
    let mut line = Line::to(simulator.address());
    for number in 1..=5000 {
        line.ask(post(MESSAGES, &text_to(USER, &format!("number {number}.")).to_string()));
    }
    browser.wait_text(".bubble", "number 5000.");
    assert!(browser.count(".item") <= 300);
    // A screen reader says how many came, not each of them.
    browser.wait_text("#announce", "new messages");
    // Newer ones are in order below older ones.
    let order = "const all = [...document.querySelectorAll('.item')].map((one) => Number(one.dataset.key.slice(1))); \
                 return all.length === 300 && all.every((key, at) => at === 0 || key === all[at - 1] + 1)";
    browser.wait("they are in order without a gap", order, json!([]));
    assert!(browser.count("*") < 8000);
    // Older ones come when they are scrolled to, and the newest on demand.
    browser.run("document.getElementById('log').scrollTop = 0", json!([]));
    browser.wait(
        "older ones come",
        "return [...document.querySelectorAll('.item')].some((one) => one.dataset.key === 'r4650')",
        json!([]),
    );
    assert!(browser.count(".item") <= 300);
    browser.click("#newest");
    browser.wait_text(".bubble", "number 5000.");
    browser.assert_no_complaints();
}

#[test]
fn ids_beyond_javascripts_numbers_stay_whole() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    let id = "9007199254740993123";
    send_body(&simulator, &text_to(id, "long id"));
    browser.wait_text("#window", id);
    browser.type_into("#text", &format!("back{ENTER}"));
    browser.wait_text(".own .bubble", "back");
    assert_eq!(get(&simulator, &format!("/conversations/{id}"))["items"].as_array().unwrap().len(), 2);
    browser.assert_no_complaints();
}

#[test]
fn people_are_found_counted_and_forgotten() {
    let simulator = filled();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-list", "Noor");
    send_body(&simulator, &text_to("8100000000000003", "Yes"));
    browser.wait_text("[data-user='8100000000000003'] .unread", "1");
    browser.type_into("#search", "noo");
    browser.wait("one is left", "return document.querySelectorAll('.person').length === 1", json!([]));
    browser.click("[data-user='8100000000000003']");
    browser.wait_text("#phone-title", "Noor");
    browser.wait("it is read", "return !document.querySelector('.unread')", json!([]));
    browser.click("#new-user");
    browser.wait_text("#people-count", "4 people");
    browser.click("#forget");
    browser.wait("nothing is left", "return !document.querySelector('.item')", json!([]));
    browser.assert_no_complaints();
}

#[test]
fn quick_replies_stay_until_a_newer_message_is_seen() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    let replies = json!([{"content_type": "text", "title": "Home", "payload": "h"}]);
    send_body(&simulator, &message(json!({"text": "Where?", "quick_replies": replies})));
    browser.wait_text(".quick", "Home");
    let mid = simulator.received()[0].message_id.clone().unwrap();
    for action in ["typing_on", "typing_off"] {
        send_body(&simulator, &json!({"recipient": {"id": USER}, "sender_action": action}));
    }
    simulator.user_does(USER, &json!({"react": {"mid": mid, "emoji": "❤️"}})).unwrap();
    simulator.user_does(USER, &json!({"read": mid})).unwrap();
    simulator.plan(Fault::LostBefore);
    send_any(&simulator, &text_to(USER, "gone"));
    browser.wait_text(".item.lost .bubble", "gone");
    assert_eq!(browser.count(".quick"), 1);
    // The same is drawn from the start.
    browser.go(&format!("{}/", simulator.url()));
    browser.wait_text(".item.lost .bubble", "gone");
    assert_eq!(browser.count(".quick"), 1);
    send_body(&simulator, &text_to(USER, "never mind"));
    browser.wait_text(".bubble", "never mind");
    assert_eq!(browser.count(".quick"), 0);
    browser.assert_no_complaints();
}

#[test]
fn what_arrives_leaves_focus_and_caret_in_the_details() {
    let simulator = Simulator::start().unwrap();
    simulator.user_writes(USER, "first").unwrap();
    let Some(browser) = open(&simulator) else { return };
    // Something that draws the details again: all that was in them is new then.
    let arrive = |tab: &str, text: &str| {
        browser.run("document.querySelector(`#${arguments[0]} h3`).marked = true", json!([tab]));
        simulator.user_writes(USER, text).unwrap();
        let is_new = "return !document.querySelector(`#${arguments[0]} h3`).marked";
        browser.wait(&format!("{tab} is drawn again"), is_new, json!([tab]));
    };
    let focus = || browser.run("return document.activeElement.id", json!([]));
    browser.click("#tab-faults");
    browser.replace("#fault-count", "1");
    arrive("faults", "second");
    browser.keys("2");
    assert_eq!(focus(), "fault-count");
    assert_eq!(browser.run("return document.activeElement.value", json!([])), "12");
    browser.keys(TAB);
    arrive("faults", "third");
    assert_eq!(focus(), "fault-user");
    browser.click("#tab-webhooks");
    browser.type_into("#webhook-url", "http://");
    arrive("webhooks", "fourth");
    browser.keys("example");
    assert_eq!(browser.run("return document.activeElement.value", json!([])), "http://example");
    browser.keys(TAB);
    arrive("webhooks", "fifth");
    assert_eq!(focus(), "webhook-set");
    assert_eq!(browser.run("return document.getElementById('webhook-url').value", json!([])), "http://example");
    browser.assert_no_complaints();
}

#[test]
fn a_user_whose_only_message_is_lost_is_among_the_people() {
    let simulator = Simulator::start().unwrap();
    send_body(&simulator, &text_to(USER, "first"));
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-count", "1 person");
    send_any(&simulator, &text_to("8100000000000001", "#lost-before gone"));
    browser.wait_text("#people-count", "2 people");
    browser.click("[data-user='8100000000000001']");
    browser.wait_text(".item.lost .bubble", "gone");
    browser.assert_no_complaints();
}

#[test]
fn edits_begin_with_the_present_text_and_reach_older_messages() {
    let simulator = Simulator::start().unwrap();
    simulator.user_writes(USER, "helo").unwrap();
    let mid = get(&simulator, &format!("/conversations/{USER}"))["items"][0]["mid"].clone();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text(".own .bubble", "helo");
    simulator.user_does(USER, &json!({"edit": {"mid": mid, "text": "hello"}})).unwrap();
    browser.wait_text(".own .bubble", "hello (edited)");
    browser.click(".own .under button.change");
    browser.type_into("#text", &format!(" you{ENTER}"));
    browser.wait_text(".own .bubble", "hello you (edited)");
    simulator.user_does(USER, &json!({"react": {"mid": mid, "emoji": "❤️"}})).unwrap();
    let mut line = Line::to(simulator.address());
    for number in 0..320 {
        line.ask(post(MESSAGES, &text_to(USER, &format!("number {number}.")).to_string()));
    }
    // What changes the message is newer than what is shown first, and the message itself is older.
    simulator.user_does(USER, &json!({"unreact": mid})).unwrap();
    simulator.user_does(USER, &json!({"edit": {"mid": mid, "text": "hello there"}})).unwrap();
    browser.go(&format!("{}/", simulator.url()));
    browser.wait_text(".bubble", "number 319.");
    assert_eq!(browser.count(".own"), 0);
    browser.run("document.getElementById('log').scrollTop = 0", json!([]));
    browser.wait_text(".own .bubble", "hello there (edited)");
    assert_eq!(browser.count(".reactions"), 0);
    simulator.user_does(USER, &json!({"delete": mid})).unwrap();
    browser.click("#newest");
    browser.wait_text(".bubble", "number 319.");
    browser.run("document.getElementById('log').scrollTop = 0", json!([]));
    browser.wait_text(".own .bubble", "unsent");
    assert_eq!(browser.count(".change"), 0);
    browser.assert_no_complaints();
}

#[test]
fn at_most_200_people_are_in_the_document_and_all_are_found() {
    let simulator = Simulator::start().unwrap();
    for number in 0..210 {
        call(&simulator, "/users", json!({"id": format!("81{number:03}"), "name": format!("Number {number:03}")}));
    }
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text("#people-count", "200 of 210 people");
    assert_eq!((browser.count(".person"), browser.count("[data-user='81000']")), (200, 0));
    browser.type_into("#search", "number 000");
    browser.wait("one is left", "return document.querySelectorAll('.person').length === 1", json!([]));
    browser.click("[data-user='81000']");
    browser.wait_text("#phone-title", "Number 000");
    browser.assert_no_complaints();
}

#[test]
fn dots_are_drawn_for_20_seconds() {
    let simulator = Simulator::start().unwrap();
    let Some(browser) = open(&simulator) else { return };
    send_body(&simulator, &text_to(USER, "first"));
    send_body(&simulator, &json!({"recipient": {"id": USER}, "sender_action": "typing_on"}));
    browser.wait("dots", "return Boolean(document.querySelector('.typing'))", json!([]));
    for (seconds, dots) in [(15, 1), (6, 0)] {
        call(&simulator, "/clock", json!({"advance_seconds": seconds}));
        browser.go(&format!("{}/", simulator.url()));
        browser.wait_text(".bubble", "first");
        assert_eq!(browser.count(".typing"), dots, "{seconds} s later");
    }
    browser.assert_no_complaints();
}

#[test]
fn too_many_tabs_and_streams_are_said() {
    let simulator = Simulator::start().unwrap();
    simulator.user_writes(USER, "first").unwrap();
    let url = format!("{}/", simulator.url());
    let Some(browser) = open(&simulator) else { return };
    // The browser has 6 connections to one address, and the stream of each tab keeps one.
    for _ in 1..6 {
        browser.open_tab(&url);
        browser.wait_text("#status", "connected");
    }
    browser.type_into("#text", &format!("waits{ENTER}"));
    browser.wait_text("#toast", "at most 6 connections");
    drop(browser);
    let mut streams = Vec::new();
    wait_until("the tabs are gone", || {
        let mut line = Line::to(simulator.address());
        line.say(format!("GET /simulator/events HTTP/1.1\r\nHost: {}\r\n\r\n", simulator.address()));
        let is_taken = line.hear().status == 200;
        is_taken.then(|| streams.push(line));
        streams.len() == 16
    });
    let Some(browser) = Browser::open(&url) else { return };
    browser.wait_text("#status", "16 pages are connected, which is the most, trying again");
    drop(streams);
    browser.wait("it is connected", "return document.getElementById('status').innerText === 'connected'", json!([]));
}

#[test]
fn screenshots_are_made() {
    let simulator = filled();
    let Some(browser) = open(&simulator) else { return };
    browser.wait_text(".quick", "Work");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)] {
        browser.scheme(scheme);
        browser.size(width, 740);
        if width >= 800 {
            browser.click("#tab-wire");
            browser.click(".item.twice .under button");
            browser.wait_text("#wire", "What went back");
        }
        browser.run("document.getElementById('log').scrollTop = 1e6", json!([]));
        browser.screenshot(&folder.join(format!("page-{scheme}-{width}.png")));
    }
    for (tab, part) in [("faults", "details"), ("webhooks", "details"), ("clock", "details"), ("wire", "people")] {
        browser.click("#dock [data-part=details]");
        browser.click(&format!("#tab-{tab}"));
        browser.click(&format!("#dock [data-part={part}]"));
        browser.screenshot(&folder.join(format!("page-360-{part}-{tab}.png")));
    }
    assert!(folder.join("page-dark-360.png").exists());
    if std::env::var_os("HMA_UPDATE_SCREENSHOT").is_some_and(|it| it == "1") {
        browser.scheme("light");
        browser.size(1120, 700);
        browser.click("#tab-wire");
        browser.click(".item.twice .under button");
        browser.wait_text("#wire", "What went back");
        browser.run("document.getElementById('log').scrollTop = 1e6", json!([]));
        browser.screenshot(&support::library("docs/simulator.png"));
    }
    let token = simulator.token().to_owned();
    assert!(!browser.text("body").contains(&token));
    assert!(api(simulator.address(), "GET", "", None).status == 200 && TEXT.len() > 10);
    browser.assert_no_complaints();
}
