//! What a client must conclude from what it gets.

use serde_json::{Value, json};

/// What a client must conclude, as a status of the hookmyapp library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// 0 accepted, 1x not sent, 2x refused, 3x possibly delivered.
    pub status: u8,
    /// The condition, if this is not the only conclusion; else empty.
    pub when: &'static str,
    /// How long the client must wait before the next send.
    pub wait_seconds: Option<u64>,
}

pub(crate) const fn always(status: u8) -> Conclusion {
    Conclusion { status, when: "", wait_seconds: None }
}

pub(crate) const fn when(status: u8, when: &'static str) -> Conclusion {
    Conclusion { status, when, wait_seconds: None }
}

pub(crate) const fn waits(status: u8, seconds: u64) -> Conclusion {
    Conclusion { status, when: "", wait_seconds: Some(seconds) }
}

pub(crate) fn conclusions_json(conclusions: &[Conclusion]) -> Value {
    let one = |conclusion: &Conclusion| {
        let mut json = json!({"status": conclusion.status, "when": conclusion.when});
        if let Some(seconds) = conclusion.wait_seconds {
            json["wait_seconds"] = seconds.into();
        }
        json
    };
    conclusions.iter().map(one).collect()
}

/// What the client must conclude from a response without a fault.
pub(crate) fn concludes(status: u8) -> &'static [Conclusion] {
    const ALL: [[Conclusion; 1]; 9] = [
        [always(0)],
        [always(20)],
        [always(21)],
        [always(22)],
        [always(23)],
        [always(24)],
        [always(25)],
        [always(26)],
        [always(27)],
    ];
    static SHARED: [[Conclusion; 1]; 9] = ALL;
    SHARED.iter().find(|one| one[0].status == status).map_or(&[], |one| one)
}

pub(crate) fn concludes_from_meta(code: u32, subcode: Option<u32>) -> &'static [Conclusion] {
    concludes(match (code, subcode) {
        (100, Some(33)) => 25,
        (_, Some(2_534_022)) => 23,
        (_, Some(2_534_014)) => 24,
        (_, Some(2_018_008)) => 26,
        (613, _) => 22,
        _ => 20,
    })
}

pub(crate) fn concludes_from_gateway(status: u16, code: &str) -> &'static [Conclusion] {
    concludes(match (status, code) {
        (401, _) => 21,
        (429, _) => 22,
        (_, "SESSION_WINDOW_CLOSED") => 23,
        (_, "SANDBOX_RECIPIENT_MISMATCH") => 24,
        _ => 20,
    })
}
