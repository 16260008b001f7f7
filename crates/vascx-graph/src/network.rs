//! Running a graph as a burn module.

use std::collections::HashMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor, TensorPrimitive};

use super::operator::{Call, Compute};
use super::ops::binary::{Binary, BinaryKind};
use super::ops::linear::Linear;
use super::plan::{Layer, Plan, Step};
use super::value::Value;
use super::weights::Weights;
use super::{Arg, Graph, GraphError, Meta, Node, Op};
use crate::{MemberOutput, Precision, engine};

/// A member whose layers are the nodes of a [`Graph`].
#[derive(Module, Debug)]
pub struct GraphNetwork<B: Backend> {
    weights: Weights<B>,
    #[module(skip)]
    plan: Plan,
}

impl<B: Backend> GraphNetwork<B> {
    /// A network of weights zero. The graph must be valid ([`Graph::validate`]).
    pub fn new(graph: Arc<Graph>, device: &B::Device) -> Self {
        Self {
            weights: Weights::zeros(&graph, device),
            plan: Plan::new(graph),
        }
    }

    /// The same network with weights of another element type, which it then computes in; give it images
    /// of that type.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self {
            weights: self.weights.cast(precision.dtype()),
            ..self
        }
    }

    /// Runs the graph on an image `[N, C, H, W]`.
    ///
    /// # Panics
    /// When [`Graph::check_input`] refuses the image's shape.
    pub fn forward(&self, image: Tensor<B, 4>) -> MemberOutput<B> {
        self.try_forward(image)
            .unwrap_or_else(|error| panic!("images of an unchecked shape: {error}"))
    }

    /// Runs the graph on an image `[N, C, H, W]`.
    ///
    /// # Errors
    /// When the graph does not take an image of this shape.
    pub fn try_forward(&self, image: Tensor<B, 4>) -> Result<MemberOutput<B>, GraphError> {
        let Some(batch) = self.plan.graph.input.batch else {
            return self.run(image);
        };
        // The program insists on its batch size: feed it that many, and fill up the last batch.
        let count = image.dims()[0];
        let (mut maps, mut vectors) = (Vec::new(), Vec::new());
        for chunk in image.split(batch, 0) {
            let mut parts = vec![chunk];
            let missing = batch - parts[0].dims()[0];
            if missing > 0 {
                let last = parts[0].clone().slice(0..1);
                parts.extend(std::iter::repeat_n(last, missing));
            }
            match self.run(Tensor::cat(parts, 0))? {
                MemberOutput::Spatial(map) => maps.push(map),
                MemberOutput::Vector(vector) => vectors.push(vector),
            }
        }
        Ok(if vectors.is_empty() {
            MemberOutput::Spatial(Tensor::cat(maps, 0).slice(0..count))
        } else {
            MemberOutput::Vector(Tensor::cat(vectors, 0).slice(0..count))
        })
    }

    /// Whether images may have channels of zeros behind their own.
    pub(crate) fn takes_filled_images(&self) -> bool {
        self.plan.only_convolves_image
    }

    fn run(&self, image: Tensor<B, 4>) -> Result<MemberOutput<B>, GraphError> {
        let graph = &self.plan.graph;
        let device = image.device();
        let mut shape = image.dims();
        let channels = graph.input.example[1];
        if self.takes_filled_images() && engine::is_filled_up(&image, channels) {
            shape[1] = channels;
        }
        let metas = graph.infer(shape)?;
        let network = image.dtype().into();
        let mut image = Some(image.into_primitive().tensor());
        let mut values: Vec<Option<Value<B>>> = Vec::with_capacity(graph.nodes.len());
        // Over the maps of nodes, until they are wanted.
        let mut averages = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let value = match (node, &metas[index]) {
                (_, Meta::Number(number)) => Some(Value::Number(*number)),
                (Node::Input, _) => image.take().map(Value::Float),
                (Node::Parameter(weight), _) => Some(self.weights.value(*weight)),
                (Node::Call(op, arguments), Meta::Tensor { shape, .. }) => {
                    let step = &self.plan.steps[index];
                    match step {
                        Step::Absorbed => None,
                        Step::Averages(map) => {
                            let averages: Option<Value<B>> = averages.remove(map);
                            averages.map(|averages| averages.reshape(shape))
                        }
                        Step::Alone => {
                            let compute = compute(op, arguments);
                            let arguments = self.arguments(index, arguments, &mut values);
                            let arguments = compute.arguments(network, arguments);
                            let value = op.run(Call {
                                arguments,
                                shape,
                                device: &device,
                            });
                            Some(compute.result(network, value))
                        }
                        Step::Layer { layer, arguments } => {
                            let arguments = self.arguments(index, arguments, &mut values);
                            let (value, taken) = layer.run(arguments, shape, network);
                            averages.extend(taken.map(|taken| (index, taken)));
                            Some(value)
                        }
                    }
                }
            };
            // A value that nothing uses is dropped where it arises.
            let used = self.plan.last_use[index] > index;
            values.push(value.filter(|_| used));
        }
        let Some(Some(Value::Float(output))) = values.get_mut(graph.output.node).map(Option::take)
        else {
            unreachable!("a valid graph answers with a tensor of floats")
        };
        let output = TensorPrimitive::Float(output);
        Ok(if graph.output.spatial {
            MemberOutput::Spatial(Tensor::from_primitive(output))
        } else {
            MemberOutput::Vector(Tensor::from_primitive(output))
        })
    }

    /// The arguments of a node. Those used for the last time are moved out, so that their memory
    /// is free, or reused in place, as early as possible.
    fn arguments(
        &self,
        index: usize,
        arguments: &[Arg],
        values: &mut [Option<Value<B>>],
    ) -> Vec<Value<B>> {
        let take = |(position, argument): (usize, &Arg)| match *argument {
            Arg::Literal(literal) => Value::Number(literal),
            Arg::Node(node) => {
                let again = arguments[position + 1..].contains(argument);
                let value = if self.plan.last_use[node] == index && !again {
                    values[node].take()
                } else {
                    values[node].clone()
                };
                value.expect("kept until its last use")
            }
        };
        arguments.iter().enumerate().map(take).collect()
    }
}

impl Layer {
    /// The layer's value, and averages over it if the plan asks for them.
    fn run<B: Backend>(
        &self,
        arguments: Vec<Value<B>>,
        shape: &[usize],
        network: FloatDType,
    ) -> (Value<B>, Option<Value<B>>) {
        let in_network = |arguments| Compute::Network.arguments(network, arguments);
        let value = match self {
            Self::Conv {
                conv,
                maps,
                residual,
            } => conv.run(arguments, *maps, *residual, network),
            Self::Expanded(layer) => {
                let of_expansion = layer.of_expansion;
                return layer.conv.run_expanded(
                    &layer.expansion,
                    arguments,
                    of_expansion,
                    layer.averaged,
                    network,
                );
            }
            Self::Pooled { conv, pool } => conv.run_pooled(&pool.module(), arguments, network),
            Self::ConvTranspose { conv, packed } => conv.run_packed(packed, in_network(arguments)),
            Self::Linear { activation, packed } => {
                Linear::run_fused(packed, in_network(arguments), shape, *activation)
            }
            Self::GroupNorm { norm, activation } => {
                Compute::Kernel.result(network, norm.run_fused(arguments, shape, *activation))
            }
        };
        (value, None)
    }
}

/// In which element type a node computes: the square of a node is wide, however it is written.
fn compute(op: &Op, arguments: &[Arg]) -> Compute {
    match (op, arguments) {
        (Op::Binary(Binary(BinaryKind::Mul)), [Arg::Node(a), Arg::Node(b)]) if a == b => {
            Compute::Wide
        }
        _ => op.compute(),
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    use super::super::{
        AdaptiveAvgPool, Conv, DType, Full, GraphBuilder, Literal, MaxPool, Op, Reduce,
    };
    use super::super::{Unary, UnaryKind};
    use super::*;
    use crate::ReduceKind;
    use crate::work::measure_layers;

    /// Only a map that nothing else reads is pooled while it is computed.
    #[test]
    fn a_map_for_pooling_alone_is_never_whole() {
        let run = |read_again: bool| {
            let mut graph = GraphBuilder::new([1, 1, 64, 64]).unwrap();
            let sizes = [2, 1, 3, 3].map(|size| Arg::Literal(Literal::Int(size)));
            let weight = [vec![Arg::Literal(Literal::Float(0.5))], sizes.to_vec()].concat();
            let weight = graph.call(Full(DType::Float), weight).unwrap();
            let conv = Conv {
                stride: [1, 1],
                padding: [1, 1],
                dilation: [1, 1],
                groups: 1,
            };
            let map = graph.call(conv, vec![Arg::Node(0), weight]).unwrap();
            let map = graph.call(Unary(UnaryKind::Relu), vec![map]).unwrap();
            let pool = MaxPool {
                kernel: [3, 3],
                stride: [1, 1],
                padding: [1, 1],
                dilation: [1, 1],
                ceil: false,
            };
            let mut answer = graph.call(pool, vec![map]).unwrap();
            if read_again {
                let sum = Binary(BinaryKind::Add);
                answer = graph.call(sum, vec![answer, map]).unwrap();
            }
            let Arg::Node(answer) = answer else {
                unreachable!("a tensor")
            };
            let device = Default::default();
            let graph = Arc::new(graph.finish(answer).unwrap());
            let network = GraphNetwork::<Flex>::new(graph, &device);
            let image = Tensor::ones([1, 1, 64, 64], &device);
            let (output, layers) = measure_layers(|| network.forward(image));
            let MemberOutput::Spatial(map) = output else {
                unreachable!("a map")
            };
            let values: Vec<f32> = map.into_data().to_vec().unwrap();
            let kernels: Vec<_> = layers.into_iter().map(|layer| layer.kernel).collect();
            (values[0], kernels)
        };
        assert_eq!(run(false), (4.5, vec!["pooled"]));
        // A corner sees four ones itself.
        assert_eq!(run(true), (6.5, vec!["product", "max-pool", "arithmetic"]));
    }

    /// A convolution adds what its result is added to; depthwise kernels, of which a look for it would
    /// cost more than a pass of its own, do not.
    #[test]
    fn sums_are_those_of_the_convolution_before() {
        let run = |groups: i64| {
            let mut graph = GraphBuilder::new([1, 4, 8, 8]).unwrap();
            let sizes = [4, 4 / groups, 3, 3].map(|size| Arg::Literal(Literal::Int(size)));
            let weight = [vec![Arg::Literal(Literal::Float(0.5))], sizes.to_vec()].concat();
            let weight = graph.call(Full(DType::Float), weight).unwrap();
            let conv = Conv {
                stride: [1, 1],
                padding: [1, 1],
                dilation: [1, 1],
                groups: groups as usize,
            };
            let map = graph.call(conv, vec![Arg::Node(0), weight]).unwrap();
            let sum = Binary(BinaryKind::Add);
            let Arg::Node(answer) = graph.call(sum, vec![map, Arg::Node(0)]).unwrap() else {
                unreachable!("a tensor")
            };
            let device = Default::default();
            let graph = Arc::new(graph.finish(answer).unwrap());
            let network = GraphNetwork::<Flex>::new(graph, &device);
            let image = Tensor::ones([1, 4, 8, 8], &device);
            let (output, layers) = measure_layers(|| network.forward(image));
            let MemberOutput::Spatial(map) = output else {
                unreachable!("a map")
            };
            let values: Vec<f32> = map.into_data().to_vec().unwrap();
            let kernels: Vec<_> = layers.into_iter().map(|layer| layer.kernel).collect();
            (values[0], kernels)
        };
        assert_eq!(run(1), (9.0, vec!["product"]));
        assert_eq!(run(4), (3.0, vec!["depthwise", "arithmetic"]));
    }

    /// Means of a depthwise convolution's map, taken where it is computed, whichever operator asks.
    #[test]
    fn averages_are_taken_on_the_way() {
        let int = |number| Arg::Literal(Literal::Int(number));
        let run = |side: usize, average: Option<Op>| {
            let mut graph = GraphBuilder::new([1, 4, side, side]).unwrap();
            let mut conv = |map, value, shape: [i64; 4], groups, padding| {
                let value = Arg::Literal(Literal::Float(value));
                let sizes = shape.into_iter().map(int);
                let weight = std::iter::once(value).chain(sizes).collect();
                let weight = graph.call(Full(DType::Float), weight).unwrap();
                let conv = Conv {
                    stride: [1, 1],
                    padding: [padding; 2],
                    dilation: [1, 1],
                    groups,
                };
                graph.call(conv, vec![map, weight]).unwrap()
            };
            let expanded = conv(Arg::Node(0), 0.5, [16, 4, 1, 1], 1, 0);
            let mut answer = conv(expanded, 0.25, [16, 1, 3, 3], 16, 1);
            if let Some(average) = average {
                let sizes = if matches!(average, Op::Reduce(_)) {
                    0
                } else {
                    2
                };
                let arguments = [vec![answer], vec![int(1); sizes]].concat();
                answer = graph.call(average, arguments).unwrap();
            }
            let Arg::Node(answer) = answer else {
                unreachable!("a tensor")
            };
            let graph = Arc::new(graph.finish(answer).unwrap());
            let device = Default::default();
            Flex::seed(&device, 1);
            let image = Tensor::random([1, 4, side, side], Distribution::Default, &device);
            let network = GraphNetwork::<Flex>::new(graph, &device);
            let (output, layers) = measure_layers(|| network.forward(image));
            let values: Vec<f32> = match output {
                MemberOutput::Spatial(map) => map.into_data().to_vec().unwrap(),
                MemberOutput::Vector(vector) => vector.into_data().to_vec().unwrap(),
            };
            let kernels: Vec<_> = layers.into_iter().map(|layer| layer.kernel).collect();
            (values, kernels)
        };
        let reduce = Reduce {
            kind: ReduceKind::Mean,
            axes: vec![2, 3],
            keep: false,
        };
        for average in [Op::from(AdaptiveAvgPool), Op::from(reduce)] {
            for (side, expected) in [
                (32, vec!["expanded"]),
                (8, vec!["product", "depthwise", "average"]),
            ] {
                let (map, _) = run(side, None);
                let (averages, kernels) = run(side, Some(average.clone()));
                assert_eq!(kernels, expected);
                for (channel, average) in map.chunks_exact(side * side).zip(averages) {
                    let mean = channel.iter().sum::<f32>() / (side * side) as f32;
                    // Sums of a thousand values in another order.
                    assert!((mean - average).abs() <= 1e-5 * mean, "{mean} {average}");
                }
            }
        }
    }
}
