//! From a photograph to the network's input.

mod bounds;
pub(crate) mod filter;
mod full;
mod sample;

pub use bounds::Bounds;
use full::Disc;

use image::RgbImage;
use rayon::prelude::*;
use vascx_convert::{Normalisation, Preprocessing, Transform};

use crate::error::{Error, Result};
use crate::field_of_view::FieldOfView;
use crate::geometry::Geometry;
use crate::photograph::Photograph;
use filter::{Border, RELATIVE_SIGMA, blur, contrast, gaussian_kernel};
pub(crate) use sample::level_tables;
use sample::{crop, fit, image_to_planes, pixels_to_planes, resize, sample};

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

    /// Where the photograph's pixels go.
    fn bounds(self, photograph: &Photograph) -> Bounds {
        let hw = [photograph.height(), photograph.width()];
        match self {
            Self::Full => Bounds::Full(Box::new(FieldOfView::find(photograph))),
            Self::Simple => Bounds::Simple { hw },
            Self::Resize => Bounds::Resize { hw },
            Self::Crop => Bounds::Crop(Box::new(FieldOfView::find(photograph))),
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
            pixels: Pixels::of(squares(), preprocessing.normalisation, bytes),
            geometry: self.bounds.geometry(side, side),
            bounds: self.bounds.clone(),
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
    let bounds = mode.bounds(photograph);
    let mut images = images(photograph, mode, &bounds, [size, size], contrast_enhance).into_iter();
    let rgb = images.next().expect("there is always one");
    Preprocessed {
        rgb,
        enhanced: images.next(),
        bounds,
    }
}

/// The photograph's square of a side, and its local contrast where it is enhanced, resized to
/// another side.
fn images(
    photograph: &Photograph,
    mode: PreprocessMode,
    bounds: &Bounds,
    [square, side]: [usize; 2],
    enhances: bool,
) -> Vec<RgbImage> {
    let rgb = square_of(photograph, mode, bounds, square);
    let enhanced = enhances.then(|| local_contrast(&rgb, bounds));
    let sized = |image: RgbImage| {
        if image.dimensions() == (side as u32, side as u32) {
            image
        } else {
            resize(&image, side)
        }
    };
    std::iter::once(rgb).chain(enhanced).map(sized).collect()
}

/// To whole grey levels as the references do: OpenCV rounds, PyTorch truncates. What is a crop
/// already keeps its size.
fn square_of(
    photograph: &Photograph,
    mode: PreprocessMode,
    bounds: &Bounds,
    size: usize,
) -> RgbImage {
    let rgb = photograph.rgb();
    let geometry = bounds.geometry(size, size);
    let bytes = match mode {
        PreprocessMode::Full => crop(rgb, &geometry),
        PreprocessMode::Crop => return rgb.clone(),
        PreprocessMode::Basic { .. } => fit(rgb, &geometry),
        // Nothing is mixed.
        _ if is_square(photograph, size) => return rgb.clone(),
        PreprocessMode::Simple | PreprocessMode::Resize => {
            sample(rgb, &geometry, |value| value as u8)
        }
    };
    square_image(size, bytes)
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

/// The pixels of a network input as they wait for the network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pixels {
    /// `[C, H, W]`, normalised.
    Floats(Vec<f32>),
    /// `[C / 3, H, W, 3]`, grey levels that are not normalised yet.
    Bytes(Vec<u8>),
}

impl Pixels {
    /// Those of squares, one after another; as bytes or normalised.
    fn of<'a>(
        squares: impl Iterator<Item = &'a RgbImage>,
        normalisation: Normalisation,
        bytes: bool,
    ) -> Self {
        if bytes {
            let squares: Vec<&[u8]> = squares.map(|square| &square.as_raw()[..]).collect();
            Self::Bytes(squares.concat())
        } else {
            let planes = squares.map(|square| image_to_planes(square, normalisation));
            Self::Floats(planes.collect::<Vec<_>>().concat())
        }
    }

    /// Number of values C · H · W.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }
}

/// A network input and where its pixels lie in the photograph.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) pixels: Pixels,
    pub(crate) geometry: Geometry,
    pub(crate) bounds: Bounds,
}

/// Brings a photograph to the network's input; as bytes, where they are wanted and the input has
/// whole grey levels.
pub(crate) fn prepare(
    photograph: &Photograph,
    preprocessing: &Preprocessing,
    mode: PreprocessMode,
    bytes: bool,
) -> Prepared {
    let square = preprocessing.square_size;
    let side = preprocessing.input_size();
    let normalisation = preprocessing.normalisation;
    let bounds = mode.bounds(photograph);
    let geometry = bounds.geometry(square, side);
    let enhances = preprocessing.contrast_enhance;
    let resized = mode == PreprocessMode::Resize && !is_square(photograph, square);
    let pixels = if resized && side == square {
        // The reference, vascx_simplify, keeps the fractions of grey levels here.
        let pixels = sample(photograph.rgb(), &geometry, |value| value);
        let mut values = pixels_to_planes(&pixels, normalisation);
        if enhances {
            let levels = square_of(photograph, mode, &bounds, square);
            let enhanced = local_contrast(&levels, &bounds);
            values.extend(image_to_planes(&enhanced, normalisation));
        }
        Pixels::Floats(values)
    } else {
        let images = images(photograph, mode, &bounds, [square, side], enhances);
        Pixels::of(images.iter(), normalisation, bytes)
    };
    Prepared {
        pixels,
        geometry,
        bounds,
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
