//! Attention.

use std::rc::Rc;

use vascx_graph::{
    Arg, Binary, BinaryKind, DType, MatMul, Meta, Permute, Reshape, Softmax, Unary, UnaryKind,
    Where,
};

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
        "scaled_dot_product_attention" => evaluator.attention(a),
        "_native_multi_head_attention" => evaluator.multi_head_attention(a),
        "_transformer_encoder_layer_fwd" => evaluator.encoder_layer(a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
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
            let width = self.builder.size(q, rank - 1)?;
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
                let never = Arg::float(f64::NEG_INFINITY);
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
        let all = self.by_name(
            "linear",
            vec![query, a.need(5, "qkv_weight")?, a.need(6, "qkv_bias")?],
        )?;
        let all = self.argument(&all)?;
        let all = self.then(Reshape, vec![all, batch, length, Arg::int(3), heads, each])?;
        let all = self.emit(Permute(vec![2, 0, 3, 1, 4]), vec![all])?;
        let mut parts = Vec::new();
        for index in 0..3 {
            parts.push(self.by_name(
                "select",
                vec![all.clone(), Value::int(0), Value::int(index)],
            )?);
        }
        let mixed = self.by_name("scaled_dot_product_attention", parts)?;
        let mixed = self.argument(&mixed)?;
        let mixed = self.then(Permute(vec![0, 2, 1, 3]), vec![mixed])?;
        let mixed = self.emit(Reshape, vec![mixed, batch, length, width])?;
        let answer = self.by_name(
            "linear",
            vec![mixed, a.need(7, "proj_weight")?, a.need(8, "proj_bias")?],
        )?;
        Ok(Value::Tuple(Rc::new(vec![answer, Value::Unknown])))
    }

    /// A layer of a transformer's encoder, as PyTorch's fast path for evaluation calls it.
    fn encoder_layer(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
            this.by_name(
                "layer_norm",
                vec![x, width.clone(), weight, bias, epsilon.clone()],
            )
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
            let x = this.by_name(
                "linear",
                vec![x, a.need(14, "weight")?, a.need(15, "bias")?],
            )?;
            let x = this.by_name(if gelu { "gelu" } else { "relu" }, vec![x])?;
            this.by_name(
                "linear",
                vec![x, a.need(16, "weight")?, a.need(17, "bias")?],
            )
        };
        let mut x = a.need(0, "src")?;
        for (part, first) in [(&attend as &dyn Fn(&mut Self, _) -> _, 10), (&layers, 12)] {
            let input = if norm_first {
                norm(self, x.clone(), first)?
            } else {
                x.clone()
            };
            let change = part(self, input)?;
            x = self.by_name("add", vec![x, change])?;
            if !norm_first {
                x = norm(self, x, first)?;
            }
        }
        Ok(x)
    }

    /// Another operator, by its name.
    fn by_name(&mut self, name: &str, positional: Vec<Value<'a>>) -> Outcome<Value<'a>> {
        let named = Vec::new();
        self.operator(name, &Arguments { positional, named })
    }
}
