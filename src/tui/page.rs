//! What the screen is made of: pages, of which one is in front, and what lies
//! over them. Both are trait objects, so the frame knows none of them by name:
//! a new page is a file under `pages/` and a line in [`super::pages::PAGES`].

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::effect::Effect;
use super::keymap::Hint;
use super::roster::Roster;
use super::tabs::Listed;
use super::theme::{Depth, Theme};
use crate::model::{Job, Preferences, Rights, RoleName, Vm};
use crate::term::WindowSize;
use crate::term::keys::Key;

/// Who looks.
#[derive(Debug, Clone)]
pub struct Me {
    /// The account's name.
    pub name: String,
    /// Its role.
    pub role: RoleName,
    /// What it might do at sign-in.
    pub rights: Rights,
    /// Whether it may see everybody's VMs.
    pub sees_all: bool,
}

/// What every page sees.
#[derive(Debug)]
pub struct Shared {
    /// What this portal is called.
    pub portal: String,
    /// Who looks.
    pub me: Me,
    /// Their window.
    pub size: WindowSize,
    /// The VMs, kept up to date.
    pub vms: Roster,
    /// Jobs that are not over, by number.
    pub jobs: BTreeMap<i64, Job>,
    /// The latest jobs, the newest first: of everybody, if the VMs are.
    pub recent: Vec<Arc<Job>>,
    /// The VMs that are entered in tabs.
    pub tabs: Vec<Listed>,
    /// How they want the screen to be.
    pub preferences: Preferences,
    /// How many colours their terminal says it has.
    pub depth: Depth,
    /// How things look.
    pub theme: Theme,
}

impl Shared {
    /// Nothing known yet.
    pub fn new(portal: String, me: Me, size: WindowSize, preferences: Preferences, depth: Depth) -> Shared {
        Shared {
            portal,
            me,
            size,
            vms: Roster::new(false),
            jobs: BTreeMap::new(),
            recent: Vec::new(),
            tabs: Vec::new(),
            theme: Theme::wanted(&preferences, depth),
            preferences,
            depth,
        }
    }

    /// Takes other wishes.
    pub fn prefer(&mut self, preferences: Preferences) {
        self.theme = Theme::wanted(&preferences, self.depth);
        self.preferences = preferences;
    }

    /// The job that changes a VM.
    pub fn job_of(&self, vm: &Vm) -> Option<&Job> {
        self.jobs.values().rev().find(|j| j.vm_id == Some(vm.id))
    }

    /// A VM's name as its viewer needs it: without the owner, if that is they.
    pub fn short_name<'a>(&self, full_name: &'a str) -> &'a str {
        let own = full_name.strip_suffix(self.me.name.as_str()).and_then(|n| n.strip_suffix('.'));
        own.unwrap_or(full_name)
    }
}

/// Something for a page or an overlay alone: it knows what it asked for.
pub type News = Box<dyn Any + Send>;

/// A page.
pub trait Page: Debug + Send {
    /// Where one is within the page, after its title: for the header.
    fn crumbs(&self, _shared: &Shared) -> Vec<String> {
        Vec::new()
    }

    /// It comes to the front: what it wants to hear of. What it follows under
    /// its own word ends when it leaves the front.
    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        Vec::new()
    }

    /// Takes a key; none if it means nothing here.
    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>>;

    /// Takes what it asked for.
    fn on_news(&mut self, _news: News, _shared: &Shared) -> Vec<Effect> {
        Vec::new()
    }

    /// The VMs or the jobs have changed.
    fn on_change(&mut self, _shared: &Shared) {}

    /// Draws itself, and puts the cursor on what is selected.
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared);

    /// A line for while nothing has just happened, such as which rows are seen.
    fn status(&self, _shared: &Shared) -> Option<String> {
        None
    }

    /// The keys that work now, what matters most first.
    fn hints(&self, shared: &Shared) -> Vec<Hint>;

    /// All of its keys.
    fn help(&self) -> Vec<Hint>;

    /// Keys are text now: none of them means anything to the frame.
    fn takes_text(&self) -> bool {
        false
    }

    /// It tells of the jobs at work itself: the frame need not.
    fn tells_jobs(&self) -> bool {
        false
    }
}

/// A page's place among the pages.
#[derive(Debug)]
pub struct Entry {
    /// Its word, as after `:`.
    pub word: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Who has it.
    pub allowed: fn(&Me) -> bool,
    /// Makes it, with nothing known yet.
    pub open: fn(&Shared) -> Box<dyn Page>,
}

/// What becomes of an overlay after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stay,
    /// It goes.
    Close,
}

/// What lies over the page and takes all keys: a form, a question, the help.
pub trait Overlay: Debug + Send {
    /// Its word, for news.
    fn word(&self) -> &'static str;

    /// Takes a key: what becomes of it, and what is to be done.
    fn on_key(&mut self, key: &Key, shared: &Shared) -> (Fate, Vec<Effect>);

    /// Takes what it asked for.
    fn on_news(&mut self, _news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        (Fate::Stay, Vec::new())
    }

    /// Draws itself, and puts the cursor where typing goes.
    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared);

    /// The keys that work now.
    fn hints(&self, shared: &Shared) -> Vec<Hint>;
}
