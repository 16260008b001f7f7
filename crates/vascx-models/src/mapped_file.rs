//! Weights that stay in their file.

#![allow(unsafe_code, reason = "mapping a file, and advice on the map")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::tensor::{AllocationProperty, Bytes};
use memmap2::Mmap;

/// All that are mapped now.
static MAPPED: Mutex<Vec<Weak<Mmap>>> = Mutex::new(Vec::new());

/// A file in memory, of which tensors can be made without copying it.
///
/// Where the kernels for CPUs have brought a layer's weights into their own form, the part of the
/// file they come from is let go: the weights are then in memory once, and not twice. They can still
/// be read; the system then fetches them from the file again.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("weights");
/// # std::fs::write(&path, [0, 0, 128, 63, 0, 0, 0, 64])?;
/// use burn::backend::Flex;
/// use burn::tensor::{DType, Tensor, TensorData};
///
/// // SAFETY: nobody else knows the file.
/// let file = unsafe { vascx_models::MappedFile::open(&path) }?;
/// let data = TensorData::from_bytes(file.share(0..8), [2], DType::F32);
/// let tensor = Tensor::<Flex, 1>::from_data(data, &Default::default());
/// tensor.into_data().assert_eq(&TensorData::from([1.0_f32, 2.0]), true);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Safety
    /// As long as the map or anything made of it is there, nobody may write to the file or truncate
    /// it. Renaming another over it, or deleting it, is no harm.
    pub unsafe fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the caller's promise.
        let map = Arc::new(unsafe { Mmap::map(&file) }?);
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
#[cfg(feature = "flex")]
pub(crate) fn let_go(bytes: &[u8]) {
    #[cfg(unix)]
    {
        let mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let range = bytes.as_ptr_range();
        for map in mapped.iter().filter_map(Weak::upgrade) {
            let file = map.as_ptr_range();
            if file.start <= range.start && range.end <= file.end {
                let offset = range.start.addr() - file.start.addr();
                let advice = memmap2::UncheckedAdvice::DontNeed;
                // SAFETY: nobody writes to the map or the file, so pages come back from there as they
                // were, when they are read. A system that does not follow the advice answers with an
                // error, which is no matter.
                let _ = unsafe { map.unchecked_advise_range(advice, offset, bytes.len()) };
            }
        }
    }
    #[cfg(not(unix))]
    let _ = bytes;
}

#[cfg(all(test, feature = "flex", target_os = "linux"))]
mod tests {
    use std::fs;

    use burn::backend::Flex;
    use burn::module::Param;
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::tensor::{DType, Distribution, Tensor, TensorData};

    use super::*;
    use crate::fused;

    /// KiB of a file that are in this process' memory.
    fn resident(path: &Path) -> usize {
        let path = path.canonicalize().unwrap();
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let map = maps.split_once(path.to_str().unwrap()).unwrap().1;
        let size = map.lines().find_map(|line| line.strip_prefix("Rss:"));
        let size = size.unwrap().trim().strip_suffix(" kB");
        size.unwrap().parse().unwrap()
    }

    #[test]
    fn a_layer_on_kernels_lets_its_weights_go_and_can_read_them_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let values: Vec<f32> = (0..64 * 64 * 9).map(|value| value as f32 / 1e4).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        fs::write(&path, &bytes).unwrap();
        // SAFETY: nobody else knows the file.
        let file = unsafe { MappedFile::open(&path) }.unwrap();
        assert_eq!(&*file, &bytes);
        assert!(resident(&path) >= bytes.len() >> 10, "{}", resident(&path));

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
            let packed = fused::Packed::default();
            let layer = fused::FusedConvolution::bare(&packed, conv);
            layer.forward(vec![map.clone()]).into_data()
        };
        run(&mapped).assert_eq(&run(&in_memory), true);
        assert_eq!(resident(&path), 0);
        let again: Vec<f32> = mapped.weight.val().into_data().to_vec().unwrap();
        assert!(again == values);
    }
}
