//! Asking a state dict for shapes, as families do to find out their parameters.

use std::collections::BTreeMap;

/// Names and shapes of the tensors of one member.
pub(crate) type ShapeMap = BTreeMap<String, Vec<usize>>;

/// Answers about the shapes of a state dict; errors say what is missing.
#[derive(Clone, Copy)]
pub(super) struct Shapes<'a>(pub(super) &'a ShapeMap);

impl Shapes<'_> {
    /// The shape of a tensor that must be there.
    pub(super) fn get<const RANK: usize>(self, name: &str) -> Result<[usize; RANK], String> {
        let Some(shape) = self.0.get(name) else {
            return Err(format!("no tensor `{name}`"));
        };
        let exact = shape.as_slice().try_into();
        exact.map_err(|_| format!("`{name}` has shape {shape:?}, expected {RANK} axes"))
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether any name begins like this.
    pub(super) fn has_below(self, prefix: &str) -> bool {
        let mut names = self.0.range(prefix.to_owned()..);
        names
            .next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// How many consecutive indices from 0 on there are, `prefix` made of each.
    pub(super) fn count(self, prefix: impl Fn(usize) -> String) -> usize {
        (0..self.0.len())
            .take_while(|&index| self.has_below(&prefix(index)))
            .count()
    }

    /// Side of a square kernel `[out, in, side, side]`, with `[out, in]`.
    pub(super) fn conv(self, layer: &str) -> Result<Kernel, String> {
        let name = format!("{layer}.weight");
        let [outputs, inputs, height, width] = self.get(&name)?;
        if height != width {
            return Err(format!(
                "`{name}` has a kernel of {height} × {width}, expected a square"
            ));
        }
        Ok(Kernel {
            outputs,
            inputs,
            side: height,
        })
    }

    /// What kind of norm a layer is.
    pub(super) fn norm(self, layer: &str) -> NormKind {
        if self.has(&format!("{layer}.running_mean")) {
            NormKind::Batch
        } else if self.has(&format!("{layer}.weight")) {
            NormKind::Affine
        } else {
            NormKind::Absent
        }
    }
}

/// A convolution's weight.
pub(super) struct Kernel {
    pub(super) outputs: usize,
    /// Per group.
    pub(super) inputs: usize,
    pub(super) side: usize,
}

/// What a state dict tells of a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NormKind {
    /// Running statistics: batch norm.
    Batch,
    /// Scale and shift only: instance or group norm.
    Affine,
    /// Nothing: no norm, or one without parameters.
    Absent,
}
