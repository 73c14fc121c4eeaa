//! Any bytes and NULLs through the C functions: a status and defined out-parameters, never a crash.
#![no_main]

use std::ffi::{CString, c_char};
use std::ptr;

use hookmyapp::capi::{client::*, config::*, message::*, response::*, status::*};
use libfuzzer_sys::{arbitrary::Arbitrary, fuzz_target};

#[derive(Arbitrary, Debug)]
struct Input {
    start: u8,
    kind: i32,
    texts: [Option<Vec<u8>>; 8],
    calls: Vec<(u8, u8, u8)>,
}

fuzz_target!(|input: Input| {
    let texts =
        input.texts.map(|text| text.map(|bytes| CString::new(bytes.split(|byte| *byte == 0).next().unwrap()).unwrap()));
    let text =
        |at: u8| -> *const c_char { texts[usize::from(at % 8)].as_ref().map_or(ptr::null(), |text| text.as_ptr()) };
    // SAFETY: every pointer is NULL or a NUL-terminated text that lives until the end, every out-pointer is a local.
    unsafe {
        let mut message = match input.start % 6 {
            0 => hma_message_text(text(0)),
            1 => hma_message_attachment(input.kind, text(0)),
            2 => hma_message_images(),
            3 => hma_message_cards(),
            4 => hma_message_reaction(text(0), text(1)),
            _ => hma_message_action(input.kind),
        };
        for (call, one, two) in input.calls.iter().take(64) {
            let message = Some(&mut *message);
            match call % 10 {
                0 => hma_message_add_image(message, text(*one)),
                1 => hma_message_add_image_id(message, text(*one)),
                2 => hma_message_add_quick_reply(message, text(*one), text(*two)),
                3 => hma_message_add_contact_reply(message, input.kind, text(*one), text(*two)),
                4 => hma_message_add_card(message, text(*one), text(*two), text(0), text(1)),
                5 => hma_message_add_link_button(message, text(*one), text(*two)),
                6 => hma_message_add_postback_button(message, text(*one), text(*two)),
                7 => hma_message_set_tag(message, text(*one)),
                8 => hma_message_set_reply_to(message, text(*one)),
                _ => hma_message_set_reusable(message),
            }
        }
        // Nobody listens at port 1, so that what is not refused here is not sent there.
        let config = hma_config_new(c"http://127.0.0.1:1".as_ptr(), c"1".as_ptr(), c"t".as_ptr());
        let (mut client, mut response, mut error) = (ptr::dangling_mut(), ptr::dangling_mut(), ptr::dangling_mut());
        assert_eq!(hma_client_new(Some(&config), &mut client, &mut error), HMA_OK);
        assert!(error.is_null());
        for send in 0..3 {
            let status = match send {
                0 => hma_send(client.as_ref(), text(2), Some(&message), &mut response, &mut error),
                1 => hma_send_text(client.as_ref(), text(2), text(3), &mut response, &mut error),
                _ => hma_send_json(client.as_ref(), text(4), &mut response, &mut error),
            };
            assert!(status == HMA_ERROR_ARGUMENT || status == HMA_ERROR_CONNECT, "{status}");
            assert!(response.is_null() && !error.is_null());
            hma_string_free(error);
        }
        hma_response_free(None);
        hma_client_free((!client.is_null()).then(|| Box::from_raw(client)));
        hma_message_free(Some(message));

        let mut config = hma_config_new(text(5), text(6), text(7));
        hma_config_set_proxy(Some(&mut config), text(0));
        hma_config_set_ca_file(Some(&mut config), text(1));
        let status = hma_client_new(Some(&config), &mut client, &mut error);
        assert_eq!(status == HMA_OK, error.is_null());
        assert_eq!(status == HMA_OK, !client.is_null());
        hma_string_free(error);
        hma_client_free((!client.is_null()).then(|| Box::from_raw(client)));
        hma_config_free(Some(config));
    }
});
