//! `ban`: addresses from which no password is taken.

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::{Ban, Category, Network, Permission, text, time};
use crate::portal::{Action, Cx};

/// The longest note, characters.
const LONGEST_NOTE: usize = 200;

fn span(s: &str) -> Result<u64, String> {
    time::parse_span(s)
        .filter(|s| *s > 0)
        .ok_or_else(|| String::from("a span is written like 90s, 15m, 1h or 7d"))
}

/// Who is banned, the newest first
///
/// A ban keeps passwords and codes out, and says nothing of it; a right key still
/// opens. The guard bans by itself, for a time.
#[derive(Debug, Args, Serialize)]
pub struct BanLs {}

impl Action for BanLs {
    const NAME: &'static str = "ban.ls";
    const PERMISSION: Permission = Permission::BanRead;
    const CATEGORY: Category = Category::IntrusionDetection;
    type Output = Vec<Ban>;

    async fn run(self, cx: &Cx) -> Result<Vec<Ban>> {
        Ok(cx.portal.bans())
    }
}

/// Ban an address or a network, for a day if nothing else is said
#[derive(Debug, Args, Serialize)]
pub struct BanAdd {
    /// Such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32
    #[arg(value_name = "ADDRESS|CIDR")]
    pub network: Network,
    /// For so long: 90s, 15m, 1h, 7d
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    pub for_s: Option<u64>,
    /// Until `ban rm`
    #[arg(long, conflicts_with = "for_s")]
    pub forever: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
}

/// How long a ban by hand lasts where nothing else is said, seconds.
const A_DAY: u64 = 86_400;

impl Action for BanAdd {
    const NAME: &'static str = "ban.add";
    const PERMISSION: Permission = Permission::BanWrite;
    const CATEGORY: Category = Category::IntrusionDetection;
    type Output = Ban;

    async fn run(self, cx: &Cx) -> Result<Ban> {
        if self.note.chars().count() > LONGEST_NOTE {
            return Err(Error::usage(format!("A note has at most {LONGEST_NOTE} characters.")));
        }
        let for_s = (!self.forever).then(|| self.for_s.unwrap_or(A_DAY));
        cx.portal.ban(self.network, for_s, cx.who.name(), &text::clean(&self.note)).await
    }
}

/// Lift a ban, whoever made it
#[derive(Debug, Args, Serialize)]
pub struct BanRm {
    /// As `ban ls` shows it
    #[arg(value_name = "ADDRESS|CIDR")]
    pub network: Network,
}

impl Action for BanRm {
    const NAME: &'static str = "ban.rm";
    const PERMISSION: Permission = Permission::BanWrite;
    const CATEGORY: Category = Category::IntrusionDetection;
    type Output = Ban;

    async fn run(self, cx: &Cx) -> Result<Ban> {
        cx.portal.lift(self.network).await
    }
}
