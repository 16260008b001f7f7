//! Where the fovea lies: `cargo run --release --example fovea`.

use vascx::convert::Model;
use vascx::inference::{Device, HeatmapEnsemble, Inputs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/fovea.pt")?;
    let ensemble = HeatmapEnsemble::load(&model, Device::Cpu)?;
    let inputs = Inputs::resolve(&["examples/images".into()], Default::default())?.photographs;
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    for (input, keypoints) in inputs.iter().zip(ensemble.predict(&paths)?) {
        let fovea = keypoints?.points[0];
        println!("{}: ({:.1}, {:.1})", input.id, fovea.x, fovea.y);
    }
    Ok(())
}
