//! The element type that networks compute in.

use burn::tensor::{FloatDType, backend::Backend};

/// Element type of weights and feature maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Half precision: half the memory, up to 65 504.
    F16,
    /// bfloat16: half the memory and the range of f32, with three significant digits.
    BF16,
}

impl Precision {
    /// Name as in `--dtype`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        }
    }

    /// Whether a device computes in this type.
    pub fn is_supported<B: Backend>(self, device: &B::Device) -> bool {
        B::supports_dtype(device, self.dtype().into())
    }

    /// The fastest on this machine's CPU that gives the class maps of f32 on 99.9 % of all pixels and
    /// more: bf16 where there are tiles for it (AMX), f32 elsewhere.
    pub fn fastest_on_cpu() -> Self {
        if vascx_kernels::TileSet::current() == Some(vascx_kernels::TileSet::Amx) {
            return Self::BF16;
        }
        Self::F32
    }

    pub(crate) fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::BF16 => FloatDType::BF16,
        }
    }
}
