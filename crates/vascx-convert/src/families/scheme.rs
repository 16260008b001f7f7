//! Naming schemes as data: which layer of a state dict a layer of ours is.

use std::collections::BTreeSet;

use vascx_graph::GraphParameter;

use super::shapes::ShapeMap;

/// How the tensors of a family are named.
pub(super) struct Scheme {
    /// Layer of ours → layer of the state dict. `{}` stands for a number, the same ones in the same
    /// order on both sides. Patterns describe whole names.
    pub(super) layers: &'static [(&'static str, &'static str)],
    /// Tensors that carry nothing inference needs. A final `*` stands for any rest.
    pub(super) dropped: &'static [&'static str],
}

/// Counts batches during training; nothing else uses it.
const COUNTER: &str = "num_batches_tracked";

/// A state dict laid against a network: what goes where, and what does not.
#[derive(Debug, Default)]
pub(crate) struct Fit {
    /// Parameter of the network and its tensor in the state dict.
    pub(crate) pairs: Vec<(GraphParameter, String)>,
    /// Tensors of the state dict that the network needs and that are not there, or not of the
    /// shape it needs.
    pub(crate) missing: Vec<String>,
    /// Tensors that have no place in the network.
    pub(crate) left_over: Vec<String>,
    /// Tensors on the scheme's list of those that inference does not need.
    pub(crate) dropped: Vec<String>,
}

impl Fit {
    pub(crate) fn is_total(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty()
    }
}

impl Scheme {
    /// Finds the tensor of every parameter.
    pub(super) fn fit(&self, network: &[GraphParameter], shapes: &ShapeMap) -> Fit {
        let mut fit = Fit::default();
        let mut used = BTreeSet::new();
        for spec in network {
            let Some(name) = self.source(&spec.name) else {
                fit.missing
                    .push(format!("`{}` has no name in the scheme", spec.name));
                continue;
            };
            match shapes.get(&name) {
                None => fit.missing.push(format!("no tensor `{name}`")),
                Some(shape) if *shape != source_shape(&spec.shape) => {
                    let expected = source_shape(&spec.shape);
                    let missing = format!("`{name}` has shape {shape:?}, expected {expected:?}");
                    fit.missing.push(missing);
                    used.insert(name);
                }
                Some(_) if !used.insert(name.clone()) => {
                    fit.missing.push(format!("`{name}` would be used twice"));
                }
                Some(_) => fit.pairs.push((spec.clone(), name)),
            }
        }
        for name in shapes.keys().filter(|name| !used.contains(*name)) {
            if self.drops(name) {
                fit.dropped.push(name.clone());
            } else {
                fit.left_over.push(name.clone());
            }
        }
        fit
    }

    /// How many tensors bear a name of this scheme, whatever the network's size.
    pub(super) fn recognised(&self, shapes: &ShapeMap) -> usize {
        let named = |name: &&String| {
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let mut sources = self.layers.iter().map(|(_, source)| source);
            self.drops(name) || sources.any(|source| captures(source, layer).is_some())
        };
        shapes.keys().filter(named).count()
    }

    /// The name in the state dict of a parameter of ours.
    fn source(&self, parameter: &str) -> Option<String> {
        let (layer, leaf) = parameter.rsplit_once('.')?;
        let leaf = match leaf {
            "gamma" => "weight",
            "beta" => "bias",
            same => same,
        };
        self.layers.iter().find_map(|(ours, theirs)| {
            let numbers = captures(ours, layer)?;
            Some(format!("{}.{leaf}", filled(theirs, &numbers)))
        })
    }

    fn drops(&self, name: &str) -> bool {
        let describes = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => captures(pattern, name).is_some(),
        };
        name.rsplit('.').next() == Some(COUNTER) || self.dropped.iter().any(describes)
    }
}

/// Linear weights are `[inputs, outputs]` with us, the transpose of PyTorch's.
fn source_shape(ours: &[usize]) -> Vec<usize> {
    match ours {
        [inputs, outputs] => vec![*outputs, *inputs],
        same => same.to_vec(),
    }
}

/// The numbers where a pattern has `{}`, if it describes the whole name.
fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut rest = name;
    let mut numbers = Vec::new();
    for (index, literal) in pattern.split("{}").enumerate() {
        if index > 0 {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return None;
            }
            numbers.push(&rest[..digits]);
            rest = &rest[digits..];
        }
        rest = rest.strip_prefix(literal)?;
    }
    rest.is_empty().then_some(numbers)
}

fn filled(pattern: &str, numbers: &[&str]) -> String {
    let mut numbers = numbers.iter();
    let mut text = String::new();
    for (index, literal) in pattern.split("{}").enumerate() {
        if index > 0 {
            text.push_str(numbers.next().expect("as many numbers on both sides"));
        }
        text.push_str(literal);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_whole_names() {
        let pattern = "layer{}.{}.conv{}";
        assert_eq!(
            captures(pattern, "layer1.12.conv3").unwrap(),
            ["1", "12", "3"]
        );
        for other in [
            "layer1.12.conv",
            "xlayer1.1.conv1",
            "layer1.1.conv1.x",
            "layer.1.conv1",
        ] {
            assert!(captures(pattern, other).is_none(), "{other}");
        }
        assert_eq!(filled("{}.{}.c{}", &["1", "12", "3"]), "1.12.c3");
    }

    #[test]
    fn every_scheme_has_as_many_numbers_on_both_sides() {
        for family in &super::super::FAMILIES {
            for (ours, theirs) in family.scheme.layers {
                let count = |pattern: &str| pattern.matches("{}").count();
                assert_eq!(count(ours), count(theirs), "{}: {ours}", family.name);
            }
        }
    }
}
