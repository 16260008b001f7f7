//! The kernel against a plain loop in f64, on the first CUDA card; skips where there is none.

use std::path::Path;

use cubecl::Runtime;
use cubecl::cuda::{CudaDevice, CudaRuntime};
use cubecl::prelude::ComputeClient;
use half::{bf16, f16};
use vascx_gpu::{Activation, Convolution, Element, Maps, Operands, convolve, packing};

/// A convolution and the maps it is tried on, `height + 5` wide.
struct Case {
    images: usize,
    height: usize,
    inputs: Vec<usize>,
    residual: bool,
    convolution: Convolution,
}

impl Case {
    fn new(height: usize, inputs: &[usize], outputs: usize, side: usize, stride: usize) -> Self {
        Self {
            images: 2,
            height,
            inputs: inputs.to_vec(),
            residual: false,
            convolution: Convolution {
                element: Element::F16,
                inputs: inputs.iter().sum(),
                outputs,
                side,
                stride,
                spread: false,
                activation: Activation::LeakyRelu(0.1),
            },
        }
    }

    fn of(mut self, element: Element) -> Self {
        self.convolution.element = element;
        self
    }

    fn onto_residual(mut self) -> Self {
        self.residual = true;
        self
    }

    fn spread(mut self) -> Self {
        self.convolution.spread = true;
        self
    }

    /// The largest difference from the plain loop, of the largest result.
    fn error(&self, client: &ComputeClient<CudaRuntime>) -> f64 {
        let Self { images, height, .. } = *self;
        let Convolution {
            element,
            outputs,
            side,
            stride,
            ..
        } = self.convolution;
        let width = height + 5;
        let total = self.convolution.inputs;
        let packing = packing(&self.convolution, client.properties()).expect("a kernel");
        let pixels = images * height * width;
        let maps: Vec<Vec<f32>> = self
            .inputs
            .iter()
            .map(|c| draw(pixels * c, element))
            .collect();
        let weights = draw(outputs * total * side * side, element);
        let bias = draw(outputs, Element::F32);
        let size = [height, width].map(|side| side.div_ceil(stride));
        let count = images * size[0] * size[1] * outputs;
        let residual = draw(count, element);

        let up = |values: &[f32], element| client.create_from_slice(&bytes(values, element));
        let handles: Vec<Maps> = maps
            .iter()
            .zip(&self.inputs)
            .map(|(map, &channels)| Maps {
                handle: up(map, element),
                channels,
            })
            .collect();
        let packed = packing.weights(&self.convolution, &weights, total);
        // What is not written remains no number.
        let output = up(&vec![f32::NAN; count], element);
        convolve(
            client,
            &self.convolution,
            [images, height, width],
            Operands {
                first: &handles[0],
                joined: handles.get(1),
                weights: &up(&packed, element.products()),
                bias: &up(&packing.bias(Some(&bias)), Element::F32),
                residual: self.residual.then(|| up(&residual, element)).as_ref(),
                output: &output,
            },
        );
        let results = values(&client.read_one(output).expect("results"), element);

        let (mut worst, mut largest) = (0.0_f64, 0.0_f64);
        for (at, &result) in results.iter().enumerate() {
            let [image, y, x, output] = self.position(at, size);
            let mut sum = f64::from(bias[output]);
            let mut first = 0;
            for (map, &channels) in maps.iter().zip(&self.inputs) {
                for tap in 0..side * side {
                    let (dy, dx) = (tap / side, tap % side);
                    let (y, x) = (y * stride + dy, x * stride + dx);
                    let half = side / 2;
                    let inside = |at: usize, size| (half..size + half).contains(&at);
                    if !inside(y, height) || !inside(x, width) {
                        continue;
                    }
                    let pixel = (image * height + y - half) * width + x - half;
                    for channel in 0..channels {
                        let weight = (output * total + first + channel) * side * side + tap;
                        sum +=
                            f64::from(map[pixel * channels + channel]) * f64::from(weights[weight]);
                    }
                }
                first += channels;
            }
            if self.residual {
                sum += f64::from(residual[at]);
            }
            let expected = if sum < 0.0 { 0.1 * sum } else { sum };
            let error = (f64::from(result) - expected).abs();
            worst = if error.is_nan() {
                f64::INFINITY
            } else {
                worst.max(error)
            };
            largest = largest.max(expected.abs());
        }
        worst / largest
    }

    /// Image, row, column and output channel of the sum that is the result at a position.
    fn position(&self, at: usize, [height, width]: [usize; 2]) -> [usize; 4] {
        let outputs = self.convolution.outputs;
        if !self.convolution.spread {
            let pixel = at / outputs;
            return [
                pixel / width / height,
                pixel / width % height,
                pixel % width,
                at % outputs,
            ];
        }
        let quarter = outputs / 4;
        let (pixel, channel) = (at / quarter, at % quarter);
        let (x, row) = (pixel % (2 * width), pixel / (2 * width));
        let (y, image) = (row % (2 * height), row / (2 * height));
        [image, y / 2, x / 2, (y % 2 * 2 + x % 2) * quarter + channel]
    }
}

fn draw(count: usize, element: Element) -> Vec<f32> {
    let values: Vec<f32> = (0..count).map(|_| fastrand::f32() - 0.5).collect();
    self::values(&bytes(&values, element), element)
}

fn bytes(values: &[f32], element: Element) -> Vec<u8> {
    let bytes = values.iter().map(|&value| match element {
        Element::F32 => value.to_le_bytes().to_vec(),
        Element::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Element::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
    });
    bytes.flatten().collect()
}

fn values(bytes: &[u8], element: Element) -> Vec<f32> {
    let two = |bytes: &[u8]| [bytes[0], bytes[1]];
    match element {
        Element::F32 => {
            let four = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
            bytes
                .chunks(4)
                .map(|value| f32::from_le_bytes(four(value)))
                .collect()
        }
        Element::F16 => bytes
            .chunks(2)
            .map(|v| f16::from_le_bytes(two(v)).to_f32())
            .collect(),
        Element::BF16 => bytes
            .chunks(2)
            .map(|v| bf16::from_le_bytes(two(v)).to_f32())
            .collect(),
    }
}

#[test]
fn sums_are_those_of_a_plain_loop() {
    if !["/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        eprintln!("skipped: no NVIDIA driver on this machine");
        return;
    }
    fastrand::seed(0);
    let client = CudaRuntime::client(&CudaDevice::new(0));
    let cases = [
        Case::new(1, &[8], 8, 3, 1),
        Case::new(16, &[16], 32, 3, 1),
        Case::new(35, &[32], 32, 3, 1),
        Case::new(33, &[32, 8], 16, 3, 1),
        Case::new(33, &[16], 24, 5, 1),
        Case::new(9, &[24, 40], 72, 3, 1),
        Case::new(33, &[32, 32], 128, 3, 1),
        Case::new(33, &[64], 64, 3, 2),
        Case::new(33, &[64], 64, 1, 1),
        Case::new(20, &[64], 128, 1, 2),
        Case::new(20, &[200], 40, 1, 1),
        Case::new(37, &[8], 64, 7, 2),
        Case::new(17, &[64], 128, 1, 1).spread(),
        Case::new(17, &[64], 40, 3, 2).onto_residual(),
        // Written by fours, twos and ones.
        Case::new(20, &[32], 4, 1, 1),
        Case::new(17, &[16], 70, 3, 1).onto_residual(),
        Case::new(20, &[32], 3, 1, 1),
        Case::new(17, &[16], 37, 3, 2).of(Element::BF16),
        Case::new(17, &[16], 6, 3, 1)
            .onto_residual()
            .of(Element::F32),
        Case::new(35, &[16, 16], 32, 3, 1).of(Element::F32),
        // 64 outputs at a time do not fit.
        Case::new(33, &[16], 64, 5, 1).of(Element::F32),
        Case::new(9, &[24, 40], 72, 3, 1).of(Element::BF16),
        Case::new(9, &[24, 40], 72, 3, 1).of(Element::F32),
        Case::new(37, &[8], 64, 7, 2).of(Element::F32),
        Case::new(20, &[200], 40, 1, 1).of(Element::F32),
        Case::new(17, &[64], 128, 1, 1).spread().of(Element::F32),
        Case::new(17, &[64], 40, 3, 2)
            .onto_residual()
            .of(Element::F32),
    ];
    for case in cases {
        let error = case.error(&client);
        // The result is rounded to 11 and 8 bits, once or, with a residual, twice; of f32's
        // factors 16 bits are multiplied.
        let allowed = match case.convolution.element {
            Element::F32 => 5e-5,
            Element::F16 => 2e-3,
            Element::BF16 => 1.6e-2,
        };
        let Case {
            height,
            inputs,
            convolution,
            ..
        } = &case;
        assert!(
            error <= allowed,
            "{height} {inputs:?} {convolution:?}: {error:e}"
        );
    }
}
