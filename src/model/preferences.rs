//! How somebody wants the full screen to be: kept with their account, the same
//! wherever they sign in from.

use std::fmt;

use serde::{Serialize, Serializer};

use super::words::words;
use super::{Zone, text};
use crate::error::{Error, Result};

words! {
    /// What can be set.
    Setting {
        /// Colours: for which background, and how strong.
        Theme = "theme",
        /// How many colours there are.
        Colors = "colors",
        /// Whether the mouse is heeded.
        Mouse = "mouse",
        /// Whether things move.
        Motion = "motion",
        /// The page that is there first.
        Start = "start",
        /// The clock that times are shown by.
        TimeZone = "time_zone",
        /// The key before a command to the screen, inside of a VM.
        Prefix = "prefix",
    }
}

words! {
    /// Colours, by the background that they are for.
    #[derive(Default)]
    Palette {
        /// Whatever background the terminal has.
        #[default]
        Auto = "auto",
        /// Light on dark.
        Dark = "dark",
        /// Dark on light.
        Light = "light",
        /// White and strong colours on black.
        Contrast = "contrast",
        /// No colours.
        Mono = "mono",
    }
}

words! {
    /// How many colours are used.
    #[derive(Default)]
    Colors {
        /// As many as the terminal says it has.
        #[default]
        Auto = "auto",
        /// 24 bits.
        True = "true",
        /// xterm's 256.
        Indexed = "256",
        /// The terminal's own sixteen.
        Sixteen = "16",
        /// None.
        None = "none",
    }
}

words! {
    /// Yes or no.
    #[derive(Default)]
    Switch {
        /// Yes.
        #[default]
        On = "on",
        /// No.
        Off = "off",
    }
}

words! {
    /// What may move.
    #[derive(Default)]
    Motion {
        /// Whatever shows that something goes on.
        #[default]
        Full = "full",
        /// Nothing that does not have to.
        Reduced = "reduced",
    }
}

words! {
    /// The page that is there first.
    #[derive(Default)]
    StartPage {
        /// All at a glance.
        #[default]
        Dashboard = "dashboard",
        /// Machines.
        Vms = "vms",
        /// Long work.
        Jobs = "jobs",
        /// What happened.
        Events = "events",
        /// One's own account.
        Account = "account",
        /// For those who run the place.
        Admin = "admin",
    }
}

impl Setting {
    /// What it decides, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Setting::Theme => "colours for dark or light, stronger ones, or none",
            Setting::Colors => "how many colours the terminal has",
            Setting::Mouse => "the mouse clicks and scrolls",
            Setting::Motion => "spinners and the like move",
            Setting::Start => "the page that is there first",
            Setting::TimeZone => "the clock that times are shown by",
            Setting::Prefix => "the key before a command in a VM's tab",
        }
    }

    /// The values that it may have; none where there are too many to list.
    pub fn choices(self) -> Vec<&'static str> {
        fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
            all.iter().map(|v| word(*v)).collect()
        }
        match self {
            Setting::Theme => words(Palette::ALL, Palette::as_str),
            Setting::Colors => words(Colors::ALL, Colors::as_str),
            Setting::Mouse => words(Switch::ALL, Switch::as_str),
            Setting::Motion => words(Motion::ALL, Motion::as_str),
            Setting::Start => words(StartPage::ALL, StartPage::as_str),
            Setting::TimeZone | Setting::Prefix => Vec::new(),
        }
    }

    fn refuse(self, value: &str) -> Error {
        let choices = self.choices();
        let near = choices.iter().min_by_key(|c| strsim::damerau_levenshtein(c, value));
        let near = near.filter(|c| strsim::damerau_levenshtein(c, value) < 3.min(c.len()));
        let e = Error::usage(format!("“{}” does not do for `{self}`.", text::short(value, 40)));
        match near {
            Some(near) => e.hint(format!("Did you mean `{near}`? There are: {}.", choices.join(", "))),
            None => e.hint(format!("There are: {}.", choices.join(", "))),
        }
    }
}

/// `-` does for `_`, as in flags.
impl std::str::FromStr for Setting {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let words: Vec<_> = Setting::ALL.iter().map(|s| s.as_str()).collect();
        Setting::parse(&s.replace('-', "_"))
            .ok_or_else(|| format!("a preference is one of {}", words.join(", ")))
    }
}

/// A key with Control: the one before a command to the screen. Those that a
/// terminal does not tell from Tab, Enter and Backspace are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix(char);

impl Default for Prefix {
    fn default() -> Self {
        Prefix(']')
    }
}

impl Prefix {
    /// The key of that word: `ctrl-]`, `ctrl-b`.
    ///
    /// # Errors
    /// `usage` if it is another, or one that cannot be told from a key without Control.
    pub fn parse(word: &str) -> Result<Prefix> {
        let lower = word.to_ascii_lowercase();
        let mut rest = lower.strip_prefix("ctrl-").unwrap_or_default().chars();
        let twin = match (rest.next(), rest.next()) {
            (Some('i'), None) => "Tab",
            (Some('j' | 'm'), None) => "Enter",
            (Some('h'), None) => "Backspace",
            (Some(c @ ('a'..='z' | ']' | '\\' | '^' | '_')), None) => return Ok(Prefix(c)),
            _ => {
                let e = Error::usage(format!("“{}” does not do for `prefix`.", text::short(word, 40)));
                return Err(e.hint("Write ctrl- and a letter or one of ] \\ ^ _, such as ctrl-]."));
            }
        };
        let e = Error::usage(format!("To a terminal, {lower} is {twin}."));
        Err(e.hint("Choose another, such as ctrl-]."))
    }

    /// What is pressed beside Control.
    pub fn key(self) -> char {
        self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("ctrl-{}", self.0))
    }
}

/// All of somebody's preferences.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preferences {
    /// Colours.
    pub theme: Palette,
    /// How many.
    pub colors: Colors,
    /// Whether the mouse is heeded.
    pub mouse: Switch,
    /// What may move.
    pub motion: Motion,
    /// The page that is there first.
    pub start: StartPage,
    /// The clock that times are shown by.
    pub time_zone: Zone,
    /// The key before a command, inside of a VM.
    pub prefix: Prefix,
}

impl Preferences {
    /// Sets one. Looks zones up in files: not for an async worker.
    ///
    /// # Errors
    /// `usage` if the value does not do, with what would as the hint.
    pub fn set(&mut self, setting: Setting, value: &str) -> Result<()> {
        let refused = || setting.refuse(value);
        match setting {
            Setting::Theme => self.theme = Palette::parse(value).ok_or_else(refused)?,
            Setting::Colors => self.colors = Colors::parse(value).ok_or_else(refused)?,
            Setting::Mouse => self.mouse = Switch::parse(value).ok_or_else(refused)?,
            Setting::Motion => self.motion = Motion::parse(value).ok_or_else(refused)?,
            Setting::Start => self.start = StartPage::parse(value).ok_or_else(refused)?,
            Setting::TimeZone => self.time_zone = Zone::parse(value)?,
            Setting::Prefix => self.prefix = Prefix::parse(value)?,
        }
        Ok(())
    }

    /// One, as it is written.
    pub fn value(&self, setting: Setting) -> String {
        match setting {
            Setting::Theme => self.theme.to_string(),
            Setting::Colors => self.colors.to_string(),
            Setting::Mouse => self.mouse.to_string(),
            Setting::Motion => self.motion.to_string(),
            Setting::Start => self.start.to_string(),
            Setting::TimeZone => self.time_zone.to_string(),
            Setting::Prefix => self.prefix.to_string(),
        }
    }
}

/// What can be read here can be set there: all are words.
impl Serialize for Preferences {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(Setting::ALL.iter().map(|setting| (setting.as_str(), self.value(*setting))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_set() {
        let mut prefs = Preferences::default();
        for setting in Setting::ALL {
            let mut values = setting.choices();
            values.extend(match setting {
                Setting::TimeZone => &["UTC", "America/New_York"][..],
                Setting::Prefix => &["ctrl-]", "ctrl-b", "ctrl-\\", "ctrl-^", "ctrl-_"],
                _ => &[],
            });
            assert!(values.contains(&prefs.value(*setting).as_str()), "the default of {setting}");
            for value in values {
                prefs.set(*setting, value).unwrap();
                assert_eq!(prefs.value(*setting), value);
            }
        }
        let json = serde_json::to_value(&prefs).unwrap();
        assert_eq!((&json["mouse"], &json["prefix"]), (&"off".into(), &"ctrl-_".into()));
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(Setting::ALL.len()));
    }

    #[test]
    fn what_does_not_do_changes_nothing_and_says_what_does() {
        let mut prefs = Preferences::default();
        for (setting, value, hint) in [
            (Setting::Theme, "drak", "`dark`"),
            (Setting::Theme, "blue", "auto, dark, light, contrast, mono"),
            (Setting::Colors, "255", "`256`"),
            (Setting::Mouse, "yes", "on, off"),
            (Setting::Start, "event", "`events`"),
            (Setting::TimeZone, "Europe/Berln", "`Europe/Berlin`"),
            (Setting::Prefix, "ctrl-i", "ctrl-]"),
            (Setting::Prefix, "]", "ctrl-]"),
            (Setting::Prefix, "ctrl-[", "ctrl-]"),
            (Setting::Prefix, "ctrl-ab", "ctrl-]"),
        ] {
            let e = prefs.set(setting, value).unwrap_err();
            assert!(e.hint.contains(hint), "{setting} {value}: {e}");
        }
        let e = prefs.set(Setting::Theme, &"\u{1b}[31m".repeat(1000)).unwrap_err();
        assert!(e.to_string().len() < 300 && !e.to_string().contains('\u{1b}'), "{e}");
        assert_eq!(prefs, Preferences::default());
        assert_eq!("time-zone".parse(), Ok(Setting::TimeZone));
        assert!("them".parse::<Setting>().unwrap_err().contains("theme, colors"));
    }
}
