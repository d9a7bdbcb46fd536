//! The clipboard of the person's own machine, by their terminal (OSC 52, as in
//! xterm's control sequences). A terminal that does not know it skips it.

use data_encoding::BASE64;

/// The most that is copied, bytes: terminals cut longer ones.
pub const LONGEST: usize = 64 * 1024;

/// The bytes that put that text into the clipboard.
pub fn copy(text: &str) -> Vec<u8> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    format!("\x1b]52;c;{}\x07", BASE64.encode(text.as_bytes())).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_whole_sequence_of_at_most_so_much() {
        assert_eq!(copy("hé"), b"\x1b]52;c;aMOp\x07");
        assert!(copy(&"é".repeat(LONGEST)).len() < LONGEST * 4 / 3 + 20);
    }
}
