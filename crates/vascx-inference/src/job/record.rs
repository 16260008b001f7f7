//! What is known of one photograph of a job: a row of the manifest and of the predictions.

use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::ensemble::{Answer, Keypoints, Landmarks};
use crate::field_of_view::{FieldOfView, Method};
use crate::geometry::Size;
use crate::inputs::Input;

/// How a photograph ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All its outputs are written.
    Done,
    /// It has none, for this reason.
    Failed(String),
}

/// One photograph of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) id: String,
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) status: Status,
    pub(super) seconds: Option<f64>,
    pub(super) width: Option<usize>,
    pub(super) height: Option<usize>,
    /// How the field of view was found, where it was looked for.
    pub(super) field_of_view: Option<Method>,
    /// What the user should know although it worked.
    #[serde(default)]
    pub(super) warning: Option<String>,
    /// The file's length and time of change (nanoseconds since 1970) when it was read: whether it
    /// is still the same.
    pub(super) bytes: Option<u64>,
    pub(super) modified: Option<u64>,
    /// The columns of `predictions.csv` after the id.
    pub(super) predictions: Vec<String>,
}

impl Record {
    /// Before the photograph is read.
    pub(super) fn begin(input: &Input) -> Self {
        let (bytes, modified) = file_state(input);
        Self {
            id: input.id.clone(),
            path: std::path::absolute(&input.path).unwrap_or_else(|_| input.path.clone()),
            status: Status::Failed("not predicted".into()),
            seconds: None,
            width: None,
            height: None,
            field_of_view: None,
            warning: None,
            bytes,
            modified,
            predictions: Vec::new(),
        }
    }

    /// After all outputs are written.
    pub(super) fn complete(
        &mut self,
        photograph: Size,
        field: Option<&FieldOfView>,
        note: Option<String>,
    ) {
        self.status = Status::Done;
        (self.width, self.height) = (Some(photograph.width), Some(photograph.height));
        self.field_of_view = field.map(FieldOfView::method);
        let not_found = (self.field_of_view == Some(Method::NotFound)).then(|| {
            "no field of view found; the whole photograph was used, look at the result".to_owned()
        });
        let warnings: Vec<String> = note.into_iter().chain(not_found).collect();
        self.warning = (!warnings.is_empty()).then(|| warnings.join("; "));
    }

    /// Whether it was done and the file is unchanged since.
    pub(super) fn is_still_valid(&self, input: &Input) -> bool {
        let now = Self::begin(input);
        self.status == Status::Done
            && self.path == now.path
            && self.bytes.is_some()
            && (self.bytes, self.modified) == (now.bytes, now.modified)
    }

    /// The columns of `manifest.csv`.
    pub(super) const MANIFEST: [&str; 9] = [
        "id",
        "path",
        "status",
        "error",
        "seconds",
        "width",
        "height",
        "field_of_view",
        "warning",
    ];

    pub(super) fn manifest_row(&self) -> Vec<String> {
        let number = |value: Option<usize>| value.map_or_else(String::new, |v| v.to_string());
        let (status, error) = match &self.status {
            Status::Done => ("ok", ""),
            Status::Failed(reason) => ("failed", reason.as_str()),
        };
        vec![
            self.id.clone(),
            self.path.to_string_lossy().into_owned(),
            status.into(),
            error.into(),
            self.seconds
                .map_or_else(String::new, |seconds| format!("{seconds:.3}")),
            number(self.width),
            number(self.height),
            self.field_of_view.map_or("", Method::name).into(),
            self.warning.clone().unwrap_or_default(),
        ]
    }
}

fn file_state(input: &Input) -> (Option<u64>, Option<u64>) {
    let Ok(metadata) = fs::metadata(&input.path) else {
        return (None, None);
    };
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (
        Some(metadata.len()),
        modified.map(|time| time.as_nanos() as u64),
    )
}

/// The columns of `predictions.csv` after the id; none for maps.
pub(super) fn prediction_columns(answer: &Answer) -> Vec<String> {
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect();
    match answer {
        Answer::Segmentation(_) | Answer::Overlaps(_) => Vec::new(),
        Answer::Classification(classification) => numbers(&classification.probabilities),
        Answer::Regression(regression) => numbers(&regression.mean()),
        Answer::Embedding(embedding) => numbers(&embedding.vector),
        Answer::Keypoints(Keypoints { points, .. })
        | Answer::Landmarks(Landmarks { points, .. }) => points
            .iter()
            .flat_map(|point| [format!("{:.3}", point.x), format!("{:.3}", point.y)])
            .collect(),
    }
}
