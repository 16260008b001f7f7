//! A folder of maps to a table of biomarkers: `cargo run --example biomarkers -- MAPS REPORT`.

use std::error::Error;

use vascx::biomarkers::FeatureSet;
use vascx::inference::Cancel;
use vascx::pipeline::{BiomarkerJob, Existing};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(input), Some(report)) = (arguments.next(), arguments.next()) else {
        println!("usage: biomarkers MAPS REPORT");
        return Ok(());
    };
    let mut job = BiomarkerJob::new(input, report, FeatureSet::FullV3);
    job.existing = Existing::Resume;
    let summary = job.run(
        &Cancel::default(),
        |eyes| println!("{eyes} eyes"),
        |outcome| println!("{}: {}", outcome.id, outcome.failure.unwrap_or("measured")),
    )?;
    println!("{} measured, {} failed", summary.measured, summary.failed);
    Ok(())
}
