//! The full screen (being written).
use crate::portal::{Portal, Principal};
use crate::term::{Ended, Stdio};

/// Runs it.
pub async fn session(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Ended {
    crate::shell::interactive(portal, who, stdio).await
}
