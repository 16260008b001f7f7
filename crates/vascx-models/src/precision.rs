//! The element type that networks compute in.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor, backend::Backend};

/// Element type of weights and feature maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Half precision: half the memory, up to 65 504.
    F16,
    /// bfloat16: half the memory and the range of f32, with three significant digits.
    BF16,
}

impl Precision {
    /// Name as in `--dtype`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    /// Whether a device computes in this type.
    pub fn is_supported<B: Backend>(self, device: &B::Device) -> bool {
        B::supports_dtype(device, self.dtype().into())
    }

    /// The fastest on this machine's CPU that gives the class maps of f32 on 99.9 % of all pixels and
    /// more: bf16 where there are tiles for it (AMX), f32 elsewhere.
    pub fn fastest_on_cpu() -> Self {
        #[cfg(feature = "flex")]
        if vascx_kernels::TileSet::current() == Some(vascx_kernels::TileSet::Amx) {
            return Self::BF16;
        }
        Self::F32
    }

    pub(crate) fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::BF16 => FloatDType::BF16,
        }
    }
}

/// Casts the weights of a module, except those of normalisations: their statistics are taken in
/// f32 whatever the feature maps are, because sums over whole maps need its range.
pub(crate) fn cast_weights<B: Backend, M: Module<B>>(module: M, precision: Precision) -> M {
    module.map(&mut Cast {
        dtype: precision.dtype(),
        norms_around: 0,
    })
}

struct Cast {
    dtype: FloatDType,
    norms_around: usize,
}

/// How the names of modules end whose parameters stay f32.
pub(crate) const NORM: &str = "Norm";

fn is_norm(container: &str) -> bool {
    container.ends_with(NORM)
}

impl<B: Backend> ModuleMapper<B> for Cast {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.norms_around += usize::from(is_norm(container));
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.norms_around -= usize::from(is_norm(container));
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if self.norms_around > 0 {
            return param;
        }
        param.map(|tensor| tensor.cast(self.dtype))
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    use super::*;
    use crate::{Architecture, Ensemble, Norm, Prediction, ResNetConfig, ResNetDepth, UNetConfig};

    fn run(ensemble: &Ensemble<Flex>, image: Tensor<Flex, 4>) -> Vec<f32> {
        match ensemble.forward(image) {
            Prediction::Spatial(maps) => maps.into_data().to_vec().unwrap(),
            Prediction::Vector(vectors) => vectors.into_data().to_vec().unwrap(),
        }
    }

    /// Answers are f32 and differ from those of f32, by no more than the rounding of a few layers:
    /// 2⁻¹¹ and 2⁻⁸ per operation, of the largest answer.
    #[test]
    fn half_precision_stays_close() {
        let instance = Norm::Instance {
            epsilon: 1e-5,
            affine: true,
        };
        let networks = [
            Architecture::UNet(UNetConfig::new(3, 2, [8, 16])),
            Architecture::UNet(UNetConfig {
                norm: instance,
                ..UNetConfig::new(3, 2, [8, 16])
            }),
            Architecture::ResNet(ResNetConfig::new(ResNetDepth::D18, 3, 4)),
        ];
        for architecture in &networks {
            let device = Default::default();
            let networks = [0, 1].map(|member| architecture.init(member, &device).unwrap());
            let ensemble = Ensemble::<Flex>::of_networks(architecture, &networks, &device).unwrap();
            let image = Tensor::random([1, 3, 32, 32], Distribution::Default, &device);
            let exact = run(&ensemble, image.clone());
            assert_eq!(exact, run(&ensemble, image.clone()), "weights are shared");
            let largest = exact.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            for (precision, tolerance) in [(Precision::F16, 0.01), (Precision::BF16, 0.08)] {
                let rounded = run(&ensemble.clone().with_precision(precision), image.clone());
                let worst = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
                let worst = worst.fold(0.0, f32::max) / largest;
                let family = architecture.family();
                assert!(worst < tolerance, "{family} {precision:?}: {worst}");
                assert!(worst > 0.0, "{family} {precision:?} was not rounded");
            }
        }
    }
}
