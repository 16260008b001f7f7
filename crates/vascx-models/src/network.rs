//! The networks behind one type, so that ensembles, files and devices need not tell them apart.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::graph::{Graph, GraphError, GraphNetwork};
use crate::{ConfigError, ResNet, ResNetConfig, UNet, UNetConfig};

/// Which network a member is, with its parameters. Serialises as `{"unet": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// See [`UNet`].
    UNet(UNetConfig),
    /// See [`ResNet`].
    ResNet(ResNetConfig),
    /// The program of a checkpoint: one graph that all members share, or one per member. See
    /// [`GraphNetwork`].
    Graph(Vec<Arc<Graph>>),
}

impl Architecture {
    /// Lower-case family name: `unet`, `resnet` or `graph`.
    pub fn family(&self) -> &'static str {
        match self {
            Self::UNet(_) => "unet",
            Self::ResNet(_) => "resnet",
            Self::Graph(_) => "graph",
        }
    }

    /// Channels an input image must have.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::UNet(config) => config.in_channels,
            Self::ResNet(config) => config.in_channels,
            Self::Graph(graphs) => first(graphs).map_or(0, |graph| graph.input.example[1]),
        }
    }

    /// Classes, keypoints or values in the output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::UNet(config) => config.out_channels,
            Self::ResNet(config) => config.outputs,
            Self::Graph(graphs) => first(graphs).map_or(0, |graph| graph.output.channels),
        }
    }

    /// Whether the output is a map `[N, C, H, W]` rather than a vector `[N, D]`.
    pub fn is_spatial(&self) -> bool {
        match self {
            Self::UNet(_) => true,
            Self::ResNet(_) => false,
            Self::Graph(graphs) => first(graphs).is_some_and(|graph| graph.output.spatial),
        }
    }

    /// Height and width of an input must be multiples of this.
    pub fn size_divisor(&self) -> usize {
        match self {
            Self::UNet(config) => config.size_divisor(),
            Self::ResNet(_) => 1,
            Self::Graph(graphs) => first(graphs).map_or(1, |graph| graph.input.divisor),
        }
    }

    /// The only height and width an input may have, if the network has them built in.
    pub fn fixed_sides(&self) -> Option<[usize; 2]> {
        match self {
            Self::UNet(_) | Self::ResNet(_) => None,
            Self::Graph(graphs) => first(graphs)?.input.sides,
        }
    }

    /// Checks that the network takes images of a shape `[N, C, H, W]`.
    ///
    /// # Errors
    /// When a graph has an operation that does not fit them. Typed networks take whatever fits
    /// [`Architecture::in_channels`] and [`Architecture::size_divisor`].
    pub fn check_input(&self, shape: [usize; 4]) -> Result<(), GraphError> {
        match self {
            Self::UNet(_) | Self::ResNet(_) => Ok(()),
            Self::Graph(graphs) => graphs.iter().try_for_each(|graph| graph.check_input(shape)),
        }
    }

    /// Checks the configuration without building anything.
    ///
    /// # Errors
    /// When sizes are out of range or contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::UNet(config) => config.validate(),
            Self::ResNet(config) => config.validate(),
            Self::Graph(graphs) => {
                let kind = |graph: &Graph| {
                    (
                        graph.input.example[1],
                        graph.output.channels,
                        graph.output.spatial,
                    )
                };
                let Some(leader) = first(graphs) else {
                    return Err(ConfigError::new("graph", "there is none"));
                };
                if graphs.iter().any(|graph| kind(graph) != kind(leader)) {
                    return Err(ConfigError::new(
                        "graph",
                        "members differ in input or output",
                    ));
                }
                graphs.iter().try_for_each(|graph| graph.validate())
            }
        }
    }

    /// Builds one member: typed networks with fresh random weights, graphs with weights of zero.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or has no such member.
    pub fn init<B: Backend>(
        &self,
        member: usize,
        device: &B::Device,
    ) -> Result<Network<B>, ConfigError> {
        Ok(match self {
            Self::Graph(graphs) => {
                let graph = match &graphs[..] {
                    [shared] => Some(shared),
                    graphs => graphs.get(member),
                };
                let graph = graph.ok_or_else(|| {
                    ConfigError::new(
                        "graph",
                        format!("{} graphs, no member {member}", graphs.len()),
                    )
                })?;
                graph.validate()?;
                Network::Graph(GraphNetwork::new(graph.clone(), device))
            }
            Self::UNet(config) => Network::UNet(config.init(device)?),
            Self::ResNet(config) => Network::ResNet(config.init(device)?),
        })
    }
}

fn first(graphs: &[Arc<Graph>]) -> Option<&Graph> {
    graphs.first().map(AsRef::as_ref)
}

/// One ensemble member.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // A handful of members live in one vector; size is irrelevant.
pub enum Network<B: Backend> {
    /// Spatial output.
    UNet(UNet<B>),
    /// Vector output.
    ResNet(ResNet<B>),
    /// Either, as the graph has it.
    Graph(GraphNetwork<B>),
}

impl<B: Backend> Network<B> {
    /// Runs the member on an image `[N, C, H, W]`.
    ///
    /// # Panics
    /// When the network does not take images of this shape; see [`Architecture::check_input`].
    pub fn forward(&self, image: Tensor<B, 4>) -> MemberOutput<B> {
        match self {
            Self::UNet(network) => MemberOutput::Spatial(network.forward(image)),
            Self::ResNet(network) => MemberOutput::Vector(network.forward(image)),
            Self::Graph(network) => network.forward(image),
        }
    }
}

/// What one member answers.
#[derive(Clone, Debug)]
pub enum MemberOutput<B: Backend> {
    /// Logits or heat maps `[N, C, H, W]`.
    Spatial(Tensor<B, 4>),
    /// Class logits or values `[N, D]`.
    Vector(Tensor<B, 2>),
}
