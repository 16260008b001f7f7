//! How good photographs are: `cargo run --release --example quality`.

use vascx::convert::Model;
use vascx::inference::{ClassificationEnsemble, Device, Inputs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/quality.pt")?;
    let ensemble = ClassificationEnsemble::load(&model, Device::Cpu)?;
    let inputs = Inputs::resolve(&["examples/images".into()], Default::default())?.photographs;
    let paths: Vec<_> = inputs.iter().map(|input| input.path.clone()).collect();
    for (input, quality) in inputs.iter().zip(ensemble.predict(&paths)?) {
        let probabilities = quality?.probabilities;
        let named = model.manifest().output_names.iter().zip(&probabilities);
        let shares: Vec<String> = named
            .map(|(name, share)| format!("{name} {share:.2}"))
            .collect();
        println!("{}: {}", input.id, shares.join(", "));
    }
    Ok(())
}
