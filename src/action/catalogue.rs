//! `plan` and `image`: what is on offer.

use clap::Args;
use serde::Serialize;

use crate::error::Result;
use crate::model::{Category, Image, Permission, Plan};
use crate::portal::{Action, Cx};

/// The plans: sizes and their prices
#[derive(Debug, Args, Serialize)]
pub struct PlanLs {}

impl Action for PlanLs {
    const NAME: &'static str = "plan.ls";
    const PERMISSION: Permission = Permission::CatalogueRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Vec<Plan>;

    async fn run(self, cx: &Cx) -> Result<Vec<Plan>> {
        Ok(cx.portal.config().plans.clone())
    }
}

/// The images that VMs are made from
#[derive(Debug, Args, Serialize)]
pub struct ImageLs {}

impl Action for ImageLs {
    const NAME: &'static str = "image.ls";
    const PERMISSION: Permission = Permission::CatalogueRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Vec<Image>;

    async fn run(self, cx: &Cx) -> Result<Vec<Image>> {
        let images = cx.portal.images().clone();
        tokio::task::spawn_blocking(move || images.list()).await?
    }
}
