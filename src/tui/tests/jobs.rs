//! The page of jobs.

use super::*;
use crate::model::job::JobStep;
use crate::tui::app::Mood;

/// 2026-07-14T03:33:20Z.
const ASKED: i64 = 1_784_000_000_000;

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

fn jobs(role: Role, cols: u16, rows: u16) -> Model {
    let mut model = model(role, cols, rows);
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    update(&mut model, Msg::Jobs { all: false, list: some_jobs() });
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
fn every_size_shows_the_jobs() {
    let mut model = jobs(Role::User, 40, 12);
    let (lines, cursor) = seen(&mut model);
    println!("{}", lines.join("\n"));
    assert_eq!(lines[1..4], [""; 3]);
    assert_eq!(cursor, (0, 2));
    let mut model = jobs(Role::User, 80, 24);
    let (lines, _) = seen(&mut model);
    println!("{}", lines.join("\n"));
}
