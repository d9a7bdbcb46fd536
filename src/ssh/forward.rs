//! Forwarded connections: jumps (`-J`), local forwards (`-L`), and the client's
//! agent asked for by a guest. Whatever the client names, it is a VM that it may
//! enter, or something inside one: there is no way to the portal's own host.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::channel::Route;
use crate::action::enter::VmForward;
use crate::error::{Code, Error, Result};
use crate::model::name::VmRef;
use crate::portal::entry::Forward;
use crate::portal::{Portal, Principal, Session};

/// Connections to the client's agent at once.
const AGENTS: usize = 16;
/// Bytes read at once from a VM: as many as fit a packet.
const CHUNK: usize = 32 * 1024;

/// The task of one forwarded connection.
pub(super) struct Task {
    pub portal: Portal,
    pub who: Principal,
    pub route: Route,
    pub host: String,
    pub port: u16,
}

impl Task {
    pub async fn run(self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match self.open().await {
            Ok(target) => {
                reply.accept().await;
                let session = Arc::clone(self.who.session());
                target.relay(channel, session).await;
            }
            Err(e) => reply.reject(refusal(&e)).await,
        }
    }

    async fn open(&self) -> Result<Target> {
        match &self.route {
            // Inside `alice+web1`, hosts and ports are what the guest knows.
            Route::Guest(entry) => {
                let guest = entry.open(&self.portal, &self.who).await?;
                Ok(Target::Guest(guest.direct_tcpip(&self.host, self.port).await?))
            }
            Route::Portal => {
                // What cannot be the name of a VM gets the answer of one that is not there.
                let name: VmRef =
                    self.host.parse().map_err(|_| Error::new(Code::VmNotFound, "No such VM."))?;
                match self.portal.perform(&self.who, VmForward { name, port: self.port }).await? {
                    Forward::Tcp(stream) => Ok(Target::Tcp(stream)),
                    Forward::Guest(guest, host, port) => {
                        let channel = guest.direct_tcpip(&host, port).await?;
                        Ok(Target::GuestOwned(guest, channel))
                    }
                }
            }
        }
    }
}

/// The client shows one line: ours, with its hint. OpenSSH escapes what is not ASCII.
fn refusal(e: &Error) -> ChannelOpenFailure {
    let prohibited = matches!(e.code, Code::VmNotFound | Code::Forbidden | Code::MustChangePassword);
    let code = if prohibited { 1 } else { 2 };
    ChannelOpenFailure::Other { code, reason: e.to_string().replace(['“', '”'], "\"") }
}

/// The far end of a forwarded connection.
enum Target {
    Tcp(TcpStream),
    Guest(Channel<russh::client::Msg>),
    /// With the login that the channel lives in.
    GuestOwned(Arc<crate::guest::Guest>, Channel<russh::client::Msg>),
}

impl Target {
    async fn relay(self, channel: Channel<Msg>, session: Arc<Session>) {
        let kill = session.kill.clone();
        let work = async {
            match self {
                Target::Tcp(stream) => with_tcp(channel, stream, &session).await,
                Target::Guest(guest) => between(channel, guest, &session).await,
                Target::GuestOwned(login, guest) => {
                    between(channel, guest, &session).await;
                    drop(login);
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = kill.cancelled() => {}
        }
    }
}

/// Between a client's channel and a TCP stream. Each side's end of file is
/// passed on, and the channel lives until both have ended.
async fn with_tcp(channel: Channel<Msg>, stream: TcpStream, session: &Session) {
    let (mut from_client, to_client) = channel.split();
    let (mut from_vm, mut to_vm) = stream.into_split();
    let up = async {
        while let Some(message) = from_client.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    session.count_in(data.len());
                    if to_vm.write_all(&data).await.is_err() {
                        break;
                    }
                }
                ChannelMsg::Eof => {
                    let _ = to_vm.shutdown().await;
                }
                ChannelMsg::Close => return,
                _ => {}
            }
        }
        // Nobody takes it any more; the connection must not wait for it.
        while from_client.wait().await.is_some() {}
    };
    let down = async {
        let mut buffer = BytesMut::with_capacity(2 * CHUNK);
        loop {
            buffer.reserve(CHUNK);
            match from_vm.read_buf(&mut buffer).await {
                Ok(1..) => {
                    session.count_out(buffer.len());
                    if to_client.data_bytes(buffer.split().freeze()).await.is_err() {
                        return;
                    }
                }
                Ok(0) | Err(_) => {
                    let _ = to_client.eof().await;
                    return;
                }
            }
        }
    };
    // When the VM has ended, the client has nothing left to wait for; when the
    // client has hung up, the VM's words have nowhere to go.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
    let _ = to_client.close().await;
}

/// Between a client's channel and one of a guest's.
async fn between(channel: Channel<Msg>, guest: Channel<russh::client::Msg>, session: &Session) {
    let (mut from_client, to_client) = channel.split();
    let (mut from_guest, to_guest) = guest.split();
    tokio::select! {
        () = pump(&mut from_client, &to_guest, |n| session.count_in(n), true) => {}
        () = pump(&mut from_guest, &to_client, |n| session.count_out(n), false) => {}
    }
    let _ = to_client.close().await;
    let _ = to_guest.close().await;
}

/// Carries data and end of file until the sender closes; with `linger`, what
/// the receiver does not take any more is let go until then.
async fn pump<S>(from: &mut ChannelReadHalf, to: &ChannelWriteHalf<S>, count: impl Fn(usize), linger: bool)
where
    S: From<(russh::ChannelId, ChannelMsg)> + Send + Sync + 'static,
{
    while let Some(message) = from.wait().await {
        let sent = match message {
            ChannelMsg::Data { data } => {
                count(data.len());
                to.data_bytes(data).await
            }
            ChannelMsg::Eof => to.eof().await,
            ChannelMsg::Close => return,
            _ => Ok(()),
        };
        if sent.is_err() && !linger {
            return;
        }
    }
}

/// Takes what a guest wants of the client's agent to the client, if that asked
/// for it, so long as the connection lives.
pub(super) fn agents(route: &Route, handle: Handle, session: Arc<Session>) {
    let Route::Guest(entry) = route else { return };
    let entry = Arc::clone(entry);
    let mut opened = entry.opened.subscribe();
    tokio::spawn(async move {
        let kill = session.kill.clone();
        let places = Arc::new(Semaphore::new(AGENTS));
        let work = async {
            while let Ok(()) = opened.changed().await {
                let Some(guest) = opened.borrow_and_update().clone() else { continue };
                while let Some(wanted) = guest.next_agent().await {
                    let asked = entry.agent.load(Ordering::Relaxed);
                    let place = Arc::clone(&places).try_acquire_owned().ok().filter(|_| asked);
                    // Unasked for, or too many at once: dropping it closes it.
                    let Some(place) = place else { continue };
                    tokio::spawn(one_agent(handle.clone(), wanted, Arc::clone(&session), place));
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = kill.cancelled() => {}
        }
    });
}

async fn one_agent(
    handle: Handle,
    wanted: Channel<russh::client::Msg>,
    session: Arc<Session>,
    _place: OwnedSemaphorePermit,
) {
    if let Ok(agent) = handle.channel_open_agent().await {
        between(agent, wanted, &session).await;
    }
}
