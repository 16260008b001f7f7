//! From the arguments a user gives (files, folders, lists) to photographs with ids.

mod folder;
pub(crate) mod ids;
mod left_out;
mod list;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
pub use left_out::LeftOut;

/// A photograph to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Names the outputs; unique within a run.
    pub id: String,
    /// The image file.
    pub path: PathBuf,
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
    /// ones; with `recursive` also those of its subfolders. Ids are names without extension, behind
    /// the names of subfolders and `__`. A `.csv`, `.tsv` or `.txt` file is a list with a column `path`
    /// (relative to the list) and, if the ids are not to be the names, a column `id`; separated by
    /// commas, semicolons or tabs, in UTF-8 or UTF-16. Any other file is taken for a photograph.
    ///
    /// # Errors
    /// When an argument does not exist, a folder holds no photograph, a list cannot be read or lacks
    /// a column, an id cannot name a file, or two ids name one.
    pub fn resolve(arguments: &[PathBuf], recursive: bool) -> Result<Self> {
        let mut inputs = Self::default();
        for argument in arguments {
            let kind = fs::metadata(argument).map_err(|error| Error::input(argument, error))?;
            if kind.is_dir() {
                folder::read(argument, recursive, &mut inputs)?;
            } else if has_extension(argument, &["csv", "tsv", "txt"]) {
                inputs.photographs.extend(list::read(argument)?);
            } else {
                let id = ids::of_file(Path::new(argument.file_name().unwrap_or_default()));
                let path = argument.clone();
                inputs.photographs.push(Input { id, path });
            }
        }
        ids::check(&inputs.photographs)?;
        Ok(inputs)
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
