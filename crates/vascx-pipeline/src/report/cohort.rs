//! Photographs of a folder of results, with everything that its tables say about them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use csv::StringRecord;

use super::columns::{self, Column, Group, Reasons, cell, number};
use super::findings::{Finding, Kind};
use super::pictures::{self, Pictures};
use super::thumbnails::{Key, Small};
use crate::bounds::parse_bounds;
use crate::error::Result;
use crate::table::Table;

/// Side of the square in which fields of view are described, whatever the crop's own.
const SIDE: usize = 1024;

/// What is known of a field of view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Field {
    #[default]
    Unknown,
    /// The circle that fills the crop, cut straight at left, top, right and bottom, in pixels of a crop of
    /// 1024² pixels; 0 or 1024 where it is not cut.
    Found([f32; 4]),
    NotFound,
}

/// A cohort; photographs are sorted by id, and the values of all columns with them.
pub(super) struct Cohort {
    pub(super) photographs: Vec<Photograph>,
    pub(super) columns: Vec<Column>,
    pub(super) reasons: Reasons,
    /// Files among the pictures that are none.
    pub(super) ignored: usize,
}

/// One photograph.
#[derive(Default)]
pub(super) struct Photograph {
    pub(super) id: String,
    /// The file it was read from, where the manifest says so.
    pub(super) path: String,
    pub(super) pictures: Pictures,
    pub(super) field: Field,
    /// (x, y) in the crop's pixels.
    pub(super) fovea: Option<[f32; 2]>,
    pub(super) findings: Vec<Finding>,
    /// Deviation of the biomarker that lies farthest off, 0 where none does.
    pub(super) deviation: f32,
    /// Names its small pictures.
    pub(super) key: Option<Key>,
    /// Whether there is a small picture of the layers, too.
    pub(super) has_layers: bool,
    /// Side of the crop in pixels, 0 without a crop.
    pub(super) side: u32,
    /// Whether `quality.csv` and `biomarkers.csv` have a row for it.
    pub(super) has_quality: bool,
    pub(super) has_biomarkers: bool,
}

impl Photograph {
    /// Takes what its small pictures told.
    pub(super) fn take(&mut self, small: Small) {
        self.key = small.key;
        self.has_layers = small.has_layers;
        self.side = small.side;
        if let Some(problem) = small.problem {
            self.find(Kind::Unreadable, problem);
        }
    }

    /// Adds a finding.
    pub(super) fn find(&mut self, kind: Kind, text: impl Into<String>) {
        let text = text.into();
        self.findings.push(Finding { kind, text });
    }

    /// The gravest of its findings' levels; 0 without findings.
    pub(super) fn level(&self) -> u8 {
        let levels = self.findings.iter().map(|finding| finding.kind.level());
        levels.max().unwrap_or(0)
    }
}

/// Tables of a folder of results.
struct Tables {
    manifest: Option<Table>,
    bounds: Option<Table>,
    fovea: Option<Table>,
    quality: Option<Table>,
    summary: Option<Table>,
    biomarkers: Option<Table>,
    /// The manifest beside the biomarkers, where they lie in a folder of their own.
    measured: Option<Table>,
}

impl Tables {
    fn read(folder: &Path, biomarkers: Option<&Path>) -> Result<Self> {
        let read = |name: &str| Table::read(&folder.join(name));
        let beside = |folder: Option<&Path>, name: &str| match folder {
            Some(folder) => Table::read(&folder.join(name)),
            None => Ok(None),
        };
        let apart = biomarkers.filter(|&own| own != folder);
        Ok(Self {
            manifest: read("manifest.csv")?,
            bounds: read("bounds.csv")?,
            fovea: read("fovea.csv")?,
            quality: read("quality.csv")?,
            summary: read("summary.csv")?,
            biomarkers: beside(biomarkers, "biomarkers.csv")?,
            measured: beside(apart, "manifest.csv")?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Table> {
        [
            &self.manifest,
            &self.bounds,
            &self.fovea,
            &self.quality,
            &self.summary,
            &self.biomarkers,
            &self.measured,
        ]
        .into_iter()
        .flatten()
    }
}

impl Cohort {
    /// Reads what `folder` holds, and the folder of biomarkers.
    pub(super) fn read(folder: &Path, biomarkers: Option<&Path>) -> Result<Self> {
        let (pictures, ignored) = pictures::list(folder)?;
        let tables = Tables::read(folder, biomarkers)?;
        let mut photographs: BTreeMap<String, Photograph> = BTreeMap::new();
        for (id, pictures) in pictures {
            photographs.entry(id).or_default().pictures = pictures;
        }
        for (id, _) in tables.all().flat_map(Table::rows) {
            photographs.entry(id.to_owned()).or_default();
        }
        for (id, photograph) in &mut photographs {
            photograph.id.clone_from(id);
        }
        let mut cohort = Self {
            photographs: photographs.into_values().collect(),
            columns: Vec::new(),
            reasons: Reasons::default(),
            ignored,
        };
        cohort.take(&tables, biomarkers)?;
        Ok(cohort)
    }

    fn take(&mut self, tables: &Tables, biomarkers: Option<&Path>) -> Result<()> {
        let ids = self
            .photographs
            .iter()
            .map(|photograph| photograph.id.clone());
        let numbers: HashMap<String, usize> = ids.zip(0..).collect();
        let photographs = &mut self.photographs;
        let mut each =
            |table: Option<&Table>, take: &dyn Fn(&Table, &StringRecord, &mut Photograph)| {
                if let Some(table) = table {
                    for (id, row) in table.rows() {
                        take(table, row, &mut photographs[numbers[id]]);
                    }
                }
            };
        each(tables.manifest.as_ref(), &take_manifest);
        each(tables.measured.as_ref(), &take_measured);
        each(tables.bounds.as_ref(), &take_bounds);
        each(tables.fovea.as_ref(), &take_fovea);
        each(tables.summary.as_ref(), &take_summary);
        each(tables.quality.as_ref(), &|_, _, photograph| {
            photograph.has_quality = true;
        });
        each(tables.biomarkers.as_ref(), &|_, _, photograph| {
            photograph.has_biomarkers = true;
        });
        let mut add = |table: Option<&Table>, group, wanted: &dyn Fn(&str) -> bool| {
            if let Some(table) = table {
                let (columns, reasons) = (&mut self.columns, &mut self.reasons);
                columns::add(columns, reasons, table, group, &numbers, wanted);
            }
        };
        add(tables.biomarkers.as_ref(), Group::Biomarker, &|_| true);
        add(tables.quality.as_ref(), Group::Quality, &|_| true);
        add(tables.summary.as_ref(), Group::Answer, &|name| {
            name != "plausible"
        });
        let of_photograph = |name: &str| ["width", "height"].contains(&name);
        add(tables.manifest.as_ref(), Group::Photograph, &of_photograph);
        let Some(folder) = biomarkers else {
            return Ok(());
        };
        if let Some(table) = Table::read_by(&folder.join("data_dictionary.csv"), "variable")? {
            self.take_titles(&table);
        }
        if let Some(table) = Table::read(&folder.join("reasons.csv"))? {
            self.take_reasons(&table, &numbers);
        }
        Ok(())
    }

    fn take_titles(&mut self, table: &Table) {
        let (title, description) = (table.column("display_name"), table.column("description"));
        for (name, row) in table.rows() {
            for column in self.columns.iter_mut().filter(|column| column.name == name) {
                let text = |index: Option<usize>| index.map_or("", |index| cell(row, index));
                if !text(title).is_empty() {
                    text(title).clone_into(&mut column.title);
                }
                text(description).clone_into(&mut column.description);
            }
        }
    }

    fn take_reasons(&mut self, table: &Table, numbers: &HashMap<String, usize>) {
        let (Some(variable), Some(reason)) = (table.column("variable"), table.column("reason"))
        else {
            return;
        };
        let names = self.columns.iter().map(|column| column.name.as_str());
        let columns: HashMap<&str, usize> = names.zip(0..).collect();
        for (id, row) in table.rows() {
            let column = columns.get(cell(row, variable));
            if let (Some(&photograph), Some(&column)) = (numbers.get(id), column) {
                self.reasons.insert(photograph, column, cell(row, reason));
            }
        }
    }
}

fn named<'a>(table: &Table, row: &'a StringRecord, name: &str) -> &'a str {
    table.column(name).map_or("", |index| cell(row, index))
}

fn take_manifest(table: &Table, row: &StringRecord, photograph: &mut Photograph) {
    let named = |name| named(table, row, name);
    named("path").clone_into(&mut photograph.path);
    let error = named("error");
    let reason = |otherwise| if error.is_empty() { otherwise } else { error };
    match named("status") {
        "" | "ok" => {}
        "failed" => photograph.find(Kind::Failed, reason("no reason was written down")),
        other => photograph.find(Kind::Excluded, reason(other)),
    }
    match named("field_of_view") {
        "not_found" => photograph.field = Field::NotFound,
        "corner_fit" => photograph.find(
            Kind::Field,
            "the field of view was fitted to the corners only; look whether its circle is right",
        ),
        _ => {}
    }
    for name in ["warning", "warnings"] {
        if !named(name).is_empty() {
            photograph.find(Kind::Warning, named(name));
        }
    }
}

/// Why an eye has no biomarkers, and what was odd while they were measured.
fn take_measured(table: &Table, row: &StringRecord, photograph: &mut Photograph) {
    let named = |name| named(table, row, name);
    let (status, reason) = (named("status"), named("reason"));
    if !["", "ok"].contains(&status) {
        let text = if reason.is_empty() { status } else { reason };
        photograph.find(Kind::Undefined, text);
    }
    if !named("warnings").is_empty() {
        photograph.find(Kind::Warning, named("warnings"));
    }
}

fn take_bounds(table: &Table, row: &StringRecord, photograph: &mut Photograph) {
    if named(table, row, "success").eq_ignore_ascii_case("false") {
        photograph.field = Field::NotFound;
    } else if photograph.field != Field::NotFound {
        let bounds = parse_bounds(named(table, row, "bounds"));
        photograph.field = bounds.map_or(Field::Unknown, |bounds| {
            let field = bounds.in_crop(SIDE);
            let sides = [field.left, field.top, field.right, field.bottom];
            Field::Found(sides.map(|side| side as f32))
        });
    }
}

fn take_fovea(table: &Table, row: &StringRecord, photograph: &mut Photograph) {
    // Older releases of the reference call the columns `mean_x` and `mean_y`.
    let value = |name| number(named(table, row, name));
    let point = |x, y| Some([value(x)?, value(y)?]);
    photograph.fovea = point("x_fovea", "y_fovea").or_else(|| point("mean_x", "mean_y"));
}

fn take_summary(table: &Table, row: &StringRecord, photograph: &mut Photograph) {
    let plausible = named(table, row, "plausible");
    let holds = ["", "yes", "true", "1", "ok"];
    let mut holds = holds.iter();
    if !holds.any(|word| plausible.eq_ignore_ascii_case(word)) {
        let reason = plausible.strip_prefix("no").unwrap_or(plausible);
        let reason = match reason.trim_start_matches([':', ' ']) {
            "" => "the answers are not plausible",
            reason => reason,
        };
        photograph.find(Kind::Implausible, reason);
    }
}
