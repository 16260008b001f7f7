//! Networks as flat graphs of operators, and the one executor that runs them: what a checkpoint that
//! carries its program becomes, and what a typed network writes itself down as.
//!
//! A [`Graph`] lists nodes in the order they run. A node is the image, a parameter, or an
//! [`Op`] applied to earlier nodes and literals. Sizes are numbers computed from the shapes of
//! earlier tensors, so that one graph serves every batch and image size its program allows.
//! [`Graph::infer`] computes all shapes and numbers without touching a tensor; a graph that it
//! accepts for a shape runs on images of that shape. [`GraphNetwork`] is the burn module.
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::backend::Flex;
//! use burn::tensor::Tensor;
//! use vascx_graph::{Arg, GraphBuilder, GraphNetwork, MemberOutput, Unary, UnaryKind};
//!
//! let mut graph = GraphBuilder::new([1, 3, 8, 8])?;
//! let Arg::Node(positive) = graph.call(Unary(UnaryKind::Relu), vec![Arg::Node(0)])? else {
//!     unreachable!("the image is a tensor")
//! };
//! let device = Default::default();
//! let network = GraphNetwork::<Flex>::new(Arc::new(graph.finish(positive)?), &device);
//! let MemberOutput::Spatial(map) = network.forward(-Tensor::ones([2, 3, 8, 8], &device)) else {
//!     unreachable!("maps in, maps out")
//! };
//! assert_eq!(map.sum().into_scalar(), 0.0);
//! # Ok::<(), String>(())
//! ```

mod activation;
mod answer;
mod builder;
mod engine;
mod graph;
#[cfg(test)]
mod half_precision;
mod instruction_set;
mod mapped_file;
mod members;
mod meta;
mod network;
mod operator;
mod ops;
pub mod passes;
mod plan;
mod precision;
#[cfg(test)]
mod testing;
mod value;
mod weights;
mod work;

pub use activation::Activation;
pub use answer::{MemberOutput, Prediction};
pub use builder::GraphBuilder;
pub use graph::{
    Arg, Graph, GraphError, GraphInput, GraphOutput, GraphParameter, Guard, MAX_NODES, Node,
};
pub use instruction_set::{check_instruction_set, instruction_set};
pub use mapped_file::MappedFile;
pub use members::{forward_members, images_per_pass};
pub use meta::{DType, Literal, Meta};
pub use network::GraphNetwork;
pub use operator::Op;
pub use ops::{
    activation::{Clamp, Elu, LeakyRelu, Unary, UnaryKind},
    binary::{Binary, BinaryKind},
    convolution::{Conv, ConvTranspose},
    create::{Arange, Cast, Constant, Full},
    index::{Gather, IndexSelect, Roll, Slice, SliceAssign, Where},
    linear::{Linear, MatMul},
    norm::{BatchNorm, GroupNorm, LayerNorm},
    pad::{Pad, PadMode},
    pool::{AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool},
    reduce::{ArgMax, CumSum, Reduce, ReduceKind, Softmax},
    resize::{Resize, ResizeMode},
    scatter::ScatterRows,
    shape::{Cat, Expand, Flip, Permute, Reshape, Size, Squeeze, Unsqueeze},
};
pub use precision::Precision;
pub use work::{Layer, Peak, count_operations, measure_layers};
