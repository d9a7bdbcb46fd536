//! Groups, their members, and the machines that are shared with them.

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{Store, is_duplicate, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::group::{Group, GroupName, Level, Member, Shared};
use crate::model::{Reach, Time};

/// Groups, and members of one of them.
const MOST_GROUPS: u32 = 1000;
const MOST_MEMBERS: u32 = 10_000;

/// Every group that account `?1` is in, by itself or by a group that is in another.
macro_rules! groups_of_1 {
    () => {
        "WITH RECURSIVE mine (id) AS (
             SELECT group_id FROM group_members WHERE user_id = ?1
             UNION SELECT m.group_id FROM group_members m JOIN mine ON m.subgroup = mine.id)"
    };
}

/// The machines that are shared with account `?1`, as a query of their numbers.
pub(super) const SHARED_WITH_1: &str =
    concat!(groups_of_1!(), " SELECT vm_id FROM vm_shares WHERE group_id IN mine");

impl Reach {
    /// The account, and whether what is shared with it counts: the values `?1` and
    /// `?2` of a query that asks `?1 IS NULL OR owner = ?1 OR (?2 AND …)`.
    pub(super) fn values(self) -> (Option<i64>, bool) {
        match self {
            Reach::All => (None, false),
            Reach::Own(id) => (Some(id), false),
            Reach::Shared(id) => (Some(id), true),
        }
    }
}

/// The groups that an account is in, by name.
pub(super) fn groups_of(c: &Connection, user_id: i64) -> Result<Vec<GroupName>> {
    let sql = concat!(groups_of_1!(), " SELECT name FROM groups WHERE id IN mine ORDER BY name");
    let names: Vec<String> =
        c.prepare_cached(sql)?.query_map([user_id], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    names.iter().map(|name| name.parse()).collect()
}

fn not_found(name: &GroupName) -> Error {
    Error::new(Code::GroupNotFound, format!("No group called “{name}”."))
}

/// The number of the group of that name.
///
/// # Errors
/// `group.not_found`
pub(super) fn group_id(c: &Connection, name: &GroupName) -> Result<i64> {
    let found =
        c.query_row("SELECT id FROM groups WHERE name = ?1", [name.as_str()], |r| r.get(0)).optional()?;
    found.ok_or_else(|| not_found(name))
}

fn members(c: &Connection, group_id: i64) -> Result<Vec<Member>> {
    let sql = "SELECT u.name, g.name FROM group_members m
        LEFT JOIN users u ON u.id = m.user_id LEFT JOIN groups g ON g.id = m.subgroup
        WHERE m.group_id = ?1 ORDER BY u.name IS NULL, u.name, g.name";
    let rows: Vec<(Option<String>, Option<String>)> = c
        .prepare_cached(sql)?
        .query_map([group_id], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let member = |(user, group): (Option<String>, Option<String>)| match (user, group) {
        (Some(user), _) => Ok(Member::User(user.parse()?)),
        (None, group) => Ok(Member::Group(group.unwrap_or_default().parse()?)),
    };
    rows.into_iter().map(member).collect()
}

fn shares(c: &Connection, of: &str, id: i64) -> Result<Vec<Shared>> {
    let sql = format!(
        "SELECT v.name || '.' || u.name, g.name, s.level, s.shared_at FROM vm_shares s
         JOIN vms v ON v.id = s.vm_id JOIN users u ON u.id = v.owner_id JOIN groups g ON g.id = s.group_id
         WHERE {of} = ?1 ORDER BY 1, 2"
    );
    let mut statement = c.prepare_cached(&sql)?;
    let rows = statement.query_map([id], |r| {
        let (group, level): (String, String) = (r.get(1)?, r.get(2)?);
        Ok(Shared {
            vm: r.get(0)?,
            group: group.parse().map_err(|_| unknown_word(1, &group))?,
            level: Level::parse(&level).ok_or_else(|| unknown_word(2, &level))?,
            shared_at: Time::from_millis(r.get(3)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn group(c: &Connection, name: &GroupName) -> Result<Group> {
    let id = group_id(c, name)?;
    let (note, created_at) = c.query_row("SELECT note, created_at FROM groups WHERE id = ?1", [id], |r| {
        Ok((r.get(0)?, r.get(1)?))
    })?;
    Ok(Group {
        id,
        name: name.clone(),
        note,
        members: members(c, id)?,
        vms: shares(c, "s.group_id", id)?,
        created_at: Time::from_millis(created_at),
    })
}

fn member_column(t: &Transaction<'_>, member: &Member) -> Result<(&'static str, i64)> {
    match member {
        Member::Group(name) => Ok(("subgroup", group_id(t, name)?)),
        Member::User(name) => {
            let sql = "SELECT id FROM users WHERE name = ?1";
            let id = t.query_row(sql, [name.as_str()], |r| r.get(0)).optional()?;
            let none = || Error::new(Code::UserNotFound, format!("No account called “{name}”."));
            Ok(("user_id", id.ok_or_else(none)?))
        }
    }
}

/// # Errors
/// `group.cycle` if `outer` is in `inner` already, however far down.
fn refuse_cycle(t: &Transaction<'_>, outer: (i64, &GroupName), inner: (i64, &Member)) -> Result<()> {
    let sql = "WITH RECURSIVE within (id) AS (
            SELECT ?1 UNION SELECT m.subgroup FROM group_members m JOIN within ON m.group_id = within.id
            WHERE m.subgroup IS NOT NULL)
        SELECT EXISTS (SELECT 1 FROM within WHERE id = ?2)";
    if t.query_row(sql, (inner.0, outer.0), |r| r.get(0))? {
        let message = format!("{} cannot be in @{}: that is in it already.", inner.1, outer.1);
        return Err(Error::new(Code::GroupCycle, message));
    }
    Ok(())
}

impl Store {
    /// The number of the group of that name.
    ///
    /// # Errors
    /// `group.not_found`
    pub async fn group_number(&self, name: GroupName) -> Result<i64> {
        self.read(move |c| group_id(c, &name)).await
    }

    /// Every group, by name.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        self.read(|c| {
            let names: Vec<String> = c
                .prepare_cached("SELECT name FROM groups ORDER BY name")?
                .query_map([], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            names.iter().map(|name| group(c, &name.parse()?)).collect()
        })
        .await
    }

    /// The group of that name.
    ///
    /// # Errors
    /// `group.not_found`
    pub async fn group(&self, name: GroupName) -> Result<Group> {
        self.read(move |c| group(c, &name)).await
    }

    /// Makes a group.
    ///
    /// # Errors
    /// `exists` if the name is taken, `quota` if there are too many.
    pub async fn group_insert(&self, name: GroupName, note: String) -> Result<Group> {
        self.write(move |t| {
            if t.query_row("SELECT count(*) FROM groups", [], |r| r.get::<_, u32>(0))? >= MOST_GROUPS {
                return Err(
                    Error::new(Code::Quota, format!("There are {MOST_GROUPS} groups already.")).hint("")
                );
            }
            let sql = "INSERT INTO groups (name, note, created_at) VALUES (?1, ?2, ?3)";
            t.execute(sql, (name.as_str(), note, Time::now().millis())).map_err(|e| {
                if is_duplicate(&e) {
                    Error::new(Code::Exists, format!("There is a group called “{name}” already."))
                } else {
                    e.into()
                }
            })?;
            group(t, &name)
        })
        .await
    }

    /// Removes a group; what was shared with it is not shared with it any more.
    ///
    /// # Errors
    /// `group.not_found`
    pub async fn group_delete(&self, name: GroupName) -> Result<()> {
        self.write(move |t| {
            t.execute("DELETE FROM groups WHERE id = ?1", [group_id(t, &name)?])?;
            Ok(())
        })
        .await
    }

    /// The highest level at which anything is shared with a group, or with one that it
    /// is in; none: nothing is.
    ///
    /// # Errors
    /// `group.not_found`
    pub async fn group_level(&self, name: GroupName) -> Result<Option<Level>> {
        self.read(move |c| {
            let sql = "WITH RECURSIVE around (id) AS (
                    SELECT ?1 UNION SELECT m.group_id FROM group_members m JOIN around ON m.subgroup = around.id)
                SELECT level FROM vm_shares WHERE group_id IN around";
            let levels: Vec<String> = c
                .prepare_cached(sql)?
                .query_map([group_id(c, &name)?], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(levels.iter().filter_map(|word| Level::parse(word)).max())
        })
        .await
    }

    /// Takes members in: all of them or none. Who is in it already stays.
    ///
    /// # Errors
    /// The not-found error of the group or of a member, `group.cycle`, `quota`.
    pub async fn group_add(&self, name: GroupName, added: Vec<Member>) -> Result<Group> {
        self.write(move |t| {
            let id = group_id(t, &name)?;
            for member in &added {
                let (column, inner) = member_column(t, member)?;
                if column == "subgroup" {
                    refuse_cycle(t, (id, &name), (inner, member))?;
                }
                let sql = format!(
                    "INSERT OR IGNORE INTO group_members (group_id, {column}, added_at) VALUES (?1, ?2, ?3)"
                );
                t.execute(&sql, (id, inner, Time::now().millis()))?;
            }
            let has = "SELECT count(*) FROM group_members WHERE group_id = ?1";
            if t.query_row(has, [id], |r| r.get::<_, u32>(0))? > MOST_MEMBERS {
                let message = format!("A group has at most {MOST_MEMBERS} members.");
                return Err(Error::new(Code::Quota, message).hint("Make groups of groups."));
            }
            group(t, &name)
        })
        .await
    }

    /// Lets members go: all of them or none.
    ///
    /// # Errors
    /// The not-found error of the group or of a member; `not_found` for who is not in it.
    pub async fn group_remove(&self, name: GroupName, gone: Vec<Member>) -> Result<Group> {
        self.write(move |t| {
            let id = group_id(t, &name)?;
            for member in &gone {
                let (column, inner) = member_column(t, member)?;
                let sql = format!("DELETE FROM group_members WHERE group_id = ?1 AND {column} = ?2");
                if t.execute(&sql, (id, inner))? == 0 {
                    return Err(Error::new(Code::NotFound, format!("{member} is not in @{name}."))
                        .hint(format!("`group show {name}` shows who is.")));
                }
            }
            group(t, &name)
        })
        .await
    }

    /// Shares a machine with a group, or at another level. With `by`, that account
    /// has to be in the group.
    ///
    /// # Errors
    /// `group.not_found`, also for a group that `by` is not in.
    pub async fn share(
        &self,
        vm_id: i64,
        name: GroupName,
        level: Level,
        by: Option<i64>,
    ) -> Result<Vec<Shared>> {
        self.write(move |t| {
            let id = group_id(t, &name)?;
            if let Some(user) = by
                && !groups_of(t, user)?.contains(&name)
            {
                return Err(not_found(&name));
            }
            let sql = "INSERT INTO vm_shares (vm_id, group_id, level, shared_at) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (vm_id, group_id) DO UPDATE SET level = excluded.level";
            t.execute(sql, (vm_id, id, level.as_str(), Time::now().millis()))?;
            shares(t, "s.vm_id", vm_id)
        })
        .await
    }

    /// Does not share it with that group any more.
    ///
    /// # Errors
    /// `group.not_found` if it was not.
    pub async fn unshare(&self, vm_id: i64, name: GroupName) -> Result<Vec<Shared>> {
        self.write(move |t| {
            let sql = "DELETE FROM vm_shares WHERE vm_id = ?1
                AND group_id = (SELECT id FROM groups WHERE name = ?2)";
            match t.execute(sql, (vm_id, name.as_str()))? {
                0 => Err(Error::new(Code::GroupNotFound, format!("It is not shared with “{name}”."))
                    .hint("`vm shares NAME` shows with whom it is.")),
                _ => shares(t, "s.vm_id", vm_id),
            }
        })
        .await
    }

    /// With whom a machine is shared.
    pub async fn shares_of(&self, vm_id: i64) -> Result<Vec<Shared>> {
        self.read(move |c| shares(c, "s.vm_id", vm_id)).await
    }

    /// What an account may do with a machine that is shared with it; none: it is not.
    pub async fn share_level(&self, user_id: i64, vm_id: i64) -> Result<Option<Level>> {
        self.read(move |c| {
            let sql =
                concat!(groups_of_1!(), " SELECT level FROM vm_shares WHERE group_id IN mine AND vm_id = ?2");
            let levels: Vec<String> = c
                .prepare_cached(sql)?
                .query_map((user_id, vm_id), |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(levels.iter().filter_map(|word| Level::parse(word)).max())
        })
        .await
    }
}
