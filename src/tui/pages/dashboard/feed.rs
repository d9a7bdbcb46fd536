//! What the dashboard follows while it is in front: what happens, and the host.

use std::sync::Arc;
use std::time::Duration;

use super::WORD;
use crate::action::event::EventTail;
use crate::action::host::HostFollow;
use crate::error::{Code, Error};
use crate::model::{Event, Published};
use crate::portal::{Portal, Principal};
use crate::tui::app::Msg;
use crate::tui::effect::{Feed, Teller};

/// How long to wait before events are asked for again.
const AGAIN: Duration = Duration::from_secs(3);
/// Of those that happened before, so many: most of them may be of no interest here.
const BEFORE: u32 = 200;

/// What the page hears.
pub enum Heard {
    /// Events, oldest first.
    Events(Vec<Event>),
    /// They cannot be had for now.
    Lost(String),
    /// The host as it is now.
    Host(Arc<Published>),
}

/// Follows what happens, and the host if it may be seen.
pub fn follow(host: bool) -> Feed {
    let what = if host { "event.tail, host.follow" } else { "event.tail" };
    Feed::custom(WORD, what.to_owned(), move |portal, who, tell| {
        Box::pin(async move {
            let events = follow_events(portal.clone(), who.clone(), tell.clone());
            if host {
                tokio::join!(events, follow_host(portal, who, tell));
            } else {
                events.await;
            }
        })
    })
}

async fn follow_events(portal: Portal, who: Principal, tell: Teller) {
    loop {
        let Err(e) = tell_events(&portal, &who, &tell).await else { return };
        let lost = Msg::news(WORD, Heard::Lost(e.message));
        // What is refused once is refused again, and each time in the audit.
        if tell.send(lost).await.is_err() || e.code == Code::Forbidden {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Until nobody listens.
async fn tell_events(portal: &Portal, who: &Principal, tell: &Teller) -> Result<(), Error> {
    let tail = EventTail { severity: None, actor: None, action: None, attempts: false, limit: BEFORE };
    let mut feed = portal.perform(who, tail).await?;
    loop {
        let news = feed.next().await?;
        if tell.send(Msg::news(WORD, Heard::Events(news.events))).await.is_err() {
            return Ok(());
        }
    }
}

/// Until nobody listens, or the portal goes. Without the right to see it there is
/// nothing to tell.
async fn follow_host(portal: Portal, who: Principal, tell: Teller) {
    let Ok(mut published) = portal.perform(&who, HostFollow {}).await else { return };
    loop {
        let now = Arc::clone(&published.borrow_and_update());
        // Before the first sample there are no figures.
        if now.sample_s > 0 && tell.send(Msg::news(WORD, Heard::Host(now))).await.is_err() {
            return;
        }
        if published.changed().await.is_err() {
            return;
        }
    }
}
