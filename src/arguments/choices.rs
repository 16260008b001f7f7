//! Values that some arguments are one of, as they are typed.

use clap::ValueEnum;
use vascx::convert::Task;
use vascx::inference::{BatchSize, Device, KeypointRule, PreprocessMode};
use vascx::models::Precision;

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("must be a whole number".into()),
    }
}

/// Networks that can be measured without a file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BenchArchitecture {
    /// U-Net of base width 32 and depth 5.
    Unet,
    Resnet18,
    Resnet34,
    Resnet50,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TaskArgument {
    Segmentation,
    Overlaps,
    Classification,
    Regression,
    Heatmap,
    Keypoints,
    Embedding,
}

impl From<TaskArgument> for Task {
    fn from(argument: TaskArgument) -> Self {
        match argument {
            TaskArgument::Segmentation => Self::Segmentation,
            TaskArgument::Overlaps => Self::Overlaps,
            TaskArgument::Classification => Self::Classification,
            TaskArgument::Regression => Self::Regression,
            TaskArgument::Heatmap => Self::Heatmap,
            TaskArgument::Keypoints => Self::Keypoints,
            TaskArgument::Embedding => Self::Embedding,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DTypeArgument {
    F32,
    F16,
    Bf16,
}

impl From<DTypeArgument> for Precision {
    fn from(argument: DTypeArgument) -> Self {
        match argument {
            DTypeArgument::F32 => Self::F32,
            DTypeArgument::F16 => Self::F16,
            DTypeArgument::Bf16 => Self::BF16,
        }
    }
}

/// The type that a network computes in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ComputeArgument {
    Auto,
    F32,
    F16,
    Bf16,
}

impl ComputeArgument {
    /// The type on a device.
    pub(crate) fn on(self, device: Device) -> Precision {
        match self {
            Self::Auto if device.is_gpu() => Precision::F32,
            Self::Auto => Precision::fastest_on_cpu(),
            Self::F32 => Precision::F32,
            Self::F16 => Precision::F16,
            Self::Bf16 => Precision::BF16,
        }
    }
}

pub(super) fn parse_batch_size(text: &str) -> Result<BatchSize, String> {
    match text {
        "auto" => Ok(BatchSize::Auto),
        _ => text
            .parse()
            .map(BatchSize::Photographs)
            .map_err(|_| "expected a number or `auto`".into()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeArgument {
    /// Find the field of view, crop it to a square, enhance contrast.
    Full,
    /// Pad to a square, resize, enhance contrast.
    Simple,
    /// Stretch to the square.
    Resize,
}

impl From<ModeArgument> for PreprocessMode {
    fn from(argument: ModeArgument) -> Self {
        match argument {
            ModeArgument::Full => Self::Full,
            ModeArgument::Simple => Self::Simple,
            ModeArgument::Resize => Self::Resize,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PreprocessArgument {
    /// As the model was trained: `full`, or the fit into a square that its configuration names.
    Auto,
    /// Find the field of view and crop it to a square, as the released models were trained.
    Full,
    /// Pad to a square and resize, as vascx_simplify does.
    Simple,
    /// Stretch to the square, as vascx_simplify does without contrast.
    Resize,
    /// The photographs are crops of the field of view already.
    Crop,
}

impl From<PreprocessArgument> for Option<PreprocessMode> {
    fn from(argument: PreprocessArgument) -> Self {
        match argument {
            PreprocessArgument::Auto => None,
            PreprocessArgument::Full => Some(PreprocessMode::Full),
            PreprocessArgument::Simple => Some(PreprocessMode::Simple),
            PreprocessArgument::Resize => Some(PreprocessMode::Resize),
            PreprocessArgument::Crop => Some(PreprocessMode::Crop),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeypointsArgument {
    /// The maximum of their sum, as vascx_simplify does.
    #[value(name = "argmax_of_sum")]
    ArgmaxOfSum,
    /// The mean of their maxima, as retinalysis-inference does.
    #[value(name = "mean_of_argmax")]
    MeanOfArgmax,
}

impl From<KeypointsArgument> for KeypointRule {
    fn from(argument: KeypointsArgument) -> Self {
        match argument {
            KeypointsArgument::ArgmaxOfSum => Self::ArgmaxOfSum,
            KeypointsArgument::MeanOfArgmax => Self::MeanOfArgmax,
        }
    }
}
