//! Which pixels a resized axis lies between.

/// Where a result lies between two pixels of one axis.
pub(crate) use vascx_kernels::Neighbours as Neighbour;

/// The neighbours of every result. `position` gives where a result lies, counted in pixels, and
/// whether the two pixels around are mixed or the lower one is taken.
pub(crate) fn neighbours(
    input: usize,
    output: usize,
    position: impl Fn(f64) -> (f64, bool),
) -> Vec<Neighbour> {
    let last = input - 1;
    (0..output)
        .map(|index| {
            let (position, mix) = position(index as f64);
            let position = position.max(0.0);
            let first = (position.floor() as usize).min(last);
            let weight = if mix && first < last {
                position - first as f64
            } else {
                0.0
            };
            Neighbour {
                first,
                second: (first + 1).min(last),
                weight: weight as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_stay_in_the_image() {
        let halves = |index: f64| ((index + 0.5) * 0.5 - 0.5, true);
        let found = neighbours(2, 4, halves);
        let parts: Vec<_> = found
            .iter()
            .map(|n| (n.first, n.second, n.weight))
            .collect();
        assert_eq!(
            parts,
            [(0, 1, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)]
        );
        let repeated = neighbours(2, 4, |index| (index * 0.5, false));
        let firsts: Vec<_> = repeated.iter().map(|n| n.first).collect();
        assert_eq!(firsts, [0, 0, 1, 1]);
    }
}
