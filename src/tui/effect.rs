//! What the model asks for. The frame's own (another page, an overlay, a toast)
//! is done at once by [`super::app::update`]; the rest leaves the model and is
//! carried out by [`super::live`], through the one door.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::app::{Mood, Msg};
use super::page::{News, Overlay};
use crate::error::Result;
use crate::model::Preferences;
use crate::model::name::VmRef;
use crate::portal::{Action, Portal, Principal};

/// Something that runs beside the screen.
pub type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How a VM is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A shell, by SSH.
    Shell,
    /// The serial console.
    Console,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Lay that over the page.
    Open(Box<dyn Overlay>),
    /// Tell how something turned out.
    Say(Mood, String, String),
    /// Bring the page of that word to the front.
    Go(&'static str),
    /// Tell the page of that word something, whether it is in front or not.
    Tell(&'static str, News),
    /// Show everybody's VMs, or one's own only.
    ShowAll(bool),
    /// Do something once.
    Do(Task),
    /// Follow something from now on.
    Follow(Feed),
    /// Follow that no more.
    Unfollow(&'static str),
    /// A VM is being made: follow its job, and select it on its page.
    Made(crate::model::Job),
    /// Tell the page or the overlay of that word.
    News(&'static str, News),
    /// Take other wishes about the screen.
    Prefer(Box<Preferences>),
    /// Enter a VM, in a tab.
    Tab(VmRef, Way),
    /// Do what somebody typed after `:`.
    Typed(String),
    /// Let somebody go on with a line after `:`.
    Compose(String),
    /// Run a line of the grammar that needs no terminal.
    Line(String),
    /// Put that into the clipboard of the person's terminal.
    Copy(String),
    /// Send `Forget` for that toast after so many seconds.
    ForgetAfter(u64, u64),
    /// Draw everything anew.
    Redraw,
    /// Give the terminal away for a while.
    HandOver(HandOver),
    /// End; something that runs in a tab is asked about first.
    Quit,
    /// End, whatever runs.
    Leave,
}

impl Effect {
    /// Tells what went wrong.
    pub fn complain(e: crate::error::Error) -> Effect {
        Effect::Say(Mood::Bad, e.message, e.hint.into_owned())
    }
}

/// What gets the whole terminal for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOver {
    /// A VM.
    Vm(VmRef, Way),
    /// A command that talks with whoever is at the terminal.
    Line(String),
}

/// An action, and the message that its answer becomes.
pub struct Task {
    what: String,
    run: Box<dyn FnOnce(Portal, Principal) -> Run<Msg> + Send>,
}

impl Task {
    /// Performs the action; `then` makes a message of how it went.
    pub fn new<A: Action>(action: A, then: impl FnOnce(Result<A::Output>) -> Msg + Send + 'static) -> Task {
        Task {
            what: label(&action),
            run: Box::new(|portal, who| Box::pin(async move { then(portal.perform(&who, action).await) })),
        }
    }

    /// Starts it.
    pub fn start(self, portal: Portal, who: Principal) -> Run<Msg> {
        (self.run)(portal, who)
    }
}

/// What is asked for: an action's name and what it is given, without its secrets.
fn label<A: Action>(action: &A) -> String {
    let given = serde_json::to_string(action).unwrap_or_default();
    format!("{} {given}", A::NAME)
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Where a feed's messages go. They wait while the screen is busy.
pub type Teller = tokio::sync::mpsc::Sender<Msg>;

/// Something that is told of until it is ended. A second one of the same word
/// ends the first.
pub struct Feed {
    /// Its word.
    pub word: &'static str,
    what: String,
    run: Box<dyn FnOnce(Portal, Principal, Teller) -> Run<()> + Send>,
}

impl Feed {
    /// Performs the action and hands what it gave to `tell`, which runs until
    /// nobody listens.
    pub fn new<A, F>(
        word: &'static str,
        action: A,
        tell: impl FnOnce(Result<A::Output>, Teller) -> F + Send + 'static,
    ) -> Feed
    where
        A: Action,
        F: Future<Output = ()> + Send + 'static,
    {
        Feed {
            word,
            what: label(&action),
            run: Box::new(|portal, who, teller| {
                Box::pin(async move { tell(portal.perform(&who, action).await, teller).await })
            }),
        }
    }

    /// One that does more than one thing.
    pub fn custom(
        word: &'static str,
        what: String,
        run: impl FnOnce(Portal, Principal, Teller) -> Run<()> + Send + 'static,
    ) -> Feed {
        Feed { word, what, run: Box::new(run) }
    }

    /// Starts it.
    pub fn start(self, portal: Portal, who: Principal, tell: Teller) -> Run<()> {
        (self.run)(portal, who, tell)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word, self.what)
    }
}
