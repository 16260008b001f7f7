//! What is to be said about each photograph, and which photographs come first.

use std::cmp::Reverse;

use serde::Serialize;

use super::cohort::{Cohort, Field, Photograph};
use super::columns::{Column, Group};

/// Kinds of findings. The number is the bit in the page's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Failed,
    Unreadable,
    Field,
    Implausible,
    Excluded,
    Missing,
    Undefined,
    Warning,
    Outlier,
}

/// How the page calls a kind of findings.
#[derive(Serialize)]
pub(super) struct Label {
    /// As typed in a search: `flag:field`.
    name: &'static str,
    title: &'static str,
    level: u8,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Failed,
        Self::Unreadable,
        Self::Field,
        Self::Implausible,
        Self::Excluded,
        Self::Missing,
        Self::Undefined,
        Self::Warning,
        Self::Outlier,
    ];

    /// 3: there is no result; 2: the results are doubtful; 1: to be looked at.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Failed | Self::Unreadable => 3,
            Self::Field | Self::Implausible => 2,
            _ => 1,
        }
    }

    pub(super) fn label(self) -> Label {
        let (name, title) = match self {
            Self::Failed => ("failed", "Failed"),
            Self::Unreadable => ("unreadable", "Picture unreadable"),
            Self::Field => ("field", "Field of view"),
            Self::Implausible => ("implausible", "Implausible"),
            Self::Excluded => ("left-out", "Left out"),
            Self::Missing => ("missing", "Incomplete"),
            Self::Undefined => ("undefined", "No biomarkers"),
            Self::Warning => ("warning", "Warning"),
            Self::Outlier => ("outlier", "Outlier"),
        };
        Label {
            name,
            title,
            level: self.level(),
        }
    }
}

/// A finding with what it rests on. The reasons of outliers are worded by the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Adds the findings that follow from a photograph beside all others.
pub(super) fn find(cohort: &mut Cohort) {
    let parts = Parts::all(&cohort.photographs);
    let biomarkers = cohort.columns.iter();
    let biomarkers = biomarkers.filter(|column| column.group == Group::Biomarker);
    let biomarkers: Vec<_> = biomarkers.collect();
    for (number, photograph) in cohort.photographs.iter_mut().enumerate() {
        if photograph.field == Field::NotFound {
            let text = "no field of view was found; the whole photograph was used instead";
            photograph.find(Kind::Field, text);
        }
        if photograph.level() == 3 {
            continue; // It is clear why the rest is not there.
        }
        let missing = Parts::of(photograph).missing(parts);
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let text = format!("without {missing}, which other photographs have");
            photograph.find(Kind::Missing, text);
        }
        let value = |column: &&Column| column.values[number];
        let values = || biomarkers.iter().map(|column| (column, value(column)));
        let mut findings = photograph.findings.iter();
        let is_said = findings.any(|finding| finding.kind == Kind::Undefined);
        if photograph.has_biomarkers && !is_said && values().all(|(_, value)| value.is_nan()) {
            let text = "not one biomarker is defined";
            photograph.find(Kind::Undefined, text);
        }
        let outliers = values().filter(|(column, value)| column.distribution.is_outlier(*value));
        let farthest = outliers
            .map(|(column, value)| column.distribution.deviation(value).abs())
            .fold(0.0, f64::max);
        if farthest > 0.0 {
            photograph.find(Kind::Outlier, "");
            photograph.deviation = farthest as f32;
        }
    }
}

/// Photographs in the order in which they should be looked at: the gravest findings first, then the
/// farthest outliers, then by id.
pub(super) fn order(cohort: &Cohort) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cohort.photographs.len()).collect();
    // The sort is stable, and the photographs are sorted by id.
    order.sort_by(|&a, &b| {
        let key = |number: usize| {
            let photograph = &cohort.photographs[number];
            (Reverse(photograph.level()), -photograph.deviation)
        };
        let ((level_a, deviation_a), (level_b, deviation_b)) = (key(a), key(b));
        let levels = level_a.cmp(&level_b);
        levels.then(deviation_a.total_cmp(&deviation_b))
    });
    order
}

/// Which results a photograph has.
#[derive(Clone, Copy, Default)]
struct Parts([bool; 7]);

impl Parts {
    const NAMES: [&str; 7] = [
        "a crop",
        "arteries and veins",
        "vessels",
        "a disc",
        "a fovea",
        "a quality",
        "biomarkers",
    ];

    fn of(photograph: &Photograph) -> Self {
        let [crop, artery_vein, vessels, disc] = photograph.pictures.all().map(|p| p.is_some());
        Self([
            crop,
            artery_vein,
            vessels,
            disc,
            photograph.fovea.is_some(),
            photograph.has_quality,
            photograph.has_biomarkers,
        ])
    }

    /// What any photograph has.
    fn all(photographs: &[Photograph]) -> Self {
        let either =
            |all: Self, one: Self| Self(std::array::from_fn(|part| all.0[part] || one.0[part]));
        photographs
            .iter()
            .map(Self::of)
            .fold(Self::default(), either)
    }

    /// Names of what `all` has and this has not.
    fn missing(self, all: Self) -> Vec<&'static str> {
        let missing = |&part: &usize| all.0[part] && !self.0[part];
        let missing = (0..7).filter(missing);
        missing.map(|part| Self::NAMES[part]).collect()
    }
}
