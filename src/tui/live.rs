//! What the model asks of the world: each effect is a task that answers with
//! messages. All that is wanted goes through the one door.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::app::{Effect, Msg, Verb};
use crate::action::catalogue::{ImageLs, PlanLs};
use crate::action::job::{JobLs, JobWatch};
use crate::action::vm::{VmDestroy, VmFollow, VmNew, VmPause, VmRestart, VmResume, VmStart, VmStop};
use crate::error::Result;
use crate::model::name::VmRef;
use crate::model::{Job, VmName};
use crate::portal::{Portal, Principal};

/// Messages that may wait while the screen is busy.
const BACKLOG: usize = 64;
/// How long to wait before the list is asked for again.
const AGAIN: Duration = Duration::from_secs(3);
/// Jobs that are looked through for those at work.
const RECENT_JOBS: u32 = 50;

/// Carries effects out.
pub(super) struct Live {
    portal: Portal,
    who: Principal,
    tell: mpsc::Sender<Msg>,
    /// Ends with the screen.
    feed: JoinSet<()>,
    watchers: JoinSet<()>,
}

impl Live {
    pub fn new(portal: &Portal, who: &Principal) -> (Live, mpsc::Receiver<Msg>) {
        let (tell, told) = mpsc::channel(BACKLOG);
        let live = Live {
            portal: portal.clone(),
            who: who.clone(),
            tell,
            feed: JoinSet::new(),
            watchers: JoinSet::new(),
        };
        (live, told)
    }

    /// Carries an effect out in the background. What only the screen itself can do is left.
    pub fn carry_out(&mut self, effect: Effect) {
        let (portal, who, tell) = (self.portal.clone(), self.who.clone(), self.tell.clone());
        while self.watchers.try_join_next().is_some() {}
        match effect {
            Effect::Follow { all } => {
                // Dropping the old one ends it.
                self.feed = JoinSet::new();
                self.feed.spawn(feed(portal, who, tell, all));
            }
            Effect::Watch(id) => {
                self.watchers.spawn(watch(portal, who, tell, id));
            }
            Effect::FindJobs => {
                self.watchers.spawn(async move { answer(&tell, find_jobs(&portal, &who).await).await });
            }
            Effect::Catalogue => {
                self.watchers.spawn(async move { answer(&tell, catalogue(&portal, &who).await).await });
            }
            Effect::ForgetAfter(id, seconds) => {
                self.watchers.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    let _ = tell.send(Msg::Forget(id)).await;
                });
            }
            // What changes something is done even if the screen ends at once.
            Effect::Change(verb, name) => {
                tokio::spawn(async move {
                    answer(&tell, change(&portal, &who, verb, name).await.map(Msg::Jobs)).await;
                });
            }
            Effect::New { name, image, plan } => {
                let action = new_vm(name, image, plan);
                tokio::spawn(async move {
                    let made = portal.perform(&who, action).await;
                    let _ = tell.send(made.map_or_else(Msg::Refused, Msg::Made)).await;
                });
            }
            Effect::Redraw | Effect::Leave(_) => {}
        }
    }
}

fn new_vm(name: VmName, image: Option<String>, plan: Option<String>) -> VmNew {
    VmNew {
        name,
        image,
        plan,
        ram: None,
        cpu: None,
        disk: None,
        user_data: None,
        tags: Vec::new(),
        no_wait: true,
    }
}

async fn answer(tell: &mpsc::Sender<Msg>, result: Result<Msg>) {
    let _ = tell.send(result.unwrap_or_else(Msg::Failed)).await;
}

async fn change(portal: &Portal, who: &Principal, verb: Verb, name: VmRef) -> Result<Vec<Job>> {
    let (names, no_wait, force) = (vec![name], true, false);
    match verb {
        Verb::Start => portal.perform(who, VmStart { names, no_wait }).await,
        Verb::Stop => portal.perform(who, VmStop { names, force, no_wait }).await,
        Verb::Restart => portal.perform(who, VmRestart { names, force, no_wait }).await,
        Verb::Pause => portal.perform(who, VmPause { names, no_wait }).await,
        Verb::Resume => portal.perform(who, VmResume { names, no_wait }).await,
        Verb::Destroy => portal.perform(who, VmDestroy { names, yes: true, no_wait }).await,
    }
}

async fn find_jobs(portal: &Portal, who: &Principal) -> Result<Msg> {
    let mut jobs = portal.perform(who, JobLs { all: false, limit: RECENT_JOBS }).await?;
    jobs.retain(|job| !job.state.is_final());
    Ok(Msg::Jobs(jobs))
}

async fn catalogue(portal: &Portal, who: &Principal) -> Result<Msg> {
    let images = portal.perform(who, ImageLs {}).await?;
    Ok(Msg::Catalogue(images, portal.perform(who, PlanLs {}).await?))
}

/// Tells of the VMs until nobody listens; asks again if the list is lost.
async fn feed(portal: Portal, who: Principal, tell: mpsc::Sender<Msg>, all: bool) {
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
async fn watch(portal: Portal, who: Principal, tell: mpsc::Sender<Msg>, id: i64) {
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
