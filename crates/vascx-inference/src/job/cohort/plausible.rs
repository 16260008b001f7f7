//! Whether the answers of a photograph agree with each other and with what eyes look like.

use super::confidence::{MapConfidence, PointConfidence};
use crate::geometry::Point;

/// Distance of fovea and disc in diameters of the disc. It is about 2.6 on average; what is beyond
/// these is no eye's.
const FOVEA_DISTANCE: [f64; 2] = [1.4, 4.5];
/// Steepest line from the disc to the fovea against the photograph's horizontal, in degrees. Eyes have
/// about 7; heads and cameras are tilted.
const STEEPEST: f64 = 40.0;
/// Diameter of the disc as a share of the field's: a tenth in fields of 60°, a third in those of 20°.
const DISC_DIAMETER: [f64; 2] = [0.06, 0.4];
/// Share of the disc's pixels that must be one piece.
const LARGEST_PIECE: f64 = 0.85;
/// Members' points further from their mean than this share of the field do not mean the same place.
const MEMBERS_APART: f64 = 0.05;

/// What is known of one photograph's answers, in pixels of a crop of side `side`.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings<'a> {
    pub(super) side: f64,
    pub(super) fovea: Option<(Point, &'a PointConfidence)>,
    /// The disc's centre of mass, where it was found at all.
    pub(super) disc: Option<(Option<Point>, &'a MapConfidence)>,
    pub(super) arteries: Option<&'a MapConfidence>,
    pub(super) veins: Option<&'a MapConfidence>,
    pub(super) vessels: Option<&'a MapConfidence>,
}

impl Findings<'_> {
    /// `yes`, or `no:` and the rules that failed.
    pub(super) fn verdict(&self) -> String {
        let failed = self.failed();
        if failed.is_empty() {
            "yes".into()
        } else {
            format!("no: {}", failed.join("; "))
        }
    }

    fn failed(&self) -> Vec<String> {
        let mut failed = Vec::new();
        for (name, map) in [
            ("arteries", self.arteries),
            ("veins", self.veins),
            ("vessels", self.vessels),
        ] {
            if map.is_some_and(|map| map.area == 0) {
                failed.push(format!("no {name} were found"));
            }
        }
        if let Some((_, disc)) = self.disc {
            self.check_disc(disc, &mut failed);
        }
        if let Some((fovea, confidence)) = self.fovea {
            let middle = self.side / 2.0;
            let from_middle = (fovea.x - middle).hypot(fovea.y - middle) / middle;
            if from_middle > 1.0 {
                failed.push("the fovea lies outside of the field of view".into());
            }
            if confidence.spread > MEMBERS_APART * self.side {
                failed.push(format!(
                    "the models' foveas lie {:.0} pixels from their mean",
                    confidence.spread
                ));
            }
            if let Some((Some(centre), disc)) = self.disc {
                check_distance(fovea, centre, disc.diameter(), &mut failed);
            }
        }
        failed
    }

    fn check_disc(&self, disc: &MapConfidence, failed: &mut Vec<String>) {
        if disc.area == 0 {
            failed.push("no disc was found".into());
            return;
        }
        let share = disc.diameter() / self.side;
        let [least, most] = DISC_DIAMETER;
        if !(least..=most).contains(&share) {
            failed.push(format!(
                "the disc is {:.0} % of the field wide",
                100.0 * share
            ));
        }
        if let Some(largest) = disc.largest.filter(|&largest| largest < LARGEST_PIECE) {
            failed.push(format!(
                "the disc is in {} pieces, the largest of {:.0} %",
                disc.pieces,
                100.0 * largest
            ));
        }
    }
}

fn check_distance(fovea: Point, disc: Point, diameter: f64, failed: &mut Vec<String>) {
    let (dx, dy) = (fovea.x - disc.x, fovea.y - disc.y);
    let distance = dx.hypot(dy) / diameter;
    let [least, most] = FOVEA_DISTANCE;
    if !(least..=most).contains(&distance) {
        failed.push(format!(
            "fovea and disc are {distance:.1} disc diameters apart ({least} to {most} are usual)"
        ));
    }
    let angle = dy.abs().atan2(dx.abs()).to_degrees();
    if angle > STEEPEST {
        failed.push(format!(
            "the line from disc to fovea rises by {angle:.0}° (eyes have about 7°)"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURE: PointConfidence = PointConfidence {
        peak: Some(0.9),
        spread: 2.0,
    };

    fn disc(diameter: f64) -> MapConfidence {
        MapConfidence {
            probability: Some(0.9),
            area: (std::f64::consts::PI * diameter * diameter / 4.0) as usize,
            pieces: 1,
            largest: Some(1.0),
        }
    }

    /// The verdict on a disc at (300, 500).
    fn verdict(fovea: (f64, f64), confidence: &PointConfidence, disc: &MapConfidence) -> String {
        let findings = Findings {
            side: 1024.0,
            fovea: Some((
                Point {
                    x: fovea.0,
                    y: fovea.1,
                },
                confidence,
            )),
            disc: Some((Some(Point { x: 300.0, y: 500.0 }), disc)),
            ..Findings::default()
        };
        findings.verdict()
    }

    #[test]
    fn an_eye_is_plausible_and_its_mistakes_are_named() {
        assert_eq!(verdict((660.0, 540.0), &SURE, &disc(140.0)), "yes");
        for (fovea, confidence, disc, rule) in [
            (
                (310.0, 500.0),
                SURE,
                disc(140.0),
                "0.1 disc diameters apart",
            ),
            (
                (980.0, 500.0),
                SURE,
                disc(140.0),
                "4.9 disc diameters apart",
            ),
            ((400.0, 800.0), SURE, disc(140.0), "rises by 72°"),
            (
                (660.0, 540.0),
                SURE,
                disc(40.0),
                "the disc is 4 % of the field",
            ),
            ((1100.0, 500.0), SURE, disc(200.0), "outside of the field"),
            (
                (660.0, 540.0),
                PointConfidence {
                    peak: None,
                    spread: 90.0,
                },
                disc(140.0),
                "90 pixels from their mean",
            ),
            (
                (660.0, 540.0),
                SURE,
                MapConfidence {
                    pieces: 3,
                    largest: Some(0.5),
                    ..disc(140.0)
                },
                "in 3 pieces",
            ),
        ] {
            let verdict = verdict(fovea, &confidence, &disc);
            assert!(
                verdict.starts_with("no: ") && verdict.contains(rule),
                "{verdict}"
            );
        }
    }

    #[test]
    fn what_was_not_asked_for_is_not_missed() {
        assert_eq!(Findings::default().verdict(), "yes");
        let nothing = MapConfidence {
            probability: None,
            area: 0,
            pieces: 0,
            largest: None,
        };
        let findings = Findings {
            side: 1024.0,
            disc: Some((None, &nothing)),
            veins: Some(&nothing),
            ..Findings::default()
        };
        assert_eq!(
            findings.verdict(),
            "no: no veins were found; no disc was found"
        );
    }
}
