//! Maps of a byte per pixel in serde: width, height and, in base64, the pixels in row-major order.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::GrayImage;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct Map<'a> {
    width: u32,
    height: u32,
    pixels: Cow<'a, str>,
}

pub(super) fn serialize<S: Serializer>(map: &GrayImage, serializer: S) -> Result<S::Ok, S::Error> {
    let (width, height) = map.dimensions();
    let pixels = STANDARD.encode(map.as_raw()).into();
    Map {
        width,
        height,
        pixels,
    }
    .serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<GrayImage, D::Error> {
    let Map {
        width,
        height,
        pixels,
    } = Map::deserialize(deserializer)?;
    let bytes = STANDARD
        .decode(pixels.as_bytes())
        .map_err(D::Error::custom)?;
    let area = u64::from(width) * u64::from(height);
    let map = GrayImage::from_raw(width, height, bytes);
    // Bytes beyond the last pixel would be kept.
    map.filter(|map| map.as_raw().len() as u64 == area)
        .ok_or_else(|| D::Error::custom(format!("not the pixels of a map of {width} × {height}")))
}
