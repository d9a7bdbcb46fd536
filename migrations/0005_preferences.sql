-- How somebody wants the full screen to be: what they have set themselves.

CREATE TABLE preferences (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    setting TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (user_id, setting)
) STRICT, WITHOUT ROWID;
