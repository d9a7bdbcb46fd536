-- Machines, and the jobs that change them.

CREATE TABLE vms (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number once given is nobody else's
    uuid             TEXT    NOT NULL UNIQUE,
    owner_id         INTEGER NOT NULL REFERENCES users (id),
    name             TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    fault            TEXT,
    doomed           INTEGER NOT NULL DEFAULT 0,     -- being removed: a restart goes on with it
    image            TEXT    NOT NULL,
    image_digest     TEXT    NOT NULL,
    plan             TEXT    NOT NULL,
    vcpus            INTEGER NOT NULL,
    ram_mb           INTEGER NOT NULL,
    disk_gb          INTEGER NOT NULL,
    driver           TEXT    NOT NULL,
    node             TEXT    NOT NULL,
    ip               TEXT,
    ssh_port         INTEGER,
    ssh_user         TEXT    NOT NULL,
    host_key         TEXT    NOT NULL,               -- public half, algorithm and base64
    host_key_private TEXT    NOT NULL,
    user_data        TEXT,
    tags             TEXT    NOT NULL DEFAULT '[]',  -- JSON array of strings
    credits_per_hour REAL    NOT NULL,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    UNIQUE (owner_id, name)
) STRICT;

-- Two machines of one host cannot be reached through one port.
CREATE UNIQUE INDEX vms_port ON vms (node, ssh_port) WHERE ssh_port IS NOT NULL;

CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    owner_id    INTEGER NOT NULL,
    vm_id       INTEGER,                             -- kept when the machine is gone
    state       TEXT    NOT NULL,
    step        TEXT    NOT NULL DEFAULT '',
    percent     INTEGER NOT NULL DEFAULT 0,
    error       TEXT,                                -- JSON: code, message, hint
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

-- The rule “one changing job per VM”, kept by the database itself.
CREATE UNIQUE INDEX jobs_one_per_vm ON jobs (vm_id) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_owner ON jobs (owner_id, id);
