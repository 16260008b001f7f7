//! Memory that feature maps leave behind, for the next ones. Fresh memory costs page faults, which
//! take a sixth of a U-Net's time; used memory does not, and need not be cleared either, because
//! kernels write every value.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};

/// Most buffers kept. A network needs few at a time, and what is kept counts as its memory.
const MOST: usize = 3;
/// Most of a buffer that may stay unused: a much too large one would be missing where it is needed.
const MOST_UNUSED: usize = 3;

thread_local! {
    /// Smallest first.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of `length` values of no meaning.
pub(super) fn take(length: usize) -> Vec<f32> {
    let found = FREE.with_borrow_mut(|free| {
        let fits = |buffer: &Vec<f32>| buffer.capacity() >= length;
        let close = |buffer: &Vec<f32>| buffer.capacity() / MOST_UNUSED <= length;
        let index = free.iter().position(fits)?;
        close(&free[index]).then(|| free.remove(index))
    });
    match found {
        Some(mut buffer) => {
            buffer.resize(length, 0.0);
            buffer
        }
        None => vascx_kernels::zeros(length),
    }
}

/// Keeps the memory of maps that nobody else holds.
pub(in crate::fused) fn recycle<B: Backend>(maps: impl IntoIterator<Item = Tensor<B, 4>>) {
    for map in maps {
        if let TensorPrimitive::Float(primitive) = map.into_primitive()
            && let Some(buffer) = buffer::<B>(primitive)
        {
            FREE.with_borrow_mut(|free| {
                let place = free.partition_point(|other| other.capacity() < buffer.capacity());
                free.insert(place, buffer);
                if free.len() > MOST {
                    free.remove(0);
                }
            });
        }
    }
}

fn buffer<B: Backend>(primitive: B::FloatTensorPrimitive) -> Option<Vec<f32>> {
    let primitive: Box<dyn Any> = Box::new(primitive);
    let flex = primitive.downcast::<FlexTensor>().ok()?;
    let bytes = flex.data_arc();
    drop(flex);
    Arc::try_unwrap(bytes).ok()?.try_into_vec().ok()
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn memory_of_maps_comes_back_unless_somebody_holds_them() {
        let device = Default::default();
        let held = Tensor::<Flex, 4>::ones([1, 1, 50, 20], &device);
        recycle([held.clone()]);
        assert_eq!(take(1000), vec![0.0; 1000]);
        recycle([held]);
        assert!(
            take(1001).iter().all(|&value| value == 0.0),
            "too small to serve"
        );
        assert!(
            take(300).iter().all(|&value| value == 0.0),
            "too large to serve"
        );
        assert_eq!(take(900), vec![1.0; 900]);
    }
}
