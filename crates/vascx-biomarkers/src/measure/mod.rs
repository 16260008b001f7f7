//! Biomarkers: numbers about an eye.

mod bifurcations;
mod circles;
mod cre;
mod photograph;
mod segments;
mod sharpness;
mod sparsity;
mod tables;
mod temporal_angle;
mod zones;

use crate::analysis::Analysis;
use crate::reason::Reason;
use crate::sets::{Biomarker, Kind};

pub use bifurcations::{Bifurcation, BifurcationAngle};
pub use cre::{CreCircle, Crossing, Equivalent};
pub use sharpness::Profile;
pub use sparsity::SparsityMap;
pub use tables::{BifurcationRow, SegmentRow};
pub use temporal_angle::AngleCircle;
pub use zones::{Zone, ZoneCircle};

/// Shares of a field that must be visible.
const MOST: f64 = 0.95;
const LARGER_PART: f64 = 0.80;
const ALL: f64 = 1.0;
/// A disc nearer to the rim than this hides part of its edge, in pixels of a crop of 1024.
const DISC_MARGIN: f64 = 15.0;

/// The value of a biomarker, or why it has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The value.
    pub value: Result<f64, Reason>,
    /// On how many segments, bifurcations, vessels or circles it rests, where such are counted.
    pub count: Option<usize>,
}

impl Measurement {
    pub(crate) fn new(value: Result<f64, Reason>) -> Self {
        let value = value.and_then(|value| {
            if value.is_finite() {
                Ok(value)
            } else {
                Err(Reason::NotFinite)
            }
        });
        Self { value, count: None }
    }

    pub(crate) fn counted(value: Result<(f64, usize), Reason>) -> Self {
        let count = value.as_ref().ok().map(|(_, count)| *count);
        Self {
            count,
            ..Self::new(value.map(|(value, _)| value))
        }
    }
}

impl Analysis<'_> {
    /// A biomarker of the reference's sets.
    pub fn biomarker(&self, biomarker: &Biomarker) -> Measurement {
        let Biomarker { kind, field, layer } = *biomarker;
        match kind {
            Kind::TemporalAngle => Measurement::counted(self.temporal_angle(layer)),
            Kind::BifurcationAngle(aggregate) => {
                Measurement::counted(self.bifurcation_angle(aggregate, field, layer))
            }
            Kind::BifurcationCount => Measurement::new(self.bifurcation_count(field, layer)),
            Kind::Calibre(aggregate) => {
                Measurement::counted(self.mean_calibre(aggregate, field, layer))
            }
            Kind::Cre(cre) => {
                let circles = self.cre_circles(cre, layer);
                Measurement::counted(circles.and_then(|circles| cre::median_of(&circles)))
            }
            Kind::Tortuosity(kind) => Measurement::counted(self.tortuosity(kind, field, layer)),
            Kind::Density => Measurement::new(self.density(field, layer)),
            Kind::DiscFoveaDistance { center } => {
                Measurement::new(self.disc_fovea_distance(center))
            }
            Kind::Sparsity { max, normalized } => {
                Measurement::new(self.sparsity(max, normalized, field))
            }
            Kind::Laplacian => Measurement::new(self.laplacian(field)),
            Kind::Sharpness => Measurement::counted(self.sharpness(field)),
            Kind::Luminance => Measurement::new(self.luminance()),
        }
    }

    /// Distance of the fovea to the disc's centre or edge, in pixels.
    fn disc_fovea_distance(&self, center: bool) -> Result<f64, Reason> {
        let landmarks = self.landmarks()?;
        let fovea = landmarks.fovea.clone()?;
        if center {
            let margin = landmarks.disc.margin;
            return if margin > DISC_MARGIN {
                Ok(fovea.distance)
            } else {
                Err(Reason::DiscAtRim {
                    margin,
                    needed: DISC_MARGIN,
                })
            };
        }
        let mask = &landmarks.disc.mask;
        let mut nearest = f64::INFINITY;
        for y in 0..mask.height() {
            for x in mask.columns(y) {
                let pixel = crate::geometry::Point::new(y as f64, x as f64);
                nearest = nearest.min(pixel.distance(fovea.position));
            }
        }
        Ok(nearest)
    }
}
