//! A client of the test's own, for what OpenSSH cannot be made to do.

use std::path::Path;
use std::sync::Arc;

use russh::client::{self, AuthResult, Config, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg};

use super::{PATIENCE, TestPortal};

/// Takes any host key.
pub struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A connection of the test's own.
pub type Client = Handle<Trusting>;

/// Connects without signing in.
pub async fn connect(portal: &TestPortal) -> Client {
    connect_as(portal, Config::default()).await.unwrap()
}

/// The same with other settings, which may not do.
pub async fn connect_as(portal: &TestPortal, config: Config) -> Result<Client, russh::Error> {
    let dialled = client::connect(Arc::new(config), portal.address, Trusting);
    tokio::time::timeout(PATIENCE, dialled).await.expect("connecting hangs")
}

/// The private key of a file.
pub fn private(key: &Path) -> Arc<PrivateKey> {
    Arc::new(PrivateKey::from_openssh(std::fs::read(key).unwrap()).unwrap())
}

/// Whether a key signs somebody in.
pub async fn try_key(client: &mut Client, login: &str, key: &Path) -> bool {
    let key = PrivateKeyWithHashAlg::new(private(key), None);
    client.authenticate_publickey(login, key).await.is_ok_and(|r| r.success())
}

/// Whether a password signs somebody in.
pub async fn try_password(client: &mut Client, login: &str, password: &str) -> bool {
    client.authenticate_password(login, password).await.is_ok_and(|r: AuthResult| r.success())
}

/// A connection that is signed in.
pub async fn sign_in(portal: &TestPortal, login: &str, key: &Path) -> Client {
    let mut client = connect(portal).await;
    assert!(try_key(&mut client, login, key).await, "{login} is not let in");
    client
}

/// What came of a channel.
#[derive(Debug, Default)]
pub struct Answer {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub status: Option<u32>,
    /// The kinds of messages, each run of a kind once.
    pub order: Vec<&'static str>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    fn note(&mut self, message: ChannelMsg) {
        let kind = match message {
            ChannelMsg::Data { data } => {
                self.out.extend_from_slice(&data);
                "data"
            }
            ChannelMsg::ExtendedData { data, .. } => {
                self.err.extend_from_slice(&data);
                "data"
            }
            ChannelMsg::ExitStatus { exit_status } => {
                self.status = Some(exit_status);
                "status"
            }
            ChannelMsg::Eof => "eof",
            ChannelMsg::Close => "close",
            ChannelMsg::Success => "success",
            ChannelMsg::Failure => "failure",
            _ => return,
        };
        if self.order.last() != Some(&kind) {
            self.order.push(kind);
        }
    }
}

/// Reads a channel to its end.
pub async fn collect(channel: &mut Channel<Msg>) -> Answer {
    let mut answer = Answer::default();
    let reading = async {
        while let Some(message) = channel.wait().await {
            answer.note(message);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the channel hangs");
    answer
}

/// Runs a command on a channel of its own.
pub async fn exec(client: &Client, command: impl Into<Vec<u8>>) -> Answer {
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, command).await.unwrap();
    collect(&mut channel).await
}
