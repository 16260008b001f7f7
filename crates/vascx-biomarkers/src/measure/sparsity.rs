//! How far apart vessels are.

use super::LARGER_PART;
use crate::analysis::Analysis;
use crate::components::Components;
use crate::distance::squared_distances;
use crate::geometry::Point;
use crate::grid::{Field, Grid};
use crate::mask::Mask;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::sets::LayerName;

/// Gaps between vessels are at least this large, in pixels of a crop of 1024.
const SMALLEST_GAP: usize = 250;
/// Radius of the fovea's zone without vessels, in distances from disc to fovea.
const FOVEAL_ZONE: f64 = 1.0 / 6.0;
/// Fewer pixels of skeleton are no vascular tree, in a crop of 1024.
const FEWEST_PIXELS: usize = 1000;

/// Distances to the nearest vessel.
#[derive(Clone, Debug)]
pub struct SparsityMap {
    /// Of each pixel, in pixels; `NaN` where it is undefined: nearer to the rim than to a vessel,
    /// on a vessel, in the disc, or outside the visible retina.
    pub distances: Vec<f32>,
    /// Squared distances where they are defined.
    squared: Vec<u32>,
    /// Of each gap between vessels, the pixel with the largest defined distance.
    pub peaks: Vec<(usize, usize)>,
}

impl Analysis<'_> {
    /// Distances to the nearest vessel.
    ///
    /// # Errors
    /// No vessel map, or no vessels in it.
    pub fn sparsity_map(&self) -> Result<&SparsityMap, Reason> {
        self.sparsity
            .get_or_init(|| self.compute_sparsity())
            .as_ref()
            .map_err(Clone::clone)
    }

    fn compute_sparsity(&self) -> Result<SparsityMap, Reason> {
        let layer = self.layer(LayerName::Vessels)?;
        let found = layer.skeleton().count();
        let needed = match self.rules {
            Rules::Reference => 1,
            Rules::Corrected => self.scaled_area(FEWEST_PIXELS),
        };
        if found == 0 {
            return Err(Reason::NoVessels);
        }
        if found < needed {
            return Err(Reason::TooFew {
                what: "pixels of skeleton",
                found,
                needed,
            });
        }
        let disc = match self.landmarks() {
            Ok(landmarks) => landmarks.disc.mask.clone(),
            Err(_) if self.rules == Rules::Corrected => Mask::new(self.eye.side, self.eye.side),
            Err(reason) => return Err(reason),
        };
        let squared = squared_distances(layer.skeleton(), self.region());
        let mut gaps = self.region().clone();
        gaps.clear(layer.filled());
        gaps.clear(&disc);
        let distances = squared
            .iter()
            .zip(gaps.pixels())
            .map(|(&vessel, &gap)| {
                if gap != 0 && vessel != u32::MAX {
                    f64::from(vessel).sqrt() as f32
                } else {
                    f32::NAN
                }
            })
            .collect();
        let components = Components::of(&gaps, true);
        let mut largest = vec![(0, 0, 0); components.areas.len()];
        for run in &components.runs {
            let best = &mut largest[run.component];
            for x in run.start..run.end {
                let at = run.y * self.eye.side + x;
                let distance = squared[at];
                if distance > best.0 && distance != u32::MAX {
                    *best = (distance, run.y, x);
                }
            }
        }
        let smallest = match self.rules {
            Rules::Reference => SMALLEST_GAP,
            Rules::Corrected => self.scaled_area(SMALLEST_GAP),
        };
        let peaks = largest
            .iter()
            .zip(&components.areas)
            .filter(|(largest, area)| largest.0 > 0 && **area >= smallest)
            .map(|(&(_, y, x), _)| (y, x))
            .collect();
        Ok(SparsityMap {
            distances,
            squared,
            peaks,
        })
    }

    pub(crate) fn sparsity(
        &self,
        max: bool,
        normalized: bool,
        field: Option<(Grid, Field)>,
    ) -> Result<f64, Reason> {
        let area = self.visible_field(field, LARGER_PART, false)?;
        let map = self.sparsity_map()?;
        let landmarks = self.landmarks();
        let fovea = landmarks.and_then(|landmarks| landmarks.fovea.clone());
        let unit = if normalized {
            fovea.clone()?.distance
        } else {
            1.0
        };
        // Of a fovea that is no number the reference makes no zone, and no value.
        if self.rules == Rules::Reference && self.eye.fovea.is_some() {
            fovea.clone()?;
        }
        let side = self.eye.side;
        let zone = |y: usize, x: usize| {
            fovea.as_ref().is_ok_and(|fovea| {
                let pixel = Point::new(y as f64, x as f64);
                pixel.distance(fovea.position) <= FOVEAL_ZONE * fovea.distance
            })
        };
        let inside = |y: usize, x: usize| {
            area.as_ref()
                .is_none_or(|area| area.mask.get(y as i64, x as i64))
                && !zone(y, x)
        };
        if max {
            let peaks = map.peaks.iter().filter(|&&(y, x)| inside(y, x));
            let defined = peaks.map(|&(y, x)| map.squared[y * side + x]);
            let largest = defined.max().ok_or(Reason::NoGaps)?;
            return Ok(f64::from(largest).sqrt() / unit);
        }
        let (mut sum, mut count) = (0.0, 0_usize);
        for y in 0..side {
            let row = y * side..(y + 1) * side;
            let field = area.as_ref().map(|area| area.mask.row(y));
            let near_fovea = fovea.as_ref().is_ok_and(|fovea| {
                (y as f64 - fovea.position.y).abs() <= FOVEAL_ZONE * fovea.distance
            });
            let pairs = map.distances[row.clone()].iter().zip(&map.squared[row]);
            for (x, (distance, &squared)) in pairs.enumerate() {
                let counts = !distance.is_nan()
                    && field.is_none_or(|field| field[x] != 0)
                    && !(near_fovea && zone(y, x));
                if counts {
                    sum += f64::from(squared).sqrt();
                    count += 1;
                }
            }
        }
        if count == 0 {
            return Err(Reason::NoGaps);
        }
        Ok(sum / count as f64 / unit)
    }
}
