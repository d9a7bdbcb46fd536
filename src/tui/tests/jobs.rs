//! The page of jobs.

use super::*;
use crate::model::job::JobStep;

/// 2020-09-13T12:26:40Z.
const ASKED: i64 = 1_600_000_000_000;

fn some_jobs() -> Vec<Job> {
    let vms = some_vms();
    let (web, db) = (&vms[0].0, &vms[1].0);
    let ended = |mut job: Job, seconds: i64| {
        job.created_at = Time::from_millis(ASKED);
        job.finished_at = Some(Time::from_millis(ASKED + seconds * 1000));
        job
    };
    let mut running = job(9, "vm.start", db, JobState::Running, 45);
    running.created_at = Time::now().minus_seconds(61);
    let step = |after: i64, step: &str| JobStep {
        time: Time::from_millis(ASKED + after * 1000),
        step: step.into(),
        percent: 10,
    };
    let mut failed = ended(job(8, "vm.new", web, JobState::Failed, 30), 75);
    failed.steps = vec![step(0, "making its disk"), step(3, "starting"), step(10, "waiting for SSH")];
    failed.error = Some(JobError {
        code: "timed_out".into(),
        message: "It took too long.".into(),
        hint: "`vm console web1` shows its screen.".into(),
    });
    let done = ended(job(7, "vm.stop", web, JobState::Succeeded, 100), 5);
    let mut gone = ended(job(6, "vm.destroy", web, JobState::Cancelled, 5), 1);
    (gone.vm_id, gone.target) = (Some(99), "old.alice".into());
    vec![running, failed, done, gone]
}

fn jobs(role: RoleName, cols: u16, rows: u16) -> Model {
    let mut model = model(role, cols, rows);
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    update(&mut model, jobs_now(false, some_jobs()));
    press(&mut model, "3");
    model
}

fn text(model: &mut Model) -> String {
    seen(model).0.join("\n")
}

fn toast(model: &Model) -> &str {
    &model.toast.as_ref().unwrap().text
}

#[test]
fn small_40x12_has_what_matters() {
    let mut model = jobs(RoleName::USER, 40, 12);
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines[..6],
        [
            "Twarga  alice (user)  Jobs   5 VMs, 1 up",
            "STATE       ACTION     TARGET       DONE",
            "▸ running   vm.start   db            45%",
            "! failed    vm.new     web1          30%",
            "✓ succeeded vm.stop    web1         100%",
            "× cancelled vm.destroy old            5%",
        ]
    );
    assert_eq!(lines[11], "Enter steps  x cancel  ? help  q quit");
    assert_eq!(cursor, (0, 2));
}

#[test]
fn usual_80x24() {
    let mut model = jobs(RoleName::USER, 80, 24);
    let (lines, _) = seen(&mut model);
    assert_eq!(
        lines[2..7],
        [
            "STATE        ACTION     TARGET                  DONE   TOOK STEP",
            "▸ running    vm.start   db           █████░░░░░  45%  1m 1s waiting for SSH",
            "! failed     vm.new     web1                     30% 1m 15s It took too long.",
            "✓ succeeded  vm.stop    web1                    100%     5s",
            "× cancelled  vm.destroy old                       5%     1s",
        ]
    );
    // What goes on is told once.
    assert_eq!(lines.join("\n").matches("waiting for SSH").count(), 1);
    press(&mut model, "j\r");
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines[2..13],
        [
            "Job 8: vm.new web1",
            "State   ! failed",
            "Error   It took too long.",
            "        `vm console web1` shows its screen.",
            "Asked   2020-09-13 12:26:40 UTC",
            "Ended   2020-09-13 12:27:55 UTC",
            "Took    1m 15s",
            "",
            "Steps   12:26:40       3s   making its disk",
            "        12:26:43       7s   starting",
            "        12:26:50    1m 5s   waiting for SSH",
        ]
    );
    assert_eq!(cursor, (0, 2));
    assert!(lines[0].contains("Jobs › 8"));
}

#[test]
fn large_screens_have_the_steps_beside_the_table() {
    let mut model = jobs(RoleName::USER, 120, 40);
    assert!(text(&mut model).contains("2020-09-13 It took") && !text(&mut model).contains("Asked"));
    let mut model = jobs(RoleName::USER, 200, 60);
    press(&mut model, "j");
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].contains("! failed") && lines[3].contains("│ State   ! failed"));
    assert!(lines.join("\n").contains("waiting for SSH"));
    press(&mut model, "\r");
    let (lines, (x, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].chars().skip(usize::from(x)).collect::<String>().starts_with("Job 8"));
}

#[test]
fn the_list_goes_on_by_itself_and_the_selection_stays() {
    let mut model = jobs(RoleName::USER, 80, 24);
    press(&mut model, "j");
    let mut list = some_jobs();
    list[0].percent = 90;
    list.insert(0, job(10, "vm.pause", &some_vms()[0].0, JobState::Queued, 0));
    update(&mut model, jobs_now(false, list));
    let (lines, (_, y)) = seen(&mut model);
    assert!(lines[usize::from(y)].starts_with("! failed"));
    assert!(lines[3].contains("… queued") && lines[3].contains("waiting for its turn"));
    assert!(lines[4].contains("█████████░  90%"));
    press(&mut model, "/vm.stop\r");
    assert!(text(&mut model).contains("✓ succeeded") && !text(&mut model).contains("! failed"));
    press(&mut model, "\x1b");
    press(&mut model, "/zzz\r");
    assert!(text(&mut model).contains("Nothing here holds “zzz”."));
    press(&mut model, "\x1b");
    press(&mut model, "o");
    assert!(text(&mut model).contains("STATE↑"));
}

#[test]
fn cancelling_asks_first() {
    let mut model = jobs(RoleName::USER, 80, 24);
    assert!(press(&mut model, "x").is_empty());
    assert!(text(&mut model).contains("Cancel vm.start of db?"));
    assert!(press(&mut model, "n").is_empty());
    assert_eq!(over(&model), None);
    assert_eq!(press(&mut model, "xy"), ["Do(job.cancel {\"id\":9})"]);
    // Of the marked ones, only what is at work.
    press(&mut model, "*x");
    assert!(text(&mut model).contains("Cancel vm.start of db?"));
    assert_eq!(press(&mut model, "y"), ["Do(job.cancel {\"id\":9})"]);
    press(&mut model, "\x1b");
    press(&mut model, "jx");
    assert_eq!(toast(&model), "It is over already.");
    assert_eq!(over(&model), None);
}

#[test]
fn what_is_undone_is_done_again() {
    let mut model = jobs(RoleName::USER, 80, 24);
    press(&mut model, "R");
    assert!(toast(&model).starts_with("Only what failed"));
    assert_eq!(press(&mut model, "jR"), ["Do(job.retry {\"id\":8})"]);
    assert_eq!(press(&mut model, "*R"), ["Do(job.retry {\"id\":8})", "Do(job.retry {\"id\":6})"]);
}

#[test]
fn a_job_leads_to_its_vm() {
    let mut model = jobs(RoleName::USER, 80, 24);
    press(&mut model, "v");
    assert_eq!(model.front().map(|e| e.word), Some("vms"));
    assert_eq!(selected(&mut model), "db");
    press(&mut model, "3Gv");
    assert_eq!(toast(&model), "Its VM is gone.");
    assert_eq!(model.front().map(|e| e.word), Some("jobs"));
}

#[test]
fn everybodys_only_for_those_who_may() {
    let mut model = jobs(RoleName::USER, 80, 24);
    assert!(press(&mut model, "a").is_empty());
    assert_eq!(toast(&model), "Your role shows you your own jobs only.");
    let mut model = jobs(RoleName::ADMIN, 80, 24);
    let follow = ["Follow(frame.vms: vm.follow true)", "Follow(frame.jobs: job.follow true)"];
    assert_eq!(press(&mut model, "a"), follow);
}

#[test]
fn long_details_scroll_and_escape_leads_back() {
    let mut model = jobs(RoleName::USER, 40, 12);
    let mut list = some_jobs();
    let first = list[1].steps[0].clone();
    list[1].steps = (0..30).map(|i| JobStep { step: format!("step {i}"), ..first.clone() }).collect();
    update(&mut model, jobs_now(false, list));
    press(&mut model, "j\r");
    assert!(text(&mut model).contains("more ↓") && !text(&mut model).contains("step 29"));
    press(&mut model, "G");
    assert!(text(&mut model).contains("step 29") && !text(&mut model).contains("more ↓"));
    press(&mut model, "\x1b");
    assert!(text(&mut model).contains("STATE"));
    // Marks and filters are left one after the other, and then it is the frame's.
    press(&mut model, " \x1b");
    assert!(!text(&mut model).contains("marked"));
    assert_eq!(press(&mut model, "q"), ["Quit"]);
}

#[test]
fn an_empty_page_says_what_will_be_there() {
    for (cols, rows) in [(40, 12), (80, 24), (200, 60)] {
        let mut model = model(RoleName::USER, cols, rows);
        press(&mut model, "3");
        assert!(text(&mut model).contains("Looking for jobs…"));
        update(&mut model, Msg::Vms { all: false, list: vec![] });
        update(&mut model, jobs_now(false, vec![]));
        assert!(text(&mut model).contains("No jobs yet."));
        assert!(press(&mut model, "\rxRvjG").is_empty());
    }
}

#[test]
fn nothing_from_outside_reaches_the_terminal_raw() {
    for (cols, rows) in [(40, 12), (80, 24), (200, 60)] {
        let mut model = jobs(RoleName::USER, cols, rows);
        let evil = "\u{1b}[2J\u{202e}\u{9b}31m";
        let mut list = some_jobs();
        for job in &mut list {
            (job.step, job.action, job.target) = (evil.into(), evil.into(), evil.into());
            job.steps.iter_mut().for_each(|s| s.step = evil.into());
            if let Some(error) = &mut job.error {
                (error.message, error.hint) = (evil.into(), evil.into());
            }
        }
        update(&mut model, jobs_now(false, list));
        for keys in ["", "j", "\r", "\x1b", "gx"] {
            press(&mut model, keys);
            assert!(!seen(&mut model).0.concat().chars().any(crate::model::text::is_unsafe), "{keys:?}");
        }
    }
}
