//! What users do, as the JSON API names it: into the conversation, and out as a webhook.

use serde_json::{Map, Value};

use crate::answers;
use crate::gateway::{Gateway, State};
use crate::people::UserEvent;
use crate::webhooks::{self, Happening, MOST_BATCH, MOST_WAITING, Signing};

/// The longest text of a user, in bytes.
const MOST_TEXT: usize = 10_000;

/// An HTTP status and what is wrong.
pub(crate) type Problem = (u16, String);

const KINDS: &str =
    "text, image_url, tap, quick_reply, postback, react, unreact, read, comment, edit, delete or referral";

/// Lets a user do what `event` says, and queues the webhook. Returns the number of the delivery.
pub(crate) fn perform(gateway: &Gateway, user: &str, event: &Value) -> Result<u64, Problem> {
    if !is_user_id(user) {
        return Err((400, format!("the user {user:?} is not an id of 1 to 64 digits")));
    }
    let event = event.as_object().ok_or((400, "the body must be a JSON object".to_owned()))?;
    let signing = signing_of(event)?;
    let batch = number_of(event, "batch", 1, MOST_BATCH)?.unwrap_or(1);
    if !gateway.webhooks.has_room() {
        return Err((429, format!("{MOST_WAITING} deliveries are waiting")));
    }
    let result = gateway.change(|state| {
        let last = happening_of(event, user, Some(state))?;
        let fillers = (1..batch).map(|number| {
            let text = format!("{number} of {batch} in one delivery");
            Happening::Text { text, reply_to: None }
        });
        let delivery = gateway.webhooks.next_number();
        let mut shown = Value::Null;
        let mut happenings = Vec::new();
        for happening in fillers.chain([last]) {
            let mid;
            (mid, shown) = enter(state, user, &happening, delivery);
            happenings.push((happening, mid));
        }
        gateway
            .webhooks
            .add_batch(user, state.people.now_ms(), &happenings, signing, shown)
            .map_err(|webhooks::Full| (429, format!("{MOST_WAITING} deliveries are waiting")))
    });
    gateway.notify();
    result
}

/// The body of a delivery without a simulator around it.
pub(crate) fn body_of(account_id: &str, user: &str, event: &Value) -> Result<Vec<u8>, Problem> {
    if !is_user_id(user) {
        return Err((400, format!("the user {user:?} is not an id of 1 to 64 digits")));
    }
    let event = event.as_object().ok_or((400, "the event must be a JSON object".to_owned()))?;
    let happening = happening_of(event, user, None)?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or_default();
    let mid = answers::user_message_id(user, since.as_nanos() as u64);
    Ok(webhooks::body(account_id, user, now, &[(happening, mid)]))
}

/// Puts one happening into the conversation; returns its own id, and what is shown of it.
fn enter(state: &mut State, user: &str, happening: &Happening, delivery: u64) -> (String, Value) {
    let number = state.people.next_event();
    let at_ms = state.people.now_ms();
    let mid = answers::user_message_id(user, number);
    if let Happening::Comment { id, .. } = happening {
        state.people.add_comment(id, user);
    }
    let mut shown = happening.shown(&mid);
    shown["event"] = number.into();
    shown["at_ms"] = at_ms.into();
    shown["delivery"] = delivery.into();
    let own_mid = shown["mid"].as_str().map(str::to_owned);
    let renews = happening.renews_window();
    state.people.add_event(user, UserEvent { number, at_ms, shown: shown.clone(), mid: own_mid }, renews);
    (mid, shown)
}

/// Reads an event. Without a state, nothing that it refers to is looked up.
fn happening_of(event: &Map<String, Value>, user: &str, state: Option<&State>) -> Result<Happening, Problem> {
    let beside = ["signature", "batch", "reply_to"];
    let mut kinds = event.keys().filter(|name| !beside.contains(&name.as_str()));
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err((400, format!("an event needs exactly one of {KINDS}")));
    };
    let value = &event[kind];
    if event.contains_key("reply_to") && kind != "text" {
        return Err((400, "reply_to goes with text only".to_owned()));
    }
    let part = |name: &str| text_of(value.get(name), &format!("{kind}.{name}"));
    // How often a message of the user's own was edited.
    let edits_of = |mid: &str| match state.map(|state| state.people.edits_of(user, mid)) {
        None => Ok(0),
        Some(Some(edits)) => Ok(edits),
        Some(None) => {
            Err((409, format!("{kind}: user {user} has no message with this id: never, forgotten or unsent")))
        }
    };
    match kind.as_str() {
        "text" => {
            let reply_to = event.get("reply_to").map(|mid| text_of(Some(mid), "reply_to")).transpose()?;
            Ok(Happening::Text { text: text_of(Some(value), kind)?, reply_to })
        }
        "image_url" => {
            let url = text_of(Some(value), kind)?;
            match url.starts_with("http://") || url.starts_with("https://") {
                true => Ok(Happening::Image { url }),
                false => Err((400, "image_url must begin with https:// or http://".to_owned())),
            }
        }
        "tap" => {
            let state = state.ok_or((400, "tap needs a running simulator: use quick_reply or postback".to_owned()))?;
            tapped(value, user, state)
        }
        "quick_reply" => Ok(Happening::QuickReply { title: part("title")?, payload: part("payload")? }),
        "postback" => Ok(Happening::Postback { title: part("title")?, payload: part("payload")? }),
        "react" => Ok(Happening::React { mid: part("mid")?, emoji: part("emoji")? }),
        "unreact" => Ok(Happening::Unreact { mid: text_of(Some(value), kind)? }),
        "read" => Ok(Happening::Read { mid: text_of(Some(value), kind)? }),
        "comment" => comment(value, user, state),
        "edit" => {
            let (mid, text) = (part("mid")?, part("text")?);
            Ok(Happening::Edit { edits: edits_of(&mid)? + 1, mid, text })
        }
        "delete" => {
            let mid = text_of(Some(value), kind)?;
            edits_of(&mid)?;
            Ok(Happening::Delete { mid })
        }
        "referral" => Ok(Happening::Referral { reference: text_of(Some(value), kind)? }),
        _ => Err((400, format!("an event needs exactly one of {KINDS}, not {kind}"))),
    }
}

fn comment(value: &Value, user: &str, state: Option<&State>) -> Result<Happening, Problem> {
    let (text, fields) = match value {
        Value::Object(fields) => (text_of(fields.get("text"), "comment.text")?, fields.clone()),
        _ => (text_of(Some(value), "comment")?, Map::new()),
    };
    let is_instagram_login = match fields.get("login").map(Value::as_str) {
        None | Some(Some("facebook")) => false,
        Some(Some("instagram")) => true,
        Some(_) => return Err((400, "comment.login takes \"facebook\" or \"instagram\"".to_owned())),
    };
    let optional = |name: &str, default: String| match fields.get(name) {
        Some(value) => text_of(Some(value), &format!("comment.{name}")),
        None => Ok(default),
    };
    let number = state.map_or(0, |state| state.people.next_event());
    let tail = &user[user.len().saturating_sub(6)..];
    let id = optional("id", format!("179{tail:0>6}{number:08}"))?;
    let media_id = optional("media_id", "18012345678901234".to_owned())?;
    Ok(Happening::Comment { id, text, media_id, is_instagram_login })
}

/// What a tap on a button of a message brings.
fn tapped(tap: &Value, user: &str, state: &State) -> Result<Happening, Problem> {
    let seq = tap["seq"].as_u64().ok_or((400, "tap.seq must be the number of a request".to_owned()))?;
    let button = tap["button"].as_u64().and_then(|button| usize::try_from(button).ok());
    let button = button.ok_or((400, "tap.button must be a number from 0".to_owned()))?;
    let received = state.record.get(seq).filter(|received| received.user.as_deref() == Some(user) && received.got_it);
    let received =
        received.ok_or((404, format!("user {user} has no message {seq}, or it is forgotten or did not arrive")))?;
    let body = received.json().unwrap_or_default();
    let message = &body["message"];
    let buttons = buttons(message);
    let Some(tapped) = buttons.get(button) else {
        return Err((404, format!("message {seq} has {} buttons, and tap.button counts from 0", buttons.len())));
    };
    let text = |name: &str| tapped[name].as_str().unwrap_or_default().to_owned();
    let kind = tapped["type"].as_str().or(tapped["content_type"].as_str());
    match kind {
        Some("text") => Ok(Happening::QuickReply { title: cut_title(&text("title")), payload: text("payload") }),
        Some("user_phone_number") => {
            Ok(Happening::QuickReply { title: "+15550100".to_owned(), payload: "+15550100".to_owned() })
        }
        Some("user_email") => {
            let address = "user@example.com".to_owned();
            Ok(Happening::QuickReply { title: address.clone(), payload: address })
        }
        Some("postback") => Ok(Happening::Postback { title: text("title"), payload: text("payload") }),
        _ => Err((409, format!("button {button} of message {seq} opens a link, which no webhook reports"))),
    }
}

/// Everything in a message that can be tapped, in the order in which it is drawn.
fn buttons(message: &Value) -> Vec<&Value> {
    let list = |value: &'static str, of: &'_ Value| -> usize { of[value].as_array().map_or(0, Vec::len) };
    let payload = &message["attachment"]["payload"];
    let mut found = Vec::new();
    found.extend((0..list("quick_replies", message)).map(|at| &message["quick_replies"][at]));
    found.extend((0..list("buttons", payload)).map(|at| &payload["buttons"][at]));
    for card in payload["elements"].as_array().into_iter().flatten() {
        found.extend(card["buttons"].as_array().into_iter().flatten());
    }
    found
}

/// Meta cuts the title of a quick reply after 20 characters.
fn cut_title(title: &str) -> String {
    title.chars().take(20).collect()
}

fn signing_of(event: &Map<String, Value>) -> Result<Signing, Problem> {
    signing(event.get("signature")).map(Option::unwrap_or_default)
}

/// Whether a text can be a user's id.
pub(crate) fn is_user_id(id: &str) -> bool {
    matches!(id.len(), 1..=64) && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// The member `signature` of a body.
pub(crate) fn signing(value: Option<&Value>) -> Result<Option<Signing>, Problem> {
    match value.map(Value::as_str) {
        None => Ok(None),
        Some(Some("right")) => Ok(Some(Signing::Right)),
        Some(Some("wrong")) => Ok(Some(Signing::Wrong)),
        Some(Some("none")) => Ok(Some(Signing::Unsigned)),
        Some(_) => Err((400, "signature takes \"right\", \"wrong\" or \"none\"".to_owned())),
    }
}

/// A member that is a text of 1 to 10 000 bytes.
pub(crate) fn text_of(value: Option<&Value>, name: &str) -> Result<String, Problem> {
    match value.and_then(Value::as_str) {
        Some(text) if matches!(text.len(), 1..=MOST_TEXT) => Ok(text.to_owned()),
        _ => Err((400, format!("{name} must be a text of 1 to {MOST_TEXT} bytes"))),
    }
}

/// A member that is a number within limits, if it is there.
pub(crate) fn number_of(
    fields: &Map<String, Value>,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Problem> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err((400, format!("{name} must be a number from {least} to {most}"))),
        },
    }
}

/// What a request shows in a list of conversations.
pub(crate) fn preview(body: &Value) -> String {
    let message = &body["message"];
    let text = message["text"].as_str().or(message["attachment"]["payload"]["text"].as_str());
    let text = text.or(message["attachment"]["type"].as_str()).or(body["sender_action"].as_str());
    text.unwrap_or("message").to_owned()
}

/// The same for what a user did.
pub(crate) fn preview_of_event(shown: &Value) -> String {
    let text = shown["text"].as_str().or(shown["emoji"].as_str()).or(shown["kind"].as_str());
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: Value) -> Result<Happening, Problem> {
        happening_of(event.as_object().unwrap(), "8123456789012345", None)
    }

    #[test]
    fn an_event_is_exactly_one_thing() {
        for wrong in [
            json!({}),
            json!({"text": "a", "image_url": "https://example.com/a.png"}),
            json!({"signature": "wrong"}),
            json!({"dance": true}),
            json!({"text": ""}),
            json!({"text": "x".repeat(MOST_TEXT + 1)}),
            json!({"image_url": "file:///etc/passwd"}),
            json!({"read": 5}),
            json!({"react": {"mid": "m"}}),
            json!({"comment": {"text": "a", "login": "twitter"}}),
            json!({"read": "m", "reply_to": "m"}),
        ] {
            assert_eq!(read(wrong.clone()).unwrap_err().0, 400, "{wrong}");
        }
        assert!(read(json!({"text": "a", "signature": "wrong", "batch": 3, "reply_to": "m"})).is_ok());
    }

    #[test]
    fn every_button_of_a_message_has_its_place() {
        let quick = json!({"quick_replies": [{"title": "a"}, {"title": "b"}]});
        assert_eq!(buttons(&quick).len(), 2);
        let cards = json!({"attachment": {"payload": {"elements": [
            {"buttons": [{"title": "a"}]}, {}, {"buttons": [{"title": "b"}, {"title": "c"}]}
        ]}}});
        let titles: Vec<_> = buttons(&cards).iter().map(|button| button["title"].as_str().unwrap()).collect();
        assert_eq!(titles, ["a", "b", "c"]);
    }
}
