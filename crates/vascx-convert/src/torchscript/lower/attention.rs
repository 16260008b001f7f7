//! Attention.

use std::rc::Rc;

use vascx_graph::{
    Arg, Binary, BinaryKind, DType, MatMul, Permute, Reshape, Softmax, Unary, UnaryKind, Where,
};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn attention(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [q, k, v] = self.inputs(a, ["query", "key", "value"])?;
        if self.flag(a.get(5, "is_causal"), false)? {
            return Ok(self.unsupported("causal attention"));
        }
        let rank = self.rank(k)?;
        let scale = if let Some(scale) = a.get(6, "scale") {
            self.argument(&scale)?
        } else {
            let width = self.builder.size(q, rank - 1)?;
            self.then(Unary(UnaryKind::Rsqrt), vec![width])?
        };
        let q = self.then(Binary(BinaryKind::Mul), vec![q, scale])?;
        let k = lowering::transposed(&mut self.builder, k)?;
        let mut scores = self.then(MatMul, vec![q, k])?;
        if let Some(mask) = a.get(3, "attn_mask") {
            let mask = self.argument(&mask)?;
            scores = if self.is_tensor_of(DType::Bool, mask) {
                let never = Arg::float(f64::NEG_INFINITY);
                self.then(Where, vec![mask, scores, never])?
            } else {
                self.then(Binary(BinaryKind::Add), vec![scores, mask])?
            };
        }
        let (axis, log) = (rank - 1, false);
        let weights = self.then(Softmax { axis, log }, vec![scores])?;
        self.emit(MatMul, vec![weights, v])
    }

    /// Self-attention with its projections, as PyTorch's fast path for evaluation calls it.
    pub(super) fn multi_head_attention(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (query, key) = (a.need(0, "query")?, a.need(1, "key")?);
        let (query_node, key_node) = (self.argument(&query)?, self.argument(&key)?);
        if query_node != key_node || a.get(9, "mask").is_some() {
            return Ok(self.unsupported("_native_multi_head_attention beyond plain self-attention"));
        }
        let [batch, length, width] = self.builder.sizes(query_node)?[..] else {
            return Err("attends to other than three axes".into());
        };
        let heads = a.need(4, "num_head")?;
        let heads = Arg::int(self.integer(&heads)?);
        let each = self.then(Binary(BinaryKind::FloorDiv), vec![width, heads])?;
        let all = self.projected(query, a, 5)?;
        let all = self.argument(&all)?;
        let all = self.then(Reshape, vec![all, batch, length, Arg::int(3), heads, each])?;
        let all = self.emit(Permute(vec![2, 0, 3, 1, 4]), vec![all])?;
        let mut parts = Vec::new();
        for index in 0..3 {
            let part = vec![all.clone(), Value::int(0), Value::int(index)];
            parts.push(self.by_name("select", part)?);
        }
        let mixed = self.by_name("scaled_dot_product_attention", parts)?;
        let mixed = self.argument(&mixed)?;
        let mixed = self.then(Permute(vec![0, 2, 1, 3]), vec![mixed])?;
        let mixed = self.emit(Reshape, vec![mixed, batch, length, width])?;
        let answer = self.projected(mixed, a, 7)?;
        Ok(Value::Tuple(Rc::new(vec![answer, Value::Unknown])))
    }

    /// A layer of a transformer's encoder, as PyTorch's fast path for evaluation calls it.
    pub(super) fn encoder_layer(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        // Positions: source, width, heads, four of the attention, GELU, norm first, epsilon, four
        // of the norms, four of the two layers, mask, type of mask.
        if a.get(18, "mask").is_some() {
            return Ok(self.unsupported("a transformer's encoder with a mask"));
        }
        let gelu = self.flag(a.get(7, "use_gelu"), false)?;
        let norm_first = self.flag(a.get(8, "norm_first"), false)?;
        let width = Value::list(vec![a.need(1, "embed_dim")?]);
        let epsilon = a.need(9, "eps")?;
        let norm = |this: &mut Self, x: Value<'a>, first: usize| -> Outcome<Value<'a>> {
            let (weight, bias) = (a.need(first, "weight")?, a.need(first + 1, "bias")?);
            let all = vec![x, width.clone(), weight, bias, epsilon.clone()];
            this.by_name("layer_norm", all)
        };
        let attend = |this: &mut Self, x: Value<'a>| -> Outcome<Value<'a>> {
            let mut all = vec![x.clone(), x.clone(), x, a.need(1, "embed_dim")?];
            all.push(a.need(2, "num_heads")?);
            for index in 3..7 {
                all.push(a.need(index, "weight")?);
            }
            match this.by_name("_native_multi_head_attention", all)? {
                Value::Tuple(items) => Ok(items[0].clone()),
                other => Ok(other),
            }
        };
        let layers = |this: &mut Self, x: Value<'a>| -> Outcome<Value<'a>> {
            let x = this.projected(x, a, 14)?;
            let x = this.by_name(if gelu { "gelu" } else { "relu" }, vec![x])?;
            this.projected(x, a, 16)
        };
        let mut x = a.need(0, "src")?;
        for (part, first) in [(&attend as &dyn Fn(&mut Self, _) -> _, 10), (&layers, 12)] {
            let mut input = x.clone();
            if norm_first {
                input = norm(self, input, first)?;
            }
            let change = part(self, input)?;
            x = self.by_name("add", vec![x, change])?;
            if !norm_first {
                x = norm(self, x, first)?;
            }
        }
        Ok(x)
    }

    /// A linear layer whose weight and bias are the arguments from `first` on.
    fn projected(&mut self, x: Value<'a>, a: &Arguments<'a>, first: usize) -> Outcome<Value<'a>> {
        let (weight, bias) = (a.need(first, "weight")?, a.need(first + 1, "bias")?);
        self.by_name("linear", vec![x, weight, bias])
    }

    /// Another operator, by its name.
    fn by_name(&mut self, name: &str, positional: Vec<Value<'a>>) -> Outcome<Value<'a>> {
        let named = Vec::new();
        self.operator(name, &Arguments { positional, named })
    }
}
