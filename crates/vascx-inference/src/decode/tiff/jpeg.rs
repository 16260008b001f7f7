//! Pages whose strips or tiles are JPEG streams.

use image::{GenericImage, GenericImageView, RgbImage};
use tiff::TiffError;
use tiff::tags::{PlanarConfiguration, Tag};

use super::super::Result;
use super::super::jpeg::{Inks, open, pixels};
use super::super::limits::{DecodeLimits, zeros};
use super::{Colour, Layout, Reader, words};

/// The number of JPEG compression.
pub(super) const COMPRESSION: u16 = 7;

pub(super) fn decode(
    reader: &mut Reader,
    file: &[u8],
    layout: &Layout,
    limits: DecodeLimits,
) -> Result<RgbImage> {
    let said = |error: TiffError| words(&error);
    let planar = reader
        .find_tag_unsigned::<u16>(Tag::PlanarConfiguration)
        .map_err(said)?;
    if planar == Some(PlanarConfiguration::Planar.to_u16()) && layout.channels > 1 {
        return Err("TIFF files with JPEG compression and a plane per colour are not read".into());
    }
    let mut list = |strips: Tag, tiles: Tag| -> Result<Vec<u64>> {
        let of_strips = reader.find_tag_unsigned_vec(strips).map_err(said)?;
        let list = match of_strips {
            None => reader.find_tag_unsigned_vec(tiles).map_err(said)?,
            some => some,
        };
        Ok(list.unwrap_or_default())
    };
    let offsets = list(Tag::StripOffsets, Tag::TileOffsets)?;
    let lengths = list(Tag::StripByteCounts, Tag::TileByteCounts)?;
    let tables: Vec<u8> = reader
        .find_tag_unsigned_vec(Tag::JPEGTables)
        .map_err(said)?
        .unwrap_or_default();
    let (part_width, part_height) = reader.chunk_dimensions();
    let across = layout.width.div_ceil(part_width);

    let bytes = zeros(3 * u64::from(layout.width) * u64::from(layout.height))?;
    let mut whole =
        RgbImage::from_raw(layout.width, layout.height, bytes).expect("three bytes for each pixel");
    for (index, (offset, length)) in offsets.into_iter().zip(lengths).enumerate() {
        let stream = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(offset, length)| file.get(offset..offset.checked_add(length)?))
            .ok_or("the TIFF file is cut short")?;
        let stream = with_tables(&layout.colour, &tables, stream);
        let (x, y) = (
            index as u32 % across * part_width,
            index as u32 / across * part_height,
        );
        if y >= layout.height {
            return Err("the TIFF file holds more strips or tiles than it declares".into());
        }
        let part = pixels(open(&stream, limits)?, limits, Inks::Plain)?;
        let visible = (
            part_width.min(layout.width - x),
            part_height.min(layout.height - y),
        );
        if part.width() < visible.0 || part.height() < visible.1 {
            return Err("a strip or tile of the TIFF file is smaller than declared".into());
        }
        let part = part.view(0, 0, visible.0, visible.1);
        whole.copy_from(&*part, x, y).expect("within the page");
    }
    Ok(whole)
}

/// A stream that can be read alone: with the tables that the strips of a page share, and with a marker
/// that says whether three components are RGB or YCbCr, which TIFF says elsewhere.
fn with_tables(colour: &Colour, tables: &[u8], stream: &[u8]) -> Vec<u8> {
    const START: &[u8] = b"\xff\xd8";
    const END: &[u8] = b"\xff\xd9";
    let transform = match colour {
        Colour::Rgb | Colour::Cmyk => 0,
        _ => 1,
    };
    let mut whole = START.to_vec();
    if matches!(colour, Colour::Rgb | Colour::YCbCr | Colour::Cmyk) {
        whole.extend(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0");
        whole.push(transform);
    }
    let tables = tables.strip_prefix(START).unwrap_or(tables);
    whole.extend(tables.strip_suffix(END).unwrap_or(tables));
    whole.extend(stream.strip_prefix(START).unwrap_or(stream));
    whole
}
