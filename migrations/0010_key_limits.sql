-- What a key may be limited to, and from where it was last used; authorities whose
-- certificates let people in, and those of their certificates that do not any more.

ALTER TABLE ssh_keys ADD COLUMN limits TEXT;         -- JSON: {"read_only": true, …}; none: none
ALTER TABLE ssh_keys ADD COLUMN last_used_from TEXT;

CREATE TABLE authorities (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    algorithm    TEXT    NOT NULL,
    fingerprint  TEXT    NOT NULL UNIQUE,            -- SHA256:…
    line         TEXT    NOT NULL,                   -- algorithm and base64
    added_at     INTEGER NOT NULL,
    added_by     TEXT    NOT NULL,
    last_used_at INTEGER
) STRICT;

-- They outlive the trust, should it come back.
CREATE TABLE revocations (
    fingerprint TEXT    NOT NULL,                    -- of the authority
    certificate TEXT    NOT NULL,                    -- its serial number, or its key id
    revoked_at  INTEGER NOT NULL,
    revoked_by  TEXT    NOT NULL,
    PRIMARY KEY (fingerprint, certificate)
) STRICT, WITHOUT ROWID;
