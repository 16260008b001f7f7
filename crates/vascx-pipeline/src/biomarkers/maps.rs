//! Class maps from files, as the numbers that are in them.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use png::{ColorType, Decoder, Limits, Transformations};

/// Most memory that decoding a map may ask for.
const MEMORY: usize = 1 << 30;
/// Largest side of a map.
const LARGEST_SIDE: u32 = 8192;

/// A map with its samples as numbers.
struct Samples {
    width: usize,
    height: usize,
    /// Values per pixel.
    channels: usize,
    /// Row by row, interleaved; of 16-bit files the whole value.
    values: Vec<u16>,
}

/// A map of one value for each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

/// An artery/vein map: 1 artery, 2 vein, 3 both. A colour picture is read by its channels: red and
/// green mean artery, blue and green vein, from half of the brightest value on.
///
/// # Errors
/// Why the file is no such map.
pub(crate) fn read_artery_vein(path: &Path) -> Result<Map, String> {
    let samples = Samples::read(path)?;
    let pixels = match samples.channels {
        1 => samples
            .values
            .iter()
            .map(|&class| if class > 3 { 0 } else { class as u8 })
            .collect(),
        3 | 4 => colours(&samples),
        channels => return Err(format!("a map of {channels} channels; give 1, 3 or 4")),
    };
    Ok(samples.with(pixels))
}

/// A map of zeros and others; of a colour picture the red channel counts.
///
/// # Errors
/// Why the file is no such map.
pub(crate) fn read_mask(path: &Path) -> Result<Map, String> {
    let samples = Samples::read(path)?;
    let first = samples.values.iter().step_by(samples.channels);
    let pixels = if samples.channels == 4 {
        samples
            .values
            .chunks_exact(4)
            .map(|pixel| u8::from(on_black(pixel[0], pixel[3]) > 0))
            .collect()
    } else {
        first.map(|&value| u8::from(value > 0)).collect()
    };
    Ok(samples.with(pixels))
}

/// A photograph of `side` × `side` pixels, red, green and blue interleaved.
///
/// # Errors
/// Why it cannot be read, or its size.
pub(crate) fn read_photograph(path: &Path, side: usize) -> Result<Vec<u8>, String> {
    let reader = image::ImageReader::open(path).map_err(|error| error.to_string())?;
    let picture = reader
        .decode()
        .map_err(|error| error.to_string())?
        .into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if (width, height) != (side, side) {
        return Err(format!(
            "{width} × {height} pixels where {side} × {side} belong"
        ));
    }
    Ok(picture.into_raw())
}

impl Map {
    /// The map in another size, by the nearest pixel to the left and above.
    pub(crate) fn resized(self, side: usize) -> Self {
        if (self.width, self.height) == (side, side) {
            return self;
        }
        let scale = |length: usize| {
            let source = move |index: usize| (index * length / side).min(length - 1);
            (0..side).map(source).collect::<Vec<_>>()
        };
        let (rows, columns) = (scale(self.height), scale(self.width));
        let mut pixels = Vec::with_capacity(side * side);
        for row in rows {
            let row = &self.pixels[row * self.width..][..self.width];
            pixels.extend(columns.iter().map(|&column| row[column]));
        }
        Self {
            width: side,
            height: side,
            pixels,
        }
    }
}

impl Samples {
    fn with(self, pixels: Vec<u8>) -> Map {
        Map {
            width: self.width,
            height: self.height,
            pixels,
        }
    }

    fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let limits = Limits { bytes: MEMORY };
        let mut decoder = Decoder::new_with_limits(BufReader::new(file), limits);
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
        let (width, height) = reader.info().size();
        if width > LARGEST_SIDE || height > LARGEST_SIDE {
            return Err(format!(
                "{width} × {height} pixels; no map is larger than {LARGEST_SIDE}"
            ));
        }
        let size = reader.output_buffer_size().ok_or("too large")?;
        let mut bytes = vec![0; size];
        let info = reader
            .next_frame(&mut bytes)
            .map_err(|error| error.to_string())?;
        let channels = match info.color_type {
            ColorType::Grayscale | ColorType::Indexed => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
        };
        let per_row = width as usize * channels;
        let bits = info.bit_depth as usize;
        let mut values = Vec::with_capacity(per_row * height as usize);
        for row in bytes[..info.buffer_size()].chunks_exact(info.line_size) {
            if bits == 16 {
                let wide = row
                    .chunks_exact(2)
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                values.extend(wide.take(per_row));
            } else {
                let mask = u16::MAX >> (16 - bits);
                let shift = |index: usize| 8 - bits - index * bits % 8;
                let value =
                    |index: usize| (u16::from(row[index * bits / 8]) >> shift(index)) & mask;
                values.extend((0..per_row).map(value));
            }
        }
        Ok(Self {
            width: width as usize,
            height: height as usize,
            channels,
            values,
        })
    }
}

/// Classes of a colour picture.
fn colours(samples: &Samples) -> Vec<u8> {
    let pixel = |values: &[u16]| match *values {
        [r, g, b, alpha] => [r, g, b].map(|value| on_black(value, alpha)),
        [r, g, b] => [r, g, b],
        _ => [0; 3],
    };
    let pixels = || samples.values.chunks_exact(samples.channels).map(pixel);
    let (mut least, mut most, mut between) = (u16::MAX, 0, false);
    for value in pixels().flatten() {
        least = least.min(value);
        most = most.max(value);
    }
    for value in pixels().flatten() {
        between |= value != least && value != most;
    }
    if least == most {
        // A single colour has no foreground, unless it is 1.
        return vec![if most == 1 { 3 } else { 0 }; samples.width * samples.height];
    }
    // Half of the brightest, a half rounded to even, if there are more than two values.
    let threshold = if between {
        most / 2 + u16::from(most % 4 == 3)
    } else {
        most
    };
    pixels()
        .map(|pixel| {
            let [red, green, blue] = pixel.map(|value| value >= threshold);
            u8::from(red || green) + 2 * u8::from(blue || green)
        })
        .collect()
}

/// An 8-bit value laid over black.
fn on_black(value: u16, alpha: u16) -> u16 {
    let product = u32::from(value) * u32::from(alpha) + 128;
    (((product >> 8) + product) >> 8) as u16
}

#[cfg(test)]
mod tests {
    use std::io::BufWriter;

    use super::*;

    fn write(path: &Path, color: ColorType, depth: png::BitDepth, bytes: &[u8], size: (u32, u32)) {
        let file = BufWriter::new(File::create(path).unwrap());
        let mut encoder = png::Encoder::new(file, size.0, size.1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9; 12]);
        }
        encoder
            .write_header()
            .unwrap()
            .write_image_data(bytes)
            .unwrap();
    }

    #[test]
    fn palettes_and_few_bits_keep_their_classes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        // Five pixels of two bits in a row of two bytes: 0 1 2 3 1.
        let bytes = [0b0001_1011, 0b0100_0000];
        for color in [ColorType::Indexed, ColorType::Grayscale] {
            write(&path, color, png::BitDepth::Two, &bytes, (5, 1));
            assert_eq!(read_artery_vein(&path).unwrap().pixels, [0, 1, 2, 3, 1]);
            assert_eq!(read_mask(&path).unwrap().pixels, [0, 1, 1, 1, 1]);
        }
    }

    #[test]
    fn colours_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        let bytes = [255, 0, 0, 0, 0, 255, 0, 255, 0, 127, 128, 0, 0, 0, 0];
        write(&path, ColorType::Rgb, png::BitDepth::Eight, &bytes, (5, 1));
        assert_eq!(read_artery_vein(&path).unwrap().pixels, [1, 2, 3, 3, 0]);
        assert_eq!(read_mask(&path).unwrap().pixels, [1, 0, 0, 1, 0]);
    }

    #[test]
    fn discs_of_half_the_size_are_doubled() {
        let map = Map {
            width: 2,
            height: 1,
            pixels: vec![0, 1],
        };
        assert_eq!(map.resized(4).pixels, [0, 0, 1, 1].repeat(4));
    }
}
