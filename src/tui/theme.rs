//! Colours: few, each with a meaning, none that carries a meaning alone. Only
//! foregrounds of middling lightness are used, on whatever background the person
//! has, so that light and dark terminals both do.

use ratatui::style::{Color, Modifier, Style};

use crate::term::Stdio;

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// None, or none wanted.
    None,
    /// The sixteen of ECMA-48 and aixterm, in the person's own shades.
    Sixteen,
    /// xterm's 256.
    Indexed,
    /// 24 bits.
    True,
}

impl Depth {
    /// What a terminal says of itself. Without a word, sixteen.
    /// `NO_COLOR` is heeded as <https://no-color.org> has it.
    pub fn of(term: &str, colorterm: Option<&str>, no_color: Option<&str>) -> Depth {
        if no_color.is_some_and(|v| !v.is_empty()) {
            return Depth::None;
        }
        let colorless = ["dumb", "vt52", "vt100", "vt102", "vt220"];
        match (term, colorterm) {
            (t, _) if t.is_empty() || colorless.contains(&t) || t.ends_with("-mono") => Depth::None,
            (_, Some("truecolor" | "24bit")) => Depth::True,
            (t, _) if t.ends_with("-direct") => Depth::True,
            (t, _) if t.contains("256color") => Depth::Indexed,
            (_, Some(c)) if c.contains("256") => Depth::Indexed,
            _ => Depth::Sixteen,
        }
    }
}

/// The styles that everything is drawn with.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Names of things, and keys.
    pub accent: Style,
    /// What goes well.
    pub good: Style,
    /// What wants a look.
    pub warn: Style,
    /// What went wrong.
    pub bad: Style,
    /// What matters less.
    pub muted: Style,
    /// Headings.
    pub heading: Style,
    /// The selected row or field.
    pub selected: Style,
}

impl Theme {
    /// The theme for that many colours.
    pub fn new(depth: Depth) -> Theme {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let fg = |color| plain.fg(color);
        let (accent, good, warn, bad) = match depth {
            Depth::None => (bold, plain, bold, bold),
            Depth::Sixteen => {
                (fg(Color::Cyan), fg(Color::Green), fg(Color::Yellow), fg(Color::Red).patch(bold))
            }
            Depth::Indexed => (
                fg(Color::Indexed(31)),
                fg(Color::Indexed(28)),
                fg(Color::Indexed(130)),
                fg(Color::Indexed(160)).patch(bold),
            ),
            // Each has a contrast of 4 or more to black and to white.
            Depth::True => (
                fg(Color::Rgb(0x00, 0x82, 0xa8)),
                fg(Color::Rgb(0x1f, 0x8a, 0x3b)),
                fg(Color::Rgb(0xa8, 0x70, 0x00)),
                fg(Color::Rgb(0xd6, 0x3a, 0x3a)).patch(bold),
            ),
        };
        let muted = match depth {
            Depth::None => plain,
            Depth::Sixteen => plain.add_modifier(Modifier::DIM),
            Depth::Indexed => fg(Color::Indexed(243)),
            Depth::True => fg(Color::Rgb(0x76, 0x76, 0x76)),
        };
        // One bar across the row, whatever colours its cells have.
        let selected = plain.fg(Color::Reset).remove_modifier(Modifier::DIM).add_modifier(Modifier::REVERSED);
        Theme { accent, good, warn, bad, muted, heading: bold, selected }
    }

    /// The theme for a session's terminal.
    pub fn of(stdio: &Stdio) -> Theme {
        let term = stdio.terminal.as_ref().map_or("", |t| t.term.as_str());
        Theme::new(Depth::of(term, stdio.var("COLORTERM"), stdio.var("NO_COLOR")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_colours_as_there_are_and_as_are_wanted() {
        for (term, colorterm, no_color, depth) in [
            ("xterm", None, None, Depth::Sixteen),
            ("something-new", None, None, Depth::Sixteen),
            ("xterm-256color", None, None, Depth::Indexed),
            ("xterm-256color", Some("truecolor"), None, Depth::True),
            ("xterm-256color", Some("truecolor"), Some("1"), Depth::None),
            ("xterm-256color", None, Some(""), Depth::Indexed),
            ("dumb", Some("truecolor"), None, Depth::None),
            ("", None, None, Depth::None),
            ("vt100", None, None, Depth::None),
        ] {
            assert_eq!(Depth::of(term, colorterm, no_color), depth, "{term} {colorterm:?} {no_color:?}");
        }
    }
}
