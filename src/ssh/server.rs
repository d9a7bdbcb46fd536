//! The accept loop, and what bounds a connection's life: a place among the
//! startups, the login grace, the idle limit, and the portal's own end.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use russh::server::Handle;
use russh::{Disconnect, MethodKind, MethodSet};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::flow::{self, Flow};
use super::handler::Connection;
use super::limits::{Startup, Startups};
use super::stream::Wire;
use crate::error::{Code, Error, Result};
use crate::model::Time;
use crate::portal::{Portal, Session};

/// How long connections may take to end when the portal stops.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long the channels may take to say why they end.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long to wait when the system has no descriptor for another connection.
const BREATH: Duration = Duration::from_millis(50);
/// How long a client's machine may be silent, or not take what it is sent, before
/// its connection counts as dead. A person may be on a train: less would cut them.
const DEAD_AFTER: Duration = Duration::from_secs(90);
/// How long before an idle cut the person is warned.
const WARNING: Duration = Duration::from_secs(60);
/// How long nobody looks whether the host's clock was set.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// How somebody may begin to sign in, where passwords are taken.
pub(super) const METHODS: &[MethodKind] =
    &[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive];

/// The SSH server.
pub struct Server {
    portal: Portal,
    listener: TcpListener,
    config: Arc<russh::server::Config>,
    startups: Arc<Startups>,
    connections: TaskTracker,
}

impl Server {
    /// Listens at the configured address.
    ///
    /// # Errors
    /// `config` if the address cannot be had.
    pub async fn bind(portal: Portal) -> Result<Server> {
        let address = portal.config().ssh.listen;
        let listener = TcpListener::bind(address).await.map_err(|e| {
            Error::new(Code::Config, format!("Cannot listen for SSH on {address}: {e}."))
                .hint("Set `ssh.listen` to another address, or stop what listens there.")
        })?;
        let ssh = &portal.config().ssh;
        let startups = Startups::new(ssh.max_startups, ssh.max_startups_per_ip);
        let config = Arc::new(russh_config(&portal));
        Ok(Server { portal, listener, config, startups, connections: TaskTracker::new() })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop`, then tells everybody and waits for them a little.
    pub async fn run(self, stop: CancellationToken) {
        self.portal.set_listening(true);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, from)) => self.take(stream, from, stop.child_token()),
                Err(e) => {
                    // Out of descriptors (EMFILE), or a client gone already: neither ends the server.
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        self.portal.set_listening(false);
        self.connections.close();
        if tokio::time::timeout(GOODBYE, self.connections.wait()).await.is_err() {
            tracing::warn!("connections were cut");
        }
    }

    fn take(&self, stream: TcpStream, from: SocketAddr, stop: CancellationToken) {
        let admitted = self.startups.admit(from.ip());
        self.portal.count_connection(admitted.is_none());
        self.portal.set_startups(self.startups.count() as u64);
        let Some(startup) = admitted else {
            // What OpenSSH says too; never waited for.
            let _ = stream.try_write(b"Exceeded MaxStartups\r\n");
            return;
        };
        let _ = stream.set_nodelay(true);
        if let Err(e) = notice_death(&stream, DEAD_AFTER) {
            tracing::debug!(error = %e, "dead clients will be noticed late");
        }
        let connection = Life {
            portal: self.portal.clone(),
            config: Arc::clone(&self.config),
            startups: Arc::clone(&self.startups),
            from,
            stop,
        };
        self.connections.spawn(connection.live(stream, startup));
    }
}

/// One connection from its first byte to its last.
struct Life {
    portal: Portal,
    config: Arc<russh::server::Config>,
    startups: Arc<Startups>,
    from: SocketAddr,
    stop: CancellationToken,
}

impl Life {
    async fn live(self, stream: TcpStream, startup: Startup) {
        let cut = CancellationToken::new();
        let (signed_in_tx, mut signed_in) = tokio::sync::watch::channel(None);
        let flow = Arc::new(Flow::default());
        let stream = Wire::new(stream, cut.clone(), Arc::clone(&flow));
        let handler = Connection::new(self.portal.clone(), self.from.ip(), signed_in_tx, flow);
        let grace = tokio::time::sleep(Duration::from_secs(self.portal.config().ssh.login_grace_s));
        tokio::pin!(grace);
        let started = russh::server::run_stream(Arc::clone(&self.config), stream, handler);
        let mut running = tokio::select! {
            started = started => match started {
                Ok(running) => running,
                Err(_) => return self.left(startup),
            },
            () = &mut grace => return self.left(startup),
            () = self.stop.cancelled() => return self.left(startup),
        };
        let handle = running.handle();
        let session = tokio::select! {
            _ = &mut running => return self.left(startup),
            () = &mut grace => None,
            () = self.stop.cancelled() => None,
            session = signed_in.wait_for(Option::is_some) => session.ok().and_then(|s| s.clone()),
        };
        self.left(startup);
        if let Some(session) = session {
            let _guard = Guard { portal: self.portal.clone(), session: Arc::clone(&session) };
            tokio::select! {
                _ = &mut running => return,
                () = self.watch(&handle, &session) => {}
            }
            session.kill.cancel();
        }
        cut.cancel();
        let _ = tokio::time::timeout(GOODBYE, running).await;
    }

    /// The place among the startups is free again.
    fn left(&self, startup: Startup) {
        drop(startup);
        self.portal.set_startups(self.startups.count() as u64);
    }

    /// Ends when the connection has to: killed, idle for too long, not theirs to have
    /// any more, or the portal stops.
    async fn watch(&self, handle: &Handle, session: &Arc<Session>) {
        let limit = Duration::from_secs(self.portal.config().ssh.idle_timeout_s);
        let why = tokio::select! {
            () = session.kill.cancelled() => "This session was ended.",
            () = self.stop.cancelled() => "The portal is stopping. Jobs and VMs go on without you.",
            why = self.portal.oversee(session) => why,
            () = expiry(session) => "The time of the key that you came by is over.",
            () = idle(session, limit) => "Nothing was typed for too long. Goodbye.",
        };
        // First, so that the words come when the screen is given back.
        session.kill.cancel();
        session.announce(why);
        // A moment for the words to leave before the connection does.
        tokio::time::sleep(LAST_WORDS).await;
        let goodbye = handle.disconnect(Disconnect::ByApplication, why.to_owned(), String::from("en"));
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Has the kernel end a connection whose other end is gone, or takes nothing, for
/// `after` (at least 3 s). SSH's own keepalives do not suffice: russh sends none
/// while it waits for a client to take what it was sent.
fn notice_death(stream: impl AsFd, after: Duration) -> std::io::Result<()> {
    // A third of the time in silence, the rest for three questions.
    let (ask_after, ask_every) = (after / 3, after * 2 / 9);
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, ask_after)?;
    sockopt::set_tcp_keepintvl(&stream, ask_every.max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepcnt(&stream, 3)?;
    let millis = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(&stream, millis)?)
}

/// Ends when the time of what the session came by is over.
async fn expiry(session: &Session) {
    let Some(end) = session.pass.limits.expires_at else { return std::future::pending().await };
    loop {
        let left = end.millis().saturating_sub(Time::now().millis());
        let Ok(left @ 1..) = u64::try_from(left) else { return };
        // By and by: the host's clock may be set.
        tokio::time::sleep(Duration::from_millis(left).min(LONGEST_NAP)).await;
    }
}

/// Ends when nothing was typed for `limit`, after a warning in good time.
async fn idle(session: &Session, limit: Duration) {
    let warning = WARNING.min(limit / 2);
    let mut warned = false;
    loop {
        let idle = Duration::from_secs(session.idle_s());
        let left = limit.saturating_sub(idle);
        if left.is_zero() {
            return;
        }
        if left > warning {
            warned = false;
            tokio::time::sleep(left - warning).await;
            continue;
        }
        if !std::mem::replace(&mut warned, true) {
            session.announce(&format!(
                "Nothing was typed for a while: this session ends in {} s. Press a key to stay.",
                left.as_secs()
            ));
        }
        tokio::time::sleep(Duration::from_secs(1).min(left)).await;
    }
}

/// Forgets the session however its connection ends.
struct Guard {
    portal: Portal,
    session: Arc<Session>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.portal.sessions().close(&self.session);
    }
}

fn russh_config(portal: &Portal) -> russh::server::Config {
    let methods: &[MethodKind] = match portal.config().ssh.password_auth {
        true => METHODS,
        false => &[MethodKind::PublicKey],
    };
    russh::server::Config {
        server_id: russh::SshId::Standard(concat!("SSH-2.0-Twarga_", env!("CARGO_PKG_VERSION")).into()),
        methods: MethodSet::from(methods),
        keys: portal.keys().host.clone(),
        preferred: crate::algorithms::preferred(),
        // Refusals cost what their check costs (a hash, whatever the name); a
        // further wait would only slow an agent with many keys.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        // Twenty keys and a few passwords; `Connection` counts passwords itself.
        max_auth_attempts: 64,
        // Any traffic counts there, ours too: idleness by input is `idle`'s.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(60)),
        keepalive_max: 3,
        nodelay: true,
        window_size: flow::WINDOW,
        ..russh::server::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Instant;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_counts_as_dead() {
        let (mut server, _client) = pair().await;
        notice_death(&server, Duration::from_secs(3)).unwrap();
        let started = Instant::now();
        let writing = async {
            loop {
                if let Err(e) = server.write_all(&[0; 64 * 1024]).await {
                    return e.kind();
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), writing).await.expect("it stays");
        assert_eq!(ended, ErrorKind::TimedOut);
        assert!(started.elapsed() > Duration::from_secs(2), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn the_kernel_asks_whether_a_silent_client_is_there() {
        let (server, _client) = pair().await;
        notice_death(&server, DEAD_AFTER).unwrap();
        assert!(sockopt::socket_keepalive(&server).unwrap());
        let silence = sockopt::tcp_keepidle(&server).unwrap();
        let questions = sockopt::tcp_keepintvl(&server).unwrap() * sockopt::tcp_keepcnt(&server).unwrap();
        assert_eq!(silence + questions, DEAD_AFTER);
    }
}
