//! Vascular biomarkers of the retina: from class maps and landmarks of an eye to numbers.
//!
//! The road of the data: visible retina and landmarks → skeleton → graph → trees → segments with
//! smoothing splines and diameters → fields of grids → biomarkers → sets of them under their
//! names. Everything is computed in `f64`, without files, networks or global state, and comes out
//! the same however many eyes are measured at once.

mod analysis;
mod bounded_least_squares;
mod calibre;
mod components;
mod contour;
mod curve;
mod distance;
mod edge_model;
mod eye;
mod field_cache;
mod field_of_view;
mod forest;
mod fractal;
mod geometry;
mod graph;
mod grid;
mod landmarks;
mod layer;
mod mask;
mod measure;
mod own;
mod reason;
mod resolve;
mod robust_line;
mod rules;
mod segment;
mod sets;
mod spline;
mod statistics;
mod thin;

pub use analysis::Analysis;
pub use calibre::{Calibre, Stroke};
pub use curve::Curve;
pub use edge_model::EdgeModel;
pub use eye::{Eye, InvalidEye};
pub use field_of_view::{Bounds, FieldOfView, Line};
pub use forest::Node;
pub use geometry::Point;
pub use grid::{Area, Field, Grid};
pub use landmarks::{Disc, Fovea, Landmarks, Laterality};
pub use layer::{Layer, Place};
pub use mask::Mask;
pub use measure::{
    AngleCircle, Bifurcation, BifurcationAngle, BifurcationRow, CreCircle, Crossing, Equivalent,
    Measurement, Profile, SegmentRow, SparsityMap, Zone, ZoneCircle,
};
pub use reason::Reason;
pub use rules::Rules;
pub use segment::Segment;
pub use sets::{
    Aggregate, Biomarker, Cre, FeatureSet, Kind, LayerName, Naming, Sector, Tortuosity,
    TortuosityMeasure, UnknownFeatureSet, Variable,
};
pub use spline::Spline;
