//! Operators of ONNX to operators of the graph. The table is `operator`: a name on the left, what it
//! becomes on the right; each family has a file.

mod activation;
mod arithmetic;
mod convolution;
mod create;
mod index;
mod linear;
mod norm;
mod reduce;
mod resample;
mod shape;

use vascx_graph::{BinaryKind, ReduceKind, UnaryKind};

use super::importer::{Call, Importer, Outcome, Value, dtype_of};

/// The outputs of a node.
type Outputs<'m> = Outcome<Vec<Value<'m>>>;

impl<'m> Importer<'m> {
    /// What a node gives, family by family.
    #[allow(clippy::too_many_lines)] // A table: one arm per operator.
    pub(super) fn operator(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if !matches!(call.node.domain, "" | "ai.onnx") {
            return self.unsupported(call, "");
        }
        match call.node.operator {
            // activation
            "Clip" => self.clip(call),
            "LeakyRelu" => self.leaky_relu(call),
            "Elu" | "Selu" | "Celu" => self.elu(call),
            "PRelu" => self.prelu(call),
            "HardSigmoid" => self.hard_sigmoid(call),
            "Gelu" => self.gelu(call),
            "Softmax" | "LogSoftmax" => self.softmax(call),
            // arithmetic
            "Where" => self.choose(call),
            "IsNaN" => self.is_nan(call),
            "Mod" if call.int("fmod", 0) != 0 => self.unsupported(call, " with `fmod`"),
            "Abs" => self.map(UnaryKind::Abs, call),
            "Ceil" => self.map(UnaryKind::Ceil, call),
            "Cos" => self.map(UnaryKind::Cos, call),
            "Erf" => self.map(UnaryKind::Erf, call),
            "Exp" => self.map(UnaryKind::Exp, call),
            "Floor" => self.map(UnaryKind::Floor, call),
            "HardSwish" => self.map(UnaryKind::HardSwish, call),
            "Log" => self.map(UnaryKind::Log, call),
            "Mish" => self.map(UnaryKind::Mish, call),
            "Neg" => self.map(UnaryKind::Neg, call),
            "Not" => self.map(UnaryKind::Not, call),
            "Reciprocal" => self.map(UnaryKind::Reciprocal, call),
            "Relu" => self.map(UnaryKind::Relu, call),
            "Round" => self.map(UnaryKind::Round, call),
            "Sigmoid" => self.map(UnaryKind::Sigmoid, call),
            "Sign" => self.map(UnaryKind::Sign, call),
            "Sin" => self.map(UnaryKind::Sin, call),
            "Softplus" => self.map(UnaryKind::Softplus, call),
            "Sqrt" => self.map(UnaryKind::Sqrt, call),
            "Tanh" => self.map(UnaryKind::Tanh, call),
            "Add" | "Sum" => self.combine(BinaryKind::Add, call),
            "And" => self.combine(BinaryKind::And, call),
            "Div" => self.combine(BinaryKind::Div, call),
            "Equal" => self.combine(BinaryKind::Equal, call),
            "Greater" => self.combine(BinaryKind::Greater, call),
            "GreaterOrEqual" => self.combine(BinaryKind::GreaterEqual, call),
            "Less" => self.combine(BinaryKind::Less, call),
            "LessOrEqual" => self.combine(BinaryKind::LessEqual, call),
            "Max" => self.combine(BinaryKind::Max, call),
            "Min" => self.combine(BinaryKind::Min, call),
            "Mod" => self.combine(BinaryKind::Remainder, call),
            "Mul" => self.combine(BinaryKind::Mul, call),
            "Or" => self.combine(BinaryKind::Or, call),
            "Pow" => self.combine(BinaryKind::Pow, call),
            "Sub" => self.combine(BinaryKind::Sub, call),
            // convolution
            "Conv" | "ConvTranspose" => self.convolution(call),
            "MaxPool" | "AveragePool" => self.pool(call),
            "GlobalAveragePool" => self.global_pool(ReduceKind::Mean, call),
            "GlobalMaxPool" => self.global_pool(ReduceKind::Max, call),
            // create
            "Dropout" if call.get(2).is_some() => self.unsupported(call, " in training mode"),
            "If" => self.branch(call),
            "Identity" | "Dropout" => call.need(0).map(|value| vec![value.clone()]),
            "Constant" => self.constant_value(call),
            "ConstantOfShape" => self.filled(call),
            "Range" => self.range(call),
            "Cast" => dtype_of(call.int("to", 1)).and_then(|dtype| self.cast_to(call, dtype)),
            "CastLike" => self.cast_like(call),
            // index
            "Slice" => self.slice(call),
            "Gather" => self.gather(call),
            "ScatterND" => self.scatter(call),
            "GatherElements" => self.gather_elements(call),
            "CumSum" => self.cumulative_sum(call),
            // linear
            "Gemm" => self.gemm(call),
            "MatMul" => self.matmul(call),
            // norm
            "BatchNormalization" => self.batch_norm(call),
            "InstanceNormalization" => self.instance_norm(call),
            "GroupNormalization" => self.group_norm(call),
            "LayerNormalization" => self.layer_norm(call),
            // reduce
            "ArgMax" => self.arg_max(call),
            "ReduceMean" => self.reduce(ReduceKind::Mean, call),
            "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" => {
                self.reduce(ReduceKind::Sum, call)
            }
            "ReduceMax" => self.reduce(ReduceKind::Max, call),
            "ReduceMin" => self.reduce(ReduceKind::Min, call),
            "ReduceProd" => self.reduce(ReduceKind::Prod, call),
            // resample
            "Resize" | "Upsample" => self.resize(call),
            "Pad" => self.pad(call),
            // shape
            "Shape" => self.shape_of(call),
            "Size" => self.count(call),
            "Reshape" => self.reshape(call),
            "Flatten" => self.flatten(call),
            "Transpose" => self.transpose(call),
            "Squeeze" => self.squeeze(call),
            "Unsqueeze" => self.unsqueeze(call),
            "Expand" => self.expand(call),
            "Tile" => self.tile(call),
            "Concat" => self.concat(call.inputs.iter().flatten().cloned().collect(), call),
            "Split" => self.split(call),
            "SequenceConstruct" => self.sequence(call),
            "SequenceAt" => self.sequence_at(call),
            "ConcatFromSequence" => self.concat_sequence(call),
            "DepthToSpace" => self.depth_to_space(call),
            _ => self.unsupported(call, ""),
        }
    }
}
