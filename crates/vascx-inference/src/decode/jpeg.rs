//! JPEG, with the pixels of libjpeg-turbo: those that Pillow and OpenCV give, hence those that models
//! were trained on.

use std::io::{Read, Seek};

use image::RgbImage;
use libjpeg_turbo_rs::{
    ComponentInfo, DecodeLimits as DecoderLimits, Decoder, JpegError, PixelFormat,
};

use super::declared::Frame;
use super::limits::{DecodeLimits, check_room, zeros};
use super::pixels::cmyk;
use super::{Decoded, Result, upright};

/// What a sample of 255 means in a stream of four components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inks {
    /// No ink, as Adobe's programs write and Pillow assumes of every file.
    Inverted,
    /// Full ink, as inside TIFF files.
    Plain,
}

/// Decodes a file.
pub(super) fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<Decoded> {
    let decoder = open(bytes, limits)?;
    let orientation = decoder.exif_orientation();
    let rgb = pixels(decoder, limits, Inks::Inverted)?;
    if !has_end(bytes) {
        return Err("the JPEG file is cut short: it has no end marker".into());
    }
    Ok(Decoded {
        rgb: upright(rgb, orientation)?,
        note: None,
    })
}

/// The first frame of a file, as its header declares it.
pub(super) fn frame(file: &mut (impl Read + Seek)) -> Option<Frame> {
    let mut marker = [0; 2];
    file.read_exact(&mut marker).ok()?;
    loop {
        file.read_exact(&mut marker[..1]).ok()?;
        while marker[0] != 0xff {
            file.read_exact(&mut marker[..1]).ok()?;
        }
        while marker[0] == 0xff {
            file.read_exact(&mut marker[..1]).ok()?;
        }
        let code = marker[0];
        if matches!(code, 0 | 1 | 0xd0..=0xd8) {
            continue;
        }
        let mut segment = [0; 8];
        file.read_exact(&mut segment).ok()?;
        let [length, height, width] =
            [0, 3, 5].map(|at| u16::from_be_bytes([segment[at], segment[at + 1]]));
        match code {
            // Tables of Huffman's and of arithmetic coding, and an extension, have numbers among frames.
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                let (precision, components) = (segment[2], u64::from(segment[7]));
                let bytes = if components == 4 { 7 } else { 3 };
                let held = match code {
                    _ if precision != 8 => 6 * components,
                    0xc3 | 0xcb => 6 * components,
                    // Rows only.
                    0xc0 | 0xc1 => 0,
                    // All coefficients, of 16 bits.
                    _ => 2 * components,
                };
                return Some(Frame {
                    width: width.into(),
                    height: height.into(),
                    per_pixel: bytes + held,
                });
            }
            // The picture begins, or ends, without a frame.
            0xd9 | 0xda => return None,
            _ => {}
        }
        file.seek_relative(i64::from(length) - 8).ok()?;
    }
}

/// Reads the headers of a stream and checks its size.
pub(super) fn open(stream: &[u8], limits: DecodeLimits) -> Result<Decoder<'_>> {
    let own = DecoderLimits {
        // Real progressive files have about ten; each is a walk through the whole picture.
        max_scans: 200,
        // Checked below, with a message of our own.
        max_pixels: u64::MAX,
        max_width: usize::MAX,
        max_height: usize::MAX,
        max_memory: None,
    };
    let decoder = Decoder::new_with_limits(stream, own).map_err(words)?;
    let header = decoder.header();
    limits.check(header.width() as u64, header.height() as u64)?;
    if !is_read(&header.components) {
        return Err(
            "JPEG files whose components have sizes in these proportions are not read; save the \
             picture as PNG"
                .into(),
        );
    }
    Ok(decoder)
}

/// Whether the decoder is known to take components of these sizes as libjpeg does: the first one the
/// largest, the others whole fractions of it; of four, those in the middle alike (colours) and the last as
/// large as the first (black), and no colours of half the height alone.
fn is_read(components: &[ComponentInfo]) -> bool {
    let factors = |c: &ComponentInfo| [c.horizontal_sampling, c.vertical_sampling];
    let Some(first) = components.first().map(factors) else {
        return false;
    };
    let is_whole = |component| {
        let mut pairs = first.into_iter().zip(factors(component));
        pairs.all(|(most, own)| most.checked_rem(own) == Some(0))
    };
    let four_fit = match components {
        [_, a, b, black] => {
            let halved = [first[0], first[1] / 2];
            factors(a) == factors(b) && factors(black) == first && factors(a) != halved
        }
        _ => true,
    };
    components.iter().all(is_whole) && four_fit
}

/// Decodes a stream whose headers are read.
pub(super) fn pixels(mut decoder: Decoder, limits: DecodeLimits, inks: Inks) -> Result<RgbImage> {
    let header = decoder.header();
    let (width, height) = limits.check(header.width() as u64, header.height() as u64)?;
    let components = header.components.len();
    let format = match components {
        1 | 3 => PixelFormat::Rgb,
        4 => PixelFormat::Cmyk,
        _ => {
            return Err(format!(
                "JPEG files of {components} components are not read"
            ));
        }
    };
    let count = u64::from(width) * u64::from(height);
    if header.precision != 8 || header.is_lossless {
        // Planes of 16 bits that the decoder makes itself.
        check_room(count * components as u64 * 6)?;
    }
    let mut samples = zeros(count * format.bytes_per_pixel() as u64)?;
    decoder.set_output_format(format);
    // As libjpeg does by default; matters for progressive files without all their scans.
    decoder.set_block_smoothing(true);
    decoder.decode_image_into(&mut samples).map_err(words)?;
    if components != 4 {
        return Ok(RgbImage::from_raw(width, height, samples).expect("three bytes for each pixel"));
    }
    if inks == Inks::Inverted {
        for ink in &mut samples {
            *ink = !*ink;
        }
    }
    cmyk(width, height, 4, &samples)
}

/// Whether the first image of a file is followed by an end marker: without one, the last rows may be
/// made up.
fn has_end(file: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut at = 2;
    loop {
        // To the next marker, through what may lie between segments: the data of a scan.
        let Some(ff) = file[at..].iter().position(|&byte| byte == 0xff) else {
            return false;
        };
        at += ff;
        let Some(filling) = file[at..].iter().position(|&byte| byte != 0xff) else {
            return false;
        };
        at += filling;
        let code = file[at];
        at += 1;
        match code {
            END => return true,
            // A stuffed zero, markers without a segment, restarts.
            0 | 1 | 0xd0..=0xd8 => {}
            _ => {
                let Some(length) = file[at..].first_chunk() else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes(*length));
                if at > file.len() {
                    return false;
                }
            }
        }
    }
}

/// A decoder's error in the user's words.
pub(super) fn words(error: JpegError) -> String {
    match error {
        JpegError::UnexpectedEof => "the JPEG file is cut short".into(),
        JpegError::AllocationFailed { bytes, .. } => super::limits::no_memory(bytes),
        JpegError::Unsupported(what) => format!("JPEG files with this are not read: {what}"),
        other => format!("the JPEG file is damaged: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::has_end;

    #[test]
    fn the_end_is_found_behind_segments_and_stuffing() {
        let segments = b"\xff\xd8\xff\xfe\x00\x04\xff\xd9\xff\xff\xda\x00\x02ab\xff\x00\xff\xd0c";
        assert!(!has_end(segments));
        assert!(!has_end(&[&segments[..], b"\xff"].concat()));
        assert!(has_end(&[&segments[..], b"\xff\xff\xd9"].concat()));
        assert!(!has_end(b"\xff\xd8\xff\xfe\xff\xff\xff\xd9"));
    }
}
