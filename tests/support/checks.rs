//! What every error has in common: the right kind, one line, nothing sent.

use hookmyapp::{Client, Config, Delivery, Error, ErrorKind, Response};

/// The error text of a call that was rejected because of its arguments.
pub fn argument_error(outcome: Result<Response, Error>, what: impl std::fmt::Debug) -> String {
    let error = outcome.expect_err(&format!("{what:?} was taken"));
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Argument, Delivery::NotSent), "{what:?}: {error}");
    assert!(error.response().is_none(), "{what:?}: {error}");
    line(&error)
}

/// The error text of a configuration that no client can be created from.
pub fn config_error(config: &Config) -> String {
    let shown = format!("{config:?}");
    let error = Client::new(config).expect_err(&format!("{shown:.500} was taken"));
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent), "{error}");
    line(&error)
}

/// The text of an error, which must be one line.
pub fn line(error: &Error) -> String {
    let line = error.to_string();
    assert!(!line.trim().is_empty() && !line.contains(['\n', '\r', '\0']), "{line:?}");
    line
}

/// Everything that an error shows, in both forms and with its causes.
pub fn everything_shown(error: &Error) -> String {
    let mut shown = format!("{error}\n{error:?}\n{error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        shown += &format!("\n{inner}\n{inner:?}");
        cause = inner.source();
    }
    shown
}
