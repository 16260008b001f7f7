//! Feature sets: which biomarkers belong to them, and what they are called.

mod catalogue;
mod describe;
mod names;

use std::fmt;
use std::str::FromStr;

use crate::grid::{Field, Grid};
use crate::rules::Rules;

pub use names::{Naming, Variable};

/// A set of biomarkers, the columns of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureSet {
    /// The reference's recommended set, 75 values.
    FullV3,
    /// Its forerunner.
    FullV2,
    /// The first set.
    Full,
    /// Vessel phenotypes of Ortín Vela et al. (2024).
    Bergmann,
    /// Sparsity, density and sharpness in several fields.
    Sparsity,
    /// For photographs centred on the macula.
    MaculaCentered,
    /// The same with a smaller field.
    MaculaCenteredRs,
    /// For photographs centred on the disc.
    OdCentered,
    /// The same with the band at the rim left out.
    OdCenteredRs,
    /// For narrow photographs of the disc that need no fovea.
    OdCenteredNarrow,
    /// For narrow photographs of the disc.
    OdCenteredNarrowRs,
    /// Our own set: corrected definitions, units, counts and reasons.
    VascxRs,
}

impl FeatureSet {
    /// Every set.
    pub const ALL: [Self; 12] = [
        Self::FullV3,
        Self::FullV2,
        Self::Full,
        Self::Bergmann,
        Self::Sparsity,
        Self::MaculaCentered,
        Self::MaculaCenteredRs,
        Self::OdCentered,
        Self::OdCenteredRs,
        Self::OdCenteredNarrow,
        Self::OdCenteredNarrowRs,
        Self::VascxRs,
    ];

    /// Whose definitions the set is measured by.
    pub fn rules(self) -> Rules {
        if self == Self::VascxRs {
            Rules::Corrected
        } else {
            Rules::Reference
        }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullV3 => "full_v3",
            Self::FullV2 => "full_v2",
            Self::Full => "full",
            Self::Bergmann => "bergmann",
            Self::Sparsity => "sparsity",
            Self::MaculaCentered => "macula_centered",
            Self::MaculaCenteredRs => "macula_centered_rs",
            Self::OdCentered => "od_centered",
            Self::OdCenteredRs => "od_centered_rs",
            Self::OdCenteredNarrow => "od_centered_narrow",
            Self::OdCenteredNarrowRs => "od_centered_narrow_rs",
            Self::VascxRs => "vascx_rs",
        }
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FeatureSet {
    type Err = UnknownFeatureSet;

    fn from_str(name: &str) -> Result<Self, UnknownFeatureSet> {
        Self::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or_else(|| UnknownFeatureSet {
                name: name.to_owned(),
            })
    }
}

/// A name that no feature set has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown feature set `{name}`; known are {}", FeatureSet::ALL.map(FeatureSet::name).join(", "))]
pub struct UnknownFeatureSet {
    name: String,
}

/// What a value is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerName {
    /// Classes 1 and 3 of the artery/vein map.
    Arteries,
    /// Classes 2 and 3.
    Veins,
    /// The vessel map.
    Vessels,
    /// The photograph and its landmarks.
    Retina,
}

impl LayerName {
    /// As it ends a variable's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arteries => "arteries",
            Self::Veins => "veins",
            Self::Vessels => "vessels",
            Self::Retina => "retina",
        }
    }
}

/// How the values of many segments become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Arithmetic mean.
    Mean,
    /// Median.
    Median,
    /// Standard deviation of the population.
    Std,
    /// Mean weighted by the length of each segment's spline.
    LengthWeighted,
}

/// Part of the retina around the disc whose vessels enter a central retinal equivalent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sector {
    /// Towards the fovea.
    Temporal,
    /// Away from it.
    Nasal,
    /// All around.
    Full,
}

/// How tortuous a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TortuosityMeasure {
    /// Length over chord.
    Distance,
    /// Mean curvature times the distance from disc to fovea.
    Curvature,
    /// Two names of the set `full` that the reference never fills: `curvature` and `inflections`.
    Undefined(&'static str),
}

/// A central retinal equivalent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cre {
    /// Part of the retina.
    pub sector: Sector,
    /// Upper or lower half alone.
    pub hemifield: Option<Field>,
    /// Largest vessels that enter.
    pub vessels: usize,
    /// Radius of the first and last circle in disc diameters.
    pub circles: (f64, f64),
}

/// The tortuosity of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tortuosity {
    /// What is measured.
    pub measure: TortuosityMeasure,
    /// Whole vessels instead of segments between nodes.
    pub vessels: bool,
    /// Length along the skeleton instead of the spline.
    pub skeleton_length: bool,
    /// Longest piece in distances from disc to fovea.
    pub pieces: Option<f64>,
    /// How segments are combined.
    pub aggregate: Aggregate,
}

impl Tortuosity {
    /// Of whole segments between nodes, by the spline.
    pub fn new(measure: TortuosityMeasure, aggregate: Aggregate) -> Self {
        Self {
            measure,
            vessels: false,
            skeleton_length: false,
            pieces: None,
            aggregate,
        }
    }
}

/// A biomarker of the reference's sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Angle between the main temporal vessels at the disc, degrees.
    TemporalAngle,
    /// Angle between the branches of bifurcations, degrees.
    BifurcationAngle(Aggregate),
    /// Number of bifurcations.
    BifurcationCount,
    /// Diameter of segments, pixels.
    Calibre(Aggregate),
    /// Central retinal equivalent, pixels.
    Cre(Cre),
    /// Tortuosity of segments.
    Tortuosity(Tortuosity),
    /// Share of the area that is vessel.
    Density,
    /// Distance of the fovea to the disc's centre or, if not `center`, its edge; pixels.
    DiscFoveaDistance {
        /// Centre or edge.
        center: bool,
    },
    /// Distance to the nearest vessel.
    Sparsity {
        /// Largest instead of mean.
        max: bool,
        /// In distances from disc to fovea instead of pixels.
        normalized: bool,
    },
    /// Variance of the Laplacian of the grey photograph.
    Laplacian,
    /// Width of vessel edges in the photograph, pixels.
    Sharpness,
    /// Mean brightness of the photograph, 0 to 255.
    Luminance,
}

impl Kind {
    /// Whether it is measured on the photograph itself.
    pub fn needs_photograph(self) -> bool {
        matches!(self, Self::Laplacian | Self::Sharpness | Self::Luminance)
    }
}

/// A biomarker, where it is measured, and on what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Biomarker {
    /// What is measured.
    pub kind: Kind,
    /// Field it is restricted to.
    pub field: Option<(Grid, Field)>,
    /// Layer it is measured on.
    pub layer: LayerName,
}
