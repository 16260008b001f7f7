//! How sharp the edges of vessels are in the photograph.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::LARGER_PART;
use crate::analysis::Analysis;
use crate::edge_model::{EdgeModel, fit};
use crate::geometry::Point;
use crate::grid::{Field, Grid};
use crate::mask::Mask;
use crate::reason::Reason;
use crate::segment::Segment;
use crate::sets::LayerName;
use crate::statistics;

/// Points that a segment needs.
const POINTS: usize = 20;
/// Diameters of vessels that are looked at, in pixels.
const DIAMETERS: std::ops::RangeInclusive<f64> = 2.0..=25.0;
/// Profiles along a segment.
const PROFILES: usize = 12;

/// A profile across a vessel and the edges found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Middle of the vessel.
    pub center: Point,
    /// Unit vector across it.
    pub normal: Point,
    /// Brightness at whole pixels along the normal, smoothed.
    pub brightness: Vec<f64>,
    /// The model that fits; none if the edges cannot be told.
    pub model: Option<EdgeModel>,
}

/// A segment with the profiles across it.
pub(crate) type SegmentProfiles = (Rc<Segment>, Vec<Profile>);

impl Analysis<'_> {
    pub(crate) fn sharpness(&self, field: Option<(Grid, Field)>) -> Result<(f64, usize), Reason> {
        let (mut sum, mut weights, mut count) = (0.0, 0.0, 0);
        for (segment, profiles) in self.edge_profiles(field)? {
            let widths: Vec<f64> = profiles
                .iter()
                .filter_map(|profile| Some(profile.model.as_ref()?.blur))
                .collect();
            if !widths.is_empty() {
                sum += statistics::median(&widths) * segment.length();
                weights += segment.length();
                count += 1;
            }
        }
        if count == 0 {
            return Err(Reason::TooFew {
                what: "segments with sharp edges",
                found: 0,
                needed: 1,
            });
        }
        Ok((sum / weights, count))
    }

    /// Profiles across the vessels of a field, by segment.
    ///
    /// # Errors
    /// Why the field, the photograph or the vessels are of no use.
    pub fn edge_profiles(
        &self,
        field: Option<(Grid, Field)>,
    ) -> Result<Vec<SegmentProfiles>, Reason> {
        let rgb = self.eye.rgb.ok_or(Reason::NoPhotograph)?;
        let area = self.visible_field(field, LARGER_PART, true)?;
        let layer = self.layer(LayerName::Vessels)?;
        let disc = &self.landmarks()?.disc.mask;
        let mut owners = Owners::of(layer.filled(), layer.skeleton(), disc);
        let mut found = Vec::new();
        for (owner, whole) in layer.segments().iter().enumerate() {
            owners.look_at(owner, whole);
            let parts = match &area {
                Some(area) => whole.within(|point| area.mask.holds(point)),
                None => vec![Rc::clone(whole)],
            };
            for part in parts {
                let diameter = layer.calibre(&part).median();
                if part.points().len() < POINTS || !DIAMETERS.contains(&diameter) {
                    continue;
                }
                let clear = |y: i64, x: i64| {
                    self.region().get(y, x)
                        && !disc.get(y, x)
                        && (!layer.mask().get(y, x) || owners.owns(owner, y, x))
                };
                if let Some(profiles) = profiles(&part, diameter, rgb, self.eye.side, clear) {
                    found.push((part, profiles));
                }
            }
        }
        Ok(found)
    }
}

/// Profiles of a segment; none if one of them leaves the image.
fn profiles(
    segment: &Segment,
    diameter: f64,
    rgb: &[u8],
    side: usize,
    clear: impl Fn(i64, i64) -> bool,
) -> Option<Vec<Profile>> {
    let curve = segment.curve()?;
    let half = (2.5 * diameter).ceil().max(6.0) as i64;
    let mut found = Vec::new();
    for number in 0..PROFILES {
        let t = number as f64 / (PROFILES - 1) as f64;
        let (center, tangent) = curve.position_and_tangent(t);
        let normal = Point::new(-tangent.x, tangent.y) * (1.0 / tangent.norm());
        let mut brightness = Vec::with_capacity(2 * half as usize + 1);
        let mut visible = true;
        for offset in -half..=half {
            let sample = center + normal * offset as f64;
            let limit = 0.0..=(side - 1) as f64;
            if !(limit.contains(&sample.y) && limit.contains(&sample.x)) {
                return None;
            }
            let [y, x] = [sample.y, sample.x].map(|value| value.round_ties_even() as i64);
            visible &= clear(y, x);
            brightness.push(bilinear(rgb, side, sample));
        }
        if visible {
            let brightness = smooth(&brightness);
            let model = fit(&brightness, diameter);
            found.push(Profile {
                center,
                normal,
                brightness,
                model,
            });
        }
    }
    Some(found)
}

fn bilinear(rgb: &[u8], side: usize, at: Point) -> f64 {
    let green =
        |y: usize, x: usize| f64::from(rgb[3 * (y.min(side - 1) * side + x.min(side - 1)) + 1]);
    let (y, x) = (at.y.floor(), at.x.floor());
    let (dy, dx) = (at.y - y, at.x - x);
    let (y, x) = (y as usize, x as usize);
    let upper = (1.0 - dx) * green(y, x) + dx * green(y, x + 1);
    let lower = (1.0 - dx) * green(y + 1, x) + dx * green(y + 1, x + 1);
    (1.0 - dy) * upper + dy * lower
}

/// Gaussian of σ = 0.7 over three pixels to each side, the ends mirrored.
fn smooth(values: &[f64]) -> Vec<f64> {
    const SIGMA: f64 = 0.7;
    const REACH: i64 = 3;
    let weights: Vec<f64> = (-REACH..=REACH)
        .map(|i| (-0.5 * (i as f64 / SIGMA).powi(2)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let count = values.len() as i64;
    let mirrored = |at: i64| {
        let at = if at < 0 { -1 - at } else { at };
        if at >= count { 2 * count - 1 - at } else { at }
    };
    (0..count)
        .map(|at| {
            (-REACH..=REACH)
                .zip(&weights)
                .map(|(step, weight)| values[mirrored(at + step) as usize] * weight / sum)
                .sum()
        })
        .collect()
}

/// Of each vessel pixel outside the disc, the nearest pixel of the skeleton. A segment owns the
/// vessel pixels whose nearest one lies on it.
struct Owners {
    width: usize,
    nearest: Vec<u32>,
    /// The segment looked at last on each pixel of the skeleton.
    on: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Owners {
    fn of(filled: &Mask, skeleton: &Mask, disc: &Mask) -> Self {
        let (width, height) = (filled.width(), filled.height());
        let mut squares = vec![u32::MAX; width * height];
        let mut nearest = vec![NOWHERE; width * height];
        let mut queue = BinaryHeap::new();
        for (at, _) in skeleton
            .pixels()
            .iter()
            .enumerate()
            .filter(|(_, pixel)| **pixel != 0)
        {
            squares[at] = 0;
            nearest[at] = at as u32;
            queue.push(Reverse((0_u32, at as u32)));
        }
        // Outward in the order of distance, along pixels of vessels.
        while let Some(Reverse((square, at))) = queue.pop() {
            let at = at as usize;
            if squares[at] != square {
                continue;
            }
            let site = nearest[at] as usize;
            let (y, x) = ((at / width) as i64, (at % width) as i64);
            for (dy, dx) in AROUND {
                let (ny, nx) = (y + dy, x + dx);
                if !filled.get(ny, nx) || disc.get(ny, nx) {
                    continue;
                }
                let (ny, nx) = (ny as usize, nx as usize);
                let down = ny.abs_diff(site / width);
                let right = nx.abs_diff(site % width);
                let far = (down * down + right * right) as u32;
                let next = ny * width + nx;
                if far < squares[next] {
                    squares[next] = far;
                    nearest[next] = site as u32;
                    queue.push(Reverse((far, next as u32)));
                }
            }
        }
        Self {
            width,
            nearest,
            on: vec![NOWHERE; width * height],
        }
    }

    /// Looks at a segment from now on.
    fn look_at(&mut self, number: usize, segment: &Segment) {
        for point in segment.points() {
            self.on[point.y as usize * self.width + point.x as usize] = number as u32;
        }
    }

    /// Whether the segment looked at owns a vessel pixel.
    fn owns(&self, number: usize, y: i64, x: i64) -> bool {
        let nearest = self.nearest[y as usize * self.width + x as usize];
        nearest != NOWHERE && self.on[nearest as usize] == number as u32
    }
}

const AROUND: [(i64, i64); 8] = [
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, -1),
    (0, 1),
    (1, -1),
    (1, 0),
    (1, 1),
];
