//! A module with its path and program: what the recognisers look at.

use std::collections::BTreeMap;

use super::Source;
use crate::module_tree::ScriptModule;
use crate::program::{Program, numbers};
use crate::tensor::TensorRef;

/// Why a node is not what was expected, with its path.
pub(super) type Reason = String;

/// A module of the tree.
pub(super) struct Node<'a> {
    path: String,
    module: &'a ScriptModule,
    program: &'a Program,
}

impl<'a> Node<'a> {
    pub(super) fn root(module: &'a ScriptModule, program: &'a Program) -> Self {
        Self {
            path: String::new(),
            module,
            program,
        }
    }

    pub(super) fn class_name(&self) -> &'a str {
        self.module.class_name()
    }

    pub(super) fn children(&self) -> impl Iterator<Item = Node<'a>> {
        self.module
            .modules()
            .map(|(name, module)| self.below(name, module))
    }

    pub(super) fn child(&self, name: &str) -> Option<Node<'a>> {
        self.module
            .module(name)
            .map(|module| self.below(name, module))
    }

    pub(super) fn expect_child(&self, name: &str) -> Result<Node<'a>, Reason> {
        self.child(name)
            .ok_or_else(|| self.reason(&format!("has no submodule `{name}`")))
    }

    fn below(&self, name: &str, module: &'a ScriptModule) -> Node<'a> {
        Node {
            path: self.path_of(name),
            module,
            program: self.program,
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorRef> {
        self.module.tensor(name)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// `<path>: <what is wrong>`.
    pub(super) fn reason(&self, what: &str) -> Reason {
        let path = if self.path.is_empty() {
            "(root)"
        } else {
            &self.path
        };
        format!("{path} ({}): {what}", self.class_name())
    }

    /// Fails unless the module is of class `name`.
    pub(super) fn expect_class(&self, name: &str) -> Result<(), Reason> {
        if self.class_name() == name {
            Ok(())
        } else {
            Err(self.reason(&format!("expected a {name} here")))
        }
    }

    /// The arguments of the call that this leaf module compiles to.
    pub(super) fn call(&self, operator: &str) -> Result<Vec<&'a str>, Reason> {
        // In-place variants compute the same values.
        self.program
            .call(&self.module.class, operator)
            .or_else(|| {
                self.program
                    .call(&self.module.class, &format!("{operator}_"))
            })
            .ok_or_else(|| self.reason(&format!("its program has no single call to {operator}")))
    }

    /// The numbers of one argument of [`Node::call`]; `default` when it is left out.
    pub(super) fn numbers(
        &self,
        operator: &str,
        argument: usize,
        default: &[f64],
    ) -> Result<Vec<f64>, Reason> {
        match self.call(operator)?.get(argument) {
            None => Ok(default.to_vec()),
            Some(literal) => numbers(literal).ok_or_else(|| {
                self.reason(&format!("argument {argument} of {operator} is no literal"))
            }),
        }
    }

    /// Fails unless the arguments from `first` on are these literals.
    pub(super) fn expect_arguments(
        &self,
        operator: &str,
        first: usize,
        expected: &[&str],
    ) -> Result<(), Reason> {
        let arguments = self.call(operator)?;
        let found = arguments.get(first..).unwrap_or(&[]);
        if found.iter().take(expected.len()).eq(expected) {
            Ok(())
        } else {
            let what = format!("{operator} is called with {found:?}, supported is {expected:?}");
            Err(self.reason(&what))
        }
    }

    /// Adds a convolution that must be square, `kernel_size` wide, padded by half of it, with the
    /// given stride; returns the channels (inputs, outputs) and whether there is a bias.
    pub(super) fn conv(
        &self,
        kernel_size: usize,
        stride: usize,
        target: &str,
        tensors: &mut Tensors<'a>,
    ) -> Result<(usize, usize, bool), Reason> {
        self.expect_class("Conv2d")?;
        let [outputs, inputs, height, width] = self.shape("weight")?;
        if [height, width] != [kernel_size, kernel_size] {
            let what = format!("kernel {height} × {width}, expected {kernel_size}");
            return Err(self.reason(&what));
        }
        let pair = |value: usize| format!("[{value}, {value}]");
        self.expect_arguments(
            "torch._convolution",
            3,
            &[
                &pair(stride),
                &pair(kernel_size / 2),
                "[1, 1]",
                "False",
                "[0, 0]",
                "1",
            ],
        )?;
        tensors.add(self, "weight", target, "weight");
        let bias = tensors.add(self, "bias", target, "bias");
        Ok((inputs, outputs, bias))
    }

    /// The shape of a tensor that must have rank D.
    pub(super) fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D], Reason> {
        let shape = self.tensor(name).map(|tensor| tensor.shape.as_slice());
        shape
            .and_then(|shape| shape.try_into().ok())
            .ok_or_else(|| self.reason(&format!("`{name}` has shape {shape:?}, expected {D} axes")))
    }

    /// Adds a batch norm; returns its ε.
    pub(super) fn batch_norm(
        &self,
        target: &str,
        tensors: &mut Tensors<'a>,
    ) -> Result<f64, Reason> {
        self.expect_class("BatchNorm2d")?;
        for (source, parameter) in [
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "running_mean"),
            ("running_var", "running_var"),
        ] {
            if !tensors.add(self, source, target, parameter) {
                return Err(self.reason(&format!("has no `{source}`")));
            }
        }
        self.expect_arguments("torch.batch_norm", 5, &["False"])?;
        self.number("torch.batch_norm", 7, 1e-5)
    }

    /// One numeric argument.
    pub(super) fn number(
        &self,
        operator: &str,
        argument: usize,
        default: f64,
    ) -> Result<f64, Reason> {
        match self.numbers(operator, argument, &[default])?[..] {
            [number] => Ok(number),
            _ => Err(self.reason(&format!("argument {argument} of {operator} is no number"))),
        }
    }
}

/// The tensors collected for one member.
#[derive(Default)]
pub(super) struct Tensors<'a>(BTreeMap<String, Source<'a>>);

impl<'a> Tensors<'a> {
    /// Maps tensor `name` of the node to parameter `<target>.<parameter>`; false when the node has
    /// no such tensor.
    pub(super) fn add(
        &mut self,
        node: &Node<'a>,
        name: &str,
        target: &str,
        parameter: &str,
    ) -> bool {
        let Some(tensor) = node.tensor(name) else {
            return false;
        };
        // Only linear layers have matrices.
        let transpose = tensor.shape.len() == 2;
        let source = Source {
            path: node.path_of(name),
            tensor,
            transpose,
        };
        self.0.insert(format!("{target}.{parameter}"), source);
        true
    }

    pub(super) fn into_map(self) -> BTreeMap<String, Source<'a>> {
        self.0
    }
}
