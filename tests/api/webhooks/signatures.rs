//! Signatures of webhooks: what passes, what does not, and what the errors repeat.

use std::ffi::CString;
use std::ptr;

use hookmyapp::capi::{status::*, webhook::*};
use hookmyapp::{Delivery, ErrorKind, webhook};

use crate::support::c_api::{CText, Error, made, old, taken};
use crate::support::checks::line;
use crate::support::vectors::{Fields, read_all};
use crate::support::webhook::{SECRET, sign};

#[test]
fn signatures_are_verified_as_their_vectors_say() {
    let mut seen = [0, 0];
    for (_, mut vector) in read_all("signatures") {
        vector.set_aside(&["raw_body_utf8"]);
        let body = decode_base64(&vector.text("raw_body_base64"));
        let (secret, signature) = (vector.text("secret"), signature_header(&mut vector));
        let is_valid = vector.object("expect").flag("signature_valid");
        seen[usize::from(is_valid)] += 1;
        check_signature(vector.place(), &secret, signature.as_deref(), &body, is_valid);
    }
    assert!(seen[0] >= 10 && seen[1] >= 10, "{seen:?}");
}

pub fn signature_header(vector: &mut Fields) -> Option<String> {
    let headers = vector.object("headers").rest();
    headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("x-hookmyapp-signature-256")).map(|(_, value)| value)
}

pub fn check_signature(place: &str, secret: &str, signature: Option<&str>, body: &[u8], is_valid: bool) {
    let in_rust = webhook::verify(secret, signature, body);
    let (status, words) = c_verify(Some(secret), signature, body);
    assert_eq!(in_rust.is_ok(), is_valid, "{place}: {in_rust:?}");
    match in_rust {
        Ok(()) => assert_eq!((status, words), (HMA_OK, None), "{place}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Signature, "{place}");
            assert_eq!((status, words), (HMA_ERROR_SIGNATURE, Some(line(&error))), "{place}");
        }
    }
}

fn c_verify(secret: Option<&str>, signature: Option<&str>, body: &[u8]) -> (hma_status, Option<String>) {
    let (secret, signature, mut error) = (CText::of(secret), CText::of(signature), old());
    // SAFETY: NUL-terminated texts or NULL, a body of that length, and an out-parameter that may be written.
    let status = unsafe {
        hma_webhook_verify(secret.as_ptr(), signature.as_ptr(), body.as_ptr().cast(), body.len(), &mut error)
    };
    (status, taken(error))
}

fn c_sign(secret: Option<&str>, body: &[u8]) -> Result<String, Error> {
    let secret = CText::of(secret);
    // SAFETY: a NUL-terminated text or NULL, a body of that length, and out-parameters that may be written.
    made(|signature, error| unsafe {
        hma_webhook_sign(secret.as_ptr(), body.as_ptr().cast(), body.len(), signature, error)
    })
}

#[test]
fn made_signature_is_the_one_that_others_make() {
    for body in [&b""[..], b"{}", "{\"text\":\"é\0\"}".as_bytes(), &[0xFF; 70_000]] {
        let made = webhook::sign(SECRET, body).unwrap();
        assert_eq!(made, sign(SECRET, body));
        assert_eq!(c_sign(Some(SECRET), body).unwrap(), made);
        assert!(webhook::verify(SECRET, made.as_str(), body).is_ok());
    }
}

#[test]
fn signing_without_a_secret_is_an_argument_error() {
    let error = webhook::sign("", b"{}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert_eq!(line(&error), "secret: must not be empty");
    assert_eq!(c_sign(Some(""), b"{}").unwrap_err().status, HMA_ERROR_ARGUMENT);
    assert_eq!(c_sign(None, b"{}").unwrap_err().status, HMA_ERROR_ARGUMENT);
}

#[test]
fn malformed_signature_is_rejected_and_not_repeated() {
    let body = b"{}";
    let good = sign(SECRET, body);
    let digits = good.strip_prefix("sha256=").unwrap();
    for bad in [
        "",
        "sha256=",
        "sha256",
        &digits[1..],
        &format!("{digits}0"),
        &format!("SHA256={digits}"),
        &format!("sha256=sha256={digits}"),
        &format!(" {good}"),
        &format!("{good} "),
        &format!("{good},{good}"),
        &format!("sha256:{digits}"),
        &format!("sha512={digits}"),
        &digits.replace(|c: char| c.is_ascii_digit(), "g"),
        &"é".repeat(32),
        &"0".repeat(64),
        &"0".repeat(1 << 20),
    ] {
        let error = webhook::verify(SECRET, bad, body).expect_err(bad);
        let line = line(&error);
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Signature, Delivery::NotSent), "{bad:?}");
        assert!(!line.contains(SECRET) && !line.contains(&digits[..8]) && line.len() < 120, "{line}");
        assert_eq!(c_verify(Some(SECRET), Some(bad), body), (HMA_ERROR_SIGNATURE, Some(line)), "{bad:?}");
    }
    assert!(webhook::verify(SECRET, &*good, body).is_ok());
    assert!(webhook::verify("another", &*good, body).is_err());
}

#[test]
fn signature_fails_if_any_bit_of_the_body_changes() {
    let body = br#"{"object":"instagram"}"#;
    let signature = sign(SECRET, body);
    for bit in 0..8 * body.len() {
        let mut changed = *body;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(webhook::verify(SECRET, &*signature, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn missing_secret_signature_or_body_never_passes_in_c() {
    let signed_with_nothing = sign("", b"");
    for secret in [None, Some("")] {
        assert_eq!(c_verify(secret, Some(&signed_with_nothing), b"").0, HMA_ERROR_SIGNATURE);
    }
    assert_eq!(c_verify(Some(SECRET), None, b"").0, HMA_ERROR_SIGNATURE);
    let (secret, signature) = (CString::new(SECRET).unwrap(), CString::new(sign(SECRET, b"")).unwrap());
    let mut error = old();
    // SAFETY: texts with a NUL behind them, and NULL where the header allows it.
    unsafe {
        let (secret, signature) = (secret.as_ptr(), signature.as_ptr());
        assert_eq!(hma_webhook_verify(secret, signature, ptr::null(), 0, &mut error), HMA_OK);
        assert!(error.is_null());
        assert_eq!(hma_webhook_verify(secret, signature, ptr::null(), 1, &mut error), HMA_ERROR_ARGUMENT);
        assert!(taken(error).unwrap().contains("body"));
        assert_eq!(hma_webhook_verify(secret, signature, ptr::null(), 1, ptr::null_mut()), HMA_ERROR_ARGUMENT);
        assert_eq!(hma_webhook_verify(c"\xff".as_ptr(), signature, ptr::null(), 0, &mut error), HMA_ERROR_ARGUMENT);
        assert!(taken(error).unwrap().contains("secret"));
        assert_eq!(hma_webhook_verify(secret, c"\xff".as_ptr(), ptr::null(), 0, &mut error), HMA_ERROR_SIGNATURE);
        assert!(taken(error).unwrap().contains("signature"));
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> =
        text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)).map(|at| at as u32).collect();
    digits
        .chunks(4)
        .flat_map(|four| {
            let bits = (0..4).fold(0, |bits, at| bits << 6 | four.get(at).copied().unwrap_or(0));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}
