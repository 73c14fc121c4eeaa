//! Reads the headers that state how much of Meta's limits is used, and how long to wait.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::json::Json;
use crate::transport::HttpReply;

/// The values of Meta's usage headers. An unreadable header is ignored.
#[derive(Default)]
pub(super) struct Usage {
    pub(super) percent: Option<u32>,
    pub(super) regain_seconds: Option<u32>,
}

impl Usage {
    pub(super) fn from_reply(reply: &HttpReply) -> Usage {
        let mut usage = Usage::default();
        if let Some(app) = reply.app_usage.as_deref().and_then(|text| Json::parse(text).ok()) {
            usage.add(app);
        }
        if let Some(business) = reply.business_usage.as_deref().and_then(|text| Json::parse(text).ok()) {
            business.members().flat_map(|(_, uses)| uses.items()).for_each(|one| usage.add(one));
        }
        usage
    }

    fn add(&mut self, one: Json<'_>) {
        let figure = |name| one.get(name).and_then(Json::number).filter(|number| *number >= 0.0);
        for percent in ["call_count", "total_time", "total_cputime"].into_iter().filter_map(figure) {
            self.percent = self.percent.max(Some((percent.ceil() as u32).min(i32::MAX as u32)));
        }
        if let Some(minutes) = figure("estimated_time_to_regain_access").filter(|minutes| *minutes > 0.0) {
            self.regain_seconds = self.regain_seconds.max(Some(((minutes * 60.0) as u32).min(i32::MAX as u32)));
        }
    }
}

/// Returns the seconds of a `Retry-After` header, which is a number of seconds or a date.
pub(super) fn parse_retry_after(value: &str) -> Option<u32> {
    let value = value.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        http_date(value)?.saturating_sub(now)
    };
    u32::try_from(seconds.min(i32::MAX as u64)).ok()
}

/// Returns the seconds since 1970 of a date in one of the three forms of RFC 9110, section 5.6.7.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if word.contains(':') {
            let mut parts = word.split(':').map(|part| part.parse::<u64>().ok());
            let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
            time = (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second);
        } else if let Some(index) = MONTHS.iter().position(|name| *name == word) {
            month = Some(index as u64 + 1);
        } else if let Ok(number) = word.parse::<u64>() {
            match day {
                None => day = (1..=31).contains(&number).then_some(number),
                Some(_) if word.len() == 2 => year = Some(if number < 70 { 2000 + number } else { 1900 + number }),
                Some(_) => year = (1970..=9999).contains(&number).then_some(number),
            }
        }
    }
    Some(days_since_1970(year?, month?, day?) * 86_400 + time?)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // A year that begins in March has its leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_1970 = 719_468;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - days_before_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_in_all_three_forms_of_http() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in ["", "soon", "06 Nov 1994", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:00:00 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_and_never_negative() {
        assert_eq!(parse_retry_after("30"), Some(30));
        assert_eq!(parse_retry_after(" 0 "), Some(0));
        assert_eq!(parse_retry_after("99999999999999999999"), Some(i32::MAX as u32));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        for text in ["", "soon", "-5", "1.5", "00000000000000008680000000000000:0000143:7"] {
            assert_eq!(parse_retry_after(text), None, "{text}");
        }
    }
}
