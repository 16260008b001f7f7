//! Sampling at the points of a grid, and grids of affine maps.

use vascx_graph::{
    Arg, Binary, BinaryKind, Cast, Cat, DType, Expand, Gather, Reshape, Unary, UnaryKind, Unsqueeze,
};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    fn calculate(&mut self, kind: BinaryKind, x: Arg, y: Arg) -> Outcome<Arg> {
        self.then(Binary(kind), vec![x, y])
    }

    /// Where maps `[N, 2, 3]` take the pixels of an image, from −1 to 1: `[N, H, W, 2]`.
    pub(super) fn affine_grid(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let theta = self.argument(&a.need(0, "theta")?)?;
        let size = a.need(1, "size")?;
        let [_, _, height, width] = &items(&size)?[..] else {
            return Ok(self.unsupported("affine_grid_generator of other than four axes"));
        };
        let (height, width) = (self.argument(height)?, self.argument(width)?);
        let aligned = self.flag(a.get(2, "align_corners"), false)?;
        let mut base = Vec::new();
        for (size, shape) in [
            (width, [Arg::int(1), Arg::int(1), Arg::int(-1)]),
            (height, [Arg::int(1), Arg::int(-1), Arg::int(1)]),
        ] {
            let index = lowering::counted(&mut self.builder, DType::Float, size)?;
            let twice = self.calculate(BinaryKind::Mul, index, Arg::int(2))?;
            let (shifted, span) = if aligned {
                let span = self.calculate(BinaryKind::Sub, size, Arg::int(1))?;
                (twice, self.calculate(BinaryKind::Max, span, Arg::int(1))?)
            } else {
                (self.calculate(BinaryKind::Add, twice, Arg::int(1))?, size)
            };
            let ratio = self.calculate(BinaryKind::Div, shifted, span)?;
            let place = self.calculate(BinaryKind::Sub, ratio, Arg::int(1))?;
            base.push(self.then(Reshape, std::iter::once(place).chain(shape).collect())?);
        }
        let mut coordinates = Vec::new();
        for row in 0..2 {
            let mut entry = |column: usize| -> Outcome<Arg> {
                let part = lowering::place(&mut self.builder, theta, 1, row)?;
                lowering::place(&mut self.builder, part, 2, column)
            };
            let factors = [entry(0)?, entry(1)?];
            let mut sum = entry(2)?;
            for (factor, place) in factors.into_iter().zip(&base) {
                let product = self.calculate(BinaryKind::Mul, factor, *place)?;
                sum = self.calculate(BinaryKind::Add, sum, product)?;
            }
            coordinates.push(self.then(Unsqueeze(3), vec![sum])?);
        }
        self.emit(Cat(3), coordinates)
    }

    /// An image `[N, C, H, W]` at the points `[N, h, w, 2]`, from −1 to 1, of a grid.
    pub(super) fn grid_sample(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [image, grid] = self.inputs(a, ["input", "grid"])?;
        let mode = self.integer_or(a.get(2, "interpolation_mode"), 0)?;
        let padding = self.integer_or(a.get(3, "padding_mode"), 0)?;
        let aligned = self.flag(a.get(4, "align_corners"), false)?;
        let (Arg::Node(node), Arg::Node(points)) = (image, grid) else {
            return Err("samples a number".into());
        };
        if self.builder.shape(node)?.len() != 4 || mode > 1 || padding > 1 {
            return Ok(
                self.unsupported("grid_sampler other than bilinear or nearest, by zeros or border")
            );
        }
        let sizes = self.builder.sizes(node)?;
        let points = self.builder.sizes(points)?;
        let (mut lows, mut shares, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (column, size) in [(1, sizes[2]), (0, sizes[3])] {
            let place = lowering::place(&mut self.builder, grid, 3, column)?;
            let from_zero = self.calculate(BinaryKind::Add, place, Arg::int(1))?;
            let end = self.calculate(BinaryKind::Sub, size, Arg::int(1))?;
            let scaled = if aligned {
                self.calculate(BinaryKind::Mul, from_zero, end)?
            } else {
                let scaled = self.calculate(BinaryKind::Mul, from_zero, size)?;
                self.calculate(BinaryKind::Sub, scaled, Arg::int(1))?
            };
            let mut pixel = self.calculate(BinaryKind::Div, scaled, Arg::int(2))?;
            if padding == 1 {
                pixel = self.calculate(BinaryKind::Max, pixel, Arg::int(0))?;
                pixel = self.calculate(BinaryKind::Min, pixel, end)?;
            }
            let kind = match mode {
                0 => UnaryKind::Floor,
                _ => UnaryKind::Round,
            };
            let low = self.then(Unary(kind), vec![pixel])?;
            shares.push(self.calculate(BinaryKind::Sub, pixel, low)?);
            lows.push(low);
            ends.push(end);
        }
        let pixels = self.calculate(BinaryKind::Mul, sizes[2], sizes[3])?;
        let flat = self.then(Reshape, vec![image, sizes[0], sizes[1], pixels])?;
        let corners: &[[i64; 2]] = if mode == 0 {
            &[[0, 0], [0, 1], [1, 0], [1, 1]]
        } else {
            &[[0, 0]]
        };
        let mut sum = None;
        for corner in corners {
            let mut weight = Arg::float(1.0);
            let mut index = Arg::int(0);
            for axis in 0..2 {
                let place = self.calculate(BinaryKind::Add, lows[axis], Arg::int(corner[axis]))?;
                let inside = self.calculate(BinaryKind::Max, place, Arg::int(0))?;
                let inside = self.calculate(BinaryKind::Min, inside, ends[axis])?;
                let same = self.calculate(BinaryKind::Equal, inside, place)?;
                let same = self.then(Cast(DType::Float), vec![same])?;
                weight = self.calculate(BinaryKind::Mul, weight, same)?;
                if mode == 0 {
                    let one = Arg::float(1.0);
                    let share = match corner[axis] {
                        0 => self.calculate(BinaryKind::Sub, one, shares[axis])?,
                        _ => shares[axis],
                    };
                    weight = self.calculate(BinaryKind::Mul, weight, share)?;
                }
                let row = self.calculate(BinaryKind::Mul, index, sizes[2 + axis])?;
                index = self.calculate(BinaryKind::Add, row, inside)?;
            }
            let index = self.then(Cast(DType::Int), vec![index])?;
            let index = self.then(Reshape, vec![index, points[0], Arg::int(1), Arg::int(-1)])?;
            let index = self.then(Expand, vec![index, Arg::int(-1), sizes[1], Arg::int(-1)])?;
            let values = self.then(Gather(2), vec![flat, index])?;
            let shape = vec![values, points[0], sizes[1], points[1], points[2]];
            let values = self.then(Reshape, shape)?;
            let shape = vec![weight, points[0], Arg::int(1), points[1], points[2]];
            let weight = self.then(Reshape, shape)?;
            let part = self.calculate(BinaryKind::Mul, values, weight)?;
            sum = Some(match sum {
                None => part,
                Some(sum) => self.calculate(BinaryKind::Add, sum, part)?,
            });
        }
        Ok(self.fresh(sum.expect("there are corners")))
    }
}
