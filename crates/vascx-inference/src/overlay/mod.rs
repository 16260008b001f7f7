//! Drawing answers on the photograph, for a quick look.

mod eye;
mod options;
mod text;

use std::path::Path;

use image::{GrayImage, Rgb, RgbImage};

use crate::ensemble::{Answer, Keypoints, Landmarks};
use crate::error::Result;
use crate::geometry::Point;
use crate::output::write_picture;
use crate::photograph::Photograph;
pub use eye::EyeAnswers;
pub(crate) use options::encode;
pub use options::{OverlayFormat, OverlayOptions, OverlayStyle};
use text::Text;

const RED: Rgb<u8> = Rgb([230, 30, 30]);
const BLUE: Rgb<u8> = Rgb([40, 90, 255]);
const GREEN: Rgb<u8> = Rgb([40, 220, 60]);
const AMBER: Rgb<u8> = Rgb([255, 180, 0]);
const CYAN: Rgb<u8> = Rgb([0, 240, 240]);
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const BLACK: Rgb<u8> = Rgb([0, 0, 0]);

/// Colours of the classes 1, 2, 3, … of a map: arteries, veins, crossings or uncertain, others.
const CLASSES: [Rgb<u8>; 5] = [RED, BLUE, GREEN, AMBER, CYAN];
/// Colours of the quality grades, best first; further classes repeat the last.
const GRADES: [Rgb<u8>; 3] = [GREEN, AMBER, RED];
/// How much a class's colour covers the photograph.
const OPACITY: f32 = 0.7;

/// The colour of a class; further ones repeat the last.
fn colour_of(index: usize) -> Rgb<u8> {
    CLASSES[index.min(CLASSES.len() - 1)]
}

/// Of all classes whose bit is set, of which there is one.
fn mean_colour(bits: u8) -> Rgb<u8> {
    let present = (0..8).filter(|class| bits >> class & 1 == 1);
    let colours = present.map(|class| colour_of(class).0.map(u32::from));
    let sum = colours.fold([0; 3], |sum, colour| {
        [0, 1, 2].map(|channel| sum[channel] + colour[channel])
    });
    Rgb(sum.map(|value| (value / bits.count_ones()) as u8))
}

/// A photograph with answers drawn on it.
#[derive(Clone, Debug)]
pub struct Overlay {
    image: RgbImage,
}

impl Overlay {
    /// Starts from the photograph.
    pub fn new(photograph: &Photograph) -> Self {
        Self {
            image: photograph.rgb().clone(),
        }
    }

    /// The picture.
    pub(crate) fn image(&self) -> &RgbImage {
        &self.image
    }

    /// Draws an answer: several classes as colours (arteries red, veins blue, crossings green), a
    /// single class as its outline, keypoints as crosses, class probabilities as a badge in the
    /// corner. Regressed values and embeddings leave the picture as it is.
    pub fn draw(&mut self, answer: &Answer) {
        match answer {
            Answer::Segmentation(segmentation) if segmentation.classes > 2 => {
                self.colour(&segmentation.class_map, |class| {
                    usize::from(class).checked_sub(1).map(colour_of)
                });
            }
            Answer::Segmentation(segmentation) => self.outline(&segmentation.class_map),
            Answer::Overlaps(overlaps) if overlaps.classes > 1 => {
                // Of two, the bits are those of a map of arteries and veins.
                let two = overlaps.classes == 2;
                self.colour(&overlaps.bits, |bits| match bits {
                    0 => None,
                    bits if two => Some(colour_of(usize::from(bits) - 1)),
                    bits => Some(mean_colour(bits)),
                });
            }
            Answer::Overlaps(overlaps) => self.outline(&overlaps.bits),
            Answer::Keypoints(Keypoints { points, .. })
            | Answer::Landmarks(Landmarks { points, .. }) => {
                for point in points {
                    self.cross(*point);
                }
            }
            Answer::Classification(classification) => self.badge(&classification.probabilities),
            Answer::Regression(_) | Answer::Embedding(_) => {}
        }
    }

    /// Writes a text at the lower edge, such as a model's notice. Letters beyond ASCII become `?`.
    pub fn caption(&mut self, text: &str) {
        let text = Text::new(text, self.image.width());
        let top = i64::from(self.image.height()) - i64::from(text.height());
        text.write(&mut self.image, top);
    }

    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_picture(path, &self.image)
    }

    /// Line thickness that is visible at 300 pixels and not clumsy at full size.
    fn thickness(&self) -> i64 {
        i64::from(self.image.width().max(self.image.height()) / 300).max(1)
    }

    fn put(&mut self, x: i64, y: i64, colour: Rgb<u8>) {
        if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
            && let Some(pixel) = self.image.get_pixel_mut_checked(x, y)
        {
            *pixel = colour;
        }
    }

    fn colour(&mut self, classes: &GrayImage, colour: impl Fn(u8) -> Option<Rgb<u8>>) {
        for (pixel, class) in self.image.pixels_mut().zip(classes.pixels()) {
            if let Some(colour) = colour(class.0[0]) {
                for (value, target) in pixel.0.iter_mut().zip(colour.0) {
                    let mixed = f32::from(*value) * (1.0 - OPACITY) + f32::from(target) * OPACITY;
                    *value = mixed as u8;
                }
            }
        }
    }

    /// The border of class 1, drawn inside it.
    fn outline(&mut self, classes: &GrayImage) {
        let reach = self.thickness();
        let inside = |x: i64, y: i64| {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
                return false;
            };
            classes
                .get_pixel_checked(x, y)
                .is_some_and(|class| class.0[0] == 1)
        };
        for (x, y, class) in classes.enumerate_pixels() {
            let (x, y) = (i64::from(x), i64::from(y));
            let neighbours = [(reach, 0), (-reach, 0), (0, reach), (0, -reach)];
            if class.0[0] == 1 && neighbours.iter().any(|(dx, dy)| !inside(x + dx, y + dy)) {
                self.put(x, y, CYAN);
            }
        }
    }

    /// A white cross with a black rim.
    fn cross(&mut self, point: Point) {
        let (x, y) = (point.x.floor() as i64, point.y.floor() as i64);
        let (arm, half) = (12 * self.thickness(), self.thickness() / 2);
        for (rim, colour) in [(self.thickness(), BLACK), (0, WHITE)] {
            for along in -arm - rim..=arm + rim {
                for across in -half - rim..=half + rim {
                    self.put(x + along, y + across, colour);
                    self.put(x + across, y + along, colour);
                }
            }
        }
    }

    /// A disc in the colour of the most probable class, with a white rim.
    fn badge(&mut self, probabilities: &[f32]) {
        let best = probabilities
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1));
        let Some((grade, _)) = best else { return };
        let colour = GRADES[grade.min(GRADES.len() - 1)];
        let radius = 12 * self.thickness();
        let centre = radius + 4 * self.thickness();
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let distance = ((dx * dx + dy * dy) as f64).sqrt() as i64;
                if distance <= radius {
                    let rim = distance > radius - 2 * self.thickness();
                    self.put(centre + dx, centre + dy, if rim { WHITE } else { colour });
                }
            }
        }
    }
}
