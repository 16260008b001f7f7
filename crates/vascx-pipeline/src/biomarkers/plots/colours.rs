//! Colours that people with colour-blindness can tell apart (Okabe and Ito), on dark pictures.

use vascx_biomarkers::LayerName;

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) [u8; 3]);

impl Colour {
    pub(super) const BLACK: Self = Self([0, 0, 0]);
    pub(super) const WHITE: Self = Self([255, 255, 255]);
    pub(super) const GREY: Self = Self([150, 150, 150]);
    pub(super) const VERMILION: Self = Self([235, 104, 24]);
    pub(super) const BLUE: Self = Self([86, 180, 233]);
    pub(super) const YELLOW: Self = Self([240, 228, 66]);
    pub(super) const GREEN: Self = Self([0, 178, 130]);
    pub(super) const PURPLE: Self = Self([214, 137, 180]);

    /// Arteries, veins, others.
    pub(super) fn of(layer: LayerName) -> Self {
        match layer {
            LayerName::Arteries => Self::VERMILION,
            LayerName::Veins => Self::BLUE,
            LayerName::Vessels | LayerName::Retina => Self::WHITE,
        }
    }

    /// The `index`-th of a few that differ.
    pub(super) fn cycle(index: usize) -> Self {
        const COLOURS: [Colour; 6] = [
            Colour([230, 159, 0]),
            Colour::BLUE,
            Colour::GREEN,
            Colour::YELLOW,
            Colour::VERMILION,
            Colour::PURPLE,
        ];
        COLOURS[index % COLOURS.len()]
    }

    /// From dark blue (0) over green to yellow (1): the colours called viridis, even in lightness.
    pub(super) fn scale(share: f64) -> Self {
        const STOPS: [[u8; 3]; 6] = [
            [68, 1, 84],
            [65, 68, 135],
            [42, 120, 142],
            [34, 168, 132],
            [122, 209, 81],
            [253, 231, 37],
        ];
        let place = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        } * 5.0;
        let index = (place as usize).min(4);
        let rest = place - index as f64;
        let mix = |channel: usize| {
            let [low, high] = [STOPS[index], STOPS[index + 1]].map(|stop| f64::from(stop[channel]));
            (low + rest * (high - low)) as u8
        };
        Self([mix(0), mix(1), mix(2)])
    }
}
