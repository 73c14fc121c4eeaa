//! The JSON API below `/simulator`, the page, and what protects both from web pages of others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};

use crate::actions::{self, is_user_id, number_of, text_of};
use crate::answers;
use crate::conclusions::conclusions_json;
use crate::events;
use crate::faults::{self, Fault, PlannedFault, Scope};
use crate::gateway::{Gateway, State};
use crate::hide_token;
use crate::http::{Answer, Request};
use crate::message_rules::Kind;
use crate::people::{Item, MOST_OFFSET_MS, User};
use crate::record::Received;
use crate::webhooks::{Delivery, Signing, Target};

const PREFIX: &str = "/simulator";
const VERSION: u64 = 1;
const MOST_BODY: usize = 64 * 1024;
/// How much of a body is in a list; `GET /simulator/requests/SEQ` has all of it.
const MOST_LISTED_BODY: usize = 16 * 1024;
const MOST_LISTED: u64 = 1000;
const MOST_WAIT_MS: u64 = 600_000;
const SEVEN_DAYS_MS: i64 = 7 * 24 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

const PAGE: &str = include_str!("page.html");
/// The place in the page where each response has its own nonce.
const NONCE_MARKER: &str = "{{nonce}}";

/// What the server does for a request.
pub(crate) enum Reply {
    Answer(Answer),
    /// Answers, and then closes everything for a time.
    Down(Answer, Duration),
    /// Streams events after a number; `None` is from now on.
    Events {
        after: Option<u64>,
    },
}

/// A refusal: status, what is wrong, and the methods that are right.
struct Refusal {
    status: u16,
    reason: String,
    allow: Option<&'static str>,
}

impl From<(u16, String)> for Refusal {
    fn from((status, reason): (u16, String)) -> Refusal {
        Refusal { status, reason, allow: None }
    }
}

fn refuse(status: u16, reason: impl Into<String>) -> Refusal {
    (status, reason.into()).into()
}

/// Whether a request is for the page or the API.
pub(crate) fn is_meant(request: &Request, gateway: &Gateway) -> bool {
    let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let below = path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below || (path == "/" && gateway.settings.page && matches!(request.method.as_str(), "GET" | "HEAD"))
}

pub(crate) fn answer(request: &Request, gateway: &Gateway) -> Reply {
    route(request, gateway).unwrap_or_else(|refusal| Reply::Answer(refused(refusal)))
}

fn refused(refusal: Refusal) -> Answer {
    let answer = plain(refusal.status, &json!({"error": refusal.reason}));
    match refusal.allow {
        Some(methods) => answer.with_header("Allow", methods),
        None => answer,
    }
}

/// The answer to one event stream too many.
pub(crate) fn too_many_streams() -> Answer {
    refused(refuse(503, format!("{} event streams are open, which is the most", events::MOST_STREAMS)))
}

/// A JSON answer that no browser keeps or reads as something else.
fn plain(status: u16, body: &Value) -> Answer {
    Answer::json(status, body).with_header("X-Content-Type-Options", "nosniff").with_header("Cache-Control", "no-store")
}

fn ok(body: &Value) -> Result<Reply, Refusal> {
    Ok(Reply::Answer(plain(200, body)))
}

fn route(request: &Request, gateway: &Gateway) -> Result<Reply, Refusal> {
    if let Some(fault) = &request.fault {
        return Err(refuse(fault.status, fault.message));
    }
    check_origin(request, gateway)?;
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
    let Some(below) = path.strip_prefix(PREFIX) else { return page(query) };
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    let allowed = match parts[..] {
        [] | ["duplicates" | "deliveries"] | ["requests" | "conversations" | "deliveries", _] => "GET",
        ["conversations"] => "GET",
        ["requests"] => "GET, DELETE",
        ["wait" | "users"] | ["users", _, "events"] | ["deliveries", _, "again"] => "POST",
        ["webhook"] => "GET, PUT",
        ["faults"] => "GET, POST, DELETE",
        ["clock"] => "GET, POST",
        ["events"] if gateway.settings.page => "GET",
        _ => return Err(refuse(404, format!("there is nothing at {path}"))),
    };
    if !allowed.split(", ").any(|one| one == method) {
        let reason = format!("{path} takes {allowed}");
        return Err(Refusal { status: 405, reason, allow: Some(allowed) });
    }
    let query = Query::read(query)?;
    if method == "GET" {
        return get(&parts, &query, request, gateway);
    }
    if !answers::is_json(request) {
        return Err(refuse(415, "anything but GET needs Content-Type: application/json"));
    }
    if request.body.len() > MOST_BODY {
        return Err(refuse(413, format!("the body has more than {MOST_BODY} bytes")));
    }
    if method == "DELETE" {
        return delete(&parts, gateway);
    }
    let body = match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => body,
        Ok(_) => return Err(refuse(400, "the body must be a JSON object")),
        Err(error) => return Err(refuse(400, format!("the body is not JSON: {error}"))),
    };
    change(&parts, body, gateway)
}

/// Loopback is open to every program of this machine, and a browser is one that lets strangers ask. `Host` stops names
/// that strangers point here, `Origin` stops their pages.
fn check_origin(request: &Request, gateway: &Gateway) -> Result<(), Refusal> {
    let own = gateway.control.hosts();
    let is_own = |host: &str| own.iter().any(|one| one.eq_ignore_ascii_case(host));
    if !request.header("host").is_some_and(is_own) {
        return Err(refuse(421, format!("the Host must be one of {}", own.join(", "))));
    }
    let is_reading = matches!(request.method.as_str(), "GET" | "HEAD");
    let is_foreign = |origin: &str| {
        let host = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        !host.is_some_and(is_own)
    };
    if !is_reading && request.header("origin").is_some_and(is_foreign) {
        return Err(refuse(403, "the Origin is not this simulator's own page"));
    }
    Ok(())
}

fn page(query: &str) -> Result<Reply, Refusal> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| refuse(500, "the system has no random numbers"))?;
    let nonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let from_net = if query.split('&').any(|pair| pair == "images=net") { " https: http:" } else { "" };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:{from_net}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let answer = Answer::new(200, "text/html; charset=utf-8", &PAGE.replace(NONCE_MARKER, &nonce));
    let headers = [
        ("Content-Security-Policy", policy.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ];
    Ok(Reply::Answer(headers.into_iter().fold(answer, |answer, (name, value)| answer.with_header(name, value))))
}

// Reading

fn get(parts: &[&str], query: &Query, request: &Request, gateway: &Gateway) -> Result<Reply, Refusal> {
    let token = &gateway.settings.token;
    match parts {
        [] => ok(&overview(gateway)),
        ["requests"] => {
            query.only(&["after", "limit", "user"])?;
            let after = query.number("after", 0, u64::MAX)?.unwrap_or(0);
            let most = query.number("limit", 1, MOST_LISTED)?.unwrap_or(MOST_LISTED) as usize;
            let user = query.text("user");
            let (list, next, forgotten) = {
                let state = gateway.state();
                let is_wanted = |received: &&Arc<Received>| user.is_none() || received.user.as_deref() == user;
                let list: Vec<_> = state.record.iter_after(after).filter(is_wanted).take(most).cloned().collect();
                let next = if list.len() < most {
                    state.record.last_seq().max(after)
                } else {
                    list.last().map_or(after, |received| received.seq)
                };
                (list, next, state.record.forgotten_after(after))
            };
            let list: Value = list.iter().map(|received| request_json(received, token)).collect();
            ok(&json!({"requests": list, "next": next, "forgotten": forgotten}))
        }
        ["requests", seq] => {
            let seq = path_number(seq)?;
            let state = gateway.state();
            match state.record.get(seq) {
                Some(received) => {
                    let received = Arc::clone(received);
                    drop(state);
                    ok(&whole_request_json(&received, token))
                }
                None if seq == 0 || seq > state.record.last_seq() => {
                    Err(refuse(404, format!("there was no request {seq} yet")))
                }
                None => Err(refuse(404, format!("request {seq} is forgotten"))),
            }
        }
        ["conversations"] => {
            query.only(&["limit", "search"])?;
            let most = query.number("limit", 1, MOST_LISTED)?.unwrap_or(200) as usize;
            ok(&conversations_json(&gateway.state(), most, query.text("search").unwrap_or_default(), token))
        }
        ["conversations", user] => {
            query.only(&["limit", "before"])?;
            let most = query.number("limit", 1, MOST_LISTED)?.unwrap_or(MOST_LISTED) as usize;
            conversation(gateway, user, most, query.text("before"))
        }
        ["duplicates"] => ok(&duplicates_json(gateway)),
        ["deliveries"] => {
            query.only(&["limit"])?;
            let most = query.number("limit", 1, MOST_LISTED)?.unwrap_or(MOST_LISTED) as usize;
            let log = gateway.webhooks.log();
            let mut list: Vec<Value> = log.deliveries.values().rev().take(most).map(delivery_json).collect();
            list.reverse();
            ok(&json!({"deliveries": list}))
        }
        ["deliveries", number] => {
            let number = path_number(number)?;
            let log = gateway.webhooks.log();
            let delivery = log.deliveries.get(&number);
            let delivery =
                delivery.ok_or_else(|| refuse(404, format!("there is no delivery {number}, or it is forgotten")))?;
            let mut json = delivery_json(delivery);
            json["body"] = hide_token(&String::from_utf8_lossy(&delivery.body), token).into();
            ok(&json)
        }
        ["webhook"] => ok(&json!({"url": webhook_url(gateway)})),
        ["faults"] => ok(&json!({"table": faults::table_json(), "plan": gateway.state().plan.to_json()})),
        ["clock"] => ok(&clock_json(&gateway.state())),
        ["events"] => {
            query.only(&["after"])?;
            let last = request.header("last-event-id").and_then(|id| id.parse().ok());
            let after = if last.is_some() { last } else { query.number("after", 0, u64::MAX)? };
            Ok(Reply::Events { after })
        }
        _ => Err(refuse(404, "there is nothing here")),
    }
}

fn overview(gateway: &Gateway) -> Value {
    let settings = &gateway.settings;
    let hidden = |text: &str| hide_token(text, text);
    let base = if settings.sandbox_user.is_some() { "INSTAGRAM_API_URL" } else { "INSTAGRAM_GRAPH_API_URL" };
    let address = gateway.control.address().map(|address| format!("http://{address}")).unwrap_or_default();
    let variables = json!({
        base: format!("{address}{}", settings.base_path()),
        "INSTAGRAM_ACCOUNT_ID": settings.account_id,
        "INSTAGRAM_ACCESS_TOKEN": hidden(&settings.token),
        "WEBHOOK_HMAC_SECRET": hidden(&settings.webhook_secret),
        "VERIFY_TOKEN": hidden(&settings.verify_token),
    });
    let state = gateway.state();
    let mut json = state_json(&state);
    json["version"] = VERSION.into();
    json["variables"] = variables;
    json["last_seq"] = state.record.last_seq().into();
    json["keep"] = settings.keep.into();
    json["has_tls"] = gateway.tls.is_some().into();
    json["sandbox_user"] = settings.sandbox_user.clone().into();
    json["strict"] = settings.strict.into();
    drop(state);
    json["webhook"] = webhook_url(gateway);
    json
}

/// What changes while the page is open, besides requests and deliveries.
pub(crate) fn state_json(state: &State) -> Value {
    let counts = state.record.counts;
    json!({
        "counts": {
            "requests": counts.requests,
            "messages": counts.messages,
            "duplicates": counts.duplicates,
            "refused": counts.refused,
            "forgotten": counts.forgotten,
        },
        "clock": clock_json(state),
        "plan": state.plan.to_json(),
        "change": state.version,
    })
}

fn clock_json(state: &State) -> Value {
    json!({"now_ms": state.people.now_ms(), "offset_seconds": state.people.offset_ms().div_euclid(1000)})
}

fn webhook_url(gateway: &Gateway) -> Value {
    gateway.webhooks.log().url.as_ref().map_or(Value::Null, |target| target.url.clone().into())
}

/// A request as lists and events have it.
pub(crate) fn request_json(received: &Received, token: &str) -> Value {
    // Hidden first: a cut must not leave the beginning of a token.
    let shown = |text: &[u8], most: usize| {
        let mut shown = hide_token(&String::from_utf8_lossy(text), token);
        let end = (0..=most.min(shown.len())).rev().find(|at| shown.is_char_boundary(*at));
        shown.truncate(end.unwrap_or_default());
        shown
    };
    let answer = received.answer.as_ref().map(|answer| {
        json!({"status": answer.status, "body": shown(&answer.body, MOST_LISTED_BODY), "body_length": answer.body.len()})
    });
    json!({
        "seq": received.seq,
        "at_ms": received.at_ms,
        "connection": received.connection,
        "method": received.method,
        "path": hide_token(&received.path, token),
        "body": shown(&received.body, MOST_LISTED_BODY),
        "body_length": received.body.len(),
        "answer": answer,
        "got_it": received.got_it,
        "came_twice": received.came_twice,
        "fault": received.fault,
        "must_conclude": conclusions_json(received.must_conclude),
        "user": received.user,
        "message_id": received.message_id,
        "kind": received.kind.map(|kind| match kind {
            Kind::Message => "message",
            Kind::Action => "action",
            Kind::Upload => "upload",
        }),
    })
}

fn whole_request_json(received: &Received, token: &str) -> Value {
    let shown = |text: &str| hide_token(text, token);
    let pair = |name: &str, value: &str| json!([name, shown(value)]);
    let mut json = request_json(received, token);
    json["body"] = shown(&String::from_utf8_lossy(&received.body)).into();
    json["head"] = shown(&received.head).into();
    json["headers"] = received.headers().into_iter().map(|(name, value)| pair(name, value)).collect();
    if let Some(answer) = &received.answer {
        json["answer"]["body"] = shown(&String::from_utf8_lossy(&answer.body)).into();
        json["answer"]["headers"] = answer.headers.iter().map(|(name, value)| pair(name, value)).collect();
    }
    json
}

fn conversations_json(state: &State, most: usize, search: &str, token: &str) -> Value {
    let search = search.to_lowercase();
    let is_wanted = |id: &str, user: &User| id.contains(&search) || user.name.to_lowercase().contains(&search);
    let users = state.people.users();
    let total = users.len();
    let wanted = users.into_iter().filter(|(id, user)| is_wanted(id, user)).take(most);
    let list: Value = wanted
        .map(|(id, user)| {
            let mut json = user_json(state, id, user);
            json["last"] = user.conversation.back().map_or(Value::Null, |item| preview(state, item, token).into());
            json["items"] = user.conversation.len().into();
            json
        })
        .collect();
    json!({"users": list, "total": total})
}

fn preview(state: &State, item: &Item, token: &str) -> String {
    const MOST: usize = 60;
    let text = match item {
        Item::Event(event) => actions::preview_of_event(&event.shown),
        Item::Request(seq) => {
            let body = state.record.get(*seq).and_then(|received| received.json());
            actions::preview(&body.unwrap_or_default())
        }
    };
    hide_token(&text, token).chars().take(MOST).collect()
}

fn user_json(state: &State, id: &str, user: &User) -> Value {
    let left = state.people.window_left_ms(user);
    json!({
        "id": id,
        "name": user.name,
        "last_inbound_ms": user.last_inbound_ms,
        "window_left_ms": left.map(|left| left.max(0)),
        "human_agent_left_ms": left.map(|left| (left - DAY_MS + SEVEN_DAYS_MS).max(0)),
    })
}

fn conversation(gateway: &Gateway, id: &str, most: usize, before: Option<&str>) -> Result<Reply, Refusal> {
    let token = &gateway.settings.token;
    let state = gateway.state();
    let user =
        state.people.user(id).ok_or_else(|| refuse(404, format!("there is no user {id}, or it is forgotten")))?;
    let name = |item: &Item| match item {
        Item::Request(seq) => format!("r{seq}"),
        Item::Event(event) => format!("e{}", event.number),
    };
    let end = match before {
        None => user.conversation.len(),
        Some(key) => user.conversation.iter().position(|item| name(item) == key).unwrap_or(0),
    };
    let start = end.saturating_sub(most);
    let items: Value = user
        .conversation
        .range(start..end)
        .filter_map(|item| match item {
            Item::Event(event) => {
                let mut json = event.shown.clone();
                json["key"] = name(item).into();
                json["type"] = "event".into();
                Some(json)
            }
            Item::Request(seq) => {
                let mut json = request_json(state.record.get(*seq)?, token);
                json["key"] = name(item).into();
                json["type"] = "request".into();
                Some(json)
            }
        })
        .collect();
    ok(&json!({"user": user_json(&state, id, user), "items": items, "older": start}))
}

fn duplicates_json(gateway: &Gateway) -> Value {
    let all = gateway.state().record.all();
    let mut groups: HashMap<(&Option<String>, &[u8]), Vec<u64>> = HashMap::new();
    for received in all.iter().filter(|received| received.is_delivered_message()) {
        groups.entry((&received.user, &received.body)).or_default().push(received.seq);
    }
    let mut groups: Vec<_> = groups.into_iter().filter(|(_, seqs)| seqs.len() > 1).collect();
    groups.sort_unstable_by_key(|(_, seqs)| seqs[0]);
    let token = &gateway.settings.token;
    let one = |((user, body), seqs): &((&Option<String>, &[u8]), Vec<u64>)| json!({"user": user, "body": hide_token(&String::from_utf8_lossy(body), token), "seqs": seqs});
    json!({"duplicates": groups.iter().map(one).collect::<Value>()})
}

pub(crate) fn delivery_json(delivery: &Delivery) -> Value {
    let tries: Value = delivery
        .tries
        .iter()
        .map(|one| {
            let (status, error) = match &one.status {
                Ok(status) => (Some(status), None),
                Err(reason) => (None, Some(reason)),
            };
            json!({"at_ms": one.at_ms, "ms": one.took_ms, "status": status, "error": error, "answer": one.answer})
        })
        .collect();
    json!({
        "number": delivery.number,
        "at_ms": delivery.at_ms,
        "user": delivery.user,
        "kind": delivery.kind,
        "happenings": delivery.happenings,
        "shown": delivery.shown,
        "signature": match delivery.signing {
            Signing::Right => "right",
            Signing::Wrong => "wrong",
            Signing::Unsigned => "none",
        },
        "progress": delivery.progress.name(),
        "tries": tries,
        "tries_in_all": delivery.tries_in_all,
    })
}

// Changing

fn delete(parts: &[&str], gateway: &Gateway) -> Result<Reply, Refusal> {
    gateway.change(|state| match parts {
        ["requests"] => {
            state.record.clear();
            state.people.clear_conversations();
        }
        _ => state.plan.clear(),
    });
    ok(&state_json(&gateway.state()))
}

fn change(parts: &[&str], body: Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    match parts {
        ["wait"] => wait(&body, gateway),
        ["users"] => set_user(&body, gateway),
        ["users", user, "events"] => {
            let number = actions::perform(gateway, user, &Value::Object(body))?;
            Ok(Reply::Answer(plain(202, &json!({"delivery": number}))))
        }
        ["deliveries", number, "again"] => {
            only(&body, &["signature"])?;
            let number = path_number(number)?;
            gateway.webhooks.again(number, actions::signing(body.get("signature"))?)?;
            Ok(Reply::Answer(plain(202, &json!({"delivery": number}))))
        }
        ["webhook"] => set_webhook(&body, gateway),
        ["faults"] => plan_fault(&body, gateway),
        ["clock"] => set_clock(&body, gateway),
        _ => Err(refuse(404, "there is nothing here")),
    }
}

fn wait(body: &Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    only(body, &["messages", "requests", "deliveries", "after", "timeout_ms"])?;
    let number = |name| number_of(body, name, 0, u64::MAX);
    let (messages, requests, deliveries) = (number("messages")?, number("requests")?, number("deliveries")?);
    if messages.or(requests).or(deliveries).is_none() {
        return Err(refuse(400, "at least one of messages, requests and deliveries must be a number"));
    }
    let after = number("after")?.unwrap_or(0);
    let limit = number_of(body, "timeout_ms", 0, MOST_WAIT_MS)?.unwrap_or(5000);
    let mut reached = (0, 0, 0);
    let is_done = gateway.wait_until(Duration::from_millis(limit), |state| {
        let delivered = gateway.webhooks.log().delivered;
        reached = (state.record.messages_after(after), state.record.last_seq().saturating_sub(after), delivered);
        let is_enough = |wanted: Option<u64>, reached| wanted.is_none_or(|wanted| reached >= wanted);
        is_enough(messages, reached.0) && is_enough(requests, reached.1) && is_enough(deliveries, reached.2)
    });
    let answer = json!({"messages": reached.0, "requests": reached.1, "deliveries": reached.2, "reached": is_done});
    Ok(Reply::Answer(plain(if is_done { 200 } else { 408 }, &answer)))
}

fn set_user(body: &Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    only(body, &["id", "name", "last_inbound"])?;
    let id = match body.get("id") {
        None => None,
        Some(Value::String(id)) if is_user_id(id) => Some(id.clone()),
        Some(_) => return Err(refuse(400, "id must be a string of 1 to 64 digits")),
    };
    let name = body.get("name").map(|name| text_of(Some(name), "name")).transpose()?;
    if name.as_ref().is_some_and(|name| name.chars().count() > 60) {
        return Err(refuse(400, "name must have at most 60 characters"));
    }
    let last_inbound = body.get("last_inbound");
    gateway.change(|state| {
        let now = state.people.now_ms();
        let id = id.unwrap_or_else(|| state.people.new_user_id());
        let known = state.people.user(&id).map(|user| user.last_inbound_ms);
        let last_inbound_ms = match last_inbound {
            None => known.unwrap_or(Some(now)),
            Some(Value::String(word)) if word == "now" => Some(now),
            Some(Value::String(word)) if word == "never" => None,
            Some(value) => match value.as_i64() {
                Some(at) if at.abs() <= 2 * MOST_OFFSET_MS => Some(at),
                _ => {
                    let reason = "last_inbound takes \"now\", \"never\" or milliseconds since 1970";
                    return Err(refuse(400, reason));
                }
            },
        };
        state.people.set_user(&id, name.as_deref(), last_inbound_ms);
        match state.people.user(&id) {
            Some(user) => ok(&user_json(state, &id, user)),
            None => Err(refuse(500, "the user was not kept")),
        }
    })
}

fn set_webhook(body: &Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    only(body, &["url"])?;
    let target = match body.get("url") {
        Some(Value::Null) => None,
        Some(Value::String(url)) => Some(Target::new(url).map_err(|reason| refuse(400, reason))?),
        _ => return Err(refuse(400, "url must be a text or null")),
    };
    gateway.webhooks.set_url(target.clone());
    gateway.change(|_| {});
    let verification = target.as_ref().map(|target| gateway.webhooks.verify(target).to_json());
    ok(&json!({"url": target.map(|target| target.url), "verification": verification}))
}

fn plan_fault(body: &Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    only(body, &["name", "count", "user"])?;
    let fault: Fault = text_of(body.get("name"), "name")?.parse().map_err(|reason: String| refuse(400, reason))?;
    let is_down = fault.row().scope == Scope::Server;
    let most = if is_down { faults::MOST_DOWN_SECONDS } else { u64::MAX };
    let default = if is_down { faults::DOWN_SECONDS } else { 1 };
    let count = number_of(body, "count", 1, most)?.unwrap_or(default);
    let user = match body.get("user") {
        None | Some(Value::Null) => None,
        value => Some(text_of(value, "user")?),
    };
    let planned = PlannedFault { fault, count: Some(count), user }.validate().map_err(|reason| refuse(400, reason))?;
    match fault.row().scope {
        Scope::Handshake if gateway.tls.is_none() => {
            Err(refuse(409, format!("{fault} needs a port with TLS: start with --tls DIR")))
        }
        Scope::Server => {
            let answer = plain(200, &json!({"down_seconds": count}));
            Ok(Reply::Down(answer, Duration::from_secs(count)))
        }
        _ => gateway.change(|state| {
            const MOST_PLANNED: usize = 1000;
            if state.plan.len() >= MOST_PLANNED {
                return Err(refuse(429, format!("{MOST_PLANNED} faults are planned")));
            }
            state.plan.add(planned);
            ok(&json!({"plan": state.plan.to_json()}))
        }),
    }
}

fn set_clock(body: &Map<String, Value>, gateway: &Gateway) -> Result<Reply, Refusal> {
    only(body, &["advance_seconds", "reset"])?;
    let takes = "the body takes {\"advance_seconds\": NUMBER}, at most 100 years, or {\"reset\": true}";
    gateway.change(|state| {
        let offset = match (body.get("advance_seconds").map(Value::as_i64), body.get("reset")) {
            (Some(Some(seconds)), None) => state.people.offset_ms().saturating_add(seconds.saturating_mul(1000)),
            (None, Some(Value::Bool(true))) => 0,
            _ => return Err(refuse(400, takes)),
        };
        if !state.people.set_offset_ms(offset) {
            return Err(refuse(400, takes));
        }
        ok(&clock_json(state))
    })
}

// Small parts

fn only(body: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(refuse(400, format!("{name} is not a member; the body takes {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn path_number(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| refuse(400, format!("{text:?} in the path must be a number")))
}

/// The parameters of an address.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(query: &str) -> Result<Query, Refusal> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).ok_or_else(|| refuse(400, format!("{name} is not percent-encoded UTF-8")))?;
            Ok((name.to_owned(), value))
        });
        pairs.collect::<Result<_, Refusal>>().map(Query)
    }

    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(refuse(400, format!("{name} is not a parameter; there are {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(refuse(400, format!("{name} must be a number from {least} to {most}"))),
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(decoded("a+b%20c%C3%A4"), Some("a b cä".to_owned()));
        assert_eq!((decoded("%"), decoded("%zz"), decoded("%ff")), (None, None, None));
    }
}
