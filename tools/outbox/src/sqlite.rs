//! The engine for one machine: a SQLite file, one worker, and any programs that insert.

use std::cell::Cell;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Statement, TransactionBehavior, params};

use crate::queue::{
    Added, Answer, Claimed, Engine, EngineError, EngineErrorKind, Feed, Finished, Ids, Import, MAX_ATTEMPTS, Millis,
    NEVER, NewMessage, Next, Settled, State, Status, Tell, Turn, Verdict, WINDOW, needs_a_person, now, pauses,
    proves_health, verdict,
};

const SCHEMA: &str = include_str!("../sql/sqlite.sql");
/// `HMaA`: marks the file as an outbox.
const APPLICATION_ID: i64 = 0x484d_6141;
const VERSION: i64 = 1;
/// How long an application may hold the write lock before a call gives up and is tried again.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Memory for pages, in KiB: for a worker, and for an import, whose keys arrive in no order.
const WORKER_CACHE: i64 = 2048;
const IMPORT_CACHE: i64 = 192 * 1024;
/// Room that is given free when the disk is full, so that results of finished sends can still be written.
const RESERVE: usize = 4 * 1024 * 1024;
/// How many rows one transaction of `prune` removes.
const PRUNE_BATCH: i64 = 10_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks for the lock every millisecond. SQLite's own timeout sleeps up to 100 ms between two tries, so that busy
/// applications could keep the worker out for seconds.
fn wait_for_lock(tries: i32) -> bool {
    // By the clock: on a busy machine a sleep of one millisecond lasts longer than that.
    thread_local!(static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) });
    let begun = BEGUN.get().filter(|_| tries > 0).unwrap_or_else(Instant::now);
    BEGUN.set(Some(begun));
    thread::sleep(Duration::from_millis(1));
    begun.elapsed() < BUSY_LIMIT
}

/// Which file a path leads to now: another number than before if it was replaced. `None` where there is no file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(&file), std::os::unix::fs::MetadataExt::ino(&file)));
    // An open database cannot be replaced on Windows.
    #[cfg(not(unix))]
    return file.is_file().then_some((0, 0));
}

/// The queue in one file of this machine.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// The file that was opened, and then those beside it that SQLite holds open, once a worker has seen them.
    open_files: Vec<(PathBuf, (u64, u64))>,
    /// Held by the one worker. The kernel frees it when the process dies, so that no lease is needed.
    worker_lock: Option<File>,
    seen_version: i64,
    reserve: Option<PathBuf>,
    reserve_tried: Option<Instant>,
    /// Since the disk was full, until there is room for a new reserve.
    is_reserve_spent: bool,
}

impl Sqlite {
    /// Opens the queue, or creates it.
    pub fn open(path: &Path) -> Result<Sqlite, EngineError> {
        let at_path = |error: EngineError| EngineError { message: format!("{}: {error}", path.display()), ..error };
        create_private(path).map_err(|error| at_path(EngineError::fatal(error)))?;
        let connection = Connection::open(path).map_err(|error| at_path(error.into()))?;
        let engine = Sqlite::with_connection(connection, path.to_owned()).map_err(at_path)?;
        // The name of a new file must survive, too.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at_path(EngineError::fatal(error)))?;
        Ok(engine)
    }

    /// A queue that goes away at the end: what `check` imports into.
    pub fn temporary() -> Result<Sqlite, EngineError> {
        Sqlite::with_connection(Connection::open("")?, PathBuf::new())
    }

    fn with_connection(mut connection: Connection, path: PathBuf) -> Result<Sqlite, EngineError> {
        connection.busy_handler(Some(wait_for_lock))?;
        connection.set_prepared_statement_cache_capacity(32);
        // FULL: a commit is on the disk before a byte leaves. With NORMAL a loss of power forgets intents, and they are
        // sent again. Fullfsync: on macOS fsync alone leaves the data in the drive's cache; nothing elsewhere.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
             PRAGMA checkpoint_fullfsync = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = FILE;",
        )?;
        connection.pragma_update(None, "cache_size", -WORKER_CACHE)?;
        let mut engine = Sqlite {
            connection,
            open_files: identity(&path).map(|seen| (path.clone(), seen)).into_iter().collect(),
            path,
            worker_lock: None,
            seen_version: 0,
            reserve: None,
            reserve_tried: None,
            is_reserve_spent: false,
        };
        engine.make_schema()?;
        Ok(engine)
    }

    fn make_schema(&mut self) -> Result<(), EngineError> {
        let pragma = |connection: &Connection, name| {
            connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(EngineError::from)
        };
        if pragma(&self.connection, "application_id")? == APPLICATION_ID
            && pragma(&self.connection, "user_version")? == VERSION
        {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        match (pragma(&transaction, "application_id")?, pragma(&transaction, "user_version")?, tables) {
            (APPLICATION_ID, VERSION, _) => return Ok(()),
            (0, 0, 0) => transaction.execute_batch(SCHEMA)?,
            (APPLICATION_ID, newer, _) => {
                let message = format!("version {newer} of the queue; this program supports version {VERSION}");
                return Err(EngineError::new(EngineErrorKind::Fatal, message));
            }
            _ => return Err(EngineError::new(EngineErrorKind::Fatal, "a database, but not an outbox")),
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        Ok(())
    }

    /// A file beside the database, whatever link leads to it.
    fn beside(&self, suffix: &str) -> Result<PathBuf, EngineError> {
        let mut name = self.path.canonicalize().map_err(EngineError::fatal)?.into_os_string();
        name.push(suffix);
        Ok(name.into())
    }

    /// Locks a file beside the database. Not the database itself: closing any descriptor of it would drop the locks
    /// that SQLite holds there.
    fn lock(&mut self) -> Result<(), EngineError> {
        if has_other_names(&self.path) {
            let message = format!("{}: the file has a second name (a hard link)", self.path.display());
            return Err(EngineError::new(EngineErrorKind::Fatal, message));
        }
        let path = self.beside("-worker")?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = file.map_err(EngineError::fatal)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // `status` holds the lock for a moment.
                Err(TryLockError::WouldBlock) if tries < 10 => {
                    tries += 1;
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    let message =
                        format!("{}: another process is sending from it ({})", self.path.display(), holder.trim());
                    return Err(EngineError::new(EngineErrorKind::NotOurs, message));
                }
                Err(TryLockError::Error(error)) => return Err(EngineError::fatal(error)),
            }
        }
        // For the message above only: a failure does no harm.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "process {}", std::process::id());
        self.worker_lock = Some(file);
        self.make_reserve();
        Ok(())
    }

    /// SQLite continues to write to a file that was moved, removed or replaced. What is written there may be lost, and what
    /// applications add to a new file would never be seen.
    fn check_place(&self) -> Result<(), EngineError> {
        let Some((path, _)) = self.open_files.iter().find(|(path, seen)| identity(path) != Some(*seen)) else {
            return Ok(());
        };
        let message = format!("{}: the file was moved, removed or replaced; nothing more is sent", path.display());
        Err(EngineError::new(EngineErrorKind::NotOurs, message))
    }

    /// Without the reserve a full disk only means that more outcomes may be lost if the process ends then.
    fn make_reserve(&mut self) {
        if self.reserve.is_some() || self.reserve_tried.is_some_and(|tried| tried.elapsed() < Duration::from_secs(10)) {
            return;
        }
        self.reserve_tried = Some(Instant::now());
        let Ok(path) = self.beside("-reserve") else { return };
        let made = File::create(&path).and_then(|mut file| {
            file.write_all(&vec![0_u8; RESERVE])?;
            file.sync_all()
        });
        match made {
            Ok(()) => self.reserve = Some(path),
            Err(_) => drop(fs::remove_file(&path)),
        }
    }

    fn remove_reserve(&mut self) {
        if let Some(reserve) = self.reserve.take() {
            let _ = fs::remove_file(reserve);
        }
    }

    fn try_turn(&mut self, settled: &[Settled], want: usize) -> Result<Turn, EngineError> {
        let now = now();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut control = Control::read(&transaction)?;
        control.follow_clock(now);
        let mut states = Vec::with_capacity(settled.len());
        for one in settled {
            states.push(settle(&transaction, &mut control, one, now)?);
        }
        let mut closed = Vec::new();
        let (claimed, next) = claim(&transaction, &control, want, now, &mut closed)?;
        control.write(&transaction)?;
        transaction.commit()?;
        let paused_until = if control.paused_until > now { control.paused_until } else { 0 };
        Ok(Turn { claimed, next, states, closed, paused_until, begin_within: None })
    }

    fn import_rows(&mut self, source: &str, feed: &mut Feed<'_>) -> Result<(), EngineError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT INTO outbox_import (source, begun_at) VALUES (?1, ?2)", params![source, now()])?;
        let import = transaction.last_insert_rowid();
        if feed(&mut SqliteImport::new(&transaction, import)?)? {
            transaction.commit()?;
        } else {
            transaction.rollback()?;
        }
        Ok(())
    }

    fn counts(&mut self) -> Result<Status, EngineError> {
        let mut status = Status::default();
        let mut groups = self
            .connection
            .prepare("SELECT state, count(*), min(created_at), sum(settled_at > ?1) FROM outbox GROUP BY state")?;
        let mut rows = groups.query([now() - 60_000])?;
        while let Some(row) = rows.next()? {
            let (state, count) = state_and_count(row)?;
            status.counts[state as usize] = count;
            match state {
                State::Queued => status.oldest_queued_at = row.get(2)?,
                State::Accepted => status.accepted_last_minute = row.get::<_, Option<i64>>(3)?.unwrap_or(0) as u64,
                _ => {}
            }
        }
        Ok(status)
    }
}

/// SQLite would create the file for everybody to read. Messages are private.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The locks and the WAL of SQLite go by the name of the file: two workers under two names would not know of each other.
fn has_other_names(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).is_ok_and(|file| file.nlink() > 1)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// The one row that concerns the whole account.
#[derive(Debug, PartialEq)]
struct Control {
    paused_at: Millis,
    paused_until: Millis,
    pause_status: Option<i32>,
    pause_reason: Option<String>,
    trouble: u32,
    changed: bool,
}

impl Control {
    fn read(connection: &Connection) -> Result<Control, EngineError> {
        let mut select = connection.prepare_cached(
            "SELECT paused_at, paused_until, pause_status, pause_reason, trouble FROM outbox_control",
        )?;
        Ok(select.query_row([], |row| {
            Ok(Control {
                paused_at: row.get(0)?,
                paused_until: row.get(1)?,
                pause_status: row.get(2)?,
                pause_reason: row.get(3)?,
                trouble: row.get(4)?,
                changed: false,
            })
        })?)
    }

    fn write(&self, connection: &Connection) -> Result<(), EngineError> {
        if self.changed {
            let mut update = connection.prepare_cached(
                "UPDATE outbox_control SET paused_at = ?1, paused_until = ?2, pause_status = ?3, pause_reason = ?4,
                     trouble = ?5",
            )?;
            update.execute(params![
                self.paused_at,
                self.paused_until,
                self.pause_status,
                self.pause_reason,
                self.trouble
            ])?;
        }
        Ok(())
    }

    /// A pause that begins in the future was noted before the clock was set back. Nobody knows how much of it is left.
    fn follow_clock(&mut self, now: Millis) {
        if self.paused_at > now {
            (self.paused_at, self.paused_until, self.changed) = (now, 0, true);
        }
    }

    /// Takes notice of what a send says about the whole account. Messages that were claimed before it began know
    /// nothing new.
    fn notice(&mut self, answer: &Answer, claimed_at: Millis, now: Millis) {
        let asked = answer.retry_after.filter(|_| answer.status == 22).map(|asked| asked.min(DAY));
        if claimed_at < self.paused_at {
            // But what the gateway asks for now counts.
            if let Some(asked) = asked {
                let until = now + asked.as_millis() as Millis;
                self.changed |= until > self.paused_until;
                self.paused_until = self.paused_until.max(until);
            }
            return;
        }
        if proves_health(answer.status) && self.trouble > 0 {
            self.trouble = 0;
            self.pause_reason = None;
            self.pause_status = None;
            self.changed = true;
        } else if pauses(answer.status) {
            let doublings = self.trouble.min(16);
            let pause = match (asked, answer.status) {
                (Some(asked), _) => asked,
                (None, 12) => Duration::from_millis(500 << doublings).min(Duration::from_secs(16)),
                (None, _) => Duration::from_secs(30 << doublings).min(Duration::from_secs(900)),
            };
            // Up to a tenth more, so that not all programs of the account come back at one instant.
            let pause = pause.mul_f64(1.0 + fastrand::f64() / 10.0).as_millis() as Millis;
            self.paused_until = self.paused_until.max(now + pause);
            self.paused_at = now;
            self.pause_status = Some(answer.status);
            self.pause_reason.clone_from(&answer.error);
            self.trouble += 1;
            self.changed = true;
        }
    }
}

/// Writes what became of one message; giving the same settlement twice changes nothing the second time.
fn settle(
    transaction: &Connection,
    control: &mut Control,
    settled: &Settled,
    now: Millis,
) -> Result<State, EngineError> {
    let (message, answer) = (&settled.message, &settled.answer);
    let mut select = transaction.prepare_cached("SELECT state, attempts, claimed_at FROM outbox WHERE id = ?1")?;
    let row: Option<(String, u32, Option<Millis>)> =
        select.query_row([message.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let verdict = verdict(answer.status);
    let outcome = match verdict {
        Verdict::Accepted => State::Accepted,
        Verdict::Refused => State::Refused,
        Verdict::Unknown => State::Unknown,
        Verdict::Failed => State::Failed,
        Verdict::Back | Verdict::Retry => State::Queued,
    };
    let (attempts, claimed_at) = match row {
        // Another program may have changed the row while the message was being sent. What became of the message counts
        // all the same; if it was not sent, the change counts.
        Some((was, attempts, claimed_at))
            if i64::from(attempts) == message.claim
                && (was == State::Sending.name() || outcome != State::Queued && was != outcome.name()) =>
        {
            (attempts, claimed_at)
        }
        _ => return Ok(outcome),
    };
    let claimed_at = claimed_at.unwrap_or(now);
    // While the gateway cannot be reached at all, tries of single messages say nothing about them.
    let counts = control.trouble == 0 || claimed_at < control.paused_at;
    control.notice(answer, claimed_at, now);
    let (state, back, due_at) = match verdict {
        Verdict::Back => (outcome, 1, None),
        Verdict::Retry if counts && attempts >= MAX_ATTEMPTS => (State::Failed, 0, None),
        Verdict::Retry => (outcome, i64::from(!counts), Some(now + backoff(attempts))),
        Verdict::Accepted | Verdict::Refused | Verdict::Unknown | Verdict::Failed => (outcome, 0, None),
    };
    if answer.status == crate::queue::NOT_BEGUN {
        let mut update =
            transaction.prepare_cached("UPDATE outbox SET state = 'queued', attempts = attempts - 1 WHERE id = ?1")?;
        update.execute([message.id])?;
        return Ok(State::Queued);
    }
    let mut update = transaction.prepare_cached(
        "UPDATE outbox SET state = ?2, attempts = attempts - ?3, settled_at = ?4,
             expires_at = CASE WHEN ?5 IS NULL THEN expires_at
                 ELSE coalesce(expires_at, max(created_at, due_at) + 86400000) END,
             due_at = coalesce(?5, due_at), status = ?6, milliseconds = ?7, http_status = ?8, meta_code = ?9,
             meta_subcode = ?10, gateway_code = ?11, message_id = ?12, error = ?13
         WHERE id = ?1",
    )?;
    update.execute(params![
        message.id,
        state.name(),
        back,
        (state != State::Queued).then_some(now),
        due_at,
        answer.status,
        answer.took.as_millis() as i64,
        answer.http_status,
        answer.meta_code,
        answer.meta_subcode,
        answer.gateway_code,
        answer.message_id,
        answer.error
    ])?;
    Ok(state)
}

/// 1, 2, 4 ... 600 seconds, times 0.5 to 1.5.
fn backoff(attempt: u32) -> Millis {
    let seconds = (1_u64 << attempt.saturating_sub(1).min(10)).min(600);
    Duration::from_secs(seconds).mul_f64(0.5 + fastrand::f64()).as_millis() as Millis
}

/// Claims inside a transaction. Messages that are too late become `expired`; what cannot be read becomes `failed`.
fn claim(
    transaction: &Connection,
    control: &Control,
    want: usize,
    now: Millis,
    closed: &mut Vec<Finished>,
) -> Result<(Vec<Claimed>, Next), EngineError> {
    let mut claimed = Vec::new();
    if want == 0 {
        return Ok((claimed, Next::Now));
    }
    if control.paused_until > now {
        return Ok((claimed, Next::At(control.paused_until)));
    }
    let mut allowed = want;
    if control.trouble > 0 {
        // One message at a time finds out whether the trouble is over.
        let sending: bool = transaction
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'sending' AND state IN ('sending', 'unknown'))",
            )?
            .query_row([], |row| row.get(0))?;
        if sending {
            return Ok((claimed, Next::Settle));
        }
        allowed = 1;
    }
    while claimed.len() < allowed {
        let mut ready = transaction.prepare_cached(
            "SELECT id, attempts, recipient, body, key, row, line, coalesce(expires_at, max(created_at, due_at) + ?3)
             FROM outbox WHERE state = 'queued' AND at_head = 1 AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2",
        )?;
        // Read before anything is changed, since the changes move rows in the index that is being read.
        let rows = ready
            .query_map(params![now, (allowed - claimed.len()) as i64, WINDOW], |row| {
                Ok((claimed_row(row)?, row.get(7)?))
            })?
            .collect::<Result<Vec<(Result<Claimed, i64>, Millis)>, _>>()?;
        if rows.is_empty() {
            break;
        }
        let mut expire =
            transaction.prepare_cached("UPDATE outbox SET state = 'expired', settled_at = ?2 WHERE id = ?1")?;
        let mut begin = transaction.prepare_cached(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1, claimed_at = ?2 WHERE id = ?1",
        )?;
        let mut fail = transaction.prepare_cached(
            "UPDATE outbox SET state = 'failed', settled_at = ?2, status = 10, error = 'the row is not UTF-8'
             WHERE id = ?1",
        )?;
        let mut close = |update: &mut Statement<'_>, id: i64| {
            update.execute(params![id, now])?;
            let mut select = transaction.prepare_cached(&format!("SELECT {FINISHED} FROM outbox WHERE id = ?1"))?;
            closed.push(select.query_row([id], finished_row)?);
            Ok::<(), EngineError>(())
        };
        for (message, expires_at) in rows {
            match message {
                Err(id) => close(&mut fail, id)?,
                Ok(message) if expires_at <= now => close(&mut expire, message.id)?,
                Ok(message) => {
                    begin.execute(params![message.id, now])?;
                    claimed.push(message);
                }
            }
        }
    }
    let next = if claimed.len() == want {
        Next::Now
    } else if claimed.len() == allowed {
        Next::Settle
    } else {
        next_due(transaction)?
    };
    Ok((claimed, next))
}

/// The message, or the id of one whose texts are not UTF-8: applications can write such rows.
fn claimed_row(row: &Row<'_>) -> rusqlite::Result<Result<Claimed, i64>> {
    let id = row.get(0)?;
    let text = |column| row.get_ref(column).map(|value| value.as_str().map(str::to_owned).ok());
    let (Some(recipient), Some(body)) = (text(2)?, text(3)?) else { return Ok(Err(id)) };
    let attempt = row.get::<_, u32>(1)? + 1;
    let claim = i64::from(attempt);
    Ok(Ok(Claimed { id, claim, attempt, recipient, body, key: text(4)?, row: row.get(5)?, line: row.get(6)? }))
}

const FINISHED: &str = "id, key, row, line, recipient, body, state, status, message_id, error, http_status, meta_code,
    meta_subcode, gateway_code, attempts, milliseconds, claimed_at, settled_at";

/// Of the columns that `FINISHED` names.
fn finished_row(row: &Row<'_>) -> rusqlite::Result<Finished> {
    let text = |column| {
        row.get_ref(column).map(|value| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned())
    };
    Ok(Finished {
        id: row.get(0)?,
        key: row.get(1)?,
        row: row.get(2)?,
        line: row.get(3)?,
        recipient: text(4)?,
        body: text(5)?,
        state: State::of_name(&text(6)?).unwrap_or(State::Unknown),
        status: row.get(7)?,
        message_id: row.get(8)?,
        error: row.get(9)?,
        http_status: row.get(10)?,
        meta_code: row.get(11)?,
        meta_subcode: row.get(12)?,
        gateway_code: row.get(13)?,
        attempts: row.get(14)?,
        milliseconds: row.get(15)?,
        begun_at: row.get(16)?,
        settled_at: row.get(17)?,
    })
}

fn next_due(transaction: &Connection) -> Result<Next, EngineError> {
    let mut due =
        transaction.prepare_cached("SELECT min(due_at) FROM outbox WHERE state = 'queued' AND at_head = 1")?;
    let mut pending =
        transaction.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE state IN ('queued', 'sending'))")?;
    Ok(match due.query_row([], |row| row.get::<_, Option<Millis>>(0))? {
        Some(due_at) => Next::At(due_at),
        None if pending.query_row([], |row| row.get(0))? => Next::Settle,
        None => Next::Empty,
    })
}

fn state_and_count(row: &Row<'_>) -> Result<(State, u64), EngineError> {
    let name: String = row.get(0)?;
    let state = State::of_name(&name).ok_or_else(|| EngineError::fatal(format!("a state {name:?}")))?;
    Ok((state, row.get::<_, i64>(1)? as u64))
}

struct SqliteImport<'a> {
    connection: &'a Connection,
    insert: Statement<'a>,
    import: i64,
}

impl Import for SqliteImport<'_> {
    fn add(&mut self, message: &NewMessage<'_>, tell: &mut Tell<'_>) -> Result<(), EngineError> {
        tell(message, self.add_one(message)?);
        Ok(())
    }

    fn finish(&mut self, _tell: &mut Tell<'_>) -> Result<(), EngineError> {
        Ok(())
    }
}

impl<'a> SqliteImport<'a> {
    fn new(connection: &'a Connection, import: i64) -> Result<SqliteImport<'a>, EngineError> {
        let insert = connection.prepare(
            "INSERT OR ROLLBACK INTO outbox (key, recipient, body, expires_at, import, row, line, at_head)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NOT EXISTS (SELECT 1 FROM outbox
                 WHERE recipient = ?2 AND state IN ('queued', 'sending'))) ON CONFLICT (key) DO NOTHING",
        )?;
        Ok(SqliteImport { connection, insert, import })
    }

    fn add_one(&mut self, message: &NewMessage<'_>) -> Result<Added, EngineError> {
        let (row, line) = (message.row as i64, message.line as i64);
        let NewMessage { key, recipient, body, expires_at, .. } = message;
        if self.insert.execute(params![key, recipient, body, expires_at, self.import, row, line])? == 1 {
            return Ok(Added::New(self.connection.last_insert_rowid()));
        }
        let mut select = self
            .connection
            .prepare_cached("SELECT id, import, line, body = ?2 AND recipient = ?3 FROM outbox WHERE key = ?1")?;
        let (id, import, first_line, is_same): (i64, Option<i64>, Option<i64>, bool) = select
            .query_row(params![key, body, recipient], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        if import == Some(self.import) {
            return Ok(Added::Twice { line: first_line.unwrap_or(0) as u64 });
        }
        if !is_same {
            return Ok(Added::Differs);
        }
        let mut update =
            self.connection.prepare_cached("UPDATE outbox SET import = ?2, row = ?3, line = ?4 WHERE id = ?1")?;
        update.execute(params![id, self.import, row, line])?;
        Ok(Added::Already(id))
    }
}

/// Also of a run that ends before it sends.
impl Drop for Sqlite {
    fn drop(&mut self) {
        self.remove_reserve();
    }
}

impl Engine for Sqlite {
    fn import(&mut self, source: &str, feed: &mut Feed<'_>) -> Result<(), EngineError> {
        self.connection.pragma_update(None, "cache_size", -IMPORT_CACHE)?;
        // The import sets what the triggers would set. Without them a row is written once, and needs no journal of its own.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        let outcome = self.import_rows(source, feed);
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
        self.connection.pragma_update(None, "cache_size", -WORKER_CACHE)?;
        self.connection.execute_batch("PRAGMA shrink_memory")?;
        outcome
    }

    fn recover(&mut self, account: &str) -> Result<u64, EngineError> {
        if self.worker_lock.is_none() {
            self.lock()?;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let owner: Option<String> =
            transaction.query_row("SELECT account FROM outbox_control", [], |row| row.get(0))?;
        match owner {
            Some(owner) if owner != account => {
                let message = format!(
                    "{}: its messages belong to the account {owner}, and the settings name the account {account}",
                    self.path.display()
                );
                return Err(EngineError::new(EngineErrorKind::Settings, message));
            }
            Some(_) => {}
            None => drop(transaction.execute("UPDATE outbox_control SET account = ?1", [account])?),
        }
        // Somebody has started this program, maybe because the trouble is over: one message finds out at once. What the
        // gateway asked for stays.
        let mut control = Control::read(&transaction)?;
        if control.pause_status.is_some_and(|status| status == 12 || needs_a_person(status)) {
            control.paused_until = 0;
            control.changed = true;
            control.write(&transaction)?;
        }
        // The holder of the lock knows that no other worker lives.
        let left = transaction.execute(
            "UPDATE outbox SET state = 'unknown', settled_at = ?1, status = 31, message_id = NULL,
                 error = 'the worker ended while the message was being sent'
             WHERE state = 'sending' AND state IN ('sending', 'unknown')",
            [now()],
        )?;
        transaction.commit()?;
        // The write above has made them, and they stay while this connection is open.
        self.open_files.truncate(1);
        for suffix in ["-wal", "-shm"] {
            // Of a database that is gone already, the next look at its place tells.
            let Ok(path) = self.beside(suffix) else { continue };
            self.open_files.extend(identity(&path).map(|seen| (path, seen)));
        }
        Ok(left as u64)
    }

    fn turn(&mut self, settled: &[Settled], want: usize) -> Result<Turn, EngineError> {
        if self.worker_lock.is_none() {
            return Err(EngineError::new(EngineErrorKind::NotOurs, "not a worker"));
        }
        self.check_place()?;
        let mut want = want;
        if want > 0 && self.is_reserve_spent {
            // What the reserve gave free is for results: new sends begin when there is room for a reserve again.
            self.make_reserve();
            self.is_reserve_spent = self.reserve.is_none();
            if self.is_reserve_spent && settled.is_empty() {
                let message = "the disk is full: the room that is left is kept for results";
                return Err(EngineError::new(EngineErrorKind::Full, message));
            } else if self.is_reserve_spent {
                want = 0;
            }
        }
        let result = self.try_turn(settled, want);
        match &result {
            Err(error) if error.kind == EngineErrorKind::Full => {
                if self.reserve.is_some() {
                    // Results of finished sends are more urgent than the next sends.
                    self.remove_reserve();
                    self.reserve_tried = Some(Instant::now());
                    self.is_reserve_spent = true;
                    return self.try_turn(settled, 0);
                }
                if want > 0 && !settled.is_empty() {
                    return self.try_turn(settled, 0);
                }
            }
            Ok(_) if self.reserve.is_none() && !self.is_reserve_spent => self.make_reserve(),
            _ => {}
        }
        result
    }

    fn changed(&mut self) -> Result<bool, EngineError> {
        self.check_place()?;
        let mut pragma = self.connection.prepare_cached("PRAGMA data_version")?;
        let version = pragma.query_row([], |row| row.get(0))?;
        Ok(std::mem::replace(&mut self.seen_version, version) != version)
    }

    fn leave(&mut self) -> Result<(), EngineError> {
        self.remove_reserve();
        self.worker_lock = None;
        Ok(())
    }

    fn status(&mut self) -> Result<Status, EngineError> {
        let mut status = self.counts()?;
        let control = Control::read(&self.connection)?;
        status.paused_until = if control.paused_until > now() { control.paused_until } else { 0 };
        status.pause_reason = control.pause_reason;
        if let Ok(mut file) = File::open(self.beside("-worker")?)
            && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            status.workers.push(holder.trim().to_owned());
        }
        Ok(status)
    }

    fn left(&mut self) -> Result<u64, EngineError> {
        let sql = "SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')";
        Ok(self.connection.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
    }

    fn counts_of(&mut self, ids: &Ids) -> Result<Status, EngineError> {
        let mut status = Status::default();
        let mut groups =
            self.connection.prepare("SELECT state, count(*) FROM outbox WHERE id BETWEEN ?1 AND ?2 GROUP BY state")?;
        for (first, last) in ids.ranges() {
            let mut rows = groups.query([first, last])?;
            while let Some(row) = rows.next()? {
                let (state, count) = state_and_count(row)?;
                status.counts[state as usize] += count;
            }
        }
        Ok(status)
    }

    fn ids_of(&mut self, ids: &Ids, state: State) -> Result<Vec<i64>, EngineError> {
        let mut select =
            self.connection.prepare("SELECT id FROM outbox WHERE id BETWEEN ?1 AND ?2 AND state = ?3 ORDER BY id")?;
        let mut found = Vec::new();
        for (first, last) in ids.ranges() {
            for id in select.query_map(params![first, last, state.name()], |row| row.get(0))? {
                found.push(id?);
            }
        }
        Ok(found)
    }

    fn finished(
        &mut self,
        after: i64,
        only: Option<State>,
        visit: &mut dyn FnMut(Finished) -> bool,
    ) -> Result<(), EngineError> {
        let condition = match only {
            Some(State::Unknown) => "state = 'unknown' AND state IN ('sending', 'unknown')".to_owned(),
            Some(state) => format!("state = '{}'", state.name()),
            None => "state NOT IN ('queued', 'sending')".to_owned(),
        };
        let sql = format!("SELECT {FINISHED} FROM outbox WHERE {condition} AND id > ?1 ORDER BY id");
        let mut select = self.connection.prepare(&sql)?;
        let mut rows = select.query([after])?;
        while let Some(row) = rows.next()? {
            let finished = finished_row(row)?;
            if !visit(finished) {
                break;
            }
        }
        Ok(())
    }

    fn accept(&mut self, id: i64, message_id: Option<&str>) -> Result<bool, EngineError> {
        let changed = self.connection.execute(
            "UPDATE outbox SET state = 'accepted', status = 0, message_id = ?2, settled_at = ?3
             WHERE id = ?1 AND state = 'unknown'",
            params![id, message_id, now()],
        )?;
        Ok(changed == 1)
    }

    fn resend(&mut self, id: i64, from: State, expires_at: Option<Millis>) -> Result<Option<i64>, EngineError> {
        let changed = self.connection.execute(
            "UPDATE outbox SET state = 'queued', attempts = 0, due_at = ?3, claimed_at = NULL, settled_at = NULL,
                 expires_at = coalesce(?5, CASE WHEN expires_at = ?4 THEN expires_at END)
             WHERE id = ?1 AND state = ?2",
            params![id, from.name(), now(), NEVER, expires_at],
        )?;
        Ok((changed == 1).then_some(id))
    }

    fn prune(&mut self, older_than: Duration) -> Result<u64, EngineError> {
        let before = now().saturating_sub(older_than.as_millis() as Millis);
        let (mut removed, mut after) = (0, 0);
        loop {
            // The ids first: a reader does not keep anybody from writing.
            let ids = self
                .connection
                .prepare_cached(
                    "SELECT id FROM outbox WHERE id > ?1 AND settled_at < ?2
                         AND state IN ('accepted', 'refused', 'failed', 'expired', 'cancelled') ORDER BY id LIMIT ?3",
                )?
                .query_map(params![after, before, PRUNE_BATCH], |row| row.get(0))?
                .collect::<Result<Vec<i64>, _>>()?;
            let Some(last) = ids.last() else { return Ok(removed) };
            after = *last;
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut delete = transaction
                .prepare_cached("DELETE FROM outbox WHERE id = ?1 AND state NOT IN ('queued', 'sending', 'unknown')")?;
            for id in &ids {
                removed += delete.execute([id])? as u64;
            }
            drop(delete);
            transaction.commit()?;
        }
    }

    fn warning(&mut self) -> Option<String> {
        let path = self.path.canonicalize().ok()?;
        let kind = file_system(&fs::read_to_string("/proc/self/mounts").ok()?, &path)?;
        let sentence = match kind.as_str() {
            "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "afs" | "ceph" | "glusterfs" | "lustre" => {
                "a network file system: locks and commits are not reliable there"
            }
            "tmpfs" | "ramfs" => "memory: a loss of power loses the queue, and messages may be sent twice",
            kind if kind.starts_with("fuse") => "a FUSE file system: it may not store what it says is stored",
            _ => return None,
        };
        Some(format!("{} is on {sentence}", self.path.display()))
    }

    fn create(&mut self, _rate: Option<f64>) -> Result<(), EngineError> {
        // Opening has created it, and the one worker's own `--rate` is the rate of the account.
        Ok(())
    }
}

/// The kind of the file system that `path` is on, of the lines of `/proc/self/mounts`.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(folder), Some(kind)) = (words.next(), words.next()) else { continue };
        let folder = folder.replace("\\040", " ");
        // Of two mounts on one folder the later one is seen.
        if path.starts_with(&folder) && found.is_none_or(|(length, _)| folder.len() >= length) {
            found = Some((folder.len(), kind));
        }
    }
    found.map(|(_, kind)| kind.to_owned())
}

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> EngineError {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => EngineErrorKind::Busy,
            Some(ErrorCode::DiskFull) => EngineErrorKind::Full,
            _ => EngineErrorKind::Fatal,
        };
        EngineError::new(kind, error.to_string())
    }
}
