//! Conditions by which photographs are kept out of the biomarkers, such as `p3>0.5`.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::exclusions::Exclusions;
use crate::table::Table;

/// The tables of a folder of results that have columns to compare.
const TABLES: [&str; 2] = ["quality.csv", "summary.csv"];

/// A column of `quality.csv` or `summary.csv`, a comparison and a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    column: String,
    comparison: Comparison,
    number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    Greater,
}

/// Longer ones first, since they begin like shorter ones.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
];

impl Comparison {
    fn sign(self) -> &'static str {
        let mut known = COMPARISONS.iter();
        let found = known.find(|(_, comparison)| *comparison == self);
        found.map_or("", |(sign, _)| sign)
    }

    #[allow(clippy::float_cmp)] // Whoever asks for equality means it.
    fn holds(self, value: f64, number: f64) -> bool {
        match self {
            Self::Less => value < number,
            Self::AtMost => value <= number,
            Self::Equal => value == number,
            Self::NotEqual => value != number,
            Self::AtLeast => value >= number,
            Self::Greater => value > number,
        }
    }
}

impl Condition {
    /// Adds every photograph of a folder of results that the condition holds for. A cell that is no
    /// number fulfils no condition.
    ///
    /// # Errors
    /// When no table has the column, or one cannot be read.
    pub fn exclude(&self, folder: &Path, exclusions: &mut Exclusions) -> Result<()> {
        let mut known = Vec::new();
        for name in TABLES {
            let Some(table) = Table::read(&folder.join(name))? else {
                continue;
            };
            let Some(column) = table.column(&self.column) else {
                let others = table.header.iter().enumerate();
                let others = others.filter(|(index, _)| *index != table.id);
                known.extend(others.map(|(_, name)| name.clone()));
                continue;
            };
            for (id, row) in table.rows() {
                let cell = row.get(column).unwrap_or_default().trim();
                if let Ok(value) = cell.parse::<f64>()
                    && self.comparison.holds(value, self.number)
                {
                    exclusions.add(id, format!("excluded by {self}: it is {cell}"));
                }
            }
            return Ok(());
        }
        Err(Error::NoColumn {
            column: self.column.clone(),
            known: if known.is_empty() {
                "there is neither quality.csv nor summary.csv".into()
            } else {
                format!("there are {}", known.join(", "))
            },
        })
    }
}

impl Display for Condition {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let sign = self.comparison.sign();
        write!(formatter, "{}{sign}{}", self.column, self.number)
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Condition {
            given: text.to_owned(),
        };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(wrong)?;
        let (column, rest) = (text[..at].trim(), &text[at..]);
        let mut known = COMPARISONS.iter();
        let found = known.find(|(sign, _)| rest.starts_with(sign));
        let (sign, comparison) = found.ok_or_else(wrong)?;
        let number: f64 = rest[sign.len()..].trim().parse().map_err(|_| wrong())?;
        if column.is_empty() || !number.is_finite() {
            return Err(wrong());
        }
        Ok(Self {
            column: column.to_owned(),
            comparison: *comparison,
            number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(condition: &str) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let quality = ",q1,p3\na,1,0.2\nb,2,0.5\nc,3,0.9\nd,4,\n";
        std::fs::write(folder.path().join("quality.csv"), quality).unwrap();
        std::fs::write(folder.path().join("summary.csv"), "id,disc_pieces\na,2\n").unwrap();
        let mut exclusions = Exclusions::default();
        condition
            .parse::<Condition>()?
            .exclude(folder.path(), &mut exclusions)?;
        Ok(exclusions.ids().map(str::to_owned).collect())
    }

    #[test]
    fn photographs_are_excluded_by_any_comparison() {
        for (condition, expected) in [
            ("p3>0.5", "c"),
            (" p3 >= 0.5", "bc"),
            ("P3<0.5", "a"),
            ("p3<=0.5", "ab"),
            ("q1=2", "b"),
            ("q1 == 2", "b"),
            ("q1!=2", "acd"),
            ("disc_pieces>1", "a"),
        ] {
            assert_eq!(
                excluded(condition).unwrap().concat(),
                expected,
                "{condition}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for wrong in ["", "p3", ">0.5", "p3>", "p3>much", "p3=>1", "p3>nan"] {
            let error = wrong.parse::<Condition>().unwrap_err().to_string();
            assert!(error.contains("p3>0.5"), "{error}");
        }
        let error = excluded("p4>0.5").unwrap_err().to_string();
        assert!(
            error.contains("p4") && error.contains("q1, p3, disc_pieces"),
            "{error}"
        );
    }
}
