//! The weights of a graph as a burn module.

use std::sync::Arc;

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor, Param,
};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{FloatDType, Tensor};

use super::value::Value;
use super::{Arg, Graph, Node, Op};

/// Per parameter, whether normalisations alone read it, which do so in f32.
fn only_normalises(graph: &Graph) -> Vec<bool> {
    let mut only = vec![true; graph.parameters.len()];
    for node in &graph.nodes {
        let Node::Call(op, arguments) = node else {
            continue;
        };
        let norm = matches!(op, Op::BatchNorm(_) | Op::GroupNorm(_) | Op::LayerNorm(_));
        for argument in arguments {
            if let Arg::Node(read) = *argument
                && let Node::Parameter(weight) = graph.nodes[read]
                && !norm
            {
                only[weight] = false;
            }
        }
    }
    only
}

/// What visitors are told that a weight is part of.
const CONTAINER: &str = "Weights";

/// Weights by name.
#[derive(Clone, Debug)]
pub(super) struct Weights<B: Backend> {
    names: Arc<[String]>,
    /// Per weight, whether it stays f32.
    only_normalise: Arc<[bool]>,
    tensors: Vec<Weight<B>>,
}

impl<B: Backend> Weights<B> {
    /// Weights zero.
    pub(super) fn zeros(graph: &Graph, device: &B::Device) -> Self {
        let parameters = graph.parameters.iter();
        Self {
            names: parameters
                .clone()
                .map(|weight| weight.name.clone())
                .collect(),
            only_normalise: only_normalises(graph).into(),
            tensors: parameters
                .map(|weight| Weight::zeros(&weight.shape, device))
                .collect(),
        }
    }

    /// The weights in another element type, except those of normalisations: their statistics are taken
    /// in f32 whatever the feature maps are, because sums over whole maps need its range.
    pub(super) fn cast(self, dtype: FloatDType) -> Self {
        let tensors = self.tensors.into_iter().zip(self.only_normalise.iter());
        let tensors = tensors.map(|(weight, &stays)| {
            if stays {
                weight
            } else {
                weight.map(&mut Cast(dtype))
            }
        });
        Self {
            tensors: tensors.collect(),
            ..self
        }
    }

    /// A weight by its number in the graph.
    pub(super) fn value(&self, weight: usize) -> Value<B> {
        self.tensors[weight].value()
    }
}

/// Casts every weight of a module.
pub(crate) struct Cast(pub(crate) FloatDType);

impl<B: Backend> ModuleMapper<B> for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

/// A weight of some rank.
#[derive(Module, Debug)]
pub(super) enum Weight<B: Backend> {
    Rank1(Param<Tensor<B, 1>>),
    Rank2(Param<Tensor<B, 2>>),
    Rank3(Param<Tensor<B, 3>>),
    Rank4(Param<Tensor<B, 4>>),
    Rank5(Param<Tensor<B, 5>>),
    Rank6(Param<Tensor<B, 6>>),
    Rank7(Param<Tensor<B, 7>>),
    Rank8(Param<Tensor<B, 8>>),
}

impl<B: Backend> Weight<B> {
    fn zeros(shape: &[usize], device: &B::Device) -> Self {
        fn param<B: Backend, const D: usize>(
            shape: &[usize],
            device: &B::Device,
        ) -> Param<Tensor<B, D>> {
            let shape: [usize; D] = shape.try_into().expect("chosen by the rank");
            // Lazy: loading replaces the zeros before they exist.
            Param::uninitialized(
                burn::module::ParamId::new(),
                move |device, _| Tensor::zeros(shape, device),
                device.clone(),
                true,
                shape.into(),
            )
        }
        match shape.len() {
            0 | 1 => Self::Rank1(param(if shape.is_empty() { &[1] } else { shape }, device)),
            2 => Self::Rank2(param(shape, device)),
            3 => Self::Rank3(param(shape, device)),
            4 => Self::Rank4(param(shape, device)),
            5 => Self::Rank5(param(shape, device)),
            6 => Self::Rank6(param(shape, device)),
            7 => Self::Rank7(param(shape, device)),
            _ => Self::Rank8(param(shape, device)),
        }
    }

    fn value(&self) -> Value<B> {
        Value::Float(
            match self {
                Self::Rank1(tensor) => tensor.val().into_primitive(),
                Self::Rank2(tensor) => tensor.val().into_primitive(),
                Self::Rank3(tensor) => tensor.val().into_primitive(),
                Self::Rank4(tensor) => tensor.val().into_primitive(),
                Self::Rank5(tensor) => tensor.val().into_primitive(),
                Self::Rank6(tensor) => tensor.val().into_primitive(),
                Self::Rank7(tensor) => tensor.val().into_primitive(),
                Self::Rank8(tensor) => tensor.val().into_primitive(),
            }
            .tensor(),
        )
    }
}

/// Like a vector of weights, except that visitors see the weights' names.
impl<B: Backend> Module<B> for Weights<B> {
    type Record = <Vec<Weight<B>> as Module<B>>::Record;

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        self.tensors.collect_devices(devices)
    }

    fn fork(self, device: &B::Device) -> Self {
        let tensors = self.tensors.fork(device);
        Self { tensors, ..self }
    }

    fn to_device(self, device: &B::Device) -> Self {
        let tensors = self.tensors.to_device(device);
        Self { tensors, ..self }
    }

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
            visitor.enter_module(name, CONTAINER);
            tensor.visit(visitor);
            visitor.exit_module(name, CONTAINER);
        }
    }

    fn map<M: ModuleMapper<B>>(self, mapper: &mut M) -> Self {
        let tensors = self.tensors.into_iter().zip(self.names.iter());
        let tensors = tensors
            .map(|(tensor, name)| {
                mapper.enter_module(name, CONTAINER);
                let tensor = tensor.map(mapper);
                mapper.exit_module(name, CONTAINER);
                tensor
            })
            .collect();
        Self { tensors, ..self }
    }

    fn load_record(self, record: Self::Record) -> Self {
        let tensors = self.tensors.load_record(record);
        Self { tensors, ..self }
    }

    fn into_record(self) -> Self::Record {
        self.tensors.into_record()
    }
}

impl<B: AutodiffBackend> AutodiffModule<B> for Weights<B> {
    type InnerModule = Weights<B::InnerBackend>;

    fn valid(&self) -> Self::InnerModule {
        Weights {
            names: self.names.clone(),
            only_normalise: self.only_normalise.clone(),
            tensors: self.tensors.valid(),
        }
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        Self {
            names: module.names,
            only_normalise: module.only_normalise,
            tensors: AutodiffModule::from_inner(module.tensors),
        }
    }
}

impl<B: Backend> ModuleDisplayDefault for Weights<B> {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .add("tensors", &format!("{}", self.names.len()))
            .optional()
    }
}

impl<B: Backend> ModuleDisplay for Weights<B> {}
