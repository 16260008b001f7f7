//! From the arguments a user gives (files, folders, lists) to photographs with ids.

mod folder;
pub(crate) mod ids;
mod left_out;
mod list;
mod shard;

use std::fs;
use std::path::{Path, PathBuf};

use crate::decode::instance_uid;
use crate::error::{Error, Result};
pub use left_out::LeftOut;
pub use shard::Shard;

/// A photograph to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Names the outputs; unique within a run.
    pub id: String,
    /// The image file.
    pub path: PathBuf,
}

/// What of a photograph's path names its outputs, if no list does; `/` becomes `__`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdFrom {
    /// The file's name without its extension, behind the subfolders it lies in.
    #[default]
    Stem,
    /// The same with its extension.
    Name,
    /// The path as it was given, without its extension.
    Path,
}

/// What names the outputs of a DICOM file that no list names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DicomId {
    /// The file's name, as for all other files.
    #[default]
    FileName,
    /// Its SOP Instance UID.
    SopInstanceUid,
}

/// How arguments become photographs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputOptions {
    /// Whether to look into subfolders.
    pub recursive: bool,
    /// What names the outputs of photographs that no list names.
    pub ids: IdFrom,
    /// What names the outputs of DICOM files.
    pub dicom_id: DicomId,
}

/// What arguments stand for.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// In the order of the arguments; their ids name files that differ on every file system.
    pub photographs: Vec<Input>,
    /// What folders hold beside them.
    pub left_out: LeftOut,
}

impl Inputs {
    /// Resolves arguments in order.
    ///
    /// A folder gives the files in it that are photographs by name or content, sorted, except hidden
    /// ones; when `recursive` also those of its subfolders. Ids are names without extension, behind
    /// the names of subfolders and `__`, unless the options say otherwise. A `.csv`, `.tsv` or `.txt` file is a list with a column `path`
    /// (relative to the list) and, if the ids are not to be the names, a column `id`; separated by
    /// commas, semicolons or tabs, in UTF-8 or UTF-16. Any other file is taken for a photograph.
    ///
    /// # Errors
    /// When an argument does not exist, a folder holds no photograph, a list cannot be read or lacks
    /// a column, an id cannot name a file, or two ids name one.
    pub fn resolve(arguments: &[PathBuf], options: InputOptions) -> Result<Self> {
        let mut inputs = Self::default();
        for argument in arguments {
            let kind = fs::metadata(argument).map_err(|error| not_there(argument, &error))?;
            if kind.is_dir() {
                folder::read(argument, options, &mut inputs)?;
            } else if has_extension(argument, &["csv", "tsv", "txt"]) {
                inputs.photographs.extend(list::read(argument, options)?);
            } else {
                let name = Path::new(argument.file_name().unwrap_or_default());
                inputs
                    .photographs
                    .push(Input::of_file(argument.clone(), name, argument, options));
            }
        }
        ids::check(&inputs.photographs)?;
        Ok(inputs)
    }
}

impl Input {
    /// A file, by its path from the folder that it was found in and by its path as given.
    fn of_file(path: PathBuf, relative: &Path, given: &Path, options: InputOptions) -> Self {
        let uid = match options.dicom_id {
            DicomId::SopInstanceUid => instance_uid(&path),
            DicomId::FileName => None,
        };
        let id = uid.unwrap_or_else(|| match options.ids {
            IdFrom::Stem => ids::of_path(&relative.with_extension("")),
            IdFrom::Name => ids::of_path(relative),
            IdFrom::Path => ids::of_path(&given.with_extension("")),
        });
        Self { id, path }
    }
}

/// Patterns that a shell has not replaced by names, for want of files or because of quotes.
fn not_there(argument: &Path, error: &std::io::Error) -> Error {
    let is_pattern = argument.as_os_str().as_encoded_bytes().contains(&b'*');
    if is_pattern && error.kind() == std::io::ErrorKind::NotFound {
        let remedy = "no such file; the shell replaces patterns by names when they stand without \
                      quotes and match something; or name the folder";
        Error::input(argument, remedy)
    } else {
        Error::input(argument, error)
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| {
        extensions
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests;
