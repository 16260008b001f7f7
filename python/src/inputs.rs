//! Python objects as inputs: paths, bytes of files, pictures of Pillow, arrays.

use std::path::PathBuf;

use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
use vascx::burn::tensor::TensorData;
use vascx::inference::{DecodeLimits, Photograph, Source};

use crate::errors::{exception, guarded};

/// What an object is as an input.
enum Kind {
    Path,
    Bytes,
    /// With a method `read`.
    File,
    /// Of Pillow.
    Picture,
    /// Of NumPy, or what can become one without being copied element by element.
    Array,
}

impl Kind {
    /// None for a collection of inputs, and for what is no input at all.
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let has = |name: &str| object.hasattr(name);
        Ok(
            if object.is_instance_of::<PyString>() || has("__fspath__")? {
                Some(Self::Path)
            } else if object.is_instance_of::<PyBytes>()
                || object.is_instance_of::<PyByteArray>()
                || object.is_instance_of::<PyMemoryView>()
            {
                Some(Self::Bytes)
            } else if has("getbands")? && has("convert")? {
                Some(Self::Picture)
            } else if has("__array__")? || has("__array_interface__")? || has("__dlpack__")? {
                Some(Self::Array)
            } else if has("read")? {
                Some(Self::File)
            } else {
                None
            },
        )
    }
}

/// Whether an object is one input, rather than a collection of them.
#[pyfunction]
pub(crate) fn is_single(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(Kind::of(object)?.is_some())
}

/// A photograph; its file is read when its turn comes.
pub(crate) fn source(object: &Bound<'_, PyAny>) -> PyResult<Source<'static>> {
    match Kind::of(object)? {
        Some(Kind::Path) => Ok(object.extract::<PathBuf>()?.into()),
        Some(Kind::Bytes) => Ok(bytes(object)?.into()),
        Some(Kind::File) => Ok(bytes(&object.call_method0("read")?)?.into()),
        Some(Kind::Picture) => Ok(picture(object)?.into()),
        Some(Kind::Array) => Ok(pixels(&array(object)?)?.into()),
        None => Err(PyTypeError::new_err(format!(
            "{} is no photograph; give a path, the bytes of an image file, a Pillow image or an array",
            object.get_type().name()?
        ))),
    }
}

/// A photograph, decoded.
pub(crate) fn photograph(object: &Bound<'_, PyAny>) -> PyResult<Photograph> {
    let opened = match source(object)? {
        Source::Path(path) => object
            .py()
            .detach(|| guarded(|| Ok(Photograph::open(path))))?,
        Source::Encoded(file) => {
            let file = file.into_owned();
            let decode = || Ok(Photograph::decode(file, DecodeLimits::default()));
            object.py().detach(|| guarded(decode))?
        }
        Source::Photograph(photograph) => return Ok(photograph.into_owned()),
        _ => unreachable!("photographs are paths, bytes or pixels"),
    };
    opened.map_err(|error| exception(&error))
}

/// A network input `[C, H, W]`, preprocessed and normalised.
pub(crate) fn tensor(object: &Bound<'_, PyAny>) -> PyResult<Source<'static>> {
    let array = array(object)?;
    let array: Bound<'_, PyArrayDyn<f32>> = contiguous(array.as_any(), "float32")?.cast_into()?;
    let array = array.readonly();
    let shape = array.shape().to_vec();
    Ok(Source::Tensor(TensorData::new(
        array.as_slice()?.to_vec(),
        shape,
    )))
}

fn bytes(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    // Python's limited interface of 3.10 has no buffers.
    let bytes = object.py().get_type::<PyBytes>().call1((object,))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// Grey, colour and 16-bit pixels as Pillow holds them; those of palettes, inks and so on converted by Pillow.
fn picture(object: &Bound<'_, PyAny>) -> PyResult<Photograph> {
    let mode: String = object.getattr("mode")?.extract()?;
    let direct = matches!(mode.as_str(), "RGB" | "RGBA" | "L" | "LA") || mode.starts_with("I;16");
    if direct {
        pixels(&array(object)?)
    } else {
        pixels(&array(&object.call_method1("convert", ("RGB",))?)?)
    }
}

fn array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let numpy = object.py().import("numpy")?;
    let from_dlpack = !object.hasattr("__array__")? && !object.hasattr("__array_interface__")?;
    let convert = if from_dlpack {
        "from_dlpack"
    } else {
        "asarray"
    };
    Ok(numpy.call_method1(convert, (object,))?.cast_into()?)
}

fn contiguous<'py>(array: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
    let numpy = array.py().import("numpy")?;
    numpy.call_method1("ascontiguousarray", (array, dtype))
}

/// A photograph of an array `[H, W]`, `[H, W, C]` or `[C, H, W]` of 1 (grey), 3 (RGB) or 4 (RGBA) channels: of
/// 0…255, 0…65 535 or, floats, 0…1.
fn pixels(array: &Bound<'_, PyUntypedArray>) -> PyResult<Photograph> {
    let shape = array.shape().to_vec();
    let refused = || {
        PyValueError::new_err(format!(
            "an array of shape {shape:?} is no photograph; give [H, W], [H, W, C] or [C, H, W] with 1, 3 or 4 \
             channels, one photograph an array (network inputs: tensors=True)"
        ))
    };
    let of_channels = |count: usize| matches!(count, 1 | 3 | 4);
    let [height, width, channels] = match shape[..] {
        [height, width] => [height, width, 1],
        [height, width, channels] if of_channels(channels) || channels == 2 => {
            [height, width, channels]
        }
        [channels, height, width] if of_channels(channels) => [height, width, channels],
        _ => return Err(refused()),
    };
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(refused());
    };
    let last = shape.len() == 2 || shape[2] == channels;
    let array = if last {
        array.as_any().clone()
    } else {
        array.call_method1("transpose", ([1, 2, 0],))?
    };
    let dtype: String = array.getattr("dtype")?.getattr("name")?.extract()?;
    let bytes = match dtype.as_str() {
        "uint8" => rgb(&values::<u8>(&array, "uint8")?, channels, |value| {
            Some(value)
        }),
        "bool" => rgb(&values::<u8>(&array, "uint8")?, channels, |value| {
            Some(255 * value)
        }),
        "uint16" => rgb(&values::<u16>(&array, "uint16")?, channels, |value| {
            Some(((u32::from(value) + 128) / 257) as u8)
        }),
        "float16" | "float32" | "float64" => {
            rgb(&values::<f64>(&array, "float64")?, channels, |value| {
                (0.0..=1.0)
                    .contains(&value)
                    .then(|| (value * 255.0).round() as u8)
            })
        }
        _ => {
            return Err(PyTypeError::new_err(format!(
                "pixels of {dtype} have no known range; give uint8, uint16 or floats of 0 to 1"
            )));
        }
    };
    let Some(bytes) = bytes else {
        return Err(PyValueError::new_err(
            "floats are pixels from 0 to 1, and some are beyond; divide by the largest possible value \
             (network inputs: tensors=True)",
        ));
    };
    Photograph::from_rgb(w, h, bytes).map_err(|error| exception(&error))
}

fn values<T: numpy::Element + Clone>(array: &Bound<'_, PyAny>, dtype: &str) -> PyResult<Vec<T>> {
    let array: Bound<'_, PyArrayDyn<T>> = contiguous(array, dtype)?.cast_into()?;
    Ok(array.readonly().as_slice()?.to_vec())
}

/// Interleaved RGB; none where a value has no byte.
fn rgb<T: Copy>(values: &[T], channels: usize, byte: impl Fn(T) -> Option<u8>) -> Option<Vec<u8>> {
    let colours = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    let mut rgb = Vec::with_capacity(values.len() / channels * 3);
    for pixel in values.chunks_exact(channels) {
        for colour in colours {
            rgb.push(byte(pixel[colour])?);
        }
    }
    Some(rgb)
}
