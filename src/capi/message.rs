//! Messages, for C.

use std::ffi::c_char;

use super::ffi::{ErrorOut, StrArg, StringOut, catch_panic};
use super::status::hma_status;
use crate::error::Error;
use crate::message::{Action, AttachmentKind, ContactKind, Message};
use crate::text_parts::part_length;

/// A message, built once and sent to any number of users.
///
/// Constructors never return NULL and setters never fail. The first error is
/// stored, and the send reports it as `HMA_ERROR_ARGUMENT` before anything is
/// sent. A call that does not match the message is an error, such as a card on
/// a text. So is a NULL where it is not allowed. Setters do nothing on a NULL
/// message.
///
/// The send also checks the limits that Meta documents. A text is counted in
/// bytes of UTF-8, a title in characters (Unicode scalar values). Nothing is
/// ever truncated.
///
/// Threads: any number of threads may send one message at once; setters need
/// exclusive access.
pub struct hma_message(pub(super) Message);

/// The kind of media of an attachment: one of the `HMA_ATTACHMENT_*` constants.
pub type hma_attachment_kind = i32;

/// The contact data that a quick reply offers: one of the `HMA_CONTACT_*`
/// constants.
pub type hma_contact_kind = i32;

/// An action of the account in a chat (Meta's sender action): one of the
/// `HMA_ACTION_*` constants.
pub type hma_action = i32;

/// PNG, JPEG or GIF, up to 8 MB.
pub const HMA_ATTACHMENT_IMAGE: hma_attachment_kind = 1;
/// MP4, OGG, AVI, MOV or WebM, up to 25 MB. Meta takes up to 75 seconds to
/// fetch it.
pub const HMA_ATTACHMENT_VIDEO: hma_attachment_kind = 2;
/// AAC, M4A, WAV or MP4, up to 25 MB.
pub const HMA_ATTACHMENT_AUDIO: hma_attachment_kind = 3;
/// PDF, up to 25 MB.
pub const HMA_ATTACHMENT_FILE: hma_attachment_kind = 4;

/// The phone number of the user's profile.
pub const HMA_CONTACT_PHONE: hma_contact_kind = 1;
/// The email address of the user's profile.
pub const HMA_CONTACT_EMAIL: hma_contact_kind = 2;

/// Shows the typing indicator.
pub const HMA_ACTION_TYPING_ON: hma_action = 1;
/// Hides the typing indicator.
pub const HMA_ACTION_TYPING_OFF: hma_action = 2;
/// Marks the user's messages as seen.
pub const HMA_ACTION_MARK_SEEN: hma_action = 3;

/// Creates a text of 1 to 1000 bytes of UTF-8. It accepts quick replies or
/// buttons. With buttons it becomes Meta's button template, whose text has at
/// most 640 characters.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_text(text: *const c_char) -> Box<hma_message> {
    // SAFETY: "Strings" in the header.
    let text = unsafe { StrArg::new("text", text) };
    build(|| Ok(Message::text(text.required()?)))
}

/// Creates a message of media that Meta fetches from `url`: absolute, https or
/// http.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_attachment(kind: hma_attachment_kind, url: *const c_char) -> Box<hma_message> {
    // SAFETY: "Strings" in the header.
    let url = unsafe { StrArg::new("url", url) };
    build(|| Ok(Message::attachment(attachment_kind(kind)?, url.required()?)))
}

/// Creates a message of media that were uploaded before, or sent with
/// hma_message_set_reusable().
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_attachment_id(
    kind: hma_attachment_kind,
    attachment_id: *const c_char,
) -> Box<hma_message> {
    // SAFETY: "Strings" in the header.
    let attachment_id = unsafe { StrArg::new("attachment_id", attachment_id) };
    build(|| Ok(Message::attachment_id(attachment_kind(kind)?, attachment_id.required()?)))
}

/// Creates a message of several images. Add 1 to 10 with
/// hma_message_add_image() and hma_message_add_image_id().
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_images() -> Box<hma_message> {
    build(|| Ok(Message::images()))
}

/// Creates the heart sticker.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_heart() -> Box<hma_message> {
    build(|| Ok(Message::heart()))
}

/// Creates a message of a post that belongs to the account, by its media id.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_post(media_id: *const c_char) -> Box<hma_message> {
    // SAFETY: "Strings" in the header.
    let media_id = unsafe { StrArg::new("media_id", media_id) };
    build(|| Ok(Message::post(media_id.required()?)))
}

/// Creates a message of cards side by side (Meta's generic template). Add 1 to
/// 10 with hma_message_add_card(). Instagram does not show them on desktop.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_cards() -> Box<hma_message> {
    build(|| Ok(Message::cards()))
}

/// Creates a reaction to the message `message_id`: the word "love" or an emoji.
/// A NULL `reaction_or_null` removes the reaction; another one replaces it.
/// Repeating it is harmless, also after a 3x status.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_reaction(
    message_id: *const c_char,
    reaction_or_null: *const c_char,
) -> Box<hma_message> {
    // SAFETY: "Strings" in the header.
    let (message_id, reaction) =
        unsafe { (StrArg::new("message_id", message_id), StrArg::new("reaction", reaction_or_null)) };
    build(|| Ok(Message::reaction(message_id.required()?, reaction.optional()?)))
}

/// Creates a sender action: typing on, typing off, or mark seen. Repeating it
/// is harmless, also after a 3x status.
///
/// Never returns NULL. Free it with hma_message_free().
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_action(action: hma_action) -> Box<hma_message> {
    build(|| {
        let all = [Action::TypingOn, Action::TypingOff, Action::MarkSeen];
        from_constant("action", &all, action, |action| *action as hma_action).map(Message::action)
    })
}

/// Adds an image by URL to hma_message_images(). The URL is absolute, https or
/// http.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_image(message: Option<&mut hma_message>, url: *const c_char) {
    // SAFETY: "Strings" in the header.
    let url = unsafe { StrArg::new("url", url) };
    set(message, |message| Ok(message.add_image(url.required()?)));
}

/// Adds an image by attachment id to hma_message_images().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_image_id(message: Option<&mut hma_message>, attachment_id: *const c_char) {
    // SAFETY: "Strings" in the header.
    let attachment_id = unsafe { StrArg::new("attachment_id", attachment_id) };
    set(message, |message| Ok(message.add_image_id(attachment_id.required()?)));
}

/// Adds a quick reply to a text without buttons: at most 13, each with a title
/// of 1 to 20 characters. When the user taps it, the webhook delivers the
/// payload, which may be empty, but not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_quick_reply(
    message: Option<&mut hma_message>,
    title: *const c_char,
    payload: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let (title, payload) = unsafe { (StrArg::new("title", title), StrArg::new("payload", payload)) };
    set(message, |message| Ok(message.add_quick_reply(title.required()?, payload.required()?)));
}

/// Adds a quick reply that offers the user's own phone number or email address.
/// It counts among the 13. Title and payload may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_contact_reply(
    message: Option<&mut hma_message>,
    kind: hma_contact_kind,
    title: *const c_char,
    payload: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let (title, payload) = unsafe { (StrArg::new("title", title), StrArg::new("payload", payload)) };
    set(message, |message| {
        let all = [ContactKind::Phone, ContactKind::Email];
        let kind = from_constant("kind", &all, kind, |kind| *kind as hma_contact_kind)?;
        Ok(message.add_contact_reply(kind, title.optional()?, payload.optional()?))
    });
}

/// Adds a card to hma_message_cards(). `title` and `subtitle` have at most 80
/// characters each. A tap on the card opens `link_url`. Both URLs are absolute,
/// https or http. The last three may be NULL, but a card with a title only
/// needs a button.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_card(
    message: Option<&mut hma_message>,
    title: *const c_char,
    subtitle: *const c_char,
    image_url: *const c_char,
    link_url: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let (title, subtitle, image_url, link_url) = unsafe {
        (
            StrArg::new("title", title),
            StrArg::new("subtitle", subtitle),
            StrArg::new("image_url", image_url),
            StrArg::new("link_url", link_url),
        )
    };
    set(message, |message| {
        let (subtitle, image_url, link_url) = (subtitle.optional()?, image_url.optional()?, link_url.optional()?);
        Ok(message.add_card(title.required()?, subtitle, image_url, link_url))
    });
}

/// Adds a button that opens `url`, to the text or to the last card: at most 3
/// buttons each. The title must not be empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_link_button(
    message: Option<&mut hma_message>,
    title: *const c_char,
    url: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let (title, url) = unsafe { (StrArg::new("title", title), StrArg::new("url", url)) };
    set(message, |message| Ok(message.add_link_button(title.required()?, url.required()?)));
}

/// Adds a button whose payload the webhook delivers, to the text or to the last
/// card: at most 3 buttons each. The title must not be empty. The payload may
/// be empty, but not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_add_postback_button(
    message: Option<&mut hma_message>,
    title: *const c_char,
    payload: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let (title, payload) = unsafe { (StrArg::new("title", title), StrArg::new("payload", payload)) };
    set(message, |message| Ok(message.add_postback_button(title.required()?, payload.required()?)));
}

/// Sets Meta's message tag. "HUMAN_AGENT" is the only one on Instagram: a
/// person may reply with it up to 7 days after the user's last message, if Meta
/// granted that to the app. Not for reactions and sender actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_set_tag(message: Option<&mut hma_message>, tag: *const c_char) {
    // SAFETY: "Strings" in the header.
    let tag = unsafe { StrArg::new("tag", tag) };
    set(message, |message| Ok(message.set_tag(tag.required()?)));
}

/// Sets Meta's messaging type, such as "RESPONSE" or "MESSAGE_TAG". By default
/// it is not sent. Not for reactions and sender actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_set_messaging_type(
    message: Option<&mut hma_message>,
    messaging_type: *const c_char,
) {
    // SAFETY: "Strings" in the header.
    let messaging_type = unsafe { StrArg::new("messaging_type", messaging_type) };
    set(message, |message| Ok(message.set_messaging_type(messaging_type.required()?)));
}

/// Shows the message as an inline reply to the message `message_id`. Meta
/// documents this for accounts that are connected through Facebook. Not for
/// reactions and sender actions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_set_reply_to(message: Option<&mut hma_message>, message_id: *const c_char) {
    // SAFETY: "Strings" in the header.
    let message_id = unsafe { StrArg::new("reply_to", message_id) };
    set(message, |message| Ok(message.set_reply_to(message_id.required()?)));
}

/// Asks Meta to store an attachment by URL. hma_response_attachment_id() of the
/// response then returns the id to send it again.
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_set_reusable(message: Option<&mut hma_message>) {
    set(message, |message| Ok(message.set_reusable()));
}

/// Frees a message. NULL is allowed and does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn hma_message_free(message: Option<Box<hma_message>>) {
    drop(message);
}

pub(super) fn attachment_kind(kind: hma_attachment_kind) -> Result<AttachmentKind, String> {
    let all = [AttachmentKind::Image, AttachmentKind::Video, AttachmentKind::Audio, AttachmentKind::File];
    from_constant("kind", &all, kind, |kind| *kind as hma_attachment_kind)
}

/// Returns the value of a C constant. A C integer is not a Rust enum: any other
/// number is an error.
fn from_constant<T: Copy>(name: &str, all: &[T], number: i32, number_of: impl Fn(&T) -> i32) -> Result<T, String> {
    let found = all.iter().find(|one| number_of(one) == number);
    found.copied().ok_or_else(|| format!("{name}: {number} is none of its constants"))
}

fn build(make: impl FnOnce() -> Result<Message, String>) -> Box<hma_message> {
    Box::new(hma_message(catch_panic(|| make().map_err(Error::argument)).unwrap_or_else(failed)))
}

#[cold]
fn failed(error: Error) -> Message {
    let mut message = Message::text("");
    record_error(&mut message, error);
    message
}

fn set(message: Option<&mut hma_message>, change: impl FnOnce(&mut Message) -> Result<(), String>) {
    let Some(hma_message(message)) = message else { return };
    if let Err(error) = catch_panic(|| change(message).map_err(Error::argument)) {
        record_error(message, error);
    }
}

#[cold]
fn record_error(message: &mut Message, error: Error) {
    message.record_error(error.kind(), error.to_string());
}

/// Returns the request body that hma_send() would send to this user: for a
/// queue or a log. The body contains neither token nor URL. This function sends
/// nothing.
///
/// On success you own `*json_out`: free it with hma_string_free(). A NULL
/// `json_out` only checks the message. An error is `HMA_ERROR_ARGUMENT` with
/// the text of the send.
///
/// hma_send_json() sends the body later, byte for byte what hma_send() would
/// have sent. A queue must record which bodies it has begun to send: after a
/// crash those may have been delivered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_json(
    message: Option<&hma_message>,
    recipient_id: *const c_char,
    json_out: *mut *mut c_char,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (recipient_id, out) = unsafe { (StrArg::new("recipient_id", recipient_id), JsonOut::new(json_out, error_out)) };
    out.finish(|| require_message(message)?.0.to_json(recipient_id.argument()?))
}

/// Returns the request body that hma_send_private_reply() would send for this
/// comment; see hma_message_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_message_private_reply_json(
    message: Option<&hma_message>,
    comment_id: *const c_char,
    json_out: *mut *mut c_char,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (comment_id, out) = unsafe { (StrArg::new("comment_id", comment_id), JsonOut::new(json_out, error_out)) };
    out.finish(|| require_message(message)?.0.to_private_reply_json(comment_id.argument()?))
}

/// Returns how many bytes of a long text fit the first message: 1 to 1000.
/// Returns 0 for NULL, for an empty text and for one that is not UTF-8.
///
///     while ((n = hma_text_part_length(text)) > 0) {
///         memcpy(part, text, n);
///         part[n] = '\0';
///         text += n;
///     }
///
/// Called again on the rest, it splits the whole text into parts; the
/// concatenated parts are the text. A part ends after an empty line, else after
/// a line break, else after a space, if there is one in its second half.
/// Otherwise it ends between two characters, but not inside an emoji of several
/// characters, inside a flag, or before an accent. Each part needs its own
/// send: stop at the first that is not accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_text_part_length(text: *const c_char) -> usize {
    // SAFETY: "Strings" in the header.
    let text = unsafe { StrArg::new("text", text) };
    catch_panic(|| Ok(text.optional().ok().flatten().map_or(0, part_length))).unwrap_or_default()
}

pub(super) fn require_message(message: Option<&hma_message>) -> Result<&hma_message, Error> {
    message.ok_or_else(|| Error::argument("message: must not be NULL"))
}

/// Where C receives a request body.
struct JsonOut<'a> {
    json: StringOut<'a>,
    error: ErrorOut<'a>,
}

impl JsonOut<'_> {
    /// # Safety
    /// Each is NULL or points to a pointer that may be overwritten.
    unsafe fn new<'a>(json_out: *mut *mut c_char, error_out: *mut *mut c_char) -> JsonOut<'a> {
        // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
        unsafe { JsonOut { json: StringOut::new(json_out), error: ErrorOut::new(error_out) } }
    }

    fn finish(self, make: impl FnOnce() -> Result<String, Error>) -> hma_status {
        self.error.finish(catch_panic(make).map(|json| self.json.write(&json)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_the_numbers_of_the_kinds() {
        assert_eq!(HMA_ATTACHMENT_IMAGE, AttachmentKind::Image as i32);
        assert_eq!(HMA_ATTACHMENT_VIDEO, AttachmentKind::Video as i32);
        assert_eq!(HMA_ATTACHMENT_AUDIO, AttachmentKind::Audio as i32);
        assert_eq!(HMA_ATTACHMENT_FILE, AttachmentKind::File as i32);
        assert_eq!(HMA_CONTACT_PHONE, ContactKind::Phone as i32);
        assert_eq!(HMA_CONTACT_EMAIL, ContactKind::Email as i32);
        assert_eq!(HMA_ACTION_TYPING_ON, Action::TypingOn as i32);
        assert_eq!(HMA_ACTION_TYPING_OFF, Action::TypingOff as i32);
        assert_eq!(HMA_ACTION_MARK_SEEN, Action::MarkSeen as i32);
    }
}
