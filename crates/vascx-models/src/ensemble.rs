//! Several members of one architecture that see the same input.

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor, backend::Backend};

use crate::fused;
use crate::graph::GraphNetwork;
use crate::parameters::{load_parameters, parameter_values};
use crate::precision::cast_weights;
use crate::{Architecture, ConfigError, MemberOutput, Network, Precision};

/// M members, which run as graphs; their answers are stacked along a new leading axis.
#[derive(Module, Debug)]
pub struct Ensemble<B: Backend> {
    members: Vec<GraphNetwork<B>>,
    #[module(skip)]
    precision: Precision,
}

/// What an ensemble answers; the first axis is the member.
#[derive(Clone, Debug)]
pub enum Prediction<B: Backend> {
    /// Logits or heat maps `[M, N, C, H, W]`.
    Spatial(Tensor<B, 5>),
    /// Class logits or values `[M, N, D]`.
    Vector(Tensor<B, 3>),
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
            members: cast_weights(self.members, precision),
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
        fused::images_per_pass::<B>(size, self.precision.dtype())
    }

    /// Runs every member on an f32 image `[N, C, H, W]`; the answer is f32, too.
    pub fn forward(&self, image: Tensor<B, 4>) -> Prediction<B> {
        // All members share one architecture, so exactly one of the two lists is filled.
        let (mut maps, mut vectors) = (Vec::new(), Vec::new());
        for answer in self.forward_each(image) {
            match answer {
                MemberOutput::Spatial(map) => maps.push(map),
                MemberOutput::Vector(vector) => vectors.push(vector),
            }
        }
        if vectors.is_empty() {
            Prediction::Spatial(fused::stack(maps))
        } else {
            Prediction::Vector(Tensor::stack(vectors, 0))
        }
    }

    /// What [`Self::forward`] stacks: the members' answers, in order.
    pub fn forward_each(&self, image: Tensor<B, 4>) -> Vec<MemberOutput<B>> {
        fused::on_all_cores::<B, _>(self.precision.dtype(), || self.pass(image))
    }

    fn pass(&self, image: Tensor<B, 4>) -> Vec<MemberOutput<B>> {
        let image = fused::cast(image, self.precision.dtype());
        let [count, _, height, width] = image.dims();
        let together = self.images_per_pass([height, width]).min(count.max(1));
        let fill_up = self.members.iter().all(GraphNetwork::takes_filled_images);
        let mut passes = fused::laid_out(image, fill_up).split(together, 0);
        let mut answers = Vec::with_capacity(self.members.len());
        for (index, member) in self.members.iter().enumerate() {
            // The last one may use the images' memory, once its last pass has read them.
            let images_of_member = if index + 1 == self.members.len() {
                std::mem::take(&mut passes)
            } else {
                passes.clone()
            };
            let (mut maps, mut rows) = (Vec::new(), Vec::new());
            for images in images_of_member {
                match member.forward(images) {
                    MemberOutput::Spatial(map) => maps.push(map),
                    MemberOutput::Vector(vector) => rows.push(vector),
                }
            }
            answers.push(if rows.is_empty() {
                MemberOutput::Spatial(fused::concatenate_images(maps))
            } else {
                MemberOutput::Vector(Tensor::cat(rows, 0))
            });
        }
        // After all of them: a device that fuses operations widens and combines maps in one.
        let widened = |answer| match answer {
            MemberOutput::Spatial(map) => MemberOutput::Spatial(fused::cast(map, FloatDType::F32)),
            MemberOutput::Vector(vector) => {
                MemberOutput::Vector(fused::cast(vector, FloatDType::F32))
            }
        };
        answers.into_iter().map(widened).collect()
    }
}
