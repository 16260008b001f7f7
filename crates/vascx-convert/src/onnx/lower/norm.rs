//! Normalisation.

use vascx_graph::{Arg, BatchNorm, GroupNorm, LayerNorm};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Outcome};

impl<'m> Importer<'m> {
    fn tensors(&mut self, call: &Call<'_, 'm>, order: &[usize]) -> Outcome<Vec<Arg>> {
        let mut tensor = |&index: &usize| self.tensor(call.need(index)?).map(Arg::Node);
        order.iter().map(&mut tensor).collect()
    }

    pub(super) fn batch_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.int("training_mode", 0) != 0 {
            return self.unsupported(call, " in training mode");
        }
        let epsilon = call.float("epsilon", 1e-5);
        let all = self.tensors(call, &[0, 3, 4, 1, 2])?;
        self.emit(BatchNorm { epsilon }, all)
    }

    pub(super) fn instance_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let epsilon = call.float("epsilon", 1e-5);
        let all = self.tensors(call, &[0, 1, 2])?;
        let x = self.tensor(call.need(0)?)?;
        let groups = *self
            .builder
            .shape(x)?
            .get(1)
            .ok_or("normalises without channels")?;
        self.emit(GroupNorm { groups, epsilon }, all)
    }

    pub(super) fn group_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if self.opset < 21 {
            return self.unsupported(call, " with a scale per group");
        }
        let epsilon = call.float("epsilon", 1e-5);
        let groups = usize::try_from(call.int("num_groups", 0)).map_err(|_| "negative groups")?;
        let all = self.tensors(call, &[0, 1, 2])?;
        self.emit(GroupNorm { groups, epsilon }, all)
    }

    pub(super) fn layer_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(x)?.len();
        let axes = rank - lowering::axis(call.int("axis", -1), rank)?;
        let epsilon = call.float("epsilon", 1e-5);
        let affine = if call.get(2).is_some() { 3 } else { 2 };
        let all = self.tensors(call, &[0, 1, 2][..affine])?;
        self.emit(LayerNorm { axes, epsilon }, all)
    }
}
