//! Colours of one depth in another: the nearest by their distance in Oklab, where
//! equal distances look equal (<https://bottosson.github.io/posts/oklab/>).

use std::sync::LazyLock;

use ratatui::style::Color;

use super::Depth;

/// The sixteen, in the order of their numbers.
const SIXTEEN: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// What xterm draws the sixteen in, if nobody has chosen others.
const SHADES: [u32; 16] = [
    0x00_0000, 0xcd_0000, 0x00_cd00, 0xcd_cd00, 0x00_00ee, 0xcd_00cd, 0x00_cdcd, 0xe5_e5e5, 0x7f_7f7f,
    0xff_0000, 0x00_ff00, 0xff_ff00, 0x5c_5cff, 0xff_00ff, 0x00_ffff, 0xff_ffff,
];

/// Steps of the cube of 6 × 6 × 6 colours from 16 on.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Red, green, blue of a number of the 256, as xterm has them by default.
pub(super) fn rgb_of(index: u8) -> [u8; 3] {
    let cube = |n: u8| CUBE.get(usize::from(n)).copied().unwrap_or_default();
    match index {
        0..16 => {
            let [_, r, g, b] = SHADES.get(usize::from(index)).copied().unwrap_or_default().to_be_bytes();
            [r, g, b]
        }
        16..232 => {
            let n = index - 16;
            [cube(n / 36), cube(n / 6 % 6), cube(n % 6)]
        }
        232.. => [8 + 10 * (index - 232); 3],
    }
}

/// The colour at that depth.
pub(super) fn fit(depth: Depth, color: Color) -> Color {
    let rgb = match (depth, color) {
        (Depth::None, _) => return Color::Reset,
        (Depth::True, _) | (_, Color::Reset) => return color,
        (Depth::Indexed | Depth::Sixteen, Color::Rgb(r, g, b)) => [r, g, b],
        (Depth::Sixteen, Color::Indexed(i)) => match SIXTEEN.get(usize::from(i)) {
            Some(named) => return *named,
            None => rgb_of(i),
        },
        // One of the sixteen, or of the 256 where there are so many.
        (Depth::Indexed | Depth::Sixteen, _) => return color,
    };
    let wanted = oklab(rgb);
    let distance = |i: u8| {
        let known = LABS.get(usize::from(i)).copied().unwrap_or_default();
        known.iter().zip(wanted).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
    };
    // The first sixteen have whatever shades the person gave them.
    let candidates = if depth == Depth::Sixteen { 0..=15 } else { 16..=255 };
    let nearest = candidates.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or_default();
    SIXTEEN.get(usize::from(nearest)).copied().unwrap_or(Color::Indexed(nearest))
}

/// Red, green, blue of any colour; none for the terminal's own.
#[cfg(test)]
pub(super) fn rgb(color: Color) -> Option<[u8; 3]> {
    match color {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Indexed(i) => Some(rgb_of(i)),
        named => SIXTEEN.iter().zip(SHADES).find(|(c, _)| **c == named).map(|(_, hex)| {
            let [_, r, g, b] = hex.to_be_bytes();
            [r, g, b]
        }),
    }
}

static LABS: LazyLock<Vec<[f32; 3]>> = LazyLock::new(|| (0..=255).map(|i| oklab(rgb_of(i))).collect());

/// Lightness, green to red, blue to yellow.
fn oklab(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(linear);
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

/// From sRGB (IEC 61966-2-1) to light.
pub(super) fn linear(channel: u8) -> f32 {
    let c = f32::from(channel) / 255.0;
    if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}
