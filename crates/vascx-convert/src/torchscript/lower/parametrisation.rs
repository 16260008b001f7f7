//! How weights are computed from other weights: weight norm, spectral norm, orthogonal matrices. Where
//! only weights go in, they are computed once, at conversion.

use vascx_graph::{
    Arg, Binary, BinaryKind, MatMul, Reduce, ReduceKind, Unary, UnaryKind, Unsqueeze, Where,
};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

/// Terms of the series of the exponential, of the matrix divided by 2 to the power of `SQUARINGS`.
const TERMS: i64 = 12;
const SQUARINGS: i32 = 7;
/// Reflections whose product is taken.
const MAX_REFLECTIONS: usize = 256;

impl<'a> Evaluator<'a, '_> {
    /// The length of every slice across an axis, or the direction in that length.
    pub(super) fn weight_norm(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let v = self.argument(&a.need(0, "v")?)?;
        let rank = self.rank(v)?;
        // −1 stands for the length of the whole.
        let kept = match self.integer_or(a.get(2, "dim"), 0)? {
            -1 => None,
            dim => Some(lowering::axis(dim, rank.max(1))?),
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

    pub(super) fn dot(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y] = self.inputs(a, ["self", "other"])?;
        let rank = self.rank(x)?;
        let product = self.then(Binary(BinaryKind::Mul), vec![x, y])?;
        self.sum_over(vec![rank - 1], product)
    }

    /// A matrix, or matrices, and how many axes there are.
    fn matrices(&mut self, a: &Arguments<'a>) -> Outcome<(usize, usize)> {
        let x = self.argument(&a.need(0, "self")?)?;
        match (x, self.rank(x)?) {
            (Arg::Node(node), rank @ 2..) => Ok((node, rank)),
            _ => Err("something else than a matrix".into()),
        }
    }

    fn size_of_matrix(&mut self, x: usize, rank: usize) -> Outcome<[Arg; 2]> {
        let mut size = |axis| self.builder.size(x, axis);
        Ok([size(rank - 2)?, size(rank - 1)?])
    }

    pub(super) fn triangle(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let offset = self.integer_or(a.get(1, "diagonal"), 0)?;
        let size = self.size_of_matrix(x, rank)?;
        let kind = match name {
            "tril" => BinaryKind::LessEqual,
            _ => BinaryKind::GreaterEqual,
        };
        let inside = self.compared(size, offset, kind)?;
        self.emit(Where, vec![inside, Arg::Node(x), Arg::float(0.0)])
    }

    /// The diagonal of the last two axes of a matrix that is at least as high as wide.
    pub(super) fn diagonal(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let offset = self.integer_or(a.get(1, "offset"), 0)?;
        let first = self.axis_or(a.get(2, "dim1"), 0, rank)?;
        let second = self.axis_or(a.get(3, "dim2"), 1, rank)?;
        let shape = self.builder.shape(x)?;
        let tall = shape[rank - 2] >= shape[rank - 1];
        if offset != 0 || [first, second] != [rank - 2, rank - 1] || !tall {
            return Ok(self.unsupported("diagonal other than that of tall matrices"));
        }
        let size = self.size_of_matrix(x, rank)?;
        let on = self.compared(size, 0, BinaryKind::Equal)?;
        let alone = self.then(Where, vec![on, Arg::Node(x), Arg::float(0.0)])?;
        self.sum_over(vec![rank - 2], alone)
    }

    /// The last two axes swapped.
    pub(super) fn swapped(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, _) = self.matrices(a)?;
        let y = lowering::transposed(&mut self.builder, x)?;
        Ok(self.fresh(y))
    }

    /// By its series near zero, squared again and again.
    pub(super) fn matrix_exp(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
    pub(super) fn householder_product(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, rank) = self.matrices(a)?;
        let tau = self.argument(&a.need(1, "tau")?)?;
        let shape = self.builder.shape(x)?;
        let count = shape[rank - 1];
        if count > MAX_REFLECTIONS || count > shape[rank - 2] {
            return Ok(self.unsupported("linalg_householder_product of so many reflections"));
        }
        let size = self.size_of_matrix(x, rank)?;
        let on = self.compared(size, 0, BinaryKind::Equal)?;
        let below = self.compared(size, 0, BinaryKind::Less)?;
        let directions = self.then(Where, vec![below, Arg::Node(x), Arg::float(0.0)])?;
        let directions = self.then(Where, vec![on, Arg::float(1.0), directions])?;
        let mut product = self.then(Where, vec![on, Arg::float(1.0), Arg::float(0.0)])?;
        for index in (0..count).rev() {
            let v = lowering::place(&mut self.builder, directions, rank - 1, index)?;
            let factor = lowering::place(&mut self.builder, tau, rank - 2, index)?;
            let factor = self.then(Unsqueeze(rank - 1), vec![factor])?;
            let row = lowering::transposed(&mut self.builder, v)?;
            let along = self.then(MatMul, vec![row, product])?;
            let along = self.then(Binary(BinaryKind::Mul), vec![along, factor])?;
            let change = self.then(Binary(BinaryKind::Mul), vec![v, along])?;
            product = self.then(Binary(BinaryKind::Sub), vec![product, change])?;
        }
        Ok(self.fresh(product))
    }
}
