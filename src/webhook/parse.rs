//! Parses the body of a delivery into events, in one pass over the JSON: each level looks at each part once.
//!
//! `docs/protocol.md` 10.3 describes the formats.

use std::borrow::Cow;
use std::fmt::Write;

use ring::digest;

use super::event::{Attachment, Event, EventKind, Events, Reaction, Referral, Story};
use crate::error::Error;
use crate::json::Json;
use crate::nul_string::NulString;

/// A time below this is in seconds.
const SECONDS_BELOW: u64 = 100_000_000_000;
/// The end of the year 9999. A later time counts as absent.
const MAX_MILLISECONDS: u64 = 253_402_300_799_999;
/// The length limit of an entry's id, which is copied into all its events: this bounds the memory. A longer id counts
/// as absent.
const MAX_ENTRY_ID_LEN: usize = 256;

/// Parses the body of a delivery. Verify its signature first, see [`verify`](crate::webhook::verify).
///
/// Fails with [`ErrorKind::Argument`](crate::ErrorKind::Argument) and line and column if the body is not JSON, and
/// never otherwise. A body may nest to any depth and needs no stack.
/// - An unknown event becomes [`EventKind::Other`].
/// - A body that is not about Instagram contains no events.
/// - A value of an unexpected type counts as absent.
/// - A message or tap without a readable user is left out: nobody can be sent a reply.
///
/// JSON is UTF-8. Each invalid byte becomes U+FFFD, so that one broken text does not lose a whole batch. Half of a
/// surrogate pair, which JSON allows as an escape, becomes U+FFFD too; [`Event::json`] contains it unmodified.
pub fn parse(body: &[u8]) -> Result<Events, Error> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(body),
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let json =
        Json::parse(text).map_err(|error| Error::argument(format!("body: not JSON: {error}")).with_source(error))?;
    let mut events = Events::default();
    // Some of Meta's samples wrap the payload in an array.
    for payload in json.items().chain(json.is_object().then_some(json)) {
        read_payload(payload, &mut events);
    }
    Ok(events)
}

fn read_payload(payload: Json<'_>, events: &mut Events) {
    let [object, entries] = payload.get_all(["object", "entry"]);
    let is_instagram = object.and_then(Json::text).is_some_and(|object| object == "instagram");
    if is_instagram || events.object.is_none() {
        events.object = text_of(object);
    }
    for entry in items(entries).filter(|_| is_instagram) {
        read_entry(entry, &mut events.events);
    }
}

/// The values of an entry that apply to all its events.
struct Entry {
    account_id: Option<NulString>,
    timestamp_ms: Option<u64>,
}

fn read_entry(json: Json<'_>, events: &mut Vec<Event>) {
    let [account_id, time, messaging, standby, changes, field, value] =
        json.get_all(["id", "time", "messaging", "standby", "changes", "field", "value"]);
    let account_id = id_of(account_id).filter(|id| id.as_str().len() <= MAX_ENTRY_ID_LEN);
    let entry = Entry { account_id, timestamp_ms: milliseconds(time) };
    events.extend(items(messaging).filter_map(|item| read_message(item, false, &entry)));
    events.extend(items(standby).filter_map(|item| read_message(item, true, &entry)));
    for change in items(changes) {
        let [field, value] = change.get_all(["field", "value"]);
        events.extend(read_change(change, field, value, &entry));
    }
    // With Instagram login, the entry itself is the only change.
    events.extend(read_change(json, field, value, &entry));
}

/// Reads an item of `messaging` or `standby`.
fn read_message(json: Json<'_>, is_standby: bool, entry: &Entry) -> Option<Event> {
    let [sender, recipient, time, message, postback, reaction, read, edit, referral] = json.get_all([
        "sender",
        "recipient",
        "timestamp",
        "message",
        "postback",
        "reaction",
        "read",
        "message_edit",
        "referral",
    ]);
    let own_time = milliseconds(time);
    let mut event = Event { is_standby, timestamp_ms: own_time.or(entry.timestamp_ms), ..Event::default() };
    if let Some(message) = object(message) {
        fill_message(&mut event, message);
    } else if let Some(postback) = object(postback) {
        fill_postback(&mut event, postback);
    } else if let Some(reaction) = object(reaction) {
        fill_reaction(&mut event, reaction);
    } else if let Some(read) = object(read) {
        fill_read(&mut event, read);
    } else if let Some(edit) = object(edit) {
        fill_edit(&mut event, edit);
    } else if let Some(referral) = object(referral) {
        fill_referral(&mut event, referral);
    }
    let [sender, recipient] = [sender, recipient].map(|party| id_of(member(party, "id")));
    event.is_own |= sender == recipient;
    // In an echo, sender and recipient are swapped.
    let (user, account) = if event.is_echo { (recipient, sender) } else { (sender, recipient) };
    event.user_id = Some(user?);
    event.account_id = account.or_else(|| entry.account_id.clone());
    event.key = Some(NulString::new(message_key(&event, own_time, json)));
    event.json = Some(NulString::new(json.raw()));
    Some(event)
}

fn fill_message(event: &mut Event, message: Json<'_>) {
    let [message_id, text, attachments, quick_reply, reply_to, referral, is_echo, is_deleted, is_unsupported, is_self] =
        message.get_all([
            "mid",
            "text",
            "attachments",
            "quick_reply",
            "reply_to",
            "referral",
            "is_echo",
            "is_deleted",
            "is_unsupported",
            "is_self",
        ]);
    let [is_echo, is_deleted, is_unsupported, is_self] = [is_echo, is_deleted, is_unsupported, is_self].map(is_true);
    event.kind = match (is_deleted, is_echo, is_unsupported) {
        (true, _, _) => EventKind::Deleted,
        (_, true, _) => EventKind::Echo,
        (_, _, true) => EventKind::Unsupported,
        _ => EventKind::Message,
    };
    event.is_echo = is_echo;
    event.is_own = is_self;
    event.message_id = id_of(message_id);
    event.text = text_of(text);
    event.payload = text_of(member(quick_reply, "payload"));
    event.attachments = items(attachments).filter_map(|item| object(Some(item))).map(attachment).collect();
    let [reply_to_id, reply_to_story] = members(reply_to, ["mid", "story"]);
    event.reply_to_message_id = id_of(reply_to_id);
    event.story = object(reply_to_story).map(story).map(Box::new);
    event.referral = object(referral).map(read_referral).map(Box::new);
}

fn fill_postback(event: &mut Event, postback: Json<'_>) {
    let [message_id, title, payload, is_self] = postback.get_all(["mid", "title", "payload", "is_self"]);
    event.kind = EventKind::Postback;
    event.is_own = is_true(is_self);
    event.message_id = id_of(message_id);
    event.title = text_of(title);
    event.payload = text_of(payload);
}

fn fill_reaction(event: &mut Event, reaction: Json<'_>) {
    let [target, action, name, emoji] = reaction.get_all(["mid", "action", "reaction", "emoji"]);
    event.kind = EventKind::Reaction;
    event.target_message_id = id_of(target);
    event.reaction = Some(Box::new(Reaction { action: text_of(action), name: text_of(name), emoji: text_of(emoji) }));
}

fn fill_read(event: &mut Event, read: Json<'_>) {
    event.kind = EventKind::Read;
    event.target_message_id = id_of(read.get("mid"));
}

fn fill_edit(event: &mut Event, edit: Json<'_>) {
    let [message_id, text, count] = edit.get_all(["mid", "text", "num_edit"]);
    event.kind = EventKind::Edit;
    event.message_id = id_of(message_id);
    event.text = text_of(text);
    event.edit_count = count.and_then(Json::integer).and_then(|count| count.try_into().ok());
}

fn fill_referral(event: &mut Event, referral: Json<'_>) {
    event.kind = EventKind::Referral;
    event.referral = Some(Box::new(read_referral(referral)));
}

fn read_referral(referral: Json<'_>) -> Referral {
    let [reference, source, referral_type, ad_id, product] =
        referral.get_all(["ref", "source", "type", "ad_id", "product"]);
    Referral {
        reference: text_of(reference),
        source: text_of(source),
        referral_type: text_of(referral_type),
        ad_id: id_of(ad_id),
        product_id: id_of(member(product, "id")),
    }
}

fn story(story: Json<'_>) -> Story {
    let [story_id, url, link_url] = story.get_all(["id", "url", "link_sticker_url"]);
    Story { id: id_of(story_id), url: text_of(url), link_url: text_of(link_url) }
}

fn attachment(attachment: Json<'_>) -> Attachment {
    let [attachment_type, payload] = attachment.get_all(["type", "payload"]);
    let [url, title, reel_id, post_id] = members(payload, ["url", "title", "reel_video_id", "ig_post_media_id"]);
    Attachment {
        attachment_type: text_of(attachment_type),
        url: text_of(url),
        media_id: id_of(reel_id).or_else(|| id_of(post_id)),
        title: text_of(title),
    }
}

/// Reads an item of `changes`, or an entry that is itself the change.
fn read_change(json: Json<'_>, field: Option<Json<'_>>, value: Option<Json<'_>>, entry: &Entry) -> Option<Event> {
    let kind = match field?.text()?.as_ref() {
        "comments" => EventKind::Comment,
        "live_comments" => EventKind::LiveComment,
        "mentions" => EventKind::Mention,
        _ => EventKind::Other,
    };
    let mut event =
        Event { kind, account_id: entry.account_id.clone(), timestamp_ms: entry.timestamp_ms, ..Event::default() };
    match object(value) {
        Some(value) if kind != EventKind::Other => fill_comment(&mut event, value),
        _ => {}
    }
    if matches!(kind, EventKind::Comment | EventKind::LiveComment) && event.comment_id.is_none() {
        event.user_id.as_ref()?;
    }
    event.key = Some(NulString::new(change_key(&event, json)));
    event.json = Some(NulString::new(json.raw()));
    Some(event)
}

fn fill_comment(event: &mut Event, comment: Json<'_>) {
    let [comment_id, plain_id, parent_id, text, from, media, media_id] =
        comment.get_all(["comment_id", "id", "parent_id", "text", "from", "media", "media_id"]);
    let [user_id, username, self_id] = members(from, ["id", "username", "self_ig_scoped_id"]);
    event.comment_id = id_of(comment_id).or_else(|| id_of(plain_id));
    event.parent_id = id_of(parent_id);
    event.media_id = id_of(media_id).or_else(|| id_of(member(media, "id")));
    event.text = text_of(text);
    event.user_id = id_of(user_id);
    event.username = text_of(username);
    event.is_own = id_of(self_id).is_some() || (event.user_id.is_some() && event.user_id == event.account_id);
}

/// Returns the key of an item of `messaging` or `standby`.
///
/// The item's own time distinguishes two taps or reactions. The time of the entry does not: it belongs to the delivery.
fn message_key(event: &Event, own_time: Option<u64>, json: Json<'_>) -> String {
    let kind = event.kind;
    let prefix = if event.is_standby { "standby:" } else { "" };
    let time = own_time.unwrap_or(0);
    let id = match kind {
        EventKind::Reaction | EventKind::Read => event.target_message_id(),
        _ => event.message_id(),
    };
    match (kind, id) {
        (_, None) => format!("{prefix}{kind}:{}", sha256_hex(&json.to_compact_string())),
        (EventKind::Postback, Some(id)) => format!("{prefix}{kind}:{id}:{time}"),
        (EventKind::Edit, Some(id)) => match event.edit_count {
            Some(count) => format!("{prefix}{kind}:{id}:{count}"),
            None => format!("{prefix}{kind}:{id}::{time}"),
        },
        (EventKind::Reaction, Some(id)) => {
            let user = event.user_id().unwrap_or_default();
            let [action, name, emoji] = match event.reaction() {
                Some(reaction) => [reaction.action(), reaction.name(), reaction.emoji()].map(Option::unwrap_or_default),
                None => [""; 3],
            };
            format!("{prefix}{kind}:{id}:{user}:{action}:{name}:{emoji}:{time}")
        }
        (_, Some(id)) => format!("{prefix}{kind}:{id}"),
    }
}

/// Returns the key of a change.
fn change_key(event: &Event, json: Json<'_>) -> String {
    let kind = event.kind;
    let account_id = event.account_id().unwrap_or_default();
    match (event.comment_id(), event.media_id()) {
        (Some(comment_id), _) => format!("{kind}:{comment_id}"),
        (None, Some(media_id)) => format!("{kind}:{media_id}:{account_id}"),
        // The same change may happen again; then only the time of the entry differs.
        (None, None) => {
            format!("{kind}:{account_id}:{}:{}", event.timestamp_ms.unwrap_or(0), sha256_hex(&json.to_compact_string()))
        }
    }
}

fn sha256_hex(text: &str) -> String {
    let mut digits = String::with_capacity(2 * digest::SHA256_OUTPUT_LEN);
    for byte in digest::digest(&digest::SHA256, text.as_bytes()).as_ref() {
        // Writing to memory cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn object(json: Option<Json<'_>>) -> Option<Json<'_>> {
    json.filter(|json| json.is_object())
}

fn items(json: Option<Json<'_>>) -> impl Iterator<Item = Json<'_>> {
    json.unwrap_or_default().items()
}

fn member<'a>(json: Option<Json<'a>>, name: &str) -> Option<Json<'a>> {
    json.unwrap_or_default().get(name)
}

fn members<'a, const N: usize>(json: Option<Json<'a>>, names: [&str; N]) -> [Option<Json<'a>>; N] {
    json.unwrap_or_default().get_all(names)
}

fn text_of(json: Option<Json<'_>>) -> Option<NulString> {
    json?.text().map(NulString::new)
}

/// Returns an id. An empty one counts as absent. Some senders write it as a number.
fn id_of(json: Option<Json<'_>>) -> Option<NulString> {
    json?.text_or_number().filter(|id| !id.is_empty()).map(NulString::new)
}

fn is_true(json: Option<Json<'_>>) -> bool {
    json.is_some_and(Json::is_true)
}

/// Returns a time in milliseconds since 1970.
fn milliseconds(json: Option<Json<'_>>) -> Option<u64> {
    let time: u64 = json?.text_or_number()?.parse().ok()?;
    let milliseconds = if time < SECONDS_BELOW { time * 1000 } else { time };
    (milliseconds <= MAX_MILLISECONDS).then_some(milliseconds)
}
