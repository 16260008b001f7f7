//! How overlays look and how they become files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use image::{RgbImage, codecs::webp::WebPEncoder};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use super::text::caption_below;
use crate::error::{Error, Result};
use crate::output::{Durability, Unpublished, png};

/// JPEG quality.
const QUALITY: u8 = 90;

/// How answers are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OverlayStyle {
    /// As retinalysis-vascx does: arteries red, then veins blue, then the disc white, all opaque, and a
    /// yellow X at the fovea.
    #[default]
    Reference,
    /// Outlines of arteries, veins and the disc, a pixel wide on the crop.
    Contours,
    /// Vessels covered by their colour to this share, 0 to 1, and the disc's outline.
    Tinted(f32),
}

/// File formats of overlays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlayFormat {
    /// Every pixel as it is.
    #[default]
    Png,
    /// A fifth of the size, with a JPEG's small errors.
    Jpeg,
    /// Every pixel as it is, somewhat smaller than PNG.
    WebP,
}

/// How overlays look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OverlayOptions {
    /// How answers are drawn.
    pub style: OverlayStyle,
    /// The format of the files.
    pub format: OverlayFormat,
    /// Whether a strip below the picture tells the id, the quality, the models and what is to be known
    /// of them; when not given, in every style but the reference's.
    pub caption: Option<bool>,
}

impl OverlayOptions {
    /// In another style.
    #[must_use]
    pub fn with_style(mut self, style: OverlayStyle) -> Self {
        self.style = style;
        self
    }

    /// In another format.
    #[must_use]
    pub fn with_format(mut self, format: OverlayFormat) -> Self {
        self.format = format;
        self
    }

    /// With or without a caption.
    #[must_use]
    pub fn with_caption(mut self, caption: bool) -> Self {
        self.caption = Some(caption);
        self
    }

    /// Writes a picture, with a caption below if there is to be one. A file of that name is replaced.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path, picture: &RgbImage, caption: &str) -> Result<()> {
        let caption = self.has_caption().then_some(caption);
        encode(path.to_owned(), picture, caption, self.format)?.publish_alone(Durability::Full)
    }

    /// Whether there is a caption.
    pub fn has_caption(&self) -> bool {
        self.caption
            .unwrap_or(self.style != OverlayStyle::Reference)
    }
}

impl OverlayStyle {
    /// Name and opacity, as they stand in `run.json`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Reference => "reference".into(),
            Self::Contours => "contours".into(),
            Self::Tinted(opacity) => format!("tinted {opacity}"),
        }
    }
}

impl OverlayFormat {
    /// What files end with.
    pub fn extension(self) -> &'static str {
        &self.suffix()[1..]
    }

    /// The same with its point.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Png => ".png",
            Self::Jpeg => ".jpg",
            Self::WebP => ".webp",
        }
    }
}

impl FromStr for OverlayFormat {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpeg),
            "webp" => Ok(Self::WebP),
            _ => Err(format!("`{text}` is none of png, jpg and webp")),
        }
    }
}

/// A picture with a caption below, if there is one, as a file that is not yet under its name.
///
/// # Errors
/// When it cannot be encoded or written.
pub(crate) fn encode(
    path: PathBuf,
    picture: &RgbImage,
    caption: Option<&str>,
    format: OverlayFormat,
) -> Result<Unpublished> {
    let captioned = caption.map(|caption| caption_below(picture, caption));
    let picture = captioned.as_ref().unwrap_or(picture);
    let other = std::io::Error::other::<String>;
    match format {
        OverlayFormat::Png => png(path, picture),
        OverlayFormat::Jpeg => {
            let [width, height] = [picture.width(), picture.height()].map(|side| side as usize);
            let (pixels, format, chroma) = (picture.as_raw(), PixelFormat::Rgb, Subsampling::S444);
            let bytes = compress(pixels, width, height, format, QUALITY, chroma);
            let bytes = bytes.map_err(|error| Error::output(&path, other(error.to_string())))?;
            Unpublished::write(path, |file| std::io::Write::write_all(file, &bytes))
        }
        OverlayFormat::WebP => Unpublished::write(path, |file| {
            let mut bytes = Vec::new();
            let encoded = picture.write_with_encoder(WebPEncoder::new_lossless(&mut bytes));
            encoded.map_err(|error| other(error.to_string()))?;
            std::io::Write::write_all(file, &bytes)
        }),
    }
}
