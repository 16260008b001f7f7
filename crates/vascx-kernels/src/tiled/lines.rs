//! Memory that begins on a cache line: a tile's rows are lines, and a row across two takes twice as long.
#![allow(unsafe_code, reason = "lines of bf16 values are bf16 values")]

use std::ops::{Deref, DerefMut};

use half::bf16;

/// Values per line.
const LINE: usize = 32;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([bf16; LINE]);

/// bf16 values.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) const EMPTY: Self = Self(Vec::new());

    /// Zeros, at least so many.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![Line([bf16::ZERO; LINE]); count.div_ceil(LINE)])
    }

    /// At least so many values; those that are new are zero.
    pub(super) fn grow(&mut self, count: usize) {
        if self.len() < count {
            *self = Self::new(count);
        }
    }
}

impl Deref for Lines {
    type Target = [bf16];

    fn deref(&self) -> &[bf16] {
        // SAFETY: lines are arrays of so many values, without gaps.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), LINE * self.0.len()) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [bf16] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), LINE * self.0.len()) }
    }
}
