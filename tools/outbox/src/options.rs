//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::input::{Format, NAMES, Reading};

pub const USAGE: &str = "\
Sends Instagram direct messages from one durable queue. Whatever happens in between (kill -9, a loss of power, a full
disk, a lost connection), no message is sent twice by it, and none is forgotten.

usage: hookmyapp-outbox COMMAND [OPTIONS]

example: hookmyapp-outbox check customers.csv && hookmyapp-outbox send customers.csv --env-file .env

  send FILE            check all rows, queue them, send until all are settled; run it again to resume
  check FILE           read and check everything, queue and send nothing; print the first request body
  init                 create or migrate the queue
  add FILE             queue, send nothing
  work                 send what is queued until stopped; with --until-empty, until nothing is left
  status [--json]      counts by state, rate, oldest message, pauses, workers
  results [--after ID] one line of NDJSON per settled message, by id
  unknown list         one line of NDJSON per message that may have been delivered
  unknown accept ID... these did arrive
  unknown resend ID... queue these again, although they may have arrived
  unknown echo FILE    accept the messages whose echo webhooks are in FILE (NDJSON of deliveries, already verified)
  retry ID...          queue these refused, failed or expired messages again
  prune --older-than D remove messages settled before that time; never unknown ones; forgets their keys

FILE is CSV (with a header) or NDJSON; - is standard input. Its columns or members:
  recipient_id or comment_id    exactly one
  text, message or body         exactly one: plain text; Meta's message object; a whole request body
  key                           your unique name of the message, 1 to 200 bytes; otherwise made of its content
  tag, messaging_type, reply_to optional

options:
  --queue FILE|URL     a SQLite file, or postgres://... in a build with PostgreSQL
                       (default: FILE.outbox for send; else DATABASE_URL, if
                       PostgreSQL is built in and it is set; else outbox.db)
  --threads N          sends at the same time, 1 to 256 (8)
  --rate N             sends a second; 0 is no limit (50). With PostgreSQL: `init --rate N` sets a rate that all workers
                       share, and `send` and `work` add none of their own unless it is given
  --media-rate N       of these, audio and video a second; 0 is no limit (10)
  --max-pause SECONDS  send: stop if pauses without an accepted message add up to more (3600)
  --expires D          not sent after this time from now: 90s, 10m, 24h, 7d or never (24h). For new messages, and
                       for those that are queued again
  --resend-unknown     send: queue the unknown messages of this file again: they may arrive twice
  --retry-refused      send: queue the refused and failed messages of this file again
  --retry-expired      send: queue the expired messages of this file again
  --results FILE|-     send, work: append one line of NDJSON per settled message
  --format csv|ndjson  (default: by the name or the first character)
  --delimiter C        of CSV (default: comma; tab for .tsv)
  --column NAME=HEADER the column or member HEADER has the meaning NAME; may be repeated
  --ignore-unknown     ignore columns and members without a meaning
  --env-file FILE      read the INSTAGRAM_ variables from FILE
  --ca-file FILE       trust exactly the certificates in this PEM file
  --timeout SECONDS    of one send (80)
  --until-empty  --json  --after ID  --older-than D  --quiet  --version  --help

environment: INSTAGRAM_API_URL or INSTAGRAM_GRAPH_API_URL, INSTAGRAM_ACCOUNT_ID, INSTAGRAM_ACCESS_TOKEN, HTTPS_PROXY,
NO_PROXY as for the hookmyapp library; DATABASE_URL. The token is never an argument and never in the queue.

signals: the first INT, TERM or HUP lets the sends under way end; a second one, at least a second later, aborts them, and
records what is known of each; the third kills.

exit code: 0 all accepted; 3 some possibly delivered; 2 some refused, failed or expired, or there is no message with an
ID; 1 stopped before the end, run it again; 64 usage; 65 errors in the input, nothing was queued; 66 input unreadable;
73 the queue cannot be opened, locked or made durable, or was replaced; 78 configuration invalid. `send` speaks of the
messages of its file, and `work` of those of its run; without --until-empty it exits with 0 after a signal.
";

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Send(PathBuf),
    Check(PathBuf),
    Init,
    Add(PathBuf),
    Work,
    Status,
    Results,
    UnknownList,
    UnknownAccept(Vec<i64>),
    UnknownResend(Vec<i64>),
    UnknownEcho(PathBuf),
    Retry(Vec<i64>),
    Prune,
    Help,
    Version,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub command: Command,
    pub queue: Option<String>,
    pub threads: usize,
    /// Sends a second; `None` is no limit.
    pub rate: Option<f64>,
    /// Whether `--rate` was given.
    pub has_rate: bool,
    pub media_rate: Option<f64>,
    pub max_pause: Duration,
    /// `None` is the default; `Some(None)` is never.
    pub expires: Option<Option<Duration>>,
    pub resend_unknown: bool,
    pub retry_refused: bool,
    pub retry_expired: bool,
    pub results: Option<PathBuf>,
    pub reading: Reading,
    pub env_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub until_empty: bool,
    pub json: bool,
    pub after: i64,
    pub older_than: Option<Duration>,
    pub quiet: bool,
}

/// Reads the command line.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        command: Command::Help,
        queue: None,
        threads: 8,
        rate: Some(50.0),
        has_rate: false,
        media_rate: Some(10.0),
        max_pause: Duration::from_secs(3600),
        expires: None,
        resend_unknown: false,
        retry_refused: false,
        retry_expired: false,
        results: None,
        reading: Reading::default(),
        env_file: None,
        ca_file: None,
        timeout: None,
        until_empty: false,
        json: false,
        after: 0,
        older_than: None,
        quiet: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut words: Vec<OsString> = Vec::new();
    let mut given: Vec<String> = Vec::new();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Value(word) => {
                words.push(word);
                continue;
            }
            Short('h') => "help".to_owned(),
            Short('q') => "quiet".to_owned(),
            Long(name) => name.to_owned(),
            _ => return Err(argument.unexpected()),
        };
        let mut value = || parser.value();
        match name.as_str() {
            "help" => return Ok(Options { command: Command::Help, ..options }),
            "version" => return Ok(Options { command: Command::Version, ..options }),
            "queue" => options.queue = Some(value()?.string()?),
            "threads" => options.threads = number("--threads", &value()?.string()?, 1.0, 256.0)? as usize,
            "rate" => {
                options.rate = rate("--rate", &value()?.string()?)?;
                options.has_rate = true;
            }
            "media-rate" => options.media_rate = rate("--media-rate", &value()?.string()?)?,
            "max-pause" => options.max_pause = seconds("--max-pause", &value()?.string()?)?,
            "expires" => {
                let text = value()?.string()?;
                options.expires = Some(if text == "never" { None } else { Some(time("--expires", &text)?) });
            }
            "resend-unknown" => options.resend_unknown = true,
            "retry-refused" => options.retry_refused = true,
            "retry-expired" => options.retry_expired = true,
            "results" => options.results = Some(PathBuf::from(value()?)),
            "format" => {
                options.reading.format = Some(match value()?.string()?.as_str() {
                    "csv" => Format::Csv,
                    "ndjson" => Format::Ndjson,
                    other => return Err(format!("--format is csv or ndjson, not {other:?}").into()),
                });
            }
            "delimiter" => {
                let text = value()?.string()?;
                let text = if text == "\\t" { "\t" } else { &text };
                match text.as_bytes() {
                    [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => {
                        options.reading.delimiter = Some(*byte);
                    }
                    _ => return Err(format!("--delimiter is one ASCII character, not {text:?}").into()),
                }
            }
            "column" => {
                let text = value()?.string()?;
                match text.split_once('=') {
                    Some((name, header)) if NAMES.contains(&name) && !header.is_empty() => {
                        options.reading.columns.push((name.to_owned(), header.to_owned()));
                    }
                    _ => {
                        let names = NAMES.join(", ");
                        return Err(format!("--column is NAME=HEADER, with a NAME of {names}, not {text:?}").into());
                    }
                }
            }
            "ignore-unknown" => options.reading.ignores_unknown = true,
            "env-file" => options.env_file = Some(PathBuf::from(value()?)),
            "ca-file" => options.ca_file = Some(PathBuf::from(value()?)),
            "timeout" => options.timeout = Some(seconds("--timeout", &value()?.string()?)?),
            "until-empty" => options.until_empty = true,
            "json" => options.json = true,
            "after" => options.after = id("--after", &value()?)?,
            "older-than" => options.older_than = Some(time("--older-than", &value()?.string()?)?),
            "quiet" => options.quiet = true,
            _ => return Err(Long(&name).unexpected()),
        }
        given.push(name);
    }
    options.command = command(words)?;
    check(&options, &given)?;
    Ok(options)
}

fn command(words: Vec<OsString>) -> Result<Command, lexopt::Error> {
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or("")).collect();
    let file = |place: usize| -> Result<PathBuf, lexopt::Error> {
        match words.len() - place {
            0 => Err(format!("{} needs a FILE", texts[..place].join(" ")).into()),
            1 => Ok(PathBuf::from(&words[place])),
            _ => Err(format!("one FILE at a time, not {:?}", texts[place + 1]).into()),
        }
    };
    let ids = |place: usize, lister: &str| -> Result<Vec<i64>, lexopt::Error> {
        let ids = words[place..].iter().map(|word| id("ID", word)).collect::<Result<Vec<i64>, _>>()?;
        if ids.is_empty() {
            Err(format!("name the IDs of the messages; `{lister}` lists them").into())
        } else {
            Ok(ids)
        }
    };
    let alone = |command: Command, place: usize| match texts.get(place) {
        None => Ok(command),
        Some(more) => Err(format!("unexpected argument {more:?}: a queue is named with --queue").into()),
    };
    match texts[..] {
        ["send", ..] => Ok(Command::Send(file(1)?)),
        ["check", ..] => Ok(Command::Check(file(1)?)),
        ["add", ..] => Ok(Command::Add(file(1)?)),
        ["init", ..] => alone(Command::Init, 1),
        ["work", ..] => alone(Command::Work, 1),
        ["status", ..] => alone(Command::Status, 1),
        ["results", ..] => alone(Command::Results, 1),
        ["prune", ..] => alone(Command::Prune, 1),
        ["retry", ..] => Ok(Command::Retry(ids(1, "results")?)),
        ["unknown", "list", ..] => alone(Command::UnknownList, 2),
        ["unknown", "accept", ..] => Ok(Command::UnknownAccept(ids(2, "unknown list")?)),
        ["unknown", "resend", ..] => Ok(Command::UnknownResend(ids(2, "unknown list")?)),
        ["unknown", "echo", ..] => Ok(Command::UnknownEcho(file(2)?)),
        ["unknown", ..] => Err("unknown is followed by list, accept, resend or echo".into()),
        [] => Err("a command is missing".into()),
        [other, ..] => Err(format!("there is no command {other:?}").into()),
    }
}

/// An option that its command ignores is an error of the caller.
fn check(options: &Options, given: &[String]) -> Result<(), lexopt::Error> {
    use Command::{Add, Check, Init, Prune, Results, Retry, Send, Status, UnknownResend, Work};
    let command = &options.command;
    let (sends, reads) = (matches!(command, Send(_) | Work), matches!(command, Send(_) | Add(_) | Check(_)));
    for name in given {
        let fits = match name.as_str() {
            "threads" | "media-rate" | "results" | "timeout" => sends,
            "rate" => sends || *command == Init,
            "env-file" | "ca-file" => sends || matches!(command, Init | Add(_)),
            "max-pause" | "resend-unknown" | "retry-refused" | "retry-expired" => matches!(command, Send(_)),
            "expires" => matches!(command, Send(_) | Add(_) | UnknownResend(_) | Retry(_)),
            "format" | "delimiter" | "column" | "ignore-unknown" => reads,
            "until-empty" => *command == Work,
            "json" => matches!(command, Status),
            "after" => matches!(command, Results),
            "older-than" => *command == Prune,
            "queue" => !matches!(command, Check(_)),
            _ => true,
        };
        if !fits {
            return Err(format!("--{name} has no meaning for this command").into());
        }
    }
    if *command == Prune && options.older_than.is_none_or(|age| age < Duration::from_secs(24 * 60 * 60)) {
        return Err(
            "prune needs --older-than of at least 24h: it forgets keys, and a file that is sent again within the \
             window would be delivered again"
                .into(),
        );
    }
    Ok(())
}

fn id(name: &str, word: &OsString) -> Result<i64, lexopt::Error> {
    let number = word.to_str().and_then(|text| text.parse().ok()).filter(|id| *id >= 0);
    number.ok_or_else(|| format!("{name} is the id of a message, not {word:?}").into())
}

fn number(name: &str, text: &str, least: f64, most: f64) -> Result<f64, lexopt::Error> {
    let number = text.parse::<u32>().ok().map(f64::from).filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{name} is a whole number from {least} to {most}, not {text:?}").into())
}

fn rate(name: &str, text: &str) -> Result<Option<f64>, lexopt::Error> {
    let number = text.parse::<f64>().ok().filter(|rate| *rate == 0.0 || (0.001..=100_000.0).contains(rate));
    let number = number.ok_or_else(|| format!("{name} is a number of sends a second, at most 100000, not {text:?}"))?;
    Ok(Some(number).filter(|number| *number > 0.0))
}

fn seconds(name: &str, text: &str) -> Result<Duration, lexopt::Error> {
    let number = text.parse::<f64>().ok().filter(|seconds| (0.001..=4_000_000.0).contains(seconds));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{name} is a number of seconds, at most 4000000, not {text:?}").into())
}

fn time(name: &str, text: &str) -> Result<Duration, lexopt::Error> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).and_then(|digits| digits.parse::<u64>().ok());
    let seconds = number.and_then(|number| number.checked_mul(unit)).filter(|seconds| (1..=1 << 32).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{name} is a time such as 90s, 10m, 24h or 7d, not {text:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_and_options_are_read() {
        let options = parsed("send a.csv --queue q --rate 0 --expires never --column text=T --delimiter \\t").unwrap();
        assert_eq!(options.command, Command::Send("a.csv".into()));
        assert_eq!((options.rate, options.expires, options.reading.delimiter), (None, Some(None), Some(b'\t')));
        assert_eq!(parsed("unknown accept 1 2").unwrap().command, Command::UnknownAccept(vec![1, 2]));
        assert_eq!(parsed("prune --older-than 30d").unwrap().older_than, Some(Duration::from_secs(2_592_000)));
        assert_eq!(parsed("work --help").unwrap().command, Command::Help);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "a command is missing"),
            ("sent a", "there is no command \"sent\""),
            ("send", "send needs a FILE"),
            ("send a b", "one FILE at a time"),
            ("status a.csv", "a queue is named with --queue"),
            ("send a --threads 0", "--threads is a whole number from 1 to 256"),
            ("send a --rate x", "--rate is a number"),
            ("send a --rate -1", "--rate is a number"),
            ("send a --expires 5", "--expires is a time"),
            ("send a --delimiter ab", "--delimiter is one ASCII character"),
            ("send a --column x=y", "--column is NAME=HEADER"),
            ("send a --until-empty", "--until-empty has no meaning for this command"),
            ("check a --queue b", "--queue has no meaning for this command"),
            ("prune", "at least 24h"),
            ("prune --older-than 5m", "at least 24h"),
            ("unknown", "list, accept, resend or echo"),
            ("unknown accept", "name the IDs of the messages; `unknown list`"),
            ("retry", "name the IDs of the messages; `results`"),
            ("unknown accept 1 --expires 1h", "--expires has no meaning for this command"),
            ("unknown accept x", "ID is the id of a message"),
            ("send a --token t", "invalid option '--token'"),
        ];
        for (line, expected) in cases {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
