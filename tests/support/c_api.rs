//! The exported functions under the names of the Rust API, so that one test covers both.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr;
use std::time::Duration;

pub use hookmyapp::{Action, AttachmentKind, ContactKind, Delivery, ErrorKind};

use hookmyapp::capi::client::*;
use hookmyapp::capi::config::*;
use hookmyapp::capi::message::*;
use hookmyapp::capi::response::*;
use hookmyapp::capi::status::*;

/// A text as C hands it in.
pub struct CText(Option<CString>);

impl CText {
    pub fn of<'a>(text: impl Into<Option<&'a str>>) -> CText {
        CText(text.into().map(|text| CString::new(text).unwrap()))
    }

    pub fn as_ptr(&self) -> *const c_char {
        self.0.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    }
}

/// A text that is borrowed from the library.
pub fn borrowed<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: the header promises a NUL-terminated text that is good for as long as the object that was asked.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap())
}

/// What was in an out-parameter before the call: nothing that may be kept.
pub fn old<T>() -> *mut T {
    ptr::dangling_mut()
}

/// Takes the error string and frees it as C does.
pub fn taken(string: *mut c_char) -> Option<String> {
    assert_ne!(string, old(), "error_out was not written");
    let text = borrowed(string).map(str::to_owned);
    // SAFETY: it came out of the library and is freed once.
    unsafe { hma_string_free(string) };
    text
}

// Configuration and client

pub struct Config(pub Option<Box<hma_config>>);

impl Config {
    pub fn new(base_url: &str, account_id: &str, access_token: &str) -> Config {
        let (base_url, account_id, token) = (CText::of(base_url), CText::of(account_id), CText::of(access_token));
        // SAFETY: three NUL-terminated texts.
        Config(Some(unsafe { hma_config_new(base_url.as_ptr(), account_id.as_ptr(), token.as_ptr()) }))
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        hma_config_free(self.0.take());
    }
}

pub struct Client(Option<Box<hma_client>>);

impl Client {
    pub fn new(config: &Config) -> Result<Client, Error> {
        let (mut client, mut error) = (old(), old());
        // SAFETY: both out-parameters may be written.
        let status = unsafe { hma_client_new(config.0.as_deref(), &mut client, &mut error) };
        assert_ne!(client, old(), "client_out was not written");
        // SAFETY: the library made it for us alone.
        let client = (!client.is_null()).then(|| unsafe { Box::from_raw(client) });
        assert_eq!(client.is_some(), status == HMA_OK);
        Error::of(status, taken(error), None).map_or(Ok(Client(client)), Err)
    }

    pub fn raw(&self) -> Option<&hma_client> {
        self.0.as_deref()
    }

    pub fn send_text(&self, recipient_id: &str, text: &str) -> Result<Response, Error> {
        let (recipient_id, text) = (CText::of(recipient_id), CText::of(text));
        // SAFETY: NUL-terminated texts, and out-parameters that may be written.
        sent(|response, error| unsafe {
            hma_send_text(self.raw(), recipient_id.as_ptr(), text.as_ptr(), response, error)
        })
    }

    pub fn send(&self, recipient_id: &str, message: &Message) -> Result<Response, Error> {
        let recipient_id = CText::of(recipient_id);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        sent(|response, error| unsafe {
            hma_send(self.raw(), recipient_id.as_ptr(), message.0.as_deref(), response, error)
        })
    }

    pub fn send_private_reply(&self, comment_id: &str, message: &Message) -> Result<Response, Error> {
        let comment_id = CText::of(comment_id);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        sent(|response, error| unsafe {
            hma_send_private_reply(self.raw(), comment_id.as_ptr(), message.0.as_deref(), response, error)
        })
    }

    pub fn send_json(&self, body: &str) -> Result<Response, Error> {
        let body = CText::of(body);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        sent(|response, error| unsafe { hma_send_json(self.raw(), body.as_ptr(), response, error) })
    }

    pub fn get(&self, path: &str) -> Result<Response, Error> {
        let path = CText::of(path);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        sent(|response, error| unsafe { hma_get(self.raw(), path.as_ptr(), response, error) })
    }

    pub fn upload(&self, kind: AttachmentKind, url: &str) -> Result<Response, Error> {
        let url = CText::of(url);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        sent(|response, error| unsafe { hma_upload(self.raw(), kind as i32, url.as_ptr(), response, error) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        hma_client_free(self.0.take());
    }
}

/// Calls a send, and holds it to the rules about its out-parameters.
pub fn sent(send: impl FnOnce(*mut *mut hma_response, *mut *mut c_char) -> hma_status) -> Result<Response, Error> {
    let (mut response, mut error) = (old(), old());
    let status = send(&mut response, &mut error);
    assert_ne!(response, old(), "response_out was not written");
    // SAFETY: the library made it for us alone.
    let response = (!response.is_null()).then(|| Response(Some(unsafe { Box::from_raw(response) })));
    match (hma_status_delivery(status), &response) {
        (HMA_DELIVERY_NOT_SENT, some) => assert!(some.is_none(), "an answer to what was not sent"),
        (HMA_DELIVERY_ACCEPTED | HMA_DELIVERY_REJECTED, none) => assert!(none.is_some(), "no answer with {status}"),
        _ => {}
    }
    match status {
        HMA_OK => {
            assert_eq!(taken(error), None, "an error string on success");
            Ok(response.unwrap())
        }
        _ => Err(Error::of(status, taken(error), response).unwrap()),
    }
}

/// Calls what makes a string. Without a place for the string the outcome is the same.
pub fn made(make: impl Fn(*mut *mut c_char, *mut *mut c_char) -> hma_status) -> Result<String, Error> {
    let (mut string, mut error) = (old(), old());
    let status = make(&mut string, &mut error);
    let (string, error) = (taken(string), taken(error));
    assert_eq!(string.is_some(), status == HMA_OK);
    let mut same_error = old();
    assert_eq!(make(ptr::null_mut(), &mut same_error), status);
    assert_eq!(taken(same_error), error);
    Error::of(status, error, None).map_or_else(|| Ok(string.unwrap()), Err)
}

// Messages

pub struct Message(pub Option<Box<hma_message>>);

impl Message {
    pub fn text(text: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        Message(Some(unsafe { hma_message_text(CText::of(text).as_ptr()) }))
    }

    pub fn attachment(kind: AttachmentKind, url: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        Message(Some(unsafe { hma_message_attachment(kind as i32, CText::of(url).as_ptr()) }))
    }

    pub fn attachment_id(kind: AttachmentKind, id: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        Message(Some(unsafe { hma_message_attachment_id(kind as i32, CText::of(id).as_ptr()) }))
    }

    pub fn images() -> Message {
        Message(Some(hma_message_images()))
    }

    pub fn heart() -> Message {
        Message(Some(hma_message_heart()))
    }

    pub fn post(media_id: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        Message(Some(unsafe { hma_message_post(CText::of(media_id).as_ptr()) }))
    }

    pub fn cards() -> Message {
        Message(Some(hma_message_cards()))
    }

    pub fn reaction<'a>(message_id: &str, reaction: impl Into<Option<&'a str>>) -> Message {
        // SAFETY: a NUL-terminated text, and another one or NULL.
        Message(Some(unsafe { hma_message_reaction(CText::of(message_id).as_ptr(), CText::of(reaction).as_ptr()) }))
    }

    pub fn action(action: Action) -> Message {
        Message(Some(hma_message_action(action as i32)))
    }

    pub fn image(mut self, url: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        unsafe { hma_message_add_image(self.0.as_deref_mut(), CText::of(url).as_ptr()) };
        self
    }

    pub fn image_id(mut self, attachment_id: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        unsafe { hma_message_add_image_id(self.0.as_deref_mut(), CText::of(attachment_id).as_ptr()) };
        self
    }

    pub fn quick_reply(mut self, title: &str, payload: &str) -> Message {
        let (title, payload) = (CText::of(title), CText::of(payload));
        // SAFETY: NUL-terminated texts.
        unsafe { hma_message_add_quick_reply(self.0.as_deref_mut(), title.as_ptr(), payload.as_ptr()) };
        self
    }

    pub fn contact_reply(mut self, kind: ContactKind, title: Option<&str>, payload: Option<&str>) -> Message {
        let (title, payload) = (CText::of(title), CText::of(payload));
        // SAFETY: NUL-terminated texts, or NULL.
        unsafe {
            hma_message_add_contact_reply(self.0.as_deref_mut(), kind as i32, title.as_ptr(), payload.as_ptr());
        }
        self
    }

    pub fn card(
        mut self,
        title: &str,
        subtitle: Option<&str>,
        image_url: Option<&str>,
        link_url: Option<&str>,
    ) -> Message {
        let (title, subtitle) = (CText::of(title), CText::of(subtitle));
        let (image, link) = (CText::of(image_url), CText::of(link_url));
        let message = self.0.as_deref_mut();
        // SAFETY: NUL-terminated texts, or NULL.
        unsafe { hma_message_add_card(message, title.as_ptr(), subtitle.as_ptr(), image.as_ptr(), link.as_ptr()) };
        self
    }

    pub fn link_button(mut self, title: &str, url: &str) -> Message {
        let (title, url) = (CText::of(title), CText::of(url));
        // SAFETY: NUL-terminated texts.
        unsafe { hma_message_add_link_button(self.0.as_deref_mut(), title.as_ptr(), url.as_ptr()) };
        self
    }

    pub fn postback_button(mut self, title: &str, payload: &str) -> Message {
        let (title, payload) = (CText::of(title), CText::of(payload));
        // SAFETY: NUL-terminated texts.
        unsafe { hma_message_add_postback_button(self.0.as_deref_mut(), title.as_ptr(), payload.as_ptr()) };
        self
    }

    pub fn tag(mut self, tag: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        unsafe { hma_message_set_tag(self.0.as_deref_mut(), CText::of(tag).as_ptr()) };
        self
    }

    pub fn messaging_type(mut self, messaging_type: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        unsafe { hma_message_set_messaging_type(self.0.as_deref_mut(), CText::of(messaging_type).as_ptr()) };
        self
    }

    pub fn reply_to(mut self, message_id: &str) -> Message {
        // SAFETY: a NUL-terminated text.
        unsafe { hma_message_set_reply_to(self.0.as_deref_mut(), CText::of(message_id).as_ptr()) };
        self
    }

    pub fn reusable(mut self) -> Message {
        hma_message_set_reusable(self.0.as_deref_mut());
        self
    }

    pub fn to_json(&self, recipient_id: &str) -> Result<String, Error> {
        let recipient_id = CText::of(recipient_id);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        made(|json, error| unsafe { hma_message_json(self.0.as_deref(), recipient_id.as_ptr(), json, error) })
    }

    pub fn to_private_reply_json(&self, comment_id: &str) -> Result<String, Error> {
        let comment_id = CText::of(comment_id);
        // SAFETY: a NUL-terminated text, and out-parameters that may be written.
        made(|json, error| unsafe {
            hma_message_private_reply_json(self.0.as_deref(), comment_id.as_ptr(), json, error)
        })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        hma_message_free(self.0.take());
    }
}

// Answers

pub struct Response(Option<Box<hma_response>>);

/// What 0 and -1 stand for.
fn said<T: PartialEq>(number: T, nothing: T) -> Option<T> {
    (number != nothing).then_some(number)
}

impl Response {
    fn raw(&self) -> Option<&hma_response> {
        self.0.as_deref()
    }

    pub fn http_status(&self) -> u16 {
        hma_response_http_status(self.raw()).try_into().unwrap()
    }

    pub fn message_id(&self) -> Option<&str> {
        borrowed(hma_response_message_id(self.raw()))
    }

    pub fn recipient_id(&self) -> Option<&str> {
        borrowed(hma_response_recipient_id(self.raw()))
    }

    pub fn attachment_id(&self) -> Option<&str> {
        borrowed(hma_response_attachment_id(self.raw()))
    }

    pub fn meta_code(&self) -> Option<i32> {
        said(hma_response_meta_code(self.raw()), 0)
    }

    pub fn meta_subcode(&self) -> Option<i32> {
        said(hma_response_meta_subcode(self.raw()), 0)
    }

    pub fn gateway_code(&self) -> Option<&str> {
        borrowed(hma_response_gateway_code(self.raw()))
    }

    pub fn user_message(&self) -> Option<&str> {
        borrowed(hma_response_user_message(self.raw()))
    }

    pub fn trace_id(&self) -> Option<&str> {
        borrowed(hma_response_trace_id(self.raw()))
    }

    pub fn retry_after(&self) -> Option<Duration> {
        said(hma_response_retry_after(self.raw()), -1).map(|seconds| Duration::from_secs(seconds.try_into().unwrap()))
    }

    pub fn usage_percent(&self) -> Option<i32> {
        said(hma_response_usage_percent(self.raw()), -1)
    }

    /// With the NUL behind it, which must be there.
    pub fn body(&self) -> &[u8] {
        let (body, length) = (hma_response_body(self.raw()), hma_response_body_length(self.raw()));
        // SAFETY: the header promises this many bytes and a NUL behind them.
        let bytes = unsafe { std::slice::from_raw_parts(body.cast::<u8>(), length + 1) };
        assert_eq!(bytes[length], 0);
        &bytes[..length]
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        hma_response_free(self.0.take());
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.http_status(), String::from_utf8_lossy(self.body()))
    }
}

// Errors

/// Status, error string and answer of a call that failed.
#[derive(Debug)]
pub struct Error {
    pub status: hma_status,
    string: String,
    response: Option<Response>,
}

/// Every kind; C knows them as numbers.
pub const KINDS: [ErrorKind; 15] = [
    ErrorKind::Argument,
    ErrorKind::Config,
    ErrorKind::Connect,
    ErrorKind::Signature,
    ErrorKind::Rejected,
    ErrorKind::Auth,
    ErrorKind::RateLimited,
    ErrorKind::WindowClosed,
    ErrorKind::Recipient,
    ErrorKind::Account,
    ErrorKind::Media,
    ErrorKind::Endpoint,
    ErrorKind::Server,
    ErrorKind::Lost,
    ErrorKind::Internal,
];

impl Error {
    /// Every failure comes with a string, and nothing else does.
    fn of(status: hma_status, string: Option<String>, response: Option<Response>) -> Option<Error> {
        assert_eq!(string.is_some(), status != HMA_OK, "{status}: {string:?}");
        string.map(|string| Error { status, string, response })
    }

    pub fn kind(&self) -> ErrorKind {
        KINDS.into_iter().find(|kind| *kind as i32 == self.status).unwrap()
    }

    pub fn delivery(&self) -> Delivery {
        match hma_status_delivery(self.status) {
            HMA_DELIVERY_NOT_SENT => Delivery::NotSent,
            HMA_DELIVERY_REJECTED => Delivery::Rejected,
            HMA_DELIVERY_UNKNOWN => Delivery::Unknown,
            other => panic!("{other} is no delivery of a failure"),
        }
    }

    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.response().and_then(Response::retry_after)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.string)
    }
}

/// The string of a call that was refused because of its arguments.
pub fn argument_error(outcome: Result<Response, Error>, what: impl fmt::Debug) -> String {
    let error = outcome.expect_err(&format!("{what:?} was taken"));
    assert_eq!(error.status, HMA_ERROR_ARGUMENT, "{what:?}: {error}");
    line(&error)
}

/// The error string, which is one line.
pub fn line(error: &Error) -> String {
    assert!(!error.string.trim().is_empty() && !error.string.contains(['\n', '\r']), "{error:?}");
    error.string.clone()
}

/// What C programs show to people.
pub fn everything_shown(error: &Error) -> String {
    format!("{error}\n{}", borrowed(hma_status_text(error.status)).unwrap())
}
