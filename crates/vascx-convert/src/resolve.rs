//! From a release's configuration and the user's options to a description.

use vascx_format::{
    FORMAT_VERSION, InferenceSettings, ModelManifest, Normalisation, Preprocessing, Source, Task,
    Transform,
};
use vascx_models::Architecture;

use crate::config::{Normalize, ReleaseConfig, TransformClass};
use crate::error::{Error, Result};
use crate::families::ArchitectureChoice;

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

/// The class of models whose windows have a halo.
const HALO_CLASS: &str = "HaloSegmentationEnsemble";

/// Resolves configuration, options and the recognised network. Decisions that the user should
/// know of are added to `notes`.
pub(crate) fn resolve(
    config: &ReleaseConfig,
    options: &ConvertOptions,
    architecture: Architecture,
    members: usize,
    source: Source,
    notes: &mut Vec<String>,
) -> Result<ModelManifest> {
    let task = task(config, options, &architecture, notes)?;
    let outputs = architecture.outputs();
    let answers = task.answers(outputs).map_err(Error::Task)?;
    if let Some(n_class) = config.lightningmodule.n_class
        && !matches!(task, Task::Regression | Task::Keypoints | Task::Embedding)
        && n_class != outputs
    {
        notes.push(format!(
            "lightningmodule.n_class is {n_class}, the network has {outputs}"
        ));
    }
    let manifest = ModelManifest {
        format_version: FORMAT_VERSION,
        name: config.name.clone(),
        task,
        members,
        output_names: output_names(config, options, task, answers, notes)?,
        inference: inference(config, task, architecture.fixed_sides(), notes)?,
        preprocessing: preprocessing(config, task, &architecture, notes)?,
        architecture,
        source,
        notice: config.notice.clone(),
    };
    manifest.validate().map_err(Error::Config)?;
    Ok(manifest)
}

/// What a release's class says of its networks' answers beyond their shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Nothing.
    Anything,
    /// Maps of the middle of the image: windows have a halo.
    CentresOfWindows,
    /// Points `[M, N, K, 2]` or `[M, N, 2K]`.
    Keypoints,
    /// Values `[M, N, D]` or, where there is one of each member, `[M, N]`.
    Values,
}

pub(crate) fn answered(config: &ReleaseConfig) -> Answered {
    match config.inference.ensemble_class.as_deref() {
        Some(HALO_CLASS) => Answered::CentresOfWindows,
        Some("KeypointsEnsemble") => Answered::Keypoints,
        Some("RegressionEnsemble") => Answered::Values,
        _ => Answered::Anything,
    }
}

/// Side of a halo model's windows and of its answers for them.
pub(crate) fn halo_sides(config: &ReleaseConfig) -> [usize; 2] {
    let lightning = &config.lightningmodule;
    let (context, output) = (lightning.context_size, lightning.output_size);
    [context.unwrap_or(768), output.unwrap_or(512)]
}

fn task_of_class(class: &str) -> Result<Task> {
    Ok(match class {
        "SegmentationEnsemble" | HALO_CLASS => Task::Segmentation,
        "SegmentationEnsembleOverlaps" => Task::Overlaps,
        "ClassificationEnsemble" => Task::Classification,
        "RegressionEnsemble" => Task::Regression,
        "HeatmapRegressionEnsemble" => Task::Heatmap,
        "KeypointsEnsemble" => Task::Keypoints,
        "EmbeddingEnsemble" => Task::Embedding,
        other => {
            return Err(Error::Config(format!(
                "unknown inference.ensemble_class `{other}`; a configuration with one of the known \
                 classes may be given instead (--config)"
            )));
        }
    })
}

fn task(
    config: &ReleaseConfig,
    options: &ConvertOptions,
    architecture: &Architecture,
    notes: &mut Vec<String>,
) -> Result<Task> {
    let task = if let Some(class) = &config.inference.ensemble_class {
        let task = task_of_class(class)?;
        let alone = architecture.outputs() == 1;
        match options.task {
            None => task,
            Some(asked) if asked == task => task,
            // The two that have another reading of what they cannot make sense of.
            Some(Task::Overlaps) if alone && task == Task::Segmentation => Task::Overlaps,
            Some(Task::Regression) if alone && task == Task::Classification => Task::Regression,
            Some(_) => {
                return Err(Error::Task(format!(
                    "the release says it is a {class}; leave --task out or set it to {}",
                    task.name()
                )));
            }
        }
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
        let (task, family) = (task.name(), architecture.family());
        let spatial = architecture.is_spatial();
        let output = if spatial { "map" } else { "vector" };
        return Err(Error::Task(format!(
            "{task} does not go with a {family} network, whose output is a {output}"
        )));
    }
    Ok(task)
}

fn preprocessing(
    config: &ReleaseConfig,
    task: Task,
    architecture: &Architecture,
    notes: &mut Vec<String>,
) -> Result<Preprocessing> {
    let transform = &config.datamodule.test_transform;
    let resize = match transform.resize {
        None => None,
        Some([height, width]) if height == width => Some(height),
        Some([height, width]) => {
            return Err(Error::Config(format!(
                "`datamodule.test_transform.resize` {height} × {width} is not square"
            )));
        }
    };
    let normalisation = match transform.normalize {
        Normalize::ImageNet => Normalisation::IMAGENET,
        Normalize::Diffusion => Normalisation::DIFFUSION,
        Normalize::ZeroOne => Normalisation::ZERO_ONE,
        Normalize::Nothing => Normalisation::NONE,
    };
    let channels = architecture.in_channels();
    let mut preprocessing = match transform.class {
        TransformClass::Fundus => Preprocessing {
            transform: Transform::Fundus,
            square_size: transform.square_size.unwrap_or(1024),
            resize,
            contrast_enhance: transform.contrast_enhance.unwrap_or(channels != 3),
            normalisation,
        },
        TransformClass::Basic => Preprocessing {
            transform: Transform::Basic { pad: transform.pad },
            square_size: transform.size.unwrap_or(256),
            resize: None,
            contrast_enhance: false,
            normalisation,
        },
    };
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
    if preprocessing.channels() != channels {
        let gives = preprocessing.channels();
        if let Some(enhance) = transform.contrast_enhance {
            return Err(Error::Config(format!(
                "the network takes {channels} channels, but contrast_enhance is {enhance}, which \
                 gives {gives}"
            )));
        }
        notes.push(format!(
            "the network takes {channels} channels, photographs have 3 or, with their contrast, 6: \
             it runs on tensors only (vascx forward, vascx bench)"
        ));
    } else if transform.class == TransformClass::Fundus && transform.contrast_enhance.is_none() {
        let what = if channels == 3 { "no " } else { "" };
        notes.push(format!(
            "contrast_enhance is not configured; the network's {channels} channels mean {what}\
             contrast enhancement"
        ));
    }
    Ok(preprocessing)
}

fn inference(
    config: &ReleaseConfig,
    task: Task,
    fixed_sides: Option<[usize; 2]>,
    notes: &mut Vec<String>,
) -> Result<InferenceSettings> {
    let inference = &config.inference;
    let (batch_size, windows) = match task {
        Task::Segmentation | Task::Overlaps => (4, 16),
        Task::Heatmap => (2, 1),
        Task::Classification | Task::Regression | Task::Keypoints | Task::Embedding => (16, 16),
    };
    let augmented = inference.tta == Some(true);
    if augmented && !task.is_spatial() {
        notes.push(
            "inference.tta is left out: the Python packages average flips of maps only (predict \
             --tta on averages these, too)"
                .into(),
        );
    }
    let tta_flips = match (augmented && task.is_spatial(), &inference.tta_flips) {
        (true, None) => vec![vec![2], vec![3], vec![2, 3]],
        (true, Some(flips)) => flips
            .iter()
            .map(|axes| axes.iter().map(|&axis| flipped_axis(axis)).collect())
            .collect::<Result<_>>()?,
        (false, _) => Vec::new(),
    };
    let default_sigma = InferenceSettings::RELATIVE_SIGMA;
    let (window, halo, relative_sigma) = if answered(config) == Answered::CentresOfWindows {
        let [context, output] = halo_sides(config);
        if context <= output || !(context - output).is_multiple_of(2) {
            return Err(Error::Config(format!(
                "lightningmodule.context_size {context} and .output_size {output} leave no equal \
                 halo on both sides"
            )));
        }
        let sigma = inference.gaussian_sigma_scale.unwrap_or(default_sigma);
        ([context; 2], (context - output) / 2, sigma)
    } else {
        let configured = inference.gaussian_sigma_scale;
        if configured.is_some_and(|sigma| (sigma - default_sigma).abs() > 1e-9) {
            notes.push(format!(
                "inference.gaussian_sigma_scale is for windows with a halo; {default_sigma} is used"
            ));
        }
        let window = inference.tracing_input_size.or(fixed_sides);
        (window.unwrap_or([512, 512]), 0, default_sigma)
    };
    // Halo models used to call their windows per pass so.
    let legacy = (halo > 0).then_some(inference.batch_size).flatten();
    let settings = InferenceSettings {
        window,
        halo,
        overlap: inference.overlap.unwrap_or(0.5),
        blend: inference.blend.unwrap_or_default(),
        relative_sigma,
        batch_size: inference.batch_size.unwrap_or(batch_size),
        window_batch_size: inference.tile_batch_size.or(legacy).unwrap_or(windows),
        tta_flips,
        normalised_keypoints: config.datamodule.normalize_keypoints.unwrap_or(true),
    };
    if settings.batch_size == 0 || settings.window_batch_size == 0 {
        return Err(Error::Config(
            "inference.batch_size and .tile_batch_size must be at least 1".into(),
        ));
    }
    Ok(settings)
}

/// An axis of `[N, C, H, W]`, counted from either end.
fn flipped_axis(axis: i64) -> Result<usize> {
    match axis {
        2 | -2 => Ok(2),
        3 | -1 => Ok(3),
        _ => Err(Error::Config(format!(
            "`inference.tta_flips` names axis {axis}; test-time augmentation can flip axes 2 (or -2, \
             up and down) and 3 (or -1, left and right) only"
        ))),
    }
}

fn output_names(
    config: &ReleaseConfig,
    options: &ConvertOptions,
    task: Task,
    answers: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<String>> {
    let configured = match task {
        Task::Heatmap | Task::Keypoints => &config.lightningmodule.keypoint_names,
        _ => &config.lightningmodule.class_names,
    };
    match configured {
        Some(names) if names.len() == answers => return Ok(names.clone()),
        Some(names) => notes.push(format!(
            "the configuration names {} outputs, the network has {answers}: they stay unnamed",
            names.len()
        )),
        None => {}
    }
    if !options.names.is_empty() {
        if options.names.len() != answers {
            return Err(Error::Task(format!(
                "--names gives {} names, the network has {answers} outputs",
                options.names.len()
            )));
        }
        return Ok(options.names.clone());
    }
    let name = config.name.as_deref().unwrap_or("").to_lowercase();
    let derived: &[&str] = match task {
        Task::Classification if name.contains("quality") && answers == 3 => &["q1", "q2", "q3"],
        Task::Heatmap | Task::Keypoints if name.contains("fovea") && answers == 1 => &["fovea"],
        _ => &[],
    };
    Ok(derived.iter().map(|&name| name.to_owned()).collect())
}
