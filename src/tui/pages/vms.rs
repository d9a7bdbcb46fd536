//! The VMs: a table, and beside it or over it the selected one in detail.

pub mod ask;
pub mod detail;
mod keys;
pub mod new;
pub mod table;

use std::collections::{HashMap, VecDeque};

use super::super::app::{Effect, Me, Model, Overlay, Verb};
use crate::error::{Code, Error};
use crate::model::name::VmRef;
use crate::model::{Vm, VmState};
use crate::portal::VmSample;
use crate::term::keys::Key;
use crate::tui::Leave;
use crate::tui::widgets::input::Input;
use ask::Ask;
pub use keys::{Command, FILTER_KEYS, Filter, KEYS, applies};
use new::NewForm;

/// Samples of a VM's processor that are kept for its chart.
const HISTORY: usize = 120;

/// A VM and what was last seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// It.
    pub vm: Vm,
    /// Its figures, if it runs.
    pub sample: Option<VmSample>,
}

/// How the list is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Not a word yet.
    Waiting,
    /// It is kept up to date.
    Live,
    /// It cannot be had; why.
    Lost(String),
}

/// The page.
#[derive(Debug)]
pub struct Vms {
    /// Everybody's, not just one's own.
    pub all: bool,
    /// How the list is had.
    pub source: Source,
    /// What names, images, states and tags must hold.
    pub filter: Input,
    /// The filter is being typed.
    pub filtering: bool,
    /// The selected one fills the page where there is no room beside the table.
    pub detail: bool,
    rows: Vec<Row>,
    /// NAME.OWNER.
    selected: Option<String>,
    /// NAME.OWNER of what is to be selected when it appears.
    awaited: Option<String>,
    /// Where it was, for when it is gone.
    index: usize,
    cpu: HashMap<i64, VecDeque<u64>>,
}

impl Vms {
    /// A page that has heard nothing yet.
    pub fn new(all: bool, selected: Option<String>, filter: &str) -> Vms {
        Vms {
            all,
            source: Source::Waiting,
            filter: Input::new(filter),
            filtering: false,
            detail: false,
            rows: Vec::new(),
            selected: None,
            awaited: selected,
            index: 0,
            cpu: HashMap::new(),
        }
    }

    /// Every VM of the list, whatever the filter.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The VMs that the filter lets through.
    pub fn visible(&self) -> Vec<&Row> {
        let wanted = self.filter.text().to_lowercase();
        self.rows.iter().filter(|row| matches(&row.vm, wanted.trim(), self.all)).collect()
    }

    /// The selected VM's place among the visible ones.
    pub fn selected_index(&self) -> usize {
        let visible = self.visible();
        let named = visible.iter().position(|row| self.selected.as_deref() == Some(&row.vm.full_name()));
        named.unwrap_or_else(|| self.index.min(visible.len().saturating_sub(1)))
    }

    /// The selected VM.
    pub fn selected(&self) -> Option<&Row> {
        self.visible().get(self.selected_index()).copied()
    }

    /// NAME.OWNER of what is selected, for when the page is shown again.
    pub fn selected_name(&self) -> Option<String> {
        self.selected().map(|row| row.vm.full_name()).or_else(|| self.awaited.clone())
    }

    /// Selects a VM, which may yet have to appear.
    pub fn select(&mut self, full_name: &str) {
        self.awaited = Some(full_name.to_owned());
        self.settle(None);
    }

    /// The processor's last samples of a VM, in percent.
    pub fn cpu_history(&self, vm: &Vm) -> Vec<u64> {
        self.cpu.get(&vm.id).map(|h| h.iter().copied().collect()).unwrap_or_default()
    }

    /// Takes a new list. The selection stays on its VM, wherever that is now; if
    /// it is gone, on its place.
    pub fn take(&mut self, list: Vec<(Vm, Option<VmSample>)>) {
        let was = self.selected().map(|row| row.vm.full_name());
        self.index = self.selected_index();
        self.keep_samples(&list);
        self.rows = list.into_iter().map(|(vm, sample)| Row { vm, sample }).collect();
        self.source = Source::Live;
        self.settle(was);
    }

    fn settle(&mut self, was: Option<String>) {
        let visible = self.visible();
        let there = |name: &Option<String>| {
            name.as_ref().is_some_and(|n| visible.iter().any(|row| row.vm.full_name() == *n))
        };
        if there(&self.awaited) {
            self.selected = self.awaited.take();
        } else if there(&was) {
            self.selected = was;
        } else {
            self.selected = visible.get(self.selected_index()).map(|row| row.vm.full_name());
        }
    }

    /// The list comes again for other changes too: only new figures are kept.
    fn keep_samples(&mut self, list: &[(Vm, Option<VmSample>)]) {
        let old: HashMap<i64, Option<VmSample>> = self.rows.iter().map(|r| (r.vm.id, r.sample)).collect();
        for (vm, sample) in list {
            let Some(percent) = sample.and_then(|s| s.cpu_percent) else { continue };
            if old.get(&vm.id) == Some(sample) {
                continue;
            }
            let history = self.cpu.entry(vm.id).or_default();
            if history.len() == HISTORY {
                history.pop_front();
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            history.push_back(percent.round().clamp(0.0, 100.0) as u64);
        }
        self.cpu.retain(|id, _| list.iter().any(|(vm, _)| vm.id == *id));
    }

    /// The list is not up to date any more.
    pub fn lost(&mut self, e: &Error) {
        self.source = Source::Lost(e.message.clone());
    }

    fn go(&mut self, to: usize) {
        let visible = self.visible();
        let to = to.min(visible.len().saturating_sub(1));
        let name = visible.get(to).map(|row| row.vm.full_name());
        self.index = to;
        self.selected = name;
        self.awaited = None;
    }
}

fn matches(vm: &Vm, wanted: &str, owner_too: bool) -> bool {
    let name = if owner_too { vm.full_name() } else { vm.name.clone() };
    let words = [name.as_str(), &vm.image, &vm.plan, vm.state.as_str()];
    let tags = vm.tags.iter().map(String::as_str);
    wanted.is_empty() || words.into_iter().chain(tags).any(|w| w.to_lowercase().contains(wanted))
}

/// A VM's name as its viewer needs it: without the owner, if that is they.
pub fn short_name(full_name: &str, me: &Me) -> String {
    let own = full_name.strip_suffix(me.name.as_str()).and_then(|n| n.strip_suffix('.'));
    own.unwrap_or(full_name).to_owned()
}

/// Whether keys are text now.
pub fn takes_text(model: &Model) -> bool {
    model.vms.filtering
}

/// A key while the filter is typed.
pub fn on_text(model: &mut Model, key: &Key) -> Vec<Effect> {
    match super::super::keymap::find(FILTER_KEYS, key, |_| true) {
        Some(Filter::Keep) => model.vms.filtering = false,
        Some(Filter::Clear) => {
            model.vms.filter.clear();
            model.vms.filtering = false;
        }
        Some(Filter::Up) => model.vms.go(model.vms.selected_index().saturating_sub(1)),
        Some(Filter::Down) => model.vms.go(model.vms.selected_index() + 1),
        None => {
            model.vms.filter.on_key(key);
        }
    }
    Vec::new()
}

/// Carries a command out.
pub fn act(model: &mut Model, command: Command) -> Vec<Effect> {
    let page = usize::from(table::rows_in(model.size)).max(1);
    let at = model.vms.selected_index();
    match command {
        Command::Up => model.vms.go(at.saturating_sub(1)),
        Command::Down => model.vms.go(at + 1),
        Command::PageUp => model.vms.go(at.saturating_sub(page)),
        Command::PageDown => model.vms.go(at + page),
        Command::First => model.vms.go(0),
        Command::Last => model.vms.go(usize::MAX),
        Command::Open => model.vms.detail = model.vms.selected().is_some(),
        Command::Close => back(model),
        Command::Filter => model.vms.filtering = true,
        Command::All => return toggle_all(model),
        Command::New => {
            model.overlay = Overlay::New(NewForm::new(free_name(model)));
            return vec![Effect::Catalogue];
        }
        Command::Enter
        | Command::Console
        | Command::Start
        | Command::Stop
        | Command::Restart
        | Command::Pause
        | Command::Resume
        | Command::Destroy => return on_selected(model, command),
    }
    Vec::new()
}

/// Goes back one step: the message, the detail, the filter.
fn back(model: &mut Model) {
    if model.toast.take().is_none() && !std::mem::take(&mut model.vms.detail) {
        model.vms.filter.clear();
    }
}

fn toggle_all(model: &mut Model) -> Vec<Effect> {
    if !model.me.sees_all {
        let e = Error::new(Code::Forbidden, "Your role shows you your own VMs only.").hint("");
        return vec![model.complain(e)];
    }
    model.vms.all = !model.vms.all;
    vec![Effect::Follow { all: model.vms.all }]
}

/// The first name like `vm1` that the viewer has not taken.
fn free_name(model: &Model) -> String {
    let taken = |name: &str| model.vms.rows.iter().any(|r| r.vm.owner == model.me.name && r.vm.name == name);
    (1..).map(|n| format!("vm{n}")).find(|name| !taken(name)).unwrap_or_default()
}

/// What is done to the selected VM. What may be lost is asked about first; the
/// question keeps the name, for rows move.
fn on_selected(model: &mut Model, command: Command) -> Vec<Effect> {
    let Some(vm) = model.vms.selected().map(|row| row.vm.clone()) else { return Vec::new() };
    let name: VmRef = match vm.full_name().parse() {
        Ok(name) => name,
        Err(e) => return vec![model.complain(e)],
    };
    let shown = short_name(&vm.full_name(), &model.me);
    let ask = match command {
        Command::Enter | Command::Console if vm.state != VmState::Running => {
            let e = Error::new(Code::VmNotRunning, format!("“{shown}” is {}.", vm.state));
            let hint = match vm.state {
                VmState::Stopped | VmState::Error => "Press s to start it.",
                VmState::Paused => "Press p to let it go on.",
                VmState::Pending | VmState::Running => "Wait until it runs.",
            };
            return vec![model.complain(e.hint(hint))];
        }
        Command::Enter => return vec![Effect::Leave(Leave::Enter(name))],
        Command::Console => return vec![Effect::Leave(Leave::Console(name))],
        Command::Start => return vec![Effect::Change(Verb::Start, name)],
        Command::Pause => return vec![Effect::Change(Verb::Pause, name)],
        Command::Resume => return vec![Effect::Change(Verb::Resume, name)],
        Command::Stop => Ask::yes_no(Verb::Stop, name, shown),
        Command::Restart => Ask::yes_no(Verb::Restart, name, shown),
        Command::Destroy => Ask::typed(Verb::Destroy, name, shown),
        _ => return Vec::new(),
    };
    model.overlay = Overlay::Ask(ask);
    Vec::new()
}
