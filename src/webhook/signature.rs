//! Signs and verifies a delivery: HMAC-SHA-256 over the bytes of its body, compared in constant time.

use ring::hmac;

use crate::error::{Error, ErrorKind};

const TAG_BYTES: usize = 32;

/// Verifies the `X-HookMyApp-Signature-256` header of a webhook delivery: HMAC-SHA-256 over the unmodified bytes of
/// `body`. Do not parse and print the JSON before: that changes the bytes.
///
/// `secret` is the value of `WEBHOOK_HMAC_SECRET`, see [`Config::webhook_secret`](crate::Config::webhook_secret).
/// `signature` is the value of the header, or `None` if the delivery has none: 64 hexadecimal digits in either case,
/// with or without the prefix `sha256=`.
///
/// Fails with [`ErrorKind::Signature`] in every other case, also for a missing or empty secret or header. Respond 401
/// and do not read the body. The comparison takes the same time for every invalid signature of valid length. The error
/// contains neither the secret nor the signature.
///
/// ```
/// # use hookmyapp::{ErrorKind, webhook};
/// let signature = "sha256=fee73cb8161efbea630f8ff7a2b0f2ae6d7b4e1990de6b3915fb39ca828bf074";
/// assert!(webhook::verify("whsec_9f2c41d07be84aa6", signature, b"").is_ok());
/// assert_eq!(webhook::verify("whsec_9f2c41d07be84aa6", None, b"").unwrap_err().kind(), ErrorKind::Signature);
/// ```
pub fn verify<'a>(secret: &str, signature: impl Into<Option<&'a str>>, body: &[u8]) -> Result<(), Error> {
    if secret.is_empty() {
        return Err(refused("secret: must not be empty, set it to the value of WEBHOOK_HMAC_SECRET"));
    }
    let Some(signature) = signature.into().filter(|signature| !signature.is_empty()) else {
        return Err(refused("signature: the delivery has no X-HookMyApp-Signature-256 header, or an empty one"));
    };
    let Some(tag) = tag(signature) else {
        return Err(refused("signature: must be 64 hexadecimal digits, with or without sha256= in front"));
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, body, &tag).map_err(|_| refused("signature: does not fit the body and the secret"))
}

/// Returns the value of the `X-HookMyApp-Signature-256` header for a body: `sha256=` and 64 hexadecimal digits. It is
/// for tests of receivers; HookMyApp signs the real deliveries.
///
/// Fails with [`ErrorKind::Argument`](crate::ErrorKind::Argument) for an empty secret.
///
/// ```
/// # use hookmyapp::webhook;
/// let signature = webhook::sign("secret", b"{}")?;
/// assert!(webhook::verify("secret", signature.as_str(), b"{}").is_ok());
/// # Ok::<(), hookmyapp::Error>(())
/// ```
pub fn sign(secret: &str, body: &[u8]) -> Result<String, Error> {
    if secret.is_empty() {
        return Err(Error::argument("secret: must not be empty"));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut signature = String::from("sha256=");
    for byte in hmac::sign(&key, body).as_ref() {
        signature.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    Ok(signature)
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::Signature, reason)
}

/// Returns the bytes that the header contains in hexadecimal digits.
fn tag(signature: &str) -> Option<[u8; TAG_BYTES]> {
    let digits = signature.strip_prefix("sha256=").unwrap_or(signature).as_bytes();
    let mut tag = [0; TAG_BYTES];
    if digits.len() != 2 * TAG_BYTES {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *byte = *byte << 4 | char::from(*digit).to_digit(16)? as u8;
        }
    }
    Some(tag)
}
