//! Memory for feature maps.
#![cfg_attr(
    target_os = "linux",
    allow(unsafe_code, reason = "advice on memory that has just been allocated")
)]

use crate::Element;

/// Zeros in memory that the system is asked to provide in large pages: feature maps span thousands
/// of ordinary ones, whose first use and whose addresses cost time (a U-Net's large layers took a
/// twelfth more).
pub fn zeros<E: Element>(length: usize) -> Vec<E> {
    #[allow(unused_mut)]
    let mut values = vec![E::default(); length];
    #[cfg(target_os = "linux")]
    advise(&mut values);
    values
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
