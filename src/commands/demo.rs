//! `vascx demo`: the whole job with the bundled models on the bundled photographs.

use std::path::PathBuf;

use vascx::inference::{CohortJob, Existing, Inputs, OverlayOptions, OverlayStyle};
use vascx::models::Precision;
use vascx::pipeline::{ModelCache, ModelChoice, WholeJob};

use super::{BUILD, Failure, Result, run, warnings};
use crate::arguments::DemoArguments;
use crate::report::Reporter;
use crate::signals::interrupt;

pub(crate) fn run(arguments: &DemoArguments) -> Result {
    let root = find_bundle()?;
    let inputs = Inputs::resolve(&[root.join("examples/images")], Default::default())?;
    let mut job = CohortJob::new(inputs.photographs, &arguments.out);
    let style = OverlayOptions::default().with_style(OverlayStyle::Contours);
    job.overlay = Some(style);
    job.native = true;
    job.existing = if arguments.overwrite {
        Existing::Overwrite
    } else {
        Existing::Refuse
    };
    BUILD.clone_into(&mut job.build);
    job.warnings = warnings();
    let located = ModelChoice::default()
        .with_folder(root.join("weights/demo"))
        .locate(|_, _| ())?;
    let cache = ModelCache::of_user(BUILD);
    let loaded = located.load(arguments.device, Precision::F32, &cache)?;
    let reporter = Reporter::new(job.inputs.len(), arguments.quiet);
    reporter.models(&loaded);
    job.cancel = interrupt()?;
    let on_gpu = arguments.device.is_gpu();
    run::whole(&WholeJob::new(job), &loaded.models, &reporter, on_gpu)
}

/// The folder that holds `weights/demo` and `examples/images`: the current one, else the source
/// tree this binary was built from.
fn find_bundle() -> Result<PathBuf> {
    let missing = "the demonstration models are not here; run `vascx demo` in a clone of the \
                   repository, which holds weights/demo and examples/images";
    let mut roots = [".", env!("CARGO_MANIFEST_DIR")]
        .into_iter()
        .map(PathBuf::from);
    roots
        .find(|root| root.join("weights/demo").is_dir() && root.join("examples/images").is_dir())
        .ok_or_else(|| Failure::Other(missing.into()))
}
