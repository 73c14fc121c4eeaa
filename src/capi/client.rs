//! Clients and sends, from C.

use std::ffi::c_char;
use std::time::Duration;

use super::config::hma_config;
use super::ffi::{ErrorOut, StrArg, catch_panic, init_out};
use super::message::{attachment_kind, hma_attachment_kind, hma_message, require_message};
use super::response::{SendOut, hma_response};
use super::status::hma_status;
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;

/// Sends messages as one Instagram account, and keeps connections for the next
/// send. Create one and share it.
///
/// Threads: any number of threads may send through one client at once.
pub struct hma_client(pub(super) Client);

/// Creates a client. Opens no connection, and copies the configuration.
///
/// On success you own `*client_out`; free it with hma_client_free(). On failure
/// it is NULL. `HMA_ERROR_CONFIG` names every setting that is missing or
/// invalid. `HMA_ERROR_ARGUMENT` is a NULL `config` or `client_out`.
///
/// The HTTP library inside reads the environment variables ALL_PROXY,
/// HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in lower case. hookmyapp ignores
/// the result and uses the proxy of the configuration. No other thread may
/// change the environment at the same time, as with getenv().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_client_new(
    config: Option<&hma_config>,
    client_out: *mut *mut hma_client,
    error_out: *mut *mut c_char,
) -> hma_status {
    let make = || Client::new(&config.ok_or_else(|| Error::argument("config: must not be NULL"))?.0);
    // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
    unsafe { make_client(make, client_out, error_out) }
}

/// Creates a client from the environment: hma_config_from_env() and
/// hma_client_new() in one call. No other thread may change the environment at
/// the same time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_client_from_env(
    client_out: *mut *mut hma_client,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Outputs" in the header: an *_out argument is NULL or may be written.
    unsafe { make_client(|| Client::new(&Config::from_env()), client_out, error_out) }
}

/// Ends all calls of this client, in all threads, and rejects new ones. For a
/// daemon that stops. Does nothing on NULL.
///
/// A send whose request had left ends as `HMA_ERROR_LOST`. Every other send
/// ends as `HMA_ERROR_CONNECT`, and so does every later one. A connection that
/// is being opened ends at once on Linux, and within 250 milliseconds
/// elsewhere. Free the client after the sends have returned.
#[unsafe(no_mangle)]
pub extern "C" fn hma_client_shutdown(client: Option<&hma_client>) {
    let _ = catch_panic(|| Ok(client.map(|client| client.0.shutdown())));
}

/// Rejects new calls of this client and waits until the running ones end. After
/// this many milliseconds it does what hma_client_shutdown() does. For a daemon
/// that stops: with a limit of at least the timeout of a send, the outcome of
/// every send is known. Later calls are `HMA_ERROR_CONNECT`.
///
/// Do not call it from a signal handler. Instead, let a thread wait for the
/// signal with sigwait() and call it there:
///
///     static void *stop_on_sigterm(void *client)
///     {
///         sigset_t set;
///         int number;
///
///         sigemptyset(&set);
///         sigaddset(&set, SIGTERM);
///         sigwait(&set, &number);
///         hma_client_drain(client, 80000);
///         return NULL;
///     }
///
/// main() blocks the signal with pthread_sigmask() before it starts any thread.
///
/// Returns how many calls ended as possibly delivered because the limit was
/// over; 0 means that every outcome is known. Returns 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn hma_client_drain(client: Option<&hma_client>, milliseconds: u32) -> usize {
    let limit = Duration::from_millis(milliseconds.into());
    catch_panic(|| Ok(client.map_or(0, |client| client.0.drain(limit)))).unwrap_or_default()
}

/// Creates a client that differs from this one only in the timeout of its
/// calls. It shares the connections. Free it with hma_client_free(). The two
/// may be freed in any order.
///
/// The timeout also limits connecting, if the connect timeout is longer. With 0
/// every call is `HMA_ERROR_ARGUMENT`. A short timeout makes more sends end as
/// `HMA_ERROR_LOST`: Meta may take 75 seconds to fetch a video.
/// hma_client_shutdown() and hma_client_drain() on either client apply to both.
/// Returns NULL for NULL; a send through NULL is `HMA_ERROR_ARGUMENT`.
#[unsafe(no_mangle)]
pub extern "C" fn hma_client_with_timeout(client: Option<&hma_client>, milliseconds: u32) -> Option<Box<hma_client>> {
    let timeout = Duration::from_millis(milliseconds.into());
    let make = || Ok(client.map(|client| Box::new(hma_client(client.0.with_timeout(timeout)))));
    catch_panic(make).unwrap_or_default()
}

/// Frees a client and closes its connections. No other thread may use it at the
/// same time. NULL is allowed and does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn hma_client_free(client: Option<Box<hma_client>>) {
    let _ = catch_panic(|| Ok(drop(client)));
}

/// Sends a text to a user and waits for the response.
///
/// `recipient_id` is the Instagram-scoped id (IGSID) of the user: the sender.id
/// of a webhook. `text` has 1 to 1000 bytes of UTF-8; for a longer text see
/// hma_text_part_length(). Neither may be NULL.
///
/// Returns `HMA_OK` if the gateway has accepted the message. `*response_out` is
/// the response, whether the gateway accepted or rejected the message; NULL if
/// no response arrived. `*error_out` is NULL on success, else a one-line text.
/// You own both: free them with hma_response_free() and hma_string_free().
/// Either argument may be NULL. hma_status_delivery() states whether the
/// message was delivered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_send_text(
    client: Option<&hma_client>,
    recipient_id: *const c_char,
    text: *const c_char,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (recipient_id, text, out) = unsafe {
        (StrArg::new("recipient_id", recipient_id), StrArg::new("text", text), SendOut::new(response_out, error_out))
    };
    out.finish(|| require_client(client)?.send_text(recipient_id.argument()?, text.argument()?))
}

/// Sends a message to a user and waits for the response.
///
/// `recipient_id` is the Instagram-scoped id (IGSID) of the user. No input may
/// be NULL. An error stored in `message` is `HMA_ERROR_ARGUMENT`, and nothing
/// is sent. The message is not changed and may be sent again. Results as with
/// hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_send(
    client: Option<&hma_client>,
    recipient_id: *const c_char,
    message: Option<&hma_message>,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (recipient_id, out) =
        unsafe { (StrArg::new("recipient_id", recipient_id), SendOut::new(response_out, error_out)) };
    out.finish(|| require_client(client)?.send(recipient_id.argument()?, &require_message(message)?.0))
}

/// Sends a message to the author of a comment (Meta's private reply) and waits
/// for the response. Meta allows one for each comment, within 7 days.
///
/// `comment_id` is the id of the comment. Sender actions and reactions need a
/// user and are `HMA_ERROR_ARGUMENT`. No input may be NULL. Results as with
/// hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_send_private_reply(
    client: Option<&hma_client>,
    comment_id: *const c_char,
    message: Option<&hma_message>,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (comment_id, out) = unsafe { (StrArg::new("comment_id", comment_id), SendOut::new(response_out, error_out)) };
    out.finish(|| require_client(client)?.send_private_reply(comment_id.argument()?, &require_message(message)?.0))
}

/// Sends a request body unmodified and waits for the response. For content that
/// hma_message does not support.
///
/// `body` must be a JSON object. Anything else is `HMA_ERROR_ARGUMENT` with
/// line and column. No input may be NULL. Results as with hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_send_json(
    client: Option<&hma_client>,
    body: *const c_char,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (body, out) = unsafe { (StrArg::new("body", body), SendOut::new(response_out, error_out)) };
    out.finish(|| require_client(client)?.send_json(body.argument()?))
}

/// Uploads media for later use and waits for the response.
/// hma_response_attachment_id() then returns the id for
/// hma_message_attachment_id().
///
/// `url` is absolute, http or https, and must not be NULL. Meta fetches it.
/// Meta documents this call; whether the gateway supports it is not confirmed.
/// The call sends no message, so repeating it after a 3x status is harmless: at
/// worst Meta stores the media twice. Results as with hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_upload(
    client: Option<&hma_client>,
    kind: hma_attachment_kind,
    url: *const c_char,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (url, out) = unsafe { (StrArg::new("url", url), SendOut::new(response_out, error_out)) };
    out.finish(|| require_client(client)?.upload(attachment_kind(kind).map_err(Error::argument)?, url.argument()?))
}

/// Reads an object of the Graph API through the gateway and waits for the
/// response. Sends a GET to the base URL, a slash and `path`.
///
/// Examples: "me?fields=user_id,username",
/// "8123456789012345?fields=name,username" and
/// "17841450000000017/conversations?platform=instagram&user_id=8123456789012345".
/// The path includes the query, percent-encoded where necessary.
///
/// It has 1 to 4096 bytes of visible ASCII. It must not contain a leading
/// slash, an empty segment, a backslash, a #, the segments . and .., or the
/// parameter access_token. Any other path, and NULL, is `HMA_ERROR_ARGUMENT`.
///
/// hma_response_body() returns the JSON, up to 1 MiB. A GET changes nothing, so
/// it may be repeated after any error. Meta documents these paths; only the
/// name of a user is confirmed for the gateway. Meta allows 2 calls a second
/// for conversations. Results as with hma_send_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hma_get(
    client: Option<&hma_client>,
    path: *const c_char,
    response_out: *mut *mut hma_response,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: "Strings" and "Outputs" in the header.
    let (path, out) = unsafe { (StrArg::new("path", path), SendOut::new(response_out, error_out)) };
    out.finish(|| require_client(client)?.get(path.argument()?))
}

pub(super) fn require_client(client: Option<&hma_client>) -> Result<&Client, Error> {
    client.map(|client| &client.0).ok_or_else(|| Error::argument("client: must not be NULL"))
}

/// # Safety
/// Each is NULL or points to a pointer that may be overwritten.
unsafe fn make_client(
    make: impl FnOnce() -> Result<Client, Error>,
    client_out: *mut *mut hma_client,
    error_out: *mut *mut c_char,
) -> hma_status {
    // SAFETY: what this function asks of its caller.
    let (client_out, error_out) = unsafe { (init_out(client_out), ErrorOut::new(error_out)) };
    error_out.finish(catch_panic(|| {
        let client_out = client_out.ok_or_else(|| Error::argument("client_out: must not be NULL"))?;
        *client_out = Box::into_raw(Box::new(hma_client(make()?)));
        Ok(())
    }))
}
