use super::fit::{linear, rgb};
use super::*;
use crate::model::Setting;
use crate::term::{Terminal, WindowSize, pair};

const BLACK: Color = Color::Rgb(0, 0, 0);
const WHITE: Color = Color::Rgb(255, 255, 255);
const DEPTHS: [Depth; 4] = [Depth::None, Depth::Sixteen, Depth::Indexed, Depth::True];

/// WCAG 2.2's contrast of two colours: 1 to 21.
fn contrast(a: Color, b: Color) -> f32 {
    let luminance = |color| {
        let [r, g, b] = rgb(color).expect("a colour of its own").map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The foregrounds of a theme by name.
fn inks(theme: &Theme) -> Vec<(&'static str, Color)> {
    let styles = [
        ("base", theme.base),
        ("accent", theme.accent),
        ("key", theme.key),
        ("good", theme.good),
        ("warn", theme.warn),
        ("bad", theme.bad),
        ("muted", theme.muted),
        ("border", theme.border),
        ("title", theme.title),
        ("heading", theme.heading),
    ];
    styles.into_iter().filter_map(|(name, style)| Some((name, style.fg?))).collect()
}

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

#[test]
fn what_somebody_wants_counts_before_what_their_terminal_says() {
    let terminal = Terminal { term: "xterm-256color".into(), size: WindowSize::clamp(0, 0), modes: vec![] };
    let env = vec![(String::from("NO_COLOR"), String::from("1"))];
    let (stdio, _input, _output) = pair(Some(terminal), env);
    let mut prefs = Preferences::default();
    assert_eq!(Theme::choose(&prefs, &stdio), Theme::with(Palette::Auto, Depth::None));
    for (word, depth) in
        [("true", Depth::True), ("256", Depth::Indexed), ("16", Depth::Sixteen), ("none", Depth::None)]
    {
        prefs.set(Setting::Colors, word).unwrap();
        assert_eq!(Theme::choose(&prefs, &stdio).depth, depth);
    }
    prefs.set(Setting::Colors, "true").unwrap();
    for palette in Palette::ALL {
        prefs.set(Setting::Theme, palette.as_str()).unwrap();
        assert_eq!(Theme::choose(&prefs, &stdio), Theme::with(*palette, Depth::True));
    }
}

#[test]
fn every_foreground_stands_out() {
    for depth in [Depth::Indexed, Depth::True] {
        for (name, ink) in inks(&Theme::with(Palette::Auto, depth)) {
            for paper in [BLACK, WHITE] {
                let got = contrast(ink, paper);
                assert!(got >= 4.0, "auto {depth:?} {name}: {got:.1} on {paper}");
            }
        }
    }
    for (palette, least) in [(Palette::Dark, 4.5), (Palette::Light, 4.5), (Palette::Contrast, 7.0)] {
        for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
            let theme = Theme::with(palette, depth);
            let paper = theme.base.bg.expect("its own paper");
            let inks = inks(&theme);
            assert!(inks.len() >= 9, "{palette} {depth:?}: {inks:?}");
            for (name, ink) in inks {
                // Lines need no more than 3 (WCAG 1.4.11), and less of it is easier on the eye.
                let least = if name == "border" && palette != Palette::Contrast { 3.0 } else { least };
                let got = contrast(ink, paper);
                assert!(got >= least, "{palette} {depth:?} {name}: {got:.1}");
            }
        }
    }
}

#[test]
fn no_theme_has_more_colours_than_there_are() {
    for palette in Palette::ALL {
        for depth in DEPTHS {
            let theme = Theme::with(*palette, depth);
            let all = inks(&theme).into_iter().map(|(_, c)| c).chain(theme.base.bg).chain(theme.selected.fg);
            for color in all {
                assert_eq!(theme.fit(color), color, "{palette} {depth:?}");
            }
        }
        let none = Theme::with(*palette, Depth::None);
        assert!(inks(&none).is_empty() && none.base.bg.is_none(), "{none:?}");
    }
    assert_eq!(Theme::with(Palette::Mono, Depth::True), Theme::with(Palette::Auto, Depth::None));
}

#[test]
fn without_colours_what_wants_a_look_is_bold() {
    let theme = Theme::new(Depth::None);
    for style in [theme.warn, theme.bad, theme.key, theme.title, theme.heading] {
        assert!(style.add_modifier.contains(Modifier::BOLD));
    }
    assert!(theme.selected.add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_nearest_colour_is_taken() {
    let fit = |depth, color| Theme::new(depth).fit(color);
    for (color, indexed, sixteen) in [
        (Color::Rgb(0, 0, 0), 16, Color::Black),
        (Color::Rgb(255, 255, 255), 231, Color::White),
        (Color::Rgb(255, 0, 0), 196, Color::LightRed),
        (Color::Rgb(2, 174, 1), 34, Color::Green),
        (Color::Rgb(119, 118, 119), 243, Color::DarkGray),
        (Color::Rgb(250, 250, 10), 226, Color::LightYellow),
        (Color::Rgb(10, 10, 240), 21, Color::Blue),
    ] {
        assert_eq!(fit(Depth::True, color), color);
        assert_eq!(fit(Depth::Indexed, color), Color::Indexed(indexed), "{color}");
        assert_eq!(fit(Depth::Sixteen, color), sixteen, "{color}");
        assert_eq!(fit(Depth::None, color), Color::Reset);
    }
    // Each of the 256 is itself, and the first of them are the sixteen.
    for i in 0..=255 {
        assert_eq!(fit(Depth::Indexed, Color::Indexed(i)), Color::Indexed(i));
        let Some([r, g, b]) = rgb(Color::Indexed(i)) else { panic!("{i}") };
        if i >= 16 {
            assert_eq!(rgb(fit(Depth::Indexed, Color::Rgb(r, g, b))), Some([r, g, b]), "{i}");
        }
    }
    assert_eq!(fit(Depth::Sixteen, Color::Indexed(9)), Color::LightRed);
    assert_eq!(fit(Depth::Sixteen, Color::Indexed(7)), Color::Gray);
    assert_eq!(fit(Depth::Sixteen, Color::Magenta), Color::Magenta);
    assert_eq!(fit(Depth::Sixteen, Color::Reset), Color::Reset);
}

#[test]
fn paper_and_ink_go_under_what_is_drawn() {
    let area = ratatui::layout::Rect::new(0, 0, 3, 1);
    let theme = Theme::with(Palette::Light, Depth::True);
    let mut buffer = Buffer::empty(area);
    buffer.set_string(0, 0, "a", theme.bad);
    theme.paint(&mut buffer);
    let seen: Vec<_> = buffer.content.iter().map(|c| (c.fg, c.bg)).collect();
    let (ink, paper) = (theme.base.fg.unwrap(), theme.base.bg.unwrap());
    assert_eq!(seen, [(theme.bad.fg.unwrap(), paper), (ink, paper), (ink, paper)]);
    let mut buffer = Buffer::empty(area);
    Theme::new(Depth::True).paint(&mut buffer);
    assert_eq!(buffer, Buffer::empty(area));
}
