//! From a photograph to the network's input.

mod bounds;
pub(crate) mod filter;
mod full;
mod plane;

pub use bounds::Bounds;

use image::RgbImage;
use rayon::prelude::*;
use vascx_convert::{Normalisation, Preprocessing};

use crate::field_of_view::FieldOfView;
use crate::geometry::Geometry;
use crate::photograph::Photograph;
use filter::{Border, RELATIVE_SIGMA, blur, contrast, gaussian_kernel};
use plane::{Planes, resize};

/// Pixels in which no channel exceeds this belong to the dark surround.
const SURROUND: f32 = 10.0;

/// How a photograph is brought to the network's square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreprocessMode {
    /// The field of view is found and cropped; with contrast enhancement the enhanced RGB follows.
    Full,
    /// Padded to a square and resized; with contrast enhancement the enhanced RGB follows.
    Simple,
    /// Stretched to the square; with contrast enhancement the enhanced RGB follows.
    Resize,
}

impl PreprocessMode {
    /// The mode a model's photographs need.
    pub fn auto(preprocessing: &Preprocessing) -> Self {
        if preprocessing.contrast_enhance {
            Self::Full
        } else {
            Self::Resize
        }
    }

    /// Name as in `--preprocess`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Simple => "simple",
            Self::Resize => "resize",
        }
    }

    /// Where the photograph's pixels go.
    fn bounds(self, photograph: &Photograph) -> Bounds {
        let hw = [photograph.height(), photograph.width()];
        match self {
            Self::Full => Bounds::Full(FieldOfView::find(photograph)),
            Self::Simple => Bounds::Simple { hw },
            Self::Resize => Bounds::Resize { hw },
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

/// Brings a photograph to a square of `size` pixels, as the network of a released model sees it
/// before normalisation.
pub fn preprocess(
    photograph: &Photograph,
    mode: PreprocessMode,
    size: usize,
    contrast_enhance: bool,
) -> Preprocessed {
    let (images, bounds) = squares(photograph, mode, size, contrast_enhance);
    Preprocessed {
        rgb: images[0].to_image(),
        enhanced: images.get(1).map(Planes::to_image),
        bounds,
    }
}

/// A network input and where its pixels lie in the photograph.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// `[C, S, S]`, normalised.
    pub(crate) values: Vec<f32>,
    pub(crate) geometry: Geometry,
    pub(crate) bounds: Bounds,
}

/// Brings a photograph to the network's input.
pub(crate) fn prepare(
    photograph: &Photograph,
    preprocessing: &Preprocessing,
    mode: PreprocessMode,
) -> Prepared {
    let square = preprocessing.square_size;
    let side = preprocessing.input_size();
    let (images, bounds) = squares(photograph, mode, square, preprocessing.contrast_enhance);
    let area = side * side;
    let mut values = vec![0.0; 3 * area * images.len()];
    for (image, values) in images.iter().zip(values.chunks_exact_mut(3 * area)) {
        if side == square {
            normalise(image, preprocessing.normalisation, values);
        } else {
            normalise(&resize(image, side), preprocessing.normalisation, values);
        }
    }
    Prepared {
        values,
        geometry: bounds.geometry(square, side),
        bounds,
    }
}

/// The square and, with contrast enhancement, its local contrast, in grey levels.
fn squares(
    photograph: &Photograph,
    mode: PreprocessMode,
    size: usize,
    contrast_enhance: bool,
) -> (Vec<Planes>, Bounds) {
    let bounds = mode.bounds(photograph);
    let mut rgb = plane::sample_photograph(photograph, &bounds.geometry(size, size));
    // To whole grey levels as the references do: OpenCV rounds the crop, vascx_simplify truncates
    // the padded square and leaves the stretched one as it is.
    match mode {
        PreprocessMode::Full => rgb
            .values
            .par_iter_mut()
            .for_each(|v| *v = (*v + 0.5).trunc()),
        PreprocessMode::Simple => rgb.values.par_iter_mut().for_each(|v| *v = v.trunc()),
        PreprocessMode::Resize => {}
    }
    let enhanced = contrast_enhance.then(|| match &bounds {
        Bounds::Full(field) => full::enhance(&rgb, field),
        Bounds::Simple { .. } | Bounds::Resize { .. } => enhance(&rgb),
    });
    (std::iter::once(rgb).chain(enhanced).collect(), bounds)
}

/// Local contrast of a square that is not cropped; zero in the dark surround.
fn enhance(rgb: &Planes) -> Planes {
    let area = rgb.area();
    let inside: Vec<bool> = (0..area)
        .map(|i| (0..3).any(|channel| rgb.values[channel * area + i] > SURROUND))
        .collect();
    let sigma = RELATIVE_SIGMA * rgb.side as f64 / 2.0;
    let kernel = gaussian_kernel(sigma, (3.0 * sigma).ceil() as usize);
    let mut values = vec![0.0; rgb.values.len()];
    values
        .par_chunks_exact_mut(area)
        .zip(rgb.values.par_chunks_exact(area))
        .for_each(|(output, plane)| {
            let unit: Vec<f32> = plane
                .iter()
                .zip(&inside)
                .map(|(value, &inside)| if inside { value / 255.0 } else { 0.0 })
                .collect();
            let blurred = blur(&unit, rgb.side, &kernel, Border::Mirrored);
            for (i, value) in output.iter_mut().enumerate().filter(|&(i, _)| inside[i]) {
                *value = contrast(unit[i], blurred[i]);
            }
        });
    Planes {
        side: rgb.side,
        values,
    }
}

/// 8-bit values to the network's range.
fn normalise(image: &Planes, normalisation: Option<Normalisation>, output: &mut [f32]) {
    let Normalisation { mean, std } = normalisation.unwrap_or(Normalisation {
        mean: [0.0; 3],
        std: [1.0; 3],
    });
    let planes = image
        .values
        .chunks_exact(image.area())
        .zip(output.chunks_exact_mut(image.area()));
    for ((plane, output), (mean, std)) in planes.zip(mean.into_iter().zip(std)) {
        for (value, output) in plane.iter().zip(output) {
            *output = (value / 255.0 - mean) / std;
        }
    }
}

#[cfg(test)]
mod tests;
