//! PNG, BMP and WebP, by the `image` crate.

use std::io::{Cursor, ErrorKind};

use image::error::LimitErrorKind;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::chunks;
use super::limits::{DecodeLimits, check_room, zeros};
use super::pixels::{Samples, grey, rgb};
use super::{Decoded, Kind, Result, upright};

pub(super) fn decode(kind: Kind, bytes: &[u8], limits: DecodeLimits) -> Result<Decoded> {
    let failed = |error: ImageError| words(kind, &error);
    let format = match kind {
        Kind::Bmp => ImageFormat::Bmp,
        Kind::WebP => ImageFormat::WebP,
        _ => ImageFormat::Png,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The pixels are checked below, where the message can name their number.
    reader.limits(Limits::no_limits());
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = limits.check(width.into(), height.into())?;
    let orientation = decoder.orientation().map_err(failed)?;
    let colour = decoder.color_type();
    let length = decoder.total_bytes();
    if kind == Kind::WebP {
        // This decoder allocates its planes itself.
        check_room(2 * length)?;
    }
    let channels = usize::from(colour.channel_count());
    let samples = match colour {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let mut bytes = zeros(length)?;
            decoder.read_image(&mut bytes).map_err(failed)?;
            Samples::Bytes(bytes)
        }
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let mut bytes = zeros(length)?;
            decoder.read_image(&mut bytes).map_err(failed)?;
            Samples::words(&bytes, u16::from_ne_bytes)?
        }
        other => {
            return Err(format!(
                "{} with samples of type {other:?} is not read",
                kind.name()
            ));
        }
    };
    let rgb = if channels < 3 {
        grey(width, height, channels, &samples)?
    } else {
        rgb(width, height, channels, samples)?
    };
    let pictures = chunks::pictures(kind, bytes)?;
    let note = (pictures > 1).then(|| {
        let name = kind.name();
        format!("the {name} holds {pictures} pictures; the first one was used")
    });
    Ok(Decoded {
        rgb: upright(rgb, Some(orientation.to_exif()))?,
        note,
    })
}

/// A decoder's error in the user's words.
fn words(kind: Kind, error: &ImageError) -> String {
    let name = kind.name();
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            format!("the {name} is cut short")
        }
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::InsufficientMemory) => {
            format!("the {name} needs more memory than this process can get")
        }
        ImageError::Limits(_) => format!("the {name} is too large"),
        other => format!("the {name} is damaged or of a kind that is not read: {other}"),
    }
}
