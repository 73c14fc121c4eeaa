-- The queue in a PostgreSQL database, version 1: tables, functions, views and roles. PostgreSQL 14 or later.
--
--     hookmyapp-outbox init --queue postgres://...      or: psql -v ON_ERROR_STOP=1 -f 1.sql
--
-- as a superuser, or as a role that may create roles. An application calls outbox.enqueue() in the transaction of its own
-- data. Workers call outbox.turn() in a loop: the messages that it returns are already committed as "sending". All times
-- are the server's; no worker's clock matters. Everything that happens to the messages of one account is serialized by one
-- advisory lock, which only turns take, never the application: so one recipient has one message in flight, and nothing
-- deadlocks.
--
-- The functions of a turn have settings for the planner. Statistics of a queue are wrong by nature: taken while it is empty,
-- used while it is full. So the indexes are always used. As that makes all plans look expensive, PostgreSQL would also
-- plan each call again and compile it (jit), which takes longer than the turn.

BEGIN;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outbox_owner', 'outbox_app', 'outbox_worker', 'outbox_admin', 'outbox_monitor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the outbox needs a database with the encoding UTF8, not %', current_setting('server_encoding');
    END IF;
    EXECUTE format('GRANT outbox_owner TO %I', current_user);
    EXECUTE format('GRANT CREATE ON DATABASE %I TO outbox_owner', current_database());
END
$$;

SET LOCAL ROLE outbox_owner;
CREATE SCHEMA outbox;

CREATE TABLE outbox.migration (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO outbox.migration VALUES (1);

CREATE FUNCTION outbox.version() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS
$$ SELECT max(version) FROM outbox.migration $$;

-- Tables ------------------------------------------------------------------------------------------------------------

-- One row an Instagram account that sends. Changed by people, by trouble, and about once a second by outbox.tick().
CREATE TABLE outbox.account (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,                      -- the account id of INSTAGRAM_ACCOUNT_ID
    rate float8 CHECK (rate > 0 AND rate < 'infinity'),     -- sends a second over all workers; NULL is no limit
    burst int CHECK (burst > 0),                    -- sends that may follow each other at once; NULL is a tenth of the rate
    lease interval NOT NULL DEFAULT '30 s' CHECK (lease >= '3 s'),
    max_attempts int NOT NULL DEFAULT 8 CHECK (max_attempts > 0),
    keep_body boolean NOT NULL DEFAULT true,        -- whether the history keeps what was said
    rate_clock regclass,                            -- a sequence: updated in place, so that no dead rows pile up
    -- trouble: an account-wide failure pauses everything, and then one message at a time is tried
    paused_at timestamptz NOT NULL DEFAULT '-infinity',
    paused_until timestamptz NOT NULL DEFAULT '-infinity',
    pause_reason text,
    trouble int NOT NULL DEFAULT 0,
    -- housekeeping, see outbox.tick()
    ticked_at timestamptz NOT NULL DEFAULT 'epoch',
    watching_since timestamptz NOT NULL DEFAULT '-infinity',
    timeline text NOT NULL,                         -- of the server, see outbox.timeline(): another one means a failover
    hold_until timestamptz NOT NULL DEFAULT '-infinity',
    floors bigint[] NOT NULL DEFAULT '{0,0,0,0,0,0,0,0}',
    next_floors bigint[],
    next_floors_at timestamptz,
    next_floors_xmax xid8,
    floors_forced_at timestamptz
) WITH (fillfactor = 10);

CREATE TABLE outbox.worker (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id int NOT NULL REFERENCES outbox.account,
    label text NOT NULL,                            -- human-readable: host and process id
    session int NOT NULL,                           -- how often it has connected: an older connection is refused
    timeline text NOT NULL,                         -- the account's at that time
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_at timestamptz
) WITH (fillfactor = 50);

CREATE TYPE outbox.state AS ENUM (
    'scheduled',    -- its time has not come; not in its recipient's line
    'ready',        -- may be claimed
    'waiting',      -- parked behind an earlier message to the same recipient
    'retry',        -- not sent; tried again at due_at; holds the line
    'sending'       -- the intent is committed: it may be on its way
);
CREATE TYPE outbox.outcome AS ENUM (
    'accepted',     -- by the gateway
    'refused',      -- the gateway or Meta will not deliver it
    'unknown',      -- possibly delivered; never sent again by itself
    'failed',       -- not sent: attempts used up, or it can never be sent
    'expired',      -- not sent: too late
    'cancelled'     -- not sent: taken back
);

-- What is not settled yet. Small, and every row is written three times: inserted, claimed, deleted.
CREATE SEQUENCE outbox.position;
CREATE TABLE outbox.message (
    id bigint PRIMARY KEY,
    account_id int NOT NULL,
    token uuid NOT NULL DEFAULT gen_random_uuid(),  -- tells it from a message that a failover forgot, whose id it may have
    position bigint NOT NULL,                       -- order among ready messages; equals id until it becomes ready again
    worker uuid,                                    -- of the last claim
    claim bigint,                                   -- the worker's turn that made it
    created_at timestamptz NOT NULL,
    due_at timestamptz,                             -- of scheduled and retry
    claimed_at timestamptz,
    expires_at timestamptz NOT NULL,
    state outbox.state NOT NULL,
    rank smallint NOT NULL,                         -- priority * 2, plus 1 until it becomes ready again
    attempts smallint NOT NULL DEFAULT 0,
    cancelled boolean NOT NULL DEFAULT false,
    recipient text NOT NULL,
    key text,
    error text,                                     -- of the last attempt
    body text NOT NULL
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000);
CREATE INDEX message_ready ON outbox.message (account_id, rank, position) WHERE state = 'ready';
CREATE INDEX message_line ON outbox.message (account_id, recipient, id)
    WHERE state IN ('ready', 'waiting', 'retry', 'sending');
CREATE UNIQUE INDEX message_in_flight ON outbox.message (account_id, recipient) WHERE state = 'sending';
CREATE INDEX message_due ON outbox.message (account_id, due_at) WHERE state IN ('scheduled', 'retry');

-- What is settled: inserted once, so that nothing here has to be vacuumed until it is purged.
CREATE TABLE outbox.settled (
    id bigint PRIMARY KEY,
    account_id int NOT NULL,
    token uuid NOT NULL,
    worker uuid,
    claim bigint,
    created_at timestamptz NOT NULL,
    claimed_at timestamptz,
    settled_at timestamptz NOT NULL,
    outcome outbox.outcome NOT NULL,
    lost boolean NOT NULL DEFAULT false,            -- unknown because nothing was heard of the worker
    status int,                                     -- hma_status of the last attempt
    attempts smallint NOT NULL,
    priority smallint NOT NULL,
    recipient text NOT NULL,
    message_id text,                                -- the gateway's
    error text,
    body text,
    key text
);
CREATE INDEX settled_time ON outbox.settled USING brin (settled_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX settled_unknown ON outbox.settled (account_id, settled_at) WHERE outcome = 'unknown';

-- The application's own keys, so that a webhook that comes twice is answered once.
CREATE TABLE outbox.key (
    account_id int,
    key text,
    message_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Of messages that came from a file: the run that named the key last, and its place in the file.
    import uuid,
    row bigint,
    line bigint,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX key_time ON outbox.key USING brin (created_at);

-- Recipients whose next message was held by an open transaction of an application when it was its turn.
CREATE TABLE outbox.held_up (
    account_id int,
    recipient text,
    PRIMARY KEY (account_id, recipient)
);

-- For applications ----------------------------------------------------------------------------------------------------

CREATE FUNCTION outbox.enqueue(
    account text, body json, key text DEFAULT NULL, priority int DEFAULT 2,
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    a int := (SELECT t.id FROM outbox.account t WHERE t.name = account);
    recipient text := coalesce('user ' || (body -> 'recipient' ->> 'id'), 'comment ' || (body -> 'recipient' ->> 'comment_id'));
    deadline timestamptz := coalesce(expires_at, greatest(now(), not_before) + '24 hours');
    late boolean := coalesce(not_before > now(), false);
    id bigint;
BEGIN
    IF a IS NULL THEN
        RAISE EXCEPTION 'outbox: there is no account %', quote_nullable(account) USING ERRCODE = 'no_data_found';
    ELSIF recipient IS NULL THEN
        RAISE EXCEPTION 'outbox: the body has no recipient.id and no recipient.comment_id' USING ERRCODE = 'invalid_parameter_value';
    ELSIF octet_length(key) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'outbox: a key has 1 to 200 bytes' USING ERRCODE = 'invalid_parameter_value';
    ELSIF coalesce(priority NOT BETWEEN 0 AND 3, true) THEN
        RAISE EXCEPTION 'outbox: the priority is 0 (first) to 3 (last), not %', priority USING ERRCODE = 'invalid_parameter_value';
    ELSIF not_before > '2100-01-01' THEN
        RAISE EXCEPTION 'outbox: not_before is %: to_timestamp() takes seconds, not milliseconds', not_before
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF expires_at < '2001-01-01' THEN
        RAISE EXCEPTION 'outbox: expires_at is %, which looks like another unit', expires_at
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF deadline <= coalesce(not_before, '-infinity') THEN
        RAISE EXCEPTION 'outbox: expires_at must be after not_before' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The floors of outbox.tick() rely on this: a transaction has its number before its messages have theirs.
    PERFORM pg_current_xact_id();
    id := nextval('outbox.position');
    IF key IS NOT NULL THEN
        INSERT INTO outbox.key (account_id, key, message_id) VALUES (a, key, id) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN (SELECT k.message_id FROM outbox.key k WHERE k.account_id = a AND k.key = enqueue.key);
        END IF;
    END IF;
    INSERT INTO outbox.message (id, account_id, position, created_at, due_at, expires_at, state, rank, recipient, key, body)
    VALUES (id, a, id, now(), CASE WHEN late THEN not_before END, deadline,
        CASE WHEN late THEN 'scheduled'::outbox.state ELSE 'ready' END, priority * 2 + 1, recipient, key, body);
    RETURN id;
END
$$;

CREATE FUNCTION outbox.enqueue_text(
    account text, recipient text, text text, key text DEFAULT NULL, priority int DEFAULT 2,
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(octet_length(convert_to(text, 'UTF8')), 0) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'outbox: a text has 1 to 1000 bytes of UTF-8' USING ERRCODE = 'invalid_parameter_value';
    ELSIF coalesce(recipient, '') = '' THEN
        RAISE EXCEPTION 'outbox: the recipient is empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN outbox.enqueue(account, json_build_object('recipient', json_build_object('id', recipient),
        'message', json_build_object('text', text)), key, priority, not_before, expires_at);
END
$$;

-- Adds the rows of a file, in their order, for a run that is named by `import`; to be called in one transaction for all of
-- them. Returns a row for each: 'new', 'already' (the key is there with the same body), 'differs' (with another one), or
-- 'twice' with the line of this file that has the key, too; and the message's id.
CREATE FUNCTION outbox.import(
    account text, import uuid, keys text[], bodies text[], rows bigint[], lines bigint[], expires_at timestamptz DEFAULT NULL
) RETURNS TABLE (place int, result text, first_line bigint, id bigint) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a int := (SELECT t.id FROM outbox.account t WHERE t.name = account);
    old record;
    before bigint;
BEGIN
    FOR n IN 1 .. coalesce(cardinality(keys), 0) LOOP
        place := n;
        before := (SELECT k.message_id FROM outbox.key k WHERE k.account_id = a AND k.key = keys[place]);
        id := coalesce(before, outbox.enqueue(account, bodies[place]::json, keys[place], expires_at => import.expires_at));
        SELECT k.import, k.line, k.message_id INTO old FROM outbox.key k WHERE k.account_id = a AND k.key = keys[place];
        first_line := NULL;
        IF old.import = import.import THEN
            result := 'twice';
            first_line := old.line;
        ELSE
            -- Another transaction may have had the key first.
            result := CASE
                WHEN before IS NULL AND EXISTS (SELECT FROM outbox.message m
                    WHERE m.id = import.id AND m.body = bodies[place] AND m.created_at = now()) THEN 'new'
                WHEN coalesce((SELECT m.body FROM outbox.message m WHERE m.id = import.id),
                    (SELECT s.body FROM outbox.settled s WHERE s.id = import.id), bodies[place]) = bodies[place] THEN 'already'
                ELSE 'differs' END;
            UPDATE outbox.key k SET import = import.import, row = rows[place], line = lines[place]
            WHERE k.account_id = a AND k.key = keys[place];
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- The messages of these ranges of ids; instead of one that a person has sent again, the later one.
CREATE FUNCTION outbox.latest(firsts bigint[], lasts bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT coalesce(k.message_id, g.id)
    FROM unnest(firsts, lasts) r (first, last) CROSS JOIN LATERAL generate_series(r.first, r.last) g (id)
    LEFT JOIN outbox.settled s ON s.id = g.id LEFT JOIN outbox.key k ON k.account_id = s.account_id AND k.key = s.key
$$;

-- How many of the messages of these ranges of ids are in each state.
CREATE FUNCTION outbox.counts_of(firsts bigint[], lasts bigint[]) RETURNS TABLE (state text, messages bigint) LANGUAGE sql
STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(s.outcome::text, CASE m.state WHEN 'sending' THEN 'sending' ELSE 'queued' END), count(*)
    FROM outbox.latest(firsts, lasts) l (id) LEFT JOIN outbox.message m ON m.id = l.id
        LEFT JOIN outbox.settled s ON s.id = l.id
    WHERE m.id IS NOT NULL OR s.id IS NOT NULL GROUP BY 1
$$;

-- Which of the messages of these ranges of ids have this outcome.
CREATE FUNCTION outbox.ids_of(firsts bigint[], lasts bigint[], outcome outbox.outcome) RETURNS SETOF bigint LANGUAGE sql
STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.id FROM outbox.latest(firsts, lasts) l (id) JOIN outbox.settled s ON s.id = l.id
    WHERE s.outcome = ids_of.outcome ORDER BY s.id
$$;

-- Takes a message back. True: it will not be sent (once this transaction commits). False: too late, or no such message.
CREATE FUNCTION outbox.cancel(id bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE outbox.message m SET cancelled = true WHERE m.id = cancel.id AND m.state <> 'sending';
    RETURN FOUND;
END
$$;

-- Where a message stands: a state or an outcome, or NULL if there is no such message (any more).
CREATE FUNCTION outbox.look(id bigint) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT state::text FROM outbox.message m WHERE m.id = look.id
    UNION ALL
    SELECT outcome::text FROM outbox.settled s WHERE s.id = look.id
    LIMIT 1
$$;

-- For workers ---------------------------------------------------------------------------------------------------------

-- Makes the caller wait until it alone works on the account, until its transaction ends.
CREATE FUNCTION outbox.enter(account_id int) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        -- Its snapshot may be older than what the worker before it has done.
        RAISE EXCEPTION 'outbox: the isolation level of a worker is read committed, not %', current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state',
            HINT = 'ALTER ROLE ... SET default_transaction_isolation = ''read committed''';
    END IF;
    PERFORM pg_advisory_xact_lock(x'6f7574'::int, account_id);
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        -- An intent must be durable before the first byte leaves.
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

-- The account's timeline as it should be: a replica that takes over has another number. Two replicas may take over with the
-- same one, hence the random part, which stays as long as the number does.
CREATE FUNCTION outbox.timeline(account_timeline text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN starts_with(account_timeline, here) THEN account_timeline ELSE here || ' ' || gen_random_uuid() END
    FROM left(pg_walfile_name(pg_current_wal_lsn()), 8) here
$$;

-- Lets the next message of each recipient in. One that an open transaction holds is not waited for: see outbox.tick(). The
-- account is entered, and the caller has set what this function's plans need.
CREATE FUNCTION outbox.advance(account_id int, recipients text[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM pg_current_xact_id();
    WITH next AS MATERIALIZED (
        SELECT u AS recipient, n.id FROM unnest(recipients) u, LATERAL (
            SELECT w.id FROM outbox.message w WHERE w.account_id = account_id AND w.recipient = u AND w.state = 'waiting'
            ORDER BY w.id LIMIT 1) n
    ), locked AS MATERIALIZED (
        SELECT m.id FROM next n JOIN outbox.message m ON m.id = n.id FOR UPDATE OF m SKIP LOCKED
    ), advanced AS (
        UPDATE outbox.message m SET state = 'ready', rank = m.rank & ~1, position = nextval('outbox.position')
        FROM locked l WHERE m.id = l.id
    )
    INSERT INTO outbox.held_up SELECT account_id, n.recipient FROM next n WHERE n.id NOT IN (SELECT l.id FROM locked l)
    ON CONFLICT DO NOTHING;
END
$$;

-- Moves messages to the history, and lets the next one of each recipient in. The account is entered.
CREATE FUNCTION outbox.close(
    account_id int, ids bigint[], outcomes outbox.outcome[], statuses int[], message_ids text[], errors text[], lost boolean
) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    keep boolean := (SELECT t.keep_body FROM outbox.account t WHERE t.id = account_id);
    recipients text[];
BEGIN
    WITH r AS MATERIALIZED (
        SELECT * FROM unnest(ids, outcomes, statuses, message_ids, errors) AS r (id, outcome, status, message_id, error)
    ), gone AS (
        DELETE FROM outbox.message m USING r WHERE m.id = r.id
        RETURNING m.*, r.outcome, r.status, r.message_id, r.error AS said
    ), kept AS (
        INSERT INTO outbox.settled
        SELECT g.id, g.account_id, g.token, g.worker, g.claim, g.created_at, g.claimed_at, clock_timestamp(), g.outcome, lost,
            g.status, g.attempts, g.rank / 2, g.recipient, g.message_id, coalesce(g.said, g.error),
            CASE WHEN keep THEN g.body END, g.key
        FROM gone g
    )
    SELECT array_agg(DISTINCT g.recipient) INTO recipients FROM gone g;
    PERFORM outbox.advance(account_id, recipients);
END
$$;

-- Announces a worker. After a broken connection, or a failover, it is the same worker with the next `session`: `known_as` is
-- the id that the first hello returned, `answered` the last turn whose answer it has, and `ids`, `tokens` and `claims` are
-- the messages that it has in hand. They stay in its hands, also where a failover has forgotten that it was given them. What a
-- turn without an answer has claimed was not sent, and becomes ready again. A hello whose answer was lost is just repeated
-- with the session after that.
CREATE FUNCTION outbox.hello(
    account text, label text, known_as uuid DEFAULT NULL, session int DEFAULT 1, answered bigint DEFAULT 0,
    ids bigint[] DEFAULT '{}', tokens uuid[] DEFAULT '{}', claims bigint[] DEFAULT '{}'
) RETURNS TABLE (worker uuid, lease_ms int, timeline text) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    a outbox.account;
    me uuid := coalesce(known_as, gen_random_uuid());
    here text;
    gone bigint[];
    held record;
BEGIN
    SELECT t.* INTO a FROM outbox.account t WHERE t.name = hello.account;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'outbox: there is no account %', quote_nullable(account) USING ERRCODE = 'no_data_found';
    END IF;
    PERFORM outbox.enter(a.id);
    -- A failover may have forgotten intents and results: nothing is claimed until the workers had time to report again.
    here := outbox.timeline((SELECT x.timeline FROM outbox.account x WHERE x.id = a.id));
    UPDATE outbox.account x SET timeline = here, floors = '{0,0,0,0,0,0,0,0}', next_floors = NULL,
        hold_until = clock_timestamp() + x.lease
    WHERE x.id = a.id AND x.timeline <> here;
    -- A failover may have forgotten the worker, too.
    INSERT INTO outbox.worker AS w (id, account_id, label, session, timeline)
    VALUES (me, a.id, hello.label, hello.session, here)
    ON CONFLICT ON CONSTRAINT worker_pkey DO UPDATE SET label = excluded.label, session = excluded.session,
        timeline = here, seen_at = excluded.seen_at, gone_at = NULL
    WHERE w.account_id = excluded.account_id AND w.session < excluded.session;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'outbox: worker % has a later session than %', me, session USING ERRCODE = 'OB001';
    END IF;
    IF known_as IS NOT NULL THEN
        PERFORM pg_current_xact_id();
        UPDATE outbox.message m SET state = 'ready', rank = m.rank & ~1, position = nextval('outbox.position'),
            attempts = m.attempts - 1
        WHERE m.state = 'sending' AND m.account_id = a.id AND m.worker = me AND m.claim > answered;
        SELECT array_agg(m.id) INTO gone FROM outbox.message m
        WHERE m.state = 'sending' AND m.account_id = a.id AND m.worker = me AND m.token <> ALL (tokens);
        IF gone IS NOT NULL THEN
            PERFORM outbox.close(a.id, gone, array_fill('unknown'::outbox.outcome, ARRAY[cardinality(gone)]),
                '{}', '{}', '{}', true);
        END IF;
        -- In hand, and not known here. (What is known and not being sent was reported; only the answer to that was lost.)
        FOR held IN SELECT m.id, m.recipient, u.claim FROM unnest(ids, tokens, claims) AS u (id, token, claim)
            JOIN outbox.message m ON m.id = u.id AND m.token = u.token AND m.account_id = a.id
            WHERE (m.worker = me AND m.claim = u.claim) IS NOT TRUE AND (m.state <> 'sending' OR m.worker = me)
            ORDER BY u.claim
        LOOP
            -- When this one was claimed, the one before it was settled: how, a report says, if its worker lives.
            SELECT array_agg(m.id) INTO gone FROM outbox.message m
            WHERE m.account_id = a.id AND m.recipient = held.recipient AND m.state = 'sending' AND m.id <> held.id;
            IF gone IS NOT NULL THEN
                PERFORM outbox.close(a.id, gone, '{unknown}', '{}', '{}', '{}', true);
            END IF;
            UPDATE outbox.message m SET state = 'sending', worker = me, claim = held.claim, claimed_at = clock_timestamp(),
                attempts = m.attempts + 1, due_at = NULL
            WHERE m.id = held.id;
        END LOOP;
    END IF;
    RETURN QUERY SELECT me, (extract(epoch FROM a.lease) * 1000)::int, here;
END
$$;

-- Signs a worker off. What it still has in hand becomes unknown.
CREATE FUNCTION outbox.bye(worker uuid) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a int := (SELECT account_id FROM outbox.worker w WHERE w.id = bye.worker);
    ids bigint[];
BEGIN
    IF a IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM outbox.enter(a);
    UPDATE outbox.worker w SET gone_at = clock_timestamp() WHERE w.id = bye.worker AND w.gone_at IS NULL;
    SELECT array_agg(m.id) INTO ids FROM outbox.message m
    WHERE m.state = 'sending' AND m.account_id = a AND m.worker = bye.worker;
    IF ids IS NOT NULL THEN
        PERFORM outbox.close(a, ids, array_fill('unknown'::outbox.outcome, ARRAY[cardinality(ids)]), '{}', '{}', '{}', true);
    END IF;
    RETURN coalesce(cardinality(ids), 0);
END
$$;

-- What a status means for the message: an outcome, or what to do with it.
CREATE FUNCTION outbox.verdict(status int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN status = 0 THEN 'accepted'
        WHEN status = -1 THEN 'return'                      -- the worker has not begun
        WHEN status = 10 THEN 'failed'                      -- it breaks a limit, and always will
        WHEN status IN (11, 21, 22, 25, 27) THEN 'pause'    -- the account as a whole: not the message's fault
        WHEN status BETWEEN 10 AND 19 THEN 'retry'
        WHEN status BETWEEN 20 AND 29 THEN 'refused'
        ELSE 'unknown'
    END
$$;

-- Records what became of messages that this worker has claimed. `failed` are those that failed because their attempts are
-- used up, `unsettled` those of which nothing here bears the token and the claim. The account is entered. Repeating a report
-- changes nothing. While the gateway cannot be reached at all, attempts do not count.
CREATE FUNCTION outbox.settle(
    a outbox.account, worker uuid, ids bigint[], tokens uuid[], claims bigint[], statuses int[], retry_afters int[],
    message_ids text[], errors text[], OUT failed bigint[], OUT unsettled bigint[]
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    t timestamptz := clock_timestamp();
    final record;
    bad record;
BEGIN
    -- Final outcomes. What has reached the gateway settles a message whatever is known of its claim here: a failover may have
    -- forgotten it.
    SELECT array_agg(r.id) AS ids, array_agg(r.outcome::outbox.outcome) AS outcomes, array_agg(r.status) AS statuses,
        array_agg(r.message_id) AS message_ids, array_agg(r.error) AS errors,
        array_agg(r.id) FILTER (WHERE r.outcome = 'failed') AS failed,
        array_agg(r.id) FILTER (WHERE NOT r.known) AS forgotten, array_agg(r.claim) FILTER (WHERE NOT r.known) AS claims
    INTO final
    FROM (SELECT u.*, k AS known, CASE WHEN v = 'retry' AND m.attempts >= a.max_attempts
              AND (a.trouble = 0 OR m.claimed_at < a.paused_at) THEN 'failed' ELSE v END AS outcome
          FROM unnest(ids, tokens, claims, statuses, message_ids, errors) AS u (id, token, claim, status, message_id, error)
          JOIN outbox.message m ON m.id = u.id AND m.token = u.token AND m.account_id = a.id,
          LATERAL outbox.verdict(u.status) v,
          LATERAL (SELECT m.state = 'sending' AND m.worker = settle.worker AND m.claim = u.claim) AS x (k)) r
    WHERE r.outcome IN ('accepted', 'refused', 'unknown') OR r.outcome = 'failed' AND r.known;
    IF final.forgotten IS NOT NULL THEN
        UPDATE outbox.message m SET worker = settle.worker, claim = u.claim, claimed_at = coalesce(m.claimed_at, t),
            attempts = greatest(1, m.attempts)
        FROM unnest(final.forgotten, final.claims) AS u (id, claim) WHERE m.id = u.id;
    END IF;
    IF final.ids IS NOT NULL THEN
        PERFORM outbox.close(a.id, final.ids, final.outcomes, final.statuses, final.message_ids, final.errors, false);
    END IF;
    failed := coalesce(final.failed, '{}');
    unsettled := '{}';
    IF cardinality(ids) > coalesce(cardinality(final.ids), 0) THEN
        -- The truth about a message that was given up for lost, or that others have closed after a failover.
        UPDATE outbox.settled s SET lost = false, status = u.status, message_id = u.message_id, error = u.error,
            worker = settle.worker, claim = u.claim, claimed_at = coalesce(s.claimed_at, t),
            outcome = CASE WHEN v IN ('accepted', 'refused', 'unknown') THEN v WHEN u.status BETWEEN 20 AND 29 THEN 'refused'
                      ELSE 'failed' END::outbox.outcome
        FROM unnest(ids, tokens, claims, statuses, message_ids, errors) AS u (id, token, claim, status, message_id, error),
            LATERAL outbox.verdict(u.status) v
        WHERE s.id = u.id AND s.token = u.token AND CASE
            WHEN s.worker = settle.worker AND s.claim = u.claim THEN s.lost
            WHEN v = 'accepted' THEN s.outcome IN ('unknown', 'expired', 'cancelled')
            ELSE v IN ('refused', 'unknown') AND s.outcome IN ('expired', 'cancelled') END;
        PERFORM pg_current_xact_id();
        UPDATE outbox.message m SET
            state = CASE WHEN v = 'retry' THEN 'retry' ELSE 'ready' END::outbox.state,
            due_at = CASE WHEN v = 'retry'
                THEN t + least(600, power(2, least(m.attempts, 12) - 1)) * (0.5 + random()) * interval '1 second' END,
            attempts = m.attempts - CASE WHEN v = 'retry' AND (a.trouble = 0 OR m.claimed_at < a.paused_at) THEN 0 ELSE 1 END,
            rank = m.rank & ~1, position = nextval('outbox.position'), error = u.error
        FROM unnest(ids, tokens, claims, statuses, errors) AS u (id, token, claim, status, error),
            LATERAL outbox.verdict(u.status) v
        WHERE m.id = u.id AND m.token = u.token AND m.worker = settle.worker AND m.claim = u.claim AND m.state = 'sending'
            AND v IN ('retry', 'return', 'pause');
        SELECT coalesce(array_agg(u.id), '{}') INTO unsettled
        FROM unnest(ids, tokens, claims) AS u (id, token, claim)
        WHERE NOT EXISTS (SELECT FROM outbox.message m
                WHERE m.id = u.id AND m.token = u.token AND m.worker = settle.worker AND m.claim = u.claim)
            AND NOT EXISTS (SELECT FROM outbox.settled s
                WHERE s.id = u.id AND s.token = u.token AND s.worker = settle.worker AND s.claim = u.claim);
    END IF;
    -- Trouble with the account or the gateway pauses everybody; what was claimed before it makes it no longer.
    SELECT max(u.retry_after) AS retry_after, (array_agg(u.error))[1] AS error, max(u.status) AS status INTO bad
    FROM unnest(ids, tokens, claims, statuses, retry_afters, errors) AS u (id, token, claim, status, retry_after, error)
    JOIN outbox.message m ON m.id = u.id AND m.token = u.token AND m.worker = settle.worker AND m.claim = u.claim
    WHERE u.status IN (11, 12, 21, 22, 25, 27) AND (m.claimed_at > a.paused_at OR u.retry_after >= 0);
    IF bad.status IS NOT NULL THEN
        UPDATE outbox.account x SET paused_at = t, trouble = x.trouble + 1,
            pause_reason = coalesce(bad.error, 'status ' || bad.status),
            paused_until = greatest(x.paused_until, t + interval '1 second' * CASE
                WHEN bad.retry_after >= 0 THEN least(bad.retry_after, 86400)
                WHEN bad.status = 12 THEN least(16, power(2, least(x.trouble, 5)) * 0.5)
                ELSE least(900, power(2, least(x.trouble, 5)) * 30) END * (1 + 0.1 * random()))
        WHERE x.id = a.id;
    ELSIF a.trouble > 0 AND EXISTS (
        SELECT FROM unnest(ids, tokens, claims, statuses) AS u (id, token, claim, status)
        JOIN outbox.settled s ON s.id = u.id AND s.token = u.token AND s.worker = settle.worker AND s.claim = u.claim
        WHERE u.status IN (0, 20, 23, 24, 26) AND s.claimed_at > a.paused_until) THEN
        UPDATE outbox.account x SET trouble = 0, pause_reason = NULL WHERE x.id = a.id;
    END IF;
END
$$;

-- About once a second: gives up lost workers, lets in what was held up, and moves the floors below which nothing is ready.
--
-- The floors keep a claim fast while some old snapshot keeps VACUUM from removing what was claimed before: without them
-- every claim would walk over all of it. A floor may be used once every transaction has ended that was writing when it
-- was read, because such a one may hold messages with lower positions that nobody sees yet.
CREATE FUNCTION outbox.tick(account_id int) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    t timestamptz := clock_timestamp();
    a outbox.account;
    given bigint := (SELECT s.last_value FROM outbox.position s);
    lowest bigint[];
    ended boolean;
    ids bigint[];
    recipients text[];
BEGIN
    SELECT x.* INTO a FROM outbox.account x WHERE x.id = account_id;
    IF t - a.ticked_at NOT BETWEEN interval '0' AND interval '3 s' THEN
        a.watching_since := t;      -- nobody looked for a while, or the clock jumped: silence proves nothing yet
    END IF;
    IF a.watching_since < t - a.lease THEN
        WITH gone AS (
            UPDATE outbox.worker w SET gone_at = t
            WHERE w.account_id = account_id AND w.gone_at IS NULL AND w.seen_at < t - a.lease RETURNING w.id
        )
        SELECT array_agg(m.id) INTO ids FROM outbox.message m
        WHERE m.account_id = account_id AND m.state = 'sending' AND m.worker IN (SELECT g.id FROM gone g);
        IF ids IS NOT NULL THEN
            PERFORM outbox.close(account_id, ids, array_fill('unknown'::outbox.outcome, ARRAY[cardinality(ids)]),
                '{}', '{}', '{}', true);
        END IF;
    END IF;
    WITH gone AS (DELETE FROM outbox.held_up h WHERE h.account_id = account_id RETURNING h.recipient)
    SELECT array_agg(g.recipient) INTO recipients FROM gone g;
    IF recipients IS NOT NULL THEN
        PERFORM outbox.advance(account_id, recipients);
    END IF;
    IF a.floors_forced_at < t - interval '60 s' THEN
        a.floors := '{0,0,0,0,0,0,0,0}';    -- look at everything once: a slow transaction may have committed late
        a.floors_forced_at := NULL;
    END IF;
    SELECT array_agg(coalesce((SELECT m.position - 1 FROM outbox.message m WHERE m.account_id = account_id
        AND m.state = 'ready' AND m.rank = r AND m.position > a.floors[r + 1] ORDER BY m.position LIMIT 1), given) ORDER BY r)
    INTO lowest FROM generate_series(0, 7) r;
    ended := pg_snapshot_xmin(pg_current_snapshot()) >= a.next_floors_xmax;
    IF a.next_floors IS NULL OR ended OR a.next_floors_at < t - interval '10 s' THEN
        IF a.next_floors IS NOT NULL THEN
            SELECT array_agg(greatest(f, least(n, l)) ORDER BY i) INTO a.floors
            FROM unnest(a.floors, a.next_floors, lowest) WITH ORDINALITY u (f, n, l, i);
            IF NOT ended THEN
                a.floors_forced_at := coalesce(a.floors_forced_at, t);
            END IF;
        END IF;
        a.next_floors := lowest;
        a.next_floors_at := t;
        a.next_floors_xmax := pg_snapshot_xmax(pg_current_snapshot());
    END IF;
    UPDATE outbox.account x SET ticked_at = t, watching_since = a.watching_since, floors = a.floors, next_floors = a.next_floors, next_floors_at = a.next_floors_at,
        next_floors_xmax = a.next_floors_xmax, floors_forced_at = a.floors_forced_at
    WHERE x.id = account_id;
END
$$;

-- One turn of a worker: settles what it reports, then claims up to `want` messages for it, all in one transaction.
-- Must be a statement of its own (autocommit): the messages may be sent once the transaction has committed, not before.
--
-- `session` is that of its last hello. The worker numbers its turns, from 1 and never with the same `number` again; it is the
-- claim of the messages that the turn returns. A report gives id, token and claim back.
--
-- Returns one row per message, and a last row without an id. There `wait_ms` is when there may be more (0: ask at once;
-- NULL: at any time), `paused_ms` how long nobody sends, `pending` whether anything is queued or being sent (if nothing was
-- claimed), `failed` the reported messages whose attempts are used up, `closed` the messages that were settled without a send,
-- as JSON (its times are milliseconds since 1970), and `unsettled` the reported messages that are not in the queue with this
-- token and claim: a failover has forgotten them, or another worker has sent them, too.
CREATE FUNCTION outbox.turn(
    worker uuid, session int, number bigint, want int, ids bigint[] DEFAULT '{}', tokens uuid[] DEFAULT '{}',
    claims bigint[] DEFAULT '{}', statuses int[] DEFAULT '{}', retry_afters int[] DEFAULT '{}',
    message_ids text[] DEFAULT '{}', errors text[] DEFAULT '{}'
) RETURNS TABLE (id bigint, token uuid, claim bigint, body text, wait_ms int, attempts int, key text, paused_ms int,
    pending boolean, failed bigint[], closed text[], unsettled bigint[]) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    a outbox.account;
    w outbox.worker;
    t timestamptz;
    now_us bigint;
    clock_us bigint;    -- when the sends so far allowed would be over at the set rate
    step_us bigint;
    burst int;
    free int := greatest(0, want);
    first int := 0;
    got bigint[] := '{}';
    seen record;
    dead record;
    after bigint;
BEGIN
    SELECT x.* INTO w FROM outbox.worker x WHERE x.id = turn.worker;
    IF FOUND THEN
        PERFORM outbox.enter(w.account_id);
        SELECT x.* INTO w FROM outbox.worker x WHERE x.id = turn.worker;
    END IF;
    -- A pooler hides a failover from the worker, which then has to report what the new server has forgotten.
    IF w.id IS NULL OR w.gone_at IS NOT NULL OR w.session <> turn.session OR w.timeline <> outbox.timeline(w.timeline) THEN
        RAISE EXCEPTION 'outbox: worker % is not known here, was given up for lost, or has another session: say hello',
            turn.worker USING ERRCODE = 'OB001';
    END IF;
    t := clock_timestamp();
    SELECT x.* INTO a FROM outbox.account x WHERE x.id = w.account_id;
    IF w.seen_at < t - a.lease / 10 OR w.seen_at > t THEN
        UPDATE outbox.worker x SET seen_at = t WHERE x.id = w.id;
    END IF;
    IF cardinality(ids) > 0 THEN
        SELECT s.failed, s.unsettled INTO failed, unsettled
        FROM outbox.settle(a, w.id, ids, tokens, claims, statuses, retry_afters, message_ids, errors) s;
        SELECT x.* INTO a FROM outbox.account x WHERE x.id = w.account_id;
    END IF;
    IF a.ticked_at < t - interval '1 s' OR a.ticked_at > t THEN
        PERFORM outbox.tick(a.id);
        SELECT x.* INTO a FROM outbox.account x WHERE x.id = w.account_id;
    END IF;

    -- What is due comes back into the line.
    IF EXISTS (SELECT FROM outbox.message m WHERE m.account_id = a.id AND m.state IN ('scheduled', 'retry') AND m.due_at <= t) THEN
        PERFORM pg_current_xact_id();
        UPDATE outbox.message m SET state = 'ready', rank = m.rank & ~1, position = nextval('outbox.position'), due_at = NULL
        FROM (SELECT d.id FROM outbox.message d WHERE d.account_id = a.id AND d.state IN ('scheduled', 'retry')
              AND d.due_at <= t ORDER BY d.due_at LIMIT 1000 FOR UPDATE SKIP LOCKED) due
        WHERE m.id = due.id;
    END IF;

    IF greatest(a.paused_until, a.hold_until) > t THEN
        free := 0;
        paused_ms := least(86400000, extract(epoch FROM greatest(a.paused_until, a.hold_until) - t) * 1000 + 1);
        wait_ms := least(60000, paused_ms);
    ELSIF a.trouble > 0 AND free > 0 THEN
        -- One message at a time finds out whether the trouble is over.
        free := CASE WHEN EXISTS (SELECT FROM outbox.message m WHERE m.account_id = a.id AND m.state = 'sending') THEN 0 ELSE 1 END;
    END IF;
    IF free > 0 AND a.rate IS NOT NULL THEN
        now_us := extract(epoch FROM t) * 1000000;
        step_us := greatest(1, 1000000 / a.rate);
        burst := coalesce(a.burst, greatest(1, a.rate / 10));
        -- Sends take it no further ahead than the burst lasts; it is so if the server's clock was set back, or the rate raised.
        clock_us := least(greatest(now_us, coalesce(pg_sequence_last_value(a.rate_clock), 0)), now_us + burst * step_us);
        free := least(free, burst - ceil((clock_us - now_us)::numeric / step_us)::int);
        IF free <= 0 THEN
            free := 0;
            wait_ms := least(60000, (clock_us - now_us - (burst - 1) * step_us) / 1000 + 1);
        END IF;
    END IF;

    FOR r IN 0..7 LOOP
        after := a.floors[r + 1];
        FOR look IN 1..50 LOOP
            EXIT WHEN free - cardinality(got) <= 0;
            -- The next messages of this rank, and what is to be done with each.
            WITH next AS MATERIALIZED (
                SELECT m.id, m.recipient, m.position, m.expires_at, m.cancelled FROM outbox.message m
                WHERE m.account_id = a.id AND m.state = 'ready' AND m.rank = r AND m.position > after
                ORDER BY m.position LIMIT free - cardinality(got) FOR UPDATE SKIP LOCKED
            ), judged AS MATERIALIZED (
                SELECT n.*, CASE WHEN n.cancelled THEN 'cancelled' WHEN n.expires_at <= t THEN 'expired'
                    WHEN EXISTS (SELECT FROM outbox.message p WHERE p.account_id = a.id AND p.recipient = n.recipient
                        AND p.state IN ('ready', 'waiting', 'retry', 'sending') AND (p.id < n.id OR p.state = 'sending'))
                    THEN 'waiting' ELSE 'sending' END AS verdict
                FROM next n
            ), parked AS (
                UPDATE outbox.message m SET state = 'waiting' FROM judged j WHERE j.verdict = 'waiting' AND m.id = j.id
            )
            SELECT count(*) AS seen, max(j.position) AS last,
                array_agg(j.id) FILTER (WHERE j.verdict = 'sending') AS claimed,
                array_agg(j.id) FILTER (WHERE j.verdict IN ('cancelled', 'expired')) AS dead,
                array_agg(j.verdict::outbox.outcome) FILTER (WHERE j.verdict IN ('cancelled', 'expired')) AS how
            INTO seen FROM judged j;
            EXIT WHEN seen.seen = 0;
            got := got || seen.claimed;
            IF seen.dead IS NOT NULL THEN
                PERFORM outbox.close(a.id, seen.dead, seen.how, '{}', '{}', '{}', false);
                closed := closed || (SELECT array_agg(json_build_object('id', s.id, 'key', s.key, 'recipient', s.recipient,
                    'outcome', s.outcome, 'error', s.error, 'attempts', s.attempts,
                    'begun_at', (extract(epoch FROM s.claimed_at) * 1000)::bigint,
                    'settled_at', (extract(epoch FROM s.settled_at) * 1000)::bigint)::text)
                    FROM outbox.settled s WHERE s.id = ANY (seen.dead));
            END IF;
            after := seen.last;
            IF look = 50 THEN
                wait_ms := 0;       -- this turn has done enough, and there may be more
            END IF;
        END LOOP;
    END LOOP;

    IF cardinality(got) > 0 THEN
        IF a.rate IS NOT NULL THEN
            PERFORM setval(a.rate_clock, clock_us + cardinality(got) * step_us);
        END IF;
        RETURN QUERY
            UPDATE outbox.message m SET state = 'sending', worker = w.id, claim = turn.number,
                claimed_at = t, attempts = m.attempts + 1, due_at = NULL
            FROM unnest(got) WITH ORDINALITY g (id, place) WHERE m.id = g.id
            RETURNING m.id, m.token, m.claim, m.body, NULL::int, m.attempts::int, m.key, NULL::int, NULL::boolean,
                NULL::bigint[], NULL::text[], NULL::bigint[];
    ELSE
        pending := EXISTS (SELECT FROM outbox.message m WHERE m.account_id = a.id
            AND m.state IN ('ready', 'waiting', 'retry', 'sending')) OR EXISTS (SELECT FROM outbox.message m
            WHERE m.account_id = a.id AND m.state IN ('scheduled', 'retry') AND m.due_at IS NOT NULL);
    END IF;
    RETURN QUERY SELECT NULL::bigint, NULL::uuid, NULL::bigint, NULL::text, wait_ms, NULL::int, NULL::text,
        coalesce(paused_ms, 0), pending, coalesce(failed, '{}'), coalesce(closed, '{}'), coalesce(unsettled, '{}');
END
$$;

-- For administrators --------------------------------------------------------------------------------------------------

-- Adds an account, or changes what is named of one: NULL keeps what is there. The rate 'infinity' is no limit.
CREATE FUNCTION outbox.set_account(
    name text, rate float8 DEFAULT NULL, burst int DEFAULT NULL, lease interval DEFAULT NULL, max_attempts int DEFAULT NULL,
    keep_body boolean DEFAULT NULL
) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    a int;
BEGIN
    INSERT INTO outbox.account AS x (name, rate, burst, lease, max_attempts, keep_body, timeline)
    VALUES (name, nullif(rate, 'infinity'), burst, coalesce(lease, '30 s'), coalesce(max_attempts, 8), coalesce(keep_body, true),
        outbox.timeline(''))
    ON CONFLICT ON CONSTRAINT account_name_key DO UPDATE SET
        rate = CASE WHEN rate IS NULL THEN x.rate ELSE excluded.rate END, burst = coalesce(burst, x.burst),
        lease = coalesce(lease, x.lease), max_attempts = coalesce(max_attempts, x.max_attempts),
        keep_body = coalesce(keep_body, x.keep_body)
    RETURNING x.id INTO a;
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS outbox.rate_clock_%s', a);
    UPDATE outbox.account x SET rate_clock = format('outbox.rate_clock_%s', a)::regclass WHERE x.id = a;
    RETURN a;
END
$$;

CREATE FUNCTION outbox.pause(account text, until timestamptz, reason text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- `turn` returns how long a pause still lasts.
    IF coalesce(NOT isfinite(until), true) THEN
        RAISE EXCEPTION 'outbox: a pause needs a finite end' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE outbox.account x SET paused_at = clock_timestamp(), paused_until = pause.until, pause_reason = pause.reason
    WHERE x.name = pause.account;
END
$$;

CREATE FUNCTION outbox.resume(account text) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    UPDATE outbox.account x SET paused_until = '-infinity', pause_reason = NULL, trouble = 0 WHERE x.name = resume.account
$$;

-- Somebody found out what became of an unknown message: 'accepted', or 'failed' if it did not arrive.
CREATE FUNCTION outbox.resolve(id bigint, outcome outbox.outcome, message_id text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(outcome NOT IN ('accepted', 'failed'), true) THEN
        RAISE EXCEPTION 'outbox: an unknown message turns out accepted or failed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE outbox.settled s SET outcome = resolve.outcome, lost = false, message_id = coalesce(resolve.message_id, s.message_id)
    WHERE s.id = resolve.id AND s.outcome = 'unknown';
    RETURN FOUND;
END
$$;

-- A person's decision: a new message with the body and the key of one that is unknown, refused, failed or expired. Returns
-- its id, or NULL if there is no such message. An unknown one counts as failed from then on.
CREATE FUNCTION outbox.send_again(id bigint, outcome outbox.outcome DEFAULT 'unknown', expires_at timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old record;
    again bigint;
BEGIN
    SELECT s.*, a.name INTO old FROM outbox.settled s JOIN outbox.account a ON a.id = s.account_id
    WHERE s.id = send_again.id AND s.outcome = send_again.outcome AND s.outcome IN ('unknown', 'refused', 'failed', 'expired')
    FOR UPDATE OF s;
    IF NOT FOUND OR old.error LIKE 'sent again as message %' THEN
        RETURN NULL;
    ELSIF old.body IS NULL THEN
        RAISE EXCEPTION 'outbox: the body of message % was not kept', id USING ERRCODE = 'no_data_found';
    END IF;
    again := outbox.enqueue(old.name, old.body::json, priority => old.priority, expires_at => send_again.expires_at);
    UPDATE outbox.message m SET key = old.key WHERE m.id = again;
    UPDATE outbox.key k SET message_id = again WHERE k.account_id = old.account_id AND k.key = old.key;
    UPDATE outbox.settled s SET outcome = CASE s.outcome WHEN 'unknown' THEN 'failed' ELSE s.outcome END, lost = false,
        error = 'sent again as message ' || again
    WHERE s.id = send_again.id;
    RETURN again;
END
$$;

-- Removes history that is older than `age`, oldest first, at most `most` rows; unknown messages stay until resolved.
CREATE FUNCTION outbox.purge(age interval, most int DEFAULT 10000) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n int;
BEGIN
    WITH old AS (SELECT s.id FROM outbox.settled s WHERE s.settled_at < now() - age AND s.outcome <> 'unknown' LIMIT most)
    DELETE FROM outbox.settled s USING old WHERE s.id = old.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM outbox.key k WHERE k.created_at < now() - age
        AND NOT EXISTS (SELECT FROM outbox.message m WHERE m.id = k.message_id)
        AND NOT EXISTS (SELECT FROM outbox.settled s WHERE s.id = k.message_id);
    DELETE FROM outbox.worker w WHERE w.gone_at < now() - age
        AND NOT EXISTS (SELECT FROM outbox.message m WHERE m.state = 'sending' AND m.worker = w.id);
    RETURN n;
END
$$;

-- For monitoring ------------------------------------------------------------------------------------------------------

CREATE VIEW outbox.status AS
SELECT a.name AS account, coalesce(m.ready, 0) AS ready, coalesce(m.waiting, 0) AS waiting,
    coalesce(m.scheduled, 0) AS scheduled, coalesce(m.retry, 0) AS retry, coalesce(m.sending, 0) AS sending,
    coalesce(extract(epoch FROM clock_timestamp() - m.oldest), 0)::float8 AS oldest_ready_seconds,
    (SELECT count(*) FROM outbox.settled s WHERE s.account_id = a.id AND s.outcome = 'unknown') AS unknown,
    (SELECT count(*) FROM outbox.worker w WHERE w.account_id = a.id AND w.gone_at IS NULL) AS workers,
    CASE WHEN a.paused_until > clock_timestamp() THEN a.paused_until END AS paused_until, a.pause_reason, a.trouble, a.rate
FROM outbox.account a
LEFT JOIN (
    SELECT account_id, count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'waiting') AS waiting,
        count(*) FILTER (WHERE state = 'scheduled') AS scheduled, count(*) FILTER (WHERE state = 'retry') AS retry,
        count(*) FILTER (WHERE state = 'sending') AS sending, min(created_at) FILTER (WHERE state = 'ready') AS oldest
    FROM outbox.message GROUP BY account_id) m ON m.account_id = a.id;

CREATE VIEW outbox.unknown AS
SELECT s.id, a.name AS account, s.key, s.recipient, s.claimed_at, s.settled_at, s.lost, s.status, s.error, s.body
FROM outbox.settled s JOIN outbox.account a ON a.id = s.account_id WHERE s.outcome = 'unknown';

CREATE VIEW outbox.workers AS
SELECT a.name AS account, w.id, w.label, w.started_at,
    extract(epoch FROM clock_timestamp() - w.seen_at)::float8 AS silent_seconds,
    (SELECT count(*) FROM outbox.message m WHERE m.account_id = w.account_id AND m.state = 'sending' AND m.worker = w.id) AS sending
FROM outbox.worker w JOIN outbox.account a ON a.id = w.account_id WHERE w.gone_at IS NULL;

CREATE VIEW outbox.health AS
SELECT c.n_live_tup AS live_rows, c.n_dead_tup AS dead_rows, pg_total_relation_size('outbox.message') AS bytes,
    (SELECT max(age(backend_xmin)) FROM pg_stat_activity) AS oldest_snapshot_age,
    (SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL)::float8 AS oldest_snapshot_seconds,
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable
FROM pg_stat_user_tables c WHERE c.relid = 'outbox.message'::regclass;

CREATE VIEW outbox.results AS
SELECT s.id, a.name AS account, s.key, s.recipient, s.body, s.outcome::text AS outcome, s.status, s.message_id, s.error, s.attempts,
    s.claimed_at, s.settled_at
FROM outbox.settled s JOIN outbox.account a ON a.id = s.account_id;

CREATE VIEW outbox.outcomes AS
SELECT a.name AS account, s.outcome::text AS outcome, count(*) AS messages,
    count(*) FILTER (WHERE s.settled_at > clock_timestamp() - interval '1 minute') AS last_minute
FROM outbox.settled s JOIN outbox.account a ON a.id = s.account_id GROUP BY a.name, s.outcome;

-- One number per row, for exporters.
CREATE VIEW outbox.metrics AS
SELECT v.name, json_build_object('account', s.account) AS labels, v.value
FROM outbox.status s, LATERAL (VALUES
    ('outbox_ready', s.ready::float8), ('outbox_waiting', s.waiting::float8), ('outbox_scheduled', s.scheduled::float8),
    ('outbox_retry', s.retry::float8), ('outbox_sending', s.sending::float8), ('outbox_unknown', s.unknown::float8),
    ('outbox_workers', s.workers::float8), ('outbox_oldest_ready_seconds', s.oldest_ready_seconds),
    ('outbox_trouble', s.trouble::float8),
    ('outbox_paused_seconds', coalesce(extract(epoch FROM s.paused_until - clock_timestamp()), 0)::float8)) v (name, value)
UNION ALL
SELECT v.name, '{}', v.value FROM outbox.health h, LATERAL (VALUES
    ('outbox_dead_rows', h.dead_rows::float8), ('outbox_bytes', h.bytes::float8),
    ('outbox_oldest_snapshot_seconds', coalesce(h.oldest_snapshot_seconds, 0)),
    ('outbox_durable', h.durable::int::float8)) v (name, value);

-- Rights --------------------------------------------------------------------------------------------------------------

REVOKE ALL ON SCHEMA outbox FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA outbox FROM PUBLIC;
GRANT USAGE ON SCHEMA outbox TO outbox_app, outbox_worker, outbox_admin, outbox_monitor;
GRANT EXECUTE ON FUNCTION outbox.version() TO outbox_app, outbox_worker, outbox_admin, outbox_monitor;
GRANT EXECUTE ON FUNCTION outbox.enqueue, outbox.enqueue_text, outbox.cancel, outbox.look, outbox.import, outbox.counts_of,
    outbox.ids_of TO outbox_app;
GRANT EXECUTE ON FUNCTION outbox.hello, outbox.turn, outbox.bye TO outbox_worker;
GRANT EXECUTE ON FUNCTION outbox.set_account, outbox.pause, outbox.resume, outbox.resolve, outbox.send_again, outbox.purge
    TO outbox_admin;
-- A worker that stops says how many messages are left.
GRANT SELECT ON outbox.status TO outbox_worker;
GRANT SELECT ON outbox.status, outbox.workers, outbox.health, outbox.outcomes, outbox.metrics TO outbox_monitor, outbox_admin;
-- With what was said to whom.
GRANT SELECT ON outbox.unknown, outbox.results TO outbox_admin;

COMMIT;
