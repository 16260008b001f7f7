//! Memory that feature maps leave behind, for the next ones. Fresh memory costs page faults, which
//! take a sixth of a U-Net's time; used memory does not, and need not be cleared either, because
//! kernels write every value.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

/// Most buffers kept of each kind. A network needs few at a time, and what is kept counts as its
/// memory.
const MOST: usize = 4;
/// Values of a buffer that is large. Small ones are kept beside them, for they cost little.
const LARGE: usize = 512 << 10;
/// Most of a buffer that may stay unused: a much too large one would be missing where it is needed.
const MOST_UNUSED: usize = 3;

/// Of all threads: passes run on whichever is free.
static FREE: Mutex<Free> = Mutex::new(Free {
    small: Vec::new(),
    large: Vec::new(),
});

/// Smallest first.
#[derive(Default)]
struct Free {
    small: Vec<Vec<f32>>,
    large: Vec<Vec<f32>>,
}

impl Free {
    fn of_size(&mut self, length: usize) -> &mut Vec<Vec<f32>> {
        if length < LARGE {
            &mut self.small
        } else {
            &mut self.large
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<f32>> {
        let free = self.of_size(length);
        let index = free.iter().position(|buffer| buffer.capacity() >= length)?;
        (free[index].capacity() / MOST_UNUSED <= length).then(|| free.remove(index))
    }

    fn keep(&mut self, buffer: Vec<f32>) {
        let free = self.of_size(buffer.capacity());
        let place = free.partition_point(|other| other.capacity() < buffer.capacity());
        free.insert(place, buffer);
        if free.len() > MOST {
            free.remove(0);
        }
    }
}

/// A buffer of `length` values of no meaning.
pub(super) fn take(length: usize) -> Vec<f32> {
    let found = FREE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(length);
    match found {
        Some(mut buffer) => {
            buffer.resize(length, 0.0);
            buffer
        }
        None => vascx_kernels::zeros(length),
    }
}

/// Keeps the memory of tensors that nobody else holds.
pub(in crate::fused) fn recycle<B: Backend>(tensors: impl IntoIterator<Item = FloatTensor<B>>) {
    for buffer in tensors.into_iter().filter_map(buffer::<B>) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.keep(buffer);
    }
}

/// The same for maps.
pub(in crate::fused) fn recycle_maps<B: Backend>(maps: impl IntoIterator<Item = Tensor<B, 4>>) {
    recycle::<B>(maps.into_iter().map(|map| map.into_primitive().tensor()));
}

fn buffer<B: Backend>(primitive: FloatTensor<B>) -> Option<Vec<f32>> {
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
        let held = Tensor::<Flex, 4>::ones([1, 1, 50, 20], &Default::default());
        let memory = |map: Tensor<Flex, 4>| buffer::<Flex>(map.into_primitive().tensor());
        assert_eq!(memory(held.clone()), None);
        assert_eq!(memory(held), Some(vec![1.0; 1000]));
    }

    #[test]
    fn the_smallest_buffer_that_fits_is_taken() {
        let mut free = Free::default();
        free.keep(vec![1.0; 1000]);
        free.keep(vec![2.0; 900]);
        assert_eq!(free.take(1001), None, "too small to serve");
        assert_eq!(free.take(299), None, "too large to serve");
        assert_eq!(free.take(800), Some(vec![2.0; 900]));
        assert_eq!(free.take(800), Some(vec![1.0; 1000]));
    }
}
