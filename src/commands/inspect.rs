//! `vascx inspect`: what is inside a checkpoint or model directory.

use vascx::convert::{ConvertOptions, Inspection};
use vascx::format::{ModelManifest, Normalisation, Preprocessing, Transform};
use vascx::models::Architecture;

use super::pull::locate;
use super::{Done, Failure, Result, print};
use crate::arguments::InspectArguments;

pub(crate) fn run(arguments: &InspectArguments) -> Result {
    let options = ConvertOptions {
        key: arguments.key.clone(),
        ..ConvertOptions::default()
    };
    let inspection = Inspection::with(locate(&arguments.path)?, &options)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&inspection)
            .map_err(|error| Failure::file(&arguments.path, error))?;
        print(format_args!("{json}"))?;
        return Ok(Done::All);
    }
    let path = arguments.path.display();
    print(format_args!("{path}: {}", inspection.kind))?;
    match &inspection.model {
        Ok(manifest) => print_manifest(manifest)?,
        Err(reason) => print(format_args!("\nCannot be converted: {reason}"))?,
    }
    if !inspection.candidates.is_empty() {
        print(format_args!("\nCandidates:"))?;
    }
    for candidate in &inspection.candidates {
        let problems = match &candidate.problems[..] {
            [] => "nothing missing".to_owned(),
            problems => problems.join("; "),
        };
        print(format_args!(
            "  {}: {} of {} tensors fit; {problems}",
            candidate.name, candidate.fits, candidate.tensors
        ))?;
    }
    let tensors = inspection.tensors.iter();
    let values: usize = tensors
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .sum();
    let count = inspection.tensors.len();
    if arguments.tensors {
        if let Some(tree) = &inspection.module_tree {
            print(format_args!("\nModule tree:\n{tree}"))?;
        }
        print(format_args!("\n{count} tensors, {values} values:"))?;
        for tensor in &inspection.tensors {
            print(format_args!(
                "  {:5} {:?} {}",
                tensor.dtype, tensor.shape, tensor.name
            ))?;
        }
    } else {
        print(format_args!(
            "  tensors        {count} of {values} values (--tensors lists them)"
        ))?;
    }
    for note in &inspection.notes {
        print(format_args!("note: {note}"))?;
    }
    Ok(Done::All)
}

fn print_manifest(manifest: &ModelManifest) -> Result<()> {
    let preprocessing = &manifest.preprocessing;
    let names = match &manifest.output_names[..] {
        [] => "unnamed".to_owned(),
        names => names.join(", "),
    };
    let inference = &manifest.inference;
    print(format_args!(
        "  name           {}",
        manifest.name.as_deref().unwrap_or("(none)")
    ))?;
    print(format_args!("  task           {}", manifest.task.name()))?;
    print(format_args!("  members        {}", manifest.members))?;
    let architecture = match &manifest.architecture {
        Architecture::Graph(members) => {
            let operations = members.iter().map(|graph| graph.nodes.len()).max();
            format!("graph of {} operations", operations.unwrap_or(0))
        }
        typed => serde_json::to_string(typed).unwrap_or_default(),
    };
    print(format_args!("  architecture   {architecture}"))?;
    print(format_args!(
        "  outputs        {} ({names})",
        manifest.answers()
    ))?;
    print(format_args!(
        "  input          {} channels, {}² pixels",
        manifest.architecture.in_channels(),
        preprocessing.input_size()
    ))?;
    print_preprocessing(preprocessing)?;
    if manifest.task.is_spatial() {
        print(format_args!(
            "  windows        {} × {}, overlap {}, {:?} blending",
            inference.window[0], inference.window[1], inference.overlap, inference.blend
        ))?;
        if inference.halo > 0 {
            print(format_args!("  halo           {}", inference.halo))?;
        }
    }
    let flips = match &inference.tta_flips[..] {
        [] => "none".to_owned(),
        flips => format!("{flips:?}"),
    };
    print(format_args!("  flips averaged {flips}"))?;
    print(format_args!("  batch size     {}", inference.batch_size))?;
    print(format_args!(
        "  source         {} (SHA-256 {})",
        manifest.source.file, manifest.source.sha256
    ))?;
    match &manifest.notice {
        Some(notice) => print(format_args!("  notice         {notice}")),
        None => Ok(()),
    }
}

/// What a photograph goes through.
fn print_preprocessing(preprocessing: &Preprocessing) -> Result<()> {
    let square = preprocessing.square_size;
    let mut steps = match preprocessing.transform {
        Transform::Fundus => format!("field of view cropped to {square}²"),
        Transform::Basic { .. } => format!("fitted into {square}²"),
    };
    if preprocessing.contrast_enhance {
        steps += ", with its local contrast";
    }
    if let Some(side) = preprocessing.resize {
        steps = format!("{steps}, resized to {side}²");
    }
    print(format_args!("  preprocessing  {steps}"))?;
    let Normalisation { divisor, mean, std } = preprocessing.normalisation;
    print(format_args!(
        "  normalisation  (level / {divisor} - {mean:?}) / {std:?}"
    ))
}
