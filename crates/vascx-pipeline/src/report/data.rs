//! What the page knows, as scripts: `index.js` and chunks of photographs, each column by column.
//!
//! Pages opened from disk may load scripts but read no other files. Numbers are little-endian arrays
//! in base64, which browsers decode faster than digits. Photographs stand in the order in which they
//! should be looked at, so that the first chunk is all that the first screen needs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::cohort::{Cohort, Field, Photograph};
use super::columns::Group;
use super::findings::{Kind, Label};
use super::site::Site;
use super::statistics;
use super::thumbnails::Key;
use crate::error::{Error, Result};

/// Photographs per chunk.
const CHUNK: usize = 4096;

#[derive(Serialize)]
struct Index<'a> {
    title: &'a str,
    /// By which the browser remembers marks.
    cohort: &'a str,
    version: &'a str,
    photographs: usize,
    chunk: usize,
    /// Robust standard deviations beyond which a value is an outlier.
    far: f64,
    kinds: Vec<Label>,
    columns: Vec<ColumnIndex<'a>>,
    /// Why values are undefined.
    reasons: &'a [String],
}

#[derive(Serialize)]
struct ColumnIndex<'a> {
    name: &'a str,
    title: &'a str,
    description: &'a str,
    group: Group,
    count: usize,
    percentiles: &'a [f32],
    spread: Option<[f64; 2]>,
}

/// Photographs of a chunk; one entry each where nothing else is said.
#[derive(Serialize)]
struct Chunk<'a> {
    ids: Vec<&'a str>,
    paths: Vec<&'a str>,
    /// Folder of the pictures within their folders, where outputs are fanned out; else empty.
    folders: Vec<String>,
    /// Names of the small pictures, 16 hexadecimal digits, or spaces.
    keys: String,
    /// u8 as bits: 1 small photograph, 2 small layers, 4 crop, 8 arteries and veins, 16 vessels, 32 disc.
    pictures: String,
    /// u16: a bit per kind of finding.
    findings: String,
    /// Texts of findings by photograph: (kind, text).
    texts: BTreeMap<usize, Vec<(usize, &'a str)>>,
    /// u8: 0 unknown, 1 found, 2 not found.
    fields: String,
    /// f32: left, top, right, bottom of the field in a crop of 1024² pixels.
    cuts: String,
    /// f32: x, y in a crop of 1024² pixels.
    foveas: String,
    /// f32: deviation of the farthest outlier.
    deviations: String,
    /// f32, one string per column.
    columns: Vec<String>,
    /// u16: (photograph, column, reason), sorted.
    reasons: String,
}

/// Writes all scripts of data. `order` lists the cohort's photographs.
pub(super) fn write(site: &Site, cohort: &Cohort, order: &[usize], title: &str) -> Result<()> {
    let index = Index {
        title,
        cohort: &site.cohort,
        version: env!("CARGO_PKG_VERSION"),
        photographs: order.len(),
        chunk: CHUNK,
        far: statistics::FAR,
        kinds: Kind::ALL.map(Kind::label).into(),
        columns: cohort
            .columns
            .iter()
            .map(|column| ColumnIndex {
                name: &column.name,
                title: &column.title,
                description: &column.description,
                group: column.group,
                count: column.distribution.count,
                percentiles: &column.distribution.percentiles,
                spread: column.distribution.spread,
            })
            .collect(),
        reasons: &cohort.reasons.texts,
    };
    script(site, "index.js", "vascxIndex", &index)?;
    for (number, order) in order.chunks(CHUNK).enumerate() {
        let chunk = Chunk::new(cohort, order);
        script(site, &format!("chunk-{number:04}.js"), "vascxChunk", &chunk)?;
    }
    Ok(())
}

/// A call of `function` with `value`. JSON is JavaScript, and no markup can end a script in a file.
fn script(site: &Site, name: &str, function: &str, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value).map_err(|e| Error::output(name.as_ref(), e))?;
    site.script(name, format!("{function}({json});\n").as_bytes())
}

impl<'a> Chunk<'a> {
    fn new(cohort: &'a Cohort, order: &[usize]) -> Self {
        let photographs: Vec<&Photograph> = order.iter().map(|&n| &cohort.photographs[n]).collect();
        let each = || photographs.iter().copied();
        Self {
            ids: each().map(|photograph| photograph.id.as_str()).collect(),
            paths: each().map(|photograph| photograph.path.as_str()).collect(),
            folders: each().map(folder).collect(),
            keys: each().map(key).collect(),
            pictures: base64(each().map(|photograph| [pictures(photograph)])),
            findings: base64(each().map(|photograph| {
                let findings = photograph.findings.iter();
                let bits = findings.fold(0u16, |all, finding| all | 1 << finding.kind as u16);
                bits.to_le_bytes()
            })),
            texts: each()
                .map(texts)
                .enumerate()
                .filter(|(_, texts)| !texts.is_empty())
                .collect(),
            fields: base64(each().map(|photograph| match photograph.field {
                Field::Unknown => [0],
                Field::Found(_) => [1],
                Field::NotFound => [2],
            })),
            cuts: floats(each().flat_map(|photograph| match photograph.field {
                Field::Found(cut) => cut,
                Field::Unknown | Field::NotFound => [0.0, 0.0, 1024.0, 1024.0],
            })),
            foveas: floats(each().flat_map(|photograph| {
                let scale = match photograph.side {
                    0 => 1.0,
                    side => 1024.0 / side as f32,
                };
                let fovea = photograph.fovea.unwrap_or([f32::NAN; 2]);
                fovea.map(|value| value * scale)
            })),
            deviations: floats(each().map(|photograph| photograph.deviation)),
            columns: cohort
                .columns
                .iter()
                .map(|column| floats(order.iter().map(|&number| column.values[number])))
                .collect(),
            reasons: reasons(cohort, order),
        }
    }
}

fn key(photograph: &Photograph) -> String {
    let hash = |key: Key| format!("{:016x}", key.0);
    photograph.key.map_or_else(|| " ".repeat(16), hash)
}

/// The subfolder of its pictures, with a slash at the end.
fn folder(photograph: &Photograph) -> String {
    let Some(path) = photograph.pictures.all().into_iter().flatten().next() else {
        return String::new();
    };
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let is_kind =
        |name: &str| ["preprocessed_rgb", "artery_vein", "vessels", "disc"].contains(&name);
    let kind = names.iter().rposition(|name| is_kind(name)).unwrap_or(0);
    let between = names.get(kind + 1..names.len() - 1).unwrap_or_default();
    between.iter().map(|name| format!("{name}/")).collect()
}

fn pictures(photograph: &Photograph) -> u8 {
    let pictures = &photograph.pictures;
    [
        photograph.key.is_some() && pictures.crop.is_some(),
        photograph.key.is_some() && photograph.has_layers,
        pictures.crop.is_some(),
        pictures.artery_vein.is_some(),
        pictures.vessels.is_some(),
        pictures.disc.is_some(),
    ]
    .into_iter()
    .enumerate()
    .map(|(bit, is_there)| u8::from(is_there) << bit)
    .sum()
}

fn texts(photograph: &Photograph) -> Vec<(usize, &str)> {
    let findings = photograph.findings.iter();
    let texts = findings.map(|finding| (finding.kind as usize, finding.text.as_str()));
    texts.filter(|(_, text)| !text.is_empty()).collect()
}

fn reasons(cohort: &Cohort, order: &[usize]) -> String {
    let columns = 0..cohort.columns.len();
    let reasons = &cohort.reasons.by_value;
    base64(order.iter().enumerate().flat_map(|(place, &photograph)| {
        columns.clone().filter_map(move |column| {
            let &reason = reasons.get(&(photograph as u32, column as u16))?;
            let [a, b] = (place as u16).to_le_bytes();
            let [c, d] = (column as u16).to_le_bytes();
            let [e, f] = reason.to_le_bytes();
            Some([a, b, c, d, e, f])
        })
    }))
}

fn floats(values: impl Iterator<Item = f32>) -> String {
    base64(values.map(f32::to_le_bytes))
}

fn base64<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> String {
    STANDARD.encode(values.flatten().collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fit_the_numbers_of_their_photographs() {
        // Reasons name photographs of a chunk by u16, findings their kinds by bits of u16.
        const { assert!(CHUNK <= 1 << 16 && Kind::ALL.len() <= 16) };
        for (bit, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, bit);
        }
    }
}
