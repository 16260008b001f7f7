//! Decoding photographs to 8-bit RGB.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

use crate::error::{Error, Result};

/// File name extensions that are taken for photographs in a folder.
pub(crate) const EXTENSIONS: [&str; 8] =
    ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "jpe"];

/// A colour fundus photograph, 8-bit RGB, at least 1 × 1 pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Photograph {
    rgb: RgbImage,
}

impl Photograph {
    /// Decodes a PNG, JPEG, TIFF, BMP or WebP file; the content decides, not the name. The EXIF
    /// orientation is applied, grey is repeated to three channels, alpha is dropped, 16-bit values
    /// are scaled to 8 bits.
    ///
    /// # Errors
    /// When the file cannot be read or is no such image.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |reason: String| Error::Photograph {
            path: path.to_owned(),
            reason,
        };
        let decode = || -> image::ImageResult<DynamicImage> {
            let reader = ImageReader::new(BufReader::new(File::open(path)?));
            let mut decoder = reader.with_guessed_format()?.into_decoder()?;
            let orientation = decoder.orientation()?;
            let mut image = DynamicImage::from_decoder(decoder)?;
            image.apply_orientation(orientation);
            Ok(image)
        };
        let rgb = decode()
            .map_err(|error| failed(error.to_string()))?
            .into_rgb8();
        if rgb.is_empty() {
            return Err(failed("the image has no pixels".into()));
        }
        Ok(Self { rgb })
    }

    /// A photograph from interleaved RGB bytes, row by row.
    ///
    /// # Errors
    /// When `bytes` are not `3 · width · height` or there are none.
    pub fn from_rgb(width: u32, height: u32, bytes: Vec<u8>) -> Result<Self> {
        let count = bytes.len();
        match RgbImage::from_raw(width, height, bytes) {
            Some(rgb) if !rgb.is_empty() && count == rgb.len() => Ok(Self { rgb }),
            _ => Err(Error::PixelCount {
                bytes: count,
                width,
                height,
            }),
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgba};

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
        let rgba = ImageBuffer::from_pixel(1, 1, Rgba([1_u8, 2, 3, 0])).into();
        assert_eq!(reopen(&rgba, "a.tiff").rgb().as_raw(), &[1, 2, 3]);
        let grey_alpha = ImageBuffer::from_pixel(1, 1, LumaA([7_u8, 9])).into();
        assert_eq!(reopen(&grey_alpha, "a.png").rgb().as_raw(), &[7, 7, 7]);
        let rgb: DynamicImage = ImageBuffer::from_pixel(3, 2, image::Rgb([9_u8, 8, 7])).into();
        for name in ["a.bmp", "a.webp", "a.tif"] {
            assert_eq!(reopen(&rgb, name).rgb(), &rgb.to_rgb8(), "{name}");
        }
    }

    #[test]
    fn exif_orientation_is_honoured() {
        // A JPEG of 2 × 1 pixels with an EXIF block that says "rotate by 90° clockwise" (6).
        let rgb = ImageBuffer::from_pixel(16, 8, image::Rgb([200_u8, 0, 0]));
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        rgb.write_with_encoder(encoder).unwrap();
        let mut exif = vec![0xff, 0xe1, 0, 34];
        exif.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
        jpeg.splice(2..2, exif);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rotated.jpg");
        std::fs::write(&path, jpeg).unwrap();
        let photograph = Photograph::open(&path).unwrap();
        assert_eq!((photograph.width(), photograph.height()), (8, 16));
    }

    #[test]
    fn what_is_no_image_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.png");
        std::fs::write(&path, "not an image").unwrap();
        let message = Photograph::open(&path).unwrap_err().to_string();
        assert!(message.contains("notes.png"), "{message}");
        assert!(Photograph::from_rgb(2, 2, vec![0; 11]).is_err());
        assert!(Photograph::from_rgb(0, 2, vec![]).is_err());
    }
}
