//! Normalisation.

use vascx_graph::{Arg, BatchNorm, DType, GroupNorm, LayerNorm};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn norm(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "input")?)?;
        let shape = self.builder.shape(x)?;
        let mut all = vec![x];
        match name {
            "layer_norm" | "group_norm" => {
                for (index, name) in [(2, "weight"), (3, "bias")] {
                    if let Some(value) = a.get(index, name) {
                        all.push(self.argument(&value)?);
                    }
                }
                let epsilon = self.number_or(a.get(4, "eps"), 1e-5)?;
                if name == "layer_norm" {
                    let axes = self.list(&a.need(1, "normalized_shape")?)?.len();
                    return self.emit(LayerNorm { axes, epsilon }, all);
                }
                let groups = self.integer(&a.need(1, "num_groups")?)?.max(0) as usize;
                self.emit(GroupNorm { groups, epsilon }, all)
            }
            _ => {
                // Positions: input, weight, bias, mean, variance, training, momentum, eps.
                let own = self.flag(a.get(5, "training"), false)?;
                let epsilon = self.number_or(a.get(7, "eps"), 1e-5)?;
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
            let sizes = vec![Arg::int(channels as i64)];
            let value = match a.get(index, name) {
                Some(value) => value,
                None => self.full(Arg::int(default), sizes, DType::Float)?,
            };
            self.argument(&value)
        };
        Ok([given(1, "weight", 1)?, given(2, "bias", 0)?])
    }
}
