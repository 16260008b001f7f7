//! LZW data that the `tiff` crate takes for cut short although it is whole.

use super::super::Result;
use super::directory::Directory;

const COMPRESSION: u16 = 259;
const LZW: usize = 5;
/// Tags of offsets and lengths of strips and of tiles.
const CHUNKS: [[u16; 2]; 2] = [[273, 279], [324, 325]];
/// Twice what the decoder reads ahead.
const SLACK: usize = 16;

/// Lets every strip or tile end a few bytes later, behind the mark of its end.
///
/// Version 0.11 of the crate unpacks the tiles at an edge row by row. Once its decoder has read the last
/// byte of a tile ahead, it says for rows that need no further byte that it makes no progress, and the
/// crate gives up (image-rs/image-tiff#395). With bytes left to read this does not happen.
///
/// # Errors
/// When a strip or tile ends behind the file, which would no longer be seen.
pub(super) fn lengthen(file: &mut Vec<u8>) -> Result<()> {
    let Some(directory) = Directory::read(file) else {
        return Ok(());
    };
    let compression = directory.find(file, COMPRESSION);
    if compression.and_then(|values| directory.get(file, &values, 0)) != Some(LZW) {
        return Ok(());
    }
    let length = file.len();
    file.resize(length + SLACK, 0);
    for [offsets, lengths] in CHUNKS {
        let (offsets, lengths) = (directory.find(file, offsets), directory.find(file, lengths));
        let (Some(offsets), Some(lengths)) = (offsets, lengths) else {
            continue;
        };
        for index in 0..offsets.count.min(lengths.count) {
            let place = (
                directory.get(file, &offsets, index),
                directory.get(file, &lengths, index),
            );
            let (Some(start), Some(bytes)) = place else {
                break;
            };
            if start.checked_add(bytes).is_none_or(|end| end > length) {
                return Err("the TIFF file is cut short".into());
            }
            // A hole in the picture has no bytes.
            if bytes > 0 {
                directory.set(file, &lengths, index, bytes + SLACK);
            }
        }
    }
    Ok(())
}
