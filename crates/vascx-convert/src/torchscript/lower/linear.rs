//! Matrix products.

use vascx_graph::{Binary, BinaryKind, Linear, MatMul, Permute, Unsqueeze};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn linear(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, weight] = self.inputs(a, ["input", "weight"])?;
        let weight = self.then(Permute(vec![1, 0]), vec![weight])?;
        let mut all = vec![x, weight];
        if let Some(bias) = a.get(2, "bias") {
            all.push(self.argument(&bias)?);
        }
        self.emit(Linear, all)
    }

    pub(super) fn addmm(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [bias, x, weight] = self.inputs(a, ["self", "mat1", "mat2"])?;
        self.emit(Linear, vec![x, weight, bias])
    }

    pub(super) fn matmul(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y] = self.inputs(a, ["self", "other"])?;
        let product = lowering::matmul(&mut self.builder, x, y)?;
        Ok(self.fresh(product))
    }

    pub(super) fn baddbmm(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [bias, x, y] = self.inputs(a, ["self", "batch1", "batch2"])?;
        let product = self.then(MatMul, vec![x, y])?;
        self.emit(Binary(BinaryKind::Add), vec![product, bias])
    }

    /// Products of two tensors summed over the letters that are missing on the right.
    pub(super) fn einsum(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
        let summed = left.chars().filter(|&c| !output.contains(c));
        let letters: Vec<char> = output.chars().chain(summed).collect();
        let is_plain = |part: &&str| {
            let mut letters = part.char_indices();
            letters.all(|(i, c)| c.is_ascii_alphabetic() && !part[..i].contains(c))
        };
        let plain = [left, right, output].iter().all(is_plain)
            && right.chars().all(|c| letters.contains(&c));
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
        self.sum_over(summed, product)
    }
}
