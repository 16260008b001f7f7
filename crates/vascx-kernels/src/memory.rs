//! Memory for feature maps and weights.
#![cfg_attr(
    target_os = "linux",
    allow(unsafe_code, reason = "advice on memory that has just been allocated")
)]

use std::ops::{Deref, DerefMut};

use crate::Element;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Values that begin on a cache line, in large pages if the system has them. A vector of AVX-512 that spans
/// two lines takes twice as long (a depthwise layer a third more, a U-Net's largest an eighth). Feature maps
/// span thousands of ordinary pages, whose first use and whose addresses cost time (a U-Net's large layers
/// took a twelfth more).
#[derive(Debug, Default)]
pub struct Memory<E = f32> {
    /// The values, behind what is left of a line.
    values: Vec<E>,
    first: usize,
    length: usize,
}

impl<E: Element> Memory<E> {
    pub(crate) const EMPTY: Self = Self {
        values: Vec::new(),
        first: 0,
        length: 0,
    };

    /// So many zeros.
    pub fn zeros(length: usize) -> Self {
        let more = LINE / size_of::<E>() - 1;
        #[allow(unused_mut)]
        let mut values = vec![E::default(); length + more];
        #[cfg(target_os = "linux")]
        advise(&mut values);
        let address = values.as_ptr().addr();
        Self {
            first: (address.next_multiple_of(LINE) - address) / size_of::<E>(),
            values,
            length,
        }
    }

    /// The first values, so many, of any value; there will be more if there are too few.
    pub(crate) fn room(&mut self, length: usize) -> &mut [E] {
        if self.length < length {
            *self = Self::zeros(length);
        }
        &mut self[..length]
    }
}

impl<E> Deref for Memory<E> {
    type Target = [E];

    #[inline(always)]
    fn deref(&self) -> &[E] {
        &self.values[self.first..][..self.length]
    }
}

impl<E> DerefMut for Memory<E> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.values[self.first..][..self.length]
    }
}

impl<E: Element> Clone for Memory<E> {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.length);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(target_os = "linux")]
fn advise<E>(values: &mut [E]) {
    /// A large page of the common processors.
    const LARGE: usize = 2 << 20;
    let bytes = values.as_mut_ptr_range();
    let first = bytes.start.addr().next_multiple_of(LARGE);
    let last = bytes.end.addr() / LARGE * LARGE;
    if first < last {
        let start = bytes.start.wrapping_byte_add(first - bytes.start.addr());
        // SAFETY: the pages lie within the vector, and the advice changes no value. A system that
        // does not follow it answers with an error, which is no matter.
        unsafe { libc::madvise(start.cast(), last - first, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn values_begin_on_a_line() {
        for length in [0, 1, 15, 1000, 1 << 20] {
            let mut memory = Memory::<f32>::zeros(length);
            memory.fill(2.0);
            for memory in [memory.clone(), memory] {
                assert_eq!(memory.as_ptr().addr() % LINE, 0);
                assert_eq!(&memory[..], vec![2.0; length]);
            }
            let memory = Memory::<bf16>::zeros(length);
            assert_eq!((memory.as_ptr().addr() % LINE, memory.len()), (0, length));
        }
    }

    #[test]
    fn room_grows_and_is_kept() {
        let mut memory = Memory::<f32>::EMPTY;
        memory.room(100).fill(1.0);
        assert_eq!(memory.room(50), [1.0; 50]);
        assert_eq!(memory.room(101).len(), 101);
    }
}
