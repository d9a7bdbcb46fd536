use super::*;
use crate::error::{Code, Error};
use crate::model::job::JobError;
use crate::tui::app::Mood;

fn toast(model: &Model) -> &str {
    &model.toast.as_ref().unwrap().text
}

#[test]
fn keys_move_the_selection() {
    let mut model = with_vms(80, 24);
    for (keys, name) in [
        ("j", "db"),
        ("\x1b[B\x1b[B", "lab"),
        ("k", "a-very-long-name-of-a-machine-32"),
        ("G", "broken"),
        ("j", "broken"),
        ("\x1b[H", "web1"),
        ("\x1b[A", "web1"),
        ("\x1b[6~", "broken"),
        ("\x1b[5~", "web1"),
        ("\x1b[F", "broken"),
        ("g", "web1"),
    ] {
        assert!(press(&mut model, keys).is_empty());
        assert_eq!(selected(&mut model), name, "{keys:?}");
    }
}

#[test]
fn the_selection_stays_on_its_vm_and_then_on_its_place() {
    let mut model = with_vms(80, 24);
    press(&mut model, "jj");
    let mut list = some_vms();
    list.remove(0);
    update(&mut model, Msg::Vms { all: false, list: list.clone() });
    assert_eq!(selected(&mut model), "a-very-long-name-of-a-machine-32");
    list.remove(1);
    update(&mut model, Msg::Vms { all: false, list: list.clone() });
    assert_eq!(selected(&mut model), "lab");
    // It is bound to what it fell on.
    list.insert(0, (vm(9, "aaa", "alice", VmState::Stopped), None));
    update(&mut model, Msg::Vms { all: false, list });
    assert_eq!(selected(&mut model), "lab");
    update(&mut model, Msg::Vms { all: false, list: vec![] });
    assert!(press(&mut model, "jksSd\r").is_empty());
}

#[test]
fn enter_and_console_want_a_running_vm() {
    let mut model = with_vms(80, 24);
    let tab = |way| vec![format!("Tab({:?}, {way})", "web1".parse::<crate::model::name::VmRef>().unwrap())];
    assert_eq!(press(&mut model, "\r"), tab("Shell"));
    assert_eq!(press(&mut model, "c"), tab("Console"));
    press(&mut model, "j\r");
    assert_eq!(toast(&model), "“db” is stopped.");
    assert_eq!(model.toast.as_ref().unwrap().hint, "Press s to start it.");
}

#[test]
fn changes_ask_first_where_something_may_be_lost() {
    let mut model = with_vms(80, 24);
    let name = ["web1.alice"];
    assert_eq!(press(&mut model, "p"), does("vm.pause", &name));
    assert!(press(&mut model, "S").is_empty());
    assert!(press(&mut model, "\r x").is_empty());
    assert!(press(&mut model, "n").is_empty());
    assert_eq!(over(&model), None);
    assert_eq!(press(&mut model, "Sy"), does("vm.stop", &name));
    assert_eq!(press(&mut model, "ry"), does("vm.restart", &name));
    // Another row under the question changes nothing.
    press(&mut model, "S");
    update(&mut model, Msg::Vms { all: false, list: some_vms().split_off(1) });
    assert_eq!(press(&mut model, "y"), does("vm.stop", &name));
    press(&mut model, "gj");
    assert_eq!(selected(&mut model), "a-very-long-name-of-a-machine-32");
    let paused = ["a-very-long-name-of-a-machine-32.alice"];
    assert_eq!(press(&mut model, "p"), does("vm.resume", &paused));
}

#[test]
fn destroying_wants_the_name() {
    let mut model = with_vms(80, 24);
    assert!(press(&mut model, "d\ry\r").is_empty());
    assert_eq!(over(&model), Some("ask"));
    assert!(press(&mut model, "\x1b").is_empty());
    assert_eq!(over(&model), None);
    assert_eq!(press(&mut model, "dweb1\r"), does("vm.destroy", &["web1.alice"]));
}

#[test]
fn a_paste_presses_no_keys() {
    let mut model = with_vms(80, 24);
    assert!(press(&mut model, "\x1b[200~dSyq\n\x1b[201~").is_empty());
    assert_eq!(over(&model), None);
}

#[test]
fn jobs_are_told_to_their_end() {
    let mut model = with_vms(80, 24);
    let db = model.shared.vms.rows()[1].vm.clone();
    let now = |list| jobs_now(false, list);
    let running = |percent| job(7, "vm.start", &db, JobState::Running, percent);
    let over = |state| job(7, "vm.start", &db, state, 100);
    assert!(update(&mut model, Msg::Begun(vec![running(0)])).is_empty());
    update(&mut model, now(vec![running(45)]));
    assert_eq!(model.shared.job_of(&db).unwrap().percent, 45);
    update(&mut model, now(vec![over(JobState::Succeeded)]));
    assert!(model.shared.jobs.is_empty());
    assert_eq!(toast(&model), "db is started.");
    // What was over when the screen came is not told.
    model.toast = None;
    update(&mut model, now(vec![over(JobState::Succeeded)]));
    assert_eq!(model.toast, None);
    let mut failed = job(8, "vm.start", &db, JobState::Failed, 30);
    failed.error =
        Some(JobError { code: "quota".into(), message: "No port is left.".into(), hint: "Ask.".into() });
    update(&mut model, Msg::Begun(vec![job(8, "vm.start", &db, JobState::Running, 5)]));
    let effects = update(&mut model, now(vec![failed, over(JobState::Succeeded)]));
    assert_eq!(toast(&model), "db: No port is left.");
    assert!(matches!(effects[..], [Effect::ForgetAfter(_, 60)]));
    // An answer to what is not asked any more.
    update(&mut model, jobs_now(true, vec![running(1)]));
    assert!(model.shared.jobs.is_empty());
}

#[test]
fn only_the_latest_toast_is_taken_away() {
    let mut model = with_vms(80, 24);
    let first = model.say(Mood::Good, "one", "");
    model.say(Mood::Good, "two", "");
    let Effect::ForgetAfter(id, _) = first else { panic!() };
    update(&mut model, Msg::Forget(id));
    assert_eq!(toast(&model), "two");
    update(&mut model, Msg::Forget(id + 1));
    assert_eq!(model.toast, None);
    update(&mut model, Msg::Failed(Error::new(Code::Quota, "three")));
    press(&mut model, "\x1b");
    assert_eq!(model.toast, None);
}

#[test]
fn the_filter_takes_text_until_enter() {
    let mut model = with_vms(80, 24);
    assert!(press(&mut model, "/q").is_empty());
    assert!(seen(&mut model).0.join("\n").contains("/q  0 of 5"));
    press(&mut model, "\x7fdeb");
    assert!(seen(&mut model).0.join("\n").contains("/deb  2 of 5"));
    press(&mut model, "\r");
    assert_eq!(selected(&mut model), "db");
    press(&mut model, "j");
    assert_eq!(selected(&mut model), "lab");
    press(&mut model, "\x1b");
    assert_eq!(selected(&mut model), "lab");
    assert!(seen(&mut model).0.join("\n").contains("web1"));
    press(&mut model, "/x\x1b");
    assert!(seen(&mut model).0.join("\n").contains("web1"));
}

#[test]
fn everybodys_only_for_those_who_may() {
    let mut model = with_vms(80, 24);
    press(&mut model, "a");
    assert_eq!(toast(&model), "Your role shows you your own VMs only.");
    let mut model = super::model(RoleName::ADMIN, 80, 24);
    assert_eq!(
        press(&mut model, "a"),
        ["Follow(frame.vms: vm.follow true)", "Follow(frame.jobs: job.follow true)"]
    );
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    assert!(model.shared.vms.rows().is_empty(), "an answer to what is not asked any more");
    let list =
        vec![(vm(1, "web1", "bob", VmState::Running), None), (vm(2, "db", "alice", VmState::Stopped), None)];
    update(&mut model, Msg::Vms { all: true, list });
    let (lines, _) = seen(&mut model);
    assert!(lines[3].contains("web1.bob") && lines[4].contains(" db "), "{lines:?}");
    assert!(press(&mut model, "dweb1\r").is_empty());
    assert_eq!(press(&mut model, "\x15web1.bob\r"), does("vm.destroy", &["web1.bob"]));
}

#[test]
fn ways_out() {
    let mut model = with_vms(80, 24);
    assert_eq!(press(&mut model, "q"), ["Quit"]);
    assert_eq!(press(&mut model, "\x03"), ["Quit"]);
    for over in ["?", "S", "d", "n", "/", ":"] {
        press(&mut model, over);
        let effects = press(&mut model, "\x03");
        assert!(effects.is_empty(), "{over}: the first Ctrl-C leaves only what lies over the page");
        assert_eq!(press(&mut model, "\x03"), ["Quit"]);
    }
    assert_eq!(press(&mut model, "\x0c"), ["Redraw"]);
}

#[test]
fn several_are_marked_and_changed_together() {
    let mut model = with_vms(80, 24);
    // web1 runs, the third is paused; db between them is stopped.
    press(&mut model, "   ");
    assert!(seen(&mut model).0.join("\n").contains("3 marked"));
    let both = ["web1.alice", "a-very-long-name-of-a-machine-32.alice"];
    assert_eq!(press(&mut model, "Sy"), does("vm.stop", &both), "only those that can be stopped");
    assert_eq!(press(&mut model, "s"), does("vm.start", &["db.alice"]));
    press(&mut model, "d");
    assert!(press(&mut model, "web1\r").is_empty());
    let three = ["web1.alice", "db.alice", both[1]];
    assert_eq!(press(&mut model, "\x153 VMs\r"), does("vm.destroy", &three));
    // What is gone is not marked any more.
    update(&mut model, Msg::Vms { all: false, list: some_vms().split_off(1) });
    assert!(seen(&mut model).0.join("\n").contains("2 marked"));
    press(&mut model, "\x1b");
    assert!(!seen(&mut model).0.join("\n").contains("marked"));
}

#[test]
fn columns_sort_both_ways_and_by_a_click() {
    let mut model = with_vms(80, 24);
    let names = |model: &mut Model| -> Vec<String> {
        let (lines, _) = seen(model);
        lines[3..8].iter().map(|l| l.split_whitespace().nth(2).unwrap_or_default().to_owned()).collect()
    };
    press(&mut model, "oo");
    let sorted = names(&mut model);
    assert_eq!([&sorted[1], &sorted[2], &sorted[4]], ["broken", "db", "web1"]);
    press(&mut model, "O");
    let reversed = names(&mut model);
    assert!(sorted.iter().rev().eq(reversed.iter()));
    // The heading of the name's column.
    press(&mut model, "\x1b[<0;12;3M");
    assert_eq!(names(&mut model), sorted);
    press(&mut model, "\x1b[<0;12;3M");
    assert_eq!(names(&mut model), reversed);
}

#[test]
fn the_mouse_selects_and_scrolls() {
    let mut model = with_vms(80, 24);
    seen(&mut model);
    press(&mut model, "\x1b[<0;20;5M\x1b[<0;20;5m");
    assert_eq!(selected(&mut model), "db");
    press(&mut model, "\x1b[<65;20;5M");
    assert_eq!(selected(&mut model), "broken");
    press(&mut model, "\x1b[<64;20;5M");
    assert_eq!(selected(&mut model), "db");
    // Below the rows there is nothing to select.
    press(&mut model, "\x1b[<0;20;15M");
    assert_eq!(selected(&mut model), "db");
}

#[test]
fn the_line_takes_pages_and_commands() {
    let mut model = with_vms(80, 24);
    assert!(press(&mut model, ":vms\r").is_empty());
    assert_eq!(press(&mut model, ":vm ls --all\r"), ["Line(\"vm ls --all\")"]);
    assert_eq!(press(&mut model, ":account passwd\r"), ["HandOver(Line(\"account passwd\"))"]);
    assert_eq!(press(&mut model, ":q\x7f\x7f"), [""; 0], "the last Backspace leaves it");
    assert_eq!(over(&model), None);
    assert_eq!(press(&mut model, ":quit\r"), ["Quit"]);
    // Completion and history.
    press(&mut model, ":vm st\t\t");
    assert!(seen(&mut model).0.join("\n").contains("start  stats  stop"));
    press(&mut model, "a\t\t");
    assert!(seen(&mut model).0.join("\n").contains("start  stats"));
    press(&mut model, "\x15\x1b[A\x1b[A");
    assert!(seen(&mut model).0.join("\n").contains(":account passwd"));
    press(&mut model, "\x1b");
    assert_eq!(over(&model), None);
}

#[test]
fn what_is_copied_is_chosen() {
    let mut model = with_vms(80, 24);
    let mut list = some_vms();
    list[0].0.host_key = "ssh-ed25519 AAAA".into();
    update(&mut model, Msg::Vms { all: false, list });
    assert!(press(&mut model, "y").is_empty());
    assert_eq!(over(&model), Some("copy"));
    let text = seen(&mut model).0.join("\n");
    let choices = [
        "ssh alice+web1@PORTAL",
        "ssh -J alice@PORTAL root@web1",
        "10.0.2.11",
        "web1.alice ssh-ed25519 AAAA",
    ];
    for choice in choices {
        assert!(text.contains(choice), "{choice}");
    }
    assert_eq!(press(&mut model, "\r"), [format!("Copy({:?})", choices[0])]);
    assert_eq!(toast(&model), "Copied: ssh alice+web1@PORTAL");
    assert_eq!(over(&model), None);
    for (keys, choice) in [("j\r", 1), ("k\r", 3), ("\x1b[B\x1b[B\r", 2), ("4", 3), ("jjjjj\r", 1), ("y", 0)]
    {
        press(&mut model, "y");
        assert_eq!(press(&mut model, keys), [format!("Copy({:?})", choices[choice])], "{keys:?}");
    }
    press(&mut model, "y9");
    assert_eq!(over(&model), Some("copy"), "there is no ninth");
    let (_, (_, y)) = seen(&mut model);
    let click = format!("\x1b[<0;20;{}M", y + 3);
    assert_eq!(press(&mut model, &click), [format!("Copy({:?})", choices[2])]);
    press(&mut model, "y\x1b");
    assert_eq!(over(&model), None);
    // One that is not there has no address.
    assert!(text.contains("3 address"));
    press(&mut model, "jy");
    let text = seen(&mut model).0.join("\n");
    assert!(text.contains("2 jump") && !text.contains("3 address"));
}

#[test]
fn random_bytes_lead_nowhere_bad() {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz/:? \t\r\x1b[A123456*";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (cols, rows) in [(1, 1), (24, 7), (40, 12), (80, 24), (200, 60)] {
        let mut model = with_vms(cols, rows);
        for _ in 0..150 {
            // Letters more often than rubbish: those are what keys are.
            let bytes: Vec<u8> = (0..random() % 24)
                .map(|_| match random() {
                    n if n % 3 == 0 => n.to_le_bytes()[1],
                    n => LETTERS[usize::try_from(n).unwrap() % LETTERS.len()],
                })
                .collect();
            let mut decoder = Decoder::new();
            let mut keys = decoder.feed(&bytes);
            keys.extend(decoder.flush());
            for key in keys {
                update(&mut model, Msg::Key(key));
            }
            let (lines, (x, y)) = seen(&mut model);
            assert!(x < cols && y < rows);
            assert!(!lines.concat().chars().any(crate::model::text::is_unsafe), "{lines:?}");
        }
    }
}
