//! Matrix products.

use vascx_graph::{Binary, BinaryKind, Linear, MatMul, Permute, Reduce, ReduceKind, Unsqueeze};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "linear" => evaluator.linear(a),
        "addmm" => evaluator.addmm(a),
        "matmul" | "bmm" | "mm" => evaluator.matmul(a),
        "baddbmm" => evaluator.baddbmm(a),
        "einsum" => evaluator.einsum(a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn linear(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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

    fn addmm(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let bias = self.argument(&a.need(0, "self")?)?;
        let x = self.argument(&a.need(1, "mat1")?)?;
        let weight = self.argument(&a.need(2, "mat2")?)?;
        self.emit(Linear, vec![x, weight, bias])
    }

    fn matmul(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let y = self.argument(&a.need(1, "other")?)?;
        let product = lowering::matmul(&mut self.builder, x, y)?;
        Ok(self.fresh(product))
    }

    fn baddbmm(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let bias = self.argument(&a.need(0, "self")?)?;
        let x = self.argument(&a.need(1, "batch1")?)?;
        let y = self.argument(&a.need(2, "batch2")?)?;
        let product = self.then(MatMul, vec![x, y])?;
        self.emit(Binary(BinaryKind::Add), vec![product, bias])
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
