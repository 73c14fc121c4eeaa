//! The engine for many machines: a PostgreSQL database, any number of workers, all logic in SQL functions.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use crate::dispatch::recipient_of;
use crate::queue::{
    Added, Claimed, Engine, EngineError, EngineErrorKind, Feed, Finished, Ids, Import, Millis, NewMessage, Next,
    Settled, State, Status, Tell, Turn, Verdict, now, verdict,
};

/// Every version of the schema, each from the one before.
const MIGRATIONS: [&str; 1] = [include_str!("../sql/postgres/1.sql")];
/// How many settled messages a worker remembers, to report them again after a failover that lost them.
const REMEMBERED: usize = 8192;
/// Of a message that was never claimed: a report of it settles nothing.
const NO_TOKEN: &str = "00000000-0000-0000-0000-000000000000";
/// How many rows of a file go to the server at once.
const IMPORT_BATCH: usize = 500;
/// How many results are read at once.
const RESULTS_BATCH: i64 = 1000;
const PURGE_BATCH: i32 = 10_000;
/// The longest wait for results that may share a turn.
const LINGER_AT_MOST: Duration = Duration::from_millis(10);
/// Given unless the URL names them: a dead connection is noticed within ten seconds.
const DEFAULTS: [(&str, &str); 6] = [
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "10000"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("application_name", "hookmyapp-outbox"),
];

/// A claimed message: the worker's turn that claimed it, and its id.
type Claim = (i64, i64);

/// The queue of one account in a PostgreSQL database.
pub struct Postgres {
    url: String,
    account: Option<String>,
    connection: Option<PgConnection>,
    /// The id under which the database knows this worker; `None` before the first hello.
    worker: Option<String>,
    /// How often it has said hello.
    session: i32,
    lease: Duration,
    timeline: String,
    /// The number of the last turn, and of the last one whose answer came.
    turns: i64,
    answered: i64,
    /// The messages in hand, with their tokens.
    held: HashMap<Claim, String>,
    remembered: VecDeque<Report>,
    /// What a person should know.
    notes: Vec<String>,
    turned_at: Instant,
    /// How long the last turn took.
    turn_took: Duration,
    /// Turns in a row that the server refused with the same report.
    refusals: u32,
}

#[derive(QueryableByName)]
struct Hello {
    #[diesel(sql_type = Text)]
    worker: String,
    #[diesel(sql_type = Integer)]
    lease_ms: i32,
    #[diesel(sql_type = Text)]
    timeline: String,
}

#[derive(QueryableByName)]
struct TurnRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    id: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    token: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    claim: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    wait_ms: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    attempts: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    paused_ms: Option<i32>,
    #[diesel(sql_type = Nullable<Bool>)]
    pending: Option<bool>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    failed: Option<Vec<i64>>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    closed: Option<Vec<String>>,
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    unsettled: Option<Vec<i64>>,
}

#[derive(QueryableByName)]
struct ImportRow {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Text)]
    result: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_line: Option<i64>,
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = BigInt)]
    last_minute: i64,
}

#[derive(QueryableByName)]
struct AccountRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
    #[diesel(sql_type = BigInt)]
    paused_until: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pause_reason: Option<String>,
}

#[derive(QueryableByName)]
struct ResultRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Integer>)]
    status: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    message_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Nullable<BigInt>)]
    begun_at: Option<i64>,
    #[diesel(sql_type = BigInt)]
    settled_at: i64,
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Milliseconds since 1970 of a column.
macro_rules! millis {
    ($column:literal) => {
        concat!("(extract(epoch FROM ", $column, ") * 1000)::bigint")
    };
}

macro_rules! time {
    ($millis:literal) => {
        concat!(
            "CASE WHEN ",
            $millis,
            " = 9223372036854775807 THEN 'infinity' ELSE to_timestamp(",
            $millis,
            " / 1000.0) END"
        )
    };
}

impl Postgres {
    /// Connects, to see whether the database can be reached.
    pub fn open(url: &str, account: Option<String>) -> Result<Postgres, EngineError> {
        let mut engine = Postgres {
            url: with_defaults(url),
            account,
            connection: None,
            worker: None,
            session: 0,
            lease: Duration::ZERO,
            timeline: String::new(),
            turns: 0,
            answered: 0,
            held: HashMap::new(),
            remembered: VecDeque::new(),
            notes: Vec::new(),
            turned_at: Instant::now(),
            turn_took: Duration::ZERO,
            refusals: 0,
        };
        engine.connected()?;
        Ok(engine)
    }

    fn connected(&mut self) -> Result<&mut PgConnection, EngineError> {
        if self.connection.is_none() {
            let connection = PgConnection::establish(&self.url);
            self.connection = Some(connection.map_err(|error| busy(format!("the database: {error}")))?);
        }
        self.connection.as_mut().ok_or_else(|| busy("the database is not connected"))
    }

    fn account(&self) -> Result<&str, EngineError> {
        let missing = || EngineError::new(EngineErrorKind::Settings, "the settings name no account");
        self.account.as_deref().ok_or_else(missing)
    }

    /// Checks that the schema is there, in the version of this program.
    fn check_version(&mut self) -> Result<(), EngineError> {
        match self.version()? {
            Some(version) if version == MIGRATIONS.len() => Ok(()),
            Some(version) => {
                let message =
                    format!("version {version} of the queue; this program supports version {}", MIGRATIONS.len());
                Err(EngineError::new(EngineErrorKind::Settings, message))
            }
            None => Err(EngineError::new(EngineErrorKind::Settings, "there is no queue in this database: run `init`")),
        }
    }

    fn version(&mut self) -> Result<Option<usize>, EngineError> {
        let connection = self.connected()?;
        let exists: Vec<NumberRow> =
            sql_query("SELECT count(*) AS number FROM pg_namespace WHERE nspname = 'outbox'").load(connection)?;
        if exists.first().is_none_or(|row| row.number == 0) {
            return Ok(None);
        }
        let version: NumberRow = sql_query("SELECT outbox.version()::bigint AS number").get_result(connection)?;
        Ok(usize::try_from(version.number).ok())
    }

    /// Runs the migrations that the database lacks. Each one is a transaction of its own.
    fn migrate(&mut self) -> Result<(), EngineError> {
        let done = self.version()?.unwrap_or(0);
        if done > MIGRATIONS.len() {
            return self.check_version();
        }
        for migration in &MIGRATIONS[done..] {
            let connection = self.connected()?;
            if let Err(error) = connection.batch_execute(migration) {
                let _ = connection.batch_execute("ROLLBACK");
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Announces this worker, or, after a broken connection, the same worker again with what it holds.
    fn hello(&mut self) -> Result<(), EngineError> {
        let account = self.account()?.to_owned();
        let label = format!("{} {}", host(), std::process::id());
        let held: Vec<(Claim, String)> = self.held.iter().map(|(claim, token)| (*claim, token.clone())).collect();
        self.session += 1;
        let (known_as, session, answered) = (self.worker.clone(), self.session, self.answered);
        let connection = self.connected()?;
        let query = sql_query(
            "SELECT worker::text, lease_ms, timeline
             FROM outbox.hello($1, $2, CAST($3 AS uuid), $4, $5, $6, CAST($7 AS uuid[]), $8)",
        )
        .bind::<Text, _>(account)
        .bind::<Text, _>(label)
        .bind::<Nullable<Text>, _>(known_as)
        .bind::<Integer, _>(session)
        .bind::<BigInt, _>(answered)
        .bind::<Array<BigInt>, _>(held.iter().map(|((_, id), _)| *id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(held.iter().map(|(_, token)| token).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(held.iter().map(|((claim, _), _)| *claim).collect::<Vec<_>>());
        let hello: Hello = query.get_result(connection)?;
        let has_failed_over = !self.timeline.is_empty() && self.timeline != hello.timeline;
        self.worker = Some(hello.worker);
        self.lease = Duration::from_millis(u64::from(hello.lease_ms.unsigned_abs()));
        if has_failed_over {
            // The new primary may not know what the old one had committed.
            let reports: Vec<Report> = self.remembered.iter().cloned().collect();
            for chunk in reports.chunks(1000) {
                self.call_turn(chunk, 0)?;
            }
        }
        self.timeline = hello.timeline;
        Ok(())
    }

    fn call_turn(&mut self, reports: &[Report], want: i32) -> Result<Vec<TurnRow>, EngineError> {
        let worker = self.worker.clone().unwrap_or_default();
        self.turns += 1;
        let (session, number) = (self.session, self.turns);
        let connection = self.connected()?;
        let query = sql_query(
            "SELECT id, token::text, claim, body, wait_ms, attempts, key, paused_ms, pending, failed, closed, unsettled
             FROM outbox.turn(CAST($1 AS uuid), $2, $3, $4, $5, CAST($6 AS uuid[]), $7, $8, $9, $10, $11)",
        )
        .bind::<Text, _>(worker)
        .bind::<Integer, _>(session)
        .bind::<BigInt, _>(number)
        .bind::<Integer, _>(want)
        .bind::<Array<BigInt>, _>(reports.iter().map(|report| report.id).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(reports.iter().map(|report| &report.token).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(reports.iter().map(|report| report.claim).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(reports.iter().map(|report| report.status).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(reports.iter().map(|report| report.retry_after).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(reports.iter().map(|report| report.message_id.clone()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(reports.iter().map(|report| report.error.clone()).collect::<Vec<_>>());
        let rows: Vec<TurnRow> = query.load(connection)?;
        self.answered = number;
        let unsettled = rows.iter().flat_map(|row| row.unsettled.iter().flatten());
        let unsettled = unsettled
            .filter_map(|id| reports.iter().find(|report| report.id == *id && has_reached_the_gateway(report.status)));
        self.notes.extend(unsettled.map(Report::note));
        Ok(rows)
    }

    fn try_turn(&mut self, settled: &[Settled], want: usize) -> Result<Turn, EngineError> {
        if self.connection.is_none() {
            self.hello()?;
        }
        // One text that the database refuses must not keep all outcomes from being written.
        let keeps_texts = self.refusals < 2;
        let reports: Vec<Report> = settled.iter().map(|one| self.report(one, keeps_texts)).collect();
        let begun = Instant::now();
        let rows = self.call_turn(&reports, i32::try_from(want).unwrap_or(i32::MAX))?;
        self.refusals = 0;
        self.turned_at = Instant::now();
        self.turn_took = begun.elapsed();
        let now = now();
        for report in reports {
            self.held.remove(&(report.claim, report.id));
            self.remember(report);
        }
        let mut turn = Turn {
            claimed: Vec::new(),
            next: Next::Now,
            states: Vec::new(),
            closed: Vec::new(),
            paused_until: 0,
            // Half the lease: others may give this worker up for lost after the whole.
            begin_within: Some(self.lease / 2),
        };
        for row in rows {
            match (row.id, row.claim, row.token, row.body) {
                (Some(id), Some(claim), Some(token), Some(body)) => {
                    self.held.insert((claim, id), token);
                    let attempt = row.attempts.and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(1);
                    // A body without one fails when it is sent, with the reason.
                    let recipient = recipient_of(&body).unwrap_or_default();
                    turn.claimed.push(Claimed {
                        id,
                        claim,
                        attempt,
                        recipient,
                        body,
                        key: row.key,
                        row: None,
                        line: None,
                    });
                }
                _ => {
                    let failed = row.failed.unwrap_or_default();
                    turn.states = settled.iter().map(|one| state_of(one, &failed)).collect();
                    let closed = row.closed.unwrap_or_default();
                    turn.closed = closed.iter().map(|text| closed_message(text)).collect::<Result<_, _>>()?;
                    if let Some(pause) = row.paused_ms.filter(|pause| *pause > 0) {
                        turn.paused_until = now + i64::from(pause);
                    }
                    turn.next = match (turn.claimed.len(), row.wait_ms, row.pending) {
                        (count, _, _) if count == want => Next::Now,
                        (_, Some(wait), _) => Next::At(now + i64::from(wait)),
                        (0, None, Some(false)) => Next::Empty,
                        (0, None, _) => Next::Settle,
                        (_, None, _) => Next::Settle,
                    };
                }
            }
        }
        Ok(turn)
    }

    fn report(&self, settled: &Settled, keeps_texts: bool) -> Report {
        let Settled { message, answer } = settled;
        // A PostgreSQL text has no NUL.
        let text = |text: &Option<String>| text.as_ref().filter(|_| keeps_texts).map(|text| text.replace('\0', " "));
        Report {
            id: message.id,
            token: self.held.get(&(message.claim, message.id)).cloned().unwrap_or_else(|| NO_TOKEN.to_owned()),
            claim: message.claim,
            status: answer.status,
            retry_after: answer.retry_after.map_or(-1, |time| i32::try_from(time.as_secs()).unwrap_or(i32::MAX)),
            message_id: text(&answer.message_id),
            error: text(&answer.error),
        }
    }

    /// What has reached the gateway is worth reporting again.
    fn remember(&mut self, report: Report) {
        if !has_reached_the_gateway(report.status) {
            return;
        }
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(Report { retry_after: -1, error: None, ..report });
    }
}

/// What a turn reports for one message.
#[derive(Clone)]
struct Report {
    id: i64,
    token: String,
    claim: i64,
    status: i32,
    retry_after: i32,
    message_id: Option<String>,
    error: Option<String>,
}

impl Report {
    fn note(&self) -> String {
        let detail = self.message_id.as_ref().or(self.error.as_ref());
        let detail = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
        format!(
            "not written: message {} has status {}{detail}; the database has forgotten it, or another worker has sent it, too",
            self.id, self.status
        )
    }
}

/// Whether a message with this status must not be sent again by itself.
fn has_reached_the_gateway(status: i32) -> bool {
    matches!(verdict(status), Verdict::Accepted | Verdict::Refused | Verdict::Unknown)
}

/// The state that the database has given a settled message.
fn state_of(settled: &Settled, failed: &[i64]) -> State {
    match verdict(settled.answer.status) {
        Verdict::Accepted => State::Accepted,
        Verdict::Refused => State::Refused,
        Verdict::Unknown => State::Unknown,
        Verdict::Failed => State::Failed,
        Verdict::Retry if failed.contains(&settled.message.id) => State::Failed,
        Verdict::Retry | Verdict::Back => State::Queued,
    }
}

/// A message that a turn has settled without a send: a row of the view `results` as JSON.
fn closed_message(text: &str) -> Result<Finished, EngineError> {
    let row: Value = serde_json::from_str(text).map_err(EngineError::fatal)?;
    let string = |name: &str| row[name].as_str().map(str::to_owned);
    let number = |name: &str| row[name].as_i64();
    let state = string("outcome").and_then(|name| State::of_name(&name));
    let (Some(id), Some(state)) = (number("id"), state) else {
        return Err(EngineError::fatal(format!("outbox.turn returned {text}")));
    };
    Ok(Finished {
        id,
        key: string("key"),
        row: None,
        line: None,
        recipient: string("recipient").unwrap_or_default(),
        body: String::new(),
        state,
        status: number("status").and_then(|status| i32::try_from(status).ok()),
        message_id: None,
        error: string("error"),
        http_status: None,
        meta_code: None,
        meta_subcode: None,
        gateway_code: None,
        attempts: number("attempts").and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0),
        milliseconds: None,
        begun_at: number("begun_at"),
        settled_at: number("settled_at"),
    })
}

fn busy(message: impl Into<String>) -> EngineError {
    EngineError::new(EngineErrorKind::Busy, message)
}

/// The name of this machine, human-readable.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    name.map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

fn with_defaults(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in DEFAULTS {
        if !url.contains(&format!("{name}=")) {
            let mark = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{mark}{name}={value}"));
        }
    }
    url
}

struct PostgresImport<'a> {
    connection: &'a mut PgConnection,
    account: &'a str,
    import: &'a str,
    keys: Vec<String>,
    recipients: Vec<String>,
    bodies: Vec<String>,
    rows: Vec<i64>,
    lines: Vec<i64>,
    expires_at: Option<Millis>,
}

impl PostgresImport<'_> {
    fn flush(&mut self, tell: &mut Tell<'_>) -> Result<(), EngineError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let query = sql_query(concat!(
            "SELECT place, result, first_line, id FROM outbox.import($1, CAST($2 AS uuid), $3, $4, $5, $6, ",
            time!("$7"),
            ")"
        ))
        .bind::<Text, _>(self.account)
        .bind::<Text, _>(self.import)
        .bind::<Array<Text>, _>(&self.keys)
        .bind::<Array<Text>, _>(&self.bodies)
        .bind::<Array<BigInt>, _>(&self.rows)
        .bind::<Array<BigInt>, _>(&self.lines)
        .bind::<Nullable<BigInt>, _>(self.expires_at);
        let found: Vec<ImportRow> = query.load(self.connection)?;
        for row in found {
            let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
            let (Some(key), Some(recipient), Some(body)) =
                (self.keys.get(place), self.recipients.get(place), self.bodies.get(place))
            else {
                return Err(EngineError::fatal("outbox.import returned a row that was not given"));
            };
            let added = match row.result.as_str() {
                "new" => Added::New(row.id),
                "already" => Added::Already(row.id),
                "twice" => Added::Twice { line: row.first_line.unwrap_or(0) as u64 },
                _ => Added::Differs,
            };
            let (row, line) = (self.rows[place] as u64, self.lines[place] as u64);
            tell(&NewMessage { key, recipient, body, expires_at: self.expires_at, row, line }, added);
        }
        self.keys.clear();
        self.recipients.clear();
        self.bodies.clear();
        self.rows.clear();
        self.lines.clear();
        Ok(())
    }
}

impl Import for PostgresImport<'_> {
    fn add(&mut self, message: &NewMessage<'_>, tell: &mut Tell<'_>) -> Result<(), EngineError> {
        self.expires_at = message.expires_at;
        self.keys.push(message.key.to_owned());
        self.recipients.push(message.recipient.to_owned());
        self.bodies.push(message.body.to_owned());
        self.rows.push(message.row as i64);
        self.lines.push(message.line as i64);
        if self.keys.len() == IMPORT_BATCH { self.flush(tell) } else { Ok(()) }
    }

    fn finish(&mut self, tell: &mut Tell<'_>) -> Result<(), EngineError> {
        self.flush(tell)
    }
}

impl Engine for Postgres {
    fn import(&mut self, _source: &str, feed: &mut Feed<'_>) -> Result<(), EngineError> {
        self.check_version()?;
        let account = self.account()?.to_owned();
        let connection = self.connected()?;
        let import: TextRow = sql_query("SELECT gen_random_uuid()::text AS text").get_result(connection)?;
        connection.batch_execute("BEGIN")?;
        let fed = feed(&mut PostgresImport {
            connection,
            account: &account,
            import: &import.text,
            keys: Vec::new(),
            recipients: Vec::new(),
            bodies: Vec::new(),
            rows: Vec::new(),
            lines: Vec::new(),
            expires_at: None,
        });
        match fed {
            Ok(true) => {
                connection.batch_execute("COMMIT")?;
                Ok(())
            }
            Ok(false) => Ok(connection.batch_execute("ROLLBACK")?),
            Err(error) => {
                let _ = connection.batch_execute("ROLLBACK");
                Err(error)
            }
        }
    }

    fn recover(&mut self, account: &str) -> Result<u64, EngineError> {
        self.account = Some(account.to_owned());
        self.check_version()?;
        self.hello()?;
        // What dead workers left becomes unknown in a turn, once they were silent for a lease.
        Ok(0)
    }

    fn turn(&mut self, settled: &[Settled], want: usize) -> Result<Turn, EngineError> {
        self.try_turn(settled, want).map_err(|error| {
            // Whether the connection broke or the server refused: hello tells what is held, and the same report follows.
            self.connection = None;
            if error.kind == EngineErrorKind::Fatal && !settled.is_empty() {
                self.refusals += 1;
            }
            busy(error.message)
        })
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// A turn costs a round trip and a flush: results that come during its time are better with it.
    fn linger(&self) -> Duration {
        self.turn_took.min(LINGER_AT_MOST)
    }

    /// Says that this worker lives, too.
    fn changed(&mut self) -> Result<bool, EngineError> {
        let silence = (self.lease / 10).min(Duration::from_secs(1));
        if self.worker.is_some() && self.turned_at.elapsed() >= silence {
            self.turn(&[], 0)?;
        }
        Ok(true)
    }

    fn leave(&mut self) -> Result<(), EngineError> {
        let Some(worker) = self.worker.take() else { return Ok(()) };
        // Nothing is in hand: without the goodbye this worker is given up after a lease, and nothing changes.
        for _ in 0..2 {
            let Ok(connection) = self.connected() else { break };
            let bye = sql_query("SELECT outbox.bye(CAST($1 AS uuid))::bigint AS number").bind::<Text, _>(&worker);
            if bye.get_result::<NumberRow>(connection).is_ok() {
                break;
            }
            self.connection = None;
        }
        Ok(())
    }

    fn status(&mut self) -> Result<Status, EngineError> {
        self.check_version()?;
        let connection = self.connected()?;
        let mut status = Status::default();
        let counts: Vec<CountRow> = sql_query(
            "SELECT 'queued' AS state, coalesce(sum(ready + waiting + scheduled + retry), 0)::bigint AS messages,
                 0::bigint AS last_minute FROM outbox.status
             UNION ALL SELECT 'sending', coalesce(sum(sending), 0)::bigint, 0 FROM outbox.status
             UNION ALL SELECT outcome, sum(messages)::bigint, sum(last_minute)::bigint FROM outbox.outcomes GROUP BY outcome",
        )
        .load(connection)?;
        for row in counts {
            count(&mut status, &row)?;
            if row.state == State::Accepted.name() {
                status.accepted_last_minute = row.last_minute as u64;
            }
        }
        let accounts: Vec<AccountRow> = sql_query(concat!(
            "SELECT CASE WHEN oldest_ready_seconds > 0 THEN ",
            millis!("clock_timestamp() - oldest_ready_seconds * interval '1 second'"),
            " END AS oldest, coalesce(",
            millis!("paused_until"),
            ", 0) AS paused_until, pause_reason FROM outbox.status"
        ))
        .load(connection)?;
        for account in accounts {
            status.oldest_queued_at = status.oldest_queued_at.into_iter().chain(account.oldest).min();
            status.paused_until = status.paused_until.max(account.paused_until);
            status.pause_reason = status.pause_reason.or(account.pause_reason);
        }
        let workers: Vec<TextRow> = sql_query(
            "SELECT format('%s: %s, silent for %s s, %s under way', account, label, round(silent_seconds), sending) AS text
             FROM outbox.workers ORDER BY started_at",
        )
        .load(connection)?;
        status.workers = workers.into_iter().map(|row| row.text).collect();
        Ok(status)
    }

    fn left(&mut self) -> Result<u64, EngineError> {
        let account = self.account()?.to_owned();
        let connection = self.connected()?;
        let row: NumberRow = sql_query(
            "SELECT (ready + waiting + scheduled + retry + sending)::bigint AS number FROM outbox.status WHERE account = $1",
        )
        .bind::<Text, _>(account)
        .get_result(connection)?;
        Ok(row.number as u64)
    }

    fn counts_of(&mut self, ids: &Ids) -> Result<Status, EngineError> {
        let (firsts, lasts): (Vec<i64>, Vec<i64>) = ids.ranges().unzip();
        let connection = self.connected()?;
        let counts: Vec<CountRow> =
            sql_query("SELECT state, messages, 0::bigint AS last_minute FROM outbox.counts_of($1, $2)")
                .bind::<Array<BigInt>, _>(firsts)
                .bind::<Array<BigInt>, _>(lasts)
                .load(connection)?;
        let mut status = Status::default();
        for row in counts {
            count(&mut status, &row)?;
        }
        Ok(status)
    }

    fn ids_of(&mut self, ids: &Ids, state: State) -> Result<Vec<i64>, EngineError> {
        let (firsts, lasts): (Vec<i64>, Vec<i64>) = ids.ranges().unzip();
        let connection = self.connected()?;
        let ids: Vec<NumberRow> =
            sql_query("SELECT number FROM outbox.ids_of($1, $2, CAST($3 AS outbox.outcome)) AS number")
                .bind::<Array<BigInt>, _>(firsts)
                .bind::<Array<BigInt>, _>(lasts)
                .bind::<Text, _>(state.name())
                .load(connection)?;
        Ok(ids.into_iter().map(|row| row.number).collect())
    }

    fn finished(
        &mut self,
        after: i64,
        only: Option<State>,
        visit: &mut dyn FnMut(Finished) -> bool,
    ) -> Result<(), EngineError> {
        self.check_version()?;
        let mut after = after;
        loop {
            let connection = self.connected()?;
            let rows: Vec<ResultRow> = sql_query(concat!(
                "SELECT id, key, recipient, body, outcome, status, message_id, error, attempts::int AS attempts, ",
                millis!("claimed_at"),
                " AS begun_at, ",
                millis!("settled_at"),
                " AS settled_at FROM outbox.results WHERE id > $1 AND ($2 IS NULL OR outcome = $2) ORDER BY id LIMIT $3"
            ))
            .bind::<BigInt, _>(after)
            .bind::<Nullable<Text>, _>(only.map(State::name))
            .bind::<BigInt, _>(RESULTS_BATCH)
            .load(connection)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            for row in rows {
                let state = State::of_name(&row.outcome).unwrap_or(State::Unknown);
                let finished = Finished {
                    id: row.id,
                    key: row.key,
                    row: None,
                    line: None,
                    recipient: row.recipient,
                    body: row.body.unwrap_or_default(),
                    state,
                    status: row.status,
                    message_id: row.message_id,
                    error: row.error,
                    http_status: None,
                    meta_code: None,
                    meta_subcode: None,
                    gateway_code: None,
                    attempts: u32::try_from(row.attempts).unwrap_or(0),
                    milliseconds: None,
                    begun_at: row.begun_at,
                    settled_at: Some(row.settled_at),
                };
                if !visit(finished) {
                    return Ok(());
                }
            }
        }
    }

    fn accept(&mut self, id: i64, message_id: Option<&str>) -> Result<bool, EngineError> {
        let connection = self.connected()?;
        let row: NumberRow = sql_query("SELECT outbox.resolve($1, 'accepted', $2)::int::bigint AS number")
            .bind::<BigInt, _>(id)
            .bind::<Nullable<Text>, _>(message_id)
            .get_result(connection)?;
        Ok(row.number == 1)
    }

    fn resend(&mut self, id: i64, from: State, expires_at: Option<Millis>) -> Result<Option<i64>, EngineError> {
        let connection = self.connected()?;
        let query = sql_query(concat!(
            "SELECT coalesce(outbox.send_again($1, CAST($2 AS outbox.outcome), ",
            time!("$3"),
            "), 0) AS number"
        ));
        let row: NumberRow = query
            .bind::<BigInt, _>(id)
            .bind::<Text, _>(from.name())
            .bind::<Nullable<BigInt>, _>(expires_at)
            .get_result(connection)?;
        Ok(Some(row.number).filter(|id| *id > 0))
    }

    fn prune(&mut self, older_than: Duration) -> Result<u64, EngineError> {
        self.check_version()?;
        let mut removed = 0;
        loop {
            let connection = self.connected()?;
            let row: NumberRow = sql_query("SELECT outbox.purge($1 * interval '1 second', $2)::bigint AS number")
                .bind::<Double, _>(older_than.as_secs_f64())
                .bind::<Integer, _>(PURGE_BATCH)
                .get_result(connection)?;
            removed += row.number as u64;
            if row.number < i64::from(PURGE_BATCH) {
                return Ok(removed);
            }
        }
    }

    fn warning(&mut self) -> Option<String> {
        let connection = self.connected().ok()?;
        let settings: TextRow =
            sql_query("SELECT current_setting('fsync') || ' ' || current_setting('full_page_writes') AS text")
                .get_result(connection)
                .ok()?;
        let warning =
            "fsync or full_page_writes is off: a loss of power loses the queue, and messages may be sent twice";
        (settings.text != "on on").then(|| warning.to_owned())
    }

    fn create(&mut self, rate: Option<f64>) -> Result<(), EngineError> {
        self.migrate()?;
        let account = self.account()?.to_owned();
        let connection = self.connected()?;
        // What an administrator has set stays, but for the rate.
        sql_query("SELECT outbox.set_account($1, $2)::bigint AS number")
            .bind::<Text, _>(account)
            .bind::<Nullable<Double>, _>(rate)
            .get_result::<NumberRow>(connection)?;
        Ok(())
    }
}

fn count(status: &mut Status, row: &CountRow) -> Result<(), EngineError> {
    let state = State::of_name(&row.state).ok_or_else(|| EngineError::fatal(format!("a state {:?}", row.state)))?;
    status.counts[state as usize] += row.messages as u64;
    Ok(())
}

impl From<diesel::result::Error> for EngineError {
    fn from(error: diesel::result::Error) -> EngineError {
        let message = error.to_string();
        let has = |all: &[&str]| all.iter().any(|words| message.contains(words));
        let kind = if has(&["there is no account", "permission denied", "the encoding UTF8", "the isolation level"]) {
            EngineErrorKind::Settings
        } else if has(&["No space left on device"]) {
            EngineErrorKind::Full
        } else if has(&["connection", "SSL", "shutting down", "starting up", "say hello", "recovery"]) {
            // libpq states a lost connection in words only.
            EngineErrorKind::Busy
        } else {
            EngineErrorKind::Fatal
        };
        EngineError::new(kind, format!("the database: {}", message.replace('\n', " ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_added_unless_the_url_names_them() {
        let url = with_defaults("postgres://h/d?connect_timeout=9");
        assert!(url.starts_with("postgres://h/d?connect_timeout=9&tcp_user_timeout=10000&"), "{url}");
        assert_eq!(url.matches("connect_timeout").count(), 1);
        assert!(with_defaults("postgres://h/d").contains("d?connect_timeout=5&"));
    }
}
