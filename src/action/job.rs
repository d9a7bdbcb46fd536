//! `job`: long work, to be watched and stopped.

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::Result;
use crate::model::{Category, Job, Permission};
use crate::portal::{Action, Cx, Target};

/// The latest jobs
#[derive(Debug, Args, Serialize)]
pub struct JobLs {
    /// Everybody's
    #[arg(long)]
    pub all: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

impl Action for JobLs {
    const NAME: &'static str = "job.ls";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Vec<Job>;

    async fn run(self, cx: &Cx) -> Result<Vec<Job>> {
        let owner = if self.all { cx.only_owner() } else { Some(cx.who.user_id()) };
        let jobs = cx.portal.store().jobs(owner, self.limit).await?;
        Ok(jobs.into_iter().map(|job| cx.portal.job_now(job)).collect())
    }
}

/// One job
#[derive(Debug, Args, Serialize)]
pub struct JobShow {
    /// Its number
    pub id: i64,
}

impl Action for JobShow {
    const NAME: &'static str = "job.show";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Job;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<Job> {
        Ok(cx.portal.job_now(cx.job()?.clone()))
    }
}

/// Follow a job to its end
#[derive(Debug, Args, Serialize)]
pub struct JobWatch {
    /// Its number
    pub id: i64,
}

impl Action for JobWatch {
    const NAME: &'static str = "job.watch";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = watch::Receiver<Job>;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<watch::Receiver<Job>> {
        cx.portal.follow_job(cx.job()?.id).await
    }
}

/// Stop a job; what it had made is undone
#[derive(Debug, Args, Serialize)]
pub struct JobCancel {
    /// Its number
    pub id: i64,
}

impl Action for JobCancel {
    const NAME: &'static str = "job.cancel";
    const PERMISSION: Permission = Permission::VmWrite;
    const CATEGORY: Category = Category::Configuration;
    type Output = watch::Receiver<Job>;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<watch::Receiver<Job>> {
        let id = cx.job()?.id;
        let following = cx.portal.follow_job(id).await?;
        cx.portal.cancel_job(id)?;
        Ok(following)
    }
}
