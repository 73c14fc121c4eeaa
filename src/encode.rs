//! Encodes a message as a request body: JSON written directly into one buffer, with Meta's limits checked.
//!
//! For the limits and their sources see `docs/protocol.md`, section 4.

use crate::error::Error;
use crate::json::{self, Json};
use crate::message::{AttachmentKind, Button, Card, Content, Message, QuickReply, Source};

const MAX_TEXT_BYTES: usize = 1000;
const MAX_BUTTON_TEXT_CHARACTERS: usize = 640;
const MAX_QUICK_REPLIES: usize = 13;
const MAX_QUICK_REPLY_TITLE_CHARACTERS: usize = 20;
const MAX_BUTTONS: usize = 3;
const MAX_IMAGES: usize = 10;
const MAX_CARDS: usize = 10;
const MAX_CARD_TITLE_CHARACTERS: usize = 80;
const MAX_CARD_SUBTITLE_CHARACTERS: usize = 80;

/// The recipient of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recipient<'a> {
    /// The Instagram-scoped id (IGSID) of a user.
    User(&'a str),
    /// A comment, for a private reply.
    Comment(&'a str),
}

impl Message {
    /// Returns the request body that [`Client::send`](crate::Client::send) would send to this user: for a queue, a log,
    /// or to check a message without sending it. The body contains neither token nor URL.
    ///
    /// Fails as the send would, with the same text. [`Client::send_json`](crate::Client::send_json) sends the body
    /// later, byte for byte what `send` would have sent. A queue must record which bodies it has begun to send: after a
    /// crash those may have been delivered.
    pub fn to_json(&self, recipient_id: &str) -> Result<String, Error> {
        into_text(message_body(Recipient::User(recipient_id), self)?)
    }

    /// Returns the request body that [`Client::send_private_reply`](crate::Client::send_private_reply) would send for
    /// this comment; see [`Message::to_json`].
    pub fn to_private_reply_json(&self, comment_id: &str) -> Result<String, Error> {
        into_text(message_body(Recipient::Comment(comment_id), self)?)
    }
}

fn into_text(body: Vec<u8>) -> Result<String, Error> {
    // The body consists of UTF-8 texts, so this cannot fail.
    String::from_utf8(body).map_err(|error| Error::argument(format!("message: {error}")))
}

/// Returns the body that sends `message` to `recipient`.
pub(crate) fn message_body(recipient: Recipient<'_>, message: &Message) -> Result<Vec<u8>, Error> {
    message.check()?;
    encode(|writer| writer.message(recipient, message))
}

/// Returns the body that sends a plain text.
pub(crate) fn text_body(recipient: Recipient<'_>, text: &str) -> Result<Vec<u8>, Error> {
    encode(|writer| {
        writer.raw("{").recipient(recipient)?;
        writer.raw(",\"message\":{").plain_text(text)?;
        writer.raw("}}");
        Ok(())
    })
}

/// Returns the body that uploads media for later use.
pub(crate) fn upload_body(kind: AttachmentKind, url: &str) -> Result<Vec<u8>, Error> {
    encode(|writer| {
        writer.raw("{\"message\":{").attachment(kind, &Source::Url(url.to_owned()), true)?;
        writer.raw("}}");
        Ok(())
    })
}

/// Checks a body that the caller wrote. It is sent unmodified.
pub(crate) fn check_json_body(body: &str) -> Result<(), Error> {
    match Json::parse(body) {
        Ok(json) if json.is_object() => {}
        Ok(_) => return Err(Error::argument("body: must be a JSON object")),
        Err(error) => return Err(Error::argument(format!("body: not JSON: {error}")).with_source(error)),
    }
    // Meta would reject it.
    match json::escapes(body).find(|(_, meaning)| meaning.is_err()) {
        Some((escape, _)) => Err(Error::argument(format!("body: half of a surrogate pair at byte {}", escape.start))),
        None => Ok(()),
    }
}

fn encode(write: impl FnOnce(&mut JsonWriter) -> Result<(), String>) -> Result<Vec<u8>, Error> {
    let mut writer = JsonWriter(Vec::with_capacity(256));
    write(&mut writer).map_err(Error::argument)?;
    Ok(writer.0)
}

/// Writes JSON and checks each value where it is written. An error names the field, the limit and the value.
struct JsonWriter(Vec<u8>);

type Validation = Result<(), String>;

impl JsonWriter {
    fn raw(&mut self, json: &str) -> &mut JsonWriter {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut JsonWriter {
        json::write_text(text, &mut self.0);
        self
    }

    fn member(&mut self, before: &str, value: &str) -> &mut JsonWriter {
        self.raw(before).text(value)
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut JsonWriter, usize, &T) -> Validation) -> Validation {
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            write(self, index, item)?;
        }
        self.raw("]");
        Ok(())
    }

    fn message(&mut self, recipient: Recipient<'_>, message: &Message) -> Validation {
        self.raw("{").recipient(recipient)?;
        match &message.content {
            content @ (Content::Action(_) | Content::Reaction { .. }) if matches!(recipient, Recipient::Comment(_)) => {
                return Err(format!("comment_id: {} goes to a user, not to a comment", content.name()));
            }
            Content::Action(action) => {
                self.member(",\"sender_action\":", action.name());
            }
            Content::Reaction { message_id, reaction } => self.reaction(message_id, reaction.as_deref())?,
            content => {
                self.raw(",\"message\":{").content(content)?;
                self.raw("}");
            }
        }
        if let Some(message_id) = &message.reply_to {
            check_id("reply_to", message_id)?;
            self.member(",\"reply_to\":{\"mid\":", message_id).raw("}");
        }
        if let Some(messaging_type) = &message.messaging_type {
            check_id("messaging_type", messaging_type)?;
            self.member(",\"messaging_type\":", messaging_type);
        }
        if let Some(tag) = &message.tag {
            check_id("tag", tag)?;
            self.member(",\"tag\":", tag);
        }
        self.raw("}");
        Ok(())
    }

    fn recipient(&mut self, recipient: Recipient<'_>) -> Validation {
        let (name, before, id) = match recipient {
            Recipient::User(id) => ("recipient_id", "\"recipient\":{\"id\":", id),
            Recipient::Comment(id) => ("comment_id", "\"recipient\":{\"comment_id\":", id),
        };
        check_object_id(name, id)?;
        self.member(before, id).raw("}");
        Ok(())
    }

    fn reaction(&mut self, message_id: &str, reaction: Option<&str>) -> Validation {
        check_id("message_id", message_id)?;
        let action = if reaction.is_some() { "react" } else { "unreact" };
        self.member(",\"sender_action\":", action).member(",\"payload\":{\"message_id\":", message_id);
        if let Some(reaction) = reaction {
            check_not_empty("reaction", reaction)?;
            self.member(",\"reaction\":", reaction);
        }
        self.raw("}");
        Ok(())
    }

    /// Writes the members of `message`.
    fn content(&mut self, content: &Content) -> Validation {
        match content {
            Content::Text { text, quick_replies, buttons } if buttons.is_empty() => {
                self.plain_text(text)?;
                if !quick_replies.is_empty() {
                    check_count("quick_replies", quick_replies.len(), MAX_QUICK_REPLIES)?;
                    self.raw(",\"quick_replies\":").list(quick_replies, JsonWriter::quick_reply)?;
                }
                Ok(())
            }
            Content::Text { text, buttons, .. } => {
                check_not_empty("text", text)?;
                check_characters("text (of a message with buttons)", text, MAX_BUTTON_TEXT_CHARACTERS)?;
                self.raw("\"attachment\":{\"type\":\"template\",\"payload\":{\"template_type\":\"button\"");
                self.member(",\"text\":", text).buttons("buttons", buttons)?;
                self.raw("}}");
                Ok(())
            }
            Content::Attachment { kind, source, is_reusable } => self.attachment(*kind, source, *is_reusable),
            Content::Images(images) => {
                check_count("images", images.len(), MAX_IMAGES)?;
                self.raw("\"attachments\":").list(images, |writer, index, image| {
                    writer.raw("{\"type\":\"image\",\"payload\":{").source(&format!("images[{index}]."), image)?;
                    writer.raw("}}");
                    Ok(())
                })
            }
            Content::Post(media_id) => {
                check_object_id("media_id", media_id)?;
                self.raw("\"attachment\":{\"type\":\"MEDIA_SHARE\",\"payload\":{")
                    .member("\"id\":", media_id)
                    .raw("}}");
                Ok(())
            }
            Content::Cards(cards) => {
                check_count("cards", cards.len(), MAX_CARDS)?;
                self.raw(
                    "\"attachment\":{\"type\":\"template\",\"payload\":{\"template_type\":\"generic\",\"elements\":",
                );
                self.list(cards, JsonWriter::card)?;
                self.raw("}}");
                Ok(())
            }
            Content::Heart => {
                self.raw("\"attachment\":{\"type\":\"like_heart\"}");
                Ok(())
            }
            // These have no `message` member.
            Content::Reaction { .. } | Content::Action(_) => Ok(()),
        }
    }

    fn plain_text(&mut self, text: &str) -> Validation {
        check_not_empty("text", text)?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!("text: at most {MAX_TEXT_BYTES} bytes of UTF-8, not {}", text.len()));
        }
        self.member("\"text\":", text);
        Ok(())
    }

    fn attachment(&mut self, kind: AttachmentKind, source: &Source, is_reusable: bool) -> Validation {
        self.member("\"attachment\":{\"type\":", kind.name()).raw(",\"payload\":{").source("", source)?;
        self.raw(if is_reusable { ",\"is_reusable\":true}}" } else { "}}" });
        Ok(())
    }

    fn source(&mut self, path: &str, source: &Source) -> Validation {
        match source {
            Source::Url(url) => {
                check_url(&format!("{path}url"), url)?;
                self.member("\"url\":", url);
            }
            Source::Id(id) => {
                check_object_id(&format!("{path}attachment_id"), id)?;
                self.member("\"attachment_id\":", id);
            }
        }
        Ok(())
    }

    fn quick_reply(&mut self, index: usize, reply: &QuickReply) -> Validation {
        let (content_type, title, payload) = match reply {
            QuickReply::Text { title, payload } => ("text", Some(title), Some(payload)),
            QuickReply::Contact { kind, title, payload } => (kind.content_type(), title.as_ref(), payload.as_ref()),
        };
        self.member("{\"content_type\":", content_type);
        if let Some(title) = title {
            let name = format!("quick_replies[{index}].title");
            check_not_empty(&name, title)?;
            check_characters(&name, title, MAX_QUICK_REPLY_TITLE_CHARACTERS)?;
            self.member(",\"title\":", title);
        }
        if let Some(payload) = payload {
            self.member(",\"payload\":", payload);
        }
        self.raw("}");
        Ok(())
    }

    fn card(&mut self, index: usize, card: &Card) -> Validation {
        let name = |field: &str| format!("cards[{index}].{field}");
        check_not_empty(&name("title"), &card.title)?;
        check_characters(&name("title"), &card.title, MAX_CARD_TITLE_CHARACTERS)?;
        if card.subtitle.is_none() && card.image_url.is_none() && card.link_url.is_none() && card.buttons.is_empty() {
            return Err(format!("cards[{index}]: needs a subtitle, an image, a link or a button besides its title"));
        }
        self.member("{\"title\":", &card.title);
        if let Some(subtitle) = &card.subtitle {
            check_not_empty(&name("subtitle"), subtitle)?;
            check_characters(&name("subtitle"), subtitle, MAX_CARD_SUBTITLE_CHARACTERS)?;
            self.member(",\"subtitle\":", subtitle);
        }
        if let Some(url) = &card.image_url {
            check_url(&name("image_url"), url)?;
            self.member(",\"image_url\":", url);
        }
        if let Some(url) = &card.link_url {
            check_url(&name("link_url"), url)?;
            self.member(",\"default_action\":{\"type\":\"web_url\",\"url\":", url).raw("}");
        }
        if !card.buttons.is_empty() {
            self.buttons(&name("buttons"), &card.buttons)?;
        }
        self.raw("}");
        Ok(())
    }

    fn buttons(&mut self, path: &str, buttons: &[Button]) -> Validation {
        check_count(path, buttons.len(), MAX_BUTTONS)?;
        self.raw(",\"buttons\":").list(buttons, |writer, index, button| {
            let (Button::Link { title, .. } | Button::Postback { title, .. }) = button;
            check_not_empty(&format!("{path}[{index}].title"), title)?;
            match button {
                Button::Link { url, .. } => {
                    check_url(&format!("{path}[{index}].url"), url)?;
                    writer.member("{\"type\":\"web_url\",\"url\":", url).member(",\"title\":", title);
                }
                Button::Postback { payload, .. } => {
                    writer.member("{\"type\":\"postback\",\"title\":", title).member(",\"payload\":", payload);
                }
            }
            writer.raw("}");
            Ok(())
        })
    }
}

fn check_not_empty(name: &str, text: &str) -> Validation {
    if text.is_empty() { Err(format!("{name}: must not be empty")) } else { Ok(()) }
}

/// Checks a length in characters, that is, Unicode scalar values.
fn check_characters(name: &str, text: &str, max: usize) -> Validation {
    match text.chars().count() {
        count if count > max => Err(format!("{name}: at most {max} characters, not {count}")),
        _ => Ok(()),
    }
}

fn check_count(name: &str, count: usize, max: usize) -> Validation {
    if (1..=max).contains(&count) { Ok(()) } else { Err(format!("{name}: 1 to {max}, not {count}")) }
}

/// Checks an id: opaque, but visible ASCII. A message id may contain slashes.
fn check_id(name: &str, id: &str) -> Validation {
    check_not_empty(name, id)?;
    // All bytes before it are ASCII, so a character begins there.
    let invalid = id.bytes().position(|byte| !byte.is_ascii_graphic());
    match invalid.and_then(|index| id[index..].chars().next()) {
        Some(c) if c.is_whitespace() => Err(format!("{name}: must not hold a blank or line break")),
        Some(c) => Err(format!("{name}: must not hold {c:?}")),
        None => Ok(()),
    }
}

/// Checks the id of a user, comment, post or attachment: never a handle or a part of a URL.
fn check_object_id(name: &str, id: &str) -> Validation {
    check_id(name, id)?;
    if id.starts_with('@') {
        return Err(format!("{name}: must be an id, not a handle"));
    }
    if id.bytes().any(|byte| byte == b'/') { Err(format!("{name}: must be an id, without a slash")) } else { Ok(()) }
}

/// Checks a URL. Meta fetches or opens it, so it must be absolute.
fn check_url(name: &str, url: &str) -> Validation {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let start = url.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &url[scheme.len()..])
    });
    match rest {
        None => Err(format!("{name}: must be an absolute URL that begins with https:// or http://")),
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) => Err(format!("{name}: has no host")),
        Some(rest) if rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(format!("{name}: must not hold blanks, line breaks or control characters"))
        }
        Some(_) => Ok(()),
    }
}
