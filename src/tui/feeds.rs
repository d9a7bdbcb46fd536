//! What the frame itself follows, the VMs and the jobs, and how pages follow
//! what is theirs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::app::Msg;
use super::effect::{Effect, Feed, Teller};
use crate::action::event::EventFeed;
use crate::action::host::HostFeed;
use crate::action::job::JobFollow;
use crate::action::session::SessionFeed;
use crate::action::vm::VmFollow;
use crate::error::Result;
use crate::model::{Published, SessionInfo};
use crate::portal::{Action, Portal, Principal};

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

/// Something that tells again and again.
pub trait Tells: Send {
    /// What.
    type News: Send + 'static;

    /// What is new, once there is something.
    fn next(&mut self) -> impl Future<Output = Result<Self::News>> + Send;
}

impl Tells for EventFeed {
    type News = crate::action::event::News;

    fn next(&mut self) -> impl Future<Output = Result<Self::News>> + Send {
        EventFeed::next(self)
    }
}

impl Tells for SessionFeed {
    type News = Vec<SessionInfo>;

    fn next(&mut self) -> impl Future<Output = Result<Self::News>> + Send {
        SessionFeed::next(self)
    }
}

impl Tells for HostFeed {
    type News = Arc<Published>;

    fn next(&mut self) -> impl Future<Output = Result<Self::News>> + Send {
        HostFeed::next(self)
    }
}

/// What a page hears of what it follows.
pub struct Heard<T> {
    /// Which time it was that the page began to follow.
    pub feed: u64,
    /// What is new, or why there is nothing for now.
    pub news: Result<T>,
}

/// Follows something for the page of that word, which gets each news as a
/// [`Heard`]; asks again if it is lost.
pub fn follow<A>(word: &'static str, feed: u64, action: impl Fn() -> A + Send + 'static) -> Feed
where
    A: Action,
    A::Output: Tells,
{
    Feed::custom(word, A::NAME.to_owned(), move |portal, who, tell| {
        Box::pin(async move {
            loop {
                let mut following = portal.perform(&who, action()).await;
                loop {
                    let news = match &mut following {
                        Ok(following) => following.next().await,
                        Err(e) => Err(e.clone()),
                    };
                    let lost = news.is_err();
                    if tell.send(Msg::news(word, Heard { feed, news })).await.is_err() {
                        return;
                    }
                    if lost {
                        break;
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        })
    })
}

/// Several under one word, which end together.
pub fn together(word: &'static str, feeds: Vec<Feed>) -> Feed {
    Feed::custom(word, format!("{feeds:?}"), move |portal, who, tell| {
        Box::pin(async move {
            let mut all = tokio::task::JoinSet::new();
            for feed in feeds {
                all.spawn(feed.start(portal.clone(), who.clone(), tell.clone()));
            }
            all.join_all().await;
        })
    })
}
