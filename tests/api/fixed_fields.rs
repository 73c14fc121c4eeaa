//! The send with fields of fixed length: nothing beside the fields is read, written or sent.

use std::ffi::c_char;
use std::ptr;

use hookmyapp::capi::fixed::hma_send_text_fixed;
use hookmyapp::capi::status::{HMA_ERROR_ARGUMENT, HMA_ERROR_CONNECT, HMA_ERROR_WINDOW_CLOSED, HMA_OK, hma_status};
use serde_json::{Value, json};

use crate::support::c_api::{Client, Config};
use crate::support::gateway::{Answer, Gateway};
use crate::support::samples::{ACCOUNT_ID, USER};

const ERROR_SIZE: usize = 120;

/// What a call returned, and both output fields.
#[derive(Debug)]
struct Sent {
    status: hma_status,
    message_id: String,
    error: String,
}

/// Sends with output fields of these sizes that contain something else before.
fn send(client: &Client, recipient: &[u8], text: &[u8], id_size: usize, error_size: usize) -> Sent {
    let (mut id, mut error) = (vec![b'#'; id_size], vec![b'#'; error_size]);
    // SAFETY: each pointer is followed by as many bytes as are passed.
    let status = unsafe {
        hma_send_text_fixed(
            client.raw(),
            recipient.as_ptr().cast(),
            recipient.len(),
            text.as_ptr().cast(),
            text.len(),
            id.as_mut_ptr().cast(),
            id.len(),
            error.as_mut_ptr().cast(),
            error.len(),
        )
    };
    let [message_id, error] = [id, error].map(|field| String::from_utf8(field).unwrap());
    Sent { status, message_id, error }
}

fn start() -> (Gateway, Client) {
    let gateway = Gateway::start().unwrap();
    let client = Client::new(&Config::new(&gateway.base_url(), gateway.account_id(), gateway.token())).unwrap();
    (gateway, client)
}

fn last_body(gateway: &Gateway) -> Value {
    serde_json::from_slice(&gateway.received().last().unwrap().body).unwrap()
}

#[test]
fn neighbouring_field_is_not_sent() {
    let (gateway, client) = start();
    let record = b"Your order is ready.                    CARD 4111111111111111     ";
    let sent = send(&client, format!("{USER}    ").as_bytes(), &record[..40], 250, ERROR_SIZE);
    assert_eq!(sent.status, HMA_OK, "{sent:?}");
    assert_eq!(last_body(&gateway), json!({"recipient": {"id": USER}, "message": {"text": "Your order is ready."}}));
    assert_eq!(sent.error, " ".repeat(ERROR_SIZE));
    let id = sent.message_id.trim_end_matches(' ');
    assert!(id.len() > 50 && !id.contains(' ') && sent.message_id.len() == 250, "{sent:?}");
    assert!(String::from_utf8_lossy(&gateway.received()[0].answer.as_ref().unwrap().body).contains(id));
}

#[test]
fn spaces_and_nul_bytes_at_the_end_of_an_input_are_ignored_and_those_before_are_text() {
    let (gateway, client) = start();
    for (text, expected) in [
        (&b"  two words \0\0 \0"[..], "  two words"),
        (b"Gr\xC3\xBC\xC3\x9Fe\n   ", "Gr\u{fc}\u{df}e\n"),
        (b"exact", "exact"),
    ] {
        let recipient = format!("{USER}\0 \0");
        let sent = send(&client, recipient.as_bytes(), text, 0, ERROR_SIZE);
        assert_eq!(sent.status, HMA_OK, "{sent:?}");
        assert_eq!(last_body(&gateway)["message"]["text"], expected);
    }
}

#[test]
fn invalid_input_field_is_rejected_by_name_and_nothing_is_sent() {
    let (gateway, client) = start();
    let user = USER.as_bytes();
    for (recipient, text, reason) in [
        (user, &b"   \0 "[..], "text: "),
        (user, b"", "text: "),
        (b"      ", b"Hello", "recipient_id: "),
        (b"@alice", b"Hello", "recipient_id: "),
        (user, b"first\0second", "text: must not contain a NUL byte, as at byte 5"),
        (b"81\x00234", b"Hello", "recipient_id: must not contain a NUL byte, as at byte 2"),
        (user, b"caf\xE9 ", "text: not UTF-8 at byte 3"),
    ] {
        let sent = send(&client, recipient, text, 20, ERROR_SIZE);
        assert_eq!(sent.status, HMA_ERROR_ARGUMENT, "{sent:?}");
        assert!(sent.error.starts_with(reason), "{sent:?}");
        assert_eq!(sent.message_id, " ".repeat(20));
    }
    assert_eq!(gateway.received().len(), 0);
}

#[test]
fn output_that_does_not_fit_ends_with_three_dots() {
    let (gateway, client) = start();
    let whole = send(&client, b"@alice", b"Hello", 0, 500).error;
    let cut = send(&client, b"@alice", b"Hello", 0, 20).error;
    assert_eq!((&cut[..17], &cut[17..]), (&whole[..17], "..."));
    let sent = send(&client, USER.as_bytes(), b"Hello", 10, 0);
    assert_eq!((sent.status, &sent.message_id[7..], sent.message_id.len()), (HMA_OK, "...", 10));
    assert_eq!(gateway.received().len(), 1);
}

#[test]
fn rejection_and_failed_connection_have_a_status_and_a_text_but_no_id() {
    let (gateway, client) = start();
    gateway.answer_next(Answer::json(403, &json!({"code": "SESSION_WINDOW_CLOSED", "message": "Closed."})));
    let rejected = send(&client, USER.as_bytes(), b"Hello", 20, 200);
    assert_eq!((rejected.status, rejected.message_id), (HMA_ERROR_WINDOW_CLOSED, " ".repeat(20)));
    assert!(rejected.error.starts_with("Instagram API error 403: ") && rejected.error.ends_with(' '));
    let unreachable = Client::new(&Config::new("http://127.0.0.1:9", ACCOUNT_ID, "token")).unwrap();
    assert_eq!(send(&unreachable, USER.as_bytes(), b"Hello", 20, 200).status, HMA_ERROR_CONNECT);
}

#[test]
fn null_is_allowed_only_for_fields_without_bytes() {
    let (gateway, client) = start();
    let (user, text) = (USER.as_ptr().cast::<c_char>(), "Hello".as_ptr().cast::<c_char>());
    let (none, nowhere) = (ptr::null(), ptr::null_mut());
    let call = |to, to_length, text, text_length, id_size, error_size| {
        // SAFETY: a pointer that is not NULL is followed by as many bytes as are passed.
        unsafe {
            hma_send_text_fixed(client.raw(), to, to_length, text, text_length, nowhere, id_size, nowhere, error_size)
        }
    };
    assert_eq!(call(none, 3, text, 5, 0, 0), HMA_ERROR_ARGUMENT);
    assert_eq!(call(user, USER.len(), none, 3, 0, 0), HMA_ERROR_ARGUMENT);
    assert_eq!(call(user, USER.len(), none, 0, 0, 0), HMA_ERROR_ARGUMENT);
    assert_eq!(call(user, USER.len(), text, 5, 1, 0), HMA_ERROR_ARGUMENT);
    assert_eq!(call(user, USER.len(), text, 5, 0, 1), HMA_ERROR_ARGUMENT);
    assert_eq!(gateway.received().len(), 0);
    assert_eq!(call(user, USER.len(), text, 5, 0, 0), HMA_OK);
    // SAFETY: all inputs are readable.
    let without_client = unsafe { hma_send_text_fixed(None, user, 16, text, 5, nowhere, 0, nowhere, 0) };
    assert_eq!(without_client, HMA_ERROR_ARGUMENT);
    assert_eq!(gateway.received().len(), 1);
}

#[test]
fn output_may_share_memory_with_an_input() {
    let (gateway, client) = start();
    let mut field = *b"Hello                                   ";
    let pointer = field.as_mut_ptr().cast::<c_char>();
    let user = USER.as_ptr().cast();
    // SAFETY: all fields have these many bytes, and the header allows an output to share memory with an input.
    let status =
        unsafe { hma_send_text_fixed(client.raw(), user, USER.len(), pointer, 40, pointer, 40, ptr::null_mut(), 0) };
    assert_eq!(status, HMA_OK);
    assert_eq!(last_body(&gateway)["message"]["text"], "Hello");
    assert!(field.ends_with(b"..."), "{field:?}");
}
