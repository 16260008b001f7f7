//! Frames of one sample per pixel: grey, or an index into a palette.

use image::RgbImage;

use super::super::Result;
use super::super::pixels::{Samples, each_pixel, grey};
use super::data_set::{DataSet, Tag};
use super::frame::Frame;
use super::{Header, tags};

pub(super) fn to_rgb(data: &DataSet, header: &Header, frame: Frame) -> Result<RgbImage> {
    let inverted = match header.photometric.as_str() {
        "MONOCHROME1" => true,
        "MONOCHROME2" => false,
        "PALETTE COLOR" => return palette(data, header, &frame.samples),
        _ => {
            return Err(
                "the DICOM file holds colours of a kind that is not read; export it as RGB".into(),
            );
        }
    };
    let plain = header.stored == 8 && !header.signed;
    let mut image = match frame.samples {
        samples @ Samples::Bytes(_) if plain => grey(header.width, header.height, 1, &samples)?,
        samples => Window::of(data, header)?.apply(&samples, header)?,
    };
    if inverted {
        image.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(image)
}

/// How values become 0 to 255.
struct Window {
    slope: f64,
    intercept: f64,
    /// Centre and width, in rescaled values.
    centre_and_width: Option<(f64, f64)>,
}

impl Window {
    fn of(data: &DataSet, header: &Header) -> Result<Self> {
        let first = |tag: Tag| data.decimal(tag);
        let windowed = first(tags::WINDOW_CENTER).zip(first(tags::WINDOW_WIDTH));
        let window = windowed.filter(|&(centre, width)| centre.is_finite() && width >= 1.0);
        let tables = [tags::MODALITY_LUT_SEQUENCE, tags::VOILUT_SEQUENCE];
        if tables.iter().any(|&tag| data.has(tag)) && window.is_none() {
            return Err(format!(
                "the DICOM file brings its {} bits to grey by a table, which is not read; export it with 8 bits",
                header.stored
            ));
        }
        Ok(Self {
            slope: first(tags::RESCALE_SLOPE)
                .filter(|slope| *slope != 0.0)
                .unwrap_or(1.0),
            intercept: first(tags::RESCALE_INTERCEPT).unwrap_or(0.0),
            centre_and_width: window,
        })
    }

    /// The linear function of PS3.3 C.11.2.1.2, of the whole range where there is no window; rounded.
    fn apply(&self, samples: &Samples, header: &Header) -> Result<RgbImage> {
        let half = 1_i32 << (header.stored - 1);
        let offset = if header.signed { half } else { 0 };
        let value = |stored: u16| {
            let used = i32::from(stored) & (2 * half - 1);
            // Of signed values, the highest bit counts negative.
            let value = if header.signed && used >= half {
                used - 2 * half
            } else {
                used
            };
            f64::from(value) * self.slope + self.intercept
        };
        let least = f64::from(-offset) * self.slope + self.intercept;
        let range = f64::from(2 * half - 1) * self.slope;
        let level = |stored: u16| {
            let share = match self.centre_and_width {
                Some((centre, width)) => {
                    let distance = value(stored) - (centre - 0.5);
                    let width = width - 1.0;
                    if distance <= -width / 2.0 {
                        0.0
                    } else if distance > width / 2.0 {
                        1.0
                    } else {
                        distance / width + 0.5
                    }
                }
                None => (value(stored) - least) / range,
            };
            (share * 255.0 + 0.5).floor().clamp(0.0, 255.0) as u8
        };
        single(header, samples, |stored| [level(stored); 3])
    }
}

/// RGB of frames of one sample per pixel.
fn single(header: &Header, samples: &Samples, colour: impl Fn(u16) -> [u8; 3]) -> Result<RgbImage> {
    let (width, height) = (header.width, header.height);
    match samples {
        Samples::Bytes(bytes) => each_pixel(width, height, 1, bytes, |at| colour(at[0].into())),
        Samples::Words(words) => each_pixel(width, height, 1, words, |at| colour(at[0])),
    }
}

fn palette(data: &DataSet, header: &Header, samples: &Samples) -> Result<RgbImage> {
    let tables = [
        (
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        ),
        (
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        ),
        (
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
            tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        ),
    ];
    let missing = "the DICOM file's palette is missing or damaged";
    let mut colours = Vec::new();
    for (descriptor, values) in tables {
        let descriptor = data.words(descriptor).ok_or(missing)?;
        let &[entries, first, bits] = &descriptor[..] else {
            return Err(missing.into());
        };
        // Of all 65536 the number has no room.
        let entries = usize::from(entries.wrapping_sub(1)) + 1;
        let first = if header.signed {
            i64::from(first.cast_signed())
        } else {
            i64::from(first)
        };
        let (bytes, words) = data.bytes(values).zip(data.words(values)).ok_or(missing)?;
        let table: Vec<u8> = match bits {
            // Entries of a byte each, or in words of which the lower half is used.
            8 if bytes.len() < 2 * entries => bytes.to_vec(),
            8 => words.iter().map(|&word| word as u8).collect(),
            16 => words.iter().map(|&word| (word >> 8) as u8).collect(),
            _ => return Err(missing.into()),
        };
        if table.len() < entries {
            return Err(missing.into());
        }
        colours.push((first, entries, table));
    }
    let colour = |index: u16| {
        [0, 1, 2].map(|channel| {
            let (first, entries, table) = &colours[channel];
            let index = (i64::from(index) - first).clamp(0, *entries as i64 - 1);
            table[index as usize]
        })
    };
    single(header, samples, colour)
}
