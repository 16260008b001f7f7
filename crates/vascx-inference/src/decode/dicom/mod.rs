//! DICOM images of one frame.
//!
//! JPEG and JPEG 2000 streams go through decoders whose pixels are those that pydicom's give. Nothing of a data set but its
//! pixels and what describes them is looked at, and messages quote no values: they may name a patient.

mod colour;
mod data_set;
mod frame;
mod grey;
mod run_lengths;
mod tags;
mod uids;

use std::fs;
use std::io::Read;
use std::path::Path;

use super::declared::Frame;
use super::limits::{DecodeLimits, check_room};
use super::{Decoded, HEAD, Kind, Result, guarded};
use data_set::{DataSet, File, PIXEL_DATA, Tag};

/// What describes the pixels of an image.
struct Header {
    width: u32,
    height: u32,
    /// 1 or 3.
    samples: usize,
    /// Bits that a sample takes in the data: 8 or 16.
    allocated: u16,
    /// Bits of them that are used.
    stored: u16,
    signed: bool,
    /// Whether each colour has a plane of its own.
    planar: bool,
    photometric: String,
}

/// All that is looked at, in ascending order.
const WANTED: [Tag; 22] = [
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::PIXEL_REPRESENTATION,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::MODALITY_LUT_SEQUENCE,
    tags::VOILUT_SEQUENCE,
    PIXEL_DATA,
];

pub(super) fn decode(file: &[u8], limits: DecodeLimits) -> Result<Decoded> {
    let file = File::open(file, limits.most_bytes())?;
    let data = file.elements(&WANTED)?;
    let header = Header::of(&data, limits)?;
    let frame = frame::decode(&file.syntax, &data, &header, limits)?;
    let rgb = if header.samples == 1 {
        grey::to_rgb(&data, &header, frame)?
    } else {
        colour::to_rgb(&header, frame)?
    };
    Ok(Decoded { rgb, note: None })
}

/// What describes a picture stands among the first bytes.
const ENOUGH: u64 = 1 << 20;

/// The size of a picture, as a file declares it.
pub(super) fn frame(file: impl Read) -> Option<Frame> {
    let mut start = Vec::new();
    file.take(ENOUGH).read_to_end(&mut start).ok()?;
    let start = File::open(&start, ENOUGH).ok()?;
    let wanted = [
        tags::SAMPLES_PER_PIXEL,
        tags::ROWS,
        tags::COLUMNS,
        tags::BITS_ALLOCATED,
    ];
    let data = start.elements(&wanted).ok()?;
    let [samples, height, width, bits] = wanted.map(|tag| data.word(tag).map(u64::from));
    Some(Frame {
        width: width? as u32,
        height: height? as u32,
        // The samples in two forms, and, for JPEG 2000, as floats in two stages; the result.
        per_pixel: samples? * (bits?.div_ceil(8) * 2 + 16) + 3,
    })
}

/// The SOP Instance UID of a file, if it is a DICOM file that has one.
pub(crate) fn instance_uid(path: &Path) -> Option<String> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut start = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(ENOUGH).read_to_end(&mut start).ok()?;
    if Kind::of(&start[..start.len().min(HEAD)]) != Ok(Kind::Dicom) {
        return None;
    }
    let uid = guarded(|| {
        let start = File::open(&start, ENOUGH).ok()?;
        let data = start.elements(&[tags::SOP_INSTANCE_UID]).ok()?;
        data.text(tags::SOP_INSTANCE_UID)
    });
    uid.flatten()
}

impl Header {
    fn of(data: &DataSet, limits: DecodeLimits) -> Result<Self> {
        if !data.has(PIXEL_DATA) {
            return Err("the DICOM file holds no picture".into());
        }
        let needed = |tag, name: &str| {
            let word = data.word(tag);
            word.ok_or_else(|| format!("the DICOM file does not say its {name}"))
        };
        let frames = data.decimal(tags::NUMBER_OF_FRAMES).unwrap_or(1.0);
        if frames > 1.0 {
            return Err(format!(
                "the DICOM file holds {frames} frames; a photograph is one frame, export the one you mean"
            ));
        }
        let (width, height) = (
            needed(tags::COLUMNS, "width")?,
            needed(tags::ROWS, "height")?,
        );
        let (width, height) = limits.check(width.into(), height.into())?;
        let samples = needed(tags::SAMPLES_PER_PIXEL, "samples per pixel")?;
        let allocated = needed(tags::BITS_ALLOCATED, "depth")?;
        let stored = data.word(tags::BITS_STORED).unwrap_or(allocated);
        if !matches!(samples, 1 | 3) {
            return Err(format!(
                "DICOM files with {samples} samples per pixel are not read"
            ));
        }
        if !matches!(allocated, 8 | 16) || !(1..=allocated).contains(&stored) {
            return Err(format!(
                "DICOM files with {allocated} bits per sample are not read; photographs have 8 or 16"
            ));
        }
        let photometric = data
            .text(tags::PHOTOMETRIC_INTERPRETATION)
            .ok_or("the DICOM file does not say what its colours are")?;
        // The samples, their decoded form and the result.
        let pixels = u64::from(width) * u64::from(height);
        check_room(pixels * (u64::from(samples) * u64::from(allocated / 8) * 2 + 3))?;
        Ok(Self {
            width,
            height,
            samples: usize::from(samples),
            allocated,
            stored,
            signed: data.word(tags::PIXEL_REPRESENTATION) == Some(1),
            planar: data.word(tags::PLANAR_CONFIGURATION) == Some(1) && samples > 1,
            photometric,
        })
    }

    fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }
}
