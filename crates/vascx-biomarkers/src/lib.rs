//! Vascular biomarkers of the retina: from class maps and landmarks of an eye to numbers.
//!
//! The road of the data: visible retina and landmarks → skeleton → graph → trees → segments with
//! smoothing splines and diameters → fields of grids → biomarkers → sets of them under their
//! names. Everything is computed in `f64`, without files, networks or global state, and comes out
//! the same however many eyes are measured at once.

mod components;
mod distance;
mod eye;
mod field_of_view;
mod forest;
mod geometry;
mod graph;
mod grid;
mod mask;
mod own;
mod reason;
mod rules;
mod sets;
mod thin;

pub use eye::{Eye, InvalidEye};
pub use field_of_view::{Bounds, FieldOfView, Line};
pub use geometry::Point;
pub use grid::{Field, Grid};
pub use mask::Mask;
pub use reason::Reason;
pub use rules::Rules;
pub use sets::{
    Aggregate, Biomarker, FeatureSet, Kind, LayerName, Naming, Sector, TortuosityMeasure,
    UnknownFeatureSet, Variable,
};
