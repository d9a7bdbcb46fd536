//! The one door: which role gets what of which rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::collections::BTreeSet;
use std::net::IpAddr;

use common::{PASSWORD, TestPortal, mock};
use twarga::action::account::{AccountPasswd, AccountPrefs, AccountSet, AccountShow, Whoami};
use twarga::action::ban::{BanAdd, BanLs, BanRm};
use twarga::action::ca::{CaAdd, CaLs, CaRevoke, CaRm};
use twarga::action::catalogue::{ImageLs, PlanLimits, PlanLs};
use twarga::action::enter::*;
use twarga::action::event::{EventLs, EventShow, EventTail};
use twarga::action::group::*;
use twarga::action::host::{HostFollow, HostShow};
use twarga::action::invite::{InviteLs, InviteNew, InviteRm};
use twarga::action::job::{JobCancel, JobFollow, JobLs, JobRetry, JobShow, JobWatch};
use twarga::action::key::{KeyAdd, KeyLs, KeyRename, KeyRm};
use twarga::action::role::*;
use twarga::action::session::{SessionFollow, SessionKill, SessionLs, SessionShow};
use twarga::action::totp::{TotpBackupCodes, TotpConfirm, TotpDisable, TotpEnable, TotpShow};
use twarga::action::user::*;
use twarga::action::user_import::UserImport;
use twarga::action::vm::*;
use twarga::driver::mock::Op;
use twarga::error::Code;
use twarga::model::group::{GroupName, Level};
use twarga::model::{RoleName, Setting};
use twarga::portal::{Action, Principal};
use work::*;
use zeroize::Zeroizing;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn events(attempts: bool) -> EventLs {
    EventLs { since: None, severity: None, actor: None, action: None, attempts, limit: 10_000 }
}

fn tail() -> EventTail {
    EventTail { severity: None, actor: None, action: None, attempts: false, limit: 1000 }
}

fn set(key: Setting, value: &str) -> AccountSet {
    AccountSet { key, value: value.to_owned() }
}

fn user_new(name: &str) -> UserNew {
    UserNew { name: name.parse().unwrap(), role: twarga::model::RoleName::USER, key: None }
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn role_new(name: &str, like: Option<RoleName>) -> RoleNew {
    RoleNew { name: role(name), like, change: RoleChange::default() }
}

fn role_set(name: &str) -> RoleSet {
    let change = RoleChange { allow: vec!["vm_read".parse().unwrap()], ..RoleChange::default() };
    RoleSet { name: role(name), change, deny: Vec::new() }
}

/// A group of that account alone, with which alice's VM is shared.
async fn share(portal: &TestPortal, machine: &str, account: &str, level: Level) {
    let (p, admin) = (&portal.portal, &portal.admin);
    p.perform(admin, GroupNew { name: group(account), note: String::new() }).await.unwrap();
    let members = vec![account.parse().unwrap()];
    p.perform(admin, GroupAdd { name: group(account), members }).await.unwrap();
    let name = vm(&format!("{machine}.alice"));
    p.perform(admin, VmShare { name, group: group(account), level }).await.unwrap();
}

fn passwd(old: &str, new: &str) -> AccountPasswd {
    let [old, new] = [old, new].map(|p| Zeroizing::new(p.to_owned()));
    AccountPasswd { old: Some(old), new }
}

/// Tries each action as everybody there is. What the first three get is said with
/// each row; what everybody gets is kept in a file, so that a change of rights shows.
struct Table<'a> {
    portal: &'a TestPortal,
    people: Vec<Principal>,
    seen: BTreeSet<&'static str>,
    wrong: Vec<String>,
    rights: String,
}

/// Who tries: bob has nothing to do with alice's rows, three share them with her.
#[derive(Clone, Copy, PartialEq)]
enum As {
    Bob,
    Alice,
    Admin,
    Operator,
    Auditor,
    Seer,
    Starter,
    Insider,
}

impl As {
    const ALL: [As; 8] =
        [As::Bob, As::Alice, As::Admin, As::Operator, As::Auditor, As::Seer, As::Starter, As::Insider];

    /// A VM of alice's for each who may change it, so that each finds it as it was.
    fn vm(self) -> &'static str {
        match self {
            As::Bob => "web.alice",
            As::Alice => "web",
            As::Admin => "hub.alice",
            As::Operator => "ops.alice",
            As::Auditor => "aud.alice",
            As::Seer => "see.alice",
            As::Starter => "run.alice",
            As::Insider => "ins.alice",
        }
    }
}

impl<'a> Table<'a> {
    fn new(portal: &'a TestPortal, people: Vec<Principal>) -> Table<'a> {
        let mut rights = String::from(
            "# What everybody gets of what is alice's, or of everybody's. Made by tests/portal_door.rs:\n\
             # TWARGA_SNAPSHOT=write writes it again; look at what changed.\n",
        );
        let heads = ["stranger", "owner", "admin", "operator", "auditor", "see", "operate", "enter"];
        rights.push_str(&Self::line("action", &heads));
        Table { portal, people, seen: BTreeSet::new(), wrong: Vec::new(), rights }
    }

    fn line(name: &str, cells: &[&str]) -> String {
        let mut line = format!("{name:20}");
        for cell in cells {
            line.push_str(&format!(" {cell:18}"));
        }
        line.trim_end().to_owned() + "\n"
    }

    async fn row<A: Action>(&mut self, expected: [&str; 3], action: impl Fn(As) -> A) {
        self.seen.insert(A::NAME);
        let mut cells = Vec::new();
        for (i, by) in As::ALL.into_iter().enumerate() {
            let got = outcome(&self.portal.portal, &self.people[i], action(by)).await;
            if expected.get(i).is_some_and(|e| *e != got) {
                self.wrong.push(format!("{} by {i}: {got}, not {}", A::NAME, expected[i]));
            }
            cells.push(got);
        }
        self.rights.push_str(&Self::line(A::NAME, &cells));
        quiet(&self.portal.portal, &self.portal.admin).await;
    }

    async fn same<A: Action>(&mut self, expected: &str, action: impl Fn() -> A) {
        self.row([expected; 3], |_| action()).await;
    }

    /// Compares with what is kept.
    fn compare(&self) {
        let file = "tests/snapshots/rights.txt";
        if std::env::var_os("TWARGA_SNAPSHOT").is_some_and(|v| v == "write") {
            std::fs::write(file, &self.rights).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap();
        let differ = |(a, b): &(&str, &str)| a != b;
        let lines = kept.lines().zip(self.rights.lines()).find(differ);
        assert!(kept == self.rights, "rights have changed ({file}): {lines:#?}\n{}", self.rights);
    }
}

/// The names of all actions, from the sources: a new one has to come into the table.
fn every_action() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir("src/action").unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            let constant = line.contains("const NAME: &'static str = \"");
            let listed = line.trim_start().starts_with(|c: char| c.is_ascii_uppercase())
                && line
                    .split_once(", \"")
                    .is_some_and(|(verb, _)| verb.trim().chars().all(char::is_alphanumeric));
            if constant || listed {
                names.insert(line.split('"').nth(1).unwrap().to_owned());
            }
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_gives_every_role_what_the_table_says() {
    let (portal, _driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    portal
        .portal
        .perform(&portal.admin, GroupNew { name: group("bobs"), note: String::new() })
        .await
        .unwrap();
    make_vm(&portal.portal, &alice, "web").await;
    for name in ["hub", "ops", "aud", "see", "run", "ins"] {
        make_vm(&portal.portal, &alice, name).await;
    }
    let mut people = vec![bob, alice.clone(), portal.admin.clone()];
    people.push(portal.user("olga", "operator").await);
    people.push(portal.user("aude", "auditor").await);
    for (name, level, machine) in
        [("sid", Level::See, "see"), ("stan", Level::Operate, "run"), ("ines", Level::Enter, "ins")]
    {
        people.push(portal.user(name, "user").await);
        share(&portal, machine, name, level).await;
    }
    let job = portal.portal.perform(&alice, JobLs { all: false, limit: 1 }).await.unwrap()[0].id;
    let event = portal.portal.perform(&alice, events(false)).await.unwrap()[0].id;
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|n| {
        let file = portal.keygen(n, &["-t", "ed25519"]);
        std::fs::read_to_string(file.with_extension("pub")).unwrap()
    });
    let mut t = Table::new(&portal, people);

    t.same("done", || Whoami {}).await;
    t.same("done", || AccountShow {}).await;
    t.same("done", || passwd(PASSWORD, "nine purple toads")).await;
    t.same("done", || TotpShow {}).await;
    t.same("done", || TotpEnable { text: false }).await;
    t.same("account.code", || TotpConfirm { code: vec![String::from("no code")] }).await;
    let proof = || Zeroizing::new(String::from("not it"));
    t.same("account.code", || TotpBackupCodes { proof: proof() }).await;
    t.same("account.password", || TotpDisable { proof: proof() }).await;
    t.same("done", || PlanLs {}).await;
    t.same("done", || PlanLimits {}).await;
    t.same("done", || ImageLs {}).await;
    t.same("done", || KeyLs {}).await;
    t.same("done", || AccountPrefs {}).await;
    t.same("done", || set(Setting::Theme, "dark")).await;
    t.same("done", || events(false)).await;
    t.same("done", tail).await;
    t.same("done", || JobLs { all: true, limit: 20 }).await;
    t.same("done", || JobFollow { all: true }).await;
    t.same("done", || SshConfig { portal: None }).await;
    t.same("done", || VmLs { all: true, tag: None, state: None }).await;
    t.same("done", || VmFollow { all: true }).await;
    t.same("done", || vm_new("mine")).await;

    let staff = ["forbidden", "forbidden", "done"];
    t.row(staff, |_| HostShow {}).await;
    t.row(staff, |_| HostFollow {}).await;
    t.row(staff, |_| UserLs {}).await;
    t.row(staff, |_| InviteLs {}).await;
    t.row(staff, |_| UserShow { name: "alice".parse().unwrap() }).await;
    t.row(staff, |_| user_new("carol")).await;
    t.row(staff, |_| BanLs {}).await;
    let network = || "203.0.113.7".parse().unwrap();
    let ban = || BanAdd { network: network(), for_s: None, forever: false, note: String::new() };
    t.row(staff, |_| ban()).await;
    t.row(staff, |_| BanRm { network: network() }).await;
    let name = || "carol".parse().unwrap();
    let set_user = || UserSet { name: name(), role: None, password_login: None, must_change: Some(true) };
    t.row(staff, |_| set_user()).await;
    t.row(staff, |_| UserDisable { name: name() }).await;
    t.row(staff, |_| UserEnable { name: name() }).await;
    t.row(staff, |_| UserPasswdReset { name: name() }).await;
    t.row(staff, |_| UserRm { name: name(), yes: true }).await;
    let list = || b"name,role\ndora,user\n".to_vec();
    t.row(staff, |_| UserImport { from: None, dry_run: false, list: list() }).await;
    let invite = || InviteNew {
        role: twarga::model::RoleName::USER,
        credits: None,
        expires: 60,
        uses: 1,
        group: None,
        count: None,
        csv: false,
    };
    t.row(staff, |_| invite()).await;
    t.row(staff, |_| InviteRm { id: 1 }).await;
    let reset = ["forbidden", "forbidden", "not_found"];
    t.row(reset, |_| UserReset2fa { name: "alice".parse().unwrap() }).await;

    t.row(staff, |_| RoleLs {}).await;
    t.row(staff, |_| RoleShow { name: RoleName::USER }).await;
    t.row(staff, |by| role_new(&format!("helper{}", by as u8), None)).await;
    t.row(staff, |_| role_set("helper2")).await;
    t.row(staff, |_| RoleGrant { role: role("helper2"), user: "bob".parse().unwrap(), expires: Some(60) })
        .await;
    t.row(staff, |_| RoleRevoke { role: role("helper2"), user: "bob".parse().unwrap() }).await;
    t.row(staff, |_| RoleRm { name: role("helper2") }).await;
    t.row(staff, |_| GroupLs {}).await;
    t.row(staff, |_| GroupShow { name: group("sid") }).await;
    t.row(staff, |by| GroupNew { name: group(&format!("g{}", by as u8)), note: String::new() }).await;
    t.row(staff, |_| GroupAdd { name: group("g2"), members: vec!["bob".parse().unwrap()] }).await;
    t.row(staff, |_| GroupRemove { name: group("g2"), members: vec!["bob".parse().unwrap()] }).await;
    t.row(staff, |_| GroupRm { name: group("g2"), yes: true }).await;

    t.row(["done"; 3], |by| KeyAdd::of(keys[by as usize].clone())).await;
    let of_alice = portal.portal.perform(&alice, KeyLs {}).await.unwrap()[0].id;
    // Keys are one's own, an administrator's too.
    let own = ["key.not_found", "done", "key.not_found"];
    t.row(own, |_| KeyRename { key: of_alice.to_string(), note: vec!["laptop".into()] }).await;
    t.row(own, |_| KeyRm { keys: vec![of_alice.to_string()] }).await;

    t.row(staff, |_| CaAdd { key: vec![keys[0].clone()], name: Some("office".into()) }).await;
    t.row(staff, |_| CaLs {}).await;
    t.row(staff, |_| CaRevoke { certificate: "7".into(), ca: None, undo: false }).await;
    t.row(staff, |_| CaRm { ca: "office".into() }).await;

    t.row(["event.not_found", "done", "done"], |_| EventShow { id: event }).await;
    t.same("done", || SessionLs { all: true }).await;
    t.same("done", || SessionFollow { all: true }).await;
    let other = portal.sign_in("alice", "nine purple toads").await;
    let id = &other.session().id;
    t.row(["session.not_found", "done", "done"], |_| SessionShow { id: id.clone() }).await;
    let kill = || SessionKill { id: Some(id.clone()), user: None };
    t.row(["session.not_found", "done", "done"], |_| kill()).await;

    t.row(["job.not_found", "done", "done"], |_| JobShow { id: job }).await;
    t.row(["job.not_found", "done", "done"], |_| JobWatch { id: job }).await;
    t.row(["job.not_found", "job.state", "job.state"], |_| JobCancel { id: job }).await;
    t.row(["job.not_found", "job.state", "job.state"], |_| JobRetry { id: job, no_wait: true }).await;

    let theirs = ["vm.not_found", "done", "done"];
    let names = |by: As| vms(&[by.vm()]);
    t.row(theirs, |by| VmShow { name: vm(by.vm()) }).await;
    t.row(theirs, |by| VmShares { name: vm(by.vm()) }).await;
    let sharing = ["vm.not_found", "group.not_found", "done"];
    let to = || group("bobs");
    t.row(sharing, |by| VmShare { name: vm(by.vm()), group: to(), level: Level::See }).await;
    t.row(sharing, |by| VmUnshare { name: vm(by.vm()), group: to() }).await;
    t.row(theirs, |by| VmStats { name: vm(by.vm()) }).await;
    t.row(theirs, |by| VmConsole { name: vm(by.vm()) }).await;
    // Let through, but nobody is at home in a mock's guest.
    let entered = ["vm.not_found", "vm.unreachable", "vm.unreachable"];
    t.row(entered, |by| VmSsh { name: vm(by.vm()), command: vec![] }).await;
    t.row(entered, |by| VmForward { name: vm(by.vm()), port: 22 }).await;
    t.row(theirs, |by| VmPause { names: names(by), no_wait: false }).await;
    t.row(theirs, |by| VmResume { names: names(by), no_wait: false }).await;
    t.row(theirs, |by| VmRestart { names: names(by), force: true, no_wait: false }).await;
    t.row(theirs, |by| VmStop { names: names(by), force: true, no_wait: false }).await;
    t.row(theirs, |by| VmStart { names: names(by), no_wait: false }).await;
    t.row(theirs, |by| VmDestroy { names: names(by), yes: true, no_wait: false }).await;

    assert!(t.wrong.is_empty(), "{:#?}", t.wrong);
    t.compare();
    let all = every_action();
    let seen: BTreeSet<_> = t.seen.iter().map(|s| (*s).to_owned()).collect();
    assert_eq!(all, seen, "the table and the actions differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_own_rows_only_unless_the_role_reaches_further() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    make_vm(p, &alice, "web").await;
    make_vm(p, &bob, "web").await;
    let all = || VmLs { all: true, tag: None, state: None };
    let owners = |vms: Vec<twarga::model::Vm>| vms.into_iter().map(|v| v.owner).collect::<Vec<_>>();
    assert_eq!(owners(p.perform(&bob, all()).await.unwrap()), ["bob"]);
    assert_eq!(owners(p.perform(&portal.admin, all()).await.unwrap()), ["alice", "bob"]);
    let jobs = p.perform(&bob, JobLs { all: true, limit: 100 }).await.unwrap();
    assert!(jobs.iter().all(|j| j.target == "web.bob"), "{jobs:?}");
    let seen = p.perform(&bob, events(true)).await.unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|e| e.actor == "bob"), "{seen:?}");
    // Asking for another's by name does not help.
    let asked = EventLs { actor: Some(String::from("alice")), ..events(true) };
    assert!(p.perform(&bob, asked).await.unwrap().is_empty());
    let mut feed = p.perform(&bob, VmFollow { all: true }).await.unwrap();
    let seen = feed.next().await.unwrap();
    assert!(seen.iter().all(|(vm, _)| vm.owner == "bob"), "{seen:?}");
    let jobs = p.perform(&bob, JobFollow { all: true }).await.unwrap().next().await.unwrap();
    assert!(!jobs.is_empty() && jobs.iter().all(|j| j.target == "web.bob"), "{jobs:?}");
    let sessions = p.perform(&bob, SessionFollow { all: true }).await.unwrap().next().await.unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|s| s.user == "bob"), "{sessions:?}");
    let sessions = p.perform(&portal.admin, SessionFollow { all: true }).await.unwrap().next().await.unwrap();
    assert!(sessions.iter().any(|s| s.user == "alice"), "{sessions:?}");
    let seen = p.perform(&bob, tail()).await.unwrap().next().await.unwrap().events;
    assert!(!seen.is_empty() && seen.iter().all(|e| e.actor == "bob"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_forbidden_rows_give_the_identical_error() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    let name = || vm("web.alice");
    let names = || vms(&["web.alice"]);
    let ask = async || {
        [
            refused(p, &bob, VmShow { name: name() }).await,
            refused(p, &bob, VmStats { name: name() }).await,
            refused(p, &bob, VmConsole { name: name() }).await,
            refused(p, &bob, VmSsh { name: name(), command: vec![] }).await,
            refused(p, &bob, VmForward { name: name(), port: 22 }).await,
            refused(p, &bob, VmForward { name: name(), port: 80 }).await,
            refused(p, &bob, VmStart { names: names(), no_wait: false }).await,
            refused(p, &bob, VmStop { names: names(), force: false, no_wait: false }).await,
            refused(p, &bob, VmPause { names: names(), no_wait: false }).await,
            refused(p, &bob, VmDestroy { names: names(), yes: true, no_wait: false }).await,
            refused(p, &bob, JobShow { id: 1 }).await,
            refused(p, &bob, JobWatch { id: 1 }).await,
            refused(p, &bob, JobCancel { id: 1 }).await,
            refused(p, &bob, JobRetry { id: 1, no_wait: true }).await,
        ]
    };
    let missing = ask().await;
    make_vm(p, &alice, "web").await;
    assert_eq!(ask().await, missing);
    let of_alice = p.perform(&alice, events(false)).await.unwrap()[0].id;
    let forbidden = refused(p, &bob, EventShow { id: of_alice }).await;
    let missing = refused(p, &bob, EventShow { id: 999_999 }).await;
    assert_eq!(
        forbidden.to_string().replace(&of_alice.to_string(), "N"),
        missing.to_string().replace("999999", "N")
    );
    assert_eq!(forbidden.code, missing.code);
    // One of several names suffices, and nothing is done to the others.
    make_vm(p, &bob, "mine").await;
    let both = VmStop { names: vms(&["mine", "web.alice"]), force: true, no_wait: false };
    assert_eq!(refused(p, &bob, both).await.code, Code::VmNotFound);
    assert_eq!(look(p, &bob, "mine").await.state.as_str(), "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_role_and_of_accounts_take_effect_at_once() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let key = portal.user_with_key("carol", "admin").await;
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let fingerprint = twarga::portal::keys::parse_public(&line).unwrap().fingerprint;
    let carol = p.login(HERE).key("carol", fingerprint.clone()).await.principal().unwrap();
    let db = database(&portal);
    let set = |sql: &str| db.execute(&format!("UPDATE users SET {sql} WHERE name = 'carol'"), []).unwrap();
    assert_eq!(outcome(p, &carol, UserLs {}).await, "done");
    set("role = 'user'");
    assert_eq!(outcome(p, &carol, UserLs {}).await, "forbidden");
    assert_eq!(outcome(p, &carol, Whoami {}).await, "done");
    set("role = 'admin'");
    assert_eq!(outcome(p, &carol, UserLs {}).await, "done");
    set("enabled = 0");
    assert_eq!(outcome(p, &carol, Whoami {}).await, "forbidden");
    assert!(!p.login(HERE).would_accept_key("carol", fingerprint.clone()).await);
    assert!(p.login(HERE).key("carol", fingerprint.clone()).await.principal().is_none());
    set("enabled = 1");
    assert_eq!(outcome(p, &carol, Whoami {}).await, "done");
    db.execute("DELETE FROM users WHERE name = 'carol'", []).unwrap();
    assert_eq!(outcome(p, &carol, Whoami {}).await, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_must_choose_a_password_can_do_little_else() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let first = p.perform(&portal.admin, user_new("alice")).await.unwrap().one_time_password.unwrap();
    let alice = portal.sign_in("alice", &first).await;
    let must = "account.must_change_password";
    assert_eq!(outcome(p, &alice, vm_new("web")).await, must);
    assert_eq!(outcome(p, &alice, VmLs { all: false, tag: None, state: None }).await, must);
    assert_eq!(outcome(p, &alice, KeyLs {}).await, must);
    assert_eq!(outcome(p, &alice, events(false)).await, must);
    assert_eq!(outcome(p, &alice, PlanLs {}).await, must);
    assert_eq!(outcome(p, &alice, Whoami {}).await, "done");
    assert_eq!(outcome(p, &alice, AccountShow {}).await, "done");
    assert_eq!(outcome(p, &alice, passwd(&first, &first)).await, "account.password");
    assert_eq!(outcome(p, &alice, passwd("not it at all", PASSWORD)).await, "account.password");
    assert_eq!(outcome(p, &alice, passwd(&first, "short")).await, "account.password");
    assert_eq!(outcome(p, &alice, passwd(&first, PASSWORD)).await, "done");
    assert_eq!(outcome(p, &alice, KeyLs {}).await, "done");
    assert_eq!(driver.calls(Op::Prepare), 0);
}
