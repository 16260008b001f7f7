//! Antialiased drawing in the pixels of a crop.

use std::path::Path as FilePath;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, Transform,
};
use vascx_biomarkers::{Mask, Point};
use vascx_inference::{Durability, write_whole};

use super::colours::Colour;
use super::text;
use crate::error::{Error, Result};

/// A picture of a square crop. Points are in the frame of cells: the pixel (y, x) covers
/// y … y + 1 and x … x + 1.
pub(super) struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    /// A black picture.
    pub(super) fn black(width: usize, height: usize) -> Self {
        let pixmap = Pixmap::new(width.max(1) as u32, height.max(1) as u32);
        let mut pixmap = pixmap.expect("pictures have a few thousand pixels a side");
        pixmap.fill(Color::BLACK);
        Self { pixmap }
    }

    /// The photograph in grey and darkened, so that what is drawn stands out.
    pub(super) fn over(side: usize, rgb: Option<&[u8]>) -> Self {
        let mut canvas = Self::black(side, side);
        if let Some(rgb) = rgb {
            let pixels = canvas.pixmap.data_mut().chunks_exact_mut(4);
            for (pixel, colour) in pixels.zip(rgb.chunks_exact(3)) {
                let sum =
                    3 * u32::from(colour[0]) + 6 * u32::from(colour[1]) + u32::from(colour[2]);
                pixel[..3].fill((sum * 11 / 200) as u8);
            }
        }
        canvas
    }

    /// Lays a colour over the pixels of a mask.
    pub(super) fn tint(&mut self, mask: &Mask, colour: Colour, opacity: f32) {
        let width = self.pixmap.width() as usize;
        for y in 0..mask.height() {
            for x in mask.columns(y) {
                self.mix(4 * (y * width + x), colour, opacity);
            }
        }
    }

    /// Lays a colour over each pixel that has one.
    pub(super) fn paint(&mut self, colour: impl Fn(usize, usize) -> Option<Colour>, opacity: f32) {
        let (width, height) = (self.pixmap.width() as usize, self.pixmap.height() as usize);
        for y in 0..height {
            for x in 0..width {
                if let Some(colour) = colour(y, x) {
                    self.mix(4 * (y * width + x), colour, opacity);
                }
            }
        }
    }

    fn mix(&mut self, at: usize, colour: Colour, opacity: f32) {
        for (value, target) in self.pixmap.data_mut()[at..at + 3].iter_mut().zip(colour.0) {
            *value = (f32::from(*value) * (1.0 - opacity) + f32::from(target) * opacity) as u8;
        }
    }

    /// Pixels of the mask that touch others.
    pub(super) fn outline(&mut self, mask: &Mask, colour: Colour) {
        let edge = |y: usize, x: usize| {
            let (y, x) = (y as i64, x as i64);
            let beside = [(y - 2, x), (y + 2, x), (y, x - 2), (y, x + 2)];
            let touches = beside.iter().any(|&(y, x)| !mask.get(y, x));
            (mask.get(y, x) && touches).then_some(colour)
        };
        self.paint(edge, 0.9);
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: &[Point], colour: Colour, width: f32) {
        let mut builder = PathBuilder::new();
        for (index, point) in points.iter().enumerate() {
            if index == 0 {
                builder.move_to(point.x as f32, point.y as f32);
            } else {
                builder.line_to(point.x as f32, point.y as f32);
            }
        }
        if let Some(path) = builder.finish() {
            self.stroke(&path, colour, width);
        }
    }

    pub(super) fn circle(&mut self, center: Point, radius: f64, colour: Colour, width: f32) {
        if let Some(path) = circle(center, radius) {
            self.stroke(&path, colour, width);
        }
    }

    pub(super) fn dot(&mut self, center: Point, radius: f64, colour: Colour) {
        if let Some(path) = circle(center, radius) {
            self.fill(&path, colour);
        }
    }

    /// A cross that stands out from anything below it.
    pub(super) fn cross(&mut self, center: Point, arm: f64, colour: Colour) {
        for (width, colour) in [(5.0, Colour::BLACK), (2.5, colour)] {
            for (dy, dx) in [(arm, arm), (arm, -arm)] {
                let ends = [Point::new(-dy, -dx), Point::new(dy, dx)].map(|end| center + end);
                self.line(&ends, colour, width);
            }
        }
    }

    /// An arc around a point from one direction to another, the short way.
    pub(super) fn arc(
        &mut self,
        center: Point,
        radius: f64,
        ends: [Point; 2],
        colour: Colour,
        width: f32,
    ) {
        let [from, to] = ends.map(|end| end.y.atan2(end.x));
        let mut turn = to - from;
        if turn.abs() > std::f64::consts::PI {
            turn -= turn.signum() * std::f64::consts::TAU;
        }
        let points: Vec<Point> = (0..=32)
            .map(|step| {
                let angle = from + turn * f64::from(step) / 32.0;
                center + Point::new(angle.sin(), angle.cos()) * radius
            })
            .collect();
        self.line(&points, colour, width);
    }

    /// Text whose baseline begins at `at`, with a dark rim.
    pub(super) fn text(&mut self, text: &str, at: Point, size: f32, colour: Colour) {
        if let Some(path) = text::outline(text, at.x as f32, at.y as f32, size) {
            self.stroke(&path, Colour::BLACK, size / 5.0);
            self.fill(&path, colour);
        }
    }

    fn stroke(&mut self, path: &Path, colour: Colour, width: f32) {
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.pixmap
            .stroke_path(path, &paint(colour), &stroke, Transform::identity(), None);
    }

    fn fill(&mut self, path: &Path, colour: Colour) {
        let identity = Transform::identity();
        self.pixmap
            .fill_path(path, &paint(colour), FillRule::Winding, identity, None);
    }

    /// Puts a picture at a place, cutting off what does not fit.
    pub(super) fn put(&mut self, other: &Self, x: usize, y: usize) {
        let [width, other_width] = [&self.pixmap, &other.pixmap].map(|map| map.width() as usize);
        let length = 4 * other_width.min(width - x);
        let below = self.pixmap.data_mut().chunks_exact_mut(4 * width).skip(y);
        for (to, from) in below.zip(other.pixmap.data().chunks_exact(4 * other_width)) {
            to[4 * x..][..length].copy_from_slice(&from[..length]);
        }
    }

    /// Writes the picture as PNG.
    pub(super) fn save(&self, path: &FilePath) -> Result<()> {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        let pixels = self.pixmap.data().chunks_exact(4);
        let rgb: Vec<u8> = pixels
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect();
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(|error| Error::output(path, error))?;
        write_whole(path, Durability::Full, |file| file.write_all(&png))?;
        Ok(())
    }
}

fn circle(center: Point, radius: f64) -> Option<Path> {
    PathBuilder::from_circle(center.x as f32, center.y as f32, radius as f32)
}

fn paint(Colour([r, g, b]): Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}
