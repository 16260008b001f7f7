//! A PyTorch ZIP archive as untrusted input: entries are found below the single top folder, their
//! sizes checked before memory is touched, their checksums verified by the ZIP reader.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::error::{Error, Result};
use crate::foreign;

/// More entries than any release has; a bound on the work a hostile directory can cause.
const MAX_ENTRIES: usize = 200_000;

/// An opened archive; names are those below the top folder (`data.pkl`, `data/0`, …).
pub(crate) struct Archive<R> {
    zip: ZipArchive<R>,
    /// Name below the top folder → index in the ZIP directory.
    entries: BTreeMap<String, usize>,
    /// Bytes that tensor storages may still occupy; see [`Archive::read_storage`].
    storage_budget: u64,
}

impl<R: Read + Seek> Archive<R> {
    pub(crate) fn open(mut reader: R) -> Result<Self> {
        let refused = |reason: String| Error::Foreign {
            expected: "PyTorch ZIP archive",
            reason,
        };
        let length = reader.seek(std::io::SeekFrom::End(0))?;
        reader.rewind()?;
        // PyTorch's archives begin where the file begins. Searching for the beginning fails where
        // ZIP64 records, which PyTorch always writes, are as long as the directory's first entry.
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let zip = ZipArchive::with_config(config, reader).map_err(|error| {
            refused(format!(
                "it begins like one, but its directory, which lies at the end, cannot be read \
                 ({error}); if it was downloaded or copied, it was cut short: fetch it again"
            ))
        })?;
        if zip.len() > MAX_ENTRIES {
            return Err(refused(format!(
                "{} entries, at most {MAX_ENTRIES} expected",
                zip.len()
            )));
        }
        let names = (0..zip.len())
            .map(|index| match zip.name_for_index(index) {
                Some(Ok(name)) => Ok(name.into_owned()),
                _ => Err(refused(format!("entry {index} has an unreadable name"))),
            })
            .collect::<Result<Vec<_>>>()?;
        for name in &names {
            check_name(name)?;
        }
        let mut tops = names
            .iter()
            .filter_map(|name| name.strip_suffix("/data.pkl"));
        let top = match (tops.find(|top| !top.contains('/')), tops.next()) {
            (Some(top), None) => format!("{top}/"),
            (Some(_), Some(_)) => {
                return Err(refused("several top folders with a `data.pkl`".into()));
            }
            (None, _) => {
                let reason = foreign::archive(names.iter().map(String::as_str));
                return Err(match reason {
                    Some(reason) => refused(reason.into()),
                    None => Error::MissingEntry {
                        entry: "data.pkl".into(),
                    },
                });
            }
        };
        let entries = names
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some((name.strip_prefix(&top)?.to_owned(), index)))
            .collect();
        // Releases store tensors uncompressed. Recompressed ones shrink little, because weights
        // are noise; what inflates to more than this is a decompression bomb.
        let storage_budget = length.saturating_mul(2).saturating_add(1 << 20);
        Ok(Self {
            zip,
            entries,
            storage_budget,
        })
    }

    /// Names of all entries, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn contains(&self, entry: &str) -> bool {
        self.entries.contains_key(entry)
    }

    /// The whole entry, if it is at most `limit` bytes.
    pub(crate) fn read(&mut self, entry: &str, limit: u64) -> Result<Vec<u8>> {
        let index = *self.entries.get(entry).ok_or_else(|| Error::MissingEntry {
            entry: entry.to_owned(),
        })?;
        let file = self
            .zip
            .by_index(index)
            .map_err(|error| Error::entry(entry, error.to_string()))?;
        let declared = file.size();
        if declared > limit {
            let reason = format!("declares {declared} bytes, at most {limit} are plausible");
            return Err(Error::entry(entry, reason));
        }
        let mut bytes = Vec::with_capacity(declared as usize);
        // One byte more than declared, so that a longer stream is noticed without reading it all.
        file.take(declared + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::entry(entry, format!("damaged: {error}")))?;
        if bytes.len() as u64 != declared {
            let reason = format!("declares {declared} bytes but holds {}", bytes.len());
            return Err(Error::entry(entry, reason));
        }
        Ok(bytes)
    }

    /// The entry as UTF-8 text.
    pub(crate) fn read_text(&mut self, entry: &str, limit: u64) -> Result<String> {
        String::from_utf8(self.read(entry, limit)?)
            .map_err(|_| Error::entry(entry, "is not UTF-8 text"))
    }

    /// Refuses archives written on a big-endian machine.
    pub(crate) fn check_byte_order(&mut self) -> Result<()> {
        if self.contains("byteorder") {
            let order = self.read_text("byteorder", 16)?;
            if order != "little" {
                let reason = format!("`{order}` is not supported");
                return Err(Error::entry("byteorder", reason));
            }
        }
        Ok(())
    }

    /// A tensor storage of exactly `length` bytes. All storages read together may not exceed about
    /// twice the file.
    pub(crate) fn read_storage(&mut self, entry: &str, length: u64) -> Result<Vec<u8>> {
        if length > self.storage_budget {
            let reason = format!("{length} bytes are more than this file can hold");
            return Err(Error::entry(entry, reason));
        }
        self.storage_budget -= length;
        let bytes = self.read(entry, length)?;
        if bytes.len() as u64 != length {
            let reason = format!("holds {} bytes, its tensors declare {length}", bytes.len());
            return Err(Error::entry(entry, reason));
        }
        Ok(bytes)
    }
}

/// Rejects names that could leave a folder, as a defence for whoever unpacks the file later.
fn check_name(name: &str) -> Result<()> {
    let absolute = name.starts_with(['/', '\\']) || name.as_bytes().get(1) == Some(&b':');
    if absolute || name.split(['/', '\\']).any(|part| part == "..") {
        return Err(Error::entry(
            name,
            "the name is absolute or climbs out of its folder",
        ));
    }
    Ok(())
}
