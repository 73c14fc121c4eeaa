//! What a delivery says, event by event.

use std::fmt;

use crate::nul_string::NulString;
use crate::window;

/// What happened. The number of each kind is its C constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum EventKind {
    /// Something that this version does not know; [`Event::json`] has all of it.
    #[default]
    Other = 0,
    /// The user wrote: a text, media, a tap on a quick reply.
    Message = 1,
    /// The account itself wrote, by this program or any other; [`Event::message_id`] tells whether a send whose
    /// outcome is unknown did arrive.
    Echo = 2,
    /// A message was taken back.
    Deleted = 3,
    /// The user wrote something that Instagram does not hand on.
    Unsupported = 4,
    /// The user tapped a button, an ice breaker or an entry of the menu.
    Postback = 5,
    /// The user reacted to a message or took the reaction back.
    Reaction = 6,
    /// The user has seen a message.
    Read = 7,
    /// The user came through an ig.me link into a chat that was there already.
    Referral = 8,
    /// A message was edited.
    Edit = 9,
    /// Somebody commented on a post or a reel.
    Comment = 10,
    /// Somebody commented on a live broadcast.
    LiveComment = 11,
    /// Somebody mentioned the account in a comment or a caption.
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

/// One word in lower case, such as `live_comment`.
impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Whom an answer to an event goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyTarget<'a> {
    /// The user with this Instagram-scoped id (IGSID): [`Client::send`](crate::Client::send).
    User(&'a str),
    /// The author of this comment: [`Client::send_private_reply`](crate::Client::send_private_reply).
    Comment(&'a str),
}

/// The events of one delivery, in the order in which they came; made by [`parse`](crate::webhook::parse).
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub(crate) object: Option<NulString>,
    pub(crate) events: Vec<Event>,
}

impl Events {
    /// What the delivery is about: `instagram`, or for example `whatsapp_business_account`, which gives no events.
    pub fn object(&self) -> Option<&str> {
        self.object.as_ref().map(NulString::as_str)
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The event at an index from 0.
    pub fn get(&self, index: usize) -> Option<&Event> {
        self.events.get(index)
    }

    /// All events.
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

/// Gives the events away, for a queue or another thread.
impl IntoIterator for Events {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// One thing that happened. Accessors are empty where nothing was said.
///
/// Ids are opaque texts of any length. In texts, U+0000 is shown as U+FFFD, and so is what is not UTF-8.
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
    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Whether another app holds the chat (Meta's standby): look, but do not answer.
    pub fn is_standby(&self) -> bool {
        self.is_standby
    }

    /// Whether the account wrote the message, by this program or any other.
    pub fn is_echo(&self) -> bool {
        self.is_echo
    }

    /// Whether the account is the user, too: a message to itself, or a comment of its own. Meta does not mark all
    /// own comments; compare [`Event::username`] with the account's name where that matters.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The id of the Instagram account that it happened to.
    pub fn account_id(&self) -> Option<&str> {
        self.account_id.as_ref().map(NulString::as_str)
    }

    /// The Instagram-scoped id (IGSID) of the user, who is always the other party: the sender, or for an echo the
    /// recipient. A comment may come without it.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_ref().map(NulString::as_str)
    }

    /// The name of a comment's author, without `@`.
    pub fn username(&self) -> Option<&str> {
        self.username.as_ref().map(NulString::as_str)
    }

    /// Whom an answer may go to, see [`Client::reply`](crate::Client::reply).
    ///
    /// `None` where none may be given: to echoes, the account's own messages and comments, standby, deleted messages,
    /// read receipts, mentions, and kinds that are not known.
    pub fn reply_target(&self) -> Option<ReplyTarget<'_>> {
        self.reply_target_or_reason().ok()
    }

    /// The id (`mid`) of the message, the tapped button's message, or the edited or deleted message.
    pub fn message_id(&self) -> Option<&str> {
        self.message_id.as_ref().map(NulString::as_str)
    }

    /// The id (`mid`) of the message that a reaction or a read receipt is about.
    pub fn target_message_id(&self) -> Option<&str> {
        self.target_message_id.as_ref().map(NulString::as_str)
    }

    /// The id of the comment.
    pub fn comment_id(&self) -> Option<&str> {
        self.comment_id.as_ref().map(NulString::as_str)
    }

    /// The id of the comment that this comment answers.
    pub fn parent_id(&self) -> Option<&str> {
        self.parent_id.as_ref().map(NulString::as_str)
    }

    /// The id of the post or reel that a comment or mention belongs to.
    pub fn media_id(&self) -> Option<&str> {
        self.media_id.as_ref().map(NulString::as_str)
    }

    /// The text of a message, an edit or a comment.
    pub fn text(&self) -> Option<&str> {
        self.text.as_ref().map(NulString::as_str)
    }

    /// The words on the tapped button.
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(NulString::as_str)
    }

    /// What the tapped quick reply or button carries.
    pub fn payload(&self) -> Option<&str> {
        self.payload.as_ref().map(NulString::as_str)
    }

    /// The media of a message.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// The id (`mid`) of the message that this one answers inline.
    pub fn reply_to_message_id(&self) -> Option<&str> {
        self.reply_to_message_id.as_ref().map(NulString::as_str)
    }

    /// The story that the message answers.
    pub fn story(&self) -> Option<&Story> {
        self.story.as_deref()
    }

    /// What the user reacted with.
    pub fn reaction(&self) -> Option<&Reaction> {
        self.reaction.as_deref()
    }

    /// Where the user came from: an ad, an ig.me link or a product.
    pub fn referral(&self) -> Option<&Referral> {
        self.referral.as_deref()
    }

    /// How often the message was edited (`num_edit`).
    pub fn edit_count(&self) -> Option<u32> {
        self.edit_count
    }

    /// When it happened, in milliseconds since 1970. Some senders write seconds: values below 10^11 are taken as
    /// such.
    pub fn timestamp_ms(&self) -> Option<u64> {
        self.timestamp_ms
    }

    /// Whether it opens or renews the 24-hour window; `None` where no source says.
    ///
    /// A comment does not: it allows one private reply, and the user's answer to that opens the window.
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

    /// When the window closes that this event opens, in milliseconds since 1970; see [`window`]. `None` if it opens
    /// none or has no time.
    pub fn window_closes_at(&self) -> Option<u64> {
        let opened = self.timestamp_ms.filter(|_| self.opens_window() == Some(true));
        opened.map(window::closes_at)
    }

    /// What tells this event from every other one, and is the same when it comes again: keep it to drop repeats.
    ///
    /// It belongs to the event, not to the delivery, since a repeat may come in another batch. The kinds of events
    /// about one message have keys of their own, and so has each reaction. To be compared, not read; of any length.
    pub fn key(&self) -> &str {
        self.key.as_ref().map_or("", NulString::as_str)
    }

    /// The event's JSON as it came, for what has no accessor: the item of `messaging`, `standby` or `changes`, or the
    /// entry where a comment stands in it.
    ///
    /// Order, blanks, escapes and the digits of numbers are those of the body; only what is not UTF-8 is shown as
    /// U+FFFD.
    pub fn json(&self) -> &str {
        self.json.as_ref().map_or("", NulString::as_str)
    }

    /// Whether this is an echo of this text to this user, at or after `since_ms`: milliseconds since 1970, the caller's
    /// clock just before the send, less what the clocks may differ. Spaces and line breaks at the ends of the texts do not
    /// count.
    ///
    /// It is evidence that a send with an unknown outcome did arrive, not proof: the same text from another program looks
    /// the same. That no such echo comes proves nothing. False for media and templates, for an edit, and for an echo
    /// without a time.
    pub fn echoes(&self, recipient_id: &str, text: &str, since_ms: u64) -> bool {
        self.kind == EventKind::Echo
            && self.user_id() == Some(recipient_id)
            && self.text().is_some_and(|echoed| echoed.trim() == text.trim())
            && self.timestamp_ms.is_some_and(|time| time >= since_ms)
    }

    /// Whom an answer may go to, or why to nobody.
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

/// Without what people wrote.
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

/// One of the media of a message. Its link is signed and runs out.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    pub(crate) attachment_type: Option<NulString>,
    pub(crate) url: Option<NulString>,
    pub(crate) media_id: Option<NulString>,
    pub(crate) title: Option<NulString>,
}

impl Attachment {
    /// What it is, in Meta's word: `image`, `video`, `audio`, `file`, `ig_post`, `ig_reel`, `reel`, `story_mention`,
    /// `ig_story`, `share`, `template`, `ephemeral`, `like_heart`, or one that came later. Empty if it did not say.
    pub fn attachment_type(&self) -> &str {
        self.attachment_type.as_ref().map_or("", NulString::as_str)
    }

    /// Where to fetch it. Disappearing media and the heart have no address.
    pub fn url(&self) -> Option<&str> {
        self.url.as_ref().map(NulString::as_str)
    }

    /// The id of the post or reel that was shared.
    pub fn media_id(&self) -> Option<&str> {
        self.media_id.as_ref().map(NulString::as_str)
    }

    /// The title of what was shared.
    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(NulString::as_str)
    }
}

/// The story that a message answers.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub(crate) id: Option<NulString>,
    pub(crate) url: Option<NulString>,
    pub(crate) link_url: Option<NulString>,
}

impl Story {
    /// The id of the story.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(NulString::as_str)
    }

    /// Where to fetch the story's picture or film. The link is signed and runs out.
    pub fn url(&self) -> Option<&str> {
        self.url.as_ref().map(NulString::as_str)
    }

    /// Where the story's link sticker leads (`link_sticker_url`).
    pub fn link_url(&self) -> Option<&str> {
        self.link_url.as_ref().map(NulString::as_str)
    }
}

/// What the user reacted with.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    pub(crate) action: Option<NulString>,
    pub(crate) name: Option<NulString>,
    pub(crate) emoji: Option<NulString>,
}

impl Reaction {
    /// `react`, or `unreact` where a reaction was taken back.
    pub fn action(&self) -> Option<&str> {
        self.action.as_ref().map(NulString::as_str)
    }

    /// The name of the reaction (`reaction`): `love`, or `other` with an emoji.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(NulString::as_str)
    }

    /// The emoji.
    pub fn emoji(&self) -> Option<&str> {
        self.emoji.as_ref().map(NulString::as_str)
    }
}

/// Where the user came from: an ad, an ig.me link or a product.
#[derive(Clone, Debug, Default)]
pub struct Referral {
    pub(crate) reference: Option<NulString>,
    pub(crate) source: Option<NulString>,
    pub(crate) referral_type: Option<NulString>,
    pub(crate) ad_id: Option<NulString>,
    pub(crate) product_id: Option<NulString>,
}

impl Referral {
    /// The `ref` of the link or the ad.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_ref().map(NulString::as_str)
    }

    /// Where from, in Meta's word, such as `ADS` or `IGME`.
    pub fn source(&self) -> Option<&str> {
        self.source.as_ref().map(NulString::as_str)
    }

    /// Meta's `type`, such as `OPEN_THREAD`.
    pub fn referral_type(&self) -> Option<&str> {
        self.referral_type.as_ref().map(NulString::as_str)
    }

    /// The id of the ad.
    pub fn ad_id(&self) -> Option<&str> {
        self.ad_id.as_ref().map(NulString::as_str)
    }

    /// The id of the product that the message is about.
    pub fn product_id(&self) -> Option<&str> {
        self.product_id.as_ref().map(NulString::as_str)
    }
}
