//! Lists of photographs as spreadsheets write them.

use std::fs;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::{Input, InputOptions, ids};
use crate::error::{Error, Result};

/// Reads a list with the column `path` and perhaps `id`.
pub(super) fn read(list: &Path, options: InputOptions) -> Result<Vec<Input>> {
    let failed = |reason: String| Error::input(list, reason);
    let bytes = fs::read(list).map_err(|error| failed(error.to_string()))?;
    let text = text(&bytes).map_err(failed)?;
    let Table {
        path,
        id,
        first_line,
        text,
        rows,
    } = Table::of(&text).map_err(failed)?;
    let base = list.parent().unwrap_or(Path::new(""));
    let mut inputs = Vec::new();
    for row in rows {
        let row = row.map_err(|error| failed(error.to_string()))?;
        if row.iter().all(str::is_empty) {
            continue;
        }
        // The reader's own number is that of the empty lines before a row.
        let line = || {
            let start = row
                .position()
                .map_or(0, |position| position.byte() as usize);
            let empty = text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len();
            first_line + 1 + text[..start + empty].matches('\n').count()
        };
        let cell = |column: usize| row.get(column).unwrap_or_default();
        if cell(path).is_empty() {
            return Err(failed(format!(
                "line {}: the column `path` is empty",
                line()
            )));
        }
        let file = locate(base, cell(path));
        let named = if let Some(column) = id {
            Input {
                id: cell(column).to_owned(),
                path: file,
            }
        } else {
            let name = file.file_name().unwrap_or_default().to_owned();
            let given = file.strip_prefix(base).unwrap_or(&file).to_owned();
            Input::of_file(file, Path::new(&name), &given, options)
        };
        let id = &named.id;
        if let Some(problem) = ids::problem(id) {
            return Err(failed(format!(
                "line {}: id `{}` {problem}",
                line(),
                id.escape_debug()
            )));
        }
        inputs.push(named);
    }
    if inputs.is_empty() {
        return Err(failed("has no rows".into()));
    }
    Ok(inputs)
}

/// A list's text, in UTF-8 or, with a byte order mark, UTF-16.
fn text(bytes: &[u8]) -> std::result::Result<String, String> {
    const REMEDY: &str = "save it as UTF-8 (in Excel: \"CSV UTF-8\")";
    let words = |bytes: &[u8], word: fn([u8; 2]) -> u16| {
        let words: Vec<u16> = bytes.as_chunks().0.iter().map(|&pair| word(pair)).collect();
        String::from_utf16(&words).map_err(|_| format!("is no valid UTF-16; {REMEDY}"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => words(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => words(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => match std::str::from_utf8(rest) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            Ok(_) => Err(format!(
                "is UTF-16 without a byte order mark, or no text; {REMEDY}"
            )),
            Err(error) => {
                let before = &rest[..error.valid_up_to()];
                let line = before.split(|&byte| byte == b'\n').count();
                Err(format!("line {line} is not UTF-8 (Latin-1?); {REMEDY}"))
            }
        },
    }
}

/// A list whose header is understood.
struct Table<'a> {
    path: usize,
    id: Option<usize>,
    /// Lines before the header.
    first_line: usize,
    /// From the header on.
    text: &'a str,
    rows: csv::StringRecordsIntoIter<&'a [u8]>,
}

impl<'a> Table<'a> {
    fn of(text: &'a str) -> std::result::Result<Self, String> {
        // Excel's own way to name the separator.
        let named = text
            .split_once('\n')
            .and_then(|(line, rest)| Some((line.trim().strip_prefix("sep=")?, rest)));
        let (separators, text, first_line) = match named {
            Some((separator, rest)) => (separator.as_bytes().to_vec(), rest, 1),
            None => (b",;\t".to_vec(), text, 0),
        };
        let mut found = StringRecord::new();
        for separator in separators {
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(separator)
                .trim(csv::Trim::All)
                .flexible(true)
                .from_reader(text.as_bytes());
            let header = reader.headers().map_err(|error| error.to_string())?.clone();
            let column = |name| {
                header
                    .iter()
                    .position(|title| title.eq_ignore_ascii_case(name))
            };
            if let Some(path) = column("path") {
                return Ok(Self {
                    path,
                    id: column("id"),
                    first_line,
                    text,
                    rows: reader.into_records(),
                });
            }
            if header.len() > found.len() {
                found = header;
            }
        }
        let found: Vec<_> = found
            .iter()
            .map(|title| format!("`{}`", title.escape_debug()))
            .collect();
        Err(format!(
            "has no column `path` in its first line, only {}; expected are the columns id,path, or path alone",
            found.join(", ")
        ))
    }
}

/// The file that a cell names: relative to the list, with the separators of any system, or as `file:`
/// URI, which is what the manifest of an earlier run has where a path is no UTF-8.
fn locate(base: &Path, cell: &str) -> PathBuf {
    if let Some(path) = cell.strip_prefix("file://") {
        return ids::percent_decoded(path);
    }
    let path = base.join(cell);
    if cell.contains('\\') && !path.exists() {
        base.join(cell.replace('\\', "/"))
    } else {
        path
    }
}
