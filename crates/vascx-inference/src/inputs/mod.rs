//! From the arguments a user gives (files, folders, CSV manifests) to photographs with ids.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::photograph::EXTENSIONS;

/// A photograph to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Names the outputs; unique within a run.
    pub id: String,
    /// The image file.
    pub path: PathBuf,
}

/// Resolves arguments in order. A folder gives its image files (not those of folders inside),
/// sorted by name; a `.csv` file gives its rows (`id,path`, relative paths from the CSV's folder);
/// any other file is taken for a photograph. Ids of files are their names without extension.
///
/// # Errors
/// When an argument does not exist, a folder holds no image, a CSV lacks a column, an id cannot
/// name a file, or two inputs have the same id.
pub fn resolve_inputs(arguments: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        let kind = fs::metadata(argument).map_err(|error| Error::input(argument, error))?;
        if kind.is_dir() {
            inputs.extend(folder(argument)?);
        } else if has_extension(argument, &["csv"]) {
            inputs.extend(manifest(argument)?);
        } else {
            inputs.push(file(argument.clone()));
        }
    }
    let mut seen: HashMap<&str, &Path> = HashMap::new();
    for input in &inputs {
        if let Some(first) = seen.insert(&input.id, &input.path) {
            return Err(Error::DuplicateId {
                id: input.id.clone(),
                first: first.to_owned(),
                second: input.path.clone(),
            });
        }
    }
    Ok(inputs)
}

fn file(path: PathBuf) -> Input {
    let id = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Input { id, path }
}

fn folder(path: &Path) -> Result<Vec<Input>> {
    let failed = |error: std::io::Error| Error::input(path, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if has_extension(&file, &EXTENSIONS) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        let reason = format!("the folder holds no image file ({})", EXTENSIONS.join(", "));
        return Err(Error::input(path, reason));
    }
    files.sort_unstable();
    Ok(files.into_iter().map(self::file).collect())
}

fn manifest(path: &Path) -> Result<Vec<Input>> {
    let failed = |error: csv::Error| Error::input(path, error);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(failed)?;
    let headers = reader.headers().map_err(failed)?.clone();
    let column = |name: &str| {
        headers
            .iter()
            .position(|header| header.trim_start_matches('\u{feff}') == name)
            .ok_or_else(|| {
                Error::input(
                    path,
                    format!("has no column `{name}`; expected columns id,path"),
                )
            })
    };
    let (id, file) = (column("id")?, column("path")?);
    let base = path.parent().unwrap_or(Path::new(""));
    let mut inputs = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let id = record.get(id).unwrap_or_default().to_owned();
        if id.is_empty() || id.starts_with('.') || id.contains(['/', '\\', '\0']) {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(Error::input(
                path,
                format!("line {line}: id `{id}` cannot name a file"),
            ));
        }
        inputs.push(Input {
            id,
            path: base.join(record.get(file).unwrap_or_default()),
        });
    }
    if inputs.is_empty() {
        return Err(Error::input(path, "has no rows"));
    }
    Ok(inputs)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| {
        extensions
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(arguments: &[PathBuf]) -> Result<Vec<String>> {
        Ok(resolve_inputs(arguments)?
            .into_iter()
            .map(|input| input.id)
            .collect())
    }

    #[test]
    fn folders_files_and_manifests_combine_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("photos")).unwrap();
        for name in ["photos/b.PNG", "photos/a.jpg", "photos/notes.txt", "c.tif"] {
            fs::write(path(name), "").unwrap();
        }
        fs::write(
            path("list.csv"),
            "path,id,eye\nphotos/a.jpg, x ,left\n/abs/p.png,y,right\n",
        )
        .unwrap();
        let arguments = [path("c.tif"), path("photos"), path("list.csv")];
        assert_eq!(ids(&arguments).unwrap(), ["c", "a", "b", "x", "y"]);
        let inputs = resolve_inputs(&arguments).unwrap();
        assert_eq!(inputs[3].path, path("photos/a.jpg"));
        assert_eq!(inputs[4].path, Path::new("/abs/p.png"));
    }

    #[test]
    fn unusable_arguments_name_the_file_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("empty")).unwrap();
        fs::create_dir(path("other")).unwrap();
        fs::write(path("a.png"), "").unwrap();
        fs::write(path("other/a.jpg"), "").unwrap();
        fs::write(path("columns.csv"), "id,file\na,b\n").unwrap();
        fs::write(path("climb.csv"), "id,path\n../a,b\n").unwrap();
        for (arguments, expected) in [
            (vec![path("missing")], "missing"),
            (vec![path("empty")], "no image file"),
            (vec![path("columns.csv")], "no column `path`"),
            (vec![path("climb.csv")], "cannot name a file"),
            (vec![path("a.png"), path("other")], "id,path"),
        ] {
            let message = resolve_inputs(&arguments).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
