//! The job: a folder of maps in, a folder of tables and pictures out.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::{Map, Value};
use vascx_biomarkers::{FeatureSet, Naming};
use vascx_inference::{Cancel, Existing, FolderLock, remove_unfinished};

use crate::biomarkers::cohort::{Cohort, CohortEye, MAPS, fingerprint};
use crate::biomarkers::documents::{self, Mapping};
use crate::biomarkers::journal::{self, Journal, Record};
use crate::biomarkers::log;
use crate::biomarkers::measure::measure;
use crate::biomarkers::plots;
use crate::biomarkers::scale::Scale;
use crate::biomarkers::tables;
use crate::error::{Error, Result};
use crate::exclusions::Exclusions;

/// Eyes that a thread measures between two writes of the journal.
const CHUNK_PER_THREAD: usize = 16;

/// What to measure, and where to write it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BiomarkerJob {
    /// Folder with `artery_vein/`, `disc/`, `vessels/`, `preprocessed_rgb/`, `fovea.csv` and
    /// `bounds.csv`, as retinalysis-vascx writes it.
    pub input: PathBuf,
    /// Folder to write; created when missing.
    pub report: PathBuf,
    /// Biomarkers to measure.
    pub set: FeatureSet,
    /// How columns are named.
    pub naming: Naming,
    /// Threads.
    pub threads: usize,
    /// Photographs that are left out, with the reasons.
    pub exclude: Exclusions,
    /// Only so many eyes, the first.
    pub sample: Option<usize>,
    /// Millimetres per pixel of the crop.
    pub scale: Scale,
    /// What is written beside the values.
    pub extras: Extras,
    /// A file that warnings are appended to.
    pub log: Option<PathBuf>,
    /// What to do with a report that exists: leave it alone, which is an error; go on with a job that
    /// was interrupted, or measure photographs that have come since; or replace the files that a report
    /// consists of.
    pub existing: Existing,
}

/// What is written beside the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// A row for each vessel segment, segments.csv.
    pub segments: bool,
    /// A row for each bifurcation, bifurcations.csv.
    pub bifurcations: bool,
    /// README.md, report.json and pictures of some eyes.
    pub report: Option<Pictures>,
}

/// Which eyes are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// So many, the first.
    First(usize),
    /// These.
    Of(Vec<String>),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BiomarkerSummary {
    /// Eyes that were measured.
    pub measured: usize,
    /// Eyes that could not be, as manifest.csv says.
    pub failed: usize,
    /// Eyes among the measured that an earlier run had done.
    pub resumed: usize,
    /// Eyes that were left out because they lack a map or a row, as manifest.csv says.
    pub left_out: usize,
    /// Eyes that were not begun because the job was interrupted.
    pub not_begun: usize,
}

/// What becomes of one eye.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// Its id.
    pub id: &'a str,
    /// Why it could not be measured.
    pub failure: Option<&'a str>,
    /// What the user should know although it could.
    pub warnings: &'a [String],
}

/// Every file that a report may consist of; the first six are the reference's.
const REPORT_FILES: [&str; 11] = [
    "biomarkers.csv",
    "biomarkers.metadata.csv",
    "biomarkers.names.json",
    "data_dictionary.csv",
    "README.md",
    "report.json",
    "manifest.csv",
    "reasons.csv",
    "segments.csv",
    "bifurcations.csv",
    journal::FILE,
];

impl BiomarkerJob {
    /// A set of biomarkers of the eyes in a folder, with short names, on all processors, into a folder of
    /// tables and a few pictures, which must not be there.
    pub fn new(input: impl Into<PathBuf>, report: impl Into<PathBuf>, set: FeatureSet) -> Self {
        Self {
            input: input.into(),
            report: report.into(),
            set,
            naming: Naming::Resolved,
            threads: rayon::current_num_threads(),
            exclude: Exclusions::default(),
            sample: None,
            scale: Scale::Unknown,
            extras: Extras {
                report: Some(Pictures::First(3)),
                ..Extras::default()
            },
            log: None,
            existing: Existing::Refuse,
        }
    }

    /// Measures every eye of the folder and writes the report. `begin` learns how many eyes there
    /// are, `each` sees every outcome in any order. After `cancel` nothing further is begun, and the
    /// tables hold what is done.
    ///
    /// Memory does not grow with the number of eyes, except for their names and places in the
    /// journal.
    ///
    /// # Errors
    /// Nothing can be read or written, the report exists, or another process writes it. A single
    /// eye's mishap is no error; it stands in manifest.csv.
    pub fn run(
        &self,
        cancel: &Cancel,
        begin: impl FnOnce(usize),
        each: impl FnMut(Outcome) + Send,
    ) -> Result<BiomarkerSummary> {
        let ending = self.report.extension();
        if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            return Err(Error::ReportIsTable(self.report.clone()));
        }
        let mut cohort = Cohort::open(&self.input, &self.scale)?;
        cohort.exclude(&self.exclude);
        if let Some(count) = self.sample {
            cohort.eyes.truncate(count);
        }
        let pictured = self.pictured(&cohort)?;
        if let Some(log) = &self.log {
            log::check(log)?;
        }
        let _lock = self.prepare()?;
        let mut journal = self.journal()?;
        // Maps may have been made anew since.
        let known: Vec<&CohortEye> = cohort.eyes.iter().collect();
        let known = known.par_iter().filter(|eye| journal.holds(&eye.id));
        let changed: Vec<&str> = known
            .filter(|eye| journal.stamp(&eye.id) != Some(&cohort.stamp(eye)))
            .map(|eye| eye.id.as_str())
            .collect();
        journal.forget(&changed);
        begin(cohort.eyes.len());
        let mut summary = BiomarkerSummary {
            left_out: cohort.left_out.len(),
            ..BiomarkerSummary::default()
        };
        let eyes = cohort.eyes.iter();
        let (done, todo): (Vec<&CohortEye>, Vec<_>) = eyes.partition(|eye| journal.holds(&eye.id));
        summary.resumed = done.len();
        let each = Mutex::new(each);
        for eye in done {
            tell(&each, &eye.id, &Record::default());
        }
        let threads = self.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::output(&self.report, error))?;
        for chunk in todo.chunks(CHUNK_PER_THREAD * threads) {
            let records: Vec<Record> = pool.install(|| {
                let measured = chunk.par_iter().with_max_len(1).filter_map(|eye| {
                    if cancel.is_cancelled() {
                        return None;
                    }
                    let record = measure(&cohort, eye, self);
                    tell(&each, &record.id, &record);
                    Some(record)
                });
                measured.collect()
            });
            let failed = records.iter().filter(|record| record.failure.is_some());
            summary.failed += failed.count();
            summary.not_begun += chunk.len() - records.len();
            journal.add(&records)?;
        }
        summary.measured = cohort.eyes.len() - summary.failed - summary.not_begun;
        let variables = self.set.variables(self.naming);
        let counts = tables::write(self, &cohort, &journal, &variables)?;
        if let Some(log) = &self.log {
            log::append(log, &counts)?;
        }
        let dictionary = self.report.join("data_dictionary.csv");
        documents::write_mapping(&dictionary, self.set, self.naming, Mapping::Table)?;
        if self.extras.report.is_some() {
            let plots = plots::draw(self, &cohort, &journal, &pictured)?;
            let rows = summary.measured + summary.failed;
            documents::write_report(self, rows, &pictured, &plots)?;
        }
        Ok(summary)
    }

    /// The eyes that are drawn.
    fn pictured<'a>(&self, cohort: &'a Cohort) -> Result<Vec<&'a CohortEye>> {
        match &self.extras.report {
            None => Ok(Vec::new()),
            Some(Pictures::First(count)) => Ok(cohort.eyes.iter().take(*count).collect()),
            Some(Pictures::Of(ids)) => {
                let find = |id: &String| cohort.eyes.iter().find(|eye| eye.id == *id);
                let (known, unknown): (Vec<_>, Vec<_>) =
                    ids.iter().cloned().partition(|id| find(id).is_some());
                if !unknown.is_empty() {
                    return Err(Error::UnknownEyes(unknown));
                }
                Ok(known.iter().filter_map(find).collect())
            }
        }
    }

    /// Makes and locks the report's folder, if nothing of the user's would be replaced.
    fn prepare(&self) -> Result<FolderLock> {
        let report = &self.report;
        if report.exists() && !report.is_dir() {
            return Err(Error::output(report, "it is a file; name a folder"));
        }
        // Before anything is made, as far as the path exists.
        self.keep_off_the_maps(&real_path(report))?;
        let found = || -> Vec<String> {
            let names = REPORT_FILES.into_iter().chain(plots::FOLDERS);
            let found = names.filter(|name| report.join(name).symlink_metadata().is_ok());
            found.map(str::to_owned).collect()
        };
        let names = found();
        if self.existing == Existing::Refuse && !names.is_empty() {
            return Err(Error::ReportExists {
                report: report.clone(),
                names,
            });
        }
        fs::create_dir_all(report).map_err(|error| Error::output(report, error))?;
        // File systems without locks are left to the user's care.
        let lock = FolderLock::take(report, &mut |_| {})?;
        let has_journal = journal::is_there(report)?;
        let names = found();
        if self.existing == Existing::Resume && !names.is_empty() && !has_journal {
            return Err(Error::NoJournal {
                report: report.clone(),
                names,
            });
        }
        if has_journal {
            remove_unfinished(report)?;
        }
        // Without a journal it may be somebody else's folder: there only what is written anew is
        // replaced.
        if self.existing == Existing::Overwrite && has_journal {
            plots::clear(report, &journal::ids(report)?)?;
            for name in REPORT_FILES {
                remove(&report.join(name))?;
            }
        }
        Ok(lock)
    }

    fn keep_off_the_maps(&self, report: &Path) -> Result<()> {
        let input = real_path(&self.input);
        let among = report == input
            || MAPS
                .iter()
                .any(|maps| report.starts_with(real_path(&input.join(maps))));
        if among {
            return Err(Error::ReportAmongMaps {
                report: self.report.clone(),
                input: self.input.clone(),
            });
        }
        Ok(())
    }

    fn journal(&self) -> Result<Journal> {
        let extra = &self.extras;
        let mut description = Map::new();
        let mut set = |key: &str, value: Value| description.insert(key.to_owned(), value);
        set("vascx_version", env!("CARGO_PKG_VERSION").into());
        set("input", real_path(&self.input).to_string_lossy().into());
        set("feature_set", self.set.name().into());
        set("naming", self.naming.name().into());
        set("segments", extra.segments.into());
        set("bifurcations", extra.bifurcations.into());
        let scale = match &self.scale {
            Scale::Unknown => Value::Null,
            Scale::Fixed(scale) => (*scale).into(),
            Scale::PerEye(scales) => {
                let sorted: BTreeMap<_, _> = scales.iter().collect();
                format!("{:016x}", fingerprint(&format!("{sorted:?}"))).into()
            }
        };
        set("mm_per_pixel", scale);
        if self.existing == Existing::Resume && journal::is_there(&self.report)? {
            Journal::go_on(&self.report, &description)
        } else {
            Journal::begin(&self.report, &description)
        }
    }
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return match absolute.strip_prefix(ancestor) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            };
        }
    }
    absolute
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::output(path, error)),
        _ => Ok(()),
    }
}

fn tell(each: &Mutex<impl FnMut(Outcome)>, id: &str, record: &Record) {
    let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
    each(Outcome {
        id,
        failure: record.failure.as_deref(),
        warnings: &record.warnings,
    });
}
