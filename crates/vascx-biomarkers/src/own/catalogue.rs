//! What the set consists of, in the order of its columns.

use super::Columns;
use crate::analysis::Analysis;
use crate::fractal::dimensions;
use crate::measure::{Equivalent, Zone};
use crate::reason::Reason;
use crate::sets::{Aggregate, LayerName, Tortuosity, TortuosityMeasure};
use crate::statistics;

/// What a name, a title and a description have in common.
struct Layer {
    of: LayerName,
    name: &'static str,
    short: &'static str,
}

const ARTERIES: Layer = layer(LayerName::Arteries, "arteries", "A");
const VEINS: Layer = layer(LayerName::Veins, "veins", "V");
const VESSELS: Layer = layer(LayerName::Vessels, "vessels", "all");

const fn layer(of: LayerName, name: &'static str, short: &'static str) -> Layer {
    Layer { of, name, short }
}

impl Columns<'_> {
    pub(super) fn all(&mut self) {
        self.eye();
        self.equivalents();
        for layer in [ARTERIES, VEINS] {
            self.calibres(&layer);
            self.tortuosities(&layer);
            self.angles(&layer);
        }
        for layer in [ARTERIES, VEINS, VESSELS] {
            self.extent(&layer);
            self.fractal(&layer);
        }
        self.sparsity();
        self.photograph();
    }

    fn eye(&mut self) {
        self.length(
            "disc_fovea_center",
            "Disc-Fovea Distance",
            "Distance from the centre of the optic disc to the fovea",
            true,
            |a| Ok(a.landmarks()?.fovea.clone()?.distance),
        );
        self.length(
            "disc_fovea_edge",
            "Disc Edge-Fovea Distance",
            "Distance from the edge of the disc's circle to the fovea",
            true,
            |a| {
                let landmarks = a.landmarks()?;
                Ok(landmarks.fovea.clone()?.distance - landmarks.disc.radius)
            },
        );
        self.length(
            "disc_radius",
            "Disc Radius",
            "Radius of the circle with the area of the optic disc",
            true,
            |a| Ok(a.landmarks()?.disc.radius),
        );
        self.length(
            "disc_margin",
            "Disc-Rim Distance",
            "Distance of the optic disc from the rim of the visible retina",
            false,
            |a| Ok(a.landmarks()?.disc.margin),
        );
    }

    fn equivalents(&mut self) {
        for (zone, letter, upper) in [(Zone::B, "b", "B"), (Zone::C, "c", "C")] {
            for (formula, by, author) in [
                (Equivalent::Knudtson, "knudtson", "Knudtson's"),
                (Equivalent::Hubbard, "hubbard", "Hubbard's"),
            ] {
                for (layer, short) in [(ARTERIES, "crae"), (VEINS, "crve")] {
                    let value = |a: &Analysis| Ok(a.zone_value(zone, formula, layer.of)?.value);
                    let name = format!("{short}_{by}_zone_{letter}");
                    let title = format!("{} Zone {upper} ({by})", short.to_uppercase());
                    let text = format!(
                        "Central retinal equivalent of the up to six widest {} in zone {upper} \
                         around the disc, by {author} formula; median over five circles",
                        layer.name
                    );
                    self.length(&name, &title, &text, true, value);
                }
                let ratio = |a: &Analysis| {
                    let [arteries, veins] = [LayerName::Arteries, LayerName::Veins]
                        .map(|layer| a.zone_value(zone, formula, layer));
                    Ok(arteries?.value / veins?.value)
                };
                let title = format!("AVR Zone {upper} ({by})");
                let text = format!(
                    "Arterio-venous ratio: CRAE over CRVE in zone {upper}, by {author} formula."
                );
                self.number(&format!("avr_{by}_zone_{letter}"), &title, text, "", ratio);
            }
            for (layer, short) in [(ARTERIES, "crae"), (VEINS, "crve")] {
                let vessels = |a: &Analysis| {
                    let value = a.zone_value(zone, Equivalent::Knudtson, layer.of)?;
                    Ok(value.vessels as f64)
                };
                let title = format!("{} Zone {upper} Vessels", short.to_uppercase());
                let text = format!(
                    "Number of {} that enter the equivalents of zone {upper}, at most six; median over the circles.",
                    layer.name
                );
                let name = format!("{short}_zone_{letter}_n");
                self.number(&name, &title, text, "", vessels);
                let circles = |a: &Analysis| {
                    let value = a.zone_value(zone, Equivalent::Knudtson, layer.of)?;
                    Ok(value.circles as f64)
                };
                let title = format!("{} Zone {upper} Circles", short.to_uppercase());
                let text = format!(
                    "Number of circles of zone {upper}, of five, with enough {} in sight.",
                    layer.name
                );
                let name = format!("{short}_zone_{letter}_circles");
                self.number(&name, &title, text, "", circles);
            }
        }
    }

    fn calibres(&mut self, layer: &Layer) {
        let (of, name, short) = (layer.of, layer.name, layer.short);
        for (aggregate, token, word) in [
            (Aggregate::Median, "median", "Median"),
            (Aggregate::LengthWeighted, "mean", "Length-weighted mean"),
            (Aggregate::Std, "std", "Standard deviation of the"),
        ] {
            let value = |a: &Analysis| a.calibre_by(aggregate, of);
            let title = format!("{word} Calibre - {short}");
            let text =
                format!("{word} diameter of the segments of {name} with more than 10 points");
            self.counted_length(&format!("calibre_{token}_{name}"), &title, &text, value);
        }
    }

    fn tortuosities(&mut self, layer: &Layer) {
        let (of, name, short) = (layer.of, layer.name, layer.short);
        for (vessels, parts, words) in [
            (false, "segments", "segments"),
            (true, "paths", "vessels from their root to their end"),
        ] {
            for (aggregate, token, word) in [
                (Aggregate::Median, "median", "Median"),
                (Aggregate::LengthWeighted, "mean", "Length-weighted mean"),
            ] {
                for (measure, by, text) in [
                    (
                        TortuosityMeasure::Distance,
                        "distance",
                        "length of the smooth curve over its chord, at least 1",
                    ),
                    (
                        TortuosityMeasure::Curvature,
                        "curvature",
                        "mean curvature times the disc-fovea distance",
                    ),
                ] {
                    let kind = Tortuosity {
                        vessels,
                        ..Tortuosity::new(measure, aggregate)
                    };
                    let value = |a: &Analysis| a.tortuosity(kind, None, of);
                    let title = format!("{word} {by} tortuosity of {parts} - {short}");
                    let text = format!("{word} tortuosity of the {words} of {name}: {text}.");
                    self.counted(
                        &format!("tortuosity_{by}_{parts}_{token}_{name}"),
                        &title,
                        text,
                        "",
                        value,
                    );
                }
            }
        }
    }

    fn angles(&mut self, layer: &Layer) {
        let (of, name, short) = (layer.of, layer.name, layer.short);
        let value = |a: &Analysis| a.temporal_angle(of);
        let text = format!(
            "Angle at the disc between the upper and the lower main temporal {name}, in degrees; median over five circles."
        );
        self.counted(
            &format!("arcade_angle_{name}_deg"),
            &format!("Temporal Angle - {short}"),
            text,
            "deg",
            value,
        );
        for (aggregate, token, word) in [
            (Aggregate::Mean, "mean", "Mean"),
            (Aggregate::Median, "median", "Median"),
        ] {
            let value = |a: &Analysis| a.bifurcation_angle(aggregate, None, of);
            let text =
                format!("{word} angle between the branches of bifurcations of {name}, in degrees.");
            self.counted(
                &format!("branching_angle_{token}_{name}_deg"),
                &format!("{word} Branching Angle - {short}"),
                text,
                "deg",
                value,
            );
        }
        for (token, title, words, by_exponent) in [
            (
                "coefficient",
                "Branching Coefficient",
                "sum of the branches' squared diameters over the parent's",
                false,
            ),
            (
                "exponent",
                "Branching Exponent",
                "exponent by which the branches' diameters add up to the parent's (3 by Murray's law)",
                true,
            ),
        ] {
            let value = move |a: &Analysis| {
                let table = a.bifurcation_table(of)?;
                let values: Vec<f64> = table
                    .iter()
                    .map(|row| {
                        if by_exponent {
                            row.branching_exponent
                        } else {
                            row.branching_coefficient
                        }
                    })
                    .filter(|value| value.is_finite())
                    .collect();
                if values.len() < 3 {
                    return Err(Reason::TooFew {
                        what: "bifurcations",
                        found: values.len(),
                        needed: 3,
                    });
                }
                Ok((statistics::median(&values), values.len()))
            };
            let text = format!("Median over the bifurcations of {name}: {words}.");
            self.counted(
                &format!("branching_{token}_median_{name}"),
                &format!("{title} - {short}"),
                text,
                "",
                value,
            );
        }
        let count = |a: &Analysis| Ok(a.layer(of)?.bifurcations().count() as f64);
        self.number(
            &format!("bifurcations_{name}_n"),
            &format!("Bifurcations - {short}"),
            format!("Number of bifurcations of {name}."),
            "",
            count,
        );
    }

    fn extent(&mut self, layer: &Layer) {
        let (of, name, short) = (layer.of, layer.name, layer.short);
        let total = |a: &Analysis| {
            let segments = a.layer(of)?.segments();
            if segments.is_empty() {
                return Err(Reason::NoVessels);
            }
            Ok(segments
                .iter()
                .map(|s| s.curve().map_or(s.length(), |c| c.length))
                .sum())
        };
        self.length(
            &format!("total_length_{name}"),
            &format!("Total Length - {short}"),
            &format!("Summed length of all {name} outside the disc"),
            true,
            total,
        );
        let area = |a: &Analysis| a.vessel_area(of);
        self.area(
            &format!("total_area_{name}"),
            &format!("Total Area - {short}"),
            &format!("Area of all {name} outside the disc"),
            area,
        );
        let width = |a: &Analysis| {
            let (area, layer) = (a.vessel_area(of)?, a.layer(of)?);
            let length: f64 = layer.segments().iter().map(|s| s.length()).sum();
            if length > 0.0 {
                Ok(area / length)
            } else {
                Err(Reason::NoVessels)
            }
        };
        self.length(
            &format!("average_width_{name}"),
            &format!("Average Width - {short}"),
            &format!("Area of all {name} outside the disc over their length"),
            true,
            width,
        );
        let density = |a: &Analysis| a.density_outside_disc(of);
        self.number(
            &format!("density_{name}"),
            &format!("Density - {short}"),
            format!("Share of the visible retina outside the disc that {name} cover, 0 to 1."),
            "",
            density,
        );
    }

    fn fractal(&mut self, layer: &Layer) {
        let name = layer.of;
        let all = self.analysis.map(|a| dimensions(a.layer(name)?.skeleton()));
        for (order, meaning) in [
            "boxes that hold vessel",
            "the entropy of vessel over boxes",
            "the correlation of vessel over boxes",
        ]
        .into_iter()
        .enumerate()
        {
            let dimension = all.clone();
            let value = |_: &Analysis| {
                Ok(dimension.clone().unwrap_or(Err(Reason::NotFinite))?[order].value)
            };
            let text = format!(
                "Fractal dimension D{order} of the skeleton of {}, by {meaning}, from 4 to 128 px.",
                layer.name
            );
            let name = format!("fractal_d{order}_{}", layer.name);
            let title = format!("Fractal Dimension D{order} - {}", layer.short);
            self.number(&name, &title, text, "", value);
            let dimension = all.clone();
            let value = |_: &Analysis| {
                Ok(dimension.clone().unwrap_or(Err(Reason::NotFinite))?[order].r_squared)
            };
            let text = format!(
                "How well a line fits the counts behind D{order} of {}: share of variance explained.",
                layer.name
            );
            let title = format!("Fractal Dimension D{order} R² - {}", layer.short);
            self.number(&format!("{name}_r2"), &title, text, "", value);
        }
    }

    fn sparsity(&mut self) {
        for (max, token, title, text) in [
            (
                false,
                "mean",
                "Mean Gap",
                "Mean distance to the nearest vessel",
            ),
            (
                true,
                "max",
                "Largest Gap",
                "Largest distance to the nearest vessel between vessels",
            ),
        ] {
            let value = |a: &Analysis| a.sparsity(max, false, None);
            self.length(&format!("gap_{token}_vessels"), title, text, true, value);
        }
    }

    fn photograph(&mut self) {
        let luminance = |a: &Analysis| a.luminance();
        self.number(
            "brightness",
            "Brightness",
            "Mean brightness of the photograph over the visible retina, 0 to 255.".to_owned(),
            "",
            luminance,
        );
        let sharpness = |a: &Analysis| a.sharpness(None);
        self.counted("edge_blur_px", "Edge Blur", "Width of the vessels' edges in the green channel, as the standard deviation of a blurred edge in pixels; lower is sharper.".to_owned(), "px", sharpness);
    }
}
