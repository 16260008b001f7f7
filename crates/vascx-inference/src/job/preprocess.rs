//! Preprocessing without a model: squares, their local contrast, and where they lie.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use image::{ExtendedColorType, RgbImage};
use rayon::prelude::*;

use super::record::{Record, Status};
use super::{Outcome, Summary, outputs};
use crate::decode::DecodeLimits;
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::inputs::Input;
use crate::output::{write_png, write_whole};
use crate::photograph::Photograph;
use crate::preprocess::{Bounds, PreprocessMode, Preprocessed, preprocess};

/// What to preprocess and how.
#[derive(Clone, Debug)]
pub struct PreprocessJob {
    /// Photographs, with distinct ids.
    pub inputs: Vec<Input>,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// How photographs are brought to a square.
    pub mode: PreprocessMode,
    /// Side of the square in pixels.
    pub size: usize,
    /// How large photographs may be.
    pub limits: DecodeLimits,
}

impl PreprocessJob {
    /// Writes, into the output folder, `rgb/<id>.png` and (except for `resize`) the local contrast
    /// `ce/<id>.png`; `bounds.json`, by id; `manifest.csv`. As many photographs are in memory as
    /// there are threads. `each` sees every outcome as soon as it is there, in any order.
    ///
    /// # Errors
    /// When there are no inputs, the size is 0 or beyond 16384, or the folder cannot be written.
    pub fn run(&self, interrupt: &AtomicBool, each: impl FnMut(Outcome) + Send) -> Result<Summary> {
        if self.inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        if !(1..=16_384).contains(&self.size) {
            return Err(Error::SquareSize(self.size));
        }
        let enhance = self.mode != PreprocessMode::Resize;
        for name in ["rgb", "ce"].iter().take(1 + usize::from(enhance)) {
            let folder = self.out.join(name);
            fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
        }
        let each = Mutex::new(each);
        let done: Vec<Option<(Record, Option<Bounds>)>> = self
            .inputs
            .par_iter()
            .with_max_len(1)
            .map(|input| {
                if interrupt.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let (record, bounds) = self.one(input, enhance)?;
                let outcome = Outcome {
                    input,
                    status: &record.status,
                    answer: None,
                    warning: record.warning.as_deref(),
                };
                (each
                    .lock()
                    .expect("no thread panics while it holds the lock"))(outcome);
                Ok(Some((record, bounds)))
            })
            .collect::<Result<_>>()?;

        let mut summary = Summary {
            left: self.inputs.len(),
            ..Summary::default()
        };
        let mut records = Vec::new();
        let mut all_bounds = BTreeMap::new();
        for (record, bounds) in done.into_iter().flatten() {
            summary.left -= 1;
            match bounds {
                Some(bounds) => {
                    summary.succeeded += 1;
                    all_bounds.insert(record.id.clone(), bounds);
                }
                None => summary.failed += 1,
            }
            records.push(record);
        }
        write_whole(&self.out.join("bounds.json"), |file| {
            serde_json::to_writer_pretty(file, &all_bounds)
        })?;
        outputs::write_manifest(&self.out, &records)?;
        Ok(summary)
    }

    fn one(&self, input: &Input, enhance: bool) -> Result<(Record, Option<Bounds>)> {
        let started = Instant::now();
        let mut record = Record::begin(input);
        let photograph = match Photograph::open_within(&input.path, self.limits) {
            Ok(photograph) => photograph,
            Err(error) => {
                record.status = Status::Failed(error.to_string());
                return Ok((record, None));
            }
        };
        let Preprocessed {
            rgb,
            enhanced,
            bounds,
        } = preprocess(&photograph, self.mode, self.size, enhance);
        self.write("rgb", &input.id, &rgb)?;
        if let Some(enhanced) = enhanced {
            self.write("ce", &input.id, &enhanced)?;
        }
        let note = photograph.note().map(str::to_owned);
        record.complete(Size::of(&photograph), bounds.field_of_view(), note);
        record.seconds = Some(started.elapsed().as_secs_f64());
        Ok((record, Some(bounds)))
    }

    fn write(&self, folder: &str, id: &str, image: &RgbImage) -> Result<()> {
        let path = self.out.join(folder).join(format!("{id}.png"));
        write_png(
            &path,
            image.as_raw(),
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
    }
}
