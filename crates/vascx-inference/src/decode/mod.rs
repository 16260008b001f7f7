//! From an image file to 8-bit RGB, one module per family of formats.
//!
//! Files are untrusted: what a header declares is checked against [`DecodeLimits`] before memory is
//! touched, and an allocation that fails is an error of that file. Reasons are sentences without the
//! file's name; [`Photograph`](crate::Photograph) adds it.

mod chunks;
mod declared;
mod dicom;
mod jpeg;
mod kind;
mod limits;
mod pixels;
mod raster;
mod tiff;

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

pub(crate) use declared::Declared;
pub(crate) use dicom::instance_uid;
pub(crate) use kind::{HEAD, Kind};
pub use limits::DecodeLimits;

/// Why a file is no photograph that can be used.
pub(crate) type Reason = String;
pub(crate) type Result<T> = std::result::Result<T, Reason>;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// At least 1 × 1.
    pub(crate) rgb: RgbImage,
    /// What the user should know although the file was read.
    pub(crate) note: Option<String>,
}

/// Reads a regular file whole, if it can be a photograph within the limits.
pub(crate) fn read(path: &Path, limits: DecodeLimits) -> Result<Vec<u8>> {
    let said = |error: std::io::Error| error.to_string();
    // Asked before opening: opening a pipe waits for its other end, and some devices act on it.
    let kind = path.metadata().map_err(said)?;
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a folder"
        } else {
            "a pipe, socket or device"
        };
        return Err(format!("this is {what}, not a file"));
    }
    let mut file = File::open(path).map_err(said)?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut bytes)
        .map_err(said)?;
    Kind::of(&bytes)?;
    let length = file.metadata().map_err(said)?.len();
    limits.check_file(length)?;
    bytes
        .try_reserve_exact(length as usize)
        .map_err(|_| limits::no_memory(length))?;
    file.take(length.saturating_sub(bytes.len() as u64))
        .read_to_end(&mut bytes)
        .map_err(said)?;
    Ok(bytes)
}

/// Decodes a file's bytes. A decoder that panics is a damaged file.
pub(crate) fn decode(bytes: Vec<u8>, limits: DecodeLimits) -> Result<Decoded> {
    let kind = Kind::of(&bytes)?;
    let decoded = guarded(|| match kind {
        Kind::Dicom => dicom::decode(&bytes, limits),
        Kind::Jpeg => jpeg::decode(&bytes, limits),
        Kind::Tiff => tiff::decode(bytes, limits),
        Kind::Png | Kind::Bmp | Kind::WebP => raster::decode(kind, &bytes, limits),
    });
    decoded.unwrap_or_else(|| Err(format!("the {} is damaged", kind.name())))
}

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside of a decoder, whose panic is told as the failure of its file.
pub(crate) fn is_decoding() -> bool {
    DECODING.get()
}

/// What a decoder gives; none where it panics.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    DECODING.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    DECODING.set(false);
    done.ok()
}

/// Turns an image upright; `orientation` is the value of the EXIF or TIFF tag.
fn upright(rgb: RgbImage, orientation: Option<u8>) -> Result<RgbImage> {
    let orientation = orientation.and_then(Orientation::from_exif);
    let Some(orientation) = orientation.filter(|&known| known != Orientation::NoTransforms) else {
        return Ok(rgb);
    };
    limits::check_room(rgb.len() as u64)?;
    let mut image = DynamicImage::ImageRgb8(rgb);
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_of_decoders_are_known_for_what_they_are() {
        assert_eq!(guarded(is_decoding), Some(true));
        let panicked: Option<()> = guarded(|| panic!("the file is damaged"));
        assert!(panicked.is_none() && !is_decoding());
    }
}
