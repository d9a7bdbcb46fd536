//! What VMs can be made from, and of which sizes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::WORD;
use crate::action::catalogue::{ImageLs, PlanLs};
use crate::error::{Error, Result};
use crate::model::{Image, Plan, text};
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{News, Shared};
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{self, Line};
use crate::tui::widgets::words;

/// What this part hears.
#[derive(Debug)]
pub enum Heard {
    /// The images.
    Images(Result<Vec<Image>>),
    /// The plans.
    Plans(Result<Vec<Plan>>),
}

/// Images and plans; none until they are known.
#[derive(Debug, Default)]
pub struct Catalogue {
    images: Option<Result<Vec<Image>>>,
    plans: Option<Result<Vec<Plan>>>,
    scroll: Scroll,
}

/// A heading and the lines under it, or why there are none.
fn part<T>(
    title: &str,
    known: &Option<Result<Vec<T>>>,
    none: &str,
    shared: &Shared,
    line: impl Fn(&T) -> Vec<Line>,
) -> Vec<Line> {
    let theme = &shared.theme;
    let say = |words: &str, style| vec![(String::new(), words.to_owned(), style)];
    let mut lines = vec![(String::from(title), String::new(), theme.heading)];
    lines.extend(match known {
        None => say("Looking…", theme.muted),
        Some(Err(e)) => say(&Error::to_string(e), theme.bad),
        Some(Ok(all)) if all.is_empty() => say(none, theme.muted),
        Some(Ok(all)) => all.iter().flat_map(line).collect(),
    });
    lines
}

fn image(i: &Image, shared: &Shared) -> Vec<Line> {
    let built = shared.preferences.time_zone.date(i.built_at);
    let size = words::size(i.size_bytes);
    let needs = format!("{} MB of memory and {} GB of disk at least", i.min_ram_mb, i.min_disk_gb);
    vec![
        (i.name.clone(), text::clean(&i.description), Style::new()),
        (String::new(), format!("signs in as {}; {needs}", i.ssh_user), Style::new()),
        (String::new(), format!("{size}, built {built}"), shared.theme.muted),
    ]
}

fn plan(p: &Plan) -> Vec<Line> {
    let ram = words::size(u64::from(p.size.ram_mb) << 20);
    let price = words::price(p.credits_per_hour);
    let size = format!("{} vCPU, {ram}, {} GB, {price}", p.size.vcpus, p.size.disk_gb);
    vec![(p.name.clone(), size, Style::new())]
}

impl Pane for Catalogue {
    fn title(&self) -> &'static str {
        "Images"
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        vec![
            Effect::Do(Task::new(ImageLs {}, |images| Msg::news(WORD, Heard::Images(images)))),
            Effect::Do(Task::new(PlanLs {}, |plans| Msg::news(WORD, Heard::Plans(plans)))),
        ]
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> Result<Vec<Effect>, News> {
        match *news.downcast::<Heard>()? {
            Heard::Images(images) => self.images = Some(images),
            Heard::Plans(plans) => self.plans = Some(plans),
        }
        Ok(Vec::new())
    }

    fn on_key(&mut self, key: &Key, _shared: &mut Shared) -> Option<Vec<Effect>> {
        self.scroll.on_key(key).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        if front {
            frame.set_cursor_position((area.x, area.y));
        }
        let none = "None yet. On the host: `twarga image build micro`.";
        let mut lines = part("Images", &self.images, none, shared, |i| image(i, shared));
        lines.push((String::new(), String::new(), Style::new()));
        lines.extend(part("Plans", &self.plans, "None.", shared, plan));
        sheet::draw(frame, area, &lines, &mut self.scroll, &shared.theme);
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("↑ ↓", "scroll")]
    }

    fn help(&self) -> Vec<Hint> {
        vec![("↑ ↓", "scroll (also PgUp and PgDn)")]
    }
}
