//! Convolutions and pooling windows.

use vascx_graph::{
    Arg, AvgPool, Binary, BinaryKind, Conv, ConvTranspose, DType, Full, MaxPool, Pad, PadMode,
    Reduce, ReduceKind,
};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Outcome};

/// Height and width of an attribute.
fn pair(call: &Call, name: &str, default: [usize; 2]) -> Outcome<[usize; 2]> {
    match call.ints(name) {
        None => Ok(default),
        Some(&[height, width]) => sizes(name, [height, width]),
        Some(other) => {
            let axes = other.len();
            Err(format!("`{name}` of {axes} axes, supported are two"))
        }
    }
}

/// Two numbers that must not be negative.
fn sizes(name: &str, [height, width]: [i64; 2]) -> Outcome<[usize; 2]> {
    let size = |value: i64| usize::try_from(value).map_err(|_| format!("`{name}` of {value}"));
    Ok([size(height)?, size(width)?])
}

/// Rows and columns added before and after.
fn pads(call: &Call) -> Outcome<[[i64; 2]; 2]> {
    match call.ints("pads") {
        None => Ok([[0; 2]; 2]),
        Some(&[top, left, bottom, right]) => Ok([[top, left], [bottom, right]]),
        Some(other) => Err(format!("{} pads, supported are four", other.len())),
    }
}

/// What a convolution or pooling sees at a time.
#[derive(Clone, Copy)]
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
}

impl Window {
    /// How many pixels from the first to the last of a window.
    fn reach(&self) -> Outcome<[usize; 2]> {
        let mut reach = [0; 2];
        for (axis, reach) in reach.iter_mut().enumerate() {
            let pixels = self.kernel[axis].saturating_sub(1);
            let far = pixels.checked_mul(self.dilation[axis]);
            let far = far.filter(|&far| far < 1 << 20 && self.stride[axis] > 0);
            *reach = far.ok_or("an impossible window")?;
        }
        Ok(reach)
    }
}

impl<'m> Importer<'m> {
    /// The tensor and symmetric padding; what is not symmetric is added to the tensor. Automatic
    /// padding is such that the answer has a pixel for every step that begins inside.
    fn padded(
        &mut self,
        call: &Call<'_, 'm>,
        window: Window,
        fill: f64,
    ) -> Outcome<(Arg, [usize; 2])> {
        let x = self.argument(call.need(0)?)?;
        let automatic = call.text("auto_pad", "NOTSET");
        if !matches!(automatic, "SAME_UPPER" | "SAME_LOWER") {
            let [before, after] = pads(call)?;
            if before == after {
                return Ok((x, sizes("pads", before)?));
            }
            let pads = [0, 1].map(|axis| [before[axis], after[axis]].map(Arg::int));
            return Ok((self.widened(x, pads, fill)?, [0, 0]));
        }
        let Arg::Node(node) = x else {
            return Err("a window over a number".into());
        };
        let reach = window.reach()?;
        let even = reach.map(|reach| reach % 2 == 0);
        if window.stride == [1, 1] && even == [true, true] {
            return Ok((x, reach.map(|reach| reach / 2)));
        }
        let mut pads = [[Arg::int(0); 2]; 2];
        for axis in 0..2 {
            let size = self.builder.size(node, 2 + axis)?;
            let [stride, reach] = [window.stride, reach].map(|of| Arg::int(of[axis] as i64));
            let mut calculate = |kind, x, y| self.then(Binary(kind), vec![x, y]);
            // (⌈size / stride⌉ − 1) · stride + reach + 1 − size.
            let before = calculate(BinaryKind::Sub, size, Arg::int(1))?;
            let steps = calculate(BinaryKind::FloorDiv, before, stride)?;
            let last = calculate(BinaryKind::Mul, steps, stride)?;
            let needed = calculate(BinaryKind::Add, last, reach)?;
            let total = calculate(BinaryKind::Sub, needed, before)?;
            let total = calculate(BinaryKind::Max, total, Arg::int(0))?;
            let less = calculate(BinaryKind::FloorDiv, total, Arg::int(2))?;
            let more = calculate(BinaryKind::Sub, total, less)?;
            pads[axis] = match automatic {
                "SAME_UPPER" => [less, more],
                _ => [more, less],
            };
        }
        Ok((self.widened(x, pads, fill)?, [0, 0]))
    }

    /// Pads rows before and after, then columns.
    fn widened(&mut self, x: Arg, [rows, columns]: [[Arg; 2]; 2], fill: f64) -> Outcome<Arg> {
        let all = [[x, Arg::float(fill)], columns, rows].concat();
        self.then(Pad(PadMode::Constant), all)
    }

    pub(super) fn convolution(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let weight = self.tensor(call.need(1)?)?;
        let &[_, _, height, width] = &self.builder.shape(weight)?[..] else {
            return self.unsupported(call, " over other than two axes");
        };
        let window = Window {
            kernel: [height, width],
            stride: pair(call, "strides", [1, 1])?,
            dilation: pair(call, "dilations", [1, 1])?,
        };
        let groups = usize::try_from(call.int("group", 1)).map_err(|_| "negative groups")?;
        let bias = call.get(2).map(|bias| self.tensor(bias)).transpose()?;
        let bias = bias.map(Arg::Node);
        if call.node.operator == "ConvTranspose" {
            return self.transposed(call, window, Arg::Node(weight), bias, groups);
        }
        let (x, padding) = self.padded(call, window, 0.0)?;
        let conv = Conv {
            stride: window.stride,
            padding,
            dilation: window.dilation,
            groups,
        };
        let all = [x, Arg::Node(weight)].into_iter().chain(bias);
        self.emit(conv, all.collect())
    }

    fn transposed(
        &mut self,
        call: &Call<'_, 'm>,
        window: Window,
        weight: Arg,
        bias: Option<Arg>,
        groups: usize,
    ) -> Outputs<'m> {
        if call.ints("output_shape").is_some() {
            return self.unsupported(call, " to a given size");
        }
        let x = self.argument(call.need(0)?)?;
        let output_padding = pair(call, "output_padding", [0, 0])?;
        let automatic = call.text("auto_pad", "NOTSET");
        let [mut before, mut after] = pads(call)?;
        if matches!(automatic, "SAME_UPPER" | "SAME_LOWER") {
            let reach = window.reach()?;
            for axis in 0..2 {
                let total = reach[axis] as i64 + 1 + output_padding[axis] as i64
                    - window.stride[axis] as i64;
                let (less, more) = (total.max(0) / 2, total.max(0) - total.max(0) / 2);
                (before[axis], after[axis]) = match automatic {
                    "SAME_UPPER" => (less, more),
                    _ => (more, less),
                };
            }
        }
        let symmetric = before == after;
        let (start, end) = (sizes("pads", before)?, sizes("pads", after)?);
        let padding = if symmetric { start } else { [0, 0] };
        let conv = ConvTranspose {
            conv: Conv {
                stride: window.stride,
                padding,
                dilation: window.dilation,
                groups,
            },
            output_padding,
        };
        let all = [x, weight].into_iter().chain(bias).collect();
        let mut y = self.then(conv, all)?;
        // What is to be cut away on one side more than on the other is cut from the whole.
        for axis in (0..2).filter(|_| !symmetric) {
            let (start, end) = (start[axis] as i64, end[axis] as i64);
            let end = if end == 0 { i64::MAX } else { -end };
            let bounds = [start, end].map(Arg::int);
            y = lowering::part(&mut self.builder, y, 2 + axis, bounds)?;
        }
        Ok(vec![self.value(y)])
    }

    pub(super) fn pool(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let kernel = pair(call, "kernel_shape", [1, 1])?;
        let stride = pair(call, "strides", [1, 1])?;
        let dilation = pair(call, "dilations", [1, 1])?;
        let window = Window {
            kernel,
            stride,
            dilation,
        };
        let ceil = call.int("ceil_mode", 0) != 0;
        if call.node.operator == "MaxPool" {
            let (x, padding) = self.padded(call, window, f64::NEG_INFINITY)?;
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
        let (x, padding) = self.padded(call, window, 0.0)?;
        let apart = Arg::Node(self.tensor(call.need(0)?)?) != x;
        // How a window beyond the border counts differs between versions and runtimes, unless only
        // the pixels inside count.
        if dilation != [1, 1] || ceil && (count_padding || apart) {
            return self.unsupported(call, " with such gaps, padding or rounding up");
        }
        let pool = AvgPool {
            kernel,
            stride,
            padding,
            ceil,
            count_padding: count_padding || apart,
        };
        if !apart || count_padding {
            return self.emit(pool, vec![x]);
        }
        // Only pixels inside count: the mean with zeros, divided by the share of the pixels.
        let sizes = self.tensor(call.need(0)?)?;
        let mut shape = self.builder.sizes(sizes)?;
        shape[..2].fill(Arg::int(1));
        let ones = [Arg::float(1.0)].into_iter().chain(shape).collect();
        let ones = self.then(Full(DType::Float), ones)?;
        let inside = Call {
            node: call.node,
            inputs: &[Some(self.value(ones))],
        };
        let (inside, _) = self.padded(&inside, window, 0.0)?;
        let share = self.then(pool.clone(), vec![inside])?;
        let mean = self.then(pool, vec![x])?;
        self.emit(Binary(BinaryKind::Div), vec![mean, share])
    }

    pub(super) fn global_pool(&mut self, kind: ReduceKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let axes = (2..self.builder.shape(x)?.len()).collect();
        let keep = true;
        self.emit(Reduce { kind, axes, keep }, vec![Arg::Node(x)])
    }
}
