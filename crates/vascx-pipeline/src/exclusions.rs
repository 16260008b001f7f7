//! Marks that a reader of the report gave, as exported there: a CSV with the columns `id,mark,note`.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::table::Table;

/// What a reader of the report decided about a photograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is to be used.
    Keep,
    /// It is not to be used.
    Exclude,
    /// Someone has to look at it again; used until then.
    LookAgain,
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "keep" => Ok(Self::Keep),
            "exclude" => Ok(Self::Exclude),
            "look again" => Ok(Self::LookAgain),
            _ => Err(format!(
                "`{text}` is no mark; use keep, exclude or look again"
            )),
        }
    }
}

/// Photographs that are to be left out, with the reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    reasons: BTreeMap<String, String>,
}

impl Exclusions {
    /// Reads a list of marks: columns `id`, `mark` and optionally `note`, others are ignored.
    /// A list without the column `mark` excludes every id in it.
    ///
    /// # Errors
    /// When the file cannot be read, has no ids, holds an unknown mark, or marks an id twice and
    /// differently.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Some(table) = Table::read(path)? else {
            return Err(Error::input(path, "there is no such file"));
        };
        let (mark, note) = (table.column("mark"), table.column("note"));
        let mut marks = BTreeMap::new();
        let mut reasons = BTreeMap::new();
        for (id, row) in table.rows() {
            let decided = match mark.map(|column| row.get(column).unwrap_or_default()) {
                Some("") => continue, // a note without a decision
                Some(text) => text
                    .parse()
                    .map_err(|reason: String| table.error(row, &reason))?,
                None => Mark::Exclude,
            };
            if marks
                .insert(id, decided)
                .is_some_and(|earlier| earlier != decided)
            {
                let reason = format!("`{id}` has another mark further up; keep one of the two");
                return Err(table.error(row, &reason));
            }
            if decided == Mark::Exclude {
                let note = note.and_then(|column| row.get(column)).unwrap_or_default();
                reasons.insert(id.to_owned(), reason(note.trim()));
            }
        }
        Ok(Self { reasons })
    }

    /// Leaves out one more, for a reason. One that is left out already keeps its reason.
    pub fn add(&mut self, id: impl Into<String>, reason: impl Into<String>) {
        self.reasons
            .entry(id.into())
            .or_insert_with(|| reason.into());
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Why a photograph is to be left out; none when it is to be used.
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.reasons.get(id).map(String::as_str)
    }

    /// Ids of all photographs to be left out, sorted.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.reasons.keys().map(String::as_str)
    }
}

fn reason(note: &str) -> String {
    if note.is_empty() {
        "excluded by its reader".into()
    } else {
        format!("excluded by its reader: {note}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Exclusions> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.csv");
        std::fs::write(&path, text).unwrap();
        Exclusions::read(&path)
    }

    #[test]
    fn only_what_is_marked_exclude_is_left_out() {
        let text = "id,mark,note\r\na,keep,\r\nb,exclude,\"blurred, twice\"\r\nc,look again,\r\n\
                    d,,only a note\r\n\"e,\"\"f\",Exclude,\r\n";
        let exclusions = read(text).unwrap();
        assert_eq!(exclusions.ids().collect::<Vec<_>>(), ["b", "e,\"f"]);
        assert_eq!(
            exclusions.reason("b"),
            Some("excluded by its reader: blurred, twice")
        );
        assert_eq!(exclusions.reason("e,\"f"), Some("excluded by its reader"));
        assert_eq!(exclusions.reason("a"), None);
        assert_eq!(exclusions.reason("c"), None);
    }

    #[test]
    fn spreadsheets_may_write_it_again() {
        let exclusions = read("\u{feff}ID;Mark;Note\r\nx;EXCLUDE;\r\n").unwrap();
        assert_eq!(exclusions.ids().collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn a_plain_list_of_ids_excludes_all_of_them() {
        let exclusions = read("id\nx\ny\n").unwrap();
        assert_eq!(exclusions.ids().len(), 2);
    }

    #[test]
    fn doubtful_lists_are_errors_that_name_file_line_and_remedy() {
        for (text, part) in [
            (
                "id,mark\na,keep\nb,drop\n",
                "line 3: `drop` is no mark; use keep",
            ),
            (
                "id,mark\na,keep\na,exclude\n",
                "line 3: `a` has another mark",
            ),
            ("name,mark\na,keep\n", "no column `id`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains("marks.csv") && error.contains(part),
                "{error}"
            );
        }
        let error = Exclusions::read("/no/such/marks.csv").unwrap_err();
        assert!(error.to_string().contains("no such file"));
    }
}
