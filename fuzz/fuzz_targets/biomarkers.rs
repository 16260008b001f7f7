//! Any maps and landmarks: no panic, no hang, every value a number or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vascx_biomarkers::{Analysis, Eye, FeatureSet, FieldOfView, LayerName, Point};

fuzz_target!(|data: &[u8]| {
    // A byte for the side, landmarks, switches; the rest fills the maps again and again.
    let Some((head, rest)) = data.split_first_chunk::<20>() else {
        return;
    };
    let side = usize::from(head[0] % 128) + 1;
    let number =
        |at: usize| f32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let map = |shift: u32, count: usize| -> Vec<u8> {
        (0..count)
            .map(|at| {
                rest.get(at % rest.len().max(1))
                    .map_or(0, |byte| byte >> shift & 3)
            })
            .collect()
    };
    let (arteries_veins, vessels) = (map(0, side * side), map(2, side * side));
    let (disc, rgb) = (map(4, side * side), map(6, 3 * side * side));
    let switch = |bit: u8| head[1] >> bit & 1 == 1;
    let eye = Eye {
        side,
        arteries_veins: &arteries_veins,
        vessels: switch(0).then_some(vessels.as_slice()),
        disc: switch(1).then_some(disc.as_slice()),
        rgb: switch(2).then_some(rgb.as_slice()),
        fovea: switch(3).then(|| Point::new(number(2).into(), number(6).into())),
        field_of_view: FieldOfView {
            top: head[10].into(),
            bottom: head[11].into(),
            left: head[12].into(),
            right: head[13].into(),
        },
        mm_per_pixel: switch(4).then(|| f64::from(number(14).abs()).clamp(1e-6, 1e3)),
    };
    let sets = [
        FeatureSet::FullV3,
        FeatureSet::OdCenteredNarrow,
        FeatureSet::VascxRs,
    ];
    let set = sets[usize::from(head[19]) % sets.len()];
    let Ok(analysis) = Analysis::new(&eye, set.rules()) else {
        return;
    };
    for measured in analysis.measure(set) {
        assert!(measured.value.is_err() || measured.value.is_ok_and(f64::is_finite));
    }
    for layer in [LayerName::Arteries, LayerName::Veins, LayerName::Vessels] {
        let _ = (
            analysis.segment_table(layer),
            analysis.bifurcation_table(layer),
        );
    }
});
