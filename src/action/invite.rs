//! `invite`: invitations, by which people make themselves an account.

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::role::span;
use super::user::{command, shown};
use crate::error::{Code, Error, Result};
use crate::model::group::GroupName;
use crate::model::{Category, Invitation, Permission, RoleName, Time};
use crate::portal::{Action, Cx, auth};
use crate::store;

/// Invitations that there may be, and what one call makes of them.
const MOST: u32 = 10_000;
const AT_ONCE: u32 = 1000;

/// Credits from a flag.
fn credits(s: &str) -> Result<f64, String> {
    match s.parse::<f64>() {
        Ok(n) if (0.0..=1e9).contains(&n) => Ok(n),
        _ => Err(String::from("credits are a number from 0 to 1000000000")),
    }
}

/// Invite somebody: a line to paste that makes an account
///
///   invite new --role operator --expires 1d
///   invite new --group class7 --count 30 --csv > class7.csv
///   invite new --group class7 --uses 30     one line for all of them
///
/// The line is shown once. It works as long as you may give the role yourself.
#[derive(Debug, Args, Serialize)]
pub struct InviteNew {
    /// What the account may do: `role ls` shows what there is
    #[arg(long, default_value_t = RoleName::USER)]
    pub role: RoleName,
    /// What it begins with, if not what everybody does
    #[arg(long, value_parser = credits)]
    pub credits: Option<f64>,
    /// Until when it works: 12h, 7d
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "7d")]
    pub expires: u64,
    /// How many accounts one line makes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(AT_ONCE)))]
    pub uses: u32,
    /// The group that the account becomes a member of
    #[arg(long)]
    pub group: Option<GroupName>,
    /// So many lines
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(AT_ONCE)))]
    pub count: Option<u32>,
    /// As a table for a spreadsheet
    #[arg(long)]
    #[serde(skip)]
    pub csv: bool,
}

/// An invitation, and the token that nobody is shown again.
#[derive(Debug, Serialize)]
pub struct NewInvitation {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// Shown once.
    #[serde(serialize_with = "shown")]
    pub token: Zeroizing<String>,
    /// What to paste.
    #[serde(serialize_with = "shown")]
    pub command: Zeroizing<String>,
}

impl Action for InviteNew {
    const NAME: &'static str = "invite.new";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<NewInvitation>;

    async fn run(self, cx: &Cx) -> Result<Vec<NewInvitation>> {
        if !cx.portal.config().registration.by_invitation() {
            return Err(Error::new(Code::NoRegistration, "Invitations are switched off here."));
        }
        cx.portal.may_give(cx, &self.role).await?;
        let store = cx.portal.store();
        let group_id = match self.group {
            Some(group) => {
                cx.portal.may_fill(cx, &group).await?;
                Some(store.group_number(group).await?)
            }
            None => None,
        };
        let (tokens, tickets): (Vec<_>, Vec<_>) =
            (0..self.count.unwrap_or(1)).map(|_| auth::Ticket::make()).unzip();
        let draft = |ticket: auth::Ticket| store::NewInvitation {
            token_hash: ticket.hash(),
            role: self.role.clone(),
            group_id,
            credits: self.credits,
            uses: self.uses,
            created_by: cx.who.user_id(),
            expires_at: Time::now().plus_seconds(self.expires),
        };
        let made = store.invitations_insert(tickets.into_iter().map(draft).collect(), MOST).await?;
        let with_token = |(invitation, token): (Invitation, Zeroizing<String>)| NewInvitation {
            invitation,
            command: command(cx, "invite", &token),
            token,
        };
        Ok(made.into_iter().zip(tokens).map(with_token).collect())
    }
}

/// The invitations, and how many accounts they have made
#[derive(Debug, Args, Serialize)]
pub struct InviteLs {}

impl Action for InviteLs {
    const NAME: &'static str = "invite.ls";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Invitation>;

    async fn run(self, cx: &Cx) -> Result<Vec<Invitation>> {
        cx.portal.store().invitations().await
    }
}

/// Take an invitation back; accounts that it made stay
#[derive(Debug, Args, Serialize)]
pub struct InviteRm {
    /// Its number, as `invite ls` shows it
    pub id: i64,
}

impl Action for InviteRm {
    const NAME: &'static str = "invite.rm";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Invitation;

    async fn run(self, cx: &Cx) -> Result<Invitation> {
        let not_found = || Error::new(Code::InviteNotFound, format!("No invitation {}.", self.id));
        let found = cx.portal.store().invitation(self.id).await?.ok_or_else(not_found)?;
        // The role may be gone: then anybody may take the invitation back.
        match cx.portal.may_give(cx, &found.role).await {
            Err(e) if e.code != Code::RoleNotFound => return Err(e),
            _ => {}
        }
        match cx.portal.store().invitation_delete(self.id).await? {
            true => Ok(found),
            false => Err(not_found()),
        }
    }
}
