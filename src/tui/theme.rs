//! Colours: few, each with a meaning, none that carries a meaning alone. Each
//! theme is written down once, in 24 bits, and made to fit what the terminal has.
//!
//! `auto` paints no background: its foregrounds are of middling lightness, so that
//! dark and light terminals both do. The others bring their own paper and ink.

mod fit;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::model::Preferences;
use crate::model::preferences::{Colors, Palette};
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

    /// The nearest colour that there is.
    pub fn fit(self, color: Color) -> Color {
        fit::fit(self, color)
    }

    /// What a session's terminal says of itself.
    pub fn at(stdio: &Stdio) -> Depth {
        let term = stdio.terminal.as_ref().map_or("", |t| t.term.as_str());
        Depth::of(term, stdio.var("COLORTERM"), stdio.var("NO_COLOR"))
    }
}

/// The styles that everything is drawn with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theme {
    /// How many colours there are.
    pub depth: Depth,
    /// What plain text is drawn in, and on what; none: as the terminal has it.
    pub base: Style,
    /// Names of things.
    pub accent: Style,
    /// Keys that can be pressed.
    pub key: Style,
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
    /// Lines around and between things.
    pub border: Style,
    /// The bar at the head of the screen.
    pub title: Style,
    /// The selected row or field.
    pub selected: Style,
}

/// A theme's colours.
#[derive(Debug, Clone, Copy)]
struct Shades {
    ink: Color,
    paper: Color,
    accent: Color,
    good: Color,
    warn: Color,
    bad: Color,
    muted: Color,
    border: Color,
}

const fn rgb(hex: u32) -> Color {
    let [_, r, g, b] = hex.to_be_bytes();
    Color::Rgb(r, g, b)
}

/// Each has a contrast of 4 or more to black and to white.
const AUTO: Shades = Shades {
    ink: Color::Reset,
    paper: Color::Reset,
    accent: rgb(0x00_82a8),
    good: rgb(0x1f_8a3b),
    warn: rgb(0xa8_7000),
    bad: rgb(0xd6_3a3a),
    muted: rgb(0x76_7676),
    border: rgb(0x76_7676),
};

const DARK: Shades = Shades {
    ink: rgb(0xd8_dee4),
    paper: rgb(0x12_171c),
    accent: rgb(0x5c_c8f2),
    good: rgb(0x6c_cf7a),
    warn: rgb(0xe8_b44c),
    bad: rgb(0xff_8078),
    muted: rgb(0x94_9ea8),
    border: rgb(0x7c_8790),
};

const LIGHT: Shades = Shades {
    ink: rgb(0x1c_2024),
    paper: rgb(0xff_ffff),
    accent: rgb(0x00_5f9e),
    good: rgb(0x14_6b2d),
    warn: rgb(0x8a_5200),
    bad: rgb(0xb3_1d1d),
    muted: rgb(0x5c_6670),
    border: rgb(0x6e_7881),
};

const CONTRAST: Shades = Shades {
    ink: rgb(0xff_ffff),
    paper: rgb(0x00_0000),
    accent: rgb(0x5f_ffff),
    good: rgb(0x5f_ff5f),
    warn: rgb(0xff_ff5f),
    bad: rgb(0xff_8787),
    muted: rgb(0xd0_d0d0),
    border: rgb(0xff_ffff),
};

impl Shades {
    /// The theme's colours for a terminal of that depth. With sixteen, whose
    /// shades are the person's own, the nearest is not the right one: they are chosen.
    fn of(palette: Palette, depth: Depth) -> Shades {
        let shades = match (palette, depth) {
            (Palette::Auto | Palette::Mono, Depth::Sixteen) => Shades {
                accent: Color::Cyan,
                good: Color::Green,
                warn: Color::Yellow,
                bad: Color::Red,
                muted: Color::Reset,
                border: Color::Reset,
                ..AUTO
            },
            (Palette::Dark | Palette::Contrast, Depth::Sixteen) => Shades {
                ink: Color::White,
                paper: Color::Black,
                accent: Color::LightCyan,
                good: Color::LightGreen,
                warn: Color::LightYellow,
                // No red is light enough for strong contrast; bold it is in either case.
                bad: if palette == Palette::Dark { Color::LightRed } else { Color::White },
                muted: Color::Gray,
                border: Color::Gray,
            },
            (Palette::Light, Depth::Sixteen) => Shades {
                ink: Color::Black,
                paper: Color::White,
                accent: Color::Blue,
                good: Color::Black,
                warn: Color::Magenta,
                bad: Color::Red,
                muted: Color::Black,
                border: Color::Black,
            },
            // Of the 256 few do on black and on white.
            (Palette::Auto, Depth::Indexed) => Shades {
                accent: Color::Indexed(31),
                good: Color::Indexed(28),
                warn: Color::Indexed(130),
                bad: Color::Indexed(161),
                muted: Color::Indexed(243),
                border: Color::Indexed(243),
                ..AUTO
            },
            (Palette::Auto | Palette::Mono, _) => AUTO,
            (Palette::Dark, _) => DARK,
            (Palette::Light, _) => LIGHT,
            (Palette::Contrast, _) => CONTRAST,
        };
        let fit = |color| fit::fit(depth, color);
        Shades {
            ink: fit(shades.ink),
            paper: fit(shades.paper),
            accent: fit(shades.accent),
            good: fit(shades.good),
            warn: fit(shades.warn),
            bad: fit(shades.bad),
            muted: fit(shades.muted),
            border: fit(shades.border),
        }
    }
}

impl Theme {
    /// The theme that goes with any background, for that many colours.
    pub fn new(depth: Depth) -> Theme {
        Theme::with(Palette::Auto, depth)
    }

    /// The theme of those colours, for so many.
    pub fn with(palette: Palette, depth: Depth) -> Theme {
        let depth = if palette == Palette::Mono { Depth::None } else { depth };
        let shades = Shades::of(palette, depth);
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let fg = |color| if color == Color::Reset { plain } else { plain.fg(color) };
        let none = depth == Depth::None;
        let (muted, border) = match (depth, palette) {
            (Depth::None, _) => (plain, plain),
            // Without a colour of its own it is dimmed.
            (Depth::Sixteen, Palette::Auto) => {
                (plain.add_modifier(Modifier::DIM), plain.add_modifier(Modifier::DIM))
            }
            _ => (fg(shades.muted), fg(shades.border)),
        };
        let accent = if none { bold } else { fg(shades.accent) };
        Theme {
            depth,
            base: if shades.paper == Color::Reset { plain } else { plain.fg(shades.ink).bg(shades.paper) },
            accent,
            key: accent.patch(bold),
            good: fg(shades.good),
            warn: if none { bold } else { fg(shades.warn) },
            bad: fg(shades.bad).patch(bold),
            muted,
            heading: bold,
            border,
            title: accent.patch(bold),
            // One bar across the row, whatever colours its cells have.
            selected: plain.fg(Color::Reset).remove_modifier(Modifier::DIM).add_modifier(Modifier::REVERSED),
        }
    }

    /// The theme for a session's terminal, of whoever has no wishes.
    pub fn of(stdio: &Stdio) -> Theme {
        Theme::choose(&Preferences::default(), stdio)
    }

    /// The theme that somebody wants, as far as their terminal has it.
    pub fn choose(preferences: &Preferences, stdio: &Stdio) -> Theme {
        Theme::wanted(preferences, Depth::at(stdio))
    }

    /// The theme that somebody wants, on a terminal that says it has so many colours.
    pub fn wanted(preferences: &Preferences, has: Depth) -> Theme {
        let depth = match preferences.colors {
            Colors::Auto => has,
            Colors::True => Depth::True,
            Colors::Indexed => Depth::Indexed,
            Colors::Sixteen => Depth::Sixteen,
            Colors::None => Depth::None,
        };
        Theme::with(preferences.theme, depth)
    }

    /// A colour as the terminal has it: that one, or the one nearest to the eye.
    /// For what guests draw.
    pub fn fit(&self, color: Color) -> Color {
        fit::fit(self.depth, color)
    }

    /// Gives what was drawn without colours of its own the theme's paper and ink.
    /// To be done last: boxes are cleared to the terminal's own.
    pub fn paint(&self, buffer: &mut Buffer) {
        let (Some(ink), Some(paper)) = (self.base.fg, self.base.bg) else { return };
        for cell in &mut buffer.content {
            if cell.fg == Color::Reset {
                cell.fg = ink;
            }
            if cell.bg == Color::Reset {
                cell.bg = paper;
            }
        }
    }
}

#[cfg(test)]
mod tests;
