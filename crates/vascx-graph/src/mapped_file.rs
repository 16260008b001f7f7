//! Weights that stay in a file.

#![allow(unsafe_code, reason = "mapping a file, and advice on the map")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::tensor::{AllocationProperty, Bytes};
use memmap2::Mmap;

/// All that are mapped now.
static MAPPED: Mutex<Vec<Weak<Mmap>>> = Mutex::new(Vec::new());

/// Bytes that are read and written of a file at a time. Linux keeps what was written in one piece
/// together, and brings back all of it with any page of it, also what was let go before. It maps no more
/// than so many around a page that is read.
const PART: usize = 64 << 10;

/// A copy of a file that nobody else knows, in memory, of which tensors can be made without copying it
/// again. Whatever happens to the file itself changes nothing about it.
///
/// The copy is a temporary file without a name (in `TMPDIR`), so that the system can take memory back
/// from it as from any file; it takes as much room there as the file, until it is dropped.
///
/// Where the kernels for CPUs have brought a layer's weights into their own form, the part of the
/// file they come from is let go: the weights are then in memory once, and not twice. They can still
/// be read; the system then fetches them from the file again.
///
/// ```
/// use burn::backend::Flex;
/// use burn::tensor::{DType, Tensor, TensorData};
///
/// let bytes: &[u8] = &[0, 0, 128, 63, 0, 0, 0, 64];
/// let file = vascx_graph::MappedFile::copy(bytes, |_| {})?;
/// let data = TensorData::from_bytes(file.share(0..8), [2], DType::F32);
/// let tensor = Tensor::<Flex, 1>::from_data(data, &Default::default());
/// tensor.into_data().assert_eq(&TensorData::from([1.0_f32, 2.0]), true);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Copies what can be read; `each` sees every part of it on the way, in order.
    ///
    /// # Errors
    /// What the operating system says, be it that there is no room for the copy.
    pub fn copy(mut from: impl Read, mut each: impl FnMut(&[u8])) -> io::Result<Self> {
        let mut copy = tempfile::tempfile()?;
        let mut part = vec![0; PART];
        loop {
            let length = match from.read(&mut part) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            each(&part[..length]);
            copy.write_all(&part[..length])?;
        }
        Self::map(&copy)
    }

    /// The file must be a temporary one of this process.
    fn map(copy: &File) -> io::Result<Self> {
        // SAFETY: the file has no name under which anybody could write to it or truncate it, and this
        // process does neither.
        let map = Arc::new(unsafe { Mmap::map(copy) }?);
        let mut mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        mapped.retain(|map| map.strong_count() > 0);
        mapped.push(Arc::downgrade(&map));
        Ok(Self(map))
    }

    /// Some bytes of the file, which remains mapped as long as they are there.
    ///
    /// # Panics
    /// When the file is shorter.
    pub fn share(&self, range: Range<usize>) -> Bytes {
        let bytes = bytes::Bytes::from_owner(self.clone()).slice(range);
        // Not `File`: NdArray would then copy it for every operation, and a card's backend would
        // take it through a memory of its own, only to copy it once more.
        Bytes::from_shared(bytes, AllocationProperty::Native)
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Tells the system that bytes will hardly be read again, if they are those of a mapped file.
pub(crate) fn let_go(bytes: &[u8]) {
    #[cfg(unix)]
    {
        let mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let range = bytes.as_ptr_range();
        for map in mapped.iter().filter_map(Weak::upgrade) {
            let file = map.as_ptr_range();
            if file.start <= range.start && range.end <= file.end {
                // Whoever read what comes before or after brought pages of this with it, and this
                // brought some of theirs.
                let offset = range.start.addr() - file.start.addr();
                let from = offset.saturating_sub(PART);
                let to = (offset + bytes.len()).saturating_add(PART).min(map.len());
                let advice = memmap2::UncheckedAdvice::DontNeed;
                // SAFETY: nobody writes to the map or the file, so pages come back from there as they
                // were, when they are read. A system that does not follow the advice answers with an
                // error, which can be ignored.
                let _ = unsafe { map.unchecked_advise_range(advice, from, to - from) };
            }
        }
    }
    #[cfg(not(unix))]
    let _ = bytes;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use burn::backend::Flex;
    use burn::module::Param;
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::tensor::{DType, Distribution, Tensor, TensorData};

    use super::*;
    use crate::engine;

    /// KiB of a map that are in this process' memory.
    fn resident(map: &MappedFile) -> usize {
        let start = format!("{:x}-", map.as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let size = lines.find_map(|line| line.strip_prefix("Rss:"));
        let size = size.unwrap().trim().strip_suffix(" kB");
        size.unwrap().parse().unwrap()
    }

    #[test]
    fn a_layer_on_kernels_lets_its_weights_go_and_can_read_them_again() {
        let values: Vec<f32> = (0..64 * 64 * 9).map(|value| value as f32 / 1e4).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let mut seen = Vec::<u8>::new();
        let file = MappedFile::copy(&bytes[..], |part| seen.extend_from_slice(part)).unwrap();
        assert!(*file == *bytes && seen == bytes);
        assert!(resident(&file) >= bytes.len() >> 10, "{}", resident(&file));

        let device = Default::default();
        let in_memory = TensorData::new(values.clone(), [64, 64, 3, 3]);
        let mapped = TensorData::from_bytes(file.share(0..bytes.len()), [64, 64, 3, 3], DType::F32);
        let [in_memory, mapped] = [in_memory, mapped].map(|weights| Conv2d::<Flex> {
            weight: Param::from_data(weights, &device),
            ..Conv2dConfig::new([64, 64], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(&device)
        });
        let map = Tensor::random([1, 64, 8, 8], Distribution::Default, &device);
        let run = |conv| {
            let packed = engine::Packed::default();
            let layer = engine::FusedConvolution::bare(&packed, conv);
            layer.forward(vec![map.clone()]).into_data()
        };
        run(&mapped).assert_eq(&run(&in_memory), true);
        assert_eq!(resident(&file), 0);
        let again: Vec<f32> = mapped.weight.val().into_data().to_vec().unwrap();
        assert!(again == values);
    }
}
