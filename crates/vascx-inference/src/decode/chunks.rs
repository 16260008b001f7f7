//! The chunks that PNG and WebP files consist of: whether the last one is whole, and how many pictures
//! there are. Decoders stop at the end of the first picture.

use super::{Kind, Result};

/// Counts the pictures of a file.
///
/// # Errors
/// When the file ends before its last chunk does.
pub(super) fn pictures(kind: Kind, bytes: &[u8]) -> Result<usize> {
    let pictures = match kind {
        Kind::Png => png(bytes),
        Kind::WebP => webp(bytes),
        _ => Some(1),
    };
    pictures.ok_or_else(|| format!("the {} is cut short", kind.name()))
}

/// Each chunk is its length, four letters, content and checksum; `acTL` begins with the number of
/// pictures, and `IEND` is the last.
fn png(bytes: &[u8]) -> Option<usize> {
    let (mut pictures, mut at) = (1, 8);
    loop {
        let (length, name) = (number(bytes, at, u32::from_be_bytes)?, bytes.get(at + 4..)?);
        let end = at.checked_add(length)?.checked_add(12)?;
        if end > bytes.len() {
            return None;
        }
        if name.starts_with(b"acTL") && length >= 4 {
            pictures = number(bytes, at + 8, u32::from_be_bytes)?;
        }
        if name.starts_with(b"IEND") {
            return Some(pictures);
        }
        at = end;
    }
}

/// One chunk of chunks, each four letters, its length, and content that is filled up to an even length;
/// there is an `ANMF` for every picture of a film.
fn webp(bytes: &[u8]) -> Option<usize> {
    let length = number(bytes, 4, u32::from_le_bytes)?;
    let chunks = bytes.get(..length.checked_add(8)?)?;
    let (mut pictures, mut at) = (0, 12);
    while let Some(length) = number(chunks, at + 4, u32::from_le_bytes) {
        pictures += usize::from(chunks[at..].starts_with(b"ANMF"));
        let filled = length.checked_next_multiple_of(2)?;
        at = at.checked_add(8)?.checked_add(filled)?;
    }
    Some(pictures.max(1))
}

fn number(bytes: &[u8], at: usize, read: fn([u8; 4]) -> u32) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(read(*bytes)).ok()
}
