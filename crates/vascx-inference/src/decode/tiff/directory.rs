//! The directory of a file's first page, where it has to be changed before the `tiff` crate reads it.

/// Where the entries lie and how numbers are written.
pub(super) struct Directory {
    big_endian: bool,
    /// BigTIFF.
    big: bool,
    first: usize,
    count: usize,
}

/// The numbers of an entry.
pub(super) struct Values {
    at: usize,
    /// Bytes of each.
    size: usize,
    pub(super) count: usize,
}

impl Directory {
    /// None where the file ends before its directory begins.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let big_endian = file.first() == Some(&b'M');
        let big = file.get(if big_endian { 3 } else { 2 }) == Some(&43);
        let mut directory = Self {
            big_endian,
            big,
            first: 0,
            count: 0,
        };
        let (pointer, counter) = if big { (8, 8) } else { (4, 2) };
        let at = directory.number(file, pointer, pointer)?;
        directory.count = directory.number(file, at, counter)?.min(1 << 16);
        directory.first = at.checked_add(counter)?;
        Some(directory)
    }

    fn number(&self, file: &[u8], at: usize, size: usize) -> Option<usize> {
        let bytes = file.get(at..at.checked_add(size)?)?;
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        let number = if self.big_endian {
            bytes.iter().fold(0, fold)
        } else {
            bytes.iter().rev().fold(0, fold)
        };
        usize::try_from(number).ok()
    }

    /// The numbers of a tag; none where there is no such entry, or it holds something else.
    pub(super) fn find(&self, file: &[u8], tag: u16) -> Option<Values> {
        let [entry, inline] = if self.big { [20, 8] } else { [12, 4] };
        let mut entries = (0..self.count)
            .map(|index| self.first.checked_add(index * entry))
            .map_while(|at| Some((at?, self.number(file, at?, 2)?)));
        let (at, _) = entries.find(|&(_, found)| found == usize::from(tag))?;
        let size: usize = match self.number(file, at + 2, 2)? {
            1 => 1,
            3 => 2,
            4 => 4,
            16 => 8,
            _ => return None,
        };
        let count = self.number(file, at + 4, inline)?;
        let value = at + 4 + inline;
        let at = if size.checked_mul(count)? <= inline {
            value
        } else {
            self.number(file, value, inline)?
        };
        let end = at.checked_add(size.checked_mul(count)?)?;
        (end <= file.len()).then_some(Values { at, size, count })
    }

    /// One of the numbers.
    pub(super) fn get(&self, file: &[u8], values: &Values, index: usize) -> Option<usize> {
        let inside = index < values.count;
        inside.then(|| self.number(file, values.at + index * values.size, values.size))?
    }

    /// Replaces one of the numbers, by the largest that there is room for where it is larger.
    pub(super) fn set(&self, file: &mut [u8], values: &Values, index: usize, number: usize) {
        let size = values.size;
        let number = (number as u64).min(u64::MAX >> (64 - 8 * size));
        let at = values.at + index * size;
        if self.big_endian {
            file[at..at + size].copy_from_slice(&number.to_be_bytes()[8 - size..]);
        } else {
            file[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
        }
    }
}
