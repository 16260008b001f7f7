//! Grids of the retina and their fields.

use crate::geometry::Point;
use crate::landmarks::{Fovea, Landmarks};
use crate::mask::Mask;
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
            let mut mask =
                Mask::from_fn(width, height, |y, x| part(Point::new(y as f64, x as f64)));
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

/// The shape of a whole grid; none for one that covers all that is visible.
fn shape(grid: Grid, landmarks: &Landmarks) -> Result<Option<Shape>, Reason> {
    let disc = &landmarks.disc;
    let fovea = || landmarks.fovea.clone();
    let middle = |fovea: Fovea| (disc.center + fovea.position) * 0.5;
    Ok(Some(match grid {
        Grid::Hemifield => {
            fovea()?;
            return Ok(None);
        }
        Grid::Ellipse => {
            let (fovea, (_, radius)) = (fovea()?, disc.circle()?);
            let (center, axis) = (middle(fovea), fovea.distance / 2.0 + radius);
            let along = fovea.direction;
            let within = move |point: Point| {
                let from = point - center;
                let (a, b) = (from.dot(along), from.x * along.y - from.y * along.x);
                (a / axis).powi(2) + (b / (1.5 * axis)).powi(2) <= 1.0
            };
            Shape {
                center,
                reach: 1.5 * axis,
                within: Box::new(within),
            }
        }
        Grid::DiscRing {
            multiplier,
            band_crop,
            ..
        } => {
            let (fovea, (center, inner)) = (fovea()?, disc.circle()?);
            let outer = inner + 0.6 * multiplier * fovea.distance;
            let band = band(center, fovea, outer, band_crop);
            let within = move |point: Point| {
                let distance = point.distance(center);
                distance >= inner && distance < outer && band(point)
            };
            Shape {
                center,
                reach: outer,
                within: Box::new(within),
            }
        }
        Grid::Etdrs { multiplier } => {
            let fovea = fovea()?;
            let (center, scale) = (fovea.position, fovea.mm_per_pixel);
            let radius = 3.0 * multiplier;
            let within = move |point: Point| point.distance(center) * scale < radius;
            Shape {
                center,
                reach: radius / scale,
                within: Box::new(within),
            }
        }
        Grid::MaculaCircle {
            center,
            multiplier,
            band_crop,
        } => {
            let fovea = fovea()?;
            let center = disc.center + (fovea.position - disc.center) * center;
            let radius = multiplier * fovea.distance + disc.circle()?.1;
            let band = band(center, fovea, radius, band_crop);
            let within = move |point: Point| point.distance(center) < radius && band(point);
            Shape {
                center,
                reach: radius,
                within: Box::new(within),
            }
        }
        Grid::DiscOnly { radius } => {
            let (center, _) = disc.circle()?;
            let within = move |point: Point| point.distance(center) <= radius;
            Shape {
                center,
                reach: radius,
                within: Box::new(within),
            }
        }
    }))
}

/// Whether a point lies so near to the line from disc to fovea that it is not cropped.
fn band(center: Point, fovea: Fovea, radius: f64, crop: f64) -> impl Fn(Point) -> bool {
    let across = move |point: Point| {
        let from = point - center;
        (from.x * fovea.direction.y - from.y * fovea.direction.x).abs()
    };
    move |point| crop == 0.0 || across(point) <= radius * (1.0 - 2.0 * crop)
}

/// The part of a grid that a field is.
fn part(grid: Grid, field: Field, landmarks: &Landmarks) -> Result<Part, Reason> {
    if field == Field::Full {
        return Ok(Box::new(|_| true));
    }
    let disc = &landmarks.disc;
    if let Grid::DiscOnly { .. } = grid {
        let (center, _) = disc.circle()?;
        let part: Part = match field {
            Field::Superior => Box::new(move |point| point.y < center.y),
            Field::Inferior => Box::new(move |point| point.y >= center.y),
            Field::Left => Box::new(move |point| point.x < center.x),
            _ => Box::new(move |point| point.x >= center.x),
        };
        return Ok(part);
    }
    let fovea = landmarks.fovea.clone()?;
    let center = match grid {
        Grid::DiscRing { .. } => disc.circle()?.0,
        Grid::Etdrs { .. } => fovea.position,
        Grid::MaculaCircle { center, .. } => disc.center + (fovea.position - disc.center) * center,
        _ => (disc.center + fovea.position) * 0.5,
    };
    let along = fovea.position - disc.center;
    // Turned so that "above" is up on screen in both eyes. The angle's sine and cosine, not the unit
    // vector, decide on which side pixels on the line are.
    let (sine, cosine) = along.y.atan2(along.x).sin_cos();
    let (sine, cosine) = if cosine < 0.0 {
        (-sine, -cosine)
    } else {
        (sine, cosine)
    };
    let height = move |point: Point| -(point.x - center.x) * sine + (point.y - center.y) * cosine;
    let part: Part = match field {
        Field::Superior => Box::new(move |point| height(point) < 0.0),
        Field::Inferior => Box::new(move |point| height(point) >= 0.0),
        Field::Temporal => Box::new(move |point| (point - center).dot(along) > 0.0),
        Field::Nasal => Box::new(move |point| (point - center).dot(along) <= 0.0),
        Field::Full | Field::Left | Field::Right => Box::new(|_| true),
    };
    Ok(part)
}
