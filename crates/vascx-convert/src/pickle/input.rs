//! The bytes of a pickle and how far they were read.

use crate::error::{Error, Result};

pub(super) struct Input<'a> {
    pub(super) entry: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Input<'a> {
    pub(super) fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::entry(self.entry, format!("byte {}: {reason}", self.position))
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(count);
        let Some(slice) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(self.error("ends early"));
        };
        self.position += count;
        Ok(slice)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let slice = self.take(N)?;
        Ok(slice
            .try_into()
            .expect("`take` gives as many bytes as asked for"))
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length in one, four or eight bytes.
    pub(super) fn length(&mut self, bytes: usize) -> Result<usize> {
        let taken = self.take(bytes)?;
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(taken);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| self.error("ends early"))
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a string is not UTF-8"))
    }

    pub(super) fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.error("ends inside a line"));
        };
        let line = self.text(length)?;
        self.position += 1;
        Ok(line)
    }

    /// A line that holds a number, such as a memo slot or `12L`.
    pub(super) fn number_line<T: std::str::FromStr>(&mut self) -> Result<T> {
        let line = self.line()?;
        let digits = line.strip_suffix('L').unwrap_or(line);
        digits
            .parse()
            .map_err(|_| self.error(format!("`{line:.40}` is not the number expected")))
    }
}
