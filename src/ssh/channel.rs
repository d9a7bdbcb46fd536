//! One session channel: its requests decide on a face, its bytes go there and
//! back, and at its end comes what RFC 4254 §6.10 wants, in this order: output,
//! exit status, end of file, close.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::entry::Entry;
use super::flow::{Flow, Inbox, Intake};
use crate::error::{Error, Exit, Result};
use crate::guest::relay::{self, Run};
use crate::model::KeyLimits;
use crate::portal::{Portal, Principal, Session};
use crate::term::{self, Ended, Input, Output, Stdio, Terminal, WindowSize};
use crate::{crash, shell, tui};

/// Variables of one channel, and the length of each.
const MOST_VARIABLES: usize = 32;
const LONGEST_VARIABLE: usize = 256;

/// How long a face may take to go when its session is killed, and its last
/// words to leave.
const FAREWELL: Duration = Duration::from_millis(100);

/// Where a connection leads.
#[derive(Clone)]
pub(super) enum Route {
    /// To the portal.
    Portal,
    /// Straight into a VM.
    Guest(Arc<Entry>),
}

impl Route {
    pub fn is_guest(&self) -> bool {
        match self {
            Route::Portal => false,
            Route::Guest(_) => true,
        }
    }
}

/// Whether a variable of the client's is let through.
pub(super) fn lets_through(name: &str) -> bool {
    matches!(name, "LANG" | "COLORTERM" | "NO_COLOR") || name.starts_with("LC_")
}

/// A channel's task.
pub(super) struct Task {
    pub portal: Portal,
    pub who: Principal,
    pub route: Route,
    pub handle: Handle,
    pub flow: Arc<Flow>,
}

/// What somebody is shown on a channel, until its end.
pub(super) trait Face {
    /// Whose connection it is.
    fn session(&self) -> &Arc<Session>;
    /// Shows it.
    fn show(&self, stdio: &mut Stdio, what: Run, agent: bool) -> impl Future<Output = Ended> + Send;
}

/// What the client asked for before it asked for a face.
#[derive(Default)]
struct Wishes {
    terminal: Option<Terminal>,
    env: Vec<(String, String)>,
    agent: bool,
}

/// Carries a channel from its first request to its end.
pub(super) async fn carry(shown: impl Face, channel: Channel<Msg>, handle: &Handle, flow: &Arc<Flow>) {
    let (mut from, to) = channel.split();
    let mut wishes = Wishes::default();
    let Some(what) = wishes.wait(&mut from).await else {
        let _ = to.close().await;
        return;
    };
    let session = Arc::clone(shown.session());
    let what = wishes.within(&session.pass.limits, what);
    let (mut stdio, input, output) = term::pair(wishes.terminal, wishes.env);
    let announcements = session.listen();
    let gone = CancellationToken::new();
    let (intake, inbox) = flow.inbox(from, to.id().number());
    let reading = tokio::spawn(read(intake, inbox, input, Arc::clone(&session), gone.clone().drop_guard()));
    // Boxed: most of a session's memory is in here.
    let face = Box::pin(async {
        let ended = shown.show(&mut stdio, what, wishes.agent).await;
        drop(stdio);
        ended
    });
    // Nobody reads once the client has closed the channel: that ends the face too.
    let writing = gone.run_until_cancelled(write(&to, output, announcements, &session));
    let done = until_killed(&session, face, writing).await;
    // With its reader gone, russh lets go what the client still sends; or
    // the connection would wait for a channel that nobody reads.
    reading.abort();
    let Some(ended) = done else {
        let _ = to.close().await;
        return;
    };
    end(handle, &to, ended).await;
}

async fn end(handle: &Handle, to: &ChannelWriteHalf<Msg>, ended: Ended) {
    match ended {
        Ended::Status(status) => {
            let _ = to.exit_status(status).await;
        }
        Ended::Signal { name, core_dumped, message } => {
            let signal = Sig::Custom(name);
            let _ =
                handle.exit_signal_request(to.id(), signal, core_dumped, message, String::from("en")).await;
        }
    }
    let _ = to.eof().await;
    let _ = to.close().await;
}

impl Face for Task {
    fn session(&self) -> &Arc<Session> {
        self.who.session()
    }

    async fn show(&self, stdio: &mut Stdio, what: Run, agent: bool) -> Ended {
        self.face(stdio, what, agent).await
    }
}

impl Task {
    pub async fn run(self, channel: Channel<Msg>) {
        let (handle, flow) = (self.handle.clone(), Arc::clone(&self.flow));
        carry(self, channel, &handle, &flow).await;
    }

    /// Shows the person what they asked for, until its end.
    async fn face(&self, stdio: &mut Stdio, what: Run, agent: bool) -> Ended {
        let shown = crash::contain(async {
            match &self.route {
                Route::Guest(entry) if self.who.limits().forced.is_none() => {
                    self.enter(stdio, entry, what, agent).await
                }
                Route::Guest(_) | Route::Portal => self.portal_face(stdio, what).await,
            }
        });
        match shown.await {
            Ok(Ok(ended)) => ended,
            Err(panic) => {
                self.portal.session_broke(&self.who, &panic).await;
                if stdio.terminal.is_some() {
                    let _ = stdio.writer.raw(tui::screen::leave()).await;
                }
                let words = "Something in the portal broke, and this session with it. What was begun goes on; sign in again.\n";
                let _ = stdio.writer.err(words).await;
                Ended::Status(Exit::Failed as u32)
            }
            Ok(Err(e)) => {
                let _ = stdio.writer.err(format!("{e}\n")).await;
                Ended::Status(e.exit() as u32)
            }
        }
    }

    async fn enter(&self, stdio: &mut Stdio, entry: &Entry, what: Run, agent: bool) -> Result<Ended> {
        if agent {
            entry.allow_agent();
        }
        let lease = entry.open(&self.portal, &self.who).await?;
        relay::run(stdio, lease.guest(), what, agent).await
    }

    async fn portal_face(&self, stdio: &mut Stdio, what: Run) -> Result<Ended> {
        let (portal, who) = (&self.portal, &self.who);
        let asks_itself = matches!(&what, Run::Exec(line) if shell::changes_password(line));
        let free = !who.limits().narrows();
        let must = free && who.user().must_change_password && stdio.terminal.is_some() && !asks_itself;
        if must && self.still_must_change().await? {
            let _ = stdio.writer.err("Choose a password of your own before you go on.\n").await;
            shell::choose_password(portal, who, stdio).await?;
        }
        let before_factor = matches!(&what, Run::Exec(line) if shell::needs_no_factor(line));
        let must = free && who.must_enrol() && stdio.terminal.is_some() && !before_factor;
        if must && self.still_must_enrol().await? {
            let _ =
                stdio.writer.err("Your role demands a second factor. Set it up before you go on.\n").await;
            shell::enrol(portal, who, stdio).await?;
        }
        Ok(match what {
            Run::Exec(line) => shell::command(portal, who, stdio, &line).await,
            Run::Subsystem(_) => return Err(Error::usage("There is no such subsystem here.")),
            Run::Shell => match stdio.terminal.as_ref().map(|t| t.term.as_str()) {
                None => shell::piped(portal, who, stdio).await,
                Some("dumb" | "") => shell::interactive(portal, who, stdio).await,
                // Most of what the full screen asks for would be refused.
                Some(_) if who.limits().narrows() => shell::interactive(portal, who, stdio).await,
                Some(_) => tui::session(portal, who, stdio).await,
            },
        })
    }

    /// Another channel of the connection may have done it.
    async fn still_must_change(&self) -> Result<bool> {
        Ok(self
            .portal
            .perform(&self.who, crate::action::account::AccountShow {})
            .await?
            .user
            .must_change_password)
    }

    async fn still_must_enrol(&self) -> Result<bool> {
        let factor = self.portal.perform(&self.who, crate::action::totp::TotpShow {}).await?;
        Ok(factor.demanded && !factor.enabled)
    }
}

impl Wishes {
    /// What is left of the wishes, and what runs, within those limits.
    fn within(&mut self, limits: &KeyLimits, what: Run) -> Run {
        if limits.no_pty {
            self.terminal = None;
        }
        self.agent &= !limits.no_agent;
        match &limits.forced {
            Some(line) => Run::Exec(line.clone().into_bytes()),
            None => what,
        }
    }

    /// Listens until the client asks for a face; none if it hangs up first.
    async fn wait(&mut self, from: &mut ChannelReadHalf) -> Option<Run> {
        loop {
            match from.wait().await? {
                ChannelMsg::RequestPty { term, col_width, row_height, terminal_modes, .. } => {
                    let modes = terminal_modes.iter().map(|(op, v)| (*op as u8, *v)).collect();
                    let term = term.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
                    self.terminal =
                        Some(Terminal { term, size: WindowSize::clamp(col_width, row_height), modes });
                }
                ChannelMsg::WindowChange { col_width, row_height, .. } => {
                    if let Some(terminal) = &mut self.terminal {
                        terminal.size = WindowSize::clamp(col_width, row_height);
                    }
                }
                ChannelMsg::SetEnv { variable_name, variable_value, .. } => {
                    self.set(variable_name, variable_value)
                }
                ChannelMsg::AgentForward { .. } => self.agent = true,
                ChannelMsg::RequestShell { .. } => return Some(Run::Shell),
                ChannelMsg::Exec { command, .. } => return Some(Run::Exec(command)),
                ChannelMsg::RequestSubsystem { name, .. } => return Some(Run::Subsystem(name)),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }

    fn set(&mut self, name: String, value: String) {
        let short = name.len() <= LONGEST_VARIABLE && value.len() <= LONGEST_VARIABLE;
        if lets_through(&name)
            && short
            && self.env.len() < MOST_VARIABLES
            && !value.chars().any(char::is_control)
        {
            self.env.push((name, value));
        }
    }
}

/// Runs a face and what carries its output; none if the session was killed
/// before both were done. The face has a moment then to give the terminal back,
/// and the writer one to say why.
async fn until_killed(
    session: &Session,
    mut face: impl Future<Output = Ended> + Unpin,
    writing: impl Future,
) -> Option<Ended> {
    tokio::pin!(writing);
    let (mut ended, mut written) = (None, false);
    while ended.is_none() || !written {
        tokio::select! {
            how = &mut face, if ended.is_none() => ended = Some(how),
            _ = &mut writing, if !written => written = true,
            () = session.kill.cancelled() => {
                let leaving = async {
                    while ended.is_none() {
                        tokio::select! {
                            how = &mut face => ended = Some(how),
                            _ = &mut writing, if !written => written = true,
                        }
                    }
                };
                let _ = tokio::time::timeout(FAREWELL, leaving).await;
                drop(face);
                if !written {
                    let _ = tokio::time::timeout(FAREWELL, writing).await;
                }
                return None;
            }
        }
    }
    ended
}

/// Carries what the client sends to the face. `gone` is dropped with the channel.
async fn read(
    intake: Intake,
    mut inbox: Inbox,
    input: mpsc::Sender<Input>,
    session: Arc<Session>,
    gone: DropGuard,
) {
    let take = async {
        intake.run(|n| session.count_in(n)).await;
        drop(gone);
    };
    // When the face is over, the inbox goes, and what still comes is let go.
    let pass = async move {
        while let Some(item) = inbox.next().await {
            if input.send(item).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(take, pass);
}

/// Carries what the face says to the client, and what the portal has to say
/// beside it; last words come last, when the face has given the terminal back.
/// Ends when the face does, or when nobody is there any more.
async fn write(
    to: &ChannelWriteHalf<Msg>,
    mut output: mpsc::Receiver<Output>,
    mut announcements: tokio::sync::broadcast::Receiver<String>,
    session: &Session,
) {
    let mut announcing = true;
    let (mut last_words, mut told) = (None, false);
    let said = |text: String| Output::Err(Bytes::from(format!("\r\n{text}\r\n")));
    loop {
        let item = tokio::select! {
            biased;
            item = output.recv() => match item {
                Some(item) => item,
                None => match last(&mut announcements, last_words.take(), session, told).await {
                    Some(words) => { told = true; said(words) }
                    None => return,
                },
            },
            words = announcements.recv(), if announcing => match words {
                Ok(words) if session.kill.is_cancelled() => { last_words = Some(words); continue }
                Ok(words) => said(words),
                Err(_) => { announcing = false; continue }
            },
        };
        let sent = match item {
            Output::Out(bytes) => {
                session.count_out(bytes.len());
                to.data_bytes(bytes).await
            }
            Output::Err(bytes) => {
                session.count_out(bytes.len());
                to.extended_data_bytes(1, bytes).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// What is left to be said when a face is over. Why a session was killed may be
/// a moment behind the kill.
async fn last(
    announcements: &mut tokio::sync::broadcast::Receiver<String>,
    kept: Option<String>,
    session: &Session,
    told: bool,
) -> Option<String> {
    match kept.or_else(|| announcements.try_recv().ok()) {
        None if session.kill.is_cancelled() && !told => {
            tokio::time::timeout(FAREWELL / 2, announcements.recv()).await.ok()?.ok()
        }
        words => words,
    }
}
