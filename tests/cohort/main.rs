//! `vascx run-models` and `vascx run`: photographs through several models in one job.

#[path = "../harness/mod.rs"]
mod harness;

mod interrupted;
mod layout;
mod parts;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::{DEVICE, Run, Workspace, fixture};

/// Fixtures by their place in a folder of models.
const MODELS: [(&str, &str); 5] = [
    ("quality/quality.pt", "resnet18_m3"),
    ("artery_vein/av_july24.pt", "unet_instance_bilinear_m2"),
    ("vessels/vessels_may26.pt", "unet_m1"),
    ("disc/disc_july24.pt", "unet_m1"),
    ("fovea/fovea_may26.pt", "unet_group_nearest_m3"),
];

/// Photographs in `photos`, models in `models`, a cache of its own.
struct Cohort {
    workspace: Workspace,
}

impl Cohort {
    fn new(photographs: u32) -> Self {
        let workspace = Workspace::new();
        for (place, name) in MODELS {
            let path = workspace.path("models").join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(fixture(&format!("models/{name}.pt")), path).unwrap();
        }
        fs::create_dir(workspace.path("photos")).unwrap();
        for index in 0..photographs {
            eye(index)
                .save(workspace.path(&format!("photos/p{index:02}.png")))
                .unwrap();
        }
        Self { workspace }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path(name)
    }

    /// A command on the photographs with the models.
    fn command<'a>(command: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec![command, "photos", out, "--model-dir", "models"];
        arguments.extend(["--device", *DEVICE]);
        arguments.extend(more);
        arguments
    }

    fn run(&self, code: i32, command: &str, out: &str, more: &[&str]) -> Run {
        let cache = self.path("cache");
        let arguments = Self::command(command, out, more);
        self.workspace
            .vascx_with(code, &arguments, &[("XDG_CACHE_HOME", &cache)])
    }

    fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Rows of a table, by the first column.
    fn table(&self, file: &str) -> BTreeMap<String, Vec<String>> {
        rows(&self.path(file))
    }
}

/// An eye's field of view in the dark, with structure.
fn eye(seed: u32) -> image::RgbImage {
    let (width, height) = [(180, 140), (150, 150), (140, 200)][seed as usize % 3];
    let (cx, cy) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    let radius = 0.45 * f64::from(width.min(height));
    image::RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) - cx, f64::from(y) - cy);
        if dx.hypot(dy) > radius {
            return image::Rgb([0, 0, 0]);
        }
        let wave = ((dx * 0.3 + f64::from(seed)).sin() * 40.0) as i32;
        let level =
            |base: i32| (base + wave + ((x * y + 7 * seed) % 17) as i32).clamp(0, 255) as u8;
        image::Rgb([level(170), level(100), level(60)])
    })
}

fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader
        .records()
        .map(|row| {
            let mut cells = row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>();
            (cells.remove(0), cells)
        })
        .collect()
}

/// Every file below a folder with its content; what tells times is left out.
fn results(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("report_files") {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let content = match path.file_name().unwrap().to_str().unwrap() {
                // They hold the folder's name and the time.
                "journal.jsonl" | "report.json" | "report.html" => continue,
                "manifest.csv" => {
                    let mut reader = csv::Reader::from_path(&path).unwrap();
                    let rows = reader.deserialize::<BTreeMap<String, String>>().map(|row| {
                        let mut row = row.unwrap();
                        row.remove("seconds");
                        row
                    });
                    format!("{:?}", rows.collect::<Vec<_>>()).into_bytes()
                }
                "run.json" => {
                    let text = fs::read_to_string(&path).unwrap();
                    let mut run: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let run = run.as_object_mut().unwrap();
                    run.retain(|key, _| !key.contains("seconds") && key != "record");
                    format!("{run:?}").into_bytes()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name, content);
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, bytes) in expected {
        assert!(&found[name] == bytes, "{name} differs");
    }
}
