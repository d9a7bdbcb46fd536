//! `session`: who is signed in now.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::model::name::UserName;
use crate::model::{Category, Permission, Published, SessionInfo};
use crate::portal::{Action, Cx, Licence, Portal, Target};

/// Between two lists of a feed.
const AT_MOST_EVERY: Duration = Duration::from_millis(250);

/// Who is signed in: your connections
#[derive(Debug, Args, Serialize)]
pub struct SessionLs {
    /// Everybody's (for admins)
    #[arg(long)]
    pub all: bool,
}

impl Action for SessionLs {
    const NAME: &'static str = "session.ls";
    const PERMISSION: Permission = Permission::SessionRead;
    const CATEGORY: Category = Category::Session;
    type Output = Vec<SessionInfo>;

    async fn run(self, cx: &Cx) -> Result<Vec<SessionInfo>> {
        let owner = if self.all { cx.only_owner() } else { Some(cx.who.user_id()) };
        Ok(listed(&cx.portal, owner, &cx.who.session().id))
    }
}

/// The connections of one account, or of all.
fn listed(portal: &Portal, owner: Option<i64>, here: &str) -> Vec<SessionInfo> {
    let live = portal.sessions().list();
    let mine = live.iter().filter(|s| owner.is_none_or(|id| s.user_id == id));
    mine.map(|s| s.info(s.id == here)).collect()
}

/// The same list, again and again: one audited act for a whole screen
#[derive(Debug, Serialize)]
pub struct SessionFollow {
    /// Everybody's, if they may be seen.
    pub all: bool,
}

/// A list of connections that keeps itself up to date.
#[derive(Debug)]
pub struct SessionFeed {
    portal: Portal,
    owner: Option<i64>,
    licence: Licence,
    /// The session that asks.
    here: String,
    /// Of those that come and go.
    changes: watch::Receiver<u64>,
    /// The portal's own beat: what they have done meanwhile is told with it.
    beat: watch::Receiver<Arc<Published>>,
    fresh: bool,
    not_before: Instant,
}

impl SessionFeed {
    /// The list, oldest first: at once the first time, then when somebody comes or
    /// goes, and at each of the portal's samples. An error means that the portal is
    /// shutting down, or that these may not be followed any more.
    pub async fn next(&mut self) -> Result<Vec<SessionInfo>> {
        let gone = |_| Error::new(Code::BackendUnavailable, "The portal is shutting down.");
        if !self.fresh {
            tokio::select! {
                changed = self.changes.changed() => changed.map_err(gone)?,
                changed = self.beat.changed() => changed.map_err(gone)?,
                renewed = self.licence.renewed() => renewed?,
            }
            // Nothing is lost if this is dropped before it ends.
            self.fresh = true;
        }
        tokio::time::sleep_until(self.not_before).await;
        self.licence.check().await?;
        self.not_before = Instant::now() + AT_MOST_EVERY;
        self.changes.mark_unchanged();
        self.beat.mark_unchanged();
        self.fresh = false;
        Ok(listed(&self.portal, self.owner, &self.here))
    }
}

impl Action for SessionFollow {
    const NAME: &'static str = "session.follow";
    const PERMISSION: Permission = Permission::SessionRead;
    const CATEGORY: Category = Category::Session;
    type Output = SessionFeed;

    async fn run(self, cx: &Cx) -> Result<SessionFeed> {
        Ok(SessionFeed {
            portal: cx.portal.clone(),
            owner: if self.all { cx.only_owner() } else { Some(cx.who.user_id()) },
            licence: cx.licence::<Self>(),
            here: cx.who.session().id.clone(),
            changes: cx.portal.sessions().changes(),
            beat: cx.portal.published(),
            fresh: true,
            not_before: Instant::now(),
        })
    }
}

/// One connection: from where, which way in, since when, in which VMs
#[derive(Debug, Args, Serialize)]
pub struct SessionShow {
    /// As `session ls` shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

impl Action for SessionShow {
    const NAME: &'static str = "session.show";
    const PERMISSION: Permission = Permission::SessionRead;
    const CATEGORY: Category = Category::Session;
    type Output = SessionInfo;

    fn target(&self) -> Target {
        Target::Session(self.id.clone())
    }

    async fn run(self, cx: &Cx) -> Result<SessionInfo> {
        let session = cx.session()?;
        Ok(session.info(session.id == cx.who.session().id))
    }
}

/// End a connection, and all that runs in it; or all of an account
#[derive(Debug, Args, Serialize)]
pub struct SessionKill {
    /// As `session ls` shows it
    #[arg(value_name = "ID", required_unless_present = "user")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Every connection of this account, but the one that asks
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
}

impl Action for SessionKill {
    const NAME: &'static str = "session.kill";
    const PERMISSION: Permission = Permission::SessionKill;
    const CATEGORY: Category = Category::Session;
    type Output = Vec<SessionInfo>;

    fn target(&self) -> Target {
        match (&self.id, &self.user) {
            (Some(id), _) => Target::Session(id.clone()),
            (None, Some(user)) => Target::User(user.clone()),
            (None, None) => Target::Nothing,
        }
    }

    async fn run(self, cx: &Cx) -> Result<Vec<SessionInfo>> {
        let here = &cx.who.session().id;
        let ended = match (self.id, self.user) {
            (Some(_), _) => vec![Arc::clone(cx.session()?)],
            (None, Some(_)) => {
                let user_id = cx.user()?.id;
                let live = cx.portal.sessions().list();
                live.into_iter().filter(|s| s.user_id == user_id && s.id != *here).collect()
            }
            (None, None) => return Err(Error::usage("Name a session, or an account with `--user`.")),
        };
        ended.iter().for_each(|s| s.kill.cancel());
        Ok(ended.iter().map(|s| s.info(s.id == *here)).collect())
    }
}
