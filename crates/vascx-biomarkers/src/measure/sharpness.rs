//! How sharp the edges of vessels are in the photograph.

use std::rc::Rc;

use super::LARGER_PART;
use crate::analysis::Analysis;
use crate::calibre::normal;
use crate::distance::nearest_pixels;
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
        let owners = Owners::of(layer.skeleton(), layer.segments());
        let mut found = Vec::new();
        for (owner, whole) in layer.segments().iter().enumerate() {
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
        let normal = normal(tangent);
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

/// Which segment each vessel pixel belongs to: the one that the nearest pixel of the skeleton lies
/// on. Outside the disc, where the skeleton ends, that may be one across its border.
struct Owners {
    width: usize,
    nearest: Vec<u32>,
    /// The segment on each pixel of the skeleton, the last one where several meet.
    on: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl Owners {
    fn of(skeleton: &Mask, segments: &[Rc<Segment>]) -> Self {
        let width = skeleton.width();
        let mut on = vec![NOBODY; width * skeleton.height()];
        for (number, segment) in segments.iter().enumerate() {
            for point in segment.points() {
                on[point.y as usize * width + point.x as usize] = number as u32;
            }
        }
        Self {
            width,
            nearest: nearest_pixels(skeleton),
            on,
        }
    }

    /// Whether a segment owns a vessel pixel.
    fn owns(&self, number: usize, y: i64, x: i64) -> bool {
        let nearest = self.nearest[y as usize * self.width + x as usize];
        let owner = self.on.get(nearest as usize);
        owner.is_some_and(|owner| *owner == number as u32)
    }
}
