//! What the samples of a page mean.

use image::RgbImage;
use tiff::tags::Tag;

use super::super::Result;
use super::super::limits::zeros;
use super::super::pixels::{Samples, cmyk, grey, rgb, ycbcr_to_rgb, ycbcr_to_rgb_coarsely};
use super::directory::Directory;
use super::{Layout, Reader, words};

/// The number of the format that says what samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Photometric(usize);

const TAG: u16 = 262;
const UNCOMPRESSED: u16 = 1;
const WHITE_IS_ZERO: usize = 0;
const BLACK_IS_ZERO: usize = 1;
const RGB: usize = 2;
const PALETTE: usize = 3;
const CMYK: usize = 5;
const YCBCR: usize = 6;

impl Photometric {
    /// The first page's, which becomes "black is zero" in `file` where it was a palette or "white is
    /// zero".
    pub(super) fn make_plain(file: &mut [u8]) -> Result<Self> {
        let found = Directory::read(file).and_then(|directory| {
            let values = directory.find(file, TAG)?;
            let photometric = directory.get(file, &values, 0)?;
            Some((directory, values, photometric))
        });
        let (directory, values, photometric) =
            found.ok_or("the TIFF file does not say what its colours are, or is cut short")?;
        if matches!(photometric, WHITE_IS_ZERO | PALETTE) {
            directory.set(file, &values, 0, BLACK_IS_ZERO);
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
