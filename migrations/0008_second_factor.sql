-- Second factors: codes of an authenticator app, and what stands in for them.

CREATE TABLE totp (
    user_id      INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       TEXT    NOT NULL,                   -- sealed
    made_at      INTEGER NOT NULL,
    confirmed_at INTEGER,                            -- none: nobody is asked for it yet
    last_step    INTEGER NOT NULL DEFAULT 0          -- of the latest code that was used: no code works twice
) STRICT;

CREATE TABLE backup_codes (
    id      INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES totp (user_id) ON DELETE CASCADE,
    salt    BLOB    NOT NULL,
    hash    BLOB    NOT NULL,                        -- SHA-256 of salt and code, which has 60 random bits
    used_at INTEGER                                  -- none: it still works
) STRICT;

CREATE INDEX backup_codes_user ON backup_codes (user_id);

-- From where an account has shown its second factor.
CREATE TABLE remembered_addresses (
    user_id   INTEGER NOT NULL REFERENCES totp (user_id) ON DELETE CASCADE,
    address   TEXT    NOT NULL,
    proven_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) STRICT, WITHOUT ROWID;
