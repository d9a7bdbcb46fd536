//! Invitations: how people come by an account.

use serde::Serialize;

use super::words::words;
use crate::model::{RoleName, Time};

words! {
    /// Whether an invitation still makes accounts.
    InvitationState {
        /// It does.
        Open = "open",
        /// It has made as many as it may.
        Used = "used",
        /// Its time is over.
        Expired = "expired",
        /// Whoever invited may not give that role any more.
        Void = "void",
    }
}

/// An invitation; its token is known to nobody but who was invited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Invitation {
    /// Number, unique in this portal.
    pub id: i64,
    /// Whether it still makes accounts.
    pub state: InvitationState,
    /// What the accounts may do.
    pub role: RoleName,
    /// The group that they become members of.
    pub group: Option<String>,
    /// What they begin with, if not what everybody does.
    pub credits: Option<f64>,
    /// How many accounts it makes.
    pub uses: u32,
    /// How many it has made.
    pub used: u32,
    /// Who invited.
    pub created_by: String,
    /// When.
    pub created_at: Time,
    /// Until when.
    pub expires_at: Time,
}
