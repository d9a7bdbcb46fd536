//! `plan` and `image`: what is on offer.

use clap::Args;
use serde::Serialize;

use super::vm::LONGEST_USER_DATA;
use crate::error::Result;
use crate::model::name::{LONGEST_TAG, MOST_TAGS};
use crate::model::plan::{LEAST, Limits};
use crate::model::{Category, Image, Permission, Plan};
use crate::portal::{Action, Cx, Portal};

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

/// How large a VM of your own size may be, and what else an order is bounded by
#[derive(Debug, Args, Serialize)]
pub struct PlanLimits {}

impl Action for PlanLimits {
    const NAME: &'static str = "plan.limits";
    const PERMISSION: Permission = Permission::CatalogueRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Limits;

    async fn run(self, cx: &Cx) -> Result<Limits> {
        Ok(limits(&cx.portal))
    }
}

/// What this portal's orders are bounded by.
pub(super) fn limits(portal: &Portal) -> Limits {
    Limits {
        least: LEAST,
        most: portal.config().max_custom,
        vms_per_user: portal.config().max_vms_per_user,
        tags: MOST_TAGS,
        tag_characters: LONGEST_TAG,
        user_data_bytes: LONGEST_USER_DATA,
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
