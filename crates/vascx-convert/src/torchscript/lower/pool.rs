//! Pooling.

use std::rc::Rc;

use vascx_graph::{AdaptiveAvgPool, AdaptiveMaxPool, Arg, AvgPool, MaxPool, Squeeze, Unsqueeze};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "max_pool2d" | "avg_pool2d" | "max_pool2d_with_indices" => evaluator.pool(name, a),
        "adaptive_avg_pool2d" | "adaptive_max_pool2d" | "adaptive_avg_pool1d" => {
            evaluator.adaptive_pool(name, a)
        }
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn pool(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let kernel = self.pair(a.get(1, "kernel_size"), [1, 1])?;
        let stride = self.pair(a.get(2, "stride"), kernel)?;
        let padding = self.pair(a.get(3, "padding"), [0, 0])?;
        if name == "avg_pool2d" {
            let ceil = self.flag(a.get(4, "ceil_mode"), false)?;
            let count_padding = self.flag(a.get(5, "count_include_pad"), true)?;
            if a.get(6, "divisor_override").is_some() {
                return Ok(self.unsupported("avg_pool2d with its own divisor"));
            }
            return self.emit(
                AvgPool {
                    kernel,
                    stride,
                    padding,
                    ceil,
                    count_padding,
                },
                vec![x],
            );
        }
        if name == "max_pool2d_with_indices" {
            return Ok(self.unsupported(name));
        }
        let dilation = self.pair(a.get(4, "dilation"), [1, 1])?;
        let ceil = self.flag(a.get(5, "ceil_mode"), false)?;
        self.emit(
            MaxPool {
                kernel,
                stride,
                padding,
                dilation,
                ceil,
            },
            vec![x],
        )
    }

    fn adaptive_pool(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let sizes = a.need(1, "output_size")?;
        let items = match &sizes {
            Value::List(_) | Value::Tuple(_) => items(&sizes)?,
            single => vec![single.clone()],
        };
        if name == "adaptive_avg_pool1d" {
            x = self.then(Unsqueeze(2), vec![x])?;
            let size = self.argument(&items[0])?;
            let y = self.then(AdaptiveAvgPool, vec![x, Arg::int(1), size])?;
            return self.emit(Squeeze(vec![2]), vec![y]);
        }
        let mut all = vec![x];
        for axis in 0..2 {
            let size = items
                .get(axis)
                .or(items.last())
                .cloned()
                .unwrap_or(Value::None);
            all.push(match size {
                Value::None => self.builder.size(x, 2 + axis)?,
                size => self.argument(&size)?,
            });
        }
        if name == "adaptive_max_pool2d" {
            let y = self.emit(AdaptiveMaxPool, all)?;
            // The second result, the positions, has no operator.
            return Ok(Value::Tuple(Rc::new(vec![y, Value::Unknown])));
        }
        self.emit(AdaptiveAvgPool, all)
    }
}
