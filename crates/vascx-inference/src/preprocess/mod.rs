//! From a photograph to the network's input.

mod filter;
mod plane;

use rayon::prelude::*;
use vascx_convert::{Normalisation, Preprocessing};

use crate::geometry::{Geometry, Size};
use crate::photograph::Photograph;
use filter::unsharp_mask;
use plane::{Planes, resize};

/// Pixels in which no channel exceeds this belong to the dark surround.
const SURROUND: u8 = 10;

/// How a photograph is brought to the network's square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreprocessMode {
    /// Padded to a square and resized; with contrast enhancement the enhanced RGB follows.
    Simple,
    /// Stretched to the square.
    Resize,
}

impl PreprocessMode {
    /// The mode a model's photographs need.
    pub fn auto(preprocessing: &Preprocessing) -> Self {
        if preprocessing.contrast_enhance {
            Self::Simple
        } else {
            Self::Resize
        }
    }

    /// Name as in `--preprocess`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Resize => "resize",
        }
    }
}

/// A network input and where its pixels lie in the photograph.
pub(crate) struct Prepared {
    /// `[C, S, S]`, normalised.
    pub(crate) values: Vec<f32>,
    pub(crate) geometry: Geometry,
}

/// Brings a photograph to the network's input.
pub(crate) fn prepare(
    photograph: &Photograph,
    preprocessing: &Preprocessing,
    mode: PreprocessMode,
) -> Prepared {
    let size = Size {
        width: photograph.width(),
        height: photograph.height(),
    };
    let square = preprocessing.square_size;
    let side = preprocessing.input_size();
    let geometry = |input_size| match mode {
        PreprocessMode::Simple => Geometry::padded_to_square(size, input_size),
        PreprocessMode::Resize => Geometry::stretched(size, input_size),
    };
    let rgb = photograph_to_square(photograph, &geometry(square));
    let mut images = vec![rgb];
    if preprocessing.contrast_enhance {
        images.push(enhance(&images[0]));
    }
    let values = images
        .iter()
        .flat_map(|image| {
            let scaled = if side == square {
                None
            } else {
                Some(resize(image, side))
            };
            normalise(
                scaled.as_ref().unwrap_or(image),
                preprocessing.normalisation,
            )
        })
        .collect();
    Prepared {
        values,
        geometry: geometry(side),
    }
}

/// The photograph as 8-bit values (stored as f32) on the square of `geometry`.
fn photograph_to_square(photograph: &Photograph, geometry: &Geometry) -> Planes {
    let mut planes = plane::sample_photograph(photograph, geometry);
    planes
        .values
        .par_iter_mut()
        .for_each(|value| *value = value.clamp(0.0, 255.0).trunc());
    planes
}

/// Local contrast of an 8-bit image, again as 8-bit values; zero in the dark surround.
fn enhance(rgb: &Planes) -> Planes {
    let area = rgb.side * rgb.side;
    let inside: Vec<bool> = (0..area)
        .map(|i| (0..3).any(|channel| rgb.values[channel * area + i] > f32::from(SURROUND)))
        .collect();
    let unit = |(i, value): (usize, &f32)| if inside[i % area] { value / 255.0 } else { 0.0 };
    let mut planes = Planes {
        side: rgb.side,
        values: rgb.values.iter().enumerate().map(unit).collect(),
    };
    unsharp_mask(&mut planes);
    for (i, value) in planes.values.iter_mut().enumerate() {
        *value = if inside[i % area] {
            (*value * 255.0).trunc()
        } else {
            0.0
        };
    }
    planes
}

/// 8-bit values to the network's range.
fn normalise(image: &Planes, normalisation: Option<Normalisation>) -> Vec<f32> {
    let Normalisation { mean, std } = normalisation.unwrap_or(Normalisation {
        mean: [0.0; 3],
        std: [1.0; 3],
    });
    let area = image.side * image.side;
    let channels = image
        .values
        .chunks_exact(area)
        .zip(mean.into_iter().zip(std));
    channels
        .flat_map(|(plane, (mean, std))| plane.iter().map(move |v| (v / 255.0 - mean) / std))
        .collect()
}

#[cfg(test)]
mod tests;
