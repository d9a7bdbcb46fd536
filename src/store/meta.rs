//! Single values: the portal's own identity.

use rusqlite::OptionalExtension;

use super::Store;
use crate::error::Result;

impl Store {
    /// The value of `key`, kept as `value` first if there is none yet.
    pub async fn meta_or_insert(&self, key: &'static str, value: String) -> Result<String> {
        self.write(move |t| {
            t.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)", (key, &value))?;
            Ok(t.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0))?)
        })
        .await
    }

    /// The value of `key`.
    pub async fn meta(&self, key: &'static str) -> Result<Option<String>> {
        self.read(move |c| {
            Ok(c.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional()?)
        })
        .await
    }
}
