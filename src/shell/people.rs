//! The verbs of `user` and `invite`, and what they answer.

use std::fmt::Write;

use super::grammar::{InviteVerb, UserVerb};
use super::render::{ago, sheet};
use super::{Flow, Render, Shell, ask, table};
use crate::action::invite::{InviteNew, NewInvitation};
use crate::action::user::{Reset, UserNew, UserRm, UserShow};
use crate::action::user_import::{Imported, UserImport};
use crate::error::{Code, Error, Result};
use crate::model::time::span;
use crate::model::{Invitation, InvitationState, Person, Time};

impl Shell<'_> {
    pub(super) async fn user(&mut self, verb: UserVerb) -> Result<Flow> {
        match verb {
            UserVerb::New(mut a) => {
                if a.key.as_deref() == Some("-") {
                    a = UserNew { key: Some(self.standard_input().await?), ..a };
                }
                self.give(a).await
            }
            UserVerb::Import(a) => {
                let list = self.standard_input_bytes().await?;
                let dry_run = a.dry_run;
                let imported = self.perform(UserImport { list, ..a }).await?;
                if dry_run && !self.json {
                    return self.say(format!("The list is good: {} accounts.\n", imported.len())).await;
                }
                self.answer(&imported).await
            }
            UserVerb::Ls(a) => self.give(a).await,
            UserVerb::Show(a) => self.give(a).await,
            UserVerb::Set(a) => self.give(a).await,
            UserVerb::Disable(a) => self.give(a).await,
            UserVerb::Enable(a) => self.give(a).await,
            UserVerb::PasswdReset(a) => self.give(a).await,
            UserVerb::Reset2fa(a) => {
                let done = format!("{} has no second factor any more.", a.name);
                self.perform(a).await?;
                self.done(&done).await
            }
            UserVerb::Rm(a) => self.user_rm(a).await,
        }
    }

    async fn user_rm(&mut self, action: UserRm) -> Result<Flow> {
        if !action.yes {
            // Who is not there need not be confirmed.
            let person = self.perform(UserShow { name: action.name.clone() }).await?;
            let question =
                format!("Remove the account {}, with its keys ({})?", person.user.name, person.keys);
            if self.input_is_commands || !ask::confirm(self.stdio, &question).await? {
                return Err(Error::new(Code::Cancelled, "The account stays."));
            }
        }
        let user = self.perform(action).await?;
        if self.json {
            self.document(&user).await
        } else {
            self.say(format!("{} is gone.\n", user.name)).await
        }
    }

    pub(super) async fn invite(&mut self, verb: InviteVerb) -> Result<Flow> {
        match verb {
            InviteVerb::New(a) => self.invite_new(a).await,
            InviteVerb::Ls(a) => self.give(a).await,
            InviteVerb::Rm(a) => {
                let gone = self.perform(a).await?;
                match self.json {
                    true => self.document(&gone).await,
                    false => self.say(format!("Invitation {} is taken back.\n", gone.id)).await,
                }
            }
        }
    }

    async fn invite_new(&mut self, action: InviteNew) -> Result<Flow> {
        let (as_csv, one) = (action.csv && !self.json, action.count.is_none());
        let made = self.perform(action).await?;
        match made.as_slice() {
            _ if as_csv => self.say(csv_of_invitations(&made)?).await,
            [one_alone] if one && self.json => self.document(one_alone).await,
            _ => self.answer(&made).await,
        }
    }
}

/// Records as CSV. What begins as a formula would run in a spreadsheet: names, roles
/// and groups are labels, and tokens begin with a letter or a digit.
fn csv(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head).map_err(Error::internal)?;
    for row in rows {
        writer.write_record(row).map_err(Error::internal)?;
    }
    let bytes = writer.into_inner().map_err(Error::internal)?;
    String::from_utf8(bytes).map_err(Error::internal)
}

fn csv_of_invitations(all: &[NewInvitation]) -> Result<String> {
    let row = |new: &NewInvitation| {
        let i = &new.invitation;
        let group = i.group.clone().unwrap_or_default();
        vec![i.id.to_string(), new.command.to_string(), i.role.to_string(), group, i.expires_at.to_string()]
    };
    csv(&["id", "command", "role", "group", "expires_at"], all.iter().map(row))
}

impl Render for Vec<NewInvitation> {
    fn text(&self) -> String {
        let Some(first) = self.first().map(|new| &new.invitation) else { return String::new() };
        let many = match first.uses {
            1 => String::from("one account"),
            n => format!("{n} accounts"),
        };
        let mut out = format!(
            "To paste, with this portal's address for PORTAL. Shown once; each line makes {many} ({}) until {}.\n\n",
            first.role, first.expires_at
        );
        for new in self {
            let _ = writeln!(out, "    {}", new.command.as_str());
        }
        out
    }
}

impl Render for Vec<Invitation> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No invitations. `invite new` makes one.\n");
        }
        let row = |i: &Invitation| {
            let now = Time::now();
            let until = match i.state {
                InvitationState::Open => format!("in {}", span(i.expires_at.seconds_since(now))),
                InvitationState::Used | InvitationState::Expired | InvitationState::Void => String::from("-"),
            };
            vec![
                i.id.to_string(),
                i.state.to_string(),
                i.role.to_string(),
                i.group.clone().unwrap_or_else(|| String::from("-")),
                format!("{} of {}", i.used, i.uses),
                until,
                i.created_by.clone(),
                ago(i.created_at),
            ]
        };
        let head = ["ID", "STATE", "ROLE", "GROUP", "USED", "ENDS", "BY", "MADE"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

/// What is brought as a table goes back as one.
impl Render for Vec<Imported> {
    fn text(&self) -> String {
        let row = |i: &Imported| {
            let group = i.group.as_ref().map(ToString::to_string).unwrap_or_default();
            let password = i.one_time_password.as_ref().map(|p| p.to_string()).unwrap_or_default();
            vec![i.name.clone(), i.role.to_string(), group, password]
        };
        csv(&["name", "role", "group", "one_time_password"], self.iter().map(row)).unwrap_or_default()
    }
}

impl Render for Person {
    fn text(&self) -> String {
        let words = |all: Vec<String>| all.join(" ");
        let password = match (self.has_password, self.password_login) {
            (false, _) => "none",
            (true, true) => "yes",
            (true, false) => "yes, but may not sign in with it",
        };
        let mut out = self.user.text();
        out.push_str(&sheet(&[
            ("password", password.to_owned()),
            ("keys", self.keys.to_string()),
            ("VMs", self.vms.to_string()),
            ("sessions", self.sessions.to_string()),
            ("groups", words(self.groups.iter().map(ToString::to_string).collect())),
            ("granted", words(self.granted.iter().map(ToString::to_string).collect())),
        ]));
        out
    }
}

impl Render for Reset {
    fn text(&self) -> String {
        format!(
            "For {}, to paste, with this portal's address for PORTAL. Shown once; it works once, until {}.\n\n    {}\n",
            self.name,
            self.expires_at,
            self.command.as_str()
        )
    }
}
