//! Finding the weights in a pickled object: they may lie below training state of all kinds.

use std::cell::Cell;

use super::tree::Tree;
use super::{Choice, Tensors, names};
use crate::error::{Error, Result};
use crate::pickle::{Id, Pickle};

/// Levels of training state around the weights.
const MAX_LEVELS: usize = 16;
/// Entries of a level that are tried.
const MAX_PARTS: usize = 64;
/// Places that are looked at in all; ends dictionaries that multiply by sharing.
const MAX_PLACES: usize = 500;
/// Names listed in messages.
const MAX_LISTED: usize = 12;

/// Keys under which trainers keep the weights, most telling first.
const WRAPPERS: [&str; 10] = [
    "state_dict",
    "model_state_dict",
    "net_state_dict",
    "network_state_dict",
    "model_state",
    "network_weights",
    "model",
    "net",
    "network",
    "weights",
];
/// Keys under which they keep one state dict per member.
const LISTS: [&str; 2] = ["models", "members"];

/// The state dicts of the members in a pickle.
pub(super) fn members(
    pickle: &Pickle,
    choice: Choice,
    notes: &mut Vec<String>,
) -> Result<Vec<Tensors>> {
    let search = Search {
        tree: Tree::new(pickle),
        choice,
        places: Cell::new(0),
    };
    let root = search.tree.root();
    let members = match choice.key {
        Some(key) => search.chosen(key, notes)?,
        None => search.below(root, "", 0, notes)?,
    };
    let classes = search.tree.classes();
    if !classes.is_empty() {
        let classes = classes.join(", ");
        notes.push(format!("objects not looked into: {classes}"));
    }
    Ok(members)
}

/// Parts that a network fits, with their members.
type Fitting<'a> = Vec<(&'a str, Vec<Tensors>)>;

struct Search<'a> {
    tree: Tree<'a>,
    choice: Choice<'a>,
    places: Cell<usize>,
}

impl Search<'_> {
    /// The weights at the place the user names: keys of dictionaries, then beginnings of names.
    fn chosen(&self, key: &str, notes: &mut Vec<String>) -> Result<Vec<Tensors>> {
        let (place, rest) = self.descend(self.tree.root(), key);
        if rest.is_empty() {
            return self.below(place, key, 0, notes);
        }
        // What all names of a state dict begin with is no key of a dictionary.
        let prefix = format!("{rest}.");
        let tensors = self.tree.flattened(place, "")?;
        let tensors = names::below(tensors, &prefix);
        if tensors.is_empty() {
            let parts = self.tree.parts(self.tree.root()).into_iter();
            let parts: Vec<String> = parts.map(|(name, _)| name).take(MAX_LISTED).collect();
            return Err(Error::UnknownNetwork(format!(
                "there are no weights under `{key}` (--key); the file holds {}",
                parts.join(", ")
            )));
        }
        names::members(tensors, key, self.choice, notes)
    }

    /// Follows a dotted key as far as dictionaries go; gives the rest of it, too.
    fn descend<'k>(&self, mut place: Id, key: &'k str) -> (Id, &'k str) {
        let mut rest = key;
        for _ in 0..MAX_LEVELS {
            let parts = self.tree.parts(place).into_iter();
            let within = parts.filter_map(|(name, part)| {
                let below = rest.strip_prefix(name.as_str())?;
                let ends = below.is_empty() || below.starts_with('.');
                (ends && !self.tree.is_tensor(part)).then_some((name.len(), part))
            });
            match within.max_by_key(|(length, _)| *length) {
                Some((length, part)) if !rest.is_empty() => {
                    place = part;
                    rest = rest[length..].strip_prefix('.').unwrap_or("");
                }
                _ => break,
            }
        }
        (place, rest)
    }

    /// The weights at or below a place.
    fn below(
        &self,
        place: Id,
        path: &str,
        level: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Tensors>> {
        self.places.set(self.places.get() + 1);
        let parts = self.tree.parts(place);
        let exhausted = level >= MAX_LEVELS || self.places.get() > MAX_PLACES;
        let weights = parts.iter().any(|(_, part)| self.tree.is_tensor(*part));
        let inner = |wanted: &[&str]| {
            wanted.iter().find_map(|wanted| {
                parts.iter().find(|(name, part)| {
                    name == wanted && self.tree.holds_tensors(*part) && !self.tree.is_tensor(*part)
                })
            })
        };
        if exhausted || self.tree.is_module(place) {
            return self.whole(place, path, notes);
        }
        if let Some((name, inner)) = inner(&WRAPPERS) {
            return self.unwrapped(&parts, name, *inner, path, level, notes);
        }
        if let Some((name, inner)) = inner(&LISTS) {
            let tensors = self.tree.flattened(*inner, name)?;
            return names::members(tensors, path, self.choice, notes);
        }
        if weights {
            return self.whole(place, path, notes);
        }
        // Neither weights nor a name that tells: what a network fits.
        let found = self.fitting(parts.iter(), level);
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        let fertile = parts
            .iter()
            .filter(|(_, part)| self.tree.holds_tensors(*part));
        if are_numbered(&names) && names.len() == fertile.count() {
            notes.push(format!("members taken from {}", names.join(", ")));
            return Ok(found.into_iter().flat_map(|(_, members)| members).collect());
        }
        match names[..] {
            [] => self.whole(place, path, notes),
            [only] => {
                let mut parts = parts.iter();
                let (name, inner) = parts.find(|(name, _)| name == only).expect("found there");
                let path = joined(path, name);
                notes.push(format!("weights taken from `{path}`"));
                self.below(*inner, &path, level + 1, notes)
            }
            _ => Err(Error::UnknownNetwork(format!(
                "it holds several sets of weights; choose one: {}",
                keys(path, &names)
            ))),
        }
    }

    /// All tensors below a place, which are a state dict.
    fn whole(&self, place: Id, path: &str, notes: &mut Vec<String>) -> Result<Vec<Tensors>> {
        names::members(self.tree.flattened(place, "")?, path, self.choice, notes)
    }

    /// The weights under a key that trainers use.
    fn unwrapped(
        &self,
        parts: &[(String, Id)],
        name: &str,
        inner: Id,
        path: &str,
        level: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Tensors>> {
        let place = joined(path, name);
        let beside = parts.iter().filter(|(other, _)| other != name);
        let left_out = beside.clone().map(|(other, _)| other.as_str());
        let left_out: Vec<&str> = left_out.take(MAX_LISTED).collect();
        notes.push(if left_out.is_empty() {
            format!("weights taken from `{place}`")
        } else {
            let left_out = left_out.join(", ");
            format!("weights taken from `{place}`; left out: {left_out}")
        });
        let found = self.below(inner, &place, level + 1, notes)?;
        let others = self.fitting(beside, level);
        let others: Vec<&str> = others.iter().map(|(other, _)| *other).collect();
        if !others.is_empty() {
            let keys = keys(path, &others);
            notes.push(format!(
                "other weights are there, too; choose them with {keys}"
            ));
        }
        Ok(found)
    }

    /// The parts that a network fits.
    fn fitting<'p>(
        &self,
        parts: impl Iterator<Item = &'p (String, Id)>,
        level: usize,
    ) -> Fitting<'p> {
        let parts = parts.take(MAX_PARTS).filter_map(|(name, part)| {
            if self.tree.is_tensor(*part) || !self.tree.holds_tensors(*part) {
                return None;
            }
            let found = self.below(*part, "", level + 1, &mut Vec::new()).ok()?;
            let all = found.iter().all(|member| self.choice.fits(member));
            all.then_some((name.as_str(), found))
        });
        parts.collect()
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What to type for each of several names.
pub(super) fn keys(path: &str, names: &[&str]) -> String {
    let names = names.iter();
    let keys = names.map(|name| format!("--key {}", joined(path, name)));
    keys.collect::<Vec<_>>().join(", ")
}

/// Whether these are the same name with numbers from 0 or 1 on, such as those of folds.
fn are_numbered(names: &[&str]) -> bool {
    let parted = names.iter().map(|name| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        Some((stem, name[stem.len()..].parse::<usize>().ok()?))
    });
    let Some(parted) = parted.collect::<Option<Vec<_>>>() else {
        return false;
    };
    let Some(&(stem, first)) = parted.first() else {
        return false;
    };
    let mut parted = parted.iter().enumerate();
    first <= 1 && parted.all(|(index, &(other, number))| other == stem && number == first + index)
}
