//! Where tabs stand on the screen.

use ratatui::layout::Rect;

/// The fewest columns and rows of a tab beside another.
const LEAST: (u16, u16) = (20, 4);

/// How two tabs share the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Side by side.
    Columns,
    /// One over the other.
    Rows,
}

/// The line of tabs, and what is left for them.
pub(super) fn bar(area: Rect) -> (Rect, Rect) {
    let height = area.height.min(1);
    let bar = Rect { height, ..area };
    (bar, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Two halves with a line between them; none if there is no room.
pub(super) fn halves(area: Rect, split: Split) -> Option<[Rect; 3]> {
    match split {
        Split::Columns => {
            let width = area.width.saturating_sub(1) / 2;
            if width < LEAST.0 {
                return None;
            }
            let line = Rect { x: area.x + width, width: 1, ..area };
            let second = Rect { x: line.right(), width: area.right() - line.right(), ..area };
            Some([Rect { width, ..area }, line, second])
        }
        Split::Rows => {
            let height = area.height.saturating_sub(1) / 2;
            if height < LEAST.1 {
                return None;
            }
            let line = Rect { y: area.y + height, height: 1, ..area };
            let second = Rect { y: line.bottom(), height: area.bottom() - line.bottom(), ..area };
            Some([Rect { height, ..area }, line, second])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_fill_the_area_and_never_get_too_small() {
        for (width, height) in [(80, 23), (81, 24), (41, 9), (200, 50)] {
            let area = Rect::new(3, 1, width, height);
            for split in [Split::Columns, Split::Rows] {
                let parts = halves(area, split).unwrap();
                assert_eq!(parts.iter().map(|p| p.area()).sum::<u32>(), area.area());
                assert!(parts.iter().all(|p| area.union(*p) == area), "{parts:?}");
            }
        }
        assert_eq!(halves(Rect::new(0, 0, 40, 24), Split::Columns), None);
        assert_eq!(halves(Rect::new(0, 0, 80, 8), Split::Rows), None);
    }
}
