//! What can be predicted: photographs, files of photographs, tensors.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use vascx_convert::Preprocessing;

use crate::decode::DecodeLimits;
use crate::error::{Error, Result, alone};
use crate::geometry::{Geometry, Size};
use crate::photograph::Photograph;
use crate::preprocess::{Bounds, Pixels, Prepared, PreprocessMode, Preprocessed, prepare};

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

impl<'a> From<&'a Photograph> for Source<'a> {
    fn from(photograph: &'a Photograph) -> Self {
        Self::Photograph(Cow::Borrowed(photograph))
    }
}

impl From<Photograph> for Source<'_> {
    fn from(photograph: Photograph) -> Self {
        Self::Photograph(Cow::Owned(photograph))
    }
}

impl<'a> From<&'a Preprocessed> for Source<'a> {
    fn from(preprocessed: &'a Preprocessed) -> Self {
        Self::Preprocessed(Cow::Borrowed(preprocessed))
    }
}

impl From<Preprocessed> for Source<'_> {
    fn from(preprocessed: Preprocessed) -> Self {
        Self::Preprocessed(Cow::Owned(preprocessed))
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(file: &'a [u8]) -> Self {
        Self::Encoded(Cow::Borrowed(file))
    }
}

impl From<Vec<u8>> for Source<'_> {
    fn from(file: Vec<u8>) -> Self {
        Self::Encoded(Cow::Owned(file))
    }
}

impl<'a> From<&'a str> for Source<'a> {
    fn from(path: &'a str) -> Self {
        Path::new(path).into()
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(Cow::Borrowed(path))
    }
}

impl<'a> From<&'a PathBuf> for Source<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(Cow::Borrowed(path))
    }
}

impl From<PathBuf> for Source<'_> {
    fn from(path: PathBuf) -> Self {
        Self::Path(Cow::Owned(path))
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
        images
            .iter_dim(0)
            .map(|image| image.squeeze_dim::<3>(0))
            .collect()
    }
}

impl<'a, T: Into<Source<'a>>> FromIterator<T> for Sources<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(list: I) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

/// What turns sources into network inputs.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) preprocessing: Preprocessing,
    pub(crate) mode: PreprocessMode,
    /// Whether photographs are needed after they are prepared.
    pub(crate) keep_photographs: bool,
    pub(crate) limits: DecodeLimits,
    /// Whether grey levels remain bytes, where they are whole, and are normalised later.
    pub(crate) bytes: bool,
}

/// A source as network input.
#[derive(Debug)]
pub(crate) struct Loaded<'a> {
    pub(crate) pixels: Pixels,
    pub(crate) geometry: Geometry,
    /// Where the network input lies in the photograph; none for a tensor.
    pub(crate) bounds: Option<Bounds>,
    /// What the user should know of its file.
    pub(crate) note: Option<String>,
    /// The photograph, if it was to be kept.
    pub(crate) photograph: Option<Cow<'a, Photograph>>,
    /// How long reading and preparing it took.
    pub(crate) elapsed: Duration,
}

impl<'a> Source<'a> {
    /// Decodes and preprocesses.
    pub(crate) fn load(self, recipe: &Recipe) -> Result<Loaded<'a>> {
        let started = Instant::now();
        let mut loaded = match self {
            Self::Photograph(photograph) => load_photograph(photograph, recipe),
            Self::Path(path) => alone(&path.clone(), || {
                let photograph = Photograph::open_within(path, recipe.limits)?;
                Ok(load_photograph(Cow::Owned(photograph), recipe))
            })?,
            Self::Encoded(file) => {
                let photograph = Photograph::decode(file.into_owned(), recipe.limits)?;
                load_photograph(Cow::Owned(photograph), recipe)
            }
            Self::Preprocessed(preprocessed) => {
                loaded(preprocessed.prepare(&recipe.preprocessing, recipe.bytes)?)
            }
            Self::Tensor(data) => load_tensor(data, recipe.preprocessing.channels())?,
        };
        loaded.elapsed = started.elapsed();
        Ok(loaded)
    }
}

fn load_photograph<'a>(photograph: Cow<'a, Photograph>, recipe: &Recipe) -> Loaded<'a> {
    let prepared = prepare(
        &photograph,
        &recipe.preprocessing,
        recipe.mode,
        recipe.bytes,
    );
    Loaded {
        note: photograph.note().map(str::to_owned),
        photograph: recipe.keep_photographs.then_some(photograph),
        ..loaded(prepared)
    }
}

/// A network input without its photograph.
fn loaded<'a>(prepared: Prepared) -> Loaded<'a> {
    Loaded {
        pixels: prepared.pixels,
        geometry: prepared.geometry,
        bounds: Some(prepared.bounds),
        note: None,
        photograph: None,
        elapsed: Duration::ZERO,
    }
}

fn load_tensor<'a>(data: TensorData, channels: usize) -> Result<Loaded<'a>> {
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
        return wrong(format!(
            "the network takes [{channels}, height, width], neither of them 0"
        ));
    }
    let size = Size { width, height };
    let values: Vec<f32> = match data.clone().convert_dtype(DType::F32).into_vec() {
        Ok(values) => values,
        Err(error) => return wrong(format!("{error:?}")),
    };
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return wrong(format!("value {index} is {}", values[index]));
    }
    Ok(Loaded {
        pixels: Pixels::Floats(values),
        geometry: Geometry::stretched(size, size),
        bounds: None,
        note: None,
        photograph: None,
        elapsed: Duration::ZERO,
    })
}
