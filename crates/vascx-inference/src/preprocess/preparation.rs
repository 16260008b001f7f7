//! Inputs of one or several networks, made of one photograph.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use image::RgbImage;
use vascx_format::{Normalisation, Preprocessing};

use super::sample::{image_to_planes, pixels_to_planes, sample};
use super::{Bounds, PreprocessMode, is_square, local_contrast, square_of, to_side};
use crate::field_of_view::FieldOfView;
use crate::geometry::Geometry;
use crate::photograph::Photograph;

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
    pub(super) fn of<'a>(
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
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Networks whose inputs are alike share them.
    pub(crate) pixels: Arc<Pixels>,
    pub(crate) geometry: Geometry,
    /// Where the network input lies in the photograph; none for a tensor.
    pub(crate) bounds: Option<Bounds>,
}

/// A photograph on its way to the inputs of networks. What several of them have in common is made
/// once: the field of view, squares, their contrast, pixels.
pub(crate) struct Preparation<'p> {
    photograph: &'p Photograph,
    field: Option<FieldOfView>,
    squares: Vec<Square<'p>>,
    inputs: Vec<(Request, Prepared)>,
}

/// A photograph brought to a square.
struct Square<'p> {
    mode: PreprocessMode,
    side: usize,
    bounds: Bounds,
    rgb: OnceCell<Cow<'p, RgbImage>>,
    enhanced: OnceCell<RgbImage>,
}

impl<'p> Square<'p> {
    fn rgb(&self, photograph: &'p Photograph) -> &RgbImage {
        self.rgb
            .get_or_init(|| square_of(photograph, self.mode, &self.bounds, self.side))
    }

    /// Its local contrast.
    fn enhanced(&self, photograph: &'p Photograph) -> &RgbImage {
        self.enhanced
            .get_or_init(|| local_contrast(self.rgb(photograph), &self.bounds))
    }
}

/// What an input is made for.
struct Request {
    preprocessing: Preprocessing,
    mode: PreprocessMode,
    bytes: bool,
}

impl<'p> Preparation<'p> {
    pub(crate) fn new(photograph: &'p Photograph) -> Self {
        Self {
            photograph,
            field: None,
            squares: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// The input of a network; as bytes, where they are wanted and the input has whole grey levels.
    pub(crate) fn input(
        &mut self,
        preprocessing: &Preprocessing,
        mode: PreprocessMode,
        bytes: bool,
    ) -> Prepared {
        let alike = |(request, prepared): &&(Request, Prepared)| {
            let Request {
                preprocessing: known,
                ..
            } = request;
            // Bytes are normalised later.
            let normalised = matches!(*prepared.pixels, Pixels::Floats(_));
            request.mode == mode
                && request.bytes == bytes
                && known.square_size == preprocessing.square_size
                && known.resize == preprocessing.resize
                && known.contrast_enhance == preprocessing.contrast_enhance
                && (!normalised || known.normalisation == preprocessing.normalisation)
        };
        if let Some((_, prepared)) = self.inputs.iter().find(alike) {
            return prepared.clone();
        }
        let prepared = self.make(preprocessing, mode, bytes);
        let request = Request {
            preprocessing: preprocessing.clone(),
            mode,
            bytes,
        };
        self.inputs.push((request, prepared.clone()));
        prepared
    }

    fn make(
        &mut self,
        preprocessing: &Preprocessing,
        mode: PreprocessMode,
        bytes: bool,
    ) -> Prepared {
        let side = preprocessing.input_size();
        let normalisation = preprocessing.normalisation;
        let photograph = self.photograph;
        let square = self.square(mode, preprocessing.square_size);
        let enhanced = preprocessing
            .contrast_enhance
            .then(|| square.enhanced(photograph));
        let geometry = square.bounds.geometry(square.side, side);
        let resized = mode == PreprocessMode::Resize && !is_square(photograph, square.side);
        let pixels = if resized && side == square.side {
            // The reference, vascx_simplify, keeps the fractions of grey levels here.
            let pixels = sample(photograph.rgb(), &geometry, |value| value);
            let mut values = pixels_to_planes(&pixels, normalisation);
            if let Some(enhanced) = enhanced {
                values.extend(image_to_planes(enhanced, normalisation));
            }
            Pixels::Floats(values)
        } else {
            let images: Vec<Cow<RgbImage>> = std::iter::once(square.rgb(photograph))
                .chain(enhanced)
                .map(|image| to_side(image, side).map_or(Cow::Borrowed(image), Cow::Owned))
                .collect();
            Pixels::of(images.iter().map(|image| &**image), normalisation, bytes)
        };
        Prepared {
            pixels: Arc::new(pixels),
            geometry,
            bounds: Some(square.bounds.clone()),
        }
    }

    /// The photograph's square of a side.
    fn square(&mut self, mode: PreprocessMode, side: usize) -> &Square<'p> {
        let known = self
            .squares
            .iter()
            .position(|square| square.mode == mode && square.side == side);
        let index = known.unwrap_or_else(|| {
            let photograph = self.photograph;
            let field = || {
                self.field
                    .get_or_insert_with(|| FieldOfView::find(photograph))
                    .clone()
            };
            let bounds = mode.bounds(photograph, field);
            self.squares.push(Square {
                mode,
                side,
                bounds,
                rgb: OnceCell::new(),
                enhanced: OnceCell::new(),
            });
            self.squares.len() - 1
        });
        &self.squares[index]
    }
}
