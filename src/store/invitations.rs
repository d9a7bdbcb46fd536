//! Invitations, and the tokens by which somebody chooses another password. What a
//! token is worth is decided in the transaction that makes use of it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::people::{NewMember, insert_member};
use super::roles::{rights_of, standing_of};
use super::users::{USER, by_id, user};
use super::{NewUser, Store, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::{Event, EventDraft, Invitation, InvitationState, Permission, RoleName, Scope, Time, User};

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

const INVITATION: &str =
    "SELECT i.id, i.role, g.name, i.credits, i.uses, i.used, u.name, i.created_at, i.expires_at,
    i.created_by, i.group_id
    FROM invitations i JOIN users u ON u.id = i.created_by LEFT JOIN groups g ON g.id = i.group_id";

/// How long an invitation that has expired is still shown, milliseconds.
const SHOWN_AFTER: i64 = 30 * 86_400_000;

/// An invitation to be written down.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Of its token.
    pub token_hash: TokenHash,
    /// What the accounts may do.
    pub role: RoleName,
    /// The group that they become members of.
    pub group_id: Option<i64>,
    /// What they begin with.
    pub credits: Option<f64>,
    /// How many accounts it makes.
    pub uses: u32,
    /// Who invites.
    pub created_by: i64,
    /// Until when.
    pub expires_at: Time,
}

/// A token for another password, to be written down.
#[derive(Debug, Clone)]
pub struct NewReset {
    /// Whose password.
    pub user_id: i64,
    /// Of its token.
    pub token_hash: TokenHash,
    /// Who gives it.
    pub created_by: i64,
    /// Until when.
    pub expires_at: Time,
}

/// What a row tells beside what people see.
struct Found {
    invitation: Invitation,
    created_by: i64,
    group_id: Option<i64>,
}

fn found(r: &Row<'_>) -> rusqlite::Result<Found> {
    let role: String = r.get(1)?;
    let invitation = Invitation {
        id: r.get(0)?,
        state: InvitationState::Open,
        role: role.parse().map_err(|_| unknown_word(1, &role))?,
        group: r.get(2)?,
        credits: r.get(3)?,
        uses: r.get(4)?,
        used: r.get(5)?,
        created_by: r.get(6)?,
        created_at: Time::from_millis(r.get(7)?),
        expires_at: Time::from_millis(r.get(8)?),
    };
    Ok(Found { invitation, created_by: r.get(9)?, group_id: r.get(10)? })
}

/// Whether it still makes accounts. It is worth what its maker may do at this moment.
fn state(c: &Connection, f: &Found) -> Result<InvitationState> {
    let i = &f.invitation;
    if i.used >= i.uses {
        return Ok(InvitationState::Used);
    }
    if i.expires_at <= Time::now() {
        return Ok(InvitationState::Expired);
    }
    let maker = by_id(c, f.created_by)?.filter(|u| u.enabled);
    let Some(maker) = maker.map(|u| standing_of(c, u)).transpose()? else { return Ok(InvitationState::Void) };
    let may = maker.rights.scope(Permission::UserWrite) == Scope::All;
    let covered = rights_of(c, &i.role)?.is_some_and(|role| maker.rights.cover(&role));
    Ok(if may && covered { InvitationState::Open } else { InvitationState::Void })
}

fn with_state(c: &Connection, mut f: Found) -> Result<Found> {
    f.invitation.state = state(c, &f)?;
    Ok(f)
}

/// The invitation of that token, if it still makes accounts.
fn open(c: &Connection, token: &TokenHash) -> Result<Option<Found>> {
    let sql = format!("{INVITATION} WHERE i.token_hash = ?1");
    let row = c.prepare_cached(&sql)?.query_row([token], found).optional()?;
    let row = row.map(|f| with_state(c, f)).transpose()?;
    Ok(row.filter(|f| f.invitation.state == InvitationState::Open))
}

/// Whose password that token is for, if it still is and whoever gave it may still
/// change that account.
fn resettable(c: &Connection, token: &TokenHash) -> Result<Option<User>> {
    let sql = "SELECT user_id, created_by FROM password_resets WHERE token_hash = ?1 AND expires_at > ?2";
    let row = c
        .prepare_cached(sql)?
        .query_row((token, Time::now().millis()), |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?)))
        .optional()?;
    let Some((user_id, giver)) = row else { return Ok(None) };
    let enabled = |id| by_id(c, id).map(|u| u.filter(|u| u.enabled));
    let (Some(user), Some(giver)) = (enabled(user_id)?, enabled(giver)?) else { return Ok(None) };
    let (of_user, of_giver) = (standing_of(c, user)?, standing_of(c, giver)?);
    let may = of_giver.rights.scope(Permission::UserWrite) == Scope::All;
    Ok((may && of_giver.rights.cover(&of_user.rights)).then_some(of_user.user))
}

fn worthless(what: &str) -> Error {
    Error::new(Code::BadToken, format!("This {what} cannot be used any more."))
}

impl Store {
    /// Writes invitations down.
    ///
    /// # Errors
    /// `quota` if there would be more than `most`.
    pub async fn invitations_insert(&self, all: Vec<NewInvitation>, most: u32) -> Result<Vec<Invitation>> {
        self.write(move |t| {
            let now = Time::now();
            let forget = "DELETE FROM invitations WHERE expires_at < ?1";
            t.execute(forget, [now.millis() - SHOWN_AFTER])?;
            let insert = "INSERT INTO invitations
                (token_hash, role, group_id, credits, uses, created_by, created_at, expires_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let one = format!("{INVITATION} WHERE i.id = ?1");
            let mut made = Vec::with_capacity(all.len());
            for i in all {
                let (role, until) = (i.role.as_str(), i.expires_at.millis());
                let values =
                    (i.token_hash, role, i.group_id, i.credits, i.uses, i.created_by, now.millis(), until);
                t.prepare_cached(insert)?.execute(values)?;
                let row = t.prepare_cached(&one)?.query_row([t.last_insert_rowid()], found)?;
                made.push(with_state(t, row)?.invitation);
            }
            let count: u32 = t.query_row("SELECT count(*) FROM invitations", [], |r| r.get(0))?;
            if count > most {
                return Err(Error::new(Code::Quota, format!("There are at most {most} invitations."))
                    .hint("`invite rm ID` removes one."));
            }
            Ok(made)
        })
        .await
    }

    /// Every invitation, the newest first.
    pub async fn invitations(&self) -> Result<Vec<Invitation>> {
        self.read(|c| {
            let sql = format!("{INVITATION} ORDER BY i.id DESC");
            let rows = c.prepare_cached(&sql)?.query_map([], found)?.collect::<rusqlite::Result<Vec<_>>>()?;
            rows.into_iter().map(|f| Ok(with_state(c, f)?.invitation)).collect()
        })
        .await
    }

    /// The invitation of that number.
    pub async fn invitation(&self, id: i64) -> Result<Option<Invitation>> {
        self.read(move |c| {
            let sql = format!("{INVITATION} WHERE i.id = ?1");
            let row = c.prepare_cached(&sql)?.query_row([id], found).optional()?;
            Ok(row.map(|f| with_state(c, f)).transpose()?.map(|f| f.invitation))
        })
        .await
    }

    /// Removes an invitation; true if it was there.
    pub async fn invitation_delete(&self, id: i64) -> Result<bool> {
        self.write(move |t| Ok(t.execute("DELETE FROM invitations WHERE id = ?1", [id])? == 1)).await
    }

    /// The invitation of that token, if it still makes accounts.
    pub async fn open_invitation(&self, token: TokenHash) -> Result<Option<Invitation>> {
        self.read(move |c| Ok(open(c, &token)?.map(|f| f.invitation))).await
    }

    /// Makes the account of somebody who was invited, counts that, and writes it
    /// down: all of it or nothing. The role is the invitation's.
    ///
    /// # Errors
    /// `token.invalid`, `exists`
    pub async fn join(
        &self,
        token: TokenHash,
        new: NewUser,
        event: impl FnOnce(&User) -> EventDraft + Send + 'static,
    ) -> Result<(User, Event)> {
        self.write(move |t| {
            let Some(Found { invitation, group_id, .. }) = open(t, &token)? else {
                return Err(worthless("invitation"));
            };
            let user = NewUser { role: invitation.role, ..new };
            let made = insert_member(t, &NewMember { user, group_id, credits: invitation.credits })?;
            t.execute("UPDATE invitations SET used = used + 1 WHERE id = ?1", [invitation.id])?;
            let event = super::events::insert(t, &event(&made), None)?;
            Ok((made, event))
        })
        .await
    }

    /// Makes the account of somebody who came by himself, and writes it down.
    ///
    /// # Errors
    /// `exists`
    pub async fn register(
        &self,
        new: NewUser,
        event: impl FnOnce(&User) -> EventDraft + Send + 'static,
    ) -> Result<(User, Event)> {
        self.write(move |t| {
            let made = insert_member(t, &NewMember { user: new, group_id: None, credits: None })?;
            let event = super::events::insert(t, &event(&made), None)?;
            Ok((made, event))
        })
        .await
    }

    /// Keeps a token for another password, in the place of one from before.
    pub async fn reset_insert(&self, new: NewReset) -> Result<()> {
        self.write(move |t| {
            let sql = "INSERT INTO password_resets (user_id, token_hash, created_by, expires_at)
                VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash,
                    created_by = excluded.created_by, expires_at = excluded.expires_at";
            t.execute(sql, (new.user_id, new.token_hash, new.created_by, new.expires_at.millis()))?;
            Ok(())
        })
        .await
    }

    /// Whose password that token is for, if it still is.
    pub async fn resettable(&self, token: TokenHash) -> Result<Option<User>> {
        self.read(move |c| resettable(c, &token)).await
    }

    /// Takes the token for the password, and writes that down: all of it or nothing.
    ///
    /// # Errors
    /// `token.invalid`
    pub async fn reset_password(
        &self,
        token: TokenHash,
        password_hash: String,
        event: impl FnOnce(&User) -> EventDraft + Send + 'static,
    ) -> Result<(User, Event)> {
        self.write(move |t: &Transaction<'_>| {
            let of = resettable(t, &token)?.ok_or_else(|| worthless("token"))?;
            t.execute("DELETE FROM password_resets WHERE user_id = ?1", [of.id])?;
            let sql = format!(
                "UPDATE users SET password_hash = ?2, must_change_password = 0 WHERE id = ?1 RETURNING {USER}"
            );
            let changed = t.query_row(&sql, (of.id, password_hash), user)?;
            let event = super::events::insert(t, &event(&changed), None)?;
            Ok((changed, event))
        })
        .await
    }
}
