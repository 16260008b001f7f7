//! Command-line arguments as they are typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vascx::convert::Task;
use vascx::inference::{
    BatchSize, DecodeLimits, Device, Devices, Durability, Existing, KeypointRule, PreprocessMode,
};
use vascx::models::Precision;

/// Retinal model ensembles in pure Rust: convert PyTorch releases, run them on photographs.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Threads to compute on [default: RAYON_NUM_THREADS, else the processors that this process may
    /// use]; never more than processors.
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// How messages are written on standard error: for people, or as JSON, one object a line.
    #[arg(long, global = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Convert a PyTorch checkpoint to a model directory, offline.
    Convert(ConvertArguments),
    /// Describe a checkpoint or model directory.
    Inspect(InspectArguments),
    /// Run a model on photographs.
    Predict(PredictArguments),
    /// Bring photographs to the square that models see, without a model.
    Preprocess(PreprocessArguments),
    /// Run the bare ensemble on a tensor: no preprocessing, no tiling.
    Forward(ForwardArguments),
    /// Measure seconds per forward pass.
    Bench(BenchArguments),
    /// Fetch models of the Hugging Face hub into its cache and print where they are.
    Pull(PullArguments),
    /// List what this build and machine can compute on.
    Devices,
    /// Run the bundled demonstration models on the bundled photographs.
    Demo(DemoArguments),
    /// Make the report on a folder of results anew: a page to look through all its photographs.
    Report(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Folder of results, as `run-models` writes it; report.html and report_files/ go there.
    #[arg(value_name = "OUT")]
    pub(crate) folder: PathBuf,
    /// Folder with biomarkers.csv [default: OUT or its only subfolder that has one].
    #[arg(long, value_name = "DIR")]
    pub(crate) biomarkers: Option<PathBuf>,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// TorchScript release, ONNX file or state dict (.pt, .pth, .ckpt, .safetensors, a folder of
    /// the Hugging Face hub); several of the same network become one ensemble.
    #[arg(required = true)]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Model directory to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// What the model does, when the release does not say.
    #[arg(long)]
    pub(crate) task: Option<TaskArgument>,
    /// Names of classes, keypoints or values, when the release has none.
    #[arg(long, value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// Network of the weights: a name such as resnet18, or a file ending in .json with the
    /// `architecture` of a model.json. For a release, the typed network to use instead of its
    /// program, against which it is checked.
    #[arg(long, value_name = "NAME|FILE.json")]
    pub(crate) arch: Option<String>,
    /// Configuration in the release's JSON format, for checkpoints that carry none.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) config: Option<PathBuf>,
    /// Where the weights lie in a file that holds several: keys and beginnings of names, separated
    /// by points, such as state_dict_ema or state_dict.student.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Element type of the written weights.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: DTypeArgument,
    /// Read the model directory again and compare tensors and answers with the checkpoint's.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Replace an existing model directory.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// Names such as Eyened/vascx:fovea/fovea_may26.pt, which every command takes as a model, too.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Checkpoint or model directory.
    pub(crate) path: PathBuf,
    /// Where the weights lie in a file that holds several, as for `convert`.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own.
pub(crate) struct PredictArguments {
    /// Checkpoint or model directory.
    #[arg(long)]
    pub(crate) model: PathBuf,
    /// Folder for the results; created when missing.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Photographs per chunk, or `auto` for what fits a GPU [default: the model's]. Results do not
    /// depend on it, memory does.
    #[arg(long, value_name = "N|auto", value_parser = parse_batch_size)]
    pub(crate) batch_size: Option<BatchSize>,
    /// Windows per forward pass [default: the model's].
    #[arg(long)]
    pub(crate) window_batch_size: Option<usize>,
    /// Test-time augmentation by flips [default: as the model is configured].
    #[arg(long, value_name = "on|off")]
    pub(crate) tta: Option<Switch>,
    /// How photographs are brought to the network's square.
    #[arg(long, default_value = "auto")]
    pub(crate) preprocess: PreprocessArgument,
    /// How the members' heat maps become keypoints.
    #[arg(long, default_value = "argmax_of_sum")]
    pub(crate) keypoints: KeypointsArgument,
    /// cpu, ndarray, cuda[:index], wgpu, or several CUDA devices: cuda:0,cuda:1.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Devices,
    #[command(flatten)]
    pub(crate) kernels: KernelArguments,
    /// Element type of weights and feature maps; sums, softmax and blending stay in f32. `auto` is
    /// bf16 on the CPU where it has tiles for it (AMX), f32 elsewhere.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: ComputeArgument,
    /// Also write class probabilities or heat maps as safetensors.
    #[arg(long)]
    pub(crate) save_probabilities: bool,
    /// Also draw the results on the photographs (OUT/overlays).
    #[arg(long)]
    pub(crate) overlay: bool,
    #[command(flatten)]
    pub(crate) photographs: PhotographArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Photographs, folders of photographs, or lists (CSV with the columns id,path or path).
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
}

/// Of commands that read photographs.
#[derive(Debug, Args)]
pub(crate) struct PhotographArguments {
    /// Also take photographs of subfolders; ids then begin with the subfolder's name and `__`.
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Largest photograph, in pixels; what declares more fails before memory is taken.
    #[arg(long, value_name = "N", default_value_t = DecodeLimits::default().max_pixels)]
    max_pixels: u64,
}

impl PhotographArguments {
    pub(crate) fn limits(&self) -> DecodeLimits {
        DecodeLimits::default().with_max_pixels(self.max_pixels)
    }
}

/// Of commands that write a folder of results.
#[derive(Debug, Args)]
pub(crate) struct OutputArguments {
    /// Leave out what an earlier run of the same model with the same settings has done; results of
    /// other photographs stay.
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the results of another model, other settings or other photographs.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Whether results survive a loss of power (full) or only the end of the program (fast), which
    /// may save time on network file systems.
    #[arg(long, default_value = "full")]
    pub(crate) durability: DurabilityArgument,
    /// Memory that photographs may take while they are under way, such as 500MB or 2GB; one that
    /// takes more alone fails [default: half of what is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub(crate) memory: Option<u64>,
}

/// Bytes, or thousands, millions or thousands of millions of them.
fn parse_memory(text: &str) -> Result<u64, String> {
    let units = [
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let upper = text.trim().to_uppercase();
    let parts = units
        .iter()
        .find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = parts.unwrap_or((upper.as_str(), 1));
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * f64::from(bytes)) as u64),
        _ => Err("expected a size such as 500MB or 2GB".into()),
    }
}

impl OutputArguments {
    pub(crate) fn existing(&self) -> Existing {
        match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DurabilityArgument {
    Full,
    Fast,
}

impl From<DurabilityArgument> for Durability {
    fn from(argument: DurabilityArgument) -> Self {
        match argument {
            DurabilityArgument::Full => Self::Full,
            DurabilityArgument::Fast => Self::Fast,
        }
    }
}

/// Of commands that compute on a GPU.
#[derive(Debug, Args)]
pub(crate) struct KernelArguments {
    /// Folder that keeps what a GPU's kernels are compiled and tuned to, for later runs [default:
    /// `vascx` in the user's cache].
    #[arg(long, value_name = "DIR")]
    pub(crate) autotune_cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PreprocessArguments {
    /// How photographs are brought to a square.
    #[arg(long)]
    pub(crate) mode: ModeArgument,
    /// Side of the square in pixels.
    #[arg(long, default_value_t = 1024)]
    pub(crate) size: usize,
    /// Folder for rgb/<id>.png, ce/<id>.png, bounds.json and manifest.csv; created when missing.
    #[arg(long)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) photographs: PhotographArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Photographs, folders of photographs, or lists (CSV with the columns id,path or path).
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ForwardArguments {
    /// Checkpoint or model directory.
    #[arg(long)]
    pub(crate) model: PathBuf,
    /// Safetensors file with `image` [N,C,H,W] f32.
    #[arg(long)]
    pub(crate) input: PathBuf,
    /// Safetensors file to write, with `prediction` [M,N,…] f32.
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// cpu, ndarray, cuda[:index] or wgpu.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Device,
    #[command(flatten)]
    pub(crate) kernels: KernelArguments,
    /// Element type of weights and feature maps; sums, softmax and blending stay in f32. `auto` is
    /// bf16 on the CPU where it has tiles for it (AMX), f32 elsewhere.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: ComputeArgument,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("network").required(true).args(["model", "arch"]))]
pub(crate) struct BenchArguments {
    /// Checkpoint or model directory.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// A published network with random weights instead.
    #[arg(long)]
    pub(crate) arch: Option<BenchArchitecture>,
    /// Side of the images in pixels [default: the model's window or input; 512].
    #[arg(long)]
    pub(crate) size: Option<usize>,
    /// Images per pass.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) batch: usize,
    /// Measured passes, after one that is not counted.
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    pub(crate) runs: usize,
    /// cpu, ndarray, cuda[:index] or wgpu.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Device,
    #[command(flatten)]
    pub(crate) kernels: KernelArguments,
    /// Element type of weights and feature maps.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: ComputeArgument,
    /// List every layer's time beside the least that the machine could take (device cpu).
    #[arg(long)]
    pub(crate) layers: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Photographs, folders or CSV files: also measure from file to answer.
    #[arg(conflicts_with = "arch")]
    pub(crate) inputs: Vec<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
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

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder for the results.
    #[arg(long, default_value = "out/demo")]
    pub(crate) out: PathBuf,
    /// Replace the results of another build of this program.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// cpu, ndarray, cuda[:index] or wgpu.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Device,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
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

fn parse_batch_size(text: &str) -> Result<BatchSize, String> {
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
