//! Several networks that see the same images.

use burn::tensor::{FloatDType, Tensor, backend::Backend};

use crate::{GraphNetwork, MemberOutput, Precision, engine};

/// How many images of a height and width are best run together: on the CPU a few, since more only
/// take memory; on other devices any number.
pub fn images_per_pass<B: Backend>(size: [usize; 2], precision: Precision) -> usize {
    engine::images_per_pass::<B>(size, precision.dtype())
}

/// Runs every member on f32 images `[N, C, H, W]`, in the element type that their weights have been
/// brought to ([`GraphNetwork::with_precision`]); the answers, in the members' order, are f32, too.
///
/// # Panics
/// When a member does not take images of this shape.
pub fn forward_members<B: Backend>(
    members: &[GraphNetwork<B>],
    precision: Precision,
    images: Tensor<B, 4>,
) -> Vec<MemberOutput<B>> {
    let dtype = precision.dtype();
    engine::on_all_cores::<B, _>(dtype, || pass(members, precision, images))
}

fn pass<B: Backend>(
    members: &[GraphNetwork<B>],
    precision: Precision,
    images: Tensor<B, 4>,
) -> Vec<MemberOutput<B>> {
    let images = engine::cast(images, precision.dtype());
    let [count, _, height, width] = images.dims();
    let together = images_per_pass::<B>([height, width], precision).min(count.max(1));
    let fill_up = members.iter().all(GraphNetwork::takes_filled_images);
    let mut passes = engine::laid_out(images, fill_up).split(together, 0);
    let mut answers = Vec::with_capacity(members.len());
    for (index, member) in members.iter().enumerate() {
        // The last one may use the images' memory, once its last pass has read them.
        let images_of_member = if index + 1 == members.len() {
            std::mem::take(&mut passes)
        } else {
            passes.clone()
        };
        let of_passes = images_of_member.into_iter();
        let of_passes = of_passes.map(|images| member.forward(images)).collect();
        answers.push(MemberOutput::concatenate(of_passes));
    }
    // After all of them: a device that fuses operations widens and combines maps in one.
    let widened = |answer: MemberOutput<B>| answer.cast(FloatDType::F32);
    answers.into_iter().map(widened).collect()
}
