//! Text from guests and clients, made safe for a terminal.

use unicode_width::UnicodeWidthChar;

/// True for what must never reach a terminal from outside: C0, C1 and DEL,
/// and the marks that reorder or hide text (Unicode TR36 §3.1).
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text with each unsafe character replaced by `?`.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '?' } else { c }).collect()
}

/// Cleaned, and cut to at most `columns` terminal columns with `…` at the cut.
pub fn short(text: &str, columns: usize) -> String {
    let mut out = String::new();
    // Where the text is cut if the rest of it does not fit.
    let (mut width, mut cut) = (0, 0);
    for c in text.chars() {
        let c = if is_unsafe(c) { '?' } else { c };
        width += c.width().unwrap_or(0);
        if width > columns {
            out.truncate(cut);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        out.push(c);
        if width < columns {
            cut = out.len();
        }
    }
    out
}

/// A JSON document with each character that could act on a terminal escaped
/// (RFC 8259 §7): JSON itself wants that of C0 only.
pub fn json_for_terminals(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unsafe(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Columns that the text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A number of bytes for people, in binary units: `1.5 GiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)]
    let mut value = n as f64;
    let mut unit = "B";
    for name in UNITS {
        unit = name;
        if value < 1024.0 || name == "TiB" {
            break;
        }
        value /= 1024.0;
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_columns_not_bytes() {
        assert_eq!(short("abcdef", 6), "abcdef");
        assert_eq!(short("abcdefg", 6), "abcde…");
        assert_eq!(short("日本語日本語", 7), "日本語…");
    }

    #[test]
    fn nothing_escapes() {
        assert_eq!(clean("a\u{1b}[31m\u{202e}b\u{9b}"), "a?[31m?b?");
    }

    #[test]
    fn json_acts_on_no_terminal() {
        let document = serde_json::to_string("a\u{9b}31m\u{202e}é").unwrap();
        let safe = json_for_terminals(&document);
        assert_eq!(safe, "\"a\\u009b31m\\u202eé\"");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "a\u{9b}31m\u{202e}é");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
