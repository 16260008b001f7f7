//! Area and centre of the optic disc: `cargo run --release --example disc`.

use vascx::convert::Model;
use vascx::inference::{BatchSize, Device, Inputs, PredictOptions, SegmentationEnsemble};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/disc.pt")?;
    let ensemble = SegmentationEnsemble::load(&model, Device::Cpu)?;
    let inputs = Inputs::resolve(&["examples/images".into()], Default::default())?.photographs;
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    let mut options = PredictOptions::default();
    options.batch_size = Some(BatchSize::Photographs(2));
    for (input, disc) in inputs.iter().zip(ensemble.predict_with(&paths, &options)?) {
        let map = disc?.class_map;
        let on_disc = map
            .enumerate_pixels()
            .filter(|(_, _, class)| class.0[0] == 1);
        let (area, x, y) =
            on_disc.fold((0_u64, 0_u64, 0_u64), |(area, sum_x, sum_y), (x, y, _)| {
                (area + 1, sum_x + u64::from(x), sum_y + u64::from(y))
            });
        match area {
            0 => println!("{}: no disc found", input.id),
            _ => println!(
                "{}: {area} pixels around ({}, {})",
                input.id,
                x / area,
                y / area
            ),
        }
    }
    Ok(())
}
