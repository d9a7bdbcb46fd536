//! Roles, and what an account may do by them at this moment.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::users::{by_id, keep_an_admin};
use super::{Store, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::{Grant, Policy, Rights, Role, RoleName, Standing, Time, User};

/// Roles beside the built-in ones, and grants of one account.
const MOST_ROLES: u32 = 100;
const MOST_GRANTS: usize = 16;

/// Permissions and demands of one role. A custom role that is gone grants nothing.
fn role(c: &Connection, name: &RoleName) -> Result<(Rights, Policy)> {
    let sql = "SELECT grants, second_factor, password_login, max_session_s FROM roles WHERE name = ?1";
    let found = c
        .prepare_cached(sql)?
        .query_row([name.as_str()], |r| {
            let policy = Policy {
                second_factor: r.get(1)?,
                password_login: r.get(2)?,
                max_session_s: r.get::<_, Option<u32>>(3)?.map(u64::from),
            };
            Ok((r.get::<_, Option<String>>(0)?, policy))
        })
        .optional()?;
    let (custom, policy) = found.unwrap_or_default();
    let rights = name.built_in().or_else(|| custom.map(|json| Rights::from_json(&json)));
    Ok((rights.unwrap_or_default(), policy))
}

/// What a role grants; none if there is no such role.
pub(super) fn rights_of(c: &Connection, name: &RoleName) -> Result<Option<Rights>> {
    exists(c, name)?.then(|| role(c, name).map(|(rights, _)| rights)).transpose()
}

/// An account with what it may do: by its own role, and by what it is granted beside.
pub(super) fn standing_of(c: &Connection, user: User) -> Result<Standing> {
    let (mut rights, mut policy) = role(c, &user.role)?;
    for grant in grants(c, user.id)? {
        let (more, demanded) = role(c, &grant.role)?;
        rights.add(&more);
        policy = policy.and(demanded);
    }
    let groups = super::groups::groups_of(c, user.id)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = ?1 AND confirmed_at IS NOT NULL)";
    let second_factor = c.prepare_cached(sql)?.query_row([user.id], |r| r.get(0))?;
    Ok(Standing { user, rights, policy, second_factor, groups })
}

pub(super) fn grants(c: &Connection, user_id: i64) -> Result<Vec<Grant>> {
    let sql = "SELECT role, granted_at, granted_by, expires_at FROM role_grants
        WHERE user_id = ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY role";
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map((user_id, Time::now().millis()), |r| {
        let role: String = r.get(0)?;
        Ok(Grant {
            role: role.parse().map_err(|_| unknown_word(0, &role))?,
            granted_at: Time::from_millis(r.get(1)?),
            granted_by: r.get(2)?,
            expires_at: r.get::<_, Option<i64>>(3)?.map(Time::from_millis),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn not_found(name: &RoleName) -> Error {
    Error::new(Code::RoleNotFound, format!("There is no role “{name}”."))
}

fn exists(c: &Connection, name: &RoleName) -> Result<bool> {
    if name.built_in().is_some() {
        return Ok(true);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM roles WHERE name = ?1)";
    Ok(c.prepare_cached(sql)?.query_row([name.as_str()], |r| r.get(0))?)
}

/// # Errors
/// `role.not_found`
pub(super) fn must_exist(c: &Connection, name: &RoleName) -> Result<()> {
    if exists(c, name)? { Ok(()) } else { Err(not_found(name)) }
}

/// The whole role of that name, which exists.
fn whole(c: &Connection, name: &RoleName) -> Result<Role> {
    let (permissions, policy) = role(c, name)?;
    let sql = "SELECT count(*) FROM users u WHERE u.role = ?1
        OR EXISTS (SELECT 1 FROM role_grants g WHERE g.user_id = u.id AND g.role = ?1
                   AND (g.expires_at IS NULL OR g.expires_at > ?2))";
    let users = c.prepare_cached(sql)?.query_row((name.as_str(), Time::now().millis()), |r| r.get(0))?;
    Ok(Role { name: name.clone(), built_in: name.built_in().is_some(), permissions, policy, users })
}

/// Writes a role down. What a built-in one may do is not in the database.
fn put(t: &Transaction<'_>, role: &Role) -> Result<()> {
    let grants = (!role.built_in).then(|| role.permissions.to_json());
    let Policy { second_factor, password_login, max_session_s } = role.policy;
    let max_session_s = max_session_s.map(|s| u32::try_from(s).unwrap_or(u32::MAX));
    let sql = "INSERT INTO roles (name, grants, second_factor, password_login, max_session_s, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (name) DO UPDATE SET grants = excluded.grants, second_factor = excluded.second_factor,
            password_login = excluded.password_login, max_session_s = excluded.max_session_s";
    let now = Time::now().millis();
    t.execute(sql, (role.name.as_str(), grants, second_factor, password_login, max_session_s, now))?;
    Ok(())
}

impl Store {
    /// Every role, those that are always there first.
    pub async fn roles(&self) -> Result<Vec<Role>> {
        self.read(|c| {
            let sql = "SELECT name FROM roles WHERE grants IS NOT NULL ORDER BY name";
            let custom: Vec<String> =
                c.prepare_cached(sql)?.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut all = RoleName::BUILT_IN.to_vec();
            for name in custom {
                all.push(name.parse()?);
            }
            all.iter().map(|name| whole(c, name)).collect()
        })
        .await
    }

    /// The role of that name.
    ///
    /// # Errors
    /// `role.not_found`
    pub async fn role(&self, name: RoleName) -> Result<Role> {
        self.read(move |c| {
            must_exist(c, &name)?;
            whole(c, &name)
        })
        .await
    }

    /// Makes a role.
    ///
    /// # Errors
    /// `exists` if the name is taken, `quota` if there are too many.
    pub async fn role_insert(&self, new: Role) -> Result<Role> {
        self.write(move |t| {
            if exists(t, &new.name)? {
                let message = format!("There is a role called “{}” already.", new.name);
                return Err(Error::new(Code::Exists, message));
            }
            let count: u32 = t.query_row("SELECT count(*) FROM roles", [], |r| r.get(0))?;
            if count >= MOST_ROLES {
                return Err(Error::new(Code::Quota, format!("There are {count} roles already.")).hint(""));
            }
            put(t, &new)?;
            whole(t, &new.name)
        })
        .await
    }

    /// Changes a role by `set`, which sees it as it is and may refuse.
    ///
    /// # Errors
    /// `role.not_found`; those of `set`; `account.last_admin`.
    pub async fn role_set<F>(&self, name: RoleName, passwords: bool, set: F) -> Result<Role>
    where
        F: FnOnce(&mut Role) -> Result<()> + Send + 'static,
    {
        self.write(move |t| {
            must_exist(t, &name)?;
            let mut role = whole(t, &name)?;
            set(&mut role)?;
            keep_an_admin(t, passwords, |t| put(t, &role))?;
            Ok(role)
        })
        .await
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// `role.not_found`, `role.in_use`
    pub async fn role_delete(&self, name: RoleName) -> Result<()> {
        self.write(move |t| {
            must_exist(t, &name)?;
            let users = whole(t, &name)?.users;
            if users > 0 {
                let message = format!("{users} accounts have the role “{name}”.");
                return Err(Error::new(Code::RoleInUse, message).hint("Give them another one first."));
            }
            t.execute("DELETE FROM role_grants WHERE role = ?1", [name.as_str()])?;
            t.execute("DELETE FROM roles WHERE name = ?1", [name.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Grants a role beside an account's own, or until another time than before.
    ///
    /// # Errors
    /// `role.not_found`; `quota` if the account has too many; `account.last_admin` if
    /// what the role demands would keep the last administrator out.
    pub async fn role_grant(&self, user_id: i64, grant: Grant, passwords: bool) -> Result<Vec<Grant>> {
        self.write(move |t| {
            must_exist(t, &grant.role)?;
            let sql = "INSERT INTO role_grants (user_id, role, granted_at, granted_by, expires_at)
                VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user_id, role) DO UPDATE SET
                    granted_at = excluded.granted_at, granted_by = excluded.granted_by,
                    expires_at = excluded.expires_at";
            let (at, until) = (grant.granted_at.millis(), grant.expires_at.map(Time::millis));
            let values = (user_id, grant.role.as_str(), at, &grant.granted_by, until);
            keep_an_admin(t, passwords, |t| Ok(t.execute(sql, values)?))?;
            // What is over is forgotten when something new comes.
            let over = "DELETE FROM role_grants WHERE user_id = ?1 AND expires_at <= ?2 AND role <> ?3";
            t.execute(over, (user_id, Time::now().millis(), grant.role.as_str()))?;
            let all = grants(t, user_id)?;
            if all.len() > MOST_GRANTS {
                let message = format!("An account is granted at most {MOST_GRANTS} roles.");
                return Err(Error::new(Code::Quota, message).hint("`role revoke` takes one back."));
            }
            Ok(all)
        })
        .await
    }

    /// Takes a granted role back.
    ///
    /// # Errors
    /// `role.not_found` if the account has no such grant.
    pub async fn role_revoke(&self, user_id: i64, name: RoleName) -> Result<Vec<Grant>> {
        self.write(move |t| {
            let sql = "DELETE FROM role_grants WHERE user_id = ?1 AND role = ?2";
            match t.execute(sql, (user_id, name.as_str()))? {
                0 => Err(Error::new(Code::RoleNotFound, format!("The role “{name}” is not granted to it."))
                    .hint("`user show NAME` shows what is.")),
                _ => grants(t, user_id),
            }
        })
        .await
    }

    /// The roles that an account is granted beside its own.
    pub async fn role_grants(&self, user_id: i64) -> Result<Vec<Grant>> {
        self.read(move |c| grants(c, user_id)).await
    }

    /// The account of that number, with its rights of this moment.
    pub async fn standing(&self, user_id: i64) -> Result<Option<Standing>> {
        self.read(move |c| by_id(c, user_id)?.map(|user| standing_of(c, user)).transpose()).await
    }

    /// When the next grant runs out.
    pub async fn next_expiry(&self) -> Result<Option<Time>> {
        self.read(|c| {
            let sql = "SELECT min(expires_at) FROM role_grants WHERE expires_at > ?1";
            let at: Option<i64> = c.prepare_cached(sql)?.query_row([Time::now().millis()], |r| r.get(0))?;
            Ok(at.map(Time::from_millis))
        })
        .await
    }
}
