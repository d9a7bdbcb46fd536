//! Accounts: who may change whose, how they are made many at once and by
//! invitation, and that an administrator is always left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::net::IpAddr;
use std::sync::Arc;

use common::{PASSWORD, TestPortal, mock, mock_with, until};
use twarga::action::account::{AccountPasswd, Whoami};
use twarga::action::event::EventLs;
use twarga::action::group::GroupNew;
use twarga::action::invite::{InviteLs, InviteNew, InviteRm, NewInvitation};
use twarga::action::key::{KeyAdd, KeyLs, KeyRm};
use twarga::action::role::{RoleChange, RoleGrant, RoleNew, RoleRevoke, RoleSet};
use twarga::action::user::*;
use twarga::action::user_import::{Imported, UserImport};
use twarga::error::{Code, Result};
use twarga::model::name::UserName;
use twarga::model::{InvitationState, RoleName, User};
use twarga::portal::auth::{Errand, Newcomer};
use twarga::portal::{Portal, Principal};
use work::*;
use zeroize::Zeroizing;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn set(name: &str) -> UserSet {
    UserSet { name: user(name), role: None, password_login: None, must_change: None }
}

fn set_role(name: &str, to: &str) -> UserSet {
    UserSet { role: Some(role(to)), ..set(name) }
}

fn rm(name: &str) -> UserRm {
    UserRm { name: user(name), yes: true }
}

fn invite() -> InviteNew {
    InviteNew {
        role: RoleName::USER,
        credits: None,
        expires: 3600,
        uses: 1,
        group: None,
        count: None,
        csv: false,
    }
}

fn import(list: &str) -> UserImport {
    UserImport { from: None, dry_run: false, list: list.as_bytes().to_vec() }
}

fn demand(name: &str, change: RoleChange) -> RoleSet {
    RoleSet { name: role(name), change, deny: vec![] }
}

async fn token(p: &Portal, who: &Principal, new: InviteNew) -> NewInvitation {
    p.perform(who, new).await.unwrap().remove(0)
}

/// Somebody with that login name, let in for an errand.
async fn come(p: &Portal, login: &str) -> Option<Arc<Newcomer>> {
    p.login(HERE).come_in(Errand::of(login).unwrap(), None).await
}

async fn join(p: &Portal, token: &str, name: &str) -> Result<User> {
    let newcomer = come(p, &format!("invite+{token}")).await.expect("let in");
    let made = newcomer.make_account(user(name), Some(secret(PASSWORD))).await;
    p.sessions().close(newcomer.session());
    made
}

async fn lets_in(p: &Portal, name: &str, password: &str) -> bool {
    p.login(HERE).password(name, secret(password)).await.principal().is_some()
}

/// Somebody who looks after accounts and is no administrator.
async fn clerk(portal: &TestPortal) -> Principal {
    let allow = ["user_read", "user_write"].map(|p| p.parse().unwrap()).to_vec();
    let change = RoleChange { allow, ..RoleChange::default() };
    let new = RoleNew { name: role("clerk"), like: Some(RoleName::USER), change };
    portal.portal.perform(&portal.admin, new).await.unwrap();
    portal.user("clerk", "clerk").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_further_by_anothers_account() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let clerk = clerk(&portal).await;
    portal.user("alice", "user").await;
    portal.user("olga", "operator").await;
    let new = |name: &str, to: &str| UserNew { name: user(name), role: role(to), key: None };
    for above in ["admin", "operator", "auditor"] {
        assert_eq!(outcome(p, &clerk, new("eve", above)).await, "forbidden");
        assert_eq!(outcome(p, &clerk, set_role("alice", above)).await, "forbidden");
        assert_eq!(outcome(p, &clerk, set_role("clerk", above)).await, "forbidden");
        assert_eq!(outcome(p, &clerk, InviteNew { role: role(above), ..invite() }).await, "forbidden");
        let list = format!("name,role\neve,{above}\n");
        assert_eq!(outcome(p, &clerk, import(&list)).await, "user.import");
    }
    assert_eq!(outcome(p, &clerk, new("eve", "nonesuch")).await, "role.not_found");
    for above in ["admin", "olga"] {
        assert_eq!(outcome(p, &clerk, set_role(above, "user")).await, "forbidden");
        assert_eq!(outcome(p, &clerk, UserSet { must_change: Some(true), ..set(above) }).await, "forbidden");
        assert_eq!(outcome(p, &clerk, UserDisable { name: user(above) }).await, "forbidden");
        assert_eq!(outcome(p, &clerk, UserEnable { name: user(above) }).await, "forbidden");
        assert_eq!(outcome(p, &clerk, UserPasswdReset { name: user(above) }).await, "forbidden");
        assert_eq!(outcome(p, &clerk, rm(above)).await, "forbidden");
        let grant = RoleGrant { role: role("user"), user: user(above), expires: None };
        assert_eq!(outcome(p, &clerk, grant).await, "forbidden");
    }
    let by_admin = token(p, &portal.admin, InviteNew { role: RoleName::ADMIN, ..invite() }).await;
    assert_eq!(outcome(p, &clerk, InviteRm { id: by_admin.invitation.id }).await, "forbidden");
    // Whoever is granted more for a time is above him for that time.
    let grant = RoleGrant { role: role("operator"), user: user("alice"), expires: None };
    p.perform(&portal.admin, grant).await.unwrap();
    assert_eq!(outcome(p, &clerk, UserDisable { name: user("alice") }).await, "forbidden");
    p.perform(&portal.admin, RoleRevoke { role: role("operator"), user: user("alice") }).await.unwrap();
    for to in ["clerk", "user"] {
        assert_eq!(outcome(p, &clerk, set_role("alice", to)).await, "done");
    }
    assert_eq!(outcome(p, &clerk, UserDisable { name: user("alice") }).await, "done");
    assert_eq!(outcome(p, &clerk, rm("alice")).await, "done");
    assert_eq!(outcome(p, &clerk, invite()).await, "done");
    assert_eq!(outcome(p, &clerk, new("eve", "user")).await, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_mean_something_else_are_nobodys() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let invited = token(p, &portal.admin, InviteNew { uses: 10, ..invite() }).await;
    for name in ["invite", "register", "reset", "system"] {
        let new = UserNew { name: user(name), role: RoleName::USER, key: None };
        assert_eq!(outcome(p, &portal.admin, new).await, "usage.name");
        assert_eq!(outcome(p, &portal.admin, import(&format!("name\n{name}\n"))).await, "user.import");
        assert_eq!(join(p, &invited.token, name).await.unwrap_err().code, Code::BadName);
    }
    assert_eq!(p.perform(&portal.admin, InviteLs {}).await.unwrap()[0].used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_cannot_lock_himself_out() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let off = || UserSet { password_login: Some(false), ..set("admin") };
    let no_passwords = || RoleChange { password_login: Some(false), ..RoleChange::default() };
    let last = "account.last_admin";
    assert_eq!(outcome(p, admin, set_role("admin", "user")).await, last);
    assert_eq!(outcome(p, admin, UserDisable { name: user("admin") }).await, last);
    assert_eq!(outcome(p, admin, rm("admin")).await, last);
    assert_eq!(outcome(p, admin, off()).await, last);
    assert_eq!(outcome(p, admin, demand("admin", no_passwords())).await, last);
    let new = RoleNew { name: role("strict"), like: None, change: no_passwords() };
    p.perform(admin, new).await.unwrap();
    let grant = || RoleGrant { role: role("strict"), user: user("admin"), expires: None };
    assert_eq!(outcome(p, admin, grant()).await, last);
    assert_eq!(outcome(p, admin, Whoami {}).await, "done");
    // A key that may do less is no way in for an administrator.
    let eye =
        std::fs::read_to_string(portal.keygen("eye", &["-t", "ed25519"]).with_extension("pub")).unwrap();
    p.perform(admin, KeyAdd { read_only: true, ..KeyAdd::of(eye) }).await.unwrap();
    assert_eq!(outcome(p, admin, off()).await, last);
    let eye = p.perform(admin, KeyLs {}).await.unwrap()[0].id;
    assert_eq!(outcome(p, admin, KeyRm { keys: vec![eye.to_string()] }).await, "done");
    // With a key he has another way in, until that is the last.
    let key = std::fs::read_to_string(portal.keygen("a", &["-t", "ed25519"]).with_extension("pub")).unwrap();
    let key = p.perform(admin, KeyAdd::of(key)).await.unwrap().remove(0);
    assert_eq!(outcome(p, admin, off()).await, "done");
    assert_eq!(outcome(p, admin, KeyRm { keys: vec![key.id.to_string()] }).await, last);
    assert_eq!(p.perform(admin, KeyLs {}).await.unwrap().len(), 1);
    // One who cannot sign in does not count, one who can does.
    portal.user("second", "admin").await;
    p.perform(admin, UserDisable { name: user("second") }).await.unwrap();
    assert_eq!(outcome(p, admin, set_role("admin", "user")).await, last);
    p.perform(admin, UserEnable { name: user("second") }).await.unwrap();
    assert_eq!(outcome(p, admin, KeyRm { keys: vec![key.id.to_string()] }).await, "done");
    assert_eq!(outcome(p, admin, rm("second")).await, last);
    assert_eq!(outcome(p, admin, rm("admin")).await, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_administrators_cannot_remove_one_another_at_once() {
    let (portal, _driver) = mock().await;
    let p = portal.portal.clone();
    let second = portal.user("second", "admin").await;
    for round in 0..5 {
        let (a, b) = tokio::join!(
            outcome(&p, &portal.admin, set_role("second", "user")),
            outcome(&p, &second, set_role("admin", "user")),
        );
        assert_eq!([a, b].iter().filter(|o| **o == "done").count(), 1, "round {round}: {a}, {b}");
        let left = if a == "done" { &portal.admin } else { &second };
        for name in ["admin", "second"] {
            p.perform(left, set_role(name, "admin")).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_an_account_that_is_gone_is_nobody_elses() {
    let (portal, driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let first = portal.user("alice", "user").await;
    make_vm(p, &first, "web").await;
    let e = refused(p, admin, rm("alice")).await;
    assert!(e.code == Code::HasVms && e.message.contains("web.alice"), "{e}");
    assert_eq!(outcome(p, &first, Whoami {}).await, "done");
    let destroy = twarga::action::vm::VmDestroy { names: vms(&["web"]), yes: true, no_wait: false };
    change(p, &first, destroy).await.unwrap();
    p.perform(admin, rm("alice")).await.unwrap();
    assert!(first.session().kill.is_cancelled());
    assert_eq!(outcome(p, &first, Whoami {}).await, "forbidden");
    let second = portal.user("alice", "user").await;
    assert_ne!(first.user_id(), second.user_id());
    let all = EventLs { since: None, severity: None, actor: None, action: None, attempts: true, limit: 1000 };
    let seen = p.perform(&second, all).await.unwrap();
    assert!(seen.iter().all(|e| !e.action.starts_with("vm.")), "{seen:?}");
    let jobs = twarga::action::job::JobLs { all: true, limit: 100 };
    assert!(p.perform(&second, jobs).await.unwrap().is_empty());
    assert_eq!(outcome(p, &first, Whoami {}).await, "forbidden");
    assert_nothing_left(&portal, &driver, "the account is gone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sessions_end_with_what_let_them_in() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    p.perform(admin, UserDisable { name: user("alice") }).await.unwrap();
    assert!(alice.session().kill.is_cancelled() && !bob.session().kill.is_cancelled());
    assert!(!lets_in(p, "alice", PASSWORD).await);
    p.perform(admin, UserEnable { name: user("alice") }).await.unwrap();
    assert!(lets_in(p, "alice", PASSWORD).await);
    let shown = p.perform(admin, UserShow { name: user("bob") }).await.unwrap();
    assert_eq!((shown.sessions, shown.keys, shown.vms, shown.has_password), (1, 0, 0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_beside_a_disabling_leaves_no_session() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (portal.portal.clone(), &portal.admin);
    let key = portal.user_with_key("alice", "user").await;
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let fingerprint = twarga::portal::keys::parse_public(&line).unwrap().fingerprint;
    for _ in 0..30 {
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let (p, fingerprint) = (p.clone(), fingerprint.clone());
                tokio::spawn(async move { p.login(HERE).key("alice", fingerprint).await.principal() })
            })
            .collect();
        p.perform(admin, UserDisable { name: user("alice") }).await.unwrap();
        for login in logins {
            if let Some(who) = login.await.unwrap() {
                assert!(who.session().kill.is_cancelled(), "a session survives");
                p.sessions().close(who.session());
            }
        }
        p.perform(admin, UserEnable { name: user("alice") }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_switched_off_by_account_and_by_role() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let alice = portal.user("alice", "user").await;
    let login = |on| UserSet { password_login: Some(on), ..set("alice") };
    p.perform(admin, login(false)).await.unwrap();
    assert!(!lets_in(p, "alice", PASSWORD).await);
    p.perform(admin, login(true)).await.unwrap();
    assert!(lets_in(p, "alice", PASSWORD).await);
    let by_role = |on| demand("user", RoleChange { password_login: Some(on), ..RoleChange::default() });
    p.perform(admin, by_role(false)).await.unwrap();
    assert!(!lets_in(p, "alice", PASSWORD).await && lets_in(p, "admin", PASSWORD).await);
    // A password that lets nobody in is still what a change of it wants.
    let change = |old: &str, new: &str| AccountPasswd { old: Some(secret(old)), new: secret(new) };
    assert_eq!(outcome(p, &alice, change("not it at all", "nine purple toads")).await, "account.password");
    assert_eq!(outcome(p, &alice, change(PASSWORD, "nine purple toads")).await, "done");
    p.perform(admin, by_role(true)).await.unwrap();
    assert!(lets_in(p, "alice", "nine purple toads").await);
    for easy in ["qwertyuiop12", "alice-alice-1", "password2024", "aaaaaaaaaaaa"] {
        assert_eq!(outcome(p, &alice, change("nine purple toads", easy)).await, "account.password", "{easy}");
    }
    p.perform(admin, UserSet { must_change: Some(true), ..set("alice") }).await.unwrap();
    assert_eq!(outcome(p, &alice, KeyLs {}).await, "account.must_change_password");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_hash_is_made_anew_at_the_next_login() {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    portal.user("alice", "user").await;
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let old = cheap.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    let db = database(&portal);
    db.execute("UPDATE users SET password_hash = ?1 WHERE name = 'alice'", [&old]).unwrap();
    let now = || -> String {
        db.query_row("SELECT password_hash FROM users WHERE name = 'alice'", [], |r| r.get(0)).unwrap()
    };
    assert!(!lets_in(p, "alice", "wrong").await);
    assert_eq!(now(), old);
    assert!(lets_in(p, "alice", PASSWORD).await);
    until("the hash is a new one", async || now() != old).await;
    let new = now();
    assert!(new.contains("m=32768,t=3,p=1"), "{new}");
    assert!(lets_in(p, "alice", PASSWORD).await && !lets_in(p, "alice", "wrong").await);
    assert_eq!(now(), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_one_use_left_exactly_one_joins() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (portal.portal.clone(), &portal.admin);
    for round in 0..4 {
        let new = token(&p, admin, InviteNew { uses: 2, ..invite() }).await;
        let joining: Vec<_> = (0..6)
            .map(|i| {
                let (p, token) = (p.clone(), new.token.clone());
                tokio::spawn(async move {
                    // Some find it used up at the door already.
                    let login = format!("invite+{}", *token);
                    let newcomer = p.login(HERE).come_in(Errand::of(&login).unwrap(), None).await?;
                    let made =
                        newcomer.make_account(user(&format!("r{round}n{i}")), Some(secret(PASSWORD))).await;
                    p.sessions().close(newcomer.session());
                    made.ok()
                })
            })
            .collect();
        let mut made = 0;
        for one in joining {
            made += usize::from(one.await.unwrap().is_some());
        }
        assert_eq!(made, 2, "round {round}");
        assert!(come(&p, &format!("invite+{}", *new.token)).await.is_none());
    }
    let db = database(&portal);
    assert_eq!(count(&db, "SELECT count(*) FROM users WHERE name LIKE 'r%'"), 8);
    assert_eq!(count(&db, "SELECT sum(used) FROM invitations"), 8);
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE action = 'account.join'"), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_gives_what_it_says_and_no_longer_than_it_may() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let group = || "class7".parse().unwrap();
    let into_group = InviteNew { group: Some(group()), ..invite() };
    assert_eq!(outcome(p, admin, into_group).await, "group.not_found");
    p.perform(admin, GroupNew { name: group(), note: String::new() }).await.unwrap();
    let new = InviteNew { group: Some(group()), role: RoleName::OPERATOR, credits: Some(5.0), ..invite() };
    let new = token(p, admin, new).await;
    assert!(new.command.ends_with(&format!("invite+{}@PORTAL", *new.token)), "{}", *new.command);
    let made = join(p, &new.token, "alice").await.unwrap();
    assert_eq!(made.role, RoleName::OPERATOR);
    let person = p.perform(admin, UserShow { name: user("alice") }).await.unwrap();
    assert_eq!(person.groups, [group()]);
    let credits = "SELECT count(*) FROM users WHERE name = 'alice' AND starting_credits = 5.0";
    assert_eq!(count(&database(&portal), credits), 1);

    // Only as long as whoever invited may give the role himself.
    let clerk = clerk(&portal).await;
    let by_clerk = token(p, &clerk, InviteNew { uses: 5, ..invite() }).await;
    let login = format!("invite+{}", *by_clerk.token);
    assert!(come(p, &login).await.is_some());
    let state = async || p.perform(admin, InviteLs {}).await.unwrap()[0].state;
    p.perform(admin, set_role("clerk", "user")).await.unwrap();
    assert_eq!(state().await, InvitationState::Void);
    assert!(come(p, &login).await.is_none());
    p.perform(admin, set_role("clerk", "clerk")).await.unwrap();
    let inside = come(p, &login).await.expect("let in again");
    p.perform(admin, UserDisable { name: user("clerk") }).await.unwrap();
    assert!(come(p, &login).await.is_none());
    let late = inside.make_account(user("late"), Some(secret(PASSWORD))).await;
    assert_eq!(late.unwrap_err().code, Code::BadToken);
    p.perform(admin, UserEnable { name: user("clerk") }).await.unwrap();

    let db = database(&portal);
    db.execute("UPDATE invitations SET expires_at = 1 WHERE id = ?1", [by_clerk.invitation.id]).unwrap();
    assert_eq!(state().await, InvitationState::Expired);
    assert!(come(p, &login).await.is_none());
    p.perform(admin, InviteRm { id: by_clerk.invitation.id }).await.unwrap();
    assert_eq!(outcome(p, admin, InviteRm { id: by_clerk.invitation.id }).await, "invite.not_found");
    // The password that a newcomer chooses is looked at like any other.
    let new = token(p, admin, invite()).await;
    let newcomer = come(p, &format!("invite+{}", *new.token)).await.unwrap();
    let easy = newcomer.make_account(user("bob"), Some(secret("qwertyuiop12"))).await;
    assert_eq!(easy.unwrap_err().code, Code::BadPassword);
    assert!(newcomer.make_account(user("bob"), None).await.is_err(), "neither key nor password");
    assert!(newcomer.make_account(user("bob"), Some(secret(PASSWORD))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_may_come_by_himself_nobody_does() {
    let (portal, _driver) = mock_with(|c| c.registration.mode = String::from("closed")).await;
    let p = &portal.portal;
    assert_eq!(outcome(p, &portal.admin, invite()).await, "registration.closed");
    assert!(come(p, "register").await.is_none());
    let (portal, _driver) = mock_with(|c| {
        c.registration.mode = String::from("open");
        c.registration.per_hour_per_ip = 2;
    })
    .await;
    let p = &portal.portal;
    for (name, made) in [("one", true), ("one", false), ("two", true), ("three", false)] {
        let newcomer = come(p, "register").await.expect("let in");
        let result = newcomer.make_account(user(name), Some(secret(PASSWORD))).await;
        assert_eq!(result.is_ok(), made, "{name}: {result:?}");
        p.sessions().close(newcomer.session());
    }
    assert!(lets_in(p, "one", PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_are_bounded_and_ask_a_bounded_number_of_things() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let new = token(p, admin, InviteNew { uses: 100, ..invite() }).await;
    let login = format!("invite+{}", *new.token);
    let mut inside = Vec::new();
    while let Some(newcomer) = come(p, &login).await {
        inside.push(newcomer);
    }
    assert_eq!(inside.len(), 50);
    let listed = p.perform(admin, twarga::action::session::SessionLs { all: true }).await.unwrap();
    assert_eq!(listed.iter().filter(|s| s.user == "?invite").count(), 50);
    let one = inside.pop().unwrap();
    for _ in 0..10 {
        assert_eq!(one.check_name("admin").await.unwrap_err().code, Code::Exists);
    }
    assert_eq!(one.check_name("alice").await.unwrap_err().code, Code::Quota);
    assert!(one.session().kill.is_cancelled());
    let id = inside[0].session().id.clone();
    p.perform(admin, twarga::action::session::SessionKill { id: Some(id), user: None }).await.unwrap();
    assert!(inside[0].session().kill.is_cancelled());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_password_works_once_and_soon() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let alice = portal.user("alice", "user").await;
    let reset = async |name: &str| p.perform(admin, UserPasswdReset { name: user(name) }).await.unwrap();
    let first = reset("alice").await;
    let second = reset("alice").await;
    assert!(come(p, &format!("reset+{}", *first.token)).await.is_none(), "another took its place");
    let login = format!("reset+{}", *second.token);
    assert!(come(p, &format!("invite+{}", *second.token)).await.is_none(), "a token is for one errand");
    let inside = [come(p, &login).await.unwrap(), come(p, &login).await.unwrap()];
    assert!(lets_in(p, "alice", PASSWORD).await, "the password so far holds until then");
    assert_eq!(inside[0].choose_password(secret("short")).await.unwrap_err().code, Code::BadPassword);
    assert!(!alice.session().kill.is_cancelled());
    inside[0].choose_password(secret("nine purple toads")).await.unwrap();
    assert!(alice.session().kill.is_cancelled());
    let again = inside[1].choose_password(secret("seven green snails")).await;
    assert_eq!(again.unwrap_err().code, Code::BadToken);
    assert!(come(p, &login).await.is_none());
    assert!(lets_in(p, "alice", "nine purple toads").await && !lets_in(p, "alice", PASSWORD).await);
    // Time, a change of password meanwhile, and an account that is disabled end it.
    let db = database(&portal);
    let token = reset("alice").await.token;
    db.execute("UPDATE password_resets SET expires_at = expires_at - 3600 * 1000", []).unwrap();
    assert!(come(p, &format!("reset+{}", *token)).await.is_none());
    let alice = portal.sign_in("alice", "nine purple toads").await;
    let token = reset("alice").await.token;
    let change = AccountPasswd { old: Some(secret("nine purple toads")), new: secret(PASSWORD) };
    p.perform(&alice, change).await.unwrap();
    assert!(come(p, &format!("reset+{}", *token)).await.is_none());
    let token = reset("alice").await.token;
    p.perform(admin, UserDisable { name: user("alice") }).await.unwrap();
    assert!(come(p, &format!("reset+{}", *token)).await.is_none());
    // Whoever became more than the giver may manage is not in his hands any more.
    let clerk = clerk(&portal).await;
    portal.user("bob", "user").await;
    let token = p.perform(&clerk, UserPasswdReset { name: user("bob") }).await.unwrap().token;
    p.perform(admin, set_role("bob", "admin")).await.unwrap();
    assert!(come(p, &format!("reset+{}", *token)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_imported_whole_or_not_at_all() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    p.perform(admin, GroupNew { name: "class7".parse().unwrap(), note: String::new() }).await.unwrap();
    let key = portal.keygen("carol", &["-t", "ed25519"]);
    let key = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let accounts = || count(&database(&portal), "SELECT count(*) FROM users");
    let bad = "name,role,group,key\nalice,user,class7,\nbob,nonesuch,,\nadmin,,,\nalice,,,\ncarol,,nogroup,\ndave,,,ssh-rsa AAAA\nA B,,,\n";
    let e = refused(p, admin, import(bad)).await;
    assert_eq!((e.code, accounts()), (Code::BadList, 1));
    let told: Vec<_> = e.lines.iter().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(told, ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8"], "{:#?}", e.lines);
    let json: serde_json::Value = serde_json::from_str(&e.to_json()).unwrap();
    assert_eq!(json["error"]["lines"].as_array().unwrap().len(), 6);
    let good = format!("name,role,group,key\nalice,,class7,\nbob,auditor,,\ncarol,,,{}\n", key.trim());
    let dry = UserImport { dry_run: true, ..import(&good) };
    let seen: Vec<Imported> = p.perform(admin, dry).await.unwrap();
    assert!(seen.iter().all(|i| i.one_time_password.is_none()) && accounts() == 1);
    let made = p.perform(admin, import(&good)).await.unwrap();
    assert_eq!(accounts(), 4);
    assert!(made[2].one_time_password.is_none() && made[2].key.is_some());
    for one in &made[..2] {
        let first = one.one_time_password.as_ref().unwrap();
        let who = portal.sign_in(&one.name, first).await;
        assert_eq!(outcome(p, &who, KeyLs {}).await, "account.must_change_password");
    }
    let person = p.perform(admin, UserShow { name: user("alice") }).await.unwrap();
    assert_eq!((person.groups.len(), person.user.role), (1, RoleName::USER));
    assert_eq!(refused(p, admin, import(&good)).await.lines.len(), 3);
    for nothing in ["", "name\n", "\n\n"] {
        assert_eq!(outcome(p, admin, import(nothing)).await, "user.import", "{nothing:?}");
    }
    let endless = "x\n".repeat(100_000);
    assert_eq!(outcome(p, admin, import(&format!("name\n{endless}"))).await, "user.import");
    assert_eq!(accounts(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_kept_nowhere() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    portal.user("bob", "user").await;
    let invited = token(p, admin, invite()).await.token;
    let reset = p.perform(admin, UserPasswdReset { name: user("bob") }).await.unwrap().token;
    join(p, &invited, "alice").await.unwrap();
    assert!(come(p, &format!("invite+{}", *invited)).await.is_none());
    let made = p.perform(admin, import("name\ncarol\n")).await.unwrap();
    let first = made[0].one_time_password.clone().unwrap();
    let mut bytes = std::fs::read(portal.dir.path().join("data/twarga.db")).unwrap();
    bytes.extend(std::fs::read(portal.dir.path().join("data/twarga.db-wal")).unwrap_or_default());
    let has = |what: &str| bytes.windows(what.len()).any(|w| w == what.as_bytes());
    assert!(has("carol"), "the search itself works");
    for secret in [&*invited, &*reset, &*first] {
        assert!(!has(secret), "the database holds a secret");
    }
}
