//! Memory of feature maps, which the next ones take over when nobody holds it any more. Fresh memory costs
//! page faults, which take a sixth of a U-Net's time; used memory does not, and need not be cleared
//! either, because kernels write every value.
#![allow(unsafe_code, reason = "burn's interface to memory of others is unsafe")]

mod supply;

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::{Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::{Bytes, DType, Shape as TensorShape, TensorData, TensorMetadata};
use burn_std::{AllocationController, AllocationProperty};
use half::bf16;
use vascx_kernels::Element;

use self::supply::{Piece, Supply};

/// The memory of all threads: passes run on whichever is free.
static MEMORY: Mutex<Supply> = Mutex::new(Supply::NONE);

/// What feature maps hold.
pub(super) trait Stored: Element + burn::tensor::Element {
    /// The elements of a contiguous tensor, if they are of this type.
    fn values(tensor: &FlexTensor) -> Option<&[Self]>;

    /// The same to be changed, if nobody else holds them and nothing else is in their memory.
    fn values_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]>;

    /// All that a tensor's memory holds.
    fn storage(tensor: &FlexTensor) -> &[Self];
}

macro_rules! stored {
    ($element:ty, $dtype:expr) => {
        impl Stored for $element {
            fn values(tensor: &FlexTensor) -> Option<&[Self]> {
                (TensorMetadata::dtype(tensor) == $dtype).then(|| tensor.as_slice())?
            }

            fn values_mut(tensor: &mut FlexTensor) -> Option<&mut [Self]> {
                Self::values(tensor)?;
                let length = tensor.layout().num_elements();
                let values = tensor.try_storage_mut::<Self>()?;
                (values.len() == length).then_some(values)
            }

            fn storage(tensor: &FlexTensor) -> &[Self] {
                tensor.storage()
            }
        }
    };
}

stored!(f32, DType::F32);
stored!(bf16, DType::BF16);

/// Values of a feature map. Their memory is free again when they are dropped, or the last tensor is that
/// was made of them.
pub(super) struct Buffer<E: Stored> {
    memory: &'static Mutex<Supply>,
    piece: Piece,
    length: usize,
    elements: PhantomData<E>,
}

impl<E: Stored> Buffer<E> {
    /// So many values of no meaning.
    pub(super) fn new(length: usize) -> Self {
        Self::of(&MEMORY, length)
    }

    fn of(memory: &'static Mutex<Supply>, length: usize) -> Self {
        let mut supply = memory.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            memory,
            piece: supply.lend(length * size_of::<E>()),
            length,
            elements: PhantomData,
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
        // SAFETY: the piece is this buffer's alone, has room for so many values, begins on a cache line and
        // is initialised; all bits are values.
        unsafe { slice::from_raw_parts(self.piece.start.as_ptr().cast(), self.length) }
    }
}

impl<E: Stored> DerefMut for Buffer<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.piece.start.as_ptr().cast(), self.length) }
    }
}

impl<E: Stored> Drop for Buffer<E> {
    fn drop(&mut self) {
        let mut supply = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        supply.give_back(&self.piece);
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

    fn memory() -> &'static Mutex<Supply> {
        Box::leak(Box::new(Mutex::new(Supply::NONE)))
    }

    #[test]
    fn memory_is_free_when_its_last_tensor_is_dropped() {
        let (memory, length) = (memory(), 77_777);
        let mut buffer = Buffer::<f32>::of(memory, length);
        buffer.fill(3.0);
        let start = buffer.as_ptr();
        let tensor = buffer.into_tensor([7, 11_111]);
        assert_eq!(f32::values(&tensor).unwrap().as_ptr(), start);
        let held = tensor.clone();
        drop(tensor);
        Buffer::<f32>::of(memory, length).fill(4.0);
        assert_eq!(f32::values(&held).unwrap(), vec![3.0; length]);
        drop(held);
        let again = Buffer::<bf16>::of(memory, length);
        assert_eq!((again.as_ptr().cast(), again.len()), (start, length));
    }

    #[test]
    fn a_tensors_data_are_its_own_values() {
        let mut buffer = Buffer::<bf16>::of(memory(), 66_000);
        buffer.fill(bf16::ONE);
        let data = buffer.into_tensor([66_000]).into_data();
        assert_eq!(data.into_vec::<bf16>().unwrap(), vec![bf16::ONE; 66_000]);
    }
}
