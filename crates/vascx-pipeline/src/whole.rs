//! The whole job: photographs to a table of biomarkers and a report, in one go.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vascx_biomarkers::FeatureSet;
use vascx_inference::{Cancel, CohortJob, Existing, Models, Role};

use crate::biomarkers::{self, BiomarkerJob, BiomarkerSummary, Extras};
use crate::condition::Condition;
use crate::error::Result;
use crate::exclusions::Exclusions;
use crate::report::{self, Report};

/// The folder of biomarkers inside the folder of results.
pub const BIOMARKERS: &str = "biomarkers";

/// Photographs through models, biomarkers and report.
///
/// ```no_run
/// use vascx_inference::{CohortJob, Device, InputOptions, Inputs};
/// use vascx_models::Precision;
/// use vascx_pipeline::{ModelCache, ModelChoice, Step, WholeJob};
///
/// let choice = ModelChoice::default().with_folder("models");
/// let located = choice.locate(|_, _| ())?;
/// let loaded = located.load(Device::Cpu, Precision::F32, &ModelCache::of_user("1"))?;
/// let inputs = Inputs::resolve(&["photographs".into()], InputOptions::default())?;
/// let mut job = WholeJob::new(CohortJob::new(inputs.photographs, "out"));
/// job.exclude_quality = Some("p3>0.5".parse()?);
/// let summary = job.run(&loaded.models, |step| match step {
///     Step::Photograph(outcome) => println!("{}", outcome.input.id),
///     _ => {}
/// })?;
/// println!("{:?} biomarkers", summary.biomarkers.map(|eyes| eyes.measured));
/// # Ok::<(), vascx_pipeline::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WholeJob {
    /// Photographs, output folder and how models are run. Its `cancel` stops the whole job.
    pub photographs: CohortJob,
    /// Biomarkers to measure.
    pub set: FeatureSet,
    /// Photographs that are kept out of the biomarkers.
    pub exclude: Exclusions,
    /// Further ones, by their quality.
    pub exclude_quality: Option<Condition>,
    /// Threads for biomarkers.
    pub threads: usize,
}

/// What has just happened in a [`WholeJob`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// A photograph went through the models.
    Photograph(&'a vascx_inference::Outcome<'a>),
    /// So many eyes are about to be measured.
    Eyes(usize),
    /// An eye was measured.
    Eye(&'a biomarkers::Outcome<'a>),
    /// Of so many small pictures for the report, so many are made.
    Pictures(usize, usize),
}

/// How a [`WholeJob`] ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WholeSummary {
    /// Of the models.
    pub photographs: vascx_inference::Summary,
    /// Of the biomarkers; none where the maps for them are missing, or the job was stopped before.
    pub biomarkers: Option<BiomarkerSummary>,
    /// Why there are no biomarkers.
    pub no_biomarkers: Option<String>,
    /// Of the report; none where the job was stopped before.
    pub report: Option<report::Summary>,
    /// How long the models, the biomarkers and the report took.
    pub times: [Duration; 3],
}

impl WholeJob {
    /// With the biomarkers of `full_v3` on all processors, and nothing excluded.
    pub fn new(photographs: CohortJob) -> Self {
        Self {
            photographs,
            set: FeatureSet::FullV3,
            exclude: Exclusions::default(),
            exclude_quality: None,
            threads: rayon::current_num_threads(),
        }
    }

    /// The folder of tables of biomarkers.
    pub fn biomarkers_folder(&self) -> PathBuf {
        self.photographs.out.join(BIOMARKERS)
    }

    /// Runs the models as [`CohortJob::run`] does, then measures biomarkers into `biomarkers/` as
    /// [`BiomarkerJob::run`] does, then writes `report.html`. What exists is treated in all three as the
    /// job of the photographs says.
    ///
    /// # Errors
    /// Those of the three.
    pub fn run(&self, models: &Models, each: impl FnMut(Step) + Send) -> Result<WholeSummary> {
        // Stages call it from several threads.
        let each = Mutex::new(each);
        let tell = |step: Step| {
            let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
            each(step);
        };
        let begun = Instant::now();
        let of_photographs = |outcome: vascx_inference::Outcome| tell(Step::Photograph(&outcome));
        let photographs = self.photographs.run(models, of_photographs)?;
        let mut summary = WholeSummary {
            photographs,
            biomarkers: None,
            no_biomarkers: None,
            report: None,
            times: [begun.elapsed(), Duration::ZERO, Duration::ZERO],
        };
        let cancel = &self.photographs.cancel;
        if cancel.is_cancelled() {
            return Ok(summary);
        }
        let begun = Instant::now();
        match self.lacks(models) {
            Some(reason) => summary.no_biomarkers = Some(reason),
            None => match self.measure(cancel, &tell) {
                Ok(measured) => summary.biomarkers = Some(measured),
                // That no eye can be measured is said of the photographs; they still have their report.
                Err(error @ crate::Error::NoEyes { .. }) => {
                    summary.no_biomarkers = Some(error.to_string());
                }
                Err(error) => return Err(error),
            },
        }
        summary.times[1] = begun.elapsed();
        if cancel.is_cancelled() {
            return Ok(summary);
        }
        let begun = Instant::now();
        let report = Report::new(&self.photographs.out);
        let written = report.write(|done, all| tell(Step::Pictures(done, all)))?;
        summary.report = Some(written);
        summary.times[2] = begun.elapsed();
        Ok(summary)
    }

    /// What is missing for biomarkers, from this run and from earlier ones.
    fn lacks(&self, models: &Models) -> Option<String> {
        let out = &self.photographs.out;
        let needed = [Role::ArteryVein, Role::Disc, Role::Fovea];
        let missing = needed.into_iter().filter(|&role| {
            let there = match role {
                Role::Fovea => out.join("fovea.csv"),
                _ => out.join(role.name()),
            };
            models.get(role).is_none() && !there.exists()
        });
        let missing: Vec<&str> = missing.map(Role::name).collect();
        let named = missing.join(", ");
        (!missing.is_empty())
            .then(|| format!("biomarkers need artery_vein, disc and fovea; missing: {named}"))
    }

    fn measure(&self, cancel: &Cancel, tell: &(impl Fn(Step) + Sync)) -> Result<BiomarkerSummary> {
        let mut exclude = self.exclude.clone();
        if let Some(condition) = &self.exclude_quality {
            condition.exclude(&self.photographs.out, &mut exclude)?;
        }
        let mut job = BiomarkerJob::new(&self.photographs.out, self.biomarkers_folder(), self.set);
        job.threads = self.threads;
        job.exclude = exclude;
        // The report shows all eyes.
        job.extras = Extras::default();
        job.existing = match self.photographs.existing {
            // The folder of results is this job's own by now.
            Existing::Refuse if biomarkers::is_ours(&job.report)? => Existing::Overwrite,
            existing => existing,
        };
        job.run(
            cancel,
            |eyes| tell(Step::Eyes(eyes)),
            |outcome| tell(Step::Eye(&outcome)),
        )
    }
}
