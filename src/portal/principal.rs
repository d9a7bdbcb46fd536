//! Who asks. Only this layer makes principals: holding one proves that
//! somebody was let in.

use std::net::IpAddr;
use std::sync::Arc;

use super::sessions::Session;
use crate::model::User;

/// Whoever performs an action: an account, as it was when it signed in. Its
/// rights are looked up afresh at each action.
#[derive(Debug, Clone)]
pub struct Principal {
    user: Arc<User>,
    session: Arc<Session>,
}

impl Principal {
    pub(super) fn new(user: User, session: Arc<Session>) -> Self {
        Principal { user: Arc::new(user), session }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.user.name
    }

    /// The account's number.
    pub fn user_id(&self) -> i64 {
        self.user.id
    }

    /// The account as it was at sign-in.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The session it is in.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// From where.
    pub fn source_ip(&self) -> IpAddr {
        self.session.source_ip
    }
}
