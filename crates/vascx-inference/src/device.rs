//! Choosing a backend and device at run time.

use std::fmt;
use std::str::FromStr;

use burn::tensor::backend::Backend;

use crate::error::{Error, Result};

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU, through burn's Flex backend.
    Cpu,
    /// The CPU, through burn's NdArray backend: slow, for checking.
    NdArray,
    /// An NVIDIA GPU by index.
    Cuda(usize),
    /// The default GPU through Vulkan, Metal or DirectX.
    Wgpu,
}

/// Work that is generic over the backend.
pub trait DeviceWork {
    /// What it gives.
    type Output;

    /// Does the work on one backend.
    fn run<B: Backend>(self, device: &B::Device) -> Self::Output;
}

impl Device {
    /// Runs `work` on the backend this device belongs to.
    ///
    /// # Errors
    /// When this build lacks the backend.
    pub fn run<W: DeviceWork>(self, work: W) -> Result<W::Output> {
        match self {
            #[cfg(feature = "flex")]
            Self::Cpu => Ok(work.run::<burn::backend::Flex>(&Default::default())),
            #[cfg(feature = "ndarray")]
            Self::NdArray => Ok(work.run::<burn::backend::NdArray>(&Default::default())),
            #[cfg(feature = "cuda")]
            Self::Cuda(_) if !has_cuda_driver() => Err(Error::Device(
                "device `cuda` needs the NVIDIA driver, which is not on this machine; use \
                 --device cpu"
                    .into(),
            )),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => {
                let device = burn::backend::cuda::CudaDevice::new(index);
                Ok(work.run::<burn::backend::Cuda>(&device))
            }
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(work.run::<burn::backend::Wgpu>(&Default::default())),
            #[allow(unreachable_patterns)] // With all features there is nothing left.
            missing => {
                let feature = match missing {
                    Self::Cpu => "flex",
                    Self::NdArray => "ndarray",
                    Self::Cuda(_) => "cuda",
                    Self::Wgpu => "wgpu",
                };
                Err(Error::Device(format!(
                    "device `{missing}` is not in this build; build with --features {feature}"
                )))
            }
        }
    }
}

impl Device {
    /// Every kind of device with what this build and machine say of it.
    pub fn survey() -> Vec<(Self, String)> {
        let built = |feature: &str, built: bool, what: String| {
            if built {
                what
            } else {
                format!("not in this build (--features {feature})")
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        vec![
            (
                Self::Cpu,
                built("flex", cfg!(feature = "flex"), format!("{threads} threads")),
            ),
            (
                Self::NdArray,
                built("ndarray", cfg!(feature = "ndarray"), "for checking".into()),
            ),
            (
                Self::Cuda(0),
                built("cuda", cfg!(feature = "cuda"), cuda_state()),
            ),
            (
                Self::Wgpu,
                built("wgpu", cfg!(feature = "wgpu"), "the default GPU".into()),
            ),
        ]
    }
}

/// Whether the CUDA driver is there.
fn cuda_state() -> String {
    if has_cuda_driver() {
        "NVIDIA driver found".into()
    } else {
        "no NVIDIA driver on this machine".into()
    }
}

/// The driver's files are looked for, so that nothing has to be loaded.
fn has_cuda_driver() -> bool {
    let folders = [
        "/proc/driver/nvidia/version",
        "/dev/nvidiactl",
        "/usr/lib/wsl/lib/libcuda.so.1",
        "C:\\Windows\\System32\\nvcuda.dll",
    ];
    folders
        .iter()
        .any(|path| std::path::Path::new(path).exists())
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::NdArray => f.write_str("ndarray"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "ndarray" => Ok(Self::NdArray),
            "cuda" => Ok(Self::Cuda(0)),
            "wgpu" => Ok(Self::Wgpu),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map_or_else(
                    || {
                        let message = "expected cpu, ndarray, cuda, cuda:<index> or wgpu";
                        Err(Error::Device(format!("unknown device `{text}`: {message}")))
                    },
                    |index| Ok(Self::Cuda(index)),
                ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for name in ["cpu", "ndarray", "cuda:0", "cuda:3", "wgpu"] {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        for name in ["", "gpu", "cuda:", "cuda:x", "CPU"] {
            assert!(name.parse::<Device>().is_err(), "{name}");
        }
    }
}
