//! What becomes of all models' answers about a photograph.

use std::fmt::Write as _;

use image::GrayImage;
use rayon::prelude::*;
use serde_json::Value;

use super::confidence::{
    ClassConfidence, MapConfidence, PointConfidence, maxima, mean_probability, spread,
};
use super::plausible::Findings;
use super::{CohortJob, Models, Role, SIDE};
use crate::ensemble::{Answer, Answered, Computed, Plan, PredictOptions, Reading, Values};
use crate::error::Result;
use crate::field_of_view::FieldOfView;
use crate::geometry::{InputPoint, Point, Size};
use crate::job::Summary;
use crate::job::folder::Existing;
use crate::job::outputs::write_run_json;
use crate::job::pipeline;
use crate::job::record::Record;
use crate::job::tables::Tables;
use crate::output::{Unpublished, png};
use crate::overlay::{EyeAnswers, OverlayOptions, encode};
use crate::preprocess::Bounds;

/// Makes files and records of answers.
pub(super) struct Products<'j> {
    job: &'j CohortJob,
    roles: Vec<(Role, Reading)>,
    tables: Tables,
    description: Value,
    /// What captions say of all photographs alike.
    about_models: String,
}

/// The folder of a step's maps in the photographs' own pixels.
pub(super) fn native_folder(role: Role) -> Option<&'static str> {
    match role {
        Role::ArteryVein => Some("native/artery_vein"),
        Role::Vessels => Some("native/vessels"),
        Role::Disc => Some("native/disc"),
        Role::Quality | Role::Fovea => None,
    }
}

/// Classes of a step's map that stand in the summary, with the pixels that belong to them.
type Class = (&'static str, fn(u8) -> bool);

fn classes(role: Role) -> &'static [Class] {
    match role {
        Role::ArteryVein => &[
            ("artery", |class| class & 1 == 1),
            ("vein", |class| class & 2 == 2),
        ],
        Role::Vessels => &[("vessel", |class| class > 0)],
        Role::Disc => &[("disc", |class| class > 0)],
        Role::Quality | Role::Fovea => &[],
    }
}

/// Columns of `summary.csv` after the id.
pub(super) fn summary_columns(models: &Models) -> Vec<String> {
    let mut columns = vec!["plausible".to_owned()];
    for role in models.roles() {
        match role {
            Role::Quality => columns.extend(["quality_entropy", "quality_spread"].map(Into::into)),
            Role::Fovea => columns.extend(["fovea_peak", "fovea_spread"].map(Into::into)),
            Role::ArteryVein | Role::Vessels | Role::Disc => {
                for (class, _) in classes(role) {
                    columns.extend(
                        ["probability", "pieces", "largest_piece"]
                            .map(|what| format!("{class}_{what}")),
                    );
                }
            }
        }
    }
    columns
}

/// A file of one photograph.
enum Picture<'a> {
    Crop,
    Map(&'a GrayImage),
    Native(&'a GrayImage, &'a Bounds),
    Overlay(&'a OverlayOptions),
}

/// What is gathered of one photograph.
#[derive(Default)]
struct Eye {
    answers: EyeAnswers,
    /// By class.
    maps: Vec<(&'static str, MapConfidence)>,
    point: Option<PointConfidence>,
    class: Option<ClassConfidence>,
    /// Mean raw logits and mean probabilities.
    quality: Vec<f32>,
    /// Where the first model found the field of view in what it saw.
    field: Option<Bounds>,
}

impl<'j> Products<'j> {
    pub(super) fn new(job: &'j CohortJob, models: &Models, plan: &Plan) -> Self {
        let tables = job.tables(models);
        let description = job.description(models, plan, &tables);
        let reading = |role: Role| {
            let runner = &models.by_role[&role].runner;
            (role, runner.reading(&PredictOptions::default()))
        };
        let names = models.by_role.values().map(|model| {
            let manifest = model.manifest();
            manifest.name.as_deref().unwrap_or(&manifest.source.file)
        });
        let mut lines = vec![names.collect::<Vec<_>>().join(", ")];
        for model in models.by_role.values() {
            let notice = model.manifest().notice.clone();
            let new = notice.filter(|notice| !lines.contains(notice));
            lines.extend(new);
        }
        Self {
            job,
            roles: models.roles().map(reading).collect(),
            tables,
            description,
            about_models: lines.join("\n"),
        }
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(super) fn description(&self) -> &Value {
        &self.description
    }

    fn gather(&self, answers: Vec<Answered>) -> Eye {
        let mut eye = Eye::default();
        for (&(role, reading), answered) in self.roles.iter().zip(answers) {
            let Answered {
                values,
                geometry,
                bounds,
            } = answered;
            eye.field = eye.field.take().or(bounds);
            match role {
                Role::Quality => eye.take_quality(&values),
                Role::Fovea => {
                    let peaks = maxima(&values);
                    let answer = Answer::from_values(values, &geometry, reading);
                    let (point, members) = match answer {
                        Answer::Keypoints(keypoints) => {
                            let members = peaks.iter().map(|&(_, [x, y])| {
                                geometry.point_to_photograph(InputPoint { x, y })
                            });
                            (keypoints.points[0], members.collect::<Vec<_>>())
                        }
                        Answer::Landmarks(landmarks) => {
                            let members = landmarks.members.iter().map(|member| member[0]);
                            (landmarks.points[0], members.collect())
                        }
                        _ => unreachable!("the model's task was checked"),
                    };
                    let is_map = reading.task.is_spatial() && !peaks.is_empty();
                    let sum = peaks.iter().map(|(peak, _)| peak).sum::<f64>();
                    eye.answers.fovea = Some(point);
                    eye.point = Some(PointConfidence {
                        peak: is_map.then(|| sum / peaks.len() as f64),
                        spread: spread(&members),
                    });
                }
                Role::ArteryVein | Role::Vessels | Role::Disc => {
                    let overlap = reading.task == vascx_format::Task::Overlaps;
                    let probability = |number: usize| {
                        // Classes that overlap have no background among them.
                        let class = if overlap { number } else { number + 1 };
                        mean_probability(&values, class, overlap)
                    };
                    let probabilities: Vec<_> = (0..classes(role).len()).map(probability).collect();
                    let answer = Answer::from_values(values, &geometry, reading);
                    let map = match answer {
                        Answer::Segmentation(segmentation) => segmentation.class_map,
                        Answer::Overlaps(overlaps) => overlaps.bits,
                        _ => unreachable!("the model's task was checked"),
                    };
                    for (&(class, is_part), probability) in classes(role).iter().zip(probabilities)
                    {
                        let confidence = MapConfidence::of(&map, is_part, probability);
                        eye.maps.push((class, confidence));
                    }
                    match role {
                        Role::ArteryVein => eye.answers.artery_vein = Some(map),
                        Role::Vessels => eye.answers.vessels = Some(map),
                        _ => eye.answers.disc = Some(map),
                    }
                }
            }
        }
        eye
    }

    /// What the strip below an overlay says.
    fn caption(&self, id: &str, eye: &Eye, verdict: &str) -> String {
        let mut first = id.to_owned();
        let probabilities = &eye.quality[eye.quality.len() / 2..];
        for (class, probability) in (1..).zip(probabilities) {
            let _ = write!(first, "  p{class} {probability:.2}");
        }
        let verdict = verdict
            .strip_prefix("no: ")
            .map_or(String::new(), |rules| format!("\nlook again: {rules}"));
        format!("{first}\n{}{verdict}", self.about_models)
    }
}

impl Eye {
    /// Raw logits `[M, C, 1]`.
    fn take_quality(&mut self, values: &Values) {
        let Values::Numbers { shape, data } = values else {
            unreachable!("logits are not reduced")
        };
        let members: Vec<&[f32]> = data.chunks_exact(shape[1]).collect();
        let probabilities: Vec<Vec<f64>> = members.iter().map(|logits| softmax(logits)).collect();
        let count = members.len() as f64;
        let mean = |of: &dyn Fn(usize) -> f64| (0..members.len()).map(of).sum::<f64>() / count;
        let classes = 0..shape[1];
        let logits = classes
            .clone()
            .map(|class| mean(&|member| f64::from(members[member][class])));
        let mean_probabilities: Vec<f64> = classes
            .map(|class| mean(&|member| probabilities[member][class]))
            .collect();
        self.quality = logits
            .chain(mean_probabilities.iter().copied())
            .map(|number| number as f32)
            .collect();
        self.class = Some(ClassConfidence::of(&probabilities, &mean_probabilities));
    }

    fn map(&self, class: &str) -> Option<&MapConfidence> {
        let mut maps = self.maps.iter();
        maps.find(|(name, _)| *name == class).map(|(_, map)| map)
    }

    fn verdict(&self) -> String {
        let disc = self.map("disc").map(|confidence| {
            let map = self.answers.disc.as_ref();
            (map.and_then(centre_of_mass), confidence)
        });
        let findings = Findings {
            side: SIDE as f64,
            fovea: self.answers.fovea.zip(self.point.as_ref()),
            disc,
            arteries: self.map("artery"),
            veins: self.map("vein"),
            vessels: self.map("vessel"),
        };
        findings.verdict()
    }

    /// The row of `summary.csv`, in the order of its columns.
    fn summary(&self, roles: &[(Role, Reading)], verdict: &str) -> Vec<String> {
        let number =
            |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        let mut row = vec![verdict.to_owned()];
        for &(role, _) in roles {
            match role {
                Role::Quality => {
                    let class = self.class;
                    row.push(number(class.map(|class| class.entropy)));
                    row.push(number(class.map(|class| class.spread)));
                }
                Role::Fovea => {
                    let point = self.point;
                    row.push(number(point.and_then(|point| point.peak)));
                    row.push(number(point.map(|point| point.spread)));
                }
                Role::ArteryVein | Role::Vessels | Role::Disc => {
                    for (class, _) in classes(role) {
                        let map = self.map(class).expect("as many as classes");
                        row.push(number(map.probability));
                        row.push(map.pieces.to_string());
                        row.push(number(map.largest));
                    }
                }
            }
        }
        row
    }
}

impl pipeline::Products for Products<'_> {
    fn make(
        &self,
        id: &str,
        computed: Computed,
        record: &mut Record,
    ) -> Result<(Vec<Unpublished>, Option<Answer>)> {
        let Computed { answers, about, .. } = computed;
        let crop = about.photograph.expect("crops are kept");
        let eye = self.gather(answers);
        let verdict = eye.verdict();
        let mut pictures = Vec::new();
        if about.crop.is_some() {
            pictures.push(("preprocessed_rgb", Picture::Crop));
        }
        let roles = self.roles.iter().map(|(role, _)| *role);
        let maps: Vec<_> = roles
            .filter_map(|role| Some((role, eye.answers.map(role)?)))
            .collect();
        for (role, map) in &maps {
            pictures.push((role.name(), Picture::Map(map)));
        }
        if let (true, Some(bounds)) = (self.job.native, &about.crop) {
            for (role, map) in &maps {
                let folder = native_folder(*role).expect("one for each map");
                pictures.push((folder, Picture::Native(map, bounds)));
            }
        }
        if let Some(overlay) = &self.job.overlay {
            pictures.push(("overlays", Picture::Overlay(overlay)));
        }
        let file = |(folder, picture): (&str, Picture)| -> Result<Unpublished> {
            let suffix = match &picture {
                Picture::Overlay(overlay) => overlay.format.suffix(),
                _ => ".png",
            };
            let path = self.job.out.join(folder).join(format!("{id}{suffix}"));
            match picture {
                Picture::Crop => png(path, crop.rgb()),
                Picture::Map(map) => png(path, map),
                Picture::Native(map, bounds) => png(path, &bounds.map_to_photograph(map)?),
                Picture::Overlay(overlay) => {
                    let drawn = eye.answers.draw_on_crop(crop.rgb(), overlay.style);
                    let caption = overlay
                        .has_caption()
                        .then(|| self.caption(id, &eye, &verdict));
                    encode(path, &drawn, caption.as_deref(), overlay.format)
                }
            }
        };
        // Encoding takes most of the time, and there are few photographs at a time.
        let files: Vec<Unpublished> = pictures.into_par_iter().map(file).collect::<Result<_>>()?;
        let bounds = about.crop.or_else(|| eye.field.clone());
        let field = bounds.as_ref().and_then(Bounds::field_of_view);
        let size = field.map_or(Size::of(&crop), FieldOfView::photograph);
        let note = self.note(about.note, Size::of(&crop));
        record.complete(size, field, note);
        let fovea = eye.answers.fovea.iter();
        record.predictions = fovea
            .flat_map(|point| [point.x.to_string(), point.y.to_string()])
            .chain(eye.quality.iter().map(f32::to_string))
            .collect();
        record.summary = eye.summary(&self.roles, &verdict);
        record.bounds = bounds.filter(|_| self.tables.bounds);
        Ok((files, None))
    }

    fn write_tables(&self, records: &[Record]) -> Result<()> {
        self.tables
            .write(&self.job.out, self.job.durability, records)
    }

    fn write_run(&self, summary: Option<&Summary>) -> Result<()> {
        let CohortJob {
            out,
            durability,
            existing,
            left_out,
            ..
        } = self.job;
        let mut run = self.description.clone();
        run["left_out"] = serde_json::to_value(left_out).unwrap_or_default();
        let models: Vec<&str> = self.roles.iter().map(|(role, _)| role.name()).collect();
        let resumes = *existing == Existing::Resume;
        write_run_json(out, *durability, run, &models, resumes, summary)
    }
}

impl Products<'_> {
    /// Biomarkers need crops of their size.
    fn note(&self, note: Option<String>, crop: Size) -> Option<String> {
        if !self.job.crops || crop == Size::square(SIDE) {
            return note;
        }
        let Size { width, height } = crop;
        let odd = format!(
            "the crop is {width} × {height} pixels; biomarkers can be measured on {SIDE} × {SIDE} only"
        );
        Some(note.map_or(odd.clone(), |note| format!("{note}; {odd}")))
    }
}

/// Mean of the pixels that are set, as a point; none without any.
fn centre_of_mass(map: &GrayImage) -> Option<Point> {
    let (mut x, mut y, mut count) = (0.0, 0.0, 0.0);
    for (column, row, class) in map.enumerate_pixels() {
        if class.0[0] > 0 {
            x += f64::from(column) + 0.5;
            y += f64::from(row) + 0.5;
            count += 1.0;
        }
    }
    (count > 0.0).then(|| Point {
        x: x / count,
        y: y / count,
    })
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.iter().map(|&logit| f64::from(logit - highest).exp());
    let powers: Vec<f64> = powers.collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
