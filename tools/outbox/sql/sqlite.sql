-- The queue in one SQLite file. Applications insert with their own, maybe old, SQLite, which also runs the triggers:
-- nothing here is newer than SQLite 3.8.0 (2013).
--
-- An application writes the first six columns, the worker the others. `at_head` is 1 for the oldest pending message of
-- each recipient; triggers keep it, so that a claim reads only the front of outbox_ready.

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The application's name of this message. A second message with the same key is rejected.
    key          TEXT UNIQUE CHECK (length(key) BETWEEN 1 AND 200),
    -- 'user ID', 'comment ID', or an id, which is a user's.
    recipient    TEXT NOT NULL CHECK (recipient <> ''),
    -- The request body: what Message::to_json or hma_message_json returns.
    body         TEXT NOT NULL CHECK (typeof(body) = 'text'),
    -- Milliseconds since 1970: not before, and not after. Without expires_at: 24 hours after it was added or due;
    -- 9223372036854775807 is never.
    due_at       INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 0 CHECK (typeof(due_at) = 'integer'),
    expires_at   INTEGER CHECK (typeof(expires_at) IN ('integer', 'null')),

    state        TEXT NOT NULL DEFAULT 'queued' CHECK (state IN
                 ('queued', 'sending', 'accepted', 'refused', 'unknown', 'failed', 'expired', 'cancelled')),
    at_head      INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    claimed_at   INTEGER,
    settled_at   INTEGER,
    -- Where it came from: the import, and the row and the line in its file.
    import       INTEGER,
    row          INTEGER,
    line         INTEGER,
    -- What the last send returned.
    status       INTEGER,
    milliseconds INTEGER,
    http_status  INTEGER,
    meta_code    INTEGER,
    meta_subcode INTEGER,
    gateway_code TEXT,
    message_id   TEXT,
    error        TEXT
);
CREATE INDEX outbox_pending ON outbox (recipient) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_ready ON outbox (due_at) WHERE state = 'queued' AND at_head = 1;
CREATE INDEX outbox_open ON outbox (state) WHERE state IN ('sending', 'unknown');

CREATE TRIGGER outbox_added AFTER INSERT ON outbox
WHEN NEW.state = 'queued' AND NEW.at_head = 0 AND instr(NEW.recipient, ' ') > 0 AND NOT EXISTS (SELECT 1 FROM outbox
    WHERE recipient = NEW.recipient AND state IN ('queued', 'sending') AND id < NEW.id)
BEGIN UPDATE outbox SET at_head = 1 WHERE id = NEW.id; END;

-- A time before 2001, or after 2100 (or 9999), can only be in another unit: seconds would be the past, and microseconds never.
-- A trigger and not a CHECK, which INSERT OR IGNORE would skip, and which would keep a worker from writing results while the
-- clock of its machine is not set.
CREATE TRIGGER outbox_units AFTER INSERT ON outbox
WHEN NEW.due_at <> 0 AND NEW.due_at NOT BETWEEN 978307200000 AND 4102444800000
    OR NEW.expires_at <> 9223372036854775807 AND NEW.expires_at NOT BETWEEN 978307200000 AND 253402300799999
BEGIN
    SELECT CASE
    WHEN NEW.due_at <> 0 AND NEW.due_at < 978307200000 THEN
        RAISE(ABORT, 'outbox: due_at is in milliseconds since 1970, and this looks like seconds: multiply it by 1000')
    WHEN NEW.due_at > 4102444800000 THEN
        RAISE(ABORT, 'outbox: due_at is in milliseconds since 1970, and this looks like microseconds: it is after 2100')
    WHEN NEW.expires_at < 978307200000 THEN
        RAISE(ABORT, 'outbox: expires_at is in milliseconds since 1970, and this looks like seconds: multiply it by 1000')
    ELSE
        RAISE(ABORT, 'outbox: expires_at is in milliseconds since 1970, and this looks like microseconds: never is 9223372036854775807')
    END;
END;

-- 'ID' and 'user ID' are one recipient.
CREATE TRIGGER outbox_added_bare AFTER INSERT ON outbox
WHEN instr(NEW.recipient, ' ') = 0
BEGIN
    UPDATE outbox SET recipient = 'user ' || NEW.recipient, at_head = NEW.state = 'queued' AND NOT EXISTS (SELECT 1
        FROM outbox WHERE recipient = 'user ' || NEW.recipient AND state IN ('queued', 'sending') AND id < NEW.id)
    WHERE id = NEW.id;
END;

CREATE TRIGGER outbox_settled AFTER UPDATE OF state ON outbox
WHEN OLD.state IN ('queued', 'sending') AND NEW.state NOT IN ('queued', 'sending')
BEGIN
    UPDATE outbox SET at_head = 1 WHERE at_head = 0 AND id = (SELECT id FROM outbox
        WHERE recipient = NEW.recipient AND state IN ('queued', 'sending') ORDER BY id LIMIT 1);
END;

-- A person has queued a settled message again: it takes its old place, but not beside one that is in flight.
CREATE TRIGGER outbox_revived AFTER UPDATE OF state ON outbox
WHEN OLD.state NOT IN ('queued', 'sending') AND NEW.state = 'queued'
BEGIN
    UPDATE outbox SET at_head = 0
    WHERE recipient = NEW.recipient AND state = 'queued' AND id > NEW.id AND at_head = 1;
    UPDATE outbox SET at_head = NOT EXISTS (SELECT 1 FROM outbox WHERE recipient = NEW.recipient
        AND state IN ('queued', 'sending') AND (id < NEW.id OR state = 'sending'))
    WHERE id = NEW.id;
END;

CREATE TRIGGER outbox_removed AFTER DELETE ON outbox WHEN OLD.state IN ('queued', 'sending')
BEGIN
    UPDATE outbox SET at_head = 1 WHERE at_head = 0 AND id = (SELECT id FROM outbox
        WHERE recipient = OLD.recipient AND state IN ('queued', 'sending') ORDER BY id LIMIT 1);
END;

CREATE TABLE outbox_import (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    source   TEXT NOT NULL,
    begun_at INTEGER NOT NULL
);

CREATE TABLE outbox_control (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    -- The account whose messages these are, once a worker has sent.
    account      TEXT,
    -- Nobody sends from paused_at to paused_until. While trouble is not 0, one message at a time is tried.
    paused_at    INTEGER NOT NULL DEFAULT 0,
    paused_until INTEGER NOT NULL DEFAULT 0,
    pause_status INTEGER,
    pause_reason TEXT,
    trouble      INTEGER NOT NULL DEFAULT 0
);
INSERT INTO outbox_control (one) VALUES (1);
