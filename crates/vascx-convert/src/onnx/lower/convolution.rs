//! Convolutions and pooling windows.

use vascx_models::graph::{
    Arg, AvgPool, Conv, ConvTranspose, MaxPool, Pad, PadMode, Reduce, ReduceKind,
};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, Outcome, float, int};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "Conv" | "ConvTranspose" => importer.convolution(call),
        "MaxPool" | "AveragePool" => importer.pool(call),
        "GlobalAveragePool" => importer.global_pool(ReduceKind::Mean, call),
        "GlobalMaxPool" => importer.global_pool(ReduceKind::Max, call),
        _ => return None,
    })
}

/// Height and width of an attribute.
fn pair(call: &Call, name: &str, default: [usize; 2]) -> Outcome<[usize; 2]> {
    match call.ints(name) {
        None => Ok(default),
        Some(&[height, width]) => {
            let size =
                |value: i64| usize::try_from(value).map_err(|_| format!("`{name}` of {value}"));
            Ok([size(height)?, size(width)?])
        }
        Some(other) => Err(format!(
            "`{name}` of {} axes, supported are two",
            other.len()
        )),
    }
}

/// Rows and columns added before and after.
fn pads(call: &Call) -> Outcome<[[i64; 2]; 2]> {
    match call.ints("pads") {
        None => Ok([[0; 2]; 2]),
        Some(&[top, left, bottom, right]) => Ok([[top, left], [bottom, right]]),
        Some(other) => Err(format!("{} pads, supported are four", other.len())),
    }
}

impl<'m> Importer<'m> {
    /// The tensor and symmetric padding; what is not symmetric is added to the tensor.
    fn padded(&mut self, call: &Call<'_, 'm>, fill: f64) -> Outcome<(Arg, [usize; 2])> {
        let x = self.argument(call.need(0)?)?;
        let [before, after] = pads(call)?;
        if before == after {
            let size = |value: i64| usize::try_from(value).map_err(|_| format!("pads of {value}"));
            return Ok((x, [size(before[0])?, size(before[1])?]));
        }
        let all = vec![
            x,
            float(fill),
            int(before[1]),
            int(after[1]),
            int(before[0]),
            int(after[0]),
        ];
        Ok((self.builder.call(Pad(PadMode::Constant), all)?, [0, 0]))
    }

    fn convolution(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if !matches!(call.text("auto_pad", "NOTSET"), "NOTSET" | "VALID") {
            return self.unsupported(call, " with automatic padding");
        }
        let weight = self.tensor(call.need(1)?)?;
        if self.shape(weight)?.len() != 4 {
            return self.unsupported(call, " over other than two axes");
        }
        let transposed = call.node.operator == "ConvTranspose";
        let [before, after] = pads(call)?;
        if transposed && (before != after || call.ints("output_shape").is_some()) {
            return self.unsupported(call, " to a given size");
        }
        let (x, padding) = self.padded(call, 0.0)?;
        let mut all = vec![x, Arg::Node(weight)];
        if let Some(bias) = call.get(2) {
            all.push(Arg::Node(self.tensor(bias)?));
        }
        let conv = Conv {
            stride: pair(call, "strides", [1, 1])?,
            padding,
            dilation: pair(call, "dilations", [1, 1])?,
            groups: usize::try_from(call.int("group", 1)).map_err(|_| "negative groups")?,
        };
        if transposed {
            let output_padding = pair(call, "output_padding", [0, 0])?;
            return self.emit(
                ConvTranspose {
                    conv,
                    output_padding,
                },
                all,
            );
        }
        self.emit(conv, all)
    }

    fn pool(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if !matches!(call.text("auto_pad", "NOTSET"), "NOTSET" | "VALID") {
            return self.unsupported(call, " with automatic padding");
        }
        let kernel = pair(call, "kernel_shape", [1, 1])?;
        let stride = pair(call, "strides", [1, 1])?;
        let dilation = pair(call, "dilations", [1, 1])?;
        let ceil = call.int("ceil_mode", 0) != 0;
        if call.node.operator == "MaxPool" {
            let (x, padding) = self.padded(call, f64::NEG_INFINITY)?;
            let pool = MaxPool {
                kernel,
                stride,
                padding,
                dilation,
                ceil,
            };
            return self.emit(pool, vec![x]);
        }
        let count_padding = call.int("count_include_pad", 0) != 0;
        let [before, after] = pads(call)?;
        // How a window beyond the border counts differs between versions and runtimes, unless only
        // the pixels inside count.
        if dilation != [1, 1] || ceil && count_padding || before != after && !count_padding {
            return self.unsupported(call, " with such gaps, padding or rounding up");
        }
        let (x, padding) = self.padded(call, 0.0)?;
        let pool = AvgPool {
            kernel,
            stride,
            padding,
            ceil,
            count_padding,
        };
        self.emit(pool, vec![x])
    }

    fn global_pool(&mut self, kind: ReduceKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let axes = (2..self.shape(x)?.len()).collect();
        self.emit(
            Reduce {
                kind,
                axes,
                keep: true,
            },
            vec![Arg::Node(x)],
        )
    }
}
