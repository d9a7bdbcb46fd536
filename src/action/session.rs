//! `session`: who is signed in now.

use clap::Args;
use serde::Serialize;

use crate::error::Result;
use crate::model::{Category, Permission, SessionInfo};
use crate::portal::{Action, Cx, Target};

/// Who is signed in: your connections
#[derive(Debug, Args, Serialize)]
pub struct SessionLs {
    /// Everybody's (for admins)
    #[arg(long)]
    pub all: bool,
}

impl Action for SessionLs {
    const NAME: &'static str = "session.ls";
    const PERMISSION: Permission = Permission::SessionManage;
    const CATEGORY: Category = Category::Session;
    type Output = Vec<SessionInfo>;

    async fn run(self, cx: &Cx) -> Result<Vec<SessionInfo>> {
        let owner = if self.all { cx.only_owner() } else { Some(cx.who.user_id()) };
        let here = cx.who.session();
        let live = cx.portal.sessions().list();
        let mine = live.iter().filter(|s| owner.is_none_or(|id| s.user_id == id));
        Ok(mine.map(|s| s.info(s.id == here.id)).collect())
    }
}

/// End a connection, and all that runs in it
#[derive(Debug, Args, Serialize)]
pub struct SessionKill {
    /// As `session ls` shows it
    #[arg(value_name = "ID")]
    pub id: String,
}

impl Action for SessionKill {
    const NAME: &'static str = "session.kill";
    const PERMISSION: Permission = Permission::SessionManage;
    const CATEGORY: Category = Category::Session;
    type Output = SessionInfo;

    fn target(&self) -> Target {
        Target::Session(self.id.clone())
    }

    async fn run(self, cx: &Cx) -> Result<SessionInfo> {
        let session = cx.session()?;
        session.kill.cancel();
        Ok(session.info(session.id == cx.who.session().id))
    }
}
