// From the neutral description of a send in a vector to calls of the API; included beside cases.rs.

/// Why a description has no counterpart in the API.
const NO_RECIPIENT: &str = "every call takes a recipient";
const TWO_RECIPIENTS: &str = "a call takes either a user's id or a comment's";
const NO_QUICK_REPLIES: &str = "a text without quick replies is a plain text";
const NO_BUTTONS: &str = "a text without buttons is a plain text";
const TWO_SOURCES: &str = "an attachment is made either by URL or by id";

enum Call {
    Text { user: String, text: String },
    Send { user: String, message: Message },
    PrivateReply { comment: String, message: Message },
    Upload { kind: AttachmentKind, url: String },
}

impl Call {
    fn make(&self, client: &Client) -> Result<Response, Error> {
        match self {
            Call::Text { user, text } => client.send_text(user, text),
            Call::Send { user, message } => client.send(user, message),
            Call::PrivateReply { comment, message } => client.send_private_reply(comment, message),
            Call::Upload { kind, url } => client.upload(*kind, url),
        }
    }
}

impl Call {
    /// The body that the call would send, made without sending it.
    fn json(&self) -> Option<Result<String, Error>> {
        match self {
            Call::Text { user, text } => Some(Message::text(text).to_json(user)),
            Call::Send { user, message } => Some(message.to_json(user)),
            Call::PrivateReply { comment, message } => Some(message.to_private_reply_json(comment)),
            Call::Upload { .. } => None,
        }
    }
}

/// All the ways to say it; or why there is none.
fn calls(mut send: Fields) -> Result<Vec<Call>, &'static str> {
    let calls = calls_of(&mut send);
    if calls.is_err() {
        send.set_all_aside();
    }
    calls
}

fn calls_of(send: &mut Fields) -> Result<Vec<Call>, &'static str> {
    let kind = send.text("kind");
    if kind == "upload" {
        let kind = media_kind(&send.text("media")).unwrap();
        assert!(send.flag("reusable"), "{}: an upload is always for later use", send.place());
        return Ok(vec![Call::Upload { kind, url: send.text("url") }]);
    }
    if !send.has("to") {
        return Err(NO_RECIPIENT);
    }
    let mut to = send.object("to");
    let (user, comment) = (to.optional_text("user"), to.optional_text("comment"));
    let plain_text = plain_text(send, &kind);
    let message = message(send, &kind)?;
    match (user, comment) {
        (Some(user), None) => {
            let text = plain_text.map(|text| Call::Text { user: user.clone(), text });
            Ok(text.into_iter().chain([Call::Send { user, message }]).collect())
        }
        (None, Some(comment)) => Ok(vec![Call::PrivateReply { comment, message }]),
        (Some(_), Some(_)) => Err(TWO_RECIPIENTS),
        (None, None) => Err(NO_RECIPIENT),
    }
}

/// The text, if that is all.
fn plain_text(send: &Fields, kind: &str) -> Option<String> {
    let has_options = ["reply_to", "messaging_type", "tag"].iter().any(|name| send.has(name));
    send.peek("text").filter(|_| kind == "text" && !has_options).map(str::to_owned)
}

fn message(send: &mut Fields, kind: &str) -> Result<Message, &'static str> {
    let mut message = match kind {
        "text" => Message::text(&send.text("text")),
        "quick_replies" => quick_replies(send)?,
        "button_template" => button_template(send)?,
        "generic_template" => send.objects("cards").iter_mut().fold(Message::cards(), add_card),
        "images" => send.objects("images").iter_mut().fold(Message::images(), add_image),
        "sticker_heart" => Message::heart(),
        "share_post" => Message::post(&send.text("post_id")),
        "react" => Message::reaction(&send.text("message_id"), send.text("reaction").as_str()),
        "unreact" => Message::reaction(&send.text("message_id"), None),
        "typing_on" => Message::action(Action::TypingOn),
        "typing_off" => Message::action(Action::TypingOff),
        "mark_seen" => Message::action(Action::MarkSeen),
        other => match media_kind(other) {
            Some(kind) => attachment(send, kind)?,
            None => panic!("{}: the kind {other} is unknown", send.place()),
        },
    };
    if let Some(message_id) = send.optional_text("reply_to") {
        message = message.reply_to(&message_id);
    }
    if let Some(messaging_type) = send.optional_text("messaging_type") {
        message = message.messaging_type(&messaging_type);
    }
    if let Some(tag) = send.optional_text("tag") {
        message = message.tag(&tag);
    }
    Ok(if send.flag("reusable") { message.reusable() } else { message })
}

fn media_kind(name: &str) -> Option<AttachmentKind> {
    match name {
        "image" => Some(AttachmentKind::Image),
        "video" => Some(AttachmentKind::Video),
        "audio" => Some(AttachmentKind::Audio),
        "file" => Some(AttachmentKind::File),
        _ => None,
    }
}

fn attachment(send: &mut Fields, kind: AttachmentKind) -> Result<Message, &'static str> {
    match (send.optional_text("url"), send.optional_text("attachment_id")) {
        (Some(url), None) => Ok(Message::attachment(kind, &url)),
        (None, Some(id)) => Ok(Message::attachment_id(kind, &id)),
        (Some(_), Some(_)) => Err(TWO_SOURCES),
        (None, None) => panic!("{}: neither url nor attachment_id", send.place()),
    }
}

fn add_image(images: Message, image: &mut Fields) -> Message {
    match image.optional_text("url") {
        Some(url) => images.image(&url),
        None => images.image_id(&image.text("attachment_id")),
    }
}

fn quick_replies(send: &mut Fields) -> Result<Message, &'static str> {
    let mut options = send.objects("options");
    if options.is_empty() {
        return Err(NO_QUICK_REPLIES);
    }
    let add = |message: Message, option: &mut Fields| {
        let (title, payload) = (option.optional_text("title"), option.optional_text("payload"));
        let (title, payload) = (title.as_deref(), payload.as_deref());
        match option.optional_text("ask").as_deref() {
            Some("phone") => message.contact_reply(ContactKind::Phone, title, payload),
            Some("email") => message.contact_reply(ContactKind::Email, title, payload),
            Some(other) => panic!("{}: asks for {other}", option.place()),
            None => message.quick_reply(title.unwrap(), payload.unwrap()),
        }
    };
    Ok(options.iter_mut().fold(Message::text(&send.text("text")), add))
}

fn button_template(send: &mut Fields) -> Result<Message, &'static str> {
    let mut buttons = send.objects("buttons");
    if buttons.is_empty() {
        return Err(NO_BUTTONS);
    }
    Ok(buttons.iter_mut().fold(Message::text(&send.text("text")), add_button))
}

fn add_button(message: Message, button: &mut Fields) -> Message {
    let title = button.text("title");
    match button.optional_text("link") {
        Some(url) => message.link_button(&title, &url),
        None => message.postback_button(&title, &button.text("postback")),
    }
}

fn add_card(cards: Message, card: &mut Fields) -> Message {
    let (title, subtitle) = (card.text("title"), card.optional_text("subtitle"));
    let (image_url, link_url) = (card.optional_text("image_url"), card.optional_text("tap_url"));
    let message = cards.card(&title, subtitle.as_deref(), image_url.as_deref(), link_url.as_deref());
    let mut buttons = if card.has("buttons") { card.objects("buttons") } else { Vec::new() };
    buttons.iter_mut().fold(message, add_button)
}
