use super::*;
use crate::error::{Code, Error};
use crate::model::job::JobError;
use crate::tui::Leave;
use crate::tui::app::{Mood, Overlay, Verb};

fn selected(model: &Model) -> &str {
    &model.vms.selected().unwrap().vm.name
}

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
        assert_eq!(press(&mut model, keys), []);
        assert_eq!(selected(&model), name, "{keys:?}");
    }
}

#[test]
fn the_selection_stays_on_its_vm_and_then_on_its_place() {
    let mut model = with_vms(80, 24);
    press(&mut model, "jj");
    let mut list = some_vms();
    list.remove(0);
    update(&mut model, Msg::Vms { all: false, list: list.clone() });
    assert_eq!(selected(&model), "a-very-long-name-of-a-machine-32");
    list.remove(1);
    update(&mut model, Msg::Vms { all: false, list: list.clone() });
    assert_eq!(selected(&model), "lab");
    // It is bound to what it fell on.
    list.insert(0, (vm(9, "aaa", "alice", VmState::Stopped), None));
    update(&mut model, Msg::Vms { all: false, list });
    assert_eq!(selected(&model), "lab");
    update(&mut model, Msg::Vms { all: false, list: vec![] });
    assert_eq!(press(&mut model, "jksSd\r"), []);
}

#[test]
fn what_was_selected_before_is_selected_again() {
    let mut model = model(Role::User, 80, 24);
    model.vms = Vms::new(false, Some("lab.alice".into()), "");
    assert_eq!(model.vms.selected_name(), Some("lab.alice".into()));
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    assert_eq!(selected(&model), "lab");
}

#[test]
fn enter_and_console_want_a_running_vm() {
    let mut model = with_vms(80, 24);
    let name = || "web1.alice".parse().unwrap();
    assert_eq!(press(&mut model, "\r"), [Effect::Leave(Leave::Enter(name()))]);
    assert_eq!(press(&mut model, "c"), [Effect::Leave(Leave::Console(name()))]);
    press(&mut model, "j\r");
    assert_eq!(toast(&model), "“db” is stopped.");
    assert_eq!(model.toast.as_ref().unwrap().hint, "Press s to start it.");
}

#[test]
fn changes_ask_first_where_something_may_be_lost() {
    let mut model = with_vms(80, 24);
    let name = || "web1.alice".parse().unwrap();
    assert_eq!(press(&mut model, "p"), [Effect::Change(Verb::Pause, name())]);
    assert_eq!(press(&mut model, "S"), []);
    assert_eq!(press(&mut model, "\r x"), []);
    assert_eq!(press(&mut model, "n"), []);
    assert!(matches!(model.overlay, Overlay::None));
    assert_eq!(press(&mut model, "Sy"), [Effect::Change(Verb::Stop, name())]);
    assert_eq!(press(&mut model, "ry"), [Effect::Change(Verb::Restart, name())]);
    // Another row under the question changes nothing.
    press(&mut model, "S");
    update(&mut model, Msg::Vms { all: false, list: some_vms().split_off(1) });
    assert_eq!(press(&mut model, "y"), [Effect::Change(Verb::Stop, name())]);
    press(&mut model, "gj");
    assert_eq!(selected(&model), "a-very-long-name-of-a-machine-32");
    let paused = "a-very-long-name-of-a-machine-32.alice".parse().unwrap();
    assert_eq!(press(&mut model, "p"), [Effect::Change(Verb::Resume, paused)]);
}

#[test]
fn destroying_wants_the_name() {
    let mut model = with_vms(80, 24);
    assert_eq!(press(&mut model, "d\ry\r"), []);
    assert!(matches!(model.overlay, Overlay::Ask(_)));
    assert_eq!(press(&mut model, "\x1b"), []);
    assert!(matches!(model.overlay, Overlay::None));
    let name = "web1.alice".parse().unwrap();
    assert_eq!(press(&mut model, "dweb1\r"), [Effect::Change(Verb::Destroy, name)]);
}

#[test]
fn a_paste_presses_no_keys() {
    let mut model = with_vms(80, 24);
    assert_eq!(press(&mut model, "\x1b[200~dSyq\n\x1b[201~"), []);
    assert!(matches!(model.overlay, Overlay::None));
}

#[test]
fn the_form_makes_a_vm() {
    let mut model = with_vms(80, 24);
    assert_eq!(press(&mut model, "n"), [Effect::Catalogue]);
    offer(&mut model);
    // As it stands: a free name, what the portal would choose itself.
    let effects = press(&mut model, "\r");
    let wanted =
        Effect::New { name: "vm1".parse().unwrap(), image: Some("micro".into()), plan: Some("small".into()) };
    assert_eq!(effects, [wanted]);
    assert_eq!(press(&mut model, "\r"), [], "asked once");
    update(&mut model, Msg::Refused(Error::new(Code::Exists, "There is one called “vm1” already.")));
    assert!(matches!(model.overlay, Overlay::New(_)));
    let effects = press(&mut model, "\x1b[Z\x1b[D\t\x7f2\t\x1b[C\r");
    let wanted = Effect::New {
        name: "vm2".parse().unwrap(),
        image: Some("debian-12".into()),
        plan: Some("large".into()),
    };
    assert_eq!(effects, [wanted]);
    let made = vm(9, "vm2", "alice", VmState::Pending);
    let effects = update(&mut model, Msg::Made(job(1, "vm.new", &made, JobState::Running, 0)));
    assert_eq!(effects, [Effect::Watch(1)]);
    assert!(matches!(model.overlay, Overlay::None));
    let mut list = some_vms();
    list.push((made, None));
    update(&mut model, Msg::Vms { all: false, list });
    assert_eq!(selected(&model), "vm2");
}

#[test]
fn the_form_says_what_is_wrong_with_a_name() {
    let mut model = with_vms(80, 24);
    press(&mut model, "n");
    offer(&mut model);
    assert_eq!(press(&mut model, "\x15Web 1\r"), []);
    assert!(seen(&model).0.join("\n").contains("“Web 1” cannot be the name of a VM."));
    press(&mut model, "\x1b");
    assert!(matches!(model.overlay, Overlay::None));
    // Its answer may come when nobody looks at it any more.
    update(&mut model, Msg::Refused(Error::new(Code::Quota, "No.")));
    assert_eq!(toast(&model), "No.");
}

#[test]
fn jobs_are_told_to_their_end() {
    let mut model = with_vms(80, 24);
    let db = model.vms.rows()[1].vm.clone();
    let running = |percent| job(7, "vm.start", &db, JobState::Running, percent);
    assert_eq!(update(&mut model, Msg::Jobs(vec![running(0)])), [Effect::Watch(7)]);
    assert_eq!(update(&mut model, Msg::Jobs(vec![running(1)])), [], "watched once");
    update(&mut model, Msg::Job(running(45)));
    assert_eq!(model.job_of(&db).unwrap().percent, 45);
    update(&mut model, Msg::Job(job(7, "vm.start", &db, JobState::Succeeded, 100)));
    assert!(model.jobs.is_empty());
    assert_eq!(toast(&model), "db is started.");
    let mut failed = job(8, "vm.start", &db, JobState::Failed, 30);
    failed.error =
        Some(JobError { code: "quota".into(), message: "No port is left.".into(), hint: "Ask.".into() });
    let effects = update(&mut model, Msg::Job(failed));
    assert_eq!(toast(&model), "db: No port is left.");
    assert!(matches!(effects[..], [Effect::ForgetAfter(_, 60)]));
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
    assert_eq!(press(&mut model, "/q"), []);
    assert!(model.vms.visible().is_empty());
    press(&mut model, "\x7fdeb");
    assert_eq!(model.vms.visible().len(), 2);
    assert_eq!(selected(&model), "db");
    press(&mut model, "\rj");
    assert_eq!(selected(&model), "lab");
    press(&mut model, "\x1b");
    assert_eq!(model.vms.visible().len(), 5);
    assert_eq!(selected(&model), "lab");
    press(&mut model, "/x\x1b");
    assert_eq!(model.vms.visible().len(), 5);
}

#[test]
fn everybodys_only_for_those_who_may() {
    let mut model = with_vms(80, 24);
    press(&mut model, "a");
    assert_eq!(toast(&model), "Your role shows you your own VMs only.");
    let mut model = super::model(Role::Admin, 80, 24);
    assert_eq!(press(&mut model, "a"), [Effect::Follow { all: true }]);
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    assert!(model.vms.rows().is_empty(), "an answer to what is not asked any more");
    let list =
        vec![(vm(1, "web1", "bob", VmState::Running), None), (vm(2, "db", "alice", VmState::Stopped), None)];
    update(&mut model, Msg::Vms { all: true, list });
    let (lines, _) = seen(&model);
    assert!(lines[2].contains("web1.bob") && lines[3].contains(" db "), "{lines:?}");
    let name = "web1.bob".parse().unwrap();
    assert_eq!(press(&mut model, "dweb1\r"), []);
    assert_eq!(press(&mut model, "\x15web1.bob\r"), [Effect::Change(Verb::Destroy, name)]);
}

#[test]
fn ways_out() {
    let mut model = with_vms(80, 24);
    assert_eq!(press(&mut model, "q"), [Effect::Leave(Leave::Quit)]);
    assert_eq!(press(&mut model, "\x03"), [Effect::Leave(Leave::Quit)]);
    for over in ["?", "S", "d", "n", "/"] {
        press(&mut model, over);
        let effects = press(&mut model, "\x03");
        assert_eq!(effects, [], "{over}: the first Ctrl-C leaves only what lies over the page");
        assert_eq!(press(&mut model, "\x03"), [Effect::Leave(Leave::Quit)]);
    }
    assert_eq!(press(&mut model, "\x0c"), [Effect::Redraw]);
}
