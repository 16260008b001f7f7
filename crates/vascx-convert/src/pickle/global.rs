//! The classes and functions that pickles refer to.

use std::sync::Arc;

use crate::tensor::DType;

/// What is done with a class or function that is not on the short list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A release names nothing else; anything else is an error.
    Refused,
    /// Training state beside weights names anything. What it would make is an opaque object.
    Opaque,
}

/// A class or function that a pickle may refer to. None of them is ever called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// A TorchScript class (`__torch__.…`), or whatever is not known, by qualified name.
    Class(Arc<str>),
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: the first argument.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: the first argument called with the third.
    RebuildFromType,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `set` and `frozenset`: their items.
    Set,
    /// `copyreg._reconstructor`: an object of its first argument, before protocol 2.
    Reconstructor,
    /// `torch.FloatStorage` and its like.
    Storage(DType),
    /// `torch.jit._pickle.build_intlist` and its like: the list itself.
    TypedList,
    /// `torch.jit._pickle.restore_type_tag`: the first argument.
    RestoreTypeTag,
}

impl Global {
    pub(super) fn lookup(module: &str, name: &str, unknown: Unknown) -> Option<Self> {
        let class = || Self::Class(format!("{module}.{name}").into());
        if module == "__torch__" || module.starts_with("__torch__.") {
            return Some(class());
        }
        let known = match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Some(Self::RebuildParameter)
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Self::RebuildFromType),
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("__builtin__" | "builtins", "set" | "frozenset") => Some(Self::Set),
            ("copy_reg" | "copyreg", "_reconstructor") => Some(Self::Reconstructor),
            ("torch", storage) => DType::from_storage_class(storage).map(Self::Storage),
            (
                "torch.jit._pickle",
                "build_intlist" | "build_floatlist" | "build_boollist" | "build_tensorlist",
            ) => Some(Self::TypedList),
            ("torch.jit._pickle", "restore_type_tag") => Some(Self::RestoreTypeTag),
            _ => None,
        };
        match unknown {
            Unknown::Refused => known,
            Unknown::Opaque => known.or_else(|| Some(class())),
        }
    }
}
