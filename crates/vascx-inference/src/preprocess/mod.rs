//! From a photograph to the network's input.

mod bounds;
pub(crate) mod filter;
mod full;
mod preparation;
mod sample;

pub use bounds::Bounds;
use full::Disc;
pub(crate) use preparation::{Pixels, Preparation, Prepared};

use std::borrow::Cow;
use std::sync::Arc;

use image::RgbImage;
use rayon::prelude::*;
use vascx_format::{Preprocessing, Transform};

use crate::error::{Error, Result};
use crate::field_of_view::FieldOfView;
use crate::photograph::Photograph;
use filter::{Border, RELATIVE_SIGMA, blur, contrast, gaussian_kernel};
pub(crate) use sample::level_tables;
use sample::{crop, fit, resize, sample};

/// Pixels in which no channel exceeds this belong to the dark surround.
const SURROUND: u8 = 10;

/// How a photograph is brought to the network's square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreprocessMode {
    /// The field of view is found and cropped; with contrast enhancement the enhanced RGB follows.
    Full,
    /// Padded to a square and resized; with contrast enhancement the enhanced RGB follows.
    Simple,
    /// Stretched to the square; with contrast enhancement the enhanced RGB follows.
    Resize,
    /// A photograph that is a crop of the field of view already: contrast is enhanced at its own
    /// size, then both are stretched to the network's.
    Crop,
    /// Filled up with black to at least `pad` (height, width), the longer side resized to the
    /// square, the rest of it black.
    Basic {
        /// Nothing where it is no larger than the photograph.
        pad: [usize; 2],
    },
}

impl PreprocessMode {
    /// The mode a model was trained with.
    pub fn auto(preprocessing: &Preprocessing) -> Self {
        match preprocessing.transform {
            Transform::Fundus => Self::Full,
            Transform::Basic { pad } => Self::Basic {
                pad: pad.unwrap_or_default(),
            },
        }
    }

    /// Name as in `--preprocess`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Simple => "simple",
            Self::Resize => "resize",
            Self::Crop => "crop",
            Self::Basic { .. } => "basic",
        }
    }

    /// Where the photograph's pixels go; `field` gives its field of view.
    fn bounds(self, photograph: &Photograph, field: impl FnOnce() -> FieldOfView) -> Bounds {
        let hw = [photograph.height(), photograph.width()];
        match self {
            Self::Full => Bounds::Full(Box::new(field())),
            Self::Simple => Bounds::Simple { hw },
            Self::Resize => Bounds::Resize { hw },
            Self::Crop => Bounds::Crop(Box::new(field())),
            Self::Basic { pad } => Bounds::Basic { hw, pad },
        }
    }
}

/// A photograph brought to a square, before normalisation.
#[derive(Clone, Debug)]
pub struct Preprocessed {
    /// The square, 8-bit RGB.
    pub rgb: RgbImage,
    /// Its local contrast, where asked for.
    pub enhanced: Option<RgbImage>,
    /// Where the square lies in the photograph.
    pub bounds: Bounds,
}

impl Preprocessed {
    /// As a network's input, which it must fit.
    pub(crate) fn prepare(&self, preprocessing: &Preprocessing, bytes: bool) -> Result<Prepared> {
        let side = preprocessing.input_size();
        let squares = || std::iter::once(&self.rgb).chain(&self.enhanced);
        let channels = 3 * squares().count();
        let fits = |square: &RgbImage| square.dimensions() == (side as u32, side as u32);
        if channels != preprocessing.channels() || !squares().all(fits) {
            let (width, height) = self.rgb.dimensions();
            return Err(Error::Tensor {
                shape: vec![channels, height as usize, width as usize],
                reason: format!(
                    "the network takes {} × {side} × {side}",
                    preprocessing.channels()
                ),
            });
        }
        Ok(Prepared {
            pixels: Arc::new(Pixels::of(squares(), preprocessing.normalisation, bytes)),
            geometry: self.bounds.geometry(side, side),
            bounds: Some(self.bounds.clone()),
        })
    }
}

/// Brings a photograph to a square of `size` pixels, as the network of a released model sees it
/// before normalisation.
pub fn preprocess(
    photograph: &Photograph,
    mode: PreprocessMode,
    size: usize,
    contrast_enhance: bool,
) -> Preprocessed {
    let bounds = mode.bounds(photograph, || FieldOfView::find(photograph));
    let rgb = square_of(photograph, mode, &bounds, size);
    let enhanced = contrast_enhance.then(|| local_contrast(&rgb, &bounds));
    Preprocessed {
        rgb: to_side(&rgb, size).unwrap_or_else(|| rgb.into_owned()),
        enhanced: enhanced.map(|image| to_side(&image, size).unwrap_or(image)),
        bounds,
    }
}

/// An image resized to a side, unless it has it.
fn to_side(image: &RgbImage, side: usize) -> Option<RgbImage> {
    (image.dimensions() != (side as u32, side as u32)).then(|| resize(image, side))
}

/// To whole grey levels as the references do: OpenCV rounds, PyTorch truncates. What is a crop
/// already keeps its size.
fn square_of<'p>(
    photograph: &'p Photograph,
    mode: PreprocessMode,
    bounds: &Bounds,
    size: usize,
) -> Cow<'p, RgbImage> {
    let rgb = photograph.rgb();
    let geometry = bounds.geometry(size, size);
    let bytes = match mode {
        PreprocessMode::Full => crop(rgb, &geometry),
        PreprocessMode::Crop => return Cow::Borrowed(rgb),
        PreprocessMode::Basic { .. } => fit(rgb, &geometry),
        // Nothing is mixed.
        _ if is_square(photograph, size) => return Cow::Borrowed(rgb),
        PreprocessMode::Simple | PreprocessMode::Resize => {
            sample(rgb, &geometry, |value| value as u8)
        }
    };
    Cow::Owned(square_image(size, bytes))
}

fn is_square(photograph: &Photograph, side: usize) -> bool {
    [photograph.width(), photograph.height()] == [side; 2]
}

fn local_contrast(rgb: &RgbImage, bounds: &Bounds) -> RgbImage {
    match bounds {
        Bounds::Full(field) => {
            full::enhance(rgb, field, Disc::in_crop(field, rgb.width() as usize))
        }
        Bounds::Crop(field) => full::enhance(rgb, field, Disc::in_photograph(field)),
        Bounds::Simple { .. } | Bounds::Resize { .. } | Bounds::Basic { .. } => enhance(rgb),
    }
}

fn square_image(side: usize, bytes: Vec<u8>) -> RgbImage {
    RgbImage::from_raw(side as u32, side as u32, bytes).expect("three bytes per pixel")
}

/// Local contrast of a square that is not cropped; zero in the dark surround.
fn enhance(rgb: &RgbImage) -> RgbImage {
    let side = rgb.width() as usize;
    let pixels = rgb.as_raw().as_chunks::<3>().0;
    let inside = |pixel: &[u8; 3]| pixel.iter().any(|&value| value > SURROUND);
    let sigma = RELATIVE_SIGMA * side as f64 / 2.0;
    let kernel = gaussian_kernel(sigma, (3.0 * sigma).ceil() as usize);
    let planes: Vec<Vec<u8>> = (0..3)
        .into_par_iter()
        .map(|channel| {
            let unit: Vec<f32> = pixels
                .iter()
                .map(|pixel| {
                    if inside(pixel) {
                        f32::from(pixel[channel]) / 255.0
                    } else {
                        0.0
                    }
                })
                .collect();
            let blurred = blur(&unit, side, &kernel, Border::Mirrored);
            let values = pixels.iter().zip(unit.iter().zip(&blurred));
            values
                .map(|(pixel, (unit, blurred))| {
                    if inside(pixel) {
                        contrast(*unit, *blurred)
                    } else {
                        0
                    }
                })
                .collect()
        })
        .collect();
    let bytes = (0..pixels.len()).flat_map(|i| [planes[0][i], planes[1][i], planes[2][i]]);
    square_image(side, bytes.collect())
}

#[cfg(test)]
mod tests;
