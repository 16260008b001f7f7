//! Names of tensors: what wrappers put in front is stripped, numbered members are told apart.

use std::collections::BTreeMap;

use super::Tensors;
use crate::error::{Error, Result};

/// Attributes under which wrappers keep the network.
const WRAPPERS: [&str; 7] = [
    "module",
    "model",
    "net",
    "network",
    "_orig_mod",
    "ensemble",
    "wrapped",
];
/// Attributes under which ensembles keep a list of members.
const LISTS: [&str; 3] = ["models", "members", "nets"];
/// What training modules hold beside the network; no network has these.
const BESIDE: [&str; 6] = [
    "criterion",
    "loss",
    "loss_fn",
    "loss_function",
    "metrics",
    "n_averaged",
];

/// Strips prefixes that all names share and splits an ensemble into its members.
pub(crate) fn members(mut tensors: Tensors, notes: &mut Vec<String>) -> Result<Vec<Tensors>> {
    let names = tensors.len();
    tensors.retain(|name, _| !BESIDE.contains(&first(name)));
    if tensors.len() < names {
        let left_out = names - tensors.len();
        notes.push(format!("{left_out} tensors of losses and metrics left out"));
    }
    let mut stripped = String::new();
    while let Some(prefix) = shared_prefix(&tensors, &WRAPPERS) {
        stripped.push_str(&prefix);
        tensors = below(tensors, &prefix);
    }
    let members = match shared_prefix(&tensors, &LISTS) {
        Some(list) => {
            stripped.push_str(&list);
            split(below(tensors, &list))?
        }
        None => vec![tensors],
    };
    if !stripped.is_empty() {
        notes.push(format!("prefix `{stripped}` stripped from all names"));
    }
    let members = members.into_iter().map(|mut tensors| {
        while let Some(prefix) = shared_prefix(&tensors, &WRAPPERS) {
            tensors = below(tensors, &prefix);
        }
        tensors
    });
    Ok(members.collect())
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// `known.`, if all names begin with the same known attribute.
fn shared_prefix(tensors: &Tensors, known: &[&str]) -> Option<String> {
    let name = first(tensors.keys().next()?);
    let prefix = format!("{name}.");
    let shared = known.contains(&name) && tensors.keys().all(|name| name.starts_with(&prefix));
    shared.then_some(prefix)
}

fn below(tensors: Tensors, prefix: &str) -> Tensors {
    let tensors = tensors.into_iter();
    tensors
        .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
        .collect()
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
        let members = members(dict(source), &mut Vec::new())?.into_iter();
        Ok(members
            .map(|tensors| tensors.into_keys().collect())
            .collect())
    }

    #[test]
    fn wrappers_are_stripped_and_members_split() {
        assert_eq!(names(&["a.w", "b.w"]).unwrap(), [["a.w", "b.w"]]);
        let wrapped = ["module.model.a.w", "module.model.b.w", "criterion.weight"];
        assert_eq!(names(&wrapped).unwrap(), [["a.w", "b.w"]]);
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
