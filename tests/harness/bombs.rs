//! Small files that declare huge pictures.

use super::fixture;

/// Small files that declare pictures of `width × height`.
pub(crate) fn bombs(width: u32, height: u32) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut png = std::fs::read(fixture("field_of_view/round.png")).unwrap();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    files.push(("bomb.png".to_owned(), png));

    let mut bmp = Vec::new();
    let small = image::RgbImage::new(4, 4);
    small
        .write_to(&mut std::io::Cursor::new(&mut bmp), image::ImageFormat::Bmp)
        .unwrap();
    bmp[18..22].copy_from_slice(&(width & i32::MAX as u32).to_le_bytes());
    bmp[22..26].copy_from_slice(&(height & i32::MAX as u32).to_le_bytes());
    files.push(("bomb.bmp".to_owned(), bmp));

    let tiff = std::fs::read(fixture("tiff/rgb_deflate.tif")).unwrap();
    let entry = |tag: u16| {
        let directory = u32::from_le_bytes(*tiff[4..].first_chunk().unwrap()) as usize;
        let mut entries = (directory + 2..).step_by(12).take(64);
        entries
            .find(|&at| tiff[at..at + 2] == tag.to_le_bytes())
            .unwrap()
    };
    let mut large = tiff.clone();
    for (tag, value) in [(256, width), (257, height), (278, height)] {
        let at = entry(tag);
        large[at + 2..at + 4].copy_from_slice(&4_u16.to_le_bytes());
        large[at + 8..at + 12].copy_from_slice(&value.to_le_bytes());
    }
    files.push(("bomb.tif".to_owned(), large));
    // A tag of as many values as a width has pixels.
    let mut many = tiff.clone();
    let at = entry(277);
    many[at + 4..at + 8].copy_from_slice(&width.to_le_bytes());
    files.push(("many_values.tif".to_owned(), many));

    for name in [
        "baseline_420_odd",
        "progressive_444_odd",
        "lossless_rgb",
        "arithmetic_444",
        "twelve_bits",
    ] {
        let mut jpeg = std::fs::read(fixture(&format!("jpeg/{name}.jpg"))).unwrap();
        let frame = jpeg
            .windows(4)
            .position(|w| w[0] == 0xff && matches!(w[1], 0xc0..=0xc3 | 0xc9..=0xcb) && w[2] == 0)
            .unwrap();
        jpeg[frame + 5..frame + 7].copy_from_slice(&(height.min(65500) as u16).to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&(width.min(65500) as u16).to_be_bytes());
        files.push((format!("{name}.jpg"), jpeg));
    }

    let mut webp = Vec::new();
    small
        .write_to(
            &mut std::io::Cursor::new(&mut webp),
            image::ImageFormat::WebP,
        )
        .unwrap();
    // Lossless: 14 bits of width and height, each less one.
    let size = (width.min(1 << 14) - 1) | (height.min(1 << 14) - 1) << 14;
    let rest = u32::from_le_bytes(*webp[21..].first_chunk().unwrap()) & 0xf000_0000;
    webp[21..25].copy_from_slice(&(rest | size).to_le_bytes());
    files.push(("bomb.webp".to_owned(), webp));
    files
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
