//! Values that some arguments are one of, as they are typed.

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use vascx::convert::Task;
use vascx::inference::PreprocessMode;
use vascx::inference::{BatchSize, Device, Durability, IdFrom, KeypointRule, OverlayStyle};
use vascx::models::Precision;

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("must be a whole number".into()),
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

/// A value, how it is typed, and what the help says of it, where the name does not say it.
pub(super) type Choice<T> = (T, &'static str, &'static str);

/// Takes one of some values.
pub(super) fn one_of<T: Clone + Send + Sync>(
    choices: &'static [Choice<T>],
) -> impl TypedValueParser<Value = T> {
    let values = choices.iter().map(|(_, name, help)| {
        let help = Some(*help).filter(|help| !help.is_empty());
        PossibleValue::new(*name).help(help)
    });
    PossibleValuesParser::new(values).map(|text| {
        let chosen = choices.iter().find(|(_, name, _)| *name == text);
        chosen.expect("one of the names").0.clone()
    })
}

pub(super) const SWITCH: &[Choice<bool>] = &[(true, "on", ""), (false, "off", "")];

pub(super) const TASKS: &[Choice<Task>] = &[
    (Task::Segmentation, "segmentation", ""),
    (Task::Overlaps, "overlaps", ""),
    (Task::Classification, "classification", ""),
    (Task::Regression, "regression", ""),
    (Task::Heatmap, "heatmap", ""),
    (Task::Keypoints, "keypoints", ""),
    (Task::Embedding, "embedding", ""),
];

pub(super) const DTYPES: &[Choice<Precision>] = &[
    (Precision::F32, "f32", ""),
    (Precision::F16, "f16", ""),
    (Precision::BF16, "bf16", ""),
];

pub(super) const MODES: &[Choice<PreprocessMode>] = &[
    (
        PreprocessMode::Full,
        "full",
        "Find the field of view, crop it to a square, enhance contrast",
    ),
    (
        PreprocessMode::Simple,
        "simple",
        "Pad to a square, resize, enhance contrast",
    ),
    (PreprocessMode::Resize, "resize", "Stretch to the square"),
];

/// A mode, or the model's own.
pub(crate) type ModeOrAuto = Option<PreprocessMode>;

pub(super) const MODES_OF_MODELS: &[Choice<ModeOrAuto>] = &[
    (
        None,
        "auto",
        "As the model was trained: `full`, or the fit into a square that its configuration names",
    ),
    (
        Some(PreprocessMode::Full),
        "full",
        "Find the field of view and crop it to a square, as the released models were trained",
    ),
    (
        Some(PreprocessMode::Simple),
        "simple",
        "Pad to a square and resize, as vascx_simplify does",
    ),
    (
        Some(PreprocessMode::Resize),
        "resize",
        "Stretch to the square, as vascx_simplify does without contrast",
    ),
    (
        Some(PreprocessMode::Crop),
        "crop",
        "The photographs are crops of the field of view already",
    ),
];

pub(super) const KEYPOINTS: &[Choice<KeypointRule>] = &[
    (
        KeypointRule::ArgmaxOfSum,
        "argmax_of_sum",
        "The maximum of their sum, as vascx_simplify does",
    ),
    (
        KeypointRule::MeanOfArgmax,
        "mean_of_argmax",
        "The mean of their maxima, as retinalysis-inference does",
    ),
];

pub(super) const IDS: &[Choice<IdFrom>] = &[
    (
        IdFrom::Stem,
        "stem",
        "The file's name without its extension",
    ),
    (IdFrom::Name, "name", "The file's name"),
    (
        IdFrom::Path,
        "path",
        "The path as it was given, without the extension, `/` as `__`",
    ),
];

pub(super) const DURABILITIES: &[Choice<Durability>] = &[
    (Durability::Full, "full", ""),
    (Durability::Fast, "fast", ""),
];

pub(super) const STYLES: &[Choice<OverlayStyle>] = &[
    (
        OverlayStyle::Reference,
        "reference",
        "As retinalysis-vascx draws: opaque, arteries red, veins blue, disc white, fovea a yellow X",
    ),
    (
        OverlayStyle::Contours,
        "contours",
        "Outlines, so that the vessels stay visible",
    ),
    (
        OverlayStyle::Tinted(0.4),
        "tinted",
        "Vessels covered by their colour to 0.4, or --overlay-opacity",
    ),
];

/// Networks that can be measured without a file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BenchArchitecture {
    /// U-Net of base width 32 and depth 5.
    Unet,
    Resnet18,
    Resnet34,
    Resnet50,
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
