//! How weights are computed from other weights: weight norm, spectral norm, orthogonal matrices. Where
//! only weights go in, they are computed once, at conversion.

use vascx_graph::{
    Arg, Binary, BinaryKind, MatMul, Permute, Reduce, ReduceKind, Slice, Unary, UnaryKind,
    Unsqueeze, Where,
};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

/// Terms of the series of the exponential, of the matrix divided by 2 to the power of `SQUARINGS`.
const TERMS: i64 = 12;
const SQUARINGS: i32 = 7;
/// Reflections whose product is taken.
const MAX_REFLECTIONS: usize = 256;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "_weight_norm" | "norm_except_dim" => evaluator.weight_norm(name, a),
        "mv" => evaluator.operator("matmul", a),
        "dot" | "vdot" | "inner" => evaluator.dot(a),
        "tril" | "triu" => evaluator.triangle(name, a),
        "diagonal" => evaluator.diagonal(a),
        "mT" | "mH" | "adjoint" => evaluator.swapped(a),
        "matrix_exp" | "linalg_matrix_exp" => evaluator.matrix_exp(a),
        "linalg_householder_product" => evaluator.householder_product(a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    /// The length of every slice across an axis, or the direction in that length.
    fn weight_norm(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let v = self.argument(&a.need(0, "v")?)?;
        let rank = self.rank(v)?;
        let dim = a.get(2, "dim").unwrap_or(Value::int(0));
        // −1 stands for the length of the whole.
        let kept = match self.integer(&dim)? {
            -1 => None,
            _ => Some(self.axis(&dim, rank)?),
        };
        let square = self.then(Binary(BinaryKind::Mul), vec![v, v])?;
        let sum = Reduce {
            kind: ReduceKind::Sum,
            axes: (0..rank).filter(|&axis| Some(axis) != kept).collect(),
            keep: true,
        };
        let sum = self.then(sum, vec![square])?;
        let length = self.then(Unary(UnaryKind::Sqrt), vec![sum])?;
        if name == "norm_except_dim" {
            if let Some(power) = a.get(1, "pow")
                && self.number(&power)? != 2.0
            {
                return Ok(self.unsupported("norm_except_dim other than Euclidean"));
            }
            return Ok(self.fresh(length));
        }
        let g = self.argument(&a.need(1, "g")?)?;
        let ratio = self.then(Binary(BinaryKind::Div), vec![g, length])?;
        self.emit(Binary(BinaryKind::Mul), vec![v, ratio])
    }

    fn dot(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let y = self.argument(&a.need(1, "other")?)?;
        let rank = self.rank(x)?;
        let product = self.then(Binary(BinaryKind::Mul), vec![x, y])?;
        let sum = Reduce {
            kind: ReduceKind::Sum,
            axes: vec![rank - 1],
            keep: false,
        };
        self.emit(sum, vec![product])
    }

    /// A matrix, or matrices, and how many axes there are.
    fn matrices(&mut self, a: &Arguments<'a>) -> Outcome<(usize, usize)> {
        let x = self.argument(&a.need(0, "self")?)?;
        match (x, self.rank(x)?) {
            (Arg::Node(node), rank @ 2..) => Ok((node, rank)),
            _ => Err("something else than a matrix".into()),
        }
    }

    fn triangle(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let offset = a.get(1, "diagonal").unwrap_or(Value::int(0));
        let offset = self.integer(&offset)?;
        let size = [
            self.builder.size(x, rank - 2)?,
            self.builder.size(x, rank - 1)?,
        ];
        let kind = if name == "tril" {
            BinaryKind::LessEqual
        } else {
            BinaryKind::GreaterEqual
        };
        let inside = self.compared(size, offset, kind)?;
        self.emit(Where, vec![inside, Arg::Node(x), Arg::float(0.0)])
    }

    /// The diagonal of the last two axes of a matrix that is at least as high as wide.
    fn diagonal(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let mut given = [Value::int(0), Value::int(0), Value::int(1)];
        for (index, value) in given.iter_mut().enumerate() {
            if let Some(number) = a.get(index + 1, ["offset", "dim1", "dim2"][index]) {
                *value = number;
            }
        }
        let axes = [self.axis(&given[1], rank)?, self.axis(&given[2], rank)?];
        let shape = self.node_shape(x)?;
        let tall = shape[rank - 2] >= shape[rank - 1];
        if self.integer(&given[0])? != 0 || axes != [rank - 2, rank - 1] || !tall {
            return Ok(self.unsupported("diagonal other than that of tall matrices"));
        }
        let size = [
            self.builder.size(x, rank - 2)?,
            self.builder.size(x, rank - 1)?,
        ];
        let on = self.compared(size, 0, BinaryKind::Equal)?;
        let alone = self.then(Where, vec![on, Arg::Node(x), Arg::float(0.0)])?;
        let sum = Reduce {
            kind: ReduceKind::Sum,
            axes: vec![rank - 2],
            keep: false,
        };
        self.emit(sum, vec![alone])
    }

    /// The last two axes swapped.
    fn swapped(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 1, rank - 2);
        self.emit(Permute(axes), vec![Arg::Node(x)])
    }

    /// By its series near zero, squared again and again.
    fn matrix_exp(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let size = self.builder.size(x, rank - 1)?;
        let identity = self.compared([size, size], 0, BinaryKind::Equal)?;
        let small = vec![Arg::Node(x), Arg::float(0.5_f64.powi(SQUARINGS))];
        let small = self.then(Binary(BinaryKind::Mul), small)?;
        // 1 + x(1 + x/2(1 + x/3(…))).
        let one = self.then(Where, vec![identity, Arg::float(1.0), Arg::float(0.0)])?;
        let mut sum = one;
        for term in (1..=TERMS).rev() {
            let product = self.then(MatMul, vec![small, sum])?;
            let share = self.then(Binary(BinaryKind::Div), vec![product, Arg::int(term)])?;
            sum = self.then(Binary(BinaryKind::Add), vec![share, one])?;
        }
        for _ in 0..SQUARINGS {
            sum = self.then(MatMul, vec![sum, sum])?;
        }
        Ok(self.fresh(sum))
    }

    /// The first columns of a product of reflections: column i of the matrix below its diagonal,
    /// with a one on it, is the direction of reflection i.
    fn householder_product(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let tau = self.argument(&a.need(1, "tau")?)?;
        let shape = self.node_shape(x)?;
        let count = shape[rank - 1];
        if count > MAX_REFLECTIONS || count > shape[rank - 2] {
            return Ok(self.unsupported("linalg_householder_product of so many reflections"));
        }
        let size = [
            self.builder.size(x, rank - 2)?,
            self.builder.size(x, rank - 1)?,
        ];
        let on = self.compared(size, 0, BinaryKind::Equal)?;
        let below = self.compared(size, 0, BinaryKind::Less)?;
        let directions = self.then(Where, vec![below, Arg::Node(x), Arg::float(0.0)])?;
        let directions = self.then(Where, vec![on, Arg::float(1.0), directions])?;
        let mut product = self.then(Where, vec![on, Arg::float(1.0), Arg::float(0.0)])?;
        for index in (0..count as i64).rev() {
            let column = Slice {
                axis: rank - 1,
                step: 1,
            };
            let v = self.then(
                column,
                vec![directions, Arg::int(index), Arg::int(index + 1)],
            )?;
            let factor = Slice {
                axis: rank - 2,
                step: 1,
            };
            let factor = self.then(factor, vec![tau, Arg::int(index), Arg::int(index + 1)])?;
            let factor = self.then(Unsqueeze(rank - 1), vec![factor])?;
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(rank - 1, rank - 2);
            let row = self.then(Permute(axes), vec![v])?;
            let along = self.then(MatMul, vec![row, product])?;
            let along = self.then(Binary(BinaryKind::Mul), vec![along, factor])?;
            let change = self.then(Binary(BinaryKind::Mul), vec![v, along])?;
            product = self.then(Binary(BinaryKind::Sub), vec![product, change])?;
        }
        Ok(self.fresh(product))
    }
}
