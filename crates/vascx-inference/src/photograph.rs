//! A photograph in memory.

use std::path::Path;

use image::RgbImage;

use crate::decode::{self, DecodeLimits, Decoded};
use crate::error::{Error, Result};

/// A colour fundus photograph, 8-bit RGB, at least 1 × 1 pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Photograph {
    rgb: RgbImage,
    note: Option<String>,
}

impl Photograph {
    /// Decodes an image file within the default limits; see [`open_within`](Self::open_within).
    ///
    /// # Errors
    /// When the file cannot be read or is no such image.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_within(path, DecodeLimits::default())
    }

    /// Decodes a PNG, JPEG, TIFF, BMP, WebP or DICOM file (of one frame); the content decides, not the name. The orientation
    /// that EXIF or TIFF tells is applied, grey is repeated to three channels, alpha is dropped, 16-bit
    /// values are scaled to 8 bits, floats of 0 to 1 to 0 to 255. JPEG pixels are those of libjpeg-turbo.
    ///
    /// # Errors
    /// When the file cannot be read, is no such image, is damaged or cut short, holds values out of
    /// range, declares more pixels than the limits allow or needs more memory than there is.
    pub fn open_within(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Self> {
        let path = path.as_ref();
        let decoded = decode::read(path, limits).and_then(|bytes| decode::decode(bytes, limits));
        decoded.map(Self::from).map_err(|reason| Error::Photograph {
            path: path.to_owned(),
            reason,
        })
    }

    /// Decodes the bytes of an image file, as [`open_within`](Self::open_within) does a file.
    ///
    /// # Errors
    /// The same.
    pub fn decode(file: Vec<u8>, limits: DecodeLimits) -> Result<Self> {
        let decoded = decode::decode(file, limits);
        decoded.map(Self::from).map_err(Error::PhotographBytes)
    }

    /// A photograph from interleaved RGB bytes, row by row.
    ///
    /// # Errors
    /// When `bytes` are not `3 · width · height` or there are none.
    pub fn from_rgb(width: u32, height: u32, bytes: Vec<u8>) -> Result<Self> {
        let count = bytes.len();
        match RgbImage::from_raw(width, height, bytes) {
            // Bytes beyond the last pixel would be kept.
            Some(rgb) if count > 0 && count as u64 == 3 * u64::from(width) * u64::from(height) => {
                Ok(Self { rgb, note: None })
            }
            _ => Err(Error::PixelCount {
                bytes: count,
                width,
                height,
            }),
        }
    }

    /// An image of at least one pixel.
    pub(crate) fn of(rgb: RgbImage) -> Self {
        Self { rgb, note: None }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.rgb.width() as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.rgb.height() as usize
    }

    /// The pixels.
    pub fn rgb(&self) -> &RgbImage {
        &self.rgb
    }

    /// What the user should know of the file although it was read: that it has further pages.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl From<Decoded> for Photograph {
    fn from(Decoded { rgb, note }: Decoded) -> Self {
        Self { rgb, note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageBuffer, Luma, LumaA};

    fn reopen(image: &DynamicImage, name: &str) -> Photograph {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        image.save(&path).unwrap();
        Photograph::open(&path).unwrap()
    }

    #[test]
    fn every_pixel_format_becomes_rgb() {
        let grey16 = ImageBuffer::from_pixel(2, 1, Luma([0x8080_u16])).into();
        assert_eq!(reopen(&grey16, "a.png").rgb().as_raw(), &[0x80; 6]);
        let grey_alpha = ImageBuffer::from_pixel(1, 1, LumaA([7_u8, 9])).into();
        assert_eq!(reopen(&grey_alpha, "a.png").rgb().as_raw(), &[7, 7, 7]);
        let rgb: DynamicImage = ImageBuffer::from_pixel(3, 2, image::Rgb([9_u8, 8, 7])).into();
        for name in ["a.bmp", "a.webp", "a.png"] {
            assert_eq!(reopen(&rgb, name).rgb(), &rgb.to_rgb8(), "{name}");
        }
    }

    #[test]
    fn exif_orientation_is_honoured() {
        let mut jpeg = include_bytes!("../../../tests/fixtures/jpeg/flat_444.jpg").to_vec();
        let upright = Photograph::decode(jpeg.clone(), DecodeLimits::default()).unwrap();
        // An EXIF block that says "rotate by 90° clockwise" (6).
        let mut exif = vec![0xff, 0xe1, 0, 34];
        exif.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        jpeg.splice(2..2, exif);
        let rotated = Photograph::decode(jpeg, DecodeLimits::default()).unwrap();
        assert_eq!((upright.width(), upright.height()), (39, 3));
        assert_eq!((rotated.width(), rotated.height()), (3, 39));
        assert_eq!(rotated.rgb(), &image::imageops::rotate90(upright.rgb()));
    }

    #[test]
    fn what_is_no_image_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.png");
        std::fs::write(&path, "not an image").unwrap();
        let message = Photograph::open(&path).unwrap_err().to_string();
        assert!(message.contains("notes.png"), "{message}");
        assert!(message.contains("text"), "{message}");
        assert!(Photograph::from_rgb(2, 2, vec![0; 11]).is_err());
        assert!(Photograph::from_rgb(2, 2, vec![0; 13]).is_err());
        assert!(Photograph::from_rgb(0, 2, vec![]).is_err());
    }
}
