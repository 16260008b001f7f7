//! Recognising a supported architecture in a module tree, and where each of its tensors goes.

mod node;
mod resnet;
mod unet;

use std::collections::{BTreeMap, BTreeSet};

use vascx_models::Architecture;

use crate::error::{Error, Result};
use crate::module_tree::ScriptModule;
use crate::program::Program;
use crate::tensor::TensorRef;
use node::{Node, Tensors};

/// Tensors that inference does not need, by the last part of their name.
const DROPPED: [&str; 1] = ["num_batches_tracked"];

/// What an ensemble was recognised as.
#[derive(Debug)]
pub(crate) struct Recognised<'a> {
    pub(crate) architecture: Architecture,
    /// Per member: name in our network → source.
    pub(crate) members: Vec<BTreeMap<String, Source<'a>>>,
    /// Paths of source tensors that were left out on purpose.
    pub(crate) dropped: Vec<String>,
}

/// A tensor of the release that becomes a parameter of ours.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    /// Path in the module tree.
    pub(crate) path: String,
    pub(crate) tensor: &'a TensorRef,
    /// Linear weights are stored `[outputs, inputs]` by PyTorch, `[inputs, outputs]` by burn.
    pub(crate) transpose: bool,
}

/// Recognises the network or the ensemble of networks below `root`.
pub(crate) fn recognise<'a>(
    root: &'a ScriptModule,
    program: &'a Program,
) -> Result<Recognised<'a>> {
    let mut near_misses = Vec::new();
    let found = find(&Node::root(root, program), &mut near_misses);
    let Some(members) = found else {
        let reasons = near_misses
            .iter()
            .map(|reason| format!("- {reason}\n"))
            .collect();
        return Err(Error::Unrecognised {
            tree: root.outline(3, 40),
            reasons,
        });
    };
    let mut architectures = members.iter().map(|(architecture, _)| architecture);
    let architecture = architectures
        .next()
        .expect("an ensemble has members")
        .clone();
    if architectures.any(|other| *other != architecture) {
        return Err(Error::Mismatch(
            "the ensemble's members have different architectures".into(),
        ));
    }
    let members: Vec<_> = members.into_iter().map(|(_, tensors)| tensors).collect();
    let dropped = account_for_all(root, &members)?;
    Ok(Recognised {
        architecture,
        members,
        dropped,
    })
}

type Member<'a> = (Architecture, BTreeMap<String, Source<'a>>);

/// The node itself, or the first list of modules below it whose elements are all one network each.
fn find<'a>(node: &Node<'a>, near_misses: &mut Vec<String>) -> Option<Vec<Member<'a>>> {
    if let Some(member) = network(node, near_misses) {
        return Some(vec![member]);
    }
    let children: Vec<Node<'a>> = node.children().collect();
    if node.class_name() == "ModuleList" && !children.is_empty() {
        let members: Option<Vec<_>> = children
            .iter()
            .map(|child| network(child, near_misses))
            .collect();
        if members.is_some() {
            return members;
        }
    }
    // A near miss explains itself; looking inside it would only find its building blocks.
    if !near_misses.is_empty() {
        return None;
    }
    children.iter().find_map(|child| find(child, near_misses))
}

/// The node as a network of a known family. A node with the family's attributes that differs in
/// detail is noted as a near miss.
fn network<'a>(node: &Node<'a>, near_misses: &mut Vec<String>) -> Option<Member<'a>> {
    let mut tensors = Tensors::default();
    let recognised = if unet::has_attributes(node) {
        unet::recognise(node, &mut tensors).map(Architecture::UNet)
    } else if resnet::has_attributes(node) {
        resnet::recognise(node, &mut tensors).map(Architecture::ResNet)
    } else {
        return None;
    };
    match recognised {
        Ok(architecture) => Some((architecture, tensors.into_map())),
        Err(reason) => {
            near_misses.push(reason);
            None
        }
    }
}

/// Checks that every tensor of the tree is used or on the drop list; returns the dropped ones.
fn account_for_all(
    root: &ScriptModule,
    members: &[BTreeMap<String, Source>],
) -> Result<Vec<String>> {
    let used: BTreeSet<&str> = members
        .iter()
        .flat_map(BTreeMap::values)
        .map(|source| source.path.as_str())
        .collect();
    let (mut dropped, mut left_over) = (Vec::new(), Vec::new());
    root.for_each_tensor(&mut |path, _| {
        let name = path.rsplit('.').next().unwrap_or(path);
        if DROPPED.contains(&name) {
            dropped.push(path.to_owned());
        } else if !used.contains(path) {
            left_over.push(path.to_owned());
        }
    });
    match left_over.first() {
        None => Ok(dropped),
        Some(first) => Err(Error::Mismatch(format!(
            "{} tensors have no place in the recognised network, the first is `{first}`",
            left_over.len()
        ))),
    }
}
