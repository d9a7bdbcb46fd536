//! All at a glance: one's VMs and what they use, what is under way, what has just
//! happened, and for those who run the place, the host. It is drawn anew when
//! something is told, and nothing on it moves by itself.

mod parts;

use std::collections::VecDeque;
use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::event::{self, EventTail};
use crate::action::host::HostFollow;
use crate::error::Result;
use crate::model::{Event, Permission, Published, Scope, VmState};
use crate::term::keys::{Key, Mouse};
use crate::tui::effect::{Effect, Feed};
use crate::tui::feeds::{self, Heard};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{Entry, Me, News, Page, Shared};
use crate::tui::pages::vms::{columns, new};
use crate::tui::roster::{Row, Source};
use crate::tui::widgets::table::{self, Table};

/// The page's word.
const WORD: &str = "dashboard";

/// The page's place.
pub static ENTRY: Entry = Entry {
    word: WORD,
    title: "Dashboard",
    allowed: |_: &Me| true,
    open: |shared| Box::new(Dashboard::new(shared)),
};

/// Events that are kept; and of those that happened before, so many are asked for:
/// most of them may be of no interest here.
const EVENTS: usize = 60;
const BEFORE: u32 = 200;
/// With so many columns the parts stand in two columns.
const WIDE: u16 = 100;
/// With so many rows the parts have headings, and air between them.
const ROOMY: u16 = 16;
/// With so many rows there is room for large charts.
const TALL: u16 = 30;
/// Rows of a large chart with its title.
const CHART: u16 = 8;

/// What a key does on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Visit,
    New,
    All,
}

#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter, Key::Right, Key::Char('l')], "Enter", "open", "the VM, on the page of VMs", Command::Visit),
    key(&[Key::Char('n')], "n", "new", "make a VM", Command::New),
    key(&[Key::Char('a')], "a", "mine/all", "your VMs and jobs, or everybody's", Command::All),
];

/// What a click leads to.
#[derive(Debug, Clone, Copy)]
enum Link {
    Job(i64),
    Events,
}

/// The page.
#[derive(Debug)]
pub struct Dashboard {
    vms: Table<Arc<Row>>,
    /// The newest first; without acts of merely looking.
    events: VecDeque<Event>,
    /// The number of the newest that was told.
    newest: i64,
    /// Why events cannot be had.
    lost: Option<String>,
    /// The host, for those who may see it.
    host: Option<Arc<Published>>,
    /// Rows that can be clicked, as drawn.
    links: Vec<(Rect, Link)>,
}

impl Dashboard {
    fn new(shared: &Shared) -> Dashboard {
        let mut page = Dashboard {
            vms: Table::new(columns::COLUMNS),
            events: VecDeque::new(),
            newest: 0,
            lost: None,
            host: None,
            links: Vec::new(),
        };
        page.on_change(shared);
        page
    }

    fn act(&mut self, command: Command, shared: &Shared) -> Vec<Effect> {
        match command {
            Command::Visit => {
                let name = self.vms.selected().map(|row| row.vm.full_name());
                let tell = name.map(|name| Effect::Tell("vms", Box::new(name)));
                tell.into_iter().chain([Effect::Go("vms")]).collect()
            }
            Command::New => new::open(shared),
            Command::All => vec![Effect::ShowAll(!shared.vms.all)],
        }
    }

    fn applies(&self, command: Command, shared: &Shared) -> bool {
        match command {
            Command::Visit => self.vms.selected().is_some(),
            Command::New => true,
            Command::All => shared.me.sees_all,
        }
    }

    fn on_click(&self, mouse: Mouse) -> Option<Vec<Effect>> {
        let hit = |(area, _): &&(Rect, Link)| area.contains((mouse.column, mouse.row).into());
        let (_, link) = self.links.iter().find(hit).filter(|_| mouse.is_click())?;
        Some(match link {
            Link::Job(id) => vec![Effect::Tell("jobs", Box::new(*id)), Effect::Go("jobs")],
            Link::Events => vec![Effect::Go("events")],
        })
    }

    /// Whether there is nothing yet that could be shown of VMs.
    fn is_new_here(&self, shared: &Shared) -> bool {
        shared.vms.source == Source::Live && shared.vms.rows().is_empty()
    }

    /// The VMs, or how one begins.
    fn draw_vms(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        if self.is_new_here(shared) {
            parts::welcome(frame, area, shared);
        } else if !self.vms.draw(frame, area, shared) {
            parts::no_vms(frame, area, &self.vms.filter(), shared);
        }
    }

    /// Everything below each other.
    fn draw_narrow(&mut self, frame: &mut Frame<'_>, mut area: Rect, shared: &Shared) {
        let roomy = area.height >= ROOMY;
        let air = u16::from(roomy);
        parts::totals(frame, take(&mut area, 2), shared);
        if let Some(host) = self.host.as_ref().filter(|_| roomy) {
            parts::host_line(frame, take(&mut area, 1), host, shared);
        }
        take(&mut area, air);
        let jobs = parts::jobs(shared, if roomy { 3 } else { 1 }, roomy);
        let job_rows = rows(jobs.len()) + if jobs.is_empty() { 0 } else { 2 * air };
        let events = 2 + 2 * air;
        let wanted =
            if self.is_new_here(shared) { parts::WELCOME } else { rows(shared.vms.rows().len()) + 1 };
        let room = area.height.saturating_sub(job_rows + events);
        let vms = wanted.min(room.max(3)) + u16::from(self.vms.takes_text());
        let vms = take(&mut area, vms);
        if !jobs.is_empty() {
            self.draw_jobs(frame, take(&mut area, job_rows), &jobs, roomy, shared);
        }
        self.draw_events(frame, area, roomy, shared);
        // Last, for the cursor.
        self.draw_vms(frame, vms, shared);
    }

    /// VMs at the left; the host, jobs and events at the right.
    fn draw_wide(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let side = area.width * 9 / 20;
        let mut left = Rect { width: area.width - side - 2, ..area };
        let mut right = Rect { x: left.right() + 2, width: side, ..area };
        for y in area.y..area.bottom() {
            frame.buffer_mut().set_string(left.right(), y, "│", shared.theme.border);
        }
        parts::totals(frame, take(&mut left, 2), shared);
        let tall = area.height >= TALL;
        if tall && shared.vms.load_history().len() > 1 {
            take(&mut left, 1);
            parts::load_chart(frame, take(&mut left, CHART), shared);
        }
        take(&mut left, 1);
        if let Some(host) = self.host.clone() {
            let height = parts::host_rows(&host, tall);
            parts::host(frame, take(&mut right, height), &host, tall, shared);
        }
        let most = (right.height / 3).max(1);
        let jobs = parts::jobs(shared, most, true);
        if !jobs.is_empty() {
            let first = u16::from(right.y > area.y);
            take(&mut right, first);
            let height = rows(jobs.len()) + 1;
            self.draw_jobs(frame, take(&mut right, height), &jobs, true, shared);
        }
        self.draw_events(frame, right, right.y > area.y, shared);
        self.draw_vms(frame, left, shared);
    }

    /// Jobs below a heading, where there is room for one. `roomy`: with air above.
    fn draw_jobs(
        &mut self,
        frame: &mut Frame<'_>,
        mut area: Rect,
        jobs: &[&crate::model::Job],
        roomy: bool,
        shared: &Shared,
    ) {
        if usize::from(area.height) > jobs.len() + 1 {
            take(&mut area, 1);
        }
        if roomy {
            parts::heading(frame, take(&mut area, 1), "Jobs", shared);
        }
        for job in jobs {
            let row = take(&mut area, 1);
            parts::job(frame, row, job, shared);
            self.links.push((row, Link::Job(job.id)));
        }
    }

    fn draw_events(&mut self, frame: &mut Frame<'_>, mut area: Rect, air: bool, shared: &Shared) {
        self.links.push((area, Link::Events));
        if air {
            take(&mut area, 1);
        }
        if area.height > 3 {
            parts::heading(frame, take(&mut area, 1), "What happened", shared);
        }
        if let Some(why) = &self.lost {
            parts::lost(frame, take(&mut area, 1), why, shared);
        } else if self.events.is_empty() {
            parts::no_events(frame, take(&mut area, 1), shared);
        }
        for event in self.events.iter().take(usize::from(area.height)) {
            parts::event(frame, take(&mut area, 1), event, shared);
        }
    }

    fn hear_events(&mut self, news: Result<event::News>) {
        let news = match news {
            Ok(news) => news,
            Err(e) => {
                self.lost = Some(e.message);
                return;
            }
        };
        self.lost = None;
        for event in news.events {
            // What is told again is known already.
            if event.id > self.newest {
                self.newest = event.id;
                if !parts::is_looking(&event) {
                    self.events.push_front(event);
                }
            }
        }
        self.events.truncate(EVENTS);
    }
}

/// What happens, and the host if it may be seen.
fn follow(host: bool) -> Feed {
    let tail = || EventTail { severity: None, actor: None, action: None, attempts: false, limit: BEFORE };
    let mut followed = vec![feeds::follow(WORD, 0, tail)];
    if host {
        followed.push(feeds::follow(WORD, 0, || HostFollow {}));
    }
    feeds::together(WORD, followed)
}

impl Page for Dashboard {
    fn begin(&mut self, shared: &Shared) -> Vec<Effect> {
        vec![Effect::Follow(follow(sees_host(&shared.me)))]
    }

    fn on_change(&mut self, shared: &Shared) {
        let mut rows = shared.vms.rows().to_vec();
        // First what wants a look, then what works.
        rows.sort_by_key(|row| match row.vm.state {
            VmState::Error => 0,
            VmState::Pending => 1,
            VmState::Running => 2,
            VmState::Paused => 3,
            VmState::Stopped => 4,
        });
        self.vms.set(rows, shared);
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> Vec<Effect> {
        match news.downcast::<Heard<event::News>>() {
            Ok(heard) => self.hear_events(heard.news),
            Err(news) => {
                let host = news.downcast::<Heard<Arc<Published>>>().ok().and_then(|heard| heard.news.ok());
                self.host = host.or(self.host.take());
            }
        }
        Vec::new()
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if self.vms.takes_text() {
            self.vms.on_key(key, shared);
            return Some(Vec::new());
        }
        if let Key::Mouse(mouse) = key
            && let Some(effects) = self.on_click(*mouse)
        {
            return Some(effects);
        }
        if let Some(command) = keymap::find(KEYS, key, |c| self.applies(c, shared)) {
            return self.applies(command, shared).then(|| self.act(command, shared));
        }
        if *key == Key::Esc {
            return self.vms.back(shared).then(Vec::new);
        }
        // Nothing here is done to several.
        let marks = keymap::find(table::KEYS, key, |_| true).is_some_and(is_for_several);
        (!marks && self.vms.on_key(key, shared)).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.links.clear();
        if area.width >= WIDE {
            self.draw_wide(frame, area, shared)
        } else {
            self.draw_narrow(frame, area, shared)
        }
    }

    fn status(&self, _shared: &Shared) -> Option<String> {
        self.vms.status()
    }

    fn hints(&self, shared: &Shared) -> Vec<Hint> {
        if self.vms.takes_text() {
            return self.vms.hints();
        }
        let mut hints = keymap::hints(KEYS, |c| self.applies(c, shared));
        if self.vms.has_back() {
            hints.push(("Esc", "show all"));
        }
        hints.extend(self.vms.hints());
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(KEYS);
        let of_table = table::KEYS.iter().filter(|b| !b.help.is_empty() && !is_for_several(b.command));
        help.extend(of_table.map(|b| (b.shown, b.help)));
        help
    }

    fn takes_text(&self) -> bool {
        self.vms.takes_text()
    }

    fn tells_jobs(&self) -> bool {
        true
    }
}

fn is_for_several(command: table::Command) -> bool {
    matches!(command, table::Command::Mark | table::Command::MarkAll)
}

fn sees_host(me: &Me) -> bool {
    me.rights.scope(Permission::HostRead) != Scope::None
}

/// Cuts so many rows off the top, or as many as there are.
fn take(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    let taken = Rect { height, ..*area };
    area.y += height;
    area.height -= height;
    taken
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
