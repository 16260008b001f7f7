//! Disc and fovea.

use crate::components::Components;
use crate::contour::{centroid, corners};
use crate::eye::Eye;
use crate::geometry::Point;
use crate::mask::{Mask, places_set};
use crate::reason::Reason;
use crate::rules::Rules;

/// Distance from the disc to the fovea, in millimetres, where no scale is given.
const DISC_FOVEA_MM: f64 = 4.75;
/// A smaller disc is none, in pixels of a crop of 1024.
const SMALLEST_DISC: usize = 500;

/// The optic disc.
#[derive(Clone, Debug)]
pub struct Disc {
    /// Its pixels.
    pub mask: Mask,
    /// Centre of mass.
    pub center: Point,
    /// Centre of the circle that stands for it; `NaN` for a disc of a pixel or a line.
    pub circle_center: Point,
    /// Radius of that circle; `NaN` for a disc of a pixel or a line.
    pub radius: f64,
    /// Distance to the rim of the visible retina.
    pub margin: f64,
}

impl Disc {
    /// The largest component of the disc map inside the visible retina.
    pub(crate) fn find(eye: &Eye, region: &Mask, rules: Rules) -> Result<Self, Reason> {
        let map = eye.disc.ok_or(Reason::NoDisc)?;
        let mut all = Mask::from_image(eye.side, eye.side, map, |value| value > 0);
        all.keep(region);
        let components = Components::of(&all, true);
        let largest = (0..components.areas.len())
            .rev()
            .max_by_key(|&component| components.areas[component])
            .ok_or(Reason::NoDisc)?;
        let mut mask = Mask::new(eye.side, eye.side);
        let runs = components.runs.iter();
        for run in runs.filter(|run| run.component == largest) {
            mask.row_mut(run.y)[run.start..run.end].fill(1);
        }
        fill_inside(&mut mask);
        let pixels = mask.count();
        let center = center_of_mass(&mask, pixels);
        let corners = corners(&mask);
        let (circle_center, radius) = match rules {
            Rules::Reference => {
                // A disc without an area has no circle.
                let (y, x) = centroid(&corners).unwrap_or((f64::NAN, f64::NAN));
                let center = Point::new(y.trunc(), x.trunc());
                let distances: Vec<f64> = corners
                    .iter()
                    .map(|&(y, x)| center.distance(Point::new(y as f64, x as f64)))
                    .collect();
                (center, crate::statistics::mean(&distances))
            }
            Rules::Corrected => {
                let needed = SMALLEST_DISC * eye.side * eye.side / (1024 * 1024);
                if pixels < needed.max(2) {
                    return Err(Reason::SmallDisc {
                        pixels,
                        needed: needed.max(2),
                    });
                }
                (center, (pixels as f64 / std::f64::consts::PI).sqrt())
            }
        };
        let margin = margin(&mask, region);
        Ok(Self {
            mask,
            center,
            circle_center,
            radius,
            margin,
        })
    }
}

impl Disc {
    /// Centre and radius of the circle that stands for the disc.
    ///
    /// # Errors
    /// The disc is a pixel or a line.
    pub fn circle(&self) -> Result<(Point, f64), Reason> {
        if self.radius.is_finite() {
            return Ok((self.circle_center, self.radius));
        }
        Err(Reason::SmallDisc {
            pixels: self.mask.count(),
            needed: SMALLEST_DISC,
        })
    }
}

/// Fills everything that the border of the image cannot be reached from.
fn fill_inside(mask: &mut Mask) {
    let (height, width) = (mask.height(), mask.width());
    let background = Components::of(mask, false);
    let mut open = vec![false; background.areas.len()];
    for run in &background.runs {
        open[run.component] |=
            run.y == 0 || run.y + 1 == height || run.start == 0 || run.end == width;
    }
    if open.iter().all(|open| *open) {
        return;
    }
    for run in background.runs {
        if !open[run.component] {
            mask.row_mut(run.y)[run.start..run.end].fill(1);
        }
    }
}

fn center_of_mass(mask: &Mask, pixels: usize) -> Point {
    let (mut rows, mut columns) = (0_usize, 0_usize);
    for y in 0..mask.height() {
        for x in mask.columns(y) {
            rows += y;
            columns += x;
        }
    }
    Point::new(rows as f64 / pixels as f64, columns as f64 / pixels as f64)
}

/// The smallest distance of the disc to the image's sides and, by steps of 1, 1.4 and 2.1969 as
/// in OpenCV's 5 × 5 distance transform, to what lies outside the visible retina, of which each row
/// is one stretch.
fn margin(disc: &Mask, region: &Mask) -> f64 {
    let (height, width) = (disc.height(), disc.width());
    let visible: Vec<_> = (0..height)
        .map(|y| {
            let first = region.row(y).iter().position(|&pixel| pixel != 0)?;
            let last = region.row(y).iter().rposition(|&pixel| pixel != 0)?;
            Some(first..=last)
        })
        .collect();
    // Columns from a place to the nearest hidden pixel of a row; none if all are visible.
    let across = |y: usize, x: usize| match &visible[y] {
        Some(stretch) if stretch.contains(&x) => {
            let left = (*stretch.start() > 0).then(|| x + 1 - stretch.start());
            let right = (stretch.end() + 1 < width).then(|| stretch.end() + 1 - x);
            left.into_iter().chain(right).min()
        }
        _ => Some(0),
    };
    // In units of 1 / 65536, as there.
    let steps = |dy: usize, dx: usize| {
        let (long, short) = (dy.max(dx) as u64, dy.min(dx) as u64);
        if 2 * short <= long {
            65_536 * (long - 2 * short) + 143_976 * short
        } else {
            143_976 * (long - short) + 91_750 * (2 * short - long)
        }
    };
    let mut to_side = usize::MAX;
    let mut to_rim = u64::MAX;
    for y in 0..height {
        let row = disc.row(y);
        for x in places_set(row) {
            let beside = [
                (y, x.wrapping_sub(1)),
                (y, x + 1),
                (y.wrapping_sub(1), x),
                (y + 1, x),
            ];
            let inner = |&(y, x): &(usize, usize)| disc.get(y as i64, x as i64);
            if beside.iter().all(inner) {
                continue;
            }
            to_side = to_side.min(y.min(x).min(height - 1 - y).min(width - 1 - x));
            for dy in 0..height {
                if steps(dy, 0) >= to_rim {
                    break;
                }
                for other in [y.checked_sub(dy), Some(y + dy).filter(|y| *y < height)] {
                    let dx = other.and_then(|other| across(other, x));
                    to_rim = to_rim.min(dx.map_or(u64::MAX, |dx| steps(dy, dx)));
                }
            }
        }
    }
    let to_rim = if to_rim == u64::MAX {
        f64::INFINITY
    } else {
        to_rim as f64 / 65_536.0
    };
    to_rim.min(if to_side == usize::MAX {
        f64::INFINITY
    } else {
        to_side as f64
    })
}

/// Which eye it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laterality {
    /// The disc lies to the left of the fovea.
    Left,
    /// The disc lies to the right of the fovea.
    Right,
}

/// Disc, fovea, and what follows from both.
#[derive(Clone, Debug)]
pub struct Landmarks {
    /// The disc.
    pub disc: Disc,
    /// The fovea, or why it is of no use.
    pub fovea: Result<Fovea, Reason>,
}

/// The fovea as seen from the disc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fovea {
    /// Position.
    pub position: Point,
    /// Distance from the disc's centre.
    pub distance: f64,
    /// Unit vector from the disc's centre to the fovea.
    pub direction: Point,
    /// Length of a pixel in millimetres: as given, else from the distance to the disc.
    pub mm_per_pixel: f64,
}

impl Landmarks {
    pub(crate) fn new(eye: &Eye, disc: Disc, rules: Rules) -> Self {
        let fovea = Fovea::find(eye, &disc, rules);
        Self { disc, fovea }
    }

    /// The point of the disc's circle opposite to the fovea.
    pub(crate) fn nasal_point(&self) -> Result<Point, Reason> {
        let fovea = self.fovea.clone()?;
        let (_, radius) = self.disc.circle()?;
        Ok(self.disc.center - fovea.direction * radius)
    }

    /// Which eye it is, by the places of disc and fovea.
    ///
    /// # Errors
    /// Why there is no fovea.
    pub fn laterality(&self) -> Result<Laterality, Reason> {
        let fovea = self.fovea.clone()?;
        let left = self.disc.center.x < fovea.position.x;
        Ok(if left {
            Laterality::Left
        } else {
            Laterality::Right
        })
    }
}

impl Fovea {
    fn find(eye: &Eye, disc: &Disc, rules: Rules) -> Result<Self, Reason> {
        let position = eye
            .fovea
            .filter(|fovea| fovea.is_finite())
            .ok_or(Reason::NoFovea)?;
        if rules == Rules::Corrected {
            let side = 0.0..eye.side as f64;
            if !(side.contains(&position.y) && side.contains(&position.x)) {
                return Err(Reason::FoveaOutside);
            }
            if disc.mask.holds(position) || position.distance(disc.center) < disc.radius {
                return Err(Reason::FoveaInDisc);
            }
        }
        let distance = position.distance(disc.center);
        if distance == 0.0 || !distance.is_finite() {
            return Err(Reason::FoveaInDisc);
        }
        let direction = (position - disc.center) * (1.0 / distance);
        let mm_per_pixel = eye.mm_per_pixel.unwrap_or(DISC_FOVEA_MM / distance);
        Ok(Self {
            position,
            distance,
            direction,
            mm_per_pixel,
        })
    }
}
