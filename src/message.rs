//! `Message`: what a program can send, and its parts.

use crate::error::{Error, ErrorKind};

/// The kind of media of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum AttachmentKind {
    /// PNG, JPEG or GIF, up to 8 MB.
    Image = 1,
    /// MP4, OGG, AVI, MOV or WebM, up to 25 MB. Meta takes up to 75 seconds to fetch it.
    Video = 2,
    /// AAC, M4A, WAV or MP4, up to 25 MB.
    Audio = 3,
    /// PDF, up to 25 MB.
    File = 4,
}

impl AttachmentKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            AttachmentKind::Image => "image",
            AttachmentKind::Video => "video",
            AttachmentKind::Audio => "audio",
            AttachmentKind::File => "file",
        }
    }
}

/// An action of the account in a chat (Meta's sender action).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Action {
    /// Shows the typing indicator.
    TypingOn = 1,
    /// Hides the typing indicator.
    TypingOff = 2,
    /// Marks the user's messages as seen.
    MarkSeen = 3,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::TypingOn => "typing_on",
            Action::TypingOff => "typing_off",
            Action::MarkSeen => "mark_seen",
        }
    }
}

/// The contact data that a quick reply offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ContactKind {
    /// The phone number of the user's profile.
    Phone = 1,
    /// The email address of the user's profile.
    Email = 2,
}

impl ContactKind {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            ContactKind::Phone => "user_phone_number",
            ContactKind::Email => "user_email",
        }
    }
}

/// A message, built once and sent to any number of users, from any number of threads.
///
/// Constructors and setters never fail. The first error is stored, and the send reports it as
/// [`ErrorKind::Argument`](crate::ErrorKind::Argument) before anything is sent. The send also checks the limits that
/// Meta documents. A text is counted in bytes of UTF-8, a title in characters (Unicode scalar values). Nothing is ever
/// truncated.
///
/// Two messages are equal if their content and their first errors are equal.
///
/// ```
/// use hookmyapp::{AttachmentKind, Message};
///
/// let question = Message::text("Which size?").quick_reply("S", "SIZE:S").quick_reply("M", "SIZE:M");
/// let picture = Message::attachment(AttachmentKind::Image, "https://cdn.example.net/mug.jpg");
/// let cards = Message::cards()
///     .card("Blue mug", "Stoneware, 30 cl", None, "https://shop.example.net/mug")
///     .postback_button("Ask", "ASK:mug");
/// # let _ = (question, picture, cards);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) content: Content,
    pub(crate) reply_to: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) messaging_type: Option<String>,
    first_error: Option<(ErrorKind, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text { text: String, quick_replies: Vec<QuickReply>, buttons: Vec<Button> },
    Attachment { kind: AttachmentKind, source: Source, is_reusable: bool },
    Images(Vec<Source>),
    Heart,
    Post(String),
    Cards(Vec<Card>),
    Reaction { message_id: String, reaction: Option<String> },
    Action(Action),
}

impl Content {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Content::Text { buttons, .. } if !buttons.is_empty() => "a text with buttons",
            Content::Text { .. } => "a text",
            Content::Attachment { source: Source::Url(_), .. } => "an attachment by URL",
            Content::Attachment { source: Source::Id(_), .. } => "an attachment by id",
            Content::Images(_) => "images",
            Content::Heart => "a heart",
            Content::Post(_) => "a post",
            Content::Cards(_) => "cards",
            Content::Reaction { .. } => "a reaction",
            Content::Action(_) => "a sender action",
        }
    }
}

/// The source of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Url(String),
    Id(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuickReply {
    Text { title: String, payload: String },
    Contact { kind: ContactKind, title: Option<String>, payload: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Button {
    Link { title: String, url: String },
    Postback { title: String, payload: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) title: String,
    pub(crate) subtitle: Option<String>,
    pub(crate) image_url: Option<String>,
    pub(crate) link_url: Option<String>,
    pub(crate) buttons: Vec<Button>,
}

impl Message {
    /// Creates a text of 1 to 1000 bytes of UTF-8. It accepts quick replies or buttons. With buttons it becomes Meta's
    /// button template, whose text has at most 640 characters.
    pub fn text(text: &str) -> Message {
        Message::new(Content::Text { text: text.to_owned(), quick_replies: Vec::new(), buttons: Vec::new() })
    }

    /// Creates a message of media that Meta fetches from an absolute `https` or `http` URL.
    pub fn attachment(kind: AttachmentKind, url: &str) -> Message {
        Message::new(Content::Attachment { kind, source: Source::Url(url.to_owned()), is_reusable: false })
    }

    /// Creates a message of media that were uploaded before or sent with [`Message::reusable`].
    pub fn attachment_id(kind: AttachmentKind, attachment_id: &str) -> Message {
        Message::new(Content::Attachment { kind, source: Source::Id(attachment_id.to_owned()), is_reusable: false })
    }

    /// Creates a message of several images. Add 1 to 10 with [`Message::image`] and [`Message::image_id`].
    pub fn images() -> Message {
        Message::new(Content::Images(Vec::new()))
    }

    /// Creates the heart sticker.
    pub fn heart() -> Message {
        Message::new(Content::Heart)
    }

    /// Creates a message of a post that belongs to the account, by its media id.
    pub fn post(media_id: &str) -> Message {
        Message::new(Content::Post(media_id.to_owned()))
    }

    /// Creates a message of cards side by side (Meta's generic template). Add 1 to 10 with [`Message::card`]. Instagram
    /// does not show them on desktop.
    pub fn cards() -> Message {
        Message::new(Content::Cards(Vec::new()))
    }

    /// Creates a reaction to a message: the word `love` or an emoji. `None` removes the reaction; another one replaces
    /// it. Repeating it is harmless, also after [`Delivery::Unknown`](crate::Delivery::Unknown).
    pub fn reaction<'a>(message_id: &str, reaction: impl Into<Option<&'a str>>) -> Message {
        Message::new(Content::Reaction {
            message_id: message_id.to_owned(),
            reaction: reaction.into().map(str::to_owned),
        })
    }

    /// Creates a sender action: typing on, typing off, or mark seen. Repeating it is harmless, also after
    /// [`Delivery::Unknown`](crate::Delivery::Unknown).
    pub fn action(action: Action) -> Message {
        Message::new(Content::Action(action))
    }

    fn new(content: Content) -> Message {
        Message { content, reply_to: None, tag: None, messaging_type: None, first_error: None }
    }

    /// Adds an image by URL to [`Message::images`].
    pub fn image(mut self, url: &str) -> Message {
        self.add_image(url);
        self
    }

    /// Adds an image by attachment id to [`Message::images`].
    pub fn image_id(mut self, attachment_id: &str) -> Message {
        self.add_image_id(attachment_id);
        self
    }

    /// Adds a quick reply to a text without buttons: at most 13, each with a title of 1 to 20 characters. When the user
    /// taps it, the webhook delivers the payload, which may be empty.
    pub fn quick_reply(mut self, title: &str, payload: &str) -> Message {
        self.add_quick_reply(title, payload);
        self
    }

    /// Adds a quick reply that offers the user's own phone number or email address. It counts among the 13. Title and
    /// payload are optional.
    pub fn contact_reply<'a>(
        mut self,
        kind: ContactKind,
        title: impl Into<Option<&'a str>>,
        payload: impl Into<Option<&'a str>>,
    ) -> Message {
        self.add_contact_reply(kind, title.into(), payload.into());
        self
    }

    /// Adds a card to [`Message::cards`]: a title and a subtitle of at most 80 characters each, an image, and a link
    /// that a tap on the card opens. A card needs at least one of subtitle, image, link or button besides its title.
    pub fn card<'a>(
        mut self,
        title: &str,
        subtitle: impl Into<Option<&'a str>>,
        image_url: impl Into<Option<&'a str>>,
        link_url: impl Into<Option<&'a str>>,
    ) -> Message {
        self.add_card(title, subtitle.into(), image_url.into(), link_url.into());
        self
    }

    /// Adds a button that opens a link, to the text or to the last card: at most 3 buttons each. The title must not be
    /// empty.
    pub fn link_button(mut self, title: &str, url: &str) -> Message {
        self.add_link_button(title, url);
        self
    }

    /// Adds a button whose payload the webhook delivers, to the text or to the last card: at most 3 buttons each. The
    /// title must not be empty; the payload may be.
    pub fn postback_button(mut self, title: &str, payload: &str) -> Message {
        self.add_postback_button(title, payload);
        self
    }

    /// Sets Meta's message tag. `HUMAN_AGENT` is the only one on Instagram: a person may reply with it up to 7 days
    /// after the user's last message, if Meta granted that to the app.
    pub fn tag(mut self, tag: &str) -> Message {
        self.set_tag(tag);
        self
    }

    /// Sets Meta's messaging type, such as `RESPONSE` or `MESSAGE_TAG`. By default it is not sent, as on Instagram's
    /// own pages.
    pub fn messaging_type(mut self, messaging_type: &str) -> Message {
        self.set_messaging_type(messaging_type);
        self
    }

    /// Shows the message as an inline reply to another message. Meta documents this for accounts that are connected
    /// through Facebook.
    pub fn reply_to(mut self, message_id: &str) -> Message {
        self.set_reply_to(message_id);
        self
    }

    /// Asks Meta to store an attachment by URL. The response then contains an
    /// [`attachment_id`](crate::Response::attachment_id) to send it again.
    pub fn reusable(mut self) -> Message {
        self.set_reusable();
        self
    }

    pub(crate) fn add_image(&mut self, url: &str) {
        self.push_image(Source::Url(url.to_owned()));
    }

    pub(crate) fn add_image_id(&mut self, attachment_id: &str) {
        self.push_image(Source::Id(attachment_id.to_owned()));
    }

    fn push_image(&mut self, source: Source) {
        match &mut self.content {
            Content::Images(images) => images.push(source),
            _ => self.reject_for_kind("an image", "images"),
        }
    }

    pub(crate) fn add_quick_reply(&mut self, title: &str, payload: &str) {
        self.push_quick_reply(QuickReply::Text { title: title.to_owned(), payload: payload.to_owned() });
    }

    pub(crate) fn add_contact_reply(&mut self, kind: ContactKind, title: Option<&str>, payload: Option<&str>) {
        let (title, payload) = (title.map(str::to_owned), payload.map(str::to_owned));
        self.push_quick_reply(QuickReply::Contact { kind, title, payload });
    }

    fn push_quick_reply(&mut self, reply: QuickReply) {
        match &mut self.content {
            Content::Text { quick_replies, buttons, .. } if buttons.is_empty() => quick_replies.push(reply),
            _ => self.reject_for_kind("a quick reply", "a text without buttons"),
        }
    }

    pub(crate) fn add_card(
        &mut self,
        title: &str,
        subtitle: Option<&str>,
        image_url: Option<&str>,
        link_url: Option<&str>,
    ) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match &mut self.content {
            Content::Cards(cards) => cards.push(Card {
                title: title.to_owned(),
                subtitle: owned(subtitle),
                image_url: owned(image_url),
                link_url: owned(link_url),
                buttons: Vec::new(),
            }),
            _ => self.reject_for_kind("a card", "cards"),
        }
    }

    pub(crate) fn add_link_button(&mut self, title: &str, url: &str) {
        self.push_button(Button::Link { title: title.to_owned(), url: url.to_owned() });
    }

    pub(crate) fn add_postback_button(&mut self, title: &str, payload: &str) {
        self.push_button(Button::Postback { title: title.to_owned(), payload: payload.to_owned() });
    }

    fn push_button(&mut self, button: Button) {
        match &mut self.content {
            Content::Text { buttons, quick_replies, .. } if quick_replies.is_empty() => buttons.push(button),
            Content::Text { .. } => self.reject_for_kind("a button", "a text without quick replies"),
            Content::Cards(cards) => match cards.last_mut() {
                Some(card) => card.buttons.push(button),
                None => self.record_error(
                    ErrorKind::Argument,
                    "a button was added before the first card: add the card first".to_owned(),
                ),
            },
            _ => self.reject_for_kind("a button", "a text or cards"),
        }
    }

    pub(crate) fn set_tag(&mut self, tag: &str) {
        if self.accepts_options("a tag") {
            self.tag = Some(tag.to_owned());
        }
    }

    pub(crate) fn set_messaging_type(&mut self, messaging_type: &str) {
        if self.accepts_options("a messaging type") {
            self.messaging_type = Some(messaging_type.to_owned());
        }
    }

    pub(crate) fn set_reply_to(&mut self, message_id: &str) {
        if self.accepts_options("a reply-to") {
            self.reply_to = Some(message_id.to_owned());
        }
    }

    fn accepts_options(&mut self, what: &str) -> bool {
        let accepts = !matches!(self.content, Content::Reaction { .. } | Content::Action(_));
        if !accepts {
            self.reject_for_kind(what, "texts, media and templates");
        }
        accepts
    }

    pub(crate) fn set_reusable(&mut self) {
        match &mut self.content {
            Content::Attachment { source: Source::Url(_), is_reusable, .. } => *is_reusable = true,
            _ => self.reject_for_kind("the reusable mark", "an attachment by URL"),
        }
    }

    fn reject_for_kind(&mut self, what: &str, wanted: &str) {
        self.record_error(
            ErrorKind::Argument,
            format!("{what} does not fit {}: it belongs to {wanted}", self.content.name()),
        );
    }

    /// Stores an error. Only the first is reported: later ones often follow from it.
    pub(crate) fn record_error(&mut self, kind: ErrorKind, message: String) {
        self.first_error.get_or_insert((kind, message));
    }

    /// Fails with the stored error, if there is one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.first_error {
            Some((kind, message)) => Err(Error::new(*kind, message.as_str())),
            None => Ok(()),
        }
    }
}
