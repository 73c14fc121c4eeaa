//! Maps the HTTP status, Meta's code and subcode, and the gateway's own code to an `ErrorKind`.
//!
//! A test compares the tables with `docs/protocol.md` 6.3, whose order they follow.

use crate::error::ErrorKind::{self, *};

/// The codes of a response that reports an error.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ErrorCodes<'a> {
    pub(super) http_status: u16,
    /// Meta's code and subcode, if the body is in Meta's envelope.
    pub(super) meta: Option<(i32, Option<i32>)>,
    /// Whether Meta's envelope marks the error as transient.
    pub(super) is_transient: bool,
    pub(super) gateway_code: Option<&'a str>,
    pub(super) body: BodyFormat,
}

/// Who can have written the body, judged by its format.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum BodyFormat {
    /// The body is in Meta's or the gateway's envelope, or it is incomplete and may be.
    #[default]
    Known,
    /// The body is a JSON object in neither envelope.
    UnknownObject,
    /// The body is not a JSON object.
    NotAnObject,
}

/// Subcodes that are valid under one code only. They are checked first.
const BY_CODE_AND_SUBCODE: &[(i32, i32, ErrorKind)] =
    &[(1, 99, Account), (100, 33, Account), (613, 1996, RateLimited), (613, 2534040, RateLimited)];

/// Subcodes that decide under any code.
const BY_SUBCODE: &[(i32, ErrorKind)] = &[
    (1357046, Server),      // "invalid JSON reply", yet the messages went out
    (1545133, Server),      // transient
    (2018344, Rejected),    // custom labels terms not accepted
    (2018354, Rejected),    // marketing-message spacing
    (2018352, RateLimited), // opt-in limit of marketing messages
    (2534022, WindowClosed),
    (2018278, WindowClosed), // Messenger's
    (2018065, WindowClosed), // names the news permission
    (2018108, Recipient),    // cannot receive now
    (1893063, Account),      // restricted from sending for a time
    (2534077, Account),      // link of account, Page and login
    (1404170, Rejected),     // marketing
    (1893015, Rejected),     // marketing
    (2018336, Rejected),     // menu
    (2018001, Recipient),    // no matching user
    (2534014, Recipient),    // no such user, or an account id
    (2534015, Rejected),     // data not allowed for this kind
    (2534025, Rejected),     // comment not valid for a private reply
    (2534029, Account),      // blocked from the messaging API
    (2534037, Rejected),     // not the thread's owner
    (2534013, Account),      // Page not linked
    (2534068, Rejected),     // several images not available
    (2018008, Media),        // could not be fetched
    (2018047, Media),        // type does not fit
    (2018074, Media),        // attachment id invalid or not owned
    (2018109, Media),        // too large
    (2018294, Media),        // video timed out or broken
    (2018014, Rejected),     // message and state together
    (2018164, Account),      // invalid app id
    (2018320, Rejected),     // product template
    (2018328, Rejected),     // product template
    (1545041, Recipient),    // person not available
    (2018021, Account),      // app not live
    (2018027, Account),      // role missing
    (2018028, Account),      // role missing
    (2534041, Account),      // owner switched off message access
    (2018338, RateLimited),  // abuse warning about tags
    (2018300, Rejected),     // another app controls the thread
    (2534001, Rejected),     // thread archived
    (2534039, Rejected),     // private reply
    (2534040, Rejected),     // private reply; a rate limit under 613
];

/// Codes without a subcode, or with an unlisted one.
const BY_CODE: &[(i32, ErrorKind)] = &[
    (-1, Server),           // unknown
    (1, Server),            // unknown
    (2, Server),            // service trouble
    (3, Account),           // app lacks the capability
    (4, RateLimited),       // application
    (10, Account),          // permission
    (17, RateLimited),      // account
    (32, RateLimited),      // Page
    (100, Rejected),        // bad parameter
    (102, Account),         // session
    (190, Account),         // token at Meta
    (200, Account),         // permission
    (230, Recipient),       // this user never wrote
    (341, RateLimited),     // application
    (368, Account),         // blocked for policy
    (506, Rejected),        // duplicate
    (551, Recipient),       // person does not receive now
    (613, RateLimited),     // custom
    (2022, Account),        // commerce messages switched off
    (2500, Rejected),       // unknown path
    (10900, Rejected),      // private reply not found
    (10903, Rejected),      // private reply used
    (36103, Account),       // account not eligible
    (80001, RateLimited),   // Page by use case
    (80002, RateLimited),   // Instagram by use case
    (80006, RateLimited),   // Messenger by use case
    (2018300, Rejected),    // another app controls the thread
    (2018321, RateLimited), // automatic question flow
    (9000001, Rejected),    // message was deleted
];

const BY_GATEWAY_CODE: &[(&str, ErrorKind)] =
    &[("SESSION_WINDOW_CLOSED", WindowClosed), ("SANDBOX_RECIPIENT_MISMATCH", Recipient)];

/// Returns the kind of a failure. The subcode decides first, then the code, then the gateway's own code, then the HTTP
/// status.
pub(super) fn classify(codes: ErrorCodes<'_>) -> ErrorKind {
    let by_meta = codes.meta.and_then(|(code, subcode)| {
        let by_pair =
            BY_CODE_AND_SUBCODE.iter().find(|row| Some((row.0, row.1)) == subcode.map(|subcode| (code, subcode)));
        let by_subcode = || BY_SUBCODE.iter().find(|row| Some(row.0) == subcode).map(|row| row.1);
        let by_code = || BY_CODE.iter().find(|row| row.0 == code).map(|row| row.1);
        let transient = codes.is_transient.then_some(Server);
        by_pair.map(|row| row.2).or_else(by_subcode).or_else(by_code).or(transient)
    });
    let by_gateway = || {
        let code = codes.gateway_code.filter(|_| !(200..300).contains(&codes.http_status))?;
        BY_GATEWAY_CODE.iter().find(|row| row.0 == code).map(|row| row.1)
    };
    by_meta.or_else(by_gateway).unwrap_or_else(|| by_http_status(codes))
}

fn by_http_status(codes: ErrorCodes<'_>) -> ErrorKind {
    match codes.http_status {
        401 if codes.meta.is_none() => Auth,
        // A server that does not serve this path, or a firewall in between.
        301 | 302 | 307 | 308 | 404 | 405 | 410 | 421 | 426 if codes.body != BodyFormat::Known => Endpoint,
        403 if codes.body == BodyFormat::NotAnObject => Endpoint,
        429 => RateLimited,
        // A server stopped waiting, but the one behind it may have continued.
        408 | 460 | 499 => Server,
        // The other redirects do not state that the POST was not performed. 303 states that it was.
        301 | 302 | 307 | 308 | 400..=499 => Rejected,
        200..=299 | 500..=599 => Server,
        _ => Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(http_status: u16, code: i32, subcode: Option<i32>) -> ErrorKind {
        classify(ErrorCodes { http_status, meta: Some((code, subcode)), ..ErrorCodes::default() })
    }

    #[test]
    fn the_subcode_decides_before_the_code_and_the_code_before_the_status() {
        assert_eq!(meta(400, 200, Some(1545041)), Recipient);
        assert_eq!(meta(500, 200, None), Account);
        assert_eq!(meta(500, 10, Some(2534022)), WindowClosed);
        assert_eq!(meta(400, 100, Some(7)), Rejected);
    }

    #[test]
    fn some_subcodes_count_under_their_code_only() {
        assert_eq!(meta(400, 613, Some(2534040)), RateLimited);
        assert_eq!(meta(400, 100, Some(2534040)), Rejected);
        assert_eq!(meta(400, 1, Some(99)), Account);
        assert_eq!(meta(400, 190, Some(99)), Account);
        assert_eq!(meta(400, 4, Some(33)), RateLimited);
        assert_eq!(meta(400, 613, Some(1996)), RateLimited);
    }

    #[test]
    fn an_unlisted_code_is_judged_by_the_status() {
        assert_eq!(meta(401, 778899, None), Rejected);
        assert_eq!(meta(429, 778899, None), RateLimited);
        assert_eq!(meta(200, 778899, None), Server);
        assert_eq!(meta(503, 778899, None), Server);
        assert_eq!(classify(ErrorCodes { http_status: 401, ..ErrorCodes::default() }), Auth);
    }

    #[test]
    fn a_status_that_does_not_say_that_the_post_failed_is_no_refusal() {
        for (statuses, expected) in [
            (&[100, 101, 300, 303, 304, 305, 306, 310, 399, 600, 999][..], Lost),
            (&[200, 299, 408, 460, 499, 500, 599], Server),
            (&[400, 402, 403, 409, 413, 461, 498], Rejected),
            (&[429], RateLimited),
        ] {
            for http_status in statuses {
                let codes = ErrorCodes { http_status: *http_status, ..ErrorCodes::default() };
                assert_eq!(classify(codes), expected, "{http_status}");
            }
        }
    }

    #[test]
    fn a_refusal_in_nobodys_envelope_is_no_gateways() {
        let all = [301, 302, 307, 308, 403, 404, 405, 410, 421, 426];
        for http_status in [all.as_slice(), &[300, 303, 400, 401, 407, 413, 429, 500]].concat() {
            for body in [BodyFormat::Known, BodyFormat::UnknownObject, BodyFormat::NotAnObject] {
                let is_unknown =
                    body == BodyFormat::NotAnObject || (body == BodyFormat::UnknownObject && http_status != 403);
                let kind = classify(ErrorCodes { http_status, body, ..ErrorCodes::default() });
                assert_eq!(kind == Endpoint, all.contains(&http_status) && is_unknown, "{http_status} {body:?}");
            }
        }
    }

    #[test]
    fn a_transient_error_may_have_been_delivered_unless_its_code_is_listed() {
        let transient = |http_status, code, subcode| {
            classify(ErrorCodes {
                is_transient: true,
                meta: Some((code, subcode)),
                http_status,
                ..ErrorCodes::default()
            })
        };
        assert_eq!(transient(400, 778899, None), Server);
        assert_eq!(transient(429, 778899, Some(7)), Server);
        assert_eq!(transient(400, 100, Some(7)), Rejected);
        assert_eq!(transient(400, 778899, Some(2534022)), WindowClosed);
        assert_eq!(meta(400, -1, None), Server);
    }

    #[test]
    fn the_gateways_own_code_decides_outside_2xx() {
        let gateway =
            |http_status, code| classify(ErrorCodes { http_status, gateway_code: Some(code), ..ErrorCodes::default() });
        assert_eq!(gateway(403, "SESSION_WINDOW_CLOSED"), WindowClosed);
        assert_eq!(gateway(200, "SESSION_WINDOW_CLOSED"), Server);
        assert_eq!(gateway(401, "UNAUTHORIZED"), Auth);
    }

    /// Every code and subcode that `docs/protocol.md` 6.3 lists is in the tables above.
    #[test]
    fn every_row_of_the_protocol_is_in_the_table() {
        let document = include_str!("../../docs/protocol.md");
        let section = document.split("### 6.3").nth(1).and_then(|text| text.split("### 6.4").next()).unwrap();
        let mut rows = 0;
        for row in section.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let numbers =
                |cell: &str| -> Vec<i32> { cell.split([',', ' ']).filter_map(|word| word.parse().ok()).collect() };
            let (codes, subcodes) = (numbers(cells[1]), numbers(cells[2]));
            for subcode in &subcodes {
                let listed = BY_SUBCODE.iter().any(|row| row.0 == *subcode)
                    || BY_CODE_AND_SUBCODE.iter().any(|row| codes.contains(&row.0) && row.1 == *subcode);
                assert!(listed, "{row}");
                rows += 1;
            }
            if subcodes.is_empty() || cells[2].starts_with("none") {
                for code in &codes {
                    assert!(BY_CODE.iter().any(|row| row.0 == *code), "{row}");
                    rows += 1;
                }
            }
        }
        assert!(rows > 70, "only {rows} rows were read");
    }
}
