//! Roles and groups: what they give, for how long, and to nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use common::{TestPortal, mock};
use twarga::action::account::AccountShow;
use twarga::action::ca::{CaAdd, CaRevoke, CaRm};
use twarga::action::group::*;
use twarga::action::invite::InviteNew;
use twarga::action::job::JobLs;
use twarga::action::role::*;
use twarga::action::user::{UserLs, UserNew, UserSet};
use twarga::action::user_import::UserImport;
use twarga::action::vm::*;
use twarga::model::RoleName;
use twarga::model::group::{GroupName, Level, Member};
use twarga::portal::Principal;
use work::*;

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn change(allow: &[&str]) -> RoleChange {
    let allow = allow.iter().map(|a| a.parse().unwrap()).collect();
    RoleChange { allow, ..RoleChange::default() }
}

async fn make_role(portal: &TestPortal, name: &str, allow: &[&str]) {
    let new = RoleNew { name: role(name), like: None, change: change(allow) };
    portal.portal.perform(&portal.admin, new).await.unwrap();
}

async fn make_group(portal: &TestPortal, name: &str, members: &[&str]) {
    let new = GroupNew { name: group(name), note: String::new() };
    portal.portal.perform(&portal.admin, new).await.unwrap();
    if !members.is_empty() {
        add(portal, name, members).await.unwrap();
    }
}

async fn add(
    portal: &TestPortal,
    name: &str,
    members: &[&str],
) -> twarga::error::Result<twarga::model::group::Group> {
    let members = members.iter().map(|m| m.parse().unwrap()).collect();
    portal.portal.perform(&portal.admin, GroupAdd { name: group(name), members }).await
}

async fn share(portal: &TestPortal, by: &Principal, name: &str, with: &str, level: Level) -> &'static str {
    outcome(&portal.portal, by, VmShare { name: vm(name), group: group(with), level }).await
}

fn grant(name: &str, user: &str, expires: Option<u64>) -> RoleGrant {
    RoleGrant { role: role(name), user: user.parse().unwrap(), expires }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_role_gives_what_it_says_and_changes_hold_at_once() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    make_vm(p, &alice, "web").await;
    make_role(&portal, "watcher", &["account_self", "vm_read=all", "user_read"]).await;
    let wanda = portal.user("wanda", "watcher").await;
    let show = || VmShow { name: vm("web.alice") };
    let stop = || VmStop { names: vms(&["web.alice"]), force: true, no_wait: false };
    assert_eq!(outcome(p, &wanda, show()).await, "done");
    assert_eq!(outcome(p, &wanda, UserLs {}).await, "done");
    assert_eq!(outcome(p, &wanda, stop()).await, "forbidden");
    assert_eq!(outcome(p, &wanda, vm_new("mine")).await, "forbidden");
    let set = RoleSet {
        name: role("watcher"),
        change: change(&["vm_operate=all"]),
        deny: vec!["user_read".parse().unwrap()],
    };
    p.perform(&portal.admin, set).await.unwrap();
    assert_eq!(outcome(p, &wanda, stop()).await, "done");
    assert_eq!(outcome(p, &wanda, UserLs {}).await, "forbidden");
    // It cannot go while somebody has it.
    assert_eq!(outcome(p, &portal.admin, RoleRm { name: role("watcher") }).await, "role.in_use");
    assert_eq!(outcome(p, &portal.admin, RoleRm { name: role("nobody-has-it") }).await, "role.not_found");
    let again = RoleNew { name: role("watcher"), like: None, change: RoleChange::default() };
    assert_eq!(outcome(p, &portal.admin, again).await, "exists");
    let built_in = RoleSet { name: role("user"), change: change(&["vm_read=all"]), deny: vec![] };
    assert_eq!(outcome(p, &portal.admin, built_in).await, "role.built_in");
    let new = UserNew { name: "mallory".parse().unwrap(), role: role("fly"), key: None };
    assert_eq!(outcome(p, &portal.admin, new).await, "role.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_holds_beside_the_own_role_until_it_is_over() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    make_vm(p, &alice, "web").await;
    let show = || VmShow { name: vm("web.alice") };
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
    let granted = p.perform(&portal.admin, grant("operator", "bob", Some(3600))).await.unwrap();
    assert_eq!((granted.len(), granted[0].granted_by.as_str()), (1, "admin"));
    assert_eq!(outcome(p, &bob, show()).await, "done");
    database(&portal).execute("UPDATE role_grants SET expires_at = 1", []).unwrap();
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
    p.perform(&portal.admin, grant("operator", "bob", None)).await.unwrap();
    assert_eq!(outcome(p, &bob, show()).await, "done");
    let back = || RoleRevoke { role: role("operator"), user: "bob".parse().unwrap() };
    p.perform(&portal.admin, back()).await.unwrap();
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
    assert_eq!(outcome(p, &portal.admin, back()).await, "role.not_found");
    assert_eq!(outcome(p, &portal.admin, grant("operator", "nobody", None)).await, "user.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_he_has_not() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    make_role(&portal, "clerk", &["account_self", "user_read", "user_write"]).await;
    let clara = portal.user("clara", "clerk").await;
    portal.user("bob", "user").await;
    // Not to others, not to himself, not by a role of his own making.
    assert_eq!(outcome(p, &clara, grant("admin", "clara", None)).await, "forbidden");
    assert_eq!(outcome(p, &clara, grant("operator", "bob", None)).await, "forbidden");
    let boss = |name: &str, allow: &[&str]| RoleNew { name: role(name), like: None, change: change(allow) };
    assert_eq!(outcome(p, &clara, boss("boss", &["vm_enter=all"])).await, "forbidden");
    let like = RoleNew { name: role("boss"), like: Some(role("admin")), change: RoleChange::default() };
    assert_eq!(outcome(p, &clara, like).await, "forbidden");
    let more = RoleSet { name: role("clerk"), change: change(&["vm_enter=all"]), deny: vec![] };
    assert_eq!(outcome(p, &clara, more).await, "forbidden");
    // What is demanded of those above is not for those below to change.
    let lax = RoleChange { password_login: Some(false), ..RoleChange::default() };
    let lax = RoleSet { name: role("admin"), change: lax, deny: vec![] };
    assert_eq!(outcome(p, &clara, lax).await, "forbidden");
    // Nor to take it away from them.
    p.perform(&portal.admin, grant("operator", "bob", None)).await.unwrap();
    let back = RoleRevoke { role: role("operator"), user: "bob".parse().unwrap() };
    assert_eq!(outcome(p, &clara, back).await, "forbidden");
    assert_eq!(outcome(p, &clara, boss("reader", &["user_read"])).await, "done");
    // A role comes with demands: whom he may not manage, he does not grant one either.
    assert_eq!(outcome(p, &clara, grant("reader", "bob", None)).await, "forbidden");
    assert_eq!(outcome(p, &clara, grant("reader", "clara", None)).await, "done");
    let roles = p.perform(&portal.admin, RoleLs {}).await.unwrap();
    let names: Vec<_> = roles.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["admin", "operator", "user", "auditor", "clerk", "reader"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_is_seen_operated_and_entered_as_it_is_shared() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    let mallory = portal.user("mallory", "user").await;
    make_vm(p, &alice, "web").await;
    make_group(&portal, "tutors", &["bob"]).await;
    make_group(&portal, "class", &["alice", "@tutors"]).await;
    // A group that she is not in does not exist for her.
    assert_eq!(share(&portal, &alice, "web", "tutors", Level::See).await, "group.not_found");
    assert_eq!(share(&portal, &alice, "web", "nothing", Level::See).await, "group.not_found");
    assert_eq!(share(&portal, &alice, "web", "class", Level::See).await, "done");
    let list = || VmLs { all: true, tag: None, state: None };
    let names = |vms: Vec<twarga::model::Vm>| vms.iter().map(|v| v.full_name()).collect::<Vec<_>>();
    // By a group in the group.
    assert_eq!(names(p.perform(&bob, list()).await.unwrap()), ["web.alice"]);
    assert!(p.perform(&mallory, list()).await.unwrap().is_empty());
    assert!(p.perform(&bob, VmLs { all: false, ..list() }).await.unwrap().is_empty());
    assert_eq!(p.perform(&bob, AccountShow {}).await.unwrap().groups, ["class", "tutors"].map(group));
    assert!(!p.perform(&bob, JobLs { all: true, limit: 10 }).await.unwrap().is_empty());
    let mut feed = p.perform(&bob, VmFollow { all: true }).await.unwrap();
    assert_eq!(feed.next().await.unwrap().len(), 1);
    let stop = || VmStop { names: vms(&["web.alice"]), force: true, no_wait: false };
    assert_eq!(outcome(p, &bob, stop()).await, "vm.not_found");
    assert_eq!(share(&portal, &alice, "web", "class", Level::Operate).await, "done");
    let job = p.perform(&bob, stop()).await.unwrap().remove(0);
    finished(p, &bob, job.id).await;
    assert_eq!(look(p, &bob, "web.alice").await.state.as_str(), "stopped");
    assert_eq!(outcome(p, &mallory, stop()).await, "vm.not_found");
    // Never the owner's rights.
    let destroy = VmDestroy { names: vms(&["web.alice"]), yes: true, no_wait: false };
    assert_eq!(outcome(p, &bob, destroy).await, "vm.not_found");
    assert_eq!(share(&portal, &bob, "web.alice", "tutors", Level::Enter).await, "vm.not_found");
    let out = VmUnshare { name: vm("web"), group: group("class") };
    assert_eq!(outcome(p, &alice, out).await, "done");
    assert_eq!(outcome(p, &bob, VmShow { name: vm("web.alice") }).await, "vm.not_found");
    // A list that follows shows it no more.
    while !feed.next().await.unwrap().is_empty() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_a_group_has_lost_what_was_shared_with_it() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    make_vm(p, &alice, "web").await;
    make_group(&portal, "class", &["alice", "bob"]).await;
    share(&portal, &alice, "web", "class", Level::Enter).await;
    let show = || VmShow { name: vm("web.alice") };
    assert_eq!(outcome(p, &bob, show()).await, "done");
    let bobs = || vec!["bob".parse::<Member>().unwrap()];
    let gone = GroupRemove { name: group("class"), members: bobs() };
    p.perform(&portal.admin, gone).await.unwrap();
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
    let again = GroupRemove { name: group("class"), members: bobs() };
    assert_eq!(outcome(p, &portal.admin, again).await, "not_found");
    add(&portal, "class", &["bob"]).await.unwrap();
    p.perform(&portal.admin, GroupRm { name: group("class"), yes: true }).await.unwrap();
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
    // A group of the same name later shares nothing of the old one.
    make_group(&portal, "class", &["bob"]).await;
    assert_eq!(outcome(p, &bob, show()).await, "vm.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_do_not_go_round_in_circles() {
    let (portal, _driver) = mock().await;
    for name in ["a", "b", "c"] {
        make_group(&portal, name, &[]).await;
    }
    add(&portal, "a", &["@b"]).await.unwrap();
    add(&portal, "b", &["@c"]).await.unwrap();
    for (outer, inner) in [("a", "@a"), ("b", "@a"), ("c", "@a"), ("c", "@b")] {
        let e = add(&portal, outer, &[inner]).await.unwrap_err();
        assert_eq!(e.code.as_str(), "group.cycle", "{inner} in {outer}");
    }
    // All or none: nobody came in beside the one that could not.
    portal.user("dora", "user").await;
    assert!(add(&portal, "c", &["dora", "@a"]).await.is_err());
    assert!(add(&portal, "c", &["dora", "nobody"]).await.is_err());
    let show = GroupShow { name: group("c") };
    assert!(portal.portal.perform(&portal.admin, show).await.unwrap().members.is_empty());
    // An account of a group's name is not the group.
    portal.user("a", "user").await;
    add(&portal, "c", &["a"]).await.unwrap();
    assert!(add(&portal, "c", &["@a"]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_further_by_authorities_groups_or_laxer_roles() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let admin = &portal.admin;
    make_role(&portal, "clerk", &["account_self", "user_read", "user_write", "vm_read", "vm_enter"]).await;
    let clara = portal.user("clara", "clerk").await;
    let alice = portal.user("alice", "user").await;
    make_vm(p, &alice, "web").await;
    // An authority vouches for administrators too.
    let line =
        std::fs::read_to_string(portal.keygen("ca", &["-t", "ed25519"]).with_extension("pub")).unwrap();
    let add = || CaAdd { key: vec![line.clone()], name: Some(String::from("office")) };
    assert_eq!(outcome(p, &clara, add()).await, "forbidden");
    assert_eq!(outcome(p, admin, add()).await, "done");
    assert_eq!(outcome(p, &clara, CaRm { ca: String::from("office") }).await, "forbidden");
    let revoke = CaRevoke { certificate: String::from("7"), ca: None, undo: false };
    assert_eq!(outcome(p, &clara, revoke).await, "forbidden");
    // Into a group with which something is shared, or into one that is in it.
    make_group(&portal, "inner", &[]).await;
    make_group(&portal, "ops", &["alice", "@inner"]).await;
    let myself = |name: &str| GroupAdd { name: group(name), members: vec!["clara".parse().unwrap()] };
    assert_eq!(outcome(p, &clara, myself("inner")).await, "done");
    let out = GroupRemove { name: group("inner"), members: vec!["clara".parse().unwrap()] };
    assert_eq!(outcome(p, &clara, out).await, "done");
    share(&portal, &alice, "web", "ops", Level::Enter).await;
    for name in ["ops", "inner"] {
        assert_eq!(outcome(p, &clara, myself(name)).await, "forbidden", "{name}");
        let invite = InviteNew {
            role: role("clerk"),
            credits: None,
            expires: 60,
            uses: 1,
            group: Some(group(name)),
            count: None,
            csv: false,
        };
        assert_eq!(outcome(p, &clara, invite).await, "forbidden", "{name}");
        let list = format!("name,role,group\nmallory,clerk,{name}\n").into_bytes();
        let import = UserImport { from: None, dry_run: false, list };
        assert_eq!(outcome(p, &clara, import).await, "forbidden", "{name}");
    }
    // What binds her is not hers to lift.
    let set = |on: bool| {
        let change = RoleChange {
            password_login: Some(on),
            max_session: Some("8h".parse().unwrap()),
            ..RoleChange::default()
        };
        RoleSet { name: role("clerk"), change, deny: vec![] }
    };
    p.perform(admin, set(false)).await.unwrap();
    assert_eq!(outcome(p, &clara, set(true)).await, "forbidden");
    let like = RoleNew { name: role("clerk2"), like: Some(role("clerk")), change: RoleChange::default() };
    let made = p.perform(&clara, like).await.unwrap();
    assert!(!made.policy.password_login && made.policy.max_session_s == Some(28_800), "{made:?}");
    make_role(&portal, "lax", &["account_self", "user_read", "user_write"]).await;
    let change = UserSet {
        name: "clara".parse().unwrap(),
        role: Some(role("lax")),
        password_login: None,
        must_change: None,
    };
    assert_eq!(outcome(p, &clara, change).await, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factor_that_is_demanded_now_ends_what_is_followed() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    make_vm(p, &alice, "web").await;
    let mut feed = p.perform(&alice, VmFollow { all: false }).await.unwrap();
    assert_eq!(feed.next().await.unwrap().len(), 1);
    let change = RoleChange { second_factor: Some(true), ..RoleChange::default() };
    p.perform(&portal.admin, RoleSet { name: role("user"), change, deny: vec![] }).await.unwrap();
    let ended = async {
        loop {
            if let Err(e) = feed.next().await {
                return e.code.as_str();
            }
        }
    };
    assert_eq!(tokio::time::timeout(common::PATIENCE, ended).await.unwrap(), "forbidden");
}
