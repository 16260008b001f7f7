//! The answers of a whole job, drawn on an eye's crop or on its photograph.

use image::{GrayImage, Rgb, RgbImage};
use rayon::prelude::*;

use super::OverlayStyle;
use crate::field_of_view::FieldOfView;
use crate::geometry::Point;
use crate::job::Role;

const ARTERY: Rgb<u8> = Rgb([255, 0, 0]);
const VEIN: Rgb<u8> = Rgb([0, 0, 255]);
const DISC: Rgb<u8> = Rgb([255, 255, 255]);
const FOVEA: Rgb<u8> = Rgb([255, 255, 0]);
/// Brighter where only lines or a veil are drawn, so that they stand out of dark vessels.
const ARTERY_LINE: Rgb<u8> = Rgb([255, 70, 70]);
const VEIN_LINE: Rgb<u8> = Rgb([70, 140, 255]);
/// Vessels, where arteries and veins are not told apart.
const VESSEL_LINE: Rgb<u8> = Rgb([60, 230, 90]);
/// Beyond this share of the field's radius nothing is painted but in the reference's style.
const RIM: f64 = 0.985;

/// The answers on an eye's crop, as far as there are any.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EyeAnswers {
    /// 1 artery, 2 vein, 3 both.
    pub artery_vein: Option<GrayImage>,
    /// 1 vessel.
    pub vessels: Option<GrayImage>,
    /// 1 disc.
    pub disc: Option<GrayImage>,
    /// In pixels of the crop.
    pub fovea: Option<Point>,
}

impl EyeAnswers {
    /// The map of a step.
    pub(crate) fn map(&self, role: Role) -> Option<&GrayImage> {
        match role {
            Role::ArteryVein => self.artery_vein.as_ref(),
            Role::Vessels => self.vessels.as_ref(),
            Role::Disc => self.disc.as_ref(),
            Role::Quality | Role::Fovea => None,
        }
    }

    /// Draws on the crop itself.
    pub fn draw_on_crop(&self, crop: &RgbImage, style: OverlayStyle) -> RgbImage {
        let side = crop.width().max(crop.height());
        let place = Place {
            scale: 1.0,
            offset: [0.0, 0.0],
            side: f64::from(side),
        };
        self.draw(crop, &place, style)
    }

    /// Draws on the photograph that the crop of side `side` was cut from; outlines are smooth at any
    /// size.
    pub fn draw_on_photograph(
        &self,
        photograph: &RgbImage,
        field: &FieldOfView,
        side: u32,
        style: OverlayStyle,
    ) -> RgbImage {
        let side = f64::from(side);
        let scale = side / (2.0 * field.radius());
        let Point { x, y } = field.centre();
        let place = Place {
            scale,
            offset: [x, y].map(|centre| side / 2.0 - centre * scale),
            side,
        };
        self.draw(photograph, &place, style)
    }

    fn draw(&self, picture: &RgbImage, place: &Place, style: OverlayStyle) -> RgbImage {
        let mut canvas = picture.clone();
        match style {
            OverlayStyle::Reference => self.draw_as_reference(&mut canvas, place),
            OverlayStyle::Contours => self.draw_vessels(&mut canvas, place, None),
            OverlayStyle::Tinted(opacity) => self.draw_vessels(&mut canvas, place, Some(opacity)),
        }
        if let Some(fovea) = self.fovea {
            let [x, y] = place.in_picture(fovea);
            // On the crop two pixels wide, as is the reference's.
            let width = (2.0 / place.scale).max(2.0);
            mark(&mut canvas, x, y, place.side / 50.0 / place.scale, width);
        }
        canvas
    }

    fn draw_as_reference(&self, canvas: &mut RgbImage, place: &Place) {
        let layers: [Painted; 3] = [
            (self.artery_vein.as_ref(), |class| class & 1 == 1, ARTERY),
            (self.artery_vein.as_ref(), |class| class & 2 == 2, VEIN),
            (self.disc.as_ref(), |class| class > 0, DISC),
        ];
        for (map, is_part, colour) in layers {
            let Some(map) = map else { continue };
            let layer = Layer::new(map, is_part, place);
            paint(canvas, |x, y| {
                layer.covers(x, y, place).then_some((colour, 1.0))
            });
        }
    }

    /// Outlines or veils of vessels, nothing of them on the rim, and the disc's outline.
    fn draw_vessels(&self, canvas: &mut RgbImage, place: &Place, opacity: Option<f32>) {
        let both = self.artery_vein.as_ref();
        let all = self.vessels.as_ref().filter(|_| both.is_none());
        let vessels: [Painted; 3] = [
            (both, |class| class & 1 == 1, ARTERY_LINE),
            (both, |class| class & 2 == 2, VEIN_LINE),
            (all, |class| class > 0, VESSEL_LINE),
        ];
        for (map, is_part, colour) in vessels {
            let Some(map) = map else { continue };
            let layer = Layer::new(map, is_part, place);
            match opacity {
                Some(opacity) => paint(canvas, |x, y| {
                    let covered = layer.covers(x, y, place) && !place.is_on_rim(x, y);
                    covered.then_some((colour, opacity))
                }),
                None => outline(canvas, &layer, place, colour, |x, y| !place.is_on_rim(x, y)),
            }
        }
        if let Some(map) = &self.disc {
            let layer = Layer::new(map, |class| class > 0, place);
            outline(canvas, &layer, place, DISC, |_, _| true);
        }
    }
}

/// A map, the pixels of it that are painted, and their colour.
type Painted<'m> = (Option<&'m GrayImage>, fn(u8) -> bool, Rgb<u8>);

/// Where a picture's pixels lie on the crop, as pixel indices: `index · scale + offset`.
struct Place {
    scale: f64,
    offset: [f64; 2],
    /// Side of the crop.
    side: f64,
}

impl Place {
    fn on_crop(&self, x: usize, y: usize) -> [f64; 2] {
        [
            x as f64 * self.scale + self.offset[0],
            y as f64 * self.scale + self.offset[1],
        ]
    }

    /// The pixel index of a point on the crop.
    fn in_picture(&self, point: Point) -> [f64; 2] {
        [
            (point.x - 0.5 - self.offset[0]) / self.scale,
            (point.y - 0.5 - self.offset[1]) / self.scale,
        ]
    }

    fn is_on_rim(&self, x: usize, y: usize) -> bool {
        let middle = self.side / 2.0;
        let [x, y] = self.on_crop(x, y);
        (x - middle).hypot(y - middle) > RIM * middle
    }
}

/// A class of a map as coverage of its pixels; smoothed where the picture is larger than the crop.
struct Layer {
    width: usize,
    height: usize,
    coverage: Vec<f32>,
    /// Whether pixels are the picture's own.
    exact: bool,
}

impl Layer {
    fn new(map: &GrayImage, is_part: impl Fn(u8) -> bool, place: &Place) -> Self {
        let (width, height) = (map.width() as usize, map.height() as usize);
        let pixels = map.as_raw().iter();
        let mut coverage: Vec<f32> = pixels
            .map(|&class| f32::from(u8::from(is_part(class))))
            .collect();
        let exact = (place.scale - 1.0).abs() < f64::EPSILON && place.offset == [0.0; 2];
        if !exact {
            coverage = blurred(&coverage, width, height);
        }
        Self {
            width,
            height,
            coverage,
            exact,
        }
    }

    fn at(&self, x: isize, y: isize) -> f32 {
        let inside = |value: isize, length: usize| {
            usize::try_from(value).ok().filter(|&value| value < length)
        };
        match (inside(x, self.width), inside(y, self.height)) {
            (Some(x), Some(y)) => self.coverage[y * self.width + x],
            _ => 0.0,
        }
    }

    /// Whether a pixel of the picture is part of the class.
    fn covers(&self, x: usize, y: usize, place: &Place) -> bool {
        if self.exact {
            return self.at(x as isize, y as isize) > 0.5;
        }
        let [u, v] = place.on_crop(x, y);
        let (left, top) = (u.floor(), v.floor());
        let (a, b) = ((u - left) as f32, (v - top) as f32);
        let (left, top) = (left as isize, top as isize);
        let row = |y: isize| self.at(left, y) * (1.0 - a) + self.at(left + 1, y) * a;
        row(top) * (1.0 - b) + row(top + 1) * b > 0.5
    }
}

/// Binomial smoothing over three pixels, which rounds the corners of pixels and moves no edge.
fn blurred(values: &[f32], width: usize, height: usize) -> Vec<f32> {
    let around =
        |index: usize, length: usize| (index.saturating_sub(1), (index + 1).min(length - 1));
    let mix = |before: f32, at: f32, after: f32| 0.25 * before + 0.5 * at + 0.25 * after;
    let across = (0..values.len()).map(|index| {
        let (x, start) = (index % width, index - index % width);
        let (before, after) = around(x, width);
        mix(values[start + before], values[index], values[start + after])
    });
    let across: Vec<f32> = across.collect();
    let down = (0..values.len()).map(|index| {
        let (x, y) = (index % width, index / width);
        let (before, after) = around(y, height);
        mix(
            across[before * width + x],
            across[index],
            across[after * width + x],
        )
    });
    down.collect()
}

/// Colours pixels as `colour` says: which colour, and how much of it.
fn paint(canvas: &mut RgbImage, colour: impl Fn(usize, usize) -> Option<(Rgb<u8>, f32)> + Sync) {
    let width = canvas.width() as usize;
    let lines = canvas.par_chunks_exact_mut(3 * width.max(1)).enumerate();
    lines.for_each(|(y, line)| {
        for (x, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            if let Some((Rgb(target), opacity)) = colour(x, y) {
                for (value, target) in pixel.iter_mut().zip(target) {
                    let mixed = f32::from(*value) * (1.0 - opacity) + f32::from(target) * opacity;
                    *value = mixed.round() as u8;
                }
            }
        }
    });
}

/// The border of a layer, inside it, as wide as a pixel of the crop.
fn outline(
    canvas: &mut RgbImage,
    layer: &Layer,
    place: &Place,
    colour: Rgb<u8>,
    wanted: impl Fn(usize, usize) -> bool + Sync,
) {
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    let reach = ((1.0 / place.scale).round() as usize).max(1);
    let covers = |x: Option<usize>, y: Option<usize>| match (x, y) {
        (Some(x), Some(y)) if x < width && y < height => layer.covers(x, y, place),
        _ => false,
    };
    paint(canvas, |x, y| {
        if !wanted(x, y) || !layer.covers(x, y, place) {
            return None;
        }
        let neighbours = [
            (x.checked_sub(reach), Some(y)),
            (x.checked_add(reach), Some(y)),
            (Some(x), y.checked_sub(reach)),
            (Some(x), y.checked_add(reach)),
        ];
        let is_border = neighbours.into_iter().any(|(x, y)| !covers(x, y));
        is_border.then_some((colour, 1.0))
    });
}

/// A yellow X.
fn mark(canvas: &mut RgbImage, x: f64, y: f64, arm: f64, width: f64) {
    let (columns, rows) = (f64::from(canvas.width()), f64::from(canvas.height()));
    let within = |from: f64, to: f64, most: f64| {
        (from.floor().clamp(0.0, most) as u32)..(to.ceil().clamp(0.0, most) as u32)
    };
    let reach = arm + width;
    for row in within(y - reach, y + reach + 1.0, rows) {
        for column in within(x - reach, x + reach + 1.0, columns) {
            let (dx, dy) = (f64::from(column) - x, f64::from(row) - y);
            // Distance along and across the two diagonals.
            let (a, b) = (dx + dy, dx - dy);
            let on =
                |along: f64, across: f64| along.abs() <= 2.0 * arm && across.abs() < width * 0.75;
            if on(a, b) || on(b, a) {
                canvas.put_pixel(column, row, FOVEA);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: Rgb<u8> = Rgb([90, 90, 90]);

    /// A crop of 100² with a disc and a vertical artery and vein that cross the rim.
    fn eye() -> (RgbImage, EyeAnswers) {
        let crop = RgbImage::from_pixel(100, 100, GREY);
        let artery_vein = GrayImage::from_fn(100, 100, |x, _| {
            image::Luma([match x {
                40..45 => 1,
                60..66 => 2,
                66..68 => 3,
                _ => 0,
            }])
        });
        let disc = GrayImage::from_fn(100, 100, |x, y| {
            image::Luma([u8::from((20..30).contains(&x) && (45..55).contains(&y))])
        });
        let answers = EyeAnswers {
            artery_vein: Some(artery_vein),
            vessels: None,
            disc: Some(disc),
            fovea: Some(Point { x: 50.5, y: 50.5 }),
        };
        (crop, answers)
    }

    #[test]
    fn the_reference_paints_opaque_layers_in_its_order() {
        let (crop, answers) = eye();
        let drawn = answers.draw_on_crop(&crop, OverlayStyle::Reference);
        let at = |x, y| *drawn.get_pixel(x, y);
        assert_eq!((at(42, 0), at(62, 0), at(67, 0)), (ARTERY, VEIN, VEIN));
        assert_eq!((at(25, 50), at(50, 50), at(80, 80)), (DISC, FOVEA, GREY));
        // Arms of side / 50 along both diagonals.
        assert_eq!((at(52, 52), at(48, 52), at(50, 53)), (FOVEA, FOVEA, GREY));
    }

    #[test]
    fn contours_leave_the_vessel_visible_and_the_rim_free() {
        let (crop, answers) = eye();
        let drawn = answers.draw_on_crop(&crop, OverlayStyle::Contours);
        let at = |x, y| *drawn.get_pixel(x, y);
        assert_eq!(
            (at(40, 20), at(42, 20), at(44, 20)),
            (ARTERY_LINE, GREY, ARTERY_LINE)
        );
        assert_eq!((at(60, 20), at(62, 20)), (VEIN_LINE, GREY));
        assert_eq!((at(20, 50), at(25, 50)), (DISC, GREY));
        // (40, 1) is 50.0 pixels from the middle, the field's radius.
        assert_eq!(at(40, 1), GREY);
        let tinted = answers.draw_on_crop(&crop, OverlayStyle::Tinted(0.5));
        assert_eq!(*tinted.get_pixel(42, 20), Rgb([173, 80, 80]));
    }

    #[test]
    fn enlarged_outlines_are_smooth() {
        let photograph = enlarged(400);
        let field = FieldOfView::find(&photograph);
        let map = GrayImage::from_fn(100, 100, |x, y| image::Luma([u8::from(x + y < 100)]));
        let answers = EyeAnswers {
            disc: Some(map),
            ..EyeAnswers::default()
        };
        let drawn =
            answers.draw_on_photograph(photograph.rgb(), &field, 100, OverlayStyle::Reference);
        // Along a diagonal border of the map, steps of the enlarged one are single pixels, not blocks.
        let border = |y: u32| (0..400).rev().find(|&x| *drawn.get_pixel(x, y) == DISC);
        let steps: Vec<i64> = (150..250)
            .map(|y| i64::from(border(y).unwrap()) - i64::from(border(y + 1).unwrap()))
            .collect();
        assert!(steps.iter().all(|step| (0..=2).contains(step)), "{steps:?}");
    }

    /// A lit circle in the dark.
    fn enlarged(side: u32) -> crate::photograph::Photograph {
        let middle = f64::from(side) / 2.0;
        let rgb = RgbImage::from_fn(side, side, |x, y| {
            let (dx, dy) = (f64::from(x) - middle, f64::from(y) - middle);
            if dx.hypot(dy) < 0.9 * middle {
                Rgb([180, 100, 60])
            } else {
                Rgb([0, 0, 0])
            }
        });
        crate::photograph::Photograph::of(rgb)
    }
}
