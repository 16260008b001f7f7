//! Tables, and numbers in them.

use std::io::Write;
use std::path::Path;

use vascx_inference::{Durability, write_whole};

use crate::error::Result;

/// Writes a table with a header.
pub(crate) fn write_table<R: AsRef<[u8]>>(
    path: &Path,
    header: &[R],
    rows: impl FnOnce(&mut csv::Writer<&mut dyn Write>) -> csv::Result<()>,
) -> Result<()> {
    write_whole(path, Durability::Full, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(header)?;
        rows(&mut writer)?;
        writer.flush()
    })?;
    Ok(())
}

/// A number as Python prints it: the fewest digits that give it back.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) || value == 0.0 {
        let plain = value.to_string();
        if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (20.0, "20.0"),
            (1.010_562_378_914_202_9, "1.0105623789142029"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-2.5e300, "-2.5e+300"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (f64::NAN, ""),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
