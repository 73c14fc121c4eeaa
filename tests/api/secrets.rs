//! The token: sent in the Authorization header of the configured host, and shown nowhere.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::support::checks::everything_shown;
use crate::support::gateway::{Answer, Gateway, Settings};
use crate::support::samples::{ACCOUNT_ID, TOKEN, USER};
use hookmyapp::{Client, Config, Error, ErrorKind, Message};

fn gateway() -> Gateway {
    let settings = Settings { token: TOKEN.to_owned(), ..Settings::default() };
    Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn config(base_url: &str) -> Config {
    Config::new(base_url, ACCOUNT_ID, TOKEN).timeout(Duration::from_millis(300))
}

#[test]
fn token_is_sent_in_one_header_and_nowhere_else() {
    let gateway = gateway();
    Client::new(&config(&gateway.base_url())).unwrap().send_text(USER, "Hello").unwrap();
    let [received] = &gateway.received()[..] else { panic!() };
    assert_eq!(received.head.matches(TOKEN).count(), 1);
    assert_eq!(received.bearer_token(), Some(TOKEN));
    assert!(!String::from_utf8_lossy(&received.body).contains(TOKEN));
}

#[test]
fn no_error_shows_the_token_whatever_its_kind() {
    let gateway = gateway();
    let client = Client::new(&config(&gateway.base_url())).unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let echo = format!("{{\"error\":{{\"code\":100,\"message\":\"not {TOKEN}\"}}}}");
    let mut kinds = Vec::new();
    let mut check = |error: Error| {
        assert!(!everything_shown(&error).contains(TOKEN), "{}", everything_shown(&error));
        kinds.push(error.kind());
    };
    for (status, body) in
        [(400, echo.as_str()), (401, ""), (403, &echo), (429, "{}"), (502, &echo), (200, "[]"), (301, &echo)]
    {
        gateway.answer_next(Answer::new(status, "application/json", body));
        check(client.send_text(USER, "Hello").unwrap_err());
    }
    check(client.send_text("", TOKEN).unwrap_err());
    check(client.send(USER, &Message::text("")).unwrap_err());
    check(client.send_json(&format!("{{\"{TOKEN}\"")).unwrap_err());
    check(Client::new(&config(&silent)).unwrap().send_text(USER, "Hello").unwrap_err());
    check(Client::new(&config("https://127.0.0.1:1")).unwrap().send_text(USER, "Hello").unwrap_err());
    check(Client::new(&Config::new("", "", &format!("{TOKEN}\r\nX-Evil: 1"))).unwrap_err());
    for kind in [ErrorKind::Argument, ErrorKind::Config, ErrorKind::Connect, ErrorKind::Auth, ErrorKind::Lost] {
        assert!(kinds.contains(&kind), "{kind:?} did not come");
    }
}

#[test]
fn token_is_redacted_in_every_json_spelling() {
    const ODD: &str = r#"hm"at\live/0000/EXAMPLE"#;
    let settings = Settings { token: ODD.to_owned(), ..Settings::default() };
    let gateway = Gateway::start_with(settings, (Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = Client::new(&Config::new(&gateway.base_url(), ACCOUNT_ID, ODD)).unwrap();
    client.send_text(USER, "Hello").unwrap();
    let quoted = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
    let escaped = |text: &str, is_large: bool| -> String {
        let code = |c: u32| if is_large { format!("\\u{c:04X}") } else { format!("\\u{c:04x}") };
        text.chars().map(|c| code(c.into())).collect()
    };
    let partly = |text: &str| format!("{}{}", escaped(&text[..7], true), quoted(&text[7..]).replace('/', "\\/"));
    let once = [quoted(ODD), quoted(ODD).replace('/', "\\/"), escaped(ODD, false), escaped(ODD, true), partly(ODD)];
    let mut spellings = once.to_vec();
    for spelling in &once {
        spellings.extend([quoted(spelling), escaped(spelling, true), partly(spelling), quoted(&quoted(spelling))]);
    }
    assert_eq!(spellings.len(), 25);
    for spelling in spellings {
        let flat = format!(r#"{{"code":"BAD_{spelling}","message":"{spelling}, not known"}}"#);
        let meta = format!(r#"{{"error":{{"code":100,"message":"Bearer {spelling}","{spelling}":["{spelling}"]}}}}"#);
        for (body, expected) in [
            (flat, r#"{"code":"BAD_[token]","message":"[token], not known"}"#),
            (meta, r#"{"error":{"code":100,"message":"Bearer [token]","[token]":["[token]"]}}"#),
        ] {
            gateway.answer_next(Answer::new(400, "application/json", &body));
            let error = client.send_text(USER, "Hello").unwrap_err();
            assert_eq!(error.to_string(), format!("Instagram API error 400: {expected}"), "{spelling}");
            for part in ["EXAMPLE", "0000", "live", "0045", "0065"] {
                assert!(!everything_shown(&error).contains(part), "{spelling}: {}", everything_shown(&error));
            }
            assert_eq!(error.response().unwrap().body(), body.as_bytes());
        }
    }
}

#[test]
fn no_field_of_a_response_shows_the_token() {
    let gateway = gateway();
    let client = Client::new(&config(&gateway.base_url())).unwrap();
    let body = format!(
        r#"{{"message_id":"{TOKEN}","recipient_id":"{TOKEN}","attachment_id":"a {TOKEN}","code":"BAD {TOKEN}",
        "message":"{TOKEN}","error":null}}"#
    );
    gateway.answer_next(Answer::new(200, "application/json", &body));
    let sent = client.send_text(USER, "Hello").unwrap();
    gateway.answer_next(Answer::new(400, "application/json", &body));
    let error = client.send_text(USER, "Hello").unwrap_err();
    for response in [&sent, error.response().unwrap()] {
        assert!(!format!("{response:?} {response:#?}").contains(TOKEN), "{response:?}");
        // The accessors give what came.
        assert_eq!((response.message_id(), response.error_message()), (Some(TOKEN), Some(TOKEN)));
    }
    assert!(!everything_shown(&error).contains(TOKEN), "{error:?}");
}

#[test]
fn client_config_and_response_do_not_show_the_token() {
    let gateway = gateway();
    let config = config(&gateway.base_url()).proxy("http://user:hmat_proxy@127.0.0.1:1");
    let client = Client::new(&config).unwrap();
    gateway.answer_next(Answer::new(200, "application/json", &format!("{{\"echo\":\"{TOKEN}\"}}")));
    let response = client.send_text(USER, "Hello").unwrap();
    for shown in
        [format!("{config:#?}"), format!("{client:#?}"), format!("{response:#?}"), config.url().unwrap().to_owned()]
    {
        assert!(!shown.contains(TOKEN) && !shown.contains("hmat_proxy"), "{shown}");
    }
}
