//! What people have set for themselves.

use super::Store;
use crate::error::Result;
use crate::model::{Preferences, Setting};

impl Store {
    /// The account's preferences. What this binary or this host does not know any
    /// more, such as a zone, is left as it is by default.
    pub async fn preferences(&self, user_id: i64) -> Result<Preferences> {
        self.read(move |c| {
            let sql = "SELECT setting, value FROM preferences WHERE user_id = ?1";
            let mut rows = c.prepare_cached(sql)?;
            let mut preferences = Preferences::default();
            for row in rows.query_map([user_id], |r| Ok((r.get(0)?, r.get(1)?)))? {
                let (setting, value): (String, String) = row?;
                if let Some(setting) = Setting::parse(&setting) {
                    let _ = preferences.set(setting, &value);
                }
            }
            Ok(preferences)
        })
        .await
    }

    /// Keeps one preference of the account.
    pub async fn preference_set(&self, user_id: i64, setting: Setting, value: String) -> Result<()> {
        self.write(move |t| {
            let sql = "INSERT INTO preferences (user_id, setting, value) VALUES (?1, ?2, ?3)
                ON CONFLICT (user_id, setting) DO UPDATE SET value = excluded.value";
            t.execute(sql, (user_id, setting.as_str(), value))?;
            Ok(())
        })
        .await
    }
}
