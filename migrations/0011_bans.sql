-- Addresses from which no password is taken, and those that accounts sign in from.

CREATE TABLE bans (
    network TEXT    PRIMARY KEY,                     -- an address, or a network such as 10.0.0.0/8
    since   INTEGER NOT NULL,
    until   INTEGER,                                 -- none: until it is lifted
    strikes INTEGER NOT NULL,                        -- how often; the next ban is twice as long
    made_by TEXT,                                    -- none: the guard
    note    TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- The last few addresses of each account; the newest is its last login.
CREATE TABLE login_addresses (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT    NOT NULL,                        -- an address of IPv4, a /64 of IPv6
    address TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT, WITHOUT ROWID;
