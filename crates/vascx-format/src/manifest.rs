//! `model.json`: everything about a converted model but its weights.

mod older;

use serde::{Deserialize, Serialize};
use vascx_models::Architecture;

/// Version of the model-directory format that this crate writes. It reads this and older ones.
pub const FORMAT_VERSION: u32 = 2;

/// Contents of `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The release's name, if it has one.
    pub name: Option<String>,
    /// What the ensemble answers.
    pub task: Task,
    /// The network of every member.
    pub architecture: Architecture,
    /// Number of ensemble members M.
    pub members: usize,
    /// What a photograph goes through before the network sees it.
    pub preprocessing: Preprocessing,
    /// Names of the classes, keypoints or values; empty when the release names none.
    pub output_names: Vec<String>,
    /// How the ensemble is run.
    pub inference: InferenceSettings,
    /// Where the weights come from.
    pub source: Source,
    /// What whoever uses the answers must know, such as that the model is a demonstration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The kinds of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A class per pixel.
    Segmentation,
    /// Classes per pixel that may overlap: any number of them.
    Overlaps,
    /// Class probabilities per photograph.
    Classification,
    /// Values per photograph.
    Regression,
    /// Keypoints as maxima of heat maps.
    Heatmap,
    /// Keypoints as numbers.
    Keypoints,
    /// A vector per photograph that other programs go on with.
    Embedding,
}

impl Task {
    /// Most classes that may overlap: one bit of a byte each.
    const MOST_OVERLAPS: usize = 8;

    /// Whether networks for this task answer with maps `[N, C, H, W]`.
    pub fn is_spatial(self) -> bool {
        matches!(self, Self::Segmentation | Self::Overlaps | Self::Heatmap)
    }

    /// Lower-case name as in `model.json` and `--task`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Overlaps => "overlaps",
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Heatmap => "heatmap",
            Self::Keypoints => "keypoints",
            Self::Embedding => "embedding",
        }
    }

    /// Classes, keypoints or values that a network with this many outputs gives.
    ///
    /// # Errors
    /// When the task has no use for so many.
    pub fn answers(self, outputs: usize) -> Result<usize, String> {
        let none = |reason: &str| Err(reason.to_owned());
        match self {
            Self::Segmentation if outputs == 1 => none(
                "the network has one output per pixel, and softmax over one class is always 1; if \
                 it is the logit of a mask, the configuration's inference.ensemble_class (--config) \
                 is SegmentationEnsembleOverlaps, or --task is overlaps, which takes the sigmoid",
            ),
            Self::Classification if outputs == 1 => none(
                "the network has one output, and softmax over one class is always 1; if it is a \
                 value or the logit of a class, the configuration's inference.ensemble_class \
                 (--config) is RegressionEnsemble, or --task is regression, which gives it as it is",
            ),
            Self::Segmentation if outputs > 256 => none("class maps hold at most 256 classes"),
            Self::Overlaps if outputs > Self::MOST_OVERLAPS => {
                none("maps of overlapping classes hold at most 8 classes, one bit of a byte each")
            }
            Self::Keypoints if outputs % 2 == 1 => {
                none("the network's outputs are no pairs of x and y")
            }
            Self::Keypoints => Ok(outputs / 2),
            _ => Ok(outputs),
        }
    }
}

/// What a photograph goes through before the network sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// How it is brought to a square.
    pub transform: Transform,
    /// Side of the square the photograph is brought to, in pixels.
    pub square_size: usize,
    /// Side of the network's input, when it differs from `square_size`.
    pub resize: Option<usize>,
    /// Whether the enhanced RGB follows the RGB (6 channels) or not (3).
    pub contrast_enhance: bool,
    /// What its grey levels become.
    pub normalisation: Normalisation,
}

/// How photographs were brought to a square when the model was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// The field of view is found and cropped.
    Fundus,
    /// The longer side is resized to the square, the rest is black.
    Basic {
        /// Height and width that smaller photographs are filled up to with black before.
        pad: Option<[usize; 2]>,
    },
}

impl Preprocessing {
    /// Side of the network's input in pixels.
    pub fn input_size(&self) -> usize {
        self.resize.unwrap_or(self.square_size)
    }

    /// Channels of the network's input.
    pub fn channels(&self) -> usize {
        if self.contrast_enhance { 6 } else { 3 }
    }
}

/// Divide grey levels 0…255 by `divisor`, subtract `mean`, divide by `std`; in RGB order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// The same for all channels.
    pub divisor: f32,
    /// Mean per channel.
    pub mean: [f32; 3],
    /// Standard deviation per channel.
    pub std: [f32; 3],
}

impl Normalisation {
    /// The statistics of ImageNet, which most releases use.
    pub const IMAGENET: Self = Self {
        divisor: 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// To -1…1, as for diffusion models.
    pub const DIFFUSION: Self = Self {
        divisor: 255.0,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    /// To 0…1.
    pub const ZERO_ONE: Self = Self {
        divisor: 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    /// Grey levels stay 0…255.
    pub const NONE: Self = Self {
        divisor: 1.0,
        ..Self::ZERO_ONE
    };

    /// What a grey level 0…255 of a channel (0 red, 1 green, 2 blue) becomes.
    ///
    /// # Panics
    /// When there is no such channel.
    pub fn apply(&self, level: f32, channel: usize) -> f32 {
        (level / self.divisor - self.mean[channel]) / self.std[channel]
    }
}

/// How an ensemble is run; every value can be overridden by the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceSettings {
    /// Height and width of the sliding window, as the network sees it.
    pub window: [usize; 2],
    /// Pixels at each of a window's edges that the network sees but does not answer for.
    pub halo: usize,
    /// Share of a window that its neighbour covers again, in 0..1.
    pub overlap: f64,
    /// How overlapping windows are weighted.
    pub blend: Blend,
    /// Standard deviation of Gaussian weights, relative to the side of a window's answer.
    pub relative_sigma: f64,
    /// Photographs per chunk.
    pub batch_size: usize,
    /// Windows per forward pass.
    pub window_batch_size: usize,
    /// Test-time augmentation: axes of `[N, C, H, W]` to flip, one list per extra pass.
    pub tta_flips: Vec<Vec<usize>>,
    /// Whether keypoints as numbers are shares of the width and height of the network's input, not
    /// pixels.
    pub normalised_keypoints: bool,
}

impl InferenceSettings {
    /// The `relative_sigma` of windows without halo, and the default of those with one.
    pub const RELATIVE_SIGMA: f64 = 0.125;
}

/// How overlapping windows are weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blend {
    /// More weight to the middle of a window, less to its edge.
    #[default]
    Gaussian,
    /// The same weight everywhere.
    Constant,
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// File name of the checkpoint; of several, separated by commas.
    pub file: String,
    /// SHA-256 of the checkpoint in hexadecimal; of several, of one after the other.
    pub sha256: String,
}

/// Largest image side, and most photographs or windows at once.
const MOST: usize = 16_384;

impl ModelManifest {
    /// Reads `model.json`, of this or an older format version.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let value = older::upgrade(value)?;
        let manifest: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Number of classes, keypoints or values in an answer.
    pub fn answers(&self) -> usize {
        let outputs = self.architecture.outputs();
        self.task.answers(outputs).unwrap_or(outputs)
    }

    /// Whether photographs give the channels that the network takes. Others can be run on tensors
    /// only.
    pub fn takes_photographs(&self) -> bool {
        self.preprocessing.channels() == self.architecture.in_channels()
    }

    /// Checks what the types cannot: sizes, ranges and agreement between task and network.
    ///
    /// # Errors
    /// With what does not fit.
    pub fn validate(&self) -> Result<(), String> {
        let invalid = Err::<(), String>;
        self.architecture
            .validate()
            .map_err(|error| error.to_string())?;
        if self.task.is_spatial() != self.architecture.is_spatial() {
            let (family, task) = (self.architecture.family(), self.task.name());
            return invalid(format!("a {family} network cannot do {task}"));
        }
        let answers = self.task.answers(self.architecture.outputs())?;
        if self.members == 0 || self.members > 1000 {
            return invalid(format!("{} members", self.members));
        }
        let divisor = self.architecture.size_divisor();
        let sides = [
            ("square size", self.preprocessing.square_size, 1),
            ("input size", self.preprocessing.input_size(), 1),
            ("window height", self.inference.window[0], divisor),
            ("window width", self.inference.window[1], divisor),
        ];
        for (what, side, divisor) in sides {
            if side == 0 || side > MOST {
                return invalid(format!("{what} {side} is outside 1…{MOST}"));
            }
            if self.task.is_spatial() && side % divisor != 0 {
                return invalid(format!("{what} {side} is no multiple of {divisor}"));
            }
        }
        if let Transform::Basic { pad: Some(pad) } = self.preprocessing.transform
            && pad.iter().any(|&side| side > MOST)
        {
            return invalid(format!("test_transform.pad {pad:?} is beyond {MOST}"));
        }
        let Normalisation { divisor, mean, std } = self.preprocessing.normalisation;
        let factors = std.iter().chain([&divisor]);
        if factors.chain(&mean).any(|value| !value.is_finite()) || std.contains(&0.0) {
            return invalid("the normalisation is not finite".into());
        }
        self.validate_windows()?;
        let inference = &self.inference;
        for (what, count) in [
            ("photographs", inference.batch_size),
            ("windows", inference.window_batch_size),
        ] {
            if count == 0 || count > MOST {
                return invalid(format!("{count} {what} at once are outside 1…{MOST}"));
            }
        }
        let mut flipped = inference.tta_flips.iter().flatten();
        if flipped.any(|&axis| axis != 2 && axis != 3) {
            return invalid("test-time augmentation can flip axes 2 and 3 only".into());
        }
        let names = self.output_names.len();
        if names != 0 && names != answers {
            return invalid(format!("{names} output names for {answers} outputs"));
        }
        Ok(())
    }

    /// That the network takes its windows, or the whole image, and answers for all of them.
    fn validate_windows(&self) -> Result<(), String> {
        let InferenceSettings {
            window,
            halo,
            overlap,
            relative_sigma,
            ..
        } = self.inference;
        if !(0.0..1.0).contains(&overlap) {
            return Err(format!("overlap {overlap} is outside 0…1"));
        }
        if !relative_sigma.is_finite() {
            return Err(format!("gaussian_sigma_scale {relative_sigma}"));
        }
        let [height, width] = if self.task.is_spatial() {
            window
        } else {
            [self.preprocessing.input_size(); 2]
        };
        let refused =
            |error| format!("the network takes no images of {height} × {width} pixels: {error}");
        let answered = self
            .architecture
            .answered_sides([height, width])
            .map_err(refused)?;
        if !self.task.is_spatial() {
            return Ok(());
        }
        if window.iter().any(|&side| side <= 2 * halo) {
            return Err(format!(
                "a halo of {halo} pixels leaves nothing of a window of {height} × {width}"
            ));
        }
        if answered != window.map(|side| side - 2 * halo) {
            let answered = format!(
                "the network answers for {} × {} pixels of a window of {height} × {width}",
                answered[0], answered[1]
            );
            return Err(if halo == 0 {
                format!(
                    "{answered}; it must answer for all, unless the configuration (--config) says \
                     HaloSegmentationEnsemble, with lightningmodule.context_size and .output_size"
                )
            } else {
                format!("{answered}, not for all but {halo} at each edge")
            });
        }
        Ok(())
    }
}
