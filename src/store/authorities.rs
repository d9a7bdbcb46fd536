//! Authorities whose certificates let people in.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{NewKey, Store, is_duplicate};
use crate::error::{Code, Error, Result};
use crate::model::{Authority, Revocation, Time, User};

const AUTHORITY: &str = "id, name, algorithm, fingerprint, line, added_at, added_by, last_used_at";
/// Authorities, and revoked certificates of one, that are kept.
const MOST: u32 = 100;
const MOST_REVOKED: u32 = 10_000;

fn authority(r: &Row<'_>) -> rusqlite::Result<Authority> {
    Ok(Authority {
        id: r.get(0)?,
        name: r.get(1)?,
        algorithm: r.get(2)?,
        fingerprint: r.get(3)?,
        line: r.get(4)?,
        added_at: Time::from_millis(r.get(5)?),
        added_by: r.get(6)?,
        last_used_at: r.get::<_, Option<i64>>(7)?.map(Time::from_millis),
    })
}

fn revocation(r: &Row<'_>) -> rusqlite::Result<Revocation> {
    Ok(Revocation {
        authority: r.get(0)?,
        certificate: r.get(1)?,
        revoked_at: Time::from_millis(r.get(2)?),
        revoked_by: r.get(3)?,
    })
}

/// Whether that certificate of the authority's counts no more.
pub(super) fn is_revoked(c: &Connection, authority: i64, serial: u64, key_id: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM revocations JOIN authorities a USING (fingerprint)
               WHERE a.id = ?1 AND certificate IN (?2, ?3)";
    let found = c.prepare_cached(sql)?.query_row((authority, serial.to_string(), key_id), |_| Ok(()));
    Ok(found.optional()?.is_some())
}

/// Writes down that a certificate let somebody in, if it still may.
pub(super) fn used(t: &Transaction<'_>, id: i64, serial: u64, key_id: &str) -> Result<()> {
    let there =
        t.execute("UPDATE authorities SET last_used_at = ?2 WHERE id = ?1", (id, Time::now().millis()))?;
    match there == 1 && !is_revoked(t, id, serial, key_id)? {
        true => Ok(()),
        false => Err(Error::new(Code::Forbidden, "That certificate does not count any more.")),
    }
}

impl Store {
    /// Trusts an authority.
    ///
    /// # Errors
    /// `exists` if it, or its name, is there already, `quota` if there are too many.
    pub async fn authority_insert(&self, name: String, key: NewKey, by: String) -> Result<Authority> {
        self.write(move |t| {
            let sql = format!(
                "INSERT INTO authorities (name, algorithm, fingerprint, line, added_at, added_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING {AUTHORITY}"
            );
            let values = (&name, &key.algorithm, &key.fingerprint, &key.line, Time::now().millis(), &by);
            let made = t.query_row(&sql, values, authority).map_err(|e| match is_duplicate(&e) {
                true => Error::new(Code::Exists, format!("“{name}”, or its key, is trusted already."))
                    .hint("`ca ls` shows those that are trusted."),
                false => e.into(),
            })?;
            if t.query_row("SELECT count(*) FROM authorities", [], |r| r.get::<_, u32>(0))? > MOST {
                return Err(Error::new(Code::Quota, format!("At most {MOST} authorities are trusted."))
                    .hint("`ca rm` removes one."));
            }
            Ok(made)
        })
        .await
    }

    /// The authorities that are trusted, by name.
    pub async fn authorities(&self) -> Result<Vec<Authority>> {
        self.read(|c| {
            let sql = format!("SELECT {AUTHORITY} FROM authorities ORDER BY name");
            Ok(c.prepare_cached(&sql)?.query_map([], authority)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// The account of that name, and the authority of that key, unless the
    /// certificate is one that counts no more. One answer's work for known and
    /// unknown names alike.
    pub async fn vouched(
        &self,
        name: String,
        fingerprint: String,
        serial: u64,
        key_id: String,
    ) -> Result<(Option<User>, Option<Authority>, bool)> {
        let user = self.user_by_name(name).await?;
        self.read(move |c| {
            let sql = format!("SELECT {AUTHORITY} FROM authorities WHERE fingerprint = ?1");
            let signer = c.prepare_cached(&sql)?.query_row([fingerprint], authority).optional()?;
            let revoked = is_revoked(c, signer.as_ref().map_or(0, |s| s.id), serial, &key_id)?;
            Ok((user, signer, revoked))
        })
        .await
    }

    /// Trusts an authority no more; true if it was trusted.
    ///
    /// # Errors
    /// `account.last_admin` if its certificates are the last way in.
    pub async fn authority_delete(&self, id: i64, passwords: bool) -> Result<bool> {
        self.write(move |t| {
            let sql = "DELETE FROM authorities WHERE id = ?1";
            super::users::keep_an_admin(t, passwords, |t| Ok(t.execute(sql, [id])? == 1))
        })
        .await
    }

    /// Has a certificate of that authority count no more.
    ///
    /// # Errors
    /// `exists` if it counts no more already, `quota` if there are too many.
    pub async fn revocation_insert(
        &self,
        of: Authority,
        certificate: String,
        by: String,
    ) -> Result<Revocation> {
        self.write(move |t| {
            let now = Time::now();
            let sql = "INSERT INTO revocations (fingerprint, certificate, revoked_at, revoked_by)
                       VALUES (?1, ?2, ?3, ?4)";
            t.execute(sql, (&of.fingerprint, &certificate, now.millis(), &by)).map_err(
                |e| match is_duplicate(&e) {
                    true => Error::new(Code::Exists, format!("“{certificate}” is revoked already.")).hint(""),
                    false => e.into(),
                },
            )?;
            let has = "SELECT count(*) FROM revocations WHERE fingerprint = ?1";
            if t.query_row(has, [&of.fingerprint], |r| r.get::<_, u32>(0))? > MOST_REVOKED {
                let message = format!("At most {MOST_REVOKED} certificates of one authority can be revoked.");
                return Err(Error::new(Code::Quota, message).hint("`ca rm` trusts none of its certificates."));
            }
            Ok(Revocation { authority: of.name, certificate, revoked_at: now, revoked_by: by })
        })
        .await
    }

    /// Has a certificate of that authority count again: what was revoked; none if
    /// nothing was.
    pub async fn revocation_delete(&self, of: Authority, certificate: String) -> Result<Option<Revocation>> {
        self.write(move |t| {
            let sql = "DELETE FROM revocations WHERE fingerprint = ?1 AND certificate = ?2
                       RETURNING ?3, certificate, revoked_at, revoked_by";
            Ok(t.query_row(sql, (of.fingerprint, certificate, of.name), revocation).optional()?)
        })
        .await
    }

    /// Certificates that count no more, the latest first.
    pub async fn revocations(&self) -> Result<Vec<Revocation>> {
        self.read(|c| {
            let sql = "SELECT a.name, r.certificate, r.revoked_at, r.revoked_by
                       FROM revocations r JOIN authorities a USING (fingerprint)
                       ORDER BY r.revoked_at DESC, r.certificate LIMIT 1000";
            Ok(c.prepare_cached(sql)?.query_map([], revocation)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
