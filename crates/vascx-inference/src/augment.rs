//! Test-time augmentation by flips.

use burn::tensor::{Tensor, backend::Backend};

/// Mean of `predict` over the images `[N, C, H, W]` as they are and flipped along each of the given
/// sets of axes. `restore` flips a prediction back; vectors need none.
pub(crate) fn mean_over_flips<B: Backend, const D: usize>(
    images: Tensor<B, 4>,
    flips: &[Vec<usize>],
    predict: impl Fn(Tensor<B, 4>) -> Tensor<B, D>,
    restore: impl Fn(Tensor<B, D>, &[usize]) -> Tensor<B, D>,
) -> Tensor<B, D> {
    let sum = flips.iter().fold(predict(images.clone()), |sum, axes| {
        sum + restore(predict(flip(images.clone(), axes)), axes)
    });
    if flips.is_empty() {
        sum
    } else {
        sum / (flips.len() + 1) as f64
    }
}

/// Flips images or maps along axes of theirs.
pub(crate) fn flip<B: Backend>(maps: Tensor<B, 4>, axes: &[usize]) -> Tensor<B, 4> {
    axes.iter()
        .fold(maps, |maps, &axis| maps.flip([axis as isize]))
}

#[cfg(test)]
mod tests {
    use burn::tensor::ElementConversion;

    use super::*;
    use crate::test_backend::on_both_backends;

    on_both_backends!(
        a_flip_equivariant_network_gains_nothing,
        a_network_that_sees_the_corner_averages_the_four_corners,
    );

    fn a_flip_equivariant_network_gains_nothing<B: Backend>() {
        let device = Default::default();
        let image = Tensor::<B, 1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &device)
            .reshape([1, 1, 2, 3]);
        let flips = [vec![2], vec![3], vec![2, 3]];
        let mean = mean_over_flips(image.clone(), &flips, |image| image * 2.0, flip);
        let expected = image * 2.0;
        mean.into_data().assert_eq(&expected.into_data(), true);
    }

    fn a_network_that_sees_the_corner_averages_the_four_corners<B: Backend>() {
        let device = Default::default();
        let image = Tensor::<B, 1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &device)
            .reshape([1, 1, 2, 3]);
        let corner = |image: Tensor<B, 4>| image.slice([0..1, 0..1, 0..1, 0..1]).reshape([1, 1, 1]);
        let flips = [vec![2], vec![3], vec![2, 3]];
        let mean: Tensor<B, 3> = mean_over_flips(image, &flips, corner, |vector, _| vector);
        assert_eq!(
            mean.into_scalar().elem::<f32>(),
            (1.0 + 4.0 + 3.0 + 6.0) / 4.0
        );
    }
}
