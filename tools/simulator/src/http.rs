//! HTTP/1.1 on one connection: reads requests, writes responses.

use std::borrow::Cow;
use std::io;

use serde_json::Value;

use crate::line::Line;

pub const HEAD_LIMIT: usize = 32 * 1024;
pub const HEADER_LIMIT: usize = 100;
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What HTTP itself finds wrong with a request. The connection ends after such a request,
/// because nobody knows where the next one begins.
#[derive(Clone, Copy)]
pub struct Fault {
    pub status: u16,
    pub code: &'static str,
    pub message: &'static str,
}

#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: Vec<u8>,
    is_http_1_1: bool,
    pub keeps_alive: bool,
    pub fault: Option<Fault>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        headers_of(&self.head).find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every value of a header, to see whether it came more than once.
    fn all_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        headers_of(&self.head).filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn unreadable(bytes: &[u8], fault: Fault) -> Request {
        Request {
            method: String::new(),
            path: String::new(),
            head: String::from_utf8_lossy(bytes).into_owned(),
            body: Vec::new(),
            is_http_1_1: false,
            keeps_alive: false,
            fault: Some(fault),
        }
    }
}

/// A response as it goes out. The server adds `Content-Length` where HTTP wants it. A response that brings a
/// `Content-Length` or `Transfer-Encoding` of its own goes out unmodified, and its connection is closed after it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values, in this order.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The body, unmodified.
    pub body: Vec<u8>,
}

impl Answer {
    /// A JSON response.
    pub fn json(status: u16, body: &Value) -> Answer {
        Answer {
            status,
            headers: vec![("Content-Type".into(), "application/json; charset=UTF-8".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// A response with a content type and a text.
    pub fn new(status: u16, content_type: &str, body: &str) -> Answer {
        Answer {
            status,
            headers: vec![("Content-Type".into(), content_type.to_owned().into())],
            body: body.as_bytes().to_vec(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned().into(), value.to_owned().into()));
        self
    }

    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_ref())
    }

    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One connection and the bytes that have come in but are not used yet.
pub struct Wire<'a, L> {
    line: &'a mut L,
    unread: Vec<u8>,
}

impl<'a, L: Line> Wire<'a, L> {
    pub fn new(line: &'a mut L) -> Wire<'a, L> {
        Wire { line, unread: Vec::new() }
    }

    pub fn line(&mut self) -> &mut L {
        self.line
    }

    /// The head of the next request; `None` when the client has ended the connection.
    pub fn next_head(&mut self) -> io::Result<Option<Request>> {
        loop {
            match parse_head(&self.unread) {
                Ok(Some((request, length))) => {
                    self.unread.drain(..length);
                    return Ok(Some(request));
                }
                Ok(None) if self.read_more()? => {}
                Ok(None) => return Ok(None),
                Err(fault) => return Ok(Some(Request::unreadable(&self.unread, fault))),
            }
        }
    }

    /// Reads the body that belongs to a head.
    pub fn with_body(&mut self, mut request: Request) -> io::Result<Request> {
        if request.fault.is_some() {
            return Ok(request);
        }
        let length = match check_framing(&request) {
            Ok(length) => length,
            Err(fault) => {
                request.keeps_alive = false;
                request.fault = Some(fault);
                return Ok(request);
            }
        };
        if length > self.unread.len() && request.header("expect").is_some() {
            self.line.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.line.flush()?;
        }
        while self.unread.len() < length {
            if !self.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        request.body = self.unread.drain(..length).collect();
        Ok(request)
    }

    /// Reads what is there, waiting for at least one byte; false at the end of the stream.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let count = loop {
            match self.line.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// Head and body leave in one write.
    pub fn write_answer(&mut self, answer: &Answer, is_head: bool, goes_on: bool) -> io::Result<()> {
        let bytes = answer_bytes(answer, is_head, goes_on);
        self.line.write_all(&bytes)?;
        self.line.flush()
    }
}

/// A response as it goes over the wire.
pub fn answer_bytes(answer: &Answer, is_head: bool, goes_on: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + answer.body.len());
    let mut line = |parts: &[&str]| {
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        bytes.extend_from_slice(b"\r\n");
    };
    line(&["HTTP/1.1 ", &answer.status.to_string(), " ", reason(answer.status)]);
    for (name, value) in &answer.headers {
        line(&[name, ": ", value]);
    }
    let may_have_body = !matches!(answer.status, 100..=199 | 204 | 304);
    if may_have_body && !frames_itself(answer) {
        line(&["Content-Length: ", &answer.body.len().to_string()]);
    }
    if !goes_on && answer.header("connection").is_none() {
        line(&["Connection: close"]);
    }
    line(&[]);
    if may_have_body && !is_head {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}

/// Whether the connection cannot be used after this answer.
pub fn ends_connection(answer: &Answer) -> bool {
    let says_close = answer.header("connection").is_some_and(|value| lists(value, "close"));
    says_close || frames_itself(answer) || answer.status < 200
}

fn frames_itself(answer: &Answer) -> bool {
    answer.header("content-length").is_some() || answer.header("transfer-encoding").is_some()
}

/// The head at the start of `bytes` and its length; `None` while it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(fault(431, "HEADERS_TOO_LARGE", "The headers are too large or too many."));
        }
        Err(_) => return Err(fault(400, "BAD_REQUEST", "This is not an HTTP/1.1 request.")),
    };
    let is_http_1_1 = parsed.version == Some(1);
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        is_http_1_1,
        keeps_alive: is_http_1_1,
        head: String::from_utf8_lossy(&bytes[..length]).into_owned(),
        body: Vec::new(),
        fault: None,
    };
    request.keeps_alive &= !request.header("connection").is_some_and(|value| lists(value, "close"));
    Ok(Some((request, length)))
}

/// The length of the body, if the headers leave no doubt about it.
fn check_framing(request: &Request) -> Result<usize, Fault> {
    if request.header("transfer-encoding").is_some() {
        return Err(fault(411, "LENGTH_REQUIRED", "Send the body with a Content-Length."));
    }
    if request.is_http_1_1 && request.all_values("host").count() != 1 {
        return Err(fault(400, "BAD_REQUEST", "Exactly one Host header is needed."));
    }
    if request.header("expect").is_some_and(|value| !value.eq_ignore_ascii_case("100-continue")) {
        return Err(fault(417, "EXPECTATION_FAILED", "Only 100-continue can be expected."));
    }
    let lengths: Vec<&str> = request.all_values("content-length").collect();
    match lengths[..] {
        [] => Ok(0),
        [length] if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            // Digits that no number holds are too large as well.
            let within = length.parse().ok().filter(|length| *length <= BODY_LIMIT);
            within.ok_or(fault(413, "BODY_TOO_LARGE", "The body is larger than 1 MiB."))
        }
        _ => Err(fault(400, "BAD_REQUEST", "The Content-Length is not one number.")),
    }
}

fn fault(status: u16, code: &'static str, message: &'static str) -> Fault {
    Fault { status, code, message }
}

/// The names and values in a head that was parsed.
pub fn headers_of(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split('\n').skip(1).map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim_matches([' ', '\t'])))
}

/// The token in the value of an `Authorization` header.
pub fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a comma-separated header value holds `word`.
fn lists(value: &str, word: &str) -> bool {
    value.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
