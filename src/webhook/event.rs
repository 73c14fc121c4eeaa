//! The events of a delivery.

use std::fmt;

use crate::nul_string::NulString;
use crate::window;

/// The kind of an event. The number of each kind is its C constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum EventKind {
    /// An event that this version does not support. [`Event::json`] contains it.
    #[default]
    Other = 0,
    /// The user sent a message: a text, media, a tap on a quick reply.
    Message = 1,
    /// The account itself sent a message, from this program or any other. [`Event::message_id`] shows whether a send
    /// with an unknown outcome was delivered.
    Echo = 2,
    /// A message was deleted by its sender.
    Deleted = 3,
    /// The user sent a message that Instagram does not forward.
    Unsupported = 4,
    /// The user tapped a button, an ice breaker or a menu entry.
    Postback = 5,
    /// The user reacted to a message or removed the reaction.
    Reaction = 6,
    /// The user has seen a message.
    Read = 7,
    /// The user opened an existing chat through an ig.me link.
    Referral = 8,
    /// A message was edited.
    Edit = 9,
    /// A user commented on a post or a reel.
    Comment = 10,
    /// A user commented on a live broadcast.
    LiveComment = 11,
    /// A user mentioned the account in a comment or a caption.
    Mention = 12,
}

impl EventKind {
    fn name(self) -> &'static str {
        match self {
            EventKind::Other => "other",
            EventKind::Message => "message",
            EventKind::Echo => "echo",
            EventKind::Deleted => "deleted",
            EventKind::Unsupported => "unsupported",
            EventKind::Postback => "postback",
            EventKind::Reaction => "reaction",
            EventKind::Read => "read",
            EventKind::Referral => "referral",
            EventKind::Edit => "edit",
            EventKind::Comment => "comment",
            EventKind::LiveComment => "live_comment",
            EventKind::Mention => "mention",
        }
    }
}

/// The name in lower case, such as `live_comment`.
impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The recipient of a reply to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyTarget<'a> {
    /// The user with this Instagram-scoped id (IGSID): [`Client::send`](crate::Client::send).
    User(&'a str),
    /// The author of this comment: [`Client::send_private_reply`](crate::Client::send_private_reply).
    Comment(&'a str),
}

/// The events of one delivery, in its order. Created by [`parse`](crate::webhook::parse).
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub(crate) object: Option<NulString>,
    pub(crate) events: Vec<Event>,
}

impl Events {
    /// Returns what the delivery is about: `instagram`, or for example `whatsapp_business_account`, which has no
    /// events.
    pub fn object(&self) -> Option<&str> {
        self.object.as_ref().map(NulString::as_str)
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the event at an index from 0, or `None` if the index is out of range.
    pub fn get(&self, index: usize) -> Option<&Event> {
        self.events.get(index)
    }

    /// Iterates over the events.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.events.iter()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// Moves the events out, for a queue or another thread.
impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// One event. An accessor returns `None`, an empty value or `false` if the delivery does not contain the value.
///
/// Ids are opaque texts of any length. In texts, U+FFFD replaces U+0000 and invalid UTF-8.
#[derive(Clone, Default)]
pub struct Event {
    pub(crate) kind: EventKind,
    pub(crate) is_standby: bool,
    pub(crate) is_echo: bool,
    pub(crate) is_own: bool,
    pub(crate) account_id: Option<NulString>,
    pub(crate) user_id: Option<NulString>,
    pub(crate) username: Option<NulString>,
    pub(crate) message_id: Option<NulString>,
    pub(crate) target_message_id: Option<NulString>,
    pub(crate) comment_id: Option<NulString>,
    pub(crate) parent_id: Option<NulString>,
    pub(crate) media_id: Option<NulString>,
    pub(crate) text: Option<NulString>,
    pub(crate) title: Option<NulString>,
    pub(crate) payload: Option<NulString>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) reply_to_message_id: Option<NulString>,
    pub(crate) story: Option<Box<Story>>,
    pub(crate) reaction: Option<Box<Reaction>>,
    pub(crate) referral: Option<Box<Referral>>,
    pub(crate) edit_count: Option<u32>,
    pub(crate) timestamp_ms: Option<u64>,
    pub(crate) key: Option<NulString>,
    pub(crate) json: Option<NulString>,
}

impl Event {
    /// Returns the kind of the event.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Returns whether another app controls the chat (Meta's standby): the event allows no reply.
    pub fn is_standby(&self) -> bool {
        self.is_standby
    }

    /// Returns whether the account sent the message, from this program or any other.
    pub fn is_echo(&self) -> bool {
        self.is_echo
    }

    /// Returns whether the account is also the user: a message to itself, or its own comment. Meta does not mark all
    /// own comments; if that matters, compare [`Event::username`] with the account's name.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Returns the id of the Instagram account that received the event.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_ref().map(NulString::as_str)
    }

    /// Returns the Instagram-scoped id (IGSID) of the user. The user is always the other party: the sender, or the
    /// recipient of an echo. A comment may not contain it.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_ref().map(NulString::as_str)
    }

    /// Returns the name of a comment's author, without `@`.
    pub fn username(&self) -> Option<&str> {
        self.username.as_ref().map(NulString::as_str)
    }

    /// Returns the recipient of a reply, see [`Client::reply`](crate::Client::reply).
    ///
    /// Returns `None` if the event allows no reply: echoes, the account's own messages and comments, standby, deleted
    /// messages, read receipts, mentions, and unknown kinds.
    pub fn reply_target(&self) -> Option<ReplyTarget<'_>> {
        self.reply_target_or_reason().ok()
    }

    /// Returns the id (`mid`) of the message, the tapped button's message, or the edited or deleted message.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id (`mid`) of the message that a reaction or a read receipt refers to.
    pub fn target_message_id(&self) -> Option<&str> {
        self.target_message_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the comment.
    pub fn comment_id(&self) -> Option<&str> {
        self.comment_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the comment that this comment replies to.
    pub fn parent_id(&self) -> Option<&str> {
        self.parent_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the post or reel that a comment or mention belongs to.
    pub fn media_id(&self) -> Option<&str> {
        self.media_id.as_ref().map(NulString::as_str)
    }

    /// Returns the text of a message, an edit or a comment.
    pub fn text(&self) -> Option<&str> {
        self.text.as_ref().map(NulString::as_str)
    }

    /// Returns the title of the tapped button.
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(NulString::as_str)
    }

    /// Returns the payload of the tapped quick reply or button.
    pub fn payload(&self) -> Option<&str> {
        self.payload.as_ref().map(NulString::as_str)
    }

    /// Returns the media of a message.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// Returns the id (`mid`) of the message that this one replies to inline.
    pub fn reply_to_message_id(&self) -> Option<&str> {
        self.reply_to_message_id.as_ref().map(NulString::as_str)
    }

    /// Returns the story that the message replies to.
    pub fn story(&self) -> Option<&Story> {
        self.story.as_deref()
    }

    /// Returns the reaction of the user.
    pub fn reaction(&self) -> Option<&Reaction> {
        self.reaction.as_deref()
    }

    /// Returns the source of the user: an ad, an ig.me link or a product.
    pub fn referral(&self) -> Option<&Referral> {
        self.referral.as_deref()
    }

    /// How often the message was edited (`num_edit`).
    pub fn edit_count(&self) -> Option<u32> {
        self.edit_count
    }

    /// Returns the time of the event, in milliseconds since 1970. Some senders write seconds: values below 10^11 are
    /// read as seconds.
    pub fn timestamp_ms(&self) -> Option<u64> {
        self.timestamp_ms
    }

    /// Returns whether the event opens or renews the 24-hour window, or `None` if that is not documented.
    ///
    /// A comment does not. It allows one private reply, and the user's reply to that opens the window.
    pub fn opens_window(&self) -> Option<bool> {
        let is_taken_back = || self.reaction().is_none_or(|reaction| reaction.action() != Some("react"));
        match self.kind {
            EventKind::Edit | EventKind::Other => None,
            EventKind::Reaction if is_taken_back() => None,
            EventKind::Message
            | EventKind::Unsupported
            | EventKind::Postback
            | EventKind::Reaction
            | EventKind::Referral => Some(!self.is_echo && !self.is_own),
            EventKind::Echo
            | EventKind::Deleted
            | EventKind::Read
            | EventKind::Comment
            | EventKind::LiveComment
            | EventKind::Mention => Some(false),
        }
    }

    /// Returns when the window closes that this event opens, in milliseconds since 1970; see [`window`]. Returns `None`
    /// if it opens no window or has no time.
    pub fn window_closes_at(&self) -> Option<u64> {
        let opened = self.timestamp_ms.filter(|_| self.opens_window() == Some(true));
        opened.map(window::closes_at)
    }

    /// Returns the deduplication key: unique to the event, and the same when it is delivered again. Store it to discard
    /// repeats.
    ///
    /// The key belongs to the event, not to the delivery: a repeat may arrive in another batch. Events of different
    /// kinds about one message have different keys, and so has each reaction. Compare keys, do not parse them. They may
    /// have any length.
    pub fn key(&self) -> &str {
        self.key.as_ref().map_or("", NulString::as_str)
    }

    /// Returns the unmodified JSON of the event, for values without an accessor: the item of `messaging`, `standby` or
    /// `changes`, or the entry if it is itself the change.
    ///
    /// Order, white space, escapes and the digits of numbers are unmodified. U+FFFD replaces invalid UTF-8.
    pub fn json(&self) -> &str {
        self.json.as_ref().map_or("", NulString::as_str)
    }

    /// Returns whether this is an echo of this text to this user, at or after `since_ms`. `since_ms` is in milliseconds
    /// since 1970: the caller's clock just before the send, minus the largest expected difference of the clocks. White
    /// space at the ends of the texts is ignored.
    ///
    /// A match is evidence that a send with an unknown outcome was delivered, not proof: another program may have sent
    /// the same text. A missing echo proves nothing. Returns false for media and templates, for an edit, and for an
    /// echo without a time.
    pub fn echoes(&self, recipient_id: &str, text: &str, since_ms: u64) -> bool {
        self.kind == EventKind::Echo
            && self.user_id() == Some(recipient_id)
            && self.text().is_some_and(|echoed| echoed.trim() == text.trim())
            && self.timestamp_ms.is_some_and(|time| time >= since_ms)
    }

    /// Returns the recipient of a reply, or why the event allows none.
    pub(crate) fn reply_target_or_reason(&self) -> Result<ReplyTarget<'_>, &'static str> {
        if self.is_standby {
            return Err("another app holds the chat (standby)");
        }
        if self.is_echo {
            return Err("it is an echo of what the account wrote");
        }
        if self.is_own {
            return Err("the account itself is its author");
        }
        match self.kind {
            EventKind::Comment | EventKind::LiveComment => {
                self.comment_id().map(ReplyTarget::Comment).ok_or("the comment has no id")
            }
            EventKind::Echo => Err("it is an echo of what the account wrote"),
            EventKind::Deleted => Err("the message was taken back"),
            EventKind::Read => Err("it only says that a message was seen"),
            EventKind::Mention => Err("a mention does not name its author"),
            EventKind::Other => Err("its kind is not known"),
            EventKind::Message
            | EventKind::Unsupported
            | EventKind::Postback
            | EventKind::Reaction
            | EventKind::Referral
            | EventKind::Edit => self.user_id().map(ReplyTarget::User).ok_or("it names no user"),
        }
    }
}

/// Omits what users wrote.
impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Event")
            .field("kind", &self.kind)
            .field("is_standby", &self.is_standby)
            .field("account_id", &self.account_id)
            .field("user_id", &self.user_id)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An attachment of a message. Its URL is signed and expires.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    pub(crate) attachment_type: Option<NulString>,
    pub(crate) url: Option<NulString>,
    pub(crate) media_id: Option<NulString>,
    pub(crate) title: Option<NulString>,
}

impl Attachment {
    /// Returns Meta's name of the type: `image`, `video`, `audio`, `file`, `ig_post`, `ig_reel`, `reel`,
    /// `story_mention`, `ig_story`, `share`, `template`, `ephemeral`, `like_heart`, or a later one. Empty if the
    /// delivery does not contain it.
    pub fn attachment_type(&self) -> &str {
        self.attachment_type.as_ref().map_or("", NulString::as_str)
    }

    /// Returns the URL of the media. Disappearing media and the heart have none.
    pub fn url(&self) -> Option<&str> {
        self.url.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the post or reel that was shared.
    pub fn media_id(&self) -> Option<&str> {
        self.media_id.as_ref().map(NulString::as_str)
    }

    /// Returns the title of the shared content.
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(NulString::as_str)
    }
}

/// The story that a message replies to.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub(crate) id: Option<NulString>,
    pub(crate) url: Option<NulString>,
    pub(crate) link_url: Option<NulString>,
}

impl Story {
    /// Returns the id of the story.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(NulString::as_str)
    }

    /// Returns the URL of the story's image or video. It is signed and expires.
    pub fn url(&self) -> Option<&str> {
        self.url.as_ref().map(NulString::as_str)
    }

    /// Returns the URL of the story's link sticker (`link_sticker_url`).
    pub fn link_url(&self) -> Option<&str> {
        self.link_url.as_ref().map(NulString::as_str)
    }
}

/// The reaction of the user.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    pub(crate) action: Option<NulString>,
    pub(crate) name: Option<NulString>,
    pub(crate) emoji: Option<NulString>,
}

impl Reaction {
    /// Returns `react`, or `unreact` if a reaction was removed.
    pub fn action(&self) -> Option<&str> {
        self.action.as_ref().map(NulString::as_str)
    }

    /// Returns the name of the reaction (`reaction`): `love`, or `other` with an emoji.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(NulString::as_str)
    }

    /// Returns the emoji.
    pub fn emoji(&self) -> Option<&str> {
        self.emoji.as_ref().map(NulString::as_str)
    }
}

/// The source of the user: an ad, an ig.me link or a product.
#[derive(Clone, Debug, Default)]
pub struct Referral {
    pub(crate) reference: Option<NulString>,
    pub(crate) source: Option<NulString>,
    pub(crate) referral_type: Option<NulString>,
    pub(crate) ad_id: Option<NulString>,
    pub(crate) product_id: Option<NulString>,
}

impl Referral {
    /// Returns the `ref` of the link or the ad.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_ref().map(NulString::as_str)
    }

    /// Returns Meta's name of the source, such as `ADS` or `IGME`.
    pub fn source(&self) -> Option<&str> {
        self.source.as_ref().map(NulString::as_str)
    }

    /// Returns Meta's `type`, such as `OPEN_THREAD`.
    pub fn referral_type(&self) -> Option<&str> {
        self.referral_type.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the ad.
    pub fn ad_id(&self) -> Option<&str> {
        self.ad_id.as_ref().map(NulString::as_str)
    }

    /// Returns the id of the product that the message is about.
    pub fn product_id(&self) -> Option<&str> {
        self.product_id.as_ref().map(NulString::as_str)
    }
}
