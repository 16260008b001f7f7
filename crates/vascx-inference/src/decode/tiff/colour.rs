//! What the samples of a page mean.

use image::RgbImage;
use tiff::tags::Tag;

use super::super::Result;
use super::super::limits::zeros;
use super::super::pixels::{Samples, cmyk, grey, rgb, ycbcr_to_rgb, ycbcr_to_rgb_coarsely};
use super::{Layout, Reader, words};

/// The number of the format that says what samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Photometric(u16);

const TAG: u16 = 262;
const UNCOMPRESSED: u16 = 1;
const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const CMYK: u16 = 5;
const YCBCR: u16 = 6;

impl Photometric {
    /// The first page's, which becomes "black is zero" in `file` where it was a palette or "white is
    /// zero".
    pub(super) fn make_plain(file: &mut [u8]) -> Result<Self> {
        let big_endian = file.first() == Some(&b'M');
        let big = file.get(if big_endian { 3 } else { 2 }) == Some(&43);
        let number = |at: u64, bytes: usize| -> Option<u64> {
            let at = usize::try_from(at).ok()?;
            let bytes = file.get(at..at.checked_add(bytes)?)?;
            let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            Some(if big_endian {
                bytes.iter().fold(0, fold)
            } else {
                bytes.iter().rev().fold(0, fold)
            })
        };
        let find = || -> Option<(u64, u16)> {
            let (directory, count, first, entry) = if big {
                let directory = number(8, 8)?;
                (
                    directory,
                    number(directory, 8)?,
                    directory.checked_add(8)?,
                    20,
                )
            } else {
                let directory = number(4, 4)?;
                (
                    directory,
                    number(directory, 2)?,
                    directory.checked_add(2)?,
                    12,
                )
            };
            debug_assert!(first > directory);
            (0..count.min(1 << 16))
                .map(|index| first.checked_add(index * entry))
                .map_while(|at| Some((at?, number(at?, 2)?)))
                .find(|&(_, tag)| tag == u64::from(TAG))
                .and_then(|(at, _)| {
                    let value = at + if big { 12 } else { 8 };
                    Some((value, number(value, 2)? as u16))
                })
        };
        let (at, photometric) =
            find().ok_or("the TIFF file does not say what its colours are, or is cut short")?;
        if matches!(photometric, WHITE_IS_ZERO | PALETTE) {
            let plain = if big_endian {
                BLACK_IS_ZERO.to_be_bytes()
            } else {
                BLACK_IS_ZERO.to_le_bytes()
            };
            file[at as usize..][..2].copy_from_slice(&plain);
        }
        Ok(Self(photometric))
    }
}

/// What samples mean.
pub(super) enum Colour {
    Grey {
        inverted: bool,
    },
    Rgb,
    /// 16-bit red, green and blue of every index.
    Palette(Vec<[u16; 3]>),
    Cmyk,
    YCbCr,
}

impl Colour {
    pub(super) fn read(reader: &mut Reader, photometric: Photometric, bits: u16) -> Result<Self> {
        Ok(match photometric.0 {
            WHITE_IS_ZERO => Self::Grey { inverted: true },
            BLACK_IS_ZERO => Self::Grey { inverted: false },
            RGB => Self::Rgb,
            PALETTE => {
                let map = reader
                    .find_tag_unsigned_vec::<u16>(Tag::ColorMap)
                    .map_err(|error| words(&error))?
                    .unwrap_or_default();
                let entries = 1 << bits.min(16);
                if bits > 16 || map.len() != 3 * entries {
                    return Err("the TIFF file's palette is missing or of the wrong length".into());
                }
                let colour = |index| [map[index], map[entries + index], map[2 * entries + index]];
                Self::Palette((0..entries).map(colour).collect())
            }
            CMYK => Self::Cmyk,
            YCBCR => Self::YCbCr,
            8..=10 => {
                return Err(
                    "the TIFF file holds CIE Lab colours, which are not read; save it as RGB"
                        .into(),
                );
            }
            4 => return Err("the TIFF file holds a mask, not a picture".into()),
            32803 | 34892 => {
                return Err(
                    "this is a camera's raw image; develop it to PNG, JPEG or TIFF first".into(),
                );
            }
            other => {
                return Err(format!(
                    "the TIFF file holds colours of a kind that is not read (number {other}); save it as RGB"
                ));
            }
        })
    }

    /// Channels that carry the colour.
    pub(super) fn channels(&self) -> u32 {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Grey { .. } => "grey",
            Self::Palette(_) => "a palette",
            Self::Rgb => "RGB",
            Self::YCbCr => "YCbCr",
            Self::Cmyk => "CMYK",
        }
    }

    /// RGB of interleaved samples of `channels` per pixel.
    pub(super) fn to_rgb(
        &self,
        layout: &Layout,
        channels: usize,
        samples: Samples,
    ) -> Result<RgbImage> {
        let (width, height) = (layout.width, layout.height);
        match self {
            Self::Grey { inverted: false } => grey(width, height, channels, &samples),
            Self::Grey { inverted: true } => {
                let mut image = grey(width, height, channels, &samples)?;
                image.iter_mut().for_each(|byte| *byte = !*byte);
                Ok(image)
            }
            Self::Rgb => rgb(width, height, channels, samples),
            Self::Palette(map) => palette(width, height, channels, &samples, map),
            Self::Cmyk => cmyk(width, height, channels, &samples.into_bytes()?),
            Self::YCbCr => {
                let Samples::Bytes(mut bytes) = samples else {
                    return Err("YCbCr TIFF files are read with 8 bits per channel only".into());
                };
                let convert = if layout.compression == UNCOMPRESSED {
                    ycbcr_to_rgb_coarsely
                } else {
                    ycbcr_to_rgb
                };
                bytes.chunks_exact_mut(channels).for_each(convert);
                rgb(width, height, channels, Samples::Bytes(bytes))
            }
        }
    }
}

fn palette(
    width: u32,
    height: u32,
    channels: usize,
    samples: &Samples,
    map: &[[u16; 3]],
) -> Result<RgbImage> {
    let mut bytes = zeros(3 * u64::from(width) * u64::from(height))?;
    let indices: Box<dyn Iterator<Item = usize>> = match samples {
        Samples::Bytes(bytes) => Box::new(bytes.iter().step_by(channels).map(|&i| i.into())),
        Samples::Words(words) => Box::new(words.iter().step_by(channels).map(|&i| i.into())),
    };
    for (to, index) in bytes.chunks_exact_mut(3).zip(indices) {
        let colour = map
            .get(index)
            .ok_or("the TIFF file uses a colour beyond its palette")?;
        to.copy_from_slice(&colour.map(|word| (word >> 8) as u8));
    }
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes for each pixel"))
}
