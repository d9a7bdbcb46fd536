//! `host`: the machine below.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::Result;
use crate::model::{Category, Permission, Published};
use crate::portal::{Action, Cx};

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
            _ => {
                Err(crate::error::Error::new(crate::error::Code::TimedOut, "The host was not looked at yet."))
            }
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
    type Output = watch::Receiver<Arc<Published>>;

    async fn run(self, cx: &Cx) -> Result<watch::Receiver<Arc<Published>>> {
        let mut published = cx.portal.published();
        // The latest is the first of them.
        published.mark_changed();
        Ok(published)
    }
}
