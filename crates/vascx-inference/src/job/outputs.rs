//! The files of a job.

use std::path::Path;
use std::time::Duration;

use burn::tensor::backend::Backend;
use image::ExtendedColorType;
use serde_json::{Value, json};
use vascx_convert::{ModelManifest, Task};

use super::Job;
use super::record::{Record, Status};
use crate::ensemble::{Answer, Pace, Runner, Settings};
use crate::error::Result;
use crate::geometry::Size;
use crate::output::{write_csv, write_png, write_tensor, write_whole};
use crate::overlay::Overlay;
use crate::photograph::Photograph;

/// Everything that decides the outputs of a photograph. Runs with equal
/// descriptions give the same outputs.
pub(super) fn run_description<B: Backend>(
    job: &Job,
    runner: &Runner<B>,
    settings: &Settings,
) -> Value {
    let (manifest, inference) = (&runner.manifest, &settings.inference);
    json!({
        "vascx_version": env!("CARGO_PKG_VERSION"),
        "model": manifest.source,
        "weights": runner.weights,
        "name": manifest.name,
        "task": manifest.task,
        "output_names": manifest.output_names,
        "preprocess": settings.mode.name(),
        "preprocessing": manifest.preprocessing,
        "window": inference.window,
        "overlap": inference.overlap,
        "blend": inference.blend,
        "tta_flips": inference.tta_flips,
        "save_probabilities": job.options.keep_maps,
        "overlay": job.overlay,
        "device": job.device,
        "dtype": runner.precision().name(),
    })
}

/// The files of one photograph.
///
/// Answers are drawn on the photograph where there is one.
pub(super) fn write(
    job: &Job,
    id: &str,
    size: Size,
    photograph: Option<&Photograph>,
    answer: &Answer,
) -> Result<()> {
    let file = |extension: &str| job.out.join(format!("{id}.{extension}"));
    let (width, height) = (size.width as u32, size.height as u32);
    match answer {
        Answer::Segmentation(segmentation) => {
            let map = segmentation.class_map.as_raw();
            write_png(&file("png"), map, width, height, ExtendedColorType::L8)?;
            if let Some(values) = segmentation.probabilities() {
                let shape = [segmentation.classes, size.height, size.width];
                write_tensor(&file("safetensors"), "probabilities", &shape, &values)?;
            }
        }
        Answer::Keypoints(keypoints) => {
            if let Some(maps) = &keypoints.heatmaps {
                write_tensor(&file("safetensors"), "heatmaps", &maps.shape, &maps.values)?;
            }
        }
        Answer::Classification(_) | Answer::Regression(_) => {}
    }
    if let Some(photograph) = photograph {
        let mut overlay = Overlay::new(photograph);
        overlay.draw(answer);
        overlay.save(&job.out.join("overlays").join(format!("{id}.png")))?;
    }
    Ok(())
}

/// `manifest.csv` and, except for segmentation, `predictions.csv`, from records in input order.
pub(super) fn write_tables(out: &Path, manifest: &ModelManifest, records: &[Record]) -> Result<()> {
    if let Some(header) = prediction_header(manifest) {
        let done = records
            .iter()
            .filter(|record| record.status == Status::Done);
        let rows = done.map(|record| {
            std::iter::once(record.id.clone())
                .chain(record.predictions.iter().cloned())
                .collect()
        });
        write_csv(&out.join("predictions.csv"), &header, rows)?;
    }
    write_manifest(out, records)
}

/// `manifest.csv`.
pub(super) fn write_manifest(out: &Path, records: &[Record]) -> Result<()> {
    let header = Record::MANIFEST.map(str::to_owned);
    write_csv(
        &out.join("manifest.csv"),
        &header,
        records.iter().map(Record::manifest_row),
    )
}

/// `run.json`: the description and, on which outputs do not depend, the batch sizes and how long
/// computing took, once that is known.
pub(super) fn write_run(
    out: &Path,
    run: &Value,
    settings: &Settings,
    pace: Option<&Pace>,
) -> Result<()> {
    let mut run = run.clone();
    if let Some(pace) = pace {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        run["first_chunk_seconds"] = seconds(pace.first_chunk).into();
        run["seconds_per_photograph_after"] = seconds(pace.per_input()).into();
    }
    run["batch_size"] = settings.batch_size.into();
    run["window_batch_size"] = settings.inference.window_batch_size.into();
    write_whole(&out.join("run.json"), |file| {
        serde_json::to_writer_pretty(file, &run)
    })
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
