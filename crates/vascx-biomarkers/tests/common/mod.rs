//! The three public photographs beside the checkout.

use std::path::{Path, PathBuf};

use vascx_biomarkers::{Bounds, Eye, FieldOfView, Point};

pub(crate) const NAMES: [&str; 3] = ["CHASEDB1_08L", "DRIVE_22", "HRF_04_g"];

/// The folder of the photographs, if it is there.
pub(crate) fn fundus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fundus");
    if folder.exists() {
        return Some(folder);
    }
    eprintln!("skipped: no {}", folder.display());
    None
}

/// Maps and landmarks of a photograph.
pub(crate) struct Photograph {
    arteries_veins: Vec<u8>,
    vessels: Vec<u8>,
    disc: Vec<u8>,
    rgb: Vec<u8>,
    fovea: Point,
    field_of_view: FieldOfView,
}

pub(crate) fn grey(path: &Path) -> Vec<u8> {
    image::open(path).unwrap().into_luma8().into_raw()
}

impl Photograph {
    pub(crate) fn open(folder: &Path, name: &str) -> Self {
        let file = |kind: &str| folder.join(kind).join(format!("{name}.png"));
        let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let reference = &all[name];
        let [x, y] = [0, 1].map(|i| reference["fovea_xy_1024"][i].as_f64().unwrap());
        let full = &reference["full"];
        let line = |side: &str| {
            let ends = full["lines"].get(side)?;
            let point =
                |i: usize| Point::new(ends[i][1].as_f64().unwrap(), ends[i][0].as_f64().unwrap());
            Some([point(0), point(1)])
        };
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let bounds = Bounds {
            size: (
                number(&full["hw"][0]) as usize,
                number(&full["hw"][1]) as usize,
            ),
            center: Point::new(number(&full["center"][1]), number(&full["center"][0])),
            radius: number(&full["radius"]),
            top: line("top"),
            bottom: line("bottom"),
            left: line("left"),
            right: line("right"),
        };
        Self {
            arteries_veins: grey(&file("av")),
            vessels: grey(&file("vessels")),
            disc: grey(&file("disc")),
            rgb: image::open(file("full_rgb"))
                .unwrap()
                .into_rgb8()
                .into_raw(),
            fovea: Point::new(y, x),
            field_of_view: bounds.in_crop(1024),
        }
    }

    pub(crate) fn eye(&self) -> Eye<'_> {
        Eye {
            side: 1024,
            arteries_veins: &self.arteries_veins,
            vessels: Some(&self.vessels),
            disc: Some(&self.disc),
            rgb: Some(&self.rgb),
            fovea: Some(self.fovea),
            field_of_view: self.field_of_view,
            mm_per_pixel: None,
        }
    }
}
