//! Normalisation with statistics of the input itself.

use rayon::prelude::*;

use crate::activation::{activate, for_activation};
use crate::simd::{Element, InstructionSet, Kernel, Vector};
use crate::{Activation, Shape};

/// Pixels whose statistics are taken together; they stay in the cache between the two passes.
const BLOCK: usize = 128;

/// Scale and shift per channel after normalising.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Factors.
    pub scale: &'a [f32],
    /// Addends.
    pub shift: &'a [f32],
}

/// Normalisation of groups of channels of each image over all pixels.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// As many as channels: instance norm.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Follows, if there is one.
    pub affine: Option<Affine<'a>>,
    /// Applied last.
    pub activation: Activation,
}

impl GroupNorm<'_> {
    /// Normalises `[N, H, W, channels]`.
    ///
    /// # Panics
    /// When sizes do not fit.
    pub fn run<E: Element>(
        self,
        set: InstructionSet,
        shape: Shape,
        channels: usize,
        input: &[E],
        output: &mut [E],
    ) {
        assert_eq!(input.len(), shape.pixels() * channels, "input's size");
        assert_eq!(output.len(), input.len(), "output's size");
        assert!(channels.is_multiple_of(self.groups), "channels per group");
        if input.is_empty() {
            return;
        }
        let size = shape.height * shape.width * channels;
        let images = input.chunks_exact(size).zip(output.chunks_exact_mut(size));
        for (input, output) in images {
            let blocks: Vec<Statistics> = input
                .par_chunks(BLOCK * channels)
                .map(|block| Statistics::of(set, block, channels))
                .collect();
            let total = blocks
                .into_iter()
                .reduce(|a, b| a.join(&b))
                .expect("an image has pixels");
            let (factor, addend) = total.normalising(&self);
            output
                .par_chunks_mut(BLOCK * channels)
                .zip(input.par_chunks(BLOCK * channels))
                .for_each(|(output, input)| {
                    set.run(Scale {
                        factor: &factor,
                        addend: &addend,
                        activation: self.activation,
                        input,
                        output,
                    });
                });
        }
    }
}

/// Mean and squared deviations per channel.
struct Statistics {
    count: f64,
    mean: Vec<f64>,
    deviations: Vec<f64>,
}

impl Statistics {
    /// In two passes, so that nothing cancels.
    fn of<E: Element>(set: InstructionSet, block: &[E], channels: usize) -> Self {
        let mut mean = vec![0.0; channels];
        let mut deviations = vec![0.0; channels];
        set.run(Moments {
            block,
            mean: &mut mean,
            deviations: &mut deviations,
        });
        Self {
            count: (block.len() / channels) as f64,
            mean: mean.into_iter().map(f64::from).collect(),
            deviations: deviations.into_iter().map(f64::from).collect(),
        }
    }

    /// Of two blocks together: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm
    /// for Computing Sample Variances" (1979).
    fn join(mut self, other: &Self) -> Self {
        let count = self.count + other.count;
        for channel in 0..self.mean.len() {
            let difference = other.mean[channel] - self.mean[channel];
            self.mean[channel] += difference * other.count / count;
            self.deviations[channel] += other.deviations[channel]
                + difference * difference * self.count * other.count / count;
        }
        self.count = count;
        self
    }

    /// Factor and addend per channel that normalise.
    fn normalising(&self, norm: &GroupNorm) -> (Vec<f32>, Vec<f32>) {
        let GroupNorm {
            groups,
            epsilon,
            affine,
            ..
        } = *norm;
        let size = self.mean.len() / groups;
        let channels = self
            .mean
            .chunks_exact(size)
            .zip(self.deviations.chunks_exact(size));
        let mut factors = Vec::with_capacity(self.mean.len());
        let mut addends = Vec::with_capacity(self.mean.len());
        for (means, deviations) in channels {
            let mean = means.iter().sum::<f64>() / size as f64;
            let between: f64 = means.iter().map(|channel| (channel - mean).powi(2)).sum();
            let within = deviations.iter().sum::<f64>() / self.count;
            let spread = ((within + between) / size as f64 + epsilon).sqrt();
            for _ in 0..size {
                let channel = factors.len();
                let (scale, shift) = affine.map_or((1.0, 0.0), |affine| {
                    (affine.scale[channel].into(), affine.shift[channel].into())
                });
                let factor: f64 = scale / spread;
                factors.push(factor as f32);
                addends.push((shift - mean * factor) as f32);
            }
        }
        (factors, addends)
    }
}

/// Means and squared deviations of the channels of some pixels.
struct Moments<'a, E> {
    block: &'a [E],
    mean: &'a mut [f32],
    deviations: &'a mut [f32],
}

impl<E: Element> Kernel for Moments<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let channels = self.mean.len();
        let mut first = 0;
        while channels - first >= 4 * V::LANES {
            self.of_vectors::<V, 4>(first, V::LANES);
            first += 4 * V::LANES;
        }
        while first < channels {
            let lanes = V::LANES.min(channels - first);
            self.of_vectors::<V, 1>(first, lanes);
            first += lanes;
        }
    }
}

impl<E: Element> Moments<'_, E> {
    /// Of `N` vectors of channels; only a single one may be shorter than `V::LANES`.
    #[inline(always)]
    fn of_vectors<V: Vector, const N: usize>(&mut self, first: usize, lanes: usize) {
        let channels = self.mean.len();
        let load =
            |pixel: &[E], index: usize| -> V { E::load(&pixel[first + index * V::LANES..], lanes) };
        let mut sums = [V::splat(0.0); N];
        for pixel in self.block.chunks_exact(channels) {
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(load(pixel, index));
            }
        }
        let count = V::splat((self.block.len() / channels) as f32);
        let means = sums.map(|sum| sum.div(count));
        let mut squares = [V::splat(0.0); N];
        for pixel in self.block.chunks_exact(channels) {
            for (index, (square, mean)) in squares.iter_mut().zip(means).enumerate() {
                let deviation = load(pixel, index).sub(mean);
                *square = square.add(deviation.mul(deviation));
            }
        }
        for (index, (mean, square)) in means.into_iter().zip(squares).enumerate() {
            let at = first + index * V::LANES;
            mean.store_part(&mut self.mean[at..], lanes);
            square.store_part(&mut self.deviations[at..], lanes);
        }
    }
}

/// `activation(x · factor + addend)`, factor and addend per channel.
struct Scale<'a, E> {
    factor: &'a [f32],
    addend: &'a [f32],
    activation: Activation,
    input: &'a [E],
    output: &'a mut [E],
}

impl<E: Element> Kernel for Scale<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        for_activation!(self.activation, |activation| self.scale::<V>(activation));
    }
}

impl<E: Element> Scale<'_, E> {
    #[inline(always)]
    fn scale<V: Vector>(&mut self, activation: Activation) {
        let channels = self.factor.len();
        let pixels = self.input.chunks_exact(channels);
        for (input, output) in pixels.zip(self.output.chunks_exact_mut(channels)) {
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let load = |values: &[f32]| V::load_part(&values[channel..], count);
                let value: V = E::load(&input[channel..], count);
                let value = value.mul_add(load(self.factor), load(self.addend));
                E::store(activate(value, activation), &mut output[channel..], count);
            }
        }
    }
}

/// Normalises every row of `affine`'s length by itself.
///
/// # Panics
/// When sizes do not fit.
pub fn layer_norm<E: Element>(
    set: InstructionSet,
    epsilon: f64,
    affine: Affine,
    input: &[E],
    output: &mut [E],
) {
    let columns = affine.scale.len();
    assert_eq!(affine.shift.len(), columns, "shift's size");
    assert_eq!(output.len(), input.len(), "output's size");
    assert!(input.len().is_multiple_of(columns), "whole rows");
    let block = BLOCK * columns;
    let blocks = output.par_chunks_mut(block).zip(input.par_chunks(block));
    blocks.for_each(|(output, input)| {
        set.run(NormRows {
            epsilon,
            affine,
            input,
            output,
        });
    });
}

struct NormRows<'a, E> {
    epsilon: f64,
    affine: Affine<'a>,
    input: &'a [E],
    output: &'a mut [E],
}

impl<E: Element> Kernel for NormRows<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Affine { scale, shift } = self.affine;
        let columns = scale.len();
        let rows = self.input.chunks_exact(columns);
        for (input, output) in rows.zip(self.output.chunks_exact_mut(columns)) {
            let mean = sum::<V, E>(input, |value, _| value) / columns as f32;
            let centre = V::splat(mean);
            let squares = sum::<V, E>(input, |value, count| {
                // Zero beyond the end of a row, like the values.
                let centred = value.sub(V::load_part(&[mean; 16], count));
                centred.mul(centred)
            });
            let variance = f64::from(squares) / columns as f64;
            let factor = V::splat((1.0 / (variance + self.epsilon).sqrt()) as f32);
            for column in (0..columns).step_by(V::LANES) {
                let count = V::LANES.min(columns - column);
                let load = |values: &[f32]| V::load_part(&values[column..], count);
                let value: V = E::load(&input[column..], count);
                let value = value.sub(centre).mul(factor);
                let value = value.mul_add(load(scale), load(shift));
                E::store(value, &mut output[column..], count);
            }
        }
    }
}

/// The sum of a function of the values and their number; what is missing in the last vector is
/// zero.
#[inline(always)]
fn sum<V: Vector, E: Element>(values: &[E], function: impl Fn(V, usize) -> V) -> f32 {
    let mut sums = V::splat(0.0);
    for column in (0..values.len()).step_by(V::LANES) {
        let count = V::LANES.min(values.len() - column);
        sums = sums.add(function(E::load(&values[column..], count), count));
    }
    let mut lanes = [0.0; 16];
    sums.store(&mut lanes);
    lanes[..V::LANES].iter().sum()
}
