//! Any message: its body is JSON with the given content, or it is rejected.
#![no_main]

use hookmyapp::{Action, AttachmentKind, ContactKind, Message, fuzzing};
use libfuzzer_sys::{arbitrary::Arbitrary, fuzz_target};
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
enum Start {
    Text(String),
    Attachment(String),
    AttachmentId(String),
    Images,
    Heart,
    Post(String),
    Cards,
    Reaction(String, Option<String>),
    Typing,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Image(String),
    QuickReply(String, String),
    ContactReply(Option<String>, Option<String>),
    Card(String, Option<String>, Option<String>, Option<String>),
    LinkButton(String, String),
    PostbackButton(String, String),
    Tag(String),
    ReplyTo(String),
    Reusable,
}

fuzz_target!(|input: (String, Start, Vec<Call>)| {
    let (recipient, start, calls) = input;
    let mut message = match &start {
        Start::Text(text) => Message::text(text),
        Start::Attachment(url) => Message::attachment(AttachmentKind::Image, url),
        Start::AttachmentId(id) => Message::attachment_id(AttachmentKind::File, id),
        Start::Images => Message::images(),
        Start::Heart => Message::heart(),
        Start::Post(id) => Message::post(id),
        Start::Cards => Message::cards(),
        Start::Reaction(id, reaction) => Message::reaction(id, reaction.as_deref()),
        Start::Typing => Message::action(Action::TypingOn),
    };
    for call in &calls {
        message = match call {
            Call::Image(url) => message.image(url),
            Call::QuickReply(title, payload) => message.quick_reply(title, payload),
            Call::ContactReply(title, payload) => {
                message.contact_reply(ContactKind::Email, title.as_deref(), payload.as_deref())
            }
            Call::Card(title, subtitle, image, link) => {
                message.card(title, subtitle.as_deref(), image.as_deref(), link.as_deref())
            }
            Call::LinkButton(title, url) => message.link_button(title, url),
            Call::PostbackButton(title, payload) => message.postback_button(title, payload),
            Call::Tag(tag) => message.tag(tag),
            Call::ReplyTo(id) => message.reply_to(id),
            Call::Reusable => message.reusable(),
        };
    }
    let Ok(body) = fuzzing::message_body(&recipient, &message) else { return };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["recipient"], json!({ "id": recipient }));
    if let (Start::Text(text), []) = (&start, &calls[..]) {
        assert_eq!(body["message"], json!({ "text": text }));
    }
    // Every text that was given stands in the body, whole.
    let said = strings(&body);
    for text in asked(&start, &calls) {
        assert!(said.contains(&text), "{text:?} is not in {body}");
    }
});

fn asked(start: &Start, calls: &[Call]) -> Vec<String> {
    let mut texts: Vec<&String> = Vec::new();
    match start {
        Start::Text(text) | Start::Attachment(text) | Start::AttachmentId(text) | Start::Post(text) => texts.push(text),
        Start::Reaction(id, reaction) => texts.extend(std::iter::once(id).chain(reaction)),
        _ => {}
    }
    for call in calls {
        match call {
            Call::Image(text) => texts.push(text),
            Call::QuickReply(one, two) | Call::LinkButton(one, two) | Call::PostbackButton(one, two) => {
                texts.extend([one, two]);
            }
            Call::ContactReply(title, payload) => texts.extend(title.iter().chain(payload)),
            Call::Card(title, subtitle, image, link) => {
                texts.extend(std::iter::once(title).chain(subtitle).chain(image).chain(link));
            }
            // A later call replaces what an earlier one has set.
            Call::Tag(_) | Call::ReplyTo(_) | Call::Reusable => {}
        }
    }
    texts.into_iter().cloned().collect()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}
