//! What the frame itself follows: the VMs and the jobs.

use std::time::Duration;

use super::app::Msg;
use super::effect::{Effect, Feed, Teller};
use crate::action::job::JobFollow;
use crate::action::vm::VmFollow;
use crate::portal::{Portal, Principal};

/// How long to wait before the list is asked for again.
const AGAIN: Duration = Duration::from_secs(3);

/// Tells of the VMs; asks again if the list is lost.
pub fn vms(all: bool) -> Feed {
    Feed::custom("frame.vms", format!("vm.follow {all}"), move |portal, who, tell| {
        Box::pin(follow_vms(portal, who, tell, all))
    })
}

/// Tells of the latest jobs; asks again if the list is lost.
pub fn jobs(all: bool) -> Feed {
    Feed::custom("frame.jobs", format!("job.follow {all}"), move |portal, who, tell| {
        Box::pin(follow_jobs(portal, who, tell, all))
    })
}

/// Both.
pub fn all(all: bool) -> Vec<Effect> {
    vec![Effect::Follow(vms(all)), Effect::Follow(jobs(all))]
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

/// That the VMs are lost is said by their own feed: here it is only tried again.
async fn follow_jobs(portal: Portal, who: Principal, tell: Teller, all: bool) {
    loop {
        if let Ok(mut feed) = portal.perform(&who, JobFollow { all }).await {
            while let Ok(list) = feed.next().await {
                if tell.send(Msg::Jobs { all, list }).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = tell.closed() => return,
        }
    }
}
