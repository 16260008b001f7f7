//! `vascx inspect`: what is inside a checkpoint or model directory.

use vascx::convert::{Inspection, ModelManifest};

use super::{Done, Failure, Result};
use crate::arguments::InspectArguments;

pub(crate) fn run(arguments: &InspectArguments) -> Result {
    let inspection = Inspection::of(&arguments.path)?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&inspection)
            .map_err(|error| Failure::file(&arguments.path, error))?;
        println!("{json}");
        return Ok(Done::All);
    }
    println!("{}: {}", arguments.path.display(), inspection.kind);
    match &inspection.model {
        Ok(manifest) => print_manifest(manifest),
        Err(reason) => println!("\nCannot be converted: {reason}"),
    }
    if !inspection.candidates.is_empty() {
        println!("\nCandidates:");
    }
    for candidate in &inspection.candidates {
        let problems = match &candidate.problems[..] {
            [] => "nothing missing".to_owned(),
            problems => problems.join("; "),
        };
        println!(
            "  {}: {} of {} tensors fit; {problems}",
            candidate.name, candidate.fits, candidate.tensors
        );
    }
    if let Some(tree) = &inspection.module_tree {
        println!("\nModule tree:\n{tree}");
    }
    let values: usize = inspection
        .tensors
        .iter()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .sum();
    println!("\n{} tensors, {values} values:", inspection.tensors.len());
    for tensor in &inspection.tensors {
        println!("  {:5} {:?} {}", tensor.dtype, tensor.shape, tensor.name);
    }
    for note in &inspection.notes {
        println!("note: {note}");
    }
    Ok(Done::All)
}

fn print_manifest(manifest: &ModelManifest) {
    let preprocessing = &manifest.preprocessing;
    let names = match &manifest.output_names[..] {
        [] => "unnamed".to_owned(),
        names => names.join(", "),
    };
    let inference = &manifest.inference;
    println!(
        "  name           {}",
        manifest.name.as_deref().unwrap_or("(none)")
    );
    println!("  task           {}", manifest.task.name());
    println!("  members        {}", manifest.members);
    let architecture = serde_json::to_string(&manifest.architecture).unwrap_or_default();
    println!("  architecture   {architecture}");
    println!(
        "  outputs        {} ({names})",
        manifest.architecture.outputs()
    );
    println!(
        "  input          {} channels, {}² pixels",
        preprocessing.channels(),
        preprocessing.input_size()
    );
    if manifest.task.is_spatial() {
        println!(
            "  windows        {} × {}, overlap {}, {:?} blending",
            inference.window[0], inference.window[1], inference.overlap, inference.blend
        );
    }
    println!("  flips averaged {:?}", inference.tta_flips);
    println!("  batch size     {}", inference.batch_size);
    println!(
        "  source         {} (SHA-256 {})",
        manifest.source.file, manifest.source.sha256
    );
}
