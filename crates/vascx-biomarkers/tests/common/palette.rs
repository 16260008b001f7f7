//! Maps of the drawn eyes: palette pictures.

use std::path::Path;

/// Classes by the colours of their palette: red is artery, blue vein, green both.
pub(crate) fn classes(path: &Path) -> Option<Vec<u8>> {
    let picture = image::open(path).ok()?.into_rgb8();
    let class = |pixel: &image::Rgb<u8>| match pixel.0 {
        [0, 0, 0] => 0,
        [255, 0, 0] => 1,
        [0, 0, 255] => 2,
        [0, 255, 0] => 3,
        other => other[0].min(1),
    };
    Some(picture.pixels().map(class).collect())
}
