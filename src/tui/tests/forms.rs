//! The form that makes a VM.

use super::*;
use crate::error::{Code, Error};
use crate::model::plan::{LEAST, Limits};
use crate::model::{Image, Plan, Size, SshKey};
use crate::tui::pages::vms::new::Heard;

fn image(name: &str, min_ram_mb: u32) -> Image {
    Image {
        name: name.into(),
        description: format!("The image {name}"),
        ssh_user: "root".into(),
        min_ram_mb,
        min_disk_gb: 2,
        size_bytes: u64::from(min_ram_mb),
        built_at: Time::from_millis(0),
        digest: String::new(),
    }
}

fn limits() -> Limits {
    let most = Size { vcpus: 4, ram_mb: 4096, disk_gb: 50 };
    Limits { least: LEAST, most, vms_per_user: 20, tags: 16, tag_characters: 40, user_data_bytes: 2000 }
}

fn ssh_key(note: &str) -> SshKey {
    SshKey {
        id: 1,
        user_id: 1,
        algorithm: "ssh-ed25519".into(),
        fingerprint: "SHA256:abcdefghijklmnopqrstuvwxyz".into(),
        note: note.into(),
        line: String::new(),
        created_at: Time::from_millis(0),
        last_used_at: None,
        last_used_from: None,
        limits: crate::model::KeyLimits::default(),
    }
}

fn tell(model: &mut Model, heard: Heard) -> Vec<String> {
    words(&update(model, Msg::news("new", heard)))
}

/// The form, with all known that there is to choose from.
fn form(cols: u16, rows: u16) -> Model {
    let mut model = with_vms(cols, rows);
    let asked = press(&mut model, "n");
    assert_eq!(asked, ["Do(image.ls {})", "Do(plan.ls {})", "Do(plan.limits {})", "Do(key.ls {})"]);
    tell(&mut model, Heard::Images(Ok(vec![image("debian-12", 1024), image("micro", 64)])));
    tell(&mut model, Heard::Plans(Ok(Plan::built_in())));
    tell(&mut model, Heard::Limits(Ok(limits())));
    tell(&mut model, Heard::Keys(Ok(vec![ssh_key("laptop")])));
    model
}

fn text(model: &mut Model) -> String {
    seen(model).0.join("\n")
}

#[test]
fn is_whole_at_80x24_and_scrolls_in_smaller_windows() {
    let mut model = form(80, 24);
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines[5..18],
        [
            "╭ New VM ──────────────────────────────────────────────────────────────────────╮",
            "│ Name       vm1                                                               │",
            "│ Image      ‹ micro ›  1 of 2  The image micro. At least 64 MB, 2 GB.         │",
            "│ Plan       ‹ small ›  1 of 4  1 CPU, 512 MiB, 10 GB                          │",
            "│ Tags                                           words, with commas between    │",
            "│ User data                                                                    │",
            "│                                                                              │",
            "│                                                                              │",
            "│            A cloud-config or a script for cloud-init: type or paste it.      │",
            "│ Cost       1 credit an hour, 24 a day, 720 in 30 days                        │",
            "│ Keys       laptop lets you in, by a jump too.                                │",
            "│            [ Create vm1 ]                                                    │",
            "╰──────────────────────────────────────────────────────────────────────────────╯",
        ]
    );
    assert_eq!(cursor, (16, 6));
    // With every field there is, and something long in the one that can be long.
    press(&mut model, "\t\t\x1b[D\t\t\t\t\t\x1b[200~a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\n\x1b[201~");
    let whole = text(&mut model);
    assert!(!whole.contains("more") && whole.contains("Name") && whole.contains("[ Create vm1 ]"), "{whole}");
    for size in [(40, 12), (60, 16)] {
        let mut model = form(size.0, size.1);
        press(&mut model, "\t\t\x1b[D\x1b[Z\x1b[Z");
        for label in
            ["Name", "Image", "Plan", "Memory", "CPUs", "Disk", "Tags", "User data", "[ Create vm1 ]"]
        {
            let (lines, (_, y)) = seen(&mut model);
            assert!(lines[usize::from(y)].contains(label), "{label}: {lines:#?}");
            press(&mut model, "\t");
        }
        assert!(text(&mut model).contains("more ↓"));
    }
}

#[test]
fn what_is_typed_is_checked_as_it_is_typed() {
    let mut model = form(80, 24);
    for (keys, said) in [
        ("web1", "There is a VM called “web1” already."),
        ("\x15Web", "all lower case"),
        ("\x15web-", "all lower case"),
    ] {
        press(&mut model, keys);
        assert!(text(&mut model).contains(said), "{keys:?}: {}", text(&mut model));
        assert!(press(&mut model, "\x13").is_empty(), "{keys:?}");
    }
    press(&mut model, "2");
    assert!(!text(&mut model).contains("all lower case"));
    // An image that wants more than the plan has.
    press(&mut model, "\td");
    assert!(text(&mut model).contains("“debian-12” wants at least 1024 MB of memory and 2 GB of disk."));
    assert!(press(&mut model, "\x13").is_empty());
    // The focus has gone to the plan.
    press(&mut model, "m");
    assert!(text(&mut model).contains("3 credits an hour, 72 a day, 2160 in 30 days"));
    press(&mut model, &format!("\t{}", "x".repeat(41)));
    assert!(text(&mut model).contains("at most 16 tags of at most 40 characters"));
    assert!(press(&mut model, "\x13").is_empty());
    press(&mut model, "\x7f, lab\t\x1b[200~#!/bin/sh\n\techo\n\x1b[201~");
    assert!(text(&mut model).contains("3 lines, 16 B"));
    let asked = press(&mut model, "\x13");
    let tags = format!("[\"{}\",\"lab\"]", "x".repeat(40));
    assert_eq!(
        asked,
        [format!(
            "Do(vm.new {{\"name\":\"web-2\",\"image\":\"debian-12\",\"plan\":\"medium\",\"ram\":null,\"cpu\":null,\
             \"disk\":null,\"user_data\":\"16 bytes\",\"tags\":{tags}}})"
        )]
    );
}

#[test]
fn a_size_of_ones_own_begins_with_the_plans_and_keeps_to_the_limits() {
    let mut model = form(80, 24);
    // micro, medium, custom.
    press(&mut model, "lab2\t\tm\x1b[D\x1b[D");
    let custom = text(&mut model);
    assert!(custom.contains("Memory     512"), "{custom}");
    press(&mut model, "\x1b[C\x1b[Cc");
    let custom = text(&mut model);
    assert!(
        custom.contains("Memory     2048")
            && custom.contains("CPUs       2")
            && custom.contains("Disk       20"),
        "{custom}"
    );
    press(&mut model, "\t9999");
    assert!(text(&mut model).contains("It is 64 to 4096 MB."));
    assert!(text(&mut model).contains("Cost       –"));
    assert!(press(&mut model, "\x13").is_empty());
    press(&mut model, "\x151024\t4\t2");
    assert!(text(&mut model).contains("3 credits an hour"));
    let asked = press(&mut model, "\x13");
    assert!(asked[0].contains("\"plan\":null,\"ram\":1024,\"cpu\":4,\"disk\":2,"), "{asked:?}");
    // The image's least is the least.
    let mut model = form(80, 24);
    press(&mut model, "\td\tc\t64");
    assert!(text(&mut model).contains("It is 1024 to 4096 MB."));
}

#[test]
fn what_the_portal_refuses_comes_back_to_its_field() {
    let mut model = form(80, 24);
    press(&mut model, "web9\x13");
    assert!(text(&mut model).contains("Asking for it…"));
    assert!(press(&mut model, "x\x13\r").is_empty(), "once is enough");
    let exists = Error::new(Code::Exists, "There is a VM called “web9” already.");
    tell(&mut model, Heard::Made(Err(exists)));
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].contains("Name       web9"));
    assert!(lines.join("\n").contains("There is a VM called “web9” already."));
    press(&mut model, "5\x13");
    tell(&mut model, Heard::Made(Err(Error::new(Code::Quota, "You have 20 VMs, and no more are allowed."))));
    let text = text(&mut model);
    assert!(text.contains("You have 20 VMs, and no more are allowed. `vm destroy` frees"), "{text}");
    assert!(text.contains("web95"), "nothing that was typed is lost");
    press(&mut model, "\x13");
    let vm = vm(9, "web95", "alice", VmState::Pending);
    assert!(tell(&mut model, Heard::Made(Ok(job(3, "vm.new", &vm, JobState::Queued, 0)))).is_empty());
    assert_eq!(over(&model), None);
    assert_eq!(model.shared.job_of(&vm).map(|j| j.id), Some(3));
}

#[test]
fn what_is_missing_is_said() {
    let mut model = with_vms(80, 24);
    press(&mut model, "n");
    assert!(text(&mut model).contains("Looking for images…"));
    tell(&mut model, Heard::Images(Ok(vec![])));
    assert!(text(&mut model).contains("There is no image yet"));
    tell(&mut model, Heard::Plans(Ok(Plan::built_in())));
    tell(&mut model, Heard::Keys(Ok(vec![])));
    assert!(text(&mut model).contains("You have none"));
    assert!(press(&mut model, "\x13").is_empty());
    tell(&mut model, Heard::Limits(Err(Error::new(Code::DatabaseUnavailable, "The database is busy."))));
    assert!(text(&mut model).contains("The database is busy."));
    // A key without a note is told by its fingerprint, and several are not all named.
    tell(
        &mut model,
        Heard::Keys(Ok(vec![ssh_key(""), ssh_key("a"), ssh_key("b"), ssh_key("c"), ssh_key("d")])),
    );
    assert!(text(&mut model).contains("SHA256:abcdefghijkl…, a, b, c and 1 more let you in"));
    let evil = format!("\u{1b}[2J{}", "x".repeat(100));
    tell(&mut model, Heard::Keys(Ok(vec![ssh_key(&evil)])));
    tell(&mut model, Heard::Images(Ok(vec![image("\u{202e}m", 1)])));
    assert!(!text(&mut model).chars().any(|c| c != '\n' && crate::model::text::is_unsafe(c)));
}

#[test]
fn what_was_typed_is_asked_about_before_it_is_lost() {
    let mut model = form(80, 24);
    press(&mut model, "web9\x1b");
    assert_eq!(over(&model), Some("new"));
    assert!(text(&mut model).contains("would be lost"));
    press(&mut model, "\x1b");
    assert_eq!(over(&model), None);
    form(80, 24);
    let mut model = form(80, 24);
    press(&mut model, "\x1b");
    assert_eq!(over(&model), None, "nothing was typed");
}
