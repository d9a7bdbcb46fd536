-- What happened. Rows are added and, when old, pruned; never changed.

CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    time       INTEGER NOT NULL,
    category   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    actor_id   INTEGER,
    source_ip  TEXT,
    target     TEXT,
    session    TEXT,
    message    TEXT    NOT NULL,
    details    TEXT    NOT NULL,                     -- JSON object
    attempt_id INTEGER                               -- the attempt that this is the outcome of
) STRICT;

CREATE INDEX events_time    ON events (time);
CREATE INDEX events_actor   ON events (actor_id, id);
CREATE INDEX events_attempt ON events (attempt_id) WHERE attempt_id IS NOT NULL;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE (ABORT, 'events are never changed');
END;
