//! `model.json`: everything about a converted model but its weights.

use serde::{Deserialize, Serialize};
use vascx_models::Architecture;

use crate::config::{Blend, ReleaseConfig};
use crate::error::{Error, Result};
use crate::families::ArchitectureChoice;

/// Version of the model-directory format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

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
}

/// The four kinds of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A class per pixel.
    Segmentation,
    /// Class probabilities per photograph.
    Classification,
    /// Values per photograph.
    Regression,
    /// Keypoints as maxima of heat maps.
    Heatmap,
}

impl Task {
    /// Whether networks for this task answer with maps `[N, C, H, W]`.
    pub fn is_spatial(self) -> bool {
        matches!(self, Self::Segmentation | Self::Heatmap)
    }

    /// Lower-case name as in `model.json` and `--task`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segmentation => "segmentation",
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Heatmap => "heatmap",
        }
    }

    fn from_ensemble_class(class: &str) -> Result<Self> {
        match class {
            "SegmentationEnsemble" => Ok(Self::Segmentation),
            "ClassificationEnsemble" => Ok(Self::Classification),
            "RegressionEnsemble" => Ok(Self::Regression),
            "HeatmapRegressionEnsemble" => Ok(Self::Heatmap),
            other => Err(Error::Config(format!(
                "unknown inference.ensemble_class `{other}`"
            ))),
        }
    }
}

/// What a photograph goes through before the network sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Side of the square the photograph is brought to, in pixels.
    pub square_size: usize,
    /// Side of the network's input, when it differs from `square_size`.
    pub resize: Option<usize>,
    /// Whether the enhanced RGB follows the RGB (6 channels) or not (3).
    pub contrast_enhance: bool,
    /// Per-channel mean and standard deviation of RGB values in 0…1; none: values stay in 0…1.
    pub normalisation: Option<Normalisation>,
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

/// Subtract `mean`, divide by `std`; in RGB order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Mean per channel.
    pub mean: [f32; 3],
    /// Standard deviation per channel.
    pub std: [f32; 3],
}

impl Normalisation {
    /// The statistics of ImageNet, which all releases use.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
}

/// How an ensemble is run; every value can be overridden by the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceSettings {
    /// Height and width of the sliding window.
    pub window: [usize; 2],
    /// Share of a window that its neighbour covers again, in 0..1.
    pub overlap: f64,
    /// How overlapping windows are weighted.
    pub blend: Blend,
    /// Photographs per chunk.
    pub batch_size: usize,
    /// Windows per forward pass.
    pub window_batch_size: usize,
    /// Test-time augmentation: axes of `[N, C, H, W]` to flip, one list per extra pass.
    pub tta_flips: Vec<Vec<usize>>,
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

/// What the user may decide where the checkpoint is silent.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// Task, for a release that does not name its ensemble class.
    pub task: Option<Task>,
    /// Names of classes, keypoints or values, for a release that does not name them.
    pub names: Vec<String>,
    /// The network of a state dict, where its tensors do not tell; for a release, the typed
    /// network to use instead of its program.
    pub architecture: Option<ArchitectureChoice>,
    /// Configuration as JSON text in the release's format, for a checkpoint that has none; takes
    /// the place of the one it has.
    pub config: Option<String>,
    /// Where the weights of a state dict lie among others: keys of dictionaries and beginnings of
    /// names, separated by points, such as `state_dict_ema` or `state_dict.student`.
    pub key: Option<String>,
}

impl ModelManifest {
    /// Resolves configuration, options and the recognised network. Decisions that the user should
    /// know of are added to `notes`.
    pub(crate) fn resolve(
        config: &ReleaseConfig,
        options: &ConvertOptions,
        architecture: Architecture,
        members: usize,
        source: Source,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let task = resolve_task(config, options, &architecture, notes)?;
        let mut preprocessing = resolve_preprocessing(config)?;
        // A vector network sees the whole photograph: it is brought to the only size it takes.
        if let (Some([height, width]), false) = (architecture.fixed_sides(), task.is_spatial())
            && height == width
            && preprocessing.input_size() != height
        {
            notes.push(format!(
                "photographs are resized to the network's {height} pixels"
            ));
            preprocessing.resize = Some(height);
        }
        if preprocessing.channels() != architecture.in_channels() {
            return Err(Error::Config(format!(
                "the network takes {} channels, but contrast_enhance is {}, which gives {}",
                architecture.in_channels(),
                preprocessing.contrast_enhance,
                preprocessing.channels()
            )));
        }
        if let Some(n_class) = config.lightningmodule.n_class
            && task != Task::Regression
            && n_class != architecture.outputs()
        {
            let outputs = architecture.outputs();
            notes.push(format!(
                "lightningmodule.n_class is {n_class}, the network has {outputs}"
            ));
        }
        let manifest = Self {
            format_version: FORMAT_VERSION,
            name: config.name.clone(),
            task,
            members,
            output_names: output_names(config, options, task, architecture.outputs())?,
            inference: resolve_inference(config, task, architecture.fixed_sides())?,
            architecture,
            preprocessing,
            source,
        };
        manifest.validate().map_err(Error::Config)?;
        Ok(manifest)
    }

    /// Checks what the types cannot: sizes, ranges and agreement between task and network.
    pub(crate) fn validate(&self) -> std::result::Result<(), String> {
        let invalid = Err::<(), String>;
        if self.format_version != FORMAT_VERSION {
            return invalid(format!(
                "format version {} is not {FORMAT_VERSION}; convert the checkpoint again",
                self.format_version
            ));
        }
        self.architecture
            .validate()
            .map_err(|error| error.to_string())?;
        if self.task.is_spatial() != self.architecture.is_spatial() {
            return invalid(format!(
                "a {} network cannot do {}",
                self.architecture.family(),
                self.task.name()
            ));
        }
        if self.task == Task::Segmentation && self.architecture.outputs() > 256 {
            return invalid("class maps hold at most 256 classes".into());
        }
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
            if side == 0 || side > 16_384 {
                return invalid(format!("{what} {side} is outside 1…16384"));
            }
            if self.task.is_spatial() && side % divisor != 0 {
                return invalid(format!("{what} {side} is no multiple of {divisor}"));
            }
        }
        let [height, width] = if self.task.is_spatial() {
            self.inference.window
        } else {
            [self.preprocessing.input_size(); 2]
        };
        let channels = self.architecture.in_channels();
        self.architecture
            .check_input([1, channels, height, width])
            .map_err(|error| format!("the network takes no {height} × {width}: {error}"))?;
        if !(0.0..1.0).contains(&self.inference.overlap) {
            return invalid(format!("overlap {} is outside 0…1", self.inference.overlap));
        }
        if self.inference.batch_size == 0 || self.inference.window_batch_size == 0 {
            return invalid("batch sizes must be at least 1".into());
        }
        if self
            .inference
            .tta_flips
            .iter()
            .flatten()
            .any(|&axis| axis != 2 && axis != 3)
        {
            return invalid("test-time augmentation can flip axes 2 and 3 only".into());
        }
        if !self.output_names.is_empty() && self.output_names.len() != self.architecture.outputs() {
            return invalid(format!(
                "{} output names for {} outputs",
                self.output_names.len(),
                self.architecture.outputs()
            ));
        }
        Ok(())
    }
}

fn resolve_task(
    config: &ReleaseConfig,
    options: &ConvertOptions,
    architecture: &Architecture,
    notes: &mut Vec<String>,
) -> Result<Task> {
    let task = if let Some(class) = &config.inference.ensemble_class {
        let task = Task::from_ensemble_class(class)?;
        if options.task.is_some_and(|asked| asked != task) {
            return Err(Error::Task(format!(
                "the release says it is a {class}; leave --task out or set it to {}",
                task.name()
            )));
        }
        task
    } else if let Some(task) = options.task {
        task
    } else {
        let inferred = match (architecture.is_spatial(), architecture.outputs()) {
            (true, 1) => Task::Heatmap,
            (true, _) => Task::Segmentation,
            (false, 1) if config.lightningmodule.n_class.is_none() => Task::Regression,
            (false, _) => Task::Classification,
        };
        notes.push(format!(
            "no ensemble class is named; taken as {} from the network's output \
             (--task decides otherwise)",
            inferred.name()
        ));
        inferred
    };
    if task.is_spatial() != architecture.is_spatial() {
        return Err(Error::Task(format!(
            "{} does not go with a {} network, whose output is a {}",
            task.name(),
            architecture.family(),
            if architecture.is_spatial() {
                "map"
            } else {
                "vector"
            }
        )));
    }
    Ok(task)
}

fn resolve_preprocessing(config: &ReleaseConfig) -> Result<Preprocessing> {
    let transform = &config.datamodule.test_transform;
    let resize = match transform.resize.map(crate::config::Side::height_width) {
        None => None,
        Some([height, width]) if height == width => Some(height),
        Some([height, width]) => {
            return Err(Error::Config(format!(
                "test_transform.resize {height} × {width} is not square"
            )));
        }
    };
    Ok(Preprocessing {
        square_size: transform.square_size.unwrap_or(1024),
        resize,
        contrast_enhance: transform.contrast_enhance.unwrap_or(true),
        normalisation: transform
            .normalize
            .unwrap_or(true)
            .then_some(Normalisation::IMAGENET),
    })
}

fn resolve_inference(
    config: &ReleaseConfig,
    task: Task,
    fixed_sides: Option<[usize; 2]>,
) -> Result<InferenceSettings> {
    let inference = &config.inference;
    let (batch_size, window_batch_size) = match task {
        Task::Segmentation => (4, 16),
        Task::Classification | Task::Regression => (16, 16),
        Task::Heatmap => (2, 1),
    };
    let tta_flips = match (inference.tta, &inference.tta_flips) {
        (Some(true), None) => vec![vec![2], vec![3], vec![2, 3]],
        (Some(true), Some(flips)) => flips.clone(),
        _ => Vec::new(),
    };
    let settings = InferenceSettings {
        window: inference
            .tracing_input_size
            .map(super::config::Side::height_width)
            .or(fixed_sides)
            .unwrap_or([512, 512]),
        overlap: inference.overlap.unwrap_or(0.5),
        blend: inference.blend.unwrap_or_default(),
        batch_size: inference.batch_size.unwrap_or(batch_size),
        window_batch_size,
        tta_flips,
    };
    if settings.batch_size == 0 {
        return Err(Error::Config(
            "inference.batch_size must be at least 1".into(),
        ));
    }
    Ok(settings)
}

/// Names from the configuration, else from the user, else from the release's name, else none.
fn output_names(
    config: &ReleaseConfig,
    options: &ConvertOptions,
    task: Task,
    outputs: usize,
) -> Result<Vec<String>> {
    let configured = match task {
        Task::Heatmap => &config.lightningmodule.keypoint_names,
        _ => &config.lightningmodule.class_names,
    };
    if let Some(names) = configured {
        return Ok(names.clone());
    }
    if !options.names.is_empty() {
        if options.names.len() != outputs {
            return Err(Error::Task(format!(
                "--names gives {} names, the network has {outputs} outputs",
                options.names.len()
            )));
        }
        return Ok(options.names.clone());
    }
    let name = config.name.as_deref().unwrap_or("").to_lowercase();
    let derived: &[&str] = match task {
        Task::Classification if name.contains("quality") && outputs == 3 => &["q1", "q2", "q3"],
        Task::Heatmap if name.contains("fovea") && outputs == 1 => &["fovea"],
        _ => &[],
    };
    Ok(derived.iter().map(|&name| name.to_owned()).collect())
}
