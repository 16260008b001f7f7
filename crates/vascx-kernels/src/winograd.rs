//! 3 × 3 convolution with stride 1 and same-padding by Winograd's F(4 × 4, 3 × 3): Lavin and Gray,
//! "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016,
//! <https://arxiv.org/abs/1509.09308>). 36 products give 16 results of 9 taps each: a quarter of
//! the multiplications.
//!
//! Tiles are taken in blocks whose transforms stay in the second-level cache.

use rayon::prelude::*;

mod filters;
mod panels;
mod transform;

use self::filters::Filters;
use self::panels::Panels;
use crate::gemm::Tile;
use crate::matrix::padded_bias;
use crate::simd::{InstructionSet, Kernel, Vector};
use crate::{Activation, Epilogue, Memory, Shape};

/// Side of a tile of results.
const TILE: usize = 4;
/// Side of the input that a tile needs.
const PATCH: usize = 6;
/// Positions of a transformed tile.
const POSITIONS: usize = PATCH * PATCH;
/// Tiles per block.
const BLOCK: usize = 32;
/// Columns whose products are kept at a time; those of a block stay in the second-level cache.
const COLUMNS: usize = 64;
/// Inputs that are multiplied at a time with filters that are transformed on the way.
const DEPTH: usize = 64;

/// What is multiplied at a time.
#[derive(Clone, Copy, Debug)]
struct Blocking {
    /// Panels of filters, whose products are kept.
    panels: usize,
    /// Inputs.
    depth: usize,
}

impl Blocking {
    /// Filters that are transformed on the way need their place in the second-level cache, too.
    fn new(tile: Tile, outputs: usize, inputs: usize) -> Self {
        if filters::transformed_on_the_way(outputs, inputs) {
            return Self {
                panels: 1,
                depth: DEPTH,
            };
        }
        Self {
            panels: (COLUMNS / tile.columns).clamp(1, tile.panels(outputs)),
            depth: inputs,
        }
    }
}

/// A 3 × 3 convolution, ready to run: stride 1, one pixel of zeros around the image.
#[derive(Clone, Debug)]
pub struct Conv3x3 {
    inputs: usize,
    outputs: usize,
    set: InstructionSet,
    tile: Tile,
    blocking: Blocking,
    filters: Filters,
    /// One per column of every panel.
    bias: Memory,
}

impl Conv3x3 {
    /// Transforms and packs weights `[outputs, inputs, 3, 3]`.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn new(weights: &[f32], outputs: usize, inputs: usize, bias: Option<&[f32]>) -> Self {
        Self::with_instructions(InstructionSet::current(), weights, outputs, inputs, bias)
    }

    /// The same with a certain instruction set, which the machine must have.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn with_instructions(
        set: InstructionSet,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
        bias: Option<&[f32]>,
    ) -> Self {
        assert_eq!(weights.len(), outputs * inputs * 9, "weights of 3 × 3");
        assert!(set.is_available(), "{}", set.name());
        let tile = Tile::new(set, outputs);
        Self {
            inputs,
            outputs,
            set,
            tile,
            blocking: Blocking::new(tile, outputs, inputs),
            filters: Filters::new(set, tile, weights, outputs, inputs),
            bias: padded_bias(bias, outputs, tile.panels(outputs) * tile.columns),
        }
    }

    /// Convolves a feature map given as several parts, each `[N, H, W, C]` with its number of
    /// channels, that count as concatenated along their channels. Writes `[N, H, W, outputs]`.
    ///
    /// # Panics
    /// When the sizes of inputs or output do not fit.
    pub fn run(
        &self,
        shape: Shape,
        parts: &[(&[f32], usize)],
        epilogue: Epilogue,
        output: &mut [f32],
    ) {
        let channels: usize = parts.iter().map(|(_, channels)| channels).sum();
        assert_eq!(channels, self.inputs, "channels of all parts together");
        for (values, channels) in parts {
            assert_eq!(values.len(), shape.pixels() * channels, "a part's size");
        }
        assert_eq!(output.len(), shape.pixels() * self.outputs, "output's size");
        if output.is_empty() {
            return;
        }
        let tiles_per_row = shape.width.div_ceil(TILE);
        let tile_rows = (BLOCK / tiles_per_row).max(1);
        let row = shape.width * self.outputs;
        let bands_per_image = shape.height.div_ceil(tile_rows * TILE);
        let groups = self.groups(shape.images * bands_per_image);
        output
            .par_chunks_exact_mut(shape.height * row)
            .enumerate()
            .for_each(|(image, output)| {
                let bands = output.par_chunks_mut(tile_rows * TILE * row).enumerate();
                bands.for_each(|(band, output)| {
                    let band = Band {
                        convolution: self,
                        shape,
                        parts,
                        image,
                        first_row: band * tile_rows * TILE,
                    };
                    if groups > 1 {
                        band.run_groups(groups, epilogue, output);
                    } else {
                        self.set.run(Panels {
                            band,
                            range: 0..self.tile.panels(self.outputs),
                            epilogue,
                            output,
                        });
                    }
                });
            });
    }

    /// Groups of output channels that are computed apart, so that there is work for all threads
    /// where the image has few bands.
    fn groups(&self, bands: usize) -> usize {
        let threads = rayon::current_num_threads();
        let panels = self.tile.panels(self.outputs);
        if bands.is_multiple_of(threads) || bands > 4 * threads {
            return 1;
        }
        let most = panels.div_ceil(self.blocking.panels);
        (2 * threads).div_ceil(bands).min(most).min(panels)
    }
}

/// Some whole rows of tiles of one image.
#[derive(Clone, Copy)]
struct Band<'a> {
    convolution: &'a Conv3x3,
    shape: Shape,
    parts: &'a [(&'a [f32], usize)],
    image: usize,
    /// First image row of the results.
    first_row: usize,
}

impl Band<'_> {
    /// Computes groups of channels in maps of their own and puts them together.
    fn run_groups(self, groups: usize, epilogue: Epilogue, output: &mut [f32]) {
        let Conv3x3 {
            outputs, set, tile, ..
        } = *self.convolution;
        let pixels = output.len() / outputs;
        let panels = tile.panels(outputs).div_ceil(groups);
        let width = panels * tile.columns;
        let parts: Vec<Memory> = (0..outputs.div_ceil(width))
            .into_par_iter()
            .map(|group| {
                let columns = width.min(outputs - group * width);
                let mut part = Memory::zeros(pixels * columns);
                set.run(Panels {
                    band: self,
                    range: group * panels..group * panels + columns.div_ceil(tile.columns),
                    epilogue: Activation::Identity.into(),
                    output: &mut part,
                });
                part
            })
            .collect();
        for (pixel, output) in output.chunks_exact_mut(outputs).enumerate() {
            for (part, target) in parts.iter().zip(output.chunks_mut(width)) {
                let part = &part[pixel * target.len()..][..target.len()];
                if epilogue.residual {
                    target
                        .iter_mut()
                        .zip(part)
                        .for_each(|(sum, part)| *sum += part);
                } else {
                    target.copy_from_slice(part);
                }
            }
        }
        set.run(Finish { epilogue, output });
    }
}

/// What is left to do on results.
struct Finish<'a> {
    epilogue: Epilogue,
    output: &'a mut [f32],
}

impl Kernel for Finish<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let floor = V::splat(self.epilogue.floor());
        for values in self.output.chunks_mut(V::LANES) {
            let count = values.len();
            let value = V::load_part(values, count);
            floor.max(value).store_part(values, count);
        }
        self.epilogue.finish::<V, f32>(self.output);
    }
}
