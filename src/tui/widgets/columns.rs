//! Which columns of a table are shown, and how wide.

/// What a column asks for.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// Fewer columns than this are useless.
    pub least: u16,
    /// With so many it can be read well.
    pub fair: u16,
    /// More are not needed.
    pub most: u16,
    /// 0 is shown whenever anything is.
    pub rank: u8,
}

/// The width of each column, in their order; none for those that find no room.
/// Columns stand one apart. The lowest ranks are dropped first; what is left
/// over makes all of them fair, then the highest ranks as wide as they want.
pub fn fit(wants: &[Want], width: u16) -> Vec<Option<u16>> {
    let mut by_rank: Vec<usize> = (0..wants.len()).collect();
    by_rank.sort_by_key(|i| wants.get(*i).map(|w| w.rank));
    let mut widths: Vec<Option<u16>> = vec![None; wants.len()];
    let mut left = width;
    for i in &by_rank {
        let (Some(want), Some(slot)) = (wants.get(*i), widths.get_mut(*i)) else { continue };
        let first = left == width;
        let needs = want.least + u16::from(!first);
        if first || needs <= left {
            *slot = Some(want.least.min(width));
            left = left.saturating_sub(needs);
        } else {
            break;
        }
    }
    for enough in [|want: &Want| want.fair, |want: &Want| want.most] {
        for i in &by_rank {
            if let (Some(want), Some(Some(w))) = (wants.get(*i), widths.get_mut(*i)) {
                let more = enough(want).min(want.most).saturating_sub(*w).min(left);
                *w += more;
                left -= more;
            }
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_lowest_ranks_and_widens_the_highest() {
        let wants = [
            Want { least: 5, fair: 5, most: 5, rank: 1 },
            Want { least: 8, fair: 10, most: 20, rank: 0 },
            Want { least: 6, fair: 8, most: 8, rank: 2 },
        ];
        assert_eq!(fit(&wants, 14), [Some(5), Some(8), None]);
        assert_eq!(fit(&wants, 16), [Some(5), Some(10), None]);
        assert_eq!(fit(&wants, 21), [Some(5), Some(8), Some(6)]);
        assert_eq!(fit(&wants, 24), [Some(5), Some(10), Some(7)]);
        assert_eq!(fit(&wants, 26), [Some(5), Some(11), Some(8)]);
        assert_eq!(fit(&wants, 100), [Some(5), Some(20), Some(8)]);
        assert_eq!(fit(&wants, 3), [None, Some(3), None]);
    }
}
