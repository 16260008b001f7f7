//! Letters as shapes, from the font that the program carries.

use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, OutlineBuilder};

static FONT: &[u8] = include_bytes!("../../../assets/labels.ttf");

/// Outlines of a text whose baseline begins at a place; `size` is the height of the line in pixels.
/// Letters that the font lacks become a box.
pub(super) fn outline(text: &str, x: f32, y: f32, size: f32) -> Option<Path> {
    let face = face();
    let scale = size / f32::from(face.units_per_em());
    let mut pen = Pen {
        path: PathBuilder::new(),
        x,
        y,
        scale,
    };
    for letter in text.chars() {
        let glyph = face.glyph_index(letter).unwrap_or_default();
        face.outline_glyph(glyph, &mut pen);
        pen.x += scale * f32::from(face.glyph_hor_advance(glyph).unwrap_or_default());
    }
    pen.path.finish()
}

fn face() -> Face<'static> {
    Face::parse(FONT, 0).expect("the font is part of the program")
}

struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Pen {
    /// Fonts count upward from the baseline.
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + self.scale * x, self.y - self.scale * y)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2)) = (self.place(x1, y1), self.place(x2, y2));
        let (x, y) = self.place(x, y);
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_shapes_and_widths() {
        for letter in (' '..='~').chain(['°', 'µ', '×', '–']) {
            assert!(face().glyph_index(letter).is_some(), "{letter}");
        }
        let bounds = outline("Wg", 10.0, 50.0, 20.0).unwrap().bounds();
        assert!(bounds.left() >= 9.0 && bounds.right() <= 10.5 + 40.0);
        // The g reaches below the baseline.
        assert!(bounds.top() > 30.0 && bounds.bottom() > 51.0);
    }
}
