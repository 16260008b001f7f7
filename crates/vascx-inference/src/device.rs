//! Choosing a backend and device at run time.

use std::fmt;
use std::path::Path;
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

/// Devices of one kind over which work is spread, such as `cuda:0,cuda:1`; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices(Vec<Device>);

impl From<Device> for Devices {
    fn from(device: Device) -> Self {
        Self(vec![device])
    }
}

/// Work that is generic over the backend.
pub trait DeviceWork {
    /// What it gives.
    type Output;

    /// Does the work on devices of one backend, of which there is at least one.
    fn run<B: Backend>(self, devices: &[B::Device]) -> Self::Output;
}

impl Device {
    /// Runs `work` on the backend this device belongs to.
    ///
    /// # Errors
    /// When this build or machine lacks the device.
    pub fn run<W: DeviceWork>(self, work: W) -> Result<W::Output> {
        Devices::from(self).run(work)
    }

    /// Whether it is a graphics card, on which kernels are compiled and tuned at first.
    pub fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda(_) | Self::Wgpu)
    }

    #[cfg(feature = "cuda")]
    fn cuda(self) -> Result<burn::backend::cuda::CudaDevice> {
        let count = cuda_devices()?;
        match self {
            Self::Cuda(index) if index < count => Ok(burn::backend::cuda::CudaDevice::new(index)),
            _ => Err(Error::Device(format!(
                "device `{self}` is not on this machine, which has {count} for CUDA, from cuda:0 on"
            ))),
        }
    }
}

impl Devices {
    /// Runs `work` on the backend these devices belong to.
    ///
    /// # Errors
    /// When this build or machine lacks one of them.
    pub fn run<W: DeviceWork>(&self, work: W) -> Result<W::Output> {
        match self.first() {
            Device::Cpu => Ok(work.run::<burn::backend::Flex>(&[Default::default()])),
            #[cfg(feature = "ndarray")]
            Device::NdArray => Ok(work.run::<burn::backend::NdArray>(&[Default::default()])),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => {
                let devices: Vec<_> = self.0.iter().map(|d| d.cuda()).collect::<Result<_>>()?;
                Ok(work.run::<burn::backend::Cuda>(&devices))
            }
            #[cfg(feature = "wgpu")]
            Device::Wgpu => Ok(work.run::<burn::backend::Wgpu>(&[Default::default()])),
            #[allow(unreachable_patterns)] // With all features there is nothing left.
            missing => {
                let feature = match missing {
                    Device::Cpu => unreachable!("the CPU is in every build"),
                    Device::NdArray => "ndarray",
                    Device::Cuda(_) => "cuda",
                    Device::Wgpu => "wgpu",
                };
                Err(Error::Device(format!(
                    "device `{missing}` is not in this build; build with --features {feature}"
                )))
            }
        }
    }

    /// The first of them; all are of its kind.
    pub fn first(&self) -> Device {
        self.0[0]
    }
}

/// Keeps what is found out about a GPU's kernels (compiled code, tuning) in a folder, so that later
/// runs need not find it out again. To be called before anything is loaded onto a device.
///
/// # Errors
/// When this build has no GPU backend, the folder cannot be written or a device is in use already.
pub fn keep_autotune(folder: &Path) -> Result<()> {
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    {
        use cubecl::config::cache::CacheConfig;
        use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
        std::fs::create_dir_all(folder).map_err(|error| Error::output(folder, error))?;
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        config.autotune.cache = CacheConfig::File(folder.to_owned());
        config.compilation.cache = Some(CacheConfig::File(folder.to_owned()));
        // There is no other way to learn that it is too late.
        std::panic::catch_unwind(|| CubeClRuntimeConfig::set(config)).map_err(|_| {
            Error::Device("the autotune cache must be chosen before a device is used".into())
        })
    }
    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    Err(Error::Device(format!(
        "{} would remain empty: this build has no GPU; build with --features cuda or wgpu, or keep no \
         autotune cache",
        folder.display()
    )))
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
            (Self::Cpu, format!("{threads} threads")),
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

/// What there is for CUDA.
fn cuda_state() -> String {
    #[cfg(feature = "cuda")]
    match cuda_devices() {
        Ok(count) => return format!("{count} with an NVIDIA driver"),
        Err(_) if has_cuda_driver() => return "NVIDIA driver found, but it does not start".into(),
        Err(_) => {}
    }
    if has_cuda_driver() {
        "NVIDIA driver found".into()
    } else {
        "no NVIDIA driver on this machine".into()
    }
}

/// How many devices the driver offers. Loading it panics where it is missing or broken.
#[cfg(feature = "cuda")]
fn cuda_devices() -> Result<usize> {
    if !has_cuda_driver() {
        return Err(Error::Device(
            "device `cuda` needs the NVIDIA driver, which is not on this machine".into(),
        ));
    }
    let count = std::panic::catch_unwind(|| burn::backend::Cuda::<f32, i32>::device_count(0));
    match count {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::Device(
            "device `cuda`: the NVIDIA driver is there but offers no device; see what nvidia-smi says"
                .into(),
        )),
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

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Device::to_string).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Devices {
    type Err = Error;

    /// One device, or several CUDA devices separated by commas.
    fn from_str(text: &str) -> Result<Self> {
        let devices: Vec<Device> = text.split(',').map(str::parse).collect::<Result<_>>()?;
        let cuda = |device: &Device| matches!(device, Device::Cuda(_));
        if devices.len() > 1 && !devices.iter().all(cuda) {
            return Err(Error::Device(format!(
                "work can be spread over several CUDA devices only, not over `{text}`"
            )));
        }
        for (index, device) in devices.iter().enumerate() {
            if devices[..index].contains(device) {
                return Err(Error::Device(format!("device `{device}` is named twice")));
            }
        }
        Ok(Self(devices))
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
            _ => {
                let index = text
                    .strip_prefix("cuda:")
                    .and_then(|index| index.parse().ok());
                index.map(Self::Cuda).ok_or_else(|| {
                    let message = "expected cpu, ndarray, cuda, cuda:<index> or wgpu";
                    Error::Device(format!("unknown device `{text}`: {message}"))
                })
            }
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

    #[test]
    fn lists_name_each_of_one_kind_once() {
        for list in ["cpu", "wgpu", "cuda:0,cuda:1", "cuda:3,cuda:0,cuda:1"] {
            assert_eq!(list.parse::<Devices>().unwrap().to_string(), list);
        }
        for (list, part) in [
            ("cuda,cuda:0", "`cuda:0` is named twice"),
            ("cuda:0,cpu", "CUDA devices only"),
            ("cpu,cpu", "CUDA devices only"),
            ("cuda:0,", "unknown device ``"),
            ("", "unknown device"),
        ] {
            let message = list.parse::<Devices>().unwrap_err().to_string();
            assert!(message.contains(part), "{list}: {message}");
        }
    }

    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    #[test]
    fn a_build_without_gpu_keeps_no_autotune() {
        let message = keep_autotune(Path::new("cache")).unwrap_err().to_string();
        assert!(
            message.contains("cache") && message.contains("--features cuda"),
            "{message}"
        );
    }
}
