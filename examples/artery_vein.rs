//! Arteries and veins of one photograph: `cargo run --release --example artery_vein`.

use vascx::convert::Model;
use vascx::inference::{Device, Photograph, SegmentationEnsemble};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open("weights/demo/artery_vein.pt")?;
    let ensemble = SegmentationEnsemble::load(&model, Device::Cpu)?;
    let photograph = Photograph::open("examples/images/macula_centred_right.png")?;
    for segmentation in ensemble.predict(&photograph)? {
        let class_map = segmentation?.class_map; // 0 background, 1 artery, 2 vein, 3 crossing
        for (class, name) in model.manifest().output_names.iter().enumerate() {
            let pixels = class_map
                .pixels()
                .filter(|pixel| usize::from(pixel.0[0]) == class)
                .count();
            println!("{name}: {pixels} pixels");
        }
        class_map.save(std::env::temp_dir().join("artery_vein.png"))?;
    }
    Ok(())
}
