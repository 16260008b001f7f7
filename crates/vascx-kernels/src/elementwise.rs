//! Arithmetic element by element.

use rayon::prelude::*;

use crate::activation::apply;
use crate::simd::{InstructionSet, Kernel, Vector};
use crate::{Activation, Epilogue};

/// Values per task; they stay in the first-level cache.
const BLOCK: usize = 4 << 10;

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// a + b.
    Add,
    /// a − b.
    Subtract,
    /// a · b.
    Multiply,
    /// a / b.
    Divide,
}

/// `activation(a ∘ b)` of `[outer, repeat, inner]` values and `[outer, inner]` values, the second
/// being the same for every `repeat`.
///
/// # Panics
/// When the sizes do not fit.
pub fn combine(
    set: InstructionSet,
    arithmetic: Arithmetic,
    a: &[f32],
    b: &[f32],
    [outer, repeat, inner]: [usize; 3],
    activation: Activation,
    output: &mut [f32],
) {
    assert_eq!(a.len(), outer * repeat * inner, "first operand's size");
    assert_eq!(b.len(), outer * inner, "second operand's size");
    assert_eq!(a.len(), output.len(), "output's size");
    if output.is_empty() {
        return;
    }
    let run = |a: &[f32], b: &[f32], output: &mut [f32]| {
        set.run(Combine {
            arithmetic,
            a,
            b,
            activation,
            output,
        });
    };
    if repeat == 1 {
        let blocks = output.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK));
        let blocks = blocks.zip(b.par_chunks(BLOCK));
        blocks.for_each(|((output, a), b)| run(a, b, output));
    } else {
        let rows = BLOCK.div_ceil(inner).min(repeat);
        let images = output.par_chunks_exact_mut(repeat * inner);
        let images = images.zip(a.par_chunks_exact(repeat * inner));
        let images = images.zip(b.par_chunks_exact(inner));
        images.for_each(|((output, a), b)| {
            let blocks = output.par_chunks_mut(rows * inner);
            let blocks = blocks.zip(a.par_chunks(rows * inner));
            blocks.for_each(|(output, a)| run(a, b, output));
        });
    }
}

/// `b` holds as many values as `a`, or one row of which `a` holds several.
struct Combine<'a> {
    arithmetic: Arithmetic,
    a: &'a [f32],
    b: &'a [f32],
    activation: Activation,
    output: &'a mut [f32],
}

impl Kernel for Combine<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.arithmetic {
            Arithmetic::Add => self.apply::<V>(V::add),
            Arithmetic::Subtract => self.apply::<V>(V::sub),
            Arithmetic::Multiply => self.apply::<V>(V::mul),
            Arithmetic::Divide => self.apply::<V>(V::div),
        }
    }
}

impl Combine<'_> {
    #[inline(always)]
    fn apply<V: Vector>(self, function: impl Fn(V, V) -> V) {
        let row = self.b.len();
        let rows = self.a.chunks_exact(row);
        let epilogue = Epilogue::from(self.activation);
        let floor = V::splat(epilogue.floor());
        for (a, output) in rows.zip(self.output.chunks_exact_mut(row)) {
            for at in (0..row).step_by(V::LANES) {
                let count = V::LANES.min(row - at);
                let load = |values: &[f32]| V::load_part(&values[at..], count);
                let value = floor.max(function(load(a), load(self.b)));
                value.store_part(&mut output[at..], count);
            }
        }
        epilogue.finish::<V>(self.output);
    }
}

/// Applies an activation to all values.
///
/// # Panics
/// When the sizes do not fit.
pub fn activate_all(
    set: InstructionSet,
    activation: Activation,
    input: &[f32],
    output: &mut [f32],
) {
    assert_eq!(input.len(), output.len(), "output's size");
    let blocks = output.par_chunks_mut(BLOCK).zip(input.par_chunks(BLOCK));
    blocks.for_each(|(output, input)| {
        set.run(Activate {
            activation,
            input,
            output,
        });
    });
}

struct Activate<'a> {
    activation: Activation,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        self.output.copy_from_slice(self.input);
        apply::<V>(self.activation, None, self.output);
    }
}
