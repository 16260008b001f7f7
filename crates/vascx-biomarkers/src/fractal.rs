//! Fractal dimensions by counting boxes.

use crate::mask::Mask;
use crate::reason::Reason;

/// Sides of the boxes, in pixels.
const SIDES: [usize; 6] = [4, 8, 16, 32, 64, 128];
/// Positions of the grid of boxes along each axis.
const OFFSETS: usize = 4;
/// Fewer pixels have no dimension worth a name.
const FEWEST: usize = 200;

/// A dimension and how well a straight line fits what it is the slope of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dimension {
    /// The dimension.
    pub(crate) value: f64,
    /// Share of the variance that the line explains.
    pub(crate) r_squared: f64,
}

/// The generalised dimensions of order 0 (boxes that hold a pixel), 1 (entropy of the boxes' shares
/// of the pixels) and 2 (their correlation).
pub(crate) fn dimensions(mask: &Mask) -> Result<[Dimension; 3], Reason> {
    let width = mask.width();
    let rows = 0..mask.height();
    let pixels = rows.flat_map(|y| mask.columns(y).map(move |x| (y, x)));
    let pixels: Vec<(usize, usize)> = pixels.collect();
    if pixels.len() < FEWEST {
        let what = "pixels of skeleton";
        return Err(Reason::TooFew {
            what,
            found: pixels.len(),
            needed: FEWEST,
        });
    }
    let total = pixels.len() as f64;
    let mut logarithms = Vec::new();
    let mut moments: [Vec<f64>; 3] = Default::default();
    for side in SIDES {
        let across = width / side + 2;
        let mut boxes = vec![0_u32; across * (mask.height() / side + 2)];
        let mut sums = [0.0; 3];
        for down in 0..OFFSETS {
            for right in 0..OFFSETS {
                let (down, right) = (down * side / OFFSETS, right * side / OFFSETS);
                boxes.fill(0);
                for &(y, x) in &pixels {
                    boxes[(y + down) / side * across + (x + right) / side] += 1;
                }
                let (mut count, mut entropy, mut squares) = (0.0, 0.0, 0.0);
                for &inside in boxes.iter().filter(|inside| **inside > 0) {
                    let share = f64::from(inside) / total;
                    count += 1.0;
                    entropy -= share * share.ln();
                    squares += share * share;
                }
                for (sum, value) in sums
                    .iter_mut()
                    .zip([f64::ln(count), entropy, -squares.ln()])
                {
                    *sum += value;
                }
            }
        }
        logarithms.push(-(side as f64).ln());
        for (moment, sum) in moments.iter_mut().zip(sums) {
            moment.push(sum / (OFFSETS * OFFSETS) as f64);
        }
    }
    Ok(moments.map(|moment| slope(&logarithms, &moment)))
}

fn slope(x: &[f64], y: &[f64]) -> Dimension {
    let mean = crate::statistics::mean;
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xx += (x - mx) * (x - mx);
        xy += (x - mx) * (y - my);
        yy += (y - my) * (y - my);
    }
    Dimension {
        value: xy / xx,
        r_squared: xy * xy / (xx * yy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mask: &Mask, expected: f64, tolerance: f64) {
        for dimension in dimensions(mask).unwrap() {
            assert!(
                (dimension.value - expected).abs() < tolerance,
                "{dimension:?} for {expected}"
            );
            assert!(dimension.r_squared > 0.99);
        }
    }

    #[test]
    fn lines_squares_and_carpets_have_their_dimensions() {
        all(&Mask::from_fn(1024, 1024, |y, _| y == 500), 1.0, 0.05);
        all(&Mask::from_fn(1024, 1024, |_, _| true), 2.0, 0.1);
        // Sierpinski's carpet: ln 8 / ln 3.
        let carpet = Mask::from_fn(729, 729, |mut y, mut x| {
            while y > 0 || x > 0 {
                if y % 3 == 1 && x % 3 == 1 {
                    return false;
                }
                (y, x) = (y / 3, x / 3);
            }
            true
        });
        all(&carpet, 8_f64.ln() / 3_f64.ln(), 0.1);
        assert!(dimensions(&Mask::new(64, 64)).is_err());
    }
}
