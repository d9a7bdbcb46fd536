//! Chance that can be had again: the same seed gives the same choices, in any
//! version of any crate.

/// splitmix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

/// Numbers at which readers stumble.
const EDGES: [u32; 12] =
    [0, 1, 2, 3, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap()
    }

    /// True in `percent` of a hundred cases.
    pub fn often(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// A number at an edge, a small one, or any.
    pub fn int(&mut self) -> u32 {
        match self.below(3) {
            0 => self.of(&EDGES),
            1 => u32::try_from(self.below(4096)).unwrap(),
            _ => u32::try_from(self.roll() >> 32).unwrap(),
        }
    }

    /// The message bent a little, or a lot.
    pub fn bend(&mut self, message: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            self.bend_once(message);
        }
    }

    fn bend_once(&mut self, message: &mut Vec<u8>) {
        let length = message.len();
        if length == 0 {
            return message.push(self.byte());
        }
        let at = self.below(length);
        match self.below(9) {
            0 => message[at] = self.byte(),
            1 => message[at] ^= 1 << self.below(8),
            2 => message.truncate(at),
            3 => message.resize(length + self.of(&[1, 4, 300, 40_000, 250_000]), 0x41),
            4 | 5 if length >= 5 => {
                let at = self.below(length - 4);
                let number = self.int().to_be_bytes();
                message[at..at + 4].copy_from_slice(&number);
            }
            6 => {
                let piece = message[at..].to_vec();
                message.extend(piece);
            }
            7 => {
                let few = self.below(8);
                let bytes = self.bytes(few);
                message.splice(at..at, bytes);
            }
            _ => message[0] = self.byte(),
        }
    }
}
