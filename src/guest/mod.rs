//! The other side of a way in: the portal as an SSH client of a VM. It signs in
//! with its own key and takes no host key but the one that it gave the VM.

pub mod console;
pub mod relay;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, ChannelOpenHandle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};

/// How long a VM may take from the first packet to a finished login.
const PATIENCE: Duration = Duration::from_secs(20);
/// Agent connections from the guest that may wait to be taken.
const AGENT_QUEUE: usize = 8;

/// Where a VM's SSH server is, and how to know it.
#[derive(Clone)]
pub struct Address {
    /// What people call the VM.
    pub name: String,
    /// Where the portal reaches it.
    pub socket: SocketAddr,
    /// Whom to sign in as.
    pub user: String,
    /// The key it must show, `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// The key to sign in with.
    pub client_key: Arc<PrivateKey>,
}

/// A signed-in connection to a VM.
pub struct Guest {
    handle: client::Handle<Watcher>,
    agents: Mutex<Option<mpsc::Receiver<Channel<Msg>>>>,
    stay: Option<Stay>,
}

/// What somebody's being in a VM hangs on.
pub struct Stay {
    cut: CancellationToken,
    /// Goes when the connection does.
    _kept: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

struct Watcher {
    expected: PublicKey,
    mismatch: Arc<AtomicBool>,
    agents: mpsc::Sender<Channel<Msg>>,
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let same = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data() == self.expected.key_data(),
            PublicKeyOrCertificate::Certificate(_) => false,
        };
        self.mismatch.store(!same, Ordering::Relaxed);
        Ok(same)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        match self.agents.try_send(channel) {
            Ok(()) => reply.accept().await,
            Err(_) => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }
}

/// Signs in to a VM.
///
/// # Errors
/// `vm.host_key` if another key than the VM's own is shown; `vm.unreachable` if
/// nothing answers, or if it does not let the portal in.
pub async fn connect(address: &Address) -> Result<Guest> {
    tokio::time::timeout(PATIENCE, dial(address)).await.unwrap_or_else(|_| {
        Err(Error::new(
            Code::GuestUnreachable,
            format!("“{}” runs, but its SSH server does not answer.", address.name),
        )
        .hint(format!("It may still be booting: `vm console {}` shows its screen.", address.name)))
    })
}

async fn dial(address: &Address) -> Result<Guest> {
    let unreachable = |why: &str| Error::new(Code::GuestUnreachable, format!("“{}” {why}.", address.name));
    let expected = PublicKey::from_openssh(&address.host_key).map_err(Error::internal)?;
    let mismatch = Arc::new(AtomicBool::new(false));
    let (agents_tx, agents) = mpsc::channel(AGENT_QUEUE);
    let watcher = Watcher { expected, mismatch: Arc::clone(&mismatch), agents: agents_tx };
    let stream = TcpStream::connect(address.socket)
        .await
        .map_err(|_| unreachable("runs, but nothing answers there"))?;
    let _ = stream.set_nodelay(true);
    let connected = client::connect_stream(Arc::new(config()), stream, watcher).await;
    let mut handle = connected.map_err(|e| {
        if mismatch.load(Ordering::Relaxed) {
            return Error::new(
                Code::HostKeyMismatch,
                format!("“{}” shows another host key than the one it was given.", address.name),
            );
        }
        tracing::debug!(vm = address.name, error = %e, "no SSH");
        unreachable("runs, but its SSH server does not answer")
    })?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&address.client_key), None);
    let answer = handle.authenticate_publickey(&address.user, key).await;
    match answer {
        Ok(result) if result.success() => Ok(Guest { handle, agents: Mutex::new(Some(agents)), stay: None }),
        Ok(_) => Err(unreachable("does not let the portal in").hint(
            "Its `authorized_keys` or its SSH server were changed from inside; `vm console` still enters it.",
        )),
        Err(_) => Err(unreachable("hung up during the login")),
    }
}

fn config() -> client::Config {
    client::Config {
        preferred: crate::algorithms::preferred(),
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_max: 4,
        nodelay: true,
        ..client::Config::default()
    }
}

impl Guest {
    /// Opens a session channel.
    pub async fn session(&self) -> Result<Channel<Msg>> {
        self.handle.channel_open_session().await.map_err(|_| hung_up())
    }

    /// Opens a connection from inside the guest to `host:port`, as it knows them.
    pub async fn direct_tcpip(&self, host: &str, port: u16) -> Result<Channel<Msg>> {
        self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await.map_err(|_| {
            let host = crate::model::text::short(host, 80);
            Error::new(Code::GuestUnreachable, format!("The VM cannot connect to {host}:{port}.")).hint("")
        })
    }

    /// The connections that the guest wants to the agent of whoever is signed in,
    /// until it is gone. To be had once.
    pub fn agents(&self) -> Option<mpsc::Receiver<Channel<Msg>>> {
        self.agents.lock().ok()?.take()
    }

    /// The connection is somebody's, who may be led out of the VM; `kept` goes with it.
    #[must_use]
    pub fn of(mut self, cut: CancellationToken, kept: impl Send + Sync + 'static) -> Guest {
        self.stay = Some(Stay { cut, _kept: Box::new(kept) });
        self
    }

    /// Cancelled when whoever is there may not be any more.
    pub fn cut(&self) -> CancellationToken {
        self.stay.as_ref().map(|stay| stay.cut.clone()).unwrap_or_default()
    }

    /// True when the connection is over, or nobody may use it any more.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed() || self.stay.as_ref().is_some_and(|stay| stay.cut.is_cancelled())
    }
}

fn hung_up() -> Error {
    Error::new(Code::GuestUnreachable, "The VM hung up.")
}
