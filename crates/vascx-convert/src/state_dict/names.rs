//! Names of tensors: what wrappers put in front is stripped, numbered members are told apart.

use std::collections::{BTreeMap, BTreeSet};

use super::nested::keys;
use super::{Choice, Tensors};
use crate::error::{Error, Result};

/// Attributes under which wrappers keep the network.
const WRAPPERS: [&str; 6] = ["module", "model", "net", "network", "ensemble", "wrapped"];
/// Attributes under which ensembles keep a list of members.
const LISTS: [&str; 3] = ["models", "members", "nets"];
/// What training modules hold beside the network; no network has these.
const BESIDE: [&str; 12] = [
    "criterion",
    "loss",
    "loss_fn",
    "loss_function",
    "metrics",
    "n_averaged",
    "initted",
    "step",
    "global_step",
    "num_updates",
    "discriminator",
    "critic",
];
/// Where profilers (thop) count operations, in every module.
const COUNTERS: [&str; 2] = ["total_ops", "total_params"];
/// What torch.compile puts before the names of a module, wherever it stands.
const COMPILED: &str = "_orig_mod";
/// Levels of prefixes that are tried.
const MAX_PREFIX: usize = 8;
/// Beginnings of names that are tried.
const MAX_GROUPS: usize = 64;
/// Names listed in messages.
const MAX_LISTED: usize = 6;

/// Strips prefixes that all names share and splits an ensemble into its members. `path` leads to
/// the state dict, for messages.
pub(crate) fn members(
    tensors: Tensors,
    path: &str,
    choice: Choice,
    notes: &mut Vec<String>,
) -> Result<Vec<Tensors>> {
    let mut tensors = without_compiled(tensors)?;
    let beside = |name: &str| BESIDE.contains(&first(name));
    let left_out = tensors.keys().filter(|name| beside(name)).count();
    if (1..tensors.len()).contains(&left_out) {
        tensors.retain(|name, _| !beside(name));
        notes.push(format!("{left_out} tensors of losses and metrics left out"));
    }
    let counters = tensors.len();
    tensors.retain(|name, _| !COUNTERS.contains(&last(name)));
    let counters = counters - tensors.len();
    if counters > 0 {
        notes.push(format!("{counters} counters of a profiler left out"));
    }
    let mut stripped = String::new();
    while let Some(prefix) = shared_prefix(tensors.keys(), &WRAPPERS) {
        stripped.push_str(&prefix);
        tensors = below(tensors, &prefix);
    }
    let members = if let Some(list) = shared_prefix(tensors.keys(), &LISTS) {
        stripped.push_str(&list);
        split(below(tensors, &list))?
    } else {
        let path = format!("{path}.{stripped}");
        let path = path.trim_matches('.');
        let (prefix, tensors) = by_fit(tensors, path, choice, notes)?;
        stripped.push_str(&prefix);
        vec![tensors]
    };
    if !stripped.is_empty() {
        notes.push(format!("prefix `{stripped}` stripped from all names"));
    }
    let members = members.into_iter().map(|mut tensors| {
        while let Some(prefix) = shared_prefix(tensors.keys(), &WRAPPERS) {
            tensors = below(tensors, &prefix);
        }
        tensors
    });
    Ok(members.collect())
}

fn without_compiled(tensors: Tensors) -> Result<Tensors> {
    if !tensors.keys().any(|name| name.contains(COMPILED)) {
        return Ok(tensors);
    }
    let mut plain = Tensors::new();
    for (name, tensor) in tensors {
        let parts = name.split('.').filter(|part| *part != COMPILED);
        let short = parts.collect::<Vec<_>>().join(".");
        if plain.insert(short, tensor).is_some() {
            return Err(Error::tensor(&name, "is there twice, compiled and not"));
        }
    }
    Ok(plain)
}

/// Strips whatever all names begin with, as far as a network then fits. Networks that stand beside
/// something else are not taken without being asked for: what is beside may belong to the answer.
fn by_fit(
    tensors: Tensors,
    path: &str,
    choice: Choice,
    notes: &mut Vec<String>,
) -> Result<(String, Tensors)> {
    if choice.fits(&tensors) {
        return Ok((String::new(), tensors));
    }
    let mut stripped = String::new();
    let mut inner = tensors.clone();
    for _ in 0..MAX_PREFIX {
        let Some(name) = inner.keys().next() else {
            break;
        };
        let prefix = format!("{}.", first(name));
        if !inner.keys().all(|name| name.starts_with(&prefix)) {
            break;
        }
        inner = below(inner, &prefix);
        stripped.push_str(&prefix);
        if choice.fits(&inner) {
            return Ok((stripped, inner));
        }
    }
    let groups: BTreeSet<&str> = inner.keys().map(|name| first(name)).collect();
    let fits = |group: &&str| {
        let prefix = format!("{group}.");
        let group = inner.range(prefix.clone()..).map_while(|(name, tensor)| {
            let name = name.strip_prefix(&prefix)?.to_owned();
            Some((name, tensor.shape.clone()))
        });
        let mut group: BTreeMap<String, Vec<usize>> = group.collect();
        while let Some(prefix) = shared_prefix(group.keys(), &WRAPPERS) {
            let inner = group.into_iter();
            group = inner
                .map(|(name, shape)| (name[prefix.len()..].to_owned(), shape))
                .collect();
        }
        choice.fits_shapes(&group)
    };
    let some = groups.iter().copied().take(MAX_GROUPS);
    let fitting: Vec<&str> = some.filter(fits).collect();
    let path = format!("{path}.{stripped}");
    let path = path.trim_matches('.');
    let plain: Vec<&str> = fitting
        .iter()
        .copied()
        .filter(|name| !is_average(name))
        .collect();
    match plain[..] {
        _ if fitting.is_empty() => Ok((String::new(), tensors)),
        [plain] if fitting.len() == groups.len() && fitting.len() > 1 => {
            let averages: Vec<&str> = fitting
                .iter()
                .copied()
                .filter(|name| *name != plain)
                .collect();
            notes.push(format!(
                "weights taken from `{plain}`; averages are there, too; choose them with {}",
                keys(path, &averages)
            ));
            let prefix = format!("{plain}.");
            stripped.push_str(&prefix);
            Ok((stripped, below(inner, &prefix)))
        }
        _ => {
            let names = tensors.keys().map(String::as_str);
            let others = names.filter(|name| {
                let name = name.strip_prefix(&stripped).unwrap_or(name);
                !fitting.contains(&first(name))
            });
            let others: Vec<&str> = others.take(MAX_LISTED).collect();
            let others = match &others[..] {
                [] => String::new(),
                others => format!(", beside {}", others.join(", ")),
            };
            Err(Error::UnknownNetwork(format!(
                "tensors of known networks lie below {}{others}; take one alone with {}",
                fitting.join(", "),
                keys(path, &fitting)
            )))
        }
    }
}

/// Whether a name says that its weights are moving averages.
fn is_average(name: &str) -> bool {
    let mut words = name.split('_');
    words.any(|word| matches!(word, "ema" | "swa" | "averaged"))
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// `known.`, if all names begin with the same known attribute.
fn shared_prefix<'a>(
    mut names: impl Iterator<Item = &'a String> + Clone,
    known: &[&str],
) -> Option<String> {
    let name = first(names.clone().next()?);
    let prefix = format!("{name}.");
    let shared = known.contains(&name) && names.all(|name| name.starts_with(&prefix));
    shared.then_some(prefix)
}

/// The tensors whose names begin like this, without it.
pub(super) fn below(tensors: Tensors, prefix: &str) -> Tensors {
    let tensors = tensors.into_iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(prefix)?.to_owned();
        Some((name, tensor))
    });
    tensors.collect()
}

/// Members by their number, which must count from 0.
fn split(tensors: Tensors) -> Result<Vec<Tensors>> {
    let mut members: BTreeMap<usize, Tensors> = BTreeMap::new();
    for (name, tensor) in tensors {
        let Some((index, rest)) = name
            .split_once('.')
            .and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)))
        else {
            return Err(Error::tensor(&name, "belongs to no numbered member"));
        };
        if members
            .entry(index)
            .or_default()
            .insert(rest.to_owned(), tensor)
            .is_some()
        {
            return Err(Error::tensor(&name, "is there twice"));
        }
    }
    let missing = (0..members.len()).find(|index| !members.contains_key(index));
    match missing {
        None => Ok(members.into_values().collect()),
        Some(index) => Err(Error::Mismatch(format!(
            "members are not numbered from 0: there is no member {index}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, StorageRef, TensorRef};

    fn dict(names: &[&str]) -> Tensors {
        let tensor = TensorRef {
            storage: StorageRef {
                key: "0".into(),
                dtype: DType::F32,
                elements: 1,
            },
            offset: 0,
            shape: vec![],
            stride: vec![],
        };
        let names = names.iter();
        names
            .map(|&name| (name.to_owned(), tensor.clone()))
            .collect()
    }

    fn names(source: &[&str]) -> Result<Vec<Vec<String>>> {
        let members = members(dict(source), "", Choice::default(), &mut Vec::new())?.into_iter();
        Ok(members
            .map(|tensors| tensors.into_keys().collect())
            .collect())
    }

    #[test]
    fn wrappers_are_stripped_and_members_split() {
        assert_eq!(names(&["a.w", "b.w"]).unwrap(), [["a.w", "b.w"]]);
        let wrapped = ["module.model.a.w", "module.model.b.w", "criterion.weight"];
        assert_eq!(names(&wrapped).unwrap(), [["a.w", "b.w"]]);
        let counted = ["total_ops", "a.w", "a.total_ops", "a.total_params"];
        assert_eq!(names(&counted).unwrap(), [["a.w"]]);
        // Only what all names share is a wrapper.
        assert_eq!(names(&["model.a", "b"]).unwrap(), [["b", "model.a"]]);
        let ensemble = ["ensemble.models.0.a.w", "ensemble.models.1.a.w"];
        assert_eq!(names(&ensemble).unwrap(), [["a.w"], ["a.w"]]);
        let nested = ["models.0.model.a", "models.1.model.a"];
        assert_eq!(names(&nested).unwrap(), [["a"], ["a"]]);
    }

    #[test]
    fn gaps_and_unnumbered_members_are_errors() {
        let gap = names(&["models.0.a", "models.2.a"]).unwrap_err();
        assert!(gap.to_string().contains("member 1"), "{gap}");
        let odd = names(&["models.0.a", "models.x.a"]).unwrap_err();
        assert!(odd.to_string().contains("`x.a`"), "{odd}");
        let twice = names(&["models.0.a", "models.00.a"]).unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
