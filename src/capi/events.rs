//! The events of a webhook, for C.

use std::ffi::{c_char, c_void};

use super::client::{hma_client, require_client};
use super::ffi::{ErrorOut, StrArg, bytes_arg, catch_panic, init_out, str_ptr};
use super::message::{hma_message, require_message};
use super::response::{SendOut, hma_response};
use super::status::hma_status;
use super::webhook::epoch_ms;
use crate::error::Error;
use crate::nul_string::NulString;
use crate::webhook::{self, Attachment, Event, Events, ReplyTarget};

/// The events of one webhook delivery, in its order.
///
/// An index identifies an event, from 0 to hma_events_count() - 1. Every text
/// that this object returns is valid until hma_events_free(). If the delivery
/// does not contain a value, an accessor returns NULL, 0 or -1, and so it does
/// for NULL and for an index out of range. Ids are opaque, of any length.
///
/// Threads: any number of threads may read the same events at once.
pub struct hma_events(pub(super) Events);

/// The kind of an event: one of the `HMA_EVENT_*` constants.
///
/// A later version may return kinds that this header does not list. Numbers
/// never change.
pub type hma_event_kind = i32;

/// An event that this version does not support. hma_events_json() returns it.
pub const HMA_EVENT_OTHER: hma_event_kind = 0;
/// The user sent a message: a text, media, a tap on a quick reply.
pub const HMA_EVENT_MESSAGE: hma_event_kind = 1;
/// The account itself sent a message, from this program or any other. The
/// message id shows whether a send with an unknown outcome was delivered.
pub const HMA_EVENT_ECHO: hma_event_kind = 2;
/// A message was deleted by its sender.
pub const HMA_EVENT_DELETED: hma_event_kind = 3;
/// The user sent a message that Instagram does not forward.
pub const HMA_EVENT_UNSUPPORTED: hma_event_kind = 4;
/// The user tapped a button, an ice breaker or a menu entry.
pub const HMA_EVENT_POSTBACK: hma_event_kind = 5;
/// The user reacted to a message or removed the reaction.
pub const HMA_EVENT_REACTION: hma_event_kind = 6;
/// The user has seen a message.
pub const HMA_EVENT_READ: hma_event_kind = 7;
/// The user opened an existing chat through an ig.me link.
pub const HMA_EVENT_REFERRAL: hma_event_kind = 8;
/// A message was edited.
pub const HMA_EVENT_EDIT: hma_event_kind = 9;
/// A user commented on a post or a reel.
pub const HMA_EVENT_COMMENT: hma_event_kind = 10;
/// A user commented on a live broadcast.
pub const HMA_EVENT_LIVE_COMMENT: hma_event_kind = 11;
/// A user mentioned the account in a comment or a caption.
pub const HMA_EVENT_MENTION: hma_event_kind = 12;

/// Parses the body of a webhook delivery. Verify its signature first, see
/// hma_webhook_verify().
///
/// `body` may be NULL if `body_length` is 0. On success you own `*events_out`;
/// free it with hma_events_free(). On failure it is NULL. A body that is not
/// JSON is `HMA_ERROR_ARGUMENT` with line and column, and so is a NULL
/// `events_out`.
///
/// An unknown event becomes `HMA_EVENT_OTHER`. A delivery that is not about
/// Instagram contains no events, see hma_events_object(). A message without a
/// readable user is left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_events_parse(
    body: *const c_void,
    body_length: usize,
    events_out: *mut *mut hma_events,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Outputs" in the header, and that `body` has `body_length` bytes.
    let (body, events_out, error_out) =
        unsafe { (bytes_arg("body", body, body_length), init_out(events_out), ErrorOut::new(error_out)) };
    error_out.finish(catch_panic(|| {
        let events_out = events_out.ok_or_else(|| Error::argument("events_out: must not be NULL"))?;
        *events_out = Box::into_raw(Box::new(hma_events(webhook::parse(body?)?)));
        Ok(())
    }))
}

/// Sends a message in reply to the event at `index` and waits for the response.
/// The message goes to the user, or to the author of a comment by private
/// reply.
///
/// No input may be NULL. An event that allows no reply, see
/// hma_events_reply_user_id(), is `HMA_ERROR_ARGUMENT` with the reason, and so
/// is an index out of range. Nothing is sent then. Results as with
/// hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_reply(
    client: Option<&hma_client>,
    events: Option<&hma_events>,
    index: usize,
    message: Option<&hma_message>,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Outputs" in the header.
    let out = unsafe { SendOut::new(response_out, error_out) };
    out.finish(|| require_client(client)?.reply(event_at(events, index)?, &require_message(message)?.0))
}

/// Returns what the delivery is about: "instagram", or for example
/// "whatsapp_business_account", which has no events. Returns NULL if the
/// delivery does not contain it.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_object(events: Option<&hma_events>) -> *const c_char {
    str_ptr(events.and_then(|events| events.0.object.as_ref()))
}

/// Returns the number of events.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_count(events: Option<&hma_events>) -> usize {
    events.map_or(0, |events| events.0.len())
}

/// Returns the kind of the event: one of the `HMA_EVENT_*` constants.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_kind(events: Option<&hma_events>, index: usize) -> hma_event_kind {
    event(events, index).map_or(HMA_EVENT_OTHER, |event| event.kind() as hma_event_kind)
}

/// Returns 1 if another app controls the chat (Meta's standby), so that the
/// event allows no reply, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_is_standby(events: Option<&hma_events>, index: usize) -> i32 {
    event(events, index).is_some_and(Event::is_standby).into()
}

/// Returns 1 if the account sent the message, from this program or any other,
/// else 0.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_is_echo(events: Option<&hma_events>, index: usize) -> i32 {
    event(events, index).is_some_and(Event::is_echo).into()
}

/// Returns 1 if the account is also the user: a message to itself, or its own
/// comment; else 0.
///
/// Meta does not mark all own comments. If that matters, compare
/// hma_events_username() with the account's name.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_is_own(events: Option<&hma_events>, index: usize) -> i32 {
    event(events, index).is_some_and(Event::is_own).into()
}

/// Returns the id of the Instagram account that received the event, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_account_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.account_id.as_ref())
}

/// Returns the Instagram-scoped id (IGSID) of the user, or NULL.
///
/// The user is always the other party: the sender, or the recipient of an echo.
/// A comment may not contain it.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_user_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.user_id.as_ref())
}

/// Returns the name of a comment's author, without @, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_username(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.username.as_ref())
}

/// Returns the id of the user that a reply goes to, or NULL; see hma_reply().
///
/// Returns NULL if the reply goes to hma_events_reply_comment_id(), and if the
/// event allows no reply: echoes, the account's own messages and comments,
/// standby, deleted messages, read receipts, mentions, and unknown kinds.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reply_user_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| match event.reply_target()? {
        ReplyTarget::User(_) => event.user_id.as_ref(),
        ReplyTarget::Comment(_) => None,
    })
}

/// Returns the id of the comment that a private reply goes to, or NULL; see
/// hma_reply().
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reply_comment_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| match event.reply_target()? {
        ReplyTarget::Comment(_) => event.comment_id.as_ref(),
        ReplyTarget::User(_) => None,
    })
}

/// Returns the id (mid) of the message, of the tapped button's message, or of the
/// edited or deleted message; or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_message_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.message_id.as_ref())
}

/// Returns the id (mid) of the message that a reaction or a read receipt refers
/// to, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_target_message_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.target_message_id.as_ref())
}

/// Returns the id of the comment, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_comment_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.comment_id.as_ref())
}

/// Returns the id of the comment that this comment replies to, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_parent_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.parent_id.as_ref())
}

/// Returns the id of the post or reel that a comment or mention belongs to, or
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_media_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.media_id.as_ref())
}

/// Returns the text of a message, an edit or a comment, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_text(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.text.as_ref())
}

/// Returns the title of the tapped button, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_title(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.title.as_ref())
}

/// Returns the payload of the tapped quick reply or button, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_payload(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.payload.as_ref())
}

/// Returns the number of attachments of a message.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_attachment_count(events: Option<&hma_events>, index: usize) -> usize {
    event(events, index).map_or(0, |event| event.attachments().len())
}

/// Returns Meta's name of the type of an attachment, or NULL.
///
/// Names so far: image, video, audio, file, ig_post, ig_reel, reel,
/// story_mention, ig_story, share, template, ephemeral, like_heart.
/// `attachment_index` is from 0 to hma_events_attachment_count() - 1.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_attachment_type(
    events: Option<&hma_events>,
    index: usize,
    attachment_index: usize,
) -> *const c_char {
    str_ptr(attachment(events, index, attachment_index).and_then(|attachment| attachment.attachment_type.as_ref()))
}

/// Returns the URL of an attachment, or NULL: disappearing media and the heart
/// have none. The URL is signed and expires.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_attachment_url(
    events: Option<&hma_events>,
    index: usize,
    attachment_index: usize,
) -> *const c_char {
    str_ptr(attachment(events, index, attachment_index).and_then(|attachment| attachment.url.as_ref()))
}

/// Returns the id of the post or reel that was shared, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_attachment_media_id(
    events: Option<&hma_events>,
    index: usize,
    attachment_index: usize,
) -> *const c_char {
    str_ptr(attachment(events, index, attachment_index).and_then(|attachment| attachment.media_id.as_ref()))
}

/// Returns the title of the shared content, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_attachment_title(
    events: Option<&hma_events>,
    index: usize,
    attachment_index: usize,
) -> *const c_char {
    str_ptr(attachment(events, index, attachment_index).and_then(|attachment| attachment.title.as_ref()))
}

/// Returns the id (mid) of the message that this one replies to inline, or
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reply_to_message_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.reply_to_message_id.as_ref())
}

/// Returns the id of the story that the message replies to, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_story_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.story.as_ref()?.id.as_ref())
}

/// Returns the URL of the image or video of the story that the message replies
/// to, or NULL. The URL is signed and expires.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_story_url(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.story.as_ref()?.url.as_ref())
}

/// Returns the URL of the link sticker of that story, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_story_link_url(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.story.as_ref()?.link_url.as_ref())
}

/// Returns "react", or "unreact" if a reaction was removed, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reaction_action(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.reaction.as_ref()?.action.as_ref())
}

/// Returns the name of the reaction, "love" or "other", or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reaction_name(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.reaction.as_ref()?.name.as_ref())
}

/// Returns the emoji of the reaction, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_reaction_emoji(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.reaction.as_ref()?.emoji.as_ref())
}

/// Returns the ref of the link or ad that the user came from, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_referral_ref(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.referral.as_ref()?.reference.as_ref())
}

/// Returns Meta's name of the source of the user, such as "ADS" or "IGME", or
/// NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_referral_source(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.referral.as_ref()?.source.as_ref())
}

/// Returns Meta's type of the referral, such as "OPEN_THREAD", or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_referral_type(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.referral.as_ref()?.referral_type.as_ref())
}

/// Returns the id of the ad that the user came from, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_referral_ad_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.referral.as_ref()?.ad_id.as_ref())
}

/// Returns the id of the product that the message is about, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_referral_product_id(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.referral.as_ref()?.product_id.as_ref())
}

/// Returns how many times the message was edited, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_edit_count(events: Option<&hma_events>, index: usize) -> i32 {
    let count = event(events, index).and_then(Event::edit_count);
    count.and_then(|count| count.try_into().ok()).unwrap_or(-1)
}

/// Returns 1 if the event is an echo of this text to this user, at or after
/// `since_ms`. Returns 0 otherwise, also for NULL, an index out of range and a
/// `since_ms` below zero. White space at the ends of the texts is ignored.
///
/// `since_ms` is in milliseconds since 1970: the caller's clock just before the
/// send, minus the largest expected difference of the clocks.
///
/// A match is evidence that a send with an unknown outcome was delivered, not
/// proof: another program may have sent the same text. A missing echo proves
/// nothing. Returns 0 for media and templates, for an edit, and for an echo
/// without a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_events_echoes(
    events: Option<&hma_events>,
    index: usize,
    recipient_id: *const c_char,
    text: *const c_char,
    since_ms: i64,
) -> i32 {
    // SAFETY: "Strings" in the header.
    let (recipient_id, text) = unsafe { (StrArg::new("recipient_id", recipient_id), StrArg::new("text", text)) };
    let echoes = || {
        let (recipient_id, text) = (recipient_id.argument()?, text.argument()?);
        let since = u64::try_from(since_ms).map_err(|_| Error::argument("since_ms: must not be below zero"))?;
        Ok(event(events, index).is_some_and(|event| event.echoes(recipient_id, text, since)))
    };
    catch_panic(echoes).is_ok_and(|echoes| echoes).into()
}

/// Returns the time of the event, in milliseconds since 1970, or -1.
///
/// Some senders write seconds: values below 10 to the 11th are read as seconds.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_timestamp_ms(events: Option<&hma_events>, index: usize) -> i64 {
    epoch_ms(event(events, index).and_then(Event::timestamp_ms))
}

/// Returns 1 if the event opens or renews the 24-hour window, 0 if not, and -1
/// if that is not documented.
///
/// A comment does not. It allows one private reply, and the user's reply to
/// that opens the window.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_opens_window(events: Option<&hma_events>, index: usize) -> i32 {
    event(events, index).and_then(Event::opens_window).map_or(-1, i32::from)
}

/// Returns when the 24-hour window closes that this event opens, in milliseconds
/// since 1970, or -1 if it opens none or has no time; see hma_window_closes_at().
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_window_closes_at(events: Option<&hma_events>, index: usize) -> i64 {
    epoch_ms(event(events, index).and_then(Event::window_closes_at))
}

/// Returns the deduplication key: unique to the event, and the same when it is
/// delivered again. Store it to discard repeats. Returns NULL for an index out
/// of range.
///
/// The key belongs to the event, not to the delivery: a repeat may arrive in
/// another batch. Events of different kinds about one message have different
/// keys, and so has each reaction. Compare keys, do not parse them. They may
/// have any length.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_key(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.key.as_ref())
}

/// Returns the unmodified JSON of the event, for values without an accessor:
/// the item of messaging, standby or changes, or the entry if it is itself the
/// change. Returns NULL for an index out of range.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_json(events: Option<&hma_events>, index: usize) -> *const c_char {
    text(events, index, |event| event.json.as_ref())
}

/// Frees events and every text that they returned. NULL is allowed and does
/// nothing.
#[unsafe(no_mangle)]
pub extern "C" fn hma_events_free(events: Option<Box<hma_events>>) {
    drop(events);
}

fn event(events: Option<&hma_events>, index: usize) -> Option<&Event> {
    events?.0.get(index)
}

fn text(events: Option<&hma_events>, index: usize, find: fn(&Event) -> Option<&NulString>) -> *const c_char {
    str_ptr(event(events, index).and_then(find))
}

fn attachment(events: Option<&hma_events>, index: usize, attachment_index: usize) -> Option<&Attachment> {
    event(events, index)?.attachments().get(attachment_index)
}

fn event_at(events: Option<&hma_events>, index: usize) -> Result<&Event, Error> {
    let events = &events.ok_or_else(|| Error::argument("events: must not be NULL"))?.0;
    let out_of_range = || Error::argument(format!("index: {index} is out of range, there are {} events", events.len()));
    events.get(index).ok_or_else(out_of_range)
}
