//! Matrix products.

use vascx_graph::{Arg, Binary, BinaryKind, Linear, MatMul, Permute};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Outcome};

impl<'m> Importer<'m> {
    pub(super) fn gemm(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let transposed = |this: &mut Self, index: usize, name: &str| -> Outcome<Arg> {
            let matrix = this.argument(call.need(index)?)?;
            if call.int(name, 0) == 0 {
                return Ok(matrix);
            }
            this.builder.call(Permute(vec![1, 0]), vec![matrix])
        };
        let x = transposed(self, 0, "transA")?;
        let weight = transposed(self, 1, "transB")?;
        let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
        let bias = call.get(2).map(|bias| self.argument(bias)).transpose()?;
        let plain = alpha.to_bits() == 1.0_f64.to_bits() && beta.to_bits() == 1.0_f64.to_bits();
        let vector = match bias {
            Some(Arg::Node(node)) => self.builder.shape(node)?.len() == 1,
            Some(Arg::Literal(_)) => false,
            None => true,
        };
        if plain && vector {
            let all = [x, weight].into_iter().chain(bias).collect();
            return self.emit(Linear, all);
        }
        let product = self.then(MatMul, vec![x, weight])?;
        let mut sum = self.then(Binary(BinaryKind::Mul), vec![product, Arg::float(alpha)])?;
        if let Some(bias) = bias {
            let bias = self.then(Binary(BinaryKind::Mul), vec![bias, Arg::float(beta)])?;
            sum = self.then(Binary(BinaryKind::Add), vec![sum, bias])?;
        }
        Ok(vec![self.value(sum)])
    }

    pub(super) fn matmul(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let (x, y) = (self.tensor(call.need(0)?)?, self.tensor(call.need(1)?)?);
        let product = lowering::matmul(&mut self.builder, x.into(), y.into())?;
        Ok(vec![self.value(product)])
    }
}
