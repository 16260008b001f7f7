//! Numbers of a cohort, column by column.

use std::collections::HashMap;

use csv::StringRecord;
use serde::Serialize;

use super::statistics::Distribution;
use crate::table::Table;

/// What a column tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    Biomarker,
    Quality,
    /// Confidence and shape of the models' answers.
    Answer,
    /// The photograph as it was taken.
    Photograph,
}

/// A number for every photograph, NaN where there is none.
pub(super) struct Column {
    pub(super) name: String,
    /// As one would write it on an axis; the name where nothing better is known.
    pub(super) title: String,
    pub(super) description: String,
    pub(super) group: Group,
    pub(super) values: Vec<f32>,
    pub(super) distribution: Distribution,
}

/// Why values are undefined: texts, and who has which of them for which column.
#[derive(Default)]
pub(super) struct Reasons {
    pub(super) texts: Vec<String>,
    numbers: HashMap<String, u16>,
    /// Number of the text by (photograph, column).
    pub(super) by_value: HashMap<(u32, u16), u16>,
}

impl Reasons {
    pub(super) fn insert(&mut self, photograph: usize, column: usize, text: &str) {
        let number = if let Some(&number) = self.numbers.get(text) {
            number
        } else if let Ok(number) = u16::try_from(self.texts.len()) {
            self.texts.push(text.to_owned());
            self.numbers.insert(text.to_owned(), number);
            number
        } else {
            return; // 65 536 different reasons are no reasons any more.
        };
        self.by_value
            .insert((photograph as u32, column as u16), number);
    }
}

/// Adds the columns of a table that hold numbers, or nothing, only. Of biomarkers every column is added,
/// and what is no number there gets a reason.
pub(super) fn add(
    columns: &mut Vec<Column>,
    reasons: &mut Reasons,
    table: &Table,
    group: Group,
    photographs: &HashMap<String, usize>,
    wanted: impl Fn(&str) -> bool,
) {
    for (index, name) in table.header.iter().enumerate() {
        let taken = columns.iter().any(|column| column.name == *name);
        if index == table.id || name.is_empty() || taken || !wanted(name) {
            continue;
        }
        let mut values = vec![f32::NAN; photographs.len()];
        let mut odd = Vec::new();
        for (id, row) in table.rows() {
            let (photograph, cell) = (photographs[id], cell(row, index));
            match number(cell) {
                Some(value) => values[photograph] = value,
                None if cell.is_empty() || cell.eq_ignore_ascii_case("nan") => {}
                None => odd.push((photograph, cell)),
            }
        }
        let has_values = values.iter().any(|value| value.is_finite());
        if group != Group::Biomarker && (!odd.is_empty() || !has_values) {
            continue;
        }
        for (photograph, cell) in odd {
            reasons.insert(photograph, columns.len(), &format!("`{cell}` is no number"));
        }
        columns.push(Column {
            name: name.clone(),
            title: name.clone(),
            description: String::new(),
            group,
            distribution: Distribution::of(&values),
            values,
        });
    }
}

/// A cell without surrounding space; empty where the row is too short.
pub(super) fn cell(row: &StringRecord, index: usize) -> &str {
    row.get(index).unwrap_or_default().trim()
}

/// A finite number.
pub(super) fn number(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|value: &f32| value.is_finite())
}
