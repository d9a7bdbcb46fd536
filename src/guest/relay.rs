//! A person's session inside a VM: what they type goes to the guest's channel,
//! what the guest says comes back, in order, and at the end its exit status.

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};

use super::Guest;
use crate::error::Result;
use crate::term::{Ended, Input, Stdio, Writer};

/// What is run in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// A login shell.
    Shell,
    /// A command, as the client wrote it.
    Exec(Vec<u8>),
    /// A subsystem, such as `sftp`.
    Subsystem(String),
}

/// OpenSSH's status for a connection that was lost.
pub const LOST: u32 = 255;

/// Runs something in the guest for a person. Ends when the guest closes the
/// channel, or when the person is gone.
///
/// # Errors
/// If no channel can be had, or if the guest refuses what is asked for.
pub async fn run(stdio: &mut Stdio, guest: &Guest, what: Run, agent: bool) -> Result<Ended> {
    let cut = guest.cut();
    let channel = guest.session().await?;
    ask(stdio, &channel, what, agent).await?;
    let (mut from_guest, to_guest) = channel.split();
    let mut ended = Ended::Status(LOST);
    let writer = stdio.writer.clone();
    tokio::select! {
        // Typing may end long before the output does: only the guest ends this.
        () = async { type_in(stdio, &to_guest).await; std::future::pending().await } => {}
        () = pass_output(&mut from_guest, &writer, &mut ended) => {}
        () = writer.closed() => {}
        () = cut.cancelled() => {}
    }
    let _ = to_guest.close().await;
    Ok(ended)
}

async fn ask(stdio: &Stdio, channel: &Channel<Msg>, what: Run, agent: bool) -> Result<()> {
    if agent {
        channel.agent_forward(false).await.map_err(|_| super::hung_up())?;
    }
    if let Some(terminal) = &stdio.terminal {
        let modes: Vec<_> =
            terminal.modes.iter().filter_map(|(op, v)| Some((Pty::from_u8(*op)?, *v))).collect();
        let (cols, rows) = (u32::from(terminal.size.cols), u32::from(terminal.size.rows));
        let asked = channel.request_pty(false, &terminal.term, cols, rows, 0, 0, &modes).await;
        asked.map_err(|_| super::hung_up())?;
    }
    for (name, value) in &stdio.env {
        channel.set_env(false, name.as_str(), value.as_str()).await.map_err(|_| super::hung_up())?;
    }
    let asked = match what {
        Run::Shell => channel.request_shell(true).await,
        Run::Exec(command) => channel.exec(true, command).await,
        Run::Subsystem(name) => channel.request_subsystem(true, name).await,
    };
    asked.map_err(|_| super::hung_up())
}

/// Carries what the person does until they are gone.
async fn type_in(stdio: &mut Stdio, to: &ChannelWriteHalf<Msg>) {
    while let Some(input) = stdio.input.recv().await {
        let sent = match input {
            Input::Data(bytes) => to.data_bytes(bytes).await,
            Input::Resize(size) => {
                stdio.resized(size);
                to.window_change(u32::from(size.cols), u32::from(size.rows), 0, 0).await
            }
            Input::Signal(name) => to.signal(Sig::Custom(name)).await,
            Input::Eof => to.eof().await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Carries what the guest says until it closes the channel.
async fn pass_output(from: &mut ChannelReadHalf, writer: &Writer, ended: &mut Ended) {
    while let Some(message) = from.wait().await {
        let written = match message {
            ChannelMsg::Data { data } => writer.raw(data).await,
            ChannelMsg::ExtendedData { data, .. } => writer.raw_err(data).await,
            ChannelMsg::ExitStatus { exit_status } => {
                *ended = Ended::Status(exit_status);
                Ok(())
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, .. } => {
                let name = signal_word(&signal_name);
                *ended =
                    Ended::Signal { name, core_dumped, message: crate::model::text::clean(&error_message) };
                Ok(())
            }
            ChannelMsg::Failure => {
                *ended = Ended::Status(1);
                let _ = writer.err(Bytes::from_static(b"The VM refused that.\n")).await;
                return;
            }
            ChannelMsg::Close => return,
            _ => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}

/// A signal's name on the wire, without `SIG`.
pub fn signal_word(signal: &Sig) -> String {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
    .to_owned()
}
