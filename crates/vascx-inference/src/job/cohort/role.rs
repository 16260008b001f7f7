//! The steps of a whole job and the models that do them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use vascx_format::{ModelManifest, Task};

use crate::ensemble::AnyEnsemble;
use crate::error::{Error, Result};

/// A step of the whole job, for which there is a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// How good the photograph is.
    Quality,
    /// Arteries and veins: 0 background, 1 artery, 2 vein, 3 both.
    ArteryVein,
    /// Vessels: 0 background, 1 vessel.
    Vessels,
    /// The optic disc: 0 background, 1 disc.
    Disc,
    /// The fovea, a point.
    Fovea,
}

impl Role {
    /// All of them, in the order in which they are computed.
    pub const ALL: [Self; 5] = [
        Self::Quality,
        Self::ArteryVein,
        Self::Vessels,
        Self::Disc,
        Self::Fovea,
    ];

    /// Its name, which is that of its folder in a folder of models, and of maps in a folder of results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quality => "quality",
            Self::ArteryVein => "artery_vein",
            Self::Vessels => "vessels",
            Self::Disc => "disc",
            Self::Fovea => "fovea",
        }
    }

    /// Whether its model answers with a map.
    pub fn has_map(self) -> bool {
        matches!(self, Self::ArteryVein | Self::Vessels | Self::Disc)
    }

    /// What is wrong with a model for this step.
    fn refuses(self, manifest: &ModelManifest) -> Option<String> {
        let (task, answers) = (manifest.task, manifest.answers());
        let expected = match self {
            Self::Quality => "classification",
            Self::Fovea => "keypoints of one point",
            Self::ArteryVein => "segmentation of 3 or 4 classes, or of 2 that may overlap",
            Self::Vessels | Self::Disc => "segmentation of 2 classes, or of 1 that may overlap",
        };
        let wanted: &[usize] = match (self, task) {
            (Self::Quality, Task::Classification) => return None,
            (Self::Fovea, Task::Heatmap | Task::Keypoints)
            | (Self::Vessels | Self::Disc, Task::Overlaps) => &[1],
            (Self::ArteryVein, Task::Overlaps)
            | (Self::Vessels | Self::Disc, Task::Segmentation) => &[2],
            (Self::ArteryVein, Task::Segmentation) => &[3, 4],
            _ => &[],
        };
        let fits = wanted.contains(&answers);
        (!fits).then(|| format!("{} of {answers} is no {expected}", task.name()))
    }
}

impl Display for Role {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| {
            format!("`{text}` is no step; quality, artery_vein, vessels, disc and fovea are")
        })
    }
}

/// The models of a whole job, at most one for each step.
#[derive(Clone, Debug, Default)]
pub struct Models {
    pub(super) by_role: BTreeMap<Role, AnyEnsemble>,
}

impl Models {
    /// Adds the model for a step, in place of one that was there.
    ///
    /// # Errors
    /// When the model answers something else, or is on other devices than those before it.
    pub fn with(mut self, role: Role, model: AnyEnsemble) -> Result<Self> {
        let refused = |reason| Err(Error::Role { role, reason });
        if let Some(reason) = role.refuses(model.manifest()) {
            return refused(reason);
        }
        if let Some(other) = self.by_role.values().next() {
            let [there, here] = [other, &model].map(|model| &model.runner.devices);
            if there != here {
                return refused(format!("it is on {here}, the others are on {there}"));
            }
        }
        self.by_role.insert(role, model);
        Ok(self)
    }

    /// The steps that have a model, in the order in which they are computed.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = Role> {
        self.by_role.keys().copied()
    }

    /// The model of a step.
    pub fn get(&self, role: Role) -> Option<&AnyEnsemble> {
        self.by_role.get(&role)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_role.is_empty()
    }
}
