//! The form for a new VM: a name, an image, a plan. All have something in them
//! from the start, so that Enter alone makes a VM.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::action::catalogue::{ImageLs, PlanLs};
use crate::action::vm::VmNew;
use crate::error::{Error, Result};
use crate::model::{Image, Job, Plan, VmName, text};
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::theme::Theme;
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// The form's word.
const WORD: &str = "new";

/// What the form hears.
enum Heard {
    Images(Result<Vec<Image>>),
    Plans(Result<Vec<Plan>>),
    Made(Result<Job>),
}

/// Looks up what there is to choose from.
pub fn catalogue() -> Vec<Effect> {
    vec![
        Effect::Do(Task::new(ImageLs {}, |images| Msg::news(WORD, Heard::Images(images)))),
        Effect::Do(Task::new(PlanLs {}, |plans| Msg::news(WORD, Heard::Plans(plans)))),
    ]
}

/// Columns of the fields' names.
const LABEL: u16 = 7;

/// The form.
#[derive(Debug)]
pub struct NewForm {
    name: Input,
    images: Vec<Image>,
    plans: Vec<Plan>,
    image: usize,
    plan: usize,
    focus: Field,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Image,
    Plan,
}

#[derive(Debug)]
enum State {
    /// Images and plans are not known yet.
    Loading,
    Ready,
    /// Asked for, not answered yet.
    Sent,
    Refused(Error),
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Create,
    Cancel,
    Next,
    Before,
    Less,
    More,
}

const fn key(
    keys: &'static [Key],
    shown: &'static str,
    word: &'static str,
    command: Command,
) -> Binding<Command> {
    Binding { keys, shown, word, help: "", command }
}

static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter], "Enter", "create", Command::Create),
    key(&[Key::Tab, Key::Down], "Tab", "next", Command::Next),
    key(&[Key::BackTab, Key::Up], "", "", Command::Before),
    key(&[Key::Left], "← →", "choose", Command::Less),
    key(&[Key::Right, Key::Char(' ')], "", "", Command::More),
    key(&[Key::Esc, Key::Ctrl('c')], "Esc", "cancel", Command::Cancel),
];

impl NewForm {
    /// A form with that name in it.
    pub fn new(name: String) -> NewForm {
        NewForm {
            name: Input::new(&name),
            images: Vec::new(),
            plans: Vec::new(),
            image: 0,
            plan: 0,
            focus: Field::Name,
            state: State::Loading,
        }
    }

    fn refuse(&mut self, e: Error) {
        self.state = State::Refused(e);
    }

    /// In the name, arrows move the cursor and a space is text.
    fn applies(&self, command: Command) -> bool {
        match command {
            Command::Less | Command::More => self.focus != Field::Name,
            Command::Create | Command::Cancel | Command::Next | Command::Before => true,
        }
    }

    fn create(&mut self) -> Option<Effect> {
        if matches!(self.state, State::Sent) {
            return None;
        }
        match self.name.text().trim().parse::<VmName>() {
            Ok(name) => {
                self.state = State::Sent;
                let image = self.images.get(self.image).map(|i| i.name.clone());
                let plan = self.plans.get(self.plan).map(|p| p.name.clone());
                let action = VmNew {
                    name,
                    image,
                    plan,
                    ram: None,
                    cpu: None,
                    disk: None,
                    user_data: None,
                    tags: Vec::new(),
                    no_wait: true,
                };
                Some(Effect::Do(Task::new(action, |made| Msg::news(WORD, Heard::Made(made)))))
            }
            Err(e) => {
                self.focus = Field::Name;
                self.refuse(e);
                None
            }
        }
    }

    fn choose(&mut self, more: bool) {
        let (at, count) = match self.focus {
            Field::Image => (&mut self.image, self.images.len()),
            Field::Plan => (&mut self.plan, self.plans.len()),
            Field::Name => return,
        };
        if count > 0 {
            *at = (*at + if more { 1 } else { count - 1 }) % count;
        }
        self.calm();
    }

    fn calm_if_loading(&mut self) {
        if matches!(self.state, State::Loading) {
            self.state = State::Ready;
        }
    }

    /// What was refused is being changed.
    fn calm(&mut self) {
        if matches!(self.state, State::Refused(_)) {
            self.state = State::Ready;
        }
    }

    /// Draws a field; returns where its value begins.
    fn line(
        &self,
        buffer: &mut Buffer,
        inner: Rect,
        row: u16,
        (label, field): (&str, Field),
        value: &str,
        theme: &Theme,
    ) -> (u16, u16) {
        let (x, y) = (inner.x + LABEL, inner.y + row);
        if y >= inner.bottom() {
            return (inner.x, inner.y);
        }
        let focused = self.focus == field;
        buffer.set_stringn(inner.x, y, label, usize::from(LABEL), theme.muted);
        let style = if focused && field != Field::Name { theme.selected } else { Style::new() };
        let style = if focused && field == Field::Name { theme.heading } else { style };
        let room = usize::from(inner.right().saturating_sub(x));
        buffer.set_stringn(x, y, text::short(value, room), room, style);
        (x, y)
    }

    fn image_note(&self) -> String {
        match (self.images.get(self.image), &self.state) {
            (Some(image), _) => image.description.clone(),
            (None, State::Loading) => String::from("Looking for images…"),
            (None, State::Ready | State::Sent | State::Refused(_)) => String::from("There is no image yet."),
        }
    }

    fn plan_note(&self) -> String {
        self.plans.get(self.plan).map(describe).unwrap_or_default()
    }

    fn notice(&self, theme: &Theme) -> (String, Style) {
        match &self.state {
            State::Loading | State::Ready => (String::new(), Style::new()),
            State::Sent => (String::from("Asking for it…"), theme.muted),
            State::Refused(e) => (e.to_string(), theme.bad),
        }
    }
}

impl Overlay for NewForm {
    fn word(&self) -> &'static str {
        WORD
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(KEYS, |c| self.applies(c))
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let command = keymap::find(KEYS, key, |c| self.applies(c)).filter(|c| self.applies(*c));
        let mut effects = Vec::new();
        match command {
            Some(Command::Cancel) => return (Fate::Close, effects),
            Some(Command::Create) => effects.extend(self.create()),
            Some(Command::Next) => self.focus = self.focus.next(),
            Some(Command::Before) => self.focus = self.focus.next().next(),
            Some(Command::Less) => self.choose(false),
            Some(Command::More) => self.choose(true),
            None => {
                if self.focus == Field::Name && self.name.on_key(key) {
                    self.calm();
                }
            }
        }
        (Fate::Stay, effects)
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(heard) = news.downcast::<Heard>() else { return (Fate::Stay, Vec::new()) };
        match *heard {
            Heard::Images(Ok(mut images)) => {
                // First what the portal takes if nobody chooses: what is ready soonest.
                images.sort_by_key(|i| (i.name != "micro", i.size_bytes));
                self.images = images;
                self.calm_if_loading();
            }
            Heard::Plans(Ok(plans)) => self.plans = plans,
            Heard::Made(Ok(job)) => return (Fate::Close, vec![Effect::Made(job)]),
            Heard::Images(Err(e)) | Heard::Plans(Err(e)) | Heard::Made(Err(e)) => self.refuse(e),
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let width = within.width.saturating_sub(4).min(60);
        let (notice, style) = self.notice(theme);
        let notice = words::wrap(&notice, width);
        let rows = 6 + u16::try_from(notice.len()).unwrap_or(0).min(4);
        let inner = modal::open(frame, within, theme, "New VM", (width, rows));
        let buffer = frame.buffer_mut();
        let (name, cursor) = self.name.view(inner.width.saturating_sub(LABEL));
        let name_at = self.line(buffer, inner, 0, ("Name", Field::Name), &name, theme);
        let image = choice(self.images.iter().map(|i| i.name.as_str()), self.image);
        let image_at = self.line(buffer, inner, 1, ("Image", Field::Image), &image, theme);
        note(buffer, inner, 2, &self.image_note(), theme);
        let plan = choice(self.plans.iter().map(|p| p.name.as_str()), self.plan);
        let plan_at = self.line(buffer, inner, 3, ("Plan", Field::Plan), &plan, theme);
        note(buffer, inner, 4, &self.plan_note(), theme);
        let first = inner.y + 6.min(inner.height.saturating_sub(u16::try_from(notice.len()).unwrap_or(0)));
        for (line, y) in notice.iter().zip(first..inner.bottom()) {
            buffer.set_stringn(inner.x, y, line, usize::from(inner.width), style);
        }
        frame.set_cursor_position(match self.focus {
            Field::Name => (name_at.0 + cursor, name_at.1),
            Field::Image => image_at,
            Field::Plan => plan_at,
        });
    }
}

impl Field {
    fn next(self) -> Field {
        match self {
            Field::Name => Field::Image,
            Field::Image => Field::Plan,
            Field::Plan => Field::Name,
        }
    }
}

/// A choice and how many there are: `‹ small ›  1 of 3`.
fn choice<'a>(all: impl ExactSizeIterator<Item = &'a str>, at: usize) -> String {
    let count = all.len();
    match (all.into_iter().nth(at), count) {
        (None, _) => String::from("–"),
        (Some(one), 1) => text::clean(one),
        (Some(one), _) => format!("‹ {} ›  {} of {count}", text::clean(one), at + 1),
    }
}

fn note(buffer: &mut Buffer, inner: Rect, row: u16, value: &str, theme: &Theme) {
    let (x, y) = (inner.x + LABEL, inner.y + row);
    let room = usize::from(inner.right().saturating_sub(x));
    if y < inner.bottom() {
        buffer.set_stringn(x, y, text::short(value, room), room, theme.muted);
    }
}

/// A plan's size and price: `1 CPU, 512 MiB, 10 GB, 1 credit an hour`.
fn describe(plan: &Plan) -> String {
    let size = plan.size;
    let ram = words::size(u64::from(size.ram_mb) << 20);
    format!("{} CPU, {ram}, {} GB, {}", size.vcpus, size.disk_gb, words::price(plan.credits_per_hour))
}
