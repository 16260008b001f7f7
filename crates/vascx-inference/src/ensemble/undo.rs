//! Bringing maps back to the photograph's pixels on the device, in the host's order of operations.

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

use crate::geometry::{Geometry, Tap};

/// Values that are interpolated at a time; bounds the memory that large photographs need.
const VALUES_AT_ONCE: usize = 1 << 25;

/// Bands of rows, `[C, h, width]` each, of maps `[C, H, W]` resampled at the photograph's pixels;
/// what [`Geometry::maps_to_photograph`] does on the host.
pub(super) fn to_photograph<B: Backend>(
    maps: Tensor<B, 3>,
    geometry: &Geometry,
) -> impl Iterator<Item = Tensor<B, 3>> {
    let (columns, rows) = geometry.taps_to_photograph();
    let per_row = maps.dims()[0] * columns.len();
    let maps = mix(maps, 2, &columns);
    let band = (VALUES_AT_ONCE / per_row).max(1);
    let bands = rows.len().div_ceil(band);
    (0..bands).map(move |index| {
        let rows = &rows[index * band..rows.len().min((index + 1) * band)];
        mix(maps.clone(), 1, rows)
    })
}

/// Mixes neighbours along an axis of `[C, H, W]`; nothing is 0.
fn mix<B: Backend>(maps: Tensor<B, 3>, axis: usize, taps: &[Option<Tap>]) -> Tensor<B, 3> {
    let device = maps.device();
    let mut shape = [1, 1, 1];
    shape[axis] = taps.len();
    let part = |index: fn(&Tap) -> isize, weight: fn(&Tap) -> f32| {
        let indices: Vec<i32> = taps
            .iter()
            .map(|tap| tap.as_ref().map_or(0, index) as i32)
            .collect();
        let weights: Vec<f32> = taps
            .iter()
            .map(|tap| tap.as_ref().map_or(0.0, weight))
            .collect();
        let indices = TensorData::new(indices, [taps.len()]);
        let indices = Tensor::<B, 1, Int>::from_data(indices, &device);
        // Flat, since a card would get it value by value: each is a row.
        let weights = TensorData::new(weights, [taps.len()]);
        let weights = Tensor::<B, 1>::from_data(weights, &device).reshape(shape);
        maps.clone().select(axis, indices) * weights
    };
    part(|tap| tap.first, Tap::weight_first) + part(|tap| tap.second, Tap::weight_second)
}
