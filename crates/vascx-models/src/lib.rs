//! The networks behind VascX retinal models, written in [burn](https://burn.dev) and generic over
//! the backend: U-Nets and classifiers as typed modules, [`GraphNetwork`](graph::GraphNetwork)s
//! for programs of any architecture, and the [`Ensemble`] that runs several of them on the same
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

mod activation;
mod basic_unet;
mod conv_layer;
mod convnext;
mod dyn_unet;
mod efficientnet;
mod ensemble;
mod fused;
pub mod graph;
mod inverted_residual;
mod mapped_file;
mod mobilenet_v3;
mod network;
mod norm;
mod parameters;
mod precision;
mod resnet;
mod resnet_unet;
mod squeeze_excitation;
mod unet;
mod work;
mod writer;

pub use activation::Activation;
pub use basic_unet::{BasicUNet, BasicUNetConfig};
pub use convnext::{ConvNeXt, ConvNeXtConfig};
pub use dyn_unet::{DynUNet, DynUNetConfig, DynUNetLevel};
pub use efficientnet::{EfficientNet, EfficientNetConfig, EfficientNetStage};
pub use ensemble::{Ensemble, Prediction};
pub use mapped_file::MappedFile;
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Block, MobileNetV3Config};
pub use network::{Architecture, InputError, MemberOutput, Network};
pub use norm::Norm;
pub use parameters::{ParameterSpec, load_parameters, parameter_specs};
pub use precision::Precision;
pub use resnet::{ResNet, ResNetConfig, ResNetDepth};
pub use resnet_unet::{ResNetUNet, ResNetUNetConfig};
pub use unet::{UNet, UNetConfig, Upsampling};
pub use work::{Layer, Peak, count_operations, measure_layers};

/// Most channels of any layer. Configurations come from files; this keeps their products far from
/// overflow.
pub(crate) const MAX_CHANNELS: usize = 1 << 16;

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
}

/// Whether the kernels for CPUs have the vector instructions that `VASCX_INSTRUCTION_SET` asks for, if
/// it does; they take the best that there are when they have not.
///
/// # Errors
/// A sentence that names those that this machine has.
pub fn check_instruction_set() -> Result<(), String> {
    #[cfg(feature = "flex")]
    if let Some(asked) = std::env::var_os("VASCX_INSTRUCTION_SET") {
        let available = vascx_kernels::InstructionSet::available();
        let names: Vec<_> = available.iter().map(|set| set.name()).collect();
        if !names.iter().any(|name| asked == **name) {
            return Err(format!(
                "VASCX_INSTRUCTION_SET is `{}`, but this machine has: {}",
                asked.display(),
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Name of the vector instructions that the kernels for CPUs use here, on which the last bits of
/// answers may depend; none in a build without those kernels.
pub fn instruction_set() -> Option<&'static str> {
    #[cfg(feature = "flex")]
    return Some(vascx_kernels::InstructionSet::current().name());
    #[cfg(not(feature = "flex"))]
    None
}
