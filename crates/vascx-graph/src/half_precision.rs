//! Statistics in f16 and bf16: no norm and no sum may leave the range of the network's type.

use std::sync::Arc;

use burn::backend::Flex;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

use super::{
    AdaptiveAvgPool, Arg, AvgPool, BatchNorm, Binary, BinaryKind, GraphBuilder, GraphNetwork,
    GroupNorm, LayerNorm, Op, Reduce, ReduceKind, Softmax, Unary, UnaryKind,
};
use crate::{MemberOutput, Precision};

const CHANNELS: usize = 8;
const SIDE: usize = 32;

/// Adds what is tested behind the image; gives its map.
type Tested = fn(&mut GraphBuilder, Arg) -> Arg;

fn call(graph: &mut GraphBuilder, op: impl Into<Op>, arguments: &[Arg]) -> Arg {
    graph.call(op, arguments.to_vec()).unwrap()
}

fn weights<const N: usize>(
    graph: &mut GraphBuilder,
    names: [&str; N],
    shape: &[usize],
) -> [Arg; N] {
    names.map(|name| Arg::Node(graph.parameter(name.into(), shape.to_vec()).unwrap()))
}

fn group_norm(graph: &mut GraphBuilder, x: Arg, groups: usize) -> Arg {
    let [scale, shift] = weights(graph, ["scale", "shift"], &[CHANNELS]);
    let epsilon = 1e-5;
    call(graph, GroupNorm { groups, epsilon }, &[x, scale, shift])
}

fn mean(axes: Vec<usize>) -> Reduce {
    Reduce {
        kind: ReduceKind::Mean,
        axes,
        keep: true,
    }
}

/// A norm over channels as programs write it out: (x − mean) / √(mean((x − mean)²) + ε).
fn written_out(graph: &mut GraphBuilder, x: Arg, square: fn(&mut GraphBuilder, Arg) -> Arg) -> Arg {
    let average = call(graph, mean(vec![1]), &[x]);
    let centred = call(graph, Binary(BinaryKind::Sub), &[x, average]);
    let squares = square(graph, centred);
    let variance = call(graph, mean(vec![1]), &[squares]);
    let variance = call(
        graph,
        Binary(BinaryKind::Add),
        &[variance, Arg::float(1e-5)],
    );
    let spread = call(graph, Unary(UnaryKind::Sqrt), &[variance]);
    call(graph, Binary(BinaryKind::Div), &[centred, spread])
}

const TESTED: [(&str, Tested); 11] = [
    ("instance norm", |graph, x| group_norm(graph, x, CHANNELS)),
    ("group norm", |graph, x| group_norm(graph, x, 2)),
    ("norm without weights", |graph, x| {
        let norm = GroupNorm {
            groups: 1,
            epsilon: 1e-5,
        };
        call(graph, norm, &[x])
    }),
    ("layer norm", |graph, x| {
        let [scale, shift] = weights(graph, ["scale", "shift"], &[SIDE]);
        let norm = LayerNorm {
            axes: 1,
            epsilon: 1e-5,
        };
        call(graph, norm, &[x, scale, shift])
    }),
    ("layer norm over all", |graph, x| {
        let norm = LayerNorm {
            axes: 3,
            epsilon: 1e-5,
        };
        call(graph, norm, &[x])
    }),
    ("batch norm", |graph, x| {
        let names = ["mean", "variance", "scale", "shift"];
        let statistics = weights(graph, names, &[CHANNELS]);
        let arguments = [&[x][..], &statistics].concat();
        call(graph, BatchNorm { epsilon: 1e-5 }, &arguments)
    }),
    ("norm of powers", |graph, x| {
        written_out(graph, x, |graph, x| {
            call(graph, Binary(BinaryKind::Pow), &[x, Arg::int(2)])
        })
    }),
    ("norm of products", |graph, x| {
        written_out(graph, x, |graph, x| {
            call(graph, Binary(BinaryKind::Mul), &[x, x])
        })
    }),
    ("share of a sum", |graph, x| {
        let magnitude = call(graph, Unary(UnaryKind::Abs), &[x]);
        let sum = Reduce {
            kind: ReduceKind::Sum,
            ..mean(vec![1, 2, 3])
        };
        let sum = call(graph, sum, &[magnitude]);
        call(graph, Binary(BinaryKind::Div), &[x, sum])
    }),
    ("softmax", |graph, x| {
        let softmax = Softmax {
            axis: 1,
            log: false,
        };
        call(graph, softmax, &[x])
    }),
    ("means of windows", |graph, x| {
        let pool = AvgPool {
            kernel: [16, 16],
            stride: [16, 16],
            padding: [0, 0],
            ceil: false,
            count_padding: true,
        };
        let pooled = call(graph, pool, &[x]);
        let whole = call(graph, AdaptiveAvgPool, &[pooled, Arg::int(1), Arg::int(1)]);
        call(graph, Binary(BinaryKind::Sub), &[pooled, whole])
    }),
];

/// Gives every weight values around one, the variances of a batch norm around that of the image.
struct Fill {
    variance: f64,
    name: String,
}

impl ModuleMapper<Flex> for Fill {
    fn enter_module(&mut self, name: &str, _container: &str) {
        name.clone_into(&mut self.name);
    }

    fn map_float<const D: usize>(
        &mut self,
        param: Param<Tensor<Flex, D>>,
    ) -> Param<Tensor<Flex, D>> {
        let factor = if self.name == "variance" {
            self.variance
        } else {
            1.0
        };
        let range = Distribution::Uniform(0.5, 1.5);
        param.map(|tensor| tensor.random_like(range) * factor)
    }
}

fn run(network: &GraphNetwork<Flex>, image: Tensor<Flex, 4>, precision: Precision) -> Vec<f32> {
    let network = network.clone().with_precision(precision);
    match network.forward(image.cast(precision.dtype())) {
        MemberOutput::Spatial(map) => map
            .cast(Precision::F32.dtype())
            .into_data()
            .to_vec()
            .unwrap(),
        MemberOutput::Vector(_) => unreachable!("maps in, maps out"),
    }
}

#[test]
fn statistics_are_taken_in_f32() {
    let device = Default::default();
    Flex::seed(&device, 7);
    for (name, tested) in TESTED {
        for deviation in [1.0, 50.0, 150.0, 1000.0_f32] {
            let mut graph = GraphBuilder::new([2, CHANNELS, SIDE, SIDE]).unwrap();
            let Arg::Node(output) = tested(&mut graph, Arg::Node(0)) else {
                unreachable!("a tensor")
            };
            let graph = Arc::new(graph.finish(output).unwrap());
            let mut fill = Fill {
                variance: f64::from(deviation).powi(2),
                name: String::new(),
            };
            let network = GraphNetwork::<Flex>::new(graph, &device).map(&mut fill);
            let image: Tensor<Flex, 4> = Tensor::random(
                [2, CHANNELS, SIDE, SIDE],
                Distribution::Normal(0.0, f64::from(deviation)),
                &device,
            );
            // Inputs that half precision holds exactly, so that the operators' own error is left.
            let image = image
                .cast(Precision::BF16.dtype())
                .cast(Precision::F32.dtype());
            let exact = run(&network, image.clone(), Precision::F32);
            let largest = exact.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            // One rounding of the result each, of half a unit in the last place: 2⁻¹² and 2⁻⁹; a
            // norm that is written out may round its centred values, too.
            for (precision, tolerance) in [(Precision::F16, 1e-3), (Precision::BF16, 8e-3)] {
                let rounded = run(&network, image.clone(), precision);
                let worst = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
                let worst =
                    worst.fold(0.0_f32, |a, b| if b.is_nan() { f32::NAN } else { a.max(b) });
                assert!(
                    worst <= tolerance * largest,
                    "{name} of deviation {deviation} in {precision:?}: {worst} of {largest}"
                );
            }
        }
    }
}
