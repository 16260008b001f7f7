//! Grids of the retina and their fields.

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
