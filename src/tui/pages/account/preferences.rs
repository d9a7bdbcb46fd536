//! How one wants the screen: each wish is seen at once, and kept.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::WORD;
use crate::action::account::AccountSet;
use crate::error::{Error, Result};
use crate::model::{Preferences, Setting, text};
use crate::term::keys::{Key, Wheel};
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{News, Shared};
use crate::tui::widgets::input::Input;
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::words;

/// Columns of the wishes' names.
const LABEL: u16 = 12;
/// With so many columns each row tells what it decides, from that column on.
const WIDE: u16 = 90;
const ABOUT: u16 = 34;
/// The longest value that is typed.
const MOST: usize = 64;

/// The answer to a wish.
#[derive(Debug)]
pub struct Answer(pub Setting, pub Result<Preferences>);

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Up,
    Down,
    Less,
    More,
    Edit,
}

#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Left, Key::Char('h')], "← →", "choose", "the value before, the next", Command::Less),
    key(&[Key::Right, Key::Char('l'), Key::Char(' ')], "", "", "", Command::More),
    key(&[Key::Enter], "Enter", "change", "the next value, or type one", Command::Edit),
    key(&[Key::Up, Key::Char('k')], "↑ ↓", "select", "select (also k and j)", Command::Up),
    key(&[Key::Down, Key::Char('j')], "", "", "", Command::Down),
];

/// The wishes.
#[derive(Debug, Default)]
pub struct Wishes {
    at: usize,
    /// What is typed in place of the value.
    typed: Option<Input>,
    /// What the portal has kept; none before the first change.
    kept: Option<Preferences>,
    /// Asked to be kept, not answered yet: one at a time, so that the last wins.
    asked: bool,
    /// To be asked for next.
    next: Vec<(Setting, String)>,
    refused: Option<(Setting, Error)>,
    area: Rect,
}

impl Wishes {
    fn setting(&self) -> Setting {
        Setting::ALL.get(self.at).copied().unwrap_or(Setting::Theme)
    }

    fn go(&mut self, to: usize) {
        self.at = to.min(Setting::ALL.len().saturating_sub(1));
        self.typed = None;
    }

    /// Wants that value, which is kept as soon as the one before it is.
    fn want(&mut self, setting: Setting, value: String) -> Vec<Effect> {
        self.refused = None;
        self.next.retain(|(s, _)| *s != setting);
        self.next.push((setting, value));
        self.ask()
    }

    fn ask(&mut self) -> Vec<Effect> {
        if self.asked || self.next.is_empty() {
            return Vec::new();
        }
        self.asked = true;
        let (key, value) = self.next.remove(0);
        let set = AccountSet { key, value };
        vec![Effect::Do(Task::new(set, move |kept| Msg::news(WORD, Answer(key, kept))))]
    }

    /// The next of the choices, or the one before: it is seen before it is kept.
    fn choose(&mut self, more: bool, shared: &Shared) -> Vec<Effect> {
        let setting = self.setting();
        let choices = setting.choices();
        let Some(count) = std::num::NonZero::new(choices.len()) else { return Vec::new() };
        let now = shared.preferences.value(setting);
        let at = choices.iter().position(|c| *c == now).unwrap_or(0);
        let to = (at + if more { 1 } else { count.get() - 1 }) % count;
        let Some(value) = choices.get(to) else { return Vec::new() };
        if self.kept.is_none() {
            self.kept = Some(shared.preferences.clone());
        }
        let mut preferences = shared.preferences.clone();
        if preferences.set(setting, value).is_err() {
            return Vec::new();
        }
        let mut effects = vec![Effect::Prefer(Box::new(preferences))];
        effects.extend(self.want(setting, (*value).to_owned()));
        effects
    }

    fn act(&mut self, command: Command, shared: &Shared) -> Vec<Effect> {
        match command {
            Command::Up => self.go(self.at.saturating_sub(1)),
            Command::Down => self.go(self.at + 1),
            Command::Less => return self.choose(false, shared),
            Command::More => return self.choose(true, shared),
            Command::Edit if self.setting().choices().is_empty() => {
                let mut typed = Input::holding(MOST);
                typed.on_key(&Key::Paste(shared.preferences.value(self.setting())));
                self.typed = Some(typed);
                self.refused = None;
            }
            Command::Edit => return self.choose(true, shared),
        }
        Vec::new()
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_typed_key(&mut self, key: &Key) -> Vec<Effect> {
        let Some(typed) = &mut self.typed else { return Vec::new() };
        match key {
            Key::Esc | Key::Ctrl('c') => {
                self.typed = None;
                self.refused = None;
            }
            Key::Enter => {
                let value = typed.text().trim().to_owned();
                return self.want(self.setting(), value);
            }
            key => {
                if typed.on_key(key) {
                    self.refused = None;
                }
            }
        }
        Vec::new()
    }

    fn on_mouse(&mut self, mouse: crate::term::keys::Mouse, shared: &Shared) -> Vec<Effect> {
        match mouse.wheel() {
            Some(Wheel::Up) => self.go(self.at.saturating_sub(1)),
            Some(Wheel::Down) => self.go(self.at + 1),
            None if mouse.is_click() => {
                let row = usize::from(mouse.row.saturating_sub(self.area.y));
                if row < Setting::ALL.len() {
                    let again = row == self.at;
                    self.go(row);
                    // A click on what is selected changes it.
                    if again {
                        return self.act(Command::Edit, shared);
                    }
                }
            }
            None => {}
        }
        Vec::new()
    }

    fn draw_row(&self, frame: &mut Frame<'_>, row: Rect, at: usize, shared: &Shared, front: bool) {
        let Some(setting) = Setting::ALL.get(at).copied() else { return };
        let theme = &shared.theme;
        let selected = front && at == self.at;
        let value = shared.preferences.value(setting);
        let typed = self.typed.as_ref().filter(|_| selected);
        let room = row.width.saturating_sub(LABEL);
        let (shown, cursor) = match typed {
            Some(typed) => typed.view(room),
            None if setting.choices().is_empty() => (value, 0),
            None => (format!("‹ {value} ›"), 0),
        };
        let name = setting.as_str().replace('_', " ");
        let buffer = frame.buffer_mut();
        buffer.set_stringn(row.x, row.y, name, usize::from(row.width), theme.muted);
        let x = row.x + LABEL.min(row.width);
        buffer.set_stringn(x, row.y, shown, usize::from(room), Style::new());
        if typed.is_none() && row.width >= WIDE {
            let room = usize::from(row.width - ABOUT);
            buffer.set_stringn(row.x + ABOUT, row.y, setting.about(), room, theme.muted);
        }
        if selected {
            if typed.is_none() {
                buffer.set_style(row, theme.selected);
            }
            frame.set_cursor_position((if typed.is_some() { x + cursor } else { row.x }, row.y));
        }
    }

    /// What the selected one decides, what it may be, or what was wrong.
    fn notes(&self, shared: &Shared, front: bool) -> Vec<(String, Style)> {
        let theme = &shared.theme;
        let setting = self.setting();
        if let Some((refused, e)) = &self.refused
            && *refused == setting
        {
            return vec![(e.to_string(), theme.bad)];
        }
        if !front {
            return Vec::new();
        }
        let choices = setting.choices();
        let which = match setting {
            Setting::TimeZone => String::from("UTC, or a name such as Europe/Berlin."),
            Setting::Prefix => String::from("ctrl- and a letter or one of ] \\ ^ _"),
            _ => format!("One of: {}.", choices.join(", ")),
        };
        let mut about = setting.about().to_owned();
        if let Some(first) = about.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let about = (self.area.width < WIDE).then(|| (format!("{about}."), Style::new()));
        about.into_iter().chain([(which, theme.muted)]).collect()
    }
}

impl Pane for Wishes {
    fn title(&self) -> &'static str {
        "Preferences"
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Result<Vec<Effect>, News> {
        let Answer(setting, answer) = *news.downcast::<Answer>()?;
        self.asked = false;
        let mut effects = Vec::new();
        match answer {
            Ok(kept) => {
                if setting == self.setting() && setting.choices().is_empty() {
                    self.typed = None;
                }
                self.kept = Some(kept.clone());
                if self.next.is_empty() {
                    effects.push(Effect::Prefer(Box::new(kept)));
                }
            }
            Err(e) => {
                // What was seen already is as it was.
                let kept = self.kept.clone().unwrap_or_else(|| shared.preferences.clone());
                effects.push(Effect::Prefer(Box::new(kept)));
                self.refused = Some((setting, e));
                self.next.clear();
            }
        }
        effects.extend(self.ask());
        Ok(effects)
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if self.typed.is_some() {
            return Some(self.on_typed_key(key));
        }
        if let Key::Mouse(mouse) = key {
            return Some(self.on_mouse(*mouse, shared));
        }
        let command = keymap::find(KEYS, key, |_| true)?;
        Some(self.act(command, shared))
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        self.area = area;
        let count = u16::try_from(Setting::ALL.len()).unwrap_or(area.height);
        // Where rows are few, what was wrong is told in the last one.
        for (at, y) in (area.y..area.bottom().min(area.y + count)).enumerate() {
            self.draw_row(frame, Rect { y, height: 1, ..area }, at, shared, front);
        }
        let mut y =
            (area.y + count + 1).min(area.bottom().saturating_sub(1)).max(area.y + count.min(area.height));
        for (note, style) in self.notes(shared, front) {
            for line in words::wrap(&note, area.width) {
                if y < area.bottom() {
                    let line = text::clean(&line);
                    frame.buffer_mut().set_stringn(area.x, y, line, usize::from(area.width), style);
                }
                y += 1;
            }
        }
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        if self.typed.is_some() {
            return vec![("Enter", "set"), ("Esc", "leave it")];
        }
        let choices = !self.setting().choices().is_empty();
        keymap::hints(KEYS, |c| choices || c != Command::Less)
    }

    fn help(&self) -> Vec<Hint> {
        keymap::help(KEYS)
    }

    fn takes_text(&self) -> bool {
        self.typed.is_some()
    }
}
