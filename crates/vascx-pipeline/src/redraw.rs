//! Overlays of a folder of results, drawn again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, RgbImage};
use rayon::prelude::*;
use vascx_inference::{EyeAnswers, FieldOfView, OverlayOptions, Photograph, Point, check_outputs};

use crate::biomarkers::{Map, read_artery_vein, read_mask};
use crate::error::{Error, Result};
use crate::table::Table;

/// Folder of crops.
const CROPS: &str = "preprocessed_rgb";

/// Folders of maps.
const MAPS: [&str; 3] = ["artery_vein", "vessels", "disc"];

/// Which overlays to draw again, from what a folder of results holds, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redraw {
    /// Folder of results.
    pub results: PathBuf,
    /// Folder for the pictures; created when missing.
    pub pictures: PathBuf,
    /// How they look.
    pub options: OverlayOptions,
    /// Whether to draw on the photographs, where `manifest.csv` says that they are, instead of on
    /// their crops.
    pub native: bool,
    /// Which photographs; all when there are none.
    pub ids: Vec<String>,
    /// Whether pictures that are there may be replaced.
    pub overwrite: bool,
}

/// What tables say of all photographs.
struct Known {
    photographs: HashMap<String, PathBuf>,
    foveas: HashMap<String, Point>,
    qualities: HashMap<String, String>,
    /// What is to be known of the models.
    notices: Vec<String>,
}

impl Redraw {
    /// Of all photographs, on their crops, as retinalysis-vascx draws them.
    pub fn new(results: impl Into<PathBuf>, pictures: impl Into<PathBuf>) -> Self {
        Self {
            results: results.into(),
            pictures: pictures.into(),
            options: OverlayOptions::default(),
            native: false,
            ids: Vec::new(),
            overwrite: false,
        }
    }

    /// Draws `<id>.png`, or in another format. `each` learns of every photograph, with the reason where
    /// it cannot be drawn. Tells how many were drawn. No photograph, crop or map is ever replaced.
    ///
    /// # Errors
    /// When there are no crops or one that was asked for is not there, a picture would be written over
    /// something that it is drawn from or is there already, or none can be written.
    pub fn run(&self, mut each: impl FnMut(&str, Option<&str>)) -> Result<usize> {
        let ids = self.ids()?;
        let known = self.known()?;
        let suffix = self.options.format.extension();
        let path = |id: &String| self.pictures.join(format!("{id}.{suffix}"));
        let pictures: Vec<PathBuf> = ids.iter().map(path).collect();
        let sources = self.sources(&ids, &known);
        let [read, written] = [&sources, &pictures].map(|paths| paths.iter().map(PathBuf::as_path));
        check_outputs(read, written)?;
        if let Some(there) = pictures.iter().find(|path| path.symlink_metadata().is_ok())
            && !self.overwrite
        {
            let reason = "it is there already; --overwrite replaces it, or name another folder";
            return Err(Error::input(there, reason));
        }
        fs::create_dir_all(&self.pictures).map_err(|error| Error::output(&self.pictures, error))?;
        let mut drawn = 0;
        // As many at a time as there are threads: pictures are large.
        for some in ids.chunks(rayon::current_num_threads()) {
            let drawing = some.par_iter().map(|id| self.draw(id, &path(id), &known));
            let results: Vec<_> = drawing.collect();
            for (id, result) in some.iter().zip(results) {
                drawn += usize::from(result.is_ok());
                each(id, result.err().as_deref());
            }
        }
        Ok(drawn)
    }

    /// Photographs, and whatever a folder of results may hold of them beside overlays.
    fn sources(&self, ids: &[String], known: &Known) -> Vec<PathBuf> {
        let maps = MAPS.iter();
        let folders = maps.flat_map(|map| [PathBuf::from(map), Path::new("native").join(map)]);
        let folders: Vec<PathBuf> = folders.chain([CROPS.into()]).collect();
        let of_results = ids.iter().flat_map(|id| {
            let file = format!("{id}.png");
            folders
                .iter()
                .map(move |folder| self.results.join(folder).join(&file))
        });
        of_results
            .chain(known.photographs.values().cloned())
            .collect()
    }

    fn ids(&self) -> Result<Vec<String>> {
        let crops = self.results.join(CROPS);
        let entries = fs::read_dir(&crops).map_err(|error| Error::input(&crops, error))?;
        let ids = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let id = name.strip_suffix(".png").filter(|_| !name.starts_with('.'));
            id.map(str::to_owned)
        });
        let mut there: Vec<String> = ids.collect();
        there.sort_unstable();
        let unknown = |id: &&String| there.binary_search(id).is_err();
        let unknown: Vec<String> = self.ids.iter().filter(unknown).cloned().collect();
        if !unknown.is_empty() {
            return Err(Error::UnknownEyes(unknown));
        }
        if !self.ids.is_empty() {
            return Ok(self.ids.clone());
        }
        if there.is_empty() {
            return Err(Error::input(&crops, "the folder holds no crops"));
        }
        Ok(there)
    }

    fn known(&self) -> Result<Known> {
        let table = |name: &str| Table::read(&self.results.join(name));
        let mut known = Known {
            photographs: HashMap::new(),
            foveas: HashMap::new(),
            qualities: HashMap::new(),
            notices: notices(&self.results.join("run.json")),
        };
        if let Some(table) = table("manifest.csv")?
            && let Some(path) = table.column("path")
        {
            for (id, row) in table.rows() {
                let path = row.get(path).unwrap_or_default();
                known.photographs.insert(id.to_owned(), path.into());
            }
        }
        if let Some(table) = table("fovea.csv")?
            && let Some(x) = table.column("x_fovea").or(table.column("mean_x"))
            && let Some(y) = table.column("y_fovea").or(table.column("mean_y"))
        {
            for (id, row) in table.rows() {
                let number = |column: usize| row.get(column)?.trim().parse().ok();
                if let (Some(x), Some(y)) = (number(x), number(y)) {
                    known.foveas.insert(id.to_owned(), Point { x, y });
                }
            }
        }
        if let Some(table) = table("quality.csv")? {
            let columns = table.header.iter().enumerate();
            let columns = columns.filter(|(_, name)| name.starts_with('p'));
            let columns: Vec<(usize, &String)> = columns.collect();
            for (id, row) in table.rows() {
                let words = columns.iter().filter_map(|&(column, name)| {
                    let value: f64 = row.get(column)?.parse().ok()?;
                    Some(format!("{name} {value:.2}"))
                });
                let words = words.collect::<Vec<_>>().join(" ");
                known.qualities.insert(id.to_owned(), words);
            }
        }
        Ok(known)
    }

    fn draw(&self, id: &str, path: &Path, known: &Known) -> std::result::Result<(), String> {
        let file = |folder: &str| self.results.join(folder).join(format!("{id}.png"));
        let crop = file(CROPS);
        let map = |folder: &str, read: fn(&Path) -> std::result::Result<Map, String>| {
            let path = file(folder);
            let map = path.exists().then(|| read(&path).and_then(grey));
            map.transpose()
        };
        let mut answers = EyeAnswers::default();
        let [artery_vein, vessels, disc] = MAPS;
        answers.artery_vein = map(artery_vein, read_artery_vein)?;
        answers.vessels = map(vessels, read_mask)?;
        answers.disc = map(disc, read_mask)?;
        answers.fovea = known.foveas.get(id).copied();
        let style = self.options.style;
        let drawn: RgbImage = if self.native {
            let photograph = known.photographs.get(id);
            let photograph =
                photograph.ok_or("manifest.csv does not say where its photograph is")?;
            let photograph = Photograph::open(photograph).map_err(|error| error.to_string())?;
            let sides = image::image_dimensions(&crop);
            let (side, _) = sides.map_err(|error| error.to_string())?;
            let field = FieldOfView::find(&photograph);
            answers.draw_on_photograph(photograph.rgb(), &field, side, style)
        } else {
            let crop = Photograph::open(&crop).map_err(|error| error.to_string())?;
            answers.draw_on_crop(crop.rgb(), style)
        };
        let mut caption = id.to_owned();
        if let Some(quality) = known.qualities.get(id) {
            caption = format!("{caption}  {quality}");
        }
        for notice in &known.notices {
            caption = format!("{caption}\n{notice}");
        }
        let saved = self.options.save(path, &drawn, &caption);
        saved.map_err(|error| error.to_string())
    }
}

fn grey(map: Map) -> std::result::Result<GrayImage, String> {
    GrayImage::from_raw(map.width as u32, map.height as u32, map.pixels)
        .ok_or_else(|| "a map without pixels".to_owned())
}

/// Names of models and what is to be known of them, each once, as `run.json` has them.
fn notices(run: &Path) -> Vec<String> {
    let run = fs::read(run).unwrap_or_default();
    let Ok(run) = serde_json::from_slice::<serde_json::Value>(&run) else {
        return Vec::new();
    };
    let models = run["models"].as_object().into_iter().flatten();
    let texts = |key: &str| -> Vec<String> {
        let texts = models.clone().filter_map(|(_, model)| model[key].as_str());
        let mut unique: Vec<String> = Vec::new();
        for text in texts {
            if !unique.iter().any(|known| known == text) {
                unique.push(text.to_owned());
            }
        }
        unique
    };
    let names = texts("name").join(", ");
    let names = Some(names).filter(|names| !names.is_empty());
    names.into_iter().chain(texts("notice")).collect()
}
