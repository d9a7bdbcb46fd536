//! The person's bytes on their way to a guest: as they are, but for the prefix
//! key, the marks of a paste and the mouse. Packets mean nothing: what may become
//! one of those waits for its next byte, and a short silence lets it go.

use super::mouse;
use crate::term::keys::Mouse;

/// Bytes of a sequence that is waited for; none of those is longer.
const LONGEST: usize = 24;
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// A part of what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes that mean nothing here.
    Bytes(Vec<u8>),
    /// The prefix key, and not in a paste.
    Prefix,
    /// The mouse, as SGR tells it.
    Mouse(Mouse),
    /// The mark before a paste, or the one after it.
    Paste {
        /// Before it.
        begins: bool,
    },
}

/// Takes bytes apart.
#[derive(Debug)]
pub(super) struct Tap {
    prefix: u8,
    /// What may become one of our sequences.
    held: Vec<u8>,
    in_paste: bool,
}

/// What a beginning may be.
enum Might {
    Become,
    Be(Piece),
    Nothing,
}

impl Tap {
    pub fn new(prefix: u8) -> Tap {
        Tap { prefix, held: Vec::new(), in_paste: false }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for &byte in bytes {
            self.step(byte, &mut pieces);
        }
        pieces
    }

    /// True while something waits for its next byte.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What silence makes of that: bytes like others.
    pub fn flush(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.holds() {
            pieces.push(Piece::Bytes(std::mem::take(&mut self.held)));
        }
        pieces
    }

    fn step(&mut self, byte: u8, pieces: &mut Vec<Piece>) {
        if self.held.is_empty() {
            return match byte {
                0x1b => self.held.push(byte),
                b if b == self.prefix && !self.in_paste => pieces.push(Piece::Prefix),
                b => pass(&[b], pieces),
            };
        }
        self.held.push(byte);
        match self.might() {
            Might::Become => {}
            Might::Be(piece) => {
                if let Piece::Paste { begins } = piece {
                    self.in_paste = begins;
                }
                self.held.clear();
                pieces.push(piece);
            }
            Might::Nothing => {
                let held = std::mem::take(&mut self.held);
                let before = held.len() - 1;
                pass(held.get(..before).unwrap_or_default(), pieces);
                // It may begin something itself.
                self.step(byte, pieces);
            }
        }
    }

    fn might(&self) -> Might {
        let held = self.held.as_slice();
        if held == PASTE_ENDS {
            return Might::Be(Piece::Paste { begins: false });
        }
        if PASTE_ENDS.starts_with(held) {
            return Might::Become;
        }
        if self.in_paste {
            return Might::Nothing;
        }
        if held == PASTE_BEGINS {
            return Might::Be(Piece::Paste { begins: true });
        }
        let Some(told) = held.strip_prefix(b"\x1b[<") else {
            let may = PASTE_BEGINS.starts_with(held);
            return if may { Might::Become } else { Might::Nothing };
        };
        match told.last() {
            None | Some(b'0'..=b'9' | b';') if held.len() < LONGEST => Might::Become,
            Some(b'M' | b'm') => mouse::parse(told).map_or(Might::Nothing, |m| Might::Be(Piece::Mouse(m))),
            _ => Might::Nothing,
        }
    }
}

fn pass(bytes: &[u8], pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        Some(Piece::Bytes(before)) => before.extend_from_slice(bytes),
        _ if bytes.is_empty() => {}
        _ => pieces.push(Piece::Bytes(bytes.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFIX: u8 = 0x1d;

    fn whole(bytes: &[u8]) -> Vec<Piece> {
        let mut tap = Tap::new(PREFIX);
        let mut pieces = tap.feed(bytes);
        pieces.extend(tap.flush());
        pieces
    }

    fn bytes(bytes: &[u8]) -> Piece {
        Piece::Bytes(bytes.to_vec())
    }

    /// Packets may cut a run of bytes, and nothing else.
    fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
        let mut out = Vec::new();
        for piece in pieces {
            match (out.last_mut(), piece) {
                (Some(Piece::Bytes(before)), Piece::Bytes(more)) => before.extend(more),
                (_, piece) => out.push(piece),
            }
        }
        out
    }

    #[test]
    fn only_what_is_ours_is_taken() {
        let (begins, ends) = (Piece::Paste { begins: true }, Piece::Paste { begins: false });
        for (typed, pieces) in [
            (&b"ls\r\x1b[A\x1bOP\x1b[15~"[..], vec![bytes(b"ls\r\x1b[A\x1bOP\x1b[15~")]),
            (b"a\x1db", vec![bytes(b"a"), Piece::Prefix, bytes(b"b")]),
            (b"\x1b\x1d", vec![bytes(b"\x1b"), Piece::Prefix]),
            (
                b"\x1b[200~a\x1d\x1b[<0;1;1M\x1b[201~\x1d",
                vec![begins.clone(), bytes(b"a\x1d\x1b[<0;1;1M"), ends.clone(), Piece::Prefix],
            ),
            (
                b"\x1b[<64;10;5Mx",
                vec![Piece::Mouse(Mouse { button: 64, column: 9, row: 4, pressed: true }), bytes(b"x")],
            ),
            (b"\x1b[<;M", vec![bytes(b"\x1b[<;M")]),
            (b"\x1b\x1b[201~\x1b", vec![bytes(b"\x1b"), ends, bytes(b"\x1b")]),
            ("é\u{9d}".as_bytes(), vec![bytes("é\u{9d}".as_bytes())]),
        ] {
            assert_eq!(whole(typed), pieces, "{typed:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Wherever packets are cut, and whatever comes.
        #[test]
        fn packets_mean_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just(b"\x1d".to_vec()), Just(b"\x1b".to_vec()), Just(PASTE_BEGINS.to_vec()),
                    Just(PASTE_ENDS.to_vec()), Just(b"\x1b[<0;12;5M".to_vec()), Just(b"\x1b[A".to_vec()),
                    proptest::collection::vec(any::<u8>(), 1..4),
                ],
                0..12,
            ),
            size in 1usize..5,
        ) {
            let typed = parts.concat();
            let mut tap = Tap::new(PREFIX);
            let mut pieces: Vec<_> = typed.chunks(size).flat_map(|packet| tap.feed(packet)).collect();
            pieces.extend(tap.flush());
            prop_assert_eq!(joined(pieces), joined(whole(&typed)));
        }

        /// What is held is bounded, and nothing is lost of what is not ours.
        #[test]
        fn nothing_is_lost(typed in proptest::collection::vec(any::<u8>().prop_filter("ours", |b| *b != PREFIX), 0..200)) {
            let mut tap = Tap::new(PREFIX);
            for byte in &typed {
                tap.feed(&[*byte]);
                prop_assert!(tap.held.len() < LONGEST);
            }
            let ours = whole(&typed).iter().any(|p| !matches!(p, Piece::Bytes(_)));
            prop_assume!(!ours);
            let back = if typed.is_empty() { vec![] } else { vec![bytes(&typed)] };
            prop_assert_eq!(joined(whole(&typed)), back);
        }
    }
}
