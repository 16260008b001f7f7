//! Operators of PyTorch to operators of the graph. The table is `lower`: a name on the left, what it
//! becomes on the right; each family has a file.

mod activation;
mod arithmetic;
mod attention;
mod convolution;
mod copy;
mod create;
mod grid;
mod join;
mod linear;
mod lookup;
mod norm;
mod operands;
mod parametrisation;
mod pool;
mod rearrange;
mod reduce;
mod resample;
mod view;

pub(super) use operands::Arguments;
use operands::is_unknown;

use std::rc::Rc;

use vascx_graph::{BinaryKind, UnaryKind};

use super::evaluate::{Evaluator, Outcome};
use super::value::{Tensor, Value};

impl<'a> Evaluator<'a, '_> {
    /// An operator of PyTorch on tensors or numbers.
    pub(super) fn operator(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        if let Some(plain) = name.strip_suffix('_')
            && !plain.ends_with('_')
            && let Some(Value::Tensor(target)) = a.get(0, "self")
        {
            return self.in_place(plain, target, a);
        }
        self.lower(name, a)
    }

    /// What every name becomes, family by family.
    #[allow(clippy::too_many_lines)] // A table: one arm per operator.
    fn lower(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        match name {
            // activation
            "clamp" | "clamp_min" | "clamp_max" | "relu6" | "hardtanh" | "clip" => {
                self.clamp(name, a)
            }
            "gelu" => self.gelu(a),
            "glu" => self.glu(a),
            "rrelu" => self.rrelu(a),
            "threshold" => self.threshold(a),
            "leaky_relu" => self.leaky_relu(a),
            "elu" | "celu" | "selu" => self.elu(name, a),
            "softplus" => self.softplus(a),
            "prelu" => self.prelu(a),
            "softmax" | "log_softmax" | "_softmax" | "_log_softmax" => self.softmax(name, a),
            // arithmetic
            "add" | "sub" | "subtract" | "rsub" => self.sum(name, a),
            "div" | "divide" => self.quotient(a),
            "square" => self.square(a),
            "addcmul" => self.add_product(a),
            "where" => self.choose(a),
            "masked_fill" => self.masked_fill(a),
            "abs" => self.map(UnaryKind::Abs, a),
            "ceil" => self.map(UnaryKind::Ceil, a),
            "cos" => self.map(UnaryKind::Cos, a),
            "erf" => self.map(UnaryKind::Erf, a),
            "exp" => self.map(UnaryKind::Exp, a),
            "floor" => self.map(UnaryKind::Floor, a),
            "hardsigmoid" => self.map(UnaryKind::HardSigmoid, a),
            "hardswish" => self.map(UnaryKind::HardSwish, a),
            "log" => self.map(UnaryKind::Log, a),
            "log1p" => self.map(UnaryKind::Log1p, a),
            "log_sigmoid" => self.map(UnaryKind::LogSigmoid, a),
            "mish" => self.map(UnaryKind::Mish, a),
            "neg" => self.map(UnaryKind::Neg, a),
            "__not__" | "logical_not" | "bitwise_not" => self.map(UnaryKind::Not, a),
            "reciprocal" => self.map(UnaryKind::Reciprocal, a),
            "relu" => self.map(UnaryKind::Relu, a),
            "round" => self.map(UnaryKind::Round, a),
            "rsqrt" => self.map(UnaryKind::Rsqrt, a),
            "sigmoid" => self.map(UnaryKind::Sigmoid, a),
            "sign" => self.map(UnaryKind::Sign, a),
            "silu" => self.map(UnaryKind::Silu, a),
            "sin" => self.map(UnaryKind::Sin, a),
            "sqrt" => self.map(UnaryKind::Sqrt, a),
            "tanh" => self.map(UnaryKind::Tanh, a),
            "trunc" => self.map(UnaryKind::Trunc, a),
            "mul" | "multiply" => self.combine(BinaryKind::Mul, a),
            "true_divide" => self.combine(BinaryKind::Div, a),
            "floor_divide" | "floordiv" => self.combine(BinaryKind::FloorDiv, a),
            "remainder" => self.combine(BinaryKind::Remainder, a),
            "pow" => self.combine(BinaryKind::Pow, a),
            "eq" => self.combine(BinaryKind::Equal, a),
            "ne" => self.combine(BinaryKind::NotEqual, a),
            "lt" => self.combine(BinaryKind::Less, a),
            "le" => self.combine(BinaryKind::LessEqual, a),
            "gt" => self.combine(BinaryKind::Greater, a),
            "ge" => self.combine(BinaryKind::GreaterEqual, a),
            "maximum" => self.combine(BinaryKind::Max, a),
            "minimum" => self.combine(BinaryKind::Min, a),
            "__and__" | "logical_and" | "bitwise_and" => self.combine(BinaryKind::And, a),
            "__or__" | "logical_or" | "bitwise_or" => self.combine(BinaryKind::Or, a),
            // attention
            "scaled_dot_product_attention" => self.attention(a),
            "_native_multi_head_attention" => self.multi_head_attention(a),
            "_transformer_encoder_layer_fwd" => self.encoder_layer(a),
            // convolution
            "conv2d" | "conv1d" | "_convolution" | "convolution" | "_convolution_mode"
            | "conv_transpose2d" => self.convolution(name, a),
            // copy
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
            // create
            "zeros" | "ones" | "full" | "empty" | "new_zeros" | "new_ones" | "new_full"
            | "new_empty" | "zeros_like" | "ones_like" | "full_like" | "empty_like" | "arange"
            | "linspace" => self.create(name, a),
            "meshgrid" => self.meshgrid(a),
            "eye" => self.eye(a),
            // grid
            "affine_grid_generator" => self.affine_grid(a),
            "grid_sampler" | "grid_sampler_2d" => self.grid_sample(a),
            // join
            "cat" | "concat" | "stack" | "hstack" => self.join(name, a),
            "split" | "chunk" | "unbind" | "split_with_sizes" | "tensor_split" => {
                self.split(name, a)
            }
            // linear
            "linear" => self.linear(a),
            "addmm" => self.addmm(a),
            "matmul" | "bmm" | "mm" | "mv" => self.matmul(a),
            "baddbmm" => self.baddbmm(a),
            "einsum" => self.einsum(a),
            // lookup
            "one_hot" => self.one_hot(a),
            "topk" => self.topk(a),
            "index" | "index_select" | "embedding" | "gather" => self.lookup(name, a),
            // norm
            "batch_norm" | "instance_norm" | "group_norm" | "layer_norm" => self.norm(name, a),
            // parametrisation
            "_weight_norm" | "norm_except_dim" => self.weight_norm(name, a),
            "dot" | "vdot" | "inner" => self.dot(a),
            "tril" | "triu" => self.triangle(name, a),
            "diagonal" => self.diagonal(a),
            "mT" | "mH" | "adjoint" => self.swapped(a),
            "matrix_exp" | "linalg_matrix_exp" => self.matrix_exp(a),
            "linalg_householder_product" => self.householder_product(a),
            // pool
            "max_pool2d" | "avg_pool2d" | "max_pool2d_with_indices" => self.pool(name, a),
            "adaptive_avg_pool2d" | "adaptive_max_pool2d" | "adaptive_avg_pool1d" => {
                self.adaptive_pool(name, a)
            }
            // rearrange
            "repeat" | "tile" => self.repeat(a),
            "repeat_interleave" => self.repeat_each(a),
            "pixel_shuffle" | "pixel_unshuffle" | "channel_shuffle" => self.shuffle(name, a),
            "roll" => self.roll(a),
            "flip" => self.flip(a),
            // reduce
            "sum" | "mean" | "amax" | "amin" | "max" | "min" | "prod" | "norm" | "var" | "std"
            | "linalg_vector_norm" | "frobenius_norm" | "argmax" | "cumsum" | "logsumexp"
            | "var_mean" | "any" | "all" => self.reduce(name, a),
            // resample
            "upsample_nearest2d"
            | "upsample_bilinear2d"
            | "upsample_bicubic2d"
            | "_upsample_nearest_exact2d"
            | "_upsample_bilinear2d_aa"
            | "_upsample_bicubic2d_aa" => self.upsample(name, a),
            "pad" | "constant_pad_nd" | "reflection_pad2d" | "replication_pad2d" => {
                self.pad(name, a)
            }
            // view
            "reshape" | "view" | "flatten" | "permute" | "transpose" | "t" | "squeeze"
            | "unsqueeze" | "slice" | "select" | "narrow" | "swapaxes" | "movedim"
            | "unflatten" | "expand" | "expand_as" | "view_as" | "reshape_as" | "broadcast_to"
            | "numpy_T" => self.reshape(name, a),
            _ => Ok(self.unsupported(name)),
        }
    }

    /// `name_` is what `name` gives, written into its first argument.
    fn in_place(
        &mut self,
        name: &str,
        target: Rc<Tensor>,
        a: &Arguments<'a>,
    ) -> Outcome<Value<'a>> {
        let value = match name {
            "copy" | "fill" => a.need(1, "value")?,
            "zero" => Value::int(0),
            "requires_grad" | "detach" => return a.need(0, "self"),
            name => self.builtin(name, a.positional.clone(), a.named.clone())?,
        };
        if is_unknown(&value) {
            return Ok(Value::Unknown);
        }
        let value = self.argument(&value)?;
        self.write(&target, value)?;
        Ok(Value::Tensor(target))
    }
}
