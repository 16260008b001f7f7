//! The networks behind one type, so that ensembles, files and devices need not tell them apart.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::{Graph, GraphError, GraphNetwork, MemberOutput};

use crate::{
    BasicUNet, BasicUNetConfig, ConfigError, ConvNeXt, ConvNeXtConfig, DynUNet, DynUNetConfig,
    EfficientNet, EfficientNetConfig, MobileNetV3, MobileNetV3Config, ResNet, ResNetConfig,
    ResNetUNet, ResNetUNetConfig, UNet, UNetConfig,
};

/// Which network a member is, with its parameters. Serialises as `{"unet": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// See [`UNet`].
    UNet(UNetConfig),
    /// See [`ResNetUNet`].
    ResNetUNet(ResNetUNetConfig),
    /// See [`BasicUNet`].
    BasicUNet(BasicUNetConfig),
    /// See [`DynUNet`].
    DynUNet(DynUNetConfig),
    /// See [`ResNet`].
    ResNet(ResNetConfig),
    /// See [`EfficientNet`].
    EfficientNet(EfficientNetConfig),
    /// See [`ConvNeXt`].
    ConvNeXt(ConvNeXtConfig),
    /// See [`MobileNetV3`].
    MobileNetV3(MobileNetV3Config),
    /// The program of a checkpoint: one graph that all members share, or one per member. See
    /// [`GraphNetwork`].
    Graph(Vec<Arc<Graph>>),
}

/// What the world around a network needs to know of it.
struct Interface {
    family: &'static str,
    in_channels: usize,
    outputs: usize,
    spatial: bool,
    size_divisor: usize,
    min_side: usize,
}

/// Why a network does not take an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// An operation of a graph does not fit it.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// It would shrink to nothing.
    #[error("images must be at least {0} pixels high and wide")]
    TooSmall(usize),
    /// The members' maps could not be combined.
    #[error("the members answer with maps of different sizes")]
    MembersDiffer,
}

impl Architecture {
    fn interface(&self) -> Interface {
        let maps = |family, in_channels, outputs, size_divisor| Interface {
            family,
            in_channels,
            outputs,
            spatial: true,
            size_divisor,
            min_side: 1,
        };
        let vectors = |family, in_channels, outputs| Interface {
            spatial: false,
            ..maps(family, in_channels, outputs, 1)
        };
        match self {
            Self::UNet(c) => maps("unet", c.in_channels, c.out_channels, c.size_divisor()),
            Self::ResNetUNet(c) => {
                let divisor = ResNetUNetConfig::SIZE_DIVISOR;
                maps("resnetunet", c.in_channels, c.out_channels, divisor)
            }
            Self::BasicUNet(c) => {
                let divisor = BasicUNetConfig::SIZE_DIVISOR;
                maps("basicunet", c.in_channels, c.out_channels, divisor)
            }
            Self::DynUNet(c) => maps("dynunet", c.in_channels, c.out_channels, c.size_divisor()),
            Self::ResNet(c) => vectors("resnet", c.in_channels, c.outputs),
            Self::EfficientNet(c) => vectors("efficientnet", c.in_channels, c.outputs),
            Self::ConvNeXt(c) => Interface {
                min_side: ConvNeXtConfig::MIN_SIDE,
                ..vectors("convnext", c.in_channels, c.outputs)
            },
            Self::MobileNetV3(c) => vectors("mobilenetv3", c.in_channels, c.outputs),
            Self::Graph(graphs) => match first(graphs) {
                Some(graph) => Interface {
                    family: "graph",
                    in_channels: graph.input.example[1],
                    outputs: graph.output.channels,
                    spatial: graph.output.spatial,
                    size_divisor: graph.input.divisor,
                    min_side: 1,
                },
                None => vectors("graph", 0, 0),
            },
        }
    }

    /// Lower-case family name, as in `model.json`: `unet`, `resnet`, …, `graph`.
    pub fn family(&self) -> &'static str {
        self.interface().family
    }

    /// Channels an input image must have.
    pub fn in_channels(&self) -> usize {
        self.interface().in_channels
    }

    /// Classes, keypoints or values in the output.
    pub fn outputs(&self) -> usize {
        self.interface().outputs
    }

    /// Whether the output is a map `[N, C, H, W]` rather than a vector `[N, D]`.
    pub fn is_spatial(&self) -> bool {
        self.interface().spatial
    }

    /// Height and width of an input must be multiples of this.
    pub fn size_divisor(&self) -> usize {
        self.interface().size_divisor
    }

    /// The only height and width an input may have, if the network has them built in.
    pub fn fixed_sides(&self) -> Option<[usize; 2]> {
        match self {
            Self::Graph(graphs) => first(graphs)?.input.sides,
            _ => None,
        }
    }

    /// Checks that the network takes images of a shape `[N, C, H, W]`.
    ///
    /// # Errors
    /// When it is too small, or a graph has an operation that does not fit it. Beyond that, typed
    /// networks take whatever fits [`Architecture::in_channels`] and
    /// [`Architecture::size_divisor`].
    pub fn check_input(&self, shape: [usize; 4]) -> Result<(), InputError> {
        if let Self::Graph(graphs) = self {
            for graph in graphs {
                graph.check_input(shape)?;
            }
        }
        let min_side = self.interface().min_side;
        if shape[2].min(shape[3]) < min_side {
            return Err(InputError::TooSmall(min_side));
        }
        Ok(())
    }

    /// Height and width of the answer to an image of a height and width: as many pixels as it has
    /// where the network answers with vectors.
    ///
    /// # Errors
    /// Those of [`Architecture::check_input`].
    pub fn answered_sides(&self, [height, width]: [usize; 2]) -> Result<[usize; 2], InputError> {
        let image = [1, self.in_channels(), height, width];
        self.check_input(image)?;
        match self {
            Self::Graph(graphs) if self.is_spatial() => {
                let mut answered = None;
                for graph in graphs {
                    let sides = graph.answered_sides(image)?;
                    if *answered.get_or_insert(sides) != sides {
                        return Err(InputError::MembersDiffer);
                    }
                }
                Ok(answered.unwrap_or([height, width]))
            }
            _ => Ok([height, width]),
        }
    }

    /// Checks the configuration without building anything.
    ///
    /// # Errors
    /// When sizes are out of range or contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::UNet(config) => config.validate(),
            Self::ResNetUNet(config) => config.validate(),
            Self::BasicUNet(config) => config.validate(),
            Self::DynUNet(config) => config.validate(),
            Self::ResNet(config) => config.validate(),
            Self::EfficientNet(config) => config.validate(),
            Self::ConvNeXt(config) => config.validate(),
            Self::MobileNetV3(config) => config.validate(),
            Self::Graph(graphs) => validate_graphs(graphs),
        }
    }

    /// One member as a graph, whose parameters bear the names that they have in [`Self::init`].
    ///
    /// # Errors
    /// When the configuration contradicts itself, or has no such member.
    pub fn graph(&self, member: usize) -> Result<Arc<Graph>, ConfigError> {
        self.validate()?;
        let written = match self {
            Self::UNet(config) => config.write(),
            Self::ResNetUNet(config) => config.write(),
            Self::BasicUNet(config) => config.write(),
            Self::DynUNet(config) => config.write(),
            Self::ResNet(config) => config.write(),
            Self::EfficientNet(config) => config.write(),
            Self::ConvNeXt(config) => config.write(),
            Self::MobileNetV3(config) => config.write(),
            Self::Graph(graphs) => {
                let graph = match &graphs[..] {
                    [shared] => Some(shared),
                    graphs => graphs.get(member),
                };
                return graph.cloned().ok_or_else(|| {
                    let count = graphs.len();
                    ConfigError::new("graph", format!("{count} graphs, no member {member}"))
                });
            }
        };
        let graph = written.map_err(|reason| ConfigError::new(self.family(), reason))?;
        Ok(Arc::new(graph))
    }

    /// Builds one member as a module that can be trained: typed networks with fresh random weights,
    /// graphs with weights of zero.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or has no such member.
    pub fn init<B: Backend>(
        &self,
        member: usize,
        device: &B::Device,
    ) -> Result<Network<B>, ConfigError> {
        Ok(match self {
            Self::Graph(_) => Network::Graph(GraphNetwork::new(self.graph(member)?, device)),
            Self::UNet(config) => Network::UNet(config.init(device)?),
            Self::ResNetUNet(config) => Network::ResNetUNet(config.init(device)?),
            Self::BasicUNet(config) => Network::BasicUNet(config.init(device)?),
            Self::DynUNet(config) => Network::DynUNet(config.init(device)?),
            Self::ResNet(config) => Network::ResNet(config.init(device)?),
            Self::EfficientNet(config) => Network::EfficientNet(config.init(device)?),
            Self::ConvNeXt(config) => Network::ConvNeXt(config.init(device)?),
            Self::MobileNetV3(config) => Network::MobileNetV3(config.init(device)?),
        })
    }
}

fn validate_graphs(graphs: &[Arc<Graph>]) -> Result<(), ConfigError> {
    let kind = |graph: &Graph| {
        let output = &graph.output;
        (graph.input.example[1], output.channels, output.spatial)
    };
    let Some(leader) = first(graphs) else {
        return Err(ConfigError::new("graph", "there is none"));
    };
    let alike = graphs.iter().all(|graph| kind(graph) == kind(leader));
    ConfigError::unless("graph")(alike, "members differ in input or output")?;
    let mut graphs = graphs.iter();
    graphs
        .try_for_each(|graph| graph.validate())
        .map_err(|error| ConfigError::new("graph", error.to_string()))
}

fn first(graphs: &[Arc<Graph>]) -> Option<&Graph> {
    graphs.first().map(AsRef::as_ref)
}

/// One ensemble member as a plain burn module.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // A handful of members live in one vector; size is irrelevant.
pub enum Network<B: Backend> {
    /// Spatial output.
    UNet(UNet<B>),
    /// Spatial output.
    ResNetUNet(ResNetUNet<B>),
    /// Spatial output.
    BasicUNet(BasicUNet<B>),
    /// Spatial output.
    DynUNet(DynUNet<B>),
    /// Vector output.
    ResNet(ResNet<B>),
    /// Vector output.
    EfficientNet(EfficientNet<B>),
    /// Vector output.
    ConvNeXt(ConvNeXt<B>),
    /// Vector output.
    MobileNetV3(MobileNetV3<B>),
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
            Self::ResNetUNet(network) => MemberOutput::Spatial(network.forward(image)),
            Self::BasicUNet(network) => MemberOutput::Spatial(network.forward(image)),
            Self::DynUNet(network) => MemberOutput::Spatial(network.forward(image)),
            Self::ResNet(network) => MemberOutput::Vector(network.forward(image)),
            Self::EfficientNet(network) => MemberOutput::Vector(network.forward(image)),
            Self::ConvNeXt(network) => MemberOutput::Vector(network.forward(image)),
            Self::MobileNetV3(network) => MemberOutput::Vector(network.forward(image)),
            Self::Graph(network) => network.forward(image),
        }
    }
}
