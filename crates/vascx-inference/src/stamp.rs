//! Whether a file is still the one that it was.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes that are looked at in the beginning, the middle and the end of a file.
const BLOCK: u64 = 4096;

/// A file's length and the hash of a sample of its content. Whole files are not hashed, because a
/// resumed run looks at all of them, and that must not take as long as the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stamp {
    /// Length.
    pub(crate) bytes: u64,
    /// The first half of the SHA-256 of three blocks, as hexadecimal digits.
    sample: String,
}

impl Stamp {
    /// Of an open file.
    pub(crate) fn of(file: &mut File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let mut hash = Sha256::new();
        let starts: &[u64] = if bytes <= 3 * BLOCK {
            &[0]
        } else {
            &[0, (bytes - BLOCK) / 2, bytes - BLOCK]
        };
        let length = if starts.len() == 1 { 3 * BLOCK } else { BLOCK };
        let mut block = Vec::new();
        for &start in starts {
            block.clear();
            file.seek(SeekFrom::Start(start))?;
            (&*file).take(length).read_to_end(&mut block)?;
            hash.update(&block);
        }
        let sample = vascx_format::hexadecimal(&hash.finalize()[..16]);
        Ok(Self { bytes, sample })
    }

    /// Of the file at a path; none where there is no regular file that can be read.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        // To open a pipe could last for ever.
        if !path.metadata().ok()?.is_file() {
            return None;
        }
        Self::of(&mut File::open(path).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_beginning_middle_and_end_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, 12_288, 12_289, 100_000] {
            let content = vec![7_u8; length];
            let stamp = |content: &[u8]| {
                std::fs::write(&path, content).unwrap();
                Stamp::at(&path).unwrap()
            };
            let same = stamp(&content);
            assert_eq!(stamp(&content), same);
            assert_ne!(stamp(&[&content[..], &[7]].concat()), same);
            for at in [0, length / 2, length.saturating_sub(1)] {
                let mut other = content.clone();
                if let Some(byte) = other.get_mut(at) {
                    *byte = 8;
                    assert_ne!(stamp(&other), same, "{length} bytes, changed at {at}");
                }
            }
        }
        assert_eq!(Stamp::at(folder.path()), None);
    }
}
