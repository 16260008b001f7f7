//! Several members of one architecture that see the same input.

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use vascx_graph::GraphNetwork;

use crate::parameters::{load_parameters, parameter_values};
use crate::{Architecture, ConfigError, MemberOutput, Network, Precision, Prediction};

/// M members, which run as graphs; their answers are stacked along a new leading axis.
#[derive(Module, Debug)]
pub struct Ensemble<B: Backend> {
    members: Vec<GraphNetwork<B>>,
    #[module(skip)]
    precision: Precision,
}

impl<B: Backend> Ensemble<B> {
    /// An ensemble of `members` networks whose weights are zero until they are loaded.
    ///
    /// # Errors
    /// When `members` is zero or the architecture contradicts itself.
    pub fn new(
        architecture: &Architecture,
        members: usize,
        device: &B::Device,
    ) -> Result<Self, ConfigError> {
        if members == 0 {
            return Err(ConfigError::new("ensemble", "needs at least one member"));
        }
        let members = (0..members)
            .map(|member| Ok(GraphNetwork::new(architecture.graph(member)?, device)))
            .collect::<Result<_, ConfigError>>()?;
        Ok(Self {
            members,
            precision: Precision::F32,
        })
    }

    /// An ensemble of modules of one architecture, trained ones say, whose weights are copied.
    ///
    /// # Errors
    /// Those of [`Self::new`], or when a module is of another architecture.
    pub fn of_networks(
        architecture: &Architecture,
        networks: &[Network<B>],
        device: &B::Device,
    ) -> Result<Self, ConfigError> {
        let mut weights: Vec<_> = networks.iter().map(parameter_values).collect();
        let ensemble = Self::new(architecture, networks.len(), device)?;
        load_parameters(ensemble, |spec| {
            // `members.<i>.<name>`
            let mut parts = spec.name.splitn(3, '.').skip(1);
            let member = parts.next().and_then(|index| index.parse::<usize>().ok());
            let found = member.zip(parts.next()).and_then(|(member, name)| {
                let found = weights[member].remove(name)?;
                (*found.shape == *spec.shape).then_some(found)
            });
            found.ok_or_else(|| {
                let reason = format!("a network is of another architecture: `{}`", spec.name);
                ConfigError::new("ensemble", reason)
            })
        })
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// The same ensemble with another element type inside; images and answers remain f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self {
            members: self
                .members
                .into_iter()
                .map(|member| member.with_precision(precision))
                .collect(),
            precision,
        }
    }

    /// Element type of the weights and feature maps.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// How many images of a height and width are best run together: on the CPU a few, since more only
    /// take memory; on other devices any number. [`Self::forward`] splits what it is given.
    pub fn images_per_pass(&self, size: [usize; 2]) -> usize {
        vascx_graph::images_per_pass::<B>(size, self.precision)
    }

    /// Runs every member on an f32 image `[N, C, H, W]`; the answer is f32, too.
    pub fn forward(&self, image: Tensor<B, 4>) -> Prediction<B> {
        Prediction::stack(self.forward_each(image))
    }

    /// What [`Self::forward`] stacks: the members' answers, in order.
    pub fn forward_each(&self, image: Tensor<B, 4>) -> Vec<MemberOutput<B>> {
        vascx_graph::forward_members(&self.members, self.precision, image)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    use super::*;
    use crate::{Norm, ResNetConfig, ResNetDepth, UNetConfig};

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
