//! Where the fovea lies: `cargo run --release --example fovea`.

use burn::backend::Flex;
use vascx::convert::Model;
use vascx::inference::{HeatmapEnsemble, Inputs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/fovea.pt")?;
    let ensemble = HeatmapEnsemble::<Flex>::load(&model, &Default::default())?;
    let inputs = Inputs::resolve(&["examples/images".into()], Default::default())?.photographs;
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    for (input, keypoints) in inputs.iter().zip(ensemble.predict(&paths)?) {
        let fovea = keypoints?.points[0];
        println!("{}: ({:.1}, {:.1})", input.id, fovea.x, fovea.y);
    }
    Ok(())
}
