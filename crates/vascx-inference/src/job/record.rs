//! What is known of one photograph of a job: a row of the manifest and of the predictions.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::ensemble::{Answer, Keypoints, Landmarks};
use crate::field_of_view::{FieldOfView, Method};
use crate::geometry::Size;
use crate::inputs::Input;
use crate::inputs::ids::percent_encoded;
use crate::output::cell;
use crate::preprocess::Bounds;
use crate::stamp::Stamp;

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
    /// Absolute; see [`written_path`].
    pub(super) path: String,
    pub(super) status: Status,
    /// As in [`super::Outcome::seconds`].
    pub(super) seconds: Option<f64>,
    pub(super) width: Option<usize>,
    pub(super) height: Option<usize>,
    /// How the field of view was found, where it was looked for.
    pub(super) field_of_view: Option<Method>,
    /// What the user should know although it worked.
    pub(super) warning: Option<String>,
    /// The file before it was read; none where there was none that could be.
    pub(super) photograph: Option<Stamp>,
    /// Its time of change, in nanoseconds since 1970.
    pub(super) modified: Option<u64>,
    /// The columns of `predictions.csv` after the id.
    pub(super) predictions: Vec<String>,
    /// The columns of `summary.csv` after the id, of a job that has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) summary: Vec<String>,
    /// Where the square or crop lies, of a job that writes it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bounds: Option<Bounds>,
    /// The files written.
    pub(super) outputs: Vec<Written>,
}

/// A file written for a photograph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Relative to the output folder.
    pub(super) file: String,
    pub(super) stamp: Stamp,
}

impl Record {
    /// Before the photograph is read.
    pub(super) fn begin(input: &Input) -> Self {
        let modified = input.path.metadata().and_then(|file| file.modified()).ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            id: input.id.clone(),
            path: written_path(&input.path),
            status: Status::Failed("not predicted".into()),
            seconds: None,
            width: None,
            height: None,
            field_of_view: None,
            warning: None,
            photograph: Stamp::at(&input.path),
            modified: modified.map(|time| time.as_nanos() as u64),
            predictions: Vec::new(),
            summary: Vec::new(),
            bounds: None,
            outputs: Vec::new(),
        }
    }

    /// When all outputs are made.
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

    /// The photograph has no outputs, for this reason.
    pub(super) fn fail(&mut self, reason: String) {
        self.status = Status::Failed(reason);
        self.predictions.clear();
        self.summary.clear();
        self.outputs.clear();
        self.bounds = None;
        self.warning = None;
        self.seconds = None;
    }

    /// Whether it is about the same photograph as a record made now: the same content, wherever it
    /// lies. At the same place it must be unchanged for the file system, too, for a sample of the
    /// content is not all of it.
    pub(super) fn is_of(&self, now: &Self) -> bool {
        self.photograph.is_some()
            && self.photograph == now.photograph
            && (self.path != now.path || self.modified == now.modified)
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
            cell(&self.id),
            cell(&self.path),
            status.into(),
            cell(error),
            self.seconds
                .map_or_else(String::new, |seconds| format!("{seconds:.3}")),
            number(self.width),
            number(self.height),
            self.field_of_view.map_or("", Method::name).into(),
            cell(self.warning.as_deref().unwrap_or_default()),
        ]
    }
}

/// An absolute path as text. One that is no UTF-8 is written as `file:` URI, in which any byte can be
/// written, and which no absolute path looks like.
pub(super) fn written_path(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => format!(
            "file://{}",
            percent_encoded(path.as_os_str().as_encoded_bytes())
        ),
    }
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
