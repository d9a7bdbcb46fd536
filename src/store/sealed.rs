//! Values that are kept sealed: which there are, and all of them at once, for
//! when they are sealed anew. What sealing is, is not known here.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::Store;
use crate::error::{Error, Result};

/// Signs at the beginning of a sealed value that tell its format and its key.
pub const LABEL: usize = 11;

/// Every column of sealed values: table, column, and what names a row.
const COLUMNS: [(&str, &str, &str); 2] = [("vms", "host_key_private", "uuid"), ("totp", "secret", "user_id")];

/// Where a sealed value stands: it opens nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    table: &'static str,
    column: &'static str,
    row: String,
}

impl Place {
    /// The private half of a VM's host key.
    pub fn vm_host_key(vm: Uuid) -> Place {
        Place { table: "vms", column: "host_key_private", row: vm.to_string() }
    }

    /// The secret of an account's second factor.
    pub fn totp(user_id: i64) -> Place {
        Place { table: "totp", column: "secret", row: user_id.to_string() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}/{}", self.table, self.column, self.row)
    }
}

fn labels(c: &Connection) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (table, column, _) in COLUMNS {
        // A backup may be older than the table.
        let there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        if c.query_row(there, [table], |r| r.get::<_, bool>(0))? {
            let sql = format!("SELECT DISTINCT substr({column}, 1, {LABEL}) FROM {table}");
            let mut found = c.prepare(&sql)?;
            for label in found.query_map([], |r| r.get(0))? {
                all.insert(label?);
            }
        }
    }
    Ok(all)
}

/// Every value, as `f` makes it; none: as it is. How many were changed.
fn change(t: &Transaction<'_>, f: impl Fn(&Place, &str) -> Result<Option<String>>) -> Result<usize> {
    let mut changed = 0;
    for (table, column, key) in COLUMNS {
        let rows: Vec<(i64, String, zeroize::Zeroizing<String>)> = t
            .prepare(&format!("SELECT rowid, CAST({key} AS TEXT), {column} FROM {table}"))?
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?, zeroize::Zeroizing::new(r.get(2)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let sql = format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1");
        let mut update = t.prepare(&sql)?;
        for (id, row, value) in rows {
            if let Some(new) = f(&Place { table, column, row }, &value)? {
                changed += update.execute((id, new))?;
            }
        }
    }
    Ok(changed)
}

impl Store {
    /// How the values that should be sealed begin: each beginning once.
    pub async fn sealed_labels(&self) -> Result<BTreeSet<String>> {
        self.read(labels).await
    }

    /// The same of the database in that file, which is left as it is.
    ///
    /// # Errors
    /// Those of [`Store::check`].
    pub fn sealed_labels_of(path: &Path) -> Result<BTreeSet<String>> {
        super::damage::peek(path, labels)
    }

    /// Puts what `f` makes of it in the place of each value, all or none; how many
    /// it changed.
    pub async fn seal_anew<F>(&self, f: F) -> Result<usize>
    where
        F: Fn(&Place, &str) -> Result<Option<String>> + Send + 'static,
    {
        self.write(move |t| change(t, f)).await
    }

    /// Brings everything from the log into the database, and on the disk: what was
    /// replaced is nowhere in the files then.
    ///
    /// # Errors
    /// `database.unavailable` if somebody reads what was there before.
    pub async fn settle(&self) -> Result<()> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let job: super::Write = Box::new(move |connection| {
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
            let _ = tx.send(busy);
        });
        self.writer.send(job).await.map_err(|_| super::gone())?;
        match rx.await.map_err(|_| super::gone())?? {
            0 => Ok(()),
            _ => Err(Error::new(crate::error::Code::DatabaseUnavailable, "The database is busy.")),
        }
    }
}
