//! Where a square lies in its photograph, as saved in `bounds.json`, and the way back.

use image::GrayImage;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field_of_view::FieldOfView;
use crate::geometry::{Geometry, InputPoint, Point, Size};

/// Where a square lies in its photograph: enough to bring maps and points back later.
///
/// ```
/// use image::GrayImage;
/// use vascx_inference::{Photograph, PreprocessMode, preprocess};
///
/// let photograph = Photograph::from_rgb(60, 40, vec![120; 7200])?;
/// let square = preprocess(&photograph, PreprocessMode::Full, 32, true);
/// let saved = serde_json::to_string(&square.bounds)?; // an entry of bounds.json
/// let bounds: vascx_inference::Bounds = serde_json::from_str(&saved)?;
/// let map = bounds.map_to_photograph(&GrayImage::new(32, 32))?;
/// assert_eq!(map.dimensions(), (60, 40));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Bounds {
    /// A crop of the field of view.
    Full(Box<FieldOfView>),
    /// Padded to a square.
    Simple {
        /// Height and width of the photograph.
        hw: [usize; 2],
    },
    /// Stretched to a square.
    Resize {
        /// Height and width of the photograph.
        hw: [usize; 2],
    },
    /// A crop of the field of view, which was found in it, stretched to a square.
    Crop(Box<FieldOfView>),
    /// Fitted into a square.
    Basic {
        /// Height and width of the photograph.
        hw: [usize; 2],
        /// What it was filled up to with black before.
        pad: [usize; 2],
    },
}

impl Bounds {
    /// The geometry of a square of side `square` that was resized to `input_size`.
    pub(crate) fn geometry(&self, square: usize, input_size: usize) -> Geometry {
        let size = |[height, width]: [usize; 2]| Size { width, height };
        match self {
            Self::Full(field) => field.geometry(square, input_size),
            Self::Crop(field) => Geometry::stretched(size(field.hw), Size::square(input_size)),
            Self::Simple { hw } => Geometry::padded_to_square(size(*hw), input_size),
            Self::Resize { hw } => Geometry::stretched(size(*hw), Size::square(input_size)),
            Self::Basic { hw, pad } => Geometry::fitted(size(*hw), *pad, input_size),
        }
    }

    /// The field of view, where it was looked for.
    pub fn field_of_view(&self) -> Option<&FieldOfView> {
        match self {
            Self::Full(field) | Self::Crop(field) => Some(field),
            Self::Simple { .. } | Self::Resize { .. } | Self::Basic { .. } => None,
        }
    }

    /// Brings a map of class indices on the square back to the photograph's pixels by nearest
    /// neighbour; 0 outside the square.
    ///
    /// # Errors
    /// When the map is not square or empty.
    pub fn map_to_photograph(&self, map: &GrayImage) -> Result<GrayImage> {
        let side = map.width() as usize;
        if side == 0 || map.width() != map.height() {
            let (width, height) = map.dimensions();
            return Err(Error::MapShape { width, height });
        }
        let geometry = self.geometry(side, side);
        let Size { width, height } = geometry.photograph();
        let classes = geometry.classes_to_photograph(map.as_raw());
        Ok(GrayImage::from_raw(width as u32, height as u32, classes).expect("one class per pixel"))
    }

    /// Brings a point on the square of side `size` back to the photograph's pixels.
    pub fn point_to_photograph(&self, x: f64, y: f64, size: usize) -> Point {
        self.geometry(size, size)
            .point_to_photograph(InputPoint { x, y })
    }
}
