//! A form: fields below each other, of which one has the keys. What a field
//! stands for, only its page knows; each has a name of the page's own.

mod draw;
mod field;

use std::fmt::Debug;

use crate::term::keys::{Key, Mouse, Wheel};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::widgets::area::Area;
use field::Taken;
pub use field::{Choice, Field, Kind, Number, Text};

/// What a form has to say after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<K> {
    /// Nothing.
    Stay,
    /// That field holds something else now.
    Changed(K),
    /// It is to be sent.
    Submit,
    /// It is to be closed.
    Cancel,
}

/// A form.
#[derive(Debug)]
pub struct Form<K> {
    fields: Vec<Field<K>>,
    focus: usize,
    /// What sending it is called.
    submit: &'static str,
    /// Something was typed or chosen.
    touched: bool,
    /// It was to be closed, and something would be lost: asked once.
    leaving: bool,
    /// What is wrong with the whole.
    notice: String,
    /// The first line that is seen, and of which field and which of its lines each
    /// row was when it was drawn.
    first: usize,
    drawn: Vec<(u16, usize, u16)>,
}

/// What a key does in every form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Submit,
    Cancel,
    Next,
    Before,
}

static KEYS: &[Binding<Command>] = &[
    key(&[Key::Ctrl('s')], "Ctrl-S", "", "", Command::Submit),
    key(&[Key::Tab, Key::Down, Key::Enter], "Tab", "next", "", Command::Next),
    key(&[Key::BackTab, Key::Up], "", "", "", Command::Before),
    key(&[Key::Esc, Key::Ctrl('c')], "Esc", "cancel", "", Command::Cancel),
];

impl<K: Copy + Eq + Debug> Form<K> {
    /// A form with those fields, the first that takes keys in front. `submit` is
    /// what sending it is called in the footer.
    pub fn new(submit: &'static str, fields: Vec<Field<K>>) -> Form<K> {
        let focus = fields.iter().position(Field::takes_keys).unwrap_or(0);
        Form {
            fields,
            focus,
            submit,
            touched: false,
            leaving: false,
            notice: String::new(),
            first: 0,
            drawn: Vec::new(),
        }
    }

    fn field(&self, id: K) -> Option<&Field<K>> {
        self.fields.iter().find(|f| f.id == id)
    }

    fn field_mut(&mut self, id: K) -> Option<&mut Field<K>> {
        self.fields.iter_mut().find(|f| f.id == id)
    }

    /// What a field holds, as text: of a choice the option, of a number its digits.
    pub fn text(&self, id: K) -> String {
        self.field(id).map(|f| f.kind.text()).unwrap_or_default()
    }

    /// The place of what is chosen.
    pub fn chosen(&self, id: K) -> Option<usize> {
        let Some(Kind::Choice(choice)) = self.field(id).map(|f| &f.kind) else { return None };
        choice.chosen()
    }

    /// A number's value, if it is within its limits.
    pub fn number(&self, id: K) -> Option<u32> {
        let Some(Kind::Number(number)) = self.field(id).map(|f| &f.kind) else { return None };
        number.value().ok()
    }

    /// A field's text of several lines.
    pub fn area(&mut self, id: K) -> Option<&mut Area> {
        let Some(Kind::Area(area)) = self.field_mut(id).map(|f| &mut f.kind) else { return None };
        Some(area)
    }

    /// A number, to change its limits.
    pub fn number_mut(&mut self, id: K) -> Option<&mut Number> {
        let Some(Kind::Number(number)) = self.field_mut(id).map(|f| &mut f.kind) else { return None };
        Some(number)
    }

    /// Puts other options to choose from; the first is chosen.
    pub fn set_options(&mut self, id: K, options: Vec<String>) {
        if let Some(field) = self.field_mut(id) {
            field.kind = Kind::Choice(Choice::new(options));
        }
    }

    /// Says something of a field.
    pub fn note(&mut self, id: K, note: impl Into<String>) {
        if let Some(field) = self.field_mut(id) {
            field.note = note.into();
        }
    }

    /// Says what is wrong with a field; nothing, if that is empty.
    pub fn refuse(&mut self, id: K, error: impl Into<String>) {
        if let Some(field) = self.field_mut(id) {
            field.error = error.into();
        }
    }

    /// Changes what a line says that cannot be changed by keys.
    pub fn tell(&mut self, id: K, words: impl Into<String>) {
        if let Some(field) = self.field_mut(id)
            && let Kind::Info(said) | Kind::Button(said) = &mut field.kind
        {
            *said = words.into();
        }
    }

    /// Shows a field or hides it.
    pub fn show(&mut self, id: K, shown: bool) {
        if let Some(field) = self.field_mut(id) {
            field.hidden = !shown;
        }
    }

    /// Says what is wrong with the whole; nothing, if that is empty.
    pub fn complain(&mut self, notice: impl Into<String>) {
        self.notice = notice.into();
    }

    /// Goes to the first field that something is wrong with; false if there is none.
    pub fn go_to_error(&mut self) -> bool {
        let wrong = self.fields.iter().position(|f| !f.hidden && !f.problem().is_empty());
        if let Some(at) = wrong {
            self.focus = at;
        }
        wrong.is_some()
    }

    /// Goes to that field.
    pub fn go_to(&mut self, id: K) {
        if let Some(at) = self.fields.iter().position(|f| f.id == id && f.takes_keys()) {
            self.focus = at;
        }
    }

    /// The field that has the keys.
    pub fn focus(&self) -> Option<K> {
        self.fields.get(self.focus).map(|f| f.id)
    }

    /// Takes a key.
    pub fn on_key(&mut self, key: &Key) -> Reply<K> {
        let leaving = std::mem::take(&mut self.leaving);
        if let Key::Mouse(mouse) = key {
            return self.on_mouse(*mouse);
        }
        let command = keymap::find(KEYS, key, |_| true);
        if command == Some(Command::Cancel) {
            self.leaving = self.touched && !leaving;
            return if self.leaving { Reply::Stay } else { Reply::Cancel };
        }
        if command == Some(Command::Submit) {
            return Reply::Submit;
        }
        let taken = self.fields.get_mut(self.focus).map_or(Taken::No, |f| f.kind.on_key(key));
        match (taken, command) {
            (Taken::Changed, _) => self.changed(),
            (Taken::Moved, _) => Reply::Stay,
            (Taken::Pressed, _) => Reply::Submit,
            (Taken::No, Some(Command::Next)) => self.step(true),
            (Taken::No, Some(Command::Before)) => self.step(false),
            (Taken::No, _) => Reply::Stay,
        }
    }

    fn changed(&mut self) -> Reply<K> {
        self.touched = true;
        self.notice.clear();
        let Some(field) = self.fields.get_mut(self.focus) else { return Reply::Stay };
        field.error.clear();
        Reply::Changed(field.id)
    }

    /// To the next field that takes keys, or the one before, round and round.
    fn step(&mut self, next: bool) -> Reply<K> {
        let count = self.fields.len().max(1);
        let step = if next { 1 } else { count - 1 };
        let order = (1..=count).map(|n| (self.focus + n * step) % count);
        let takes = |at: &usize| self.fields.get(*at).is_some_and(Field::takes_keys);
        self.focus = order.into_iter().find(takes).unwrap_or(self.focus);
        Reply::Stay
    }

    fn on_mouse(&mut self, mouse: Mouse) -> Reply<K> {
        match mouse.wheel() {
            Some(Wheel::Down) => return self.step(true),
            Some(Wheel::Up) => return self.step(false),
            None => {}
        }
        let hit = self.drawn.iter().find(|(y, ..)| *y == mouse.row).filter(|_| mouse.is_click());
        let Some((_, at, line)) = hit.copied() else { return Reply::Stay };
        let again = self.focus == at;
        let Some(field) = self.fields.get_mut(at).filter(|f| f.takes_keys()) else { return Reply::Stay };
        self.focus = at;
        match &mut field.kind {
            Kind::Button(_) => Reply::Submit,
            Kind::Area(area) => {
                area.click(line);
                Reply::Stay
            }
            // A second click goes on to what is next to choose.
            Kind::Choice(_) if again => {
                field.kind.on_key(&Key::Right);
                self.changed()
            }
            Kind::Choice(_) | Kind::Text(_) | Kind::Number(_) | Kind::Info(_) => Reply::Stay,
        }
    }

    /// The keys that work now.
    pub fn hints(&self) -> Vec<Hint> {
        if self.leaving {
            return vec![("Esc", "leave it"), ("any key", "go on")];
        }
        let mut hints = vec![("Ctrl-S", self.submit)];
        hints.extend(self.fields.get(self.focus).and_then(|f| f.kind.hint()));
        hints.extend(keymap::hints(KEYS, |_| true));
        hints
    }
}

#[cfg(test)]
mod tests;
