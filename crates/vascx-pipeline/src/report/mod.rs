//! `report.html`: a cohort one can look at, made from a folder of results.
//!
//! Data flows tables and pictures → [`cohort`] → [`findings`] → [`data`] (scripts that the page loads) and
//! [`thumbnails`] → [`site`] (the files). Everything that a page needs to find its way through
//! 100 000 photographs is decided here; the page itself (`assets/`) only shows it.

mod cohort;
mod columns;
mod data;
mod findings;
mod pictures;
mod site;
mod statistics;
mod thumbnails;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::{Error, Result};
use cohort::Cohort;
use site::Site;

/// The report on a folder of results.
///
/// The folder is laid out as retinalysis-vascx's `run-models` writes it; all of it is optional but photographs' ids, which
/// are collected from the tables and from the names of the pictures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The folder of results, into which `report.html` and `report_files/` are written.
    pub folder: PathBuf,
    /// The folder with `biomarkers.csv`; by default `folder` itself or its only subfolder that has one.
    pub biomarkers: Option<PathBuf>,
}

/// What a report holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// All photographs.
    pub photographs: usize,
    /// Those with a failure, a doubt or a warning.
    pub flagged: usize,
    /// Those whose pictures could not be read; the report says so beside them.
    pub unreadable: usize,
    /// Files in the folders of pictures that are none: other types, names that are not UTF-8.
    pub ignored: usize,
}

impl Report {
    /// The report on `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            biomarkers: None,
        }
    }

    /// Writes `report.html` and `report_files/`. Files of an earlier report are replaced, the page last
    /// and in one step; small pictures are made again only where their photograph changed. Calls
    /// `progress` with (photographs done, all photographs), from several threads.
    ///
    /// # Errors
    /// When the folder holds no results, a table is unusable, a file that is not ours stands where the
    /// report is to be, another process writes this report, or a file cannot be written.
    pub fn write(&self, progress: impl Fn(usize, usize) + Sync) -> Result<Summary> {
        if !self.folder.is_dir() {
            return Err(Error::input(&self.folder, "there is no such folder"));
        }
        let biomarkers = self.find_biomarkers()?;
        let mut cohort = Cohort::read(&self.folder, biomarkers.as_deref())?;
        if cohort.photographs.is_empty() {
            return Err(Error::input(
                &self.folder,
                "the folder holds no results; give the OUT of retinalysis-vascx's `run-models`, with \
                 preprocessed_rgb/, artery_vein/ or tables such as quality.csv",
            ));
        }
        let site = Site::open(&self.folder)?;
        let (done, all) = (AtomicUsize::new(0), cohort.photographs.len());
        let small = cohort.photographs.par_iter().map(|photograph| {
            let small = thumbnails::make(&site, photograph);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            small
        });
        let small: Vec<_> = small.collect::<Result<_>>()?;
        let ignored = cohort.ignored;
        let mut unreadable = 0;
        for (photograph, small) in cohort.photographs.iter_mut().zip(small) {
            unreadable += usize::from(small.problem.is_some());
            photograph.take(small);
        }
        findings::find(&mut cohort);
        let order = findings::order(&cohort);
        let flagged = cohort.photographs.iter().filter(|p| p.level() > 0).count();
        let title = self.title();
        data::write(&site, &cohort, &order, &title)?;
        site.publish(cohort.photographs.iter().filter_map(|p| p.key))?;
        Ok(Summary {
            photographs: all,
            flagged,
            unreadable,
            ignored,
        })
    }

    /// The folder that holds `biomarkers.csv`.
    fn find_biomarkers(&self) -> Result<Option<PathBuf>> {
        let holds = |folder: &Path| folder.join("biomarkers.csv").is_file();
        if let Some(folder) = &self.biomarkers {
            if !holds(folder) {
                return Err(Error::input(folder, "the folder holds no biomarkers.csv"));
            }
            return Ok(Some(folder.clone()));
        }
        if holds(&self.folder) {
            return Ok(Some(self.folder.clone()));
        }
        let entries = std::fs::read_dir(&self.folder).map_err(|e| Error::input(&self.folder, e))?;
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir() && holds(path))
            .collect();
        found.sort_unstable();
        match found.as_slice() {
            [] | [_] => Ok(found.pop()),
            [first, second, ..] => {
                let (first, second) = (first.display(), second.display());
                let reason = format!(
                    "both {first} and {second} hold a biomarkers.csv; say which of them to take"
                );
                Err(Error::input(&self.folder, reason))
            }
        }
    }

    /// The folder's name.
    fn title(&self) -> String {
        let absolute = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
        absolute
            .file_name()
            .map_or_else(|| "/".into(), |name| name.to_string_lossy().into_owned())
    }
}
