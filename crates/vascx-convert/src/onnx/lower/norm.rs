//! Normalisation.

use vascx_graph::{Arg, BatchNorm, GroupNorm, LayerNorm};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, Outcome};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "BatchNormalization" => importer.batch_norm(call),
        "InstanceNormalization" => importer.instance_norm(call),
        "GroupNormalization" => importer.group_norm(call),
        "LayerNormalization" => importer.layer_norm(call),
        _ => return None,
    })
}

impl<'m> Importer<'m> {
    fn tensors(&mut self, call: &Call<'_, 'm>, order: &[usize]) -> Outcome<Vec<Arg>> {
        let mut all = Vec::with_capacity(order.len());
        for &index in order {
            all.push(Arg::Node(self.tensor(call.need(index)?)?));
        }
        Ok(all)
    }

    fn batch_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.int("training_mode", 0) != 0 {
            return self.unsupported(call, " in training mode");
        }
        let epsilon = call.float("epsilon", 1e-5);
        let all = self.tensors(call, &[0, 3, 4, 1, 2])?;
        self.emit(BatchNorm { epsilon }, all)
    }

    fn instance_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let epsilon = call.float("epsilon", 1e-5);
        let all = self.tensors(call, &[0, 1, 2])?;
        let x = self.tensor(call.need(0)?)?;
        let groups = *self.shape(x)?.get(1).ok_or("normalises without channels")?;
        self.emit(GroupNorm { groups, epsilon }, all)
    }

    fn group_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if self.opset < 21 {
            return self.unsupported(call, " with a scale per group");
        }
        let epsilon = call.float("epsilon", 1e-5);
        let groups = usize::try_from(call.int("num_groups", 0)).map_err(|_| "negative groups")?;
        let all = self.tensors(call, &[0, 1, 2])?;
        self.emit(GroupNorm { groups, epsilon }, all)
    }

    fn layer_norm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let rank = self.shape(x)?.len();
        let axes = rank - self.axis(call.int("axis", -1), rank)?;
        let epsilon = call.float("epsilon", 1e-5);
        let order = if call.get(2).is_some() {
            &[0, 1, 2][..]
        } else {
            &[0, 1]
        };
        let all = self.tensors(call, order)?;
        self.emit(LayerNorm { axes, epsilon }, all)
    }
}
