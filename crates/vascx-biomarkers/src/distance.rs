//! The nearest pixel of a mask and the exact Euclidean distance to it (Meijster, Roerdink, Hesselink 2000).

use std::ops::Range;

use crate::mask::Mask;

/// Squared distance of every pixel of `region` to the nearest set pixel of `mask`, which lies in it; [`u32::MAX`] where a
/// pixel that `region` lacks is nearer, outside of it, and where there is none.
pub(crate) fn squared_distances(mask: &Mask, region: &Mask) -> Vec<u32> {
    let (pixels, region) = (mask.pixels(), region.pixels());
    let mut squared = vec![u32::MAX; pixels.len()];
    let target = |at: usize| match (pixels[at], region[at]) {
        (0, 0) => Target::Rival,
        (0, _) => Target::None,
        _ => Target::Wanted,
    };
    // Of a row only what is visible, and a hidden pixel beside it, which is nearer than those beyond.
    let width = mask.width();
    let stretch = |y: usize| {
        let row = &region[y * width..(y + 1) * width];
        let visible = |pixel: &u8| *pixel != 0;
        match (row.iter().position(visible), row.iter().rposition(visible)) {
            (Some(first), Some(last)) => first.saturating_sub(1)..(last + 2).min(width),
            _ => 0..0,
        }
    };
    nearest(width, mask.height(), target, stretch, |at, found| {
        if found.wanted {
            squared[at] = found.squared;
        }
    });
    squared
}

/// Index of the nearest set pixel of every pixel; [`u32::MAX`] everywhere if there is none. Of
/// several the one farthest to the left, and of these the upper one.
pub(crate) fn nearest_pixels(mask: &Mask) -> Vec<u32> {
    let width = mask.width();
    let pixels = mask.pixels();
    let mut nearest_pixel = vec![u32::MAX; pixels.len()];
    let target = |at: usize| match pixels[at] {
        0 => Target::None,
        _ => Target::Wanted,
    };
    nearest(
        width,
        mask.height(),
        target,
        |_| 0..width,
        |at, found| {
            let across = (at % width).abs_diff(found.column);
            let along = (found.squared as usize - across * across).isqrt();
            let beside = at - at % width + found.column;
            let above = beside.checked_sub(along * width);
            let is_above = above.is_some_and(|above| pixels[above] != 0);
            let pixel = above.filter(|_| is_above).unwrap_or(beside + along * width);
            nearest_pixel[at] = pixel as u32;
        },
    );
    nearest_pixel
}

/// What a pixel is to those that look for the nearest.
#[derive(Clone, Copy)]
enum Target {
    None,
    Wanted,
    /// Takes the place of a wanted one that is farther away.
    Rival,
}

/// What is nearest to a pixel.
struct Nearest {
    column: usize,
    squared: u32,
    wanted: bool,
}

/// Calls `each` for every pixel of each row's stretch with its index and what is nearest to it in
/// the stretches; for none if there is no target.
fn nearest(
    width: usize,
    height: usize,
    target: impl Fn(usize) -> Target,
    stretch: impl Fn(usize) -> Range<usize>,
    mut each: impl FnMut(usize, Nearest),
) {
    // Distances along columns, doubled, and 1 more to a rival.
    // Larger than any distance inside the image, small enough to be squared.
    let far = 2 * (width + height) as u32;
    let mut vertical = vec![far; width * height];
    for y in 0..height {
        let (above, row) = vertical.split_at_mut(y * width);
        let above = y.checked_sub(1).map(|up| &above[up * width..]);
        for (x, distance) in row[..width].iter_mut().enumerate() {
            let from_above = above.map_or(far, |above| (above[x] + 2).min(far));
            *distance = match target(y * width + x) {
                Target::None => from_above,
                Target::Wanted => 0,
                Target::Rival => from_above.min(1),
            };
        }
    }
    for y in (1..height).rev() {
        let (upper, lower) = vertical.split_at_mut(y * width);
        for (distance, &below) in upper[(y - 1) * width..].iter_mut().zip(lower.iter()) {
            *distance = (*distance).min(below + 2);
        }
    }
    if vertical.iter().all(|&distance| distance >= far) {
        return;
    }
    let mut envelope = Envelope::new(width);
    for y in 0..height {
        let columns = stretch(y);
        let start = y * width + columns.start;
        envelope.row(&vertical[start..start + columns.len()], |x, found| {
            let column = columns.start + found.column;
            each(start + x, Nearest { column, ..found });
        });
    }
}

/// A parabola 2 (x − site)² + height and where it begins to be the lowest.
#[derive(Clone, Copy)]
struct Parabola {
    site: i64,
    height: i64,
    start: i64,
}

impl Parabola {
    fn at(self, x: i64) -> i64 {
        2 * (x - self.site).pow(2) + self.height
    }
}

/// The lower envelope of the parabolas of a row: twice the squared distance, and 1 more to a rival.
struct Envelope {
    /// From left to right, but for the last.
    before: Vec<Parabola>,
    /// 1 / (4 n).
    quarters: Vec<f64>,
}

impl Envelope {
    fn new(width: usize) -> Self {
        Self {
            before: Vec::with_capacity(width),
            quarters: (0..width).map(|n| 0.25 / n as f64).collect(),
        }
    }

    /// Calls `each` for every place with what is nearest, the left one of two.
    fn row(&mut self, distances: &[u32], mut each: impl FnMut(usize, Nearest)) {
        let width = distances.len() as i64;
        let parabola = |(site, distance): (usize, &u32)| Parabola {
            site: site as i64,
            height: 2 * i64::from(distance >> 1).pow(2) + i64::from(distance & 1),
            start: 0,
        };
        let mut parabolas = distances.iter().enumerate().map(parabola);
        self.before.clear();
        let Some(mut last) = parabolas.next() else {
            return;
        };
        for mut new in parabolas {
            while last.at(last.start) > new.at(last.start) {
                match self.before.pop() {
                    Some(before) => last = before,
                    None => last = new,
                }
            }
            if last.site == new.site {
                continue;
            }
            // The new one is the lower from the next whole number after the quotient on, which is not
            // negative, for it is higher where the last one begins. The half keeps the product, which
            // is faster, from being rounded below a whole number.
            let both = new.at(0) - last.at(0);
            let quarter = self.quarters[(new.site - last.site) as usize];
            new.start = 1 + ((both as f64 + 0.5) * quarter) as i64;
            if new.start < width {
                self.before.push(last);
                last = new;
            }
        }
        self.before.push(last);
        let mut end = width;
        for parabola in self.before.iter().rev() {
            for x in (parabola.start..end).rev() {
                let doubled = parabola.at(x);
                each(
                    x as usize,
                    Nearest {
                        column: parabola.site as usize,
                        squared: (doubled >> 1) as u32,
                        wanted: doubled & 1 == 0,
                    },
                );
            }
            end = end.min(parabola.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_equal_those_of_all_pairs() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..40 {
            let (width, height) = (random.usize(1..24), random.usize(1..24));
            let share = random.f64() * 0.2;
            let points: Vec<_> = (0..width * height).map(|_| random.f64() < share).collect();
            let mask = Mask::from_fn(width, height, |y, x| points[y * width + x]);
            let hidden: Vec<_> = points
                .iter()
                .map(|point| !point && random.f64() < share)
                .collect();
            let region = Mask::from_fn(width, height, |y, x| !hidden[y * width + x]);
            let distances = squared_distances(&mask, &region);
            let pixels = nearest_pixels(&mask);
            for (index, &distance) in distances.iter().enumerate() {
                let nearest = |of: &[bool]| {
                    (0..width * height)
                        .filter(|&other| of[other])
                        .map(|other| {
                            let dy = (other / width).abs_diff(index / width);
                            let dx = (other % width).abs_diff(index % width);
                            ((dy * dy + dx * dx) as u32, other % width, other / width)
                        })
                        .min()
                };
                let rival = nearest(&hidden).map_or(u32::MAX, |(squared, ..)| squared);
                let nearest = nearest(&points);
                let expected = nearest.map_or(u32::MAX, |(squared, ..)| squared);
                let expected = if expected <= rival {
                    expected
                } else {
                    u32::MAX
                };
                assert_eq!(distance, expected);
                let pixel = nearest.map_or(u32::MAX, |(_, x, y)| (y * width + x) as u32);
                assert_eq!(pixels[index], pixel);
            }
        }
    }
}
