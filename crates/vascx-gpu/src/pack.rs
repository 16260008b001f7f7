//! Weights in the order in which the kernel reads them.

use half::bf16;

use crate::layer::{PIECE, STEP};
use crate::{Convolution, Packing};

impl Packing {
    /// Packs weights `[outputs, inputs, side, side]` of a convolution whose inputs and outputs may be
    /// fewer than it is made for. Of values that are split, the parts are exact in bf16.
    pub fn weights(&self, convolution: &Convolution, weights: &[f32], inputs: usize) -> Vec<f32> {
        let taps = convolution.side * convolution.side;
        let outputs = weights.len() / (inputs * taps);
        let weight = |output: usize, input: usize, tap: usize| {
            if output < outputs && input < inputs {
                weights[(output * inputs + input) * taps + tap]
            } else {
                0.0
            }
        };
        let mut packed = Vec::with_capacity(self.len(taps));
        for group in 0..self.groups {
            for chunk in 0..self.chunks {
                for part in 0..self.parts {
                    for step in chunk * self.steps..(chunk + 1) * self.steps {
                        for tap in 0..taps {
                            for output in 0..self.width {
                                // See the kernel for why halves change places.
                                let exchanged = output / 4 % 2;
                                for half in [exchanged, 1 - exchanged] {
                                    let first = step * STEP + half * PIECE;
                                    packed.extend((first..first + PIECE).map(|input| {
                                        let output = group * self.width + output;
                                        self.part(part, weight(output, input, tap))
                                    }));
                                }
                            }
                        }
                    }
                }
            }
        }
        packed
    }

    /// Packs a bias `[outputs]`.
    pub fn bias(&self, bias: Option<&[f32]>) -> Vec<f32> {
        let mut packed = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        packed.resize(self.groups * self.width, 0.0);
        packed
    }

    /// Values that are read of the weights.
    pub(crate) fn len(&self, taps: usize) -> usize {
        self.groups * self.width * self.chunks * self.steps * STEP * self.parts * taps
    }

    fn part(&self, part: usize, value: f32) -> f32 {
        let large = bf16::from_f32(value).to_f32();
        match (self.parts, part) {
            (1, _) => value,
            (_, 0) => large,
            _ => value - large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Element};

    /// Shared memory of an H100.
    const MEMORY: usize = 227 << 10;

    fn convolution(element: Element, inputs: usize, outputs: usize, side: usize) -> Convolution {
        Convolution {
            element,
            inputs,
            outputs,
            side,
            stride: 1,
            spread: false,
            activation: Activation::Identity,
        }
    }

    /// Every weight is somewhere, all else is zero, and where it is follows from the axes
    /// `[groups, chunks, parts, steps, taps, width, 2, 8]`.
    #[test]
    fn weights_are_where_the_kernel_looks() {
        for (inputs, outputs, side) in [(3_usize, 5_usize, 3), (40, 72, 3), (200, 40, 1), (8, 8, 7)]
        {
            let convolution = convolution(
                Element::F16,
                inputs.next_multiple_of(8),
                outputs.next_multiple_of(8),
                side,
            );
            let packing = convolution.packing(MEMORY).unwrap();
            let taps = side * side;
            let weights: Vec<f32> = (1..=inputs * outputs * taps).map(|i| i as f32).collect();
            let packed = packing.weights(&convolution, &weights, inputs);
            assert_eq!(packed.len(), packing.len(taps));
            let mut found = 0;
            for (at, &value) in packed
                .iter()
                .enumerate()
                .filter(|(_, value)| **value != 0.0)
            {
                let Packing {
                    width,
                    chunks,
                    steps,
                    ..
                } = packing;
                let (rest, lane) = (at / 8, at % 8);
                let (rest, half) = (rest / 2, rest % 2);
                let (rest, n) = (rest / width, rest % width);
                let (rest, tap) = (rest / taps, rest % taps);
                let (rest, step) = (rest / steps, rest % steps);
                let (group, chunk) = (rest / chunks, rest % chunks);
                let half = half ^ usize::from(n % 8 >= 4);
                let input = (chunk * steps + step) * 16 + half * 8 + lane;
                let output = group * width + n;
                assert_eq!(value, weights[(output * inputs + input) * taps + tap]);
                found += 1;
            }
            assert_eq!(found, weights.len());
        }
    }

    /// The parts of an f32 are bf16 and leave out less than 2⁻¹⁶ of it.
    #[test]
    fn parts_add_up() {
        let convolution = convolution(Element::F32, 16, 32, 1);
        let packing = convolution.packing(MEMORY).unwrap();
        assert_eq!(packing.parts, 2);
        let weights: Vec<f32> = (0..16 * 32).map(|i| (i as f32).sin() * 1e-3).collect();
        let packed = packing.weights(&convolution, &weights, 16);
        let (large, small) = packed.split_at(packed.len() / 2);
        let whole = Packing {
            parts: 1,
            ..packing
        };
        let exact = whole.weights(&convolution, &weights, 16);
        for ((large, small), exact) in large.iter().zip(small).zip(exact) {
            let small = bf16::from_f32(*small).to_f32();
            assert_eq!(bf16::from_f32(*large).to_f32(), *large);
            assert!((large + small - exact).abs() <= exact.abs() / 65536.0);
        }
    }

    #[test]
    fn what_has_no_kernel_has_no_packing() {
        let fits = |convolution: Convolution| convolution.packing(MEMORY).is_some();
        let good = convolution(Element::F16, 64, 64, 3);
        assert!(fits(good));
        for element in [Element::F32, Element::BF16] {
            assert!(fits(Convolution { element, ..good }));
        }
        for bad in [
            Convolution { side: 2, ..good },
            Convolution { side: 9, ..good },
            Convolution { stride: 3, ..good },
            Convolution { inputs: 12, ..good },
            Convolution { outputs: 0, ..good },
        ] {
            assert!(!fits(bad), "{bad:?}");
        }
        // Where there is less shared memory, groups are narrower, until nothing fits.
        let width = |memory| good.packing(memory).map(|packing| packing.width);
        let widths = [MEMORY, 48 << 10, 32 << 10].map(width);
        assert_eq!(widths, [Some(64), Some(32), None]);
    }
}
