//! Pictures of a report: one per biomarker with a row per eye, one sheet per eye.

mod canvas;
mod colours;
mod panels;
mod text;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use vascx_biomarkers::{
    Aggregate, Analysis, Biomarker, Cre, FeatureSet, Kind, LayerName, Naming, Point, Sector,
    Tortuosity, TortuosityMeasure, Variable,
};
use vascx_inference::remove_unfinished;

use crate::biomarkers::cohort::{Cohort, CohortEye};
use crate::biomarkers::documents::PlotPaths;
use crate::biomarkers::eye_files::{EyeFiles, SIDE};
use crate::biomarkers::job::{BiomarkerJob, remove};
use crate::biomarkers::journal::Journal;
use crate::error::{Error, Result};
use canvas::Canvas;
use colours::Colour;
use panels::Scene;

/// Most rows in a picture: more would make it larger than viewers open.
const MOST_ROWS: usize = 8;

/// Folders of pictures by biomarker and by eye.
pub(crate) const FOLDERS: [&str; 2] = ["plots", "sheets"];

/// Removes the pictures of a report that measured these eyes; whatever else lies beside them stays.
pub(crate) fn clear(report: &Path, ids: &[String]) -> Result<()> {
    let namings = [Naming::Resolved, Naming::Canonical];
    let variables = FeatureSet::ALL.into_iter().flat_map(|set| {
        let named = namings.into_iter().map(move |naming| set.variables(naming));
        named.flatten().map(|variable| variable.name)
    });
    let names: [Vec<String>; 2] = [variables.collect(), ids.to_vec()];
    for (folder, names) in FOLDERS.into_iter().zip(names) {
        let folder = report.join(folder);
        if !is_folder(&folder)? {
            continue;
        }
        for name in names {
            remove(&folder.join(format!("{name}.png")))?;
        }
    }
    Ok(())
}

/// Whether there is a folder. A link is refused: pictures would replace those in another one.
fn is_folder(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::output(path, error)),
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(Error::output(
            path,
            "it is no folder; remove it or name another report",
        )),
    }
}

/// A picture of the report: the variables in it, a panel for each and each eye.
struct Plot {
    /// Indices of variables and what they measure, left to right.
    panels: Vec<(usize, Biomarker)>,
}

/// Draws the pictures; returns their paths by variable.
///
/// # Errors
/// A picture cannot be written. An eye that cannot be read is left out.
pub(crate) fn draw(
    job: &BiomarkerJob,
    cohort: &Cohort,
    journal: &Journal,
    pictured: &[&CohortEye],
) -> Result<PlotPaths> {
    let folder = |name: &str| -> Result<_> {
        let path = job.report.join(name);
        if !is_folder(&path)? {
            fs::create_dir_all(&path).map_err(|error| Error::output(&path, error))?;
        }
        remove_unfinished(&path)?;
        Ok(path)
    };
    let (plots_folder, sheets_folder) = (folder(FOLDERS[0])?, folder(FOLDERS[1])?);
    let variables = job.set.variables(job.naming);
    let plots = plots(job.set, &variables);
    let values = values(journal, pictured)?;
    // A picture is as tall as there are eyes: the rows of one plot at a time are in memory.
    let mut paths = PlotPaths::new();
    for plot in &plots {
        let columns = plot.panels.len();
        let mut rows = Vec::new();
        for eye in pictured.iter().take(MOST_ROWS) {
            let Some(values) = values.get(&eye.id) else {
                continue;
            };
            let defined = |index: usize| values.get(index).is_some_and(|value| !value.is_empty());
            if plot.panels.iter().any(|(index, _)| defined(*index)) {
                rows.push((*eye, values));
            }
        }
        if rows.is_empty() {
            continue;
        }
        let mut picture = Canvas::black(columns * SIDE, rows.len() * SIDE);
        for (row, (eye, values)) in rows.iter().enumerate() {
            with_scene(job, cohort, eye, |scene| {
                for (column, (index, biomarker)) in plot.panels.iter().enumerate() {
                    let value = values.get(*index).map_or("", String::as_str);
                    let mut panel = scene.panel(biomarker);
                    label(&mut panel, &eye.id, &variables[*index].display_name, value);
                    picture.put(&panel, column * SIDE, row * SIDE);
                }
            });
        }
        let first = &variables[plot.panels[0].0].name;
        picture.save(&plots_folder.join(format!("{first}.png")))?;
        for (index, _) in &plot.panels {
            let picture = ("picture".into(), format!("plots/{first}.png"));
            paths.insert(variables[*index].name.clone(), vec![picture]);
        }
    }
    for eye in pictured {
        if let Some(sheet) = with_scene(job, cohort, eye, |scene| sheet(scene, &eye.id)) {
            sheet.save(&sheets_folder.join(format!("{}.png", eye.id)))?;
        }
    }
    Ok(paths)
}

/// Draws something of an eye; nothing if it cannot be read.
fn with_scene<R>(
    job: &BiomarkerJob,
    cohort: &Cohort,
    eye: &CohortEye,
    draw: impl FnOnce(&Scene) -> R,
) -> Option<R> {
    let files = EyeFiles::read(cohort, eye, true).ok()?;
    let maps = files.eye(eye);
    let analysis = Analysis::new(&maps, job.set.rules()).ok()?;
    Some(draw(&Scene {
        analysis: &analysis,
        rgb: files.rgb(),
    }))
}

/// The variables marked for pictures, those of arteries and veins side by side.
fn plots(set: FeatureSet, variables: &[Variable]) -> Vec<Plot> {
    let biomarkers = set.biomarkers();
    let mut plots = Vec::new();
    for (index, biomarker) in biomarkers.iter().enumerate() {
        let variable = variables.get(index);
        if !variable.is_some_and(|variable| variable.pictured) {
            continue;
        }
        let mut panels = vec![(index, *biomarker)];
        if biomarker.layer == LayerName::Arteries {
            let veins = Biomarker {
                layer: LayerName::Veins,
                ..*biomarker
            };
            let twin = biomarkers.iter().position(|other| *other == veins);
            panels.extend(twin.map(|index| (index, veins)));
        }
        plots.push(Plot { panels });
    }
    plots
}

/// Printed values of the eyes that are drawn.
fn values(journal: &Journal, pictured: &[&CohortEye]) -> Result<HashMap<String, Vec<String>>> {
    let mut values = HashMap::new();
    let ids = pictured.iter().map(|eye| eye.id.as_str());
    let read = journal.read(ids, |record| {
        values.insert(record.id, record.values);
        Ok(())
    });
    read.map_err(|error| Error::input(Path::new(crate::biomarkers::journal::FILE), error))?;
    Ok(values)
}

fn label(panel: &mut Canvas, id: &str, name: &str, value: &str) {
    let number = value.parse::<f64>();
    let number = number.map_or("undefined".to_owned(), significant);
    panel.text(id, Point::new(34.0, 16.0), 24.0, Colour::WHITE);
    panel.text(name, Point::new(64.0, 16.0), 22.0, Colour::WHITE);
    panel.text(&number, Point::new(104.0, 16.0), 34.0, Colour::YELLOW);
}

/// A number of four significant digits.
fn significant(value: f64) -> String {
    let digits = 3 - value.abs().log10().floor().clamp(-6.0, 6.0) as i32;
    format!("{value:.*}", digits.clamp(0, 9) as usize)
}

/// All stages of an eye: five panels of arteries over five of veins.
fn sheet(scene: &Scene, id: &str) -> Canvas {
    let calibre = Kind::Calibre(Aggregate::Median);
    let cre = Kind::Cre(Cre {
        sector: Sector::Full,
        hemifield: None,
        vessels: 6,
        circles: (1.0, 1.5),
    });
    let tortuosity = Tortuosity::new(TortuosityMeasure::Distance, Aggregate::Median);
    let tortuosity = Kind::Tortuosity(tortuosity);
    let bifurcations = Kind::BifurcationAngle(Aggregate::Mean);
    let mut sheet = Canvas::black(5 * SIDE, 2 * SIDE);
    for (row, layer) in [LayerName::Arteries, LayerName::Veins]
        .into_iter()
        .enumerate()
    {
        let name = layer.name();
        for (column, (title, kind)) in [
            (format!("Diameters of {name}"), calibre),
            (format!("Largest {name} at the disc"), cre),
            (format!("Temporal angle of {name}"), Kind::TemporalAngle),
            (format!("Bifurcations of {name}"), bifurcations),
            (format!("Tortuosity of {name}"), tortuosity),
        ]
        .into_iter()
        .enumerate()
        {
            let field = None;
            let mut panel = scene.panel(&Biomarker { kind, field, layer });
            panel.text(id, Point::new(34.0, 16.0), 24.0, Colour::WHITE);
            panel.text(&title, Point::new(64.0, 16.0), 24.0, Colour::WHITE);
            sheet.put(&panel, column * SIDE, row * SIDE);
        }
    }
    sheet
}
