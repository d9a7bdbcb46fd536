//! `host`: the machine below.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::{Code, Error, Result};
use crate::model::{Category, Permission, Published};
use crate::portal::{Action, Cx, Licence};

/// The host: its parts, its figures, what is promised to VMs
#[derive(Debug, Args, Serialize)]
pub struct HostShow {}

impl Action for HostShow {
    const NAME: &'static str = "host.show";
    const PERMISSION: Permission = Permission::HostRead;
    const CATEGORY: Category = Category::Host;
    type Output = Arc<Published>;

    async fn run(self, cx: &Cx) -> Result<Arc<Published>> {
        // The first sample is under way when the portal has only just started.
        let mut published = cx.portal.published();
        let sampled = published.wait_for(|p| p.sample_s > 0);
        match tokio::time::timeout(std::time::Duration::from_secs(5), sampled).await {
            Ok(Ok(snapshot)) => Ok(Arc::clone(&snapshot)),
            _ => Err(Error::new(Code::TimedOut, "The host was not looked at yet.")),
        }
    }
}

/// The same figures, and all that come after: one audited act for a whole screen
#[derive(Debug, Serialize)]
pub struct HostFollow {}

impl Action for HostFollow {
    const NAME: &'static str = "host.follow";
    const PERMISSION: Permission = Permission::HostRead;
    const CATEGORY: Category = Category::Host;
    type Output = HostFeed;

    async fn run(self, cx: &Cx) -> Result<HostFeed> {
        let mut published = cx.portal.published();
        // The latest is the first of them.
        published.mark_changed();
        Ok(HostFeed { published, licence: cx.licence::<Self>() })
    }
}

/// The host's figures as they are taken.
#[derive(Debug)]
pub struct HostFeed {
    published: watch::Receiver<Arc<Published>>,
    licence: Licence,
}

impl HostFeed {
    /// The latest figures: the first may have to be waited for. An error means that
    /// the portal is shutting down, or that these may not be followed any more.
    pub async fn next(&mut self) -> Result<Arc<Published>> {
        let gone = |_| Error::new(Code::BackendUnavailable, "The portal is shutting down.");
        loop {
            self.licence.check().await?;
            tokio::select! {
                changed = self.published.changed() => changed.map_err(gone)?,
                renewed = self.licence.renewed() => { renewed?; continue }
            }
            let now = Arc::clone(&self.published.borrow_and_update());
            if now.sample_s > 0 {
                return Ok(now);
            }
        }
    }
}
