//! The schema: numbered SQL files, each applied once, in one transaction.

use rusqlite::Connection;

use crate::crash;
use crate::error::{Code, Error, Result};

/// Every migration, in order. Never edited once landed: add another.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_accounts.sql"),
    include_str!("../../migrations/0002_machines.sql"),
    include_str!("../../migrations/0003_events.sql"),
    include_str!("../../migrations/0004_job_requests.sql"),
    include_str!("../../migrations/0005_preferences.sql"),
    include_str!("../../migrations/0006_job_steps.sql"),
    include_str!("../../migrations/0007_roles.sql"),
    include_str!("../../migrations/0008_second_factor.sql"),
    include_str!("../../migrations/0009_invitations.sql"),
    include_str!("../../migrations/0010_key_limits.sql"),
    include_str!("../../migrations/0011_bans.sql"),
];

/// The schema that this binary works with.
pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

/// Brings the database to [`SCHEMA_VERSION`].
pub(super) fn run(connection: &mut Connection) -> Result<()> {
    check_version(connection)?;
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(version(connection)?) {
        apply(connection, number + 1, sql)?;
    }
    Ok(())
}

/// # Errors
/// `database.newer` if this binary does not know the schema yet.
pub(super) fn check_version(connection: &Connection) -> Result<()> {
    let current = version(connection)?;
    if current <= SCHEMA_VERSION {
        return Ok(());
    }
    let message = format!(
        "The database has schema {current}, made by a newer twarga; this one knows schemas up to {SCHEMA_VERSION}."
    );
    Err(Error::new(Code::DatabaseNewer, message))
}

/// # Errors
/// `database.newer` if this binary does not know the schema yet.
pub(super) fn is_current(connection: &Connection) -> Result<bool> {
    check_version(connection)?;
    Ok(version(connection)? == SCHEMA_VERSION)
}

fn version(connection: &Connection) -> Result<usize> {
    Ok(connection.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0))? as usize)
}

fn apply(connection: &mut Connection, number: usize, sql: &str) -> Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Whoever waited for the lock may find the work done.
    if version(&transaction)? < number {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", u32::try_from(number).unwrap_or(u32::MAX))?;
    }
    crash::point("migrating");
    transaction.commit()?;
    crash::point("migrated");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrate_to(connection: &mut Connection, version: usize) {
        for (number, sql) in MIGRATIONS.iter().enumerate().take(version) {
            apply(connection, number + 1, sql).unwrap();
        }
    }

    /// Rows that stood in the database when its schema was `version`.
    fn data_of(version: usize) -> &'static str {
        match version {
            1 => {
                "INSERT INTO users (id, name, role, created_at) VALUES (7, 'alice', 'user', 1);
                 INSERT INTO ssh_keys (user_id, algorithm, fingerprint, note, line, created_at)
                 VALUES (7, 'ssh-ed25519', 'SHA256:x', '', 'ssh-ed25519 AAAA', 1);"
            }
            2 => {
                "INSERT INTO vms (uuid, owner_id, name, state, image, image_digest, plan, vcpus, ram_mb, disk_gb,
                    driver, node, ssh_user, host_key, host_key_private, credits_per_hour, created_at)
                 VALUES ('u', 7, 'web1', 'running', 'micro', 'd', 'small', 1, 512, 10,
                    'libvirt', 'local', 'root', 'k', 'p', 1.0, 1);
                 INSERT INTO jobs (action, target, owner_id, vm_id, state, created_at)
                 VALUES ('vm.new', 'web1.alice', 7, 1, 'succeeded', 1);"
            }
            3 => {
                "INSERT INTO events (time, category, action, outcome, severity, actor, message, details)
                 VALUES (1, 'configuration', 'vm.new', 'success', 'info', 'alice', 'alice did vm.new.', '{}');"
            }
            4 => {
                "INSERT INTO jobs (action, target, owner_id, vm_id, state, created_at, request)
                 VALUES ('vm.stop', 'web1.alice', 7, 1, 'failed', 1, '{\"verb\":\"stop\",\"force\":false}');"
            }
            5 => "INSERT INTO preferences (user_id, setting, value) VALUES (7, 'theme', 'dark');",
            _ => "",
        }
    }

    #[test]
    fn from_empty() {
        let mut c = Connection::open_in_memory().unwrap();
        run(&mut c).unwrap();
        assert_eq!(version(&c).unwrap(), SCHEMA_VERSION);
        run(&mut c).unwrap();
    }

    #[test]
    fn from_every_earlier_schema_with_data_in_it() {
        for from in 1..SCHEMA_VERSION {
            let mut c = Connection::open_in_memory().unwrap();
            c.pragma_update(None, "foreign_keys", true).unwrap();
            for v in 1..=from {
                migrate_to(&mut c, v);
                c.execute_batch(data_of(v)).unwrap();
            }
            run(&mut c).unwrap();
            let names: i64 =
                c.query_row("SELECT count(*) FROM users WHERE name = 'alice'", [], |r| r.get(0)).unwrap();
            assert_eq!(names, 1, "the account is lost on the way from schema {from}");
            if from >= 2 {
                let vms: i64 = c.query_row("SELECT count(*) FROM vms", [], |r| r.get(0)).unwrap();
                assert_eq!(vms, 1);
                let stepless: i64 =
                    c.query_row("SELECT count(*) FROM jobs WHERE steps = '[]'", [], |r| r.get(0)).unwrap();
                assert_eq!(stepless, if from >= 4 { 2 } else { 1 }, "a job is lost on the way from {from}");
            }
            let broken: i64 =
                c.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get(0)).unwrap();
            assert_eq!(broken, 0);
        }
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut c = Connection::open_in_memory().unwrap();
        run(&mut c).unwrap();
        c.pragma_update(None, "user_version", 999).unwrap();
        let e = run(&mut c).unwrap_err();
        assert_eq!(e.code, Code::DatabaseNewer);
        assert!(e.message.contains("999"), "{e}");
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing() {
        let mut c = Connection::open_in_memory().unwrap();
        assert!(apply(&mut c, 1, "CREATE TABLE half (x); SELECT nonsense;").is_err());
        let tables: i64 = c.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
        assert_eq!((tables, version(&c).unwrap()), (0, 0));
    }
}
