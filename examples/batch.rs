//! A stream of any length in bounded memory, with timing: `cargo run --release --example batch`.

use std::path::PathBuf;
use std::time::Instant;

use vascx::convert::Model;
use vascx::inference::{BatchSize, Device, HeatmapEnsemble, Inputs, PredictOptions, Warnings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/fovea.pt")?;
    let ensemble = HeatmapEnsemble::load(&model, Device::Cpu)?;
    let inputs = Inputs::resolve(&["examples/images".into()], Default::default())?.photographs;
    // The same few photographs over and over stand for a cohort.
    let cohort: Vec<PathBuf> = inputs.into_iter().map(|input| input.path).collect();
    let cohort = cohort.into_iter().cycle().take(12);
    for batch_size in [1, 4] {
        let mut options = PredictOptions::default();
        options.batch_size = Some(BatchSize::Photographs(batch_size));
        options.warnings = Warnings::to(|warning| eprintln!("{warning}"));
        let started = Instant::now();
        let mut done = 0;
        // Photographs are decoded ahead while the device computes; answers come in input order.
        let inputs = cohort.clone().map(|path| (path.clone(), path));
        for (_path, keypoints) in ensemble.predict_iter(inputs, &options)? {
            keypoints?;
            done += 1;
        }
        let rate = f64::from(done) / started.elapsed().as_secs_f64();
        println!("batches of {batch_size}: {rate:.1} photographs per second");
    }
    Ok(())
}
