//! From CSV or NDJSON to messages, or to errors with their lines.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use hookmyapp::Message;
use ring::digest::{SHA256, digest};
use serde_json::value::RawValue;

/// More than any message needs, and little enough that an unclosed quote does not fill the memory.
const MAX_ROW_BYTES: usize = 64 * 1024;
const MAX_ROWS: u64 = 1 << 32;
const MAX_KEY_BYTES: usize = 200;
/// Keys that begin so are made by this program.
const AUTO: &str = "auto:";

/// The columns or members that have a meaning.
pub const NAMES: [&str; 9] =
    ["recipient_id", "comment_id", "text", "message", "body", "key", "tag", "messaging_type", "reply_to"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
}

/// How to read the input.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub format: Option<Format>,
    pub delimiter: Option<u8>,
    /// Name and header: which header stands for a name.
    pub columns: Vec<(String, String)>,
    pub ignores_unknown: bool,
}

/// One message of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// From 1; a header is not a row.
    pub row: u64,
    /// From 1, where the row begins.
    pub line: u64,
    pub key: String,
    pub recipient: String,
    pub body: String,
}

/// A row that cannot be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    pub line: u64,
    /// 0: the error is in the header or in the file as a whole.
    pub row: u64,
    pub reason: String,
}

impl std::fmt::Display for RowError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.row {
            0 => write!(formatter, "line {}: {}", self.line, self.reason),
            row => write!(formatter, "line {} (row {row}): {}", self.line, self.reason),
        }
    }
}

/// Why the reading ended before the end of the input.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    /// Nothing after this error can be read.
    Hopeless(RowError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// Opens a file, or standard input for `-`.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(256 * 1024, io::stdin())));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
}

/// Reads the whole input and hands every row to `visit`: a message or an error. An error of `visit` ends the reading.
pub fn read<E: From<ReadError>>(
    mut input: Box<dyn BufRead>,
    path: &Path,
    reading: &Reading,
    visit: &mut dyn FnMut(Result<Entry, RowError>) -> Result<(), E>,
) -> Result<(), E> {
    let start = input.fill_buf().map_err(ReadError::from)?;
    let hopeless = |reason: &str| ReadError::Hopeless(RowError { line: 1, row: 0, reason: reason.to_owned() });
    if start.is_empty() {
        return Err(hopeless("the input is empty").into());
    }
    if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) || start.iter().take(4).any(|b| *b == 0) {
        return Err(hopeless("this is UTF-16 or not text: save as UTF-8").into());
    }
    if start.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    let start = input.fill_buf().map_err(ReadError::from)?;
    if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(hopeless("this is a JSON array: write one object a line, as `jq -c '.[]'` does").into());
    }
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    let format = match (reading.format, extension.as_deref().and_then(|extension| extension.to_str())) {
        (Some(format), _) => format,
        (None, Some("csv" | "tsv")) => Format::Csv,
        (None, Some("ndjson" | "jsonl")) => Format::Ndjson,
        _ => {
            let start = input.fill_buf().map_err(ReadError::from)?;
            let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
            if first == Some(&b'{') { Format::Ndjson } else { Format::Csv }
        }
    };
    match format {
        Format::Ndjson => read_ndjson(input, reading, visit),
        Format::Csv => {
            let is_tsv = extension.as_deref().is_some_and(|extension| extension == "tsv");
            let delimiter = reading.delimiter.unwrap_or(if is_tsv { b'\t' } else { b',' });
            read_csv(input, delimiter, reading, visit)
        }
    }
}

/// The members of one row, before they become a message.
#[derive(Default)]
struct Fields<'a> {
    recipient_id: Option<&'a str>,
    comment_id: Option<&'a str>,
    text: Option<&'a str>,
    message: Option<&'a str>,
    body: Option<&'a str>,
    key: Option<&'a str>,
    tag: Option<&'a str>,
    messaging_type: Option<&'a str>,
    reply_to: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, name: &str, value: &'a str) {
        let place = match name {
            "recipient_id" => &mut self.recipient_id,
            "comment_id" => &mut self.comment_id,
            "text" => &mut self.text,
            "message" => &mut self.message,
            "body" => &mut self.body,
            "key" => &mut self.key,
            "tag" => &mut self.tag,
            "messaging_type" => &mut self.messaging_type,
            "reply_to" => &mut self.reply_to,
            _ => return,
        };
        *place = Some(value);
    }

    fn into_entry(self, row: u64, line: u64) -> Result<Entry, String> {
        let (kind, member, id) = match (self.recipient_id, self.comment_id) {
            (Some(id), None) => ("user", "id", id),
            (None, Some(id)) => ("comment", "comment_id", id),
            (None, None) => return Err("recipient_id and comment_id are empty: give one of them".to_owned()),
            (Some(_), Some(_)) => return Err("recipient_id and comment_id are both given: give one of them".to_owned()),
        };
        let name = if kind == "user" { "recipient_id" } else { "comment_id" };
        check_id(name, id)?;
        let recipient = format!("{kind} {id}");
        let given = [self.text, self.message, self.body].iter().filter(|value| value.is_some()).count();
        if given != 1 {
            return Err(format!("exactly one of text, message and body must be given, not {given}"));
        }
        let body = if let Some(text) = self.text {
            let mut message = Message::text(text);
            if let Some(tag) = self.tag {
                message = message.tag(tag);
            }
            if let Some(messaging_type) = self.messaging_type {
                message = message.messaging_type(messaging_type);
            }
            if let Some(reply_to) = self.reply_to {
                message = message.reply_to(reply_to);
            }
            let json = if kind == "user" { message.to_json(id) } else { message.to_private_reply_json(id) };
            json.map_err(|error| error.to_string())?
        } else if let Some(message) = self.message {
            let message = object("message", message)?;
            let mut body = format!("{{\"recipient\":{{\"{member}\":{}}},\"message\":{message}", quoted(id));
            if let Some(reply_to) = self.reply_to {
                body.push_str(&format!(",\"reply_to\":{{\"mid\":{}}}", quoted(reply_to)));
            }
            for (name, value) in [("messaging_type", self.messaging_type), ("tag", self.tag)] {
                if let Some(value) = value {
                    body.push_str(&format!(",\"{name}\":{}", quoted(value)));
                }
            }
            body.push('}');
            body
        } else {
            let body = object("body", self.body.unwrap_or_default())?;
            let extra = [("tag", self.tag), ("messaging_type", self.messaging_type), ("reply_to", self.reply_to)];
            if let Some((name, _)) = extra.iter().find(|(_, value)| value.is_some()) {
                return Err(format!("{name} and body are both given: write it into the body"));
            }
            body_with_recipient(body, member, id, &recipient)?
        };
        let key = match self.key {
            Some(key) if key.len() > MAX_KEY_BYTES => {
                return Err(format!("key: at most {MAX_KEY_BYTES} bytes, not {}", key.len()));
            }
            Some(key) if is_automatic(key) => {
                return Err(format!("key: keys that begin with {AUTO} are made by this program"));
            }
            Some(key) => key.to_owned(),
            None => automatic_key(&recipient, &body),
        };
        Ok(Entry { row, line, key, recipient, body })
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Names a message by what it says to whom: the same row gets the same key in every run.
fn automatic_key(recipient: &str, body: &str) -> String {
    let hash = digest(&SHA256, format!("{recipient}\n{body}").as_bytes());
    let digits = hash.as_ref()[..16].iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    format!("{AUTO}{digits:032x}")
}

/// Whether this program has made the key.
pub fn is_automatic(key: &str) -> bool {
    key.starts_with(AUTO)
}

fn check_id(name: &str, id: &str) -> Result<(), String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_rounded = ['E', 'e', '.', ','].iter().any(|mark| {
        let mut parts = id.splitn(2, *mark);
        digits(parts.next().unwrap_or_default())
            && parts.next().is_some_and(|rest| rest.starts_with(|c: char| c == '+' || c.is_ascii_digit()))
    });
    if is_rounded {
        return Err(format!("{name}: a spreadsheet has rounded this id, {id:?}: export the column as text"));
    }
    if id.trim() != id {
        return Err(format!("{name}: {id:?} begins or ends with a space"));
    }
    Ok(())
}

/// Checks that JSON text is an object; returns it without the spaces around it.
fn object<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    let text = text.trim();
    let _: &RawValue = serde_json::from_str(text).map_err(|error| format!("{name}: not JSON: {error}"))?;
    if text.starts_with('{') { Ok(text) } else { Err(format!("{name}: must be a JSON object")) }
}

/// A whole request body, with its recipient put in if there is none.
fn body_with_recipient(body: &str, member: &str, id: &str, recipient: &str) -> Result<String, String> {
    let members: HashMap<String, &RawValue> =
        serde_json::from_str(body).map_err(|error| format!("body: not a JSON object: {error}"))?;
    if members.contains_key("recipient") {
        let own = crate::dispatch::recipient_of(body).map_err(|reason| format!("body: {reason}"))?;
        return if own == recipient {
            Ok(body.to_owned())
        } else {
            Err(format!("body: its recipient is {own:?}, and the row's is {recipient:?}"))
        };
    }
    let comma = if members.is_empty() { "" } else { "," };
    Ok(format!("{{\"recipient\":{{\"{member}\":{}}}{comma}{}", quoted(id), &body[1..]))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        format!("byte {} of the row is 0x{:02X}, which is not UTF-8: save as UTF-8", at + 1, bytes[at])
    })?;
    if text.contains('\0') { Err("it contains a NUL character".to_owned()) } else { Ok(text) }
}

fn too_long() -> String {
    format!("the row has more than {} KiB", MAX_ROW_BYTES / 1024)
}

fn too_many(line: u64) -> ReadError {
    ReadError::Hopeless(RowError { line, row: 0, reason: format!("more than {MAX_ROWS} rows") })
}

// ------------------------------------------------------------------------------------------------ NDJSON

fn read_ndjson<E: From<ReadError>>(
    mut input: Box<dyn BufRead>,
    reading: &Reading,
    visit: &mut dyn FnMut(Result<Entry, RowError>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut line, mut row) = (0, 0);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let limit = MAX_ROW_BYTES as u64 + 1;
        let length = input.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(ReadError::from)?;
        if length == 0 {
            break;
        }
        line += 1;
        let is_whole = bytes.last() == Some(&b'\n') || (length as u64) < limit;
        if !is_whole {
            skip_line(&mut input).map_err(ReadError::from)?;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        row += 1;
        if row > MAX_ROWS {
            return Err(too_many(line).into());
        }
        let entry = if is_whole { ndjson_row(&bytes, reading, row, line) } else { Err(too_long()) };
        visit(entry.map_err(|reason| RowError { line, row, reason }))?;
    }
    if row == 0 {
        let reason = "the input has no rows".to_owned();
        return Err(ReadError::Hopeless(RowError { line: line.max(1), row: 0, reason }).into());
    }
    Ok(())
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                input.consume(end + 1);
                return Ok(());
            }
            None => {
                let length = buffer.len();
                input.consume(length);
            }
        }
    }
}

fn ndjson_row(bytes: &[u8], reading: &Reading, row: u64, line: u64) -> Result<Entry, String> {
    let text = utf8(bytes)?;
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| {
        // The line is named already.
        format!("not a JSON object: {}", error.to_string().replace(" at line 1 column", " at column"))
    })?;
    let mut strings: Vec<(&'static str, String)> = Vec::new();
    for (name, value) in &members {
        let name = reading.columns.iter().find(|(_, header)| header == name).map_or(name, |(name, _)| name);
        let Some(name) = NAMES.into_iter().find(|known| known == name) else {
            if reading.ignores_unknown {
                continue;
            }
            return Err(unknown_name("member", name));
        };
        let value = value.get();
        match name {
            _ if value == "null" => {}
            "message" | "body" => strings.push((name, value.to_owned())),
            "recipient_id" | "comment_id" if value.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                return Err(format!("{name}: write it in quotes: ids exceed 2^53"));
            }
            _ => {
                let string = serde_json::from_str(value).map_err(|_| format!("{name}: must be a string"))?;
                strings.push((name, string));
            }
        }
    }
    let mut fields = Fields::default();
    for (name, value) in &strings {
        if !value.is_empty() {
            fields.set(name, value);
        }
    }
    fields.into_entry(row, line)
}

fn unknown_name(kind: &str, name: &str) -> String {
    let names = NAMES.join(", ");
    format!(
        "the {kind} {name:?} has no meaning; the names are {names}: \
         give it one of them with --column 'NAME={name}', or use --ignore-unknown"
    )
}

// ------------------------------------------------------------------------------------------------ CSV

/// One record: its first line, and its fields as ranges of one buffer.
struct Record {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    line: u64,
}

enum Found {
    Record,
    TooLong,
    Unclosed,
    End,
}

struct CsvReader {
    input: Box<dyn BufRead>,
    parser: csv_core::Reader,
    line: u64,
}

impl CsvReader {
    /// Reads the next record that is not an empty line.
    fn next(&mut self, record: &mut Record) -> io::Result<Found> {
        self.skip_empty_lines()?;
        record.bytes.resize(4096, 0);
        record.ends.resize(64, 0);
        record.line = self.line;
        let (mut used, mut fields, mut is_too_long) = (0, 0, false);
        loop {
            let buffer = self.input.fill_buf()?;
            let is_end = buffer.is_empty();
            // At the end of the input a line break is read, which ends every record but one with an unclosed quote.
            let bytes = if is_end { b"\n" } else { buffer };
            let (result, taken, written, ended) =
                self.parser.read_record(bytes, &mut record.bytes[used..], &mut record.ends[fields..]);
            self.line += bytes[..taken].iter().filter(|byte| **byte == b'\n').count() as u64;
            if !is_end {
                self.input.consume(taken);
            }
            used += written;
            fields += ended;
            match result {
                csv_core::ReadRecordResult::OutputFull if record.bytes.len() >= MAX_ROW_BYTES => {
                    is_too_long = true;
                    used = 0;
                }
                csv_core::ReadRecordResult::OutputFull => record.bytes.resize(record.bytes.len() * 4, 0),
                csv_core::ReadRecordResult::OutputEndsFull if record.ends.len() >= 4096 => {
                    is_too_long = true;
                    fields = 0;
                }
                csv_core::ReadRecordResult::OutputEndsFull => record.ends.resize(record.ends.len() * 4, 0),
                csv_core::ReadRecordResult::InputEmpty if is_end => {
                    let is_empty = used == 0 && fields == 0 && !is_too_long;
                    return Ok(if is_empty { Found::End } else { Found::Unclosed });
                }
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::Record => {
                    record.bytes.truncate(used);
                    record.ends.truncate(fields);
                    return Ok(if is_too_long { Found::TooLong } else { Found::Record });
                }
                csv_core::ReadRecordResult::End => return Ok(Found::End),
            }
        }
    }

    /// So that the line of a record is the line where it begins.
    fn skip_empty_lines(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let length = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if length == 0 {
                return Ok(());
            }
            self.line += buffer[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.input.consume(length);
        }
    }
}

impl Record {
    fn texts(&self) -> Result<Vec<&str>, String> {
        // Checked as a whole, so that the byte is counted from the start of the row.
        utf8(&self.bytes)?;
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| utf8(&self.bytes[start..*end])).collect()
    }
}

fn read_csv<E: From<ReadError>>(
    input: Box<dyn BufRead>,
    delimiter: u8,
    reading: &Reading,
    visit: &mut dyn FnMut(Result<Entry, RowError>) -> Result<(), E>,
) -> Result<(), E> {
    let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let mut reader = CsvReader { input, parser, line: 1 };
    let mut record = Record { bytes: Vec::new(), ends: Vec::new(), line: 1 };
    let hopeless = |line, row, reason: String| ReadError::Hopeless(RowError { line, row, reason });
    let unclosed = |line, row| hopeless(line, row, "a quote that opens in this row is not closed".to_owned());
    let columns = match reader.next(&mut record).map_err(ReadError::from)? {
        Found::Record => header(&record, delimiter, reading).map_err(|reason| hopeless(record.line, 0, reason))?,
        Found::TooLong => return Err(hopeless(record.line, 0, too_long()).into()),
        Found::Unclosed => return Err(unclosed(record.line, 0).into()),
        Found::End => return Err(hopeless(1, 0, "the input has no header".to_owned()).into()),
    };
    let mut row = 0;
    loop {
        let found = reader.next(&mut record).map_err(ReadError::from)?;
        let line = record.line;
        if matches!(found, Found::End) {
            break;
        }
        row += 1;
        if row > MAX_ROWS {
            return Err(too_many(line).into());
        }
        let entry = match found {
            Found::Record => csv_row(&record, &columns, row),
            Found::TooLong => Err(too_long()),
            Found::Unclosed | Found::End => return Err(unclosed(line, row).into()),
        };
        visit(entry.map_err(|reason| RowError { line, row, reason }))?;
    }
    if row == 0 {
        return Err(hopeless(record.line, 0, "the input has a header and no rows".to_owned()).into());
    }
    Ok(())
}

/// Which name each column has; `None` is ignored.
fn header(record: &Record, delimiter: u8, reading: &Reading) -> Result<Vec<Option<&'static str>>, String> {
    let headers = record.texts()?;
    if headers.first().is_some_and(|header| header.len() > 4 && header.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("this is not a header: the first line names the columns, such as recipient_id,text,key".to_owned());
    }
    let mut columns: Vec<Option<&'static str>> = Vec::new();
    for header in &headers {
        let header = header.trim();
        let name = reading.columns.iter().find(|(_, mapped)| mapped == header).map_or(header, |(name, _)| name);
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            let other =
                [b';', b'\t', b','].into_iter().find(|other| *other != delimiter && header.contains(*other as char));
            if let Some(other) = other.filter(|_| headers.len() == 1) {
                return Err(format!("the header {header:?} is one column: is it --delimiter {:?}?", other as char));
            }
            if !reading.ignores_unknown {
                return Err(unknown_name("column", header));
            }
            columns.push(None);
            continue;
        };
        if columns.contains(&Some(name)) {
            return Err(format!("the column {name} is in the header twice"));
        }
        columns.push(Some(name));
    }
    if let Some((_, missing)) = reading.columns.iter().find(|(_, mapped)| !headers.iter().any(|h| h.trim() == mapped)) {
        return Err(format!("--column names the header {missing:?}, and the input has none of that name"));
    }
    let has = |names: &[&str]| names.iter().any(|name| columns.contains(&Some(name)));
    if !has(&["recipient_id", "comment_id"]) {
        return Err("there is no column recipient_id or comment_id (--column NAME=HEADER)".to_owned());
    }
    if !has(&["text", "message", "body"]) {
        return Err("there is no column text, message or body (--column NAME=HEADER)".to_owned());
    }
    Ok(columns)
}

fn csv_row(record: &Record, columns: &[Option<&'static str>], row: u64) -> Result<Entry, String> {
    let texts = record.texts()?;
    if texts.len() != columns.len() {
        return Err(format!("{} fields, and the header has {}", texts.len(), columns.len()));
    }
    let mut fields = Fields::default();
    for (name, value) in columns.iter().zip(texts) {
        if let Some(name) = name.filter(|_| !value.is_empty()) {
            fields.set(name, value);
        }
    }
    fields.into_entry(row, record.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    impl From<ReadError> for String {
        fn from(error: ReadError) -> String {
            match error {
                ReadError::Io(error) => error.to_string(),
                ReadError::Hopeless(error) => error.to_string(),
            }
        }
    }

    fn rows(text: impl AsRef<[u8]>, reading: &Reading) -> Result<Vec<Result<Entry, String>>, String> {
        let mut rows = Vec::new();
        let input = Box::new(BufReader::with_capacity(7, Cursor::new(text.as_ref().to_vec())));
        read::<String>(input, Path::new("-"), reading, &mut |row| {
            rows.push(row.map_err(|error| error.to_string()));
            Ok(())
        })?;
        Ok(rows)
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        match rows(text, &Reading::default()) {
            Err(error) => error,
            Ok(rows) => rows.into_iter().find_map(Result::err).expect("no error was found"),
        }
    }

    fn entry(text: &str) -> Entry {
        rows(text, &Reading::default()).expect("it is read").remove(0).expect("it is right")
    }

    #[test]
    fn csv_rows_become_bodies_and_keep_their_lines() {
        let text = "\u{feff}recipient_id,text,key\r\n\r\n81,\"Hello,\nyou\",a\r\n82,\"say \"\"hi\"\"\",\n";
        let rows: Vec<Entry> = rows(text, &Reading::default()).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!((rows[0].row, rows[0].line, rows[0].key.as_str()), (1, 3, "a"));
        assert_eq!(rows[0].body, r#"{"recipient":{"id":"81"},"message":{"text":"Hello,\nyou"}}"#);
        assert_eq!((rows[1].row, rows[1].line), (2, 5));
        assert!(rows[1].key.starts_with("auto:") && rows[1].key.len() == 37);
        assert_eq!(rows[1].recipient, "user 82");
    }

    #[test]
    fn ndjson_rows_become_bodies_unmodified() {
        let one = entry(r#"{"recipient_id":"81","message":{ "text" : "a" , "n":1e400},"tag":"HUMAN_AGENT"}"#);
        let body = r#"{"recipient":{"id":"81"},"message":{ "text" : "a" , "n":1e400},"tag":"HUMAN_AGENT"}"#;
        assert_eq!(one.body, body);
        let one = entry(r#"{"comment_id":"17","body":{"message":{"text":"a"}}}"#);
        assert_eq!(one.body, r#"{"recipient":{"comment_id":"17"},"message":{"text":"a"}}"#);
        assert_eq!(one.recipient, "comment 17");
        let one = entry(r#"{"recipient_id":"81","body":{"recipient":{"id":"81"},"sender_action":"typing_on"}}"#);
        assert_eq!(one.body, r#"{"recipient":{"id":"81"},"sender_action":"typing_on"}"#);
    }

    #[test]
    fn the_same_row_gets_the_same_key_and_another_row_another_one() {
        let csv = |id: &str, text: &str| entry(&format!("recipient_id,text\n{id},{text}\n")).key;
        assert_eq!(csv("81", "a"), entry("{\"recipient_id\":\"81\",\"text\":\"a\"}").key);
        assert_ne!(csv("81", "a"), csv("82", "a"));
        assert_ne!(csv("81", "a"), csv("81", "b"));
    }

    #[test]
    fn every_mistake_names_its_line_and_its_reason() {
        let long = "x".repeat(1001);
        let huge = "x".repeat(70_000);
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (b"".to_vec(), "line 1: the input is empty"),
            (b"\n\n".to_vec(), "line 1: the input has no header"),
            (b"\xFF\xFEr\0".to_vec(), "line 1: this is UTF-16 or not text: save as UTF-8"),
            (b"recipient_id;text\n81;a\n".to_vec(), "is it --delimiter ';'?"),
            (b"recipient_id,text,text\n81,a,b\n".to_vec(), "line 1: the column text is in the header twice"),
            (b"recipient_id,text,colour\n81,a,b\n".to_vec(), "line 1: the column \"colour\" has no meaning"),
            (b"8123456789012345,a\n".to_vec(), "line 1: this is not a header: the first line names the columns"),
            (b"\n [\n{}]".to_vec(), "line 1: this is a JSON array: write one object a line"),
            (b"text\na\n".to_vec(), "line 1: there is no column recipient_id or comment_id"),
            (b"recipient_id\n81\n".to_vec(), "line 1: there is no column text, message or body"),
            (b"recipient_id,text\n".to_vec(), "line 2: the input has a header and no rows"),
            (b"recipient_id,text\n81,a\n82\n".to_vec(), "line 3 (row 2): 1 fields, and the header has 2"),
            (b"recipient_id,text\n81,a\n,b\n".to_vec(), "line 3 (row 2): recipient_id and comment_id are empty"),
            (b"recipient_id,text\n81,\n".to_vec(), "line 2 (row 1): exactly one of text, message and body"),
            (b"recipient_id,text\n8.12346E+15,a\n".to_vec(), "a spreadsheet has rounded this id"),
            (b"recipient_id,text\n8123456789012345.0,a\n".to_vec(), "a spreadsheet has rounded this id"),
            (b"recipient_id,text\n 81,a\n".to_vec(), "recipient_id: \" 81\" begins or ends with a space"),
            (b"recipient_id,text\n81,a\xE4\n".to_vec(), "byte 4 of the row is 0xE4, which is not UTF-8"),
            (b"recipient_id,text\n81,a\0b\n".to_vec(), "it contains a NUL character"),
            (b"recipient_id,text\n81,a\n82,\"b\n83,c\n".to_vec(), "line 3 (row 2): a quote that opens in this row"),
            (b"recipient_id,text\n81,\"".to_vec(), "line 2 (row 1): a quote that opens in this row"),
            (b"recipient_id,message\n81,[]\n".to_vec(), "message: must be a JSON object"),
            (
                b"recipient_id,body\n81,\"{\"\"recipient\"\":{\"\"id\"\":\"\"82\"\"}}\"\n".to_vec(),
                "its recipient is \"user 82\"",
            ),
            (b"recipient_id,text,key\n81,a,auto:1\n".to_vec(), "key: keys that begin with auto:"),
            (format!("recipient_id,text\n81,{long}\n").into_bytes(), "1000 bytes"),
            (
                format!("recipient_id,text\n81,\"{huge}\"\n").into_bytes(),
                "line 2 (row 1): the row has more than 64 KiB",
            ),
            (
                format!("recipient_id,text,key\n81,a,{}\n", "k".repeat(201)).into_bytes(),
                "key: at most 200 bytes, not 201",
            ),
            (b"{\"recipient_id\":81,\"text\":\"a\"}".to_vec(), "recipient_id: write it in quotes: ids exceed 2^53"),
            (b"{\"recipient_id\":\"81\",\"text\":7}".to_vec(), "text: must be a string"),
            (b"{\"recipient_id\":\"81\"\n".to_vec(), "line 1 (row 1): not a JSON object"),
            (format!("{{\"recipient_id\":\"81\",\"text\":\"{huge}\"}}\n").into_bytes(), "the row has more than 64 KiB"),
        ];
        for (text, expected) in cases {
            let found = error(&text);
            assert!(
                found.contains(expected),
                "{:?}\n  found    {found}\n  expected {expected}",
                String::from_utf8_lossy(&text[..text.len().min(80)])
            );
        }
    }

    #[test]
    fn rows_after_a_mistake_are_read() {
        let long = "x".repeat(70_000);
        let text = format!("recipient_id,text\n81,\"{long}\"\n82,b\n,c\n84,d");
        let rows = rows(text, &Reading::default()).unwrap();
        let lines: Vec<Result<u64, ()>> =
            rows.iter().map(|row| row.as_ref().map(|entry| entry.line).map_err(|_| ())).collect();
        assert_eq!(lines, [Err(()), Ok(3), Err(()), Ok(5)]);
        let text =
            format!("{{\"recipient_id\":\"81\",\"text\":\"{long}\"}}\n{{\"recipient_id\":\"82\",\"text\":\"b\"}}\n");
        assert_eq!(super::tests::rows(text, &Reading::default()).unwrap()[1].as_ref().unwrap().line, 2);
    }

    #[test]
    fn columns_can_have_other_names_and_delimiters() {
        let reading = Reading {
            delimiter: Some(b';'),
            columns: vec![("recipient_id".to_owned(), "Kunde".to_owned()), ("text".to_owned(), "Nachricht".to_owned())],
            ignores_unknown: true,
            ..Reading::default()
        };
        let rows = rows("Kunde;Ort;Nachricht\n81;Bonn;Hallo, du\n", &reading).unwrap();
        assert_eq!(rows[0].as_ref().unwrap().body, r#"{"recipient":{"id":"81"},"message":{"text":"Hallo, du"}}"#);
        assert!(super::tests::rows("Kunde;text\n81;a\n", &reading).unwrap_err().contains("\"Nachricht\""));
    }
}
