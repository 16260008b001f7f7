//! Grids of the retina and their fields.

use crate::geometry::Point;
use crate::landmarks::Landmarks;
use crate::mask::{Mask, first_place};
use crate::reason::Reason;

/// A division of the retina, placed by disc and fovea.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grid {
    /// Halves above and below the line from disc to fovea.
    Hemifield,
    /// Ellipse around the middle between disc and fovea.
    Ellipse,
    /// Ring around the disc, 0.6 × `multiplier` disc–fovea distances wide.
    DiscRing {
        /// Name it goes by: `disc` or `crcl`.
        name: &'static str,
        /// Width, in 0.6 disc–fovea distances.
        multiplier: f64,
        /// Share of the height left out at top and bottom each.
        band_crop: f64,
    },
    /// Circles of 0.5, 1.5 and 3 mm around the fovea, times `multiplier`.
    Etdrs {
        /// Factor of the radii.
        multiplier: f64,
    },
    /// Circle on the line from disc to fovea.
    MaculaCircle {
        /// Centre, in disc–fovea distances from the disc.
        center: f64,
        /// Radius without the disc's, in disc–fovea distances.
        multiplier: f64,
        /// Share of the height left out at top and bottom each.
        band_crop: f64,
    },
    /// Circle around the disc in pixels, quarters by the image's axes.
    DiscOnly {
        /// Radius in pixels.
        radius: f64,
    },
}

impl Grid {
    /// As in a variable's name.
    pub fn token(self) -> &'static str {
        match self {
            Self::Hemifield => "hf",
            Self::Ellipse => "elps",
            Self::DiscRing { name, .. } => name,
            Self::Etdrs { .. } => "etdrs",
            Self::MaculaCircle { .. } => "crcl",
            Self::DiscOnly { .. } => "od",
        }
    }

    /// As in a display name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hemifield => "Hemifield",
            Self::Ellipse => "Ellipse",
            Self::DiscRing { .. } => "Disc",
            Self::Etdrs { .. } => "ETDRS",
            Self::MaculaCircle { .. } => "Circle",
            Self::DiscOnly { .. } => "OD-only",
        }
    }

    /// Share of a field that must be visible, where the grid itself says so.
    pub fn visible_share(self) -> Option<f64> {
        matches!(self, Self::DiscOnly { .. }).then_some(0.95)
    }
}

/// A part of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The whole grid.
    Full,
    /// Above the line from disc to fovea.
    Superior,
    /// Below it.
    Inferior,
    /// Towards the fovea.
    Temporal,
    /// Away from it.
    Nasal,
    /// Left in the image.
    Left,
    /// Right in the image.
    Right,
}

impl Field {
    /// As in a variable's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Superior => "superior",
            Self::Inferior => "inferior",
            Self::Temporal => "temporal",
            Self::Nasal => "nasal",
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// A field in the pixels of the crop.
#[derive(Clone, Debug)]
pub struct Area {
    /// Its pixels inside the image.
    pub mask: Mask,
    /// Share of the whole field, outside the image too, that is visible retina.
    pub visible_share: f64,
}

/// Whether a pixel belongs to a part of the image.
type Part = Box<dyn Fn(Point) -> bool>;

/// Where a field's pixels lie.
struct Shape {
    center: Point,
    /// Distance from the centre beyond which no pixel lies.
    reach: f64,
    within: Part,
}

impl Area {
    pub(crate) fn of(
        grid: Grid,
        field: Field,
        landmarks: &Landmarks,
        region: &Mask,
    ) -> Result<Self, Reason> {
        let (width, height) = (region.width(), region.height());
        let part = part(grid, field, landmarks)?;
        let Some(Shape {
            center,
            reach,
            within,
        }) = shape(grid, landmarks)?
        else {
            // Each part is a half of the image, so that a row goes from one side to the other once.
            let mut mask = Mask::from_stretches(width, height, |y| {
                let holds = |x: usize| part(Point::new(y as f64, x as f64));
                let first = holds(0);
                let border = first_place(width, |x| holds(x) != first);
                if first { 0..border } else { border..width }
            });
            mask.keep(region);
            return Ok(Self {
                mask,
                visible_share: 1.0,
            });
        };
        let mut mask = Mask::new(width, height);
        // So large that hardly any of it can be visible.
        if reach > 8.0 * (width.max(height) as f64) {
            return Ok(Self {
                mask,
                visible_share: 0.0,
            });
        }
        let low = |middle: f64| (middle - reach).floor() as i64;
        let high = |middle: f64| (middle + reach).ceil() as i64;
        let mut pixels = 0_usize;
        for y in low(center.y)..=high(center.y) {
            for x in low(center.x)..=high(center.x) {
                let point = Point::new(y as f64, x as f64);
                if within(point) && part(point) {
                    pixels += 1;
                    if (0..height as i64).contains(&y) && (0..width as i64).contains(&x) {
                        mask.set(y as usize, x as usize, true);
                    }
                }
            }
        }
        let visible = mask.count_common(region);
        Ok(Self {
            mask,
            visible_share: visible as f64 / pixels as f64,
        })
    }
}

/// The line from disc to fovea.
#[derive(Clone, Copy)]
struct Axis {
    /// Unit vector from the disc to the fovea.
    along: Point,
    /// Unit vector across, down on screen in both eyes.
    down: Point,
}

impl Axis {
    fn of(landmarks: &Landmarks) -> Result<Self, Reason> {
        let to_fovea = landmarks.fovea.clone()?.position - landmarks.disc.center;
        // By way of degrees and the angle's sine and cosine: the last bit decides on which side pixels
        // on a line are.
        let angle = to_fovea.y.atan2(to_fovea.x).to_degrees().to_radians();
        let turned = if angle.cos() < 0.0 {
            angle + std::f64::consts::PI
        } else {
            angle
        };
        Ok(Self {
            along: Point::new(angle.sin(), angle.cos()),
            down: Point::new(turned.cos(), -turned.sin()),
        })
    }
}

/// The middle of a grid.
fn center(grid: Grid, landmarks: &Landmarks) -> Result<Point, Reason> {
    let disc = &landmarks.disc;
    let towards_fovea = |share: f64| -> Result<Point, Reason> {
        let fovea = landmarks.fovea.clone()?;
        Ok(disc.center + (fovea.position - disc.center) * share)
    };
    match grid {
        Grid::Hemifield | Grid::Ellipse => towards_fovea(0.5),
        Grid::MaculaCircle { center, .. } => towards_fovea(center),
        Grid::DiscRing { .. } | Grid::DiscOnly { .. } => Ok(disc.circle()?.0),
        Grid::Etdrs { .. } => Ok(landmarks.fovea.clone()?.position),
    }
}

/// The shape of a whole grid; none for one that covers all that is visible.
fn shape(grid: Grid, landmarks: &Landmarks) -> Result<Option<Shape>, Reason> {
    let disc = &landmarks.disc;
    let fovea = || landmarks.fovea.clone();
    let center = center(grid, landmarks)?;
    let (reach, within): (f64, Part) = match grid {
        Grid::Hemifield => return Ok(None),
        Grid::Ellipse => {
            let (axis, (_, radius)) = (Axis::of(landmarks)?, disc.circle()?);
            let semi = fovea()?.distance / 2.0 + radius;
            let [short, long] = [semi, 1.5 * semi].map(|axis| axis * axis);
            let within = move |point: Point| {
                let from = point - center;
                let (along, across) = (from.dot(axis.along), from.dot(axis.down));
                along * along / short + across * across / long <= 1.0
            };
            (1.5 * semi, Box::new(within))
        }
        Grid::DiscRing {
            multiplier,
            band_crop,
            ..
        } => {
            let (fovea, (_, radius)) = (fovea()?, disc.circle()?);
            // In millimetres, as the reference compares them.
            let scale = fovea.mm_per_pixel;
            let inner = scale * radius;
            let outer = inner + 0.6 * multiplier * (scale * fovea.distance);
            let band = band(center, Axis::of(landmarks)?, outer / scale, band_crop);
            let within = move |point: Point| {
                let distance = scale * point.distance(center);
                distance >= inner && distance < outer && band(point)
            };
            (outer / scale, Box::new(within))
        }
        Grid::Etdrs { multiplier } => {
            let scale = fovea()?.mm_per_pixel;
            let radius = 3.0 * multiplier;
            let within = move |point: Point| scale * point.distance(center) < radius;
            (radius / scale, Box::new(within))
        }
        Grid::MaculaCircle {
            multiplier,
            band_crop,
            ..
        } => {
            let radius = multiplier * fovea()?.distance + disc.circle()?.1;
            let band = band(center, Axis::of(landmarks)?, radius, band_crop);
            let within = move |point: Point| {
                let from = point - center;
                from.dot(from) <= radius * radius && band(point)
            };
            (radius, Box::new(within))
        }
        Grid::DiscOnly { radius } => {
            let within = move |point: Point| {
                let from = point - center;
                from.dot(from) <= radius * radius
            };
            (radius, Box::new(within))
        }
    };
    Ok(Some(Shape {
        center,
        reach,
        within,
    }))
}

/// Whether a point lies so near to the line from disc to fovea that it is not cropped.
fn band(center: Point, axis: Axis, radius: f64, crop: f64) -> impl Fn(Point) -> bool {
    let limit = radius * (1.0 - 2.0 * crop);
    move |point| crop == 0.0 || (point - center).dot(axis.down).abs() <= limit
}

/// The part of a grid that a field is.
fn part(grid: Grid, field: Field, landmarks: &Landmarks) -> Result<Part, Reason> {
    if field == Field::Full {
        return Ok(Box::new(|_| true));
    }
    let center = center(grid, landmarks)?;
    let (along, down) = match grid {
        Grid::DiscOnly { .. } => (Point::new(0.0, 1.0), Point::new(1.0, 0.0)),
        Grid::DiscRing { .. } => {
            let axis = Axis::of(landmarks)?;
            (axis.along, axis.down)
        }
        _ => {
            let Axis { along, down } = Axis::of(landmarks)?;
            // It is one but for the last bit, which decides about pixels on the line.
            let norm = down.y.hypot(down.x);
            (along, Point::new(down.y / norm, down.x / norm))
        }
    };
    let is_above = move |point: Point| (point - center).dot(down) < 0.0;
    let is_ahead = move |point: Point| (point - center).dot(along) > 0.0;
    Ok(match field {
        Field::Full => Box::new(|_| true),
        Field::Superior => Box::new(is_above),
        Field::Inferior => Box::new(move |point| !is_above(point)),
        Field::Temporal => Box::new(is_ahead),
        Field::Nasal => Box::new(move |point| !is_ahead(point)),
        Field::Left => Box::new(move |point| point.x < center.x),
        Field::Right => Box::new(move |point| point.x >= center.x),
    })
}
