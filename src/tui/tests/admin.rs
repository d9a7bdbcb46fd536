//! The page for those who run the place.

use std::sync::Arc;

use super::account::{session, user};
use super::*;
use crate::action::user::NewAccount;
use crate::error::{Code, Error};
use crate::model::group::Group;
use crate::model::{Ban, Invitation, InvitationState, Policy, Role};
use crate::model::{Check, Gauges, Health, Image, Plan, Published, Size, Status};
use crate::tui::feeds::Heard;
use crate::tui::page::News;
use crate::tui::pages::admin::{bans, catalogue, groups, invites, new_user, roles, users};
use crate::tui::widgets::listing::tests::listed;
use zeroize::Zeroizing;

const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (200, 60)];

fn published() -> Published {
    let part = |name, status, message: &str| Check { name, status, message: message.into(), needed: true };
    Published {
        at: Time::from_millis(1_784_000_000_000),
        started_at: Time::from_millis(1_783_900_000_000),
        version: "0.1.0",
        health: Health {
            checks: vec![
                part("database", Status::Healthy, "It answers."),
                part("libvirt", Status::Unhealthy, "libvirtd does not answer. \u{1b}[31m"),
            ],
        },
        gauges: Gauges {
            cpu_percent: 42.0,
            cpus: 8,
            memory_total_bytes: 16 << 30,
            memory_used_bytes: 4 << 30,
            disk_total_bytes: 100 << 30,
            disk_free_bytes: 75 << 30,
            active_sessions: 3,
            vms: [0, 2, 0, 1, 0],
            ..Gauges::default()
        },
        cpu_history: (0..120).map(f64::from).collect(),
        sample_s: 5,
        ..Published::default()
    }
}

fn image() -> Image {
    Image {
        name: "micro".into(),
        description: "A very small Linux with busybox".into(),
        ssh_user: "root".into(),
        min_ram_mb: 64,
        min_disk_gb: 1,
        size_bytes: 12 << 20,
        built_at: Time::from_millis(1_784_000_000_000),
        digest: String::new(),
    }
}

fn tell(model: &mut Model, news: News) -> Vec<String> {
    words(&update(model, Msg::News("admin", news)))
}

fn page(cols: u16, rows: u16) -> Model {
    let mut model = model(RoleName::ADMIN, cols, rows);
    press(&mut model, ":admin\r");
    let mut dora = user(3, "dora", RoleName::USER);
    dora.must_change_password = true;
    let all = vec![user(1, "alice", RoleName::ADMIN), user(2, "bob", RoleName::USER), dora];
    tell(&mut model, listed::<users::Users>(all));
    let policy = Policy { second_factor: true, ..Policy::default() };
    let permissions = RoleName::OPERATOR.built_in().unwrap();
    let operator = Role { name: RoleName::OPERATOR, built_in: true, permissions, policy, users: 1 };
    tell(&mut model, listed::<roles::Roles>(vec![operator]));
    let invitation = Invitation {
        id: 3,
        state: InvitationState::Open,
        role: RoleName::USER,
        group: Some(String::from("class3")),
        credits: None,
        uses: 30,
        used: 12,
        created_by: String::from("alice"),
        created_at: Time::from_millis(0),
        expires_at: Time::from_millis(1_784_000_000_000),
    };
    tell(&mut model, listed::<invites::Invites>(vec![invitation]));
    let ban = Ban {
        network: "192.0.2.7".parse().unwrap(),
        since: Time::from_millis(0),
        until: None,
        strikes: 2,
        by: None,
        note: String::from("too many wrong passwords"),
    };
    tell(&mut model, listed::<bans::Bans>(vec![ban]));
    let members = ["alice", "@tutors"].map(|m| m.parse().unwrap()).to_vec();
    let (name, note) = ("class3".parse().unwrap(), String::from("Networks"));
    let class = Group { id: 1, name, note, members, vms: Vec::new(), created_at: Time::from_millis(0) };
    tell(&mut model, listed::<groups::Groups>(vec![class]));
    let sessions = vec![session("3f9a52c81b07", "alice", true), session("77aa52c81b07", "bob", false)];
    tell(&mut model, Box::new(Heard { feed: 0, news: Ok(sessions) }));
    tell(&mut model, Box::new(Heard { feed: 0, news: Ok(Arc::new(published())) }));
    let size = Size { vcpus: 1, ram_mb: 512, disk_gb: 10 };
    let plan = Plan { name: "small".into(), size, credits_per_hour: 1.0 };
    tell(&mut model, Box::new(catalogue::Heard::Images(Ok(vec![image()]))));
    tell(&mut model, Box::new(catalogue::Heard::Plans(Ok(vec![plan]))));
    model
}

fn screen(model: &mut Model) -> String {
    seen(model).0.join("\n")
}

fn part(model: &mut Model, title: &str) {
    while !model.crumbs().contains(&title.to_owned()) {
        press(model, "\t");
    }
}

#[test]
fn is_there_for_admins_only() {
    let mut model = model(RoleName::USER, 80, 24);
    assert!(!screen(&mut model).contains("Admin"));
    assert!(model.entries().all(|e| e.word != "admin"));
    assert!(screen(&mut page(80, 24)).contains("Admin"));
}

#[test]
fn asks_for_what_it_shows_and_follows_under_its_own_word() {
    let mut model = model(RoleName::ADMIN, 80, 24);
    let asked = press(&mut model, ":admin\r");
    let wanted = |what: &str| asked.iter().any(|e| e.starts_with(what));
    for what in ["Do(user.ls", "Do(image.ls", "Do(plan.ls", "Follow(admin: "] {
        assert!(wanted(what), "{what}: {asked:?}");
    }
    let follow = asked.iter().find(|e| e.starts_with("Follow(")).unwrap();
    assert!(follow.contains("session.follow") && follow.contains("host.follow"), "{follow}");
    assert!(press(&mut model, ":vms\r").contains(&String::from("Unfollow(\"admin\")")));
}

#[test]
fn every_part_fits_small_usual_and_large_screens() {
    for (cols, rows) in SIZES {
        let mut model = page(cols, rows);
        for (title, words) in [
            ("Users", &["NAME", "alice", "admin"][..]),
            ("Roles", &["operator", "second factor"]),
            ("Groups", &["class3", "@tutors"]),
            ("Invites", &["of 30", "open"]),
            ("Bans", &["192.0.2.7", "UNTIL"]),
            ("Sessions", &["USER", "bob", "203.0.113.9"]),
            ("Host", &["State", "unhealthy", "42% of 8", "4 GiB of 16 GiB", "75 GiB free"]),
            ("Images", &["micro", "A very small Linux"]),
        ] {
            part(&mut model, title);
            let all = screen(&mut model);
            for word in words {
                assert!(all.contains(word), "{title}: {word} at {cols}x{rows}:\n{all}");
            }
            assert!(!all.contains('…') || cols == 40, "something is cut at {cols}x{rows}:\n{all}");
            assert!(!all.chars().any(|c| c != '\n' && crate::model::text::is_unsafe(c)), "{all:?}");
        }
        if cols == 200 {
            let all = screen(&mut model);
            assert!(all.contains("alice") && all.contains("libvirtd does not answer"), "{all}");
            assert!(all.contains("42% of 8") && all.contains("A very small Linux"), "{all}");
        }
    }
}

#[test]
fn an_account_is_made_and_its_password_shown_once() {
    let mut model = page(80, 24);
    press(&mut model, "nNot a name\r");
    assert_eq!(over(&model), Some("new_user"));
    assert!(screen(&mut model).contains("New account"));
    press(&mut model, "\x15carol\t  ");
    let asked = press(&mut model, "\r");
    assert_eq!(asked, ["Do(user.new {\"name\":\"carol\",\"role\":\"admin\"})"]);
    let refused = Error::new(Code::Exists, "There is an account called “carol” already.");
    update(&mut model, Msg::news("new_user", new_user::Answer(Err(refused))));
    assert!(screen(&mut model).contains("There is an account called “carol” already. Choose another name."));
    assert_eq!(press(&mut model, "\r").len(), 1);
    let password = Some(Zeroizing::new(String::from("kfbq-7w2m-xxxx-yyyy")));
    let made = NewAccount { user: user(4, "carol", RoleName::ADMIN), one_time_password: password };
    let effects = words(&update(&mut model, Msg::news("new_user", new_user::Answer(Ok(made)))));
    assert_eq!(effects, ["Do(user.ls {})"]);
    let all = screen(&mut model);
    assert!(all.contains("kfbq-7w2m-xxxx-yyyy") && all.contains("not shown again"), "{all}");
    assert!(press(&mut model, "y").iter().any(|e| e.contains("Copy(\"kfbq-7w2m-xxxx-yyyy\")")));
    press(&mut model, "\r");
    assert!(over(&model).is_none() && !screen(&mut model).contains("kfbq"));
    tell(
        &mut model,
        listed::<users::Users>(vec![user(1, "alice", RoleName::ADMIN), user(4, "carol", RoleName::ADMIN)]),
    );
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].starts_with("carol"), "{lines:#?}");
}

#[test]
fn several_accounts_are_disabled_and_removed_at_once() {
    let mut model = page(80, 24);
    press(&mut model, "j j x");
    let all = screen(&mut model);
    assert!(all.contains("Disable 2 accounts, and end their connections?"), "{all}");
    let done = press(&mut model, "y");
    assert_eq!(done, ["Do(user.disable {\"name\":\"bob\"})", "Do(user.disable {\"name\":\"dora\"})"]);
    assert_eq!(press(&mut model, "dy").len(), 2);
    press(&mut model, "e");
    assert!(screen(&mut model).contains(":user set bob"));
}

#[test]
fn an_account_is_shown_and_anybodys_session_is_ended() {
    let mut model = page(80, 24);
    assert_eq!(press(&mut model, "j\r"), ["Line(\"user show bob\")"]);
    part(&mut model, "Sessions");
    press(&mut model, "jd");
    assert!(screen(&mut model).contains("End bob's connection from 203.0.113.9"));
    assert_eq!(press(&mut model, "y"), ["Do(session.kill {\"id\":\"77aa52c81b07\"})"]);
}
