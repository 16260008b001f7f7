//! Arithmetic element by element.

use rayon::prelude::*;

use crate::Activation;
use crate::activation::{activate, for_activation};
use crate::simd::{Element, InstructionSet, Kernel, Vector};

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

/// `a ∘ b` of `[outer, repeat, inner]` values and `[outer, inner]` values, the second
/// being the same for every `repeat`.
///
/// # Panics
/// When the sizes do not fit.
pub fn combine<E: Element>(
    set: InstructionSet,
    arithmetic: Arithmetic,
    a: &[E],
    b: &[E],
    [outer, repeat, inner]: [usize; 3],
    output: &mut [E],
) {
    assert_eq!(a.len(), outer * repeat * inner, "first operand's size");
    assert_eq!(b.len(), outer * inner, "second operand's size");
    assert_eq!(a.len(), output.len(), "output's size");
    if output.is_empty() {
        return;
    }
    let run = |a: &[E], b: &[E], output: &mut [E]| {
        set.run(Combine {
            arithmetic,
            a,
            b,
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
struct Combine<'a, E> {
    arithmetic: Arithmetic,
    a: &'a [E],
    b: &'a [E],
    output: &'a mut [E],
}

impl<E: Element> Kernel for Combine<'_, E> {
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

impl<E: Element> Combine<'_, E> {
    #[inline(always)]
    fn apply<V: Vector>(self, function: impl Fn(V, V) -> V) {
        let row = self.b.len();
        let rows = self.a.chunks_exact(row);
        for (a, output) in rows.zip(self.output.chunks_exact_mut(row)) {
            for at in (0..row).step_by(V::LANES) {
                let count = V::LANES.min(row - at);
                let load = |values: &[E]| E::load(&values[at..], count);
                E::store(function(load(a), load(self.b)), &mut output[at..], count);
            }
        }
    }
}

/// Applies an activation to all values.
///
/// # Panics
/// When the sizes do not fit.
pub fn activate_all<E: Element>(
    set: InstructionSet,
    activation: Activation,
    input: &[E],
    output: &mut [E],
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

struct Activate<'a, E> {
    activation: Activation,
    input: &'a [E],
    output: &'a mut [E],
}

impl<E: Element> Kernel for Activate<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        for_activation!(self.activation, |activation| self.apply::<V>(activation));
    }
}

impl<E: Element> Activate<'_, E> {
    #[inline(always)]
    fn apply<V: Vector>(&mut self, activation: Activation) {
        let input = self.input.chunks(V::LANES);
        for (input, output) in input.zip(self.output.chunks_mut(V::LANES)) {
            let value: V = E::load(input, input.len());
            E::store(activate(value, activation), output, input.len());
        }
    }
}
