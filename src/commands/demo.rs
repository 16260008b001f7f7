//! `vascx demo`: the bundled models on the bundled photographs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vascx::convert::Model;
use vascx::inference::{
    AnyEnsemble, Existing, Input, Inputs, Job, Outcome, Overlay, Photograph, PredictOptions,
    Summary, check_outputs,
};

use super::{BUILD, Failure, Result, warnings};
use crate::arguments::DemoArguments;
use crate::report::Reporter;
use crate::signals::interrupt;

const MODELS: [&str; 4] = ["artery_vein", "disc", "fovea", "quality"];

pub(crate) fn run(arguments: &DemoArguments) -> Result {
    let root = find_bundle()?;
    let inputs = Inputs::resolve(&[root.join("examples/images")], Default::default())?.photographs;
    let drawings = drawings(&inputs, &arguments.out.join("overlays"));
    let photographs = inputs.iter().map(|input| input.path.as_path());
    check_outputs(photographs, drawings.values().map(PathBuf::as_path))?;
    // They are ours where the jobs' results are, which the jobs see to.
    let first = arguments.out.join(MODELS[0]).join("journal.jsonl");
    if let Some(other) = drawings.values().find(|drawing| drawing.exists())
        && !arguments.overwrite
        && !first.exists()
    {
        return Err(vascx::inference::Error::Occupied(other.clone()).into());
    }
    let reporter = Reporter::new(MODELS.len() * inputs.len(), arguments.quiet);
    let mut total = Summary::default();
    let mut overlays: BTreeMap<String, Overlay> = BTreeMap::new();
    let mut notice: Option<String> = None;
    for name in MODELS {
        reporter.heading(name);
        let model = Model::open(root.join("weights/demo").join(format!("{name}.pt")))?;
        if notice.is_none() {
            notice.clone_from(&model.manifest().notice);
            if let Some(notice) = &notice {
                reporter.note(notice);
            }
        }
        let mut options = PredictOptions::default();
        options.warnings = warnings();
        let mut job = Job {
            inputs: inputs.clone(),
            out: arguments.out.join(name),
            options,
            existing: if arguments.overwrite {
                Existing::Overwrite
            } else {
                Existing::Refuse
            },
            build: BUILD.to_owned(),
            ..Job::default()
        };
        let each = |outcome: Outcome| {
            let Input { id, path } = outcome.input;
            if let (Some(answer), Ok(photograph)) = (outcome.answer, Photograph::open(path)) {
                let overlay = overlays.entry(id.clone());
                overlay
                    .or_insert_with(|| Overlay::new(&photograph))
                    .draw(answer);
            }
            reporter.outcome(&outcome);
        };
        let ensemble = AnyEnsemble::load(&model, arguments.device)?;
        job.options.cancel = interrupt()?;
        let summary = job.run(&ensemble, each)?;
        total.succeeded += summary.succeeded;
        total.failed += summary.failed;
        total.left += summary.left;
    }
    if let Some(notice) = &notice {
        for overlay in overlays.values_mut() {
            overlay.caption(notice);
        }
    }
    save_overlays(overlays, &drawings)?;
    reporter.finish(total, &arguments.out, false);
    Ok(total.into())
}

/// The folder that holds `weights/demo` and `examples/images`: the current one, else the source
/// tree this binary was built from.
fn find_bundle() -> Result<PathBuf> {
    [
        PathBuf::from("."),
        PathBuf::from(env!("CARGO_MANIFEST_DIR")),
    ]
    .into_iter()
    .find(|root| root.join("weights/demo").is_dir() && root.join("examples/images").is_dir())
    .ok_or_else(|| {
        Failure::Other(
            "the demonstration models are not here; run `vascx demo` in a clone of the \
                 repository, which holds weights/demo and examples/images"
                .into(),
        )
    })
}

/// Where the photographs with all that was found on them go, by id.
fn drawings(inputs: &[Input], folder: &Path) -> BTreeMap<String, PathBuf> {
    let drawing = |input: &Input| {
        let path = folder.join(format!("{}.png", input.id));
        (input.id.clone(), path)
    };
    inputs.iter().map(drawing).collect()
}

fn save_overlays(
    overlays: BTreeMap<String, Overlay>,
    drawings: &BTreeMap<String, PathBuf>,
) -> Result<()> {
    for (id, overlay) in overlays {
        let path = &drawings[&id];
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        overlay.save(path)?;
    }
    Ok(())
}
