//! Second factors.

use rusqlite::{OptionalExtension, Transaction};
use zeroize::Zeroizing;

use super::Store;
use crate::error::{Code, Error, Result};
use crate::model::Time;

/// Addresses that are remembered of one account, the latest.
const MOST_ADDRESSES: u32 = 32;

/// An account's second factor.
#[derive(Debug, Clone)]
pub struct Totp {
    /// Sealed.
    pub secret: Zeroizing<String>,
    /// Tells it from one that came before or after.
    pub made_at: Time,
    /// Since when it is asked for; none: it is not yet.
    pub confirmed_at: Option<Time>,
    /// Backup codes that still work.
    pub backup_codes_left: u32,
}

/// A backup code, as it is kept.
#[derive(Debug, Clone)]
pub struct HashedCode {
    /// Of this row alone.
    pub salt: [u8; 16],
    /// SHA-256 of salt and code.
    pub hash: [u8; 32],
}

fn put_codes(t: &Transaction<'_>, user_id: i64, codes: &[HashedCode]) -> Result<()> {
    t.execute("DELETE FROM backup_codes WHERE user_id = ?1", [user_id])?;
    let mut insert = t.prepare("INSERT INTO backup_codes (user_id, salt, hash) VALUES (?1, ?2, ?3)")?;
    for code in codes {
        insert.execute((user_id, code.salt, code.hash))?;
    }
    Ok(())
}

impl Store {
    /// The account's second factor, confirmed or not.
    pub async fn totp(&self, user_id: i64) -> Result<Option<Totp>> {
        self.read(move |c| {
            let sql = "SELECT secret, made_at, confirmed_at,
                (SELECT count(*) FROM backup_codes b WHERE b.user_id = t.user_id AND used_at IS NULL)
                FROM totp t WHERE user_id = ?1";
            let found = c
                .prepare_cached(sql)?
                .query_row([user_id], |r| {
                    Ok(Totp {
                        secret: Zeroizing::new(r.get(0)?),
                        made_at: Time::from_millis(r.get(1)?),
                        confirmed_at: r.get::<_, Option<i64>>(2)?.map(Time::from_millis),
                        backup_codes_left: r.get(3)?,
                    })
                })
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// Keeps a sealed secret that is still to be confirmed, in place of another such.
    ///
    /// # Errors
    /// `exists` if there is one that counts.
    pub async fn totp_insert(&self, user_id: i64, secret: String) -> Result<()> {
        self.write(move |t| {
            let sql = "INSERT INTO totp (user_id, secret, made_at) VALUES (?1, ?2, ?3)
                ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, made_at = excluded.made_at
                WHERE confirmed_at IS NULL";
            match t.execute(sql, (user_id, secret, Time::now().millis()))? {
                0 => Err(Error::new(Code::Exists, "This account has a second factor already.")
                    .hint("`account totp disable` takes it off.")),
                _ => Ok(()),
            }
        })
        .await
    }

    /// From now on it counts, with these backup codes; the code of that step is
    /// used by that. False: it is not there any more, or counts already.
    pub async fn totp_confirm(
        &self,
        user_id: i64,
        made_at: Time,
        step: i64,
        codes: Vec<HashedCode>,
    ) -> Result<bool> {
        self.write(move |t| {
            let sql = "UPDATE totp SET confirmed_at = ?4, last_step = ?3
                WHERE user_id = ?1 AND made_at = ?2 AND confirmed_at IS NULL";
            if t.execute(sql, (user_id, made_at.millis(), step, Time::now().millis()))? == 0 {
                return Ok(false);
            }
            put_codes(t, user_id, &codes)?;
            Ok(true)
        })
        .await
    }

    /// Uses the code of that step. False: it was used before, or one after it.
    pub async fn totp_spend(&self, user_id: i64, made_at: Time, step: i64) -> Result<bool> {
        self.write(move |t| {
            let sql = "UPDATE totp SET last_step = ?3
                WHERE user_id = ?1 AND made_at = ?2 AND confirmed_at IS NOT NULL AND last_step < ?3";
            Ok(t.execute(sql, (user_id, made_at.millis(), step))? == 1)
        })
        .await
    }

    /// Takes the second factor off; true if there was one that counted.
    pub async fn totp_delete(&self, user_id: i64) -> Result<bool> {
        self.write(move |t| {
            let counted =
                "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = ?1 AND confirmed_at IS NOT NULL)";
            let counted = t.query_row(counted, [user_id], |r| r.get(0))?;
            t.execute("DELETE FROM totp WHERE user_id = ?1", [user_id])?;
            Ok(counted)
        })
        .await
    }

    /// The backup codes that still work, with their numbers.
    pub async fn backup_codes(&self, user_id: i64) -> Result<Vec<(i64, HashedCode)>> {
        self.read(move |c| {
            let sql = "SELECT id, salt, hash FROM backup_codes WHERE user_id = ?1 AND used_at IS NULL";
            let row =
                |r: &rusqlite::Row<'_>| Ok((r.get(0)?, HashedCode { salt: r.get(1)?, hash: r.get(2)? }));
            Ok(c.prepare_cached(sql)?.query_map([user_id], row)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Uses a backup code. False: somebody was faster.
    pub async fn backup_code_spend(&self, id: i64) -> Result<bool> {
        self.write(move |t| {
            let sql = "UPDATE backup_codes SET used_at = ?2 WHERE id = ?1 AND used_at IS NULL";
            Ok(t.execute(sql, (id, Time::now().millis()))? == 1)
        })
        .await
    }

    /// Other backup codes instead of those there are. False: there is no second
    /// factor that counts.
    pub async fn backup_codes_replace(&self, user_id: i64, codes: Vec<HashedCode>) -> Result<bool> {
        self.write(move |t| {
            let counts = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = ?1 AND confirmed_at IS NOT NULL)";
            if !t.query_row(counts, [user_id], |r| r.get::<_, bool>(0))? {
                return Ok(false);
            }
            put_codes(t, user_id, &codes)?;
            Ok(true)
        })
        .await
    }

    /// Whether the account has shown its second factor from there since then.
    pub async fn address_is_remembered(&self, user_id: i64, address: String, since: Time) -> Result<bool> {
        self.read(move |c| {
            let sql = "SELECT EXISTS (SELECT 1 FROM remembered_addresses
                WHERE user_id = ?1 AND address = ?2 AND proven_at > ?3)";
            Ok(c.prepare_cached(sql)?.query_row((user_id, address, since.millis()), |r| r.get(0))?)
        })
        .await
    }

    /// The account has shown its second factor from there.
    pub async fn address_remember(&self, user_id: i64, address: String) -> Result<()> {
        self.write(move |t| {
            let sql = "INSERT OR REPLACE INTO remembered_addresses (user_id, address, proven_at)
                VALUES (?1, ?2, ?3)";
            t.execute(sql, (user_id, address, Time::now().millis()))?;
            let sql = "DELETE FROM remembered_addresses WHERE user_id = ?1 AND address NOT IN
                (SELECT address FROM remembered_addresses WHERE user_id = ?1 ORDER BY proven_at DESC LIMIT ?2)";
            t.execute(sql, (user_id, MOST_ADDRESSES))?;
            Ok(())
        })
        .await
    }
}
