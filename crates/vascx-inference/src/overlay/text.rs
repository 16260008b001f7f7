//! Text in pictures, in an 8 × 8 font.

use font8x8::legacy::BASIC_LEGACY;
use image::{Rgb, RgbImage};

const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const BLACK: Rgb<u8> = Rgb([0, 0, 0]);
/// Pixels of a letter's side, before it is enlarged.
const LETTER: u32 = 8;
/// Letters that a line has room for, except on small pictures.
const COLUMNS: u32 = 64;

/// Text broken into lines as wide as a picture.
pub(super) struct Text {
    lines: Vec<String>,
    /// Pixels of the picture for one of the font.
    scale: u32,
}

impl Text {
    /// For a picture of this width; line breaks of the text stay.
    pub(super) fn new(text: &str, width: u32) -> Self {
        let scale = (width / (LETTER * COLUMNS)).max(1);
        let columns = (width / (LETTER * scale)) as usize;
        let mut lines: Vec<String> = Vec::new();
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.len() + 1 + word.len() > columns {
                    lines.push(std::mem::take(&mut line));
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            lines.push(line);
        }
        Self { lines, scale }
    }

    pub(super) fn height(&self) -> u32 {
        self.lines.len() as u32 * self.pitch()
    }

    fn pitch(&self) -> u32 {
        (LETTER + 2) * self.scale
    }

    /// White on black, from row `top` on; what is beyond the picture is left out. Letters beyond ASCII
    /// become `?`.
    pub(super) fn write(&self, picture: &mut RgbImage, top: i64) {
        let (scale, pitch) = (i64::from(self.scale), i64::from(self.pitch()));
        let width = i64::from(picture.width());
        for (index, line) in (0..).zip(&self.lines) {
            let top = top + index * pitch;
            fill(picture, [0, top], [width, pitch], BLACK);
            for (column, letter) in (0..).zip(line.chars()) {
                let left = column * i64::from(LETTER) * scale;
                let unknown = &BASIC_LEGACY[usize::from(b'?')];
                let rows = BASIC_LEGACY.get(letter as usize).unwrap_or(unknown);
                for (y, row) in (0..).zip(rows) {
                    for x in (0..8).filter(|x| row >> x & 1 == 1) {
                        let at = [left + x * scale, top + (y + 1) * scale];
                        fill(picture, at, [scale, scale], WHITE);
                    }
                }
            }
        }
    }
}

/// A picture with a strip of text below.
pub(super) fn caption_below(picture: &RgbImage, caption: &str) -> RgbImage {
    let (width, height) = picture.dimensions();
    let text = Text::new(caption, width);
    let mut pixels = picture.as_raw().clone();
    pixels.resize(3 * width as usize * (height + text.height()) as usize, 0);
    let mut captioned =
        RgbImage::from_raw(width, height + text.height(), pixels).expect("three bytes per pixel");
    text.write(&mut captioned, i64::from(height));
    captioned
}

fn fill(picture: &mut RgbImage, [left, top]: [i64; 2], [width, height]: [i64; 2], colour: Rgb<u8>) {
    for y in top..top + height {
        for x in left..left + width {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
            {
                *pixel = colour;
            }
        }
    }
}
