//! Photographs as networks see them, and the way back.

use numpy::{
    IntoPyArray, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use vascx::image::{GrayImage, RgbImage};
use vascx::inference::{Bounds, Cancel};

use crate::ensemble::preprocess_mode;
use crate::errors::{VascxError, exception, guarded};
use crate::inputs;
use crate::threads::interruptible;

/// The largest side of a square, as of networks' inputs.
const LARGEST: usize = 16_384;

/// A photograph brought to a square.
#[pyclass(frozen, module = "vascx_rs._native")]
pub(crate) struct Square {
    #[pyo3(get)]
    rgb: Py<PyArray3<u8>>,
    #[pyo3(get)]
    contrast: Option<Py<PyArray3<u8>>>,
    bounds: Bounds,
    side: usize,
}

/// Brings a photograph to a square.
#[pyfunction]
pub(crate) fn preprocess(
    py: Python<'_>,
    photograph: &Bound<'_, PyAny>,
    mode: &str,
    size: usize,
    contrast: bool,
) -> PyResult<Square> {
    let Some(mode) = preprocess_mode(mode)? else {
        return Err(PyValueError::new_err(
            "preprocess is full, simple, resize or crop here",
        ));
    };
    if !(1..=LARGEST).contains(&size) {
        return Err(exception(&vascx::inference::Error::SquareSize(size)));
    }
    let photograph = inputs::photograph(photograph)?;
    let square = interruptible(py, &Cancel::default(), move || {
        Ok(vascx::inference::preprocess(
            &photograph,
            mode,
            size,
            contrast,
        ))
    })?;
    let array = |image: RgbImage| -> PyResult<Py<PyArray3<u8>>> {
        let (width, height) = image.dimensions();
        let shape = [height as usize, width as usize, 3];
        Ok(image.into_raw().into_pyarray(py).reshape(shape)?.unbind())
    };
    Ok(Square {
        rgb: array(square.rgb)?,
        contrast: square.enhanced.map(array).transpose()?,
        bounds: square.bounds,
        side: size,
    })
}

#[pymethods]
impl Square {
    /// Where the square lies in the photograph, as JSON.
    fn bounds(&self) -> PyResult<String> {
        serde_json::to_string(&self.bounds).map_err(|error| VascxError::new_err(error.to_string()))
    }

    /// A map on the square in the photograph's pixels; 0 outside.
    fn map_to_photograph<'py>(
        &self,
        py: Python<'py>,
        map: PyReadonlyArray2<'py, u8>,
    ) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let &[height, width] = map.shape() else {
            unreachable!("two axes")
        };
        let values: Vec<u8> = map.as_array().iter().copied().collect();
        let map = py.detach(|| {
            guarded(|| {
                let map = GrayImage::from_raw(width as u32, height as u32, values);
                let map = map.expect("one byte per pixel");
                self.bounds
                    .map_to_photograph(&map)
                    .map_err(|error| exception(&error))
            })
        })?;
        let (width, height) = map.dimensions();
        map.into_raw()
            .into_pyarray(py)
            .reshape([height as usize, width as usize])
    }

    /// Points (x, y) on the square in the photograph's pixels.
    fn points_to_photograph<'py>(
        &self,
        py: Python<'py>,
        points: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let points = points.as_array();
        if points.shape()[1] != 2 {
            return Err(PyValueError::new_err("points are rows of x and y, [K, 2]"));
        }
        let mut found = Vec::with_capacity(points.len());
        for row in points.rows() {
            let point = self.bounds.point_to_photograph(row[0], row[1], self.side);
            found.extend([point.x, point.y]);
        }
        let count = points.shape()[0];
        found.into_pyarray(py).reshape([count, 2])
    }
}
