//! What the reference's eleven sets consist of, in the order of their columns.

use super::{
    Aggregate, Biomarker, Cre, FeatureSet, Kind, LayerName, Sector, Tortuosity, TortuosityMeasure,
};
use crate::grid::{Field, Grid};

use Aggregate::{LengthWeighted, Mean, Median, Std};
use Sector::{Full, Nasal, Temporal};
use TortuosityMeasure::{Curvature, Distance, Undefined};

/// Where a biomarker is measured.
type Place = Option<(Grid, Field)>;

const WHOLE: Place = None;
const SUPERIOR: Place = Some((Grid::Hemifield, Field::Superior));
const INFERIOR: Place = Some((Grid::Hemifield, Field::Inferior));
const ELLIPSE: Place = Some((Grid::Ellipse, Field::Full));
const DISC: Place = disc_ring(1.0);
const ETDRS: Place = etdrs(1.0);

/// The circles of zone B, in disc diameters from the disc's centre.
const ZONE_B: (f64, f64) = (1.0, 1.5);

#[allow(clippy::unnecessary_wraps)] // A place may be the whole retina, too.
const fn disc_ring(multiplier: f64) -> Place {
    Some((
        Grid::DiscRing {
            name: "disc",
            multiplier,
            band_crop: 0.0,
        },
        Field::Full,
    ))
}

#[allow(clippy::unnecessary_wraps)] // As above.
const fn etdrs(multiplier: f64) -> Place {
    Some((Grid::Etdrs { multiplier }, Field::Full))
}

impl FeatureSet {
    /// The reference's biomarkers of the set, in order; none for [`FeatureSet::VascxRs`].
    pub fn biomarkers(self) -> Vec<Biomarker> {
        let mut list = List::default();
        match self {
            Self::FullV3 => list.full_v3(),
            Self::FullV2 => list.full_v2(),
            Self::Full => list.full(),
            Self::Bergmann => list.bergmann(),
            Self::Sparsity => list.sparsity_set(),
            Self::MaculaCentered => list.macula(1.0, 0.0),
            Self::MaculaCenteredRs => list.macula(0.9, 0.12),
            Self::OdCentered => list.disc_centred(7.0 / 6.0, 0.0),
            Self::OdCenteredRs => list.disc_centred(7.0 / 6.0, 0.06),
            Self::OdCenteredNarrowRs => list.disc_centred(2.0 / 3.0, 0.0),
            Self::OdCenteredNarrow => list.disc_only(),
            Self::VascxRs => {}
        }
        list.0
    }
}

#[derive(Default)]
struct List(Vec<Biomarker>);

impl List {
    fn full_v3(&mut self) {
        self.vessels(Kind::TemporalAngle, &[WHOLE]);
        self.vessels(Kind::BifurcationAngle(Mean), &[WHOLE, SUPERIOR, INFERIOR]);
        self.vessels(Kind::Calibre(Median), &[WHOLE, SUPERIOR, INFERIOR]);
        self.vessels(
            Kind::Calibre(LengthWeighted),
            &[WHOLE, SUPERIOR, INFERIOR, DISC],
        );
        self.central_equivalents();
        self.tortuosity(Distance, None, Median, WHOLE);
        self.tortuosity(Curvature, None, Median, WHOLE);
        self.vessels(whole_vessels(Distance, false, LengthWeighted), &[WHOLE]);
        for place in [WHOLE, ETDRS, DISC] {
            self.tortuosity(Distance, None, LengthWeighted, place);
            self.tortuosity(Distance, Some(0.2), LengthWeighted, place);
            self.tortuosity(Curvature, None, LengthWeighted, place);
        }
        self.vessels(Kind::Density, &[ELLIPSE, DISC, ETDRS, SUPERIOR, INFERIOR]);
        self.retina(Kind::DiscFoveaDistance { center: true }, WHOLE);
        for place in [WHOLE, ELLIPSE, DISC, ETDRS] {
            self.sparsity(false, place);
            self.sparsity(true, place);
        }
    }

    fn full_v2(&mut self) {
        self.vessels(Kind::BifurcationAngle(Median), &[WHOLE, SUPERIOR, INFERIOR]);
        self.vessels(Kind::BifurcationCount, &[WHOLE, SUPERIOR, INFERIOR]);
        self.vessels(Kind::Calibre(Median), &[WHOLE, SUPERIOR, INFERIOR]);
        for place in [ELLIPSE, DISC, ETDRS] {
            self.sparsity(false, place);
            self.sparsity(true, place);
        }
        for place in [WHOLE, DISC, ETDRS] {
            self.retina(Kind::Laplacian, place);
        }
        self.central_equivalents();
        for place in [WHOLE, ETDRS] {
            for aggregate in [Median, LengthWeighted] {
                self.tortuosity(Distance, None, aggregate, place);
                self.tortuosity(Curvature, None, aggregate, place);
            }
        }
        self.vessels(Kind::Density, &[WHOLE, SUPERIOR, INFERIOR]);
        self.retina(Kind::DiscFoveaDistance { center: true }, WHOLE);
    }

    fn full(&mut self) {
        self.vessels(Kind::TemporalAngle, &[WHOLE]);
        self.cre(Temporal, None, 4);
        self.vessels(Kind::Calibre(Median), &[WHOLE]);
        self.vessels(Kind::Calibre(Std), &[WHOLE]);
        self.vessels(Kind::Density, &[WHOLE, ETDRS]);
        for aggregate in [Median, LengthWeighted] {
            self.vessels(by_skeleton(aggregate), &[WHOLE]);
            for measure in [Distance, Undefined("curvature"), Undefined("inflections")] {
                self.tortuosity(measure, None, aggregate, WHOLE);
            }
        }
        self.vessels(whole_vessels(Distance, true, Median), &[WHOLE]);
        for measure in [Distance, Undefined("curvature"), Undefined("inflections")] {
            self.vessels(whole_vessels(measure, false, Median), &[WHOLE]);
        }
        self.vessels(Kind::BifurcationAngle(Median), &[WHOLE]);
        self.vessels(Kind::BifurcationCount, &[WHOLE]);
        self.sparsity(false, WHOLE);
        self.retina(Kind::Laplacian, WHOLE);
        self.retina(Kind::DiscFoveaDistance { center: true }, WHOLE);
    }

    fn bergmann(&mut self) {
        self.vessels(Kind::TemporalAngle, &[WHOLE]);
        self.cre(Temporal, None, 4);
        self.vessels(Kind::Density, &[WHOLE]);
        self.vessels(Kind::Calibre(Median), &[WHOLE]);
        self.vessels(Kind::Calibre(Std), &[WHOLE]);
        self.vessels(by_skeleton(Median), &[WHOLE]);
        self.vessels(Kind::BifurcationCount, &[WHOLE]);
    }

    fn sparsity_set(&mut self) {
        let places = [WHOLE, ELLIPSE, disc_ring(1.2), etdrs(1.5)];
        for place in places {
            self.sparsity(false, place);
            self.sparsity(true, place);
        }
        for place in places {
            self.retina(Kind::Laplacian, place);
        }
        self.vessels(Kind::Density, &places);
    }

    /// `share` places and scales the circle around the macula.
    fn macula(&mut self, share: f64, band_crop: f64) {
        let circle = Grid::MaculaCircle {
            center: share,
            multiplier: share,
            band_crop,
        };
        let [full, superior, inferior] =
            [Field::Full, Field::Superior, Field::Inferior].map(|field| Some((circle, field)));
        self.vessels(Kind::TemporalAngle, &[WHOLE]);
        self.vessels(Kind::BifurcationAngle(Mean), &[full, superior, inferior]);
        self.vessels(
            Kind::Calibre(LengthWeighted),
            &[full, superior, inferior, ETDRS],
        );
        for vessels in [4, 3, 6] {
            self.cre(Temporal, None, vessels);
        }
        self.cre(Temporal, Some(Field::Superior), 2);
        self.cre(Temporal, Some(Field::Inferior), 2);
        self.tortuosity(Distance, Some(0.2), LengthWeighted, full);
        self.tortuosity(Curvature, None, LengthWeighted, full);
        for pieces in [0.15, 0.2, 0.25] {
            self.tortuosity(Distance, Some(pieces), LengthWeighted, ETDRS);
        }
        self.tortuosity(Curvature, None, LengthWeighted, ETDRS);
        self.vessels(Kind::Density, &[full, superior, inferior]);
        self.distances();
        for place in [WHOLE, full, ETDRS] {
            self.sparsity(false, place);
        }
        self.sharpness(full);
        self.sharpness(ETDRS);
        self.retina(Kind::Luminance, WHOLE);
    }

    fn disc_centred(&mut self, multiplier: f64, band_crop: f64) {
        let ring = Grid::DiscRing {
            name: "crcl",
            multiplier,
            band_crop,
        };
        let fields = [
            Field::Full,
            Field::Superior,
            Field::Inferior,
            Field::Temporal,
            Field::Nasal,
        ];
        let places = fields.map(|field| Some((ring, field)));
        self.vessels(Kind::TemporalAngle, &[WHOLE]);
        self.vessels(Kind::BifurcationAngle(Mean), &places);
        self.vessels(Kind::Calibre(LengthWeighted), &places);
        self.cre(Full, None, 6);
        self.cre(Nasal, None, 4);
        self.cre(Temporal, None, 4);
        for pieces in [0.15, 0.2, 0.25] {
            self.tortuosity(Distance, Some(pieces), LengthWeighted, places[0]);
        }
        self.tortuosity(Curvature, None, LengthWeighted, places[0]);
        for place in &places[1..] {
            self.tortuosity(Distance, Some(0.2), LengthWeighted, *place);
        }
        for place in &places[1..] {
            self.tortuosity(Curvature, None, LengthWeighted, *place);
        }
        self.vessels(Kind::Density, &places);
        self.distances();
        self.sparsity(false, WHOLE);
        self.sparsity(false, places[0]);
        self.sharpness(places[0]);
        self.retina(Kind::Luminance, WHOLE);
    }

    fn disc_only(&mut self) {
        let fields = [
            Field::Full,
            Field::Superior,
            Field::Inferior,
            Field::Left,
            Field::Right,
        ];
        let places = fields.map(|field| Some((Grid::DiscOnly { radius: 200.0 }, field)));
        self.vessels(Kind::Calibre(LengthWeighted), &places);
        let circles = (0.8, 1.275);
        self.vessels(
            Kind::Cre(Cre {
                sector: Full,
                hemifield: None,
                vessels: 6,
                circles,
            }),
            &[WHOLE],
        );
        for place in places {
            self.tortuosity(Curvature, None, LengthWeighted, place);
        }
        self.vessels(Kind::Density, &places);
        for place in [WHOLE, places[0]] {
            let kind = Kind::Sparsity {
                max: false,
                normalized: false,
            };
            self.push(kind, place, LayerName::Vessels);
        }
        self.sharpness(places[0]);
        self.retina(Kind::Luminance, WHOLE);
    }

    fn central_equivalents(&mut self) {
        self.cre(Temporal, None, 4);
        self.cre(Temporal, Some(Field::Superior), 2);
        self.cre(Temporal, Some(Field::Inferior), 2);
        self.cre(Nasal, None, 4);
        self.cre(Full, None, 6);
    }

    fn distances(&mut self) {
        self.retina(Kind::DiscFoveaDistance { center: true }, WHOLE);
        self.retina(Kind::DiscFoveaDistance { center: false }, WHOLE);
    }

    fn cre(&mut self, sector: Sector, hemifield: Option<Field>, vessels: usize) {
        let kind = Kind::Cre(Cre {
            sector,
            hemifield,
            vessels,
            circles: ZONE_B,
        });
        self.vessels(kind, &[WHOLE]);
    }

    fn tortuosity(
        &mut self,
        measure: TortuosityMeasure,
        pieces: Option<f64>,
        aggregate: Aggregate,
        place: Place,
    ) {
        let kind = Kind::Tortuosity(Tortuosity {
            pieces,
            ..Tortuosity::new(measure, aggregate)
        });
        self.vessels(kind, &[place]);
    }

    fn sparsity(&mut self, max: bool, place: Place) {
        self.push(
            Kind::Sparsity {
                max,
                normalized: true,
            },
            place,
            LayerName::Vessels,
        );
    }

    fn sharpness(&mut self, place: Place) {
        self.push(Kind::Sharpness, place, LayerName::Vessels);
    }

    fn retina(&mut self, kind: Kind, place: Place) {
        self.push(kind, place, LayerName::Retina);
    }

    /// One biomarker of arteries and one of veins at each place.
    fn vessels(&mut self, kind: Kind, places: &[Place]) {
        for &place in places {
            self.push(kind, place, LayerName::Arteries);
            self.push(kind, place, LayerName::Veins);
        }
    }

    fn push(&mut self, kind: Kind, field: Place, layer: LayerName) {
        self.0.push(Biomarker { kind, field, layer });
    }
}

fn by_skeleton(aggregate: Aggregate) -> Kind {
    Kind::Tortuosity(Tortuosity {
        skeleton_length: true,
        ..Tortuosity::new(Distance, aggregate)
    })
}

fn whole_vessels(measure: TortuosityMeasure, skeleton_length: bool, aggregate: Aggregate) -> Kind {
    Kind::Tortuosity(Tortuosity {
        vessels: true,
        skeleton_length,
        ..Tortuosity::new(measure, aggregate)
    })
}
