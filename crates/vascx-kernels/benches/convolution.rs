//! The 3 × 3 layers of a U-Net of base width 32 at 512²; throughput in effective FLOP per second
//! (those of the plain sum).
#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vascx_kernels::{Activation, Conv3x3, Shape};

fn convolutions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv3x3");
    group.sample_size(10);
    for (side, inputs, outputs) in [
        (512, 6, 32),
        (512, 32, 32),
        (512, 64, 32),
        (256, 64, 64),
        (256, 128, 64),
        (128, 128, 128),
        (128, 256, 128),
        (64, 256, 256),
        (64, 512, 256),
        (32, 512, 512),
    ] {
        let shape = Shape {
            images: 1,
            height: side,
            width: side,
        };
        let convolution = Conv3x3::new(&vec![0.01; outputs * inputs * 9], outputs, inputs, None);
        let input = vec![0.5; shape.pixels() * inputs];
        let mut output = vec![0.0; shape.pixels() * outputs];
        let flop = 2 * 9 * shape.pixels() * inputs * outputs;
        group.throughput(Throughput::Elements(flop as u64));
        group.bench_function(format!("{side}² {inputs} → {outputs}"), |bencher| {
            bencher.iter(|| {
                let parts = [(black_box(&input[..]), inputs)];
                convolution.run(
                    shape,
                    &parts,
                    Activation::Relu.into(),
                    black_box(&mut output),
                );
            });
        });
    }
    group.finish();
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
