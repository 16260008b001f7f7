//! The layers of a U-Net of base width 32 at 512² and of common classifiers; throughput in
//! effective FLOP per second (those of the plain sum), or in bytes read and written where memory
//! is the limit.

use std::hint::black_box;
use std::time::Instant;

use vascx_kernels::{
    Activation, Conv3x3, Convolution, DepthwiseConvolution, Epilogue, GroupNorm, InstructionSet,
    Memory, Shape, Sliding, max_pool,
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

/// Prints the median time of ten runs after a first one, and the work (in units, of a name) per second.
fn time(name: &str, (amount, unit): (usize, &str), mut work: impl FnMut()) {
    work();
    let mut seconds = [(); 10].map(|()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    seconds.sort_by(f64::total_cmp);
    let (milliseconds, rate) = (seconds[5] * 1e3, amount as f64 / seconds[5] / 1e9);
    println!("{name:32} {milliseconds:9.3} ms {rate:8.1} G{unit}/s");
}

fn winograd() {
    println!("winograd");
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
        let mut input = Memory::zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let mut output = Memory::zeros(shape.pixels() * outputs);
        let flop = 2 * 9 * shape.pixels() * inputs * outputs;
        let name = format!("{side}² {inputs} → {outputs}");
        time(&name, (flop, "FLOP"), || {
            let parts = [(black_box(&input[..]), inputs)];
            let output = black_box(&mut output);
            convolution.run(shape, &parts, Activation::Relu.into(), output);
        });
    }
}

fn products() {
    println!("products");
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
        let mut input = Memory::zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let results = sliding.output(shape).expect("fits");
        let mut output = Memory::zeros(results.pixels() * outputs);
        let flop = 2 * kernel * kernel * results.pixels() * inputs * outputs;
        let name = format!("{side}² {kernel} × {kernel} / {stride}, {inputs} → {outputs}");
        time(&name, (flop, "FLOP"), || {
            let parts = [(black_box(&input[..]), inputs)];
            let output = black_box(&mut output);
            convolution.run(shape, &parts, Activation::Relu.into(), output);
        });
    }
}

/// The last products of a ResNet-50's blocks, to which the block's input is added.
fn residuals() {
    println!("products with a residual");
    for (side, inputs, outputs) in [
        (128, 64, 256),
        (64, 128, 512),
        (32, 256, 1024),
        (16, 512, 2048),
    ] {
        let shape = square(side);
        let weights = vec![0.01; outputs * inputs];
        let convolution = Convolution::new(&weights, outputs, inputs, None, sliding(1, 1));
        let mut input = Memory::zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let mut output = Memory::zeros(shape.pixels() * outputs);
        let flop = 2 * shape.pixels() * inputs * outputs;
        time(
            &format!("{side}² {inputs} → {outputs}"),
            (flop, "FLOP"),
            || {
                let parts = [(black_box(&input[..]), inputs)];
                let epilogue = Epilogue {
                    residual: true,
                    activation: Activation::Relu,
                };
                convolution.run(shape, &parts, epilogue, black_box(&mut output));
            },
        );
    }
}

/// Expansion and depthwise convolution of EfficientNet.
fn expanded() {
    println!("expanded");
    for (side, kernel, stride, inputs, channels) in [
        (256, 3, 2, 16, 96),
        (128, 3, 1, 24, 144),
        (128, 5, 2, 24, 144),
        (64, 5, 1, 40, 240),
        (32, 5, 1, 112, 672),
    ] {
        let shape = square(side);
        let weights = vec![0.01; channels * inputs];
        let expansion = Convolution::new(&weights, channels, inputs, None, sliding(1, 1));
        let sliding = sliding(kernel, stride);
        let weights = vec![0.01; channels * kernel * kernel];
        let depthwise = DepthwiseConvolution::new(&weights, channels, None, sliding);
        let mut input = Memory::zeros(shape.pixels() * inputs);
        input.fill(0.5);
        let results = sliding.output(shape).expect("fits");
        let mut output = Memory::zeros(results.pixels() * channels);
        let mut averages = vec![0.0; channels];
        let flop = 2 * channels * (shape.pixels() * inputs + results.pixels() * kernel * kernel);
        let name = format!("{side}² {kernel} × {kernel} / {stride}, {inputs} → {channels}");
        time(&name, (flop, "FLOP"), || {
            depthwise.run_expanded(
                (&expansion, Activation::Silu),
                shape,
                black_box(&input),
                Activation::Silu,
                &mut output,
                Some(&mut averages),
            );
        });
    }
}

fn memory() {
    println!("memory");
    let (shape, channels) = (square(256), 64);
    let mut input = Memory::zeros(shape.pixels() * channels);
    input.fill(0.5);
    let mut output = Memory::zeros(input.len());
    let set = InstructionSet::current();
    let bytes = (8 * input.len(), "B");
    for kernel in [3, 7] {
        let weights = vec![0.01; channels * kernel * kernel];
        let convolution = DepthwiseConvolution::new(&weights, channels, None, sliding(kernel, 1));
        time(&format!("depthwise {kernel} × {kernel}"), bytes, || {
            let identity = Activation::Identity;
            convolution.run(shape, black_box(&input), identity, &mut output);
        });
    }
    let norm = GroupNorm {
        groups: channels,
        epsilon: 1e-5,
        affine: None,
        activation: Activation::LeakyRelu(0.01),
    };
    time("instance norm", bytes, || {
        norm.run(set, shape, channels, black_box(&input), &mut output);
    });
    let window = Sliding {
        padding: [0, 0],
        ..sliding(2, 2)
    };
    let mut pooled = Memory::zeros(input.len() / 4);
    time("max-pool 2 × 2", (5 * input.len(), "B"), || {
        let input = black_box(&input[..]);
        max_pool(set, shape, channels, window, input, &mut pooled);
    });
}

fn main() {
    winograd();
    products();
    residuals();
    expanded();
    memory();
}
