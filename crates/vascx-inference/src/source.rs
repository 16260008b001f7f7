//! What can be predicted: photographs, files of photographs, tensors.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use vascx_format::Preprocessing;

use crate::decode::DecodeLimits;
use crate::error::{Error, Result, alone};
use crate::geometry::{Geometry, Size};
use crate::photograph::Photograph;
use crate::preprocess::{
    Bounds, Pixels, Preparation, Prepared, PreprocessMode, Preprocessed, preprocess,
};

/// One input of an ensemble.
///
/// A photograph, the path of one or the bytes of its file is preprocessed as the model asks. A tensor `[C, H, W]` goes to
/// the network as it is, and its answers are in its own pixels.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// A decoded photograph.
    Photograph(Cow<'a, Photograph>),
    /// An image file, decoded when its turn comes.
    Path(Cow<'a, Path>),
    /// The bytes of an image file, decoded when their turn comes.
    Encoded(Cow<'a, [u8]>),
    /// What [`preprocess`](crate::preprocess) gave, of the network's size, and what the caller made of it.
    Preprocessed(Cow<'a, Preprocessed>),
    /// `[C, H, W]`, preprocessed and normalised.
    Tensor(TensorData),
}

/// Inputs of one call: a single one, a list, or the images of a tensor `[N, C, H, W]`.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a>(Vec<Source<'a>>);

impl<'a> IntoIterator for Sources<'a> {
    type Item = Source<'a>;
    type IntoIter = std::vec::IntoIter<Source<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Sources<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Makes sources of what they hold or borrow.
macro_rules! sources {
    ($($given:ty => $kind:ident of $cow:ident,)*) => {$(
        impl<'a> From<$given> for Source<'a> {
            fn from(given: $given) -> Self {
                Self::$kind(Cow::$cow(given))
            }
        }
    )*};
}

sources! {
    &'a Photograph => Photograph of Borrowed,
    Photograph => Photograph of Owned,
    &'a Preprocessed => Preprocessed of Borrowed,
    Preprocessed => Preprocessed of Owned,
    &'a [u8] => Encoded of Borrowed,
    Vec<u8> => Encoded of Owned,
    &'a Path => Path of Borrowed,
    &'a PathBuf => Path of Borrowed,
    PathBuf => Path of Owned,
}

impl<'a> From<&'a str> for Source<'a> {
    fn from(path: &'a str) -> Self {
        Path::new(path).into()
    }
}

impl<B: Backend> From<Tensor<B, 3>> for Source<'_> {
    fn from(tensor: Tensor<B, 3>) -> Self {
        Self::Tensor(tensor.into_data())
    }
}

impl<'a, T: Into<Source<'a>>> From<T> for Sources<'a> {
    fn from(single: T) -> Self {
        Self(vec![single.into()])
    }
}

impl<'a, T> From<&'a [T]> for Sources<'a>
where
    &'a T: Into<Source<'a>>,
{
    fn from(list: &'a [T]) -> Self {
        list.iter().collect()
    }
}

impl<'a, T> From<&'a Vec<T>> for Sources<'a>
where
    &'a T: Into<Source<'a>>,
{
    fn from(list: &'a Vec<T>) -> Self {
        list.iter().collect()
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Sources<'a>
where
    &'a T: Into<Source<'a>>,
{
    fn from(list: &'a [T; N]) -> Self {
        list.iter().collect()
    }
}

impl<'a, T: Into<Source<'a>>> From<Vec<T>> for Sources<'a> {
    fn from(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<B: Backend> From<Tensor<B, 4>> for Sources<'_> {
    fn from(images: Tensor<B, 4>) -> Self {
        let images = images.iter_dim(0);
        images.map(|image| image.squeeze_dim::<3>(0)).collect()
    }
}

impl<'a, T: Into<Source<'a>>> FromIterator<T> for Sources<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(list: I) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

/// How a photograph becomes the input of a network.
#[derive(Clone, Debug)]
pub(crate) struct InputRecipe {
    pub(crate) preprocessing: Preprocessing,
    pub(crate) mode: PreprocessMode,
    /// Whether grey levels remain bytes, where they are whole, and are normalised later.
    pub(crate) bytes: bool,
}

/// What turns sources into the inputs of one or several networks.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// One for each network; at least one.
    pub(crate) inputs: Vec<InputRecipe>,
    /// Side of the crop to the field of view that networks see as their photograph.
    pub(crate) crop: Option<usize>,
    /// Whether photographs, or their crops, are needed after they are prepared.
    pub(crate) keep_photographs: bool,
    pub(crate) limits: DecodeLimits,
}

/// A source as input of every network.
#[derive(Debug)]
pub(crate) struct Loaded<'a> {
    /// One for each network.
    pub(crate) inputs: Vec<Prepared>,
    pub(crate) about: About<'a>,
}

/// What is known of a source besides the inputs it became.
#[derive(Debug)]
pub(crate) struct About<'a> {
    /// What the user should know of its file.
    pub(crate) note: Option<String>,
    /// The photograph or its crop, if it was to be kept.
    pub(crate) photograph: Option<Cow<'a, Photograph>>,
    /// Where the crop lies in the photograph.
    pub(crate) crop: Option<Bounds>,
    /// How long it took to read it.
    pub(crate) reading: Duration,
    /// How long it took to crop and prepare it.
    pub(crate) preparing: Duration,
}

impl<'a> Source<'a> {
    /// Decodes and preprocesses.
    pub(crate) fn load(self, recipe: &Recipe) -> Result<Loaded<'a>> {
        let started = Instant::now();
        let (photograph, reading) = match self {
            Self::Photograph(photograph) => (photograph, Duration::ZERO),
            Self::Path(path) => {
                return alone(&path.clone(), || {
                    let photograph = Photograph::open_within(path, recipe.limits)?;
                    let reading = started.elapsed();
                    Ok(prepare(Cow::Owned(photograph), recipe, reading))
                });
            }
            Self::Encoded(file) => {
                let photograph = Photograph::decode(file.into_owned(), recipe.limits)?;
                (Cow::Owned(photograph), started.elapsed())
            }
            Self::Preprocessed(preprocessed) => {
                let each = recipe.inputs.iter();
                let inputs =
                    each.map(|input| preprocessed.prepare(&input.preprocessing, input.bytes));
                return Ok(Loaded::unread(inputs.collect::<Result<_>>()?, started));
            }
            Self::Tensor(data) => {
                let each = recipe.inputs.iter();
                let inputs =
                    each.map(|input| load_tensor(data.clone(), input.preprocessing.channels()));
                return Ok(Loaded::unread(inputs.collect::<Result<_>>()?, started));
            }
        };
        Ok(prepare(photograph, recipe, reading))
    }
}

impl Loaded<'_> {
    /// Of what is no photograph.
    fn unread(inputs: Vec<Prepared>, started: Instant) -> Self {
        Self {
            inputs,
            about: About {
                note: None,
                photograph: None,
                crop: None,
                reading: Duration::ZERO,
                preparing: started.elapsed(),
            },
        }
    }
}

fn prepare<'a>(photograph: Cow<'a, Photograph>, recipe: &Recipe, reading: Duration) -> Loaded<'a> {
    let started = Instant::now();
    let note = photograph.note().map(str::to_owned);
    let (photograph, crop) = match recipe.crop {
        Some(side) => {
            let Preprocessed { rgb, bounds, .. } =
                preprocess(&photograph, PreprocessMode::Full, side, false);
            (Cow::Owned(Photograph::of(rgb)), Some(bounds))
        }
        None => (photograph, None),
    };
    let mut preparation = Preparation::new(&photograph);
    let each = recipe.inputs.iter();
    let inputs = each.map(|input| preparation.input(&input.preprocessing, input.mode, input.bytes));
    Loaded {
        inputs: inputs.collect(),
        about: About {
            note,
            photograph: recipe.keep_photographs.then_some(photograph),
            crop,
            reading,
            preparing: started.elapsed(),
        },
    }
}

fn load_tensor(data: TensorData, channels: usize) -> Result<Prepared> {
    let wrong = |reason: String| {
        Err(Error::Tensor {
            shape: data.shape.to_vec(),
            reason,
        })
    };
    let &[found, height, width] = &data.shape[..] else {
        return wrong("expected [channels, height, width]".into());
    };
    if found != channels || height == 0 || width == 0 {
        let takes = format!("the network takes [{channels}, height, width]");
        return wrong(takes + ", neither of them 0");
    }
    let size = Size { width, height };
    let values: Vec<f32> = match data.clone().convert_dtype(DType::F32).into_vec() {
        Ok(values) => values,
        Err(error) => return wrong(format!("{error:?}")),
    };
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return wrong(format!("value {index} is {}", values[index]));
    }
    Ok(Prepared {
        pixels: Arc::new(Pixels::Floats(values)),
        geometry: Geometry::stretched(size, size),
        bounds: None,
    })
}
