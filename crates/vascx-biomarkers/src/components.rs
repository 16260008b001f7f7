//! Connected components, as runs of pixels in rows.

use crate::mask::Mask;

/// Pixels `start..end` of a row that belong to one component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) y: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Number of the component.
    pub(crate) component: usize,
}

/// The 4-connected components of the pixels of one value, numbered by their first pixel.
pub(crate) struct Components {
    /// All runs in raster order.
    pub(crate) runs: Vec<Run>,
    /// Pixels of each component.
    pub(crate) areas: Vec<usize>,
}

impl Components {
    /// Components of the set pixels, or of the others.
    pub(crate) fn of(mask: &Mask, set: bool) -> Self {
        let wanted = u8::from(set);
        let mut runs: Vec<Run> = Vec::new();
        let mut parents: Vec<usize> = Vec::new();
        let mut above = 0..0;
        for y in 0..mask.height() {
            let first = runs.len();
            let row = mask.row(y);
            let mut x = 0;
            loop {
                let start = stretch_end(row, x, 1 - wanted);
                if start == row.len() {
                    break;
                }
                let end = stretch_end(row, start, wanted);
                let number = parents.len();
                parents.push(number);
                runs.push(Run {
                    y,
                    start,
                    end,
                    component: number,
                });
                x = end;
            }
            let mut upper = above.start;
            for index in first..runs.len() {
                let run = runs[index];
                while upper < above.end && runs[upper].end <= run.start {
                    upper += 1;
                }
                let mut touching = upper;
                while touching < above.end && runs[touching].start < run.end {
                    join(&mut parents, touching, index);
                    touching += 1;
                }
            }
            above = first..runs.len();
        }
        let mut areas = Vec::new();
        let mut numbers = vec![usize::MAX; parents.len()];
        for (index, run) in runs.iter_mut().enumerate() {
            let root = find(&mut parents, index);
            if numbers[root] == usize::MAX {
                numbers[root] = areas.len();
                areas.push(0);
            }
            run.component = numbers[root];
            areas[run.component] += run.end - run.start;
        }
        Self { runs, areas }
    }
}

/// Where a stretch of one value ends.
fn stretch_end(row: &[u8], start: usize, value: u8) -> usize {
    // Whole blocks at once.
    const BLOCK: usize = 32;
    let blocks = row[start..].chunks(BLOCK);
    let same = |block: &&[u8]| block.iter().filter(|&&pixel| pixel != value).count() == 0;
    let at = row
        .len()
        .min(start + BLOCK * blocks.take_while(same).count());
    let rest = row[at..].iter().position(|&pixel| pixel != value);
    rest.map_or(row.len(), |rest| at + rest)
}

fn find(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// Joins two components; the root is the run that came first.
fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parents, a), find(parents, b));
    parents[a.max(b)] = a.min(b);
}

/// Sets the background's components of fewer than `below` pixels.
pub(crate) fn fill_holes(mask: &mut Mask, below: usize) {
    let background = Components::of(mask, false);
    for run in background.runs {
        if background.areas[run.component] < below {
            mask.row_mut(run.y)[run.start..run.end].fill(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_join_below_and_small_holes_are_filled() {
        let rows = ["111101", "100101", "101111", "100001", "111111"];
        let image: Vec<u8> = rows.iter().flat_map(|row| row.bytes()).collect();
        let mut mask = Mask::from_image(6, 5, &image, |value| value == b'1');
        let set = Components::of(&mask, true);
        assert_eq!(set.areas, [21]);
        let background = Components::of(&mask, false);
        assert_eq!(background.areas, [2, 7]);
        assert_eq!(background.runs.len(), 5);
        fill_holes(&mut mask, 3);
        assert_eq!(mask.count(), 23);
        fill_holes(&mut mask, 8);
        assert_eq!(mask.count(), 30);
    }
}
