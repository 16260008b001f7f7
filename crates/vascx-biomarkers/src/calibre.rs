//! Diameters of vessels.

use crate::curve::Curve;
use crate::geometry::Point;
use crate::mask::Mask;
use crate::robust_line::residuals;
use crate::rules::Rules;

/// Wider than any vessel, in pixels of a crop of 1024.
const WIDEST: f64 = 30.0;
/// More diameters than this are needed.
const FEWEST: usize = 5;
/// There is one place to measure per this many pixels of length, and at least ten.
const SPACING: f64 = 10.0;
/// Residuals beyond these many median absolute deviations are wrong.
const DEVIATIONS: f64 = 9.0;

/// A measurement across a vessel, from wall to wall.
pub type Stroke = [Point; 2];

/// Diameters along a segment.
#[derive(Clone, Debug, Default)]
pub struct Calibre {
    /// Diameters that were kept.
    pub diameters: Vec<f64>,
    /// Where they were measured; empty where widths of pixel rows stand in.
    pub strokes: Vec<Stroke>,
}

impl Calibre {
    /// Median diameter; `NaN` if there is none.
    pub fn median(&self) -> f64 {
        crate::statistics::median(&self.diameters)
    }

    /// Mean diameter; `NaN` if there is none.
    pub fn mean(&self) -> f64 {
        crate::statistics::mean(&self.diameters)
    }

    /// Diameters of a segment of `length` in a layer's mask.
    pub(crate) fn measure(
        points: &[Point],
        curve: Option<&Curve>,
        length: f64,
        mask: &Mask,
        rules: Rules,
    ) -> Self {
        let across = curve.and_then(|curve| Self::across(curve, length, mask, rules));
        across.unwrap_or_else(|| Self {
            diameters: points
                .iter()
                .filter_map(|&point| row_width(mask, point))
                .filter(|&width| width < WIDEST)
                .collect(),
            strokes: Vec::new(),
        })
    }

    fn across(curve: &Curve, length: f64, mask: &Mask, rules: Rules) -> Option<Self> {
        let count = ((length / SPACING).round_ties_even() as usize).max(10);
        let mut kept = Vec::with_capacity(count);
        for index in 0..count {
            let t = index as f64 / (count - 1) as f64;
            let (center, tangent) = curve.position_and_tangent(t);
            let normal = normal(tangent);
            let stroke = match rules {
                Rules::Reference => {
                    Some([1.0, -1.0].map(|sign| walked_hit(mask, center, normal * sign)))
                }
                Rules::Corrected => stroke(mask, center, normal),
            };
            let Some(stroke) = stroke else { continue };
            let diameter = stroke[0].distance(stroke[1]);
            if !diameter.is_finite() {
                return None;
            }
            if diameter < WIDEST {
                kept.push((diameter, stroke));
            }
        }
        if kept.len() <= FEWEST {
            return None;
        }
        let diameters: Vec<f64> = kept.iter().map(|(diameter, _)| *diameter).collect();
        let residuals = residuals(&diameters);
        let middle = crate::statistics::median(&residuals);
        let deviations: Vec<f64> = residuals.iter().map(|r| (r - middle).abs()).collect();
        let limit = DEVIATIONS * crate::statistics::median(&deviations);
        let fits = |residual: f64| match rules {
            Rules::Reference => residual < limit,
            // An even vessel deviates from its line by rounding only.
            Rules::Corrected => residual <= limit.max(1e-9),
        };
        let (diameters, strokes): (Vec<f64>, Vec<Stroke>) = kept
            .into_iter()
            .zip(&residuals)
            .filter(|(_, residual)| fits(**residual))
            .map(|(kept, _)| kept)
            .unzip();
        (!diameters.is_empty()).then_some(Self { diameters, strokes })
    }
}

/// Unit vector across a tangent. The reference's linear algebra rounds the sum of squares once, not
/// twice; where a vessel of one pixel runs along an axis, that bit shows in its diameter.
pub(crate) fn normal(tangent: Point) -> Point {
    let norm = tangent.y.mul_add(tangent.y, tangent.x * tangent.x).sqrt();
    Point::new(-tangent.x / norm, tangent.y / norm)
}

/// Where a ray leaves the mask, as the reference walks: cell by cell with a least step, and a
/// component of 0 counts as a wall at distance 1.
fn walked_hit(mask: &Mask, from: Point, direction: Point) -> Point {
    const LEAST: f64 = 0.01;
    let to_wall = |position: f64, direction: f64| {
        let share = position - position.floor();
        if direction > 0.0 {
            (1.0 - share) / direction
        } else if direction < 0.0 {
            share / -direction
        } else {
            1.0
        }
    };
    let mut at = from;
    while mask.holds(at) {
        let step = to_wall(at.y, direction.y)
            .min(to_wall(at.x, direction.x))
            .max(LEAST);
        at = at + direction * step;
    }
    let back = |at: f64, from: f64, direction: f64| {
        if direction > 0.0 {
            (at.floor() - from) / direction
        } else if direction < 0.0 {
            (at.ceil() - from) / direction
        } else {
            1.0
        }
    };
    from + direction * back(at.y, from.y, direction.y).max(back(at.x, from.x, direction.x))
}

/// The walls on both sides of a point of the mask; none if it lies outside.
fn stroke(mask: &Mask, center: Point, normal: Point) -> Option<Stroke> {
    let hit = |direction| exact_hit(mask, center, direction);
    Some([hit(normal)?, hit(normal * -1.0)?])
}

/// Where a ray leaves the mask, cell by cell. Positions are in the frame of cells: the pixel
/// (y, x) covers y … y + 1 and x … x + 1.
fn exact_hit(mask: &Mask, from: Point, direction: Point) -> Option<Point> {
    let (mut y, mut x) = (from.y.floor() as i64, from.x.floor() as i64);
    if !mask.get(y, x) {
        return None;
    }
    let wall = |from: f64, cell: i64, direction: f64| {
        if direction > 0.0 {
            ((cell + 1) as f64 - from) / direction
        } else if direction < 0.0 {
            (cell as f64 - from) / direction
        } else {
            f64::INFINITY
        }
    };
    loop {
        let (down, right) = (wall(from.y, y, direction.y), wall(from.x, x, direction.x));
        let way = down.min(right);
        if !way.is_finite() {
            return None;
        }
        if down <= right {
            y += if direction.y > 0.0 { 1 } else { -1 };
        }
        if right <= down {
            x += if direction.x > 0.0 { 1 } else { -1 };
        }
        if !mask.get(y, x) {
            return Some(from + direction * way);
        }
    }
}

/// Width of the row of set pixels through a point: the first of the four directions in which both
/// ends are reached, horizontal first.
fn row_width(mask: &Mask, point: Point) -> Option<f64> {
    const PAIRS: [[(i64, i64); 2]; 4] = [
        [(0, 1), (0, -1)],
        [(1, 0), (-1, 0)],
        [(-1, 1), (1, -1)],
        [(1, 1), (-1, -1)],
    ];
    let (y, x) = (point.y as i64, point.x as i64);
    // The image's border counts as empty.
    let last = (mask.height() as i64 - 1, mask.width() as i64 - 1);
    let set =
        |y: i64, x: i64| (1..last.0).contains(&y) && (1..last.1).contains(&x) && mask.get(y, x);
    if !set(y, x) {
        return None;
    }
    let mut reach = [[0_i64; 2]; 4];
    loop {
        for (pair, reach) in PAIRS.iter().zip(&mut reach) {
            for ((dy, dx), reach) in pair.iter().zip(reach.iter_mut()) {
                let next = *reach + 1;
                *reach += i64::from(set(y + dy * next, x + dx * next));
            }
        }
        let ended = PAIRS.iter().zip(&reach).find(|(pair, reach)| {
            pair.iter()
                .zip(reach.iter())
                .all(|((dy, dx), reach)| !set(y + dy * (reach + 1), x + dx * (reach + 1)))
        });
        if let Some((_, reach)) = ended {
            return Some((reach[0] + reach[1] + 1) as f64);
        }
    }
}
