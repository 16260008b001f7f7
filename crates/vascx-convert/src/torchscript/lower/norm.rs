//! Normalisation.

use vascx_graph::{Arg, BatchNorm, DType, GroupNorm, LayerNorm};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "batch_norm" | "instance_norm" | "group_norm" | "layer_norm" => evaluator.norm(name, a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn norm(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "input")?)?;
        let shape = self.builder.shape(x)?;
        let number = |this: &mut Self, index: usize| {
            let value = a.get(index, "eps").unwrap_or(Value::float(1e-5));
            this.number(&value)
        };
        let affine = |this: &mut Self, weight: usize, bias: usize| -> Outcome<Vec<Arg>> {
            let mut all = Vec::new();
            for (index, name) in [(weight, "weight"), (bias, "bias")] {
                if let Some(value) = a.get(index, name) {
                    all.push(this.argument(&value)?);
                }
            }
            Ok(all)
        };
        let mut all = vec![x];
        match name {
            "layer_norm" => {
                let axes = a.need(1, "normalized_shape")?;
                let axes = self.list(&axes)?.len();
                let epsilon = number(self, 4)?;
                all.extend(affine(self, 2, 3)?);
                self.emit(LayerNorm { axes, epsilon }, all)
            }
            "group_norm" => {
                let groups = a.need(1, "num_groups")?;
                let groups = self.integer(&groups)?.max(0) as usize;
                let epsilon = number(self, 4)?;
                all.extend(affine(self, 2, 3)?);
                self.emit(GroupNorm { groups, epsilon }, all)
            }
            _ => {
                // Positions: input, weight, bias, mean, variance, training, momentum, eps.
                let own = self.flag(a.get(5, "training"), false)?;
                let epsilon = number(self, 7)?;
                let stored = a.get(3, "running_mean").zip(a.get(4, "running_var"));
                let Some((mean, variance)) = stored.filter(|_| !own) else {
                    // With statistics of its own, a batch of one is what instance norm sees.
                    if name == "batch_norm" {
                        if shape[0] != 1 {
                            return Ok(self.unsupported(
                                "batch_norm without stored statistics or in training mode, whose \
                                 answer depends on the other images of a batch (save the network \
                                 after model.eval())",
                            ));
                        }
                        let size = self.builder.size(x, 0)?;
                        self.builder.pin(size)?;
                    }
                    all.extend(self.scale_and_shift(a, shape[1])?);
                    let groups = shape[1];
                    return self.emit(GroupNorm { groups, epsilon }, all);
                };
                all.push(self.argument(&mean)?);
                all.push(self.argument(&variance)?);
                all.extend(self.scale_and_shift(a, shape[1])?);
                self.emit(BatchNorm { epsilon }, all)
            }
        }
    }

    /// The weight and bias of a batch or instance norm; ones and zeros where it has none.
    fn scale_and_shift(&mut self, a: &Arguments<'a>, channels: usize) -> Outcome<[Arg; 2]> {
        let mut given = |index: usize, name: &str, default: i64| {
            let value = match a.get(index, name) {
                Some(value) => value,
                None => self.full(
                    Arg::int(default),
                    vec![Arg::int(channels as i64)],
                    DType::Float,
                )?,
            };
            self.argument(&value)
        };
        Ok([given(1, "weight", 1)?, given(2, "bias", 0)?])
    }
}
