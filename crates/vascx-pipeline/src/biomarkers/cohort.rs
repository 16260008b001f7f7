//! The eyes in a folder of maps.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use vascx_biomarkers::Point;

use crate::biomarkers::scale::Scale;
use crate::error::{Error, Result};
use crate::exclusions::Exclusions;

/// The folders of maps, as retinalysis-vascx names them.
pub(crate) const MAPS: [&str; 4] = ["artery_vein", "vessels", "disc", "preprocessed_rgb"];

/// Column names of the fovea, newest first.
const FOVEA: [[&str; 2]; 2] = [["x_fovea", "y_fovea"], ["mean_x", "mean_y"]];

/// An eye in a folder of maps; its files are read when it is measured.
#[derive(Clone, Debug)]
pub(crate) struct CohortEye {
    pub(crate) id: String,
    /// Position of the fovea, whose coordinates need not be numbers; none when the table has two.
    pub(crate) fovea: Option<Point>,
    /// What bounds.csv says, or why that is of no use.
    pub(crate) bounds: Result<String, String>,
    /// Millimetres per pixel of the crop.
    pub(crate) mm_per_pixel: Result<Option<f64>, String>,
}

/// A folder of maps.
#[derive(Clone, Debug)]
pub(crate) struct Cohort {
    folder: PathBuf,
    /// Eyes with all that is needed, in the order of their files' names.
    pub(crate) eyes: Vec<CohortEye>,
    /// Other eyes that have an artery/vein map, and what they lack.
    pub(crate) left_out: Vec<(String, String)>,
}

impl Cohort {
    /// Finds the eyes of a folder.
    ///
    /// # Errors
    /// When the tables cannot be read or there is no eye that can be measured.
    pub(crate) fn open(folder: &Path, scale: &Scale) -> Result<Self> {
        let fovea = fovea_table(&folder.join("fovea.csv"))?;
        let bounds = bounds_table(&folder.join("bounds.csv"))?;
        let mut cohort = Self {
            folder: folder.to_owned(),
            eyes: Vec::new(),
            left_out: Vec::new(),
        };
        let (ids, unreadable) = ids(&folder.join("artery_vein"))?;
        let reason = "its name is not UTF-8; rename its maps";
        let unreadable = unreadable.into_iter().map(|name| (name, reason.to_owned()));
        cohort.left_out.extend(unreadable);
        for id in ids {
            let lacks = [
                (!cohort.map("disc", &id).is_file()).then_some("no map in disc/"),
                (!fovea.contains_key(&id)).then_some("no row in fovea.csv"),
                (!bounds.contains_key(&id)).then_some("no row in bounds.csv"),
            ];
            let lacks: Vec<_> = lacks.into_iter().flatten().collect();
            if lacks.is_empty() {
                let mm_per_pixel = scale.of(&id);
                let row = |table: &HashMap<String, Row>| table[&id].clone();
                cohort.eyes.push(CohortEye {
                    fovea: match row(&fovea) {
                        Row::Once(point) => point_from(&point),
                        Row::Twice => None,
                    },
                    bounds: match row(&bounds) {
                        Row::Once(text) => Ok(text),
                        Row::Twice => Err("bounds.csv holds it twice".into()),
                    },
                    mm_per_pixel,
                    id,
                });
            } else {
                cohort.left_out.push((id, lacks.join(", ")));
            }
        }
        if cohort.eyes.is_empty() {
            let example = cohort.left_out.first();
            let example = example.map_or(String::new(), |(id, reason)| format!("; {id}: {reason}"));
            return Err(Error::NoEyes {
                folder: folder.to_owned(),
                example,
            });
        }
        Ok(cohort)
    }

    /// Leaves eyes out, with their reasons.
    pub(crate) fn exclude(&mut self, exclude: &Exclusions) {
        let left_out = &mut self.left_out;
        self.eyes.retain(|eye| match exclude.reason(&eye.id) {
            Some(reason) => {
                left_out.push((eye.id.clone(), reason.to_owned()));
                false
            }
            None => true,
        });
    }

    /// What the files and rows of an eye are known by: when they differ, it has to be measured again.
    pub(crate) fn stamp(&self, eye: &CohortEye) -> String {
        let mut stamp = String::new();
        for kind in MAPS {
            let metadata = fs::metadata(self.map(kind, &eye.id)).ok();
            let changed = metadata.as_ref().and_then(|file| file.modified().ok());
            let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let length = metadata.map_or(0, |file| file.len());
            let changed = changed.unwrap_or_default().as_nanos();
            let _ = write!(stamp, "{length}:{changed};");
        }
        let _ = write!(stamp, "{:?};{:?}", eye.fovea, eye.bounds);
        format!("{:016x}", fingerprint(&stamp))
    }

    /// Whether any eye can have a map of this kind.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.folder.join(kind).is_dir()
    }

    /// A map of an eye.
    pub(crate) fn map(&self, kind: &str, id: &str) -> PathBuf {
        // Not `with_extension`: an id may hold dots.
        self.folder.join(kind).join(format!("{id}.png"))
    }
}

/// Names of the PNG files in a folder without their ending, in the order of the files' names; and those
/// that are not UTF-8, with signs in place of what is not.
fn ids(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let entries = fs::read_dir(folder).map_err(|error| Error::input(folder, error))?;
    let (mut names, mut unreadable) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(|error| Error::input(folder, error))?;
        let (list, name) = match entry.file_name().into_string() {
            Ok(name) => (&mut names, name),
            Err(name) => (&mut unreadable, name.to_string_lossy().into_owned()),
        };
        if let Some(id) = name.strip_suffix(".png").filter(|_| !name.starts_with('.')) {
            list.push((name.clone(), id.to_owned()));
        }
    }
    let ids = |mut files: Vec<(String, String)>| {
        files.sort_unstable();
        files.into_iter().map(|(_, id)| id).collect()
    };
    Ok((ids(names), ids(unreadable)))
}

/// A row of a table, by the id in the first column.
#[derive(Clone, Debug)]
enum Row {
    Once(String),
    /// Several rows with the same id: none of them can be trusted.
    Twice,
}

fn fovea_table(path: &Path) -> Result<HashMap<String, Row>> {
    let mut reader = open(path)?;
    let columns =
        |names: [&str; 2]| Some([column(&reader.1, names[0])?, column(&reader.1, names[1])?]);
    let missing = "no columns x_fovea and y_fovea (or mean_x and mean_y, as of old)";
    let [x, y] = FOVEA
        .into_iter()
        .find_map(columns)
        .ok_or_else(|| Error::input(path, missing))?;
    collect(path, &mut reader.0, |record| {
        let value = |index: usize| record.get(index).unwrap_or_default().trim();
        format!("{} {}", value(x), value(y))
    })
}

fn bounds_table(path: &Path) -> Result<HashMap<String, Row>> {
    let mut reader = open(path)?;
    let bounds =
        column(&reader.1, "bounds").ok_or_else(|| Error::input(path, "no column called bounds"))?;
    collect(path, &mut reader.0, |record| {
        record.get(bounds).unwrap_or_default().to_owned()
    })
}

/// A point from its cells. As for the reference, what is no number is a fovea that is no number, which
/// is not the same as none.
fn point_from(text: &str) -> Option<Point> {
    let (x, y) = text.split_once(' ')?;
    let number = |cell: &str| cell.parse().unwrap_or(f64::NAN);
    Some(Point::new(number(y), number(x)))
}

/// A CSV file and its header.
pub(crate) fn open(path: &Path) -> Result<(csv::Reader<fs::File>, csv::StringRecord)> {
    let failed = |error| Error::input(path, error);
    let reader = csv::ReaderBuilder::new().flexible(true).from_path(path);
    let mut reader = reader.map_err(failed)?;
    let header = reader.headers().map_err(failed)?.clone();
    Ok((reader, header))
}

/// Where a column stands.
pub(crate) fn column(header: &csv::StringRecord, name: &str) -> Option<usize> {
    // The first may follow a byte order mark.
    header
        .iter()
        .position(|column| column.trim_start_matches('\u{feff}').trim() == name)
}

fn collect(
    path: &Path,
    reader: &mut csv::Reader<fs::File>,
    content: impl Fn(&csv::StringRecord) -> String,
) -> Result<HashMap<String, Row>> {
    let mut rows = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::input(path, error))?;
        let id = record.get(0).unwrap_or_default().to_owned();
        rows.entry(id)
            .and_modify(|row| *row = Row::Twice)
            .or_insert_with(|| Row::Once(content(&record)));
    }
    Ok(rows)
}

/// FNV-1a: the same in every version and on every machine.
pub(crate) fn fingerprint(text: &str) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}
