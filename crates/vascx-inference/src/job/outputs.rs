//! The files of a job.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use burn::tensor::backend::Backend;
use image::ExtendedColorType;
use serde_json::{Value, json};
use vascx_convert::{ModelManifest, Task};

use super::Job;
use super::record::{Record, Status};
use crate::ensemble::{Answer, Overlaps, Pace, Runner, Segmentation, Settings};
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::output::{write_csv, write_described_tensor, write_png, write_tensor, write_whole};
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
        "halo": inference.halo,
        "relative_sigma": inference.relative_sigma,
        "overlap": inference.overlap,
        "blend": inference.blend,
        "tta_flips": inference.tta_flips,
        "keypoints": settings.keypoints.name(),
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
        Answer::Segmentation(Segmentation {
            class_map: map,
            classes,
            ..
        })
        | Answer::Overlaps(Overlaps {
            bits: map, classes, ..
        }) => {
            let colour = ExtendedColorType::L8;
            write_png(&file("png"), map.as_raw(), width, height, colour)?;
            if let Some(values) = answer.probabilities() {
                let shape = [*classes, size.height, size.width];
                write_tensor(&file("safetensors"), "probabilities", &shape, &values)?;
            }
        }
        Answer::Keypoints(keypoints) => {
            if let Some(maps) = &keypoints.heatmaps {
                write_tensor(&file("safetensors"), "heatmaps", &maps.shape, &maps.values)?;
            }
        }
        Answer::Classification(_)
        | Answer::Regression(_)
        | Answer::Landmarks(_)
        | Answer::Embedding(_) => {}
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
    if manifest.task == Task::Embedding {
        write_embeddings(&out.join("embeddings.safetensors"), manifest, records)?;
    }
    write_manifest(out, records)
}

/// `embeddings` `[N, D]` of the photographs that have one, whose ids are in the metadata, as a list
/// in JSON.
fn write_embeddings(path: &Path, manifest: &ModelManifest, records: &[Record]) -> Result<()> {
    let done = records.iter();
    let done: Vec<_> = done
        .filter(|record| record.status == Status::Done)
        .collect();
    let numbers = done.iter().flat_map(|record| &record.predictions);
    let values: std::result::Result<Vec<f32>, _> = numbers.map(|text| text.parse()).collect();
    let values = values.map_err(|error| Error::output(path, error))?;
    let ids: Vec<&str> = done.iter().map(|record| record.id.as_str()).collect();
    let shape = [done.len(), manifest.answers()];
    let metadata = HashMap::from([("ids".to_owned(), json!(ids).to_string())]);
    write_described_tensor(path, "embeddings", &shape, &values, Some(metadata))
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
    let count = manifest.answers();
    let named = |prefix: &str| -> Vec<String> {
        if names.is_empty() {
            (0..count).map(|index| format!("{prefix}{index}")).collect()
        } else {
            names.clone()
        }
    };
    let columns = match manifest.task {
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
    };
    Some(std::iter::once("id".to_owned()).chain(columns).collect())
}
