//! Who asks. Only this layer makes principals: holding one proves that
//! somebody was let in.

use std::net::IpAddr;
use std::sync::Arc;

use super::sessions::Session;
use crate::model::{KeyLimits, Rights, Standing, User};

/// Whoever performs an action: an account, as it was when it signed in. Its
/// rights are looked up afresh at each action.
#[derive(Debug, Clone)]
pub struct Principal {
    standing: Arc<Standing>,
    session: Arc<Session>,
}

impl Principal {
    pub(super) fn new(standing: Standing, session: Arc<Session>) -> Self {
        Principal { standing: Arc::new(standing), session }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.standing.user.name
    }

    /// The account's number.
    pub fn user_id(&self) -> i64 {
        self.standing.user.id
    }

    /// The account as it was at sign-in.
    pub fn user(&self) -> &User {
        &self.standing.user
    }

    /// Whether it had a second factor to set up at sign-in, before anything else.
    pub fn must_enrol(&self) -> bool {
        self.standing.must_enrol()
    }

    /// What it might do at sign-in: for faces, that show no more than that.
    pub fn rights(&self) -> &Rights {
        &self.standing.rights
    }

    /// The session it is in.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// What the key that they came by is limited to.
    pub fn limits(&self) -> &KeyLimits {
        &self.session.pass.limits
    }

    /// From where.
    pub fn source_ip(&self) -> IpAddr {
        self.session.source_ip
    }
}
