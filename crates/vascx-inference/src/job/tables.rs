//! The tables of a job, made of its records; what they hold stands in the job's description, so that
//! they can be made of the journal alone.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vascx_format::{ModelManifest, Task};

use super::record::{Record, Status};
use crate::error::{Error, Result};
use crate::field_of_view::Method;
use crate::output::{Durability, cell, described_tensor, write_csv};
use crate::preprocess::Bounds;

const MANIFEST: &str = "manifest.csv";
const RUN: &str = "run.json";
const SUMMARY: &str = "summary.csv";
const BOUNDS: &str = "bounds.csv";
const EMBEDDINGS: &str = "embeddings.safetensors";

/// What tables a job has, besides `manifest.csv`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    /// Those of [`Record::predictions`], each of which takes as many as it has columns, in this order.
    pub(super) numbers: Vec<NumberTable>,
    /// Columns of `summary.csv`, those of [`Record::summary`]; no such table without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) summary: Vec<String>,
    /// Whether there is `bounds.csv`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) bounds: bool,
    /// Whether the numbers are also a tensor, `embeddings.safetensors`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) embeddings: bool,
}

/// A table of a row per photograph that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberTable {
    pub(super) file: String,
    /// What the column of ids is called.
    pub(super) id: String,
    /// All other columns.
    pub(super) columns: Vec<String>,
}

impl Tables {
    /// Of one model's predictions.
    pub(super) fn of_model(manifest: &ModelManifest) -> Self {
        let columns = prediction_columns(manifest).map(|columns| NumberTable {
            file: "predictions.csv".into(),
            id: "id".into(),
            columns,
        });
        Self {
            numbers: columns.into_iter().collect(),
            embeddings: manifest.task == Task::Embedding,
            ..Self::default()
        }
    }

    /// Numbers per photograph.
    pub(super) fn numbers(&self) -> usize {
        self.numbers.iter().map(|table| table.columns.len()).sum()
    }

    /// Whether a record holds all that a row needs.
    pub(super) fn fit(&self, record: &Record) -> bool {
        record.status != Status::Done
            || (record.predictions.len() == self.numbers()
                && record.summary.len() == self.summary.len())
    }

    /// Whether all names are plain names of CSV files; a journal may come from anywhere.
    pub(super) fn stay_in_their_folder(&self) -> bool {
        self.numbers.iter().all(|table| {
            let file = Path::new(&table.file);
            file.file_name() == Some(file.as_os_str())
                && file.extension().is_some_and(|extension| extension == "csv")
        })
    }

    /// All files.
    pub(super) fn files(&self) -> Vec<String> {
        let mut files = vec![RUN.to_owned(), MANIFEST.to_owned()];
        files.extend(self.numbers.iter().map(|table| table.file.clone()));
        for (is_there, file) in [
            (!self.summary.is_empty(), SUMMARY),
            (self.bounds, BOUNDS),
            (self.embeddings, EMBEDDINGS),
        ] {
            files.extend(is_there.then(|| file.to_owned()));
        }
        files
    }

    pub(super) fn to_json(&self) -> Value {
        json!(self)
    }

    /// Writes all of them, in the order of the records.
    pub(super) fn write(
        &self,
        out: &Path,
        durability: Durability,
        records: &[Record],
    ) -> Result<()> {
        let done = || {
            let records = records.iter();
            records.filter(|record| record.status == Status::Done)
        };
        let mut first = 0;
        for NumberTable { file, id, columns } in &self.numbers {
            let numbers = first..first + columns.len();
            first = numbers.end;
            let header: Vec<String> = std::iter::once(id).chain(columns).cloned().collect();
            // The reference's tables have ids as they are, by which it finds maps.
            let name = |record: &Record| {
                if id.is_empty() {
                    record.id.clone()
                } else {
                    cell(&record.id)
                }
            };
            let rows = done().map(|record| {
                std::iter::once(name(record))
                    .chain(record.predictions[numbers.clone()].iter().cloned())
                    .collect()
            });
            write_csv(&out.join(file), durability, &header, rows)?;
        }
        if !self.summary.is_empty() {
            let header: Vec<String> = std::iter::once("id".to_owned())
                .chain(self.summary.iter().cloned())
                .collect();
            let rows = done().map(|record| {
                std::iter::once(record.id.clone())
                    .chain(record.summary.iter().cloned())
                    .collect()
            });
            write_csv(&out.join(SUMMARY), durability, &header, rows)?;
        }
        if self.bounds {
            let header = ["id", "success", "bounds"].map(str::to_owned);
            let rows = records.iter().map(bounds_row);
            write_csv(&out.join(BOUNDS), durability, &header, rows)?;
        }
        if self.embeddings {
            write_embeddings(&out.join(EMBEDDINGS), durability, self.numbers(), done())?;
        }
        write_manifest(out, durability, records)
    }
}

/// A row of `bounds.csv`, as Python prints it.
fn bounds_row(record: &Record) -> Vec<String> {
    let field = record.bounds.as_ref().and_then(Bounds::field_of_view);
    let found = field.filter(|field| field.method() != Method::NotFound);
    let (success, bounds) = match found {
        Some(field) => ("True", field.to_python()),
        None => ("False", "{}".to_owned()),
    };
    vec![record.id.clone(), success.into(), bounds]
}

/// `manifest.csv`.
pub(super) fn write_manifest(out: &Path, durability: Durability, records: &[Record]) -> Result<()> {
    let header = Record::MANIFEST.map(str::to_owned);
    let rows = records.iter().map(Record::manifest_row);
    write_csv(&out.join(MANIFEST), durability, &header, rows)
}

/// `embeddings` `[N, D]` of the photographs that have one, whose ids are in the metadata, as a list
/// in JSON.
fn write_embeddings<'r>(
    path: &Path,
    durability: Durability,
    length: usize,
    done: impl Iterator<Item = &'r Record>,
) -> Result<()> {
    let done: Vec<_> = done.collect();
    let numbers = done.iter().flat_map(|record| &record.predictions);
    let values: std::result::Result<Vec<f32>, _> = numbers.map(|text| text.parse()).collect();
    let values = values.map_err(|error| Error::output(path, std::io::Error::other(error)))?;
    let ids: Vec<&str> = done.iter().map(|record| record.id.as_str()).collect();
    let shape = [done.len(), length];
    let metadata = HashMap::from([("ids".to_owned(), json!(ids).to_string())]);
    let file = described_tensor(
        path.to_owned(),
        "embeddings",
        &shape,
        &values,
        Some(metadata),
    )?;
    file.publish_alone(durability)
}

/// The columns of a model's answers; none for segmentation.
fn prediction_columns(manifest: &ModelManifest) -> Option<Vec<String>> {
    let names = &manifest.output_names;
    let count = manifest.answers();
    let named = |prefix: &str| -> Vec<String> {
        if names.is_empty() {
            (0..count).map(|index| format!("{prefix}{index}")).collect()
        } else {
            names.clone()
        }
    };
    Some(match manifest.task {
        Task::Segmentation | Task::Overlaps => return None,
        Task::Classification => named("c"),
        Task::Regression => named("y"),
        Task::Embedding => named("e"),
        Task::Heatmap | Task::Keypoints if names.is_empty() => (0..count)
            .flat_map(|index| [format!("x{index}"), format!("y{index}")])
            .collect(),
        Task::Heatmap | Task::Keypoints => names
            .iter()
            .flat_map(|name| [format!("x_{name}"), format!("y_{name}")])
            .collect(),
    })
}
