//! Frames of three samples per pixel.

use image::RgbImage;

use super::super::Result;
use super::super::pixels::{Samples, rgb};
use super::Header;
use super::frame::Frame;

pub(super) fn to_rgb(header: &Header, frame: Frame) -> Result<RgbImage> {
    let mut samples = frame.samples;
    match header.photometric.as_str() {
        "RGB" | "YBR_RCT" | "YBR_ICT" => {}
        "YBR_FULL" | "YBR_FULL_422" if frame.is_rgb => {}
        "YBR_FULL" | "YBR_FULL_422" => {
            let Samples::Bytes(bytes) = &mut samples else {
                return Err(
                    "DICOM files in YBR colours are read with 8 bits per sample only".into(),
                );
            };
            bytes.as_chunks_mut().0.iter_mut().for_each(ybr_to_rgb);
        }
        _ => {
            return Err(
                "the DICOM file holds colours of a kind that is not read; export it as RGB".into(),
            );
        }
    }
    if let Samples::Words(words) = &mut samples {
        // To the full range that 16 bits have.
        let largest = (1_u32 << header.stored) - 1;
        for word in words {
            let level = u32::from(*word).min(largest);
            *word = ((level * 65535 + largest / 2) / largest) as u16;
        }
    }
    rgb(header.width, header.height, 3, samples)
}

/// The matrix of PS3.3 C.7.6.3.1.2 turned round, in single precision and rounded half up as pydicom has it.
fn ybr_to_rgb(pixel: &mut [u8; 3]) {
    let [y, cb, cr] = *pixel;
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let level = |value: f32| (value + 0.5).floor().clamp(0.0, 255.0) as u8;
    *pixel = [
        level(y + 1.402 * cr),
        level(y - (0.114 * 1.772 / 0.587) * cb - (0.299 * 1.402 / 0.587) * cr),
        level(y + 1.772 * cb),
    ];
}
