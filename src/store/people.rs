//! Accounts changed and removed by those who run the place, and made many at once.

use rusqlite::{OptionalExtension, Transaction};

use super::groups::groups_of;
use super::roles::{grants, must_exist};
use super::users::{USER, by_id, insert_user, keep_an_admin, user};
use super::{NewUser, Store};
use crate::error::{Code, Error, Result};
use crate::model::{Person, RoleName, Time, User, text};

/// VMs that an error names.
const NAMED: usize = 5;

/// An account to be made, with what comes with it.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// The account.
    pub user: NewUser,
    /// The group that it becomes a member of.
    pub group_id: Option<i64>,
    /// What it begins with, if not what everybody does.
    pub credits: Option<f64>,
}

/// What is to be another way with an account.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Its role.
    pub role: Option<RoleName>,
    /// Whether it may sign in.
    pub enabled: Option<bool>,
    /// Whether it may do so with a password.
    pub password_login: Option<bool>,
    /// Whether it must choose a password first.
    pub must_change: Option<bool>,
}

fn gone() -> Error {
    Error::new(Code::UserNotFound, "That account is gone.")
}

/// Makes an account, with its membership.
pub(super) fn insert_member(t: &Transaction<'_>, new: &NewMember) -> Result<User> {
    let made = insert_user(t, &new.user)?;
    if new.credits.is_some() {
        t.execute("UPDATE users SET starting_credits = ?2 WHERE id = ?1", (made.id, new.credits))?;
    }
    if let Some(group) = new.group_id {
        let sql = "INSERT INTO group_members (group_id, user_id, added_at)
            SELECT id, ?2, ?3 FROM groups WHERE id = ?1";
        if t.execute(sql, (group, made.id, Time::now().millis()))? == 0 {
            return Err(Error::new(Code::GroupNotFound, "The group is gone."));
        }
    }
    Ok(made)
}

impl Store {
    /// Makes accounts: all of them or none.
    ///
    /// # Errors
    /// `exists` if a name is taken, `group.not_found` if a group is gone.
    pub async fn members_insert(&self, all: Vec<NewMember>) -> Result<Vec<User>> {
        self.write(move |t| all.iter().map(|new| insert_member(t, new)).collect()).await
    }

    /// Changes an account. `passwords`: whether they are taken.
    ///
    /// # Errors
    /// `role.not_found`; `account.last_admin` if no administrator could sign in then.
    pub async fn user_change(&self, id: i64, change: UserChange, passwords: bool) -> Result<User> {
        self.write(move |t| {
            change.role.iter().try_for_each(|role| must_exist(t, role))?;
            keep_an_admin(t, passwords, |t| {
                let sql = format!(
                    "UPDATE users SET role = coalesce(?2, role), enabled = coalesce(?3, enabled),
                        password_login = coalesce(?4, password_login),
                        must_change_password = coalesce(?5, must_change_password)
                     WHERE id = ?1 RETURNING {USER}"
                );
                let UserChange { role, enabled, password_login, must_change } = &change;
                let values = (id, role.as_ref().map(RoleName::as_str), enabled, password_login, must_change);
                t.query_row(&sql, values, user).optional()?.ok_or_else(gone)
            })
        })
        .await
    }

    /// Removes an account that has no VMs.
    ///
    /// # Errors
    /// `user.has_vms`; `account.last_admin` if no administrator could sign in then.
    pub async fn user_delete(&self, id: i64, passwords: bool) -> Result<()> {
        self.write(move |t| {
            let sql = "SELECT name FROM vms WHERE owner_id = ?1 ORDER BY name";
            let vms: Vec<String> =
                t.prepare_cached(sql)?.query_map([id], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
            if !vms.is_empty() {
                let owner = by_id(t, id)?.ok_or_else(gone)?.name;
                let named: Vec<_> = vms.iter().take(NAMED).map(|vm| format!("{vm}.{owner}")).collect();
                let more = if vms.len() > NAMED { ", …" } else { "" };
                let message = format!("“{owner}” has VMs ({}): {}{more}.", vms.len(), named.join(", "));
                return Err(Error::new(Code::HasVms, message)
                    .hint(format!("`vm destroy {}` removes them.", text::short(&named.join(" "), 200))));
            }
            keep_an_admin(t, passwords, |t| match t.execute("DELETE FROM users WHERE id = ?1", [id])? {
                0 => Err(gone()),
                _ => Ok(()),
            })
        })
        .await
    }

    /// An account with all that belongs to it; its connections are not known here.
    pub async fn person(&self, id: i64) -> Result<Option<Person>> {
        self.read(move |c| {
            let Some(user) = by_id(c, id)? else { return Ok(None) };
            let sql = "SELECT password_hash IS NOT NULL, password_login,
                    (SELECT count(*) FROM ssh_keys WHERE user_id = ?1), (SELECT count(*) FROM vms WHERE owner_id = ?1)
                FROM users WHERE id = ?1";
            let (has_password, password_login, keys, vms) = c
                .prepare_cached(sql)?
                .query_row([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
            let granted = grants(c, id)?.into_iter().map(|g| g.role).collect();
            Ok(Some(Person {
                user,
                has_password,
                password_login,
                keys,
                vms,
                sessions: 0,
                groups: groups_of(c, id)?,
                granted,
            }))
        })
        .await
    }
}
