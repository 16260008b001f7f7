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
    /// Lightning's dictionary of hyper-parameters: a plain dictionary.
    AttributeDict,
    /// Something training state is made of (NumPy scalars, sets, counters). What a call of it
    /// would give is of no interest: the answer is a value that nothing looks into.
    Opaque,
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
            (
                "lightning.fabric.utilities.data"
                | "lightning_fabric.utilities.data"
                | "pytorch_lightning.utilities.parsing",
                "AttributeDict",
            ) => Self::AttributeDict,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
            | ("numpy", "dtype")
            | ("_codecs", "encode")
            | ("__builtin__", "set")
            | ("collections", "Counter") => Self::Opaque,
            _ if module == "__torch__" || module.starts_with("__torch__.") => {
                Self::Class(format!("{module}.{name}").into())
            }
            _ => return None,
        })
    }
}
