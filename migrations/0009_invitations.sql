-- How people come by an account: invitations, and tokens by which somebody who has
-- one chooses another password. Tokens are kept as their SHA-256.

CREATE TABLE invitations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB    NOT NULL UNIQUE,
    role       TEXT    NOT NULL,
    group_id   INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    credits    REAL,                                 -- none: what everybody begins with
    uses       INTEGER NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0,
    created_by INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK (used <= uses)
) STRICT;

CREATE INDEX invitations_creator ON invitations (created_by);
CREATE INDEX invitations_group   ON invitations (group_id) WHERE group_id IS NOT NULL;

-- An account has at most one: another takes its place.
CREATE TABLE password_resets (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    token_hash BLOB    NOT NULL UNIQUE,
    created_by INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX password_resets_creator ON password_resets (created_by);

ALTER TABLE users ADD COLUMN password_login   INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN starting_credits REAL;  -- given with the invitation

-- The number of an account that is gone is nobody else's: events and jobs name it.
CREATE TRIGGER users_numbers AFTER DELETE ON users
BEGIN
    INSERT INTO meta (key, value) VALUES ('highest_user', OLD.id)
    ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), OLD.id);
END;
