//! The whole job's first half: photographs through all models, into the folder that
//! retinalysis-vascx's `run-models` writes.

mod confidence;
mod plausible;
mod products;
mod role;

pub use role::{Models, Role};

use std::path::PathBuf;

use serde_json::{Value, json};
use vascx_format::Transform;

use super::folder::{Existing, Layout, Request};
use super::outputs::model_description;
use super::pipeline::Pipeline;
use super::tables::{NumberTable, Tables};
use super::{Outcome, Summary};
use crate::budget::Need;
use crate::control::{Cancel, Warnings};
use crate::decode::DecodeLimits;
use crate::ensemble::{BatchSize, Call, KeypointRule, Plan, PredictOptions, Wanted};
use crate::error::{Error, Result};
use crate::inputs::{Input, LeftOut};
use crate::output::Durability;
use crate::overlay::OverlayOptions;
use crate::preprocess::PreprocessMode;
use products::Products;

/// Side of crops, and of the maps on them.
pub(crate) const SIDE: usize = 1024;

/// Photographs per chunk on the CPU, where larger chunks gain nothing: all models' maps of a chunk are in
/// memory at the same time.
const FEW: BatchSize = BatchSize::Photographs(2);

/// Photographs, and what to make of them with the models of [`Role`]s.
///
/// ```no_run
/// use vascx_convert::Model;
/// use vascx_inference::{AnyEnsemble, CohortJob, Device, InputOptions, Inputs, Models, Role};
///
/// let mut models = Models::default();
/// for (role, file) in [(Role::ArteryVein, "artery_vein.pt"), (Role::Disc, "disc.pt")] {
///     let model = Model::open(file)?;
///     models = models.with(role, AnyEnsemble::load(&model, Device::Cpu)?)?;
/// }
/// let inputs = Inputs::resolve(&["photographs".into()], InputOptions::default())?;
/// let summary = CohortJob::new(inputs.photographs, "out").run(&models, |outcome| {
///     println!("{} {:?}", outcome.input.id, outcome.status);
/// })?;
/// println!("{} done", summary.succeeded);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CohortJob {
    /// Photographs, or crops, with distinct ids.
    pub inputs: Vec<Input>,
    /// What was found beside them and not taken; for `run.json`.
    pub left_out: LeftOut,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// Whether the inputs are crops of the field of view already, which are not written again.
    pub crops: bool,
    /// Whether `bounds.csv` is to be left as it is, with crops.
    pub keeps_bounds: bool,
    /// Whether maps are also written in the photographs' own pixels, `native/`.
    pub native: bool,
    /// How answers are drawn on the crops, `overlays/`; not at all where there is none.
    pub overlay: Option<OverlayOptions>,
    /// Photographs per chunk, when not the models'. Results do not depend on it, memory does.
    pub batch_size: Option<BatchSize>,
    /// How large photographs may be.
    pub limits: DecodeLimits,
    /// What to do with results that are in the output folder already.
    pub existing: Existing,
    /// Whether results survive a loss of power.
    pub durability: Durability,
    /// Files that no output may replace; see [`Job::keep`](super::Job::keep).
    pub keep: Vec<PathBuf>,
    /// Bytes that photographs may take; see [`Job::memory`](super::Job::memory).
    pub memory: Option<u64>,
    /// Which build of the program runs; see [`Job::build`](super::Job::build).
    pub build: String,
    /// Stops the job after what is begun.
    pub cancel: Cancel,
    /// Where warnings go that concern the whole job.
    pub warnings: Warnings,
}

impl CohortJob {
    /// Of photographs, into a folder, with overlays as retinalysis-vascx draws them and defaults for
    /// everything else.
    pub fn new(inputs: Vec<Input>, out: impl Into<PathBuf>) -> Self {
        Self {
            inputs,
            out: out.into(),
            overlay: Some(OverlayOptions::default()),
            ..Self::default()
        }
    }

    /// Decodes every photograph once, finds and crops its field of view once, and asks every model
    /// about the crop. Writes, as far as there are models: `preprocessed_rgb/<id>.png`,
    /// `artery_vein/`, `vessels/`, `disc/`, `native/`, `overlays/`, `bounds.csv`, `fovea.csv`,
    /// `quality.csv`; how sure the answers are, `summary.csv`; `manifest.csv`, `run.json` and the
    /// journal. All maps and points are on the crop, 1024².
    ///
    /// A photograph has all its files or none. Otherwise as [`Job::run`](super::Job::run).
    ///
    /// # Errors
    /// When there are no inputs, no models and nothing to crop, or the folder may not be used; see
    /// [`Job::run`](super::Job::run).
    pub fn run(&self, models: &Models, each: impl FnMut(Outcome) + Send) -> Result<Summary> {
        let calls = self.calls(models)?;
        if calls.is_empty() {
            return Err(Error::NoModels);
        }
        let crop = (!self.crops).then_some(SIDE);
        let plan = Plan::of_several(calls, self.limits, crop, true);
        let products = Products::new(self, models, &plan);
        let pipeline = Pipeline {
            request: Request {
                out: &self.out,
                layout: self.layout(models, products.tables()),
                inputs: &self.inputs,
                keep: &self.keep,
                existing: self.existing,
                durability: self.durability,
                run: products.description().clone(),
            },
            plan: &plan,
            need: self.need(&plan),
            memory: self.memory,
            cancel: &self.cancel,
            warnings: &self.warnings,
        };
        pipeline.run(&products, each)
    }

    /// How every model is called: as retinalysis-vascx does, which gives it the crop and lets it find
    /// the field of view there once more.
    fn calls(&self, models: &Models) -> Result<Vec<Call>> {
        let call = |(role, model): (&Role, &crate::ensemble::AnyEnsemble)| {
            let mut options = PredictOptions::default();
            let few = model.runner.on_host().then_some(FEW);
            options.batch_size = self.batch_size.or(few);
            options.keypoints = KeypointRule::MeanOfArgmax;
            let transform = model.manifest().preprocessing.transform;
            options.preprocess = (transform == Transform::Fundus).then_some(PreprocessMode::Crop);
            let wanted = if *role == Role::Quality {
                Wanted::Logits
            } else {
                // How sure an answer is stands in its maps.
                Wanted::AnswersAndMaps
            };
            Call::new(&model.runner, &options, wanted)
        };
        models.by_role.iter().map(call).collect()
    }

    fn layout(&self, models: &Models, tables: &Tables) -> Layout {
        let mut folders = Vec::new();
        if !self.crops {
            folders.push("preprocessed_rgb");
        }
        for role in models.roles().filter(|role| role.has_map()) {
            folders.push(role.name());
        }
        if self.native {
            folders.extend(models.roles().filter_map(products::native_folder));
        }
        let mut per_photograph: Vec<(String, &str)> = folders
            .iter()
            .map(|folder| (format!("{folder}/"), ".png"))
            .collect();
        if let Some(overlay) = &self.overlay {
            folders.push("overlays");
            per_photograph.push(("overlays/".into(), overlay.format.suffix()));
        }
        Layout {
            folders,
            per_photograph,
            tables: tables.files(),
            predictions: tables.numbers(),
            summary: tables.summary.len(),
        }
    }

    fn tables(&self, models: &Models) -> Tables {
        let mut numbers = Vec::new();
        let mut table = |file: &str, columns: Vec<String>| {
            numbers.push(NumberTable {
                file: file.into(),
                // As pandas writes an index without a name.
                id: String::new(),
                columns,
            });
        };
        if models.get(Role::Fovea).is_some() {
            table("fovea.csv", vec!["x_fovea".into(), "y_fovea".into()]);
        }
        if let Some(quality) = models.get(Role::Quality) {
            let classes = quality.manifest().answers();
            let named = |letter: char| (1..=classes).map(move |class| format!("{letter}{class}"));
            table("quality.csv", named('q').chain(named('p')).collect());
        }
        Tables {
            numbers,
            summary: products::summary_columns(models),
            bounds: !(self.crops && self.keeps_bounds),
            ..Tables::default()
        }
    }

    /// Everything that decides the outputs of a photograph.
    fn description(&self, models: &Models, plan: &Plan, tables: &Tables) -> Value {
        let named = models.roles().zip(&plan.calls);
        let described = named.map(|(role, call)| (role.name().to_owned(), model_description(call)));
        let described: serde_json::Map<_, _> = described.collect();
        json!({
            "vascx_version": env!("CARGO_PKG_VERSION"),
            "build": self.build,
            "task": "cohort",
            "crops": self.crops,
            "native": self.native,
            "overlay": self.overlay.as_ref().map(|overlay| json!({
                "style": overlay.style.name(),
                "format": overlay.format.extension(),
                "caption": overlay.has_caption(),
            })),
            "models": described,
            "tables": tables.to_json(),
        })
    }

    /// What a photograph takes while it is under way.
    fn need(&self, plan: &Plan) -> Need {
        let float = size_of::<f32>() as u64;
        let area = (SIDE * SIDE) as u64;
        // The crop, its contrast, the overlay, the maps on the crop.
        let mut fixed = area * (3 + 3 + 3 + 3);
        for call in &plan.calls {
            let manifest = &call.runner.manifest;
            let side = manifest.preprocessing.input_size() as u64;
            let outputs = manifest.architecture.outputs() as u64;
            let maps = match (manifest.task.is_spatial(), manifest.task) {
                (false, _) => 0,
                (true, vascx_format::Task::Heatmap) => (manifest.members as u64 + 1) * outputs,
                (true, _) => 2 * outputs,
            };
            fixed += side * side * float * (manifest.preprocessing.channels() as u64 + maps);
        }
        Need {
            limits: self.limits,
            per_pixel: 3 * u64::from(self.native),
            fixed,
        }
    }
}
