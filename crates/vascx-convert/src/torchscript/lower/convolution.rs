//! Convolutions.

use vascx_graph::{Arg, Conv, ConvTranspose, Op, Pad, PadMode, Squeeze, Unsqueeze};

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
        "conv2d" | "conv1d" | "_convolution" | "convolution" | "_convolution_mode"
        | "conv_transpose2d" => evaluator.convolution(name, a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn convolution(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "input")?)?;
        let mut weight = self.argument(&a.need(1, "weight")?)?;
        let general = matches!(name, "_convolution" | "convolution");
        let transposed = if general {
            let flag = a.need(6, "transposed")?;
            self.truth(&flag)?
        } else {
            name == "conv_transpose2d"
        };
        let (dilation, groups) = match name {
            "conv_transpose2d" => (a.get(7, "dilation"), a.get(6, "groups")),
            _ if general => (a.get(5, "dilation"), a.get(8, "groups")),
            _ => (a.get(5, "dilation"), a.get(6, "groups")),
        };
        let one_axis = self.rank(x)? == 3;
        if self.rank(x)? > 4 {
            return Ok(self.unsupported(&format!("{name} over three axes")));
        }
        let widen = |[_, along]: [usize; 2], across: usize| [across, along];
        let mut stride = self.pair(a.get(3, "stride"), [1, 1])?;
        let mut dilation = self.pair(dilation, [1, 1])?;
        let groups = groups.unwrap_or(Value::int(1));
        let groups = self.integer(&groups)?.max(0) as usize;
        let padding = a.get(4, "padding");
        let mut padding = match padding {
            Some(Value::Text(mode)) if &*mode == "valid" => [0, 0],
            Some(Value::Text(_)) => {
                let shape = self.builder.shape(weight)?;
                let mut before = Vec::new();
                for axis in 2..shape.len() {
                    let total = dilation[axis - 2] * (shape[axis] - 1);
                    before.push([total / 2, total - total / 2]);
                }
                // What cannot be split evenly goes to the end.
                let mut all = vec![x, Arg::int(0)];
                for [left, right] in before.iter().rev() {
                    all.extend([Arg::int(*left as i64), Arg::int(*right as i64)]);
                }
                x = self.then(Pad(PadMode::Constant), all)?;
                [0, 0]
            }
            other => self.pair(other, [0, 0])?,
        };
        let output_padding = if general {
            a.get(7, "output_padding")
        } else {
            a.get(5, "output_padding")
        };
        let mut output_padding = if transposed {
            self.pair(output_padding, [0, 0])?
        } else {
            [0, 0]
        };
        if one_axis {
            x = self.then(Unsqueeze(2), vec![x])?;
            weight = self.then(Unsqueeze(2), vec![weight])?;
            stride = widen(stride, 1);
            dilation = widen(dilation, 1);
            padding = widen(padding, 0);
            output_padding = widen(output_padding, 0);
        }
        let mut all = vec![x, weight];
        if let Some(bias) = a.get(2, "bias") {
            all.push(self.argument(&bias)?);
        }
        let conv = Conv {
            stride,
            padding,
            dilation,
            groups,
        };
        let op = if transposed {
            Op::from(ConvTranspose {
                conv,
                output_padding,
            })
        } else {
            conv.into()
        };
        let y = self.then(op, all)?;
        if one_axis {
            return self.emit(Squeeze(vec![2]), vec![y]);
        }
        Ok(self.fresh(y))
    }
}
