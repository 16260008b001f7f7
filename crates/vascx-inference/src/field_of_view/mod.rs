//! Finding the field of view: the lit circle, perhaps cut by straight edges, in its dark surround.
//!
//! The method is that of retinalysis-fundusprep 1.3.0, with which the released models were trained:
//! on a thumbnail of the red channel, the rim is the cheapest path around the centre; a circle and
//! up to four straight edges are fitted to it. Coordinates are (x, y) pixel indices.

mod chord;
mod circle;
mod draws;
mod rim;
mod thumbnail;

pub(crate) use chord::{Lines, Rectangle};

use serde::{Deserialize, Serialize};

use crate::geometry::{Geometry, Point, Size};
use crate::photograph::Photograph;
use chord::visible;
use circle::Circle;
use rim::Rim;
use thumbnail::Thumbnail;

/// Share of the rim on the circle above which no straight edges are looked for.
const WHOLE_CIRCLE: f64 = 0.85;
/// Share of the rim on the circle below which the circle is fitted to the corners.
const CORNERS_ONLY: f64 = 0.3;
/// Corners fade softly; the circle through them is too large by this factor.
const CORNER_FIT_SHRINK: f64 = 0.95;

/// How a field of view was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A circle that nearly the whole rim lies on.
    Circle,
    /// A circle, cut by straight edges where there are any.
    CircleAndLines,
    /// A circle through the four corners, for a nearly rectangular field.
    CornerFit,
    /// The photograph has no dark surround.
    FullFrame,
    /// Nothing was found; treated as if there were no dark surround.
    NotFound,
}

impl Method {
    /// Name as in `bounds.json` and `manifest.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::CircleAndLines => "circle_and_lines",
            Self::CornerFit => "corner_fit",
            Self::FullFrame => "full_frame",
            Self::NotFound => "not_found",
        }
    }
}

/// The field of view of a photograph, in the photograph's pixel indices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldOfView {
    /// Height and width of the photograph.
    pub(crate) hw: [usize; 2],
    /// How it was found.
    pub(crate) method: Method,
    pub(crate) center: [f64; 2],
    pub(crate) radius: f64,
    /// Straight edges, each by two points on it.
    pub(crate) lines: Lines,
    /// Bounds of what the straight edges leave visible; ends are exclusive.
    pub(crate) rect: Rectangle,
}

impl FieldOfView {
    /// Finds the field of view. The same photograph always gives the same answer.
    pub fn find(photograph: &Photograph) -> Self {
        let size = Size::of(photograph);
        let thumbnail = Thumbnail::new(photograph);
        if thumbnail.is_dark() {
            return Self::not_found(size);
        }
        if !thumbnail.has_surround() {
            return Self::full_frame(size, &thumbnail);
        }
        let rim = Rim::trace(&thumbnail);
        let found = rim.circle();
        let support = found.map_or(0.0, |circle| circle.support(&rim.points));
        let (circle, lines, method) = if support > WHOLE_CIRCLE {
            (found, Lines::default(), Method::Circle)
        } else if support < CORNERS_ONLY {
            let corners = Circle::fit(&rim.corners()).map(|circle| Circle {
                radius: circle.radius * CORNER_FIT_SHRINK,
                ..circle
            });
            (corners, rim.lines(), Method::CornerFit)
        } else {
            (found, rim.lines(), Method::CircleAndLines)
        };
        let Some(circle) = circle else {
            return Self::not_found(size);
        };
        let circle = Circle {
            centre: thumbnail.to_photograph(circle.centre),
            radius: circle.radius / thumbnail.scale,
        };
        let lines = lines.map(|point| thumbnail.to_photograph(point));
        Self::checked(size, circle, lines, method).unwrap_or_else(|| Self::not_found(size))
    }

    /// None when the bounds are impossible: the visible part must hold the middle of the photograph
    /// and of the circle.
    fn checked(size: Size, circle: Circle, lines: Lines, method: Method) -> Option<Self> {
        let found = Self::new(size, circle, lines, method);
        let finite = circle.radius.is_finite() && circle.radius > 0.0;
        let holds_middle = || {
            let in_crop = found.visible_in_crop(1024);
            found.rect.holds_middle_of(size) && in_crop.holds_middle_of(Size::square(1024))
        };
        (finite && holds_middle()).then_some(found)
    }

    fn new(size: Size, circle: Circle, lines: Lines, method: Method) -> Self {
        Self {
            hw: [size.height, size.width],
            method,
            center: [circle.centre.x, circle.centre.y],
            radius: circle.radius,
            rect: visible(&circle, &lines, size),
            lines,
        }
    }

    /// No dark surround: the circle around the thumbnail's square.
    fn full_frame(size: Size, thumbnail: &Thumbnail) -> Self {
        let circle = thumbnail.circle_around();
        Self::checked(size, circle, Lines::default(), Method::FullFrame)
            .expect("a circle around the whole photograph")
    }

    /// Everything counts as visible: the circle around the photograph.
    fn not_found(size: Size) -> Self {
        let (width, height) = (size.width as f64, size.height as f64);
        let circle = Circle {
            centre: Point {
                x: width / 2.0,
                y: height / 2.0,
            },
            radius: (width / 2.0).hypot(height / 2.0) + (0.001 * width.max(height)).max(1.0),
        };
        Self::new(size, circle, Lines::default(), Method::NotFound)
    }

    /// As Python prints it, in the form that retinalysis-vascx writes to `bounds.csv`.
    pub(crate) fn to_python(&self) -> String {
        let [height, width] = self.hw;
        let [x, y] = self.center;
        format!(
            "{{'hw': ({height}, {width}), 'center': ({x:?}, {y:?}), 'radius': {:?}, 'lines': {}}}",
            self.radius,
            self.lines.to_python()
        )
    }

    /// How it was found.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Centre of the circle (x, y) as pixel indices.
    pub fn centre(&self) -> Point {
        Point {
            x: self.center[0],
            y: self.center[1],
        }
    }

    /// Radius of the circle in pixels.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    /// Size of the photograph.
    pub(crate) fn photograph(&self) -> Size {
        let [height, width] = self.hw;
        Size { width, height }
    }

    /// The crop to a square of side `crop`, resized to `input_size`.
    pub(crate) fn geometry(&self, crop: usize, input_size: usize) -> Geometry {
        Geometry::cropped(
            self.photograph(),
            self.centre(),
            self.radius,
            crop,
            input_size,
        )
    }

    /// What the straight edges leave visible of the crop of side `size`.
    pub(crate) fn visible_in_crop(&self, size: usize) -> Rectangle {
        let geometry = self.geometry(size, size);
        let middle = size as f64 / 2.0;
        let circle = Circle {
            centre: Point {
                x: middle,
                y: middle,
            },
            radius: middle,
        };
        let lines = self.lines.map(|point| {
            let point = geometry.point_to_input(point);
            Point {
                x: point.x,
                y: point.y,
            }
        });
        visible(&circle, &lines, Size::square(size))
    }
}

#[cfg(test)]
mod tests;
