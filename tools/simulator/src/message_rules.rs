//! What Meta takes in the body of a message, and what it refuses. No HTTP here: JSON in, a
//! decision out. The words of the refusals are ours; codes and subcodes are Meta's.

use std::slice;

use serde_json::{Map, Value};

const TEXT_BYTES: usize = 1000;
const IMAGES: usize = 10;
const QUICK_REPLIES: usize = 13;
const CARDS: usize = 10;
const CARD_TITLE_CHARACTERS: usize = 80;
const CARD_SUBTITLE_CHARACTERS: usize = 80;
const BUTTONS: usize = 3;
const BUTTON_TEXT_CHARACTERS: usize = 640;

pub const BAD_PARAMETER: u32 = 100;
// Subcodes of it.
pub const OBJECT_MISSING: u32 = 33;
pub const MEDIA_NOT_FETCHED: u32 = 2018008;
const MESSAGE_AND_ACTION: u32 = 2018014;
pub const NO_SUCH_USER: u32 = 2534014;
const DATA_NOT_ALLOWED: u32 = 2534015;

type Fields = Map<String, Value>;

/// What a body asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something that appears in the conversation.
    Message,
    /// A sender action: typing, seen, a reaction.
    Action,
    /// Media for later messages.
    Upload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient<'a> {
    User(&'a str),
    Comment(&'a str),
    /// An upload is for nobody yet.
    Nobody,
}

/// A body that keeps the rules, with what the rest of the gateway needs of it.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    pub kind: Kind,
    pub recipient: Recipient<'a>,
    pub text: Option<&'a str>,
    /// Whether it carries the tag that is valid for 7 days.
    pub human_agent: bool,
    pub keeps_attachment: bool,
}

#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub code: u32,
    pub subcode: Option<u32>,
    pub message: String,
}

impl Refusal {
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal { status: 400, code: BAD_PARAMETER, subcode: None, message: message.into() }
    }

    pub fn with_subcode(subcode: u32, message: impl Into<String>) -> Refusal {
        Refusal { subcode: Some(subcode), ..Refusal::new(message) }
    }
}

/// A body for `messages`: a message or a sender action, and whom it is for.
pub fn check_send<'a>(body: &'a Fields, account_id: &str) -> Result<Accepted<'a>, Refusal> {
    match (given(body, "message"), given(body, "sender_action")) {
        (Some(message), None) => {
            let recipient = check_recipient(body, account_id)?;
            check_delivery(body)?;
            check_message(message)?;
            Ok(Accepted {
                kind: Kind::Message,
                recipient,
                text: message["text"].as_str(),
                human_agent: given(body, "tag").is_some(),
                keeps_attachment: asks_to_keep(message),
            })
        }
        (None, Some(action)) => {
            let recipient = check_recipient(body, account_id)?;
            if let Recipient::Comment(_) = recipient {
                return Err(Refusal::new("A sender action needs recipient.id, not a comment"));
            }
            check_action(action, body)?;
            let human_agent = given(body, "tag").is_some();
            Ok(Accepted { kind: Kind::Action, recipient, text: None, human_agent, keeps_attachment: false })
        }
        (Some(_), Some(_)) => {
            let message = "message and sender_action cannot go together";
            Err(Refusal::with_subcode(MESSAGE_AND_ACTION, message))
        }
        (None, None) => Err(Refusal::new("Either message or sender_action is needed")),
    }
}

/// A body for `message_attachments`: one medium by its address, for nobody yet.
pub fn check_upload(body: &Fields) -> Result<Accepted<'_>, Refusal> {
    let message = object(given(body, "message"), "message")?;
    let place = "message.attachment";
    let attachment = object(given(message, "attachment"), place)?;
    let kind = filled_text(attachment, place, "type")?;
    if !is_media(kind) {
        return Err(Refusal::new(format!("{place}.type {kind:?} cannot be uploaded")));
    }
    let place = "message.attachment.payload";
    let payload = object(given(attachment, "payload"), place)?;
    check_flag(payload, place, "is_reusable")?;
    check_url(payload, place, "url")?;
    let kind = Kind::Upload;
    Ok(Accepted { kind, recipient: Recipient::Nobody, text: None, human_agent: false, keeps_attachment: true })
}

fn check_recipient<'a>(body: &'a Fields, account_id: &str) -> Result<Recipient<'a>, Refusal> {
    let recipient = object(given(body, "recipient"), "recipient")?;
    match (given(recipient, "id"), given(recipient, "comment_id")) {
        (Some(_), None) => {
            let id = filled_text(recipient, "recipient", "id")?;
            check_user_id(id, account_id)?;
            Ok(Recipient::User(id))
        }
        (None, Some(_)) => Ok(Recipient::Comment(filled_text(recipient, "recipient", "comment_id")?)),
        _ => Err(Refusal::new("recipient needs either id or comment_id")),
    }
}

fn check_user_id(id: &str, account_id: &str) -> Result<(), Refusal> {
    let message = if id == account_id || looks_like_account(id) {
        "recipient.id is the id of an account, not of a user: take sender.id of a webhook".to_owned()
    } else if id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    } else {
        format!("recipient.id {id:?} looks like a user name, and an id has digits only: take sender.id of a webhook")
    };
    Err(Refusal::with_subcode(NO_SUCH_USER, message))
}

fn looks_like_account(id: &str) -> bool {
    id.len() == 17 && id.starts_with("17841") && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// The fields allowed beside a message. Unknown fields are ignored.
fn check_delivery(body: &Fields) -> Result<(), Refusal> {
    check_word(body, "tag", &["HUMAN_AGENT"])?;
    check_word(body, "messaging_type", &["RESPONSE", "UPDATE", "MESSAGE_TAG"])?;
    if given(body, "reply_to").is_some() {
        filled_text(object(given(body, "reply_to"), "reply_to")?, "reply_to", "mid")?;
    }
    Ok(())
}

fn check_word(body: &Fields, name: &str, known: &[&str]) -> Result<(), Refusal> {
    match given(body, name) {
        None => Ok(()),
        Some(Value::String(word)) if known.contains(&word.as_str()) => Ok(()),
        Some(other) => {
            let known = known.join(", ");
            Err(Refusal::new(format!("{name} {other} is not known here: {known}")))
        }
    }
}

fn check_action(action: &Value, body: &Fields) -> Result<(), Refusal> {
    match action.as_str() {
        Some("typing_on" | "typing_off" | "mark_seen") => Ok(()),
        Some("react") => check_reaction(body, &["message_id", "reaction"]),
        Some("unreact") => check_reaction(body, &["message_id"]),
        _ => Err(Refusal::new(format!("sender_action {action} is not known"))),
    }
}

fn check_reaction(body: &Fields, needed: &[&str]) -> Result<(), Refusal> {
    let payload = object(given(body, "payload"), "payload")?;
    for name in needed {
        filled_text(payload, "payload", name)?;
    }
    Ok(())
}

fn check_message(message: &Value) -> Result<(), Refusal> {
    let message = object(Some(message), "message")?;
    let has = |name| given(message, name).is_some();
    match (has("text"), has("attachment"), has("attachments")) {
        (true, false, false) => check_text(message),
        (false, _, _) if has("quick_replies") => {
            Err(Refusal::with_subcode(DATA_NOT_ALLOWED, "message.quick_replies need message.text"))
        }
        (false, true, false) => check_attachment(given(message, "attachment"), "message.attachment"),
        (false, false, true) => check_images(message),
        (false, false, false) => Err(Refusal::new("message is empty")),
        _ => Err(Refusal::with_subcode(DATA_NOT_ALLOWED, "message takes one of text, attachment and attachments")),
    }
}

fn check_text(message: &Fields) -> Result<(), Refusal> {
    let text = filled_text(message, "message", "text")?;
    at_most(text.len(), TEXT_BYTES, "message.text", "bytes")?;
    match given(message, "quick_replies") {
        Some(_) => check_quick_replies(message),
        None => Ok(()),
    }
}

fn check_quick_replies(message: &Fields) -> Result<(), Refusal> {
    let replies = list(message, "message", "quick_replies", QUICK_REPLIES)?;
    for (at, reply) in replies.iter().enumerate() {
        let place = format!("message.quick_replies[{at}]");
        let reply = object(Some(reply), &place)?;
        match filled_text(reply, &place, "content_type")? {
            // A title that is too long is cut, not refused.
            "text" => {
                filled_text(reply, &place, "title")?;
                any_text(reply, &place, "payload")?;
            }
            "user_phone_number" | "user_email" => {}
            other => {
                let message = format!("{place}.content_type {other:?} is not known");
                return Err(Refusal::new(message));
            }
        }
    }
    Ok(())
}

fn check_images(message: &Fields) -> Result<(), Refusal> {
    let place = "message.attachments";
    // A single image is also accepted without the list.
    let images = match given(message, "attachments") {
        Some(image @ Value::Object(_)) => slice::from_ref(image),
        _ => list(message, "message", "attachments", IMAGES)?,
    };
    for (at, image) in images.iter().enumerate() {
        let place = format!("{place}[{at}]");
        check_attachment(Some(image), &place)?;
        if image["type"] != "image" {
            let message = format!("{place} is not an image");
            return Err(Refusal::with_subcode(DATA_NOT_ALLOWED, message));
        }
    }
    Ok(())
}

fn check_attachment(attachment: Option<&Value>, place: &str) -> Result<(), Refusal> {
    let attachment = object(attachment, place)?;
    let kind = filled_text(attachment, place, "type")?;
    if kind == "like_heart" {
        return Ok(());
    }
    let payload_place = format!("{place}.payload");
    let payload = object(given(attachment, "payload"), &payload_place)?;
    match kind {
        kind if is_media(kind) => check_media(payload, &payload_place),
        "MEDIA_SHARE" => check_post(payload, &payload_place),
        "template" => check_template(payload, &payload_place),
        _ => Err(Refusal::new(format!("{place}.type {kind:?} is not known"))),
    }
}

fn is_media(kind: &str) -> bool {
    matches!(kind, "image" | "audio" | "video" | "file")
}

fn check_media(payload: &Fields, place: &str) -> Result<(), Refusal> {
    check_flag(payload, place, "is_reusable")?;
    match either(payload, place, "url", "attachment_id")? {
        "url" => check_url(payload, place, "url"),
        name => filled_text(payload, place, name).map(drop),
    }
}

fn check_post(payload: &Fields, place: &str) -> Result<(), Refusal> {
    let name = either(payload, place, "id", "attachment_id")?;
    filled_text(payload, place, name).map(drop)
}

fn check_template(payload: &Fields, place: &str) -> Result<(), Refusal> {
    match filled_text(payload, place, "template_type")? {
        "button" => check_button_template(payload, place),
        "generic" => check_cards(payload, place),
        other => Err(Refusal::new(format!("{place}.template_type {other:?} is not known"))),
    }
}

fn check_button_template(payload: &Fields, place: &str) -> Result<(), Refusal> {
    short_text(payload, place, "text", BUTTON_TEXT_CHARACTERS)?;
    check_buttons(payload, place)
}

fn check_cards(payload: &Fields, place: &str) -> Result<(), Refusal> {
    let cards = list(payload, place, "elements", CARDS)?;
    for (at, card) in cards.iter().enumerate() {
        let place = format!("{place}.elements[{at}]");
        check_card(object(Some(card), &place)?, &place)?;
    }
    Ok(())
}

fn check_card(card: &Fields, place: &str) -> Result<(), Refusal> {
    const BESIDE_TITLE: [&str; 4] = ["subtitle", "image_url", "default_action", "buttons"];
    let has = |name: &str| given(card, name).is_some();
    short_text(card, place, "title", CARD_TITLE_CHARACTERS)?;
    if !BESIDE_TITLE.into_iter().any(has) {
        let message = format!("{place} needs something besides its title");
        return Err(Refusal::new(message));
    }
    if has("subtitle") {
        short_text(card, place, "subtitle", CARD_SUBTITLE_CHARACTERS)?;
    }
    if has("image_url") {
        check_url(card, place, "image_url")?;
    }
    if has("default_action") {
        check_default_action(card, place)?;
    }
    if has("buttons") {
        check_buttons(card, place)?;
    }
    Ok(())
}

fn check_default_action(card: &Fields, place: &str) -> Result<(), Refusal> {
    let place = format!("{place}.default_action");
    let action = object(given(card, "default_action"), &place)?;
    if filled_text(action, &place, "type")? != "web_url" || given(action, "title").is_some() {
        let message = format!("{place} must be a web_url without title");
        return Err(Refusal::new(message));
    }
    filled_text(action, &place, "url").map(drop)
}

fn check_buttons(fields: &Fields, place: &str) -> Result<(), Refusal> {
    let buttons = list(fields, place, "buttons", BUTTONS)?;
    for (at, button) in buttons.iter().enumerate() {
        let place = format!("{place}.buttons[{at}]");
        let button = object(Some(button), &place)?;
        filled_text(button, &place, "title")?;
        match filled_text(button, &place, "type")? {
            "web_url" => filled_text(button, &place, "url")?,
            "postback" => any_text(button, &place, "payload")?,
            other => return Err(Refusal::new(format!("{place}.type {other:?} is not known"))),
        };
    }
    Ok(())
}

/// Whether the answer to an accepted message names the attachment, for use in later ones.
fn asks_to_keep(message: &Value) -> bool {
    message["attachment"]["payload"]["is_reusable"] == true
}

// The small checks that the others are made of. `place` is where a field stands, for the words.

/// A field that is null counts as left out.
fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn object<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a Fields, Refusal> {
    let fields = value.and_then(Value::as_object);
    fields.ok_or_else(|| Refusal::new(format!("{place} must be an object")))
}

fn any_text<'a>(fields: &'a Fields, place: &str, name: &str) -> Result<&'a str, Refusal> {
    let text = given(fields, name).and_then(Value::as_str);
    text.ok_or_else(|| Refusal::new(format!("{place}.{name} must be a text")))
}

fn filled_text<'a>(fields: &'a Fields, place: &str, name: &str) -> Result<&'a str, Refusal> {
    match any_text(fields, place, name)? {
        "" => Err(Refusal::new(format!("{place}.{name} is empty"))),
        text => Ok(text),
    }
}

fn short_text(fields: &Fields, place: &str, name: &str, limit: usize) -> Result<(), Refusal> {
    let text = filled_text(fields, place, name)?;
    at_most(text.chars().count(), limit, &format!("{place}.{name}"), "characters")
}

fn list<'a>(fields: &'a Fields, place: &str, name: &str, limit: usize) -> Result<&'a [Value], Refusal> {
    let place = format!("{place}.{name}");
    match given(fields, name).and_then(Value::as_array) {
        Some(items) if !items.is_empty() => {
            at_most(items.len(), limit, &place, "entries")?;
            Ok(items)
        }
        _ => Err(Refusal::new(format!("{place} must be a list that is not empty"))),
    }
}

fn at_most(count: usize, limit: usize, place: &str, unit: &str) -> Result<(), Refusal> {
    if count <= limit {
        return Ok(());
    }
    let message = format!("{place} has {count} {unit}, at most {limit} are allowed");
    Err(Refusal::new(message))
}

/// Which of two fields is there, if exactly one is.
fn either<'a>(fields: &Fields, place: &str, one: &'a str, other: &'a str) -> Result<&'a str, Refusal> {
    match (given(fields, one).is_some(), given(fields, other).is_some()) {
        (true, false) => Ok(one),
        (false, true) => Ok(other),
        _ => Err(Refusal::new(format!("{place} needs either {one} or {other}"))),
    }
}

fn check_flag(fields: &Fields, place: &str, name: &str) -> Result<(), Refusal> {
    match given(fields, name) {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(_) => Err(Refusal::new(format!("{place}.{name} must be true or false"))),
    }
}

/// Only an absolute web address can be fetched. Nothing is fetched here.
fn check_url(fields: &Fields, place: &str, name: &str) -> Result<(), Refusal> {
    let url = filled_text(fields, place, name)?.to_ascii_lowercase();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return Ok(());
    }
    let message = format!("{place}.{name} is not an address that can be fetched");
    Err(Refusal::with_subcode(MEDIA_NOT_FETCHED, message))
}
