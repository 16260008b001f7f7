//! Memory of feature maps, which the next ones take over when nobody holds it any more. Fresh memory costs
//! page faults, which take a sixth of a U-Net's time; used memory does not, and need not be cleared
//! either, because kernels write every value.
#![allow(unsafe_code, reason = "burn's interface to memory of others is unsafe")]

use std::mem::{MaybeUninit, take};
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::{Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::{Bytes, DType, Shape as TensorShape, TensorData, TensorMetadata};
use burn_std::{AllocationController, AllocationProperty};
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
    /// The memory that is free, of all threads: passes run on whichever is free.
    fn free() -> &'static Mutex<Free<Self>>;

    /// The elements of a contiguous tensor, if they are of this type.
    fn values(tensor: &FlexTensor) -> Option<&[Self]>;

    /// All that a tensor's memory holds.
    fn storage(tensor: &FlexTensor) -> &[Self];
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
        }
    };
}

stored!(f32, DType::F32);
stored!(bf16, DType::BF16);

/// Memory that nobody holds, smallest first.
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
        let index = free.iter().position(|values| values.len() >= length)?;
        (free[index].len() / MOST_UNUSED <= length).then(|| free.remove(index))
    }

    fn keep(&mut self, values: Vec<E>) {
        let free = self.of_size(values.len());
        let place = free.partition_point(|other| other.len() < values.len());
        free.insert(place, values);
        if free.len() > MOST {
            free.remove(0);
        }
    }
}

/// Values of a feature map. Their memory, which may hold more, is free again when they are dropped, or
/// the last tensor is that was made of them.
pub(super) struct Buffer<E: Stored> {
    memory: Vec<E>,
    length: usize,
}

impl<E: Stored> Buffer<E> {
    /// So many values of no meaning.
    pub(super) fn new(length: usize) -> Self {
        let free = E::free().lock();
        let found = free.unwrap_or_else(PoisonError::into_inner).take(length);
        Self {
            memory: found.unwrap_or_else(|| vascx_kernels::zeros(length)),
            length,
        }
    }

    /// A contiguous tensor of these values.
    pub(super) fn into_tensor(self, shape: impl Into<TensorShape>) -> FlexTensor {
        let bytes = size_of_val(&self[..]);
        // SAFETY: all of the memory is initialised.
        let bytes = unsafe { Bytes::from_controller(Box::new(self), bytes) };
        FlexTensor::from_data(TensorData::from_bytes(bytes, shape, E::dtype()))
    }
}

impl<E: Stored> Deref for Buffer<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.memory[..self.length]
    }
}

impl<E: Stored> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.memory[..self.length]
    }
}

impl<E: Stored> Drop for Buffer<E> {
    fn drop(&mut self) {
        let mut free = E::free().lock().unwrap_or_else(PoisonError::into_inner);
        free.keep(take(&mut self.memory));
    }
}

impl<E: Stored> AllocationController for Buffer<E> {
    fn alloc_align(&self) -> usize {
        align_of::<E>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Native
    }

    unsafe fn memory_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes = size_of_val(&self[..]);
        // SAFETY: numbers are bytes, any of which are numbers; the caller keeps them initialised.
        unsafe { slice::from_raw_parts_mut(self.as_mut_ptr().cast(), bytes) }
    }

    fn memory(&self) -> &[MaybeUninit<u8>] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(self.as_ptr().cast(), size_of_val(&self[..])) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_free_when_its_last_tensor_is_dropped() {
        // A size that no other test uses.
        let length = 77_777;
        let mut buffer = Buffer::<f32>::new(length);
        buffer.fill(3.0);
        let memory = buffer.as_ptr();
        let tensor = buffer.into_tensor([7, 11_111]);
        assert_eq!(f32::values(&tensor).unwrap().as_ptr(), memory);
        let held = tensor.clone();
        drop(tensor);
        assert_ne!(Buffer::<f32>::new(length).as_ptr(), memory, "held");
        assert_eq!(f32::values(&held).unwrap(), vec![3.0; length]);
        drop(held);
        let again = Buffer::<f32>::new(length - 1);
        assert_eq!((again.as_ptr(), again.len()), (memory, length - 1));
    }

    /// Also where the memory holds more than the tensor.
    #[test]
    fn a_tensors_data_are_its_own_values() {
        drop(Buffer::<bf16>::new(66_666));
        let mut buffer = Buffer::<bf16>::new(66_000);
        buffer.fill(bf16::ONE);
        let data = buffer.into_tensor([66_000]).into_data();
        assert_eq!(data.into_vec::<bf16>().unwrap(), vec![bf16::ONE; 66_000]);
    }

    #[test]
    fn the_smallest_memory_that_fits_is_taken() {
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
