//! Writing results: files appear under their final name only when they are whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ImageBuffer, ImageError, PixelWithColorType};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::stamp::Stamp;

/// How the names of unfinished files begin and end. They are short, so that any name that a file
/// system takes can be written.
const UNFINISHED: [&str; 2] = [".vascx-", ".partial"];

/// Whether results survive a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Files are on the disk before they get their names, and names before the journal says that a
    /// photograph is done. Whatever is under a final name is whole, even after a loss of power.
    #[default]
    Full,
    /// The operating system writes when it likes. Results survive the end of the process, not that
    /// of the machine.
    Fast,
}

/// A file that is written and whole, but not yet under its name; removed unless it is published.
pub(crate) struct Unpublished {
    file: NamedTempFile,
    path: PathBuf,
}

impl Unpublished {
    /// Writes the content of the file that is to be at `path` beside it.
    ///
    /// # Errors
    /// What the operating system or `write` says, with the final name.
    pub(crate) fn write(
        path: PathBuf,
        write: impl FnOnce(&mut Writer) -> io::Result<()>,
    ) -> Result<Self> {
        match unfinished(&path, write) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(Error::output(&path, error)),
        }
    }

    /// The final name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length and sample of the content.
    pub(crate) fn stamp(&mut self) -> Result<Stamp> {
        let stamp = Stamp::of(self.file.as_file_mut());
        stamp.map_err(|error| Error::output(&self.path, error))
    }

    /// Waits until the content is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.file.as_file().sync_data();
        synced.map_err(|error| Error::output(&self.path, error))
    }

    /// Gives the file its name. A link of that name is replaced, not followed.
    pub(crate) fn publish(self) -> Result<()> {
        match self.file.persist(&self.path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::output(&self.path, error.error)),
        }
    }

    /// Syncs and publishes a file that stands for itself.
    pub(crate) fn publish_alone(self, durability: Durability) -> Result<()> {
        if durability == Durability::Full {
            self.sync()?;
        }
        let folder = folder_of(&self.path).to_owned();
        self.publish()?;
        sync_folder(&folder, durability)
    }
}

fn unfinished(
    path: &Path,
    write: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let [prefix, suffix] = UNFINISHED;
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(suffix);
    // What the umask leaves of it, as for any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder_of(path))?;
    let mut writer = BufWriter::new(Heard {
        file: file.as_file_mut(),
        error: None,
    });
    let written = write(&mut writer).and_then(|()| writer.flush());
    let (heard, _) = writer.into_parts();
    match (written, heard.error) {
        (Ok(()), _) => Ok(file),
        (Err(_), Some(system)) => Err(system),
        (Err(error), None) => Err(error),
    }
}

/// What results are written to.
type Writer<'f> = BufWriter<Heard<'f>>;

/// A file that remembers why it could not be written. Encoders pass on the system's words, but not
/// always what kind of error it was, and a disk that is full concerns more than one photograph.
pub(crate) struct Heard<'f> {
    file: &'f mut File,
    error: Option<io::Error>,
}

impl Write for Heard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        if let Err(error) = &written
            && error.kind() != ErrorKind::Interrupted
        {
            self.error = error.raw_os_error().map(io::Error::from_raw_os_error);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a single file, whole or not at all: what `write` writes lies beside `path` until it is
/// complete. A file of that name is replaced.
///
/// # Errors
/// What the operating system or `write` says, with the path.
pub fn write_whole(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    Unpublished::write(path.to_owned(), |file| write(file))?.publish_alone(durability)
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Waits until the names in a folder are on the disk, where a system can be asked for that.
pub(crate) fn sync_folder(folder: &Path, durability: Durability) -> Result<()> {
    if durability == Durability::Fast || cfg!(not(unix)) {
        return Ok(());
    }
    let synced = match File::open(folder) {
        Ok(file) => file.sync_all(),
        // One may write to a folder that one may not read.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    };
    match synced {
        // Some network file systems cannot.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other.map_err(|error| Error::output(folder, error)),
    }
}

/// Creates a folder and those above it, and has their names on the disk.
pub(crate) fn create_folder(folder: &Path, durability: Durability) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    if above != folder {
        create_folder(above, durability)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let error = io::Error::new(error.kind(), "there is a file, not a folder");
            return Err(Error::output(folder, error));
        }
        Err(error) => return Err(Error::output(folder, error)),
        Ok(()) => {}
    }
    sync_folder(above, durability)
}

/// Removes the files that a process that was killed has left behind. Only for folders that no other
/// process writes to.
///
/// # Errors
/// The folder cannot be read.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let [prefix, suffix] = UNFINISHED;
    let entries = fs::read_dir(folder).map_err(|error| Error::output(folder, error))?;
    for entry in entries.filter_map(std::result::Result::ok) {
        let name = entry.file_name();
        let ours = name
            .to_str()
            .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            // What cannot be removed can stay: it hinders nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Writes a single JSON file, indented, as [`write_whole`] does.
pub(crate) fn write_json(
    path: &Path,
    durability: Durability,
    value: &impl Serialize,
) -> Result<()> {
    write_whole(path, durability, |file| {
        Ok(serde_json::to_writer_pretty(file, value)?)
    })
}

/// An 8-bit PNG, grey or RGB.
pub(crate) fn png<P>(path: PathBuf, picture: &ImageBuffer<P, Vec<u8>>) -> Result<Unpublished>
where
    P: PixelWithColorType<Subpixel = u8>,
{
    Unpublished::write(path, |file| {
        let encoded = picture.write_with_encoder(PngEncoder::new(file));
        encoded.map_err(|error| match error {
            ImageError::IoError(error) => error,
            other => io::Error::other(other),
        })
    })
}

/// A safetensors file of one f32 tensor, values in row-major order.
pub(crate) fn tensor(
    path: PathBuf,
    name: &str,
    shape: &[usize],
    values: &[f32],
) -> Result<Unpublished> {
    described_tensor(path, name, shape, values, None)
}

/// [`tensor`] with texts by name beside it.
pub(crate) fn described_tensor(
    path: PathBuf,
    name: &str,
    shape: &[usize],
    values: &[f32],
    metadata: Option<HashMap<String, String>>,
) -> Result<Unpublished> {
    if shape.iter().product::<usize>() != values.len() {
        let reason = format!("{} values are no tensor of shape {shape:?}", values.len());
        return Err(Error::output(&path, io::Error::other(reason)));
    }
    // Written here, since `safetensors` would hold all of it once more as bytes.
    let mut header = serde_json::json!({
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, size_of_val(values)]}
    });
    if let Some(metadata) = metadata {
        header["__metadata__"] = serde_json::json!(metadata);
    }
    let mut header = header.to_string();
    // Values begin at a multiple of eight bytes.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    Unpublished::write(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(64 << 10);
        for part in values.chunks((64 << 10) / size_of::<f32>()) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Writes one f32 tensor, values in row-major order, as a safetensors file.
///
/// # Errors
/// When values and shape disagree or the file cannot be written.
pub fn write_tensor(path: &Path, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
    tensor(path.to_owned(), name, shape, values)?.publish_alone(Durability::Full)
}

/// Writes a picture as 8-bit RGB PNG.
pub(crate) fn write_picture(path: &Path, picture: &image::RgbImage) -> Result<()> {
    png(path.to_owned(), picture)?.publish_alone(Durability::Full)
}

/// A CSV file with a header.
pub(crate) fn write_csv(
    path: &Path,
    durability: Durability,
    header: &[String],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<()> {
    write_whole(path, durability, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        writer.flush()
    })
}

/// Text for a cell of a table. Spreadsheets take what begins with `=`, `+`, `-`, `@`, a tab or a line
/// break for a formula and compute it, so that such text, unless it is a number, gets an apostrophe in
/// front, by which they know text.
pub(crate) fn cell(text: &str) -> String {
    let begins = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if begins && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    #[test]
    fn a_tensor_is_readable_by_the_format_s_own_crate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let values: Vec<f32> = (0..40_000).map(|value| value as f32 / 7.0).collect();
        write_tensor(&path, "maps", &[2, 100, 200], &values).unwrap();
        let bytes = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor("maps").unwrap();
        assert_eq!(view.shape(), [2, 100, 200]);
        let stored = view.data().as_chunks().0.iter().copied();
        assert!(stored.map(f32::from_le_bytes).eq(values));
        assert!(write_tensor(&path, "maps", &[3], &[0.0; 2]).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    /// Whatever an encoder makes of it.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_s_reason_is_kept() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = BufWriter::new(Heard {
            file: &mut full,
            error: None,
        });
        let pixels = vec![7; 100 * 100];
        let encoded = PngEncoder::new(&mut writer);
        let encoded = encoded.write_image(&pixels, 100, 100, ExtendedColorType::L8);
        assert!(encoded.is_err() || writer.flush().is_err());
        let (heard, _) = writer.into_parts();
        assert_eq!(heard.error.unwrap().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn cells_that_spreadsheets_would_compute_are_text() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-x", "'-x"),
            ("-12.5", "-12.5"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
