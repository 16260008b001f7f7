//! Times the layers of a U-Net of base width 32 on the first CUDA card: 16 images of 512², as a table.

use std::time::Instant;

use cubecl::Runtime;
use cubecl::cuda::{CudaDevice, CudaRuntime};
use cubecl::future::block_on;
use vascx_gpu::{Activation, Convolution, Element, Maps, Operands, convolve, packing};

const IMAGES: usize = 16;
const ROUNDS: usize = 20;

/// Side of the maps, channels of the inputs, outputs, side of the window, spread.
const LAYERS: [(usize, &[usize], usize, usize, bool); 23] = [
    (512, &[8], 32, 3, false),
    (512, &[32], 32, 3, false),
    (256, &[32], 64, 3, false),
    (256, &[64], 64, 3, false),
    (128, &[64], 128, 3, false),
    (128, &[128], 128, 3, false),
    (64, &[128], 256, 3, false),
    (64, &[256], 256, 3, false),
    (32, &[256], 512, 3, false),
    (32, &[512], 512, 3, false),
    (32, &[512], 1024, 1, true),
    (64, &[256, 256], 256, 3, false),
    (64, &[256], 256, 3, false),
    (64, &[256], 512, 1, true),
    (128, &[128, 128], 128, 3, false),
    (128, &[128], 128, 3, false),
    (128, &[128], 256, 1, true),
    (256, &[64, 64], 64, 3, false),
    (256, &[64], 64, 3, false),
    (256, &[64], 128, 1, true),
    (512, &[32, 32], 32, 3, false),
    (512, &[32], 32, 3, false),
    (512, &[32], 8, 1, false),
];

fn main() {
    let client = CudaRuntime::client(&CudaDevice::new(0));
    let wait = || block_on(client.sync()).expect("the card computes");
    println!("| element | side | channels | window | ms | TFLOP/s | GB/s |");
    println!("|---|---|---|---|---|---|---|");
    for element in [Element::F16, Element::F32] {
        let bytes = if element == Element::F32 { 4 } else { 2 };
        let mut all = 0.0;
        for (size, inputs, outputs, side, spread) in LAYERS {
            let total: usize = inputs.iter().sum();
            let convolution = Convolution {
                element,
                inputs: total,
                outputs,
                side,
                stride: 1,
                spread,
                activation: Activation::LeakyRelu(0.0),
            };
            let pixels = IMAGES * size * size;
            // Random bits of numbers between −2 and 2: zeros would run faster than real maps.
            let draw = |values: usize| -> Vec<u8> {
                let value = || (fastrand::u32(..) & 0xbfff_bfff).to_le_bytes();
                (0..values * bytes / 4).flat_map(|_| value()).collect()
            };
            let maps = inputs.iter().map(|&channels| Maps {
                handle: client.create_from_slice(&draw(pixels * channels)),
                channels,
            });
            let maps: Vec<Maps> = maps.collect();
            let packing = packing(&convolution, client.properties()).expect("a kernel");
            let weights = packing.weights(
                &convolution,
                &vec![0.0; outputs * total * side * side],
                total,
            );
            let weights = client.create_from_slice(&draw(weights.len()));
            let bias = packing.bias(None);
            let bias = client.create_from_slice(&vec![0; bias.len() * 4]);
            let output = client.empty(pixels * outputs * bytes);
            let run = || {
                let shape = [IMAGES, size, size];
                let operands = Operands {
                    first: &maps[0],
                    joined: maps.get(1),
                    weights: &weights,
                    bias: &bias,
                    residual: None,
                    output: &output,
                };
                convolve(&client, &convolution, shape, operands);
            };
            run();
            wait();
            let start = Instant::now();
            (0..ROUNDS).for_each(|_| run());
            wait();
            let milliseconds = start.elapsed().as_secs_f64() * 1e3 / ROUNDS as f64;
            all += milliseconds;
            let operations = 2 * side * side * total * outputs * pixels;
            let moved = (total + outputs) * pixels * bytes;
            let (teraflops, gigabytes) = (
                operations as f64 / milliseconds / 1e9,
                moved as f64 / milliseconds / 1e6,
            );
            println!(
                "| {element:?} | {size} | {inputs:?} → {outputs} | {side} | {milliseconds:.3} | {teraflops:.0} | {gigabytes:.0} |"
            );
        }
        println!("| {element:?} | all | | | {all:.2} | | |");
    }
}
