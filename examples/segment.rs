//! Segments arteries and veins of one photograph: `cargo run --release --example segment`.

use burn::backend::Flex;
use vascx::convert::Model;
use vascx::inference::{EnsembleOptions, Photograph, SegmentationEnsemble};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/artery_vein.pt")?;
    let options = EnsembleOptions::default();
    let ensemble = SegmentationEnsemble::<Flex>::load(&model, &Default::default(), options)?;
    let photographs = [Photograph::open(
        "examples/images/macula_centred_right.png",
    )?];
    for segmentation in ensemble.predict(&photographs)? {
        segmentation.class_map.save("classes.png")?;
    }
    Ok(())
}
