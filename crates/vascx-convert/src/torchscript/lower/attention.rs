//! Attention.

use std::rc::Rc;

use vascx_models::graph::{
    Arg, Binary, BinaryKind, DType, Literal, MatMul, Meta, Permute, Reshape, Softmax, Unary,
    UnaryKind, Where,
};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::tensors::int;
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
}
