//! The files of a job.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use image::ExtendedColorType;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vascx_convert::{ModelManifest, Task};

use super::Job;
use super::folder::{Existing, Layout};
use super::record::{Record, Status};
use crate::ensemble::{Answer, Maps, Overlaps, Pace, Runner, Segmentation, Settings};
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::output::{
    Durability, Unpublished, cell, described_tensor, png, tensor, write_csv, write_whole,
};
use crate::overlay::Overlay;
use crate::photograph::Photograph;

/// The files of a job.
pub(super) fn layout(job: &Job, manifest: &ModelManifest) -> Layout {
    let mut per_photograph = Vec::new();
    if matches!(manifest.task, Task::Segmentation | Task::Overlaps) {
        per_photograph.push(("", ".png"));
    }
    if job.options.keep_maps && manifest.task.is_spatial() {
        per_photograph.push(("", ".safetensors"));
    }
    let mut folders = Vec::new();
    if job.overlay {
        folders.push("overlays");
        per_photograph.push(("overlays/", ".png"));
    }
    let header = prediction_header(manifest);
    let mut tables = vec!["run.json", "manifest.csv"];
    if header.is_some() {
        tables.push("predictions.csv");
    }
    if manifest.task == Task::Embedding {
        tables.push("embeddings.safetensors");
    }
    Layout {
        folders,
        per_photograph,
        tables,
        predictions: header.map_or(0, |header| header.len() - 1),
    }
}

/// Everything that decides the outputs of a photograph. Runs with equal
/// descriptions give the same outputs.
pub(super) fn run_description(job: &Job, runner: &Runner, settings: &Settings) -> Value {
    let (manifest, inference) = (&runner.manifest, &settings.inference);
    let on_kernels = runner.devices == "cpu";
    json!({
        "vascx_version": env!("CARGO_PKG_VERSION"),
        "build": job.build,
        "model": manifest.source,
        "weights": runner.weights,
        "weights_sha256": runner.weights_sha256,
        "manifest_sha256": sha256(&serde_json::to_vec(manifest).unwrap_or_default()),
        "name": manifest.name,
        "notice": manifest.notice,
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
        "device": runner.devices,
        "instruction_set": on_kernels.then(vascx_models::instruction_set).flatten(),
        "dtype": runner.precision().name(),
    })
}

fn sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the files of one photograph, in the order of [`layout`].
///
/// Answers are drawn on the photograph where there is one.
pub(super) fn make(
    job: &Job,
    id: &str,
    size: Size,
    photograph: Option<&Photograph>,
    answer: &Answer,
    notice: Option<&str>,
) -> Result<Vec<Unpublished>> {
    let file = |extension: &str| job.out.join(format!("{id}.{extension}"));
    let (width, height) = (size.width as u32, size.height as u32);
    let mut files = Vec::new();
    match answer {
        Answer::Segmentation(Segmentation { class_map: map, .. })
        | Answer::Overlaps(Overlaps { bits: map, .. }) => {
            let color = ExtendedColorType::L8;
            files.push(png(file("png"), map.as_raw(), width, height, color)?);
            if let Some(Maps { shape, values }) = answer.probabilities() {
                let path = file("safetensors");
                files.push(tensor(path, "probabilities", &shape, &values)?);
            }
        }
        Answer::Keypoints(keypoints) => {
            if let Some(Maps { shape, values }) = &keypoints.heatmaps {
                files.push(tensor(file("safetensors"), "heatmaps", shape, values)?);
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
        if let Some(notice) = notice {
            overlay.caption(notice);
        }
        let path = job.out.join("overlays").join(format!("{id}.png"));
        let pixels = overlay.image().as_raw();
        files.push(png(path, pixels, width, height, ExtendedColorType::Rgb8)?);
    }
    Ok(files)
}

/// `manifest.csv` and, except for segmentation, `predictions.csv`, in the order of the records.
pub(super) fn write_tables(job: &Job, manifest: &ModelManifest, records: &[Record]) -> Result<()> {
    if let Some(header) = prediction_header(manifest) {
        let done = records
            .iter()
            .filter(|record| record.status == Status::Done);
        let rows = done.map(|record| {
            std::iter::once(cell(&record.id))
                .chain(record.predictions.iter().cloned())
                .collect()
        });
        write_csv(
            &job.out.join("predictions.csv"),
            job.durability,
            &header,
            rows,
        )?;
    }
    if manifest.task == Task::Embedding {
        let path = job.out.join("embeddings.safetensors");
        write_embeddings(&path, job.durability, manifest, records)?;
    }
    write_manifest(&job.out, job.durability, records)
}

/// `embeddings` `[N, D]` of the photographs that have one, whose ids are in the metadata, as a list
/// in JSON.
fn write_embeddings(
    path: &Path,
    durability: Durability,
    manifest: &ModelManifest,
    records: &[Record],
) -> Result<()> {
    let done = records.iter();
    let done: Vec<_> = done
        .filter(|record| record.status == Status::Done)
        .collect();
    let numbers = done.iter().flat_map(|record| &record.predictions);
    let values: std::result::Result<Vec<f32>, _> = numbers.map(|text| text.parse()).collect();
    let values = values.map_err(|error| Error::output(path, std::io::Error::other(error)))?;
    let ids: Vec<&str> = done.iter().map(|record| record.id.as_str()).collect();
    let shape = [done.len(), manifest.answers()];
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

/// `manifest.csv`.
pub(super) fn write_manifest(out: &Path, durability: Durability, records: &[Record]) -> Result<()> {
    let header = Record::MANIFEST.map(str::to_owned);
    write_csv(
        &out.join("manifest.csv"),
        durability,
        &header,
        records.iter().map(Record::manifest_row),
    )
}

/// Keys of `run.json` that say how long computing took.
const PACE: [&str; 2] = ["first_chunk_seconds", "seconds_per_photograph_after"];

/// `run.json`: the description and, on which outputs do not depend, what was left out, the batch sizes and how long
/// computing took, once that is known. A run that computes nothing leaves what an earlier one took.
pub(super) fn write_run(
    job: &Job,
    run: &Value,
    settings: &Settings,
    pace: Option<&Pace>,
) -> Result<()> {
    let path = job.out.join("run.json");
    let mut run = run.clone();
    if let Some(pace) = pace {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let times = [pace.first_chunk, pace.per_input()];
        for (key, time) in PACE.into_iter().zip(times) {
            run[key] = seconds(time).into();
        }
    } else if job.existing == Existing::Resume
        && let Ok(text) = std::fs::read(&path)
        && let Ok(earlier) = serde_json::from_slice::<Value>(&text)
    {
        for key in PACE {
            if let Some(seconds) = earlier.get(key) {
                run[key] = seconds.clone();
            }
        }
    }
    run["left_out"] = serde_json::to_value(&job.left_out).unwrap_or_default();
    run["batch_size"] = settings.batch_size.into();
    run["window_batch_size"] = settings.inference.window_batch_size.into();
    write_whole(&path, job.durability, |file| {
        Ok(serde_json::to_writer_pretty(file, &run)?)
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
