//! What the person types and does with the mouse while tabs are in front.

use tokio::time::Instant;

use super::keys::{self, Command};
use super::layout::{self, Split};
use super::mouse;
use super::scroll::{Scroll, Turn};
use super::tap::Piece;
use super::{Beside, HOLD, Mode, Step, Tab, TabId, Tabs, WHEEL_LINES, Way, draw};
use crate::term::keys::{Decoder, ESC_TIMEOUT, Key, Mouse, Wheel};
use crate::tui::keymap;

impl Tabs {
    /// When silence means something, if it does: then [`Tabs::on_silence`] is due.
    pub fn silence_at(&self) -> Option<Instant> {
        self.silence_at
    }

    /// Nothing more was typed for a moment.
    pub fn on_silence(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.tap.holds() {
            for piece in self.tap.flush() {
                self.take(piece, &mut steps);
            }
        } else if let Some(key) = self.decoder.flush() {
            self.on_key(&key, &mut steps);
        }
        self.wait();
        steps
    }

    /// Takes what the person's terminal sends, as it comes, while tabs are in front.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() && !self.away {
            // What comes after a command may be for somebody else.
            let prefix = rest.iter().position(|b| *b == keys::byte(self.prefs.prefix));
            let most = if self.takes_keys() { 1 } else { prefix.map_or(rest.len(), |at| at + 1) };
            let (now, more) = rest.split_at(most);
            rest = more;
            for piece in self.tap.feed(now) {
                self.take(piece, &mut steps);
            }
        }
        if let Some(Step::ToList(left)) = steps.iter_mut().rfind(|s| matches!(s, Step::ToList(_))) {
            left.extend_from_slice(rest);
        }
        self.wait();
        steps
    }

    fn wait(&mut self) {
        let wait = if self.away {
            None
        } else if self.tap.holds() {
            Some(HOLD)
        } else {
            self.decoder.pending_esc().then_some(ESC_TIMEOUT)
        };
        self.silence_at = wait.map(|wait| Instant::now() + wait);
    }

    /// True when keys are for us and not for the guest.
    fn takes_keys(&self) -> bool {
        self.mode != Mode::Pass || self.front().is_none_or(|tab| tab.scroll.is_some() || tab.ended())
    }

    fn take(&mut self, piece: Piece, steps: &mut Vec<Step>) {
        match piece {
            Piece::Bytes(bytes) => self.keys_or_pass(&bytes, steps),
            Piece::Prefix if self.mode == Mode::Command => {
                self.mode = Mode::Pass;
                self.pass(&[keys::byte(self.prefs.prefix)], steps);
            }
            Piece::Prefix => {
                self.mode = Mode::Command;
                self.decoder = Decoder::new();
            }
            Piece::Mouse(mouse) => self.on_mouse(mouse, steps),
            Piece::Paste { begins } => {
                let mark: &[u8] = if begins { b"\x1b[200~" } else { b"\x1b[201~" };
                let wanted = |tab: &Tab| tab.line.emulator().screen().bracketed_paste();
                if self.takes_keys() || self.front().is_some_and(wanted) {
                    self.keys_or_pass(mark, steps);
                }
            }
        }
    }

    fn keys_or_pass(&mut self, bytes: &[u8], steps: &mut Vec<Step>) {
        let mut rest = bytes;
        while let Some((byte, more)) = rest.split_first() {
            if !self.takes_keys() {
                return self.pass(rest, steps);
            }
            for key in self.decoder.feed(&[*byte]) {
                self.on_key(&key, steps);
            }
            rest = more;
        }
    }

    /// Types into the guest in front.
    fn pass(&mut self, bytes: &[u8], steps: &mut Vec<Step>) {
        if let Some(tab) = self.front()
            && !tab.ended()
            && !tab.line.type_in(bytes)
        {
            steps.push(Step::Say(format!("{} does not take what is typed.", tab.vm)));
        }
    }

    fn on_key(&mut self, key: &Key, steps: &mut Vec<Step>) {
        match self.mode {
            Mode::Command => {
                self.mode = Mode::Pass;
                if let Some(command) = keymap::find(keys::KEYS, key, |_| true) {
                    self.command(command, key, steps);
                }
            }
            Mode::Close(id) => {
                self.mode = Mode::Pass;
                if matches!(key, Key::Char('y' | 'x')) {
                    steps.extend(self.close(id));
                }
            }
            Mode::Help(scroll) => self.mode = draw::help_key(key, scroll),
            Mode::Pass if self.front().is_some_and(|tab| tab.scroll.is_some()) => {
                self.on_scroll_key(key, steps);
            }
            Mode::Pass => self.on_ended_key(key, steps),
        }
    }

    /// A key for a tab that has ended.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_ended_key(&mut self, key: &Key, steps: &mut Vec<Step>) {
        let Some(tab) = self.front() else { return steps.push(self.go_to_list()) };
        let (id, vm, way) = (tab.id, tab.vm.clone(), tab.way);
        match key {
            Key::Enter => {
                let again = self.enter(id, vm, way);
                if let Some(tab) = self.front_mut() {
                    *tab = again;
                }
                self.arrange();
            }
            Key::Char('x') => steps.extend(self.close(id)),
            Key::Char('d') | Key::Esc => steps.push(self.go_to_list()),
            _ => {}
        }
    }

    fn on_scroll_key(&mut self, key: &Key, steps: &mut Vec<Step>) {
        let Some(tab) = self.front_mut() else { return };
        let Some(scroll) = &mut tab.scroll else { return };
        match scroll.on_key(key, &mut tab.line.emulator()) {
            Turn::Stay => {}
            Turn::Leave => tab.scroll = None,
            Turn::Say(text) => steps.push(Step::Say(text)),
            Turn::Copy(text) => {
                tab.scroll = None;
                steps.push(Step::Copy(text));
            }
        }
    }

    fn command(&mut self, command: Command, key: &Key, steps: &mut Vec<Step>) {
        match command {
            Command::Next => self.turn(1),
            Command::Previous => self.turn(self.tabs.len().saturating_sub(1)),
            Command::Number => {
                if let Key::Char(c) = key
                    && let Some(n) = c.to_digit(10).and_then(|n| usize::try_from(n).ok())
                    && let Some(tab) = self.tabs.get(n.saturating_sub(1))
                {
                    self.bring(tab.id);
                }
            }
            Command::Another => {
                self.another(steps);
            }
            Command::Columns => self.split(Split::Columns, steps),
            Command::Rows => self.split(Split::Rows, steps),
            Command::Zoom => {
                self.zoomed = !self.zoomed && self.beside.is_some();
                self.arrange();
            }
            Command::OtherPane => self.other_pane(),
            Command::FirstPane if self.beside.is_some_and(|b| b.first) => self.other_pane(),
            Command::SecondPane if self.beside.is_some_and(|b| !b.first) => self.other_pane(),
            Command::FirstPane | Command::SecondPane => {}
            Command::Scroll => self.scroll_back(*key == Key::PageUp),
            Command::Close => self.ask_to_close(steps),
            Command::List => steps.push(self.go_to_list()),
            Command::Help => self.mode = Mode::Help(0),
        }
    }

    /// Brings the tab to the front that comes so many after this one.
    fn turn(&mut self, by: usize) {
        let at = self.tabs.iter().position(|t| Some(t.id) == self.front).unwrap_or(0);
        let id = self.tabs.get((at + by) % self.tabs.len().max(1)).map(|t| t.id);
        if let Some(id) = id {
            self.bring(id);
        }
    }

    /// Opens another shell into the VM in front.
    fn another(&mut self, steps: &mut Vec<Step>) -> Option<TabId> {
        let vm = self.front()?.vm.clone();
        match self.open(vm, Way::Shell) {
            Ok(id) => Some(id),
            Err(e) => {
                steps.push(Step::Say(format!("{} {}", e.message, e.hint)));
                None
            }
        }
    }

    /// Shows the next tab beside this one; a new one if there is no other.
    fn split(&mut self, split: Split, steps: &mut Vec<Step>) {
        let (_, inner) = layout::bar(self.area);
        if layout::halves(inner, split).is_none() {
            return steps.push(Step::Say(String::from("There is no room for two.")));
        }
        self.zoomed = false;
        let Some(here) = self.front else { return };
        if let Some(beside) = &mut self.beside {
            beside.split = split;
            return self.arrange();
        }
        let at = self.tabs.iter().position(|t| t.id == here).unwrap_or(0);
        let next = self.tabs.get((at + 1) % self.tabs.len().max(1)).map(|t| t.id).filter(|id| *id != here);
        let Some(other) = next.or_else(|| self.another(steps)) else { return };
        self.front = Some(other);
        self.beside = Some(Beside { id: here, split, first: true });
        self.arrange();
    }

    pub(super) fn other_pane(&mut self) {
        if let (Some(beside), Some(front)) = (&mut self.beside, &mut self.front) {
            std::mem::swap(&mut beside.id, front);
            beside.first = !beside.first;
            self.arrange();
        }
    }

    fn ask_to_close(&mut self, steps: &mut Vec<Step>) {
        let Some(tab) = self.front() else { return };
        let id = tab.id;
        if tab.ended() {
            steps.extend(self.close(id));
        } else {
            self.mode = Mode::Close(id);
        }
    }

    fn scroll_back(&mut self, page: bool) {
        let Some(tab) = self.front_mut() else { return };
        let mut emulator = tab.line.emulator();
        let scroll = tab.scroll.get_or_insert_with(|| Scroll::new(&emulator));
        if page {
            scroll.on_key(&Key::PageUp, &mut emulator);
        }
    }

    fn on_mouse(&mut self, mouse: Mouse, steps: &mut Vec<Step>) {
        let at = (self.area.x + mouse.column, self.area.y + mouse.row);
        let under = self.panes().tabs.into_iter().find(|(_, pane)| pane.contains(at.into()));
        let Some((id, pane)) = under else { return };
        if !matches!(self.mode, Mode::Pass | Mode::Command) {
            return;
        }
        if mouse::presses(mouse) && self.front != Some(id) {
            self.other_pane();
        }
        let Some(tab) = self.tabs.iter_mut().find(|t| t.id == id) else { return };
        let emulator = tab.line.emulator();
        let screen = emulator.screen();
        let (mode, encoding) = (screen.mouse_protocol_mode(), screen.mouse_protocol_encoding());
        let within = Mouse { column: at.0 - pane.x, row: at.1 - pane.y, ..mouse };
        let told = mouse::encode(within, mode, encoding);
        let typed = match (mouse.wheel(), told) {
            (_, Some(bytes)) if tab.scroll.is_none() => bytes,
            (Some(wheel), _) if screen.alternate_screen() && tab.scroll.is_none() => {
                // As terminals do it for programs that have the whole screen.
                let lead = if screen.application_cursor() { "\x1bO" } else { "\x1b[" };
                let arrow = if wheel == Wheel::Up { "A" } else { "B" };
                [lead, arrow].concat().repeat(3).into_bytes()
            }
            (Some(wheel), _) => {
                let up = wheel == Wheel::Up;
                if up || tab.scroll.is_some() {
                    let scroll = tab.scroll.get_or_insert_with(|| Scroll::new(&emulator));
                    scroll.page(WHEEL_LINES, up);
                    scroll.fit(&emulator);
                    let over = !up && scroll.marked().is_none() && scroll.is_at_end(&emulator);
                    if over {
                        tab.scroll = None;
                    }
                }
                return;
            }
            (None, _) => return,
        };
        drop(emulator);
        if !tab.line.type_in(&typed) {
            steps.push(Step::Say(format!("{} does not take what is typed.", tab.vm)));
        }
    }
}
