//! CSV tables whose rows belong to photographs, as programs and spreadsheets write them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::error::{Error, Result};

/// A table with one column of photographs' ids.
pub(crate) struct Table {
    path: PathBuf,
    /// Names of all columns, in their order; that of the ids may be empty.
    pub(crate) header: Vec<String>,
    /// Index of the column of ids.
    pub(crate) id: usize,
    rows: Vec<StringRecord>,
}

impl Table {
    /// Reads a table; none where there is no such file.
    ///
    /// The column of ids is called `id`, or is the first one and has no name. Columns are separated
    /// by commas, semicolons or tabs; a byte order mark is skipped; letters of the header may be of any case.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        Self::read_by(path, "id")
    }

    /// The same for a table whose rows belong to what the column `key` names.
    pub(crate) fn read_by(path: &Path, key: &str) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::input(path, error)),
        };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(bytes))
            .flexible(true)
            .from_reader(bytes);
        let header: Vec<String> = match reader.headers() {
            Ok(header) => header.iter().map(|name| name.trim().to_owned()).collect(),
            Err(error) => return Err(Error::input(path, error)),
        };
        let named = header
            .iter()
            .position(|name| name.eq_ignore_ascii_case(key));
        let unnamed = || header.first().filter(|name| name.is_empty()).map(|_| 0);
        let Some(id) = named.or_else(unnamed) else {
            return Err(Error::input(
                path,
                format!("the table has no column `{key}`; its first line must name the columns"),
            ));
        };
        let mut rows = Vec::new();
        for row in reader.into_records() {
            let row = row.map_err(|error| Error::input(path, error))?;
            if row.get(id).is_some_and(|id| !id.is_empty()) {
                rows.push(row);
            }
        }
        Ok(Some(Self {
            path: path.to_owned(),
            header,
            id,
            rows,
        }))
    }

    /// Index of a column, by its name in letters of any case.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
    }

    /// Every row that has an id, with that id.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &StringRecord)> {
        self.rows.iter().map(|row| (&row[self.id], row))
    }

    /// A problem in one of this table's rows.
    pub(crate) fn error(&self, row: &StringRecord, reason: &str) -> Error {
        let line = row.position().map_or(0, csv::Position::line);
        Error::input(&self.path, format!("line {line}: {reason}"))
    }
}

/// The separator of the first line that occurs most often there.
#[allow(clippy::naive_bytecount)] // One line per file.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    let count = |separator: u8| line.iter().filter(|&&byte| byte == separator).count();
    // The last of equal ones wins: without any separator, the comma.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|&separator| count(separator))
        .unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Option<Table>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, text).unwrap();
        Table::read(&path)
    }

    fn ids(text: &[u8]) -> Vec<String> {
        let table = read(text).unwrap().unwrap();
        table.rows().map(|(id, _)| id.to_owned()).collect()
    }

    #[test]
    fn ids_are_found_whatever_program_wrote_the_table() {
        assert_eq!(ids(b",q1,q2\na,1,2\nb,3,4\n"), ["a", "b"]); // pandas with its index
        assert_eq!(ids("\u{feff}mark;ID\nkeep;ü\n".as_bytes()), ["ü"]); // German Excel
        assert_eq!(ids(b"id\tmark\r\nx\tkeep\r\n\t\r\n"), ["x"]);
        assert_eq!(ids(b"id,note\n\"a,\"\"b\",\"two\nlines\"\n"), ["a,\"b"]);
        assert_eq!(ids(b"id\nshort\n"), ["short"]);
    }

    #[test]
    fn a_table_without_ids_is_an_error_that_names_the_file() {
        let error = read(b"name,mark\na,keep\n").err().unwrap().to_string();
        assert!(
            error.contains("table.csv") && error.contains("column `id`"),
            "{error}"
        );
        assert!(read(b"id,x\n\xff,1\n").is_err(), "text that is not UTF-8");
    }

    #[test]
    fn a_missing_table_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Table::read(&folder.path().join("none.csv"))
                .unwrap()
                .is_none()
        );
    }
}
