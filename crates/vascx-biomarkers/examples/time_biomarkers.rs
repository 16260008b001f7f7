//! Measures a feature set on maps in the layout of retinalysis-vascx's `run-models` and prints how long it took:
//! `cargo run --release -p vascx-biomarkers --example time_biomarkers -- AV.png VESSELS.png
//! DISC.png FOVEA_X FOVEA_Y [SET]`.

use std::error::Error;
use std::time::Instant;

use vascx_biomarkers::{Analysis, Eye, FeatureSet, FieldOfView, Naming, Point};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [maps @ .., fovea_x, fovea_y] = &arguments[..arguments.len().min(5)] else {
        return Err("arguments: AV.png VESSELS.png DISC.png FOVEA_X FOVEA_Y [SET]".into());
    };
    let set: FeatureSet = arguments.get(5).map_or("full_v3", String::as_str).parse()?;
    let maps: Vec<image::GrayImage> = maps
        .iter()
        .map(|path| Ok(image::open(path)?.into_luma8()))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let [arteries_veins, vessels, disc] = &maps[..] else {
        return Err("three maps are needed".into());
    };
    let side = arteries_veins.width() as usize;
    let eye = Eye {
        side,
        arteries_veins: arteries_veins.as_raw(),
        vessels: Some(vessels.as_raw()),
        disc: Some(disc.as_raw()),
        rgb: None,
        fovea: Some(Point::new(fovea_y.parse()?, fovea_x.parse()?)),
        field_of_view: FieldOfView::circle(side),
        mm_per_pixel: None,
    };
    let mut seconds = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        let values = Analysis::new(&eye, set.rules())?.measure(set);
        seconds.push(start.elapsed().as_secs_f64());
        if seconds.len() == 1 {
            for (name, measured) in set.names(Naming::Resolved).iter().zip(values) {
                match measured.value {
                    Ok(value) => println!("{name}: {value}"),
                    Err(reason) => println!("{name}: {reason}"),
                }
            }
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{:.1} ms, median of {} runs",
        1000.0 * seconds[seconds.len() / 2],
        seconds.len()
    );
    Ok(())
}
