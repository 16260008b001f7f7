//! What the reference's biomarkers mean, in words.

use super::{Aggregate, Biomarker, Cre, Kind, LayerName, Sector, Tortuosity, TortuosityMeasure};
use crate::grid::{Field, Grid};

/// A sentence or two on what is measured, of what, and where.
pub(super) fn description(biomarker: &Biomarker) -> String {
    let layer = match biomarker.layer {
        LayerName::Arteries => "arteries",
        LayerName::Veins => "veins",
        LayerName::Vessels => "all vessels",
        LayerName::Retina => "the retina",
    };
    let place = biomarker
        .field
        .map_or_else(String::new, |(grid, field)| place(grid, field));
    match biomarker.kind {
        Kind::TemporalAngle => format!(
            "Angle at the optic disc between the upper and the lower main temporal {layer}, in \
             degrees; median over five circles at 0.67 to 0.79 of the disc-fovea distance."
        ),
        Kind::BifurcationAngle(by) => format!(
            "{} angle between the two branches of bifurcations of {layer}, in degrees, measured \
             20 px after the bifurcation; angles above 135 are left out{place}.",
            word(by)
        ),
        Kind::BifurcationCount => format!("Number of bifurcations of {layer}{place}."),
        Kind::Calibre(by) => format!(
            "{} diameter of the segments of {layer} that are longer than 10 points, in pixels of \
             the 1024 px crop{place}.",
            word(by)
        ),
        Kind::Cre(Cre {
            sector,
            hemifield,
            vessels,
            ..
        }) => {
            let part = match sector {
                Sector::Temporal => "temporal side of the disc",
                Sector::Nasal => "nasal side of the disc",
                Sector::Full => "whole surroundings of the disc",
            };
            let half = match hemifield {
                Some(Field::Superior) => ", upper half",
                Some(_) => ", lower half",
                None => "",
            };
            format!(
                "Central retinal equivalent of the {vessels} widest {layer} at the {part}{half}, \
                 by Knudtson's formula, in pixels of the 1024 px crop; median over five circles."
            )
        }
        Kind::Tortuosity(kind) => tortuosity(kind, layer, &place),
        Kind::Density => {
            format!("Share of the visible area that {layer} cover, 0 to 1{place}.")
        }
        Kind::DiscFoveaDistance { center: true } => {
            "Distance from the centre of the optic disc to the fovea, in pixels of the 1024 px \
             crop."
                .to_owned()
        }
        Kind::DiscFoveaDistance { center: false } => {
            "Distance from the edge of the optic disc to the fovea, in pixels of the 1024 px crop."
                .to_owned()
        }
        Kind::Sparsity { max, normalized } => {
            let unit = if normalized {
                "disc-fovea distances"
            } else {
                "pixels"
            };
            if max {
                format!(
                    "Largest distance to the nearest vessel over the areas between vessels, in \
                     {unit}{place}."
                )
            } else {
                format!("Mean distance to the nearest vessel, in {unit}{place}.")
            }
        }
        Kind::Laplacian => {
            format!("Variance of the Laplacian of the grey photograph{place}; higher is sharper.")
        }
        Kind::Sharpness => format!(
            "Width of the vessels' edges in the green channel, as the standard deviation of a \
             blurred edge in pixels{place}; lower is sharper."
        ),
        Kind::Luminance => {
            "Mean brightness of the photograph over the visible retina, 0 to 255.".to_owned()
        }
    }
}

fn tortuosity(kind: Tortuosity, layer: &str, place: &str) -> String {
    let of = if kind.vessels {
        "vessels from their root to their end"
    } else {
        "segments"
    };
    let length = if kind.skeleton_length {
        "skeleton"
    } else {
        "smoothing spline"
    };
    let cut = kind.pieces.map_or_else(String::new, |length| {
        format!(", cut into pieces of at most {length} disc-fovea distances")
    });
    let word = word(kind.aggregate);
    match kind.measure {
        TortuosityMeasure::Distance => format!(
            "{word} distance tortuosity of the {of} of {layer}{cut}: length of the {length} over the \
             chord, at least 1{place}."
        ),
        TortuosityMeasure::Curvature => format!(
            "{word} mean curvature of the {of} of {layer} times the disc-fovea distance{place}."
        ),
        TortuosityMeasure::Undefined(name) => format!(
            "Tortuosity of {layer} by {name}. The reference never fills this column, nor does \
             this program."
        ),
    }
}

/// Unit of the value; empty for ratios and counts.
pub(super) fn unit(biomarker: &Biomarker) -> &'static str {
    match biomarker.kind {
        Kind::TemporalAngle | Kind::BifurcationAngle(_) => "deg",
        Kind::Calibre(_)
        | Kind::Cre(_)
        | Kind::DiscFoveaDistance { .. }
        | Kind::Sparsity {
            normalized: false, ..
        }
        | Kind::Sharpness => "px",
        Kind::BifurcationCount
        | Kind::Tortuosity(_)
        | Kind::Density
        | Kind::Sparsity { .. }
        | Kind::Laplacian
        | Kind::Luminance => "",
    }
}

fn word(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Mean => "Mean",
        Aggregate::Median => "Median",
        Aggregate::Std => "Standard deviation of the",
        Aggregate::LengthWeighted => "Length-weighted mean",
    }
}

fn place(grid: Grid, field: Field) -> String {
    let part = match field {
        Field::Full => "",
        Field::Superior => "upper part of the ",
        Field::Inferior => "lower part of the ",
        Field::Temporal => "temporal part of the ",
        Field::Nasal => "nasal part of the ",
        Field::Left => "left part of the ",
        Field::Right => "right part of the ",
    };
    let whole = match grid {
        Grid::Hemifield => "visible retina".to_owned(),
        Grid::Ellipse => "ellipse around disc and fovea".to_owned(),
        Grid::DiscRing { multiplier, .. } => {
            format!(
                "ring of {:.3} disc-fovea distances around the disc",
                0.6 * multiplier
            )
        }
        Grid::Etdrs { multiplier } => {
            format!("circle of {} mm around the fovea", 3.0 * multiplier)
        }
        Grid::MaculaCircle { .. } => "circle around the macula".to_owned(),
        Grid::DiscOnly { radius } => format!("circle of {radius} px around the disc"),
    };
    format!(", in the {part}{whole}")
}
