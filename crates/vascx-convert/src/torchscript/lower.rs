//! Operators of PyTorch to operators of the graph. The `match` in [`Evaluator::operator`] is the
//! table: a name on the left, what it becomes on the right.

use std::rc::Rc;

use vascx_models::graph::{
    AdaptiveAvgPool, AdaptiveMaxPool, Arange, Arg, ArgMax, AvgPool, BatchNorm, Binary, BinaryKind,
    Cast, Cat, Clamp, Conv, ConvTranspose, CumSum, DType, Elu, Expand, Flip, Gather, GroupNorm,
    IndexSelect, LayerNorm, LeakyRelu, Linear, Literal, MatMul, MaxPool, Meta, Op, Pad, PadMode,
    Permute, Reduce, ReduceKind, Reshape, Resize, ResizeMode, Roll, Slice, Softmax, Squeeze, Unary,
    UnaryKind, Unsqueeze, Where,
};

use super::evaluate::{Evaluator, Outcome, items};
use super::tensors::int;
use super::value::{Tensor, Value};

/// The arguments of a call.
pub(super) struct Arguments<'a> {
    pub(super) positional: Vec<Value<'a>>,
    pub(super) named: Vec<(String, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// An argument by position or name; `None` where it is left out or None.
    fn get(&self, position: usize, name: &str) -> Option<Value<'a>> {
        let named = self.named.iter().find(|(key, _)| key == name);
        let value = self
            .positional
            .get(position)
            .or(named.map(|(_, value)| value));
        value.filter(|value| !matches!(value, Value::None)).cloned()
    }

    fn need(&self, position: usize, name: &str) -> Outcome<Value<'a>> {
        self.get(position, name)
            .ok_or_else(|| format!("lacks `{name}`"))
    }

    pub(super) fn any_unknown(&self) -> bool {
        let named = self.named.iter().map(|(_, value)| value);
        self.positional.iter().chain(named).any(is_unknown)
    }
}

fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Unknown => true,
        Value::List(items) => items
            .borrow()
            .iter()
            .any(|item| matches!(item, Value::Unknown)),
        Value::Tuple(items) => items.iter().any(|item| matches!(item, Value::Unknown)),
        _ => false,
    }
}

fn unary(name: &str) -> Option<UnaryKind> {
    Some(match name {
        "abs" => UnaryKind::Abs,
        "ceil" => UnaryKind::Ceil,
        "cos" => UnaryKind::Cos,
        "erf" => UnaryKind::Erf,
        "exp" => UnaryKind::Exp,
        "floor" => UnaryKind::Floor,
        "hardsigmoid" => UnaryKind::HardSigmoid,
        "hardswish" => UnaryKind::HardSwish,
        "log" => UnaryKind::Log,
        "log1p" => UnaryKind::Log1p,
        "log_sigmoid" => UnaryKind::LogSigmoid,
        "mish" => UnaryKind::Mish,
        "neg" => UnaryKind::Neg,
        "__not__" | "logical_not" | "bitwise_not" => UnaryKind::Not,
        "reciprocal" => UnaryKind::Reciprocal,
        "relu" => UnaryKind::Relu,
        "round" => UnaryKind::Round,
        "rsqrt" => UnaryKind::Rsqrt,
        "sigmoid" => UnaryKind::Sigmoid,
        "sign" => UnaryKind::Sign,
        "silu" => UnaryKind::Silu,
        "sin" => UnaryKind::Sin,
        "sqrt" => UnaryKind::Sqrt,
        "tanh" => UnaryKind::Tanh,
        "trunc" => UnaryKind::Trunc,
        _ => return None,
    })
}

fn binary(name: &str) -> Option<BinaryKind> {
    Some(match name {
        "mul" | "multiply" => BinaryKind::Mul,
        "true_divide" => BinaryKind::Div,
        "floor_divide" | "floordiv" => BinaryKind::FloorDiv,
        "remainder" => BinaryKind::Remainder,
        "pow" => BinaryKind::Pow,
        "eq" => BinaryKind::Equal,
        "ne" => BinaryKind::NotEqual,
        "lt" => BinaryKind::Less,
        "le" => BinaryKind::LessEqual,
        "gt" => BinaryKind::Greater,
        "ge" => BinaryKind::GreaterEqual,
        "maximum" => BinaryKind::Max,
        "minimum" => BinaryKind::Min,
        "__and__" | "logical_and" | "bitwise_and" => BinaryKind::And,
        "__or__" | "logical_or" | "bitwise_or" => BinaryKind::Or,
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn emit(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<Value<'a>> {
        let node = self.builder.call(op, arguments)?;
        Ok(self.fresh(node))
    }

    /// Calls an operator and gives the argument for the next.
    fn then(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<Arg> {
        self.builder.call(op, arguments)
    }

    /// The numbers of a list, or a number alone.
    fn list(&mut self, value: &Value<'a>) -> Outcome<Vec<Arg>> {
        match value {
            Value::List(_) | Value::Tuple(_) => {
                let items = items(value)?;
                items.iter().map(|item| self.argument(item)).collect()
            }
            value => Ok(vec![self.argument(value)?]),
        }
    }

    fn integers(&mut self, value: &Value<'a>) -> Outcome<Vec<i64>> {
        match value {
            Value::List(_) | Value::Tuple(_) => {
                let items = items(value)?;
                items.iter().map(|item| self.integer(item)).collect()
            }
            value => Ok(vec![self.integer(value)?]),
        }
    }

    /// Height and width, given once or twice.
    fn pair(&mut self, value: Option<Value<'a>>, default: [usize; 2]) -> Outcome<[usize; 2]> {
        let Some(value) = value else {
            return Ok(default);
        };
        let sizes = self.integers(&value)?;
        let sizes: Vec<usize> = sizes
            .into_iter()
            .map(|size| usize::try_from(size).map_err(|_| format!("{size} is no size")))
            .collect::<Outcome<_>>()?;
        match sizes[..] {
            [] => Ok(default),
            [both] => Ok([both, both]),
            [height, width] => Ok([height, width]),
            _ => Err(format!("{} axes, supported are two", sizes.len())),
        }
    }

    fn flag(&mut self, value: Option<Value<'a>>, default: bool) -> Outcome<bool> {
        value.map_or(Ok(default), |value| self.truth(&value))
    }

    /// An axis counted from the front.
    fn axis(&mut self, value: &Value<'a>, rank: usize) -> Outcome<usize> {
        let axis = self.integer(value)?;
        let from_front = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(from_front)
            .ok()
            .filter(|&axis| axis < rank.max(1))
            .ok_or_else(|| format!("axis {axis} of {rank}"))
    }

    /// Axes counted from the front, ascending; all when left out.
    fn axes(&mut self, value: Option<Value<'a>>, rank: usize) -> Outcome<Vec<usize>> {
        let given = match value {
            Some(value @ (Value::List(_) | Value::Tuple(_))) => items(&value)?,
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let mut axes = given
            .iter()
            .map(|axis| self.axis(axis, rank))
            .collect::<Outcome<Vec<_>>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(if axes.is_empty() {
            (0..rank).collect()
        } else {
            axes
        })
    }

    /// An operator of PyTorch on tensors or numbers.
    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    pub(super) fn operator(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        if let Some(plain) = name.strip_suffix('_')
            && !plain.ends_with('_')
            && let Some(Value::Tensor(target)) = a.get(0, "self")
        {
            let value = match plain {
                "copy" | "fill" => a.need(1, "value")?,
                "zero" => Value::int(0),
                "requires_grad" | "detach" => return a.need(0, "self"),
                plain => self.builtin(plain, a.positional.clone(), a.named.clone())?,
            };
            if is_unknown(&value) {
                return Ok(Value::Unknown);
            }
            let value = self.argument(&value)?;
            self.write(&target, value)?;
            return Ok(Value::Tensor(target));
        }
        let number = matches!(a.get(0, "self"), Some(Value::Number(_)));
        if let Some(kind) = unary(name) {
            let x = self.argument(&a.need(0, "self")?)?;
            let y = self.then(Unary(kind), vec![x])?;
            // Python's rounding of numbers gives integers.
            let whole = matches!(kind, UnaryKind::Ceil | UnaryKind::Floor);
            if number && whole {
                return self.emit(Cast(DType::Int), vec![y]);
            }
            return Ok(self.fresh(y));
        }
        if let Some(kind) = binary(name) {
            let (x, y) = (a.need(0, "self")?, a.need(1, "other")?);
            let arguments = vec![self.argument(&x)?, self.argument(&y)?];
            return self.emit(Binary(kind), arguments);
        }
        match name {
            "add" | "sub" | "subtract" | "rsub" => {
                let (mut x, mut y) = (
                    self.argument(&a.need(0, "self")?)?,
                    self.argument(&a.need(1, "other")?)?,
                );
                if let Some(alpha) = a.get(2, "alpha") {
                    let alpha = self.argument(&alpha)?;
                    if self.builder.argument(alpha) != Meta::Number(Literal::Int(1)) {
                        y = self.then(Binary(BinaryKind::Mul), vec![y, alpha])?;
                    }
                }
                if name == "rsub" {
                    std::mem::swap(&mut x, &mut y);
                }
                let kind = if name == "add" {
                    BinaryKind::Add
                } else {
                    BinaryKind::Sub
                };
                self.emit(Binary(kind), vec![x, y])
            }
            "div" | "divide" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let y = self.argument(&a.need(1, "other")?)?;
                match a.get(2, "rounding_mode") {
                    None => self.emit(Binary(BinaryKind::Div), vec![x, y]),
                    Some(Value::Text(mode)) if &*mode == "floor" => {
                        self.emit(Binary(BinaryKind::FloorDiv), vec![x, y])
                    }
                    Some(_) => {
                        let ratio = self.then(Binary(BinaryKind::Div), vec![x, y])?;
                        self.emit(Unary(UnaryKind::Trunc), vec![ratio])
                    }
                }
            }
            "square" => {
                let x = self.argument(&a.need(0, "self")?)?;
                self.emit(Binary(BinaryKind::Mul), vec![x, x])
            }
            "addcmul" => {
                let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "tensor"));
                let (x, y, z) = (
                    self.argument(&x?)?,
                    self.argument(&y?)?,
                    self.argument(&z?)?,
                );
                let product = self.then(Binary(BinaryKind::Mul), vec![y, z])?;
                let value = a.get(3, "value").unwrap_or(Value::int(1));
                let value = self.argument(&value)?;
                let product = self.then(Binary(BinaryKind::Mul), vec![product, value])?;
                self.emit(Binary(BinaryKind::Add), vec![x, product])
            }
            "clamp" | "clamp_min" | "clamp_max" | "relu6" | "hardtanh" | "clip" => {
                self.clamp(name, a)
            }
            "gelu" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let tanh =
                    matches!(a.get(1, "approximate"), Some(Value::Text(text)) if &*text == "tanh");
                self.emit(
                    Unary(if tanh {
                        UnaryKind::GeluTanh
                    } else {
                        UnaryKind::Gelu
                    }),
                    vec![x],
                )
            }
            "leaky_relu" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let slope = a.get(1, "negative_slope").unwrap_or(Value::float(0.01));
                let slope = self.number(&slope)?;
                self.emit(LeakyRelu { slope }, vec![x])
            }
            "elu" | "celu" | "selu" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let mut number = |index: usize, default: f64| {
                    let value = a.get(index, "alpha").unwrap_or(Value::float(default));
                    self.number(&value)
                };
                let elu = match name {
                    "selu" => Elu {
                        alpha: 1.673_263_242_354_377_2,
                        scale: 1.050_700_987_355_480_5,
                        input_scale: 1.0,
                    },
                    "celu" => {
                        let alpha = number(1, 1.0)?;
                        Elu {
                            alpha,
                            scale: 1.0,
                            input_scale: 1.0 / alpha,
                        }
                    }
                    _ => Elu {
                        alpha: number(1, 1.0)?,
                        scale: number(2, 1.0)?,
                        input_scale: number(3, 1.0)?,
                    },
                };
                self.emit(elu, vec![x])
            }
            "softplus" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let beta = a.get(1, "beta").unwrap_or(Value::int(1));
                let beta = self.argument(&beta)?;
                let scaled = self.then(Binary(BinaryKind::Mul), vec![x, beta])?;
                let soft = self.then(Unary(UnaryKind::Softplus), vec![scaled])?;
                self.emit(Binary(BinaryKind::Div), vec![soft, beta])
            }
            "prelu" => self.prelu(a),
            "softmax" | "log_softmax" | "_softmax" | "_log_softmax" => {
                let x = tensor(&a.need(0, "self")?)?;
                let rank = self.shape(&x)?.len();
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let node = Arg::Node(self.node(&x)?);
                self.emit(
                    Softmax {
                        axis,
                        log: name.contains("log"),
                    },
                    vec![node],
                )
            }
            "dropout"
            | "feature_dropout"
            | "alpha_dropout"
            | "feature_alpha_dropout"
            | "detach"
            | "alias"
            | "contiguous"
            | "cpu"
            | "cuda"
            | "id"
            | "lift_fresh"
            | "expand_copy"
            | "resolve_conj"
            | "resolve_neg" => a.need(0, "self"),
            "clone" | "float" | "double" | "half" | "type_as" | "to" | "long" | "int" | "bool" => {
                self.copy(name, a)
            }
            "size" | "shape" | "dim" | "numel" | "ndim" | "sym_size" => self.measure(name, a),
            "conv2d" | "conv1d" | "_convolution" | "convolution" | "_convolution_mode"
            | "conv_transpose2d" => self.convolution(name, a),
            "linear" => {
                let (x, weight) = (a.need(0, "input")?, a.need(1, "weight")?);
                let x = self.argument(&x)?;
                let weight = self.argument(&weight)?;
                let weight = self.then(Permute(vec![1, 0]), vec![weight])?;
                let mut all = vec![x, weight];
                if let Some(bias) = a.get(2, "bias") {
                    all.push(self.argument(&bias)?);
                }
                self.emit(Linear, all)
            }
            "addmm" => {
                let bias = self.argument(&a.need(0, "self")?)?;
                let x = self.argument(&a.need(1, "mat1")?)?;
                let weight = self.argument(&a.need(2, "mat2")?)?;
                self.emit(Linear, vec![x, weight, bias])
            }
            "matmul" | "bmm" | "mm" => self.matmul(a),
            "baddbmm" => {
                let bias = self.argument(&a.need(0, "self")?)?;
                let x = self.argument(&a.need(1, "batch1")?)?;
                let y = self.argument(&a.need(2, "batch2")?)?;
                let product = self.then(MatMul, vec![x, y])?;
                self.emit(Binary(BinaryKind::Add), vec![product, bias])
            }
            "scaled_dot_product_attention" => self.attention(a),
            "_native_multi_head_attention" => self.multi_head_attention(a),
            "batch_norm" | "instance_norm" | "group_norm" | "layer_norm" => self.norm(name, a),
            "max_pool2d" | "avg_pool2d" | "max_pool2d_with_indices" => self.pool(name, a),
            "adaptive_avg_pool2d" | "adaptive_max_pool2d" | "adaptive_avg_pool1d" => {
                self.adaptive_pool(name, a)
            }
            "upsample_nearest2d"
            | "upsample_bilinear2d"
            | "upsample_bicubic2d"
            | "_upsample_nearest_exact2d" => self.upsample(name, a),
            "pad" | "constant_pad_nd" | "reflection_pad2d" | "replication_pad2d" => {
                self.pad(name, a)
            }
            "cat" | "concat" | "stack" | "hstack" => self.join(name, a),
            "split" | "chunk" | "unbind" | "split_with_sizes" | "tensor_split" => {
                self.split(name, a)
            }
            "reshape" | "view" | "flatten" | "permute" | "transpose" | "t" | "squeeze"
            | "unsqueeze" | "slice" | "select" | "narrow" | "swapaxes" | "movedim"
            | "unflatten" | "expand" | "expand_as" | "view_as" | "reshape_as" | "broadcast_to"
            | "numpy_T" => self.reshape(name, a),
            "repeat" | "tile" => self.repeat(a),
            "pixel_shuffle" | "pixel_unshuffle" | "channel_shuffle" => self.shuffle(name, a),
            "index" | "index_select" | "embedding" | "gather" => self.lookup(name, a),
            "roll" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let shifts = self.list(&a.need(1, "shifts")?)?;
                let rank = self.rank(x)?;
                let given = a.need(2, "dims")?;
                let given = self.integers(&given)?;
                let axes = given
                    .into_iter()
                    .map(|axis| self.axis(&Value::int(axis), rank))
                    .collect::<Outcome<_>>()?;
                self.emit(Roll(axes), std::iter::once(x).chain(shifts).collect())
            }
            "flip" => {
                let x = self.argument(&a.need(0, "self")?)?;
                let rank = self.rank(x)?;
                let axes = self.axes(a.get(1, "dims"), rank)?;
                self.emit(Flip(axes), vec![x])
            }
            "where" => {
                let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "self"));
                let all = vec![
                    self.argument(&x?)?,
                    self.argument(&y?)?,
                    self.argument(&z?)?,
                ];
                self.emit(Where, all)
            }
            "masked_fill" => {
                let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "self"));
                let (x, mask, fill) = (
                    self.argument(&x?)?,
                    self.argument(&y?)?,
                    self.argument(&z?)?,
                );
                self.emit(Where, vec![mask, fill, x])
            }
            "sum" | "mean" | "amax" | "amin" | "max" | "min" | "prod" | "norm" | "var" | "std"
            | "linalg_vector_norm" | "frobenius_norm" | "argmax" | "cumsum" | "logsumexp"
            | "var_mean" | "any" | "all" => self.reduce(name, a),
            "zeros" | "ones" | "full" | "empty" | "new_zeros" | "new_ones" | "new_full"
            | "new_empty" | "zeros_like" | "ones_like" | "full_like" | "empty_like" | "arange"
            | "linspace" => self.create(name, a),
            "meshgrid" => self.meshgrid(a),
            "einsum" => self.einsum(a),
            _ => Ok(self.unsupported(name)),
        }
    }

    fn rank(&mut self, x: Arg) -> Outcome<usize> {
        match self.builder.argument(x) {
            Meta::Tensor { shape, .. } => Ok(shape.len()),
            Meta::Number(_) => Err("a number stands where a tensor is needed".into()),
        }
    }

    fn clamp(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let (min, max) = match name {
            "relu6" => (Some(Value::float(0.0)), Some(Value::float(6.0))),
            "hardtanh" => (
                Some(a.get(1, "min_val").unwrap_or(Value::float(-1.0))),
                Some(a.get(2, "max_val").unwrap_or(Value::float(1.0))),
            ),
            "clamp_max" => (None, a.get(1, "max")),
            "clamp_min" => (a.get(1, "min"), None),
            _ => (a.get(1, "min"), a.get(2, "max")),
        };
        let literal = |value: &Option<Value<'a>>| match value {
            Some(Value::Number(Arg::Literal(literal))) => Some(Some(literal.as_f64())),
            None => Some(None),
            _ => None,
        };
        let tensor = matches!(self.builder.argument(x), Meta::Tensor { .. });
        if let (Some(min), Some(max), true) = (literal(&min), literal(&max), tensor) {
            return self.emit(Clamp { min, max }, vec![x]);
        }
        for (limit, kind) in [(min, BinaryKind::Max), (max, BinaryKind::Min)] {
            if let Some(limit) = limit {
                let limit = self.argument(&limit)?;
                x = self.then(Binary(kind), vec![x, limit])?;
            }
        }
        Ok(self.fresh(x))
    }

    fn prelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let weight = self.argument(&a.need(1, "weight")?)?;
        let rank = self.rank(x)?;
        let mut sizes = vec![weight, int(-1)];
        sizes.extend(std::iter::repeat_n(int(1), rank.saturating_sub(2)));
        let weight = self.then(Reshape, sizes)?;
        let negative = self.then(Binary(BinaryKind::Mul), vec![x, weight])?;
        let positive = self.then(Binary(BinaryKind::Greater), vec![x, int(0)])?;
        self.emit(Where, vec![positive, x, negative])
    }

    /// Copies, and changes of element type. Devices and precisions mean nothing to a graph.
    fn copy(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = a.need(0, "self")?;
        let argument = self.argument(&x)?;
        let present = self.builder.argument(argument);
        let wanted = match name {
            "float" | "double" | "half" => Some(DType::Float),
            "long" | "int" => Some(DType::Int),
            "bool" => Some(DType::Bool),
            "clone" => None,
            _ => {
                let mut wanted = None;
                let named = a.named.iter().filter(|(name, _)| name == "dtype");
                let candidates = a.positional[1..]
                    .iter()
                    .chain(named.map(|(_, value)| value));
                for value in candidates.cloned().collect::<Vec<_>>() {
                    match value {
                        Value::Number(Arg::Literal(Literal::Int(code))) => {
                            wanted = wanted.or(dtype_of(code));
                        }
                        Value::Tensor(other) => {
                            let node = self.node(&other)?;
                            wanted = Some(self.dtype(node));
                        }
                        _ => {}
                    }
                }
                wanted
            }
        };
        let present = match present {
            Meta::Tensor { dtype, .. } => dtype,
            Meta::Number(number) => number.dtype(),
        };
        match wanted {
            Some(dtype) if dtype != present => self.emit(Cast(dtype), vec![argument]),
            _ if name == "to" || name == "type_as" => Ok(x),
            _ => Ok(self.fresh(argument)),
        }
    }

    fn measure(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = a.need(0, "self")?;
        let Value::Tensor(x) = x else {
            return Ok(match name {
                "numel" => Value::int(1),
                "dim" | "ndim" => Value::int(0),
                _ => Value::list(Vec::new()),
            });
        };
        let node = self.node(&x)?;
        let rank = self.node_shape(node)?.len();
        if matches!(name, "dim" | "ndim") {
            return Ok(Value::int(rank as i64));
        }
        if let Some(axis) = a.get(1, "dim") {
            let axis = self.axis(&axis, rank)?;
            return Ok(Value::Number(self.builder.size(node, axis)?));
        }
        let sizes = self.sizes(node)?;
        if name == "numel" {
            let product = sizes.into_iter().try_fold(int(1), |product, size| {
                self.then(Binary(BinaryKind::Mul), vec![product, size])
            })?;
            return Ok(Value::Number(product));
        }
        Ok(Value::list(sizes.into_iter().map(Value::Number).collect()))
    }

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
                let Meta::Tensor { shape, .. } = self.builder.argument(weight) else {
                    return Err("a weight that is a number".into());
                };
                let mut before = Vec::new();
                for axis in 2..shape.len() {
                    let total = dilation[axis - 2] * (shape[axis] - 1);
                    before.push([total / 2, total - total / 2]);
                }
                // What cannot be split evenly goes to the end.
                let mut all = vec![x, int(0)];
                for [left, right] in before.iter().rev() {
                    all.extend([int(*left as i64), int(*right as i64)]);
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
        let y = if transposed {
            self.then(
                ConvTranspose {
                    conv,
                    output_padding,
                },
                all,
            )?
        } else {
            self.then(conv, all)?
        };
        if one_axis {
            return self.emit(Squeeze(vec![2]), vec![y]);
        }
        Ok(self.fresh(y))
    }

    fn matmul(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let mut y = self.argument(&a.need(1, "other")?)?;
        let (row, column) = (self.rank(x)? == 1, self.rank(y)? == 1);
        if row {
            x = self.then(Unsqueeze(0), vec![x])?;
        }
        if column {
            y = self.then(Unsqueeze(1), vec![y])?;
        }
        let mut product = self.then(MatMul, vec![x, y])?;
        if column {
            let last = self.rank(product)? - 1;
            product = self.then(Squeeze(vec![last]), vec![product])?;
        }
        if row {
            let last = self.rank(product)? - if column { 1 } else { 2 };
            product = self.then(Squeeze(vec![last]), vec![product])?;
        }
        Ok(self.fresh(product))
    }

    fn attention(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [q, k, v] = [(0, "query"), (1, "key"), (2, "value")].map(|(i, n)| a.need(i, n));
        let (q, k, v) = (
            self.argument(&q?)?,
            self.argument(&k?)?,
            self.argument(&v?)?,
        );
        if self.flag(a.get(5, "is_causal"), false)? {
            return Ok(self.unsupported("causal attention"));
        }
        let rank = self.rank(k)?;
        let scale = if let Some(scale) = a.get(6, "scale") {
            self.argument(&scale)?
        } else {
            let Arg::Node(query) = q else {
                return Err("a query that is a number".into());
            };
            let width = self.builder.size(query, rank - 1)?;
            self.then(Unary(UnaryKind::Rsqrt), vec![width])?
        };
        let q = self.then(Binary(BinaryKind::Mul), vec![q, scale])?;
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 1, rank - 2);
        let k = self.then(Permute(axes), vec![k])?;
        let mut scores = self.then(MatMul, vec![q, k])?;
        if let Some(mask) = a.get(3, "attn_mask") {
            let mask = self.argument(&mask)?;
            let bool_mask = matches!(
                self.builder.argument(mask),
                Meta::Tensor {
                    dtype: DType::Bool,
                    ..
                }
            );
            scores = if bool_mask {
                let never = Arg::Literal(Literal::Float(f64::NEG_INFINITY));
                self.then(Where, vec![mask, scores, never])?
            } else {
                self.then(Binary(BinaryKind::Add), vec![scores, mask])?
            };
        }
        let weights = self.then(
            Softmax {
                axis: rank - 1,
                log: false,
            },
            vec![scores],
        )?;
        self.emit(MatMul, vec![weights, v])
    }

    /// Self-attention with its projections, as PyTorch's fast path for evaluation calls it.
    fn multi_head_attention(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let call = |this: &mut Self, name: &str, all: Vec<Value<'a>>| {
            this.operator(
                name,
                &Arguments {
                    positional: all,
                    named: Vec::new(),
                },
            )
        };
        let (query, key) = (a.need(0, "query")?, a.need(1, "key")?);
        let (query_node, key_node) = (self.argument(&query)?, self.argument(&key)?);
        let Arg::Node(node) = query_node else {
            return Err("attends to a number".into());
        };
        if query_node != key_node || a.get(9, "mask").is_some() {
            return Ok(self.unsupported("_native_multi_head_attention beyond plain self-attention"));
        }
        let [batch, length, width] = self.sizes(node)?[..] else {
            return Err("attends to other than three axes".into());
        };
        let heads = a.need(4, "num_head")?;
        let heads = int(self.integer(&heads)?);
        let each = self.then(Binary(BinaryKind::FloorDiv), vec![width, heads])?;
        let all = call(
            self,
            "linear",
            vec![query, a.need(5, "qkv_weight")?, a.need(6, "qkv_bias")?],
        )?;
        let all = self.argument(&all)?;
        let all = self.then(Reshape, vec![all, batch, length, int(3), heads, each])?;
        let all = self.emit(Permute(vec![2, 0, 3, 1, 4]), vec![all])?;
        let mut parts = Vec::new();
        for index in 0..3 {
            parts.push(call(
                self,
                "select",
                vec![all.clone(), Value::int(0), Value::int(index)],
            )?);
        }
        let mixed = call(self, "scaled_dot_product_attention", parts)?;
        let mixed = self.argument(&mixed)?;
        let mixed = self.then(Permute(vec![0, 2, 1, 3]), vec![mixed])?;
        let mixed = self.emit(Reshape, vec![mixed, batch, length, width])?;
        let answer = call(
            self,
            "linear",
            vec![mixed, a.need(7, "proj_weight")?, a.need(8, "proj_bias")?],
        )?;
        Ok(Value::Tuple(Rc::new(vec![answer, Value::Unknown])))
    }

    fn norm(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "input")?)?;
        let Meta::Tensor { shape, .. } = self.builder.argument(x) else {
            return Err("a number stands where a tensor is needed".into());
        };
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
                            return Ok(self.unsupported("batch_norm in training mode"));
                        }
                        if let Arg::Node(node) = x {
                            let size = self.builder.size(node, 0)?;
                            self.builder.pin(size)?;
                        }
                    }
                    all.extend(self.scale_and_shift(a, shape[1])?);
                    return self.emit(
                        GroupNorm {
                            groups: shape[1],
                            epsilon,
                        },
                        all,
                    );
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
                None => self.full(int(default), vec![int(channels as i64)], DType::Float)?,
            };
            self.argument(&value)
        };
        Ok([given(1, "weight", 1)?, given(2, "bias", 0)?])
    }

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
            let y = self.then(AdaptiveAvgPool, vec![x, int(1), size])?;
            return self.emit(Squeeze(vec![2]), vec![y]);
        }
        let Arg::Node(node) = x else {
            return Err("pools a number".into());
        };
        let mut all = vec![x];
        for axis in 0..2 {
            let size = items
                .get(axis)
                .or(items.last())
                .cloned()
                .unwrap_or(Value::None);
            all.push(match size {
                Value::None => self.builder.size(node, 2 + axis)?,
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

    fn upsample(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let (mode, aligned) = match name {
            "upsample_nearest2d" => (ResizeMode::Nearest, false),
            "_upsample_nearest_exact2d" => (ResizeMode::NearestExact, false),
            "upsample_bilinear2d" => (ResizeMode::Bilinear, true),
            _ => (ResizeMode::Bicubic, true),
        };
        let align_corners = aligned && self.flag(a.get(2, "align_corners"), false)?;
        let first = if aligned { 3 } else { 2 };
        let mut factors = Vec::new();
        for value in [
            a.get(first, "scale_factors").or(a.get(first, "scales_h")),
            a.get(first + 1, "scales_w"),
        ]
        .into_iter()
        .flatten()
        {
            match &value {
                Value::List(_) => {
                    for item in items(&value)? {
                        factors.push(self.number(&item)?);
                    }
                }
                value => factors.push(self.number(value)?),
            }
        }
        let factors: Option<[f64; 2]> = factors.try_into().ok();
        let Arg::Node(node) = x else {
            return Err("resamples a number".into());
        };
        let mut all = vec![x];
        if let Some(sizes) = a.get(1, "output_size") {
            all.extend(self.list(&sizes)?);
        } else {
            let factors = factors.ok_or("has neither size nor factors")?;
            for (axis, factor) in factors.into_iter().enumerate() {
                let size = self.builder.size(node, 2 + axis)?;
                let factor = Arg::Literal(Literal::Float(factor));
                let size = self.then(Binary(BinaryKind::Mul), vec![size, factor])?;
                let size = self.then(Unary(UnaryKind::Floor), vec![size])?;
                all.push(self.then(Cast(DType::Int), vec![size])?);
            }
        }
        self.emit(
            Resize {
                mode,
                align_corners,
                factors,
            },
            all,
        )
    }

    fn pad(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let pads = self.list(&a.need(1, "pad")?)?;
        let (mode, fill) = match name {
            "reflection_pad2d" => ("reflect".into(), None),
            "replication_pad2d" => ("replicate".into(), None),
            "constant_pad_nd" => ("constant".into(), a.get(2, "value")),
            _ => match a.get(2, "mode") {
                Some(Value::Text(mode)) => (mode.to_string(), a.get(3, "value")),
                _ => ("constant".to_owned(), a.get(3, "value")),
            },
        };
        let mode = match mode.as_str() {
            "constant" => PadMode::Constant,
            "reflect" => PadMode::Reflect,
            "replicate" => PadMode::Replicate,
            "circular" => PadMode::Circular,
            other => return Ok(self.unsupported(&format!("padding by {other}"))),
        };
        let fill = fill.unwrap_or(Value::int(0));
        let fill = self.argument(&fill)?;
        self.emit(Pad(mode), [x, fill].into_iter().chain(pads).collect())
    }

    fn join(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let list = a.need(0, "tensors")?;
        let items = items(&list)?;
        let mut tensors = Vec::with_capacity(items.len());
        for item in items {
            // Some programs begin a concatenation with a tensor of no channels.
            if !matches!(item, Value::Empty) {
                tensors.push(self.argument(&item)?);
            }
        }
        let first = *tensors.first().ok_or("joins nothing")?;
        if tensors
            .iter()
            .all(|&x| matches!(self.builder.argument(x), Meta::Number(_)))
        {
            return Ok(Value::list(
                tensors.into_iter().map(Value::Number).collect(),
            ));
        }
        let rank = self.rank(first)?;
        let axis = match a.get(1, "dim") {
            Some(axis) => self.axis(&axis, rank + usize::from(name == "stack"))?,
            None => usize::from(name == "hstack" && rank > 1),
        };
        if name == "stack" {
            for tensor in &mut tensors {
                *tensor = self.then(Unsqueeze(axis), vec![*tensor])?;
            }
        }
        // Like PyTorch, concatenation lifts integers to floats.
        let float = tensors.iter().any(|&x| {
            matches!(
                self.builder.argument(x),
                Meta::Tensor {
                    dtype: DType::Float,
                    ..
                }
            )
        });
        for tensor in &mut tensors {
            if float
                && !matches!(
                    self.builder.argument(*tensor),
                    Meta::Tensor {
                        dtype: DType::Float,
                        ..
                    }
                )
            {
                *tensor = self.then(Cast(DType::Float), vec![*tensor])?;
            }
        }
        self.emit(Cat(axis), tensors)
    }

    fn split(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let shape = self.shape(&x)?;
        let position = if name == "unbind" { 1 } else { 2 };
        let axis = a.get(position, "dim").unwrap_or(Value::int(0));
        let axis = self.axis(&axis, shape.len())?;
        let mut parts = Vec::new();
        if name == "unbind" {
            // The number of parts shapes the program that follows, so it is pinned.
            let node = self.node(&x)?;
            let size = self.builder.size(node, axis)?;
            let count = self.builder.pin(size)?.as_i64().unwrap_or(0);
            for index in 0..count {
                let part = self.view(
                    &x,
                    Slice { axis, step: 1 },
                    vec![int(index), int(index + 1)],
                )?;
                let part = self.view(&part, Squeeze(vec![axis]), Vec::new())?;
                parts.push(Value::Tensor(part));
            }
            return Ok(Value::list(parts));
        }
        let given = a.need(1, "split_size")?;
        let node = self.node(&x)?;
        let total = self.builder.size(node, axis)?;
        let mut bounds = vec![int(0)];
        match &given {
            Value::List(_) | Value::Tuple(_) => {
                for size in self.list(&given)? {
                    let last = bounds[bounds.len() - 1];
                    bounds.push(self.then(Binary(BinaryKind::Add), vec![last, size])?);
                }
            }
            given => {
                let mut size = self.argument(given)?;
                let length = shape[axis] as i64;
                if name == "chunk" {
                    // ⌈total / count⌉
                    let count = int(self.integer(given)?.max(1));
                    let negative = self.then(Unary(UnaryKind::Neg), vec![total])?;
                    let size_down =
                        self.then(Binary(BinaryKind::FloorDiv), vec![negative, count])?;
                    size = self.then(Unary(UnaryKind::Neg), vec![size_down])?;
                }
                let one = match self.builder.argument(size) {
                    Meta::Number(number) => number.as_i64().unwrap_or(0),
                    Meta::Tensor { .. } => 0,
                };
                if one < 1 {
                    return Err(format!("splits into parts of {one}"));
                }
                for index in 1..=(length + one - 1) / one {
                    bounds.push(self.then(Binary(BinaryKind::Mul), vec![size, int(index)])?);
                }
            }
        }
        for pair in bounds.windows(2) {
            let part = self.view(&x, Slice { axis, step: 1 }, pair.to_vec())?;
            parts.push(Value::Tensor(part));
        }
        Ok(Value::list(parts))
    }

    /// Views, which share memory with their tensor.
    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    fn reshape(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let node = self.node(&x)?;
        let rank = self.node_shape(node)?.len();
        let (op, arguments): (Op, Vec<Arg>) = match name {
            "reshape" | "view" => {
                let sizes = a.need(1, "shape")?;
                // A view as another element type has a number where the shape stands.
                (Reshape.into(), self.list(&sizes)?)
            }
            "view_as" | "reshape_as" | "expand_as" => {
                let other = tensor(&a.need(1, "other")?)?;
                let other = self.node(&other)?;
                let op = if name == "expand_as" {
                    Expand.into()
                } else {
                    Op::from(Reshape)
                };
                (op, self.sizes(other)?)
            }
            "expand" | "broadcast_to" => {
                let sizes = a.need(1, "size")?;
                (Expand.into(), self.list(&sizes)?)
            }
            "flatten" => {
                let start = a.get(1, "start_dim").unwrap_or(Value::int(0));
                let end = a.get(2, "end_dim").unwrap_or(Value::int(-1));
                let (start, end) = (self.axis(&start, rank)?, self.axis(&end, rank)?);
                let sizes = self.sizes(node)?;
                let mut shape = sizes[..start].to_vec();
                // One open size is all a reshape can have, and most are flattened fully.
                shape.push(int(-1));
                shape.extend(sizes.get(end + 1..).unwrap_or_default());
                (Reshape.into(), shape)
            }
            "unflatten" => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let inner = self.list(&a.need(2, "sizes")?)?;
                let mut sizes = self.sizes(node)?;
                sizes.splice(axis..=axis, inner);
                (Reshape.into(), sizes)
            }
            "permute" => {
                let given = a.need(1, "dims")?;
                let axes = self.integers(&given)?;
                let axes = axes
                    .into_iter()
                    .map(|axis| self.axis(&Value::int(axis), rank))
                    .collect::<Outcome<_>>()?;
                (Permute(axes).into(), Vec::new())
            }
            "transpose" | "swapaxes" | "t" | "numpy_T" => {
                let mut axes: Vec<usize> = (0..rank).collect();
                if matches!(name, "t" | "numpy_T") {
                    axes.reverse();
                } else {
                    let first = self.axis(&a.need(1, "dim0")?, rank)?;
                    let second = self.axis(&a.need(2, "dim1")?, rank)?;
                    axes.swap(first, second);
                }
                (Permute(axes).into(), Vec::new())
            }
            "movedim" => {
                let from = self.axis(&a.need(1, "source")?, rank)?;
                let to = self.axis(&a.need(2, "destination")?, rank)?;
                let mut axes: Vec<usize> = (0..rank).filter(|&axis| axis != from).collect();
                axes.insert(to, from);
                (Permute(axes).into(), Vec::new())
            }
            "squeeze" => {
                let shape = self.node_shape(node)?;
                let axes = match a.get(1, "dim") {
                    Some(axes) => self.axes(Some(axes), rank)?,
                    None => (0..rank).collect(),
                };
                let axes = axes.into_iter().filter(|&axis| shape[axis] == 1).collect();
                (Squeeze(axes).into(), Vec::new())
            }
            "unsqueeze" => {
                let axis = self.axis(&a.need(1, "dim")?, rank + 1)?;
                (Unsqueeze(axis).into(), Vec::new())
            }
            "slice" | "narrow" => {
                let axis = a.get(1, "dim").unwrap_or(Value::int(0));
                let axis = self.axis(&axis, rank)?;
                let start = a.get(2, "start").unwrap_or(Value::int(0));
                let start = self.argument(&start)?;
                let mut step = 1;
                let end = if name == "narrow" {
                    let length = a.need(3, "length")?;
                    let length = self.argument(&length)?;
                    self.then(Binary(BinaryKind::Add), vec![start, length])?
                } else {
                    let every = a.get(4, "step").unwrap_or(Value::int(1));
                    step = self.integer(&every)?.max(0) as usize;
                    let end = a.get(3, "end").unwrap_or(Value::int(i64::MAX));
                    self.argument(&end)?
                };
                (Slice { axis, step }.into(), vec![start, end])
            }
            _ => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let index = a.need(2, "index")?;
                let start = self.argument(&index)?;
                // The last element's range ends at the end, not at zero.
                let end = if self.builder.argument(start) == Meta::Number(Literal::Int(-1)) {
                    int(i64::MAX)
                } else {
                    self.then(Binary(BinaryKind::Add), vec![start, int(1)])?
                };
                let part = self.view(&x, Slice { axis, step: 1 }, vec![start, end])?;
                let part = self.view(&part, Squeeze(vec![axis]), Vec::new())?;
                return Ok(Value::Tensor(part));
            }
        };
        Ok(Value::Tensor(self.view(&x, op, arguments)?))
    }

    fn repeat(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let counts = self.list(&a.need(1, "repeats")?)?;
        while self.rank(x)? < counts.len() {
            x = self.then(Unsqueeze(0), vec![x])?;
        }
        // Each axis becomes [count, size] and is flattened again.
        let Arg::Node(node) = x else {
            return Err("repeats a number".into());
        };
        let sizes = self.sizes(node)?;
        if counts.len() != sizes.len() {
            return Err("repeats fewer axes than there are".into());
        }
        for (axis, (&count, &size)) in counts.iter().zip(&sizes).enumerate() {
            if self.builder.argument(count) == Meta::Number(Literal::Int(1)) {
                continue;
            }
            x = self.then(Unsqueeze(axis), vec![x])?;
            let mut spread = vec![x];
            spread.extend(std::iter::repeat_n(int(-1), self.rank(x)?));
            spread[1 + axis] = count;
            x = self.then(Expand, spread)?;
            let Arg::Node(node) = x else {
                return Err("repeats a number".into());
            };
            let mut flat = self.sizes(node)?;
            let length = self.then(Binary(BinaryKind::Mul), vec![count, size])?;
            flat.splice(axis..axis + 2, [length]);
            x = self.then(Reshape, std::iter::once(x).chain(flat).collect())?;
        }
        Ok(self.fresh(x))
    }

    fn shuffle(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let factor = a.need(1, "factor")?;
        let factor = int(self.integer(&factor)?.max(1));
        let Arg::Node(node) = x else {
            return Err("shuffles a number".into());
        };
        let sizes = self.sizes(node)?;
        let [n, c, h, w] = sizes[..] else {
            return Err("shuffles a tensor of other than four axes".into());
        };
        let divide = |this: &mut Self, x, y| this.then(Binary(BinaryKind::FloorDiv), vec![x, y]);
        let multiply = |this: &mut Self, x, y| this.then(Binary(BinaryKind::Mul), vec![x, y]);
        let (split, axes, joined) = match name {
            "pixel_shuffle" => {
                let square = multiply(self, factor, factor)?;
                let channels = divide(self, c, square)?;
                let (high, wide) = (multiply(self, h, factor)?, multiply(self, w, factor)?);
                (
                    vec![n, channels, factor, factor, h, w],
                    vec![0, 1, 4, 2, 5, 3],
                    vec![n, channels, high, wide],
                )
            }
            "pixel_unshuffle" => {
                let (low, narrow) = (divide(self, h, factor)?, divide(self, w, factor)?);
                let square = multiply(self, factor, factor)?;
                let channels = multiply(self, c, square)?;
                (
                    vec![n, c, low, factor, narrow, factor],
                    vec![0, 1, 3, 5, 2, 4],
                    vec![n, channels, low, narrow],
                )
            }
            _ => {
                let channels = divide(self, c, factor)?;
                (
                    vec![n, factor, channels, h, w],
                    vec![0, 2, 1, 3, 4],
                    vec![n, c, h, w],
                )
            }
        };
        let y = self.then(Reshape, std::iter::once(x).chain(split).collect())?;
        let y = self.then(Permute(axes), vec![y])?;
        self.emit(Reshape, std::iter::once(y).chain(joined).collect())
    }

    fn lookup(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        match name {
            "embedding" => {
                let indices = self.argument(&a.need(1, "indices")?)?;
                self.emit(IndexSelect(0), vec![x, indices])
            }
            "index_select" | "gather" => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let indices = self.argument(&a.need(2, "index")?)?;
                if name == "gather" {
                    return self.emit(Gather(axis), vec![x, indices]);
                }
                self.emit(IndexSelect(axis), vec![x, indices])
            }
            _ => self.index_by_tensors(x, &a.need(1, "indices")?),
        }
    }

    /// `x[:, i, j]`: neighbouring axes with indices are merged into one.
    fn index_by_tensors(&mut self, mut x: Arg, indices: &Value<'a>) -> Outcome<Value<'a>> {
        let items = items(indices)?;
        let mut used = Vec::new();
        for (axis, item) in items.iter().enumerate() {
            if !matches!(item, Value::None) {
                used.push((axis, self.argument(item)?));
            }
        }
        let Some(&(first, mut index)) = used.first() else {
            return Ok(self.fresh(x));
        };
        let integers = used.iter().all(|&(_, index)| {
            matches!(
                self.builder.argument(index),
                Meta::Tensor {
                    dtype: DType::Int,
                    ..
                }
            )
        });
        let adjacent = used
            .iter()
            .enumerate()
            .all(|(offset, &(axis, _))| axis == first + offset);
        if !integers || !adjacent {
            return Ok(self.unsupported("index by masks or by axes apart"));
        }
        let Arg::Node(node) = x else {
            return Err("takes items of a number".into());
        };
        let sizes = self.sizes(node)?;
        for &(axis, next) in &used[1..] {
            index = self.then(Binary(BinaryKind::Mul), vec![index, sizes[axis]])?;
            index = self.then(Binary(BinaryKind::Add), vec![index, next])?;
        }
        if used.len() > 1 {
            let mut merged = sizes.clone();
            merged.splice(first..first + used.len(), [int(-1)]);
            x = self.then(Reshape, std::iter::once(x).chain(merged).collect())?;
        }
        self.emit(IndexSelect(first), vec![x, index])
    }

    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    fn reduce(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let first = a.need(0, "self")?;
        let x = self.argument(&first)?;
        if matches!(name, "max" | "min") && matches!(a.get(1, "other"), Some(Value::Tensor(_)))
            || matches!(first, Value::Number(_))
        {
            let y = self.argument(&a.need(1, "other")?)?;
            let kind = if name == "max" {
                BinaryKind::Max
            } else {
                BinaryKind::Min
            };
            return self.emit(Binary(kind), vec![x, y]);
        }
        let rank = self.rank(x)?;
        if name == "cumsum" {
            let axis = self.axis(&a.need(1, "dim")?, rank)?;
            return self.emit(CumSum(axis), vec![x]);
        }
        let norm = matches!(name, "norm" | "linalg_vector_norm");
        let (at, mut keep_at) = if norm { (2, 3) } else { (1, 2) };
        let spread = matches!(name, "var" | "std" | "var_mean");
        if spread {
            keep_at = 3;
        }
        // `var(x, unbiased)` has a truth value where the axes stand.
        let mut given = a.get(at, "dim");
        let mut unbiased = true;
        if spread {
            if let Some(Value::Number(Arg::Literal(Literal::Bool(value)))) = given {
                unbiased = value;
                given = None;
            } else if let Some(value) = a.get(2, "unbiased").or(a.get(2, "correction")) {
                unbiased = self.number(&value)? != 0.0;
            }
        }
        let keep = self.flag(a.get(keep_at, "keepdim"), false)?;
        if name == "argmax" {
            let axis = self.axis(&given.ok_or("lacks `dim`")?, rank)?;
            return self.emit(ArgMax { axis, keep }, vec![x]);
        }
        let one_axis = given.is_some();
        let axes = self.axes(given, rank)?;
        let reduce = |kind, keep| Reduce {
            kind,
            axes: axes.clone(),
            keep,
        };
        match name {
            "sum" => self.emit(reduce(ReduceKind::Sum, keep), vec![x]),
            "mean" => self.emit(reduce(ReduceKind::Mean, keep), vec![x]),
            "prod" => self.emit(reduce(ReduceKind::Prod, keep), vec![x]),
            "amax" => self.emit(reduce(ReduceKind::Max, keep), vec![x]),
            "amin" => self.emit(reduce(ReduceKind::Min, keep), vec![x]),
            "any" | "all" => {
                let truth = self.then(Cast(DType::Bool), vec![x])?;
                let kind = if name == "any" {
                    ReduceKind::Max
                } else {
                    ReduceKind::Min
                };
                let y = self.then(reduce(kind, keep), vec![truth])?;
                self.emit(Cast(DType::Bool), vec![y])
            }
            "max" | "min" => {
                let kind = if name == "max" {
                    ReduceKind::Max
                } else {
                    ReduceKind::Min
                };
                let values = self.emit(reduce(kind, keep), vec![x])?;
                if !one_axis {
                    return Ok(values);
                }
                let indices = if name == "max" {
                    self.emit(
                        ArgMax {
                            axis: axes[0],
                            keep,
                        },
                        vec![x],
                    )?
                } else {
                    Value::Unknown
                };
                Ok(Value::Tuple(Rc::new(vec![values, indices])))
            }
            "logsumexp" => {
                let exp = self.then(Unary(UnaryKind::Exp), vec![x])?;
                let sum = self.then(reduce(ReduceKind::Sum, keep), vec![exp])?;
                self.emit(Unary(UnaryKind::Log), vec![sum])
            }
            "var" | "std" | "var_mean" => {
                let mean = self.then(reduce(ReduceKind::Mean, true), vec![x])?;
                let centred = self.then(Binary(BinaryKind::Sub), vec![x, mean])?;
                let square = self.then(Binary(BinaryKind::Mul), vec![centred, centred])?;
                let mut variance = self.then(reduce(ReduceKind::Mean, keep), vec![square])?;
                if unbiased {
                    let Arg::Node(node) = x else {
                        return Err("the spread of a number".into());
                    };
                    let mut count = int(1);
                    for &axis in &axes {
                        let size = self.builder.size(node, axis)?;
                        count = self.then(Binary(BinaryKind::Mul), vec![count, size])?;
                    }
                    let less = self.then(Binary(BinaryKind::Sub), vec![count, int(1)])?;
                    let ratio = self.then(Binary(BinaryKind::Div), vec![count, less])?;
                    variance = self.then(Binary(BinaryKind::Mul), vec![variance, ratio])?;
                }
                match name {
                    "std" => self.emit(Unary(UnaryKind::Sqrt), vec![variance]),
                    "var_mean" => {
                        let mean = self.emit(reduce(ReduceKind::Mean, keep), vec![x])?;
                        let variance = self.fresh(variance);
                        Ok(Value::Tuple(Rc::new(vec![variance, mean])))
                    }
                    _ => Ok(self.fresh(variance)),
                }
            }
            _ => {
                let order = match a.get(1, "p").filter(|_| norm) {
                    Some(order) => self.number(&order)?,
                    None => 2.0,
                };
                let size = self.then(Unary(UnaryKind::Abs), vec![x])?;
                if order == f64::INFINITY {
                    return self.emit(reduce(ReduceKind::Max, keep), vec![size]);
                }
                if order == 1.0 {
                    return self.emit(reduce(ReduceKind::Sum, keep), vec![size]);
                }
                let power = |order| Arg::Literal(Literal::Float(order));
                let raised = self.then(Binary(BinaryKind::Pow), vec![size, power(order)])?;
                let sum = self.then(reduce(ReduceKind::Sum, keep), vec![raised])?;
                if order == 2.0 {
                    return self.emit(Unary(UnaryKind::Sqrt), vec![sum]);
                }
                self.emit(Binary(BinaryKind::Pow), vec![sum, power(1.0 / order)])
            }
        }
    }

    fn create(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let named = a
            .named
            .iter()
            .find(|(key, _)| key == "dtype")
            .map(|(_, value)| value.clone());
        let mut dtype = None;
        if let Some(Value::Number(code)) = named {
            dtype = dtype_of(self.builder.pin(code)?.as_i64().unwrap_or(6));
        }
        if name == "arange" || name == "linspace" {
            let mut numbers: Vec<Arg> = Vec::new();
            // The numbers come first; element type, layout and device follow.
            let count = match (name, a.positional.len()) {
                ("linspace", _) => 3,
                (_, 1 | 5) => 1,
                (_, 2 | 6) => 2,
                _ => 3,
            };
            for value in a.positional.iter().take(count) {
                numbers.push(self.argument(value)?);
            }
            if let Some(code) = a.positional.get(count)
                && let Value::Number(code) = code
            {
                dtype = dtype.or(dtype_of(self.builder.pin(*code)?.as_i64().unwrap_or(6)));
            }
            if name == "linspace" {
                let [start, end, count] = numbers[..] else {
                    return Err("lacks `steps`".into());
                };
                let steps = self.then(Binary(BinaryKind::Sub), vec![count, int(1)])?;
                let steps = self.then(Binary(BinaryKind::Max), vec![steps, int(1)])?;
                let zero = int(0);
                let index = self.then(Arange(DType::Float), vec![zero, count, int(1)])?;
                let distance = self.then(Binary(BinaryKind::Sub), vec![end, start])?;
                let step = self.then(Binary(BinaryKind::Div), vec![distance, steps])?;
                let offset = self.then(Binary(BinaryKind::Mul), vec![index, step])?;
                return self.emit(Binary(BinaryKind::Add), vec![offset, start]);
            }
            let all = match numbers[..] {
                [end] => vec![int(0), end, int(1)],
                [start, end] => vec![start, end, int(1)],
                _ => numbers,
            };
            let float = all.iter().any(|&number| {
                matches!(
                    self.builder.argument(number),
                    Meta::Number(Literal::Float(_))
                )
            });
            let dtype = dtype.unwrap_or(if float { DType::Float } else { DType::Int });
            return self.emit(Arange(dtype), all);
        }
        let like = name.ends_with("_like");
        let new = name.starts_with("new_");
        let mut present = DType::Float;
        let sizes = if like || new {
            let x = tensor(&a.need(0, "self")?)?;
            let node = self.node(&x)?;
            present = self.dtype(node);
            if like {
                self.sizes(node)?
            } else {
                self.list(&a.need(1, "size")?)?
            }
        } else {
            self.list(&a.need(0, "size")?)?
        };
        let (fill, code) = match name {
            "new_full" => (a.need(2, "fill_value")?, a.positional.get(3)),
            "full" | "full_like" => (a.need(1, "fill_value")?, a.positional.get(2)),
            "ones" | "ones_like" => (Value::int(1), a.positional.get(1)),
            "new_ones" => (Value::int(1), a.positional.get(2)),
            "new_zeros" | "new_empty" => (Value::int(0), a.positional.get(2)),
            _ => (Value::int(0), a.positional.get(1)),
        };
        if let Some(Value::Number(code)) = code {
            dtype = dtype.or(dtype_of(self.builder.pin(*code)?.as_i64().unwrap_or(6)));
        }
        let fill = self.argument(&fill)?;
        if !matches!(self.builder.argument(fill), Meta::Number(_)) {
            return Ok(self.unsupported(&format!("{name} with a tensor")));
        }
        self.full(fill, sizes, dtype.unwrap_or(present))
    }

    /// `torch.tensor` of a number or of a list of numbers.
    pub(super) fn tensor_of(&mut self, value: &Value<'a>, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        match value {
            Value::Number(number) => {
                let code = a.get(1, "dtype");
                let Some(Value::Number(code)) = code else {
                    return Ok(Value::Number(*number));
                };
                match dtype_of(self.builder.pin(code)?.as_i64().unwrap_or(6)) {
                    Some(dtype) => Ok(Value::Number(self.then(Cast(dtype), vec![*number])?)),
                    None => Ok(Value::Number(*number)),
                }
            }
            Value::List(_) => {
                let mut parts = Vec::new();
                for item in items(value)? {
                    let Value::Number(number) = item else {
                        return Ok(self.unsupported("tensor of lists"));
                    };
                    let dtype = match self.builder.argument(number) {
                        Meta::Number(literal) => literal.dtype(),
                        Meta::Tensor { dtype, .. } => dtype,
                    };
                    let part = self.full(number, vec![int(1)], dtype)?;
                    parts.push(self.argument(&part)?);
                }
                self.emit(Cat(0), parts)
            }
            other => Ok(other.clone()),
        }
    }

    fn meshgrid(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let list = a.need(0, "tensors")?;
        let items = items(&list)?;
        let xy = matches!(a.get(1, "indexing"), Some(Value::Text(text)) if &*text == "xy");
        if xy || items.len() != 2 {
            return Ok(self.unsupported("meshgrid other than of two axes by `ij`"));
        }
        let (x, y) = (self.argument(&items[0])?, self.argument(&items[1])?);
        let (Arg::Node(rows), Arg::Node(columns)) = (x, y) else {
            return Err("a grid of numbers".into());
        };
        let (height, width) = (self.builder.size(rows, 0)?, self.builder.size(columns, 0)?);
        let x = self.then(Unsqueeze(1), vec![x])?;
        let y = self.then(Unsqueeze(0), vec![y])?;
        let first = self.emit(Expand, vec![x, height, width])?;
        let second = self.emit(Expand, vec![y, height, width])?;
        Ok(Value::list(vec![first, second]))
    }

    /// Products of two tensors summed over the letters that are missing on the right.
    fn einsum(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (Value::Text(equation), list) = (a.need(0, "equation")?, a.need(1, "tensors")?) else {
            return Err("lacks an equation".into());
        };
        let equation: String = equation.chars().filter(|c| *c != ' ').collect();
        let items = items(&list)?;
        let parts = equation.split_once("->").and_then(|(inputs, output)| {
            let (left, right) = inputs.split_once(',')?;
            Some([left, right, output])
        });
        let (Some([left, right, output]), [x, y]) = (parts, &items[..]) else {
            return Ok(self.unsupported(&format!("einsum {equation}")));
        };
        let letters: Vec<char> = output
            .chars()
            .chain(left.chars().filter(|c| !output.contains(*c)))
            .collect();
        let plain = [left, right, output].iter().all(|part| {
            part.chars().all(|c| c.is_ascii_alphabetic())
                && part
                    .chars()
                    .enumerate()
                    .all(|(i, c)| !part[..i].contains(c))
        }) && right.chars().all(|c| letters.contains(&c));
        if !plain || letters.len() > 8 {
            return Ok(self.unsupported(&format!("einsum {equation}")));
        }
        let mut operands = Vec::new();
        for (part, value) in [(left, x), (right, y)] {
            let mut operand = self.argument(value)?;
            let mut order: Vec<usize> = (0..part.len()).collect();
            let place = |axis: usize| letters.iter().position(|c| part[axis..].starts_with(*c));
            order.sort_by_key(|&axis| place(axis));
            if self.rank(operand)? != part.len() {
                return Err(format!("einsum {equation} of another number of axes"));
            }
            operand = self.then(Permute(order), vec![operand])?;
            for (axis, letter) in letters.iter().enumerate() {
                if !part.contains(*letter) {
                    operand = self.then(Unsqueeze(axis), vec![operand])?;
                }
            }
            operands.push(operand);
        }
        let product = self.then(Binary(BinaryKind::Mul), operands)?;
        let summed: Vec<usize> = (output.len()..letters.len()).collect();
        if summed.is_empty() {
            return Ok(self.fresh(product));
        }
        self.emit(
            Reduce {
                kind: ReduceKind::Sum,
                axes: summed,
                keep: false,
            },
            vec![product],
        )
    }
}

fn tensor(value: &Value) -> Outcome<Rc<Tensor>> {
    match value {
        Value::Tensor(tensor) => Ok(tensor.clone()),
        other => Err(format!("{} stands where a tensor is needed", other.kind())),
    }
}

/// PyTorch's numbers for element types.
fn dtype_of(code: i64) -> Option<DType> {
    match code {
        0..=4 => Some(DType::Int),
        5..=7 | 15 => Some(DType::Float),
        11 => Some(DType::Bool),
        _ => None,
    }
}
