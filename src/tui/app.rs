//! What is known and what happens: [`update`] is pure, so all that a key may
//! lead to is tested without a terminal, a portal or a clock.

use std::collections::BTreeMap;

use super::Leave;
use super::keymap::{self, Binding};
use super::pages::vms::{self, Vms, ask::Ask, new::NewForm};
use crate::error::Error;
use crate::model::name::VmRef;
use crate::model::{Image, Job, JobState, Plan, Role, Vm, VmName};
use crate::portal::VmSample;
use crate::term::WindowSize;
use crate::term::keys::Key;

/// Who looks.
#[derive(Debug, Clone)]
pub struct Me {
    /// The account's name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it may see everybody's VMs.
    pub sees_all: bool,
}

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

/// What lies over the page and takes the keys.
#[derive(Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys, from that line on.
    Help(u16),
    /// A question.
    Ask(Ask),
    /// The form for a new VM.
    New(NewForm),
}

/// Everything that is drawn.
#[derive(Debug)]
pub struct Model {
    /// Who looks.
    pub me: Me,
    /// Their window.
    pub size: WindowSize,
    /// The page.
    pub vms: Vms,
    /// What lies over it.
    pub overlay: Overlay,
    /// Jobs that are not over, by number.
    pub jobs: BTreeMap<i64, Job>,
    /// How the last thing turned out.
    pub toast: Option<Toast>,
    toasts: u64,
}

/// Something happened.
#[derive(Debug)]
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
    /// Jobs that are at work.
    Jobs(Vec<Job>),
    /// A job as it is now.
    Job(Job),
    /// A job is not told of any more.
    Unfollowed(i64),
    /// What VMs can be made from.
    Catalogue(Vec<Image>, Vec<Plan>),
    /// A VM is being made.
    Made(Job),
    /// The form was refused.
    Refused(Error),
    /// Something was not done.
    Failed(Error),
    /// The portal says something to the person, such as that it will cut them off.
    Said(String),
    /// That toast has been there long enough.
    Forget(u64),
}

/// What a change of the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Pause,
    Resume,
    Destroy,
}

/// What is to be done outside.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Tell of the VMs from now on.
    Follow {
        /// Of everybody.
        all: bool,
    },
    /// Find the jobs that are at work.
    FindJobs,
    /// Look up images and plans.
    Catalogue,
    /// Make a VM.
    New {
        /// Its name.
        name: VmName,
        /// What from.
        image: Option<String>,
        /// How large.
        plan: Option<String>,
    },
    /// Change one.
    Change(Verb, VmRef),
    /// Tell of a job to its end.
    Watch(i64),
    /// Send `Forget` for that toast after so many seconds.
    ForgetAfter(u64, u64),
    /// Draw everything anew.
    Redraw,
    /// End.
    Leave(Leave),
}

/// What keys do everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Global {
    Help,
    Quit,
    Redraw,
}

/// The keys that mean the same on every page.
pub static KEYS: &[Binding<Global>] = &[
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
    /// Nothing known yet.
    pub fn new(me: Me, size: WindowSize, vms: Vms) -> Model {
        Model { me, size, vms, overlay: Overlay::None, jobs: BTreeMap::new(), toast: None, toasts: 0 }
    }

    /// What to do first.
    pub fn begin(&self) -> Vec<Effect> {
        vec![Effect::Follow { all: self.vms.all }, Effect::FindJobs]
    }

    /// The job that changes a VM.
    pub fn job_of(&self, vm: &Vm) -> Option<&Job> {
        self.jobs.values().rev().find(|j| j.vm_id == Some(vm.id))
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
}

/// Takes what happened into account and says what is to be done.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => return on_key(model, &key),
        Msg::Resize(size) => model.size = size,
        Msg::Vms { all, list } if all == model.vms.all => model.vms.take(list),
        // From before everybody's and one's own were changed for each other.
        Msg::Vms { .. } => {}
        Msg::Lost(e) => {
            model.vms.lost(&e);
            return vec![model.complain(e)];
        }
        Msg::Jobs(jobs) => return jobs.into_iter().filter_map(|job| follow(model, job)).collect(),
        Msg::Job(job) => return on_job(model, job),
        Msg::Unfollowed(id) => {
            model.jobs.remove(&id);
        }
        Msg::Catalogue(images, plans) => {
            if let Overlay::New(form) = &mut model.overlay {
                form.offer(images, plans);
            }
        }
        Msg::Made(job) => {
            if matches!(model.overlay, Overlay::New(_)) {
                model.overlay = Overlay::None;
            }
            model.vms.select(&job.target);
            return follow(model, job).into_iter().collect();
        }
        Msg::Refused(e) => match &mut model.overlay {
            Overlay::New(form) => form.refuse(e),
            // They have left the form meanwhile.
            Overlay::None | Overlay::Help(_) | Overlay::Ask(_) => return vec![model.complain(e)],
        },
        Msg::Failed(e) => return vec![model.complain(e)],
        Msg::Said(text) => return vec![model.say(Mood::Bad, text, "")],
        Msg::Forget(id) => model.toast = model.toast.take().filter(|t| t.id != id),
    }
    Vec::new()
}

fn follow(model: &mut Model, job: Job) -> Option<Effect> {
    // What is done is yesterday's news when something else begins.
    model.toast = model.toast.take().filter(|t| t.mood == Mood::Bad);
    let id = job.id;
    model.jobs.insert(id, job).is_none().then_some(Effect::Watch(id))
}

fn on_job(model: &mut Model, job: Job) -> Vec<Effect> {
    if !job.state.is_final() {
        model.jobs.insert(job.id, job);
        return Vec::new();
    }
    model.jobs.remove(&job.id);
    let what = vms::short_name(&job.target, &model.me);
    vec![match (job.state, job.error) {
        (JobState::Succeeded, _) => model.say(Mood::Good, format!("{what} {}.", done_word(&job.action)), ""),
        (JobState::Cancelled, _) => {
            model.say(Mood::Plain, format!("{what}: {} was cancelled.", job.action), "")
        }
        (_, Some(e)) => model.say(Mood::Bad, format!("{what}: {}", e.message), e.hint),
        (_, None) => model.say(Mood::Bad, format!("{what}: {} was {}.", job.action, job.state), ""),
    }]
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
    match std::mem::take(&mut model.overlay) {
        Overlay::None => on_page_key(model, key),
        Overlay::Help(scroll) => {
            model.overlay = help_key(key, scroll);
            Vec::new()
        }
        Overlay::Ask(ask) => {
            let (overlay, effects) = ask.on_key(key);
            model.overlay = overlay;
            effects
        }
        Overlay::New(form) => {
            let (overlay, effects) = form.on_key(key);
            model.overlay = overlay;
            effects
        }
    }
}

/// Scrolls the help or closes it. How far it can be scrolled, only drawing knows.
#[allow(clippy::wildcard_enum_match_arm)]
fn help_key(key: &Key, scroll: u16) -> Overlay {
    match key {
        Key::Down | Key::Char('j') => Overlay::Help(scroll.saturating_add(1)),
        Key::Up | Key::Char('k') => Overlay::Help(scroll.saturating_sub(1)),
        Key::PageDown | Key::Char(' ') => Overlay::Help(scroll.saturating_add(8)),
        Key::PageUp => Overlay::Help(scroll.saturating_sub(8)),
        Key::Home => Overlay::Help(0),
        _ => Overlay::None,
    }
}

fn on_page_key(model: &mut Model, key: &Key) -> Vec<Effect> {
    if vms::takes_text(model) {
        return vms::on_text(model, key);
    }
    match keymap::find(KEYS, key, |_| true) {
        Some(Global::Help) => {
            model.overlay = Overlay::Help(0);
            return Vec::new();
        }
        Some(Global::Quit) => return vec![Effect::Leave(Leave::Quit)],
        Some(Global::Redraw) => return vec![Effect::Redraw],
        None => {}
    }
    let command = keymap::find(vms::KEYS, key, |c| vms::applies(model, c));
    command.map_or_else(Vec::new, |c| vms::act(model, c))
}
