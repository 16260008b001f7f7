//! Convolution whose results are pooled while they are in the cache: they need not pass through memory.

use std::cell::Cell;

use rayon::prelude::*;

use super::{Bands, Convolution};
use crate::pool::Line;
use crate::{Activation, Memory, Shape, Sliding};

/// Most rows of pooled results per task. The rows that a window reaches beyond are computed for each.
const ROWS: usize = 32;

thread_local! {
    /// Rows of results, each at its number modulo the window's reach; kept, because fresh memory costs
    /// page faults.
    static RESULTS: Cell<Memory> = const { Cell::new(Memory::EMPTY) };
}

impl Convolution {
    /// The largest activated result under every place of a window, as [`crate::max_pool`] gives it of what
    /// [`Convolution::run`] writes. Writes `[N, H', W', outputs]`.
    ///
    /// # Panics
    /// When the sizes of inputs, window or output do not fit.
    pub fn run_pooled(
        &self,
        shape: Shape,
        parts: &[(&[f32], usize)],
        activation: Activation,
        window: Sliding,
        output: &mut [f32],
    ) {
        let channels = self.matrix.columns;
        let results = self.check(shape, parts);
        let pooled = window.output(results).expect("the window fits the results");
        assert_eq!(output.len(), pooled.pixels() * channels, "output's size");
        if output.is_empty() {
            return;
        }
        let bands = Bands::new(self, shape, results, parts, false);
        let (result_row, pooled_row) = (results.width * channels, pooled.width * channels);
        let reach = window.reach(0);
        let rows = ROWS.min(pooled.height.div_ceil(rayon::current_num_threads()));
        let images = output.par_chunks_exact_mut(pooled.height * pooled_row);
        images.enumerate().for_each(|(image, output)| {
            let outputs = output.par_chunks_mut(rows * pooled_row).enumerate();
            outputs.for_each(|(band, output)| {
                let mut memory = RESULTS.take();
                let lines = memory.room(reach * result_row);
                let mut computed = 0;
                for (y, output) in (band * rows..).zip(output.chunks_exact_mut(pooled_row)) {
                    let taps = 0..window.kernel[0];
                    let taps = taps.filter_map(|tap| window.source(0, y, tap, results.height));
                    let under: Vec<usize> = taps.collect();
                    // Later windows read also the lines that a dilated one leaves out.
                    let top = (y * window.stride[0]).saturating_sub(window.padding[0]);
                    let end = under.last().map_or(computed, |last| last + 1);
                    for line in computed.max(top)..end {
                        let target = &mut lines[line % reach * result_row..][..result_row];
                        bands.run((image, line), activation.into(), target);
                    }
                    computed = computed.max(end);
                    let place = |line: &usize| line % reach * result_row;
                    let offsets: Vec<usize> = under.iter().map(place).collect();
                    self.matrix.set.run(Line {
                        values: &*lines,
                        rows: &offsets,
                        width: results.width,
                        channels,
                        window,
                        output,
                    });
                }
                RESULTS.set(memory);
            });
        });
    }
}
