//! What is known and what happens: [`update`] is pure, so all that a key may
//! lead to is tested without a terminal, a portal or a clock.

use std::fmt;
use std::sync::Arc;

use super::command::{self, CommandLine};
use super::effect::Effect;
use super::feeds;
use super::help::Help;
use super::keymap::{self, Binding, Hint};
use super::page::{Entry, Fate, News, Overlay, Page, Shared};
use super::pages::PAGES;
use crate::error::Error;
use crate::model::{Job, JobState, Vm};
use crate::portal::VmSample;
use crate::shell::Said;
use crate::term::WindowSize;
use crate::term::keys::Key;

/// How something turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As wished.
    Good,
    /// Otherwise.
    Bad,
    /// Neither.
    Plain,
}

/// A line that tells how something turned out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// Which toast it is: only the latest is taken away by its timer.
    pub id: u64,
    /// How it turned out.
    pub mood: Mood,
    /// A sentence.
    pub text: String,
    /// What to do next; may be empty.
    pub hint: String,
}

/// Everything that is drawn.
#[derive(Debug)]
pub struct Model {
    /// What every page sees.
    pub shared: Shared,
    /// What lies over the page, the topmost last.
    pub overlays: Vec<Box<dyn Overlay>>,
    /// How the last thing turned out.
    pub toast: Option<Toast>,
    /// The lines that were typed after `:`, oldest first.
    pub history: Vec<String>,
    pages: Vec<Open>,
    front: usize,
    toasts: u64,
}

/// A page that is there.
#[derive(Debug)]
struct Open {
    entry: &'static Entry,
    page: Box<dyn Page>,
}

/// Something happened.
pub enum Msg {
    /// A key was pressed.
    Key(Key),
    /// The window has another size.
    Resize(WindowSize),
    /// The VMs as they are now.
    Vms {
        /// Of everybody.
        all: bool,
        /// They.
        list: Vec<(Vm, Option<VmSample>)>,
    },
    /// The VMs cannot be had for now.
    Lost(Error),
    /// The latest jobs as they are now, the newest first.
    Jobs {
        /// Of everybody.
        all: bool,
        /// They.
        list: Vec<Arc<Job>>,
    },
    /// Jobs were begun here.
    Begun(Vec<Job>),
    /// For the page or the overlay of that word.
    News(&'static str, News),
    /// A line of the grammar was run.
    Ran(Said),
    /// Something was done.
    Done(String),
    /// Something was not done.
    Failed(Error),
    /// The portal says something to the person, such as that it will cut them off.
    Said(String),
    /// That toast has been there long enough.
    Forget(u64),
}

impl Msg {
    /// News for a page or an overlay.
    pub fn news<T: Send + 'static>(word: &'static str, news: T) -> Msg {
        Msg::News(word, Box::new(news))
    }
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Msg::Key(key) => write!(f, "Key({key:?})"),
            Msg::News(word, _) => write!(f, "News({word})"),
            Msg::Vms { all, list } => write!(f, "Vms({all}, {})", list.len()),
            Msg::Jobs { all, list } => write!(f, "Jobs({all}, {})", list.len()),
            Msg::Resize(_) | Msg::Lost(_) | Msg::Begun(_) | Msg::Ran(_) => f.write_str("news of the frame"),
            Msg::Done(text) | Msg::Said(text) => write!(f, "Said({text})"),
            Msg::Failed(e) => write!(f, "Failed({e})"),
            Msg::Forget(id) => write!(f, "Forget({id})"),
        }
    }
}

/// What keys do everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Global {
    Help,
    Command,
    Quit,
    Redraw,
    Next,
    Before,
}

/// The keys that mean the same on every page. A page may take one for itself.
pub static KEYS: &[Binding<Global>] = &[
    Binding {
        keys: &[Key::Char(':')],
        shown: ":",
        word: "command",
        help: "any command, as in `help`; or a page's name",
        command: Global::Command,
    },
    Binding {
        keys: &[Key::Char('?'), Key::F(1)],
        shown: "?",
        word: "help",
        help: "all keys",
        command: Global::Help,
    },
    Binding {
        keys: &[Key::Char('q'), Key::Ctrl('c')],
        shown: "q",
        word: "quit",
        help: "leave Twarga (so does Ctrl-C)",
        command: Global::Quit,
    },
    Binding {
        keys: &[Key::Char(']'), Key::Alt('n')],
        shown: "1…9 [ ]",
        word: "",
        help: "a page by its number; the page before, the next",
        command: Global::Next,
    },
    Binding {
        keys: &[Key::Char('['), Key::Alt('p')],
        shown: "",
        word: "",
        help: "",
        command: Global::Before,
    },
    Binding {
        keys: &[Key::Ctrl('l')],
        shown: "Ctrl-L",
        word: "",
        help: "draw the screen anew",
        command: Global::Redraw,
    },
];

/// Seconds that a toast stays.
const GOOD_STAYS_S: u64 = 8;
const BAD_STAYS_S: u64 = 60;

impl Model {
    /// Nothing known yet; the page of that word in front, if there is one.
    pub fn new(shared: Shared, start: &str) -> Model {
        let pages: Vec<Open> = PAGES
            .iter()
            .filter(|entry| (entry.allowed)(&shared.me))
            .map(|entry| Open { entry, page: (entry.open)(&shared) })
            .collect();
        let front = pages.iter().position(|p| p.entry.word == start).unwrap_or(0);
        Model { shared, overlays: Vec::new(), toast: None, history: Vec::new(), pages, front, toasts: 0 }
    }

    /// What to do first.
    pub fn begin(&mut self) -> Vec<Effect> {
        let mut effects = feeds::all(self.shared.vms.all);
        effects.extend(self.page_begins());
        effects
    }

    /// The pages, in the order of their numbers.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> + '_ {
        self.pages.iter().map(|p| p.entry)
    }

    /// The line after `:`, empty, knowing what there is to complete.
    fn command_line(&self) -> CommandLine {
        let rows = self.shared.vms.rows().iter();
        let names = rows.map(|row| self.shared.short_name(&row.vm.full_name()).to_owned());
        let pages = self.entries().map(|e| e.word.to_owned());
        CommandLine::new(&self.history, names.collect(), pages.collect())
    }

    /// The entry of the page in front.
    pub fn front(&self) -> Option<&'static Entry> {
        self.pages.get(self.front).map(|p| p.entry)
    }

    /// The page in front, and what every page sees.
    pub fn front_page(&mut self) -> Option<(&mut (dyn Page + 'static), &mut Shared)> {
        let page = self.pages.get_mut(self.front)?;
        Some((page.page.as_mut(), &mut self.shared))
    }

    /// Where one is: the page's title, and what it adds.
    pub fn crumbs(&self) -> Vec<String> {
        let Some(open) = self.pages.get(self.front) else { return Vec::new() };
        let mut crumbs = vec![open.entry.title.to_owned()];
        crumbs.extend(open.page.crumbs(&self.shared));
        crumbs
    }

    /// Whether the page tells of the jobs at work itself.
    pub fn page_tells_jobs(&self) -> bool {
        self.pages.get(self.front).is_some_and(|open| open.page.tells_jobs())
    }

    /// What the page says while nothing has just happened.
    pub fn status(&self) -> Option<String> {
        self.pages.get(self.front).and_then(|open| open.page.status(&self.shared))
    }

    /// The keys that work now.
    pub fn hints(&self) -> Vec<Hint> {
        if let Some(overlay) = self.overlays.last() {
            return overlay.hints(&self.shared);
        }
        let Some(open) = self.pages.get(self.front) else { return Vec::new() };
        let mut hints = open.page.hints(&self.shared);
        if !open.page.takes_text() {
            hints.extend(keymap::hints(KEYS, |_| true));
        }
        hints
    }

    fn page_begins(&mut self) -> Vec<Effect> {
        self.front_page().map_or_else(Vec::new, |(page, shared)| page.begin(shared))
    }

    /// Says how something turned out.
    pub fn say(&mut self, mood: Mood, text: impl Into<String>, hint: impl Into<String>) -> Effect {
        self.toasts += 1;
        let id = self.toasts;
        self.toast = Some(Toast { id, mood, text: text.into(), hint: hint.into() });
        Effect::ForgetAfter(id, if mood == Mood::Bad { BAD_STAYS_S } else { GOOD_STAYS_S })
    }

    /// Says what went wrong.
    pub fn complain(&mut self, e: Error) -> Effect {
        self.say(Mood::Bad, e.message, e.hint)
    }

    fn changed(&mut self) {
        for open in &mut self.pages {
            open.page.on_change(&self.shared);
        }
    }

    fn go(&mut self, to: usize) -> Vec<Effect> {
        let Some(left) = self.front() else { return Vec::new() };
        if to == self.front || to >= self.pages.len() {
            return Vec::new();
        }
        self.front = to;
        let mut effects = vec![Effect::Unfollow(left.word)];
        effects.extend(self.page_begins());
        effects
    }
}

/// Takes what happened into account and says what is to be done outside.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let effects = take(model, msg);
    settle(model, effects)
}

/// Does what is the frame's own; the rest is left.
fn settle(model: &mut Model, effects: Vec<Effect>) -> Vec<Effect> {
    let mut out = Vec::new();
    for effect in effects {
        match effect {
            Effect::Open(overlay) => model.overlays.push(overlay),
            Effect::Say(mood, text, hint) => out.push(model.say(mood, text, hint)),
            Effect::Go(word) => {
                let to = model.pages.iter().position(|p| p.entry.word == word);
                let more = to.map_or_else(Vec::new, |to| model.go(to));
                out.extend(settle(model, more));
            }
            Effect::Tell(word, news) => {
                let more = on_news(model, word, news);
                out.extend(settle(model, more));
            }
            Effect::ShowAll(all) => {
                model.shared.vms.all = all;
                out.extend(feeds::all(all));
            }
            Effect::News(word, news) => {
                let more = on_news(model, word, news);
                out.extend(settle(model, more));
            }
            Effect::Prefer(preferences) => {
                model.shared.prefer(*preferences);
                out.push(Effect::Redraw);
            }
            Effect::Made(job) => {
                out.extend(on_news(model, "vms", Box::new(job.target.clone())));
                begun(model, vec![job]);
            }
            Effect::Compose(line) => model.overlays.push(Box::new(model.command_line().begun(&line))),
            Effect::Typed(line) => {
                let more = command::run(model, line);
                out.extend(settle(model, more));
            }
            other => out.push(other),
        }
    }
    out
}

fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => return on_key(model, &key),
        Msg::Resize(size) => model.shared.size = size,
        Msg::Vms { all, list } if all == model.shared.vms.all => {
            model.shared.vms.take(list);
            model.changed();
        }
        // From before everybody's and one's own were changed for each other.
        Msg::Vms { .. } => {}
        Msg::Lost(e) => {
            model.shared.vms.lost(&e);
            return vec![model.complain(e)];
        }
        Msg::Jobs { all, list } if all == model.shared.vms.all => {
            let effects = on_jobs(model, list);
            model.changed();
            return effects;
        }
        Msg::Jobs { .. } => {}
        Msg::Begun(jobs) => begun(model, jobs),
        Msg::News(word, news) => return on_news(model, word, news),
        Msg::Ran(said) => return command::ran(model, &said),
        Msg::Done(text) => return vec![model.say(Mood::Good, text, "")],
        Msg::Failed(e) => return vec![model.complain(e)],
        Msg::Said(text) => return vec![model.say(Mood::Bad, text, "")],
        Msg::Forget(id) => model.toast = model.toast.take().filter(|t| t.id != id),
    }
    Vec::new()
}

fn on_news(model: &mut Model, word: &'static str, news: News) -> Vec<Effect> {
    if let Some(at) = model.overlays.iter().rposition(|o| o.word() == word) {
        let Some(overlay) = model.overlays.get_mut(at) else { return Vec::new() };
        let (fate, effects) = overlay.on_news(news, &model.shared);
        if fate == Fate::Close {
            model.overlays.remove(at);
        }
        return effects;
    }
    match model.pages.iter_mut().find(|p| p.entry.word == word) {
        Some(open) => open.page.on_news(news, &model.shared),
        None => Vec::new(),
    }
}

/// Jobs that were begun here, before the list of them says so.
fn begun(model: &mut Model, jobs: Vec<Job>) {
    // What is done is yesterday's news when something else begins.
    model.toast = model.toast.take().filter(|t| t.mood == Mood::Bad);
    model.shared.jobs.extend(jobs.into_iter().filter(|job| !job.state.is_final()).map(|job| (job.id, job)));
    model.changed();
}

/// Takes the jobs as they are now, and tells how those ended that were at work.
fn on_jobs(model: &mut Model, list: Vec<Arc<Job>>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for job in list.iter().rev() {
        let was = model.shared.jobs.remove(&job.id);
        if !job.state.is_final() {
            model.shared.jobs.insert(job.id, Job::clone(job));
        } else if was.is_some() {
            effects.push(told(model, job));
        }
    }
    // What is not among the latest any more has been over for long.
    if let Some(oldest) = list.last() {
        model.shared.jobs.retain(|id, _| *id >= oldest.id);
    }
    model.shared.recent = list;
    effects
}

/// Says how a job ended.
fn told(model: &mut Model, job: &Job) -> Effect {
    let what = model.shared.short_name(&job.target).to_owned();
    match (job.state, job.error.clone()) {
        (JobState::Succeeded, _) => model.say(Mood::Good, format!("{what} {}.", done_word(&job.action)), ""),
        (JobState::Cancelled, _) => {
            model.say(Mood::Plain, format!("{what}: {} was cancelled.", job.action), "")
        }
        (_, Some(e)) => model.say(Mood::Bad, format!("{what}: {}", e.message), e.hint),
        (_, None) => model.say(Mood::Bad, format!("{what}: {} was {}.", job.action, job.state), ""),
    }
}

/// What a job that succeeded did, after its VM's name.
fn done_word(action: &str) -> &str {
    match action {
        "vm.new" => "is ready",
        "vm.start" => "is started",
        "vm.stop" => "is stopped",
        "vm.restart" => "is restarted",
        "vm.pause" => "is paused",
        "vm.resume" => "goes on",
        "vm.destroy" => "is destroyed",
        _ => "is done",
    }
}

fn on_key(model: &mut Model, key: &Key) -> Vec<Effect> {
    if let Some(overlay) = model.overlays.last_mut() {
        let (fate, effects) = overlay.on_key(key, &model.shared);
        if fate == Fate::Close {
            model.overlays.pop();
        }
        return effects;
    }
    // The header's row of pages takes clicks wherever one is.
    if let Key::Mouse(mouse) = key
        && let Some(to) = super::view::page_at(model, *mouse)
    {
        return model.go(to);
    }
    let Some((page, shared)) = model.front_page() else { return Vec::new() };
    if let Some(effects) = page.on_key(key, shared) {
        return effects;
    }
    if page.takes_text() {
        return Vec::new();
    }
    on_global_key(model, key)
}

fn on_global_key(model: &mut Model, key: &Key) -> Vec<Effect> {
    if let Key::Char(c @ '1'..='9') = key {
        return model.go(usize::from(u8::try_from(*c).unwrap_or(b'1') - b'1'));
    }
    match keymap::find(KEYS, key, |_| true) {
        Some(Global::Help) => {
            let page = model.pages.get(model.front).map_or_else(Vec::new, |open| open.page.help());
            let title = model.front().map_or("", |entry| entry.title);
            vec![Effect::Open(Box::new(Help::new(title, page)))]
        }
        Some(Global::Command) => {
            vec![Effect::Open(Box::new(model.command_line()))]
        }
        Some(Global::Quit) => vec![Effect::Quit],
        Some(Global::Redraw) => vec![Effect::Redraw],
        Some(Global::Next) => model.go((model.front + 1) % model.pages.len().max(1)),
        Some(Global::Before) => {
            model.go((model.front + model.pages.len().max(1) - 1) % model.pages.len().max(1))
        }
        None => {
            // Esc takes the message away, where it means nothing else.
            if *key == Key::Esc {
                model.toast = None;
            }
            Vec::new()
        }
    }
}
