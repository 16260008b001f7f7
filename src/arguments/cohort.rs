//! Arguments of the whole job and of its first half, which are retinalysis-vascx's and some more.

use std::path::PathBuf;

use clap::Args;
use vascx::biomarkers::FeatureSet;
use vascx::inference::{CohortJob, OverlayFormat, OverlayOptions, OverlayStyle, Role, Shard};
use vascx::pipeline::{Condition, ModelChoice};

use super::ComputingArguments;
use super::choices::{STYLES, at_least_one, one_of};
use super::photographs::{InputArguments, OutputArguments, VerbosityArguments};

#[derive(Debug, Args)]
pub(crate) struct RunModelsArguments {
    #[command(flatten)]
    pub(crate) cohort: CohortArguments,
    #[command(flatten)]
    pub(crate) crops: CropsArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) cohort: CohortArguments,
    /// Biomarkers to measure.
    #[arg(
        long,
        alias = "feature_set",
        value_name = "NAME",
        default_value = "full_v3"
    )]
    pub(crate) feature_set: FeatureSet,
    /// Keep photographs out of the biomarkers by a column of quality.csv or summary.csv, such as
    /// 'p3>0.5'.
    #[arg(long, value_name = "EXPR")]
    pub(crate) exclude_quality: Option<Condition>,
    /// Keep photographs out of the biomarkers that a list names, such as the report exports.
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude: Option<PathBuf>,
}

/// Of both.
#[derive(Debug, Args)]
pub(crate) struct CohortArguments {
    /// Folder of photographs, or list (CSV with the columns id,path or path).
    pub(crate) data: PathBuf,
    /// Folder for the results; created when missing.
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) models: ModelArguments,
    #[command(flatten)]
    pub(crate) steps: StepArguments,
    #[command(flatten)]
    pub(crate) drawing: DrawingArguments,
    /// Also write maps in the photographs' own pixels (OUT/native).
    #[arg(long)]
    native: bool,
    /// Do only one part of the photographs, such as 3/8; which ones depends on their ids alone.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Accepted for retinalysis-vascx's sake; --threads says on how many threads to work.
    #[arg(long, alias = "n_jobs", value_name = "N", value_parser = at_least_one, hide = true)]
    n_jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) computing: ComputingArguments,
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArguments,
}

/// Where the models are.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// Folder with quality/, artery_vein/, vessels/, disc/ and fovea/, in each of which a model lies as
    /// .pt, .onnx or model directory [default: the released models, from the hub's cache or the hub].
    #[arg(long, value_name = "DIR", env = "VASCX_MODEL_DIR")]
    model_dir: Option<PathBuf>,
    /// Model of the quality, in place of the folder's; a file, a model directory or a hub name.
    #[arg(long, value_name = "MODEL")]
    quality_model: Option<PathBuf>,
    /// Model of arteries and veins.
    #[arg(long, value_name = "MODEL")]
    av_model: Option<PathBuf>,
    /// Model of vessels.
    #[arg(long, value_name = "MODEL")]
    vessels_model: Option<PathBuf>,
    /// Model of the disc.
    #[arg(long, value_name = "MODEL")]
    disc_model: Option<PathBuf>,
    /// Model of the fovea.
    #[arg(long, value_name = "MODEL")]
    fovea_model: Option<PathBuf>,
}

/// Which steps are done; the later of contradicting switches counts.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of its own.
pub(crate) struct StepArguments {
    /// Find vessels, arteries and veins [default].
    #[arg(long, overrides_with = "no_vessels")]
    vessels: bool,
    /// Leave out vessels, arteries and veins; what OUT holds of them stays.
    #[arg(long, overrides_with = "vessels")]
    no_vessels: bool,
    /// Find the disc [default].
    #[arg(long, overrides_with = "no_disc")]
    disc: bool,
    /// Leave out the disc; what OUT holds of it stays.
    #[arg(long, overrides_with = "disc")]
    no_disc: bool,
    /// Judge the quality [default].
    #[arg(long, overrides_with = "no_quality")]
    quality: bool,
    /// Leave out the quality; what OUT holds of it stays.
    #[arg(long, overrides_with = "quality")]
    no_quality: bool,
    /// Find the fovea [default].
    #[arg(long, overrides_with = "no_fovea")]
    fovea: bool,
    /// Leave out the fovea; what OUT holds of it stays.
    #[arg(long, overrides_with = "fovea")]
    no_fovea: bool,
}

/// Whether photographs are cropped first.
#[derive(Debug, Args)]
pub(crate) struct CropsArguments {
    /// Crop photographs to their field of view [default].
    #[arg(long, overrides_with = "no_preprocess")]
    preprocess: bool,
    /// Take the crops that are in OUT/preprocessed_rgb already.
    #[arg(long, overrides_with = "preprocess", conflicts_with = "native")]
    no_preprocess: bool,
}

impl CropsArguments {
    pub(crate) fn are_there(&self) -> bool {
        self.no_preprocess && !self.preprocess
    }
}

/// How overlays look.
#[derive(Debug, Args)]
pub(crate) struct DrawingArguments {
    /// Draw the answers on the crops, OUT/overlays [default].
    #[arg(long, overrides_with = "no_overlay")]
    overlay: bool,
    /// Draw nothing; what OUT holds of it stays.
    #[arg(long, overrides_with = "overlay")]
    no_overlay: bool,
    #[command(flatten)]
    pub(crate) look: LookArguments,
}

/// How overlays look, once they are drawn.
#[derive(Debug, Args)]
pub(crate) struct LookArguments {
    /// How answers are drawn.
    #[arg(long, value_name = "STYLE", default_value = "reference", value_parser = one_of(STYLES))]
    overlay_style: OverlayStyle,
    /// How much of a vessel its colour covers, 0 to 1; the style is `tinted` then.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    overlay_opacity: Option<f32>,
    /// File format: png, jpg or webp.
    #[arg(long, value_name = "FORMAT", default_value = "png")]
    overlay_format: OverlayFormat,
    /// Leave out the strip below the picture that all styles but the reference's have.
    #[arg(long)]
    no_caption: bool,
}

fn parse_share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

impl LookArguments {
    pub(crate) fn options(&self) -> OverlayOptions {
        let opacity = self.overlay_opacity.map(OverlayStyle::Tinted);
        let style = opacity.unwrap_or(self.overlay_style);
        let options = OverlayOptions::default()
            .with_style(style)
            .with_format(self.overlay_format);
        if self.no_caption {
            options.with_caption(false)
        } else {
            options
        }
    }
}

impl CohortArguments {
    /// Where models come from and which steps are wanted.
    pub(crate) fn choice(&self) -> ModelChoice {
        let ModelArguments {
            model_dir,
            quality_model,
            av_model,
            vessels_model,
            disc_model,
            fovea_model,
        } = &self.models;
        let mut choice = ModelChoice::default();
        choice.folder.clone_from(model_dir);
        for (role, model) in [
            (Role::Quality, quality_model),
            (Role::ArteryVein, av_model),
            (Role::Vessels, vessels_model),
            (Role::Disc, disc_model),
            (Role::Fovea, fovea_model),
        ] {
            if let Some(model) = model {
                choice = choice.with_model(role, model);
            }
        }
        let steps = &self.steps;
        for (left_out, roles) in [
            (steps.no_vessels, &[Role::ArteryVein, Role::Vessels][..]),
            (steps.no_disc, &[Role::Disc]),
            (steps.no_quality, &[Role::Quality]),
            (steps.no_fovea, &[Role::Fovea]),
        ] {
            if left_out {
                choice = roles
                    .iter()
                    .fold(choice, |choice, &role| choice.without(role));
            }
        }
        choice
    }

    /// What is to be written and how, of photographs that are to be named.
    pub(crate) fn job(&self) -> CohortJob {
        let mut job = CohortJob::new(Vec::new(), &self.out);
        job.native = self.native;
        job.overlay = (!self.drawing.no_overlay).then(|| self.drawing.look.options());
        job.batch_size = self.computing.batch_size;
        job.limits = self.inputs.limits();
        job.existing = self.output.existing();
        job.durability = self.output.durability;
        job.memory = self.output.memory;
        job
    }
}

#[derive(Debug, Args)]
pub(crate) struct OverlayArguments {
    /// Folder of results, as `run` and `run-models` write it.
    pub(crate) out: PathBuf,
    /// Folder for the pictures; created when missing.
    pub(crate) pictures: PathBuf,
    /// Draw on the photographs in their own size instead of on their crops.
    #[arg(long)]
    pub(crate) native: bool,
    /// Draw only this photograph; may be given several times.
    #[arg(long = "id", value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) look: LookArguments,
    /// Replace pictures that are there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TablesArguments {
    /// Folder of results.
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// Folders of results of the same job on different photographs, such as its parts.
    #[arg(required = true, num_args = 1..)]
    pub(crate) parts: Vec<PathBuf>,
    /// Folder for all of them together; created when missing.
    #[arg(short, long)]
    pub(crate) out: PathBuf,
}
