//! Pages whose samples the `tiff` crate unpacks.

use half::f16;
use image::RgbImage;
use tiff::TiffError;
use tiff::decoder::{ChunkType, DecodingSampleType};
use tiff::tags::{PlanarConfiguration, Tag};

use super::super::Result;
use super::super::limits::zeros;
use super::super::pixels::Samples;
use super::{Layout, Reader, words};

pub(super) fn decode(reader: &mut Reader, layout: &Layout) -> Result<RgbImage> {
    let said = |error: TiffError| words(&error);
    let read = reader.image_buffer_layout().map_err(said)?;
    let kind = read
        .sample_type
        .ok_or("the TIFF file holds samples of an unknown type")?;
    check_kind(kind, layout.bits)?;
    let planar = reader
        .find_tag_unsigned::<u16>(Tag::PlanarConfiguration)
        .map_err(said)?;
    let planes = match planar {
        Some(planar) if planar == PlanarConfiguration::Planar.to_u16() => read.planes,
        _ => 1,
    };
    // Version 0.11 of the crate does not know the last row of tiles in the planes after the first.
    let (_, tile_height) = reader.chunk_dimensions();
    let partial = !layout.height.is_multiple_of(tile_height.max(1));
    if planes > 1 && partial && reader.get_chunk_type() == ChunkType::Tile {
        return Err(
            "the TIFF file holds tiles of each colour apart, which are not read; save it with the \
             colours of a pixel side by side (interleaved)"
                .into(),
        );
    }
    let mut bytes = zeros(read.complete_len as u64)?;
    reader.read_image_bytes(&mut bytes).map_err(said)?;
    let channels = usize::from(reader.colortype().map_err(said)?.num_samples());
    let samples = match kind {
        DecodingSampleType::U8 if layout.bits < 8 => {
            Samples::Bytes(unpack(&bytes, layout, channels)?)
        }
        DecodingSampleType::U8 => Samples::Bytes(interleave(bytes, planes, 1)?),
        DecodingSampleType::U16 => {
            Samples::words(&interleave(bytes, planes, 2)?, u16::from_ne_bytes)?
        }
        _ => {
            let size = usize::from(layout.bits / 8);
            unit_floats(&interleave(bytes, planes, size)?, kind)?
        }
    };
    layout.colour.to_rgb(layout, channels, samples)
}

/// Only what becomes 8 bits without a guess is read.
fn check_kind(kind: DecodingSampleType, bits: u16) -> Result<()> {
    let what = match kind {
        DecodingSampleType::U8 | DecodingSampleType::U16 => return Ok(()),
        DecodingSampleType::F16 | DecodingSampleType::F32 | DecodingSampleType::F64 => {
            return Ok(());
        }
        DecodingSampleType::U32 | DecodingSampleType::U64 => "whole numbers",
        _ => "signed whole numbers",
    };
    Err(format!(
        "the TIFF file holds {what} of {bits} bits, whose range is not known; save it with 8 or 16 bits \
         per channel"
    ))
}

/// Samples of less than 8 bits, one per byte, scaled to 0…255 unless they index a palette. Rows begin
/// with a byte of their own.
fn unpack(packed: &[u8], layout: &Layout, channels: usize) -> Result<Vec<u8>> {
    let bits = usize::from(layout.bits);
    let per_row = layout.width as usize * channels;
    let row_bytes = (per_row * bits).div_ceil(8);
    let largest = (1_u32 << bits) - 1;
    let scale = |value: u32| match layout.colour {
        super::Colour::Palette(_) => value as u8,
        _ => (value * 255 / largest) as u8,
    };
    let mut samples = zeros(per_row as u64 * u64::from(layout.height))?;
    for (to, from) in samples
        .chunks_exact_mut(per_row)
        .zip(packed.chunks_exact(row_bytes))
    {
        for (index, sample) in to.iter_mut().enumerate() {
            let at = index * bits;
            // Two bytes hold every sample, wherever it begins.
            let pair = u32::from(from[at / 8]) << 8
                | u32::from(from.get(at / 8 + 1).copied().unwrap_or(0));
            *sample = scale((pair >> (16 - bits - at % 8)) & largest);
        }
    }
    Ok(samples)
}

/// Planes one after the other as interleaved samples of `size` bytes.
fn interleave(bytes: Vec<u8>, planes: usize, size: usize) -> Result<Vec<u8>> {
    if planes < 2 {
        return Ok(bytes);
    }
    let mut interleaved = zeros(bytes.len() as u64)?;
    for (index, plane) in bytes.chunks_exact(bytes.len() / planes).enumerate() {
        let pixels = interleaved.chunks_exact_mut(planes * size);
        for (to, from) in pixels.zip(plane.chunks_exact(size)) {
            to[index * size..][..size].copy_from_slice(from);
        }
    }
    Ok(interleaved)
}

/// Floats of 0 to 1 as bytes; any other range would be a guess.
fn unit_floats(bytes: &[u8], kind: DecodingSampleType) -> Result<Samples> {
    let levels = match kind {
        DecodingSampleType::F16 => levels(bytes, |value| f16::from_ne_bytes(value).into()),
        DecodingSampleType::F32 => levels(bytes, |value| f32::from_ne_bytes(value).into()),
        _ => levels(bytes, f64::from_ne_bytes),
    };
    Ok(Samples::Bytes(levels?))
}

fn levels<const N: usize>(bytes: &[u8], float: fn([u8; N]) -> f64) -> Result<Vec<u8>> {
    let level = |value: f64| -> Result<u8> {
        if (0.0..=1.0).contains(&value) {
            Ok((value * 255.0).round() as u8)
        } else {
            Err(format!(
                "the TIFF file holds floats beyond 0 to 1 ({value}); save it with 8 or 16 bits per channel, \
                 or scale it to 0 to 1"
            ))
        }
    };
    let floats = bytes.as_chunks().0;
    let mut levels = zeros(floats.len() as u64)?;
    for (to, &bytes) in levels.iter_mut().zip(floats) {
        *to = level(float(bytes))?;
    }
    Ok(levels)
}
