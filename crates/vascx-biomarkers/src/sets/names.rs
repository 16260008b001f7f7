//! Names of variables. A canonical name holds every part; a resolved one drops the parts that do
//! not vary among the set's variables of the same feature.

use std::str::FromStr;

use super::{Aggregate, Biomarker, FeatureSet, Kind, Sector, TortuosityMeasure};
use crate::grid::{Field, Grid};
use crate::own;

/// How variables are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Short: parts that never vary within the set are dropped.
    #[default]
    Resolved,
    /// Whole.
    Canonical,
}

impl Naming {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Canonical => "canonical",
        }
    }
}

impl FromStr for Naming {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = [Self::Resolved, Self::Canonical].into_iter();
        all.find(|naming| naming.name() == text)
            .ok_or("give resolved or canonical")
    }
}

/// What a column of the table is called and means.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Name of the column.
    pub name: String,
    /// Short name for people.
    pub display_name: String,
    /// What is measured and how, in a sentence or two.
    pub description: String,
    /// Unit, empty for a ratio or a count.
    pub unit: &'static str,
    /// Whether a picture of it belongs to the report: the first variable of each feature.
    pub pictured: bool,
}

/// A part of a name: what it says, and the text.
struct Part {
    key: &'static str,
    text: String,
}

impl FeatureSet {
    /// The set's columns in order.
    pub fn variables(self, naming: Naming) -> Vec<Variable> {
        if self == Self::VascxRs {
            return own::variables();
        }
        let biomarkers = self.biomarkers();
        let parts: Vec<_> = biomarkers.iter().map(name_parts).collect();
        let mut seen = Vec::new();
        biomarkers
            .iter()
            .zip(&parts)
            .map(|(biomarker, own)| {
                let kept: Vec<&Part> = own
                    .iter()
                    .filter(|part| naming == Naming::Canonical || varies(part, own, &parts))
                    .collect();
                let texts: Vec<&str> = kept.iter().map(|part| part.text.as_str()).collect();
                let feature = text_of("feature", own);
                let pictured = !seen.contains(&feature);
                seen.push(feature);
                Variable {
                    name: texts.join("_"),
                    display_name: display_name(biomarker, &kept),
                    description: super::describe::description(biomarker),
                    unit: super::describe::unit(biomarker),
                    pictured,
                }
            })
            .collect()
    }

    /// The names of the set's columns in order.
    pub fn names(self, naming: Naming) -> Vec<String> {
        self.variables(naming)
            .into_iter()
            .map(|variable| variable.name)
            .collect()
    }
}

/// Whether a part tells variables of the same feature apart; parameters of a grid are compared
/// among variables of that grid, and the grid itself always stays.
fn varies(part: &Part, own: &[Part], all: &[Vec<Part>]) -> bool {
    if part.key == "feature" || part.key == "grid" {
        return true;
    }
    let same = |other: &&Vec<Part>| {
        text_of("feature", other) == text_of("feature", own)
            && (!part.key.starts_with("grid ") || text_of("grid", other) == text_of("grid", own))
    };
    all.iter()
        .filter(same)
        .any(|other| text_of(part.key, other) != Some(&part.text))
}

fn text_of<'a>(key: &str, parts: &'a [Part]) -> Option<&'a str> {
    parts
        .iter()
        .find(|part| part.key == key)
        .map(|part| part.text.as_str())
}

#[allow(clippy::too_many_lines)] // A table: the parts of each kind, in order.
fn name_parts(biomarker: &Biomarker) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut push = |key, text: &str| {
        parts.push(Part {
            key,
            text: text.to_owned(),
        });
    };
    let mut place = biomarker.field;
    match biomarker.kind {
        Kind::TemporalAngle => {
            push("aggregate", "median");
            push("feature", "temporal_angle");
        }
        Kind::BifurcationAngle(aggregate) => {
            push("aggregate", aggregate_token(aggregate));
            push("feature", "bifangle");
        }
        Kind::BifurcationCount => push("feature", "bifurcation_count"),
        Kind::Calibre(aggregate) => {
            push("aggregate", aggregate_token(aggregate));
            push("feature", "diam");
        }
        Kind::Cre(cre) => {
            push("aggregate", &sector_name(cre.sector).to_lowercase());
            push("feature", "cre");
            let usual = match (cre.sector, cre.hemifield) {
                (_, Some(_)) => 2,
                (Sector::Full, None) => 6,
                _ => 4,
            };
            if cre.vessels != usual {
                push("vessels", &format!("max_vessels_{}", cre.vessels));
            }
            if cre.circles != (1.0, 1.5) {
                let (inner, outer) = cre.circles;
                push("inner circle", &format!("inner_circle_{inner}"));
                push("outer circle", &format!("outer_circle_{outer}"));
            }
            place = cre.hemifield.map(|half| (Grid::Hemifield, half));
        }
        Kind::Tortuosity(kind) => {
            push("aggregate", aggregate_token(kind.aggregate));
            push("feature", "tort");
            push("measure", measure_token(kind.measure));
            if kind.vessels {
                push("of", "vessels");
            }
            if kind.skeleton_length {
                push("length", "length_skl");
            }
            if let Some(length) = kind.pieces {
                push("pieces", &format!("max_segment_len_{}", number(length)));
            }
        }
        Kind::Density => push("feature", "vd"),
        Kind::DiscFoveaDistance { center } => {
            push("feature", "disc_fovea_distance");
            if center {
                push("to", "center");
            }
        }
        Kind::Sparsity { max, normalized } => {
            push("aggregate", if max { "max" } else { "mean" });
            push("feature", "sparsity");
            if !normalized {
                push("unit", "unnormalized");
            }
        }
        Kind::Laplacian => push("feature", "lapl"),
        Kind::Sharpness => push("feature", "sharpness"),
        Kind::Luminance => push("feature", "luminance"),
    }
    if let Some((grid, field)) = place {
        let mut push = |key, text: String| parts.push(Part { key, text });
        push("grid", grid.token().to_owned());
        let mut setting = |key, word, value, usual: Option<f64>| {
            if usual != Some(value) {
                push(key, format!("{word}_{}", number(value)));
            }
        };
        match grid {
            Grid::Hemifield | Grid::Ellipse => {}
            Grid::DiscRing {
                multiplier,
                band_crop,
                ..
            } => {
                setting("grid multiplier", "multiplier", multiplier, Some(1.0));
                setting("grid crop", "band_crop_fraction", band_crop, Some(0.0));
            }
            Grid::Etdrs { multiplier } => {
                setting("grid multiplier", "multiplier", multiplier, Some(1.0));
            }
            Grid::MaculaCircle {
                center,
                multiplier,
                band_crop,
            } => {
                setting("grid center", "center", center, Some(1.0));
                setting(
                    "grid multiplier",
                    "radius_multiplier",
                    multiplier,
                    Some(1.0),
                );
                setting("grid crop", "band_crop_fraction", band_crop, Some(0.0));
            }
            Grid::DiscOnly { radius } => {
                let share = grid.visible_share().unwrap_or_default();
                setting("grid radius", "radius_px", radius, None);
                setting("grid visible", "min_area_within_bounds", share, None);
            }
        }
        push("field", field.name().to_owned());
    }
    parts.push(Part {
        key: "layer",
        text: biomarker.layer.name().to_owned(),
    });
    parts
}

/// Twelve significant digits at most, with `p` for the point.
fn number(value: f64) -> String {
    let digits = format!("{value:.11e}");
    let rounded: f64 = digits.parse().unwrap_or(value);
    rounded.to_string().replace('.', "p")
}

fn aggregate_token(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Mean => "mn",
        Aggregate::Median => "md",
        Aggregate::Std => "std",
        Aggregate::LengthWeighted => "lw",
    }
}

fn measure_token(measure: TortuosityMeasure) -> &'static str {
    match measure {
        TortuosityMeasure::Distance => "dist",
        TortuosityMeasure::Curvature => "curv",
        TortuosityMeasure::Undefined(name) => name,
    }
}

/// The sector as it begins a display name.
pub(super) fn sector_name(sector: Sector) -> &'static str {
    match sector {
        Sector::Temporal => "Temporal",
        Sector::Nasal => "Nasal",
        Sector::Full => "Full",
    }
}

fn display_name(biomarker: &Biomarker, kept: &[&Part]) -> String {
    let keeps = |key: &str| kept.iter().any(|part| part.key == key);
    let aggregate = |aggregate: Aggregate| {
        let word = match aggregate {
            Aggregate::Mean => "Mean ",
            Aggregate::Median => "Median ",
            Aggregate::Std => "Std ",
            Aggregate::LengthWeighted => "Length-Weighted ",
        };
        if keeps("aggregate") { word } else { "" }
    };
    let mut place = biomarker.field;
    let title = match biomarker.kind {
        Kind::TemporalAngle => "Median Temporal Angle".to_owned(),
        Kind::BifurcationAngle(by) => format!("{}Bifurcation Angle", aggregate(by)),
        Kind::BifurcationCount => "Bifurcation Count".to_owned(),
        Kind::Calibre(by) => format!("{}Caliber", aggregate(by)),
        Kind::Cre(cre) => {
            place = cre.hemifield.map(|half| (Grid::Hemifield, half));
            format!("{} CRE", sector_name(cre.sector))
        }
        Kind::Tortuosity(kind) => {
            let measure = match kind.measure {
                TortuosityMeasure::Distance => "Distance",
                TortuosityMeasure::Curvature | TortuosityMeasure::Undefined("curvature") => {
                    "Curvature"
                }
                TortuosityMeasure::Undefined(_) => "Inflections",
            };
            format!("{}{measure} Tortuosity", aggregate(kind.aggregate))
        }
        Kind::Density => "Vessel Density".to_owned(),
        Kind::DiscFoveaDistance { center: true } => "Disc-Fovea Distance (Center)".to_owned(),
        Kind::DiscFoveaDistance { center: false } => "Disc-Fovea Distance".to_owned(),
        Kind::Sparsity { max, .. } => format!("{} Sparsity", if max { "Max" } else { "Mean" }),
        Kind::Laplacian => "Laplacian Variance".to_owned(),
        Kind::Sharpness => "Sharpness (ESF σ)".to_owned(),
        Kind::Luminance => "Luminance".to_owned(),
    };
    let mut name = title;
    if let Some((grid, field)) = place {
        name.push(' ');
        name.push_str(grid.title());
        if keeps("field") {
            name.push(' ');
            name.push_str(field_title(field));
        }
    }
    if keeps("layer") {
        name.push_str(match biomarker.layer {
            super::LayerName::Arteries => " - A",
            super::LayerName::Veins => " - V",
            super::LayerName::Vessels => " - VSL",
            super::LayerName::Retina => " - IM",
        });
    }
    let details: Vec<String> = kept.iter().filter_map(|part| detail(part)).collect();
    if !details.is_empty() {
        name = format!("{name} ({})", details.join("; "));
    }
    name
}

/// What stands in brackets after a display name.
fn detail(part: &Part) -> Option<String> {
    // Others are in the title; it says the grid's radius, too.
    let in_title = [
        "aggregate",
        "feature",
        "measure",
        "to",
        "grid",
        "grid radius",
        "field",
        "layer",
    ];
    if in_title.contains(&part.key) {
        return None;
    }
    Some(match part.text.rsplit_once('_') {
        Some((words, value)) => {
            let value = if value.starts_with(|first: char| first.is_ascii_digit()) {
                value.replace('p', ".")
            } else {
                value.to_owned()
            };
            format!("{}={value}", words.replace('_', " "))
        }
        None => part.text.clone(),
    })
}

fn field_title(field: Field) -> &'static str {
    match field {
        Field::Full => "Full",
        Field::Superior => "Superior",
        Field::Inferior => "Inferior",
        Field::Temporal => "Temporal",
        Field::Nasal => "Nasal",
        Field::Left => "Left",
        Field::Right => "Right",
    }
}
