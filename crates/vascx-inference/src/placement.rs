//! Which work around the networks is done on the device.

use burn::tensor::{DType, backend::Backend};
use vascx_format::Task;

/// Where inputs are normalised and answers are reduced: the one place where that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Device and host are the same cores: preparing and finishing run beside the networks, on
    /// other threads.
    Host,
    /// The device is a card of its own: bytes go up, bytes or a few numbers come down, and two
    /// chunks are under way so that copies hide behind computation.
    Device {
        /// Whether the card handles bytes; else whole floats and integers are copied.
        bytes: bool,
    },
}

impl Placement {
    pub(crate) fn of<B: Backend>(device: &B::Device) -> Self {
        let backend = B::name(device);
        if ["flex", "ndarray"]
            .iter()
            .any(|name| backend.contains(name))
        {
            return Self::Host;
        }
        Self::Device {
            bytes: B::supports_dtype(device, DType::U8),
        }
    }

    /// Chunks of one device that are under way at a time.
    pub(crate) fn chunks_under_way(self) -> usize {
        match self {
            Self::Host => 1,
            Self::Device { .. } => 2,
        }
    }

    /// Whether squares stay bytes until the network takes them: copies to a card are small, and on
    /// the host windows are normalised as they are cut.
    pub(crate) fn takes_bytes(self, task: Task) -> bool {
        match self {
            Self::Host => task.is_spatial(),
            Self::Device { bytes } => bytes,
        }
    }

    /// Whether answers are reduced on the device.
    pub(crate) fn reduces(self) -> bool {
        self != Self::Host
    }
}
