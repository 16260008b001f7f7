//! From the pixel data of any transfer syntax to interleaved samples.

use std::borrow::Cow;

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use libjpeg_turbo_rs::{
    ColorSpace, DecodeLimits as DecoderLimits, decompress_12bit_with_limits,
    decompress_16bit_with_limits,
};

use super::super::Result;
use super::super::jpeg;
use super::super::limits::{DecodeLimits, check_room, no_memory, zeros};
use super::super::pixels::Samples;
use super::data_set::{DataSet, PIXEL_DATA};
use super::{Header, run_lengths, uids};

/// Interleaved samples of one frame.
pub(super) struct Frame {
    pub(super) samples: Samples,
    /// Whether three samples are RGB already, whatever the data set calls them.
    pub(super) is_rgb: bool,
}

pub(super) fn decode(
    syntax: &str,
    data: &DataSet,
    header: &Header,
    limits: DecodeLimits,
) -> Result<Frame> {
    match syntax {
        uids::IMPLICIT_LITTLE_ENDIAN
        | uids::EXPLICIT_LITTLE_ENDIAN
        | uids::EXPLICIT_BIG_ENDIAN
        | uids::DEFLATED => native(data, header),
        uids::RLE => run_lengths(&stream(data)?, header),
        uids::JPEG_BASELINE
        | uids::JPEG_EXTENDED
        | uids::JPEG_LOSSLESS
        | uids::JPEG_LOSSLESS_FIRST => jpeg_stream(&stream(data)?, header, limits),
        uids::JPEG_2000 | uids::JPEG_2000_LOSSLESS => jpeg_2000(&stream(data)?, header),
        other => Err(uids::unread(other)),
    }
}

/// Uncompressed samples.
fn native(data_set: &DataSet, header: &Header) -> Result<Frame> {
    let data = data_set
        .bytes(PIXEL_DATA)
        .ok_or("the DICOM file's picture is compressed, though it says otherwise")?;
    let mut swapped;
    let data = if data_set.is_swapped(PIXEL_DATA) {
        swapped = zeros(data.len() as u64)?;
        let pairs = data.as_chunks().0.iter();
        for (to, &[high, low]) in swapped.as_chunks_mut().0.iter_mut().zip(pairs) {
            *to = [low, high];
        }
        &swapped[..]
    } else {
        data
    };
    let size = usize::from(header.allocated / 8);
    // Two pixels share their colour.
    let halved = header.photometric == "YBR_FULL_422";
    let samples = if halved { 2 } else { header.samples };
    let length = header.pixels() * samples * size;
    let data = data
        .get(..length)
        .ok_or("the DICOM file's picture is cut short")?;
    let mut bytes = zeros((header.pixels() * header.samples * size) as u64)?;
    if halved && size == 1 {
        for (to, from) in bytes.chunks_mut(6).zip(data.chunks(4)) {
            let [first, second, cb, cr] = *from else {
                return Err("the DICOM file's picture has an odd number of pixels".into());
            };
            to.copy_from_slice(&[first, cb, cr, second, cb, cr]);
        }
    } else if halved {
        return Err("DICOM files in YBR_FULL_422 are read with 8 bits per sample only".into());
    } else if header.planar {
        for (channel, plane) in data.chunks_exact(header.pixels() * size).enumerate() {
            let pixels = bytes.chunks_exact_mut(header.samples * size);
            for (to, from) in pixels.zip(plane.chunks_exact(size)) {
                to[channel * size..][..size].copy_from_slice(from);
            }
        }
    } else {
        bytes.copy_from_slice(data);
    }
    Ok(Frame {
        samples: samples_of(bytes, size)?,
        is_rgb: false,
    })
}

/// Samples of 1 or 2 bytes, the latter in little endian.
fn samples_of(bytes: Vec<u8>, size: usize) -> Result<Samples> {
    if size == 1 {
        return Ok(Samples::Bytes(bytes));
    }
    Samples::words(&bytes, u16::from_le_bytes)
}

fn run_lengths(stream: &[u8], header: &Header) -> Result<Frame> {
    let size = usize::from(header.allocated / 8);
    let bytes = run_lengths::decode(stream, header.pixels(), header.samples, size)?;
    Ok(Frame {
        samples: samples_of(bytes, size)?,
        is_rgb: false,
    })
}

/// The compressed stream of the only frame.
fn stream<'a>(data: &'a DataSet) -> Result<Cow<'a, [u8]>> {
    match data.fragments().unwrap_or_default() {
        [] => Err("the DICOM file holds no compressed picture, though it says so".into()),
        &[whole] => Ok(whole.into()),
        parts => Ok(parts.concat().into()),
    }
}

fn jpeg_stream(stream: &[u8], header: &Header, limits: DecodeLimits) -> Result<Frame> {
    let mut decoder = jpeg::open(stream, limits)?;
    let (found, precision) = (decoder.header(), decoder.header().precision);
    let lossless = found.is_lossless;
    check_size(
        header,
        found.width(),
        found.height(),
        found.components.len(),
    )?;
    let pixels = header.pixels() as u64;
    if precision > 8 {
        check_room(pixels * header.samples as u64 * 8)?;
        let own = DecoderLimits::default();
        let words: Vec<u16> = if lossless {
            decompress_16bit_with_limits(stream, &own)
                .map_err(jpeg::words)?
                .data
        } else {
            let image = decompress_12bit_with_limits(stream, &own).map_err(jpeg::words)?;
            image.data.into_iter().map(i16::cast_unsigned).collect()
        };
        if words.len() != header.pixels() * header.samples {
            return Err("the DICOM file's JPEG stream is of another size than declared".into());
        }
        return Ok(Frame {
            samples: Samples::Words(words),
            is_rgb: false,
        });
    }
    // Without Adobe's marker the components are what the data set calls them, else RGB once decoded.
    let head = &stream[..stream.len().min(4096)];
    let adobe = head.windows(5).any(|window| window == b"Adobe");
    if header.samples == 3 && !adobe && !lossless {
        decoder.set_output_colorspace(match decoder.jpeg_color_space() {
            ColorSpace::Rgb => ColorSpace::Rgb,
            _ => ColorSpace::YCbCr,
        });
    }
    decoder.set_block_smoothing(true);
    let image = decoder.decode_image().map_err(jpeg::words)?;
    let mut bytes = image.data;
    bytes.truncate(header.pixels() * header.samples);
    if bytes.len() != header.pixels() * header.samples {
        return Err("the DICOM file's JPEG stream is of another size than declared".into());
    }
    Ok(Frame {
        samples: Samples::Bytes(bytes),
        is_rgb: adobe,
    })
}

fn jpeg_2000(stream: &[u8], header: &Header) -> Result<Frame> {
    let damaged = |_| "the DICOM file's JPEG 2000 stream is damaged";
    let image = Image::new(stream, &DecodeSettings::default()).map_err(damaged)?;
    check_size(
        header,
        image.width() as usize,
        image.height() as usize,
        header.samples,
    )?;
    // Coefficients and components as floats.
    check_room(header.pixels() as u64 * header.samples as u64 * 16)?;
    let depth = image.original_bit_depth();
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(damaged)?;
    let components = decoded.components();
    if components.len() != header.samples
        || components
            .iter()
            .any(|c| c.samples().len() != header.pixels())
    {
        return Err("the DICOM file's JPEG 2000 stream is of another size than declared".into());
    }
    // The decoder makes signed values unsigned, as it does with all others.
    let shift = if is_signed(stream) {
        1 << (depth - 1)
    } else {
        0
    };
    let mut words = Vec::new();
    let count = header.pixels() * header.samples;
    words
        .try_reserve_exact(count)
        .map_err(|_| no_memory(2 * count as u64))?;
    for pixel in 0..header.pixels() {
        let values = components
            .iter()
            // As OpenJPEG rounds.
            .map(|c| c.samples()[pixel].round_ties_even() as i32 - shift);
        words.extend(values.map(|value| value as u16));
    }
    let samples = if depth <= 8 {
        Samples::Bytes(words.into_iter().map(|word| word as u8).collect())
    } else {
        Samples::Words(words)
    };
    // The stream's own transform is undone.
    Ok(Frame {
        samples,
        is_rgb: true,
    })
}

/// Whether the first component of a JPEG 2000 codestream is signed: the highest bit of its size.
fn is_signed(stream: &[u8]) -> bool {
    const FIRST_COMPONENT: usize = 42;
    let start = stream
        .windows(4)
        .position(|window| window == b"\xff\x4f\xff\x51");
    start
        .and_then(|start| stream.get(start + FIRST_COMPONENT))
        .is_some_and(|size| size & 0x80 != 0)
}

fn check_size(header: &Header, width: usize, height: usize, samples: usize) -> Result<()> {
    if (width, height, samples)
        == (
            header.width as usize,
            header.height as usize,
            header.samples,
        )
    {
        Ok(())
    } else {
        Err("the DICOM file's compressed picture is of another size than declared".into())
    }
}
