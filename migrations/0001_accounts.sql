-- Accounts and the keys they sign in with.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id                   INTEGER PRIMARY KEY,
    name                 TEXT    NOT NULL UNIQUE,
    role                 TEXT    NOT NULL,
    password_hash        TEXT,                       -- PHC string; none: no password login
    enabled              INTEGER NOT NULL DEFAULT 1,
    must_change_password INTEGER NOT NULL DEFAULT 0,
    created_at           INTEGER NOT NULL,
    last_login_at        INTEGER
) STRICT;

CREATE TABLE ssh_keys (
    id           INTEGER PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    algorithm    TEXT    NOT NULL,
    fingerprint  TEXT    NOT NULL,                   -- SHA256:…
    note         TEXT    NOT NULL,
    line         TEXT    NOT NULL,                   -- algorithm and base64, without the note
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    UNIQUE (user_id, fingerprint)
) STRICT;
