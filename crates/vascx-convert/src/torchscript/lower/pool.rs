//! Pooling.

use std::rc::Rc;

use vascx_graph::{AdaptiveAvgPool, AdaptiveMaxPool, Arg, AvgPool, MaxPool, Squeeze, Unsqueeze};

use super::Arguments;
use super::operands::one_or_more;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn pool(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
            let pool = AvgPool {
                kernel,
                stride,
                padding,
                ceil,
                count_padding,
            };
            return self.emit(pool, vec![x]);
        }
        if name == "max_pool2d_with_indices" {
            return Ok(self.unsupported(name));
        }
        let dilation = self.pair(a.get(4, "dilation"), [1, 1])?;
        let ceil = self.flag(a.get(5, "ceil_mode"), false)?;
        let pool = MaxPool {
            kernel,
            stride,
            padding,
            dilation,
            ceil,
        };
        self.emit(pool, vec![x])
    }

    pub(super) fn adaptive_pool(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let sizes = a.need(1, "output_size")?;
        let items = one_or_more(&sizes)?;
        if name == "adaptive_avg_pool1d" {
            x = self.then(Unsqueeze(2), vec![x])?;
            let size = self.argument(&items[0])?;
            let y = self.then(AdaptiveAvgPool, vec![x, Arg::int(1), size])?;
            return self.emit(Squeeze(vec![2]), vec![y]);
        }
        let mut all = vec![x];
        for axis in 0..2 {
            all.push(match items.get(axis).or(items.last()) {
                None | Some(Value::None) => self.builder.size(x, 2 + axis)?,
                Some(size) => self.argument(size)?,
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
