//! What the machine can do at most, measured: the floor that benchmarks hold layers against.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::simd::{InstructionSet, Kernel, Vector};

/// Independent sums: enough to hide the latency of multiply-add, few enough for 16 registers.
const SUMS: usize = 12;
/// Multiply-adds per sum and measurement: some milliseconds.
const STEPS: usize = 1 << 20;
/// Values copied per measurement; more than the caches hold.
const COPIED: usize = 32 << 20;
/// The best of several: what disturbs can only slow down.
const REPEATS: usize = 5;

/// Floating-point operations per second of multiply-adds in registers, on all threads.
pub fn peak_operations() -> f64 {
    let set = InstructionSet::current();
    let seconds = least(|| {
        rayon::broadcast(|_| set.run(MultiplyAdd));
    });
    let lanes = if set == InstructionSet::Avx512 { 16 } else { 8 };
    (2 * lanes * SUMS * STEPS * rayon::current_num_threads()) as f64 / seconds
}

/// Bytes per second, read and written, of copying large memory on all threads.
pub fn peak_bytes() -> f64 {
    let source = vec![1.0_f32; COPIED];
    let mut target = vec![0.0_f32; COPIED];
    let block = 64 << 10;
    let seconds = least(|| {
        let pairs = target.par_chunks_mut(block).zip(source.par_chunks(block));
        pairs.for_each(|(target, source)| target.copy_from_slice(source));
        black_box(&mut target);
    });
    (2 * size_of::<f32>() * COPIED) as f64 / seconds
}

fn least(mut work: impl FnMut()) -> f64 {
    let times = (0..REPEATS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

struct MultiplyAdd;

impl Kernel for MultiplyAdd {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let (factor, addend) = (V::splat(black_box(0.5)), V::splat(black_box(1.0)));
        let mut sums = [V::splat(0.0); SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, addend);
            }
        }
        let mut lanes = [0.0; 16];
        for sum in sums {
            sum.store(&mut lanes);
            black_box(&lanes);
        }
    }
}
