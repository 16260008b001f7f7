//! An eye under measurement: each stage is computed when first asked for, and kept.

use std::cell::OnceCell;

use crate::eye::{Eye, InvalidEye};
use crate::field_cache::Fields;
use crate::landmarks::{Disc, Landmarks};
use crate::layer::Layer;
use crate::mask::Mask;
use crate::measure::{Measurement, SparsityMap};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::sets::{FeatureSet, LayerName};

/// An eye and what has been found out about it.
pub struct Analysis<'a> {
    pub(crate) eye: &'a Eye<'a>,
    pub(crate) rules: Rules,
    region: Mask,
    landmarks: Result<Landmarks, Reason>,
    arteries: OnceCell<Layer>,
    veins: OnceCell<Layer>,
    vessels: OnceCell<Layer>,
    pub(crate) sparsity: OnceCell<Result<SparsityMap, Reason>>,
    pub(crate) fields: Fields,
}

impl<'a> Analysis<'a> {
    /// Finds the visible retina, disc and fovea.
    ///
    /// # Errors
    /// The maps do not fit together.
    pub fn new(eye: &'a Eye<'a>, rules: Rules) -> Result<Self, InvalidEye> {
        eye.check()?;
        let region = eye.field_of_view.mask(eye.side);
        let landmarks =
            Disc::find(eye, &region, rules).map(|disc| Landmarks::new(eye, disc, rules));
        Ok(Self {
            eye,
            rules,
            region,
            landmarks,
            arteries: OnceCell::new(),
            veins: OnceCell::new(),
            vessels: OnceCell::new(),
            sparsity: OnceCell::new(),
            fields: Fields::default(),
        })
    }

    /// Visible retina.
    pub fn region(&self) -> &Mask {
        &self.region
    }

    /// Disc and fovea.
    ///
    /// # Errors
    /// Why there is no disc.
    pub fn landmarks(&self) -> Result<&Landmarks, Reason> {
        self.landmarks.as_ref().map_err(Clone::clone)
    }

    /// Arteries, veins or all vessels, with their segments.
    ///
    /// # Errors
    /// Why the layer has no segments; [`LayerName::Retina`] has no vessels.
    pub fn layer(&self, name: LayerName) -> Result<&Layer, Reason> {
        let layer = self.masks(name)?;
        layer
            .failure()
            .map_or(Ok(layer), |reason| Err(reason.clone()))
    }

    /// Arteries, veins or all vessels, whether or not segments were found.
    ///
    /// # Errors
    /// No vessel map; [`LayerName::Retina`] has no vessels.
    pub fn masks(&self, name: LayerName) -> Result<&Layer, Reason> {
        let disc = self.landmarks.as_ref().map(|landmarks| &landmarks.disc);
        let (cell, classes) = match name {
            LayerName::Arteries => (&self.arteries, [1, 3]),
            LayerName::Veins => (&self.veins, [2, 3]),
            LayerName::Vessels => {
                let map = self.eye.vessels.ok_or(Reason::NoVesselMap)?;
                return Ok(self.vessels.get_or_init(|| {
                    let raw = self.visible(map, |value| value > 0);
                    Layer::undirected(raw, disc.ok(), self.rules)
                }));
            }
            LayerName::Retina => return Err(Reason::NoVessels),
        };
        Ok(cell.get_or_init(|| {
            // The reference grows no trees without a disc to begin at.
            let disc = match (disc, self.rules) {
                (Ok(disc), _) => Ok(Some(disc)),
                (Err(reason), Rules::Reference) => Err(reason.clone()),
                (Err(_), Rules::Corrected) => Ok(None),
            };
            let raw = self.visible(self.eye.arteries_veins, |value| classes.contains(&value));
            Layer::trees(raw, disc, self.rules)
        }))
    }

    /// All values of a set, in the order of [`FeatureSet::variables`]; the set should be one of
    /// the analysis's rules ([`FeatureSet::rules`]).
    pub fn measure(&self, set: FeatureSet) -> Vec<Measurement> {
        if set == FeatureSet::VascxRs {
            return crate::own::measure(self);
        }
        set.biomarkers()
            .iter()
            .map(|biomarker| self.biomarker(biomarker))
            .collect()
    }

    /// How much larger the eye is shown than in most crops of 1024 pixels, by its disc.
    pub(crate) fn magnification(&self) -> f64 {
        const USUAL_RADIUS: f64 = 75.0;
        match &self.landmarks {
            Ok(landmarks) => (landmarks.disc.radius / USUAL_RADIUS).clamp(0.25, 4.0),
            Err(_) => self.eye.side as f64 / 1024.0,
        }
    }

    /// An area given in pixels of a crop of 1024, in this eye's magnification.
    pub(crate) fn scaled_area(&self, pixels: usize) -> usize {
        (pixels as f64 * self.magnification().powi(2)).round() as usize
    }

    fn visible(&self, map: &[u8], set: impl Fn(u8) -> bool) -> Mask {
        let mut mask = Mask::from_image(self.eye.side, self.eye.side, map, set);
        mask.keep(&self.region);
        mask
    }
}
