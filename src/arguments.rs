//! Command-line arguments as they are typed.

mod biomarkers;
mod choices;
mod cohort;
mod photographs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vascx::convert::Task;
use vascx::inference::{BatchSize, Device, Devices, KeypointRule, PreprocessMode};
use vascx::models::Precision;

pub(crate) use biomarkers::{CalcBiomarkersArguments, DocumentArguments, WriteMappingArguments};
pub(crate) use choices::BenchArchitecture;
use choices::{
    ComputeArgument, DTYPES, KEYPOINTS, MODES, MODES_OF_MODELS, ModeOrAuto, SWITCH, TASKS,
    at_least_one, one_of, parse_batch_size,
};
pub(crate) use cohort::{
    CohortArguments, MergeArguments, OverlayArguments, RunArguments, RunModelsArguments,
    TablesArguments,
};
pub(crate) use photographs::{OutputArguments, PhotographArguments, VerbosityArguments};

/// Retinal model ensembles in pure Rust: convert PyTorch releases, run them on photographs.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Threads to compute on [default: RAYON_NUM_THREADS, else the processors that this process may
    /// use]; never more than processors.
    #[arg(short = 'j', long, global = true, value_name = "N", value_parser = at_least_one)]
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
    /// Photographs to a table of biomarkers and a report, in one go.
    Run(Box<RunArguments>),
    /// Run all models on photographs: quality, arteries and veins, vessels, disc, fovea.
    RunModels(Box<RunModelsArguments>),
    /// Measure vascular biomarkers on a folder of maps.
    CalcBiomarkers(CalcBiomarkersArguments),
    /// Write the names and descriptions of a feature set's biomarkers.
    WriteMapping(WriteMappingArguments),
    /// Write a page on a feature set, in Markdown.
    WriteReadme(DocumentArguments),
    /// Make the report on a folder of results anew: a page to look through all its photographs.
    Report(ReportArguments),
    /// Draw the overlays of a folder of results again, in another style, size or format.
    Overlay(OverlayArguments),
    /// Write the tables of a folder of results anew from its journal, also while a job writes there.
    Tables(TablesArguments),
    /// Make one folder of the results of several parts of a job.
    Merge(MergeArguments),
    /// Print what makes a shell complete this program's arguments.
    Completions(CompletionsArguments),
    /// Print a manual page, for `man -l -`.
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The command whose page to print [default: the program's own page].
    pub(crate) command: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Folder of results, as retinalysis-vascx's `run-models` writes it; report.html and report_files/ go there.
    #[arg(value_name = "OUT")]
    pub(crate) folder: PathBuf,
    /// Folder with biomarkers.csv [default: OUT or its only subfolder that has one].
    #[arg(long, value_name = "DIR")]
    pub(crate) biomarkers: Option<PathBuf>,
    /// Print errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// TorchScript release, ONNX file or state dict (.pt, .pth, .ckpt, .safetensors, a folder of
    /// the Hugging Face hub); several of the same network become one ensemble.
    #[arg(required = true)]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Model directory to write.
    #[arg(short, long)]
    pub(crate) out: PathBuf,
    /// What the model does, when the release does not say.
    #[arg(long, value_parser = one_of(TASKS))]
    pub(crate) task: Option<Task>,
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
    #[arg(long, default_value = "f32", value_parser = one_of(DTYPES))]
    pub(crate) dtype: Precision,
    /// Read the model directory again and compare tensors and answers with the checkpoint's.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Replace an existing model directory.
    #[arg(long)]
    pub(crate) force: bool,
    /// Print errors only.
    #[arg(short, long)]
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
    /// Also list the module tree and every tensor.
    #[arg(long)]
    pub(crate) tensors: bool,
    /// Print all of it as one JSON object.
    #[arg(long, conflicts_with = "tensors")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own.
pub(crate) struct PredictArguments {
    /// Checkpoint or model directory.
    #[arg(short, long)]
    pub(crate) model: PathBuf,
    /// Folder for the results; created when missing.
    #[arg(short, long)]
    pub(crate) out: PathBuf,
    /// Windows per forward pass [default: the model's].
    #[arg(long)]
    pub(crate) window_batch_size: Option<usize>,
    /// Test-time augmentation by flips [default: as the model is configured].
    #[arg(long, value_name = "on|off", value_parser = one_of(SWITCH))]
    pub(crate) tta: Option<bool>,
    /// How photographs are brought to the network's square.
    #[arg(long, default_value = "auto", value_parser = one_of(MODES_OF_MODELS))]
    pub(crate) preprocess: ModeOrAuto,
    /// How the members' heat maps become keypoints.
    #[arg(long, default_value = "argmax_of_sum", value_parser = one_of(KEYPOINTS))]
    pub(crate) keypoints: KeypointRule,
    #[command(flatten)]
    pub(crate) computing: ComputingArguments,
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
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArguments,
}

/// Of commands that compute the answers of photographs.
#[derive(Debug, Args)]
pub(crate) struct ComputingArguments {
    /// Photographs per chunk, or `auto` for what fits a GPU [default: the model's]. Results do not
    /// depend on it, memory does.
    #[arg(long, value_name = "N|auto", value_parser = parse_batch_size)]
    pub(crate) batch_size: Option<BatchSize>,
    /// cpu, ndarray, cuda[:index], wgpu, or several CUDA devices: cuda:0,cuda:1.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Devices,
    #[command(flatten)]
    pub(crate) kernels: KernelArguments,
    /// Element type of weights and feature maps; sums, softmax and blending stay in f32. `auto` is
    /// bf16 on the CPU where it has tiles for it (AMX), f32 elsewhere.
    #[arg(long, default_value = "f32")]
    pub(crate) dtype: ComputeArgument,
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
    #[arg(long, value_parser = one_of(MODES))]
    pub(crate) mode: PreprocessMode,
    /// Side of the square in pixels.
    #[arg(long, default_value_t = 1024)]
    pub(crate) size: usize,
    /// Folder for rgb/<id>.png, ce/<id>.png, bounds.json and manifest.csv; created when missing.
    #[arg(short, long)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) photographs: PhotographArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ForwardArguments {
    /// Checkpoint or model directory.
    #[arg(short, long)]
    pub(crate) model: PathBuf,
    /// Safetensors file with `image` [N,C,H,W] f32.
    #[arg(long)]
    pub(crate) input: PathBuf,
    /// Safetensors file to write, with `prediction` [M,N,…] f32.
    #[arg(short, long)]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) computing: PassArguments,
}

/// Of commands that run bare networks, on one device.
#[derive(Debug, Args)]
pub(crate) struct PassArguments {
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
    #[arg(short, long)]
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
    #[command(flatten)]
    pub(crate) computing: PassArguments,
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

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder for the results.
    #[arg(short, long, default_value = "out/demo")]
    pub(crate) out: PathBuf,
    /// Replace the results of another build of this program.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// cpu, ndarray, cuda[:index] or wgpu.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: Device,
    /// Print errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
