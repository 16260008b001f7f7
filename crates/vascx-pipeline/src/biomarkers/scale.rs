//! Millimetres per pixel of the crop.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use crate::biomarkers::cohort;
use crate::error::{Error, Result};

/// Column of a table that scales stand in unless another is named.
const COLUMN: &str = "mm_per_pixel";

/// How long a pixel of the crop is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scale {
    /// Not known: lengths stay in pixels.
    #[default]
    Unknown,
    /// The same for every eye, in millimetres.
    Fixed(f64),
    /// Each eye's own, in millimetres, by id.
    PerEye(HashMap<String, f64>),
}

impl Scale {
    pub(crate) fn of(&self, id: &str) -> Result<Option<f64>, String> {
        match self {
            Self::Unknown => Ok(None),
            Self::Fixed(scale) => Ok(Some(*scale)),
            Self::PerEye(scales) => match scales.get(id) {
                Some(scale) => Ok(Some(*scale)),
                None => Err("the table of scales has no positive number for it".into()),
            },
        }
    }

    /// Reads a table with the id in the first column or one called `id`; rows without a positive
    /// number are left out.
    fn table(path: &Path, name: &str) -> Result<Self> {
        let (mut reader, header) = cohort::open(path)?;
        let id = cohort::column(&header, "id").unwrap_or(0);
        let value = cohort::column(&header, name)
            .ok_or_else(|| Error::input(path, format!("no column called {name}")))?;
        let mut scales = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| Error::input(path, error))?;
            let scale = record.get(value).and_then(|text| text.trim().parse().ok());
            if let (Some(id), Some(scale)) = (record.get(id), scale)
                && positive(scale)
            {
                scales.insert(id.to_owned(), scale);
            }
        }
        Ok(Self::PerEye(scales))
    }
}

impl FromStr for Scale {
    type Err = Error;

    /// A number, `FILE.csv` (column `mm_per_pixel`), or `FILE.csv:COLUMN`.
    fn from_str(text: &str) -> Result<Self> {
        match (text.parse(), text.rfind(".csv:")) {
            (Ok(scale), _) if positive(scale) => Ok(Self::Fixed(scale)),
            (Err(_), Some(at)) => Self::table(Path::new(&text[..at + 4]), &text[at + 5..]),
            (Err(_), None) if is_table(text) => Self::table(Path::new(text), COLUMN),
            _ => Err(Error::Scale {
                given: text.to_owned(),
            }),
        }
    }
}

/// A file's name, rather than a number with a slip.
fn is_table(text: &str) -> bool {
    Path::new(text)
        .extension()
        .is_some_and(|ending| ending == "csv")
}

fn positive(scale: f64) -> bool {
    scale.is_finite() && scale > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tables_are_read() {
        assert_eq!("0.005".parse::<Scale>().unwrap(), Scale::Fixed(0.005));
        for text in ["0", "-1", "nan", "inf", "folder", ""] {
            assert!(text.parse::<Scale>().is_err(), "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scales.csv");
        std::fs::write(&path, "age,id,mm\n60,a,0.004\n70,b,\n50,c,-1\n").unwrap();
        let scale: Scale = format!("{}:mm", path.display()).parse().unwrap();
        assert_eq!(scale.of("a"), Ok(Some(0.004)));
        assert!(scale.of("b").is_err() && scale.of("c").is_err());
        assert!(path.display().to_string().parse::<Scale>().is_err());
    }
}
