//! Small pictures for the contact sheet: the photograph, and one picture of all its layers.

use std::io::Cursor;
use std::path::Path;
use std::time::UNIX_EPOCH;

use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, RgbImage};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use sha2::{Digest, Sha256};

use super::cohort::Photograph;
use super::site::Site;
use crate::error::{Error, Result};

/// Side of the small pictures in pixels.
const SIDE: u32 = 256;
const JPEG_QUALITY: u8 = 80;
/// Coverage of a pixel by a layer is told in this many steps: with three layers, 64 colours.
const STEPS: u8 = 4;
/// To be raised when small pictures are made in another way.
const VERSION: u8 = 1;

/// Names the small pictures of a photograph: a hash of what they are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) u64);

/// What became of a photograph's small pictures.
#[derive(Debug, Default)]
pub(super) struct Small {
    /// None where the photograph has no pictures, or none that can be read.
    pub(super) key: Option<Key>,
    pub(super) has_layers: bool,
    /// Side of the crop in pixels; 0 where it is not known.
    pub(super) side: u32,
    /// Which picture cannot be read, and why.
    pub(super) problem: Option<String>,
}

/// Makes the small pictures of a photograph where they are not there yet.
///
/// # Errors
/// When they cannot be written; pictures that cannot be read are told in the answer.
pub(super) fn make(site: &Site, photograph: &Photograph) -> Result<Small> {
    let pictures = &photograph.pictures;
    if pictures.crop.is_none() && pictures.artery_vein.is_none() && pictures.disc.is_none() {
        return Ok(Small::default());
    }
    let Some(key) = key(photograph) else {
        return Ok(Small {
            problem: Some("a picture vanished while the report was made".into()),
            ..Small::default()
        });
    };
    let has_layers = pictures.artery_vein.is_some() || pictures.disc.is_some();
    let (crop_file, layers_file) = (site.picture(key, "jpg"), site.picture(key, "png"));
    let mut small = Small {
        key: Some(key),
        has_layers,
        ..Small::default()
    };
    let mut attempt = || -> std::result::Result<(), Failure> {
        let first = pictures.all().into_iter().flatten().next();
        small.side = first.map_or(Ok(0), side)?;
        if let Some(path) = pictures.crop.as_deref().filter(|_| !crop_file.is_file()) {
            let crop = decode(path)?.into_rgb8();
            Site::write(&crop_file, &jpeg(&crop).map_err(|e| unreadable(path, e))?)?;
        }
        if has_layers && !layers_file.is_file() {
            let layers = layers(pictures.artery_vein.as_deref(), pictures.disc.as_deref())?;
            let png = indexed_png(&layers).map_err(|e| Error::output(&layers_file, e))?;
            Site::write(&layers_file, &png)?;
        }
        Ok(())
    };
    match attempt() {
        Ok(()) => Ok(small),
        Err(Failure::Output(error)) => Err(error),
        Err(Failure::Unreadable(problem)) => {
            small.problem = Some(problem);
            small.has_layers = layers_file.is_file();
            if !crop_file.is_file() && !small.has_layers {
                small.key = None;
            }
            Ok(small)
        }
    }
}

enum Failure {
    Unreadable(String),
    Output(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Output(error)
    }
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    Failure::Unreadable(format!(
        "{}/{} cannot be read: {error}",
        folder.to_string_lossy(),
        path.file_name().unwrap_or_default().to_string_lossy()
    ))
}

/// Hash of the files' names, lengths and times of change; none where a file is not there any more.
fn key(photograph: &Photograph) -> Option<Key> {
    let mut hash = Sha256::new();
    hash.update([VERSION]);
    for path in photograph.pictures.all() {
        let Some(path) = path else {
            hash.update([0]);
            continue;
        };
        let metadata = path.metadata().ok()?;
        let time = metadata.modified().ok()?.duration_since(UNIX_EPOCH);
        let time = time.unwrap_or_default();
        hash.update([1]);
        hash.update(metadata.len().to_le_bytes());
        hash.update(time.as_nanos().to_le_bytes());
    }
    hash.update(photograph.id.as_bytes());
    let digest = hash.finalize();
    let first = digest.as_slice().first_chunk()?;
    Some(Key(u64::from_be_bytes(*first)))
}

fn side(path: &Path) -> std::result::Result<u32, Failure> {
    let reader = ImageReader::open(path).map_err(|error| unreadable(path, error))?;
    let decoder = reader.into_decoder();
    let decoder = decoder.map_err(|error| unreadable(path, error))?;
    Ok(decoder.dimensions().0)
}

fn decode(path: &Path) -> std::result::Result<DynamicImage, Failure> {
    let reader = ImageReader::open(path).map_err(|error| unreadable(path, error))?;
    reader.decode().map_err(|error| unreadable(path, error))
}

fn jpeg(crop: &RgbImage) -> libjpeg_turbo_rs::Result<Vec<u8>> {
    let small = shrink(crop.as_raw(), crop.dimensions(), |&pixel: &[u8; 3]| pixel);
    let (side, pixels) = (SIDE as usize, small.as_flattened());
    let (format, sampling) = (PixelFormat::Rgb, Subsampling::S420);
    compress(pixels, side, side, format, JPEG_QUALITY, sampling)
}

/// Coverage by arteries, disc and veins, 0…255, row by row.
fn layers(
    artery_vein: Option<&Path>,
    disc: Option<&Path>,
) -> std::result::Result<Vec<[u8; 3]>, Failure> {
    let on = |is_on: bool| if is_on { 255 } else { 0 };
    let mut layers = vec![[0; 3]; (SIDE * SIDE) as usize];
    if let Some(path) = artery_vein {
        let map = classes(decode(path)?);
        let small = shrink(map.as_raw(), map.dimensions(), |&[class]: &[u8; 1]| {
            [on(class & 1 > 0), on(class & 2 > 0)]
        });
        for (layers, [artery, vein]) in layers.iter_mut().zip(small) {
            (layers[0], layers[2]) = (artery, vein);
        }
    }
    if let Some(path) = disc {
        let map = decode(path)?.into_luma8();
        let small = shrink(map.as_raw(), map.dimensions(), |&[value]: &[u8; 1]| {
            [on(value > 0)]
        });
        for (layers, [disc]) in layers.iter_mut().zip(small) {
            layers[1] = disc;
        }
    }
    Ok(layers)
}

/// Means of `N` values of pixels over the squares that become one pixel each of [`SIDE`]². Pictures are
/// read in one pass without weights, which is enough for small ones.
fn shrink<const N: usize, const M: usize>(
    bytes: &[u8],
    (width, height): (u32, u32),
    values: impl Fn(&[u8; M]) -> [u8; N],
) -> Vec<[u8; N]> {
    let (pixels, _) = bytes.as_chunks::<M>();
    let side = SIDE as usize;
    let (width, height) = (width as usize, height as usize);
    // At least one pixel each, also of pictures that are smaller.
    let span = |index: usize, length: usize| {
        let begin = (index * length / side).min(length - 1);
        begin..((index + 1) * length / side).max(begin + 1)
    };
    let columns: Vec<_> = (0..side).map(|x| span(x, width)).collect();
    let mut small = Vec::with_capacity(side * side);
    for y in 0..side {
        let rows = span(y, height);
        for columns in &columns {
            let mut sums = [0u32; N];
            for row in rows.clone() {
                for pixel in &pixels[row * width..][columns.clone()] {
                    for (sum, value) in sums.iter_mut().zip(values(pixel)) {
                        *sum += u32::from(value);
                    }
                }
            }
            let count = (rows.len() * columns.len()) as u32;
            small.push(sums.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    small
}

/// Classes of an artery/vein map: bit 0 arteries, bit 1 veins. Maps in colour have arteries in red,
/// veins in blue and both in green.
fn classes(map: DynamicImage) -> GrayImage {
    if !map.color().has_color() {
        return map.into_luma8();
    }
    let map = map.into_rgb8();
    let half = map
        .as_raw()
        .iter()
        .max()
        .map_or(1, |&max| max.div_ceil(2).max(1));
    GrayImage::from_fn(map.width(), map.height(), |x, y| {
        let [red, green, blue] = map[(x, y)].0.map(|value| value >= half);
        [u8::from(red || green) + 2 * u8::from(blue || green)].into()
    })
}

/// A PNG of at most 64 colours.
fn indexed_png(layers: &[[u8; 3]]) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let step = |value: u8| (u16::from(value) * u16::from(STEPS - 1) + 127) / 255;
    let squared = u16::from(STEPS * STEPS);
    let indices: Vec<u8> = layers
        .iter()
        .map(|&[r, g, b]| (step(r) * squared + step(g) * u16::from(STEPS) + step(b)) as u8)
        .collect();
    let value = |step: u8| step * (255 / (STEPS - 1));
    let palette: Vec<u8> = (0..STEPS.pow(3))
        .flat_map(|index| {
            [
                index / (STEPS * STEPS),
                index / STEPS % STEPS,
                index % STEPS,
            ]
            .map(value)
        })
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), SIDE, SIDE);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header()?.write_image_data(&indices)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_keep_their_coverage_within_half_a_step() {
        let layers: Vec<_> = (0..SIDE * SIDE)
            .map(|i| [(i % 256) as u8, (i / 256) as u8, 255])
            .collect();
        let png = indexed_png(&layers).unwrap();
        let read = image::load_from_memory(&png).unwrap().into_rgb8();
        for (was, is) in layers.iter().zip(read.pixels()) {
            let near = was.iter().zip(is.0).all(|(was, is)| was.abs_diff(is) <= 43);
            assert!(near, "{was:?} {is:?}");
        }
    }

    #[test]
    fn small_pictures_are_means_of_squares() {
        let crop = RgbImage::from_fn(1024, 1024, |x, y| {
            image::Rgb([(x % 4 * 80) as u8, (y / 4 % 256) as u8, 7])
        });
        let small = shrink(crop.as_raw(), crop.dimensions(), |&pixel: &[u8; 3]| pixel);
        assert_eq!(small.len(), 256 * 256);
        for (index, &[red, green, blue]) in small.iter().enumerate() {
            assert_eq!([red, green, blue], [120, (index / 256) as u8, 7]);
        }
        // Of any size and shape, also smaller than what is made of them.
        for (width, height) in [(1, 1), (100, 3), (255, 257), (999, 960)] {
            let grey = vec![9u8; (width * height) as usize];
            let small = shrink(&grey, (width, height), |&pixel: &[u8; 1]| pixel);
            assert!(small.len() == 256 * 256 && small.iter().all(|&value| value == [9]));
        }
    }

    #[test]
    fn maps_in_grey_and_in_colour_have_the_same_classes() {
        let grey = GrayImage::from_raw(4, 1, vec![0, 1, 2, 3]).unwrap();
        let colour = [[0, 0, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0]].concat();
        let colour = RgbImage::from_raw(4, 1, colour).unwrap();
        assert_eq!(classes(colour.into()), grey);
        assert_eq!(classes(grey.clone().into()), grey);
    }
}
