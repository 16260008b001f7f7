//! The main job: photographs in, files out.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::backend::Backend;
use image::ExtendedColorType;
use rayon::prelude::*;
use serde_json::json;
use vascx_convert::{ModelManifest, Task};

use crate::ensemble::{Answer, AnyEnsemble};
use crate::error::{Error, Result};
use crate::inputs::Input;
use crate::output::{write_csv, write_png, write_tensor, write_whole};
use crate::overlay::Overlay;
use crate::photograph::Photograph;

/// What to write where.
#[derive(Clone, Debug)]
pub struct Job {
    /// Photographs, with distinct ids.
    pub inputs: Vec<Input>,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// Whether to write class probabilities and heat maps as safetensors.
    pub save_probabilities: bool,
    /// Whether to draw answers on the photographs, `overlays/<id>.png`.
    pub overlay: bool,
}

/// What became of one photograph.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The photograph.
    pub input: &'a Input,
    /// The decoded photograph and its answer, or why there is none.
    pub result: std::result::Result<(&'a Photograph, &'a Answer), &'a Error>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Photographs with all their outputs written.
    pub succeeded: usize,
    /// Photographs without.
    pub failed: usize,
}

impl Job {
    /// Predicts all inputs in chunks and writes, into the output folder: per photograph
    /// `<id>.png` (class map) or a row of `predictions.csv`; `manifest.csv` with the status of each;
    /// `run.json` with model and settings. `each` sees every outcome in input order.
    ///
    /// A photograph that cannot be read is recorded as failed and the rest go on.
    ///
    /// # Errors
    /// When there are no inputs or the output folder cannot be written.
    pub fn run<B: Backend>(
        &self,
        ensemble: &AnyEnsemble<B>,
        device: &str,
        mut each: impl FnMut(Outcome),
    ) -> Result<Summary> {
        if self.inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        fs::create_dir_all(&self.out).map_err(|error| Error::output(&self.out, error))?;
        if self.overlay {
            let folder = self.out.join("overlays");
            fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
        }
        let mut tables = Tables::new(ensemble.manifest());
        for chunk in self.inputs.chunks(ensemble.batch_size()) {
            let started = Instant::now();
            let mut decoded: Vec<_> = chunk
                .par_iter()
                .map(|i| Photograph::open(&i.path))
                .collect();
            let mut errors: Vec<Option<Error>> = Vec::with_capacity(chunk.len());
            let mut photographs = Vec::with_capacity(chunk.len());
            for photograph in decoded.drain(..) {
                match photograph {
                    Ok(photograph) => {
                        photographs.push(photograph);
                        errors.push(None);
                    }
                    Err(error) => errors.push(Some(error)),
                }
            }
            let answers = if photographs.is_empty() {
                Vec::new()
            } else {
                ensemble.predict(&photographs)?
            };
            let seconds = started.elapsed().as_secs_f64() / chunk.len() as f64;
            let mut answered = photographs.iter().zip(&answers);
            for (input, error) in chunk.iter().zip(&errors) {
                let result = match error {
                    Some(error) => Err(error),
                    None => Ok(answered.next().expect("an answer per decoded photograph")),
                };
                if let Ok((photograph, answer)) = result {
                    self.write(input, photograph, answer)?;
                }
                let outcome = Outcome { input, result };
                tables.add(&outcome, seconds);
                each(outcome);
            }
        }
        self.finish(&tables, ensemble, device)?;
        Ok(tables.summary)
    }

    /// The files of one photograph.
    fn write(&self, input: &Input, photograph: &Photograph, answer: &Answer) -> Result<()> {
        let file = |extension: &str| self.out.join(format!("{}.{extension}", input.id));
        let (width, height) = photograph.rgb().dimensions();
        match answer {
            Answer::Segmentation(segmentation) => {
                let map = segmentation.class_map.as_raw();
                write_png(&file("png"), map, width, height, ExtendedColorType::L8)?;
                if self.save_probabilities {
                    let shape = [
                        segmentation.classes(),
                        photograph.height(),
                        photograph.width(),
                    ];
                    let values = segmentation.probabilities();
                    write_tensor(&file("safetensors"), "probabilities", &shape, &values)?;
                }
            }
            Answer::Keypoints(keypoints) if self.save_probabilities => {
                let count = keypoints.points.len();
                let side = (keypoints.heatmaps.len() / count).isqrt();
                let shape = [count, side, side];
                write_tensor(
                    &file("safetensors"),
                    "heatmaps",
                    &shape,
                    &keypoints.heatmaps,
                )?;
            }
            Answer::Keypoints(_) | Answer::Classification(_) | Answer::Regression(_) => {}
        }
        if self.overlay {
            let mut overlay = Overlay::new(photograph);
            overlay.draw(answer);
            overlay.save(&self.out.join("overlays").join(format!("{}.png", input.id)))?;
        }
        Ok(())
    }

    fn finish<B: Backend>(
        &self,
        tables: &Tables,
        ensemble: &AnyEnsemble<B>,
        device: &str,
    ) -> Result<()> {
        if let Some(header) = &tables.prediction_header {
            write_csv(
                &self.out.join("predictions.csv"),
                header,
                &tables.predictions,
            )?;
        }
        let run = json!({
            "vascx_version": env!("CARGO_PKG_VERSION"),
            "model": ensemble.manifest().source,
            "name": ensemble.manifest().name,
            "task": ensemble.manifest().task,
            "preprocess": ensemble.preprocess_mode().name(),
            "batch_size": ensemble.batch_size(),
            "device": device,
        });
        write_whole(&self.out.join("run.json"), |file| {
            serde_json::to_writer_pretty(file, &run)
        })?;
        let header = [
            "id", "path", "status", "error", "seconds", "width", "height",
        ]
        .map(str::to_owned);
        write_csv(&self.out.join("manifest.csv"), &header, &tables.manifest)
    }
}

/// The rows of `predictions.csv` and `manifest.csv`.
struct Tables {
    /// Absent for segmentation.
    prediction_header: Option<Vec<String>>,
    predictions: Vec<Vec<String>>,
    manifest: Vec<Vec<String>>,
    summary: Summary,
}

impl Tables {
    fn new(manifest: &ModelManifest) -> Self {
        Self {
            prediction_header: prediction_header(manifest),
            predictions: Vec::new(),
            manifest: Vec::new(),
            summary: Summary {
                succeeded: 0,
                failed: 0,
            },
        }
    }

    fn add(&mut self, outcome: &Outcome, seconds: f64) {
        let Input { id, path } = outcome.input;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let mut row = vec![id.clone(), path.to_string_lossy().into_owned()];
        match outcome.result {
            Ok((photograph, answer)) => {
                self.summary.succeeded += 1;
                row.extend(["ok".into(), String::new(), format!("{seconds:.3}")]);
                row.extend([
                    photograph.width().to_string(),
                    photograph.height().to_string(),
                ]);
                if self.prediction_header.is_some() {
                    let values = prediction_row(answer);
                    self.predictions
                        .push(std::iter::once(id.clone()).chain(values).collect());
                }
            }
            Err(error) => {
                self.summary.failed += 1;
                row.extend(["failed".into(), error.to_string()]);
                row.extend([String::new(), String::new(), String::new()]);
            }
        }
        self.manifest.push(row);
    }
}

/// `id` and the columns of a model's answers; none for segmentation.
fn prediction_header(manifest: &ModelManifest) -> Option<Vec<String>> {
    let names = &manifest.output_names;
    let count = manifest.architecture.outputs();
    let named = |prefix: &str| -> Vec<String> {
        if names.is_empty() {
            (0..count).map(|index| format!("{prefix}{index}")).collect()
        } else {
            names.clone()
        }
    };
    let columns = match manifest.task {
        Task::Segmentation => return None,
        Task::Classification => named("c"),
        Task::Regression => named("y"),
        Task::Heatmap if names.is_empty() => (0..count)
            .flat_map(|index| [format!("x{index}"), format!("y{index}")])
            .collect(),
        Task::Heatmap => names
            .iter()
            .flat_map(|name| [format!("x_{name}"), format!("y_{name}")])
            .collect(),
    };
    Some(std::iter::once("id".to_owned()).chain(columns).collect())
}

fn prediction_row(answer: &Answer) -> Vec<String> {
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect();
    match answer {
        Answer::Segmentation(_) => Vec::new(),
        Answer::Classification(classification) => numbers(&classification.probabilities),
        Answer::Regression(regression) => numbers(&regression.mean()),
        Answer::Keypoints(keypoints) => keypoints
            .points
            .iter()
            .flat_map(|point| [format!("{:.3}", point.x), format!("{:.3}", point.y)])
            .collect(),
    }
}
