//! Convolutions.

use vascx_graph::{Arg, Conv, ConvTranspose, Op, Pad, PadMode, Squeeze, Unsqueeze};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn convolution(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [mut x, mut weight] = self.inputs(a, ["input", "weight"])?;
        let general = matches!(name, "_convolution" | "convolution");
        let transposed = if general {
            self.truth(&a.need(6, "transposed")?)?
        } else {
            name == "conv_transpose2d"
        };
        // Positions of dilation, groups and output padding.
        let places = match name {
            "conv_transpose2d" => [7, 6, 5],
            _ if general => [5, 8, 7],
            _ => [5, 6, 5],
        };
        let one_axis = self.rank(x)? == 3;
        if self.rank(x)? > 4 {
            return Ok(self.unsupported(&format!("{name} over three axes")));
        }
        let widen = |[_, along]: [usize; 2], across: usize| [across, along];
        let mut stride = self.pair(a.get(3, "stride"), [1, 1])?;
        let mut dilation = self.pair(a.get(places[0], "dilation"), [1, 1])?;
        let groups = self.integer_or(a.get(places[1], "groups"), 1)?.max(0) as usize;
        let mut padding = match a.get(4, "padding") {
            Some(Value::Text(mode)) if &*mode == "valid" => [0, 0],
            Some(Value::Text(_)) => {
                let shape = self.builder.shape(weight)?;
                let mut all = vec![x, Arg::int(0)];
                for axis in (2..shape.len()).rev() {
                    let total = (dilation[axis - 2] * (shape[axis] - 1)) as i64;
                    // What cannot be split evenly goes to the end.
                    all.extend([total / 2, total - total / 2].map(Arg::int));
                }
                x = self.then(Pad(PadMode::Constant), all)?;
                [0, 0]
            }
            other => self.pair(other, [0, 0])?,
        };
        let output_padding = a.get(places[2], "output_padding");
        let mut output_padding = self.pair(output_padding.filter(|_| transposed), [0, 0])?;
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
