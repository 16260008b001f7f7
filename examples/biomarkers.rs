//! A folder of maps to a table of biomarkers: `cargo run --example biomarkers -- MAPS REPORT`.

use std::error::Error;

use vascx::biomarkers::{FeatureSet, Naming};
use vascx::inference::Cancel;
use vascx::pipeline::{BiomarkerJob, Existing, Extras, Scale};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(input), Some(report)) = (arguments.next(), arguments.next()) else {
        println!("usage: biomarkers MAPS REPORT");
        return Ok(());
    };
    let job = BiomarkerJob {
        input: input.into(),
        report: report.into(),
        set: FeatureSet::FullV3,
        naming: Naming::Resolved,
        threads: std::thread::available_parallelism()?.get(),
        sample: None,
        scale: Scale::Unknown,
        extras: Extras::default(),
        log: None,
        existing: Existing::Resume,
    };
    let summary = job.run(
        &Cancel::default(),
        |eyes| println!("{eyes} eyes"),
        |outcome| println!("{}: {}", outcome.id, outcome.failure.unwrap_or("measured")),
    )?;
    println!("{} measured, {} failed", summary.measured, summary.failed);
    Ok(())
}
