//! The jobs: what takes long, as it goes on, and how it ended.

pub mod columns;
mod detail;
mod keys;

use ratatui::Frame;
use ratatui::layout::Rect;

use std::sync::Arc;

use crate::action::job::{JobCancel, JobRetry};
use crate::model::{Job, text};
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::confirm::Confirm;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Hint};
use crate::tui::page::{Entry, Me, News, Page, Shared};
use crate::tui::roster::Source;
use crate::tui::widgets::empty;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::table::{self, Table};
pub use columns::style as job_style;
use keys::{Command, KEYS, applies};

/// The page's place.
pub static ENTRY: Entry =
    Entry { word: "jobs", title: "Jobs", allowed: |_: &Me| true, open: |shared| Box::new(Jobs::new(shared)) };

/// With this many columns the selected job's steps find room beside the table.
const WIDE: u16 = 130;

/// The page.
#[derive(Debug)]
pub struct Jobs {
    table: Table<Arc<Job>>,
    /// The selected one's steps have the keys, and where there is no room beside
    /// the table, the page.
    open: bool,
    /// The page is wide enough for both.
    wide: bool,
    scroll: Scroll,
}

impl Jobs {
    fn new(shared: &Shared) -> Jobs {
        let mut page =
            Jobs { table: Table::new(columns::COLUMNS), open: false, wide: false, scroll: Scroll::default() };
        page.on_change(shared);
        page
    }

    /// The VM of the selected job, if it is there: its full name.
    fn vm(&self, shared: &Shared) -> Option<String> {
        let id = self.table.selected()?.vm_id?;
        shared.vms.find(id).map(|row| row.vm.full_name())
    }

    fn act(&mut self, command: Command, shared: &Shared) -> Vec<Effect> {
        match command {
            Command::Open => {
                self.open = self.table.selected().is_some();
                self.scroll = Scroll::default();
            }
            Command::Close => {
                if !std::mem::take(&mut self.open) {
                    self.table.back(shared);
                }
            }
            Command::Cancel => return self.cancel(shared),
            Command::Retry => return self.retry(),
            Command::Visit => {
                return self.vm(shared).map_or_else(
                    || vec![refuse("Its VM is gone.")],
                    |name| vec![Effect::Tell("vms", Box::new(name)), Effect::Go("vms")],
                );
            }
            Command::All if shared.me.sees_all => return vec![Effect::ShowAll(!shared.vms.all)],
            Command::All => return vec![refuse("Your role shows you your own jobs only.")],
        }
        Vec::new()
    }

    /// Asks first: what a job has made is undone.
    fn cancel(&self, shared: &Shared) -> Vec<Effect> {
        let at_work: Vec<&Arc<Job>> =
            self.table.chosen().into_iter().filter(|j| !j.state.is_final()).collect();
        let question = match at_work.as_slice() {
            [] => return vec![refuse("It is over already.")],
            [job] => format!("Cancel {} of {}?", job.action, shared.short_name(&job.target)),
            several => format!("Cancel {} jobs?", several.len()),
        };
        let then = at_work.iter().map(|job| Effect::Do(cancel(job.id))).collect();
        let question = format!("{question} It stops at its next step, and what it made is undone.");
        vec![Effect::Open(Box::new(Confirm::new("Cancel", question, then)))]
    }

    fn retry(&self) -> Vec<Effect> {
        let undone: Vec<i64> =
            self.table.chosen().iter().filter(|j| j.state.is_undone()).map(|j| j.id).collect();
        if undone.is_empty() {
            return vec![refuse("Only what failed, was cancelled or interrupted can be done again.")];
        }
        undone.into_iter().map(|id| Effect::Do(retry(id))).collect()
    }
}

fn cancel(id: i64) -> Task {
    Task::new(JobCancel { id }, move |following| match following {
        Ok(_) => Msg::Done(format!("Job {id} stops at its next step.")),
        Err(e) => Msg::Failed(e),
    })
}

fn retry(id: i64) -> Task {
    let action = JobRetry { id, no_wait: true };
    Task::new(action, |job| job.map_or_else(Msg::Failed, |job| Msg::Begun(vec![job])))
}

fn refuse(why: &str) -> Effect {
    Effect::Say(Mood::Bad, why.to_owned(), String::new())
}

impl Page for Jobs {
    fn crumbs(&self, _shared: &Shared) -> Vec<String> {
        let open = self.open && !self.wide;
        self.table.selected().filter(|_| open).map(|job| job.id.to_string()).into_iter().collect()
    }

    fn on_change(&mut self, shared: &Shared) {
        self.table.set(shared.recent.clone(), shared);
        self.open &= self.table.selected().is_some();
    }

    /// The job to select: its number.
    fn on_news(&mut self, news: News, _shared: &Shared) -> Vec<Effect> {
        if let Ok(id) = news.downcast::<i64>() {
            self.table.select(&id.to_string());
            self.open = true;
        }
        Vec::new()
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if self.table.takes_text() {
            self.table.on_key(key, shared);
            return Some(Vec::new());
        }
        // The mouse goes on working on the table where it is seen.
        let to_table = matches!(key, Key::Mouse(_)) && self.wide;
        if let Some(command) = keymap::find(KEYS, key, |c| applies(self, shared, c)) {
            // Where there is nothing to go back from, the frame has the key.
            if command == Command::Close && !applies(self, shared, command) {
                return None;
            }
            return Some(self.act(command, shared));
        }
        if self.open && !to_table && self.scroll.on_key(key) {
            return Some(Vec::new());
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.wide = area.width >= WIDE;
        let selected = self.table.selected().cloned();
        if let Some(job) = selected.as_ref().filter(|_| self.open && !self.wide) {
            detail::draw(frame, area, job, false, &mut self.scroll, shared);
            return frame.set_cursor_position((area.x, area.y));
        }
        let mut left = area;
        let mut cursor = None;
        if let Some(job) = selected.as_ref().filter(|_| self.wide) {
            let side = (area.width * 2 / 5).clamp(50, 76);
            left.width = area.width - side - 2;
            let right = Rect { x: left.right() + 2, width: side, ..area };
            for y in area.y..area.bottom() {
                frame.buffer_mut().set_string(left.right(), y, "│", shared.theme.border);
            }
            detail::draw(frame, right, job, self.open, &mut self.scroll, shared);
            cursor = self.open.then_some((right.x, right.y));
        }
        // Last, for the cursor.
        if !self.table.draw(frame, left, shared) && !self.table.takes_text() {
            let (what, next) = nothing(&self.table, shared);
            empty::draw(frame, left, &what, &next, &shared.theme);
        }
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
    }

    fn status(&self, _shared: &Shared) -> Option<String> {
        self.table.status()
    }

    fn hints(&self, shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let mut hints = keymap::hints(KEYS, |c| applies(self, shared, c));
        if self.open {
            hints.insert(0, ("↑ ↓", "scroll"));
        } else {
            hints.extend(self.table.hints());
        }
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(KEYS);
        help.extend(keymap::help(table::KEYS));
        help
    }

    fn takes_text(&self) -> bool {
        self.table.takes_text()
    }

    fn tells_jobs(&self) -> bool {
        true
    }
}

/// Says why there is nothing to see.
fn nothing(table: &Table<Arc<Job>>, shared: &Shared) -> (String, String) {
    match &shared.vms.source {
        _ if !shared.recent.is_empty() => (
            format!("Nothing here holds “{}”.", text::short(&table.filter(), 30)),
            String::from("Esc shows all."),
        ),
        Source::Waiting => (String::from("Looking for jobs…"), String::new()),
        Source::Lost(why) => (why.clone(), String::from("Trying again every few seconds.")),
        Source::Live => {
            let what = "No jobs yet.";
            (
                what.to_owned(),
                String::from("What takes long, such as making a VM, is told here as it goes on."),
            )
        }
    }
}
