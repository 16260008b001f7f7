//! Why a value is undefined.

use thiserror::Error;

/// Why a biomarker of an eye has no value.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Reason {
    /// Every end of a vessel is shorter than 3 px; the reference gives up then.
    #[error("all vessel ends are shorter than 3 px")]
    OnlyStubs,
    /// A vessel's points repeat and one of their coordinates is constant; the reference gives up
    /// then.
    #[error("no curve goes through the points of a vessel")]
    NoSolution,
    /// A segment has no diameter below 30 px; the reference gives up then.
    #[error("a vessel is wider than 30 px everywhere")]
    NoDiameters,
    /// The vessel map was not given.
    #[error("no vessel map")]
    NoVesselMap,
    /// The layer holds no vessel that can be measured.
    #[error("no vessels")]
    NoVessels,
    /// The disc map is absent or empty inside the visible retina.
    #[error("no optic disc")]
    NoDisc,
    /// The disc is too small to be one.
    #[error("optic disc of {pixels} px, at least {needed} needed")]
    SmallDisc {
        /// Pixels found.
        pixels: usize,
        /// Pixels needed.
        needed: usize,
    },
    /// The fovea was not given or is not a number.
    #[error("no fovea")]
    NoFovea,
    /// The fovea lies outside the crop.
    #[error("fovea outside the image")]
    FoveaOutside,
    /// The fovea lies inside the disc.
    #[error("fovea inside the optic disc")]
    FoveaInDisc,
    /// Too little of the field lies in the visible retina.
    #[error("{:.1} % of the field visible, {:.0} % needed", 100.0 * .share, 100.0 * .needed)]
    FieldNotVisible {
        /// Share of the field inside the visible retina.
        share: f64,
        /// Share needed.
        needed: f64,
    },
    /// The disc is too close to the rim of the visible retina.
    #[error("optic disc {margin:.1} px from the rim, {needed} needed")]
    DiscAtRim {
        /// Distance in pixels.
        margin: f64,
        /// Distance needed.
        needed: f64,
    },
    /// Too few of what the value is computed from.
    #[error("{found} {what}, at least {needed} needed")]
    TooFew {
        /// What is counted, in the plural.
        what: &'static str,
        /// How many were found.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Part of the circle lies outside the visible retina.
    #[error("part of the circle is out of sight")]
    OutOfSight,
    /// No gap between vessels lies in the field.
    #[error("no gaps between vessels in the field")]
    NoGaps,
    /// The photograph's colours were not given.
    #[error("no RGB crop")]
    NoPhotograph,
    /// No scale in millimetres was given.
    #[error("no scale in millimetres")]
    NoScale,
    /// The reference package never gives this value.
    #[error("never defined by the reference")]
    NeverDefined,
    /// The computation gave no finite number.
    #[error("not a finite number")]
    NotFinite,
}
