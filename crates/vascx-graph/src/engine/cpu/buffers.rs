//! Memory that feature maps leave behind, for the next ones. Fresh memory costs page faults, which
//! take a sixth of a U-Net's time; used memory does not, and need not be cleared either, because
//! kernels write every value.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Bytes, DType, Tensor, TensorMetadata};
use half::bf16;
use vascx_kernels::Element;

/// Most buffers kept of each kind. A network needs few at a time, and what is kept counts as its
/// memory.
const MOST: usize = 4;
/// Values of a buffer that is large. Small ones are kept beside them, for they cost little.
const LARGE: usize = 512 << 10;
/// Most of a buffer that may stay unused: a much too large one would be missing where it is needed.
const MOST_UNUSED: usize = 3;

/// What feature maps hold.
pub(super) trait Stored: Element + burn::tensor::Element {
    /// The buffers that are free, of all threads: passes run on whichever is free.
    fn free() -> &'static Mutex<Free<Self>>;

    /// The elements of a contiguous tensor, if they are of this type.
    fn values(tensor: &FlexTensor) -> Option<&[Self]>;

    /// All that a tensor's memory holds.
    fn storage(tensor: &FlexTensor) -> &[Self];

    /// The memory, unless it is held for another type.
    fn vector(bytes: Bytes) -> Option<Vec<Self>>;

    /// A buffer of zeros.
    fn zeros(length: usize) -> Vec<Self>;
}

macro_rules! stored {
    ($element:ty, $dtype:expr) => {
        impl Stored for $element {
            fn free() -> &'static Mutex<Free<Self>> {
                static FREE: Mutex<Free<$element>> = Mutex::new(Free {
                    small: Vec::new(),
                    large: Vec::new(),
                });
                &FREE
            }

            fn values(tensor: &FlexTensor) -> Option<&[Self]> {
                (TensorMetadata::dtype(tensor) == $dtype).then(|| tensor.as_slice())?
            }

            fn storage(tensor: &FlexTensor) -> &[Self] {
                tensor.storage()
            }

            fn vector(bytes: Bytes) -> Option<Vec<Self>> {
                bytes.try_into_vec().ok()
            }

            fn zeros(length: usize) -> Vec<Self> {
                vascx_kernels::zeros(length)
            }
        }
    };
}

stored!(f32, DType::F32);
stored!(bf16, DType::BF16);

/// Smallest first.
pub(super) struct Free<E> {
    small: Vec<Vec<E>>,
    large: Vec<Vec<E>>,
}

impl<E> Free<E> {
    fn of_size(&mut self, length: usize) -> &mut Vec<Vec<E>> {
        if length < LARGE {
            &mut self.small
        } else {
            &mut self.large
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<E>> {
        let free = self.of_size(length);
        let index = free.iter().position(|buffer| buffer.capacity() >= length)?;
        (free[index].capacity() / MOST_UNUSED <= length).then(|| free.remove(index))
    }

    fn keep(&mut self, buffer: Vec<E>) {
        let free = self.of_size(buffer.capacity());
        let place = free.partition_point(|other| other.capacity() < buffer.capacity());
        free.insert(place, buffer);
        if free.len() > MOST {
            free.remove(0);
        }
    }
}

/// A buffer of `length` values of no meaning.
pub(super) fn take<E: Stored>(length: usize) -> Vec<E> {
    let found = E::free()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(length);
    match found {
        Some(mut buffer) => {
            buffer.resize(length, E::default());
            buffer
        }
        None => E::zeros(length),
    }
}

/// Keeps the memory of tensors that nobody else holds.
pub(in crate::engine) fn recycle<B: Backend>(tensors: impl IntoIterator<Item = FloatTensor<B>>) {
    for tensor in tensors {
        let tensor: Box<dyn Any> = Box::new(tensor);
        if let Ok(flex) = tensor.downcast::<FlexTensor>() {
            match TensorMetadata::dtype(&*flex) {
                DType::F32 => keep(buffer::<f32>(*flex)),
                DType::BF16 => keep(buffer::<bf16>(*flex)),
                _ => {}
            }
        }
    }
}

/// The same for maps.
pub(in crate::engine) fn recycle_maps<B: Backend>(maps: impl IntoIterator<Item = Tensor<B, 4>>) {
    recycle::<B>(maps.into_iter().map(|map| map.into_primitive().tensor()));
}

/// Keeps a buffer, if there is one.
pub(super) fn keep<E: Stored>(buffer: Option<Vec<E>>) {
    if let Some(buffer) = buffer {
        let mut free = E::free().lock().unwrap_or_else(PoisonError::into_inner);
        free.keep(buffer);
    }
}

fn buffer<E: Stored>(tensor: FlexTensor) -> Option<Vec<E>> {
    let bytes = tensor.data_arc();
    drop(tensor);
    E::vector(Arc::try_unwrap(bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn memory_of_maps_comes_back_unless_somebody_holds_them() {
        let held = Tensor::<Flex, 4>::ones([1, 1, 50, 20], &Default::default());
        let memory = |map: Tensor<Flex, 4>| buffer::<f32>(map.into_primitive().tensor());
        assert_eq!(memory(held.clone()), None);
        assert_eq!(memory(held), Some(vec![1.0; 1000]));
    }

    #[test]
    fn the_smallest_buffer_that_fits_is_taken() {
        let mut free = Free {
            small: Vec::new(),
            large: Vec::new(),
        };
        free.keep(vec![1.0; 1000]);
        free.keep(vec![2.0; 900]);
        assert_eq!(free.take(1001), None, "too small to serve");
        assert_eq!(free.take(299), None, "too large to serve");
        assert_eq!(free.take(800), Some(vec![2.0; 900]));
        assert_eq!(free.take(800), Some(vec![1.0; 1000]));
    }
}
