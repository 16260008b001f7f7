//! The networks behind VascX retinal models, written in [burn](https://burn.dev) and generic over
//! the backend: U-Nets and classifiers as typed modules, which write themselves down as
//! [`Graph`](vascx_graph::Graph)s, and the [`Ensemble`] that runs several graphs on the same
//! photograph. They know nothing of files, images or command lines.
//!
//! ```
//! use burn::backend::Flex;
//! use burn::tensor::Tensor;
//! use vascx_models::{Architecture, Ensemble, Prediction, UNetConfig};
//!
//! let device = Default::default();
//! let architecture = Architecture::UNet(UNetConfig::new(6, 4, [8, 16]));
//! let ensemble = Ensemble::<Flex>::new(&architecture, 3, &device)?;
//! let photographs = Tensor::zeros([2, 6, 32, 32], &device);
//! let Prediction::Spatial(logits) = ensemble.forward(photographs) else { unreachable!() };
//! assert_eq!(logits.dims(), [3, 2, 4, 32, 32]); // members, images, classes, height, width
//! # Ok::<(), vascx_models::ConfigError>(())
//! ```
//!
//! Networks train on an autodiff backend like any burn module; inference uses running statistics
//! and ignores dropout and deep-supervision heads.

mod basic_unet;
mod conv_layer;
mod convnext;
mod dyn_unet;
mod efficientnet;
mod ensemble;
mod inverted_residual;
mod mobilenet_v3;
mod network;
mod norm;
mod parameters;
mod resnet;
mod resnet_unet;
mod squeeze_excitation;
mod unet;
mod writer;

pub use basic_unet::{BasicUNet, BasicUNetConfig};
pub use convnext::{ConvNeXt, ConvNeXtConfig};
pub use dyn_unet::{DynUNet, DynUNetConfig, DynUNetLevel};
pub use efficientnet::{EfficientNet, EfficientNetConfig, EfficientNetStage};
pub use ensemble::Ensemble;
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Block, MobileNetV3Config};
pub use network::{Architecture, InputError, Network};
pub use norm::Norm;
pub use parameters::{ParameterSpec, load_parameters, parameter_specs};
pub use resnet::{ResNet, ResNetConfig, ResNetDepth};
pub use resnet_unet::{ResNetUNet, ResNetUNetConfig};
pub use unet::{UNet, UNetConfig, Upsampling};
pub use vascx_graph::{Activation, MemberOutput, Precision, Prediction, check_instruction_set};

/// Most channels of any layer. Configurations come from files; this keeps their products far from
/// overflow.
const MAX_CHANNELS: usize = 1 << 16;

/// Most blocks of a network, for the same reason.
pub(crate) const MAX_LAYERS: usize = 1000;

/// A network configuration that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {family} configuration: {reason}")]
pub struct ConfigError {
    family: &'static str,
    reason: String,
}

impl ConfigError {
    pub(crate) fn new(family: &'static str, reason: impl Into<String>) -> Self {
        Self {
            family,
            reason: reason.into(),
        }
    }

    /// Refuses what does not hold of a family's configuration.
    pub(crate) fn unless(family: &'static str) -> impl Fn(bool, &str) -> Result<(), Self> {
        move |holds, reason| holds.then_some(()).ok_or_else(|| Self::new(family, reason))
    }
}

/// Whether sizes are positive, and so small that their products cannot overflow.
fn are_sizes(sizes: impl IntoIterator<Item = usize>) -> bool {
    let mut sizes = sizes.into_iter();
    sizes.all(|size| (1..=MAX_CHANNELS).contains(&size))
}

/// Whether it is a side of a kernel with a middle.
fn is_kernel(side: usize) -> bool {
    side % 2 == 1 && side <= 15
}
