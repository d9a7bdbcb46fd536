//! What the frame itself follows: the VMs, and the jobs that are at work.

use std::time::Duration;

use super::app::Msg;
use super::effect::{Feed, Task, Teller};
use crate::action::job::{JobLs, JobWatch};
use crate::action::vm::VmFollow;
use crate::portal::{Portal, Principal};

/// How long to wait before the list is asked for again.
const AGAIN: Duration = Duration::from_secs(3);
/// Jobs that are looked through for those at work.
const RECENT_JOBS: u32 = 50;

/// Tells of the VMs; asks again if the list is lost.
pub fn vms(all: bool) -> Feed {
    Feed::custom("frame.vms", format!("vm.follow {all}"), move |portal, who, tell| {
        Box::pin(follow_vms(portal, who, tell, all))
    })
}

/// Finds the jobs that are at work.
pub fn jobs_at_work() -> Task {
    Task::new(JobLs { all: false, limit: RECENT_JOBS }, |jobs| match jobs {
        Ok(jobs) => Msg::Jobs(jobs.into_iter().filter(|job| !job.state.is_final()).collect()),
        Err(e) => Msg::Failed(e),
    })
}

async fn follow_vms(portal: Portal, who: Principal, tell: Teller, all: bool) {
    loop {
        let lost = match portal.perform(&who, VmFollow { all }).await {
            Ok(mut feed) => loop {
                match feed.next().await {
                    Ok(list) => {
                        if tell.send(Msg::Vms { all, list }).await.is_err() {
                            return;
                        }
                    }
                    Err(e) => break e,
                }
            },
            Err(e) => e,
        };
        if tell.send(Msg::Lost(lost)).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Tells of a job to its end.
pub(super) async fn watch_job(portal: Portal, who: Principal, tell: Teller, id: i64) {
    let Ok(mut job) = portal.perform(&who, JobWatch { id }).await else {
        let _ = tell.send(Msg::Unfollowed(id)).await;
        return;
    };
    loop {
        let now = job.borrow_and_update().clone();
        let over = now.state.is_final();
        if tell.send(Msg::Job(now)).await.is_err() || over {
            return;
        }
        if job.changed().await.is_err() {
            let _ = tell.send(Msg::Unfollowed(id)).await;
            return;
        }
    }
}
