//! Tensors outside of a device.

use serde::Serialize;

/// One stored tensor.
#[derive(Debug, Serialize)]
pub struct TensorInfo {
    /// Path in the file.
    pub name: String,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Stored element type, e.g. `f32`.
    pub dtype: &'static str,
}

/// A contiguous f32 tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// The matrix of `rows` × `columns` with its axes swapped.
    #[must_use]
    pub fn transposed(self, rows: usize, columns: usize) -> Self {
        let values = (0..columns).flat_map(|column| {
            let values = &self.values;
            (0..rows).map(move |row| values[row * columns + column])
        });
        Self {
            values: values.collect(),
            shape: vec![columns, rows],
        }
    }
}
