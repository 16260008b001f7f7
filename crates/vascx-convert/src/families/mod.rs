//! Which network a state dict belongs to, told from its names and shapes.

mod dialect;
mod monai;
mod resnet;
mod scheme;
mod shapes;
mod torchvision;
mod unet;

use serde::Serialize;
use vascx_models::Architecture;

use crate::error::{Error, Result};
use dialect::Dialect;
pub(crate) use scheme::Fit;
use scheme::Scheme;
pub(crate) use shapes::ShapeMap;
use shapes::Shapes;

/// Every family, in the order candidates are listed when they fit equally well.
static FAMILIES: [Family; 8] = [
    unet::FAMILY,
    resnet::UNET,
    monai::BASIC_UNET,
    monai::DYN_UNET,
    resnet::CLASSIFIER,
    torchvision::EFFICIENTNET,
    torchvision::CONVNEXT,
    torchvision::MOBILENET_V3,
];

/// What timm's networks add to variances.
const TIMM_EPSILON: f64 = 1e-5;
const UNSURE_NORM: &str = "instance and group norm look alike: give --arch FILE.json";

/// Networks that share a naming scheme.
struct Family {
    name: &'static str,
    scheme: Scheme,
    /// The last layer of a classifier, which users replace.
    head: Option<&'static str>,
    /// The network whose shapes these are, or what is missing to tell.
    describe: fn(Shapes) -> std::result::Result<Described, String>,
    /// Whether an architecture is one of this family.
    holds: fn(&Architecture) -> bool,
}

/// A network found from shapes.
struct Described {
    /// Published name, such as `resnet18`, or the family's.
    name: String,
    architecture: Architecture,
    /// What shapes do not tell and had to be assumed.
    notes: Vec<String>,
}

/// A network that every tensor of a state dict has its place in.
#[derive(Debug)]
pub(crate) struct Recognised {
    pub(crate) name: String,
    pub(crate) architecture: Architecture,
    pub(crate) fit: Fit,
    pub(crate) notes: Vec<String>,
}

/// What the user says of a checkpoint's network.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchitectureChoice {
    /// A family or published network by name, such as `smp_unet` or `resnet18`; its parameters
    /// are found from the shapes.
    Named(String),
    /// The network with all its parameters, as `architecture` in `model.json`.
    Exactly(Box<Architecture>),
}

/// How well a network fits a state dict.
#[derive(Debug, Serialize)]
pub struct Candidate {
    /// Published name, such as `resnet18`, or the family's.
    pub name: String,
    /// Tensors that have their place in the network.
    pub fits: usize,
    /// Tensors in the state dict.
    pub tensors: usize,
    /// What keeps it from fitting; empty when it does.
    pub problems: Vec<String>,
}

/// Names of a file listed in messages.
const MAX_NAMES: usize = 6;
/// Most problems listed per candidate.
const MAX_PROBLEMS: usize = 4;

impl Family {
    /// The network of these shapes laid against them.
    fn attempt(
        &self,
        shapes: &ShapeMap,
        exactly: Option<&Architecture>,
    ) -> std::result::Result<Recognised, String> {
        let dialect = Dialect::new(shapes, self.head);
        let mut described = match exactly {
            Some(architecture) => Described {
                name: self.name.into(),
                architecture: architecture.clone(),
                notes: Vec::new(),
            },
            None => (self.describe)(Shapes(&dialect.shapes))?,
        };
        if exactly.is_none() && dialect.is_timm {
            match &mut described.architecture {
                Architecture::EfficientNet(config) => config.epsilon = TIMM_EPSILON,
                Architecture::MobileNetV3(config) => config.epsilon = TIMM_EPSILON,
                _ => {}
            }
        }
        let mut notes = dialect.notes.clone();
        notes.append(&mut described.notes);
        let network = described.architecture.graph(0);
        let network = network.map_err(|error| error.to_string())?;
        let mut fit = self.scheme.fit(&network.parameters, &dialect.shapes);
        for (_, source) in &mut fit.pairs {
            *source = dialect.source(source);
        }
        for name in fit.left_over.iter_mut().chain(&mut fit.dropped) {
            *name = dialect.source(name);
        }
        Ok(Recognised {
            fit,
            name: described.name,
            architecture: described.architecture,
            notes,
        })
    }

    fn candidate(
        &self,
        shapes: &ShapeMap,
        attempt: &std::result::Result<Recognised, String>,
    ) -> Candidate {
        let (name, fits, mut problems) = match attempt {
            Ok(Recognised { name, fit, .. }) => {
                let left_over = fit.left_over.iter();
                let left_over = left_over.map(|name| format!("`{name}` has no place"));
                let problems: Vec<String> = fit.missing.iter().cloned().chain(left_over).collect();
                (name.clone(), fit.pairs.len() + fit.dropped.len(), problems)
            }
            Err(reason) => (
                self.name.to_owned(),
                self.scheme
                    .recognised(&Dialect::new(shapes, self.head).shapes),
                vec![reason.clone()],
            ),
        };
        if problems.len() > MAX_PROBLEMS {
            let more = problems.len() - MAX_PROBLEMS;
            problems.truncate(MAX_PROBLEMS);
            problems.push(format!("and {more} more"));
        }
        Candidate {
            name,
            fits,
            tensors: shapes.len(),
            problems,
        }
    }
}

/// Every family with how well it fits, best first; those in which nothing fits are left out.
pub(crate) fn candidates(shapes: &ShapeMap) -> Vec<Candidate> {
    let families = FAMILIES.iter();
    let mut candidates: Vec<Candidate> = families
        .map(|family| family.candidate(shapes, &family.attempt(shapes, None)))
        .filter(|candidate| candidate.fits > 0)
        .collect();
    candidates.sort_by_key(|candidate| {
        let fits = candidate.problems.is_empty();
        std::cmp::Reverse((fits, candidate.fits))
    });
    candidates
}

/// Whether exactly one network has these tensors, or the one chosen has.
pub(crate) fn fits(shapes: &ShapeMap, choice: Option<&ArchitectureChoice>) -> bool {
    let total = |family: &&Family| {
        let attempt = family.attempt(shapes, None);
        attempt.is_ok_and(|recognised| recognised.fit.is_total())
    };
    match choice {
        Some(choice) => chosen(shapes, choice).is_ok(),
        None => FAMILIES.iter().filter(total).count() == 1,
    }
}

/// The one network that fits, or the one the user names.
pub(crate) fn recognise(
    shapes: &ShapeMap,
    choice: Option<&ArchitectureChoice>,
) -> Result<Recognised> {
    match choice {
        Some(choice) => chosen(shapes, choice),
        None => only(shapes),
    }
}

fn chosen(shapes: &ShapeMap, choice: &ArchitectureChoice) -> Result<Recognised> {
    let (family, exactly) = match choice {
        ArchitectureChoice::Named(name) => (by_name(name)?, None),
        ArchitectureChoice::Exactly(architecture) => {
            let mut families = FAMILIES.iter();
            let family = families.find(|family| (family.holds)(architecture));
            let family = family.ok_or_else(|| {
                Error::UnknownNetwork("a graph is no architecture to choose".into())
            })?;
            (family, Some(&**architecture))
        }
    };
    let attempt = family.attempt(shapes, exactly);
    let candidate = family.candidate(shapes, &attempt);
    match (attempt, choice) {
        (Ok(recognised), ArchitectureChoice::Named(name))
            if recognised.name != *name && family.name != name =>
        {
            Err(Error::UnknownNetwork(format!(
                "the tensors are those of {}, not of {name}",
                recognised.name
            )))
        }
        (Ok(recognised), _) if recognised.fit.is_total() => Ok(recognised),
        _ => Err(Error::UnknownNetwork(format!(
            "the tensors do not fit the network asked for:\n{}",
            listed(&[candidate])
        ))),
    }
}

fn by_name(name: &str) -> Result<&'static Family> {
    // `resnet18` is of the family `resnet`, `smp_unet_resnet18` of `smp_unet`.
    let named = |family: &&Family| name.starts_with(family.name);
    FAMILIES.iter().find(named).ok_or_else(|| {
        let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        Error::UnknownNetwork(format!(
            "unknown architecture `{name}`; known families are {}",
            names.join(", ")
        ))
    })
}

fn only(shapes: &ShapeMap) -> Result<Recognised> {
    let attempts = FAMILIES.iter();
    let attempts = attempts.filter_map(|family| family.attempt(shapes, None).ok());
    let mut fitting: Vec<Recognised> = attempts
        .filter(|recognised| recognised.fit.is_total())
        .collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => {
            let candidates = candidates(shapes);
            let list = if candidates.is_empty() {
                let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
                format!("  no tensor bears a name of {}", names.join(", "))
            } else {
                listed(&candidates)
            };
            let first: Vec<&str> = shapes.keys().map(String::as_str).take(MAX_NAMES).collect();
            Err(Error::UnknownNetwork(format!(
                "no known network has these tensors ({} …):\n{list}\nSave the network with its \
                 program, which need not be known, in Python: \
                 torch.jit.trace(model.eval(), example).save(\"model.pt\"); or choose other \
                 weights of the file with --key",
                first.join(", ")
            )))
        }
        _ => {
            let names: Vec<&str> = fitting.iter().map(|fit| fit.name.as_str()).collect();
            Err(Error::UnknownNetwork(format!(
                "several networks have these tensors; choose one with --arch: {}",
                names.join(", ")
            )))
        }
    }
}

fn listed(candidates: &[Candidate]) -> String {
    let lines = candidates.iter().map(|candidate| {
        let Candidate {
            name,
            fits,
            tensors,
            problems,
        } = candidate;
        let problems = problems.join("; ");
        format!("  {name}: {fits} of {tensors} tensors fit; {problems}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
