//! The channel of somebody who came for an account or another password.

use std::sync::Arc;

use russh::Channel;
use russh::server::{Handle, Msg};

use super::channel::{Face, carry};
use super::flow::Flow;
use crate::error::Exit;
use crate::guest::relay::Run;
use crate::portal::Session;
use crate::portal::auth::Newcomer;
use crate::term::{Ended, Stdio};
use crate::{crash, shell};

/// The only face that a newcomer is shown.
struct Welcome(Arc<Newcomer>);

impl Face for Welcome {
    fn session(&self) -> &Arc<Session> {
        self.0.session()
    }

    async fn show(&self, stdio: &mut Stdio, what: Run, _agent: bool) -> Ended {
        let command = match what {
            Run::Shell => Vec::new(),
            Run::Exec(command) => command,
            Run::Subsystem(_) => return Ended::Status(Exit::Usage as u32),
        };
        match crash::contain(shell::welcome(&self.0, stdio, &command)).await {
            Ok(ended) => ended,
            Err(panic) => {
                tracing::error!(panic, "a newcomer's session broke");
                let _ = stdio.writer.err("Something in the portal broke. Begin again.\n").await;
                Ended::Status(Exit::Failed as u32)
            }
        }
    }
}

/// Carries a newcomer's channel. There is one at a time, and when what they came for
/// is done or given up, the connection has nothing more to offer.
pub(super) async fn run(newcomer: Arc<Newcomer>, channel: Channel<Msg>, handle: Handle, flow: Arc<Flow>) {
    carry(Welcome(Arc::clone(&newcomer)), channel, &handle, &flow).await;
    newcomer.finish();
}
