//! Forwarded connections: jumps (`-J`), local forwards (`-L`), and the client's
//! agent asked for by a guest. Whatever the client names, it is a VM that it may
//! enter, or something inside one: there is no way to the portal's own host.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelWriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::channel::Route;
use super::entry::Lease;
use super::flow::{Flow, Inbox, Intake};
use crate::action::enter::VmForward;
use crate::error::{Code, Error, Result};
use crate::model::name::VmRef;
use crate::portal::entry::Forward;
use crate::portal::{Portal, Principal, Session, Visit};
use crate::term::Input;

/// Bytes read at once from a VM: several packets' worth, for each one by itself
/// would wake up the client.
const CHUNK: usize = 64 * 1024;
/// How long the far side may take for what a client sent before it hung up.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The task of one forwarded connection.
pub(super) struct Task {
    pub portal: Portal,
    pub who: Principal,
    pub route: Route,
    pub host: String,
    pub port: u16,
    pub flow: Arc<Flow>,
}

impl Task {
    pub async fn run(self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match self.open().await {
            Ok(target) => {
                reply.accept().await;
                let session = Arc::clone(self.who.session());
                target.relay(channel, session, &self.flow).await;
            }
            Err(e) => reply.reject(refusal(&e)).await,
        }
    }

    async fn open(&self) -> Result<Target> {
        if self.who.limits().no_forwarding {
            return Err(Error::new(Code::Forbidden, "The certificate of this session permits no forwards."));
        }
        if self.who.limits().forced.is_some() {
            return Err(Error::new(Code::Forbidden, "The certificate of this session is for one command."));
        }
        match &self.route {
            // Inside `alice+web1`, hosts and ports are what the guest knows.
            Route::Guest(entry) => {
                let lease = entry.open(&self.portal, &self.who).await?;
                let channel = lease.guest().direct_tcpip(&self.host, self.port).await?;
                Ok(Target::Shared(lease, channel))
            }
            Route::Portal => {
                // What cannot be the name of a VM gets the answer of one that is not there.
                let name: VmRef =
                    self.host.parse().map_err(|_| Error::new(Code::VmNotFound, "No such VM."))?;
                match self.portal.perform(&self.who, VmForward { name, port: self.port }).await? {
                    Forward::Tcp(stream, visit) => Ok(Target::Tcp(stream, visit)),
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
    let prohibited = matches!(
        e.code,
        Code::VmNotFound | Code::Forbidden | Code::MustChangePassword | Code::SecondFactorMissing
    );
    let code = if prohibited { 1 } else { 2 };
    ChannelOpenFailure::Other { code, reason: e.to_string().replace(['“', '”'], "\"") }
}

/// The far end of a forwarded connection.
enum Target {
    Tcp(TcpStream, Visit),
    /// With the login that the channel lives in.
    Shared(Lease, Channel<russh::client::Msg>),
    GuestOwned(Arc<crate::guest::Guest>, Channel<russh::client::Msg>),
}

impl Target {
    async fn relay(self, channel: Channel<Msg>, session: Arc<Session>, flow: &Arc<Flow>) {
        let kill = session.kill.clone();
        let cut = match &self {
            Target::Tcp(_, visit) => visit.cut().clone(),
            Target::Shared(lease, _) => lease.guest().cut(),
            Target::GuestOwned(login, _) => login.cut(),
        };
        let work = async {
            let client = Client::of(channel, &session, flow, cut);
            match self {
                Target::Tcp(stream, visit) => {
                    client.with_tcp(stream).await;
                    drop(visit);
                }
                Target::Shared(lease, guest) => {
                    client.with_guest(guest).await;
                    drop(lease);
                }
                Target::GuestOwned(login, guest) => {
                    client.with_guest(guest).await;
                    drop(login);
                }
            }
        };
        kill.run_until_cancelled(work).await;
    }
}

/// The client's side of a forwarded connection. Each side's end of file is
/// passed on; the end of the far side ends the channel, and the client's end of
/// the channel leaves the far side [`LAST_WORDS`] to take what was sent.
struct Client<'a> {
    intake: Intake,
    inbox: Inbox,
    to: ChannelWriteHalf<Msg>,
    session: &'a Session,
    /// They may not be there any more.
    cut: CancellationToken,
}

impl<'a> Client<'a> {
    fn of(channel: Channel<Msg>, session: &'a Session, flow: &Arc<Flow>, cut: CancellationToken) -> Self {
        let (from, to) = channel.split();
        let (intake, inbox) = flow.inbox(from, to.id().number());
        Client { intake, inbox, to, session, cut }
    }

    async fn with_tcp(self, stream: TcpStream) {
        let Client { intake, mut inbox, to, session, cut } = self;
        let (mut from_vm, mut to_vm) = stream.into_split();
        let up = async move {
            while let Some(item) = inbox.next().await {
                let sent = match item {
                    Input::Data(data) => to_vm.write_all(&data).await,
                    Input::Eof => to_vm.shutdown().await,
                    Input::Resize(_) | Input::Signal(_) => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        };
        let down = async {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(CHUNK);
                match from_vm.read_buf(&mut buffer).await {
                    Ok(1..) => {
                        session.count_out(buffer.len());
                        if to.data_bytes(buffer.split().freeze()).await.is_err() {
                            return;
                        }
                    }
                    Ok(0) | Err(_) => {
                        let _ = to.eof().await;
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = both(intake, up, session) => {}
            () = down => {}
            () = cut.cancelled() => {}
        }
        let _ = to.close().await;
    }

    async fn with_guest(self, guest: Channel<russh::client::Msg>) {
        let Client { intake, mut inbox, to, session, cut } = self;
        let (mut from_guest, to_guest) = guest.split();
        let up = async {
            while let Some(item) = inbox.next().await {
                let sent = match item {
                    Input::Data(data) => to_guest.data_bytes(data).await,
                    Input::Eof => to_guest.eof().await,
                    Input::Resize(_) | Input::Signal(_) => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        };
        let down = async {
            while let Some(message) = from_guest.wait().await {
                let sent = match message {
                    ChannelMsg::Data { data } => {
                        session.count_out(data.len());
                        to.data_bytes(data).await
                    }
                    ChannelMsg::Eof => to.eof().await,
                    ChannelMsg::Close => return,
                    _ => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = both(intake, up, session) => {}
            () = down => {}
            () = cut.cancelled() => {}
        }
        let _ = to.close().await;
        let _ = to_guest.close().await;
    }
}

/// Reads the client's channel until its end, and lets `up` carry it on; then
/// `up` has [`LAST_WORDS`] to end.
async fn both(intake: Intake, up: impl Future<Output = ()>, session: &Session) {
    let closed = Notify::new();
    let take = async {
        intake.run(|n| session.count_in(n)).await;
        closed.notify_one();
    };
    let last_words = async {
        closed.notified().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    let up = async {
        tokio::select! {
            () = up => {}
            () = last_words => {}
        }
    };
    tokio::join!(take, up);
}

/// One connection from a guest to the client's agent.
pub(super) async fn agent(
    handle: Handle,
    wanted: Channel<russh::client::Msg>,
    session: Arc<Session>,
    flow: Arc<Flow>,
    (_place, cut): (OwnedSemaphorePermit, CancellationToken),
) {
    if let Ok(agent) = handle.channel_open_agent().await {
        Client::of(agent, &session, &flow, cut).with_guest(wanted).await;
    }
}
