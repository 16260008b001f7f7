//! The globals that PyTorch's own writers put into a checkpoint. There are no others.

use crate::tensor::DType;

/// A class or function that a pickle may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// A TorchScript class, by qualified name (`__torch__.…`).
    Class(Box<str>),
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch.FloatStorage` and its like.
    Storage(DType),
    /// `torch.jit._pickle.build_intlist` and its like: the list itself.
    TypedList,
    /// `torch.jit._pickle.restore_type_tag`: the first argument.
    RestoreTypeTag,
}

impl Global {
    pub(crate) fn lookup(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", storage) => Self::Storage(DType::from_storage_class(storage)?),
            (
                "torch.jit._pickle",
                "build_intlist" | "build_floatlist" | "build_boollist" | "build_tensorlist",
            ) => Self::TypedList,
            ("torch.jit._pickle", "restore_type_tag") => Self::RestoreTypeTag,
            _ if module == "__torch__" || module.starts_with("__torch__.") => {
                Self::Class(format!("{module}.{name}").into())
            }
            _ => return None,
        })
    }
}
