//! `vascx demo`: the bundled models on the bundled photographs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vascx::convert::Model;
use vascx::inference::{Input, Inputs, Job, Outcome, Overlay, Photograph, PredictOptions, Summary};
use vascx::models::Precision;

use super::predict::Predict;
use super::{Failure, Result};
use crate::arguments::DemoArguments;
use crate::report::Reporter;

const MODELS: [&str; 4] = ["artery_vein", "disc", "fovea", "quality"];

pub(crate) fn run(arguments: &DemoArguments) -> Result {
    let root = find_bundle()?;
    let inputs = Inputs::resolve(&[root.join("examples/images")], false)?.photographs;
    let reporter = Reporter::new(MODELS.len() * inputs.len(), arguments.quiet);
    let mut total = Summary::default();
    let mut overlays: BTreeMap<String, Overlay> = BTreeMap::new();
    for name in MODELS {
        reporter.heading(name);
        let model = Model::open(root.join("weights/demo").join(format!("{name}.pt")))?;
        let job = Job {
            inputs: inputs.clone(),
            out: arguments.out.join(name),
            options: PredictOptions::default(),
            overlay: false,
            resume: false,
            device: arguments.device.to_string(),
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
        let work = Predict {
            model: &model,
            job: &job,
            precision: Precision::F32,
            reporter: &reporter,
            each,
        };
        let summary = arguments.device.run(work)??;
        total.succeeded += summary.succeeded;
        total.failed += summary.failed;
        total.left += summary.left;
    }
    save_overlays(&arguments.out.join("overlays"), overlays)?;
    reporter.finish(total, &arguments.out, false)?;
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

fn save_overlays(folder: &Path, overlays: BTreeMap<String, Overlay>) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    for (id, overlay) in overlays {
        overlay.save(&folder.join(format!("{id}.png")))?;
    }
    Ok(())
}
