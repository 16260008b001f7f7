//! Running networks on a random image to see whether they agree.

use std::collections::BTreeMap;

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor, TensorData};
use vascx_format::HostTensor;
use vascx_models::{Architecture, Ensemble, Prediction, load_parameters};

use crate::error::{Error, Result};

/// Largest difference, relative to the largest value, of a network written in two ways: f32
/// rounding in another order, over a hundred layers.
pub(crate) const AGREEMENT: f32 = 1e-4;

/// Side of the image where the network leaves it open.
const SIDE: usize = 64;

/// Weights of every member by name.
pub(crate) type Members = [BTreeMap<String, HostTensor>];

/// A random image `[N, C, H, W]` that a network takes; the same one every time.
pub(crate) fn random_image(architecture: &Architecture) -> TensorData {
    let shape = match architecture {
        Architecture::Graph(graphs) if !graphs.is_empty() => graphs[0].input.example,
        typed => {
            let side = SIDE.next_multiple_of(typed.size_divisor());
            [1, typed.in_channels(), side, side]
        }
    };
    let device = Default::default();
    Flex::seed(&device, 1);
    Tensor::<Flex, 4>::random(shape, Distribution::Normal(0.0, 1.0), &device).into_data()
}

/// What an ensemble answers, `[M, N, …]` in row-major order.
pub(crate) fn answer(ensemble: &Ensemble<Flex>, image: TensorData) -> Result<Vec<f32>> {
    let image = Tensor::from_data(image, &Default::default());
    let data = match ensemble.forward(image) {
        Prediction::Spatial(maps) => maps.into_data(),
        Prediction::Vector(vectors) => vectors.into_data(),
    };
    data.to_vec()
        .map_err(|error| Error::Verification(format!("the network gave no f32: {error}")))
}

/// Largest difference between two networks' answers to the first one's random image, relative to
/// the first one's largest answer.
pub(crate) fn difference(
    (architecture, members): (&Architecture, &Members),
    (other_architecture, other_members): (&Architecture, &Members),
) -> Result<f32> {
    let image = random_image(architecture);
    let [n, c, h, w] = image.shape[..] else {
        unreachable!("an image has four axes")
    };
    other_architecture
        .check_input([n, c, h, w])
        .map_err(|error| Error::Mismatch(error.to_string()))?;
    let divisor = other_architecture.size_divisor();
    if other_architecture.in_channels() != c || h % divisor != 0 || w % divisor != 0 {
        return Err(Error::Mismatch(format!(
            "the program takes images {:?}, the network asked for does not",
            [n, c, h, w]
        )));
    }
    let reference = answer(&ensemble(architecture, members)?, image.clone())?;
    let answer = answer(&ensemble(other_architecture, other_members)?, image)?;
    relative_difference(&reference, &answer)
}

/// Largest difference relative to the reference's largest value.
pub(crate) fn relative_difference(reference: &[f32], answer: &[f32]) -> Result<f32> {
    if reference.len() != answer.len() {
        let (one, other) = (reference.len(), answer.len());
        let reason = format!("the answers have {one} and {other} values");
        return Err(Error::Mismatch(reason));
    }
    let largest = reference
        .iter()
        .fold(0.0_f32, |max, value| max.max(value.abs()));
    let mut worst = 0.0_f32;
    for (reference, answer) in reference.iter().zip(answer) {
        if reference.to_bits() == answer.to_bits() {
            continue;
        }
        let difference = (reference - answer).abs();
        if difference.is_nan() {
            return Ok(f32::INFINITY);
        }
        worst = worst.max(difference);
    }
    Ok(if worst == 0.0 { 0.0 } else { worst / largest })
}

fn ensemble(architecture: &Architecture, members: &Members) -> Result<Ensemble<Flex>> {
    let ensemble = Ensemble::new(architecture, members.len(), &Default::default())
        .map_err(vascx_format::Error::from)?;
    load_parameters(ensemble, |spec| {
        let missing = || Error::tensor(&spec.name, "is missing");
        // `members.<i>.<name>`
        let mut parts = spec.name.splitn(3, '.').skip(1);
        let member = parts.next().and_then(|index| index.parse::<usize>().ok());
        let (Some(member), Some(name)) = (member, parts.next()) else {
            return Err(missing());
        };
        let tensor = members.get(member).and_then(|member| member.get(name));
        let tensor = tensor.ok_or_else(missing)?;
        Ok(TensorData::new(tensor.values.clone(), tensor.shape.clone()))
    })
}
