//! The nearest pixel of a mask and the exact Euclidean distance to it (Meijster, Roerdink, Hesselink 2000).

use crate::mask::Mask;

/// Squared distance of every pixel to the nearest pixel of `mask` that is `set` (or not), in
/// pixels; [`u32::MAX`] everywhere if there is none.
pub(crate) fn squared_distances(mask: &Mask, set: bool) -> Vec<u32> {
    let mut squared = vec![u32::MAX; mask.width() * mask.height()];
    nearest(mask, set, |at, _, distance| squared[at] = distance);
    squared
}

/// Index of the nearest set pixel of every pixel; [`u32::MAX`] everywhere if there is none. Of
/// several the one farthest to the left, and of these the upper one.
pub(crate) fn nearest_pixels(mask: &Mask) -> Vec<u32> {
    let width = mask.width();
    let pixels = mask.pixels();
    let mut found = vec![u32::MAX; width * mask.height()];
    nearest(mask, true, |at, column, squared| {
        let across = (at % width).abs_diff(column);
        let along = (squared as usize - across * across).isqrt();
        let beside = at - at % width + column;
        let above = beside.checked_sub(along * width);
        let is_above = above.is_some_and(|above| pixels[above] != 0);
        found[at] = above.filter(|_| is_above).unwrap_or(beside + along * width) as u32;
    });
    found
}

/// Calls `each` for every pixel with its index, the column of the nearest pixel of `mask` that is
/// `set` (or not), and the squared distance to it; for none if there is no such pixel.
fn nearest(mask: &Mask, set: bool, mut each: impl FnMut(usize, usize, u32)) {
    let (width, height) = (mask.width(), mask.height());
    let wanted = u8::from(set);
    // Larger than any distance inside the image, small enough to be squared.
    let far = (width + height) as u32;
    let mut vertical = vec![far; width * height];
    for y in 0..height {
        let (above, row) = vertical.split_at_mut(y * width);
        let above = y.checked_sub(1).map(|up| &above[up * width..]);
        for (x, (distance, &pixel)) in row.iter_mut().zip(mask.row(y)).enumerate() {
            let from_above = above.map_or(far, |above| (above[x] + 1).min(far));
            *distance = if pixel == wanted { 0 } else { from_above };
        }
    }
    for y in (1..height).rev() {
        let (upper, lower) = vertical.split_at_mut(y * width);
        for (distance, &below) in upper[(y - 1) * width..].iter_mut().zip(lower.iter()) {
            *distance = (*distance).min(below + 1);
        }
    }
    if vertical.iter().all(|&distance| distance >= far) {
        return;
    }
    let mut envelope = Envelope::default();
    for (y, row) in vertical.chunks(width).enumerate() {
        envelope.row(row, |x, column, squared| {
            each(y * width + x, column, squared);
        });
    }
}

/// The lower envelope of the parabolas (x − i)² + g(i)² of a row.
#[derive(Default)]
struct Envelope {
    sites: Vec<i64>,
    starts: Vec<i64>,
}

impl Envelope {
    /// Calls `each` for every place with the nearest site, the left one of two, and the height.
    fn row(&mut self, distances: &[u32], mut each: impl FnMut(usize, usize, u32)) {
        let width = distances.len() as i64;
        let square = |i: i64| i64::from(distances[i as usize]).pow(2);
        self.sites.clear();
        self.starts.clear();
        self.sites.push(0);
        self.starts.push(0);
        for u in 1..width {
            let mut start = 0;
            while let (Some(&site), Some(&from)) = (self.sites.last(), self.starts.last()) {
                let at = |i: i64| (from - i).pow(2) + square(i);
                if at(site) > at(u) {
                    self.sites.pop();
                    self.starts.pop();
                    continue;
                }
                // From here on the parabola of `u` is the lower one.
                let both = u * u - site * site + square(u) - square(site);
                start = 1 + both.div_euclid(2 * (u - site));
                break;
            }
            if self.sites.is_empty() || start < width {
                self.sites.push(u);
                self.starts.push(start);
            }
        }
        let mut x = width;
        for (&site, &start) in self.sites.iter().zip(&self.starts).rev() {
            while x > start {
                x -= 1;
                let squared = (x - site).pow(2) + square(site);
                each(x as usize, site as usize, squared as u32);
            }
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
            let distances = squared_distances(&mask, true);
            let pixels = nearest_pixels(&mask);
            for (index, &distance) in distances.iter().enumerate() {
                let nearest = (0..width * height)
                    .filter(|&other| points[other])
                    .map(|other| {
                        let dy = (other / width).abs_diff(index / width);
                        let dx = (other % width).abs_diff(index % width);
                        ((dy * dy + dx * dx) as u32, other % width, other / width)
                    })
                    .min();
                assert_eq!(distance, nearest.map_or(u32::MAX, |(squared, ..)| squared));
                let pixel = nearest.map_or(u32::MAX, |(_, x, y)| (y * width + x) as u32);
                assert_eq!(pixels[index], pixel);
            }
        }
    }
}
