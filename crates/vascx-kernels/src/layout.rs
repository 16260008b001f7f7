//! Bringing maps to the layout in which kernels read them.

use rayon::prelude::*;

use crate::simd::{Kernel, Vector};
use crate::{Element, InstructionSet, Shape};

/// Copies `[N, channels, H, W]` to `[N, H, W, channels]`.
///
/// # Panics
/// When the sizes of input or output do not fit.
pub fn put_channels_last<E: Element>(shape: Shape, channels: usize, input: &[E], output: &mut [E]) {
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    assert_eq!(output.len(), input.len(), "output's size");
    if output.is_empty() {
        return;
    }
    let plane = shape.height * shape.width;
    let rows = output.par_chunks_exact_mut(shape.width * channels);
    rows.enumerate().for_each(|(row, output)| {
        let (image, y) = (row / shape.height, row % shape.height);
        let first = image * channels * plane + y * shape.width;
        for channel in 0..channels {
            let values = &input[first + channel * plane..][..shape.width];
            let targets = output[channel..].iter_mut().step_by(channels);
            for (target, value) in targets.zip(values) {
                *target = *value;
            }
        }
    });
}

/// Values per task of [`convert`].
const BLOCK: usize = 16 << 10;

/// Copies values from one type to another, rounded to the nearest.
///
/// # Panics
/// When the sizes differ.
pub fn convert<I: Element, O: Element>(input: &[I], output: &mut [O]) {
    assert_eq!(input.len(), output.len(), "output's size");
    let blocks = output.par_chunks_mut(BLOCK).zip(input.par_chunks(BLOCK));
    let set = InstructionSet::current();
    blocks.for_each(|(output, input)| set.run(Convert { input, output }));
}

struct Convert<'a, I, O> {
    input: &'a [I],
    output: &'a mut [O],
}

impl<I: Element, O: Element> Kernel for Convert<'_, I, O> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let input = self.input.chunks(V::LANES);
        for (input, output) in input.zip(self.output.chunks_mut(V::LANES)) {
            O::store(I::load::<V>(input, input.len()), output, input.len());
        }
    }
}
