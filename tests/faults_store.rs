//! A database that does not take the end of a job, for a while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use common::{mock, until};
use twarga::model::JobState;
use work::{change, count, database, finished, outcome, vm_new, vms};

fn stop() -> twarga::action::vm::VmStop {
    twarga::action::vm::VmStop { names: vms(&["web"]), force: true, no_wait: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_end_cannot_be_written_down_ends_when_it_can() {
    let (portal, _driver) = mock().await;
    let (p, admin) = (&portal.portal, &portal.admin);
    let db = database(&portal);
    db.execute_batch(
        "CREATE TRIGGER full BEFORE UPDATE ON jobs WHEN NEW.finished_at IS NOT NULL
         BEGIN SELECT RAISE (ABORT, 'full'); END",
    )
    .unwrap();
    let job = p.perform(admin, vm_new("web")).await.unwrap();
    // Who waits is told all the same.
    assert_eq!(finished(p, admin, job.id).await.state, JobState::Succeeded);
    let active = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')";
    assert_eq!(count(&db, active), 1);
    assert_eq!(outcome(p, admin, stop()).await, "vm.busy");
    db.execute_batch("DROP TRIGGER full").unwrap();
    until("its end is written down", async || count(&db, active) == 0).await;
    assert_eq!(change(p, admin, stop()).await.unwrap().state, JobState::Succeeded);
}
