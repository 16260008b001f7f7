//! The models of a whole job: found in a folder or on the hub, converted once, loaded.

mod cache;
mod layout;

pub use cache::{ModelCache, cache_folder};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vascx_format::Model;
use vascx_hub::{Hub, HubName, Progress};
use vascx_inference::{AnyEnsemble, Devices, Models, Role};
use vascx_models::Precision;

use crate::error::{Error, Result};

/// Where the models of a whole job come from, and which steps are wanted.
///
/// A model that was given for a step comes first, then the folder, then the hub's released models.
///
/// ```no_run
/// use vascx_inference::{Device, Role};
/// use vascx_models::Precision;
/// use vascx_pipeline::{ModelCache, ModelChoice};
///
/// let choice = ModelChoice::default()
///     .with_folder("models")
///     .with_model(Role::Disc, "my_disc.pt")
///     .without(Role::Vessels);
/// let located = choice.locate(|name, progress| eprintln!("{name}: {}", progress.received))?;
/// let loaded = located.load(Device::Cpu, Precision::F32, &ModelCache::of_user("1"))?;
/// for (role, reason) in &loaded.missing {
///     eprintln!("{role} is left out: {reason}");
/// }
/// # Ok::<(), vascx_pipeline::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ModelChoice {
    /// A folder in the published layout: `quality/quality.pt`, `artery_vein/av_july24.pt` and so on.
    pub folder: Option<PathBuf>,
    /// Models for some steps: files, model directories, or hub names.
    pub given: BTreeMap<Role, PathBuf>,
    /// Steps that are not wanted.
    pub without: Vec<Role>,
}

impl ModelChoice {
    /// With the models of a folder.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// With a model for a step.
    #[must_use]
    pub fn with_model(mut self, role: Role, model: impl Into<PathBuf>) -> Self {
        self.given.insert(role, model.into());
        self
    }

    /// Without a step.
    #[must_use]
    pub fn without(mut self, role: Role) -> Self {
        self.without.push(role);
        self
    }

    /// Finds the model of every wanted step; what is on the hub alone is fetched, of which `progress`
    /// learns. A step that the folder has no model for is missing, which is no error.
    ///
    /// # Errors
    /// When a model that was given is not there, the folder is none or has several models for a step,
    /// or the hub does not give one.
    pub fn locate(&self, mut progress: impl FnMut(&str, Progress)) -> Result<Located> {
        if let Some(folder) = self.folder.as_deref().filter(|folder| !folder.is_dir()) {
            return Err(Error::input(folder, "no such folder of models"));
        }
        let mut located = Located::default();
        let wanted = |role: &Role| !self.without.contains(role);
        for role in Role::ALL.into_iter().filter(wanted) {
            let found = if let Some(given) = self.given.get(&role) {
                Ok(locate(given, &mut progress)?)
            } else if let Some(folder) = &self.folder {
                layout::find(folder, role)?
            } else {
                Ok(fetch(layout::released(role), &mut progress)?)
            };
            match found {
                Ok(path) => {
                    located.found.insert(role, path);
                }
                Err(reason) => located.missing.push((role, reason)),
            }
        }
        Ok(located)
    }
}

/// The file or folder that a model's argument means: a path as it is, a hub name fetched.
///
/// # Errors
/// When there is nothing, or the hub does not give it.
pub fn locate(model: &Path, mut progress: impl FnMut(&str, Progress)) -> Result<PathBuf> {
    if let Some(name) = model.to_str().filter(|model| HubName::is_meant_by(model)) {
        return fetch(name, &mut progress);
    }
    if model.exists() {
        Ok(model.to_owned())
    } else {
        Err(Error::input(model, "there is no such model"))
    }
}

fn fetch(name: &str, progress: &mut impl FnMut(&str, Progress)) -> Result<PathBuf> {
    let mut fetch = || -> vascx_hub::Result<PathBuf> {
        let parsed: HubName = name.parse()?;
        Hub::from_environment()?.fetch(&parsed, |got| progress(parsed.path(), got))
    };
    fetch().map_err(|source| Error::Hub {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

/// The models of a whole job, where they are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Located {
    /// Files or folders by step.
    pub found: BTreeMap<Role, PathBuf>,
    /// Wanted steps without a model, and why there is none.
    pub missing: Vec<(Role, String)>,
}

/// The models of a whole job on their devices.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Loaded {
    /// By step.
    pub models: Models,
    /// Wanted steps without a model, and why there is none.
    pub missing: Vec<(Role, String)>,
    /// What was assumed about the models and what is to be known of them, each once.
    pub notes: Vec<String>,
}

impl Located {
    /// Loads all of them. What is not converted yet is, and kept in the cache.
    ///
    /// # Errors
    /// When a model cannot be read, does not fit its step, or the device is not there.
    pub fn load(
        self,
        devices: impl Into<Devices>,
        precision: Precision,
        cache: &ModelCache,
    ) -> Result<Loaded> {
        let devices = devices.into();
        let mut loaded = Loaded {
            missing: self.missing,
            ..Loaded::default()
        };
        for (role, path) in &self.found {
            let (model, notes) = cache.open(path)?;
            let notes = notes.into_iter().chain(model.manifest().notice.clone());
            for note in notes {
                if !loaded.notes.contains(&note) {
                    loaded.notes.push(note);
                }
            }
            let ensemble = Self::ensemble(&model, devices.clone(), precision)?;
            loaded.models = std::mem::take(&mut loaded.models).with(*role, ensemble)?;
        }
        Ok(loaded)
    }

    fn ensemble(
        model: &Model,
        devices: Devices,
        precision: Precision,
    ) -> vascx_inference::Result<AnyEnsemble> {
        AnyEnsemble::load(model, devices)?.with_precision(precision)
    }
}
