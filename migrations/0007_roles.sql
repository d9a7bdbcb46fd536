-- Roles beside the built-in ones, what is demanded of those who have one, grants
-- for a time, and groups that share machines.

CREATE TABLE roles (
    name           TEXT    PRIMARY KEY,
    grants         TEXT,                             -- JSON: {"vm_read": "all", …}; none: a built-in one
    second_factor  INTEGER NOT NULL DEFAULT 0,       -- demanded of everybody who has it
    password_login INTEGER NOT NULL DEFAULT 1,
    max_session_s  INTEGER,                          -- none: as long as they like
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A role beside an account's own, until then or until it is taken back.
CREATE TABLE role_grants (
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    granted_by TEXT    NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    note       TEXT    NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL
) STRICT;

-- A member is an account or another group, whose members are members too.
CREATE TABLE group_members (
    group_id   INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id    INTEGER REFERENCES users (id) ON DELETE CASCADE,
    subgroup   INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    added_at   INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (subgroup IS NULL)),
    CHECK (subgroup IS NULL OR subgroup <> group_id)
) STRICT;

CREATE UNIQUE INDEX group_members_users  ON group_members (user_id, group_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX group_members_groups ON group_members (subgroup, group_id) WHERE subgroup IS NOT NULL;
CREATE INDEX group_members_group         ON group_members (group_id);

-- What the members of a group may do with a machine that is not theirs.
CREATE TABLE vm_shares (
    vm_id     INTEGER NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
    group_id  INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    level     TEXT    NOT NULL,                      -- see, operate, enter
    shared_at INTEGER NOT NULL,
    PRIMARY KEY (vm_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX vm_shares_group ON vm_shares (group_id);
