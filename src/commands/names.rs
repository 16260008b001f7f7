//! What the user names, on the command line or in a file of names.

use std::io::Read;
use std::path::{Path, PathBuf};

use vascx::inference::Inputs;

use super::{Failure, Result};
use crate::arguments::PhotographArguments;

/// Photographs, and all that the user named: files that no output may replace.
pub(super) struct Named {
    pub(super) inputs: Inputs,
    pub(super) files: Vec<PathBuf>,
}

pub(super) fn resolve(arguments: &PhotographArguments) -> Result<Named> {
    let mut files = arguments.inputs.clone();
    if let Some(list) = &arguments.files_from {
        files.extend(read(list)?);
    }
    let inputs = Inputs::resolve(&files, arguments.options())?;
    files.extend(arguments.files_from.clone());
    Ok(Named { inputs, files })
}

/// The names in a file or, for `-`, on standard input: one on a line, or each before a zero, as
/// `find -print0` writes them.
fn read(list: &Path) -> Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    let read = if list == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(list).map(|content| bytes = content)
    };
    read.map_err(|error| Failure::file(list, error))?;
    let end = if bytes.contains(&0) { 0 } else { b'\n' };
    let names: Vec<PathBuf> = bytes
        .split(|&byte| byte == end)
        .map(|name| match name {
            [name @ .., b'\r'] if end == b'\n' => name,
            name => name,
        })
        .filter(|name| !name.is_empty())
        .map(path)
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::file(list, "holds a name that is not UTF-8"))?;
    if names.is_empty() {
        return Err(Failure::file(list, "holds no names"));
    }
    Ok(names)
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // Elsewhere not every name is one.
fn path(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(std::ffi::OsStr::from_bytes(name).into())
}

#[cfg(not(unix))]
fn path(name: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(name).ok().map(PathBuf::from)
}
