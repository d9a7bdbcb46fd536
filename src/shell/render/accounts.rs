//! The same for accounts and what belongs to them: keys, roles, groups, connections, bans.

use std::fmt::Write;

use super::{Render, ago, sheet, table};
use crate::action::account::Me;
use crate::action::user::NewAccount;
use crate::model::group::{Group, Shared};
use crate::model::text::{bytes, clean, short};
use crate::model::time::span;
use crate::model::{
    Authorities, Authority, Ban, Grant, Permission, Revocation, Role, Scope, SessionInfo, SshKey, User,
};

impl Render for Vec<SessionInfo> {
    fn text(&self) -> String {
        let row = |s: &SessionInfo| {
            vec![
                s.id.clone(),
                s.user.clone(),
                s.source_ip.clone(),
                s.method.clone(),
                s.route.clone(),
                ago(s.signed_in_at),
                span(s.idle_s),
                format!("{} in, {} out", bytes(s.bytes_in), bytes(s.bytes_out)),
                s.vms.join(" "),
                if s.current { String::from("this one") } else { String::new() },
            ]
        };
        let head = ["ID", "USER", "FROM", "BY", "TO", "SINCE", "IDLE", "BYTES", "IN", ""];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for SessionInfo {
    fn text(&self) -> String {
        sheet(&[
            ("session", format!("{}{}", self.id, if self.current { " (this one)" } else { "" })),
            ("user", self.user.clone()),
            ("from", self.source_ip.clone()),
            ("by", self.method.clone()),
            ("to", self.route.clone()),
            ("in", self.vms.join(", ")),
            ("since", format!("{} ({})", self.signed_in_at, ago(self.signed_in_at))),
            ("ends", self.ends_at.map(|at| at.to_string()).unwrap_or_default()),
            ("idle", span(self.idle_s)),
            ("bytes", format!("{} in, {} out", bytes(self.bytes_in), bytes(self.bytes_out))),
        ])
    }
}

impl Render for Vec<Ban> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("Nobody is banned.\n");
        }
        let row = |b: &Ban| {
            vec![
                b.network.to_string(),
                ago(b.since),
                b.until.map_or_else(|| String::from("forever"), |until| until.to_string()),
                if b.strikes > 0 { b.strikes.to_string() } else { String::new() },
                b.by.clone().unwrap_or_else(|| String::from("the guard")),
                short(&b.note, 60),
            ]
        };
        let head = ["ADDRESSES", "SINCE", "UNTIL", "TIMES", "BY", "WHY"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Ban {
    fn text(&self) -> String {
        sheet(&[
            ("addresses", self.network.to_string()),
            ("since", self.since.to_string()),
            ("until", self.until.map_or_else(|| String::from("forever"), |until| until.to_string())),
            ("by", self.by.clone().unwrap_or_else(|| String::from("the guard"))),
            ("why", self.note.clone()),
        ])
    }
}

impl Render for Vec<SshKey> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from(
                "No keys yet. `cat ~/.ssh/id_ed25519.pub | ssh PORTAL key add -` adds one.\n",
            );
        }
        let row = |k: &SshKey| {
            vec![
                k.id.to_string(),
                k.algorithm.clone(),
                k.fingerprint.clone(),
                k.last_used_at.map_or_else(|| String::from("never"), ago),
                k.last_used_from.clone().unwrap_or_else(|| String::from("-")),
                k.note.clone(),
                k.limits.words(),
            ]
        };
        let head = ["ID", "ALGORITHM", "FINGERPRINT", "USED", "FROM", "NOTE", "LIMITS"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for SshKey {
    fn text(&self) -> String {
        let mut out = format!("{} {} {}", self.algorithm, self.fingerprint, clean(&self.note));
        let limits = self.limits.words();
        if !limits.is_empty() {
            let _ = write!(out, " ({})", clean(&limits));
        }
        format!("{}\n", out.trim_end()).replace("  ", " ")
    }
}

impl Render for Authorities {
    fn text(&self) -> String {
        if self.authorities.is_empty() {
            return String::from("No authority is trusted. `ca add - --name office < ca.pub` trusts one.\n");
        }
        let row = |a: &Authority| {
            vec![
                a.id.to_string(),
                a.name.clone(),
                a.algorithm.clone(),
                a.fingerprint.clone(),
                a.last_used_at.map_or_else(|| String::from("never"), ago),
                format!("{} by {}", ago(a.added_at), a.added_by),
            ]
        };
        let head = ["ID", "NAME", "ALGORITHM", "FINGERPRINT", "USED", "ADDED"];
        let mut out = table(&head, &self.authorities.iter().map(row).collect::<Vec<_>>());
        if !self.revoked.is_empty() {
            let row = |r: &Revocation| {
                vec![
                    r.certificate.clone(),
                    r.authority.clone(),
                    format!("{} by {}", ago(r.revoked_at), r.revoked_by),
                ]
            };
            let rows: Vec<_> = self.revoked.iter().map(row).collect();
            let _ = write!(out, "\n{}", table(&["REVOKED", "OF", "WHEN"], &rows));
        }
        out
    }
}

impl Render for Authority {
    fn text(&self) -> String {
        format!("{} {} {}\n", self.algorithm, self.fingerprint, clean(&self.name))
    }
}

impl Render for Revocation {
    fn text(&self) -> String {
        format!("{} of {}\n", clean(&self.certificate), clean(&self.authority))
    }
}

impl Render for Vec<User> {
    fn text(&self) -> String {
        let row = |u: &User| {
            vec![
                u.name.clone(),
                u.role.to_string(),
                if u.enabled { "enabled".into() } else { "disabled".into() },
                u.last_login_at.map_or_else(|| String::from("never"), ago),
            ]
        };
        table(&["NAME", "ROLE", "STATE", "LAST LOGIN"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for User {
    fn text(&self) -> String {
        let login = match (self.enabled, self.must_change_password) {
            (false, _) => "disabled",
            (true, true) => "has yet to choose a password",
            (true, false) => "enabled",
        };
        sheet(&[
            ("name", self.name.clone()),
            ("role", self.role.to_string()),
            ("login", login.to_owned()),
            ("made", format!("{} ({})", self.created_at, ago(self.created_at))),
            (
                "last login",
                self.last_login_at.map_or_else(|| String::from("never"), |t| format!("{t} ({})", ago(t))),
            ),
        ])
    }
}

impl Render for Vec<Role> {
    fn text(&self) -> String {
        let row = |r: &Role| {
            let reaching = |wanted: Scope| {
                let those = r.permissions.iter().filter(|(_, scope)| *scope == wanted);
                those.map(|(permission, _)| permission.as_str()).collect::<Vec<_>>().join(" ")
            };
            let what = match r.permissions.iter().count() == Permission::ALL.len() {
                true => String::from("everything"),
                false => [("all: ", reaching(Scope::All)), ("own: ", reaching(Scope::Own))]
                    .into_iter()
                    .filter(|(_, words)| !words.is_empty())
                    .map(|(reach, words)| format!("{reach}{words}"))
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            vec![r.name.to_string(), r.users.to_string(), r.policy.to_string(), what]
        };
        table(&["ROLE", "USERS", "DEMANDS", "PERMISSIONS"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Role {
    fn text(&self) -> String {
        let mut out = sheet(&[
            ("name", self.name.to_string()),
            ("built in", if self.built_in { "yes" } else { "no" }.to_owned()),
            ("accounts", self.users.to_string()),
            ("demands", self.policy.to_string()),
        ]);
        let rows: Vec<_> =
            self.permissions.iter().map(|(p, scope)| vec![p.to_string(), scope.to_string()]).collect();
        out.push('\n');
        out.push_str(&table(&["PERMISSION", "REACHES"], &rows));
        out
    }
}

impl Render for Vec<Grant> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No roles are granted beside its own.\n");
        }
        let row = |g: &Grant| {
            let until = g.expires_at.map_or_else(|| String::from("it is taken back"), |t| t.to_string());
            vec![g.role.to_string(), until, g.granted_by.clone(), g.granted_at.to_string()]
        };
        table(&["ROLE", "UNTIL", "BY", "SINCE"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Vec<Group> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No groups yet. `group new NAME` makes one.\n");
        }
        let row = |g: &Group| {
            vec![g.name.to_string(), g.members.len().to_string(), g.vms.len().to_string(), g.note.clone()]
        };
        table(&["GROUP", "MEMBERS", "VMS", "NOTE"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Group {
    fn text(&self) -> String {
        let mut out = sheet(&[
            ("name", self.name.to_string()),
            ("note", self.note.clone()),
            ("members", self.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            ("made", format!("{} ({})", self.created_at, ago(self.created_at))),
        ]);
        if !self.vms.is_empty() {
            out.push('\n');
            out.push_str(&self.vms.text());
        }
        out
    }
}

impl Render for Vec<Shared> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("It is shared with nobody.\n");
        }
        let row = |s: &Shared| vec![s.vm.clone(), s.group.to_string(), s.level.to_string()];
        table(&["VM", "GROUP", "LEVEL"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for NewAccount {
    fn text(&self) -> String {
        let name = &self.user.name;
        match &self.one_time_password {
            Some(p) => format!(
                "{name} may sign in with this password, once; it must be changed then:\n\n    {}\n",
                p.as_str()
            ),
            None => format!("{name} may sign in with that key.\n"),
        }
    }
}

impl Render for Me {
    fn text(&self) -> String {
        let mut out = self.user.text();
        out.push_str(&sheet(&[
            ("from", self.source_ip.clone()),
            ("session", format!("{} (since {})", self.session, self.since)),
            ("2nd factor", String::from(if self.second_factor { "on" } else { "none" })),
            ("keys", self.keys.to_string()),
            ("VMs", self.vms.to_string()),
            ("groups", self.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            ("granted", self.grants.iter().map(|g| g.role.to_string()).collect::<Vec<_>>().join(" ")),
        ]));
        out
    }
}
