//! What a biomarker is measured on, drawn on the crop.

use vascx_biomarkers::{
    Analysis, Area, Biomarker, Cre, Crossing, Field, Grid, Kind, Layer, LayerName, Mask, Point,
    Segment, Tortuosity, TortuosityMeasure,
};

use super::canvas::Canvas;
use super::colours::Colour;
use crate::biomarkers::eye_files::SIDE;

/// Ratio of length and chord that has the last colour of the scale.
const TORTUOUS: f64 = 1.2;
/// Mean curvature that has the last colour of the scale, in 1 / pixel.
const CURVED: f64 = 0.05;
/// Diameter that has the last colour of the scale, in pixels.
const WIDE: f64 = 16.0;

/// An eye to draw.
pub(super) struct Scene<'a> {
    pub(super) analysis: &'a Analysis<'a>,
    pub(super) rgb: Option<&'a [u8]>,
}

/// From the frame of pixel centres to that of cells.
fn cell(point: Point) -> Point {
    point + Point::new(0.5, 0.5)
}

impl Scene<'_> {
    /// A biomarker's picture without its label.
    pub(super) fn panel(&self, biomarker: &Biomarker) -> Canvas {
        let mut canvas = Canvas::over(SIDE, self.rgb);
        let area = self.area(biomarker.field);
        let field = area.as_ref().map(|area| &area.mask);
        let name = biomarker.layer;
        let layer = self.analysis.layer(name).ok();
        match (biomarker.kind, layer) {
            (Kind::TemporalAngle, Some(layer)) => self.temporal_angle(&mut canvas, layer, name),
            (Kind::BifurcationAngle(_) | Kind::BifurcationCount, Some(layer)) => {
                self.bifurcations(&mut canvas, layer, biomarker, field);
            }
            (Kind::Calibre(_), Some(layer)) => self.calibres(&mut canvas, layer, biomarker),
            (Kind::Cre(cre), Some(layer)) => self.cre(&mut canvas, layer, cre, name),
            (Kind::Tortuosity(kind), Some(layer)) => {
                self.tortuosity(&mut canvas, layer, kind, biomarker);
            }
            (Kind::Density, Some(layer)) => density(&mut canvas, layer, name, field),
            (Kind::Sparsity { .. } | Kind::Sharpness, Some(layer)) => {
                self.sparsity(&mut canvas, layer, field);
            }
            (Kind::DiscFoveaDistance { .. }, _) => self.distance(&mut canvas),
            _ => {}
        }
        self.frame(&mut canvas, field);
        canvas
    }

    fn area(&self, field: Option<(Grid, Field)>) -> Option<std::rc::Rc<Area>> {
        let (grid, field) = field?;
        self.analysis.area(grid, field).ok()
    }

    /// The visible retina, the field, the disc and the fovea.
    fn frame(&self, canvas: &mut Canvas, field: Option<&Mask>) {
        canvas.outline(self.analysis.region(), Colour::GREY);
        if let Some(field) = field {
            canvas.outline(field, Colour::WHITE);
        }
        if let Ok(landmarks) = self.analysis.landmarks() {
            canvas.outline(&landmarks.disc.mask, Colour::GREEN);
            if let Ok(fovea) = &landmarks.fovea {
                canvas.cross(cell(fovea.position), 9.0, Colour::WHITE);
            }
        }
    }

    fn bifurcations(
        &self,
        canvas: &mut Canvas,
        layer: &Layer,
        biomarker: &Biomarker,
        field: Option<&Mask>,
    ) {
        skeleton(canvas, layer, Colour::of(biomarker.layer), 2.0);
        for node in layer.bifurcations() {
            if field.is_none_or(|field| field.holds(node.position)) {
                canvas.dot(cell(node.position), 4.0, Colour::YELLOW);
            }
        }
        let (place, name) = (biomarker.field, biomarker.layer);
        let angles = self.analysis.bifurcation_angles(place, name);
        for angle in angles.into_iter().flatten() {
            let center = cell(angle.position);
            let directions = angle.rays.map(|end| end - angle.position);
            let colour = if angle.counts {
                Colour::YELLOW
            } else {
                Colour::GREY
            };
            for direction in directions {
                let ray = direction * (28.0 / direction.norm().max(1e-9));
                canvas.line(&[center, center + ray], Colour::WHITE, 2.0);
            }
            canvas.arc(center, 16.0, directions, colour, 2.5);
            let at = center + (directions[0] + directions[1]) * 0.9 + Point::new(6.0, -12.0);
            canvas.text(&format!("{:.0}°", angle.degrees), at, 17.0, colour);
        }
    }

    /// Distance to the nearest vessel, dark near and bright far, up to the largest there is.
    fn sparsity(&self, canvas: &mut Canvas, layer: &Layer, field: Option<&Mask>) {
        let Ok(map) = self.analysis.sparsity_map() else {
            return;
        };
        let inside = |y: usize, x: usize| field.is_none_or(|field| field.row(y)[x] != 0);
        let distances = map.distances.iter().copied();
        let most = distances.filter(|d| d.is_finite()).fold(1.0, f32::max);
        let colour = |y: usize, x: usize| {
            let share = map.distances[y * SIDE + x] / most;
            (share.is_finite() && inside(y, x)).then(|| Colour::scale(f64::from(share)))
        };
        canvas.paint(colour, 0.85);
        canvas.tint(layer.skeleton(), Colour::WHITE, 0.9);
        legend(canvas, "0", &format!("{most:.0} px"));
    }

    /// Centre lines, and a stroke for each diameter in the colour of its length.
    fn calibres(&self, canvas: &mut Canvas, layer: &Layer, biomarker: &Biomarker) {
        skeleton(canvas, layer, Colour::GREY, 1.0);
        let (field, name) = (biomarker.field, biomarker.layer);
        let segments = self.analysis.calibre_segments(field, name);
        for segment in segments.iter().flatten() {
            path(canvas, segment, Colour::WHITE, 1.0);
            for stroke in &layer.calibre(segment).strokes {
                let [a, b] = *stroke;
                canvas.line(stroke, Colour::scale(a.distance(b) / WIDE), 2.0);
            }
        }
        legend(canvas, "0", &format!("{WIDE:.0} px"));
    }

    /// Curves in the colour of their tortuosity, and their chords.
    fn tortuosity(&self, canvas: &mut Canvas, layer: &Layer, kind: Tortuosity, place: &Biomarker) {
        skeleton(canvas, layer, Colour::GREY, 1.0);
        let (vessels, pieces) = (kind.vessels, kind.pieces);
        let segments = self
            .analysis
            .tortuosity_segments(vessels, pieces, place.field, place.layer);
        for segment in segments.iter().flatten() {
            let Some(curve) = segment.curve() else {
                continue;
            };
            let [start, end] = [segment.start(), segment.end()].map(cell);
            let share = match kind.measure {
                TortuosityMeasure::Distance => {
                    (curve.length / segment.chord() - 1.0) / (TORTUOUS - 1.0)
                }
                _ => curve.mean_curvature() / CURVED,
            };
            canvas.line(&[start, end], Colour::PURPLE, 1.2);
            path(canvas, segment, Colour::scale(share), 3.0);
            canvas.dot(start, 3.0, Colour::WHITE);
            canvas.dot(end, 3.0, Colour::WHITE);
        }
        match kind.measure {
            TortuosityMeasure::Distance => legend(canvas, "1", &format!("{TORTUOUS}")),
            _ => legend(canvas, "0", &format!("{CURVED} / px")),
        }
    }

    fn distance(&self, canvas: &mut Canvas) {
        let Ok(landmarks) = self.analysis.landmarks() else {
            return;
        };
        canvas.tint(&landmarks.disc.mask, Colour::GREEN, 0.35);
        canvas.cross(cell(landmarks.disc.center), 9.0, Colour::WHITE);
        if let Ok(fovea) = &landmarks.fovea {
            let ends = [cell(landmarks.disc.center), cell(fovea.position)];
            canvas.line(&ends, Colour::YELLOW, 3.0);
            let at = (ends[0] + ends[1]) * 0.5 + Point::new(-12.0, -40.0);
            let distance = format!("{:.1} px", fovea.distance);
            canvas.text(&distance, at, 24.0, Colour::YELLOW);
        }
    }

    /// The circles that count, the vessels chosen on them and their diameters.
    fn cre(&self, canvas: &mut Canvas, layer: &Layer, cre: Cre, name: LayerName) {
        skeleton(canvas, layer, Colour::GREY, 1.5);
        let circles = self.analysis.cre_circles(cre, name);
        let mut chosen: Vec<&Crossing> = Vec::new();
        for circle in circles.iter().flatten() {
            let counts = circle.value.is_ok();
            let colour = if counts { Colour::WHITE } else { Colour::GREY };
            canvas.circle(circle.center, circle.radius, colour, 1.5);
            if counts {
                chosen.extend(circle.crossings.iter().take(circle.wanted));
            }
        }
        let mut segments: Vec<usize> = chosen.iter().map(|crossing| crossing.segment).collect();
        segments.sort_unstable();
        segments.dedup();
        let colour = |segment| Colour::cycle(segments.binary_search(&segment).unwrap_or_default());
        for &index in &segments {
            let segment = &layer.segments()[index];
            for stroke in &layer.calibre(segment).strokes {
                canvas.line(stroke, colour(index), 1.2);
            }
            path(canvas, segment, colour(index), 3.0);
        }
        for crossing in &chosen {
            canvas.cross(crossing.point, 4.0, colour(crossing.segment));
        }
        for &index in &segments {
            let segment = &layer.segments()[index];
            let middle = segment.points()[segment.points().len() / 2];
            let label = format!("{:.1}", layer.calibre(segment).median());
            let at = cell(middle) + Point::new(-6.0, 8.0);
            canvas.text(&label, at, 18.0, colour(index));
        }
    }

    /// The circles on which a pair was found, and the lines to the pairs.
    fn temporal_angle(&self, canvas: &mut Canvas, layer: &Layer, name: LayerName) {
        skeleton(canvas, layer, Colour::of(name), 1.5);
        let circles = self.analysis.angle_circles(name);
        for circle in circles.iter().flatten() {
            canvas.circle(circle.center, circle.radius, Colour::WHITE, 1.0);
            for &vessel in &circle.vessels {
                path(canvas, &layer.vessels()[vessel], Colour::WHITE, 2.0);
            }
        }
        for circle in circles.iter().flatten() {
            for end in circle.points {
                canvas.line(&[circle.center, end], Colour::YELLOW, 1.5);
                canvas.cross(end, 4.0, Colour::YELLOW);
            }
        }
        if let Some(circle) = circles.iter().flatten().next() {
            let center = circle.center;
            let directions = circle.points.map(|end| end - center);
            canvas.arc(center, 110.0, directions, Colour::YELLOW, 3.0);
            let at = center + Point::new(6.0, if directions[0].x < 0.0 { -170.0 } else { 118.0 });
            canvas.text(&format!("{:.0}°", circle.degrees), at, 24.0, Colour::YELLOW);
        }
    }
}

/// The centre line of a segment: its curve where there is one.
fn path(canvas: &mut Canvas, segment: &Segment, colour: Colour, width: f32) {
    let points: Vec<Point> = if let Some(curve) = segment.curve() {
        let places = (segment.length() / 3.0).ceil().max(4.0) as usize;
        let place = |place| curve.position(place as f64 / places as f64);
        (0..=places).map(place).collect()
    } else {
        segment.points().iter().map(|&point| cell(point)).collect()
    };
    canvas.line(&points, colour, width);
}

fn skeleton(canvas: &mut Canvas, layer: &Layer, colour: Colour, width: f32) {
    for segment in layer.segments() {
        path(canvas, segment, colour, width);
    }
}

fn density(canvas: &mut Canvas, layer: &Layer, name: LayerName, field: Option<&Mask>) {
    canvas.tint(layer.filled(), Colour::GREY, 0.5);
    let filled = layer.filled();
    let colour = |y: usize, x: usize| {
        let inside = field.is_none_or(|field| field.row(y)[x] != 0);
        (inside && filled.row(y)[x] != 0).then(|| Colour::of(name))
    };
    canvas.paint(colour, 0.9);
}

/// The colours of a scale with what its ends mean, bottom left.
fn legend(canvas: &mut Canvas, low: &str, high: &str) {
    let (left, right, y) = (20.0, 200.0, SIDE as f64 - 40.0);
    for step in 0..60 {
        let ends = [f64::from(step), f64::from(step + 1)]
            .map(|place| Point::new(y, left + (right - left) * place / 60.0));
        canvas.line(&ends, Colour::scale(f64::from(step) / 59.0), 12.0);
    }
    for (text, x) in [(low, left - 6.0), (high, right - 30.0)] {
        canvas.text(text, Point::new(y + 30.0, x), 20.0, Colour::WHITE);
    }
}
