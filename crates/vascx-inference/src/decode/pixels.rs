//! From samples as files hold them to interleaved 8-bit RGB.

use image::RgbImage;

use super::Result;
use super::limits::{no_memory, zeros};

/// Interleaved samples of one photograph, without gaps between rows.
pub(super) enum Samples {
    /// 0…255.
    Bytes(Vec<u8>),
    /// 0…65 535.
    Words(Vec<u16>),
}

impl Samples {
    /// 16-bit samples in the byte order of `word`; decoders leave them in this machine's.
    pub(super) fn words(bytes: &[u8], word: fn([u8; 2]) -> u16) -> Result<Self> {
        let mut words = Vec::new();
        words
            .try_reserve_exact(bytes.len() / 2)
            .map_err(|_| no_memory(bytes.len() as u64))?;
        words.extend(bytes.as_chunks().0.iter().map(|&pair| word(pair)));
        Ok(Self::Words(words))
    }

    /// Samples of 8 bits.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Words(words) => {
                let mut bytes = zeros(words.len() as u64)?;
                for (to, from) in bytes.iter_mut().zip(words) {
                    *to = word_to_byte(from);
                }
                Ok(bytes)
            }
        }
    }
}

/// RGB of interleaved pixels that begin with red, green and blue; further channels are dropped.
///
/// # Panics
/// When there are not `width · height · channels` samples; decoders fill buffers of that length.
pub(super) fn rgb(width: u32, height: u32, channels: usize, samples: Samples) -> Result<RgbImage> {
    let colour = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
    let words = |pixel: &[u16]| [pixel[0], pixel[1], pixel[2]].map(word_to_byte);
    match samples {
        Samples::Bytes(bytes) if channels == 3 => {
            Ok(RgbImage::from_raw(width, height, bytes).expect("as many samples as announced"))
        }
        Samples::Bytes(bytes) => each_pixel(width, height, channels, &bytes, colour),
        Samples::Words(samples) => each_pixel(width, height, channels, &samples, words),
    }
}

/// RGB of interleaved pixels that begin with a grey value; further channels are dropped.
///
/// # Panics
/// The same.
pub(super) fn grey(
    width: u32,
    height: u32,
    channels: usize,
    samples: &Samples,
) -> Result<RgbImage> {
    match samples {
        Samples::Bytes(bytes) => each_pixel(width, height, channels, bytes, |pixel| [pixel[0]; 3]),
        Samples::Words(words) => {
            let grey = |pixel: &[u16]| [word_to_byte(pixel[0]); 3];
            each_pixel(width, height, channels, words, grey)
        }
    }
}

/// RGB of whatever `colour` makes of the samples of each pixel.
///
/// # Panics
/// The same.
pub(super) fn each_pixel<T>(
    width: u32,
    height: u32,
    channels: usize,
    samples: &[T],
    colour: impl Fn(&[T]) -> [u8; 3],
) -> Result<RgbImage> {
    let pixels = width as usize * height as usize;
    assert_eq!(samples.len(), pixels * channels);
    let mut rgb = zeros(3 * pixels as u64)?;
    let targets = rgb.as_chunks_mut().0.iter_mut();
    for (to, from) in targets.zip(samples.chunks_exact(channels)) {
        *to = colour(from);
    }
    Ok(RgbImage::from_raw(width, height, rgb).expect("three bytes for each pixel"))
}

/// Scales 16 bits to 8, rounded.
fn word_to_byte(word: u16) -> u8 {
    ((u32::from(word) + 128) / 257) as u8
}

/// RGB of interleaved pixels that begin with CMYK, in which 0 is no ink.
///
/// The inks are taken for ideal ones, as Pillow's `convert("RGB")` takes them: the remaining light is
/// `255 − K − C·(255 − K)/255`, rounded.
pub(super) fn cmyk(width: u32, height: u32, channels: usize, inks: &[u8]) -> Result<RgbImage> {
    each_pixel(width, height, channels, inks, |pixel| {
        let light = 255 - u32::from(pixel[3]);
        [pixel[0], pixel[1], pixel[2]].map(|ink| {
            let product = u32::from(ink) * light + 128;
            // Divided by 255, rounded, without a division.
            light.saturating_sub((product + (product >> 8)) >> 8) as u8
        })
    })
}

/// Turns a pixel from YCbCr to RGB as libtiff does, in 1/65 536 of a grey level, rounded.
pub(super) fn ycbcr_to_rgb(pixel: &mut [u8]) {
    ycbcr(pixel, |parts| {
        let sum: f64 = parts
            .iter()
            .map(|(factor, value)| (factor * 65536.0).round() * value)
            .sum();
        (sum / 65536.0 + 0.5).floor() as i32
    });
}

/// The same as Pillow does with uncompressed files, in 1/64 of a grey level, rounded down: one level
/// less in many pixels.
pub(super) fn ycbcr_to_rgb_coarsely(pixel: &mut [u8]) {
    ycbcr(pixel, |parts| {
        let sum: i32 = parts
            .iter()
            .map(|(factor, value)| (factor * 64.0 * value + 0.5) as i32)
            .sum();
        sum >> 6
    });
}

/// `whole` makes a whole number of the sum of one or two products of a factor and a colour.
fn ycbcr(pixel: &mut [u8], whole: impl Fn(&[(f64, f64)]) -> i32) {
    let level = i32::from(pixel[0]);
    let centred = |channel: usize| f64::from(pixel[channel]) - 128.0;
    let (cb, cr) = (centred(1), centred(2));
    let colour = [
        level + whole(&[(1.402, cr)]),
        level + whole(&[(-0.34414, cb), (-0.71414, cr)]),
        level + whole(&[(1.772, cb)]),
    ];
    for (to, value) in pixel.iter_mut().zip(colour) {
        *to = value.clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_rgb() {
        let colour = |channels, samples| rgb(1, 1, channels, samples).unwrap().into_raw();
        assert_eq!(colour(3, Samples::Bytes(vec![1, 2, 3])), [1, 2, 3]);
        assert_eq!(colour(4, Samples::Bytes(vec![1, 2, 3, 0])), [1, 2, 3]);
        assert_eq!(colour(3, Samples::Words(vec![0, 128, 65535])), [0, 0, 255]);
        let grey = |channels, samples| grey(1, 1, channels, &samples).unwrap().into_raw();
        assert_eq!(grey(1, Samples::Bytes(vec![7])), [7; 3]);
        assert_eq!(grey(2, Samples::Words(vec![129, 9])), [1; 3]);
    }

    #[test]
    fn inks_take_light_away() {
        let inks = [0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255, 128, 64, 200, 51];
        let rgb = cmyk(4, 1, 4, &inks).unwrap().into_raw();
        assert_eq!(rgb[..9], [255, 255, 255, 0, 255, 255, 0, 0, 0]);
        // 204 − round(204 · 128 / 255) and so on.
        assert_eq!(rgb[9..], [102, 153, 44]);
    }
}
