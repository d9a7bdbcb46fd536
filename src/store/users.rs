//! Accounts and their keys.

use rusqlite::{Connection, OptionalExtension, Row};

use super::roles::{must_exist, standing_of};
use super::{Store, is_duplicate, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::session::LastLogin;
use crate::model::{Credential, Event, EventDraft, KeyLimits, RoleName, SshKey, Standing, Time, User};

pub(super) const USER: &str = "id, name, role, enabled, must_change_password, created_at, last_login_at";
const KEY: &str =
    "id, user_id, algorithm, fingerprint, note, line, created_at, last_used_at, last_used_from, limits";

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What it signs in as.
    pub name: String,
    /// What it may do.
    pub role: RoleName,
    /// PHC string; none: no password login.
    pub password_hash: Option<String>,
    /// It must choose a password first.
    pub must_change_password: bool,
    /// Its first key.
    pub key: Option<NewKey>,
}

/// A key to be added.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// What its owner calls it.
    pub note: String,
    /// Algorithm and base64.
    pub line: String,
    /// What it is limited to.
    pub limits: KeyLimits,
}

/// What a login is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// PHC string.
    pub password_hash: Option<String>,
    /// Whether the account may sign in with its password, by itself and by its roles.
    pub password_login: bool,
}

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let role: String = row.get(2)?;
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        role: role.parse().map_err(|_| unknown_word(2, &role))?,
        enabled: row.get(3)?,
        must_change_password: row.get(4)?,
        created_at: Time::from_millis(row.get(5)?),
        last_login_at: row.get::<_, Option<i64>>(6)?.map(Time::from_millis),
    })
}

fn key(row: &Row<'_>) -> rusqlite::Result<SshKey> {
    Ok(SshKey {
        id: row.get(0)?,
        user_id: row.get(1)?,
        algorithm: row.get(2)?,
        fingerprint: row.get(3)?,
        note: row.get(4)?,
        line: row.get(5)?,
        created_at: Time::from_millis(row.get(6)?),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Time::from_millis),
        last_used_from: row.get(8)?,
        limits: KeyLimits::from_json(row.get::<_, Option<String>>(9)?.as_deref()),
    })
}

fn insert_key(t: &rusqlite::Transaction<'_>, user_id: i64, new: &NewKey) -> Result<SshKey> {
    let sql = format!(
        "INSERT INTO ssh_keys (user_id, algorithm, fingerprint, note, line, created_at, limits)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING {KEY}"
    );
    let now = Time::now().millis();
    let values = (user_id, &new.algorithm, &new.fingerprint, &new.note, &new.line, now, new.limits.to_json());
    t.query_row(&sql, values, key).map_err(|e| {
        if is_duplicate(&e) {
            Error::new(Code::Exists, format!("The key {} is on this account already.", new.fingerprint))
                .hint("`key ls` shows its keys.")
        } else {
            e.into()
        }
    })
}

/// Makes an account, with its first key if it has one. Its number was nobody's before.
pub(super) fn insert_user(t: &rusqlite::Transaction<'_>, new: &NewUser) -> Result<User> {
    must_exist(t, &new.role)?;
    let sql = format!(
        "INSERT INTO users (id, name, role, password_hash, must_change_password, created_at)
         VALUES (1 + max(coalesce((SELECT max(id) FROM users), 0),
                         coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'highest_user'), 0)),
                 ?1, ?2, ?3, ?4, ?5) RETURNING {USER}"
    );
    let values =
        (&new.name, new.role.as_str(), &new.password_hash, new.must_change_password, Time::now().millis());
    let made = t.query_row(&sql, values, user).map_err(|e| {
        if is_duplicate(&e) {
            Error::new(Code::Exists, format!("There is an account called “{}” already.", new.name))
        } else {
            e.into()
        }
    })?;
    if let Some(key) = &new.key {
        insert_key(t, made.id, key)?;
    }
    Ok(made)
}

/// Whether an administrator can sign in, to do whatever there is to be done (not by a
/// key that is limited, nor by one of a token, which may not be taken): `passwords`
/// says whether they are taken at all. An authority can vouch for any.
fn has_admin(t: &rusqlite::Transaction<'_>, passwords: bool) -> Result<bool> {
    let sql = format!(
        "SELECT {USER}, EXISTS (SELECT 1 FROM authorities) OR EXISTS (SELECT 1 FROM ssh_keys k
                WHERE k.user_id = u.id AND k.limits IS NULL AND k.algorithm NOT LIKE 'sk-%'),
            password_hash IS NOT NULL AND password_login
         FROM users u WHERE enabled AND role = 'admin' ORDER BY 8 DESC, 9 DESC"
    );
    let mut statement = t.prepare_cached(&sql)?;
    let mut rows = statement.query_map([], |r| Ok((user(r)?, r.get::<_, bool>(7)?, r.get::<_, bool>(8)?)))?;
    rows.try_fold(false, |found, row| {
        let (user, has_key, has_password) = row?;
        Ok(found || has_key || (passwords && has_password && standing_of(t, user)?.policy.password_login))
    })
}

/// Makes a change, unless it would take the last administrator's way in.
///
/// # Errors
/// `account.last_admin`; those of the change.
pub(super) fn keep_an_admin<T>(
    t: &rusqlite::Transaction<'_>,
    passwords: bool,
    change: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let before = has_admin(t, passwords)?;
    let done = change(t)?;
    // Where nobody could before, there is at least to be somebody to help on the host.
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE enabled AND role = 'admin')";
    let some: bool = t.query_row(sql, [], |r| r.get(0))?;
    if !some || (before && !has_admin(t, passwords)?) {
        return Err(Error::new(Code::LastAdmin, "Then no administrator could sign in any more."));
    }
    Ok(done)
}

/// Whether that is the account's password still, and it may sign in with it.
fn takes_password(t: &rusqlite::Transaction<'_>, user_id: i64, password: &Credential) -> Result<bool> {
    let sql = format!("SELECT {USER}, password_hash FROM users WHERE id = ?1 AND password_login");
    let found = t
        .prepare_cached(&sql)?
        .query_row([user_id], |r| Ok((user(r)?, r.get::<_, Option<String>>(7)?)))
        .optional()?;
    let Some((user, Some(hash))) = found else { return Ok(false) };
    Ok(Credential::password(&hash) == *password && standing_of(t, user)?.policy.password_login)
}

/// The account of that number.
pub(super) fn by_id(c: &Connection, id: i64) -> Result<Option<User>> {
    let sql = format!("SELECT {USER} FROM users WHERE id = ?1");
    Ok(c.prepare_cached(&sql)?.query_row([id], user).optional()?)
}

impl Store {
    /// Makes an account, with its first key if it has one.
    ///
    /// # Errors
    /// `exists` if the name is taken.
    pub async fn user_insert(&self, new: NewUser) -> Result<User> {
        self.write(move |t| insert_user(t, &new)).await
    }

    /// The account of that number.
    pub async fn user(&self, id: i64) -> Result<Option<User>> {
        self.read(move |c| by_id(c, id)).await
    }

    /// The account of that name.
    pub async fn user_by_name(&self, name: String) -> Result<Option<User>> {
        Ok(self.credentials(name).await?.map(|c| c.user))
    }

    /// The account of that name, with what its login is checked against.
    pub async fn credentials(&self, name: String) -> Result<Option<Credentials>> {
        self.read(move |c| {
            let sql = format!("SELECT {USER}, password_hash, password_login FROM users WHERE name = ?1");
            let found = c
                .prepare_cached(&sql)?
                .query_row([name], |r| Ok((user(r)?, r.get(7)?, r.get::<_, bool>(8)?)))
                .optional()?;
            let Some((user, password_hash, own)) = found else { return Ok(None) };
            let Standing { user, policy, .. } = standing_of(c, user)?;
            Ok(Some(Credentials { user, password_hash, password_login: own && policy.password_login }))
        })
        .await
    }

    /// Every account, by name.
    pub async fn users(&self) -> Result<Vec<User>> {
        self.read(|c| {
            let sql = format!("SELECT {USER} FROM users ORDER BY name");
            Ok(c.prepare_cached(&sql)?.query_map([], user)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// How many accounts there are.
    pub async fn user_count(&self) -> Result<u32> {
        self.read(|c| Ok(c.query_row("SELECT count(*) FROM users", [], |r| r.get(0))?)).await
    }

    /// Gives the account a newer hash of the password that it has. False: it has another.
    pub async fn rehash(&self, user_id: i64, old: String, new: String) -> Result<bool> {
        self.write(move |t| {
            let sql = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
            Ok(t.execute(sql, (user_id, old, new))? == 1)
        })
        .await
    }

    /// Gives the account another password hash. Whoever was given a token to choose
    /// one does not need it any more.
    pub async fn set_password(&self, user_id: i64, hash: String, must_change: bool) -> Result<()> {
        self.write(move |t| {
            let sql = "UPDATE users SET password_hash = ?2, must_change_password = ?3 WHERE id = ?1";
            t.execute(sql, (user_id, hash, must_change))?;
            t.execute("DELETE FROM password_resets WHERE user_id = ?1", [user_id])?;
            Ok(())
        })
        .await
    }

    /// Writes down that the account signed in, and by what, with the event of that:
    /// all or nothing. When and from where it did before.
    ///
    /// # Errors
    /// `forbidden` if the account was disabled or removed a moment ago, or what it came
    /// by does not count any more: whoever sees to that ends the sessions that there
    /// are after it.
    pub async fn login_insert(
        &self,
        draft: EventDraft,
        user_id: i64,
        by: Credential,
    ) -> Result<(Event, Option<LastLogin>)> {
        self.write(move |t| {
            let from = draft.source_ip.as_deref().unwrap_or_default();
            let before = super::bans::signed_in_from(t, user_id, from)?;
            let now = Time::now().millis();
            let sql = "UPDATE users SET last_login_at = ?2 WHERE id = ?1 AND enabled";
            if t.execute(sql, (user_id, now))? == 0 {
                return Err(Error::new(Code::Forbidden, "This account is disabled."));
            }
            match &by {
                Credential::Errand => return Err(Error::new(Code::Forbidden, "That is no login.")),
                Credential::Password { .. } => {
                    if !takes_password(t, user_id, &by)? {
                        return Err(Error::new(Code::Forbidden, "That password does not count any more."));
                    }
                }
                Credential::Key(id) => {
                    let sql = "UPDATE ssh_keys SET last_used_at = ?3, last_used_from = ?4
                               WHERE id = ?1 AND user_id = ?2";
                    if t.execute(sql, (id, user_id, now, &draft.source_ip))? != 1 {
                        return Err(Error::new(Code::Forbidden, "That key is not on the account any more."));
                    }
                }
                Credential::Certificate { authority, serial, key_id } => {
                    super::authorities::used(t, *authority, *serial, key_id)?;
                }
            }
            Ok((super::events::insert(t, &draft, None)?, before))
        })
        .await
    }

    /// Adds keys to the account: all of them, or none.
    ///
    /// # Errors
    /// `exists` if the account has one already, `quota` if it has `most` keys.
    pub async fn keys_insert(&self, user_id: i64, new: Vec<NewKey>, most: u32) -> Result<Vec<SshKey>> {
        self.write(move |t| {
            let keys = new.iter().map(|key| insert_key(t, user_id, key)).collect::<Result<Vec<_>>>()?;
            let has = "SELECT count(*) FROM ssh_keys WHERE user_id = ?1";
            if t.query_row(has, [user_id], |r| r.get::<_, u32>(0))? > most {
                return Err(Error::new(Code::Quota, format!("An account has at most {most} keys."))
                    .hint("`key rm` removes one."));
            }
            Ok(keys)
        })
        .await
    }

    /// The account's keys, oldest first.
    pub async fn keys(&self, user_id: i64) -> Result<Vec<SshKey>> {
        self.read(move |c| {
            let sql = format!("SELECT {KEY} FROM ssh_keys WHERE user_id = ?1 ORDER BY id");
            Ok(c.prepare_cached(&sql)?.query_map([user_id], key)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// The key of that fingerprint on the account of that name. One query for
    /// known and unknown names alike.
    pub async fn key_of(&self, name: String, fingerprint: String) -> Result<Option<(User, SshKey)>> {
        self.read(move |c| {
            let sql = "SELECT k.id, k.user_id, k.algorithm, k.fingerprint, k.note, k.line, k.created_at, k.last_used_at,
                              k.last_used_from, k.limits, u.id, u.name, u.role, u.enabled, u.must_change_password, u.created_at, u.last_login_at
                       FROM users u JOIN ssh_keys k ON k.user_id = u.id
                       WHERE u.name = ?1 AND k.fingerprint = ?2";
            let found = c
                .prepare_cached(sql)?
                .query_row((name, fingerprint), |r| {
                    let role: String = r.get(12)?;
                    let user = User {
                        id: r.get(10)?,
                        name: r.get(11)?,
                        role: role.parse().map_err(|_| unknown_word(12, &role))?,
                        enabled: r.get(13)?,
                        must_change_password: r.get(14)?,
                        created_at: Time::from_millis(r.get(15)?),
                        last_login_at: r.get::<_, Option<i64>>(16)?.map(Time::from_millis),
                    };
                    Ok((user, key(r)?))
                })
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// Removes keys from the account: all of them, or none. `passwords`: whether they
    /// are taken.
    ///
    /// # Errors
    /// `key.not_found` if one is not there, `account.last_admin` if they are the last way
    /// in of the last administrator.
    pub async fn keys_delete(&self, user_id: i64, keys: Vec<i64>, passwords: bool) -> Result<()> {
        self.write(move |t| {
            keep_an_admin(t, passwords, |t| {
                for id in keys {
                    let sql = "DELETE FROM ssh_keys WHERE user_id = ?1 AND id = ?2";
                    if t.execute(sql, (user_id, id))? != 1 {
                        return Err(Error::new(Code::KeyNotFound, format!("No key {id}.")));
                    }
                }
                Ok(())
            })
        })
        .await
    }

    /// Calls a key of the account's something else; none if it is not there.
    pub async fn key_rename(&self, user_id: i64, id: i64, note: String) -> Result<Option<SshKey>> {
        self.write(move |t| {
            let sql = format!("UPDATE ssh_keys SET note = ?3 WHERE user_id = ?1 AND id = ?2 RETURNING {KEY}");
            Ok(t.query_row(&sql, (user_id, id, note), key).optional()?)
        })
        .await
    }
}
