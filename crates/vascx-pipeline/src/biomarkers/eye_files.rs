//! An eye's files in memory.

use std::path::Path;

use vascx_biomarkers::{Eye, FieldOfView, Point};

use crate::biomarkers::cohort::{Cohort, CohortEye};
use crate::biomarkers::maps::{self, Map};
use crate::bounds::parse_bounds;

/// Side of the crop that maps are in.
pub(crate) const SIDE: usize = 1024;

/// Maps of an eye, read and brought to the crop.
pub(crate) struct EyeFiles {
    arteries_veins: Map,
    disc: Map,
    vessels: Option<Map>,
    rgb: Option<Vec<u8>>,
    field_of_view: FieldOfView,
    mm_per_pixel: Option<f64>,
    /// What is missing although the eye can be measured.
    pub(crate) warnings: Vec<String>,
}

impl EyeFiles {
    /// Reads an eye. A vessel map or photograph that is missing or of no use is a warning; the
    /// photograph is read only if asked for.
    ///
    /// # Errors
    /// Why the eye cannot be measured.
    pub(crate) fn read(cohort: &Cohort, eye: &CohortEye, photograph: bool) -> Result<Self, String> {
        let bounds = parse_bounds(eye.bounds.as_deref().map_err(Clone::clone)?)?;
        let field_of_view = bounds.in_crop(SIDE);
        let half = SIDE / 2;
        let FieldOfView {
            top,
            bottom,
            left,
            right,
        } = field_of_view;
        if !((top..=bottom).contains(&half) && (left..=right).contains(&half)) {
            return Err("bounds.csv: the lines cut off the centre of the circle".into());
        }
        let mm_per_pixel = eye.mm_per_pixel.clone()?;
        let named = |path: &Path, reason| format!("{}: {reason}", path.display());
        let path = cohort.map("artery_vein", &eye.id);
        let arteries_veins = of_crop(maps::read_artery_vein(&path)).map_err(|r| named(&path, r))?;
        let path = cohort.map("disc", &eye.id);
        let disc = maps::read_mask(&path)
            .map_err(|r| named(&path, r))?
            .resized(SIDE);
        let mut warnings = Vec::new();
        if !eye.fovea.is_some_and(Point::is_finite) {
            warnings.push("fovea.csv gives no position".to_owned());
        }
        let path = cohort.map("vessels", &eye.id);
        let vessels = match of_crop(maps::read_mask(&path)) {
            Ok(map) => Some(map),
            Err(reason) => {
                // Where no eye has one, every empty cell gives the reason, and it is no news of this eye.
                if cohort.has("vessels") {
                    warnings.push(format!("no vessel map: {}", named(&path, reason)));
                }
                None
            }
        };
        let rgb = if photograph {
            maps::read_photograph(&cohort.map("preprocessed_rgb", &eye.id), SIDE)
                .map_err(|reason| warnings.push(format!("no photograph: {reason}")))
                .ok()
        } else {
            None
        };
        Ok(Self {
            arteries_veins,
            disc,
            vessels,
            rgb,
            field_of_view,
            mm_per_pixel,
            warnings,
        })
    }

    /// What there is to measure on.
    pub(crate) fn eye(&self, eye: &CohortEye) -> Eye<'_> {
        Eye {
            side: SIDE,
            arteries_veins: &self.arteries_veins.pixels,
            vessels: self.vessels.as_ref().map(|map| map.pixels.as_slice()),
            disc: Some(&self.disc.pixels),
            rgb: self.rgb.as_deref(),
            fovea: eye.fovea,
            field_of_view: self.field_of_view,
            mm_per_pixel: self.mm_per_pixel,
        }
    }

    /// The photograph, red, green and blue interleaved.
    pub(crate) fn rgb(&self) -> Option<&[u8]> {
        self.rgb.as_deref()
    }
}

/// Refuses a map that is not of the crop's size: where its pixels belong is not known.
fn of_crop(map: Result<Map, String>) -> Result<Map, String> {
    let map = map?;
    if (map.width, map.height) == (SIDE, SIDE) {
        Ok(map)
    } else {
        let (width, height) = (map.width, map.height);
        Err(format!(
            "{width} × {height} pixels; give the map of the crop, {SIDE} × {SIDE}"
        ))
    }
}
