//! The layers of a U-Net of base width 32 at 512² and of common classifiers; throughput in
//! effective FLOP per second (those of the plain sum), or in bytes read and written where memory
//! is the limit.
#![allow(missing_docs, reason = "criterion's macros write functions without")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vascx_kernels::{
    Activation, Conv3x3, Convolution, DepthwiseConvolution, GroupNorm, InstructionSet, Shape,
    Sliding, max_pool, zeros,
};

fn square(side: usize) -> Shape {
    Shape {
        images: 1,
        height: side,
        width: side,
    }
}

fn sliding(kernel: usize, stride: usize) -> Sliding {
    Sliding {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [(kernel - 1) / 2; 2],
        dilation: [1; 2],
    }
}

fn winograd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("winograd");
    group.sample_size(10);
    for (side, inputs, outputs) in [
        (512, 32, 32),
        (512, 64, 32),
        (256, 64, 64),
        (256, 128, 64),
        (128, 128, 128),
        (128, 256, 128),
        (64, 256, 256),
        (64, 512, 256),
        (32, 512, 512),
        (16, 512, 512),
    ] {
        let shape = square(side);
        let convolution = Conv3x3::new(&vec![0.01; outputs * inputs * 9], outputs, inputs, None);
        let mut input = zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let mut output = zeros(shape.pixels() * outputs);
        let flop = 2 * 9 * shape.pixels() * inputs * outputs;
        group.throughput(Throughput::Elements(flop as u64));
        group.bench_function(format!("{side}² {inputs} → {outputs}"), |bencher| {
            bencher.iter(|| {
                let parts = [(black_box(&input[..]), inputs)];
                let output = black_box(&mut output);
                convolution.run(shape, &parts, Activation::Relu.into(), output);
            });
        });
    }
    group.finish();
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    group.sample_size(10);
    for (side, kernel, stride, inputs, outputs) in [
        (512, 3, 1, 6, 32),
        (512, 7, 2, 3, 64),
        (128, 3, 2, 64, 128),
        (32, 3, 2, 256, 512),
        (128, 1, 1, 128, 128),
        (128, 1, 1, 64, 256),
        (16, 1, 1, 2048, 512),
        (512, 1, 1, 32, 4),
    ] {
        let shape = square(side);
        let sliding = sliding(kernel, stride);
        let weights = vec![0.01; outputs * inputs * kernel * kernel];
        let convolution = Convolution::new(&weights, outputs, inputs, None, sliding);
        let mut input = zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let results = sliding.output(shape).expect("fits");
        let mut output = zeros(results.pixels() * outputs);
        let flop = 2 * kernel * kernel * results.pixels() * inputs * outputs;
        group.throughput(Throughput::Elements(flop as u64));
        let name = format!("{side}² {kernel} × {kernel} / {stride}, {inputs} → {outputs}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parts = [(black_box(&input[..]), inputs)];
                let output = black_box(&mut output);
                convolution.run(shape, &parts, Activation::Relu.into(), output);
            });
        });
    }
    group.finish();
}

/// Expansion and depthwise convolution of EfficientNet.
fn expanded(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("expanded");
    group.sample_size(10);
    for (side, kernel, stride, inputs, channels) in [
        (256, 3, 2, 16, 96),
        (128, 3, 1, 24, 144),
        (128, 5, 2, 24, 144),
        (64, 5, 1, 40, 240),
        (32, 5, 1, 112, 672),
    ] {
        let shape = square(side);
        let expansion = Convolution::new(
            &vec![0.01; channels * inputs],
            channels,
            inputs,
            None,
            sliding(1, 1),
        );
        let sliding = sliding(kernel, stride);
        let weights = vec![0.01; channels * kernel * kernel];
        let depthwise = DepthwiseConvolution::new(&weights, channels, None, sliding);
        let mut input = zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let results = sliding.output(shape).expect("fits");
        let mut output = zeros(results.pixels() * channels);
        let mut averages = vec![0.0; channels];
        let flop = 2 * channels * (shape.pixels() * inputs + results.pixels() * kernel * kernel);
        group.throughput(Throughput::Elements(flop as u64));
        let name = format!("{side}² {kernel} × {kernel} / {stride}, {inputs} → {channels}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                depthwise.run_expanded(
                    (&expansion, Activation::Silu),
                    shape,
                    black_box(&input),
                    Activation::Silu.into(),
                    &mut output,
                    Some(&mut averages),
                );
            });
        });
    }
    group.finish();
}

fn memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory");
    group.sample_size(10);
    let (shape, channels) = (square(256), 64);
    let input = vec![0.5; shape.pixels() * channels];
    let mut output = vec![0.0; input.len()];
    let set = InstructionSet::current();
    group.throughput(Throughput::Bytes(8 * input.len() as u64));
    for kernel in [3, 7] {
        let weights = vec![0.01; channels * kernel * kernel];
        let convolution = DepthwiseConvolution::new(&weights, channels, None, sliding(kernel, 1));
        group.bench_function(format!("depthwise {kernel} × {kernel}"), |bencher| {
            let identity = Activation::Identity.into();
            bencher.iter(|| convolution.run(shape, black_box(&input), identity, &mut output));
        });
    }
    let norm = GroupNorm {
        groups: channels,
        epsilon: 1e-5,
        affine: None,
        activation: Activation::LeakyRelu(0.01),
    };
    group.bench_function("instance norm", |bencher| {
        bencher.iter(|| norm.run(set, shape, channels, black_box(&input), &mut output));
    });
    group.throughput(Throughput::Bytes(5 * input.len() as u64));
    let window = Sliding {
        padding: [0, 0],
        ..sliding(2, 2)
    };
    let mut pooled = vec![0.0; input.len() / 4];
    group.bench_function("max-pool 2 × 2", |bencher| {
        let input = black_box(&input[..]);
        bencher.iter(|| max_pool(set, shape, channels, window, input, &mut pooled));
    });
    group.finish();
}

criterion_group!(benches, winograd, products, expanded, memory);
criterion_main!(benches);
