"""Tensors of torch where it is installed, else NumPy arrays that answer to the same methods."""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    import torch
except ImportError:  # torch is optional.
    torch = None


class Array(np.ndarray):
    """A NumPy array with those methods of a tensor that programs call on answers."""

    device = "cpu"
    is_cuda = False
    requires_grad = False

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found if isinstance(found, np.ndarray) else np.asarray(found).view(Array)

    def cpu(self) -> Array:
        return self

    def cuda(self, *_: Any, **__: Any) -> Array:
        raise RuntimeError("arrays are moved to GPUs by torch, which is not installed")

    def detach(self) -> Array:
        return self

    def contiguous(self) -> Array:
        return np.ascontiguousarray(self).view(Array)

    def numpy(self) -> np.ndarray:
        return self.view(np.ndarray)

    def clone(self) -> Array:
        return self.copy()

    def permute(self, *axes: int) -> Array:
        return self.transpose(*axes)

    def unsqueeze(self, axis: int) -> Array:
        return np.expand_dims(self, axis).view(Array)

    def dim(self) -> int:
        return self.ndim

    def numel(self) -> int:
        return int(np.prod(self.shape))

    def float(self) -> Array:
        return self.astype(np.float32)

    def long(self) -> Array:
        return self.astype(np.int64)

    def to(self, where: Any = None, **_: Any) -> Array:
        if where in (None, "cpu"):
            return self
        if isinstance(where, str):
            return self.cuda()
        return self.astype(where)

    def unique(self) -> Array:
        return np.unique(self).view(Array)


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch, or what stands for one."""
    return isinstance(value, Array) or (torch is not None and isinstance(value, torch.Tensor))


def to_numpy(value: Any) -> np.ndarray:
    """The values in this machine's memory."""
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    return np.asarray(value)


def to_tensor(array: Any, like: Any = None, device: Any = None) -> Any:
    """As a tensor, on the device that is named or that of another one."""
    array = np.ascontiguousarray(array)
    if torch is None:
        return array.view(Array)
    if device is None:
        device = like.device if isinstance(like, torch.Tensor) else "cpu"
    return torch.from_numpy(array).to(device)


def is_on_cpu(device: Any) -> bool:
    return str(device).startswith("cpu")
