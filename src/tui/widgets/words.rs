//! Text in lines.

use crate::model::text;

/// The text in lines of at most that many columns, broken at spaces where there
/// are any, made safe for a terminal.
pub fn wrap(input: &str, width: u16) -> Vec<String> {
    let width = usize::from(width.max(1));
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text::clean(input).split_whitespace() {
        let mut word = word.to_owned();
        if !line.is_empty() && text::columns(&line) + 1 + text::columns(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        // A word that no line can hold is cut.
        while text::columns(&word) > width {
            let cut = cut_at(&word, width);
            let rest = word.split_off(cut);
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The byte before which the first `width` columns end; at least one character.
fn cut_at(word: &str, width: usize) -> usize {
    let mut end = 0;
    for (i, c) in word.char_indices() {
        let next = i + c.len_utf8();
        if end > 0 && text::columns(word.get(..next).unwrap_or_default()) > width {
            break;
        }
        end = next;
    }
    end
}

/// A number of bytes without a needless `.0`: `512 MiB`.
pub fn size(bytes: u64) -> String {
    text::bytes(bytes).replace(".0 ", " ")
}

/// A price: `1 credit an hour`.
pub fn price(credits_per_hour: f64) -> String {
    let plural = if (credits_per_hour - 1.0).abs() < f64::EPSILON { "" } else { "s" };
    format!("{credits_per_hour} credit{plural} an hour")
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn breaks_at_spaces_and_in_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
        assert_eq!(wrap("a\u{1b}[2Jb", 20), ["a?[2Jb"]);
        assert!(wrap("", 5).is_empty());
    }
}
