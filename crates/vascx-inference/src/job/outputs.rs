//! The files of a job.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vascx_format::{ModelManifest, Task};

use super::folder::{Existing, Layout};
use super::tables::Tables;
use super::{Job, Summary};
use crate::ensemble::{Answer, Call, Maps, Overlaps, Segmentation, Settings};
use crate::error::Result;
use crate::output::{Durability, Unpublished, png, tensor, write_json};
use crate::overlay::Overlay;
use crate::photograph::Photograph;

/// The files of a job.
pub(super) fn layout(job: &Job, manifest: &ModelManifest) -> Layout {
    let mut per_photograph = Vec::new();
    if matches!(manifest.task, Task::Segmentation | Task::Overlaps) {
        per_photograph.push((String::new(), ".png"));
    }
    if job.options.keep_maps && manifest.task.is_spatial() {
        per_photograph.push((String::new(), ".safetensors"));
    }
    let mut folders = Vec::new();
    if job.overlay {
        folders.push("overlays");
        per_photograph.push(("overlays/".into(), ".png"));
    }
    let tables = Tables::of_model(manifest);
    Layout {
        folders,
        per_photograph,
        predictions: tables.numbers(),
        summary: tables.summary.len(),
        tables: tables.files(),
    }
}

/// Everything that decides the outputs of a photograph. Runs with equal
/// descriptions give the same outputs.
pub(super) fn run_description(job: &Job, call: &Call) -> Value {
    let mut run = model_description(call);
    run["vascx_version"] = env!("CARGO_PKG_VERSION").into();
    run["build"] = job.build.as_str().into();
    run["save_probabilities"] = job.options.keep_maps.into();
    run["overlay"] = job.overlay.into();
    run["tables"] = Tables::of_model(&call.runner.manifest).to_json();
    run
}

/// Everything about a model that decides its answers.
pub(super) fn model_description(Call { runner, run }: &Call) -> Value {
    let settings = &run.settings;
    let (manifest, inference) = (&runner.manifest, &settings.inference);
    let on_kernels = runner.devices == "cpu";
    json!({
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
        "device": runner.devices,
        "instruction_set": on_kernels.then(vascx_graph::instruction_set),
        "dtype": runner.precision().name(),
    })
}

fn sha256(bytes: &[u8]) -> String {
    vascx_format::hexadecimal(&Sha256::digest(bytes))
}

/// Makes the files of one photograph, in the order of [`layout`].
///
/// Answers are drawn on the photograph where there is one.
pub(super) fn make(
    job: &Job,
    id: &str,
    photograph: Option<&Photograph>,
    answer: &Answer,
    notice: Option<&str>,
) -> Result<Vec<Unpublished>> {
    let file = |extension: &str| job.out.join(format!("{id}.{extension}"));
    let mut files = Vec::new();
    match answer {
        Answer::Segmentation(Segmentation { class_map: map, .. })
        | Answer::Overlaps(Overlaps { bits: map, .. }) => {
            files.push(png(file("png"), map)?);
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
        files.push(png(path, overlay.image())?);
    }
    Ok(files)
}

/// What `run.json` says of a run beyond what decides its outputs, and what a run that computes nothing
/// leaves as an earlier one wrote it.
const RECORD: [&str; 3] = [
    "first_chunk_seconds",
    "seconds_per_photograph_after",
    "record",
];

/// `run.json`: the description and, on which outputs do not depend, what was left out, the batch sizes and, once that is
/// known, how the run went. A run that computes nothing leaves what an earlier one took.
pub(super) fn write_run(
    job: &Job,
    run: &Value,
    settings: &Settings,
    summary: Option<&Summary>,
) -> Result<()> {
    let mut run = run.clone();
    run["left_out"] = serde_json::to_value(&job.left_out).unwrap_or_default();
    run["batch_size"] = settings.batch_size.into();
    run["window_batch_size"] = settings.inference.window_batch_size.into();
    let resumes = job.existing == Existing::Resume;
    write_run_json(&job.out, job.durability, run, &["model"], resumes, summary)
}

/// Adds how a run went, or what an earlier one took, to `run.json` and writes it.
pub(super) fn write_run_json(
    out: &Path,
    durability: Durability,
    mut run: Value,
    models: &[&str],
    resumes: bool,
    summary: Option<&Summary>,
) -> Result<()> {
    let path = out.join("run.json");
    if let Some(summary) = summary.filter(|summary| summary.first_chunk.is_some()) {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        run[RECORD[0]] = seconds(summary.first_chunk).into();
        run[RECORD[1]] = seconds(summary.per_photograph).into();
        run[RECORD[2]] = record_of(summary, models);
    } else if (resumes || summary.is_some())
        && let Ok(text) = std::fs::read(&path)
        && let Ok(earlier) = serde_json::from_slice::<Value>(&text)
    {
        for key in RECORD {
            if let Some(known) = earlier.get(key) {
                run[key] = known.clone();
            }
        }
    }
    write_json(&path, durability, &run)
}

/// `run.json` of something else than a run.
pub(super) fn write_description(
    out: &Path,
    durability: Durability,
    run: &Value,
    record: &Value,
) -> Result<()> {
    let mut run = run.clone();
    run["record"] = record.clone();
    write_json(&out.join("run.json"), durability, &run)
}

/// How a run went: command line, machine, threads, counts, times.
fn record_of(summary: &Summary, models: &[&str]) -> Value {
    let arguments = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ended = now.map_or(0, |now| now.as_secs());
    json!({
        "command_line": arguments.collect::<Vec<_>>(),
        "host": host.trim(),
        "instruction_set": vascx_graph::instruction_set(),
        "threads": rayon::current_num_threads(),
        "ended_unix": ended,
        "done": summary.succeeded,
        "failed": summary.failed,
        "resumed": summary.resumed,
        "left": summary.left,
        "seconds": summary.stages.to_json(models),
    })
}
