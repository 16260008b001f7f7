//! What is known of an eye before it is measured.

use thiserror::Error;

use crate::field_of_view::FieldOfView;
use crate::geometry::Point;

/// Maps and landmarks of one eye, all in the pixels of the same square crop. The reference's
/// numbers are those of crops of 1024 × 1024 pixels; others are measured in their own pixels.
#[derive(Clone, Copy, Debug)]
pub struct Eye<'a> {
    /// Rows and columns of the crop and of every map.
    pub side: usize,
    /// Class of each pixel, row by row: 0 background, 1 artery, 2 vein, 3 both.
    pub arteries_veins: &'a [u8],
    /// Vessel map: 0 or not. Without it sparsity and sharpness are undefined.
    pub vessels: Option<&'a [u8]>,
    /// Map of the optic disc: 0 or not.
    pub disc: Option<&'a [u8]>,
    /// The photograph, red, green and blue interleaved. Without it sharpness, luminance and the
    /// variance of the Laplacian are undefined.
    pub rgb: Option<&'a [u8]>,
    /// The fovea.
    pub fovea: Option<Point>,
    /// Visible retina.
    pub field_of_view: FieldOfView,
    /// Millimetres per pixel of the crop, if known.
    pub mm_per_pixel: Option<f64>,
}

/// Largest side of a crop.
const LARGEST_SIDE: usize = 8192;

/// Maps that do not fit together.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InvalidEye {
    /// The crop has no pixels, or too many.
    #[error("the maps are {0} pixels wide; give maps of 1 to {LARGEST_SIDE} pixels, best 1024")]
    Side(usize),
    /// A map of another size.
    #[error("the {map} has {found} values where {expected} belong; give all maps in the same size")]
    Size {
        /// Which map.
        map: &'static str,
        /// Values it has.
        found: usize,
        /// Values that it must have.
        expected: usize,
    },
    /// A scale that is not a positive number.
    #[error("{0} mm per pixel is no scale; give a positive number")]
    Scale(f64),
}

impl Eye<'_> {
    pub(crate) fn check(&self) -> Result<(), InvalidEye> {
        if !(1..=LARGEST_SIDE).contains(&self.side) {
            return Err(InvalidEye::Side(self.side));
        }
        let pixels = self.side * self.side;
        let maps = [
            ("artery/vein map", Some(self.arteries_veins), pixels),
            ("vessel map", self.vessels, pixels),
            ("disc map", self.disc, pixels),
            ("photograph", self.rgb, 3 * pixels),
        ];
        for (map, values, expected) in maps {
            if let Some(values) = values.filter(|values| values.len() != expected) {
                return Err(InvalidEye::Size {
                    map,
                    found: values.len(),
                    expected,
                });
            }
        }
        match self.mm_per_pixel {
            Some(scale) if !(scale.is_finite() && scale > 0.0) => Err(InvalidEye::Scale(scale)),
            _ => Ok(()),
        }
    }
}
