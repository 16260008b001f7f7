//! How sure an answer is: what stands in `summary.csv` beside it.

use image::GrayImage;

use crate::ensemble::{Values, largest};
use crate::geometry::Point;

/// How sure a map is, class by class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MapConfidence {
    /// Mean probability of the class where it was chosen; none where it was nowhere.
    pub(super) probability: Option<f64>,
    /// Pixels.
    pub(super) area: usize,
    /// Pieces, connected across corners as well.
    pub(super) pieces: usize,
    /// Share of the largest piece; none without any.
    pub(super) largest: Option<f64>,
}

/// Mean probability of a class over the pixels of the network's input where it was chosen: where it is
/// the most probable one or, of classes that may overlap, more probable than not.
pub(super) fn mean_probability(values: &Values, class: usize, overlap: bool) -> Option<f64> {
    let Values::Numbers { shape, data } = values else {
        return None;
    };
    let [classes, height, width] = *shape;
    let map = |class: usize| &data[class * height * width..][..height * width];
    let own = map(class);
    let (mut sum, mut count) = (0.0, 0_usize);
    for (pixel, &probability) in own.iter().enumerate() {
        let chosen = if overlap {
            probability > 0.5
        } else {
            // The first of equals is chosen.
            (0..classes).all(|other| {
                let value = data[other * height * width + pixel];
                other == class || value < probability || (value <= probability && other > class)
            })
        };
        if chosen {
            sum += f64::from(probability);
            count += 1;
        }
    }
    (count > 0).then(|| sum / count as f64)
}

impl MapConfidence {
    /// Of the pixels of a map that are part of a class.
    pub(super) fn of(
        map: &GrayImage,
        is_part: impl Fn(u8) -> bool,
        probability: Option<f64>,
    ) -> Self {
        let pieces = pieces(map, is_part);
        let area = pieces.iter().sum::<usize>();
        let largest = pieces
            .iter()
            .max()
            .map(|&largest| largest as f64 / area as f64);
        Self {
            probability,
            area,
            pieces: pieces.len(),
            largest,
        }
    }

    /// Diameter of a disc of its area, in pixels.
    pub(super) fn diameter(&self) -> f64 {
        2.0 * (self.area as f64 / std::f64::consts::PI).sqrt()
    }
}

/// Pixels of every connected piece.
fn pieces(map: &GrayImage, is_part: impl Fn(u8) -> bool) -> Vec<usize> {
    let (width, height) = (map.width() as usize, map.height() as usize);
    // Runs of pixels of a row, joined with those of the row above that they touch.
    let mut parents: Vec<usize> = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    let (mut above, mut row): (Vec<[usize; 3]>, Vec<[usize; 3]>) = (Vec::new(), Vec::new());
    for line in map.as_raw().chunks_exact(width.max(1)).take(height) {
        let mut x = 0;
        while let Some(start) = (x..width).find(|&x| is_part(line[x])) {
            let end = (start..width).find(|&x| !is_part(line[x])).unwrap_or(width);
            let index = parents.len();
            parents.push(index);
            sizes.push(end - start);
            for &[other_start, other_end, other] in &above {
                if other_start <= end && start <= other_end {
                    let (a, b) = (root(&mut parents, index), root(&mut parents, other));
                    if a != b {
                        parents[a] = b;
                        sizes[b] += sizes[a];
                    }
                }
            }
            row.push([start, end, index]);
            x = end;
        }
        above.clear();
        std::mem::swap(&mut above, &mut row);
    }
    (0..parents.len())
        .filter(|&index| parents[index] == index)
        .map(|index| sizes[index])
        .collect()
}

/// The piece that a run belongs to.
fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// How sure a point is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PointConfidence {
    /// Mean over members of their heat maps' maxima; none of a network that gives points as numbers.
    pub(super) peak: Option<f64>,
    /// Root of the mean squared distance of the members' points from their mean, in pixels of the
    /// crop.
    pub(super) spread: f64,
}

/// The maximum of each of some maps, and where it is, in the network input's pixels.
pub(super) fn maxima(values: &Values) -> Vec<(f64, [f64; 2])> {
    let Values::Numbers {
        shape: [_, height, width],
        data,
    } = values
    else {
        return Vec::new();
    };
    let highest = |map: &[f32]| {
        let best = largest(map);
        let (x, y) = (best % width, best / width);
        (f64::from(map[best]), [x as f64 + 0.5, y as f64 + 0.5])
    };
    data.chunks_exact((height * width).max(1))
        .map(highest)
        .collect()
}

/// Root of the mean squared distance of points from their mean.
pub(super) fn spread(points: &[Point]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.x), mean(|point| point.y));
    let squared = |point: &Point| (point.x - x).powi(2) + (point.y - y).powi(2);
    (points.iter().map(squared).sum::<f64>() / count).sqrt()
}

/// How sure a class is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ClassConfidence {
    /// Entropy of the mean probabilities, as a share of the largest there can be.
    pub(super) entropy: f64,
    /// Standard deviation over members of the probability of the class that is most probable on
    /// average.
    pub(super) spread: f64,
}

impl ClassConfidence {
    /// Of the probabilities of every member, `[M][C]`, and their mean.
    pub(super) fn of(members: &[Vec<f64>], mean: &[f64]) -> Self {
        let entropy: f64 = mean
            .iter()
            .filter(|&&probability| probability > 0.0)
            .map(|probability| -probability * probability.ln())
            .sum();
        let most = (mean.len().max(2) as f64).ln();
        let best = mean
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(class, _)| class);
        let deviations = members
            .iter()
            .map(|member| (member[best] - mean[best]).powi(2));
        let variance = deviations.sum::<f64>() / members.len().max(1) as f64;
        Self {
            entropy: entropy / most,
            spread: variance.sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map whose rows are these letters; `#` is 1.
    fn map(rows: &[&str]) -> GrayImage {
        GrayImage::from_fn(rows[0].len() as u32, rows.len() as u32, |x, y| {
            image::Luma([u8::from(rows[y as usize].as_bytes()[x as usize] == b'#')])
        })
    }

    #[test]
    fn pieces_touch_across_corners() {
        let found = map(&["##..#", "..#.#", ".....", "#.#.#", "#.###"]);
        let confidence = MapConfidence::of(&found, |class| class == 1, None);
        assert_eq!((confidence.area, confidence.pieces), (12, 4));
        assert_eq!(confidence.largest, Some(5.0 / 12.0));
        let nothing = MapConfidence::of(&map(&["..."]), |class| class == 1, None);
        assert_eq!((nothing.pieces, nothing.largest), (0, None));
        // Two arms that meet further down are one piece.
        let joined = MapConfidence::of(&map(&["#.#", "#.#", "###"]), |class| class == 1, None);
        assert_eq!(joined.pieces, 1);
    }

    #[test]
    fn probabilities_are_averaged_where_a_class_was_chosen() {
        let values = Values::Numbers {
            shape: [2, 1, 3],
            data: vec![0.9, 0.4, 0.5, 0.1, 0.6, 0.5],
        };
        // Of equals the first is chosen.
        let background = mean_probability(&values, 0, false).unwrap();
        assert!((background - 0.7).abs() < 1e-6, "{background}");
        let class = mean_probability(&values, 1, false).unwrap();
        assert!((class - 0.6).abs() < 1e-6, "{class}");
        assert_eq!(mean_probability(&values, 1, true), Some(f64::from(0.6_f32)));
        let maxima = maxima(&values);
        assert_eq!(maxima[1], (f64::from(0.6_f32), [1.5, 0.5]));
    }

    #[test]
    fn spreads_and_entropies_of_known_members() {
        let points = [(0.0, 0.0), (6.0, 8.0)].map(|(x, y)| Point { x, y });
        assert!((spread(&points) - 5.0).abs() < 1e-12);
        let even = ClassConfidence::of(&[vec![0.5, 0.5]], &[0.5, 0.5]);
        assert!((even.entropy - 1.0).abs() < 1e-12 && even.spread == 0.0);
        let sure = ClassConfidence::of(&[vec![1.0, 0.0], vec![0.8, 0.2]], &[0.9, 0.1]);
        assert!((sure.spread - 0.1).abs() < 1e-12 && sure.entropy < 0.5);
    }
}
