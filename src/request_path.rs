//! Checks the path of a GET below the base URL.

use crate::error::Error;

/// Servers and proxies reject paths of about twice this length.
const MAX_PATH: usize = 4096;

/// Rejects a path that could leave the gateway's own paths or expose the token in a log.
pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    let (before_query, query) = path.split_once('?').unwrap_or((path, ""));
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let reason = if path.is_empty() {
        "must not be empty"
    } else if path.len() > MAX_PATH {
        return Err(Error::argument(format!("path: {} bytes, at most {MAX_PATH} are allowed", path.len())));
    } else if let Some(at) = path.bytes().position(|byte| !byte.is_ascii_graphic()) {
        let hint = "percent-encode what is not visible ASCII";
        return Err(Error::argument(format!("path: the character at byte {at} is not allowed: {hint}")));
    } else if path.starts_with('/') || before_query.contains("//") {
        "must begin behind the base URL, without a slash and without an empty segment"
    } else if path.contains(['\\', '#']) || before_query.contains("://") {
        r"must not contain \ or #, nor :// before the query"
    } else if before_query.split('/').any(is_dots) {
        "must not contain the segment . or .."
    } else if query.split('&').any(|parameter| parameter.split('=').next() == Some("access_token")) {
        "must not contain access_token: the gateway rejects it, and logs would show the token"
    } else {
        return Ok(());
    };
    Err(Error::argument(format!("path: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_meta_are_accepted() {
        for path in [
            "me",
            "me?fields=user_id,username",
            "8123456789012345?fields=name,username",
            "17841450000000017/conversations?platform=instagram&user_id=8123456789012345",
            "me?fields=a{b,c}&url=https://example.com/a/../b//c",
            "a.b/..c?x=..",
            "me?my_access_token=1&access_token_type=2",
            &"a".repeat(MAX_PATH),
        ] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_could_leave_the_gateway_or_show_the_token_is_refused() {
        for (path, words) in [
            ("", "must not be empty"),
            ("/me", "without a slash"),
            ("//other.example/me", "without a slash"),
            ("me//x", "without an empty segment"),
            ("https://other.example/me", "empty segment"),
            ("a\\b", r"must not contain \ or #"),
            ("me#x", r"must not contain \ or #"),
            ("me?x=1#y", r"must not contain \ or #"),
            (".", "segment . or .."),
            ("a/../b", "segment . or .."),
            ("a/%2E%2e", "segment . or .."),
            ("a/.?x", "segment . or .."),
            ("me?access_token=x", "must not contain access_token"),
            ("me?fields=id&access_token", "must not contain access_token"),
            ("me you", "byte 2"),
            ("é", "byte 0"),
            ("me\r\nX: y", "byte 2"),
            ("me\0", "byte 2"),
            (&"a".repeat(MAX_PATH + 1), "4097 bytes, at most 4096"),
        ] {
            let error = check_path(path).expect_err(path);
            assert!(error.to_string().starts_with("path: ") && error.to_string().contains(words), "{path}: {error}");
        }
    }
}
