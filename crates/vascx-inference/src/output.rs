//! Writing results: files appear under their final name only when they are whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};

/// Calls `write` on a temporary sibling of `path` and renames it when that succeeded.
pub(crate) fn write_whole<E: ToString>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::result::Result<(), E>,
) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.partial"));
    let attempt = || -> std::result::Result<(), String> {
        let mut file = BufWriter::new(File::create(&temporary).map_err(|e| e.to_string())?);
        write(&mut file).map_err(|error| error.to_string())?;
        file.flush().map_err(|error| error.to_string())?;
        fs::rename(&temporary, path).map_err(|error| error.to_string())
    };
    attempt().map_err(|reason| {
        let _ = fs::remove_file(&temporary);
        Error::output(path, reason)
    })
}

/// An 8-bit PNG, grey or RGB.
pub(crate) fn write_png(
    path: &Path,
    pixels: &[u8],
    width: u32,
    height: u32,
    color: ExtendedColorType,
) -> Result<()> {
    write_whole(path, |file| {
        PngEncoder::new(file).write_image(pixels, width, height, color)
    })
}

/// Writes one f32 tensor, values in row-major order, as a safetensors file.
///
/// # Errors
/// When values and shape disagree or the file cannot be written.
pub fn write_tensor(path: &Path, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
    write_described_tensor(path, name, shape, values, None)
}

/// [`write_tensor`] with texts by name beside the tensor.
pub(crate) fn write_described_tensor(
    path: &Path,
    name: &str,
    shape: &[usize],
    values: &[f32],
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes)
        .map_err(|error| Error::output(path, error))?;
    let file_bytes = safetensors::serialize([(name, view)], metadata)
        .map_err(|error| Error::output(path, error))?;
    write_whole(path, |file| file.write_all(&file_bytes))
}

/// A CSV file with a header.
pub(crate) fn write_csv(
    path: &Path,
    header: &[String],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<()> {
    write_whole(path, |file| -> csv::Result<()> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        Ok(writer.flush()?)
    })
}
