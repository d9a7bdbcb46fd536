//! Roles, and what an account may do by them at this moment.

use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::users::by_id;
use crate::error::Result;
use crate::model::{Policy, Rights, RoleName, Standing, Time, User};

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

/// An account with what it may do: by its own role, and by what it is granted beside.
pub(super) fn standing_of(c: &Connection, user: User) -> Result<Standing> {
    let (mut rights, mut policy) = role(c, &user.role)?;
    let sql = "SELECT role FROM role_grants WHERE user_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
    let granted: Vec<String> = c
        .prepare_cached(sql)?
        .query_map((user.id, Time::now().millis()), |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for name in granted {
        let (more, demanded) = role(c, &name.parse()?)?;
        rights.add(&more);
        policy = policy.and(demanded);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = ?1 AND confirmed_at IS NOT NULL)";
    let second_factor = c.prepare_cached(sql)?.query_row([user.id], |r| r.get(0))?;
    Ok(Standing { user, rights, policy, second_factor })
}

impl Store {
    /// The account of that number, with its rights of this moment.
    pub async fn standing(&self, user_id: i64) -> Result<Option<Standing>> {
        self.read(move |c| by_id(c, user_id)?.map(|user| standing_of(c, user)).transpose()).await
    }
}
