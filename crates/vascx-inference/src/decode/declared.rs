//! What decoding a file would take, by its header alone.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use image::{ImageDecoder, ImageReader};

use super::{DecodeLimits, HEAD, Kind, dicom, guarded, jpeg, tiff};

/// Bytes per byte of a file whose header says nothing of its size: a JPEG of usual quality has a tenth
/// of its pixels' bytes.
const PER_FILE_BYTE: u64 = 30;
/// Bytes of a pixel as it is kept.
const RGB: u64 = 3;

/// What a file declares and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Width and height in the file, before it is turned upright; none where the header does not tell.
    pub(crate) size: Option<(u32, u32)>,
    /// Bytes at most while it is decoded: the file, what decoders hold, the pixels as RGB.
    pub(crate) bytes: u64,
}

/// A picture's size, and bytes per pixel of whatever is held beside its file while it is decoded.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) per_pixel: u64,
}

impl Declared {
    /// Of the file at a path; none of one that will be refused before its pixels take any memory.
    pub(crate) fn of(path: &Path, limits: DecodeLimits) -> Option<Self> {
        // To open a pipe could last for ever.
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let mut file = BufReader::new(File::open(path).ok()?);
        let mut head = Vec::new();
        file.by_ref()
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .ok()?;
        let kind = Kind::of(&head).ok()?;
        file.rewind().ok()?;
        let frame = guarded(|| match kind {
            Kind::Dicom => dicom::frame(file),
            Kind::Jpeg => jpeg::frame(&mut file),
            Kind::Tiff => tiff::frame(&mut file),
            Kind::Png | Kind::Bmp | Kind::WebP => raster(kind, file),
        });
        let length = metadata.len();
        let Some(frame) = frame.flatten() else {
            return Some(Self {
                size: None,
                bytes: length.saturating_mul(PER_FILE_BYTE),
            });
        };
        let (width, height) = (frame.width, frame.height);
        limits.check(width.into(), height.into()).ok()?;
        let pixels = u64::from(width) * u64::from(height);
        // To turn it upright takes the pixels twice.
        let per_pixel = frame.per_pixel.max(2 * RGB);
        Some(Self {
            size: Some((width, height)),
            bytes: pixels.saturating_mul(per_pixel).saturating_add(length),
        })
    }
}

fn raster(kind: Kind, file: BufReader<File>) -> Option<Frame> {
    let reader = ImageReader::new(file).with_guessed_format().ok()?;
    let decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    // WebP's decoder has planes of its own.
    let copies = if kind == Kind::WebP { 3 } else { 1 };
    let stored = u64::from(decoder.color_type().bytes_per_pixel());
    Some(Frame {
        width,
        height,
        per_pixel: copies * stored + RGB,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("../../tests/fixtures").join(name)
    }

    /// Against what decoding gives.
    #[test]
    fn headers_tell_the_size_of_every_file_that_is_read() {
        let mut checked = 0;
        for folder in ["jpeg", "tiff", "field_of_view"] {
            for entry in std::fs::read_dir(fixture(folder)).unwrap() {
                let path = entry.unwrap().path();
                let limits = DecodeLimits::default();
                let Ok(photograph) = crate::Photograph::open(&path) else {
                    continue;
                };
                let declared = Declared::of(&path, limits).unwrap();
                let (width, height) = declared.size.unwrap_or_else(|| panic!("{path:?}"));
                let (width, height) = (width as usize, height as usize);
                let found = (photograph.width(), photograph.height());
                assert!(
                    found == (width, height) || found == (height, width),
                    "{path:?}"
                );
                let length = path.metadata().unwrap().len();
                assert!(declared.bytes >= (6 * width * height) as u64 + length);
                checked += 1;
            }
        }
        assert!(checked > 100, "{checked}");
    }

    #[test]
    fn what_will_be_refused_takes_nothing() {
        let round = fixture("field_of_view/round.png");
        let few = DecodeLimits::default().with_max_pixels(10);
        assert_eq!(Declared::of(&round, few), None);
        let folder = fixture("jpeg");
        assert_eq!(Declared::of(&folder, DecodeLimits::default()), None);
        let unread = fixture("jpeg/pixels.json");
        assert_eq!(Declared::of(&unread, DecodeLimits::default()), None);
    }
}
