//! Webhook deliveries as HookMyApp makes and signs them.

use serde_json::{Value, json};

use super::samples::{ACCOUNT_ID, USER};

pub const SECRET: &str = "whsec_9f2c41d07be84aa6";

/// The value of the signature header.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body);
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A text from the user.
pub fn message(mid: &str, text: &str) -> Value {
    json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT_ID}, "timestamp": 1_782_900_000_123_u64,
        "message": {"mid": mid, "text": text}})
}

/// One entry with these items.
pub fn delivery(items: &[Value]) -> String {
    json!({"object": "instagram", "entry": [{"id": ACCOUNT_ID, "messaging": items}]}).to_string()
}
