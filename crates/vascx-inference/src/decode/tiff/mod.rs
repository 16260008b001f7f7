//! TIFF and BigTIFF.
//!
//! The `tiff` crate reads directories and unpacks samples; JPEG inside TIFF goes through our own JPEG
//! decoder, and colours are ours, because the crate leaves them to its callers.

mod colour;
mod directory;
mod jpeg;
mod lzw;
mod pages;
mod samples;
mod words;

use std::io::{Cursor, Read, Seek};

use tiff::TiffError;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::Tag;

use super::declared::Frame;
use super::limits::{DecodeLimits, check_room};
use super::{Decoded, Result, upright};
use colour::{Colour, Photometric};
use words::words;

type Reader<'a> = Decoder<Cursor<&'a [u8]>>;

/// What decides how the pixels of a page are read.
struct Layout {
    width: u32,
    height: u32,
    colour: Colour,
    /// Channels per pixel in the file, alpha and others included.
    channels: u16,
    bits: u16,
    compression: u16,
}

/// Decodes the first page of a file.
pub(super) fn decode(mut file: Vec<u8>, limits: DecodeLimits) -> Result<Decoded> {
    // The crate reads samples only of colours that it can describe, and palettes are none of them;
    // it is told that they are grey, which they are until the palette is applied.
    let photometric = Photometric::make_plain(&mut file)?;
    lzw::lengthen(&mut file)?;
    let said = |error: TiffError| words(&error);
    // While it opens a file, the crate may reserve as much as its own limits say.
    check_room(Limits::default().decoding_buffer_size as u64)?;
    let mut reader = Decoder::new(Cursor::new(&file[..])).map_err(said)?;
    reader = reader.with_limits(reader_limits(&file));
    let layout = Layout::read(&mut reader, photometric, limits)?;
    let note = pages::check(&mut reader).map_err(said)??;
    let orientation = reader
        .find_tag_unsigned::<u8>(Tag::Orientation)
        .ok()
        .flatten();
    let rgb = if layout.compression == jpeg::COMPRESSION {
        jpeg::decode(&mut reader, &file, &layout, limits)?
    } else {
        samples::decode(&mut reader, &layout)?
    };
    Ok(Decoded {
        rgb: upright(rgb, orientation)?,
        note,
    })
}

/// The first page of a file, as its header declares it.
pub(super) fn frame(file: &mut (impl Read + Seek)) -> Option<Frame> {
    check_room(Limits::default().decoding_buffer_size as u64).ok()?;
    let mut reader = Decoder::new(file).ok()?;
    let (width, height) = reader.dimensions().ok()?;
    let mut number = |tag: Tag| {
        let found = reader.find_tag_unsigned_vec::<u16>(tag).ok()?;
        Some(found.and_then(|list| list.first().copied()).unwrap_or(1))
    };
    let (channels, bits) = (number(Tag::SamplesPerPixel)?, number(Tag::BitsPerSample)?);
    let samples = u64::from(channels) * u64::from(bits).div_ceil(8);
    // One tile, which may be the whole, is unpacked at a time.
    Some(Frame {
        width,
        height,
        per_pixel: 2 * (samples + 3),
    })
}

/// No tag holds more values than the file has bytes; a value takes 32 bytes in memory. (Samples are
/// read into our own buffer.)
fn reader_limits(file: &[u8]) -> Limits {
    let mut limits = Limits::unlimited();
    limits.decoding_buffer_size = file.len().saturating_mul(32);
    limits.ifd_value_size = file.len();
    limits.intermediate_buffer_size = file.len();
    limits
}

impl Layout {
    fn read(reader: &mut Reader, photometric: Photometric, limits: DecodeLimits) -> Result<Self> {
        let said = |error: TiffError| words(&error);
        let (width, height) = reader.dimensions().map_err(said)?;
        let (width, height) = limits.check(width.into(), height.into())?;
        let mut number = |tag: Tag, default: u16| -> Result<u16> {
            let found = reader.find_tag_unsigned_vec::<u16>(tag).map_err(said)?;
            Ok(found
                .and_then(|list| list.first().copied())
                .unwrap_or(default))
        };
        let compression = number(Tag::Compression, 1)?;
        let bits = number(Tag::BitsPerSample, 1)?;
        let channels = number(Tag::SamplesPerPixel, 1)?;
        words::check_compression(compression)?;
        let colour = Colour::read(reader, photometric, bits)?;
        if u32::from(channels) < colour.channels() {
            return Err(format!(
                "the TIFF file declares {channels} samples per pixel, too few for {}",
                colour.name()
            ));
        }
        // Tiles may be larger than the picture; one is unpacked at a time.
        let (tile_width, tile_height) = reader.chunk_dimensions();
        let tile = u64::from(tile_width) * u64::from(tile_height.min(height));
        if tile > limits.max_pixels.max(1 << 24) {
            return Err(format!(
                "the TIFF file declares tiles of {tile_width} × {tile_height} pixels"
            ));
        }
        let sample_bytes = u64::from(channels) * u64::from(bits).div_ceil(8);
        check_room((u64::from(width) * u64::from(height) + tile) * (sample_bytes + 3))?;
        Ok(Self {
            width,
            height,
            colour,
            channels,
            bits,
            compression,
        })
    }
}

#[cfg(test)]
mod tests;
